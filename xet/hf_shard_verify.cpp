#include "xet/hf_shard.hpp"

#include "xet/hash.hpp"
#include "xet/merkle.hpp"

#include <unordered_map>

namespace xet {

namespace {

// Hugging Face's VERIFICATION_KEY. do not change
constexpr std::uint8_t range_key[32] = {
	0x7f, 0x18, 0x57, 0xd6, 0xce, 0x56, 0xed, 0x66, 0x12, 0x7f, 0xf9, 0x13, 0xe7, 0xa5, 0xc3, 0xf3,
	0xa4, 0xcd, 0x26, 0xd5, 0xb5, 0xdb, 0x49, 0xe6, 0x41, 0x24, 0x98, 0x7f, 0x28, 0xfb, 0x94, 0xc3};

class hf_shard_verifier
{
public:
	explicit hf_shard_verifier(hf_shard const& s) : m_keyed(s.footer && !s.footer->chunk_key.is_zero())
	{
		for (auto const& x : s.xorbs) m_xorbs.emplace(x.hash, &x);
	}

	result<> verify(hf_shard_xorb const& x) const
	{
		if (m_keyed) return {};
		chunk_list chunks;
		for (auto const& c : x.chunks) chunks.push_back({c.hash, c.size});
		if (hf_tree_root(chunks) == x.hash) return {};
		return fail(errc::mismatch, "xorb ", to_string(hash_kind::hf, x.hash), ": its chunks make another hash, ", to_string(hash_kind::hf, hf_tree_root(chunks)));
	}

	result<> verify(hf_shard_file const& f) const
	{
		auto const wrong = [&](auto const&... why) { return fail(errc::mismatch, "file ", to_string(hash_kind::hf, f.hash), ": ", why...); };
		if (f.segments.empty() && !is_empty_file(f.hash)) return wrong("it has no segments, but the hash is not that of an empty file");
		chunk_list chunks;
		bool complete = !m_keyed && !f.segments.empty();
		for (std::size_t i = 0; i < f.segments.size(); ++i)
		{
			auto const& s = f.segments[i];
			auto const x = m_xorbs.find(s.xorb);
			if (x == m_xorbs.end())
			{
				complete = false;
				continue;
			}
			auto const& all = x->second->chunks;
			if (s.end_chunk > all.size()) return wrong("segment ", i, " ends at chunk ", s.end_chunk, " of a xorb with ", all.size());
			auto const part = std::span(all).subspan(s.first_chunk, s.end_chunk - s.first_chunk);
			std::uint64_t bytes = 0;
			for (auto const& c : part) bytes += c.size;
			if (bytes != s.bytes) return wrong("segment ", i, " has ", s.bytes, " bytes; its chunks have ", bytes);
			if (!m_keyed && !f.range_hashes.empty() && f.range_hashes[i] != hf_range_hash(part))
				return wrong("the range hash of segment ", i, " is not that of its chunks");
			for (auto const& c : part) chunks.push_back({c.hash, c.size});
		}
		if (complete && hf_file_hash(chunks) != f.hash) return wrong("its chunks make another hash, ", to_string(hash_kind::hf, hf_file_hash(chunks)));
		return {};
	}

private:
	// Zero, and what some writers make of it.
	static bool is_empty_file(hash32 const& h) { return h.is_zero() || h == keyed_blake3(hash32{}.view(), hash32{}.view()); }

	bool m_keyed;
	std::unordered_map<hash32, hf_shard_xorb const*> m_xorbs;
};

} // namespace

hash32 hf_range_hash(std::span<hf_shard_chunk const> chunks)
{
	bytes all;
	all.reserve(chunks.size() * sizeof(hash32));
	for (auto const& c : chunks) append(all, c.hash.view());
	return keyed_blake3(range_key, all);
}

result<> verify_hf_shard(hf_shard const& s)
{
	hf_shard_verifier const v(s);
	for (auto const& x : s.xorbs)
		if (auto const ok = v.verify(x); !ok) return ok;
	for (auto const& f : s.files)
		if (auto const ok = v.verify(f); !ok) return ok;
	return {};
}

} // namespace xet
