#pragma once
// A disk in memory, as file_layer and as SQLite VFS, that fails where it is told to and forgets what was not synced.
//
//	faulty_disk disk(seed);
//	disk.crash_at(17);                     // the process dies at its 17th operation, counted from 0
//	auto const acknowledged = workload(disk);
//	disk.power_cut(cut::subset, seed);     // what a disk may then hold; faults are over, handles are dead
//	verify(disk, acknowledged);
//
// every_fault.hpp does that for every operation of a workload. All randomness comes from the seeds. What the model covers
// and where it is stricter than file systems: disk_image.hpp.
//
// Thread rule: any thread, one lock. Handles must be gone before the disk is.

#include "tests/support/disk_image.hpp"
#include "xet/files.hpp"

#include <deque>
#include <mutex>

namespace ut_xet_test {

class faulty_file;
class faulty_vfs;

class faulty_disk : public xet::file_layer
{
public:
	explicit faulty_disk(std::uint64_t seed = 1);
	~faulty_disk() override;
	faulty_disk(faulty_disk const&) = delete;

	// Each of these is one operation, and so are the calls of a file and SQLite's test for a file.
	xet::result<std::unique_ptr<xet::file>> open(std::filesystem::path const& path, xet::open_mode mode) override;
	xet::result<> rename(std::filesystem::path const& from, std::filesystem::path const& to) override;
	xet::result<> remove(std::filesystem::path const& path) override;
	xet::result<> make_dirs(std::filesystem::path const& path) override;
	xet::result<> sync_dir(std::filesystem::path const& path) override;
	xet::result<std::vector<entry>> list(std::filesystem::path const& dir) override;
	xet::result<std::uint64_t> free_bytes(std::filesystem::path const& dir) override;
	// A cut or a restore takes it from whoever has it.
	xet::result<std::shared_ptr<void>> lock(std::filesystem::path const& path) override;
	// A name of this disk's own. Connections are to be gone before the disk is.
	char const* sqlite_vfs() const override;

	// The operations so far, refused ones included.
	std::uint64_t operations() const;
	enum class lasting { once, from_then_on };
	// Operation n fails with errc::io or errc::no_space. A write may have happened in part; a sync may have saved some of
	// what it should have, and the next one says yes without saving the rest. no_space passes over operations that need no
	// space: reads, removals, opening what is there.
	void fail_at(std::uint64_t n, xet::errc kind, lasting how_long = lasting::once);
	// From operation n on everything fails with errc::io; n itself, if a write, may happen in part. A cut is to follow. There
	// may be a fault before.
	void crash_at(std::uint64_t n);
	// Whether fail_at or crash_at has struck.
	bool struck() const;
	// No fault any more. What a failed sync lost stays lost.
	void heal();

	// Handles from before are dead, faults are over, the disk holds what such a crash may leave.
	void power_cut(cut mode, std::uint64_t seed);

	// For the set-up of a test: all is durable; operations count from 0 again; the log is empty.
	void settle();
	// Chance, SQLite's included, starts over from here.
	void reseed(std::uint64_t seed);
	// Growing files beyond it fails with no_space.
	void set_capacity(std::uint64_t bytes);
	// What modified_seconds and SQLite's clock say; 1'000'000'000 at first.
	void set_clock(std::int64_t seconds_since_1970);
	std::int64_t clock() const;

	// For checks; no operations.
	bool exists(std::filesystem::path const& path) const;
	// Empty when there is no such file.
	bytes content(std::filesystem::path const& path) const;
	// The last operations, a line each, with what became of them.
	std::string log() const;

	// A snapshot taken here may be restored here, any number of times; handles from before the restore are dead.
	struct snapshot;
	std::shared_ptr<snapshot const> save() const;
	void restore(snapshot const& from);

private:
	friend class faulty_file;
	friend class faulty_vfs;

	enum class operation { open, make, size, read, write, truncate, sync, rename, remove, make_dirs, sync_dir, list, free_bytes, lock, stat };
	static char const* name_of(operation what);
	enum class fault { none, io, no_space };
	static constexpr auto never = ~std::uint64_t(0);
	struct log_line
	{
		std::uint64_t number;
		operation what;
		std::string path;
		std::uint64_t offset, length;
		std::string note;
	};
	struct state
	{
		explicit state(std::uint64_t seed) : random(seed) {}
		disk_image image;
		random_source random;
		std::uint64_t operations = 0, fault_at = 0, crash_at = never, capacity = std::uint64_t(1) << 30;
		std::int64_t clock = 1'000'000'000;
		fault planned = fault::none;
		lasting how_long = lasting::once;
		bool struck = false, dead = false;
		std::deque<log_line> log;
	};

	// The next ones expect the lock to be held.
	struct verdict
	{
		xet::result<> outcome;
		bool under_way = false;  // the fault strikes in the middle of this very operation
	};
	verdict begin(operation what, std::string const& path, std::uint64_t offset = 0, std::uint64_t length = 0);
	tl::unexpected<xet::error> refuse(xet::errc code, std::string const& why);
	// How far a write may make a file grow.
	std::uint64_t growth_left() const;

	xet::result<bool> has_content(std::filesystem::path const& path);
	xet::result<std::uint64_t> size_of(faulty_file const& f);
	xet::result<std::size_t> read(faulty_file const& f, std::uint64_t offset, std::span<std::uint8_t> into);
	xet::result<> write(faulty_file const& f, std::uint64_t offset, bytes_view data);
	xet::result<> truncate(faulty_file const& f, std::uint64_t size);
	xet::result<> sync(faulty_file const& f);
	xet::result<> check_alive(faulty_file const& f);

	mutable std::mutex m_mutex;
	state m_state;
	std::uint64_t m_generation = 0;  // of handles
	std::map<std::filesystem::path, std::weak_ptr<void>> m_locks;
	std::unique_ptr<faulty_vfs> m_vfs;
};

struct faulty_disk::snapshot
{
	state saved;
};

} // namespace ut_xet_test
