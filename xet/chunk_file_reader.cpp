#include "xet/chunk_file_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <numeric>
#include <system_error>
#include <unistd.h>

namespace xet {

namespace {

// Read in one go. Large enough for the cut finder's lanes, small enough that a window stays in a core's cache.
constexpr std::size_t window_bytes = 1024 * 1024;
// Buffers kept for the next files. Memory fresh from the system costs more to touch than to hash.
constexpr std::size_t max_spare_buffers = 4;

using buffer = std::unique_ptr<std::uint8_t[]>;

// In front of a window's data is room for the chunk that the window before could not finish.
std::size_t buffer_bytes(chunking const& c) { return std::size_t(c.max_bytes) + window_bytes; }

class buffer_pool
{
public:
	static buffer_pool& instance()
	{
		static buffer_pool pool;
		return pool;
	}

	buffer take(std::size_t size)
	{
		if (size == usual_bytes)
		{
			std::lock_guard const lock(m_mutex);
			if (!m_spare.empty())
			{
				buffer b = std::move(m_spare.back());
				m_spare.pop_back();
				return b;
			}
		}
		return std::make_unique_for_overwrite<std::uint8_t[]>(size);
	}

	void give_back(buffer b, std::size_t size)
	{
		if (size != usual_bytes || !b) return;
		std::lock_guard const lock(m_mutex);
		if (m_spare.size() < max_spare_buffers) m_spare.push_back(std::move(b));
	}

private:
	static constexpr std::size_t usual_bytes = max_chunk_bytes + window_bytes;

	buffer_pool() { m_spare.reserve(max_spare_buffers); }

	std::mutex m_mutex;
	std::vector<buffer> m_spare;
};

} // namespace

// --- hole_finder -------------------------------------------------------------------------------------------------------

hole_finder::hole_finder(int fd, struct ::stat const& st)
	: m_fd(fd)
	, m_before(S_ISREG(st.st_mode) && std::uint64_t(st.st_blocks) * 512 < std::uint64_t(st.st_size) ? lseek(fd, 0, SEEK_CUR) : -1)
{
}

hole_finder::~hole_finder()
{
	if (m_before >= 0) lseek(m_fd, m_before, SEEK_SET);
}

std::uint64_t hole_finder::hole_at(std::uint64_t at) const
{
	if (m_before < 0) return 0;
	off_t end = lseek(m_fd, off_t(at), SEEK_DATA);
	// no data behind this place, or none of the file at all
	if (end < 0 && errno == ENXIO) end = lseek(m_fd, 0, SEEK_END);
	return end > off_t(at) ? std::uint64_t(end) - at : 0;
}

// --- chunk_reader ------------------------------------------------------------------------------------------------------

chunk_reader::chunk_reader(int fd, profile const& p, hole_finder const& holes)
	: m_fd(fd), m_profile(p), m_holes(holes), m_finder(p.cut), m_memory(buffer_pool::instance().take(buffer_bytes(p.cut)))
{
}

chunk_reader::~chunk_reader()
{
	buffer_pool::instance().give_back(std::move(m_memory), buffer_bytes(m_profile.cut));
}

void chunk_reader::start(std::uint64_t at)
{
	m_at = at;
	m_at_end = false;
	m_carried = {};
}

result<bool> chunk_reader::next(chunk_list& out, std::uint64_t to, stop_at const& stop)
{
	if (skip_hole(out, to, stop)) return false;
	auto* const data = m_memory.get() + m_profile.cut.max_bytes;
	std::size_t const carried = m_carried.size();
	auto* const begin = data - carried;
	if (carried > 0) std::memmove(begin, m_carried.data(), carried);

	auto const wanted = std::size_t(std::min<std::uint64_t>(window_bytes, to > m_at ? to - m_at : 0));
	auto const got = read_some(data, wanted);
	if (!got) return tl::unexpected(got.error());
	m_at_end = *got < wanted;

	bytes_view const all(begin, carried + *got);
	m_lengths.clear();
	auto const covered = m_finder.find(all, carried, m_lengths);
	m_carried = all.subspan(covered);
	if (m_at_end && !m_carried.empty())
	{
		m_lengths.push_back(std::uint32_t(m_carried.size()));
		m_carried = {};
	}
	bool const stopped = stop && trim(begin, stop);
	hash(begin, out);
	return !stopped && !m_at_end;
}

// Cuts m_lengths off where stop says so.
bool chunk_reader::trim(std::uint8_t const* begin, stop_at const& stop)
{
	auto const total = std::accumulate(m_lengths.begin(), m_lengths.end(), std::uint64_t(0));
	auto const first = end() - total;
	std::uint64_t done = 0;
	for (std::size_t i = 0; i < m_lengths.size(); ++i)
	{
		done += m_lengths[i];
		if (!stop(first + done)) continue;
		m_lengths.resize(i + 1);
		m_at_end = m_at_end && done == total && m_carried.empty();
		m_at = first + done;
		m_carried = {begin + done, 0};
		return true;
	}
	return false;
}

void chunk_reader::hash(std::uint8_t const* begin, chunk_list& out)
{
	auto const* const first = begin;
	m_views.clear();
	for (auto const length : m_lengths)
	{
		m_views.emplace_back(begin, length);
		begin += length;
	}
	m_hashes.resize(m_views.size());
	chunk_hashes(m_profile.kind, m_views, m_hashes);
	for (std::size_t i = 0; i < m_hashes.size(); ++i) out.push_back({m_hashes[i], m_lengths[i]});
	show(std::span(out).last(m_hashes.size()), first);
}

void chunk_reader::show(std::span<chunk_ref const> chunks, std::uint8_t const* begin)
{
	if (!m_options || !m_options->chunks || m_refused || chunks.empty()) return;
	std::size_t bytes = 0;
	for (chunk_ref const& c : chunks) bytes += c.size;
	m_refused = !m_options->chunks(chunks, {begin, bytes});
}

// Up to size bytes; less at the end of the file only.
result<std::size_t> chunk_reader::read_some(std::uint8_t* into, std::size_t size)
{
	std::size_t got = 0;
	while (got < size)
	{
		auto const n = pread(m_fd, into + got, size - got, off_t(m_at));
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return fail(errc::io, "cannot read at offset ", m_at, ": ", std::generic_category().message(errno));
		if (n == 0) break;
		got += std::size_t(n);
		m_at += std::uint64_t(n);
	}
	return got;
}

// If the next chunk begins in a hole, all chunks that fit into the hole are the same: no need to read them. True where stop
// said so.
bool chunk_reader::skip_hole(chunk_list& out, std::uint64_t to, stop_at const& stop)
{
	std::uint64_t const from = end(), step = m_profile.cut.max_bytes;
	auto const hole = std::min(m_holes.hole_at(from), to > from ? to - from : 0);
	if (from + hole / step * step <= m_at || !zeros_make_one_chunk()) return false;
	if (m_options && m_options->chunks) show(std::span(&*m_zero_chunk, 1), bytes(m_zero_chunk->size, 0).data());
	m_at = from;
	m_carried = {};
	bool stopped = false;
	for (std::uint64_t left = hole / step; left != 0 && !stopped; --left)
	{
		out.push_back(*m_zero_chunk);
		m_at += step;
		stopped = stop && stop(m_at);
	}
	return stopped;
}

// Whether the rule cuts zeros at the maximum, as it does with the usual limits; finds that chunk's name.
bool chunk_reader::zeros_make_one_chunk()
{
	if (!m_zero_chunk)
	{
		bytes const zeros(m_profile.cut.max_bytes, 0);
		auto const chunks = chunk_buffer(zeros, m_profile);
		m_zero_chunk = chunks.front();
	}
	return m_zero_chunk->size == m_profile.cut.max_bytes;
}

} // namespace xet
