#include "tests/support/faulty_vfs.hpp"

#include "tests/support/faulty_disk.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <sqlite3.h>

namespace ut_xet_test {

using namespace xet;

struct faulty_vfs::registration
{
	sqlite3_vfs vfs{};
	std::string name;
	faulty_disk* disk = nullptr;
	random_source random{0};

	static result<bool> has_content(sqlite3_vfs* v, char const* path) { return of(v).disk->has_content(path); }
	static registration& of(sqlite3_vfs* v) { return *static_cast<registration*>(v->pAppData); }
	static void fill_in(sqlite3_vfs& v);
};

namespace {

// What SQLite keeps in no named file: it needs no power cut.
class memory_file : public file
{
public:
	result<std::uint64_t> size() override { return m_data.size(); }
	result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> into) override
	{
		return memory_source(m_data).read_at(offset, into);
	}
	result<> write_at(std::uint64_t offset, bytes_view data) override
	{
		m_data.resize(std::max(m_data.size(), std::size_t(offset) + data.size()));
		std::copy(data.begin(), data.end(), m_data.begin() + std::ptrdiff_t(offset));
		return {};
	}
	result<> truncate(std::uint64_t size) override
	{
		m_data.resize(std::size_t(size));
		return {};
	}
	result<> sync() override { return {}; }

private:
	bytes m_data;
};

struct open_file
{
	sqlite3_file base;  // first: SQLite passes its address around
	faulty_disk* disk;
	std::unique_ptr<file> content;
	std::filesystem::path path;
	bool directory_sync_due;
	bool remove_on_close;
};

open_file& of(sqlite3_file* f) { return *reinterpret_cast<open_file*>(f); }

int code_for(result<> const& r, int otherwise)
{
	if (r) return SQLITE_OK;
	return r.error().code == errc::no_space ? SQLITE_FULL : otherwise;
}

int file_close(sqlite3_file* f)
{
	auto& o = of(f);
	if (o.remove_on_close) (void)o.disk->remove(o.path);
	o.~open_file();
	return SQLITE_OK;
}

int file_read(sqlite3_file* f, void* into, int length, sqlite3_int64 offset)
{
	auto const buffer = std::span(static_cast<std::uint8_t*>(into), std::size_t(length));
	auto const n = of(f).content->read_at(std::uint64_t(offset), buffer);
	if (!n) return SQLITE_IOERR_READ;
	if (*n == buffer.size()) return SQLITE_OK;
	std::fill(buffer.begin() + std::ptrdiff_t(*n), buffer.end(), std::uint8_t(0));
	return SQLITE_IOERR_SHORT_READ;
}

int file_write(sqlite3_file* f, void const* data, int length, sqlite3_int64 offset)
{
	auto const done = of(f).content->write_at(std::uint64_t(offset), {static_cast<std::uint8_t const*>(data), std::size_t(length)});
	return code_for(done, SQLITE_IOERR_WRITE);
}

int file_truncate(sqlite3_file* f, sqlite3_int64 size)
{
	return of(f).content->truncate(std::uint64_t(size)) ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int file_sync(sqlite3_file* f, int)
{
	auto& o = of(f);
	if (!o.content->sync()) return SQLITE_IOERR_FSYNC;
	// A journal's name is made durable with its first sync, and only tried: SQLite for Unix overlooks a failure here.
	if (o.directory_sync_due) (void)o.disk->sync_dir(o.path.parent_path());
	o.directory_sync_due = false;
	return SQLITE_OK;
}

int file_size(sqlite3_file* f, sqlite3_int64* size)
{
	auto const n = of(f).content->size();
	if (!n) return SQLITE_IOERR_FSTAT;
	*size = sqlite3_int64(*n);
	return SQLITE_OK;
}

int file_lock(sqlite3_file*, int) { return SQLITE_OK; }

int file_is_reserved(sqlite3_file*, int* reserved)
{
	*reserved = 0;
	return SQLITE_OK;
}

int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }

// SQLite's own default
int file_sector_size(sqlite3_file*) { return 4096; }

int file_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

sqlite3_io_methods const* file_methods()
{
	static sqlite3_io_methods const methods = []
	{
		sqlite3_io_methods m{};
		m.iVersion = 1;
		m.xClose = file_close;
		m.xRead = file_read;
		m.xWrite = file_write;
		m.xTruncate = file_truncate;
		m.xSync = file_sync;
		m.xFileSize = file_size;
		m.xLock = file_lock;
		m.xUnlock = file_lock;
		m.xCheckReservedLock = file_is_reserved;
		m.xFileControl = file_control;
		m.xSectorSize = file_sector_size;
		m.xDeviceCharacteristics = file_characteristics;
		return m;
	}();
	return &methods;
}

int vfs_delete(faulty_disk& disk, std::filesystem::path const& path, bool sync_directory)
{
	if (auto const done = disk.remove(path); !done)
		return done.error().code == errc::not_found ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
	if (sync_directory && !disk.sync_dir(path.parent_path())) return SQLITE_IOERR_DIR_FSYNC;
	return SQLITE_OK;
}

result<std::unique_ptr<file>> open_named(faulty_disk& disk, std::filesystem::path const& path, int flags)
{
	if (flags & SQLITE_OPEN_READONLY) return disk.open(path, open_mode::read);
	if (flags & SQLITE_OPEN_EXCLUSIVE) return disk.open(path, open_mode::create);
	if (!(flags & SQLITE_OPEN_CREATE) && !disk.exists(path)) return fail(errc::not_found, path.native());
	return disk.open(path, open_mode::read_write);
}

int vfs_open(faulty_disk& disk, char const* name, sqlite3_file* into, int flags, int* out_flags)
{
	into->pMethods = nullptr;  // SQLite then does not close what was not opened
	std::unique_ptr<file> content;
	if (name == nullptr)
		content = std::make_unique<memory_file>();
	else if (auto opened = open_named(disk, name, flags))
		content = std::move(*opened);
	else
		return SQLITE_CANTOPEN;
	bool const is_journal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL);
	bool const named = name != nullptr;
	::new (into) open_file{{file_methods()}, &disk, std::move(content), named ? name : "",
		named && is_journal && (flags & SQLITE_OPEN_CREATE), named && (flags & SQLITE_OPEN_DELETEONCLOSE)};
	if (out_flags != nullptr) *out_flags = flags;
	return SQLITE_OK;
}

int vfs_full_pathname(sqlite3_vfs*, char const* name, int capacity, char* out)
{
	auto const full = (std::filesystem::path("/") / name).lexically_normal().native();
	if (full.size() >= std::size_t(capacity)) return SQLITE_CANTOPEN;
	std::memcpy(out, full.c_str(), full.size() + 1);
	return SQLITE_OK;
}

int vfs_sleep(sqlite3_vfs*, int microseconds) { return microseconds; }

constexpr double julian_day_of_1970 = 2440587.5;
constexpr double seconds_per_day = 86400;

} // namespace

void faulty_vfs::registration::fill_in(sqlite3_vfs& v)
{
	v.iVersion = 1;
	v.szOsFile = int(sizeof(open_file));
	v.mxPathname = 512;
	v.xOpen = [](sqlite3_vfs* v, char const* name, sqlite3_file* into, int flags, int* out_flags)
	{ return vfs_open(*of(v).disk, name, into, flags, out_flags); };
	v.xDelete = [](sqlite3_vfs* v, char const* name, int sync_directory)
	{ return vfs_delete(*of(v).disk, name, sync_directory != 0); };
	v.xAccess = [](sqlite3_vfs* v, char const* name, int, int* out)
	{
		auto const there = has_content(v, name);
		*out = there && *there;
		return there ? SQLITE_OK : SQLITE_IOERR_ACCESS;
	};
	v.xFullPathname = vfs_full_pathname;
	v.xRandomness = [](sqlite3_vfs* v, int length, char* out)
	{
		for (int i = 0; i < length; ++i) out[i] = char(of(v).random.next());
		return length;
	};
	v.xSleep = vfs_sleep;
	v.xCurrentTime = [](sqlite3_vfs* v, double* out)
	{
		*out = julian_day_of_1970 + double(of(v).disk->clock()) / seconds_per_day;
		return SQLITE_OK;
	};
}

faulty_vfs::faulty_vfs(faulty_disk& disk) : m_registration(std::make_unique<registration>())
{
	static std::atomic<unsigned> count = 0;
	auto& r = *m_registration;
	r.name = "faulty_disk_" + std::to_string(++count);
	r.disk = &disk;
	r.vfs.zName = r.name.c_str();
	r.vfs.pAppData = &r;
	registration::fill_in(r.vfs);
	if (sqlite3_vfs_register(&r.vfs, 0) != SQLITE_OK) throw std::bad_alloc();
}

faulty_vfs::~faulty_vfs() { sqlite3_vfs_unregister(&m_registration->vfs); }

void faulty_vfs::reseed(std::uint64_t seed)
{
	m_registration->random = random_source(seed);
	// SQLite draws the salts of a WAL from one generator for all connections, which the default VFS would seed
	sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, int(seed % 0x7fffffff) + 1, nullptr);
}

char const* faulty_vfs::name() const { return m_registration->name.c_str(); }

} // namespace ut_xet_test
