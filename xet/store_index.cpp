#include "xet/store_index.hpp"

#include "xet/little_endian.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <bit>
#include <random>
#include <sqlite3.h>

namespace xet {

namespace {

constexpr int format_version = 1;  // of the database; do not change without a way to take over the old one
constexpr std::size_t packed_chunk_bytes = 40;
constexpr std::uint32_t compressed_bit = 0x8000'0000;

char const* const schema = R"(
	CREATE TABLE setting(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
	CREATE TABLE xorb(id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, name BLOB NOT NULL, chunks INTEGER NOT NULL,
		bytes INTEGER NOT NULL, stored INTEGER NOT NULL, added INTEGER NOT NULL, last_used INTEGER NOT NULL,
		released INTEGER NOT NULL, condemned INTEGER NOT NULL);
	CREATE TABLE chunk_list(xorb INTEGER PRIMARY KEY, sum INTEGER NOT NULL, list BLOB NOT NULL);
	CREATE TABLE holder(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, logical_bytes INTEGER NOT NULL);
	CREATE TABLE ref(holder INTEGER NOT NULL, xorb INTEGER NOT NULL, bits BLOB NOT NULL, PRIMARY KEY(holder, xorb)) WITHOUT ROWID;
	CREATE INDEX ref_by_xorb ON ref(xorb);
	CREATE TABLE wanted(kind INTEGER NOT NULL, hash BLOB NOT NULL, holder INTEGER NOT NULL, size INTEGER NOT NULL,
		PRIMARY KEY(kind, hash, holder)) WITHOUT ROWID;
)";

bytes pack(std::span<xorb_entry const> chunks)
{
	bytes out(chunks.size() * packed_chunk_bytes);
	auto* p = out.data();
	for (xorb_entry const& c : chunks)
	{
		std::memcpy(p, c.hash.raw.data(), 32);
		write_le(p + 32, c.size);
		write_le(p + 36, c.stored | (c.compressed ? compressed_bit : 0));
		p += packed_chunk_bytes;
	}
	return out;
}

std::vector<xorb_entry> unpack(bytes_view list)
{
	std::vector<xorb_entry> out(list.size() / packed_chunk_bytes);
	std::uint64_t offset = xorb_header_bytes;
	for (std::size_t i = 0; i < out.size(); ++i)
	{
		auto const* const p = list.data() + i * packed_chunk_bytes;
		auto const stored = read_le<std::uint32_t>(p + 36);
		offset += xorb_entry_header_bytes;
		out[i] = {hash32::from({p, 32}), read_le<std::uint32_t>(p + 32), stored & ~compressed_bit, (stored & compressed_bit) != 0, offset};
		offset += out[i].stored;
	}
	return out;
}

// Notices a flipped bit in a list; says nothing about intent.
std::int64_t sum_of(bytes_view list)
{
	auto const h = chunk_hash(has_blake3() ? hash_kind::blake3 : hash_kind::sha256, list);
	return std::int64_t(read_be<std::uint64_t>(h.raw.data()));
}

bytes_view blob(SQLite::Statement& row, int column)
{
	auto const value = row.getColumn(column);
	return {static_cast<std::uint8_t const*>(value.getBlob()), std::size_t(value.getBytes())};
}

hash32 hash_at(SQLite::Statement& row, int column)
{
	auto const b = blob(row, column);
	if (b.size() != 32) throw std::runtime_error("a hash in the index does not have 32 bytes");
	return hash32::from(b);
}

hash_kind kind_at(SQLite::Statement& row, int column)
{
	auto const k = row.getColumn(column).getInt();
	if (k < 0 || k > int(hash_kind::hf)) throw std::runtime_error("a row of the index has an unknown hash kind");
	return hash_kind(k);
}

void bind_blob(SQLite::Statement& s, int i, bytes_view b)
{
	// an empty blob must not become NULL
	s.bind(i, b.empty() ? static_cast<void const*>("") : b.data(), int(b.size()));
}

// Nothing is wrong with the index: it must not be put aside.
struct newer_format : std::runtime_error
{
	using std::runtime_error::runtime_error;
};

errc class_of(SQLite::Exception const& e)
{
	switch (e.getErrorCode() & 0xff)
	{
	case SQLITE_FULL: return errc::no_space;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return errc::mismatch;
	default: return errc::io;
	}
}

} // namespace

bool same_chunks(std::span<xorb_entry const> a, std::span<xorb_entry const> b)
{
	return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](xorb_entry const& x, xorb_entry const& y) { return x.hash == y.hash && x.size == y.size; });
}

// --- chunk_bits --------------------------------------------------------------------------------------------------------

chunk_bits chunk_bits::all(std::size_t count)
{
	bytes b(count / 8, 0xff);
	if (count % 8 != 0) b.push_back(std::uint8_t((1u << (count % 8)) - 1));
	return chunk_bits(std::move(b));
}

void chunk_bits::set(std::size_t i)
{
	if (m_bits.size() <= i / 8) m_bits.resize(i / 8 + 1);
	m_bits[i / 8] |= std::uint8_t(1u << (i % 8));
}

bool chunk_bits::any() const
{
	return std::any_of(m_bits.begin(), m_bits.end(), [](std::uint8_t b) { return b != 0; });
}

chunk_bits& chunk_bits::operator|=(chunk_bits const& o)
{
	if (m_bits.size() < o.m_bits.size()) m_bits.resize(o.m_bits.size());
	for (std::size_t i = 0; i < o.m_bits.size(); ++i) m_bits[i] |= o.m_bits[i];
	return *this;
}

// --- opening -----------------------------------------------------------------------------------------------------------

store_index::store_index(std::unique_ptr<SQLite::Database> db, std::filesystem::path path) : m_db(std::move(db)), m_path(std::move(path)) {}
store_index::~store_index() = default;

// Exceptions of the SQLite library end here.
template <class F>
auto store_index::attempt(char const* what, F f) -> result<std::invoke_result_t<F>>
{
	try
	{
		if constexpr (std::is_void_v<std::invoke_result_t<F>>)
		{
			f();
			return {};
		}
		else return f();
	}
	catch (SQLite::Exception const& e)
	{
		return fail(class_of(e), "cannot ", what, " the store's index ", m_path.native(), ": ", e.what());
	}
	catch (newer_format const& e)
	{
		return fail(errc::unsupported, "cannot ", what, " the store's index ", m_path.native(), ": ", e.what());
	}
	catch (std::bad_alloc const&)
	{
		return fail(errc::limit, "cannot ", what, " the store's index ", m_path.native(), ": out of memory");
	}
	catch (std::exception const& e)
	{
		return fail(errc::mismatch, "cannot ", what, " the store's index ", m_path.native(), ": ", e.what());
	}
}

void store_index::prepare()
{
	// one process has the store: no shared memory for the log is needed
	m_db->exec("PRAGMA locking_mode=EXCLUSIVE");
	m_db->exec("PRAGMA journal_mode=WAL");
	m_db->exec("PRAGMA synchronous=FULL");
	m_db->exec("PRAGMA temp_store=MEMORY");
	m_db->exec("PRAGMA cache_size=-8000");
	int const version = m_db->execAndGet("PRAGMA user_version").getInt();
	if (version == 0)
	{
		std::random_device random;
		std::array<std::uint8_t, 16> id;
		for (std::uint8_t& b : id) b = std::uint8_t(random());
		SQLite::Transaction transaction(*m_db);
		m_db->exec(schema);
		SQLite::Statement put(*m_db, "INSERT INTO setting VALUES('id', ?)");
		put.bind(1, to_hex(id));
		put.exec();
		m_db->exec("PRAGMA user_version=" + std::to_string(format_version));
		transaction.commit();
	}
	else if (version != format_version)
		throw newer_format(cat("it has version ", version, "; this program knows ", format_version));
	auto const id = from_hex(m_db->execAndGet("SELECT value FROM setting WHERE key = 'id'").getString());
	if (!id || id->size() != m_id.size()) throw std::runtime_error("it has no id");
	std::copy(id->begin(), id->end(), m_id.begin());
}

result<std::unique_ptr<store_index>> store_index::open(file_layer& files, std::filesystem::path const& database, bool check)
{
	try
	{
		auto db = std::make_unique<SQLite::Database>(database.c_str(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 0, files.sqlite_vfs());
		std::unique_ptr<store_index> index(new store_index(std::move(db), database));
		auto const ready = index->attempt("open", [&] { index->prepare(); });
		if (!ready) return tl::unexpected(ready.error());
		if (check)
		{
			auto const found = index->problems();
			if (!found) return tl::unexpected(found.error());
			if (!found->empty()) return fail(errc::mismatch, "the store's index ", database.native(), " is damaged: ", found->front());
		}
		return index;
	}
	catch (SQLite::Exception const& e)
	{
		return fail(class_of(e), "cannot open the store's index ", database.native(), ": ", e.what());
	}
}

result<std::vector<std::string>> store_index::problems()
{
	return attempt("check", [&] {
		std::vector<std::string> out;
		SQLite::Statement pages(*m_db, "PRAGMA quick_check(20)");
		while (pages.executeStep())
			if (auto const text = pages.getColumn(0).getString(); text != "ok") out.push_back(text);
		if (!out.empty()) return out;

		SQLite::Statement rows(*m_db, "SELECT xorb.id, chunks, sum, list FROM xorb LEFT JOIN chunk_list ON chunk_list.xorb = xorb.id");
		while (rows.executeStep())
		{
			auto const list = blob(rows, 3);
			if (list.size() != rows.getColumn(1).getUInt() * packed_chunk_bytes || sum_of(list) != rows.getColumn(2).getInt64())
				out.push_back(cat("the chunk list of xorb ", rows.getColumn(0).getInt64(), " is damaged"));
		}
		SQLite::Statement lost(*m_db, "SELECT count(*) FROM ref WHERE xorb NOT IN (SELECT id FROM xorb) OR holder NOT IN (SELECT id FROM holder)");
		lost.executeStep();
		if (auto const n = lost.getColumn(0).getInt64(); n != 0) out.push_back(cat(n, " references lead to nothing"));
		return out;
	});
}

// --- xorbs -------------------------------------------------------------------------------------------------------------

result<std::vector<xorb_row>> store_index::xorbs()
{
	return attempt("read", [&] {
		std::vector<xorb_row> out;
		SQLite::Statement rows(*m_db, "SELECT id, kind, name, chunks, bytes, stored, added, last_used, released, condemned FROM xorb ORDER BY id");
		while (rows.executeStep())
		{
			out.push_back({rows.getColumn(0).getUInt(), kind_at(rows, 1), hash_at(rows, 2), rows.getColumn(3).getUInt()
				, std::uint64_t(rows.getColumn(4).getInt64()), std::uint64_t(rows.getColumn(5).getInt64()), rows.getColumn(6).getInt64()
				, rows.getColumn(7).getInt64(), rows.getColumn(8).getInt64(), rows.getColumn(9).getInt64()});
		}
		return out;
	});
}

result<std::uint32_t> store_index::next_xorb()
{
	return attempt("read", [&] {
		SQLite::Statement row(*m_db, "SELECT seq FROM sqlite_sequence WHERE name = 'xorb'");
		return row.executeStep() ? std::uint32_t(row.getColumn(0).getInt64() + 1) : 1u;
	});
}

result<std::vector<xorb_entry>> store_index::chunks_of(std::uint32_t id)
{
	return attempt("read", [&] {
		SQLite::Statement row(*m_db, "SELECT sum, list FROM chunk_list WHERE xorb = ?");
		row.bind(1, std::int64_t(id));
		if (!row.executeStep()) throw std::runtime_error(cat("xorb ", id, " has no chunk list"));
		auto const list = blob(row, 1);
		if (sum_of(list) != row.getColumn(0).getInt64()) throw std::runtime_error(cat("the chunk list of xorb ", id, " is damaged"));
		return unpack(list);
	});
}

result<std::uint32_t> store_index::add_xorb(xorb_row const& row, std::span<xorb_entry const> chunks, std::optional<std::uint32_t> instead_of)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		SQLite::Statement put(*m_db, "INSERT INTO xorb(kind, name, chunks, bytes, stored, added, last_used, released, condemned) VALUES(?, ?, ?, ?, ?, ?, ?, ?, 0)");
		put.bind(1, int(row.kind));
		bind_blob(put, 2, row.name.view());
		put.bind(3, std::int64_t(chunks.size()));
		put.bind(4, std::int64_t(row.bytes));
		put.bind(5, std::int64_t(row.stored));
		put.bind(6, row.added);
		put.bind(7, row.last_used);
		put.bind(8, row.released);
		put.exec();
		auto const id = m_db->getLastInsertRowid();
		if (id > std::int64_t(UINT32_MAX)) throw std::runtime_error("it has run out of xorb numbers; make it anew with rebuild-index");
		auto const list = pack(chunks);
		SQLite::Statement put_list(*m_db, "INSERT INTO chunk_list VALUES(?, ?, ?)");
		put_list.bind(1, id);
		put_list.bind(2, sum_of(list));
		bind_blob(put_list, 3, list);
		put_list.exec();
		if (instead_of)
		{
			SQLite::Statement move(*m_db, "UPDATE ref SET xorb = ? WHERE xorb = ?");
			move.bind(1, id);
			move.bind(2, std::int64_t(*instead_of));
			move.exec();
			remove_row(*instead_of);
		}
		transaction.commit();
		return std::uint32_t(id);
	});
}

// Inside a transaction. What refers to it goes too.
void store_index::remove_row(std::uint32_t xorb)
{
	for (char const* what : {"DELETE FROM ref WHERE xorb = ?", "DELETE FROM chunk_list WHERE xorb = ?", "DELETE FROM xorb WHERE id = ?"})
	{
		SQLite::Statement gone(*m_db, what);
		gone.bind(1, std::int64_t(xorb));
		gone.exec();
	}
}

result<> store_index::condemn(std::vector<std::uint32_t> const& xorbs, std::int64_t now)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		SQLite::Statement put(*m_db, "UPDATE xorb SET condemned = ? WHERE id = ?");
		for (auto const id : xorbs)
		{
			put.bind(1, now);
			put.bind(2, std::int64_t(id));
			put.exec();
			put.reset();
		}
		transaction.commit();
	});
}

result<> store_index::reprieve(std::vector<std::uint32_t> const& xorbs) { return condemn(xorbs, 0); }

result<> store_index::remove(std::vector<std::uint32_t> const& xorbs, std::vector<wanted_chunk> const& wanted)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		for (auto const id : xorbs) remove_row(id);
		SQLite::Statement put(*m_db, "INSERT OR IGNORE INTO wanted VALUES(?, ?, ?, ?)");
		for (wanted_chunk const& w : wanted)
		{
			put.bind(1, int(w.kind));
			bind_blob(put, 2, w.hash.view());
			put.bind(3, holder_id(w.holder));
			put.bind(4, std::int64_t(w.size));
			put.exec();
			put.reset();
		}
		transaction.commit();
	});
}

result<> store_index::want(std::vector<wanted_chunk> const& chunks) { return remove({}, chunks); }

result<> store_index::note_use(std::map<std::uint32_t, std::int64_t> const& last_used)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		SQLite::Statement put(*m_db, "UPDATE xorb SET last_used = max(last_used, ?) WHERE id = ?");
		for (auto const& [id, when] : last_used)
		{
			put.bind(1, when);
			put.bind(2, std::int64_t(id));
			put.exec();
			put.reset();
		}
		transaction.commit();
	});
}

// --- holders -----------------------------------------------------------------------------------------------------------

// Inside a transaction.
std::int64_t store_index::holder_id(std::string const& name)
{
	SQLite::Statement make(*m_db, "INSERT OR IGNORE INTO holder(name, logical_bytes) VALUES(?, 0)");
	make.bind(1, name);
	make.exec();
	SQLite::Statement get(*m_db, "SELECT id FROM holder WHERE name = ?");
	get.bind(1, name);
	get.executeStep();
	return get.getColumn(0).getInt64();
}

// Inside a transaction.
void store_index::add_refs(std::int64_t holder, std::uint32_t xorb, chunk_bits const& bits)
{
	chunk_bits all = bits;
	SQLite::Statement old(*m_db, "SELECT bits FROM ref WHERE holder = ? AND xorb = ?");
	old.bind(1, holder);
	old.bind(2, std::int64_t(xorb));
	if (old.executeStep())
	{
		auto const b = blob(old, 0);
		all |= chunk_bits(bytes(b.begin(), b.end()));
	}
	SQLite::Statement put(*m_db, "INSERT OR REPLACE INTO ref VALUES(?, ?, ?)");
	put.bind(1, holder);
	put.bind(2, std::int64_t(xorb));
	bind_blob(put, 3, all.packed());
	put.exec();
}

result<std::vector<store_index::holder_row>> store_index::holders()
{
	return attempt("read", [&] {
		std::vector<holder_row> out;
		SQLite::Statement rows(*m_db, "SELECT name, logical_bytes FROM holder ORDER BY name");
		while (rows.executeStep()) out.push_back({rows.getColumn(0).getString(), std::uint64_t(rows.getColumn(1).getInt64())});
		return out;
	});
}

result<std::vector<std::string>> store_index::holders_of(std::uint32_t xorb, std::uint32_t ordinal)
{
	return attempt("read", [&] {
		std::vector<std::string> out;
		SQLite::Statement rows(*m_db, "SELECT name, bits FROM ref JOIN holder ON holder.id = ref.holder WHERE xorb = ? ORDER BY name");
		rows.bind(1, std::int64_t(xorb));
		while (rows.executeStep())
		{
			auto const b = blob(rows, 1);
			if (chunk_bits(bytes(b.begin(), b.end())).test(ordinal)) out.push_back(rows.getColumn(0).getString());
		}
		return out;
	});
}

result<bool> store_index::holds(std::string const& holder, std::uint32_t xorb, std::uint32_t ordinal)
{
	return attempt("read", [&] {
		SQLite::Statement row(*m_db, "SELECT bits FROM ref WHERE xorb = ? AND holder = (SELECT id FROM holder WHERE name = ?)");
		row.bind(1, std::int64_t(xorb));
		row.bind(2, holder);
		if (!row.executeStep()) return false;
		auto const b = blob(row, 0);
		return chunk_bits(bytes(b.begin(), b.end())).test(ordinal);
	});
}

result<chunk_refs> store_index::refs_of(std::string const& holder)
{
	return attempt("read", [&] {
		chunk_refs out;
		SQLite::Statement rows(*m_db, "SELECT xorb, bits FROM ref WHERE holder = (SELECT id FROM holder WHERE name = ?)");
		rows.bind(1, holder);
		while (rows.executeStep())
		{
			auto const b = blob(rows, 1);
			out[rows.getColumn(0).getUInt()] |= chunk_bits(bytes(b.begin(), b.end()));
		}
		return out;
	});
}

result<chunk_refs> store_index::all_refs()
{
	return attempt("read", [&] {
		chunk_refs out;
		SQLite::Statement rows(*m_db, "SELECT xorb, bits FROM ref");
		while (rows.executeStep())
		{
			auto const b = blob(rows, 1);
			out[rows.getColumn(0).getUInt()] |= chunk_bits(bytes(b.begin(), b.end()));
		}
		return out;
	});
}

result<chunk_bits> store_index::all_refs_of_xorb(std::uint32_t id)
{
	return attempt("read", [&] {
		chunk_bits out;
		SQLite::Statement rows(*m_db, "SELECT bits FROM ref WHERE xorb = ?");
		rows.bind(1, std::int64_t(id));
		while (rows.executeStep())
		{
			auto const b = blob(rows, 0);
			out |= chunk_bits(bytes(b.begin(), b.end()));
		}
		return out;
	});
}

result<std::vector<std::uint32_t>> store_index::ref_counts(std::uint32_t id, std::uint32_t chunks)
{
	return attempt("read", [&] {
		std::vector<std::uint32_t> out(chunks);
		SQLite::Statement rows(*m_db, "SELECT bits FROM ref WHERE xorb = ?");
		rows.bind(1, std::int64_t(id));
		while (rows.executeStep())
		{
			auto const b = blob(rows, 0);
			chunk_bits const bits(bytes(b.begin(), b.end()));
			for (std::uint32_t i = 0; i < chunks; ++i) out[i] += bits.test(i) ? 1 : 0;
		}
		return out;
	});
}

result<> store_index::hold(std::string const& holder, std::uint64_t logical_bytes, chunk_refs const& refs, bool replace, std::int64_t now)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		auto const id = holder_id(holder);
		if (replace)
		{
			SQLite::Statement given_up(*m_db, "UPDATE xorb SET released = ? WHERE id IN (SELECT xorb FROM ref WHERE holder = ?)");
			given_up.bind(1, now);
			given_up.bind(2, id);
			given_up.exec();
			for (char const* what : {"DELETE FROM ref WHERE holder = ?", "DELETE FROM wanted WHERE holder = ?"})
			{
				SQLite::Statement gone(*m_db, what);
				gone.bind(1, id);
				gone.exec();
			}
		}
		SQLite::Statement size(*m_db, replace ? "UPDATE holder SET logical_bytes = ? WHERE id = ?"
			: "UPDATE holder SET logical_bytes = logical_bytes + ? WHERE id = ?");
		size.bind(1, std::int64_t(logical_bytes));
		size.bind(2, id);
		size.exec();
		SQLite::Statement kept(*m_db, "UPDATE xorb SET condemned = 0 WHERE id = ? AND condemned != 0");
		for (auto const& [xorb, bits] : refs)
		{
			add_refs(id, xorb, bits);
			kept.bind(1, std::int64_t(xorb));
			kept.exec();
			kept.reset();
		}
		transaction.commit();
	});
}

result<> store_index::release(std::string const& holder, std::int64_t now)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		SQLite::Statement given_up(*m_db, "UPDATE xorb SET released = ? WHERE id IN (SELECT xorb FROM ref WHERE holder = (SELECT id FROM holder WHERE name = ?))");
		given_up.bind(1, now);
		given_up.bind(2, holder);
		given_up.exec();
		for (char const* what : {"DELETE FROM ref WHERE holder = (SELECT id FROM holder WHERE name = ?)"
			, "DELETE FROM wanted WHERE holder = (SELECT id FROM holder WHERE name = ?)", "DELETE FROM holder WHERE name = ?"})
		{
			SQLite::Statement gone(*m_db, what);
			gone.bind(1, holder);
			gone.exec();
		}
		transaction.commit();
	});
}

// --- moved and wanted chunks -------------------------------------------------------------------------------------------

result<> store_index::replace(std::uint32_t old, std::vector<std::optional<place>> const& new_places)
{
	auto const chunks = chunks_of(old);
	if (!chunks) return tl::unexpected(chunks.error());
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		std::vector<std::pair<std::int64_t, chunk_bits>> refs;
		{
			SQLite::Statement rows(*m_db, "SELECT holder, bits FROM ref WHERE xorb = ?");
			rows.bind(1, std::int64_t(old));
			while (rows.executeStep())
			{
				auto const b = blob(rows, 1);
				refs.emplace_back(rows.getColumn(0).getInt64(), bytes(b.begin(), b.end()));
			}
		}
		SQLite::Statement get_kind(*m_db, "SELECT kind FROM xorb WHERE id = ?");
		get_kind.bind(1, std::int64_t(old));
		if (!get_kind.executeStep()) throw std::runtime_error(cat("there is no xorb ", old));
		int const kind = get_kind.getColumn(0).getInt();
		SQLite::Statement want(*m_db, "INSERT OR IGNORE INTO wanted VALUES(?, ?, ?, ?)");
		for (auto const& [holder, bits] : refs)
		{
			chunk_refs moved;
			for (std::size_t i = 0; i < chunks->size(); ++i)
			{
				if (!bits.test(i)) continue;
				if (i < new_places.size() && new_places[i]) moved[new_places[i]->xorb].set(new_places[i]->ordinal);
				else
				{
					want.bind(1, kind);
					bind_blob(want, 2, (*chunks)[i].hash.view());
					want.bind(3, holder);
					want.bind(4, std::int64_t((*chunks)[i].size));
					want.exec();
					want.reset();
				}
			}
			for (auto const& [xorb, b] : moved) add_refs(holder, xorb, b);
		}
		remove_row(old);
		transaction.commit();
	});
}

result<std::vector<wanted_chunk>> store_index::wanted()
{
	return attempt("read", [&] {
		std::vector<wanted_chunk> out;
		SQLite::Statement rows(*m_db, "SELECT kind, hash, size, name FROM wanted JOIN holder ON holder.id = wanted.holder ORDER BY kind, hash, name");
		while (rows.executeStep()) out.push_back({kind_at(rows, 0), hash_at(rows, 1), rows.getColumn(2).getUInt(), rows.getColumn(3).getString()});
		return out;
	});
}

result<> store_index::found(hash_kind kind, std::uint32_t xorb, std::vector<std::pair<hash32, std::uint32_t>> const& chunks)
{
	return attempt("write", [&] {
		SQLite::Transaction transaction(*m_db);
		std::map<std::int64_t, chunk_bits> bits;
		SQLite::Statement rows(*m_db, "SELECT holder FROM wanted WHERE kind = ? AND hash = ?");
		SQLite::Statement gone(*m_db, "DELETE FROM wanted WHERE kind = ? AND hash = ?");
		for (auto const& [hash, ordinal] : chunks)
		{
			for (SQLite::Statement* s : {&rows, &gone})
			{
				s->bind(1, int(kind));
				bind_blob(*s, 2, hash.view());
			}
			while (rows.executeStep()) bits[rows.getColumn(0).getInt64()].set(ordinal);
			gone.exec();
			rows.reset();
			gone.reset();
		}
		for (auto const& [holder, b] : bits) add_refs(holder, xorb, b);
		transaction.commit();
	});
}

result<std::uint32_t> store_index::wanted_size(hash_kind kind, hash32 const& hash)
{
	return attempt("read", [&] {
		SQLite::Statement row(*m_db, "SELECT max(size) FROM wanted WHERE kind = ? AND hash = ?");
		row.bind(1, int(kind));
		bind_blob(row, 2, hash.view());
		return row.executeStep() ? row.getColumn(0).getUInt() : 0u;
	});
}

// --- settings ----------------------------------------------------------------------------------------------------------

result<std::string> store_index::setting(std::string const& key)
{
	return attempt("read", [&] {
		SQLite::Statement row(*m_db, "SELECT value FROM setting WHERE key = ?");
		row.bind(1, key);
		return row.executeStep() ? row.getColumn(0).getString() : std::string();
	});
}

result<> store_index::set(std::string const& key, std::string const& value)
{
	return attempt("write", [&] {
		SQLite::Statement put(*m_db, "INSERT OR REPLACE INTO setting VALUES(?, ?)");
		put.bind(1, key);
		put.bind(2, value);
		put.exec();
	});
}

} // namespace xet
