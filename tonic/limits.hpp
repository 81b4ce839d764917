#pragma once
// Every limit of the folder layer, each with its reason.

#include <cstddef>
#include <cstdint>

namespace tonic {

inline constexpr std::size_t max_path_bytes = 4096;      // PATH_MAX on Linux
inline constexpr std::size_t max_name_bytes = 255;       // NAME_MAX on Linux
inline constexpr int max_path_depth = 128;               // deeper trees exist only to break readers
inline constexpr std::size_t max_folder_name_bytes = 200;  // leaves room for the descriptor's suffix in NAME_MAX
inline constexpr std::size_t max_salt_bytes = 64;        // what BEP 44 allows a salt; folder_salt() makes 16
inline constexpr std::size_t max_link_bytes = 64 * 1024;   // longer than any address bar takes
inline constexpr std::size_t max_descriptor_bytes = 16 * 1024;  // the carrier's one file is one piece
inline constexpr std::size_t max_tonic_bytes = std::size_t(1) << 29;  // libtorrent's decoder ends here
inline constexpr int max_bencode_tokens = 100'000'000;   // about 25 tokens a file and one a chunk
inline constexpr int max_bencode_depth = max_path_depth + 8;

} // namespace tonic
