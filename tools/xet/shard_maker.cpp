#include "tools/xet/shard_maker.hpp"

#include "xet/merkle.hpp"

#include <algorithm>

namespace tools {

void bep_shard_maker::add_xorb(any_xorb const& x)
{
	if (!m_known_xorbs.insert(x.hash()).second) return;
	m_shard.xorbs.push_back(x.hash());
	for (auto const& c : x.chunks()) m_xorb_of.emplace(c.hash, x.hash());
}

std::size_t bep_shard_maker::add_file(shard_input const& f)
{
	xet::shard_file out{f.path, xet::file_hash(m_kind, f.chunks), f.size, {}};
	std::unordered_set<xet::hash32> named;
	std::size_t homeless = 0;
	for (auto const& c : f.chunks)
	{
		if (m_known_chunks.insert(c.hash).second) m_shard.chunks.push_back(c.hash);
		auto const x = m_xorb_of.find(c.hash);
		if (x == m_xorb_of.end()) ++homeless;
		else if (named.insert(x->second).second) out.xorbs.push_back(x->second);
	}
	m_shard.files.push_back(std::move(out));
	return homeless;
}

void hf_shard_maker::add_xorb(any_xorb const& x)
{
	xet::hf_shard_xorb out;
	out.hash = x.hash();
	out.stored_bytes = std::uint32_t(x.chunk_region_bytes());
	for (auto const& c : x.chunks())
	{
		m_places.emplace(c.hash, place{m_shard.xorbs.size(), std::uint32_t(out.chunks.size())});
		out.chunks.push_back({c.hash, out.bytes, c.size, 0});
		out.bytes += c.size;
	}
	m_shard.xorbs.push_back(std::move(out));
	m_given = m_shard.xorbs.size();
}

hf_shard_maker::place hf_shard_maker::place_of(xet::chunk_ref const& c)
{
	constexpr std::uint32_t chunk_header_bytes = 8;
	if (auto const known = m_places.find(c.hash); known != m_places.end()) return known->second;
	auto& xorbs = m_shard.xorbs;
	if (xorbs.size() == m_given || xorbs.back().chunks.size() == xet::max_xorb_chunks || xorbs.back().bytes + c.size > xet::max_xorb_bytes)
		xorbs.emplace_back();
	auto& x = xorbs.back();
	place const here{xorbs.size() - 1, std::uint32_t(x.chunks.size())};
	x.chunks.push_back({c.hash, x.bytes, c.size, 0});
	x.bytes += c.size;
	x.stored_bytes += c.size + chunk_header_bytes;
	m_places.emplace(c.hash, here);
	return here;
}

void hf_shard_maker::add_file(shard_input const& f)
{
	xet::hf_shard_file out;
	out.hash = xet::hf_file_hash(f.chunks);
	out.sha256 = f.sha256;
	// the format names a file by its content only
	if (!m_known_files.insert(out.hash).second) return;
	std::vector<std::size_t> xorbs;
	for (std::size_t i = 0; i < f.chunks.size(); ++i)
	{
		auto const at = place_of(f.chunks[i]);
		if (i == 0) m_shard.xorbs[at.xorb].chunks[at.chunk].flags |= xet::hf_global_dedup_flag;
		bool const goes_on = !xorbs.empty() && xorbs.back() == at.xorb && out.segments.back().end_chunk == at.chunk
			&& out.segments.back().bytes <= UINT32_MAX - f.chunks[i].size;
		if (!goes_on)
		{
			xorbs.push_back(at.xorb);
			out.segments.push_back({{}, 0, 0, at.chunk, at.chunk});
		}
		out.segments.back().end_chunk = at.chunk + 1;
		out.segments.back().bytes += f.chunks[i].size;
	}
	m_segment_xorbs.push_back(std::move(xorbs));
	m_shard.files.push_back(std::move(out));
}

xet::hf_shard hf_shard_maker::finish() &&
{
	for (std::size_t i = m_given; i < m_shard.xorbs.size(); ++i)
	{
		xet::chunk_list chunks;
		for (auto const& c : m_shard.xorbs[i].chunks) chunks.push_back({c.hash, c.size});
		m_shard.xorbs[i].hash = xet::hf_tree_root(chunks);
	}
	for (std::size_t f = 0; f < m_shard.files.size(); ++f)
		for (std::size_t s = 0; s < m_shard.files[f].segments.size(); ++s)
		{
			auto& segment = m_shard.files[f].segments[s];
			auto const& x = m_shard.xorbs[m_segment_xorbs[f][s]];
			segment.xorb = x.hash;
			m_shard.files[f].range_hashes.push_back(
				xet::hf_range_hash(std::span(x.chunks).subspan(segment.first_chunk, segment.end_chunk - segment.first_chunk)));
		}
	return std::move(m_shard);
}

} // namespace tools
