#include "plugin/folder.hpp"

#include "plugin/node_store.hpp"
#include "plugin/swarm.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <charconv>
#include <climits>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/uio.h>

namespace ut_xet {

using namespace std::chrono_literals;
using xet::errc;
using xet::fail;

namespace {

constexpr auto rescan_interval = 60s;  // finds what watching missed
constexpr auto root_interval = 2s;     // finds that the folder itself went or came back
constexpr std::size_t max_head_file_bytes = 64 * 1024;

// As a path is typed ("./a", "a/", or absolute), and as it is kept.
std::string relative_path(std::string const& typed, std::filesystem::path const& root)
{
	auto path = std::filesystem::path(typed).lexically_normal();
	if (path.is_absolute()) path = path.lexically_relative(root);
	if (!path.has_filename()) path = path.parent_path();
	return path.native();
}

// How many, from the first on, lie behind each other in one file.
std::size_t neighbours(std::span<folder::reading const> readings)
{
	std::size_t n = 1;
	while (n < readings.size() && n < IOV_MAX && readings[n].place.file == readings[0].place.file
		&& readings[n].place.offset == readings[n - 1].place.offset + readings[n - 1].place.size)
		++n;
	return n;
}

bool read_run(int fd, std::span<folder::reading const> run)
{
	std::vector<iovec> into;
	std::size_t bytes = 0;
	for (auto const& r : run)
	{
		into.push_back({r.into, r.place.size});
		bytes += r.place.size;
	}
	// a file that became shorter
	return ::preadv(fd, into.data(), int(into.size()), off_t(run[0].place.offset)) == ssize_t(bytes);
}

} // namespace

// This folder's files, for whoever asks the node's store.
class folder::as_source : public xet::chunk_source
{
public:
	explicit as_source(std::weak_ptr<folder> f) : m_folder(std::move(f)) {}
	bool may_have(xet::hash_kind kind, xet::hash32 const& hash) const override
	{
		auto const f = m_folder.lock();
		return f && f->knows_content(kind, hash);
	}
	std::optional<xet::bytes> read(xet::hash_kind kind, xet::hash32 const& hash) const override
	{
		auto const f = m_folder.lock();
		return f ? f->read_content(kind, hash) : std::nullopt;
	}

private:
	std::weak_ptr<folder> m_folder;
};

folder::folder(std::shared_ptr<context> shared, folder_record record, std::filesystem::path state_dir, sibling_list siblings)
	: m_shared(std::move(shared))
	, m_state_dir(std::move(state_dir))
	, m_id(record.carrier.folder)
	, m_publishes(record.role == folder_role::publisher)
	, m_siblings(std::move(siblings))
	, m_strand(boost::asio::make_strand(m_shared->jobs))
	, m_keep_strand(boost::asio::make_strand(m_shared->jobs))
	, m_inbox(m_shared->slabs)
	, m_record(std::move(record))
{}

folder::~folder() = default;

// --- tasks -------------------------------------------------------------------------------------------------------------

void folder::post(std::function<void()> task)
{
	boost::asio::post(m_strand, [self = shared_from_this(), task = std::move(task)] {
		if (self->m_stop) return;
		try
		{
			task();
		}
		catch (std::exception const& e)
		{
			// nothing may cross into the host: whatever was not foreseen becomes a state that says so
			self->set_state("error", xet::cat("internal error: ", e.what()), true);
		}
	});
}

void folder::post_later(std::chrono::milliseconds after, std::function<void()> task)
{
	auto const timer = std::make_shared<boost::asio::steady_timer>(m_strand, after);
	timer->async_wait([weak = weak_from_this(), timer, task = std::move(task)](boost::system::error_code const& ec) mutable {
		auto const self = weak.lock();
		if (!ec && self) self->post(std::move(task));
	});
}

// --- state -------------------------------------------------------------------------------------------------------------

std::filesystem::path folder::tonic_path() const
{
	std::lock_guard const lock(m_mutex);
	return m_state_dir / (m_record.carrier.name + ".tonic");
}

std::filesystem::path folder::torrent_path() const
{
	std::lock_guard const lock(m_mutex);
	return m_state_dir / (m_record.carrier.name + ".torrent");
}

folder_record folder::record() const
{
	std::lock_guard const lock(m_mutex);
	return m_record;
}

xet::hash_kind folder::hash_kind() const
{
	std::lock_guard const lock(m_mutex);
	return m_version ? m_version->manifest->how.kind : xet::kind_from_name(m_record.profile).value_or(xet::hash_kind::blake3);
}

std::string folder::hash_algorithm() const
{
	return std::string(xet::algorithm_name(hash_kind()));
}

std::shared_ptr<version const> folder::current() const
{
	std::lock_guard const lock(m_mutex);
	return m_version;
}

std::shared_ptr<swarm> folder::current_swarm() const
{
	std::lock_guard const lock(m_mutex);
	return m_swarm;
}

void folder::set_state(std::string state, std::string problem, bool failed)
{
	std::lock_guard const lock(m_mutex);
	if (!problem.empty() && problem != m_problem) m_shared->log.warning("folder ", m_record.carrier.name, ": ", problem);
	m_state = std::move(state);
	m_problem = std::move(problem);
	m_failed = failed;
}

void folder::trouble(xet::error const& e, std::chrono::milliseconds retry_after)
{
	if (e.code == errc::cancelled) return;
	set_state("error", xet::cat(e.message, "; trying again in ", retry_after.count() / 1000, " s"), true);
	retry(retry_after);
}

// One scan after that time, or earlier when an earlier one is due; any scan serves.
void folder::retry(std::chrono::milliseconds after)
{
	auto const at = clock::now() + after;
	if (m_retry_at && *m_retry_at <= at) return;
	m_retry_at = at;
	post_later(after, [this, at] {
		if (m_retry_at == at) scan_soon();
	});
}

void folder::save() const
{
	auto const saved = save_record(m_state_dir / "folder.json", record());
	if (!saved) m_shared->log.error(saved.error().message);
}

xet::result<> folder::load()
{
	std::error_code ec;
	std::filesystem::create_directories(m_state_dir, ec);
	if (ec) return fail(errc::io, "cannot make ", m_state_dir.string(), ": ", ec.message());
	auto const saved = save_record(m_state_dir / "folder.json", record());
	if (!saved) return saved;
	std::string note;
	auto index = tonic::local_index::open(m_state_dir / "index.db", &note);
	if (!index) return tl::unexpected(index.error());
	m_index = std::move(*index);
	if (!note.empty()) m_shared->log.warning(note);

	if (auto previous = tonic::read_tonic(m_state_dir / "previous.tonic"))
		m_previous = std::make_shared<tonic::manifest const>(std::move(*previous));

	auto const data = tonic::read_whole_file(tonic_path(), xet::max_metadata_bytes);
	if (!data) return {};
	auto manifest = tonic::decode_tonic(*data);
	if (!manifest)
	{
		m_shared->log.warning(tonic_path().string(), ": ", manifest.error().message, "; it will be fetched or made again");
		return {};
	}
	auto v = make_version(std::move(*manifest), *data, tonic_path());
	if (!v) return tl::unexpected(v.error());
	if (auto const head = tonic::read_whole_file(m_state_dir / "head", max_head_file_bytes))
	{
		auto m = xet::wire::decode(xet::as_bytes(*head));
		if (m && std::holds_alternative<xet::wire::folder_head>(*m))
		{
			auto const& h = std::get<xet::wire::folder_head>(*m);
			if (h.tree == (*v)->tree.root() && verify_head(h)) (*v)->head = h;
		}
	}
	m_newest_seq = (*v)->manifest->seq;
	m_headless = !(*v)->head;
	if (!m_previous) m_previous = (*v)->manifest;
	std::lock_guard const lock(m_mutex);
	m_version = std::move(*v);
	return {};
}

void folder::start()
{
	m_source = std::make_shared<as_source>(weak_from_this());
	if (m_shared->store) m_shared->store->chunks().add_source(m_source);
	post([this] { scan_now(); });
	// the safety net under watching; ends with the folder
	struct net
	{
		static void spread(std::weak_ptr<folder> const& weak, std::chrono::milliseconds interval, void (folder::*look)())
		{
			if (auto const self = weak.lock())
				self->post_later(interval, [weak, interval, look] {
					if (auto const f = weak.lock()) ((*f).*look)();
					spread(weak, interval, look);
				});
		}
	};
	net::spread(weak_from_this(), rescan_interval, &folder::scan_soon);
	net::spread(weak_from_this(), root_interval, &folder::check_root);
}

void folder::stop()
{
	m_stop = true;
	std::unique_ptr<tonic::watcher> watcher;
	std::shared_ptr<swarm> s;
	{
		std::lock_guard const lock(m_mutex);
		watcher = std::move(m_watcher);
		s = std::move(m_swarm);
	}
	if (s) s->stop();
	if (m_shared->store) m_shared->store->chunks().remove_source(m_source.get());
}

void folder::use_swarm(std::shared_ptr<swarm> s)
{
	std::vector<std::string> peers;
	{
		std::lock_guard const lock(m_mutex);
		m_swarm = s;
		peers = m_record.peers;
	}
	remember_peers(peers);
	post([this] {
		// tells the swarm what is here, and the fetcher what is missing
		if (m_assembly) continue_fetch();
		auto const v = current();
		if (!v) return;
		std::shared_ptr<tonic::materialiser> job;
		{
			std::lock_guard const lock(m_mutex);
			job = m_job;
		}
		if (job) gather(job);
		else scan_soon();
	});
}

std::optional<boost::asio::ip::tcp::endpoint> folder::parse_endpoint(std::string const& text)
{
	auto const colon = text.rfind(':');
	if (colon == std::string::npos) return std::nullopt;
	std::string host = text.substr(0, colon);
	if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
	if (host == "localhost") host = "127.0.0.1";
	boost::system::error_code ec;
	auto const address = boost::asio::ip::make_address(host, ec);
	std::uint32_t port = 0;
	auto const [end, bad] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
	if (ec || bad != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) return std::nullopt;
	return boost::asio::ip::tcp::endpoint(address, std::uint16_t(port));
}

void folder::remember_peers(std::vector<std::string> peers)
{
	std::vector<lt::tcp::endpoint> endpoints;
	for (std::string const& text : peers)
		if (auto const e = parse_endpoint(text)) endpoints.push_back(*e);
	std::shared_ptr<swarm> s;
	{
		std::lock_guard const lock(m_mutex);
		for (std::string& p : peers)
			if (std::find(m_record.peers.begin(), m_record.peers.end(), p) == m_record.peers.end())
				m_record.peers.push_back(std::move(p));
		if (m_record.peers.size() > max_known_peers)
			m_record.peers.erase(m_record.peers.begin(), m_record.peers.end() - max_known_peers);
		s = m_swarm;
	}
	if (s && !endpoints.empty()) s->connect(std::move(endpoints));
}

void folder::peers_changed()
{
	post([this] {
		auto const s = current_swarm();
		if (!s) return;
		std::vector<std::string> peers;
		for (auto const& e : s->known_peers())
			peers.push_back(xet::cat(e.address().is_v6() ? "[" : "", e.address().to_string(), e.address().is_v6() ? "]:" : ":", e.port()));
		{
			std::lock_guard const lock(m_mutex);
			if (peers == m_record.peers) return;
			m_record.peers = std::move(peers);
		}
		save();
	});
}

folder_status folder::status() const
{
	std::lock_guard const lock(m_mutex);
	folder_status s;
	s.folder = m_id;
	s.name = m_record.carrier.name;
	s.role = m_record.role == folder_role::publisher ? "publisher" : "follower";
	s.state = m_state;
	s.info_hash = m_record.info_hash;
	s.path = m_record.path;
	s.peers = m_swarm ? m_swarm->peer_count() : 0;
	s.problem = m_problem;
	s.failed = m_failed;
	s.local_edits = m_local_edits;
	s.refused = m_refused;
	s.need_bytes = m_need_bytes;
	s.progress = m_progress;
	if (!m_version) return s;
	s.files = m_version->manifest->files.size();
	s.bytes = m_version->manifest->total_bytes();
	s.chunks = m_version->manifest->chunks.size();
	s.version = xet::wire::ref_text(m_version->ref);
	s.seq = m_version->manifest->seq;
	if (m_job && s.bytes > 0) s.progress = 1 - double(s.need_bytes) / double(s.bytes);
	else if (m_state == "in-sync") s.progress = 1;
	return s;
}

std::string folder::why(std::string const& asked) const
{
	auto const s = status();
	auto const path = relative_path(asked, s.path);
	auto const v = current();
	bool const whole_folder = path.empty() || path == ".";
	auto const shown = tonic::printable(whole_folder ? s.name : path);
	for (tonic::refusal const& r : s.refused)
		if (r.path == path || path.starts_with(r.path + "/"))
			return xet::cat(shown, " is not shared: ", r.reason, ". It will be when that is changed.");
	for (std::string const& edit : s.local_edits)
		if (path == edit || path.starts_with(edit + "/"))
			return xet::cat(shown, " is a local edit kept aside; it is not shared. Move it elsewhere or delete it when you do not need it.");
	if (!s.problem.empty()) return xet::cat(shown, ": ", s.problem);
	if (!v) return xet::cat(shown, ": no version of this folder is known yet; waiting for a peer that has one.");
	bool const in_version = whole_folder || v->manifest->find_file(path) || v->manifest->find_link(path) || v->manifest->find_dir(path);
	if (s.state == "in-sync")
	{
		if (in_version) return xet::cat(shown, " is in sync.");
		return xet::cat(shown, " is not part of the published version", s.role == "publisher" ? "." : "; files made here stay here.");
	}
	if (s.role == "publisher") return xet::cat(shown, ": the folder is ", s.state, "; what is in it is shared when it has been read.");
	if (!in_version) return xet::cat(shown, " is not part of the version this folder is becoming.");
	if (s.peers == 0) return xet::cat(shown, ": the folder is ", s.state, " and no peer is connected; it goes on when one is.");
	return xet::cat(shown, ": the folder is ", s.state, "; ", s.need_bytes, " bytes are still to be fetched from ", s.peers, s.peers == 1 ? " peer." : " peers.");
}

// --- serving -----------------------------------------------------------------------------------------------------------

bool folder::knows_content(xet::hash_kind kind, xet::hash32 const& hash) const
{
	auto const v = current();
	return v && v->manifest->how.kind == kind && !m_index->locate(hash).empty();
}

std::optional<xet::bytes> folder::read_content(xet::hash_kind kind, xet::hash32 const& hash) const
{
	auto const v = current();
	std::optional<tonic::folder_fs> fs;
	std::shared_ptr<tonic::materialiser> job;
	{
		std::lock_guard const lock(m_mutex);
		fs = m_fs;
		job = m_job;
	}
	if (!v || !fs || v->manifest->how.kind != kind) return std::nullopt;
	xet::bytes data;
	for (auto const& place : m_index->locate(hash))
	{
		auto const fd = fs->open_file(place.file->path, O_RDONLY | O_NONBLOCK);
		if (!fd) continue;
		data.resize(place.size);
		if (!tonic::read_at(fd->get(), place.offset, data)) continue;
		if (xet::chunk_hash(kind, data) == hash) return data;
		++m_shared->count.verify_failures;  // the file changed since it was read
	}
	if (!job) return std::nullopt;
	auto const u = job->find(hash);
	if (u && job->read(*u, data) && xet::chunk_hash(kind, data) == hash) return data;
	return std::nullopt;
}

std::optional<xet::bytes> folder::read_chunk(xet::hash32 const& hash, bool& metadata) const
{
	metadata = false;
	auto const v = current();
	if (!v) return std::nullopt;
	if (auto data = read_content(v->manifest->how.kind, hash)) return data;
	if (auto data = read_kept(v->manifest->how.kind, hash)) return data;
	metadata = true;
	auto data = v->read(hash);
	if (data && xet::chunk_hash(v->manifest->how.kind, *data) != hash) return std::nullopt;
	return data;
}

std::optional<tonic::local_index::place> folder::place_of(xet::hash32 const& hash) const
{
	auto places = m_index->locate(hash);
	return places.empty() ? std::nullopt : std::optional(std::move(places.front()));
}

bool folder::read_places(std::span<reading const> readings) const
{
	auto const v = current();
	std::optional<tonic::folder_fs> fs;
	{
		std::lock_guard const lock(m_mutex);
		fs = m_fs;
	}
	if (!v || !fs) return false;
	std::vector<xet::bytes_view> data;
	for (reading const& r : readings) data.emplace_back(r.into, r.place.size);
	tonic::file_descriptor fd;
	tonic::local_file const* open = nullptr;
	for (std::size_t i = 0; i < readings.size();)
	{
		auto const run = neighbours(readings.subspan(i));
		if (auto const* file = readings[i].place.file.get(); file != open)
		{
			auto opened = fs->open_file(file->path, O_RDONLY | O_NONBLOCK);
			if (!opened) return false;
			fd = std::move(*opened);
			open = file;
		}
		if (!read_run(fd.get(), readings.subspan(i, run))) return false;
		i += run;
	}
	std::vector<xet::hash32> hashes(readings.size());
	xet::chunk_hashes(v->manifest->how.kind, data, hashes);
	return std::equal(hashes.begin(), hashes.end(), readings.begin(), [](auto const& h, reading const& r) { return h == r.hash; });
}

// Of an earlier version of this folder; what the store holds for others is none of its peers' business.
std::optional<xet::bytes> folder::read_kept(xet::hash_kind kind, xet::hash32 const& hash) const
{
	if (!m_shared->store) return std::nullopt;
	auto& chunks = m_shared->store->chunks();
	if (!chunks.is_held(kept_versions().holder(), kind, hash)) return std::nullopt;
	auto data = chunks.read(kind, hash);
	return data ? std::optional(std::move(*data)) : std::nullopt;
}

// --- scanning ----------------------------------------------------------------------------------------------------------

void folder::rescan(bool accept_deletions)
{
	post([this, accept_deletions] {
		m_accept_deletions = accept_deletions;
		scan_soon();
	});
}

void folder::scan_soon()
{
	if (m_stop || m_scan_pending) return;
	m_scan_pending = true;
	post([this] { scan_now(); });
}

void folder::scan_now()
{
	m_scan_pending = false;
	m_retry_at.reset();
	bool busy;
	{
		std::lock_guard const lock(m_mutex);
		// a version that is being put together is scanned when it is done; a newer version has dropped the job already
		busy = m_job != nullptr;
	}
	if (busy)
	{
		m_scan_again = true;
		return;
	}
	if (record().role == folder_role::publisher) publisher_scan();
	else follower_scan();
}

xet::result<> folder::open_root()
{
	auto const r = record();
	auto fs = tonic::folder_fs::open(r.path);
	if (!fs && fs.error().code == errc::not_found)
		return fail(errc::not_found, "the folder ", tonic::printable(r.path.native()), " is missing (disk not mounted, or moved?); nothing was changed or deleted elsewhere; it goes on when the folder is back");
	if (!fs) return tl::unexpected(fs.error());
	std::lock_guard const lock(m_mutex);
	m_fs = std::move(*fs);
	return {};
}

void folder::remember_root()
{
	std::lock_guard const lock(m_mutex);
	std::tie(m_record.root_device, m_record.root_inode) = m_fs->root_id();
}

void folder::watch_root()
{
	if (m_watcher) return;
	auto const weak = weak_from_this();
	auto started = tonic::watcher::start(record().path, {}
		, [weak] {
			if (auto const self = weak.lock()) self->post([self] { self->scan_soon(); });
		}
		, [weak](std::string line) {
			if (auto const self = weak.lock()) self->m_shared->log.warning(line);
		});
	if (!started)
	{
		m_shared->log.warning("cannot watch ", record().path.string(), ": ", started.error().message, "; it is scanned every minute");
		return;
	}
	std::lock_guard const lock(m_mutex);
	m_watcher = std::move(*started);
}

xet::result<tonic::scan_result> folder::scan(std::function<bool(std::string_view)> want_content)
{
	auto const r = record();
	auto const v = current();
	xet::profile how;
	if (v) how = v->manifest->how;
	else
	{
		auto made = xet::make_profile(r.profile, r.target_bytes);
		if (!made) return tl::unexpected(made.error());
		how = *made;
	}
	tonic::scan_options options;
	options.how = how;
	options.for_sharing = r.role == folder_role::publisher;
	options.known = [this](std::string_view path) { return m_index->find(path); };
	options.stop = &m_stop;
	options.want_content = std::move(want_content);
	options.progress = [this](tonic::scan_progress const& p) {
		std::lock_guard const lock(m_mutex);
		m_progress = p.bytes_total > 0 ? double(p.bytes_done) / double(p.bytes_total) : 0;
	};
	return tonic::scan_folder(r.path, options);
}

bool folder::same_root_as_before() const
{
	auto const r = record();
	return m_fs->root_id() == std::pair(r.root_device, r.root_inode);
}

// The folder is not where it was: nothing is concluded from that, and it is looked for until it is back.
void folder::root_is_gone(std::string problem)
{
	{
		std::lock_guard const lock(m_mutex);
		m_fs.reset();
		m_watcher.reset();
	}
	set_state("error", std::move(problem), true);
	retry(root_interval);
}

// A folder that is moved away or whose disk is unmounted need not send an event.
void folder::check_root()
{
	if (!m_fs) return;
	struct stat st{};
	bool const there = ::stat(record().path.c_str(), &st) == 0;
	if (there && m_fs->root_id() == std::pair<std::uint64_t, std::uint64_t>(st.st_dev, st.st_ino)) return;
	{
		std::lock_guard const lock(m_mutex);
		m_job = nullptr;
		m_fs.reset();
		m_watcher.reset();
	}
	if (auto const s = current_swarm()) s->want_content({}, {});
	scan_soon();
}

xet::result<> folder::index_scan(tonic::scan_result const& found)
{
	std::vector<tonic::local_file> changed;
	std::vector<std::string> removed;
	std::unordered_set<std::string_view> here;
	for (tonic::local_file const& f : found.files)
	{
		if (!f.chunks) continue;
		here.insert(f.path);
		auto const* known = m_index->find(f.path);
		if (known == nullptr || !(known->stamp == f.stamp) || known->hash != f.hash || known->published != f.published)
			changed.push_back(f);
	}
	for (auto const& f : m_index->all())
		if (!here.contains(f->path)) removed.push_back(f->path);
	return m_index->apply(std::move(changed), removed);
}

void folder::publisher_scan()
{
	if (auto const opened = open_root(); !opened) return root_is_gone(opened.error().message);
	watch_root();
	if (!current()) set_state("scanning");
	auto found = scan(nullptr);
	if (!found)
	{
		trouble(found.error(), 5s);
		return;
	}
	auto const v = current();
	auto const* before = v ? v->manifest.get() : nullptr;
	bool const emptied = found->files.empty() && found->links.empty();
	if (!m_accept_deletions && (emptied || !same_root_as_before()) && tonic::all_gone(*found, *m_index, before))
		return root_is_gone(xet::cat("every file of ", tonic::printable(record().path.native()), " is gone; not publishing that, in case a disk is not"
			" mounted. It goes on when they are back. If you meant to delete everything: xet rescan ", m_id, " --accept-deletions"));
	bool const again = !found->unstable.empty();
	tonic::keep_unknown(*found, *m_index, before);
	for (tonic::local_file& f : found->files) f.published = true;
	auto const indexed = index_scan(*found);
	if (!indexed)
	{
		trouble(indexed.error(), 10s);
		return;
	}
	m_accept_deletions = false;
	remember_root();

	auto next = tonic::to_manifest(*found, v ? v->manifest->how : *xet::make_profile(record().profile, record().target_bytes));
	{
		std::lock_guard const lock(m_mutex);
		m_refused = std::move(found->refused);
	}
	bool const changed = !v || !next.same_tree(*v->manifest);
	if (changed || !v->head)
	{
		if (changed) remember_version();
		auto const published = publish(std::move(next));
		if (!published)
		{
			trouble(published.error(), 10s);
			return;
		}
	}
	offer_all();
	set_state("in-sync");
	if (changed) keep_own(v);
	if (again) retry(1s);
}

xet::result<> folder::publish(tonic::manifest next)
{
	auto const r = record();
	auto const now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
	next.folder = m_id;
	next.name = r.carrier.name;
	next.author = r.carrier.author;
	next.salt = r.carrier.salt;
	next.git_ref = r.git_ref;
	// by the clock, so that a node that lost its state goes on above what others have seen
	next.seq = std::max<std::uint64_t>(m_newest_seq + 1, std::uint64_t(now));
	next.timestamp = now;
	std::string const data = tonic::encode_tonic(next, *m_shared->identity);
	m_shared->log.info("folder ", next.name, ": version ", next.seq, ", ", next.files.size(), " files, ", next.total_bytes(), " bytes");
	return take_version(std::move(next), data, std::nullopt);
}

xet::result<> folder::take_version(tonic::manifest manifest, std::string_view data, std::optional<xet::wire::folder_head> head)
{
	// their names are synced with folder.json's, at the end
	auto const written = tonic::write_file_atomically(tonic_path(), data, tonic::durability::content);
	if (!written) return written;
	auto v = make_version(std::move(manifest), data, tonic_path());
	if (!v) return tl::unexpected(v.error());
	if (!head && record().role == folder_role::publisher) head = make_head(**v, *m_shared->identity);
	(*v)->head = head;
	if (head)
	{
		auto const bytes = xet::wire::encode(*head);
		auto const saved = tonic::write_file_atomically(m_state_dir / "head", xet::as_text(bytes), tonic::durability::content);
		if (!saved) return saved;
	}
	m_newest_seq = (*v)->manifest->seq;
	m_headless = !head;
	{
		std::lock_guard const lock(m_mutex);
		m_version = std::move(*v);
	}
	// a large folder's old and new metadata leave the heap full of holes
	::malloc_trim(0);
	save();
	return {};
}

void folder::offer_all()
{
	if (auto const s = current_swarm()) s->offer(current(), true, {});
}

} // namespace ut_xet
