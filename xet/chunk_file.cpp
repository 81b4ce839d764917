// chunk_file: reading and cutting on the calling thread, hashing beside it.
//
// A file passes through a ring of windows. The caller fills a window, finds its cuts and queues it; a helper thread
// hashes what is queued. Whenever the caller finds no window free it hashes too, so that neither thread waits for the
// other whichever of reading, cutting and hashing is the slowest. Small files have one window and no helper.

#include "xet/chunker.hpp"
#include "xet/cut_finder.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace xet {

namespace {

// Read in one go. Large enough for the cut finder's lanes, small enough that a window stays in a core's cache.
constexpr std::size_t window_bytes = 1024 * 1024;
// One being filled, one being hashed, one or two in between: with room for the front of a chunk, less than 5 MiB.
constexpr std::size_t ring_windows = 4;
// A thread costs as much as hashing some 100 KiB: below this it would not pay.
constexpr std::uint64_t min_helped_bytes = 1024 * 1024;
// Buffers kept for the next files. Memory fresh from the system costs more to touch than to hash.
constexpr std::size_t max_spare_buffers = 2 * ring_windows;

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

struct window
{
	enum class state { free, filling, queued, busy, done };

	state where = state::free;
	buffer memory;
	std::uint8_t const* begin = nullptr;  // of the first chunk
	std::vector<std::uint32_t> lengths;
	std::vector<bytes_view> views;
	std::vector<hash32> hashes;
	chunk_list chunks;
	std::uint64_t zero_chunks = 0;  // chunks of the hole behind this window, never read

	void hash(hash_kind kind)
	{
		auto const* at = begin;
		views.clear();
		for (auto const length : lengths)
		{
			views.emplace_back(at, length);
			at += length;
		}
		hashes.resize(views.size());
		chunk_hashes(kind, views, hashes);
		chunks.clear();
		for (std::size_t i = 0; i < views.size(); ++i) chunks.push_back({hashes[i], lengths[i]});
	}
};

// The windows, and the helper that hashes them.
class hash_ring
{
public:
	hash_ring(profile const& p, std::size_t windows) : m_profile(p), m_windows(windows)
	{
		for (auto& w : m_windows) w.memory = buffer_pool::instance().take(buffer_bytes(p.cut));
	}

	~hash_ring()
	{
		{
			std::lock_guard const lock(m_mutex);
			m_quit = true;
		}
		m_changed.notify_all();
		if (m_helper.joinable()) m_helper.join();
		for (auto& w : m_windows) buffer_pool::instance().give_back(std::move(w.memory), buffer_bytes(m_profile.cut));
	}

	hash_ring(hash_ring const&) = delete;

	std::size_t size() const { return m_windows.size(); }

	void start_helper()
	{
		try
		{
			m_helper = std::thread([this] { help(); });
		}
		catch (std::system_error const&)
		{
			// no thread to be had: acquire does all of the hashing
		}
	}

	// The window number n, to be filled, with the results of its earlier use; until these are there, hashes what is queued.
	window& acquire(std::uint64_t n)
	{
		auto& wanted = m_windows[n % m_windows.size()];
		std::unique_lock lock(m_mutex);
		for (;;)
		{
			if (m_failure) std::rethrow_exception(std::exchange(m_failure, nullptr));
			if (wanted.where == window::state::free || wanted.where == window::state::done)
			{
				wanted.where = window::state::filling;
				return wanted;
			}
			if (!hash_one(lock)) m_changed.wait(lock);
		}
	}

	void queue(window& w)
	{
		{
			std::lock_guard const lock(m_mutex);
			w.where = window::state::queued;
		}
		m_changed.notify_all();
	}

private:
	void help()
	{
		std::unique_lock lock(m_mutex);
		while (!m_quit && !m_failure)
			if (!hash_one(lock)) m_changed.wait(lock);
	}

	// Hashes the oldest queued window, without the lock meanwhile. False if none is queued.
	bool hash_one(std::unique_lock<std::mutex>& lock)
	{
		auto& w = m_windows[m_next_to_hash % m_windows.size()];
		if (w.where != window::state::queued) return false;
		++m_next_to_hash;
		w.where = window::state::busy;
		lock.unlock();
		std::exception_ptr failure;
		try
		{
			w.hash(m_profile.kind);
		}
		catch (...)
		{
			failure = std::current_exception();
		}
		lock.lock();
		if (failure) m_failure = failure;
		w.where = window::state::done;
		m_changed.notify_all();
		return true;
	}

	profile const m_profile;
	std::vector<window> m_windows;

	std::mutex m_mutex;  // guards the rest and every window's `where`
	std::condition_variable m_changed;
	std::uint64_t m_next_to_hash = 0;  // windows are queued, and so hashed, in turn
	bool m_quit = false;
	std::exception_ptr m_failure;
	std::thread m_helper;
};

// Tells how much of a sparse file need not be read.
class hole_finder
{
public:
	hole_finder(int fd, struct stat const& st)
		: m_fd(fd)
		, m_before(S_ISREG(st.st_mode) && std::uint64_t(st.st_blocks) * 512 < std::uint64_t(st.st_size)
					   ? lseek(fd, 0, SEEK_CUR)
					   : off_t(-1))
	{
	}

	~hole_finder()
	{
		if (sparse()) lseek(m_fd, m_before, SEEK_SET);
	}

	hole_finder(hole_finder const&) = delete;

	bool sparse() const { return m_before >= 0; }

	// Bytes from offset at to the end of the hole that at lies in; 0 where it lies in data.
	std::uint64_t hole_at(std::uint64_t at) const
	{
		if (!sparse()) return 0;
		off_t end = lseek(m_fd, off_t(at), SEEK_DATA);
		// no data behind this place, or none of the file at all
		if (end < 0 && errno == ENXIO) end = lseek(m_fd, 0, SEEK_END);
		return end > off_t(at) ? std::uint64_t(end) - at : 0;
	}

private:
	int m_fd;
	off_t m_before;  // the descriptor's offset, to be put back
};

class file_run
{
public:
	file_run(int fd, profile const& p, chunk_file_options const& options, struct stat const& st)
		: m_fd(fd), m_profile(p), m_options(options), m_holes(fd, st), m_finder(p.cut), m_ring(p, windows_for(st))
	{
		m_chunks.reserve(st.st_size > 0 ? std::size_t(std::min<std::uint64_t>(
							 std::uint64_t(st.st_size) / p.cut.target_bytes + 2, max_reserved_chunks)) : 0);
		if (m_ring.size() == 1) return;
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		m_ring.start_helper();
	}

	result<chunk_list> run()
	{
		std::uint64_t n = 0;
		for (bool more = true; more; ++n)
		{
			auto& w = m_ring.acquire(n);
			if (!collect(w)) return fail(errc::cancelled, "stopped at offset ", m_at);
			if (m_options.stop && *m_options.stop) return fail(errc::cancelled, "cancelled at offset ", m_at);
			auto const filled = fill(w);
			if (!filled) return tl::unexpected(filled.error());
			more = *filled;
			m_ring.queue(w);
		}
		// the windows in use, oldest first
		for (std::uint64_t last = n + m_ring.size(); n != last; ++n)
			if (!collect(m_ring.acquire(n))) return fail(errc::cancelled, "stopped at offset ", m_at);
		return std::move(m_chunks);
	}

private:
	// What a sparse or wrongly reported size may make us set aside at once.
	static constexpr std::uint64_t max_reserved_chunks = 1 << 20;

	static std::size_t windows_for(struct stat const& st)
	{
		static bool const one_core = std::thread::hardware_concurrency() == 1;
		return one_core || std::uint64_t(st.st_size) <= min_helped_bytes ? 1 : ring_windows;
	}

	// Takes over the results of a window's earlier use, whose bytes are still there. False when nobody wants more.
	bool collect(window& w)
	{
		bool go_on = true;
		if (m_options.chunks && !w.chunks.empty())
		{
			std::size_t size = 0;
			for (auto const length : w.lengths) size += length;
			go_on = m_options.chunks(w.chunks, bytes_view(w.begin, size));
		}
		if (m_options.chunks && go_on && w.zero_chunks > 0)
			go_on = m_options.chunks(std::span(&*m_zero_chunk, 1), bytes(m_zero_chunk->size, 0));
		m_chunks.insert(m_chunks.end(), w.chunks.begin(), w.chunks.end());
		if (w.zero_chunks > 0) m_chunks.insert(m_chunks.end(), std::size_t(w.zero_chunks), *m_zero_chunk);
		w.chunks.clear();
		w.zero_chunks = 0;
		return go_on;
	}

	// Reads the next part of the file and finds its cuts. False at the end of the file.
	result<bool> fill(window& w)
	{
		auto* const data = w.memory.get() + m_profile.cut.max_bytes;
		std::size_t const carried = m_carried.size();
		auto* const begin = data - carried;
		// with a single window the bytes move within it
		if (carried > 0) std::memmove(begin, m_carried.data(), carried);

		auto const got = read_some(data);
		if (!got) return tl::unexpected(got.error());
		bool const at_end = *got < window_bytes;

		bytes_view const all(begin, carried + *got);
		w.begin = begin;
		w.lengths.clear();
		auto const covered = m_finder.find(all, carried, w.lengths);
		// The window keeps its bytes until acquire hands it out again, and the next fill comes before that.
		m_carried = all.subspan(covered);
		if (at_end && !m_carried.empty())
		{
			w.lengths.push_back(std::uint32_t(m_carried.size()));
			m_carried = {};
		}
		if (m_options.progress && *got > 0) m_options.progress(*got);
		if (!at_end) skip_hole(w);
		return !at_end;
	}

	// Up to a window's worth; less at the end of the file only.
	result<std::size_t> read_some(std::uint8_t* to)
	{
		std::size_t got = 0;
		while (got < window_bytes)
		{
			auto const n = pread(m_fd, to + got, window_bytes - got, off_t(m_at));
			if (n < 0 && errno == EINTR) continue;
			if (n < 0)
				return fail(errc::io, "cannot read at offset ", m_at, ": ", std::generic_category().message(errno));
			if (n == 0) break;
			got += std::size_t(n);
			m_at += std::uint64_t(n);
		}
		return got;
	}

	// If the next chunk begins in a hole, all chunks that fit into the hole are the same: no need to read them.
	void skip_hole(window& w)
	{
		std::uint64_t const start = m_at - m_carried.size();
		std::uint64_t const count = m_holes.hole_at(start) / m_profile.cut.max_bytes;
		std::uint64_t const end = start + count * m_profile.cut.max_bytes;
		if (end <= m_at || !zeros_make_one_chunk()) return;
		w.zero_chunks = count;
		if (m_options.progress) m_options.progress(end - m_at);
		m_at = end;
		m_carried = {};
	}

	// Whether the rule cuts zeros at the maximum, as it does with the usual limits; finds that chunk's name.
	bool zeros_make_one_chunk()
	{
		if (!m_zero_chunk)
		{
			bytes const zeros(m_profile.cut.max_bytes, 0);
			auto const chunks = chunk_buffer(zeros, m_profile);
			m_zero_chunk = chunks.front();
		}
		return m_zero_chunk->size == m_profile.cut.max_bytes;
	}

	int m_fd;
	profile const m_profile;
	chunk_file_options const& m_options;
	hole_finder const m_holes;
	cut_finder m_finder;
	std::uint64_t m_at = 0;   // offset of the next byte to read
	bytes_view m_carried;     // the unfinished chunk at the end of the last window, in that window's memory
	std::optional<chunk_ref> m_zero_chunk;
	chunk_list m_chunks;
	hash_ring m_ring;  // last, so that its thread ends first
};

} // namespace

result<chunk_list> chunk_file(int fd, profile const& p, chunk_file_options const& options)
{
	if (p.kind != hash_kind::sha256 && !has_blake3())
		return fail(errc::unsupported, "this build has no BLAKE3, which profile ", name_of(p.kind), " needs");
	struct stat st = {};
	if (fstat(fd, &st) != 0) return fail(errc::io, "cannot stat: ", std::generic_category().message(errno));
	return file_run(fd, p, options, st).run();
}

} // namespace xet
