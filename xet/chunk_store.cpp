#include "xet/chunk_store.hpp"

#include "xet/little_endian.hpp"

#include <algorithm>
#include <ctime>

namespace xet {

namespace {

constexpr std::size_t max_open_files = 64;
constexpr std::size_t write_piece_bytes = 8u << 20;
constexpr std::uint32_t max_loose_bytes = max_wire_chunk_bytes;

} // namespace

chunk_store::chunk_store(file_layer& files, std::filesystem::path dir, store_options options)
	: m_files(files), m_dir(std::move(dir)), m_options(std::move(options))
{
	if (!m_options.now) m_options.now = [] { return std::int64_t(std::time(nullptr)); };
}

chunk_store::~chunk_store()
{
	if (!m_index) return;
	std::map<std::uint32_t, std::int64_t> uses;
	for (auto const& [id, c] : m_containers)
		if (c->last_used > c->row.last_used) uses[id] = c->last_used;
	if (!uses.empty()) (void)m_index->note_use(uses);
}

std::filesystem::path chunk_store::xorb_path(hash_kind kind, hash32 const& name) const
{
	return m_dir / "xorbs" / name_of(kind) / (to_hex(name.view()) + ".xorb");
}

std::filesystem::path chunk_store::loose_path(hash32 const& hash) const { return m_dir / "xet_chunks" / to_hex(hash.view()); }

// --- containers --------------------------------------------------------------------------------------------------------

chunk_store::container_ptr chunk_store::find_container(std::uint32_t id) const
{
	std::shared_lock const lock(m_containers_mutex);
	auto const i = m_containers.find(id);
	return i == m_containers.end() ? nullptr : i->second;
}

std::vector<chunk_store::container_ptr> chunk_store::all_containers() const
{
	std::shared_lock const lock(m_containers_mutex);
	std::vector<container_ptr> out;
	out.reserve(m_containers.size());
	for (auto const& [id, c] : m_containers) out.push_back(c);
	return out;
}

result<std::optional<chunk_location>> chunk_store::pin(hash_kind kind, hash32 const& hash, container_ptr& in)
{
	std::shared_lock const no_removal(m_removal_mutex);
	in = nullptr;
	// the copy that is here is damaged: another one is welcome
	if (is_wanted(kind, hash)) return std::nullopt;
	auto const places = locate(hash);
	if (!places) return tl::unexpected(places.error());
	std::shared_lock const lock(m_containers_mutex);
	for (chunk_location const& where : *places)
	{
		auto const i = m_containers.find(where.container);
		if (i == m_containers.end() || i->second->row.kind != kind || i->second->suspect) continue;
		in = i->second;
		++in->pins;
		in->last_used = now();
		return where;
	}
	return std::nullopt;
}

bool chunk_store::is_wanted(hash_kind kind, hash32 const& hash) const
{
	if (!m_any_wanted) return false;
	std::lock_guard const lock(m_index_mutex);
	return m_wanted.contains({kind, hash});
}

// --- reading -----------------------------------------------------------------------------------------------------------

result<chunk_locations> chunk_store::locate(hash32 const& hash)
{
	auto places = m_table->find(hash);
	if (places && !m_table_incomplete) return places;
	if (auto const mended = mend_table(); !mended) return tl::unexpected(mended.error());
	return m_table->find(hash);
}

bool chunk_store::contains(hash_kind kind, hash32 const& hash)
{
	if (is_wanted(kind, hash)) return false;
	auto const places = locate(hash);
	return places && std::any_of(places->begin(), places->end(), [&](chunk_location const& l) {
		auto const c = find_container(l.container);
		return c && c->row.kind == kind && !c->suspect;
	});
}

result<std::vector<bool>> chunk_store::contains(hash_kind kind, std::span<hash32 const> hashes)
{
	std::vector<std::optional<chunk_location>> found(hashes.size());
	auto looked = m_table->find(hashes, found);
	if (!looked || m_table_incomplete)
	{
		looked = mend_table();
		if (looked) looked = m_table->find(hashes, found);
		if (!looked) return tl::unexpected(looked.error());
	}
	std::vector<bool> out(hashes.size());
	container_ptr c;
	for (std::size_t i = 0; i < hashes.size(); ++i)
	{
		if (!found[i]) continue;
		if (!c || c->row.id != found[i]->container) c = find_container(found[i]->container);
		// another copy may be the better one
		out[i] = c && c->row.kind == kind && !c->suspect && !m_any_wanted ? true : contains(kind, hashes[i]);
	}
	return out;
}

bool chunk_store::may_read(hash_kind kind, hash32 const& hash)
{
	if (contains(kind, hash)) return true;
	{
		std::shared_lock const lock(m_sources_mutex);
		if (std::any_of(m_sources.begin(), m_sources.end(), [&](auto const& s) { return s->may_have(kind, hash); })) return true;
	}
	return bool(m_files.open(loose_path(hash), open_mode::read));
}

result<std::uint32_t> chunk_store::size_of(hash_kind kind, hash32 const& hash)
{
	auto const places = locate(hash);
	if (!places) return tl::unexpected(places.error());
	for (chunk_location const& where : *places)
		if (auto const c = find_container(where.container); c && c->row.kind == kind) return where.size;
	std::lock_guard const lock(m_index_mutex);
	auto const size = m_index->wanted_size(kind, hash);
	if (!size) return tl::unexpected(size.error());
	if (*size != 0) return *size;
	return fail(errc::not_found, "the store has no chunk ", to_string(kind, hash));
}

result<std::shared_ptr<file>> chunk_store::open_xorb(container& c)
{
	{
		std::lock_guard const lock(c.file_mutex);
		if (c.open_file) return c.open_file;
		auto opened = m_files.open(xorb_path(c.row.kind, c.row.name), open_mode::read);
		if (!opened) return tl::unexpected(opened.error());
		c.open_file = std::move(*opened);
	}
	container_ptr oldest;
	{
		std::lock_guard const lock(m_open_files_mutex);
		m_open_files.push_back(find_container(c.row.id));
		if (m_open_files.size() > max_open_files)
		{
			oldest = m_open_files.front().lock();
			m_open_files.erase(m_open_files.begin());
		}
	}
	if (oldest && oldest.get() != &c)
	{
		std::lock_guard const lock(oldest->file_mutex);
		oldest->open_file = nullptr;
	}
	std::lock_guard const lock(c.file_mutex);
	if (c.open_file) return c.open_file;
	auto opened = m_files.open(xorb_path(c.row.kind, c.row.name), open_mode::read);  // evicted meanwhile
	if (!opened) return tl::unexpected(opened.error());
	return std::shared_ptr<file>(std::move(*opened));
}

// The chunk's header and payload come with one read: it stands before them, and nothing is stored longer than it is.
result<bytes> chunk_store::read_at(container& c, chunk_location const& where, hash32 const& hash)
{
	auto const damaged = [&](char const* what) {
		return fail(errc::mismatch, "xorb ", xorb_path(c.row.kind, c.row.name).native(), " is damaged at offset ", where.offset, ": ", what);
	};
	auto const opened = open_xorb(c);
	if (!opened && opened.error().code == errc::not_found) return damaged("the file is gone");
	if (!opened) return tl::unexpected(opened.error());
	if (where.offset < xorb_entry_header_bytes) return damaged("no chunk can lie there");
	bytes raw(xorb_entry_header_bytes + where.size);
	auto const n = (*opened)->read_at(where.offset - xorb_entry_header_bytes, raw);
	if (!n) return tl::unexpected(n.error());
	bytes_view const have = bytes_view(raw).first(*n);
	if (have.size() < xorb_entry_header_bytes) return damaged("the file ends here");
	auto const stored = read_le<std::uint32_t>(have.data() + 36);
	if (hash32::from(have) != hash || read_le<std::uint32_t>(have.data() + 32) != where.size) return damaged("another chunk's header");
	if (stored > where.size || have.size() - xorb_entry_header_bytes < (stored == 0 ? where.size : stored)) return damaged("the file ends within the chunk");

	xorb_entry const entry{hash, where.size, stored == 0 ? where.size : stored, stored != 0, xorb_entry_header_bytes};
	memory_source source(have);
	auto content = read_xorb_chunk(source, entry, c.row.kind);
	if (!content) return damaged(content.error().message.c_str());
	return content;
}

std::optional<bytes> chunk_store::read_outside(hash_kind kind, hash32 const& hash) const
{
	std::vector<std::shared_ptr<chunk_source const>> sources;
	{
		std::shared_lock const lock(m_sources_mutex);
		sources = m_sources;
	}
	for (auto const& source : sources)
	{
		if (!source->may_have(kind, hash)) continue;
		auto data = source->read(kind, hash);
		if (data && chunk_hash(kind, *data) == hash) return data;
	}
	auto loose = read_all(m_files, loose_path(hash), max_loose_bytes);
	if (loose && chunk_hash(kind, *loose) == hash) return std::move(*loose);
	return std::nullopt;
}

result<bytes> chunk_store::read_elsewhere(hash_kind kind, hash32 const& hash, std::uint32_t left_out)
{
	auto const places = locate(hash);
	std::optional<error> problem;
	if (places)
	{
		for (chunk_location const& where : *places)
		{
			auto const c = find_container(where.container);
			if (!c || c->row.kind != kind || c->row.id == left_out) continue;
			auto data = read_at(*c, where, hash);
			if (data)
			{
				c->last_used = now();
				return data;
			}
			// what cannot be read at the moment need not be damaged
			if (data.error().code == errc::mismatch) c->suspect = true;
			if (!problem || problem->code == errc::mismatch) problem = data.error();
		}
	}
	if (auto data = read_outside(kind, hash)) return std::move(*data);
	if (!places) return tl::unexpected(places.error());
	if (problem) return tl::unexpected(*problem);
	return fail(errc::not_found, "the store has no chunk ", to_string(kind, hash));
}

result<bytes> chunk_store::read(hash_kind kind, hash32 const& hash)
{
	auto data = read_elsewhere(kind, hash, 0);
	// it may have moved while we looked
	if (!data && data.error().code != errc::io) data = read_elsewhere(kind, hash, 0);
	if (data || data.error().code != errc::mismatch) return data;
	if (auto const places = locate(hash)) (void)mark_wanted(kind, hash, *places);
	return fail(errc::mismatch, data.error().message, "; there is no other copy, the chunk is wanted now");
}

// Its holders get it back when somebody puts it in again.
result<> chunk_store::mark_wanted(hash_kind kind, hash32 const& hash, chunk_locations const& places)
{
	std::lock_guard const lock(m_index_mutex);
	if (m_wanted.contains({kind, hash})) return {};
	std::vector<wanted_chunk> wanted;
	for (chunk_location const& where : places)
	{
		auto const holders = m_index->holders_of(where.container, where.ordinal);
		if (!holders) return tl::unexpected(holders.error());
		for (std::string const& holder : *holders) wanted.push_back({kind, hash, where.size, holder});
	}
	auto const done = m_index->want(wanted);
	m_wanted.insert({kind, hash});  // for this run also if nobody needs it: whoever adds it is not told that it is here
	m_any_wanted = true;
	return done;
}

result<> chunk_store::reload_wanted()
{
	auto const wanted = m_index->wanted();
	if (!wanted) return tl::unexpected(wanted.error());
	for (wanted_chunk const& w : *wanted) m_wanted.insert({w.kind, w.hash});
	m_any_wanted = !m_wanted.empty();
	return {};
}

void chunk_store::add_source(std::shared_ptr<chunk_source const> source)
{
	std::unique_lock const lock(m_sources_mutex);
	m_sources.push_back(std::move(source));
}

void chunk_store::remove_source(chunk_source const* source)
{
	std::unique_lock const lock(m_sources_mutex);
	std::erase_if(m_sources, [&](auto const& s) { return s.get() == source; });
}

// --- adding ------------------------------------------------------------------------------------------------------------

result<> chunk_store::admit(std::uint64_t more_bytes)
{
	std::uint64_t const pending = m_pending_bytes;
	if (m_options.quota_bytes != 0)
	{
		std::uint64_t used = pending;
		for (auto const& c : all_containers()) used += c->row.stored;
		if (used + more_bytes > m_options.quota_bytes)
			return fail(errc::no_space, "the store is full: its quota is ", m_options.quota_bytes, " bytes, ", used, " are used and ", more_bytes
				, " more are asked for; raise the quota, or make room with cleanup and store pack");
	}
	auto const free = m_files.free_bytes(m_dir);
	if (!free) return tl::unexpected(free.error());
	if (*free < m_options.reserve_bytes + pending + more_bytes)
		return fail(errc::no_space, "the disk of ", m_dir.native(), " has ", *free, " bytes free; ", more_bytes
			, " are asked for and ", m_options.reserve_bytes, " are left to others");
	return {};
}

result<chunk_store::container_ptr> chunk_store::add_xorb(hash_kind kind, xorb_builder& builder)
{
	auto const built = builder.finish(m_options.compress);
	std::shared_lock const no_removal(m_removal_mutex);
	return write_xorb(kind, built, builder.payload_bytes(), room::asked_for);
}

// A whole one of that name, pinned; null: there is none.
chunk_store::container_ptr chunk_store::pin_same(hash_kind kind, hash32 const& name)
{
	std::shared_lock const lock(m_containers_mutex);
	auto const same = m_by_name.find({kind, name});
	if (same == m_by_name.end()) return nullptr;
	auto const c = m_containers.at(same->second);
	if (c->suspect) return nullptr;
	++c->pins;
	return c;
}

result<chunk_store::container_ptr> chunk_store::write_xorb(hash_kind kind, xorb_builder::built const& built, std::uint64_t payload_bytes, room r)
{
	std::pair const name(kind, built.hash);
	std::unique_lock lock(m_writing_mutex);
	m_writing_ended.wait(lock, [&] { return !m_writing.contains(name); });
	// the same xorb again: nothing to write
	if (auto const same = pin_same(kind, built.hash)) return same;
	m_writing.insert(name);
	lock.unlock();
	struct turn
	{
		chunk_store& store;
		std::pair<hash_kind, hash32> const& name;
		~turn()
		{
			std::lock_guard const ended(store.m_writing_mutex);
			store.m_writing.erase(name);
			store.m_writing_ended.notify_all();
		}
	} const mine{*this, name};
	return write_new_xorb(kind, built, payload_bytes, r);
}

result<chunk_store::container_ptr> chunk_store::write_new_xorb(hash_kind kind, xorb_builder::built const& built, std::uint64_t payload_bytes, room r)
{
	if (r == room::asked_for)
		if (auto const ok = admit(built.file.size()); !ok) return tl::unexpected(ok.error());
	m_pending_bytes += built.file.size();
	struct pending_guard
	{
		std::atomic<std::uint64_t>& total;
		std::uint64_t mine;
		~pending_guard() { total -= mine; }
	} const guard{m_pending_bytes, built.file.size()};

	auto const path = xorb_path(kind, built.hash);
	auto const temporary = path.parent_path() / cat(".tmp-", to_hex(built.hash.view()));
	(void)m_files.remove(temporary);
	auto f = m_files.open(temporary, open_mode::create_bulk);
	if (!f) return tl::unexpected(f.error());
	result<> done;
	for (std::size_t at = 0; at < built.file.size() && done; at += write_piece_bytes)
		done = (*f)->write_at(at, built.file.subspan(at, std::min(write_piece_bytes, built.file.size() - at)));
	if (done) done = (*f)->sync();
	f->reset();
	if (done) done = m_files.rename(temporary, path);
	if (done) done = m_files.sync_dir(path.parent_path());
	if (!done)
	{
		(void)m_files.remove(temporary);
		return tl::unexpected(done.error());
	}
	xorb_row row;
	row.kind = kind;
	row.name = built.hash;
	row.chunks = std::uint32_t(built.entries.size());
	row.bytes = payload_bytes;
	row.stored = built.file.size();
	row.added = row.last_used = now();
	return register_xorb(std::move(row), built.entries);
}

result<chunk_store::container_ptr> chunk_store::register_xorb(xorb_row row, std::span<xorb_entry const> chunks)
{
	auto const c = std::make_shared<container>();
	{
		std::lock_guard const table_lock(m_table_mutex);
		if (m_table->wants_flush())
			if (auto const flushed = m_table->flush(); !flushed) return tl::unexpected(flushed.error());
		container_ptr old;  // a damaged xorb that was written anew just now
		{
			std::shared_lock const lock(m_containers_mutex);
			if (auto const same = m_by_name.find({row.kind, row.name}); same != m_by_name.end()) old = m_containers.at(same->second);
		}
		{
			std::lock_guard const lock(m_index_mutex);
			auto const id = m_index->add_xorb(row, chunks, old ? std::optional(old->row.id) : std::nullopt);
			if (!id) return tl::unexpected(id.error());
			row.id = *id;
			if (old) m_written_anew[old->row.id] = row.id;
		}
		if (old)
		{
			std::unique_lock const lock(m_containers_mutex);
			m_table->kill(old->row.id);
			m_containers.erase(old->row.id);
		}
		c->row = row;
		c->last_used = row.last_used;
		if (old) c->pins = old->pins;
		++c->pins;
		std::vector<chunk_entry> entries;
		entries.reserve(chunks.size());
		for (xorb_entry const& e : chunks) entries.push_back({e.hash, e.offset, e.size});
		{
			std::unique_lock const lock(m_containers_mutex);
			m_containers.emplace(row.id, c);
			m_by_name[{row.kind, row.name}] = row.id;
		}
		// the row is there: what cannot be put in now is put in with all the others before the next question
		if (auto const inserted = m_table->insert(row.id, entries); !inserted) m_table_incomplete = true;
	}
	(void)heal(*c, chunks);  // else what is wanted stays so until the next start
	(void)tend_table();      // a merge that fails is tried again later; nothing depends on it
	return c;
}

// Chunks that were wanted and are here now.
result<> chunk_store::heal(container const& c, std::span<xorb_entry const> chunks)
{
	std::lock_guard const lock(m_index_mutex);
	if (m_wanted.empty()) return {};
	std::vector<std::pair<hash32, std::uint32_t>> here;
	for (std::uint32_t i = 0; i < chunks.size(); ++i)
		if (m_wanted.contains({c.row.kind, chunks[i].hash})) here.emplace_back(chunks[i].hash, i);
	if (here.empty()) return {};
	if (auto const done = m_index->found(c.row.kind, c.row.id, here); !done) return done;
	for (auto const& [hash, ordinal] : here) m_wanted.erase({c.row.kind, hash});
	m_any_wanted = !m_wanted.empty();
	return {};
}

void chunk_store::forget(std::vector<container_ptr> const& gone, fate f)
{
	{
		std::unique_lock const lock(m_containers_mutex);
		for (auto const& c : gone)
		{
			m_table->kill(c->row.id);
			m_containers.erase(c->row.id);
			m_by_name.erase({c->row.kind, c->row.name});
		}
	}
	// a file that cannot be removed is adopted by the next start
	for (auto const& c : gone)
	{
		auto const path = xorb_path(c->row.kind, c->row.name);
		if (f == fate::put_aside) (void)m_files.rename(path, path.native() + ".damaged");
		else (void)m_files.remove(path);
	}
}

// --- holders -----------------------------------------------------------------------------------------------------------

result<> chunk_store::hold_refs(std::string const& holder, std::uint64_t logical_bytes, chunk_refs refs, bool replace)
{
	chunk_refs now_at;
	for (auto& [id, bits] : refs)
	{
		auto to = id;
		for (auto i = m_written_anew.find(to); i != m_written_anew.end(); i = m_written_anew.find(to)) to = i->second;
		if (!find_container(to)) return fail(errc::io, "a xorb that was counted on is gone; add it again");
		now_at[to] |= bits;
	}
	return m_index->hold(holder, logical_bytes, now_at, replace, now());
}

result<> chunk_store::hold_only(std::string const& holder, std::uint64_t logical_bytes, hash_kind kind, std::span<hash32 const> chunks, others rest)
{
	chunk_refs refs;
	std::map<std::uint32_t, container_ptr> pinned;
	std::vector<wanted_chunk> missing;
	result<> done;
	for (hash32 const& h : chunks)
	{
		container_ptr c;
		auto const where = pin(kind, h, c);
		if (!where)
		{
			done = tl::unexpected(where.error());
			break;
		}
		if (!*where)
		{
			if (rest == others::are_wanted) missing.push_back({kind, h, 0, holder});
			continue;
		}
		refs[(*where)->container].set((*where)->ordinal);
		if (!pinned.emplace(c->row.id, c).second) --c->pins;
	}
	if (done)
	{
		std::lock_guard const lock(m_index_mutex);
		done = hold_refs(holder, logical_bytes, refs, true);
		if (done && !missing.empty()) done = m_index->want(missing);
		if (done && !missing.empty()) done = reload_wanted();
	}
	for (auto const& [id, c] : pinned) --c->pins;
	return done;
}

bool chunk_store::is_held(std::string const& holder, hash_kind kind, hash32 const& hash)
{
	auto const places = locate(hash);
	if (!places) return false;
	for (chunk_location const& where : *places)
	{
		auto const c = find_container(where.container);
		if (!c || c->row.kind != kind) continue;
		std::lock_guard const lock(m_index_mutex);
		auto const held = m_index->holds(holder, where.container, where.ordinal);
		if (held && *held) return true;
	}
	return false;
}

result<> chunk_store::release(std::string const& holder)
{
	std::lock_guard const lock(m_index_mutex);
	return m_index->release(holder, now());
}

result<std::vector<store_index::holder_row>> chunk_store::holders()
{
	std::lock_guard const lock(m_index_mutex);
	return m_index->holders();
}

// --- looking -----------------------------------------------------------------------------------------------------------

result<store_stats> chunk_store::stats()
{
	store_stats s;
	s.quota_bytes = m_options.quota_bytes;
	for (auto const& c : all_containers())
	{
		++s.xorbs;
		s.chunks += c->row.chunks;
		s.unique_bytes += c->row.bytes;
		s.xorb_bytes += c->row.stored;
		// what the same xorb with nothing compressed takes
		auto const raw = 28 + c->row.chunks * xorb_entry_header_bytes + c->row.bytes;
		s.compressed_saved_bytes += raw > c->row.stored ? raw - c->row.stored : 0;
	}
	auto const all = holders();
	if (!all) return tl::unexpected(all.error());
	for (auto const& h : *all) s.logical_bytes += h.logical_bytes;
	std::lock_guard const lock(m_index_mutex);
	s.wanted = m_wanted.size();
	return s;
}

result<> chunk_store::for_each(std::function<bool(listed const&)> const& visit)
{
	for (auto const& c : all_containers())
	{
		std::vector<xorb_entry> chunks;
		std::vector<std::uint32_t> counts;
		{
			std::lock_guard const lock(m_index_mutex);
			auto list = m_index->chunks_of(c->row.id);
			if (!list) return tl::unexpected(list.error());
			auto refs = m_index->ref_counts(c->row.id, c->row.chunks);
			if (!refs) return tl::unexpected(refs.error());
			chunks = std::move(*list);
			counts = std::move(*refs);
		}
		for (std::size_t i = 0; i < chunks.size(); ++i)
			if (!visit({c->row.kind, chunks[i].hash, chunks[i].size, chunks[i].stored, counts[i], c->row.name})) return {};
	}
	return {};
}

result<std::vector<wanted_chunk>> chunk_store::wanted()
{
	std::lock_guard const lock(m_index_mutex);
	return m_index->wanted();
}

result<hash32> chunk_store::fingerprint()
{
	hasher digest(has_blake3() ? hash_kind::blake3 : hash_kind::sha256);
	auto const containers = all_containers();
	std::map<std::pair<hash_kind, hash32>, std::uint32_t> by_name;
	std::map<std::uint32_t, std::vector<xorb_entry>> lists;
	std::lock_guard const lock(m_index_mutex);
	for (auto const& c : containers)
	{
		by_name[{c->row.kind, c->row.name}] = c->row.id;
		auto list = m_index->chunks_of(c->row.id);
		if (!list) return tl::unexpected(list.error());
		lists[c->row.id] = std::move(*list);
	}
	for (auto const& [name, id] : by_name)
	{
		digest.update(cat("xorb ", name_of(name.first), ' ', to_hex(name.second.view()), '\n'));
		for (xorb_entry const& e : lists[id]) digest.update(cat("chunk ", to_hex(e.hash.view()), ' ', e.size, ' ', e.stored, '\n'));
	}
	auto const all = m_index->holders();
	if (!all) return tl::unexpected(all.error());
	for (auto const& h : *all)
	{
		auto const refs = m_index->refs_of(h.name);
		if (!refs) return tl::unexpected(refs.error());
		std::set<hash32> held;  // in which xorb a chunk is held does not matter
		for (auto const& [id, bits] : *refs)
			for (std::size_t i = 0; i < lists[id].size(); ++i)
				if (bits.test(i)) held.insert(lists[id][i].hash);
		digest.update(cat("holder ", h.name, ' ', h.logical_bytes, '\n'));
		for (hash32 const& x : held) digest.update(cat("holds ", to_hex(x.view()), '\n'));
	}
	auto const missing = m_index->wanted();
	if (!missing) return tl::unexpected(missing.error());
	for (wanted_chunk const& w : *missing) digest.update(cat("wanted ", to_hex(w.hash.view()), ' ', w.holder, '\n'));
	return digest.finish();
}

} // namespace xet
