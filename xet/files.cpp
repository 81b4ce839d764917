#include "xet/files.hpp"

#include "xet/posix.hpp"

#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace xet {

namespace {

class system_file : public file
{
public:
	system_file(file_descriptor fd, std::filesystem::path path, bool direct) : m_fd(std::move(fd)), m_path(std::move(path)), m_direct(direct) {}

	result<std::uint64_t> size() override
	{
		struct ::stat st{};
		if (::fstat(m_fd.get(), &st) != 0) return system_failure("cannot look at ", m_path.native());
		return std::uint64_t(st.st_size);
	}

	result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> into) override
	{
		if (m_direct) use_page_cache();
		std::size_t have = 0;
		while (have < into.size())
		{
			auto const n = ::pread(m_fd.get(), into.data() + have, into.size() - have, off_t(offset + have));
			if (n < 0 && errno == EINTR) continue;
			if (n < 0) return system_failure("cannot read ", m_path.native(), " at offset ", offset + have);
			if (n == 0) break;
			have += std::size_t(n);
		}
		return have;
	}

	result<> write_at(std::uint64_t offset, bytes_view data) override
	{
		while (!data.empty())
		{
			std::size_t part = data.size();
			if (m_direct)
			{
				bool const aligned = offset % bulk_alignment == 0 && reinterpret_cast<std::uintptr_t>(data.data()) % bulk_alignment == 0;
				part = aligned ? part - part % bulk_alignment : 0;
				if (part == 0)
				{
					use_page_cache();
					part = data.size();
				}
			}
			auto const n = ::pwrite(m_fd.get(), data.data(), part, off_t(offset));
			if (n < 0 && errno == EINTR) continue;
			if (n < 0 && errno == EINVAL && m_direct)
			{
				use_page_cache();
				continue;
			}
			if (n < 0) return system_failure("cannot write ", m_path.native(), " at offset ", offset);
			data = data.subspan(std::size_t(n));
			offset += std::uint64_t(n);
		}
		return {};
	}

	result<> truncate(std::uint64_t size) override
	{
		if (::ftruncate(m_fd.get(), off_t(size)) != 0) return system_failure("cannot set the length of ", m_path.native());
		return {};
	}

	result<> sync() override
	{
		if (::fdatasync(m_fd.get()) != 0) return system_failure("cannot sync ", m_path.native());
		return {};
	}

private:
	void use_page_cache()
	{
		int const flags = ::fcntl(m_fd.get(), F_GETFL);
		if (flags >= 0) (void)::fcntl(m_fd.get(), F_SETFL, flags & ~O_DIRECT);
		m_direct = false;
	}

	file_descriptor m_fd;
	std::filesystem::path m_path;
	bool m_direct;
};

class system_layer : public file_layer
{
public:
	result<std::unique_ptr<file>> open(std::filesystem::path const& path, open_mode mode) override
	{
		int flags = O_CLOEXEC;
		switch (mode)
		{
		case open_mode::read: flags |= O_RDONLY | O_NONBLOCK; break;  // a pipe in the place of a file must not wait for a writer
		case open_mode::read_write: flags |= O_RDWR | O_CREAT; break;
		case open_mode::create:
		case open_mode::create_bulk: flags |= O_RDWR | O_CREAT | O_EXCL; break;
		}
		bool direct = mode == open_mode::create_bulk;
		int fd = ::open(path.c_str(), flags | (direct ? O_DIRECT : 0), 0666);
		if (fd < 0 && direct && errno == EINVAL)
		{
			// a file system without it may have made the file all the same
			::unlink(path.c_str());
			direct = false;
			fd = ::open(path.c_str(), flags, 0666);
		}
		if (fd < 0) return system_failure("cannot open ", path.native());
		return std::make_unique<system_file>(file_descriptor(fd), path, direct);
	}

	result<> rename(std::filesystem::path const& from, std::filesystem::path const& to) override
	{
		if (::rename(from.c_str(), to.c_str()) != 0) return system_failure("cannot rename ", from.native(), " to ", to.native());
		return {};
	}

	result<> remove(std::filesystem::path const& path) override
	{
		if (::unlink(path.c_str()) != 0) return system_failure("cannot remove ", path.native());
		return {};
	}

	result<> make_dirs(std::filesystem::path const& path) override
	{
		std::error_code ec;
		std::filesystem::create_directories(path, ec);
		if (ec) return fail(code_of(ec.value()), "cannot make the directory ", path.native(), ": ", ec.message());
		return {};
	}

	result<> sync_dir(std::filesystem::path const& path) override
	{
		file_descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		// some file systems cannot sync a directory: then nothing better can be had
		if (!fd || (::fsync(fd.get()) != 0 && errno != EINVAL)) return system_failure("cannot sync the directory ", path.native());
		return {};
	}

	result<std::vector<entry>> list(std::filesystem::path const& dir) override
	{
		std::vector<entry> out;
		std::unique_ptr<DIR, int (*)(DIR*)> const open_dir(::opendir(dir.c_str()), ::closedir);
		if (!open_dir)
		{
			if (errno == ENOENT) return out;
			return system_failure("cannot list ", dir.native());
		}
		for (;;)
		{
			errno = 0;
			::dirent const* const e = ::readdir(open_dir.get());
			if (e == nullptr && errno != 0) return system_failure("cannot list ", dir.native());
			if (e == nullptr) break;
			struct ::stat st{};
			if (::fstatat(::dirfd(open_dir.get()), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
			out.push_back({e->d_name, std::uint64_t(st.st_size), std::int64_t(st.st_mtim.tv_sec)});
		}
		std::sort(out.begin(), out.end(), [](entry const& a, entry const& b) { return a.name < b.name; });
		return out;
	}

	result<std::uint64_t> free_bytes(std::filesystem::path const& dir) override
	{
		struct ::statvfs st{};
		if (::statvfs(dir.c_str(), &st) != 0) return system_failure("cannot ask for the free space of ", dir.native());
		return std::uint64_t(st.f_bavail) * st.f_frsize;
	}

	result<std::shared_ptr<void>> lock(std::filesystem::path const& path) override
	{
		auto fd = std::make_shared<file_descriptor>(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
		if (!*fd) return system_failure("cannot open ", path.native());
		if (::flock(fd->get(), LOCK_EX | LOCK_NB) == 0) return fd;
		if (errno == EWOULDBLOCK) return fail(errc::refused, path.native(), " is locked by another process");
		return system_failure("cannot lock ", path.native());
	}
};

} // namespace

result<std::size_t> memory_source::read_at(std::uint64_t offset, std::span<std::uint8_t> into)
{
	if (offset >= m_data.size()) return std::size_t(0);
	auto const part = m_data.subspan(std::size_t(offset), std::min(into.size(), m_data.size() - std::size_t(offset)));
	if (!part.empty()) std::memcpy(into.data(), part.data(), part.size());
	return part.size();
}

file_layer& system_files()
{
	static system_layer layer;
	return layer;
}

result<bytes> read_all(file_layer& files, std::filesystem::path const& path, std::size_t max_bytes)
{
	auto const f = files.open(path, open_mode::read);
	if (!f) return tl::unexpected(f.error());
	auto const size = (*f)->size();
	if (!size) return tl::unexpected(size.error());
	if (*size > max_bytes) return fail(errc::limit, path.native(), " has ", *size, " bytes; at most ", max_bytes, " are allowed");
	bytes out{};
	out.resize(std::size_t(*size));
	auto const n = (*f)->read_at(0, out);
	if (!n) return tl::unexpected(n.error());
	out.resize(*n);
	return out;
}

result<> write_durably(file_layer& files, std::filesystem::path const& path, bytes_view data)
{
	auto temporary = path;
	temporary += ".tmp";
	(void)files.remove(temporary);
	auto f = files.open(temporary, open_mode::create);
	if (!f) return tl::unexpected(f.error());
	auto done = (*f)->write_at(0, data);
	if (done) done = (*f)->sync();
	f->reset();
	if (done) done = files.rename(temporary, path);
	if (done) done = files.sync_dir(path.has_parent_path() ? path.parent_path() : ".");
	if (!done) (void)files.remove(temporary);
	return done;
}

} // namespace xet
