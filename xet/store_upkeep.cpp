#include "xet/store_upkeep.hpp"

#include <algorithm>

namespace xet {

namespace {

// Xorbs below this part of a full one are worth putting together.
constexpr std::uint64_t small_divisor = 4;
constexpr char const* position_key = "scrub_position";

} // namespace

result<std::vector<xorb_entry>> store_upkeep::chunks_of(chunk_store::container const& c)
{
	std::lock_guard const lock(m_store.m_index_mutex);
	return m_store.m_index->chunks_of(c.row.id);
}

// --- collecting --------------------------------------------------------------------------------------------------------

store_upkeep::item store_upkeep::item_of(chunk_store::container const& c) const
{
	return {c.row.kind, c.row.name, c.row.chunks, c.row.stored, std::max(c.row.added, c.last_used.load())};
}

bool store_upkeep::is_unused(chunk_store::container const& c, xorb_row const& row, std::int64_t max_age_seconds) const
{
	auto const last = std::max({row.added, row.released, c.last_used.load()});
	return c.pins == 0 && last + max_age_seconds <= m_store.now();
}

// Nobody can begin to count on a xorb meanwhile, so looking again and removing are one step.
result<std::vector<chunk_store::container_ptr>> store_upkeep::remove_unneeded(std::vector<std::uint32_t> const& ids)
{
	std::unique_lock const alone(m_store.m_removal_mutex);
	std::vector<chunk_store::container_ptr> gone;
	std::vector<std::uint32_t> rows;
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		auto const refs = m_store.m_index->all_refs();
		if (!refs) return tl::unexpected(refs.error());
		for (auto const id : ids)
		{
			auto const c = m_store.find_container(id);
			auto const bits = refs->find(id);
			if (!c || c->pins != 0 || (bits != refs->end() && bits->second.any())) continue;
			gone.push_back(c);
			rows.push_back(id);
		}
		if (auto const removed = m_store.m_index->remove(rows); !removed) return tl::unexpected(removed.error());
	}
	m_store.forget(gone);
	return gone;
}

result<store_upkeep::collected> store_upkeep::collect(std::int64_t max_age_seconds, std::int64_t grace_seconds, bool dry_run)
{
	std::lock_guard const one(m_store.m_upkeep_mutex);
	auto const now = m_store.now();
	collected out;
	std::vector<std::uint32_t> condemn, reprieve, remove;
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		auto const rows = m_store.m_index->xorbs();
		if (!rows) return tl::unexpected(rows.error());
		auto const refs = m_store.m_index->all_refs();
		if (!refs) return tl::unexpected(refs.error());
		for (xorb_row const& row : *rows)
		{
			auto const c = m_store.find_container(row.id);
			auto const bits = refs->find(row.id);
			bool const needed = bits != refs->end() && bits->second.any();
			if (!c) continue;
			bool const unused = !needed && is_unused(*c, row, max_age_seconds);
			bool const used_since = c->last_used > row.condemned;
			if (row.condemned != 0 && (needed || used_since)) reprieve.push_back(row.id);
			if (!unused) continue;
			auto const since = row.condemned != 0 && !used_since ? row.condemned : now;
			if (since == now && row.condemned != now) condemn.push_back(row.id);
			if (since + grace_seconds <= now) remove.push_back(row.id);
			else if (since == now) out.condemned.push_back(item_of(*c));
			if (dry_run && since + grace_seconds <= now) out.removed.push_back(item_of(*c));
		}
		if (!dry_run)
		{
			if (auto const done = m_store.m_index->reprieve(reprieve); !done) return tl::unexpected(done.error());
			if (auto const done = m_store.m_index->condemn(condemn, now); !done) return tl::unexpected(done.error());
		}
	}
	if (!dry_run && !remove.empty())
	{
		auto const gone = remove_unneeded(remove);
		if (!gone) return tl::unexpected(gone.error());
		for (auto const& c : *gone) out.removed.push_back(item_of(*c));
	}
	for (item const& i : out.removed) out.freed_bytes += i.stored;
	return out;
}

// --- packing -----------------------------------------------------------------------------------------------------------

struct store_upkeep::group
{
	hash_kind kind = hash_kind::blake3;
	std::vector<chunk_store::container_ptr> xorbs;
	std::uint64_t needed_bytes = 0;
	std::uint64_t needed_chunks = 0;
	bool has_garbage = false;
};

result<std::vector<store_upkeep::group>> store_upkeep::plan_groups()
{
	chunk_refs refs;
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		auto all = m_store.m_index->all_refs();
		if (!all) return tl::unexpected(all.error());
		refs = std::move(*all);
	}
	std::uint64_t const full = m_store.options().xorb_payload_bytes;
	std::map<hash_kind, group> open;
	std::vector<group> out;
	auto const close = [&](group& g) {
		if (g.xorbs.size() > 1 || g.has_garbage) out.push_back(g);
		g = group();
	};
	for (auto const& c : m_store.all_containers())
	{
		auto const bits = refs.find(c->row.id);
		if (c->pins != 0 || c->suspect || bits == refs.end() || !bits->second.any()) continue;
		auto const chunks = chunks_of(*c);
		if (!chunks) return tl::unexpected(chunks.error());
		std::uint64_t needed = 0, count = 0;
		for (std::size_t i = 0; i < chunks->size(); ++i)
			if (bits->second.test(i)) needed += (*chunks)[i].size, ++count;
		bool const sparse = double(needed) < sparse_below * double(c->row.bytes);
		if (!sparse && c->row.bytes >= full / small_divisor) continue;
		group& g = open[c->row.kind];
		if (g.needed_bytes + needed > full || g.needed_chunks + count > max_xorb_chunks) close(g);
		g.kind = c->row.kind;
		g.xorbs.push_back(c);
		g.needed_bytes += needed;
		g.needed_chunks += count;
		g.has_garbage |= sparse;
	}
	for (auto& [kind, g] : open) close(g);
	return out;
}

// From its place, or else from anywhere. The error is mismatch only if nothing is left to hope for.
result<bytes> store_upkeep::read_any(chunk_store::container& c, std::uint32_t ordinal, xorb_entry const& e)
{
	auto own = m_store.read_at(c, {c.row.id, ordinal, e.offset, e.size}, e.hash);
	if (own) return own;
	auto other = m_store.read_elsewhere(c.row.kind, e.hash, c.row.id);
	if (other || own.error().code != errc::mismatch) return other ? std::move(other) : std::move(own);
	return other.error().code == errc::not_found ? std::move(own) : std::move(other);
}

result<> store_upkeep::pack_group(group const& g, packed& report)
{
	std::unique_lock const alone(m_store.m_removal_mutex);
	struct old_xorb
	{
		chunk_store::container_ptr c;
		std::vector<std::optional<std::uint32_t>> position;  // in the new one, of each chunk
	};
	std::vector<old_xorb> old;
	xorb_builder builder(g.kind, m_store.options().xorb_payload_bytes);
	std::unordered_map<hash32, std::uint32_t> in_builder;
	for (auto const& c : g.xorbs)
	{
		if (c->pins != 0 || !m_store.find_container(c->row.id)) continue;
		auto const chunks = chunks_of(*c);
		if (!chunks) return tl::unexpected(chunks.error());
		chunk_bits needed;
		{
			std::lock_guard const lock(m_store.m_index_mutex);
			auto const refs = m_store.m_index->all_refs_of_xorb(c->row.id);
			if (!refs) return tl::unexpected(refs.error());
			needed = *refs;
		}
		old_xorb o{c, std::vector<std::optional<std::uint32_t>>(chunks->size())};
		bool fits = true;
		for (std::uint32_t i = 0; i < chunks->size() && fits; ++i)
		{
			xorb_entry const& e = (*chunks)[i];
			if (!needed.test(i)) continue;
			auto [position, fresh] = in_builder.emplace(e.hash, std::uint32_t(builder.count()));
			if (fresh)
			{
				auto data = read_any(*c, i, e);
				if (!data || !builder.fits(data->size())) in_builder.erase(position);
				if (!data && data.error().code != errc::mismatch) return tl::unexpected(data.error());
				if (!data)
				{
					++report.lost_chunks;
					continue;
				}
				fits = builder.fits(data->size());
				if (!fits) break;
				builder.add(e.hash, *data);
				o.position[i] = std::uint32_t(builder.count() - 1);
			}
			else o.position[i] = position->second;
		}
		if (!fits) break;  // more is needed of it than there was when the group was made: another time
		old.push_back(std::move(o));
	}
	if (old.empty()) return {};
	chunk_store::container_ptr made;
	if (!builder.empty())
	{
		auto const built = builder.finish(m_store.options().compress);
		auto const written = m_store.write_xorb(g.kind, built, builder.payload_bytes(), chunk_store::room::taken);
		if (!written) return tl::unexpected(written.error());
		made = *written;
		report.bytes_after += made->row.stored;
		++report.xorbs_after;
	}
	result<> done;
	for (old_xorb const& o : old)
	{
		if (o.c == made || !m_store.find_container(o.c->row.id)) continue;  // it is the new one itself
		std::vector<std::optional<store_index::place>> places(o.position.size());
		for (std::size_t i = 0; i < places.size(); ++i)
			if (o.position[i]) places[i] = store_index::place{made->row.id, *o.position[i]};
		{
			std::lock_guard const lock(m_store.m_index_mutex);
			done = m_store.m_index->replace(o.c->row.id, places);
		}
		if (!done) break;
		report.bytes_before += o.c->row.stored;
		++report.xorbs_before;
		m_store.forget({o.c});
	}
	if (made) --made->pins;
	return done;
}

result<store_upkeep::packed> store_upkeep::pack(bool dry_run, upkeep_progress const& progress)
{
	std::lock_guard const one(m_store.m_upkeep_mutex);
	auto const groups = plan_groups();
	if (!groups) return tl::unexpected(groups.error());
	packed report;
	std::uint64_t done = 0, total = 0;
	for (group const& g : *groups) total += g.needed_bytes;
	for (group const& g : *groups)
	{
		if (dry_run)
		{
			report.xorbs_before += g.xorbs.size();
			for (auto const& c : g.xorbs) report.bytes_before += c->row.stored;
			++report.xorbs_after;
			report.bytes_after += g.needed_bytes;  // at most: compression is not tried
			continue;
		}
		if (auto const packed_one = pack_group(g, report); !packed_one) return tl::unexpected(packed_one.error());
		done += g.needed_bytes;
		if (progress && !progress(done, total)) break;
	}
	if (report.lost_chunks != 0)
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		if (auto const known = m_store.reload_wanted(); !known) return tl::unexpected(known.error());
	}
	return report;
}

// --- scrubbing ---------------------------------------------------------------------------------------------------------

// False when it was to end early.
result<bool> store_upkeep::scrub_one(chunk_store::container& c, scrubbed& report, std::function<bool(std::uint64_t)> const& pace)
{
	auto const chunks = chunks_of(c);
	if (!chunks) return tl::unexpected(chunks.error());
	std::vector<bool> bad(chunks->size());
	std::uint64_t bad_count = 0;
	std::string first;
	for (std::uint32_t i = 0; i < chunks->size(); ++i)
	{
		xorb_entry const& e = (*chunks)[i];
		chunk_location const where{c.row.id, i, e.offset, e.size};
		auto data = m_store.read_at(c, where, e.hash);
		if (!data) data = m_store.read_at(c, where, e.hash);  // a read may fail once
		if (!pace(e.stored)) return false;
		++report.chunks;
		report.bytes += e.size;
		if (data) continue;
		if (first.empty()) first = data.error().message;
		bad[i] = true;
		++bad_count;
	}
	++report.xorbs;
	if (bad_count == 0)
	{
		c.suspect = false;
		return true;
	}
	c.suspect = true;
	report.bad_chunks += bad_count;
	report.messages.push_back(cat(first, " (", bad_count, " of ", chunks->size(), " chunks)"));
	auto const self = m_store.find_container(c.row.id);
	if (!self) return true;
	if (auto const repaired = repair(self, *chunks, bad, report); !repaired) return tl::unexpected(repaired.error());
	return true;
}

result<> store_upkeep::repair(chunk_store::container_ptr const& c, std::vector<xorb_entry> const& chunks, std::vector<bool> const& bad, scrubbed& report)
{
	std::unique_lock const alone(m_store.m_removal_mutex);
	if (c->pins != 0) return {};  // a writer counts on it: the next scrub mends it
	if (auto const taken = take_other_layout(*c, chunks); !taken || *taken) return taken ? result<>() : tl::unexpected(taken.error());
	// somebody else's xorb may have more chunks than we would put into one
	xorb_builder builder(c->row.kind, std::max<std::size_t>(m_store.options().xorb_payload_bytes, std::size_t(c->row.bytes))
		, std::max(max_xorb_chunks, std::uint32_t(chunks.size())));
	std::vector<std::optional<std::uint32_t>> position(chunks.size());
	std::uint64_t repaired = 0, lost = 0;
	for (std::uint32_t i = 0; i < chunks.size(); ++i)
	{
		xorb_entry const& e = chunks[i];
		auto const data = read_any(*c, i, e);
		// nothing is given up that may be readable another time
		if (!data && data.error().code != errc::mismatch) return {};
		if (bad[i]) ++(data ? repaired : lost);
		if (!data) continue;
		position[i] = std::uint32_t(builder.count());
		builder.add(e.hash, *data);
	}
	report.repaired_chunks += repaired;
	report.lost_chunks += lost;
	chunk_store::container_ptr made;
	if (!builder.empty())
	{
		auto const built = builder.finish(m_store.options().compress);
		auto const written = m_store.write_xorb(c->row.kind, built, builder.payload_bytes(), chunk_store::room::taken);
		if (!written) return tl::unexpected(written.error());
		made = *written;
		--made->pins;
	}
	// all was repaired: the new file has the old one's name, and took its place
	if (!m_store.find_container(c->row.id)) return {};
	std::vector<std::optional<store_index::place>> places(chunks.size());
	for (std::size_t i = 0; i < places.size(); ++i)
		if (position[i]) places[i] = store_index::place{made->row.id, *position[i]};
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		if (auto const moved = m_store.m_index->replace(c->row.id, places); !moved) return moved;
		if (auto const known = m_store.reload_wanted(); !known) return known;
	}
	m_store.forget({c}, lost != 0 ? chunk_store::fate::put_aside : chunk_store::fate::removed);
	return {};
}

// The same chunks, compressed differently: nothing is wrong with the file, the index has other offsets.
result<bool> store_upkeep::take_other_layout(chunk_store::container& c, std::vector<xorb_entry> const& chunks)
{
	auto source = m_store.files().open(m_store.xorb_path(c.row.kind, c.row.name), open_mode::read);
	if (!source) return source.error().code == errc::not_found ? result<bool>(false) : tl::unexpected(source.error());
	auto const found = read_xorb_directory(**source);
	if (!found || *found == chunks || !same_chunks(*found, chunks)) return false;
	auto row = c.row;
	auto const size = (*source)->size();
	if (!size) return tl::unexpected(size.error());
	row.stored = *size;
	auto const taken = m_store.register_xorb(row, *found);
	if (!taken) return tl::unexpected(taken.error());
	--(*taken)->pins;
	return true;
}

result<store_upkeep::scrubbed> store_upkeep::scrub(std::uint64_t rate, std::function<bool(double)> const& sleep, upkeep_progress const& progress)
{
	scrubbed report;
	std::uint32_t position = 0;
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		auto const text = m_store.m_index->setting(position_key);
		if (!text) return tl::unexpected(text.error());
		position = std::uint32_t(std::strtoul(text->c_str(), nullptr, 10));
	}
	auto const all = m_store.all_containers();
	std::uint64_t total = 0, done = 0;
	for (auto const& c : all)
		if (c->row.id > position) total += c->row.stored;
	auto const pace = [&](std::uint64_t bytes) {
		done += bytes;
		return rate == 0 || !sleep || sleep(double(bytes) / double(rate));
	};
	auto const remember = [&](std::uint32_t id) {
		std::lock_guard const lock(m_store.m_index_mutex);
		return m_store.m_index->set(position_key, std::to_string(id));
	};
	for (auto const& c : all)
	{
		// others have their turn between two xorbs
		std::lock_guard const one(m_store.m_upkeep_mutex);
		if (c->row.id <= position || !m_store.find_container(c->row.id)) continue;
		auto const looked = scrub_one(*c, report, pace);
		if (!looked) return tl::unexpected(looked.error());
		if (!*looked) return report;
		if (auto const kept = remember(c->row.id); !kept) return tl::unexpected(kept.error());
		if (progress && !progress(done, total)) return report;
	}
	report.finished = true;
	auto const kept = remember(0);
	if (!kept) return tl::unexpected(kept.error());
	return report;
}

// --- checking ----------------------------------------------------------------------------------------------------------

result<> store_upkeep::check_xorb(chunk_store::container& c, bool content, std::vector<std::string>& problems)
{
	auto const path = m_store.xorb_path(c.row.kind, c.row.name).native();
	auto const chunks = chunks_of(c);
	if (!chunks)
	{
		problems.push_back(chunks.error().message);
		return {};
	}
	auto const source = m_store.open_xorb(c);
	if (!source)
	{
		problems.push_back(source.error().message);
		return {};
	}
	auto const headers = read_xorb_directory(**source);
	if (!headers) problems.push_back(cat(path, ": ", headers.error().message));
	else if (*headers != *chunks) problems.push_back(cat(path, ": the index has other chunks for it than it says itself"));
	for (std::uint32_t i = 0; i < chunks->size(); ++i)
	{
		xorb_entry const& e = (*chunks)[i];
		auto const places = m_store.locate(e.hash);
		if (!places) return tl::unexpected(places.error());
		bool const found = std::any_of(places->begin(), places->end(), [&](auto const& l) { return l.container == c.row.id && l.offset == e.offset; });
		if (!found && !places->full()) problems.push_back(cat(path, ": chunk ", i, " is not in the lookup table"));
		if (!content) continue;
		auto const data = m_store.read_at(c, {c.row.id, i, e.offset, e.size}, e.hash);
		if (!data) problems.push_back(cat(data.error().message, " (chunk ", i, ")"));
	}
	return {};
}

result<std::vector<std::string>> store_upkeep::check(bool content, upkeep_progress const& progress)
{
	std::lock_guard const one(m_store.m_upkeep_mutex);
	std::vector<std::string> problems;
	{
		std::lock_guard const lock(m_store.m_index_mutex);
		auto inside = m_store.m_index->problems();
		if (!inside) return tl::unexpected(inside.error());
		problems = std::move(*inside);
	}
	auto const all = m_store.all_containers();
	std::uint64_t total = 0, done = 0;
	for (auto const& c : all) total += c->row.stored;
	for (auto const& c : all)
	{
		if (!m_store.find_container(c->row.id)) continue;
		if (auto const looked = check_xorb(*c, content, problems); !looked) return tl::unexpected(looked.error());
		done += c->row.stored;
		if (progress && !progress(done, total)) return fail(errc::cancelled, "stopped after ", done, " of ", total, " bytes");
	}
	auto const wanted = m_store.wanted();
	if (!wanted) return tl::unexpected(wanted.error());
	for (wanted_chunk const& w : *wanted)
		problems.push_back(cat("chunk ", to_string(w.kind, w.hash), " is needed by ", w.holder, " and lost; it is taken when it comes in again"));
	return problems;
}

result<> store_upkeep::forget_index(file_layer& files, std::filesystem::path const& dir)
{
	auto const lock = files.lock(dir / "lock");
	if (!lock) return tl::unexpected(lock.error());
	for (char const* name : {"index.db", "index.db-wal", "index.db-journal", "index.db-shm"})
		if (auto const gone = files.remove(dir / name); !gone && gone.error().code != errc::not_found) return gone;
	auto const runs = files.list(dir / "runs");
	if (!runs) return tl::unexpected(runs.error());
	for (auto const& e : *runs)
		if (auto const gone = files.remove(dir / "runs" / e.name); !gone) return gone;
	return {};
}

} // namespace xet
