#include "plugin/control/unix_socket.hpp"

#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace ut_xet {

using xet::errc;
using xet::fail;

namespace {

// The directory is opened and named through /proc, so that the path may have any length.
struct short_address
{
	tonic::file_descriptor dir;
	sockaddr_un address{};

	explicit short_address(std::filesystem::path const& path)
	{
		address.sun_family = AF_UNIX;
		dir = tonic::file_descriptor(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
		std::string const name = xet::cat("/proc/self/fd/", dir.get(), "/", path.filename().string());
		std::strncpy(address.sun_path, name.c_str(), sizeof address.sun_path - 1);
	}
	sockaddr const* get() const { return reinterpret_cast<sockaddr const*>(&address); }
};

} // namespace

xet::result<tonic::file_descriptor> listen_unix(std::filesystem::path const& path)
{
	tonic::file_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	short_address const address(path);
	::unlink(path.c_str());
	if (!fd || ::bind(fd.get(), address.get(), sizeof(sockaddr_un)) != 0 || ::chmod(path.c_str(), 0600) != 0
		|| ::listen(fd.get(), 16) != 0)
		return fail(errc::io, "cannot open the control socket ", path.string(), ": ", std::strerror(errno));
	return fd;
}

xet::result<tonic::file_descriptor> connect_unix(std::filesystem::path const& path)
{
	tonic::file_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	short_address const address(path);
	if (!fd || ::connect(fd.get(), address.get(), sizeof(sockaddr_un)) != 0)
		return fail(errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR ? errc::not_found : errc::io, path.string(), ": ", std::strerror(errno));
	return fd;
}

} // namespace ut_xet
