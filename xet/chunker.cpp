#include "xet/chunker.hpp"
#include "xet/cut_finder.hpp"
#include "xet/gear.hpp"

#include <algorithm>
#include <bit>

namespace xet {

std::uint64_t chunking::mask() const
{
	int const bits = std::bit_width(target_bytes) - 1;
	return bits <= 0 ? 0 : ~std::uint64_t(0) << (64 - bits);
}

result<profile> make_profile(std::string_view name, std::uint32_t target_bytes)
{
	auto const kind = kind_from_name(name);
	if (!kind) return fail(errc::invalid, "unknown profile \"", name, "\": use blake3, sha256 or hf");
	if (*kind != hash_kind::sha256 && !has_blake3())
		return fail(errc::unsupported, "this build has no BLAKE3, which profile ", name, " needs: use sha256");

	profile p;
	p.kind = *kind;
	p.cut.target_bytes = *kind == hash_kind::hf ? max_target_bytes : default_target_bytes;
	if (target_bytes == 0) return p;

	if (!std::has_single_bit(target_bytes) || target_bytes < min_target_bytes || target_bytes > max_target_bytes)
		return fail(errc::invalid, "target chunk size ", target_bytes, " is not a power of two from ", min_target_bytes,
					" to ", max_target_bytes);
	if (*kind == hash_kind::hf && target_bytes != p.cut.target_bytes)
		return fail(errc::invalid, "profile hf has a target chunk size of ", p.cut.target_bytes, ", not ", target_bytes);
	p.cut.target_bytes = target_bytes;
	return p;
}

chunker::chunker(chunking const& c)
	: m_mask(c.mask())
	, m_min(std::max<std::uint32_t>(c.min_bytes, 1))
	, m_max(std::max(c.max_bytes, m_min))
	, m_skip(gear::skippable(c))
{
}

chunker::step chunker::next(bytes_view data)
{
	std::size_t done = 0;
	auto const left_until = [&](std::uint32_t size)
	{ return std::min<std::size_t>(data.size() - done, m_size < size ? size - m_size : 0); };

	if (auto const skipped = left_until(m_skip))
	{
		done += skipped;
		m_size += std::uint32_t(skipped);
	}
	// bytes that fill the window, where a cut is not allowed yet
	if (auto const filled = left_until(m_min - 1))
	{
		m_hash = gear::roll_over(m_hash, data.data() + done, data.data() + done + filled);
		done += filled;
		m_size += std::uint32_t(filled);
	}

	auto const scanned = gear::scan(m_hash, data.subspan(done, left_until(m_max)), m_mask);
	done += scanned.taken;
	m_size += std::uint32_t(scanned.taken);

	bool const boundary = scanned.hit || m_size >= m_max;
	if (boundary)
	{
		m_size = 0;
		m_hash = 0;
	}
	return {done, boundary};
}

namespace {

// What is looked at in one go: large enough to keep the finder's lanes busy, small enough to be in the cache still when
// the chunks are hashed.
constexpr std::size_t window_bytes = 1024 * 1024;

// Calls on_chunk(bytes_view) for each chunk of data.
template <class OnChunk>
void for_each_chunk(bytes_view data, chunking const& c, OnChunk const& on_chunk)
{
	cut_finder finder(c);
	std::vector<std::uint32_t> lengths;
	// a window holds one chunk at least, so each round gets on
	std::size_t const window = std::max<std::size_t>(window_bytes, 2 * std::size_t(c.max_bytes));
	std::size_t clean = 0;
	while (data.size() > clean)
	{
		auto const part = data.first(std::min(window, data.size()));
		lengths.clear();
		auto const covered = finder.find(part, clean, lengths);
		clean = part.size() - covered;
		for (auto const length : lengths)
		{
			on_chunk(data.first(length));
			data = data.subspan(length);
		}
	}
	if (!data.empty()) on_chunk(data);
}

} // namespace

std::vector<std::uint32_t> chunk_lengths(bytes_view data, chunking const& c)
{
	std::vector<std::uint32_t> lengths;
	for_each_chunk(data, c, [&](bytes_view chunk) { lengths.push_back(std::uint32_t(chunk.size())); });
	return lengths;
}

chunk_list chunk_buffer(bytes_view data, profile const& p)
{
	chunk_list chunks;
	for_each_chunk(data, p.cut,
				   [&](bytes_view chunk) { chunks.push_back({chunk_hash(p.kind, chunk), std::uint32_t(chunk.size())}); });
	return chunks;
}

} // namespace xet
