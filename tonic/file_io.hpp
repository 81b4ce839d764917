#pragma once
// What the folder layer needs from POSIX files: times, whole reads and writes.

#include "xet/posix.hpp"

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace tonic {

using xet::code_of;
using xet::file_descriptor;
using xet::system_failure;

// Nanoseconds since 1970, as files' times are kept here, and back. Times that do not fit (after 2262) are the last that do.
std::int64_t to_nanoseconds(timespec const& t);
timespec to_timespec(std::int64_t ns);

// Writes all of data. 0, or -1 with errno set.
int write_all(int fd, std::string_view data);
// Reads to the end, but not more than max_bytes + 1 (one more tells that there was more). Nothing with errno set on an error.
std::optional<std::string> read_to_end(int fd, std::size_t max_bytes);

// A new file next to file (a rename must not cross file systems), with a name nobody else picks.
file_descriptor open_temporary(std::filesystem::path const& file, mode_t mode, std::filesystem::path& temporary);

// In single quotes, as a shell reads it back.
std::string shell_quoted(std::string_view text);

} // namespace tonic
