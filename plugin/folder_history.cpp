// folder: what is kept of earlier versions. A follower puts what a new version replaces or deletes into the node's store
// before it touches the files; a publisher, whose files are overwritten by others, copies those that are small as soon as
// they are published. What cannot be kept is told, and holds nothing up.

#include "plugin/folder.hpp"

#include "plugin/node_store.hpp"
#include "plugin/swarm.hpp"
#include "tonic/path_rules.hpp"
#include "xet/store_writer.hpp"

namespace ut_xet {

tonic::history folder::kept_versions() const { return tonic::history(m_state_dir / "versions", m_id); }

// The current version, complete on this disk, is about to be replaced.
void folder::remember_version()
{
	auto const v = current();
	if (!v || !m_shared->store || m_shared->store->policy().versions == 0) return;
	auto const kept = kept_versions().remember(v->manifest->seq, tonic_path());
	if (!kept) m_shared->log.warning("folder ", m_id, ": version ", v->manifest->seq, " is not kept: ", kept.error().message);
}

// logical_bytes: of the version that is kept by that.
// room: bytes it may take.
void folder::keep_files(tonic::manifest const& m, std::vector<xet::chunk_ref> const& chunks, std::uint64_t logical_bytes, std::uint64_t room)
{
	if (chunks.empty() || !m_shared->store) return;
	xet::store_writer writer(m_shared->store->chunks(), m.how.kind);
	std::uint64_t lost = 0, left_out = 0;
	xet::result<> done;
	for (xet::chunk_ref const& c : chunks)
	{
		if (m_stop) return;
		if (writer.new_bytes() + c.size > room)
		{
			++left_out;
			continue;
		}
		auto const here = writer.keep(c.hash);
		if (!here) done = tl::unexpected(here.error());
		else if (!*here)
		{
			auto const data = read_content(m.how.kind, c.hash);
			if (!data) ++lost;  // it was overwritten before we came
			else done = writer.put(c.hash, *data);
		}
		if (!done) break;
	}
	if (done) done = writer.flush();
	std::lock_guard const lock(m_shared->store->holding());
	if (m_stop) return;  // it was left perhaps: nothing is held for it any more
	if (done) done = writer.commit(kept_versions().holder(), logical_bytes);
	if (!done) m_shared->log.warning("folder ", m_id, ": what is replaced is not all kept: ", done.error().message);
	else if (left_out != 0)
		m_shared->log.warning("folder ", m_id, ": the disk has no room for ", left_out, " chunks of the version that is replaced; they are not kept");
	else if (lost != 0) m_shared->log.info("folder ", m_id, ": ", lost, " chunks of the version before are not kept: they are not here any more");
}

// A follower, before anything of the new version is put in place.
void folder::keep_replaced(std::uint64_t needed_bytes)
{
	if (!m_previous || m_previous == m_target || !m_shared->store || m_shared->store->policy().versions == 0) return;
	if (m_kept_for_seq == target().seq) return;  // tried before; what was moved since cannot be read any more
	m_kept_for_seq = target().seq;
	expire_versions();
	// the new version comes first: what is kept of the old one may take what that leaves
	auto const& chunks = m_shared->store->chunks();
	auto const free = chunks.files().free_bytes(chunks.dir());
	std::uint64_t const taken = needed_bytes + chunks.options().reserve_bytes;
	std::uint64_t const room = free && *free > taken ? *free - taken : 0;
	keep_files(*m_previous, tonic::chunks_not_in(*m_previous, tonic::replaced_files(*m_previous, target()), target()), m_previous->total_bytes(), room);
}

// A publisher, after a version is out: others overwrite these files as they like. Beside the folder's other work: whoever
// waits for the next version does not wait for this.
void folder::keep_own(std::shared_ptr<version const> before)
{
	auto const& store = m_shared->store;
	if (!store || store->how().keep_own_bytes == 0 || store->policy().versions == 0) return;
	boost::asio::post(m_keep_strand, [self = shared_from_this(), before = std::move(before), now = current()] {
		if (self->m_stop || !now) return;
		try
		{
			self->keep_small_files(before ? before->manifest.get() : nullptr, *now->manifest);
		}
		catch (std::exception const& e)
		{
			self->m_shared->log.warning("folder ", self->m_id, ": its files are not all kept: ", e.what());
		}
	});
}

void folder::keep_small_files(tonic::manifest const* before, tonic::manifest const& now)
{
	auto const& how = m_shared->store->how();
	auto const figures = m_shared->store->chunks().stats();
	if (!figures) return;
	tonic::manifest const nothing;
	auto files = tonic::replaced_files(now, before ? *before : nothing);
	// what was changed last is changed next
	std::sort(files.begin(), files.end(), [](auto const* a, auto const* b) { return a->mtime_ns > b->mtime_ns; });
	std::uint64_t const total = std::uint64_t(how.keep_own_total);
	std::uint64_t room = total > figures->xorb_bytes ? total - figures->xorb_bytes : 0;
	std::erase_if(files, [&](auto const* f) {
		if (f->size > std::uint64_t(how.keep_own_bytes) || f->size > room) return true;
		room -= f->size;
		return false;
	});
	keep_files(now, tonic::chunks_not_in(now, files, nothing), before ? before->total_bytes() : 0, UINT64_MAX);
	expire_versions();
}

// --- from the peers ----------------------------------------------------------------------------------------------------

// Chunks of kept versions that are not here any more may be kept by others. They are asked for like metadata: of anybody
// who follows the folder, whatever he said he has.
void folder::recall(std::vector<xet::chunk_ref> chunks)
{
	post([this, chunks = std::move(chunks)]() mutable {
		auto const v = current();
		auto const s = current_swarm();
		if (!v || !s || !m_shared->store || m_fetching) return;
		m_recalled.clear();
		for (xet::chunk_ref const& c : chunks) m_recalled.emplace(c.hash, c.size);
		s->want_metadata(v->tree.root().hash, std::move(chunks));
	});
}

void folder::end_recall()
{
	post([this] {
		if (auto const v = current(); v && !m_recall_buffer.empty()) store_recalled(v->manifest->how.kind);
		if (std::exchange(m_recalled, {}).empty() || m_fetching) return;
		if (auto const s = current_swarm()) s->want_metadata({}, {});
	});
}

// Strand. False when it is nothing that was recalled.
bool folder::recalled_arrived(xet::hash32 const& hash, xet::bytes const& data, std::uint32_t peer)
{
	auto const i = m_recalled.find(hash);
	auto const s = current_swarm();
	auto const v = current();
	if (i == m_recalled.end() || !s || !v) return false;
	auto const kind = v->manifest->how.kind;
	if (data.size() != i->second || xet::chunk_hash(kind, data) != hash)
	{
		++m_shared->count.verify_failures;
		s->ban(peer, xet::cat("chunk ", xet::to_hex(hash.view()), " has other bytes"));
		s->chunk_failed(hash);
		return true;
	}
	m_recalled.erase(i);
	++m_recalled_chunks;
	m_shared->count.chunk_bytes_in += data.size();
	++m_shared->count.chunks_in;
	m_recall_buffer.emplace_back(hash, data);
	m_recall_bytes += data.size();
	s->chunks_stored({hash}, false);
	if (m_recalled.empty() || m_recall_bytes >= recall_batch_bytes) store_recalled(kind);
	return true;
}

void folder::store_recalled(xet::hash_kind kind)
{
	xet::store_writer writer(m_shared->store->chunks(), kind);
	xet::result<> done;
	for (auto const& [hash, data] : m_recall_buffer)
		if (done) done = writer.put(hash, data);
	std::lock_guard const lock(m_shared->store->holding());
	if (done) done = writer.commit(kept_versions().holder(), 0);
	if (!done) m_shared->log.warning("folder ", m_id, ": ", done.error().message);
	m_recall_buffer.clear();
	m_recall_bytes = 0;
}

void folder::expire_versions()
{
	auto const v = current();
	if (!m_shared->store || !v) return;
	auto const done = m_shared->store->expire(kept_versions(), v->manifest.get());
	if (!done) m_shared->log.warning("folder ", m_id, ": ", done.error().message);
}

} // namespace ut_xet
