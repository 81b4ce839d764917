#pragma once
// Every limit of the content layer, each with its reason.

#include <cstddef>
#include <cstdint>

namespace xet {

// Chunk sizes of BEP XET. Persistent: other values give other boundaries. do not change
inline constexpr std::uint32_t min_chunk_bytes = 8 * 1024;
inline constexpr std::uint32_t max_chunk_bytes = 128 * 1024;
inline constexpr std::uint32_t min_target_bytes = 8 * 1024;
inline constexpr std::uint32_t max_target_bytes = 64 * 1024;
inline constexpr std::uint32_t default_target_bytes = 16 * 1024;

// Largest chunk taken from a peer; folders of other implementations may declare up to this.
inline constexpr std::uint32_t max_wire_chunk_bytes = 256 * 1024;

// Metadata (a folder's .tonic bytes) is cut finer than content, so that one changed file among many costs a few KiB.
// Part of the protocol (folder heads name trees made with these). do not change
inline constexpr std::uint32_t meta_min_bytes = 512;
inline constexpr std::uint32_t meta_target_bytes = 1024;
inline constexpr std::uint32_t meta_max_bytes = 8 * 1024;
// A list level is at least ten times smaller than the level below it: 8 levels are more than any disk holds.
inline constexpr int max_tree_levels = 8;
inline constexpr std::size_t max_metadata_bytes = std::size_t(1) << 29;  // what libtorrent's bencode reader can address

// Wire messages. libtorrent drops any packet over 1 MiB.
inline constexpr std::size_t max_folder_id_bytes = 255;
inline constexpr std::size_t max_message_bytes = 1024 * 1024 - 16;
inline constexpr std::size_t max_error_text_bytes = 1024;
inline constexpr std::uint32_t metadata_piece_bytes = 16 * 1024;

// Xorbs, packs of chunks. 64 MiB uncompressed is the format's limit (protocol §5), and Hugging Face's.
inline constexpr std::size_t max_xorb_bytes = std::size_t(64) << 20;
// What a writer puts into one: as many as there can be of min_chunk_bytes. Hugging Face's limit too.
inline constexpr std::uint32_t max_xorb_chunks = 8192;
// What a reader takes: other writers pack chunks of any size, and their readers stop here.
inline constexpr std::uint32_t max_foreign_xorb_chunks = 1'000'000;

// Shards, lists of files, xorbs and chunks. A reader holds all of it in memory, and nobody needs more in one file.
inline constexpr std::size_t max_shard_bytes = std::size_t(512) << 20;
inline constexpr std::uint32_t max_shard_files = 1'000'000;
inline constexpr std::uint32_t max_shard_xorbs = 1'000'000;
inline constexpr std::uint32_t max_shard_chunks = 16'000'000;  // 512 MiB of hashes
inline constexpr std::size_t max_shard_path_bytes = 4096;  // PATH_MAX: a longer one cannot be opened

} // namespace xet
