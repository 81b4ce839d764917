// Opening a store: what the index knows and what lies on the disk are brought together again.

#include "xet/chunk_store.hpp"
#include "xet/little_endian.hpp"

#include <algorithm>

namespace xet {

namespace {

// Up to this size the whole index is looked through at every start (about 0.5 s a GiB); a larger one when it is scrubbed.
constexpr std::uint64_t max_checked_index_bytes = 1ull << 30;
constexpr char const* index_name = "index.db";
constexpr char const* temporary_prefix = ".tmp-";
constexpr char const* xorb_suffix = ".xorb";

void say(std::string& note, std::string const& more) { note += note.empty() ? more : "; " + more; }

std::optional<hash32> name_of_file(std::string const& name)
{
	if (!name.ends_with(xorb_suffix)) return std::nullopt;
	return hash_from_hex(std::string_view(name).substr(0, name.size() - std::string_view(xorb_suffix).size()));
}

} // namespace

result<std::unique_ptr<chunk_store>> chunk_store::open(file_layer& files, std::filesystem::path dir, store_options options, std::string* note)
{
	std::unique_ptr<chunk_store> store(new chunk_store(files, std::move(dir), std::move(options)));
	std::string found;
	auto const started = store->start(found);
	if (note != nullptr) *note = found;
	if (!started) return tl::unexpected(started.error());
	return store;
}

result<> chunk_store::start(std::string& note)
{
	for (hash_kind const kind : all_hash_kinds)
		if (auto const made = m_files.make_dirs(m_dir / "xorbs" / name_of(kind)); !made) return made;
	auto locked = m_files.lock(m_dir / "lock");
	if (!locked)
	{
		if (locked.error().code != errc::refused) return tl::unexpected(locked.error());
		return fail(errc::refused, "the store ", m_dir.native(), " is in use by another process; end it first, or ask it");
	}
	m_lock = std::move(*locked);
	for (auto const& step : {&chunk_store::open_index, &chunk_store::load_xorbs})
		if (auto const done = (this->*step)(note); !done) return done;
	for (wreck const& w : std::exchange(m_wrecks, {}))
		if (auto const done = salvage(w, note); !done) return done;
	// names made by this start are as durable as what was acknowledged
	for (auto const& dir : {m_dir.parent_path(), m_dir, m_dir / "xorbs"})
		if (auto const synced = m_files.sync_dir(dir); !synced) return synced;
	return {};
}

// A damaged index is put aside and made again.
result<> chunk_store::open_index(std::string& note)
{
	auto const path = m_dir / index_name;
	auto const listed = m_files.list(m_dir);
	if (!listed) return tl::unexpected(listed.error());
	auto const old = std::find_if(listed->begin(), listed->end(), [](auto const& e) { return e.name == index_name; });
	bool const check = old != listed->end() && old->size <= max_checked_index_bytes;
	auto index = store_index::open(m_files, path, check);
	// SQLite tells of a read that failed as of a damaged page: what is damaged still is so the second time
	if (!index && index.error().code == errc::mismatch) index = store_index::open(m_files, path, check);
	if (!index && index.error().code == errc::mismatch)
	{
		say(note, cat(index.error().message, "; it was made again from the xorbs"));
		auto aside = path;
		aside += ".damaged";
		(void)m_files.remove(aside);
		for (char const* suffix : {"-wal", "-journal", "-shm"}) (void)m_files.remove(path.native() + suffix);
		if (auto const moved = m_files.rename(path, aside); !moved) return moved;
		index = store_index::open(m_files, path, false);
	}
	if (!index) return tl::unexpected(index.error());
	m_index = std::move(*index);
	return reload_wanted();
}

result<> chunk_store::load_xorbs(std::string& note)
{
	auto const rows = m_index->xorbs();
	if (!rows) return tl::unexpected(rows.error());
	std::map<hash_kind, std::map<hash32, xorb_row>> known;
	for (xorb_row const& row : *rows) known[row.kind].insert_or_assign(row.name, row);
	for (hash_kind const kind : all_hash_kinds)
		if (auto const loaded = load_kind(kind, std::move(known[kind]), note); !loaded) return loaded;
	// what was wanted may have come back
	for (std::uint32_t const id : std::exchange(m_adopted, {}))
	{
		if (m_wanted.empty()) break;
		auto const chunks = m_index->chunks_of(id);
		if (!chunks) return tl::unexpected(chunks.error());
		if (auto const healed = heal(*m_containers.at(id), *chunks); !healed) return healed;
	}
	return open_table();
}

result<> chunk_store::load_kind(hash_kind kind, std::map<hash32, xorb_row> known, std::string& note)
{
	auto const dir = m_dir / "xorbs" / name_of(kind);
	auto const entries = m_files.list(dir);
	if (!entries) return tl::unexpected(entries.error());
	for (file_layer::entry const& e : *entries)
	{
		if (e.name.starts_with(temporary_prefix))
		{
			(void)m_files.remove(dir / e.name);
			continue;
		}
		auto const name = name_of_file(e.name);
		if (!name) continue;
		auto const row = known.find(*name);
		if (row == known.end())
		{
			if (auto const done = adopt(kind, e); !done) return done;
			continue;
		}
		if (e.size != row->second.stored)
		{
			auto const taken = take_other_layout(row->second, e.size);
			if (!taken) return tl::unexpected(taken.error());
			if (*taken)
			{
				known.erase(row);
				continue;
			}
		}
		auto const c = std::make_shared<container>();
		c->row = row->second;
		c->last_used = c->row.last_used;
		if (e.size != c->row.stored)
		{
			c->suspect = true;
			say(note, cat("xorb ", (dir / e.name).native(), " has ", e.size, " bytes and should have ", c->row.stored, ": store scrub repairs what can be repaired"));
		}
		m_by_name[{kind, *name}] = c->row.id;
		m_containers.emplace(c->row.id, c);
		known.erase(row);
	}
	std::vector<xorb_row> lost;
	for (auto const& [name, row] : known) lost.push_back(row);
	return lost.empty() ? result<>() : drop_lost(lost, note);
}

// A xorb that was durable before its row was, or whose index is gone.
result<> chunk_store::adopt(hash_kind kind, file_layer::entry const& entry)
{
	auto const path = m_dir / "xorbs" / name_of(kind) / entry.name;
	auto source = m_files.open(path, open_mode::read);
	if (!source) return tl::unexpected(source.error());
	auto const chunks = read_xorb_directory(**source, {.max_chunk_bytes = max_wire_chunk_bytes});
	if (!chunks)
	{
		if (chunks.error().code == errc::io) return tl::unexpected(chunks.error());
		m_wrecks.push_back({kind, entry.name, chunks.error().message});
		return {};
	}
	xorb_row row;
	row.kind = kind;
	row.name = *name_of_file(entry.name);
	row.chunks = std::uint32_t(chunks->size());
	for (xorb_entry const& c : *chunks) row.bytes += c.size;
	row.stored = entry.size;
	row.added = row.last_used = entry.modified_seconds;
	auto const id = m_index->add_xorb(row, *chunks);
	if (!id) return tl::unexpected(id.error());
	auto const c = std::make_shared<container>();
	row.id = *id;
	c->row = row;
	c->last_used = row.last_used;
	m_by_name[{kind, row.name}] = row.id;
	m_containers.emplace(row.id, c);
	m_adopted.push_back(row.id);
	return {};
}

// The same chunks, compressed differently, as another program or another version writes them: whole, but elsewhere in the file.
result<bool> chunk_store::take_other_layout(xorb_row const& row, std::uint64_t size)
{
	auto source = m_files.open(xorb_path(row.kind, row.name), open_mode::read);
	if (!source) return tl::unexpected(source.error());
	auto const chunks = read_xorb_directory(**source);
	auto const before = m_index->chunks_of(row.id);
	if (!before) return tl::unexpected(before.error());
	if (!chunks || !same_chunks(*chunks, *before)) return false;
	auto const c = std::make_shared<container>();
	c->row = row;
	c->row.stored = size;
	auto const id = m_index->add_xorb(c->row, *chunks, row.id);
	if (!id) return tl::unexpected(id.error());
	c->row.id = *id;
	c->last_used = row.last_used;
	m_by_name[{row.kind, row.name}] = *id;
	m_containers.emplace(*id, c);
	return true;
}

result<> chunk_store::salvage(wreck const& w, std::string& note)
{
	auto const path = m_dir / "xorbs" / name_of(w.kind) / w.name;
	auto source = m_files.open(path, open_mode::read);
	if (!source) return tl::unexpected(source.error());
	auto const size = (*source)->size();
	if (!size) return tl::unexpected(size.error());

	xorb_builder builder(w.kind);
	std::uint64_t saved = 0;
	auto const keep = [&]() -> result<> {
		if (builder.empty()) return {};
		auto const kept = write_xorb(w.kind, builder.finish(m_options.compress), builder.payload_bytes(), room::taken);
		if (!kept) return tl::unexpected(kept.error());
		--(*kept)->pins;
		builder.clear();
		return {};
	};
	std::uint64_t offset = xorb_header_bytes;
	std::array<std::uint8_t, xorb_entry_header_bytes> header;
	while (offset + header.size() <= *size)
	{
		auto const n = (*source)->read_at(offset, header);
		if (!n) return tl::unexpected(n.error());
		auto const stored = read_le<std::uint32_t>(header.data() + 36);
		xorb_entry e{hash32::from(header), read_le<std::uint32_t>(header.data() + 32), stored, stored != 0, offset + header.size()};
		if (stored == 0) e.stored = e.size;
		// after a damaged size nothing can be found any more
		if (e.size == 0 || e.size > max_wire_chunk_bytes || e.stored > e.size) break;
		auto const data = read_xorb_chunk(**source, e, w.kind);
		if (!data && data.error().code == errc::io) return tl::unexpected(data.error());
		if (data && !builder.fits(data->size()))
			if (auto const kept = keep(); !kept) return kept;
		if (data) builder.add(e.hash, *data);
		saved += data ? 1 : 0;
		offset = e.offset + e.stored;
	}
	if (auto const kept = keep(); !kept) return kept;
	say(note, cat("xorb ", path.native(), " is damaged (", w.why, "): ", saved, " of its chunks were saved, the file was put aside as ", w.name, ".damaged"));
	auto const moved = m_files.rename(path, path.native() + ".damaged");
	return moved ? m_files.sync_dir(path.parent_path()) : moved;
}

// Rows without a file: what anybody needs of them is wanted.
result<> chunk_store::drop_lost(std::vector<xorb_row> const& lost, std::string& note)
{
	for (xorb_row const& row : lost)
	{
		say(note, cat("xorb ", xorb_path(row.kind, row.name).native(), " is gone; its chunks that are needed are wanted now"));
		if (auto const done = m_index->replace(row.id, {}); !done) return done;
	}
	return reload_wanted();
}

// --- the lookup table --------------------------------------------------------------------------------------------------

result<> chunk_store::open_table()
{
	std::vector<std::uint32_t> alive;
	for (auto const& [id, c] : m_containers) alive.push_back(id);
	auto const next = m_index->next_xorb();
	if (!next) return tl::unexpected(next.error());
	auto table = chunk_table::open(m_files, m_dir / "runs", {m_index->id(), *next, alive});
	if (!table) return tl::unexpected(table.error());
	m_table = std::move(*table);
	std::lock_guard const lock(m_table_mutex);
	return fill_table();
}

// Containers that are in no run.
result<> chunk_store::fill_table()
{
	for (auto const& c : all_containers())
	{
		if (c->row.id < m_table->covered_until()) continue;
		std::vector<chunk_entry> entries;
		{
			std::lock_guard const lock(m_index_mutex);
			auto const chunks = m_index->chunks_of(c->row.id);
			if (!chunks) return tl::unexpected(chunks.error());
			entries.reserve(chunks->size());
			for (xorb_entry const& e : *chunks) entries.push_back({e.hash, e.offset, e.size});
		}
		if (m_table->wants_flush())
			if (auto const flushed = m_table->flush(); !flushed) return flushed;
		if (auto const inserted = m_table->insert(c->row.id, entries); !inserted) return inserted;
	}
	return {};
}

// A run that cannot be read any more is made again from the lists.
result<> chunk_store::mend_table()
{
	std::lock_guard const lock(m_table_mutex);
	if (!m_table->damaged() && !m_table_incomplete) return {};
	m_table_incomplete = true;
	if (auto const dropped = m_table->damaged() ? m_table->drop_damaged() : m_table->clear(); !dropped) return dropped;
	auto const filled = fill_table();
	if (filled) m_table_incomplete = false;
	return filled;
}

result<> chunk_store::tend_table()
{
	while (m_table->wants_merge())
		if (auto const merged = m_table->merge(); !merged) return merged.error().code == errc::mismatch ? mend_table() : merged;
	return {};
}

} // namespace xet
