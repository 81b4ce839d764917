// The follower's half of a folder: learning of a version, fetching its metadata, and making the files on disk become it.

#include "plugin/folder.hpp"

#include "plugin/node_store.hpp"
#include "plugin/swarm.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <fcntl.h>
#include <numeric>
#include <random>
#include <sys/stat.h>

namespace ut_xet {

using namespace std::chrono_literals;
using xet::errc;
using xet::fail;

namespace {

constexpr auto retry_interval = 10s;
constexpr auto job_time = 10s;
constexpr auto progress_check = 300ms;
// files come in together for a moment, so that one sync serves many
constexpr auto placing_delay = 20ms;
// How long an edit of a followed file is left alone, in case the publisher made it, too; and how often in a row.
constexpr auto edit_patience = 1s;
constexpr int max_waits_for_edits = 3;
constexpr std::size_t files_per_placing = 2048;
// A shuffled unit of the fetch order: random enough for a swarm, sequential enough for a disk.
constexpr std::size_t chunks_per_block = 64;
constexpr std::size_t chunks_per_copy = 64;  // about 1.5 MB: one read, one write
constexpr std::uint64_t copy_batch_bytes = 2 * 1024 * 1024;
constexpr std::uint64_t disk_reserve_bytes = 1024 * 1024;

std::int64_t now_seconds()
{
	return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string parent_of(std::string const& path)
{
	auto const slash = path.rfind('/');
	return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

} // namespace

// --- a version's metadata ----------------------------------------------------------------------------------------------

void folder::head_arrived(xet::wire::folder_head const& head, std::uint32_t peer)
{
	if (head.seq < m_newest_seq || (head.seq == m_newest_seq && !m_headless)) return;
	std::lock_guard const lock(m_heads_mutex);
	// one task, however many a peer sends; the latest of each peer counts
	bool const waiting = !m_heads.empty();
	m_heads[peer] = head;
	if (waiting) return;
	post([this] {
		std::map<std::uint32_t, xet::wire::folder_head> heads;
		{
			std::lock_guard const inner(m_heads_mutex);
			heads.swap(m_heads);
		}
		for (auto const& [from, h] : heads)
		{
			m_fetch_peer = from;
			begin_fetch(h);
		}
	});
}

// The waiting ends with the job, with its time, or as soon as nothing comes in: what it lacks may be gone already, replaced by
// what the next version has.
void folder::wait_with_next_head(std::uint64_t need_bytes)
{
	post_later(progress_check, [this, need_bytes] {
		if (!m_next_head) return;
		std::uint64_t const now = m_need_bytes;
		if (m_job && now < need_bytes && clock::now() - m_job_since < job_time)
		{
			wait_with_next_head(now);
			return;
		}
		m_job_since = {};
		begin_next_fetch();
	});
}

void folder::begin_next_fetch()
{
	if (auto head = std::exchange(m_next_head, std::nullopt)) begin_fetch(std::move(*head));
}

void folder::begin_fetch(xet::wire::folder_head head)
{
	auto const r = record();
	if (r.role == folder_role::publisher || m_bad_roots.contains(head.tree.hash)) return;
	auto const v = current();
	std::uint64_t const known = m_fetching ? m_fetching->seq : v ? v->manifest->seq : 0;
	bool const names_ours = v && !v->head && head.tree == v->tree.root();
	if (head.seq <= known && !names_ours) return;
	if (head.author != r.carrier.author || !verify_head(head))
	{
		if (auto const s = current_swarm()) s->ban(m_fetch_peer, "a folder head that its publisher did not sign");
		return;
	}
	if (names_ours)
	{
		// the version came from a .tonic file; now there is its head, to be passed on
		auto data = tonic::read_whole_file(tonic_path(), xet::max_metadata_bytes);
		if (!data) return;
		auto const taken = take_version(*v->manifest, *data, head);
		if (!taken) trouble(taken.error(), retry_interval);
		else if (!m_job) offer_all();
		return;
	}
	// A publisher that writes all the time must not keep a large file from ever arriving: what is being put together goes on
	// for a while before the next version takes over.
	auto const job_age = clock::now() - m_job_since;
	if (m_job && job_age < job_time)
	{
		m_newest_seq = std::max<std::uint64_t>(m_newest_seq, head.seq);
		bool const armed = m_next_head.has_value();
		if (!armed || m_next_head->seq < head.seq) m_next_head = std::move(head);
		if (!armed) wait_with_next_head(m_need_bytes);
		return;
	}
	if (!xet::has_blake3() && head.hash != xet::hash_kind::sha256)
	{
		set_state("error", "this folder's chunks are named with BLAKE3, and this build has none; install a build with BLAKE3", true);
		return;
	}
	auto assembly = xet::tree_assembly::start(head.hash, head.tree);
	if (!assembly) return;
	m_newest_seq = head.seq;
	m_fetching = std::move(head);
	m_assembly = std::move(*assembly);
	// that the folder is missing stays said
	if (m_fs || !v) set_state("syncing");
	continue_fetch();
}

// A chunk of the new version's metadata that the versions we have contain already.
std::optional<xet::bytes> folder::own_metadata(xet::hash32 const& hash) const
{
	auto const v = current();
	if (!v) return std::nullopt;
	return v->read(hash);
}

void folder::continue_fetch()
{
	xet::chunk_list wanted;
	for (;;)
	{
		if (m_assembly->done())
		{
			finish_fetch();
			return;
		}
		wanted.clear();
		int const level = m_assembly->level();
		for (xet::chunk_ref const& c : m_assembly->missing())
		{
			auto const data = own_metadata(c.hash);
			if (!data || !m_assembly->supply(c.hash, *data)) wanted.push_back(c);
		}
		if (!m_assembly->done() && m_assembly->level() == level && !wanted.empty()) break;
		if (!m_assembly->done() && m_assembly->level() == level) return;  // supplied, and the level is false: its sender is told
	}
	if (auto const s = current_swarm()) s->want_metadata(m_fetching->tree.hash, std::move(wanted));
}

void folder::metadata_arrived(xet::hash32 const& hash, xet::bytes const& data, std::uint32_t peer)
{
	auto const s = current_swarm();
	if (!s) return;
	if (recalled_arrived(hash, data, peer)) return;
	if (!m_assembly)
	{
		s->chunks_stored({hash}, false);
		return;
	}
	int const level = m_assembly->level();
	auto const supplied = m_assembly->supply(hash, data);
	if (!supplied)
	{
		++m_shared->count.verify_failures;
		s->ban(peer, supplied.error().message);
		if (supplied.error().code == errc::mismatch)
		{
			s->chunk_failed(hash);
			return;
		}
		s->chunk_failed(hash);
		// the hashes are right, so it is the publisher's tree that makes no sense: never ask for it again
		m_bad_roots.insert(m_fetching->tree.hash);
		m_shared->log.warning("folder ", m_id, ": version ", m_fetching->seq, ": ", supplied.error().message);
		m_assembly.reset();
		m_fetching.reset();
		s->want_metadata({}, {});
		return;
	}
	m_shared->count.chunk_bytes_in += data.size();
	m_shared->count.metadata_bytes_in += data.size();
	++m_shared->count.chunks_in;
	s->chunks_stored({hash}, false);
	if (m_assembly->done() || m_assembly->level() != level) continue_fetch();
}

void folder::finish_fetch()
{
	std::string const data = m_assembly->take();
	auto const head = *m_fetching;
	m_assembly.reset();
	m_fetching.reset();
	auto manifest = tonic::decode_tonic(data);
	std::string wrong;
	if (!manifest) wrong = manifest.error().message;
	else if (manifest->folder != m_id || manifest->seq != head.seq || manifest->author != head.author || manifest->how.kind != head.hash) wrong = "it is not the version its head names";
	else if (manifest->git_ref.empty()
		&& head.ref != xet::wire::to_ref(xet::hasher(manifest->how.kind).update(data).finish())) wrong = "its bytes do not have the head's reference";
	if (!wrong.empty())
	{
		m_bad_roots.insert(head.tree.hash);
		m_shared->log.warning("folder ", m_id, ": version ", head.seq, " is refused: ", wrong);
		auto const v = current();
		m_newest_seq = v ? v->manifest->seq : 0;
		return;
	}
	auto const v = current();
	if (v && m_previous == v->manifest)
	{
		// complete on disk: what is replaced may be told from what was edited, also after a restart
		std::error_code ignored;
		std::filesystem::copy_file(tonic_path(), m_state_dir / "previous.tonic", std::filesystem::copy_options::overwrite_existing, ignored);
		remember_version();
	}
	auto const taken = take_version(std::move(*manifest), data, head);
	if (!taken)
	{
		trouble(taken.error(), retry_interval);
		// nobody says it again: as if it had just arrived
		m_newest_seq = v ? v->manifest->seq : 0;
		post_later(retry_interval, [this, head] { begin_fetch(head); });
		return;
	}
	{
		std::lock_guard const lock(m_mutex);
		m_job = nullptr;
	}
	scan_soon();
}

// --- from what is on disk to the version ------------------------------------------------------------------------------

void folder::follower_scan()
{
	auto const v = current();
	if (!v)
	{
		set_state("searching", m_fetching ? "" : "no version of this folder is known yet; waiting for a peer that has one");
		return;
	}
	m_target = v->manifest;
	auto const r = record();
	if (!r.placed)
		if (auto const made = make_root(); !made) return trouble(made.error(), retry_interval);
	if (auto const opened = open_root(); !opened) return root_is_gone(opened.error().message);
	watch_root();
	auto found = scan([this](std::string_view path) {
		return target().find_file(path) != nullptr || m_index->find(path) != nullptr;
	});
	if (!found)
	{
		trouble(found.error(), retry_interval);
		return;
	}
	bool const again = !found->unstable.empty();
	if (r.placed && !m_accept_deletions && !same_root_as_before() && tonic::all_gone(*found, *m_index, m_previous.get()))
		return root_is_gone(xet::cat("the directory at ", tonic::printable(r.path.native()), " is another one than before, without the folder's files"
			" (disk not mounted?). It goes on when they are back. To fill it again: xet rescan ", m_id, " --accept-deletions"));
	tonic::keep_unknown(*found, *m_index, m_previous.get());
	mark_published(found->files);
	auto done = index_scan(*found);
	if (done)
	{
		auto edits = find_kept_aside(*found);
		{
			std::lock_guard const lock(m_mutex);
			m_local_edits = std::move(edits);
		}
		remember_root();
		m_accept_deletions = false;
		if (wait_for_same_edit(*found)) return retry(edit_patience);
		done = carry_out(tonic::make_plan(target(), m_previous.get(), found->files), *found);
	}
	if (!done) trouble(done.error(), retry_interval);
	else if (again) retry(1s);
}

// An edit of this moment may have been made by the publisher, too: then his version is on its way, and nothing is in conflict.
bool folder::wait_for_same_edit(tonic::scan_result const& found)
{
	auto const now = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch());
	bool const fresh = std::any_of(found.files.begin(), found.files.end(), [&](tonic::local_file const& f) {
		return f.chunks && !f.published && f.stamp.ctime_ns > (now - edit_patience).count() && target().find_file(f.path) != nullptr;
	});
	m_waits_for_edits = fresh ? m_waits_for_edits + 1 : 0;
	return fresh && m_waits_for_edits <= max_waits_for_edits;
}

// The folder's directory is made when the version fits: what does not leaves nothing behind.
xet::result<> folder::make_root()
{
	auto const path = record().path;
	std::error_code ec;
	if (std::filesystem::is_directory(path, ec)) return {};
	auto above = path.parent_path();
	while (!std::filesystem::exists(above, ec) && above != above.parent_path()) above = above.parent_path();
	auto const fs = tonic::folder_fs::open(above);
	if (!fs) return tl::unexpected(fs.error());
	std::vector<std::uint32_t> all(target().files.size());
	std::iota(all.begin(), all.end(), 0u);
	if (auto const room = check_room(tonic::materialiser(*fs, m_target, nullptr, std::move(all)), *fs); !room) return room;
	std::filesystem::create_directories(path, ec);
	if (ec) return fail(errc::io, "cannot make ", tonic::printable(path.native()), ": ", ec.message());
	return {};
}

// Local edits that were given another name: files, links, whole directories.
std::vector<std::string> folder::find_kept_aside(tonic::scan_result const& found) const
{
	std::set<std::string> out;
	auto const look = [&](std::string const& path) {
		for (std::size_t from = 0; from < path.size();)
		{
			auto const end = std::min(path.find('/', from), path.size());
			std::string part = path.substr(0, end);
			if (tonic::is_kept_aside(part.substr(from)) && !target().find_file(part) && !target().find_link(part) && !target().find_dir(part))
			{
				out.insert(std::move(part));
				return;
			}
			from = end + 1;
		}
	};
	for (auto const& f : found.files)
		if (!f.published) look(f.path);
	for (auto const& l : found.links) look(l.path);
	for (auto const& d : found.dirs) look(d.path);
	for (auto const& r : found.refused) look(r.path);  // a pipe can be in the way, too
	return {out.begin(), out.end()};
}

// A file's content may be replaced when a publisher once said it; anything else is somebody's work.
void folder::mark_published(std::vector<tonic::local_file>& files) const
{
	auto const says = [](tonic::manifest const* m, tonic::local_file const& f) {
		auto const* e = m ? m->find_file(f.path) : nullptr;
		return e != nullptr && e->hash == f.hash && e->size == f.stamp.size;
	};
	for (tonic::local_file& f : files)
	{
		if (!f.chunks || f.published) continue;
		auto const* known = m_index->find(f.path);
		f.published = says(m_target.get(), f) || says(m_previous.get(), f)
			|| (known != nullptr && known->published && known->hash == f.hash);
	}
}

// Directories and links are there, and none that the version before had and this one has not.
bool folder::entries_are_right(tonic::scan_result const& found) const
{
	auto const in = [](auto const& list, std::string const& path) {
		auto const i = std::lower_bound(list.begin(), list.end(), path, [](auto const& e, std::string const& p) { return e.path < p; });
		return i != list.end() && i->path == path ? &*i : nullptr;
	};
	for (auto const& d : target().dirs)
		if (!in(found.dirs, d.path)) return false;
	for (auto const& l : target().links)
		if (auto const* here = in(found.links, l.path); !here || here->target != l.target) return false;
	if (!m_previous || m_previous == m_target) return true;
	for (auto const& d : m_previous->dirs)
		if (!target().find_dir(d.path) && in(found.dirs, d.path)) return false;
	for (auto const& l : m_previous->links)
		if (!target().find_link(l.path) && in(found.links, l.path)) return false;
	return true;
}

// Directories that their owner may not write or list are opened for the work; their own modes come back at the end.
xet::result<> folder::open_dirs()
{
	for (auto const& m : {m_previous, m_target})
	{
		if (!m) continue;
		for (tonic::dir_entry const& d : m->dirs)
		{
			auto const now = m_fs->look(d.path);
			if (now.kind != tonic::entry_kind::dir || (now.stamp.mode & 0700) == 0700) continue;
			if (auto const set = m_fs->set_mode(d.path, now.stamp.mode | 0700); !set) return set;
		}
	}
	return {};
}

xet::result<> folder::carry_out(tonic::folder_plan plan, tonic::scan_result const& found)
{
	auto const& local = found.files;
	// changing a directory's mode is an event, so it must not happen when all is well: it would never end
	bool const idle = plan.nothing_to_do() && entries_are_right(found);
	m_closed_dirs = idle ? found.unreadable_dirs : std::vector<std::string>();
	// an edited file stays in its place until what replaces it is here: without a peer that may take long
	std::set<std::string_view> replaced;
	for (std::uint32_t const i : plan.build) replaced.insert(target().files[i].path);
	std::erase_if(plan.keep_aside, [&](std::string const& path) { return replaced.contains(path); });
	auto const job = std::make_shared<tonic::materialiser>(*m_fs, m_target, m_previous, std::move(plan.build));
	// before anything is changed: a disk that cannot hold the version is left as it is
	if (auto const room = check_room(*job, *m_fs); !room) return room;
	keep_replaced(job->bytes_to_write(m_fs->block_bytes()));
	for (auto const& step : {
			std::function<xet::result<>()>([&] { return idle ? xet::result<>() : open_dirs(); }),
			std::function<xet::result<>()>([&] { return keep_edits_aside(plan.keep_aside); }),
			std::function<xet::result<>()>([&] { return make_way_for_dirs(); }),
			std::function<xet::result<>()>([&] { return move_files(plan.moves, local); }),
			std::function<xet::result<>()>([&] { return touch_files(plan.touch, local); }),
		})
	{
		auto const done = step();
		if (!done) return done;
	}
	m_to_remove = std::move(plan.remove);
	m_blocked.clear();
	m_asked_bytes = 0;
	return begin_job(job);
}

xet::result<> folder::keep_edits_aside(std::vector<std::string> const& paths)
{
	for (std::string const& path : paths)
	{
		auto const aside = m_fs->keep_aside(path, now_seconds());
		if (!aside) return tl::unexpected(aside.error());
		m_shared->log.warning("folder ", target().name, ": ", tonic::printable(path), " was edited here; kept as ", tonic::printable(*aside));
		auto const removed = m_index->apply({}, {path});
		if (!removed) return removed;
		std::lock_guard const lock(m_mutex);
		m_local_edits.push_back(*aside);
	}
	return {};
}

// Where the version has a directory and the disk has something else.
xet::result<> folder::make_way_for_dirs()
{
	for (tonic::dir_entry const& d : target().dirs)
	{
		if (tonic::lies_below(d.path, m_closed_dirs)) continue;
		auto const now = m_fs->look(d.path);
		if (now.kind == tonic::entry_kind::dir) continue;
		if (now.kind != tonic::entry_kind::absent)
		{
			auto const* known = m_index->find(d.path);
			bool const ours = now.kind == tonic::entry_kind::file ? known != nullptr && known->published && known->stamp.same_content(now.stamp)
				: now.kind == tonic::entry_kind::link && m_previous && m_previous->find_link(d.path)
					&& m_previous->find_link(d.path)->target == m_fs->read_link(d.path);
			auto const cleared = ours ? m_fs->remove_file(d.path) : keep_edits_aside({d.path});
			if (!cleared) return cleared;
			if (auto const removed = m_index->apply({}, {d.path}); !removed) return removed;
		}
		if (auto const made = m_fs->make_dirs(d.path); !made) return made;
	}
	return {};
}

xet::result<> folder::move_files(std::vector<tonic::folder_plan::move> const& moves, std::vector<tonic::local_file> const& local)
{
	std::vector<tonic::local_file> changed;
	std::vector<std::string> removed;
	for (auto const& m : moves)
	{
		tonic::file_entry const& f = target().files[m.file];
		auto const from = std::lower_bound(local.begin(), local.end(), m.from, [](auto const& a, auto const& b) { return a.path < b; });
		auto const there = m_fs->look(f.path);
		auto const source = m_fs->look(m.from);
		// anything unexpected: the next scan sees it, and the content is put together from chunks
		if (there.kind != tonic::entry_kind::absent || !source.stamp.same_content(from->stamp)) continue;
		if (auto const moved = m_fs->rename(m.from, f.path); !moved) return moved;
		if (auto const set = m_fs->set_mode(f.path, f.mode); !set) return set;
		if (auto const set = m_fs->set_times(f.path, f.mtime_ns); !set) return set;
		changed.push_back({f.path, m_fs->look(f.path).stamp, f.hash, from->chunks, true});
		removed.push_back(m.from);
		m_shared->count.chunk_bytes_local += f.size;
	}
	return m_index->apply(std::move(changed), removed);
}

xet::result<> folder::touch_files(std::vector<std::uint32_t> const& files, std::vector<tonic::local_file> const& local)
{
	std::vector<tonic::local_file> changed;
	for (std::uint32_t const i : files)
	{
		tonic::file_entry const& f = target().files[i];
		auto const here = std::lower_bound(local.begin(), local.end(), f.path, [](auto const& a, auto const& b) { return a.path < b; });
		auto const now = m_fs->look(f.path);
		// edited since it was scanned: giving it the published time would hide that
		if (now.kind != tonic::entry_kind::file || now.stamp.size != here->stamp.size || now.stamp.mtime_ns != here->stamp.mtime_ns
			|| now.stamp.inode != here->stamp.inode)
			continue;
		if (auto const set = m_fs->set_mode(f.path, f.mode); !set) return set;
		if (auto const set = m_fs->set_times(f.path, f.mtime_ns); !set) return set;
		changed.push_back({f.path, m_fs->look(f.path).stamp, f.hash, here->chunks, true});
	}
	return m_index->apply(std::move(changed), {});
}

// --- content -----------------------------------------------------------------------------------------------------------

xet::result<> folder::begin_job(std::shared_ptr<tonic::materialiser> const& job)
{
	if (job->files_left() > 0) set_state("syncing");
	if (auto const recovered = job->recover(m_stop); !recovered) return recovered;
	bool placed;
	{
		std::lock_guard const lock(m_mutex);
		m_job = job;
		placed = std::exchange(m_record.placed, true);
	}
	if (!placed) save();
	m_job_since = clock::now();
	if (job->files_left() == 0)
	{
		complete();
		return {};
	}
	if (auto const s = current_swarm()) s->offer(current(), false, have_bits(*job));
	gather(job);
	return {};
}

xet::result<> folder::check_room(tonic::materialiser const& job, tonic::folder_fs const& disk) const
{
	// partial files of an earlier run hold room already, whatever of them is still good
	std::uint64_t const to_write = job.bytes_to_write(disk.block_bytes());
	if (to_write == 0) return {};
	std::uint64_t const held = job.partial_bytes();
	std::uint64_t const needed = to_write > held ? to_write - held : 0;
	std::uint64_t const free = disk.free_bytes();
	if (needed == 0 || needed + disk_reserve_bytes <= free) return {};
	return fail(errc::no_space, "the disk is full: ", tonic::printable(record().path.native()), " needs ", needed + disk_reserve_bytes, " more bytes and has ", free);
}

xet::bytes folder::have_bits(tonic::materialiser const& job) const
{
	auto const& m = job.target();
	xet::bytes have((m.chunks.size() + 7) / 8, 0xff);
	if (auto const odd = m.chunks.size() % 8; odd != 0) have.back() = std::uint8_t(0xff00 >> odd);
	for (std::uint32_t const file : job.build())
	{
		tonic::file_entry const& f = m.files[file];
		for (std::uint32_t o = f.first_chunk; o < f.first_chunk + f.chunk_count; ++o)
			if (!job.has(*job.find(m.chunks[o].hash))) have[o / 8] &= std::uint8_t(~(0x80 >> (o % 8)));
	}
	return have;
}

void folder::tell_what_is_here()
{
	if (m_telling.exchange(true)) return;
	post([this] {
		m_telling = false;
		std::shared_ptr<tonic::materialiser> job;
		{
			std::lock_guard const lock(m_mutex);
			job = m_job;
		}
		auto const s = current_swarm();
		if (job && s) s->offer(current(), false, have_bits(*job));
	});
}

// Chunks that are on this disk already, and where; copied by workers, a batch at a time, so that serving goes on meanwhile.
struct folder::copy_list
{
	struct source
	{
		std::uint32_t u;
		std::string path;  // in this folder; empty: in another one, or in the store
		std::uint64_t offset = 0;
		std::uint32_t size = 0;
	};
	std::shared_ptr<tonic::materialiser> job;
	std::optional<tonic::folder_fs> fs;  // as it was when the copying began
	std::vector<source> sources;
	std::atomic<std::size_t> next{0};
	std::atomic<int> running{0};
	std::mutex mutex;
	std::vector<std::uint32_t> failed;
};

void folder::gather(std::shared_ptr<tonic::materialiser> const& job)
{
	auto const kind = job->target().how.kind;
	auto const siblings = m_siblings();
	auto const list = std::make_shared<copy_list>();
	list->job = job;
	list->fs = m_fs;
	std::vector<std::uint32_t> wanted;
	for (std::uint32_t u = 0; u < job->unique_count(); ++u)
	{
		if (job->has(u)) continue;
		auto const& c = job->unique(u);
		auto const places = m_index->locate(c.hash);
		if (!places.empty()) list->sources.push_back({u, places.front().file->path, places.front().offset, c.size});
		else if (std::any_of(siblings.begin(), siblings.end(), [&](auto const& f) { return f.get() != this && f->knows_content(kind, c.hash); })
			|| (m_shared->store && m_shared->store->chunks().contains(kind, c.hash)))
			list->sources.push_back({u, {}, 0, c.size});
		else wanted.push_back(u);
	}
	std::sort(list->sources.begin(), list->sources.end(), [](auto const& a, auto const& b) {
		return std::tie(a.path, a.offset) < std::tie(b.path, b.offset);
	});
	want_missing(job, std::move(wanted));
	if (!list->sources.empty())
	{
		list->running = 2;
		for (int i = 0; i < 2; ++i)
			boost::asio::post(m_shared->workers, [self = shared_from_this(), list] { self->copy_some(list); });
	}
	place_ready();
}

void folder::want_missing(std::shared_ptr<tonic::materialiser> const& job, std::vector<std::uint32_t> wanted)
{
	if (m_asked_bytes == 0) m_asked_since = clock::now();
	// Other orders on other nodes, so that they have something to give each other.
	std::vector<std::size_t> blocks((wanted.size() + chunks_per_block - 1) / chunks_per_block);
	for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = i * chunks_per_block;
	std::shuffle(blocks.begin(), blocks.end(), std::mt19937_64(std::random_device{}()));
	std::vector<scheduler::want> wants;
	wants.reserve(wanted.size());
	std::uint64_t bytes = 0;
	for (std::size_t const begin : blocks)
		for (std::size_t i = begin; i < std::min(begin + chunks_per_block, wanted.size()); ++i)
		{
			auto const& c = job->unique(wanted[i]);
			wants.push_back({c.hash, c.size, job->ordinal(wanted[i])});
			bytes += c.size;
		}
	m_need_bytes = bytes;
	m_asked_bytes = std::max<std::uint64_t>(m_asked_bytes, bytes);
	auto const v = current();
	if (auto const s = current_swarm()) s->want_content(v->tree.root().hash, std::move(wants));
}

bool folder::read_source(copy_list const& list, std::size_t i, std::span<std::uint8_t> into)
{
	auto const kind = list.job->target().how.kind;
	auto const& hash = list.job->unique(list.sources[i].u).hash;
	auto const take = [&](auto const& found) {
		if (!found || found->size() != into.size()) return false;
		std::copy(found->begin(), found->end(), into.begin());
		return true;
	};
	for (auto const& f : m_siblings())
		if (f.get() != this && take(f->read_content(kind, hash))) return true;
	return m_shared->store && take(m_shared->store->chunks().read(kind, hash));
}

// Sources begin … end: neighbours in a file are read with one call.
void folder::copy_run(copy_list& list, std::size_t begin, std::size_t end, xet::bytes& buffer)
{
	auto const kind = list.job->target().how.kind;
	auto const& sources = list.sources;
	std::size_t bytes = 0;
	for (std::size_t i = begin; i < end; ++i) bytes += sources[i].size;
	buffer.resize(bytes);
	std::vector<tonic::materialiser::chunk_data> good;
	std::vector<std::uint32_t> failed;
	std::uint8_t* at = buffer.data();
	for (std::size_t i = begin; i < end;)
	{
		std::size_t n = i + 1;
		std::size_t length = sources[i].size;
		bool const sibling = sources[i].path.empty();
		while (!sibling && n < end && sources[n].path == sources[i].path && sources[n].offset == sources[n - 1].offset + sources[n - 1].size)
			length += sources[n++].size;
		bool read = false;
		if (sibling) read = read_source(list, i, {at, length});
		else if (auto const fd = list.fs->open_file(sources[i].path, O_RDONLY | O_NONBLOCK)) read = tonic::read_at(fd->get(), sources[i].offset, {at, length});
		for (; i < n; ++i)
		{
			xet::bytes_view const data(at, sources[i].size);
			at += sources[i].size;
			if (read && (sibling || xet::chunk_hash(kind, data) == list.job->unique(sources[i].u).hash)) good.push_back({sources[i].u, data});
			else failed.push_back(sources[i].u);
		}
	}
	store(list.job, good, false);
	if (failed.empty()) return;
	std::lock_guard const lock(list.mutex);
	list.failed.insert(list.failed.end(), failed.begin(), failed.end());
}

void folder::copy_some(std::shared_ptr<copy_list> const& list)
{
	xet::bytes buffer;
	std::uint64_t done = 0;
	while (done < copy_batch_bytes && !m_stop)
	{
		{
			std::lock_guard const lock(m_mutex);
			if (m_job != list->job) return;  // a newer version took over
		}
		std::size_t const begin = list->next.fetch_add(chunks_per_copy);
		std::size_t const end = std::min(begin + chunks_per_copy, list->sources.size());
		if (begin < end) copy_run(*list, begin, end, buffer);
		if (end == list->sources.size())
		{
			copied(list);
			return;
		}
		done += buffer.size();
	}
	if (!m_stop) boost::asio::post(m_shared->workers, [self = shared_from_this(), list] { self->copy_some(list); });
}

// One of the two copiers found nothing left to do; the last one sees to what was not where it should be.
void folder::copied(std::shared_ptr<copy_list> const& list)
{
	if (--list->running != 0 || list->failed.empty()) return;
	post([this, list] {
		std::shared_ptr<tonic::materialiser> job;
		{
			std::lock_guard const lock(m_mutex);
			job = m_job;
		}
		if (job != list->job) return;
		std::vector<std::uint32_t> wanted;
		for (std::uint32_t u = 0; u < job->unique_count(); ++u)
			if (!job->has(u)) wanted.push_back(u);
		want_missing(job, std::move(wanted));
	});
}

// Network thread: hands the bytes to a worker.
void folder::chunk_arrived(xet::hash32 const& hash, xet::bytes_view data, bool metadata, std::uint32_t peer)
{
	if (metadata)
		post([this, hash, copy = xet::bytes(data.begin(), data.end()), peer] { metadata_arrived(hash, copy, peer); });
	else if (m_inbox.put(hash, data, peer))
		boost::asio::post(m_shared->workers, [self = shared_from_this()] { self->store_arrivals(); });
}

void folder::store_arrivals()
{
	auto const batch = m_inbox.take();
	if (!batch) return;
	store_batch(*batch);
	// other folders' tasks have their turns in between
	boost::asio::post(m_shared->workers, [self = shared_from_this()] { self->store_arrivals(); });
}

void folder::store_batch(inbox::batch const& batch)
{
	std::shared_ptr<tonic::materialiser> job;
	std::shared_ptr<swarm> s;
	{
		std::lock_guard const lock(m_mutex);
		job = m_job;
		s = m_swarm;
	}
	if (!s) return;
	std::vector<xet::bytes_view> data;
	for (auto const& c : batch.chunks) data.push_back(c.data);
	std::vector<xet::hash32> hashes(data.size());
	if (job) xet::chunk_hashes(job->target().how.kind, data, hashes);
	std::vector<tonic::materialiser::chunk_data> good;
	for (std::size_t i = 0; i < data.size(); ++i)
	{
		auto const& c = batch.chunks[i];
		auto const u = job ? job->find(c.hash) : std::nullopt;
		if (!u)
		{
			s->chunk_failed(c.hash);  // a version passed while it was on its way
			continue;
		}
		if (data[i].size() == job->unique(*u).size && hashes[i] == c.hash)
		{
			m_shared->count.chunk_bytes_in += data[i].size();
			++m_shared->count.chunks_in;
			good.push_back({*u, data[i]});
			continue;
		}
		++m_shared->count.verify_failures;
		s->ban(c.peer, xet::cat("chunk ", xet::to_hex(c.hash.view()), " has other bytes"));
		s->chunk_failed(c.hash);
	}
	if (!good.empty()) store(job, good, true);
}

void folder::store(std::shared_ptr<tonic::materialiser> const& job, std::span<tonic::materialiser::chunk_data const> chunks, bool fetched)
{
	std::uint64_t bytes = 0, new_bytes = 0;
	std::vector<xet::hash32> hashes;
	for (auto const& c : chunks)
	{
		bytes += c.data.size();
		if (!job->has(c.u)) new_bytes += c.data.size();
		hashes.push_back(job->unique(c.u).hash);
	}
	auto const stored = job->put(chunks);
	bool current_job;
	{
		std::lock_guard const lock(m_mutex);
		current_job = m_job == job;
	}
	auto const s = current_swarm();
	// written for a version that has passed: whether the next one has it, its own look at the partial files tells
	if (s && (!stored || !current_job))
		for (xet::hash32 const& h : hashes) s->chunk_failed(h);
	if (stored && !current_job) return;
	if (!stored)
	{
		post([this, job, e = stored.error()] {
			{
				std::lock_guard const lock(m_mutex);
				if (m_job != job) return;
			}
			job_failed(e);
		});
		return;
	}
	if (!fetched) m_shared->count.chunk_bytes_local += bytes;
	else m_need_bytes -= std::min<std::uint64_t>(m_need_bytes, new_bytes);
	if (s) s->chunks_stored(std::move(hashes), true);
	if (job->any_ready() && !m_placing.exchange(true))
		// nothing more to come that could be synced with it
		post_later(m_need_bytes == 0 ? 0ms : placing_delay, [this] { place_ready(); });
}

void folder::job_failed(xet::error const& e)
{
	std::shared_ptr<tonic::materialiser> job;
	{
		std::lock_guard const lock(m_mutex);
		job = std::exchange(m_job, nullptr);
	}
	if (auto const s = current_swarm()) s->want_content({}, {});
	if (e.code != errc::no_space || !job || !m_fs) return trouble(e, retry_interval);
	// how much is missing says more than which write it was
	if (auto const room = check_room(*job, *m_fs); !room) return trouble(room.error(), retry_interval);
	trouble({e.code, xet::cat(e.message, " (", m_fs->free_bytes(), " bytes are free)")}, retry_interval);
}

// --- into place --------------------------------------------------------------------------------------------------------

void folder::place_ready()
{
	m_placing = false;
	std::shared_ptr<tonic::materialiser> job;
	{
		std::lock_guard const lock(m_mutex);
		job = m_job;
	}
	if (!job) return;
	auto const ready = job->take_ready();
	for (std::size_t at = 0; at < ready.size(); at += files_per_placing)
	{
		std::vector<std::uint32_t> const some(ready.begin() + std::ptrdiff_t(at)
			, ready.begin() + std::ptrdiff_t(std::min(ready.size(), at + files_per_placing)));
		auto const placed = place(some);
		if (!placed)
		{
			job_failed(placed.error());
			return;
		}
	}
	if (job->files_left() == m_blocked.size()) complete();
}

xet::result<> folder::place(std::vector<std::uint32_t> const& files)
{
	auto report = m_job->move_into_place(files, *m_index, now_seconds());
	if (!report) return tl::unexpected(report.error());
	m_blocked.insert(m_blocked.end(), report->blocked.begin(), report->blocked.end());
	if (!report->kept_aside.empty())
	{
		std::lock_guard const lock(m_mutex);
		for (std::string& path : report->kept_aside)
		{
			m_shared->log.warning("folder ", target().name, ": a local edit is kept as ", tonic::printable(path));
			m_local_edits.push_back(std::move(path));
		}
	}
	return m_index->apply(std::move(report->files), {});
}

void folder::complete()
{
	auto const done = finish_tree();
	if (!done)
	{
		job_failed(done.error());
		return;
	}
	{
		std::lock_guard const lock(m_mutex);
		m_job = nullptr;
	}
	m_need_bytes = 0;
	if (auto const asked = m_asked_bytes.exchange(0); asked > 0)
	{
		auto const took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - m_asked_since);
		m_shared->log.info("folder ", target().name, ": version ", target().seq, " is in place; ", asked, " bytes of it were fetched in ", took.count(), " ms");
	}
	m_previous = m_target;
	std::error_code ignored;
	std::filesystem::remove(m_state_dir / "previous.tonic", ignored);
	m_fs->remove_empty_dir(std::string(tonic::private_dir));
	remember_root();
	save();
	auto const v = current();
	if (v->manifest != m_target)
	{
		scan_soon();
		return;
	}
	if (auto const s = current_swarm()) s->want_content({}, {});
	offer_all();
	// with a newer version on its way the folder is not in sync, whatever was just completed
	if (!m_fetching && !m_next_head) set_state("in-sync");
	begin_next_fetch();
	if (std::exchange(m_scan_again, false)) scan_soon();
}

xet::result<> folder::finish_tree()
{
	for (auto const step : {&folder::remove_old_files, &folder::place_blocked, &folder::remove_old_entries, &folder::place_links, &folder::place_dirs})
	{
		auto const done = (this->*step)();
		if (!done) return done;
	}
	return {};
}

xet::result<> folder::remove_old_files()
{
	std::vector<std::string> removed;
	for (std::string const& path : m_to_remove)
	{
		auto const* known = m_index->find(path);
		auto const now = m_fs->look(path);
		if (now.kind == tonic::entry_kind::file && known != nullptr && !known->stamp.same_content(now.stamp))
		{
			// edited since the scan
			if (auto const kept = keep_edits_aside({path}); !kept) return kept;
		}
		else if (now.kind == tonic::entry_kind::file)
			if (auto const gone = m_fs->remove_file(path); !gone) return gone;
		removed.push_back(path);
	}
	m_to_remove.clear();
	return m_index->apply({}, removed);
}

// Files whose place was a directory that is empty now, or holds things made here.
xet::result<> folder::place_blocked()
{
	if (m_blocked.empty()) return {};
	if (auto const removed = remove_old_entries(); !removed) return removed;
	auto const blocked = std::exchange(m_blocked, {});
	if (auto const placed = place(blocked); !placed) return placed;
	auto const still = std::exchange(m_blocked, {});
	for (std::uint32_t const file : still)
		if (auto const kept = keep_edits_aside({target().files[file].path}); !kept) return kept;
	return still.empty() ? xet::result<>() : place(still);
}

// Links and directories of the version before that are in this one no more.
xet::result<> folder::remove_old_entries()
{
	if (!m_previous) return {};
	for (tonic::link_entry const& l : m_previous->links)
		if (!target().find_link(l.path) && m_fs->look(l.path).kind == tonic::entry_kind::link && m_fs->read_link(l.path) == l.target)
			if (auto const gone = m_fs->remove_file(l.path); !gone) return gone;
	for (auto d = m_previous->dirs.rbegin(); d != m_previous->dirs.rend(); ++d)
		if (!target().find_dir(d->path)) m_fs->remove_empty_dir(d->path);
	return {};
}

xet::result<> folder::place_links()
{
	for (tonic::link_entry const& l : target().links)
	{
		if (tonic::lies_below(l.path, m_closed_dirs)) continue;
		auto const now = m_fs->look(l.path);
		if (now.kind == tonic::entry_kind::link && m_fs->read_link(l.path) == l.target)
		{
			if (now.stamp.mtime_ns != l.mtime_ns)
				if (auto const set = m_fs->set_times(l.path, l.mtime_ns); !set) return set;
			continue;
		}
		auto const* before = m_previous ? m_previous->find_link(l.path) : nullptr;
		bool const ours = now.kind == tonic::entry_kind::link && before != nullptr && m_fs->read_link(l.path) == before->target;
		if (ours)
		{
			if (auto const gone = m_fs->remove_file(l.path); !gone) return gone;
		}
		else if (now.kind != tonic::entry_kind::absent && !(now.kind == tonic::entry_kind::dir && m_fs->remove_empty_dir(l.path)))
			if (auto const kept = keep_edits_aside({l.path}); !kept) return kept;
		if (auto const dir = parent_of(l.path); !dir.empty())
			if (auto const made = m_fs->make_dirs(dir); !made) return made;
		if (auto const made = m_fs->make_link(l.path, l.target, l.mtime_ns); !made) return made;
	}
	return {};
}

// Last, because everything else changes directories' times. Children before their parents.
xet::result<> folder::place_dirs()
{
	for (auto d = target().dirs.rbegin(); d != target().dirs.rend(); ++d)
	{
		if (tonic::lies_below(d->path, m_closed_dirs)) continue;
		auto const now = m_fs->look(d->path);
		if (now.kind != tonic::entry_kind::dir)
			if (auto const made = m_fs->make_dirs(d->path); !made) return made;
		if (now.stamp.mode != d->mode)
			if (auto const set = m_fs->set_mode(d->path, d->mode); !set) return set;
		if (now.stamp.mtime_ns != d->mtime_ns)
			if (auto const set = m_fs->set_times(d->path, d->mtime_ns); !set) return set;
	}
	return {};
}

} // namespace ut_xet
