#include "tonic/local_index.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

namespace tonic {

using xet::errc;
using xet::fail;

namespace {

// Many copies of one chunk (an empty page, a licence text) need not all be remembered to be found.
constexpr std::size_t max_places_per_chunk = 8;

constexpr std::size_t packed_chunk_bytes = 36;

xet::bytes pack(xet::chunk_list const& chunks)
{
	xet::bytes out;
	out.reserve(chunks.size() * packed_chunk_bytes);
	for (xet::chunk_ref const& c : chunks)
	{
		xet::append(out, c.hash.view());
		xet::append_be(out, c.size);
	}
	return out;
}

xet::chunk_list unpack(xet::bytes_view in)
{
	xet::chunk_list out;
	out.reserve(in.size() / packed_chunk_bytes);
	for (; in.size() >= packed_chunk_bytes; in = in.subspan(packed_chunk_bytes))
		out.push_back({xet::hash32::from(in), xet::read_be<std::uint32_t>(in.data() + 32)});
	return out;
}

constexpr char const* schema = R"(
	CREATE TABLE IF NOT EXISTS files(
		path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, mode INTEGER,
		hash BLOB, published INTEGER, chunks BLOB) WITHOUT ROWID;
	PRAGMA user_version = 1;
)";

} // namespace

struct local_index::database
{
	explicit database(std::filesystem::path const& file)
		: db(file, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
	{
		// an empty index that a power cut takes is made again
		db.exec("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA cache_size = -2000;");
		db.exec(schema);
		db.exec("PRAGMA synchronous = NORMAL;");
	}
	SQLite::Database db;
};

local_index::local_index() = default;
local_index::~local_index() = default;

xet::result<std::unique_ptr<local_index>> local_index::open(std::filesystem::path const& database_file, std::string* note)
{
	for (int attempt = 0;; ++attempt)
	{
		try
		{
			std::unique_ptr<local_index> index(new local_index);
			index->m_database = std::make_unique<database>(database_file);
			SQLite::Statement rows(index->m_database->db
				, "SELECT path, size, mtime_ns, ctime_ns, inode, mode, hash, published, chunks FROM files");
			while (rows.executeStep())
			{
				auto const blob = [&](int column) {
					auto const c = rows.getColumn(column);
					return xet::bytes_view(static_cast<std::uint8_t const*>(c.getBlob()), std::size_t(c.getBytes()));
				};
				if (blob(6).size() != 32) continue;
				local_file f;
				f.path = xet::as_text(blob(0));
				f.stamp = {std::uint64_t(rows.getColumn(1).getInt64()), rows.getColumn(2).getInt64()
					, rows.getColumn(3).getInt64(), std::uint64_t(rows.getColumn(4).getInt64()), rows.getColumn(5).getUInt()};
				f.hash = xet::hash32::from(blob(6));
				f.published = rows.getColumn(7).getInt() != 0;
				f.chunks = std::make_shared<xet::chunk_list const>(unpack(blob(8)));
				index->insert(std::move(f));
			}
			return index;
		}
		catch (std::exception const& e)
		{
			if (attempt > 0) return fail(errc::io, "cannot use ", database_file.string(), ": ", e.what());
			if (note != nullptr)
				*note = xet::cat("index ", database_file.string(), " was unusable (", e.what(), "); files will be read again");
			std::error_code ignored;
			std::filesystem::rename(database_file, database_file.string() + ".broken", ignored);
			for (char const* suffix : {"-wal", "-shm"}) std::filesystem::remove(database_file.string() + suffix, ignored);
		}
	}
}

void local_index::insert(local_file file)
{
	erase(file.path);
	auto const shared = std::make_shared<local_file const>(std::move(file));
	std::uint64_t offset = 0;
	xet::hash32 const* previous = nullptr;
	for (xet::chunk_ref const& c : *shared->chunks)
	{
		// a run of one repeated chunk (a sparse file) is one place; few places per chunk are enough
		bool const repeated = previous != nullptr && *previous == c.hash;
		if (!repeated && m_places.count(c.hash) < max_places_per_chunk)
			m_places.emplace(c.hash, chunk_place{shared.get(), offset, c.size});
		previous = &c.hash;
		offset += c.size;
	}
	m_files.emplace(shared->path, shared);
}

void local_index::erase(std::string_view path)
{
	auto const i = m_files.find(path);
	if (i == m_files.end()) return;
	auto const file = i->second;
	m_files.erase(i);
	for (xet::chunk_ref const& c : *file->chunks)
	{
		auto const [begin, end] = m_places.equal_range(c.hash);
		for (auto p = begin; p != end;) p = p->second.file == file.get() ? m_places.erase(p) : std::next(p);
	}
}

local_file const* local_index::find(std::string_view path) const
{
	std::lock_guard const lock(m_mutex);
	auto const i = m_files.find(path);
	return i == m_files.end() ? nullptr : i->second.get();
}

std::vector<std::shared_ptr<local_file const>> local_index::all() const
{
	std::lock_guard const lock(m_mutex);
	std::vector<std::shared_ptr<local_file const>> out;
	out.reserve(m_files.size());
	for (auto const& [path, file] : m_files) out.push_back(file);
	return out;
}

std::size_t local_index::size() const
{
	std::lock_guard const lock(m_mutex);
	return m_files.size();
}

xet::result<> local_index::apply(std::vector<local_file> changed, std::vector<std::string> const& removed)
{
	if (changed.empty() && removed.empty()) return {};
	try
	{
		SQLite::Transaction transaction(m_database->db);
		SQLite::Statement gone(m_database->db, "DELETE FROM files WHERE path = ?");
		for (std::string const& path : removed)
		{
			gone.bindNoCopy(1, path.data(), int(path.size()));
			gone.exec();
			gone.reset();
		}
		SQLite::Statement put(m_database->db, "INSERT OR REPLACE INTO files VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
		for (local_file const& f : changed)
		{
			auto const chunks = pack(*f.chunks);
			put.bindNoCopy(1, f.path.data(), int(f.path.size()));
			put.bind(2, std::int64_t(f.stamp.size));
			put.bind(3, f.stamp.mtime_ns);
			put.bind(4, f.stamp.ctime_ns);
			put.bind(5, std::int64_t(f.stamp.inode));
			put.bind(6, f.stamp.mode);
			put.bindNoCopy(7, f.hash.raw.data(), 32);
			put.bind(8, int(f.published));
			put.bindNoCopy(9, chunks.data(), int(chunks.size()));
			put.exec();
			put.reset();
		}
		transaction.commit();
	}
	catch (std::exception const& e)
	{
		return fail(errc::io, "cannot write the folder's index: ", e.what());
	}
	std::lock_guard const lock(m_mutex);
	for (std::string const& path : removed) erase(path);
	for (local_file& f : changed) insert(std::move(f));
	return {};
}

std::vector<local_index::place> local_index::locate(xet::hash32 const& h) const
{
	std::lock_guard const lock(m_mutex);
	std::vector<place> out;
	auto const [begin, end] = m_places.equal_range(h);
	for (auto p = begin; p != end; ++p)
	{
		auto const file = m_files.find(p->second.file->path);
		if (file != m_files.end()) out.push_back({file->second, p->second.offset, p->second.size});
	}
	return out;
}

} // namespace tonic
