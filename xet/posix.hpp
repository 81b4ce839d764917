#pragma once
// A descriptor that closes itself, and errno as an error value: what every layer that touches the system needs.

#include "xet/error.hpp"

#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <utility>

namespace xet {

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

// The class of an errno value.
errc code_of(int error_number);

// An error that ends with the system's own text for errno.
template <class... Args>
tl::unexpected<error> system_failure(Args const&... args)
{
	int const reason = errno;
	return fail(code_of(reason), args..., ": ", std::strerror(reason));
}

} // namespace xet
