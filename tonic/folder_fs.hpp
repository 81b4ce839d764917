#pragma once
// A folder's directory on disk, and the only way its tree is changed: every path is resolved beneath the folder's root
// without following symbolic links, so that nothing outside of it can be touched.
//
// Thread rule: may be used from several threads at once; it holds no state but the root's descriptor.

#include "tonic/file_io.hpp"
#include "tonic/scan.hpp"

#include <optional>

namespace tonic {

enum class entry_kind { absent, file, dir, link, other };

class folder_fs
{
public:
	// Errors: not_found (missing: perhaps not mounted), io.
	static xet::result<folder_fs> open(std::filesystem::path const& root);

	struct state
	{
		entry_kind kind = entry_kind::absent;
		file_stamp stamp;
	};
	state look(std::string const& path) const;
	std::string read_link(std::string const& path) const;  // empty when it is none

	// flags as for open(2); O_NOFOLLOW and O_CLOEXEC are added
	xet::result<file_descriptor> open_file(std::string const& path, int flags, std::uint32_t mode = 0600) const;
	// The directory and its parents. Errors: refused when something that is no directory is in the way (its path in the message).
	xet::result<> make_dirs(std::string const& path) const;
	xet::result<> rename(std::string const& from, std::string const& to) const;
	xet::result<> make_link(std::string const& path, std::string const& target, std::int64_t mtime_ns) const;
	xet::result<> remove_file(std::string const& path) const;  // files and links; nothing there is success
	bool remove_empty_dir(std::string const& path) const;
	xet::result<> set_times(std::string const& path, std::int64_t mtime_ns) const;
	xet::result<> set_mode(std::string const& path, std::uint32_t mode) const;
	xet::result<> sync_dir(std::string const& path) const;

	// Moves what is at path to a free name beside it that says what it is: "report (local edit 2026-11-20 210305).txt".
	// Returns the new path.
	xet::result<std::string> keep_aside(std::string const& path, std::int64_t now_seconds) const;

	std::uint64_t free_bytes() const;
	std::uint32_t block_bytes() const;  // the least a file takes; at least 1
	// device and inode of the root: tells an unmounted disk's mount point from the folder
	std::pair<std::uint64_t, std::uint64_t> root_id() const;
	std::filesystem::path const& root() const { return m_root; }

private:
	struct parent;
	xet::result<parent> open_parent(std::string const& path) const;

	std::filesystem::path m_root;
	std::shared_ptr<file_descriptor> m_fd;
};

// True for a name made by keep_aside.
bool is_kept_aside(std::string_view path);

// Reads exactly buffer.size() bytes at offset. False on a short read or an error.
bool read_at(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer);
xet::result<> write_at(int fd, std::uint64_t offset, xet::bytes_view data, std::string_view name);

} // namespace tonic
