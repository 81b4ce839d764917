#pragma once
// One version of a folder: every file with its chunks, every directory and symbolic link. Plain data.
//
// Invariants (check() proves them; whatever comes from outside is checked before use):
// - files, dirs and links are each sorted by path (bytes), paths are unique over all three;
// - every path is safe (path_rules.hpp) and no entry lies below a file or a link;
// - a file's chunks are chunks[first_chunk .. first_chunk + chunk_count), their sizes add up to its size, and its hash
//   is xet::file_hash over them; files' chunk ranges follow each other in files order and cover chunks exactly;
// - a link's target stays inside the folder.

#include "tonic/identity.hpp"
#include "xet/chunker.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tonic {

// Stored in files and sent on the wire: do not change the numbers.
enum class sync_mode : std::uint8_t { designated = 0, best_effort = 1, broadcast = 2, consensus = 3 };

std::string_view name_of(sync_mode m);  // "designated", "best-effort", …
std::optional<sync_mode> mode_from_name(std::string_view name);

struct file_entry
{
	std::string path;           // relative, '/' between components
	std::uint64_t size = 0;     // bytes
	std::uint32_t mode = 0644;  // permission bits, 0777
	std::int64_t mtime_ns = 0;  // nanoseconds since 1970
	xet::hash32 hash;
	std::uint32_t first_chunk = 0;
	std::uint32_t chunk_count = 0;

	bool operator==(file_entry const&) const = default;
};

struct dir_entry
{
	std::string path;
	std::uint32_t mode = 0755;
	std::int64_t mtime_ns = 0;

	bool operator==(dir_entry const&) const = default;
};

struct link_entry
{
	std::string path;
	std::string target;  // as readlink gives it
	std::int64_t mtime_ns = 0;

	bool operator==(link_entry const&) const = default;
};

struct manifest
{
	std::string folder;  // id, 40 hexadecimal characters
	std::string name;    // the directory's name on disk
	xet::profile how;
	sync_mode mode = sync_mode::designated;
	std::string git_ref;  // 40 or 64 hexadecimal characters, or empty
	std::optional<xet::hash32> allowlist_hash;

	// head
	public_key author{};
	xet::bytes salt;              // folder_id(author, salt) == folder
	std::uint64_t seq = 0;        // grows with every version
	std::int64_t timestamp = 0;   // seconds since 1970

	std::vector<file_entry> files;
	std::vector<dir_entry> dirs;
	std::vector<link_entry> links;
	xet::chunk_list chunks;

	std::span<xet::chunk_ref const> chunks_of(file_entry const& f) const
	{
		return {chunks.data() + f.first_chunk, f.chunk_count};
	}
	std::uint64_t total_bytes() const;
	file_entry const* find_file(std::string_view path) const;
	link_entry const* find_link(std::string_view path) const;
	dir_entry const* find_dir(std::string_view path) const;

	// Same content (files, dirs, links), whatever the head says.
	bool same_tree(manifest const& other) const;
	// Proves the invariants above; the error names the entry and the rule.
	xet::result<> check() const;
};

} // namespace tonic
