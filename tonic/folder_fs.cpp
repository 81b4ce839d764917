#include "tonic/folder_fs.hpp"

#include "tonic/path_rules.hpp"
#include "tonic/tree_walk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tonic {

using xet::errc;
using xet::fail;

namespace {

constexpr std::string_view aside_mark = " (local edit ";

auto system_error(std::string_view what, std::string_view path)
{
	return system_failure(what, " ", printable(path));
}

// openat that resolves beneath dir and through no symbolic link
int open_beneath(int dir, char const* path, int flags)
{
	open_how how{};
	how.flags = std::uint64_t(flags | O_CLOEXEC);
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	return int(::syscall(SYS_openat2, dir, path, &how, sizeof how));
}

std::string aside_name(std::string const& name, std::int64_t now_seconds, int attempt)
{
	std::tm tm{};
	std::time_t const now = std::time_t(now_seconds);
	localtime_r(&now, &tm);
	char stamp[32];
	std::strftime(stamp, sizeof stamp, "%Y-%m-%d %H%M%S", &tm);
	std::string mark = xet::cat(aside_mark, stamp);
	if (attempt > 0) mark += xet::cat(" ", attempt);
	mark += ")";

	// before the extension, so that the file still opens with its program; a leading dot is no extension
	auto dot = name.rfind('.');
	if (dot == std::string::npos || dot == 0) dot = name.size();
	std::string stem = name.substr(0, dot), extension = name.substr(dot);
	if (extension.size() > 32)
	{
		stem += extension;
		extension.clear();
	}
	// a name at the file system's limit gives way, at a character's boundary
	std::size_t const room = 255 - mark.size() - extension.size();
	if (stem.size() > room)
	{
		stem.resize(room);
		while (!stem.empty() && (std::uint8_t(stem.back()) & 0xc0) == 0x80) stem.pop_back();
		if (!stem.empty() && std::uint8_t(stem.back()) >= 0xc0) stem.pop_back();
	}
	return stem + mark + extension;
}

} // namespace

struct folder_fs::parent
{
	file_descriptor owned;
	int dir = -1;  // the root's, or owned
	std::string name;
};

xet::result<folder_fs> folder_fs::open(std::filesystem::path const& root)
{
	file_descriptor fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!fd) return system_error("cannot open folder", root.native());
	folder_fs fs;
	fs.m_root = root;
	fs.m_fd = std::make_shared<file_descriptor>(std::move(fd));
	return fs;
}

xet::result<folder_fs::parent> folder_fs::open_parent(std::string const& path) const
{
	parent p;
	auto const slash = path.rfind('/');
	p.name = slash == std::string::npos ? path : path.substr(slash + 1);
	p.dir = m_fd->get();
	if (slash != std::string::npos)
	{
		std::string const dir = path.substr(0, slash);
		p.owned = file_descriptor(open_beneath(m_fd->get(), dir.c_str(), O_RDONLY | O_DIRECTORY));
		if (!p.owned) return system_error("cannot open directory", dir);
		p.dir = p.owned.get();
	}
	return p;
}

folder_fs::state folder_fs::look(std::string const& path) const
{
	state s;
	auto const p = open_parent(path);
	if (!p) return s;
	struct stat st{};
	if (::fstatat(p->dir, p->name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return s;
	s.stamp = stamp_of(st);
	if (S_ISREG(st.st_mode)) s.kind = entry_kind::file;
	else if (S_ISDIR(st.st_mode)) s.kind = entry_kind::dir;
	else if (S_ISLNK(st.st_mode)) s.kind = entry_kind::link;
	else s.kind = entry_kind::other;
	return s;
}

std::string folder_fs::read_link(std::string const& path) const
{
	auto const p = open_parent(path);
	if (!p) return {};
	std::string target(4096, '\0');
	auto const n = ::readlinkat(p->dir, p->name.c_str(), target.data(), target.size());
	target.resize(n > 0 ? std::size_t(n) : 0);
	return target;
}

xet::result<file_descriptor> folder_fs::open_file(std::string const& path, int flags, std::uint32_t mode) const
{
	auto p = open_parent(path);
	if (!p) return tl::unexpected(p.error());
	file_descriptor fd(::openat(p->dir, p->name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
	if (!fd) return system_error("cannot open", path);
	return fd;
}

xet::result<> folder_fs::make_dirs(std::string const& path) const
{
	for (std::size_t end = path.find('/');; end = path.find('/', end + 1))
	{
		std::string const dir = path.substr(0, end);
		auto p = open_parent(dir);
		if (!p) return tl::unexpected(p.error());
		if (::mkdirat(p->dir, p->name.c_str(), 0755) != 0)
		{
			if (errno != EEXIST) return system_error("cannot make directory", dir);
			if (look(dir).kind != entry_kind::dir) return fail(errc::refused, dir);
		}
		if (end == std::string::npos) return {};
	}
}

xet::result<> folder_fs::rename(std::string const& from, std::string const& to) const
{
	auto f = open_parent(from);
	if (!f) return tl::unexpected(f.error());
	auto t = open_parent(to);
	if (!t) return tl::unexpected(t.error());
	if (::renameat(f->dir, f->name.c_str(), t->dir, t->name.c_str()) != 0) return system_error("cannot move into place", to);
	return {};
}

xet::result<> folder_fs::make_link(std::string const& path, std::string const& target, std::int64_t mtime_ns) const
{
	auto p = open_parent(path);
	if (!p) return tl::unexpected(p.error());
	if (::symlinkat(target.c_str(), p->dir, p->name.c_str()) != 0) return system_error("cannot make link", path);
	return set_times(path, mtime_ns);
}

xet::result<> folder_fs::remove_file(std::string const& path) const
{
	auto p = open_parent(path);
	if (!p)
	{
		if (p.error().code == errc::not_found) return {};
		return tl::unexpected(p.error());
	}
	if (::unlinkat(p->dir, p->name.c_str(), 0) != 0 && errno != ENOENT) return system_error("cannot remove", path);
	return {};
}

bool folder_fs::remove_empty_dir(std::string const& path) const
{
	auto p = open_parent(path);
	return p && ::unlinkat(p->dir, p->name.c_str(), AT_REMOVEDIR) == 0;
}

xet::result<> folder_fs::set_times(std::string const& path, std::int64_t mtime_ns) const
{
	auto p = open_parent(path);
	if (!p) return tl::unexpected(p.error());
	timespec const times[2] = {{0, UTIME_OMIT}, to_timespec(mtime_ns)};
	if (::utimensat(p->dir, p->name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return system_error("cannot set the time of", path);
	return {};
}

xet::result<> folder_fs::set_mode(std::string const& path, std::uint32_t mode) const
{
	auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
	if (!fd)
	{
		// no read permission: by name then; a link here would be followed, but only into what the owner made
		auto p = open_parent(path);
		if (!p) return tl::unexpected(p.error());
		if (look(path).kind == entry_kind::link) return fail(errc::refused, printable(path), " is a symbolic link");
		if (::fchmodat(p->dir, p->name.c_str(), mode, 0) != 0) return system_error("cannot set the mode of", path);
		return {};
	}
	if (::fchmod(fd->get(), mode) != 0) return system_error("cannot set the mode of", path);
	return {};
}

xet::result<> folder_fs::sync_dir(std::string const& path) const
{
	if (path.empty())
	{
		::fsync(m_fd->get());
		return {};
	}
	file_descriptor fd(open_beneath(m_fd->get(), path.c_str(), O_RDONLY | O_DIRECTORY));
	if (!fd || ::fsync(fd.get()) != 0) return system_error("cannot sync directory", path);
	return {};
}

xet::result<std::string> folder_fs::keep_aside(std::string const& path, std::int64_t now_seconds) const
{
	auto p = open_parent(path);
	if (!p) return tl::unexpected(p.error());
	std::string const dir = path.substr(0, path.size() - p->name.size());
	for (int attempt = 0; attempt < 1000; ++attempt)
	{
		std::string const name = aside_name(p->name, now_seconds, attempt);
		if (::renameat2(p->dir, p->name.c_str(), p->dir, name.c_str(), RENAME_NOREPLACE) == 0) return dir + name;
		if (errno != EEXIST) return system_error("cannot keep aside", path);
	}
	return fail(errc::refused, "cannot keep aside ", printable(path), ": a thousand edits of this second are there already");
}

std::uint64_t folder_fs::free_bytes() const
{
	struct statvfs st{};
	if (::fstatvfs(m_fd->get(), &st) != 0) return UINT64_MAX;
	return std::uint64_t(st.f_bavail) * st.f_frsize;
}

std::uint32_t folder_fs::block_bytes() const
{
	struct statvfs st{};
	if (::fstatvfs(m_fd->get(), &st) != 0) return 1;
	return std::uint32_t(std::clamp<std::uint64_t>(st.f_frsize, 1, 1024 * 1024));
}

std::pair<std::uint64_t, std::uint64_t> folder_fs::root_id() const
{
	struct stat st{};
	::fstat(m_fd->get(), &st);
	return {st.st_dev, st.st_ino};
}

bool is_kept_aside(std::string_view path)
{
	return path.find(aside_mark) != std::string_view::npos;
}

bool read_at(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer)
{
	while (!buffer.empty())
	{
		auto const n = ::pread(fd, buffer.data(), buffer.size(), off_t(offset));
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return false;
		buffer = buffer.subspan(std::size_t(n));
		offset += std::uint64_t(n);
	}
	return true;
}

xet::result<> write_at(int fd, std::uint64_t offset, xet::bytes_view data, std::string_view name)
{
	while (!data.empty())
	{
		auto const n = ::pwrite(fd, data.data(), data.size(), off_t(offset));
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return system_error("cannot write", name);
		data = data.subspan(std::size_t(n));
		offset += std::uint64_t(n);
	}
	return {};
}

} // namespace tonic
