#include "tonic/file_io.hpp"

#include "tonic/tonic_file.hpp"

#include <algorithm>
#include <fcntl.h>
#include <random>
#include <sys/stat.h>

namespace tonic {

namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;

// Makes the rename itself survive a crash. Some file systems cannot sync a directory: then nothing better can be had.
void sync_directory_of(std::filesystem::path const& file)
{
	auto const dir = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
	file_descriptor fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (fd) ::fsync(fd.get());
}

} // namespace

std::int64_t to_nanoseconds(timespec const& t)
{
	std::int64_t ns = 0;
	if (__builtin_mul_overflow(std::int64_t(t.tv_sec), ns_per_second, &ns) || __builtin_add_overflow(ns, std::int64_t(t.tv_nsec), &ns))
		return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

timespec to_timespec(std::int64_t ns)
{
	timespec t{};
	t.tv_sec = time_t(ns / ns_per_second);
	t.tv_nsec = long(ns % ns_per_second);
	// before 1970: the kernel wants the fraction counted forwards
	if (t.tv_nsec < 0)
	{
		t.tv_nsec += ns_per_second;
		--t.tv_sec;
	}
	return t;
}

int write_all(int fd, std::string_view data)
{
	while (!data.empty())
	{
		auto const n = ::write(fd, data.data(), data.size());
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return -1;
		data.remove_prefix(std::size_t(n));
	}
	return 0;
}

std::optional<std::string> read_to_end(int fd, std::size_t max_bytes)
{
	struct ::stat st{};
	if (::fstat(fd, &st) != 0) return std::nullopt;
	// one byte more than the size: the read that returns 0 then needs no larger buffer
	std::string ret(std::min(max_bytes, std::size_t(std::max<off_t>(st.st_size, 0))) + 1, '\0');
	std::size_t have = 0;
	for (;;)
	{
		if (have == ret.size())
		{
			if (have > max_bytes) return ret;
			ret.resize(std::min(max_bytes + 1, have * 2));
		}
		auto const n = ::read(fd, ret.data() + have, ret.size() - have);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return std::nullopt;
		if (n == 0) break;
		have += std::size_t(n);
	}
	ret.resize(have);
	return ret;
}

file_descriptor open_temporary(std::filesystem::path const& file, mode_t mode, std::filesystem::path& temporary)
{
	constexpr int attempts = 16;
	std::random_device random;
	for (int i = 0; i < attempts; ++i)
	{
		temporary = file.parent_path() / xet::cat(".tmp-", std::hex, random(), random());
		int const fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
		if (fd >= 0 || errno != EEXIST) return file_descriptor(fd);
	}
	return file_descriptor();
}

std::string shell_quoted(std::string_view text)
{
	std::string ret = "'";
	for (char const c : text)
	{
		if (c == '\'') ret += "'\\''";
		else ret += c;
	}
	return ret + "'";
}

xet::result<> write_file_atomically(std::filesystem::path const& file, std::string_view data, durability keep)
{
	std::filesystem::path temporary;
	auto fd = open_temporary(file, 0666, temporary);
	if (!fd) return system_failure("cannot write ", file.native());

	struct ::stat old{};
	if (::stat(file.c_str(), &old) == 0) (void)::fchmod(fd.get(), old.st_mode & 0777);  // keep what its owner chose
	if (write_all(fd.get(), data) != 0 || (keep != durability::none && ::fsync(fd.get()) != 0) || ::rename(temporary.c_str(), file.c_str()) != 0)
	{
		auto ret = system_failure("cannot write ", file.native());
		::unlink(temporary.c_str());
		return ret;
	}
	if (keep == durability::content_and_name) sync_directory_of(file);
	return {};
}

xet::result<std::string> read_whole_file(std::filesystem::path const& file, std::size_t max_bytes)
{
	// O_NONBLOCK: opening a named pipe must not wait for a writer
	file_descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	struct ::stat st{};
	if (!fd || ::fstat(fd.get(), &st) != 0) return system_failure("cannot read ", file.native());
	if (!S_ISREG(st.st_mode)) return xet::fail(xet::errc::refused, "cannot read ", file.native(), ": not a regular file");

	auto const too_large = [&] {
		return xet::fail(xet::errc::limit, file.native(), " is larger than the ", max_bytes, " bytes allowed for such a file");
	};
	if (std::uint64_t(st.st_size) > max_bytes) return too_large();
	auto data = read_to_end(fd.get(), max_bytes);
	if (!data) return system_failure("cannot read ", file.native());
	if (data->size() > max_bytes) return too_large();
	return std::move(*data);
}

} // namespace tonic
