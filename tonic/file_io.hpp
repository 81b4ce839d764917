#pragma once
// What the folder layer needs from POSIX files: a descriptor that closes itself, whole reads and writes, and errno as an
// error value.

#include "xet/error.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

namespace tonic {

class file_descriptor
{
public:
	explicit file_descriptor(int fd = -1) : m_fd(fd) {}
	~file_descriptor() { reset(); }
	file_descriptor(file_descriptor&& o) noexcept : m_fd(std::exchange(o.m_fd, -1)) {}
	file_descriptor& operator=(file_descriptor&& o) noexcept
	{
		if (this != &o) reset(std::exchange(o.m_fd, -1));
		return *this;
	}

	explicit operator bool() const { return m_fd >= 0; }
	int get() const { return m_fd; }
	int release() { return std::exchange(m_fd, -1); }
	// errno survives, so that a failure can be reported after its descriptor is gone
	void reset(int fd = -1)
	{
		int const saved = errno;
		if (m_fd >= 0) ::close(m_fd);
		m_fd = fd;
		errno = saved;
	}

private:
	int m_fd;
};

// Nanoseconds since 1970, as files' times are kept here, and back. Times that do not fit (after 2262) are the last that do.
std::int64_t to_nanoseconds(timespec const& t);
timespec to_timespec(std::int64_t ns);

// The class of an errno value.
xet::errc code_of(int error_number);

// An error that ends with the system's own text for errno.
template <class... Args>
tl::unexpected<xet::error> system_failure(Args const&... args)
{
	int const reason = errno;
	return xet::fail(code_of(reason), args..., ": ", std::strerror(reason));
}

// Writes all of data and syncs it to the disk. 0, or -1 with errno set.
int write_and_sync(int fd, std::string_view data);
// Reads to the end, but not more than max_bytes + 1 (one more tells that there was more). Nothing with errno set on an error.
std::optional<std::string> read_to_end(int fd, std::size_t max_bytes);

// A new file next to file (a rename must not cross file systems), with a name nobody else picks.
file_descriptor open_temporary(std::filesystem::path const& file, mode_t mode, std::filesystem::path& temporary);

// In single quotes, as a shell reads it back.
std::string shell_quoted(std::string_view text);

} // namespace tonic
