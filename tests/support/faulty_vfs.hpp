#pragma once
// SQLite's view of a faulty_disk: a VFS that does to it, operation by operation, what SQLite's own for Unix does to a disk.
//
// Locks are no-ops and there is no shared memory: WAL needs PRAGMA locking_mode=EXCLUSIVE as a connection's first statement.
// As SQLite's own it promises that a write leaves the bytes beside it alone (SQLITE_IOCAP_POWERSAFE_OVERWRITE), which holds for
// disk_image. Without it SQLite pads its log up to a sector, syncs half of the padding and counts all of it: a later sync
// that fails may then lose what was committed after it.
//
// Thread rule: as SQLite's: any thread; a connection is used by one at a time.

#include <cstdint>
#include <memory>

namespace ut_xet_test {

class faulty_disk;

class faulty_vfs
{
public:
	explicit faulty_vfs(faulty_disk& disk);
	~faulty_vfs();
	faulty_vfs(faulty_vfs const&) = delete;

	char const* name() const;
	void reseed(std::uint64_t seed);

private:
	struct registration;
	std::unique_ptr<registration> m_registration;
};

} // namespace ut_xet_test
