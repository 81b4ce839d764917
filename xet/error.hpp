#pragma once
// Errors as values. Every boundary that sees foreign bytes, the disk or a person's input returns result<T>.
// A message says what is wrong, where (file, field, offset) and, where there is something to do, what to do.

#include <sstream>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace xet {

enum class errc
{
	invalid,      // the input breaks a rule of its format
	unsupported,  // well formed, but of a kind this build or version does not handle
	limit,        // over a limit of limits.hpp
	mismatch,     // bytes do not have the hash or signature they should have
	not_found,
	refused,      // not allowed, or would destroy something
	no_space,
	io,           // the operating system said no
	cancelled,
};

struct error
{
	errc code = errc::invalid;
	std::string message;
};

template <class T = void>
using result = tl::expected<T, error>;

// Concatenates anything that streams: cat("chunk ", 3, " of ", path).
template <class... Args>
std::string cat(Args const&... args)
{
	std::ostringstream out;
	(out << ... << args);
	return std::move(out).str();
}

template <class... Args>
tl::unexpected<error> fail(errc code, Args const&... args)
{
	return tl::unexpected<error>(error{code, cat(args...)});
}

} // namespace xet
