// chunk_file: a large file is read in strips by several threads at once, and the strips' chunks are joined.
//
// Where a strip's chunks begin is not known before the strip in front of it is done, so its reader assumes that one begins
// with the strip. The rule remembers nothing across a cut: from the first true cut that is a cut of the strip's too, its
// chunks are the true ones. The calling thread looks for that place, which with most data is a few chunks away, and reads
// the chunks in front of it once more. So every thread reads, cuts and hashes its own bytes while they are in its core's
// cache, and none waits for another.

#include "xet/chunk_file_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <fcntl.h>
#include <limits>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace xet {

namespace {

// A thread costs as much as hashing some 100 KiB: below this it would not pay.
constexpr std::uint64_t min_helped_bytes = 1024 * 1024;
// Each brings a buffer of its own.
constexpr unsigned max_helpers = 3;
// A longer strip has less to be read twice; shorter ones at the end let all threads end together.
constexpr std::uint64_t min_strip_bytes = 1024 * 1024;
constexpr std::uint64_t max_strip_bytes = 8 * 1024 * 1024;
// What is read at a time where strips meet.
constexpr std::uint64_t seam_bytes = 128 * 1024;
constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

struct strip
{
	std::uint64_t from = 0, to = 0;
	std::uint64_t end = 0;  // of its last chunk
	bool at_end = false;    // of the file
	chunk_list chunks;
	std::optional<error> failure;
	std::exception_ptr thrown;
};

// Gives out strips, and takes them back in any order.
class strip_queue
{
public:
	strip_queue(std::uint64_t file_bytes, chunking const& c, std::size_t threads)
		: m_size(file_bytes), m_grid(c.max_bytes), m_threads(threads)
	{
	}

	// The next strip to be read, with its number; false when there is none.
	bool next(std::uint64_t& number, strip& s)
	{
		std::lock_guard const lock(m_mutex);
		if (m_next >= m_size) return false;
		s.from = m_next;
		auto const size = std::clamp((m_size - m_next) / (2 * m_threads), min_strip_bytes, max_strip_bytes);
		// The chunks of a long run without any trigger have their cuts on a grid: strips meet it at once if they begin there.
		s.to = (s.from + size - m_phase) / m_grid * m_grid + m_phase;
		if (s.to <= s.from || s.to >= m_size) s.to = no_limit;
		m_next = s.to;
		number = m_given++;
		return true;
	}

	void put(std::uint64_t number, strip s)
	{
		{
			std::lock_guard const lock(m_mutex);
			m_done.emplace(number, std::move(s));
		}
		m_changed.notify_one();
	}

	// The strip with this number. Nothing when it is not there yet, unless told to wait, or when it was never given out.
	std::optional<strip> take(std::uint64_t number, bool wait)
	{
		std::unique_lock lock(m_mutex);
		if (number >= m_given) return std::nullopt;
		if (wait) m_changed.wait(lock, [&] { return m_done.contains(number); });
		auto node = m_done.extract(number);
		if (node.empty()) return std::nullopt;
		return std::move(node.mapped());
	}

	// A true chunk ends here: nothing in front of it needs to be read, and strips may begin on its grid.
	void reached(std::uint64_t end)
	{
		std::lock_guard const lock(m_mutex);
		m_phase = end % m_grid;
		m_next = std::max(m_next, end);
	}

	// Nothing more is given out.
	void close()
	{
		std::lock_guard const lock(m_mutex);
		m_next = no_limit;
	}

private:
	std::uint64_t const m_size, m_grid;
	std::size_t const m_threads;

	std::mutex m_mutex;
	std::condition_variable m_changed;
	std::uint64_t m_next = 0, m_given = 0, m_phase = 0;
	std::map<std::uint64_t, strip> m_done;
};

class file_run
{
public:
	file_run(int fd, profile const& p, chunk_file_options const& options, struct stat const& st)
		: m_fd(fd), m_profile(p), m_options(options), m_holes(fd, st), m_helpers(options.chunks ? 0 : helpers_for(st))
		, m_strips(std::uint64_t(std::max<off_t>(st.st_size, 0)), p.cut, m_helpers + 1), m_reader(fd, p, m_holes)
	{
		m_chunks.reserve(st.st_size > 0 ? std::size_t(std::min<std::uint64_t>(
							 std::uint64_t(st.st_size) / p.cut.target_bytes + 2, max_reserved_chunks)) : 0);
	}

	~file_run()
	{
		m_quit = true;
		m_strips.close();
		for (auto& t : m_threads) t.join();
	}

	result<chunk_list> run()
	{
		auto const done = m_helpers == 0 ? read_to_end() : read_strips();
		if (!done) return tl::unexpected(done.error());
		return std::move(m_chunks);
	}

private:
	// What a sparse or wrongly reported size may make us set aside at once.
	static constexpr std::uint64_t max_reserved_chunks = 1 << 20;

	static unsigned helpers_for(struct stat const& st)
	{
		static unsigned const cores = std::thread::hardware_concurrency();
		return cores < 2 || std::uint64_t(st.st_size) <= min_helped_bytes ? 0 : std::min(cores - 1, max_helpers);
	}

	bool stopped() const { return m_quit || (m_options.stop && *m_options.stop); }
	error cancelled() const { return {errc::cancelled, cat("cancelled at offset ", m_end)}; }

	result<> read_to_end();
	result<> read_strips();
	void help();
	void read_strip(chunk_reader& reader, strip& s);
	result<> join_strips(bool wait);
	result<> join(strip& s);
	result<bool> sew(strip const& s, std::size_t& chunk, std::uint64_t& at);
	void start_helpers();
	void progress();

	int m_fd;
	profile const m_profile;
	chunk_file_options const& m_options;
	hole_finder const m_holes;
	unsigned const m_helpers;
	std::atomic<bool> m_quit{false};
	strip_queue m_strips;

	// the calling thread's
	chunk_reader m_reader;
	chunk_list m_chunks;          // the true ones
	std::uint64_t m_end = 0;      // of these
	std::uint64_t m_told = 0;     // of that, how much the caller knows
	std::uint64_t m_joined = 0;   // strips
	bool m_complete = false;      // up to the end of the file
	std::vector<std::thread> m_threads;
};

// From where the true chunks end, alone.
result<> file_run::read_to_end()
{
	m_reader.start(m_end);
	m_reader.show_to(m_options);
	while (!m_complete)
	{
		if (stopped() || m_reader.refused()) return tl::unexpected(cancelled());
		auto const more = m_reader.next(m_chunks, no_limit);
		if (!more) return tl::unexpected(more.error());
		m_complete = !*more;
		m_end = m_reader.at();
		progress();
	}
	return {};
}

result<> file_run::read_strips()
{
	posix_fadvise(m_fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	start_helpers();
	std::uint64_t number;
	for (strip s; !m_complete && m_strips.next(number, s); s = {})
	{
		read_strip(m_reader, s);
		if (stopped()) return tl::unexpected(cancelled());
		m_strips.put(number, std::move(s));
		if (auto ok = join_strips(false); !ok) return ok;
	}
	if (auto ok = join_strips(true); !ok) return ok;
	// the last strip's cuts were never met, or the file has grown
	return read_to_end();
}

void file_run::start_helpers()
{
	try
	{
		for (unsigned i = 0; i < m_helpers; ++i) m_threads.emplace_back([this] { help(); });
	}
	catch (std::system_error const&)
	{
		// no thread to be had: the calling one reads all strips
	}
}

void file_run::help()
{
	std::optional<chunk_reader> reader;
	std::uint64_t number;
	for (strip s; !stopped() && m_strips.next(number, s); s = {})
	{
		try
		{
			if (!reader) reader.emplace(m_fd, m_profile, m_holes);
			read_strip(*reader, s);
		}
		catch (...)
		{
			s.thrown = std::current_exception();
		}
		m_strips.put(number, std::move(s));
	}
}

void file_run::read_strip(chunk_reader& reader, strip& s)
{
	reader.start(s.from);
	for (bool more = true; more && reader.at() < s.to;)
	{
		if (stopped())
		{
			s.failure = cancelled();
			break;
		}
		auto const read = reader.next(s.chunks, s.to);
		if (!read) s.failure = read.error();
		more = read && *read;
	}
	s.end = reader.end();
	s.at_end = reader.at_end_of_file();
}

result<> file_run::join_strips(bool wait)
{
	while (!m_complete)
	{
		auto s = m_strips.take(m_joined, wait);
		if (!s) return {};
		++m_joined;
		if (s->thrown) std::rethrow_exception(s->thrown);
		if (auto ok = join(*s); !ok) return ok;
		m_strips.reached(m_end);
		progress();
		if (stopped()) return tl::unexpected(cancelled());
	}
	return {};
}

// Appends the strip's chunks from the first true cut on, and what lies in front of it.
result<> file_run::join(strip& s)
{
	if (s.failure) return tl::unexpected(*s.failure);
	std::size_t chunk = 0;
	auto at = s.from;
	auto const met = sew(s, chunk, at);
	if (!met) return tl::unexpected(met.error());
	if (!*met) return {};
	m_chunks.insert(m_chunks.end(), s.chunks.begin() + std::ptrdiff_t(chunk), s.chunks.end());
	m_end = s.end;
	m_complete = s.at_end;
	return {};
}

// Reads true chunks until one ends where one of the strip's begins: number chunk, at offset at. False when none does.
result<bool> file_run::sew(strip const& s, std::size_t& chunk, std::uint64_t& at)
{
	auto const meets = [&](std::uint64_t end) {
		while (at < end && chunk < s.chunks.size()) at += s.chunks[chunk++].size;
		return at == end;
	};
	if (meets(m_end)) return true;
	bool met = false;
	m_reader.start(m_end);
	while (!met && m_end < s.end)
	{
		if (stopped()) return tl::unexpected(cancelled());
		auto const more = m_reader.next(m_chunks, m_reader.at() + seam_bytes, [&](std::uint64_t end) { return met = meets(end); });
		if (!more) return tl::unexpected(more.error());
		m_end = m_reader.end();
		m_complete = m_reader.at_end_of_file();
		if (m_complete) return met = false;
	}
	return met;
}

void file_run::progress()
{
	if (m_options.progress && m_end > m_told) m_options.progress(m_end - m_told);
	m_told = std::max(m_told, m_end);
}

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
