#pragma once
// Files as the chunk store uses them: few operations, each with a result, behind an interface, so that tests can put a disk
// below the store that forgets what was not synced or fails at any chosen point.
//
// Thread rule: any thread; one file may be read by many at once, but is written by one.

#include "xet/bytes.hpp"
#include "xet/error.hpp"

#include <filesystem>
#include <memory>
#include <vector>

namespace xet {

// Something with a size that is read at any offset.
class byte_source
{
public:
	virtual ~byte_source() = default;
	virtual result<std::uint64_t> size() = 0;
	// Bytes read; fewer than asked for at the end only.
	virtual result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> into) = 0;
};

// Bytes in memory, not owned.
class memory_source : public byte_source
{
public:
	explicit memory_source(bytes_view data) : m_data(data) {}
	result<std::uint64_t> size() override { return m_data.size(); }
	result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> into) override;

private:
	bytes_view m_data;
};

class file : public byte_source
{
public:
	// All of data, or an error. Errors: io, no_space.
	virtual result<> write_at(std::uint64_t offset, bytes_view data) = 0;
	virtual result<> truncate(std::uint64_t size) = 0;
	// Returns once size and content survive a power cut (the name in its directory: sync_dir).
	virtual result<> sync() = 0;
};

enum class open_mode
{
	read,         // must exist
	read_write,   // made when absent
	create,       // must not exist
	create_bulk,  // the same, for a large file that is written once: past the page cache where the disk allows
};

class file_layer
{
public:
	virtual ~file_layer() = default;

	virtual result<std::unique_ptr<file>> open(std::filesystem::path const& path, open_mode mode) = 0;
	// to is replaced when it exists; a reader sees the one or the other
	virtual result<> rename(std::filesystem::path const& from, std::filesystem::path const& to) = 0;
	// Errors: not_found, io.
	virtual result<> remove(std::filesystem::path const& path) = 0;
	virtual result<> make_dirs(std::filesystem::path const& path) = 0;
	// Makes the names made, renamed and removed in a directory durable.
	virtual result<> sync_dir(std::filesystem::path const& path) = 0;
	struct entry
	{
		std::string name;
		std::uint64_t size = 0;
		std::int64_t modified_seconds = 0;  // since 1970
	};
	// The regular files of a directory, sorted by name; none when it does not exist.
	virtual result<std::vector<entry>> list(std::filesystem::path const& dir) = 0;
	// What this process may still write there.
	virtual result<std::uint64_t> free_bytes(std::filesystem::path const& dir) = 0;

	// Held until the value dies or the process ends. Errors: refused (somebody else has it), io.
	virtual result<std::shared_ptr<void>> lock(std::filesystem::path const&) { return std::shared_ptr<void>(); }

	// The SQLite VFS that writes to the same disk; null: SQLite's own.
	virtual char const* sqlite_vfs() const { return nullptr; }
};

// The operating system's files.
file_layer& system_files();

// Reads the whole of a small file. Errors: as open and read_at; limit.
result<bytes> read_all(file_layer& files, std::filesystem::path const& path, std::size_t max_bytes);
// Durable and whole, or not there at all: a temporary name, sync, rename, sync of the directory.
result<> write_durably(file_layer& files, std::filesystem::path const& path, bytes_view data);

// write_at of create_bulk files goes past the page cache where address, offset and length are multiples of this.
inline constexpr std::size_t bulk_alignment = 4096;

} // namespace xet
