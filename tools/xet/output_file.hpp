#pragma once
// Where a command puts the file it makes.

#include "xet/bytes.hpp"
#include "xet/error.hpp"

#include <filesystem>

namespace tools {

// Whole or not at all; replaces a file that is there. Errors: refused (a directory, device or pipe is there), io, no_space.
xet::result<> write_output(std::filesystem::path const& path, xet::bytes_view data);

} // namespace tools
