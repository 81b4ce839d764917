#include "tonic/content_reader.hpp"

#include "tonic/file_io.hpp"
#include "tonic/scan_progress.hpp"
#include "tonic/tree_walk.hpp"
#include "xet/merkle.hpp"

#include <algorithm>
#include <ctime>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <thread>

namespace tonic {

namespace {

// Up to here a file is read in one piece by one of two threads; chunk_file's set-up would cost more than the reading.
constexpr std::size_t small_file_bytes = 1024 * 1024;
// Files taken at a time: neighbours share a directory, which is then opened once.
constexpr std::size_t files_per_batch = 32;

// Opens directories below the root one component at a time (no link on the way is followed), and keeps the last one.
class directory_opener
{
public:
	explicit directory_opener(int root_fd) : m_root(root_fd) {}

	// a descriptor that stays valid until the next call, or -1 with errno set
	int open(std::string_view dir)
	{
		if (dir.empty()) return m_root;
		if (m_fd && dir == m_dir) return m_fd.get();
		file_descriptor fd;
		for (std::size_t from = 0; from < dir.size();)
		{
			auto const to = std::min(dir.find('/', from), dir.size());
			std::string const name(dir.substr(from, to - from));
			fd.reset(::openat(fd ? fd.get() : m_root, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
			if (!fd) return -1;
			from = to + 1;
		}
		m_fd = std::move(fd);
		m_dir = dir;
		return m_fd.get();
	}

private:
	int m_root;
	file_descriptor m_fd;
	std::string m_dir;
};

// Time stamps come from a clock that ticks every few milliseconds. A file read within the tick of its last change could
// change again without its stamp showing it, so wait for the next tick. (A stamp from the future is left alone.)
void outwait(std::int64_t ctime_ns)
{
	constexpr std::int64_t longest_tick_ns = 20'000'000;
	for (;;)
	{
		timespec now;
		::clock_gettime(CLOCK_REALTIME_COARSE, &now);
		auto const age = std::int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec - ctime_ns;
		if (age > 0 || age < -longest_tick_ns) return;
		timespec const pause{0, 1'000'000};
		::nanosleep(&pause, nullptr);
	}
}

class content_reader
{
public:
	content_reader(int root_fd, scan_options const& options, progress_meter& progress, scan_result& out)
		: m_root(root_fd), m_options(options), m_progress(progress), m_out(out) {}

	xet::result<> run(std::span<std::uint32_t const> pending);

private:
	enum class outcome { done, gone, unstable, refused, cancelled };

	void read_small(bool may_report);
	void read_one(std::uint32_t index, directory_opener& opener, xet::bytes& buffer, bool may_report);
	outcome read_file(local_file& f, directory_opener& opener, xet::bytes& buffer, bool may_report, std::string& why);
	xet::result<xet::chunk_list> read_chunks(int fd, std::uint64_t size, xet::bytes& buffer, bool may_report);
	void drop(std::uint32_t index, outcome o, std::string why);
	void remove_dropped();

	int m_root;
	scan_options const& m_options;
	progress_meter& m_progress;
	scan_result& m_out;
	std::vector<std::uint32_t> m_small, m_large;
	std::atomic<std::size_t> m_next_small{0};
	std::atomic<std::uint64_t> m_bytes_hashed{0};

	std::mutex m_mutex;  // guards the rest, and the lists of m_out but files
	std::vector<std::uint32_t> m_dropped;
};

xet::result<> content_reader::run(std::span<std::uint32_t const> pending)
{
	for (auto const index : pending)
		(m_out.files[index].stamp.size <= small_file_bytes ? m_small : m_large).push_back(index);
	{
		std::jthread helper;
		if (m_small.size() > 1 && std::thread::hardware_concurrency() >= 2) helper = std::jthread([this] { read_small(false); });
		directory_opener opener(m_root);
		xet::bytes buffer;
		for (auto const index : m_large)
		{
			if (m_progress.stopped()) break;
			read_one(index, opener, buffer, true);
		}
		read_small(true);
	}
	if (m_progress.stopped()) return xet::fail(xet::errc::cancelled, "the scan was cancelled");
	m_out.bytes_hashed = m_bytes_hashed;
	remove_dropped();
	return {};
}

void content_reader::read_small(bool may_report)
{
	directory_opener opener(m_root);
	xet::bytes buffer(std::min(m_small.size(), std::size_t(1)) * (small_file_bytes + 1));
	for (;;)
	{
		auto const from = m_next_small.fetch_add(files_per_batch);
		if (from >= m_small.size()) return;
		auto const to = std::min(from + files_per_batch, m_small.size());
		for (auto i = from; i < to; ++i)
		{
			if (m_progress.stopped()) return;
			read_one(m_small[i], opener, buffer, may_report);
			if (may_report) m_progress.report();
		}
	}
}

void content_reader::read_one(std::uint32_t index, directory_opener& opener, xet::bytes& buffer, bool may_report)
{
	std::string why;
	auto const o = read_file(m_out.files[index], opener, buffer, may_report, why);
	m_progress.files_done.fetch_add(1, std::memory_order_relaxed);
	if (o != outcome::done) drop(index, o, std::move(why));
}

content_reader::outcome content_reader::read_file(local_file& f, directory_opener& opener, xet::bytes& buffer, bool may_report
	, std::string& why)
{
	auto const open_failure = [&] {
		if (errno == ENOENT) return outcome::gone;
		if (errno == ELOOP || errno == ENOTDIR || errno == ENXIO) return outcome::unstable;  // something else has taken its place
		why = errno == EACCES ? std::string("cannot be read: no permission") : xet::cat("cannot be read: ", std::strerror(errno));
		return outcome::refused;
	};
	auto const slash = f.path.rfind('/');
	int const dir = opener.open(slash == f.path.npos ? std::string_view() : std::string_view(f.path).substr(0, slash));
	if (dir < 0) return open_failure();
	auto const* name = f.path.c_str() + (slash == f.path.npos ? 0 : slash + 1);
	file_descriptor fd(::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
	struct ::stat before, after;
	if (!fd || ::fstat(fd.get(), &before) != 0) return open_failure();
	if (!S_ISREG(before.st_mode)) return outcome::unstable;

	auto const stamp = stamp_of(before);
	outwait(stamp.ctime_ns);
	auto chunks = read_chunks(fd.get(), stamp.size, buffer, may_report);
	if (!chunks)
	{
		why = "cannot be read: " + chunks.error().message;
		return chunks.error().code == xet::errc::cancelled ? outcome::cancelled : outcome::refused;
	}
	std::uint64_t total = 0;
	for (auto const& c : *chunks) total += c.size;
	m_bytes_hashed.fetch_add(total, std::memory_order_relaxed);
	if (::fstat(fd.get(), &after) != 0 || stamp_of(after) != stamp || total != stamp.size) return outcome::unstable;

	auto const hash = xet::file_hash(m_options.how.kind, *chunks);
	f.published = f.published && f.hash == hash;
	f.hash = hash;
	f.stamp = stamp;
	f.chunks = std::make_shared<xet::chunk_list const>(std::move(*chunks));
	return outcome::done;
}

xet::result<xet::chunk_list> content_reader::read_chunks(int fd, std::uint64_t size, xet::bytes& buffer, bool may_report)
{
	if (size > small_file_bytes || buffer.empty())
	{
		auto const progress = [&](std::uint64_t n) {
			m_progress.bytes_done.fetch_add(n, std::memory_order_relaxed);
			if (may_report) m_progress.report();
		};
		return xet::chunk_file(fd, m_options.how, {.progress = progress, .chunks = {}, .stop = m_options.stop});
	}
	std::size_t have = 0;
	// one byte more than the size is asked for: a file that grew shows it
	while (have <= size)
	{
		auto const n = ::read(fd, buffer.data() + have, std::size_t(size) + 1 - have);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return xet::fail(xet::errc::io, std::strerror(errno));
		if (n == 0) break;
		have += std::size_t(n);
	}
	m_progress.bytes_done.fetch_add(have, std::memory_order_relaxed);
	auto chunks = xet::chunk_buffer(xet::bytes_view(buffer).first(have), m_options.how);
	chunks.shrink_to_fit();  // many of them stay in memory for long
	return chunks;
}

void content_reader::drop(std::uint32_t index, outcome o, std::string why)
{
	std::lock_guard const lock(m_mutex);
	m_dropped.push_back(index);
	auto const& f = m_out.files[index];
	if (o == outcome::unstable) m_out.unstable.push_back(f.path);
	if (o != outcome::refused) return;
	m_out.refused.push_back({f.path, std::move(why)});
	m_out.unreadable_files.push_back({f.path, f.stamp, {}, nullptr, false});
}

void content_reader::remove_dropped()
{
	if (m_dropped.empty()) return;
	std::sort(m_dropped.begin(), m_dropped.end());
	auto next = m_dropped.begin();
	std::size_t kept = m_dropped.front();
	for (std::size_t i = kept; i < m_out.files.size(); ++i)
	{
		if (next != m_dropped.end() && *next == i)
		{
			++next;
			continue;
		}
		m_out.files[kept++] = std::move(m_out.files[i]);
	}
	m_out.files.resize(kept);
}

} // namespace

xet::result<> read_contents(int root_fd, std::span<std::uint32_t const> pending, scan_options const& options
	, progress_meter& progress, scan_result& out)
{
	if (pending.empty()) return {};
	return content_reader(root_fd, options, progress, out).run(pending);
}

} // namespace tonic
