#include "plugin/node.hpp"

#include "plugin/control/server.hpp"
#include "plugin/node_store.hpp"
#include "plugin/swarm.hpp"
#include "tonic/folder_file.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/load_torrent.hpp>
#include <libtorrent/magnet_uri.hpp>
#include <libtorrent/torrent_info.hpp>
#include <libtorrent/torrent_status.hpp>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>

namespace ut_xet {

using xet::errc;
using xet::fail;

namespace {

constexpr std::size_t max_source_bytes = xet::max_metadata_bytes;

std::string hex_of(lt::sha1_hash const& h)
{
	return xet::to_hex({reinterpret_cast<std::uint8_t const*>(h.data()), 20});
}

std::filesystem::path normal(std::filesystem::path const& p)
{
	std::error_code ec;
	auto const full = std::filesystem::weakly_canonical(std::filesystem::absolute(p), ec);
	auto out = ec ? std::filesystem::absolute(p).lexically_normal() : full;
	return out.has_filename() ? out : out.parent_path();
}

bool inside(std::filesystem::path const& inner, std::filesystem::path const& outer)
{
	auto const [end, rest] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
	(void)rest;
	return end == outer.end();
}

bool is_empty_or_absent(std::filesystem::path const& p)
{
	std::error_code ec;
	if (!std::filesystem::exists(std::filesystem::symlink_status(p, ec))) return true;
	return std::filesystem::is_directory(p, ec) && std::filesystem::is_empty(p, ec) && !ec;
}

// The nearest existing directory above has to let us make things in it.
xet::result<> check_writable(std::filesystem::path p)
{
	std::error_code ec;
	while (!std::filesystem::exists(p, ec) && p.has_parent_path() && p != p.parent_path()) p = p.parent_path();
	if (!std::filesystem::is_directory(p, ec)) return fail(errc::refused, p.string(), " is not a directory; choose another destination");
	std::string probe = (p / ".ut_xet-XXXXXX").string();
	int const fd = ::mkstemp(probe.data());
	if (fd < 0) return fail(errc::refused, "cannot write in ", p.string(), ": ", std::strerror(errno), "; choose another destination or change its permissions");
	::close(fd);
	::unlink(probe.c_str());
	return {};
}

} // namespace

node::node(lt::session_handle const& session, options o) : m_session(session), m_options(std::move(o))
{
	auto sink = m_options.log;
	m_shared = std::make_shared<context>(m_session.get_context(), [sink](severity s, std::string const& line) {
		if (sink) sink(int(s), line);
	}, std::max(2u, std::thread::hardware_concurrency()));
	m_shared->data_dir = std::filesystem::absolute(m_options.data_dir);
}

node::~node()
{
	stop();
}

xet::result<std::shared_ptr<node>> node::create(lt::session_handle const& session, options o)
{
	std::shared_ptr<node> n(new node(session, std::move(o)));
	std::error_code ec;
	bool const fresh = std::filesystem::create_directories(n->m_shared->data_dir, ec);
	if (ec) return fail(errc::io, "cannot make the data directory ", n->m_shared->data_dir.string(), ": ", ec.message());
	if (fresh) std::filesystem::permissions(n->m_shared->data_dir, std::filesystem::perms::owner_all, ec);
	if (auto const locked = n->lock_data_dir(); !locked) return tl::unexpected(locked.error());
	auto key = tonic::key_pair::load_or_create(n->m_shared->data_dir / "node.key");
	if (!key) return tl::unexpected(key.error());
	n->m_shared->identity = *key;
	return n;
}

xet::result<> node::lock_data_dir()
{
	auto const path = m_shared->data_dir / "lock";
	m_lock = tonic::file_descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	if (!m_lock) return fail(errc::io, "cannot write in the data directory ", m_shared->data_dir.string(), ": ", std::strerror(errno));
	if (::flock(m_lock.get(), LOCK_EX | LOCK_NB) != 0)
		return fail(errc::refused, "another node runs with the data directory ", m_shared->data_dir.string(), "; stop it, or use another --data");
	return {};
}

// Without it the node works on: only what is old or was put into it is out of reach.
void node::open_store()
{
	auto const how = load_config(m_options.config_file, m_shared->data_dir);
	std::string note, problem;
	auto s = how ? node_store::open(m_shared->data_dir, *how, note) : tl::unexpected(how.error());
	// a command has it at the moment
	for (int i = 0; i < store_open_tries && !s && s.error().code == errc::refused; ++i)
	{
		std::this_thread::sleep_for(store_open_interval);
		s = node_store::open(m_shared->data_dir, *how, note);
	}
	if (s)
	{
		m_shared->store = std::move(*s);
		m_shared->store->use_recaller([weak = weak_from_this()](auto const& id, auto missing, auto const& progress) {
			if (auto const self = weak.lock()) self->recall(id, std::move(missing), progress);
		});
	}
	else problem = s.error().message;
	if (!note.empty()) m_shared->log.warning(note);
	if (!problem.empty()) m_shared->log.error("the chunk store cannot be used: ", problem, "; old versions are not kept until the next start");
}

void node::recall(std::string const& id, std::vector<xet::chunk_ref> missing, std::function<bool(std::size_t)> const& progress)
{
	using clock = std::chrono::steady_clock;
	auto const f = find(id);
	if (!f || f->status().peers == 0) return;
	auto const kind = f->hash_kind();
	auto& chunks = m_shared->store->chunks();
	f->recall(missing);
	auto last = clock::now();
	std::uint64_t arrived_before = f->recalled();
	while (!m_stopped && clock::now() - last < recall_patience)
	{
		std::size_t const before = missing.size();
		std::erase_if(missing, [&](xet::chunk_ref const& c) { return chunks.contains(kind, c.hash); });
		// what came need not be in the store yet
		auto const arrived = f->recalled();
		if (missing.size() != before || arrived != arrived_before) last = clock::now();
		arrived_before = arrived;
		if (missing.empty() || !progress(missing.size())) break;
		std::this_thread::sleep_for(std::chrono::milliseconds(50));
	}
	f->end_recall();
}

void node::tend_store_later()
{
	if (!m_tend_timer) m_tend_timer.emplace(m_shared->jobs.get_executor());
	m_tend_timer->expires_after(store_tending_interval);
	m_tend_timer->async_wait([weak = weak_from_this()](boost::system::error_code const& ec) {
		auto const self = weak.lock();
		if (ec || !self || self->m_stopped) return;
		self->tend_store();
		self->tend_store_later();
	});
}

// What nobody needed for long goes, what is left of it is packed, and a part of the store is verified.
void node::tend_store()
{
	auto const store = m_shared->store;
	auto const& how = store->how();
	xet::store_upkeep upkeep(store->chunks());
	auto const go_on = [this](std::uint64_t, std::uint64_t) { return !m_stopped; };
	auto const trouble = [&](xet::error const& e) { m_shared->log.warning("looking after the chunk store: ", e.message); };
	if (how.xet_cleanup_days != 0)
	{
		auto const collected = upkeep.collect(std::int64_t(how.xet_cleanup_days) * 24 * 3600, store_grace_seconds, false);
		if (!collected) trouble(collected.error());
		else if (!collected->removed.empty())
			m_shared->log.info("chunk store: ", collected->removed.size(), " xorbs that nobody needed are removed, ", collected->freed_bytes, " bytes");
		if (auto const packed = upkeep.pack(false, go_on); !packed) trouble(packed.error());
	}
	if (how.xet_scrub_rate != 0)
	{
		auto const until = std::chrono::steady_clock::now() + store_tending_interval;
		auto const sleep = [&](double seconds) {
			auto const end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
			auto const go_on = [&] { return !m_stopped && std::chrono::steady_clock::now() < until; };
			while (go_on() && std::chrono::steady_clock::now() < end)
				std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(std::chrono::milliseconds(100), end - std::chrono::steady_clock::now()));
			return go_on();
		};
		auto const scrubbed = upkeep.scrub(std::uint64_t(how.xet_scrub_rate), sleep);
		if (!scrubbed) trouble(scrubbed.error());
		else
			for (std::string const& m : scrubbed->messages) m_shared->log.error("chunk store: ", m);
	}
}

xet::result<> node::start()
{
	open_store();
	if (m_shared->store) tend_store_later();
	if (auto const loaded = load_folders(); !loaded) return loaded;
	load_joins();
	m_control = std::make_unique<control_server>(*this, m_shared->log);
	return m_control->start(control_path());
}

void node::stop()
{
	if (m_stopped.exchange(true)) return;
	if (m_control) m_control->stop();
	for (auto const& f : folders()) f->stop();
	end_pools();
}

void node::end_pools()
{
	// what waits (timers, queued chunks) is dropped; what runs ends first
	for (auto* pool : {&m_shared->jobs, &m_shared->workers})
	{
		pool->stop();
		pool->join();
	}
}

void node::session_ends()
{
	m_session_gone = true;
	for (auto const& f : folders()) f->stop();
	// nothing may post to the session's context once it is gone; no task waits for the network thread
	end_pools();
}

std::filesystem::path node::control_path() const
{
	return m_shared->data_dir / "control.sock";
}

// --- folders -----------------------------------------------------------------------------------------------------------

std::vector<std::shared_ptr<folder>> node::folders() const
{
	std::lock_guard const lock(m_mutex);
	std::vector<std::shared_ptr<folder>> out;
	for (auto const& [id, f] : m_folders) out.push_back(f);
	return out;
}

std::shared_ptr<folder> node::find(std::string const& which) const
{
	auto const path = normal(which);
	for (auto const& f : folders())
	{
		auto const r = f->record();
		if (f->id() == which || r.carrier.name == which || r.info_hash == which || r.path == path) return f;
	}
	return nullptr;
}

std::vector<folder_status> node::status() const
{
	std::vector<folder_status> out;
	for (auto const& f : folders()) out.push_back(f->status());
	std::lock_guard const lock(m_mutex);
	for (auto const& [info_hash, join] : m_joins)
	{
		folder_status s;
		s.info_hash = info_hash;
		s.name = join.link.name;
		s.path = join.request.dest / s.name;
		s.role = "follower";
		s.state = join.problem.empty() ? "searching" : "error";
		s.problem = join.problem.empty() ? "the link names only an info-hash; waiting for a peer that has the torrent" : join.problem;
		s.failed = !join.problem.empty();
		out.push_back(std::move(s));
	}
	return out;
}

xet::result<> node::load_folders()
{
	std::error_code ec;
	for (auto const& entry : std::filesystem::directory_iterator(m_shared->data_dir / "folders", ec))
	{
		auto record = load_record(entry.path() / "folder.json");
		if (!record)
		{
			m_shared->log.error("folder state ", entry.path().string(), " cannot be used: ", record.error().message);
			continue;
		}
		auto f = open_folder(std::move(*record));
		if (!f) m_shared->log.error("folder state ", entry.path().string(), " cannot be used: ", f.error().message);
	}
	return {};
}

xet::result<std::shared_ptr<folder>> node::open_folder(folder_record record)
{
	std::string const id = record.carrier.folder, info_hash = record.info_hash;
	auto const siblings = [weak = weak_from_this()] {
		auto const self = weak.lock();
		return self ? self->folders() : std::vector<std::shared_ptr<folder>>();
	};
	auto f = std::make_shared<folder>(m_shared, std::move(record), folder_dir(id), siblings);
	if (auto const loaded = f->load(); !loaded) return tl::unexpected(loaded.error());
	std::shared_ptr<swarm> existing;
	{
		std::lock_guard const lock(m_mutex);
		m_folders[id] = f;
		m_by_info_hash[info_hash] = id;
		existing = m_swarms[info_hash].lock();
	}
	f->start();
	if (existing)
		m_shared->on_network([existing, f] {
			if (existing->attached()) return;
			existing->attach(f);
			f->use_swarm(existing);
		});
	else
	{
		if (auto const added = add_carrier(*f); !added) return tl::unexpected(added.error());
	}
	return f;
}

// The carrier is made, not fetched: everybody who knows the folder's key, salt and name makes the same one.
xet::result<> node::add_carrier(folder const& f)
{
	auto const r = f.record();
	auto const made = tonic::make_carrier(r.carrier, r.trackers);
	auto const save_path = m_shared->data_dir / "carriers" / r.info_hash;
	std::error_code ec;
	std::filesystem::create_directories(save_path, ec);
	std::string torrent = made.torrent;
	if (made.info_hash == r.info_hash)
	{
		for (auto const& [file, data] : {std::pair(save_path / made.descriptor_name, made.descriptor), std::pair(f.torrent_path(), made.torrent)})
		{
			// made again at every start
			auto const written = tonic::write_file_atomically(file, data, tonic::durability::none);
			if (!written) return written;
		}
	}
	else
	{
		// a carrier another implementation made: its own bytes were kept
		auto const kept = tonic::read_whole_file(f.torrent_path(), 1024 * 1024);
		if (!kept) return tl::unexpected(kept.error());
		torrent = *kept;
	}
	lt::error_code lec;
	lt::add_torrent_params p;
	p.ti = std::make_shared<lt::torrent_info>(lt::span<char const>(torrent), lec, lt::from_span);
	if (lec) return fail(errc::invalid, "carrier torrent of ", r.carrier.name, ": ", lec.message());
	p.save_path = save_path.string();
	p.trackers = r.trackers;
	p.flags &= ~(lt::torrent_flags::paused | lt::torrent_flags::auto_managed);
	m_session.async_add_torrent(std::move(p));
	return {};
}

void node::add_magnet(std::string const& info_hash, pending_join const& join)
{
	lt::add_torrent_params p;
	auto const raw = xet::from_hex(info_hash);
	p.info_hashes.v1 = lt::sha1_hash(reinterpret_cast<char const*>(raw->data()));
	p.name = join.link.name;
	p.trackers = join.link.trackers;
	auto const save_path = m_shared->data_dir / "carriers" / info_hash;
	std::error_code ec;
	std::filesystem::create_directories(save_path, ec);
	p.save_path = save_path.string();
	p.flags &= ~(lt::torrent_flags::paused | lt::torrent_flags::auto_managed);
	m_session.async_add_torrent(std::move(p));
}

// --- libtorrent's side ---------------------------------------------------------------------------------------------------

std::shared_ptr<lt::torrent_plugin> node::new_torrent(lt::torrent_handle const& torrent)
{
	if (m_stopped) return nullptr;
	std::string const info_hash = hex_of(torrent.info_hashes().v1);
	auto const s = std::make_shared<swarm>(m_shared, torrent
		, [weak = weak_from_this()](std::shared_ptr<swarm> found, std::string const& section) {
			if (auto const self = weak.lock()) self->carrier_known(std::move(found), section);
		});
	std::shared_ptr<folder> f;
	std::vector<std::string> peers;
	{
		std::lock_guard const lock(m_mutex);
		m_swarms[info_hash] = s;
		auto const id = m_by_info_hash.find(info_hash);
		if (id != m_by_info_hash.end()) f = m_folders[id->second];
		auto const join = m_joins.find(info_hash);
		if (join != m_joins.end())
		{
			peers = join->second.request.peers;
			peers.insert(peers.end(), join->second.link.peers.begin(), join->second.link.peers.end());
		}
	}
	if (f)
	{
		s->attach(f);
		f->use_swarm(s);
	}
	std::vector<lt::tcp::endpoint> endpoints;
	for (std::string const& peer : peers)
		if (auto const e = folder::parse_endpoint(peer)) endpoints.push_back(*e);
	if (!endpoints.empty()) s->connect(std::move(endpoints));
	return s;
}

// Network thread: a torrent's info dict is known.
void node::carrier_known(std::shared_ptr<swarm> s, std::string const& info_section)
{
	if (s->attached() || m_stopped) return;
	std::string const info_hash = hex_of(s->torrent().info_hashes().v1);
	auto const info = tonic::read_carrier_info(info_section);
	if (!info)
	{
		if (info.error().code == errc::not_found) fail_join(info_hash, "this torrent is an ordinary one, not a shared folder; add it to a BitTorrent client");
		else fail_join(info_hash, info.error().message);
		return;
	}
	std::string save_path = s->torrent().status(lt::torrent_handle::query_save_path).save_path;
	boost::asio::post(m_shared->jobs, [self = shared_from_this(), s, info = *info, info_hash, save_path, info_section] {
		try
		{
			self->carrier_joined(s, info, info_hash, save_path);
		}
		catch (std::exception const& e)
		{
			self->fail_join(info_hash, e.what());
		}
	});
}

// Jobs: makes the folder of a carrier that was added by info-hash, or by the host's own user interface.
void node::carrier_joined(std::shared_ptr<swarm> s, tonic::carrier_info info, std::string info_hash, std::filesystem::path save_path)
{
	if (auto const known = find(info.folder))
	{
		// the host had the carrier in its session before this node knew
		m_shared->on_network([s, known] {
			s->attach(known);
			known->use_swarm(s);
		});
		return;
	}
	folder_record record;
	record.role = folder_role::follower;
	record.path = save_path / info.name;
	record.info_hash = info_hash;
	bool reuse = true;
	{
		std::lock_guard const lock(m_mutex);
		auto const join = m_joins.find(info_hash);
		if (join != m_joins.end())
		{
			record.path = join->second.request.dest / info.name;
			record.trackers = join->second.link.trackers;
			record.peers = join->second.request.peers;
			reuse = join->second.request.reuse;
		}
	}
	record.carrier = std::move(info);
	if (auto const ok = check_place(record.path, reuse); !ok)
	{
		fail_join(info_hash, ok.error().message);
		return;
	}
	if (tonic::make_carrier(record.carrier, {}).info_hash != info_hash)
	{
		fail_join(info_hash, "the folder's torrent was made by another implementation in a way this version does not know");
		return;
	}
	auto f = open_folder(std::move(record));
	if (!f)
	{
		fail_join(info_hash, f.error().message);
		return;
	}
	auto const made = tonic::make_carrier((*f)->record().carrier, (*f)->record().trackers);
	auto const written = tonic::write_file_atomically((*f)->torrent_path(), made.torrent);
	if (!written) m_shared->log.warning(written.error().message);
	{
		std::lock_guard const lock(m_mutex);
		m_joins.erase(info_hash);
	}
	save_joins();
	m_shared->on_network([s, f = *f] {
		s->attach(f);
		f->use_swarm(s);
	});
}

void node::fail_join(std::string const& info_hash, std::string problem)
{
	std::shared_ptr<swarm> s;
	{
		std::lock_guard const lock(m_mutex);
		auto const join = m_joins.find(info_hash);
		if (join == m_joins.end()) return;
		m_shared->log.error("joining ", join->second.link.name.empty() ? info_hash : join->second.link.name, ": ", problem);
		join->second.problem = std::move(problem);
		s = m_swarms[info_hash].lock();
	}
	if (!s) return;
	// Added only to learn what it is: nothing of it may be downloaded. One that the host has anyway, elsewhere, is the host's.
	auto const ours = m_shared->data_dir / "carriers" / info_hash;
	m_shared->on_network([self = shared_from_this(), s, ours] {
		if (s->torrent().status(lt::torrent_handle::query_save_path).save_path == ours.string())
			self->m_session.remove_torrent(s->torrent(), lt::session_handle::delete_files);
	});
}

// --- commands ------------------------------------------------------------------------------------------------------------

xet::result<> node::check_overlap(std::filesystem::path const& path) const
{
	for (auto const& f : folders())
	{
		auto const other = f->record().path;
		if (path == other) return fail(errc::refused, path.string(), " is a folder that this node has already; xet status shows it");
		if (inside(path, other) || inside(other, path))
			return fail(errc::refused, path.string(), " and ", other.string(), ", a folder that this node has already, lie inside each other; choose another place");
	}
	return {};
}

xet::result<> node::check_apart_from_data(std::filesystem::path const& path, char const* advice) const
{
	auto const data = normal(m_shared->data_dir);
	// a place of its own inside the data directory harms nobody; the node's files and everything above them do
	if (!inside(data, path) && !inside(path, data / "folders") && !inside(path, data / "carriers")) return {};
	return fail(errc::refused, path.string(), " and the node's data directory ", data.string(), " lie inside each other; ", advice);
}

xet::result<> node::check_place(std::filesystem::path const& path, bool reuse) const
{
	if (auto const ok = check_overlap(path); !ok) return ok;
	if (auto const ok = check_apart_from_data(path, "choose another destination"); !ok) return ok;
	std::error_code ec;
	if (std::filesystem::exists(std::filesystem::symlink_status(path, ec)) && !std::filesystem::is_directory(path, ec))
		return fail(errc::refused, path.string(), " exists and is not a directory; choose another destination, or move it away");
	if (!reuse && !is_empty_or_absent(path))
		return fail(errc::refused, path.string(), " exists and is not empty; choose another destination, move it away, or say --reuse to take over what is in it (files that differ are kept aside)");
	return check_writable(path);
}

xet::result<std::shared_ptr<folder>> node::share(share_request const& request)
{
	auto const path = normal(request.path);
	std::error_code ec;
	if (!std::filesystem::exists(path, ec)) return fail(errc::not_found, "no such folder: ", path.string());
	if (!std::filesystem::is_directory(path, ec)) return fail(errc::invalid, path.string(), " is not a directory; only folders can be shared");
	for (auto const& f : folders())
	{
		auto const r = f->record();
		if (r.path == path && r.role == folder_role::publisher && (request.name.empty() || request.name == r.carrier.name)) return f;
	}
	if (auto const ok = check_overlap(path); !ok) return tl::unexpected(ok.error());
	if (auto const ok = check_apart_from_data(path, "share another folder or use another --data"); !ok) return tl::unexpected(ok.error());
	auto const how = xet::make_profile(request.profile, request.target_bytes);
	if (!how) return tl::unexpected(how.error());

	folder_record record;
	record.role = folder_role::publisher;
	record.path = path;
	record.carrier.name = request.name.empty() ? path.filename().string() : request.name;
	if (auto const ok = tonic::check_folder_name(record.carrier.name); !ok)
		return fail(errc::invalid, "the name ", tonic::printable(record.carrier.name), ": ", ok.error().message, "; choose one with --name");
	record.profile = request.profile;
	record.target_bytes = request.target_bytes;
	record.trackers = request.trackers;
	record.carrier.author = m_shared->identity->pub();
	// two folders of one name from one node are told apart by a counter in the salt
	for (std::uint32_t counter = 0;; ++counter)
	{
		record.carrier.salt = tonic::folder_salt(record.carrier.name, counter);
		record.carrier.folder = tonic::folder_id(record.carrier.author, record.carrier.salt);
		if (!find(record.carrier.folder)) break;
	}
	record.info_hash = tonic::make_carrier(record.carrier, {}).info_hash;
	return open_folder(std::move(record));
}

xet::result<node::joined> node::join(join_request const& request)
{
	join_request r = request;
	r.dest = normal(request.dest);
	for (std::string const& peer : r.peers)
		if (!folder::parse_endpoint(peer)) return fail(errc::invalid, "not an address: ", tonic::printable(peer), "; give HOST:PORT, as 192.0.2.7:6881");

	tonic::folder_link link;
	std::string tonic_data;
	std::optional<tonic::manifest> manifest;
	if (tonic::looks_like_link(r.source))
	{
		auto parsed = tonic::parse_link(r.source);
		if (!parsed) return tl::unexpected(parsed.error());
		link = std::move(*parsed);
	}
	else
	{
		auto data = tonic::read_whole_file(r.source, max_source_bytes);
		if (!data && data.error().code == errc::not_found)
			return fail(errc::not_found, tonic::printable(r.source), ": no such file, and not a magnet: or tonic: link");
		if (!data) return tl::unexpected(data.error());
		auto file = tonic::read_folder_file(*data);
		if (!file) return fail(file.error().code, tonic::printable(r.source), ": ", file.error().message);
		link.info = std::move(file->info);
		link.trackers = std::move(file->trackers);
		if (file->version)
		{
			tonic_data = std::move(*data);
			manifest = std::move(file->version);
		}
		link.name = link.info.name;
	}

	std::string const info_hash = link.is_tonic() ? tonic::make_carrier(link.info, {}).info_hash : link.info_hash;
	{
		std::lock_guard const lock(m_mutex);
		auto const known = m_by_info_hash.find(info_hash);
		if (known != m_by_info_hash.end())
		{
			auto const f = m_folders[known->second];
			auto const record = f->record();
			if (record.role == folder_role::publisher) return fail(errc::refused, "this node shares that folder itself, at ", record.path.string());
			if (record.path != r.dest / record.carrier.name) return fail(errc::refused, "this folder is already joined at ", record.path.string());
			f->remember_peers(r.peers);
			return joined{info_hash, record.carrier.name, record.path, f->id()};
		}
	}
	if (!link.is_tonic())
	{
		// the name in a magnet link is a hint; what can be checked of the place is checked now, the rest when it is known
		if (auto const ok = check_writable(r.dest); !ok) return tl::unexpected(ok.error());
		if (!link.name.empty())
			if (auto const ok = check_place(r.dest / link.name, r.reuse); !ok) return tl::unexpected(ok.error());
		pending_join const join{r, link, {}};
		{
			std::lock_guard const lock(m_mutex);
			m_joins[info_hash] = join;
		}
		save_joins();
		add_magnet(info_hash, join);
		return joined{info_hash, link.name, r.dest / link.name, {}};
	}

	folder_record record;
	record.role = folder_role::follower;
	record.carrier = link.info;
	record.info_hash = info_hash;
	record.trackers = link.trackers;
	record.path = r.dest / link.info.name;
	record.peers = r.peers;
	record.peers.insert(record.peers.end(), link.peers.begin(), link.peers.end());
	if (auto const ok = check_place(record.path, r.reuse); !ok) return tl::unexpected(ok.error());
	if (manifest)
	{
		auto const dir = folder_dir(record.carrier.folder);
		std::error_code ec;
		std::filesystem::create_directories(dir, ec);
		auto const written = tonic::write_file_atomically(dir / (record.carrier.name + ".tonic"), tonic_data);
		if (!written) return tl::unexpected(written.error());
	}
	auto f = open_folder(std::move(record));
	if (!f) return tl::unexpected(f.error());
	return joined{info_hash, (*f)->record().carrier.name, (*f)->record().path, (*f)->id()};
}

xet::result<> node::leave(std::string const& which)
{
	auto const f = find(which);
	std::string info_hash;
	std::shared_ptr<swarm> s;
	{
		std::lock_guard const lock(m_mutex);
		if (f)
		{
			info_hash = f->record().info_hash;
			m_folders.erase(f->id());
			m_by_info_hash.erase(info_hash);
		}
		else
		{
			for (auto const& [hash, join] : m_joins)
				if (hash == which || join.link.name == which || join.request.dest / join.link.name == normal(which)) info_hash = hash;
			if (info_hash.empty()) return fail(errc::not_found, "this node has no folder ", tonic::printable(which), "; xet status lists them");
			m_joins.erase(info_hash);
		}
		s = m_swarms[info_hash].lock();
	}
	if (f) f->stop();
	if (s && s->torrent().is_valid()) m_session.remove_torrent(s->torrent());
	std::error_code ignored;
	if (f)
	{
		std::filesystem::remove_all(f->state_dir(), ignored);
		if (m_shared->store)
			if (auto const released = m_shared->store->chunks().release("folder:" + f->id()); !released) m_shared->log.warning(released.error().message);
	}
	std::filesystem::remove_all(m_shared->data_dir / "carriers" / info_hash, ignored);
	save_joins();
	return {};
}

std::string node::magnet_of(folder const& f) const
{
	auto const r = f.record();
	return tonic::magnet_link(r.info_hash, r.carrier.name, r.trackers);
}

std::string node::tonic_link_of(folder const& f) const
{
	auto const r = f.record();
	return tonic::tonic_link(r.carrier, r.trackers);
}

// --- joins that wait for metadata ------------------------------------------------------------------------------------------

void node::load_joins()
{
	auto const text = tonic::read_whole_file(m_shared->data_dir / "joins.json", 16 * 1024 * 1024);
	if (!text) return;
	try
	{
		for (auto const& j : nlohmann::json::parse(*text))
		{
			pending_join join;
			join.request.source = j.at("source");
			auto const dest = xet::from_hex(j.at("dest_hex").get<std::string>());
			join.request.dest = dest ? std::string(xet::as_text(*dest)) : std::string();
			join.request.peers = j.at("peers");
			join.request.reuse = j.at("reuse");
			auto link = tonic::parse_link(join.request.source);
			if (!link || link->is_tonic()) continue;
			join.link = std::move(*link);
			std::string const info_hash = join.link.info_hash;
			{
				std::lock_guard const lock(m_mutex);
				// killed between becoming a folder and being struck off this list
				if (m_by_info_hash.contains(info_hash)) continue;
				m_joins[info_hash] = join;
			}
			add_magnet(info_hash, join);
		}
	}
	catch (std::exception const& e)
	{
		m_shared->log.error((m_shared->data_dir / "joins.json").string(), " is damaged: ", e.what());
	}
}

void node::save_joins() const
{
	auto list = nlohmann::json::array();
	{
		std::lock_guard const lock(m_mutex);
		for (auto const& [hash, join] : m_joins)
			list.push_back({{"source", join.request.source}, {"dest_hex", xet::to_hex(xet::as_bytes(join.request.dest.native()))}
				, {"peers", join.request.peers}, {"reuse", join.request.reuse}});
	}
	auto const saved = tonic::write_file_atomically(m_shared->data_dir / "joins.json", list.dump() + "\n");
	if (!saved) m_shared->log.error(saved.error().message);
}

} // namespace ut_xet
