#pragma once
// Reading a folder from disk: which files, directories and links it has, and each file's chunks. Files whose stamp did not
// change since the last scan are not read again.
//
// Thread rule: scan_folder runs on the calling thread (chunk_file's helpers aside); callbacks come from that thread.

#include "tonic/manifest.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace tonic {

// What tells without reading whether a file changed.
struct file_stamp
{
	std::uint64_t size = 0;
	std::int64_t mtime_ns = 0;
	std::int64_t ctime_ns = 0;
	std::uint64_t inode = 0;
	std::uint32_t mode = 0;  // permission bits

	// size, mtime, ctime and inode agree
	bool same_content(file_stamp const& o) const
	{
		return size == o.size && mtime_ns == o.mtime_ns && ctime_ns == o.ctime_ns && inode == o.inode;
	}
	bool operator==(file_stamp const&) const = default;
};

// A file on this disk and what is in it.
struct local_file
{
	std::string path;  // relative to the folder
	file_stamp stamp;
	xet::hash32 hash;
	std::shared_ptr<xet::chunk_list const> chunks;
	bool published = false;  // this content is, or once was, that of a published version (so it may be replaced)
};

struct refusal
{
	std::string path;    // relative
	std::string reason;  // one line, for a person
};

struct scan_progress
{
	std::uint64_t files_done = 0;
	std::uint64_t bytes_done = 0;   // read and hashed, or found unchanged
	std::uint64_t files_total = 0;  // 0 while the tree is still being listed
	std::uint64_t bytes_total = 0;
};

struct scan_options
{
	xet::profile how;
	// what is known of a path from before, or null
	std::function<local_file const*(std::string_view path)> known;
	std::function<void(scan_progress const&)> progress;  // at most some ten times a second
	std::atomic<bool> const* stop = nullptr;
	// when set, only files for which it returns true are read and hashed; others appear with chunks == nullptr
	std::function<bool(std::string_view path)> want_content;
	// false: case and Unicode twins are listed like everything else. Only a publisher has to refuse them; a folder that is
	// followed may hold what its author, or this machine's user, put there.
	bool for_sharing = true;
};

struct scan_result
{
	std::vector<local_file> files;  // sorted by path
	std::vector<dir_entry> dirs;    // sorted
	std::vector<link_entry> links;  // sorted
	// not shared: links that leave the folder, devices, sockets, pipes, case or Unicode twins (all of a group),
	// names that are not UTF-8 or too long, files and directories that cannot be read
	std::vector<refusal> refused;
	// Files that changed while they were read: not in files; scan again soon.
	std::vector<std::string> unstable;
	// Among the refused, because they could not be read (no permission, I/O error): what is in these files and below these
	// directories is unknown, not gone. The files have no content here; the folder itself is "".
	std::vector<local_file> unreadable_files;
	std::vector<std::string> unreadable_dirs;
	std::uint64_t bytes_hashed = 0;  // read in this scan
};

// Errors: not_found (the root is missing or no directory), io, cancelled. A single bad entry is never an error.
xet::result<scan_result> scan_folder(std::filesystem::path const& root, scan_options const& options);

// A scan as a version: chunk ranges filled in; head fields are left for the caller.
manifest to_manifest(scan_result const& scan, xet::profile const& how);

} // namespace tonic
