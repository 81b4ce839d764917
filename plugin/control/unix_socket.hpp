#pragma once
// Binds or connects to a socket file whatever the length of its path (sun_path holds 107 bytes). Any thread.

#include "tonic/folder_fs.hpp"

namespace ut_xet {

// Replaces a socket file that is there already; mode 0600.
xet::result<tonic::file_descriptor> listen_unix(std::filesystem::path const& path);
// Errors: not_found (no socket, or nobody listens), io.
xet::result<tonic::file_descriptor> connect_unix(std::filesystem::path const& path);

} // namespace ut_xet
