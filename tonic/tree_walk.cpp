#include "tonic/tree_walk.hpp"

#include "tonic/file_io.hpp"
#include "tonic/limits.hpp"
#include "tonic/name_twins.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/scan_progress.hpp"

#include <algorithm>
#include <dirent.h>
#include <exception>
#include <fcntl.h>
#include <iterator>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <vector>

namespace tonic {

namespace {

struct close_dir
{
	void operator()(DIR* d) const { ::closedir(d); }
};

using dir_handle = std::unique_ptr<DIR, close_dir>;

enum class child_kind : std::uint8_t { file, dir, link };

struct child
{
	std::string name;
	child_kind kind;
	file_stamp stamp;
	bool has_twin;
};

// Order of paths: what lies below a directory sorts as if its name ended with '/'.
bool path_less(child const& a, child const& b)
{
	auto const shared = std::min(a.name.size(), b.name.size());
	if (int const order = std::char_traits<char>::compare(a.name.data(), b.name.data(), shared); order != 0) return order < 0;
	auto const next = [&](child const& c) {
		if (c.name.size() > shared) return int(static_cast<unsigned char>(c.name[shared]));
		return c.kind == child_kind::dir ? int('/') : -1;
	};
	return next(a) < next(b);
}

std::string_view name_of_special(mode_t mode)
{
	if (S_ISFIFO(mode)) return "a named pipe";
	if (S_ISSOCK(mode)) return "a socket";
	if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
	return "neither a file nor a directory";
}

// A thread costs as much as listing a few directories.
constexpr std::ptrdiff_t min_parts = 8;

class walker
{
public:
	walker(scan_options const& options, progress_meter& progress, scan_result& out)
		: m_options(options), m_progress(progress), m_out(out), m_may_split(std::thread::hardware_concurrency() >= 2) {}
	// for a part of the tree that is walked beside other parts, below the directory where whole is
	walker(walker const& whole, scan_result& out, bool may_report)
		: m_options(whole.m_options), m_progress(whole.m_progress), m_out(out), m_path(whole.m_path), m_is_part(true), m_may_report(may_report) {}

	void walk(dir_handle const& dir);
	std::vector<std::uint32_t>& pending() { return m_pending; }

private:
	void match_known(std::size_t index);
	void walk_children(dir_handle const& dir, std::vector<child> const& children);
	void walk_apart(dir_handle const& dir, std::vector<child> const& children);
	std::vector<child> list(dir_handle const& dir);
	void classify(int dir_fd, char const* name, std::vector<child>& out);
	void refuse_twins(std::vector<child>& children);
	void add_file(child const& c);
	void add_link(int parent_fd, child const& c);
	void add_dir(int parent_fd, child const& c);
	void refuse(std::string reason) { m_out.refused.push_back({m_path, std::move(reason)}); }
	// of the directory that is the first dir_size bytes of m_path
	void dir_is_unreadable(std::size_t dir_size)
	{
		auto dir = m_path.substr(0, dir_size);
		if (m_out.unreadable_dirs.empty() || m_out.unreadable_dirs.back() != dir) m_out.unreadable_dirs.push_back(std::move(dir));
	}

	scan_options const& m_options;
	progress_meter& m_progress;
	scan_result& m_out;
	std::string m_path;  // of the entry at hand; a directory's own while its children are not
	std::vector<std::uint32_t> m_pending;
	bool m_may_split = false;  // onto two threads
	bool m_is_part = false;    // its files are compared with what is known of them when the parts are joined
	bool m_may_report = true;  // on the scan's own thread
};

void walker::walk(dir_handle const& dir)
{
	auto children = list(dir);
	refuse_twins(children);
	auto const dirs = std::count_if(children.begin(), children.end(), [](child const& c) { return c.kind == child_kind::dir && !c.has_twin; });
	if (m_may_split && dirs >= min_parts) walk_apart(dir, children);
	else walk_children(dir, children);
}

void walker::walk_children(dir_handle const& dir, std::vector<child> const& children)
{
	auto const own_size = m_path.size();
	for (auto const& c : children)
	{
		if (m_progress.stopped()) break;
		if (c.has_twin) continue;
		if (own_size > 0) m_path += '/';
		m_path += c.name;
		switch (c.kind)
		{
		case child_kind::file: add_file(c); break;
		case child_kind::link: add_link(::dirfd(dir.get()), c); break;
		case child_kind::dir: add_dir(::dirfd(dir.get()), c); break;
		}
		m_path.resize(own_size);
	}
}

void append(scan_result& to, scan_result&& part)
{
	auto const move_all = [](auto& into, auto& from) {
		into.insert(into.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
		from = {};
	};
	move_all(to.files, part.files);
	move_all(to.dirs, part.dirs);
	move_all(to.links, part.links);
	move_all(to.refused, part.refused);
	move_all(to.unstable, part.unstable);
	move_all(to.unreadable_dirs, part.unreadable_dirs);
}

// Each child is a part of its own. This thread takes them from the front and a helper from the back, until they meet.
void walker::walk_apart(dir_handle const& dir, std::vector<child> const& children)
{
	std::vector<scan_result> parts(children.size());
	std::mutex mutex;
	std::size_t front = 0, back = children.size();
	auto const take = [&](bool from_back) {
		std::lock_guard const lock(mutex);
		return front == back ? children.size() : from_back ? --back : front++;
	};
	auto const work = [&](bool helper) {
		for (auto i = take(helper); i != children.size(); i = take(helper))
			walker(*this, parts[i], !helper).walk_children(dir, {children[i]});
	};
	std::exception_ptr failure;
	{
		std::jthread helper;
		try
		{
			helper = std::jthread([&] {
				try
				{
					work(true);
				}
				catch (...)
				{
					failure = std::current_exception();
				}
			});
		}
		catch (std::system_error const&)
		{
			// no thread to be had: this one does it all
		}
		work(false);
	}
	if (failure) std::rethrow_exception(failure);
	auto const first = m_out.files.size();
	for (auto& part : parts) append(m_out, std::move(part));
	for (auto i = first; i != m_out.files.size(); ++i) match_known(i);
}

std::vector<child> walker::list(dir_handle const& dir)
{
	std::vector<child> ret;
	errno = 0;
	while (auto const* entry = ::readdir(dir.get()))
	{
		if (m_progress.stopped()) return ret;
		std::string_view const name = entry->d_name;
		bool const own = m_path.empty() && name == private_dir;
		if (name != "." && name != ".." && !own) classify(::dirfd(dir.get()), entry->d_name, ret);
		if (m_may_report) m_progress.report();
		errno = 0;
	}
	if (errno != 0) dir_is_unreadable(m_path.size());
	std::sort(ret.begin(), ret.end(), path_less);
	return ret;
}

void walker::classify(int dir_fd, char const* name, std::vector<child>& out)
{
	auto const own_size = m_path.size();
	if (own_size > 0) m_path += '/';
	m_path += name;
	struct ::stat st;
	if (auto ok = check_path(m_path); !ok) refuse(std::move(ok.error().message));
	else if (::fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
	{
		// gone since it was listed: as if it had never been there
		if (errno != ENOENT) dir_is_unreadable(own_size);
	}
	else if (S_ISREG(st.st_mode)) out.push_back({name, child_kind::file, stamp_of(st), false});
	else if (S_ISDIR(st.st_mode)) out.push_back({name, child_kind::dir, stamp_of(st), false});
	else if (S_ISLNK(st.st_mode)) out.push_back({name, child_kind::link, stamp_of(st), false});
	else refuse(xet::cat("is ", name_of_special(st.st_mode), ", which cannot be shared"));
	m_path.resize(own_size);
}

// Siblings are enough: when two whole paths have one fold key, so have the two entries where they part.
void walker::refuse_twins(std::vector<child>& children)
{
	if (!m_options.for_sharing || children.size() < 2) return;
	std::vector<std::string_view> names;
	names.reserve(children.size());
	for (auto const& c : children) names.push_back(c.name);
	auto const prefix = m_path.empty() ? std::string() : m_path + '/';
	for (auto const& t : find_twins(names))
	{
		children[t.index].has_twin = true;
		m_out.refused.push_back({prefix + children[t.index].name, describe_twin(names[t.index], names[t.other])});
	}
}

void walker::add_file(child const& c)
{
	m_progress.files_done.fetch_add(1, std::memory_order_relaxed);
	local_file f;
	f.path = m_path;
	f.stamp = c.stamp;
	m_out.files.push_back(std::move(f));
	if (!m_is_part) match_known(m_out.files.size() - 1);
}

// Takes over what is known of a file that did not change; notes one that is to be read.
void walker::match_known(std::size_t index)
{
	auto& f = m_out.files[index];
	auto const* known = m_options.known ? m_options.known(f.path) : nullptr;
	bool const same = known && known->chunks && known->stamp.same_content(f.stamp);
	bool const wanted = !same && (!m_options.want_content || m_options.want_content(f.path));
	if (same) f.chunks = known->chunks;
	if (known && (same || wanted))
	{
		f.hash = known->hash;
		f.published = known->published;
	}
	if (wanted) m_pending.push_back(std::uint32_t(index));
}

void walker::add_link(int parent_fd, child const& c)
{
	std::string target(max_path_bytes, '\0');
	auto const size = ::readlinkat(parent_fd, c.name.c_str(), target.data(), target.size());
	if (size < 0)
	{
		if (errno != ENOENT) m_out.unstable.push_back(m_path);  // no link any more
		return;
	}
	target.resize(std::size_t(size));
	if (!link_stays_inside(m_path, target))
		return refuse(xet::cat("is a symbolic link that leaves the folder (to \"", printable(target), "\")"));
	m_out.links.push_back({m_path, std::string(target), c.stamp.mtime_ns});
}

void walker::add_dir(int parent_fd, child const& c)
{
	file_descriptor fd(::openat(parent_fd, c.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
	if (!fd && errno == ENOENT) return;
	if (!fd && (errno == ENOTDIR || errno == ELOOP))
	{
		m_out.unstable.push_back(m_path);  // something else has taken its place
		return;
	}
	m_out.dirs.push_back({m_path, c.stamp.mode, c.stamp.mtime_ns});
	dir_handle dir(fd ? ::fdopendir(fd.get()) : nullptr);
	if (!dir)
	{
		m_out.unreadable_dirs.push_back(m_path);
		return;
	}
	fd.release();
	walk(dir);
}

} // namespace

file_stamp stamp_of(struct ::stat const& st)
{
	file_stamp ret;
	ret.size = std::uint64_t(st.st_size);
	ret.mtime_ns = to_nanoseconds(st.st_mtim);
	ret.ctime_ns = to_nanoseconds(st.st_ctim);
	ret.inode = st.st_ino;
	ret.mode = st.st_mode & 0777;
	return ret;
}

xet::result<std::vector<std::uint32_t>> walk_tree(int root_fd, scan_options const& options, progress_meter& progress, scan_result& out)
{
	// its own descriptor: a DIR closes the one it was made from
	file_descriptor fd(::openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	dir_handle dir(fd ? ::fdopendir(fd.get()) : nullptr);
	if (!dir) return system_failure("cannot list the folder");
	fd.release();

	walker w(options, progress, out);
	w.walk(dir);
	dir.reset();
	if (progress.stopped()) return xet::fail(xet::errc::cancelled, "the scan was cancelled");
	std::sort(out.dirs.begin(), out.dirs.end(), [](auto const& a, auto const& b) { return a.path < b.path; });
	return std::move(w.pending());
}

} // namespace tonic
