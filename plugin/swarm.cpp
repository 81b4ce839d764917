#include "plugin/swarm.hpp"

#include "plugin/folder.hpp"
#include "plugin/peer.hpp"

#include <libtorrent/peer_info.hpp>
#include <libtorrent/torrent_info.hpp>
#include <libtorrent/torrent_status.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>

namespace ut_xet {

namespace {

constexpr std::chrono::milliseconds expire_interval{250};
constexpr std::chrono::seconds newcomer_for{3};
constexpr std::chrono::seconds dial_back_after{5};

xet::wire::endpoint to_wire(lt::tcp::endpoint const& e)
{
	xet::wire::endpoint out;
	if (e.address().is_v4())
	{
		auto const a = e.address().to_v4().to_bytes();
		out.address.assign(a.begin(), a.end());
	}
	else
	{
		auto const a = e.address().to_v6().to_bytes();
		out.address.assign(a.begin(), a.end());
	}
	out.port = e.port();
	return out;
}

lt::tcp::endpoint from_wire(xet::wire::endpoint const& e)
{
	if (e.address.size() == 4)
	{
		boost::asio::ip::address_v4::bytes_type a;
		std::copy(e.address.begin(), e.address.end(), a.begin());
		return {boost::asio::ip::address_v4(a), e.port};
	}
	boost::asio::ip::address_v6::bytes_type a;
	std::copy(e.address.begin(), e.address.end(), a.begin());
	return {boost::asio::ip::address_v6(a), e.port};
}

} // namespace

swarm::swarm(std::shared_ptr<context> shared, lt::torrent_handle torrent, metadata_callback on_metadata)
	: m_shared(std::move(shared))
	, m_torrent(std::move(torrent))
	, m_on_metadata(std::move(on_metadata))
	, m_timer(m_shared->network)
{}

swarm::~swarm() = default;

void swarm::attach(std::shared_ptr<folder> f)
{
	m_folder = std::move(f);
	for (auto const& [key, p] : m_peers)
	{
		introduce(*p);
		// what they said before this torrent was known to carry a folder is asked for again
		if (p->folder_sync()) p->send(xet::wire::version_request{m_folder->id()});
	}
}

void swarm::detach()
{
	m_folder = nullptr;
	m_version = nullptr;
	m_scheduler.set_content({}, {});
	m_scheduler.set_metadata({}, {});
}

void swarm::stop()
{
	m_shared->on_network([self = shared_from_this()] {
		self->m_stopped = true;
		self->m_timer.cancel();
		self->detach();
	});
}

// --- metadata of the carrier ------------------------------------------------------------------------------------------

void swarm::on_state(lt::torrent_status::state_t state)
{
	context::network_turn const turn(*m_shared);
	if (state == lt::torrent_status::seeding || state == lt::torrent_status::finished) m_complete = true;
	look_for_metadata();
}

void swarm::on_files_checked()
{
	context::network_turn const turn(*m_shared);
	look_for_metadata();
}

void swarm::look_for_metadata()
{
	if (m_looked) return;
	auto const info = m_torrent.torrent_file();
	if (!info || !info->is_valid()) return;
	m_looked = true;
	auto const section = info->info_section();
	m_on_metadata(shared_from_this(), std::string(section.data(), std::size_t(section.size())));
}

// --- peers --------------------------------------------------------------------------------------------------------------

std::shared_ptr<lt::peer_plugin> swarm::new_connection(lt::peer_connection_handle const& pc)
{
	context::network_turn const turn(*m_shared);
	if (m_stopped || pc.type() != lt::connection_type::bittorrent) return nullptr;
	// an ordinary torrent is none of our business; one without metadata may yet turn out to be a folder's
	if (m_looked && !m_folder) return nullptr;
	return std::make_shared<peer>(weak_from_this(), m_shared, pc, m_next_key++);
}

void swarm::joined(std::shared_ptr<peer> const& p, std::optional<lt::tcp::endpoint> listens)
{
	m_peers[p->key()] = p;
	m_peer_count = m_peers.size();
	++m_shared->count.peers;
	if (listens) learn(*listens, {}, true);
	m_scheduler.add_peer(p->key(), p->reqq(), !p->heads(), p->origin());
	if (m_folder) introduce(*p);
	if (m_folder) m_folder->peers_changed();
}

void swarm::left(peer& p)
{
	auto const i = m_peers.find(p.key());
	if (i == m_peers.end()) return;
	m_peers.erase(i);
	m_referred.erase(m_referred.lower_bound({p.key(), {}}), m_referred.lower_bound({p.key() + 1, {}}));
	m_peer_count = m_peers.size();
	--m_shared->count.peers;
	m_scheduler.remove_peer(p.key());
	pump_all();
	if (m_folder) m_folder->peers_changed();
}

// Tells a peer what this node has of the folder.
void swarm::introduce(peer& p)
{
	if (!p.folder_sync()) 
	{
		pump(p);
		return;
	}
	if (m_version)
	{
		if (p.heads() && m_version->head) p.send(*m_version->head);
		else if (!p.heads())
			p.send(xet::wire::update_notify{m_folder->id(), m_version->ref, std::uint64_t(m_version->manifest->timestamp)});
		// while chunks come in, what was offered last is out of date
		if (m_have_all) send_have(p);
		else m_folder->tell_what_is_here();
	}
	gossip_peers(p);
	pump(p);
}

void swarm::send_have(peer& p)
{
	if (!p.heads() || !m_version || !m_folder) return;
	xet::wire::folder_have have{m_folder->id(), m_version->tree.root().hash, m_have_all, 0, {}};
	if (m_have_all)
	{
		p.send(have);
		return;
	}
	std::size_t at = 0;
	do
	{
		have.first = std::uint32_t(at * 8);
		have.bits = xet::bytes_view(m_have).subspan(at, std::min<std::size_t>(max_bitmap_bytes, m_have.size() - at));
		p.send(have);
		at += max_bitmap_bytes;
	} while (at < m_have.size());
}

// Peers learn of each other at once, not only with the next ut_pex message a minute later.
void swarm::gossip_peers(peer& p)
{
	if (!m_folder || (m_torrent.flags() & lt::torrent_flags::disable_pex)) return;
	xet::wire::folder_peers others{m_folder->id(), {}};
	for (auto const& [key, other] : m_peers)
	{
		if (key == p.key() || !other->heads() || !other->listens()) continue;
		if (others.peers.size() < max_known_peers) others.peers.push_back(to_wire(*other->listens()));
		if (p.listens()) other->send(xet::wire::folder_peers{m_folder->id(), {to_wire(*p.listens())}});
	}
	if (!others.peers.empty() && p.heads()) p.send(others);
}

void swarm::dial_known()
{
	if (!m_folder) return;
	std::set<lt::tcp::endpoint> connected;
	for (auto const& [key, p] : m_peers)
		if (p->listens()) connected.insert(*p->listens());
	auto const now = steady::now();
	std::lock_guard const lock(m_known_mutex);
	for (auto const& [e, k] : m_known)
		// as if a tracker had named it: that lowers libtorrent's count of failures, so the peer is tried again soon
		if (now >= k.dial_from && !connected.contains(e)) m_torrent.connect_peer(e, lt::peer_info::tracker);
}

void swarm::learn(lt::tcp::endpoint const& e, steady::time_point dial_from, bool proven)
{
	std::lock_guard const lock(m_known_mutex);
	if (m_known.size() >= max_known_peers && !m_known.contains(e))
	{
		// hearsay gives way; addresses that were connected stay
		auto const hearsay = std::find_if(m_known.begin(), m_known.end(), [](auto const& k) { return !k.second.proven; });
		if (hearsay == m_known.end()) return;
		m_known.erase(hearsay);
	}
	auto& k = m_known.try_emplace(e, known{dial_from, false}).first->second;
	k.proven = k.proven || proven;
}

void swarm::connect(std::vector<lt::tcp::endpoint> endpoints)
{
	m_shared->on_network([self = shared_from_this(), endpoints = std::move(endpoints)] {
		if (self->m_stopped) return;
		for (auto const& e : endpoints)
		{
			self->learn(e, {}, true);
			self->m_torrent.connect_peer(e, lt::peer_info::tracker);
		}
	});
}

std::vector<lt::tcp::endpoint> swarm::known_peers() const
{
	std::lock_guard const lock(m_known_mutex);
	std::vector<lt::tcp::endpoint> out;
	for (auto const& [e, k] : m_known)
		if (k.proven) out.push_back(e);
	return out;
}

void swarm::ban(std::uint32_t peer_key, std::string reason)
{
	m_shared->on_network([self = shared_from_this(), peer_key, reason = std::move(reason)] {
		auto const i = self->m_peers.find(peer_key);
		if (i != self->m_peers.end()) i->second->violation(reason);
	});
}

// --- what this node offers ------------------------------------------------------------------------------------------------

void swarm::offer(std::shared_ptr<version const> v, bool all, xet::bytes have)
{
	m_shared->on_network([self = shared_from_this(), v = std::move(v), all, have = std::move(have)]() mutable {
		if (self->m_stopped || !self->m_folder) return;
		bool const new_version = self->m_version != v;
		self->m_have_all = all;
		self->discard(std::pair(std::exchange(self->m_version, std::move(v)), std::exchange(self->m_have, std::move(have))));
		// news that was stored after the bitmap was made is in neither: it goes out with the next deltas
		if (new_version || all) self->m_news.clear();
		if (new_version)
		{
			self->discard(std::pair(std::exchange(self->m_sent_to, {}), std::exchange(self->m_referred, {})));
		}
		for (auto const& [key, p] : self->m_peers)
		{
			if (new_version && self->m_version && p->folder_sync())
			{
				if (p->heads() && self->m_version->head) p->send(*self->m_version->head);
				if (!p->heads())
					p->send(xet::wire::update_notify{self->m_folder->id(), self->m_version->ref
						, std::uint64_t(self->m_version->manifest->timestamp)});
			}
			self->send_have(*p);
		}
	});
}

// What is large is taken apart elsewhere.
template <class Old>
void swarm::discard(Old old)
{
	boost::asio::post(m_shared->workers, [old = std::move(old)] {});
}

void swarm::chunks_stored(std::vector<xet::hash32> hashes, bool news)
{
	m_shared->on_network([self = shared_from_this(), hashes = std::move(hashes), news] {
		for (xet::hash32 const& h : hashes) self->m_scheduler.done(h);
		if (news && !self->m_have_all) self->m_news.insert(self->m_news.end(), hashes.begin(), hashes.end());
		self->pump_all();
		self->arm_timer();
	});
}

void swarm::chunk_failed(xet::hash32 const& hash)
{
	m_shared->on_network([self = shared_from_this(), hash] {
		self->m_scheduler.failed(hash);
		self->pump_all();
	});
}

void swarm::flush_news()
{
	if (m_news.empty()) return;
	for (std::size_t at = 0; at < m_news.size(); at += max_hashes_per_message)
	{
		auto const end = std::min(m_news.size(), at + max_hashes_per_message);
		xet::wire::chunks_added const added{{m_news.begin() + std::ptrdiff_t(at), m_news.begin() + std::ptrdiff_t(end)}};
		for (auto const& [key, p] : m_peers)
			// who has everything needs no news
			if (p->heads() && m_version && !m_scheduler.has_all(key, m_version->tree.root().hash)) p->send(added);
	}
	m_news.clear();
}

// --- what this node wants ------------------------------------------------------------------------------------------------

void swarm::want_metadata(xet::hash32 const& root, xet::chunk_list chunks)
{
	std::vector<scheduler::want> wants;
	wants.reserve(chunks.size());
	for (xet::chunk_ref const& c : chunks) wants.push_back({c.hash, c.size, 0});
	// made here, since it takes long for a large folder
	m_shared->on_network([self = shared_from_this(), wanted = scheduler::prepare(root, std::move(wants))]() mutable {
		self->discard(self->m_scheduler.set_metadata(std::move(wanted)));
		self->pump_all();
		self->arm_timer();
	});
}

void swarm::want_content(xet::hash32 const& root, std::vector<scheduler::want> wants)
{
	m_shared->on_network([self = shared_from_this(), wanted = scheduler::prepare(root, std::move(wants))]() mutable {
		self->discard(self->m_scheduler.set_content(std::move(wanted)));
		self->pump_all();
		self->arm_timer();
	});
}

void swarm::pump(peer& p)
{
	if (!m_folder || m_scheduler.idle()) return;
	p.send_requests(m_scheduler.pick(p.key(), steady::now()));
}

void swarm::pump_all()
{
	if (!m_folder || m_scheduler.idle()) return;
	for (auto const& [key, p] : m_peers) pump(*p);
}

// Runs while there is something to fetch or to tell; an idle folder costs no timer.
void swarm::arm_timer()
{
	if (m_timer_armed || m_stopped || (m_scheduler.idle() && m_news.empty())) return;
	m_timer_armed = true;
	m_timer.expires_after(have_interval);
	m_timer.async_wait([weak = weak_from_this()](boost::system::error_code const& ec) {
		auto const self = weak.lock();
		if (!self) return;
		context::network_turn const turn(*self->m_shared);
		self->m_timer_armed = false;
		if (ec || self->m_stopped) return;
		self->flush_news();
		auto const now = steady::now();
		if (now - self->m_last_expire >= expire_interval)
		{
			self->m_last_expire = now;
			self->m_scheduler.expire(now);
		}
		self->pump_all();
		self->arm_timer();
	});
}

void swarm::tick()
{
	context::network_turn const turn(*m_shared);
	look_for_metadata();
	dial_known();
}

// --- messages ----------------------------------------------------------------------------------------------------------

void swarm::received(peer& p, xet::wire::message const& m)
{
	std::visit([&](auto const& body) { on_message(p, body); }, m);
}

void swarm::sent(peer const& p, xet::hash32 const& hash, std::size_t bytes)
{
	if (!m_folder || !m_folder->publishes()) return;
	auto const now = steady::now();
	if (now - m_lately_since > refer_window)
	{
		m_lately_since = now;
		m_sent_lately = 0;
	}
	m_sent_lately += std::int64_t(bytes);
	m_sent_to[hash] = p.key();
}

// A publisher's upload is for what only it has: what it sent to another peer a moment ago, that peer can pass on. Whoever asks
// a second time gets it.
bool swarm::refer(peer& p, xet::hash32 const& hash)
{
	if (!p.heads() || m_sent_lately < refer_from_bytes) return false;
	auto const who = m_sent_to.find(hash);
	if (who == m_sent_to.end() || who->second == p.key()) return false;
	auto const other = m_peers.find(who->second);
	if (other == m_peers.end() || !other->second->listens()) return false;
	return m_referred.emplace(p.key(), hash).second;
}

void swarm::on_message(peer& p, xet::wire::chunk_request const& m)
{
	if (refer(p, m.hash)) p.send(xet::wire::chunk_error{m.hash, xet::wire::error_elsewhere, {}});
	else p.queue_answer(m);
}

void swarm::on_message(peer& p, xet::wire::chunk_response const& m)
{
	switch (m_scheduler.arrived(p.key(), m.hash, std::uint32_t(m.data.size()), steady::now()))
	{
		case scheduler::verdict::unasked: p.violation("sent a chunk nobody asked for"); return;
		case scheduler::verdict::duplicate: ++m_shared->count.chunks_duplicate; break;
		case scheduler::verdict::wanted:
			// the next request is sent when it is stored, with others
			if (m_folder) m_folder->chunk_arrived(m.hash, m.data, m_scheduler.is_metadata(m.hash), p.key());
			return;
	}
	pump(p);
}

void swarm::on_message(peer& p, xet::wire::chunk_not_found const& m)
{
	m_scheduler.peer_lacks(p.key(), m.hash);
	pump_all();
}

void swarm::on_message(peer& p, xet::wire::chunk_error const& m)
{
	if (m.code == xet::wire::error_elsewhere) m_scheduler.peer_refers(p.key(), m.hash, steady::now());
	else m_scheduler.peer_lacks(p.key(), m.hash);
	pump_all();
}

void swarm::on_message(peer& p, xet::wire::version_request const& m)
{
	if (!m_folder || !m_version || m.id != m_folder->id()) return;
	p.send(xet::wire::version_response{m.id, m_version->ref});
	if (!p.heads() || !p.may_ask_again()) return;
	if (m_version->head) p.send(*m_version->head);
	if (m_have_all) send_have(p);
	else m_folder->tell_what_is_here();
	gossip_peers(p);
}

void swarm::on_message(peer& p, xet::wire::mode_request const& m)
{
	if (m_folder && m_version && m.id == m_folder->id())
		p.send(xet::wire::mode_response{m.id, std::uint8_t(m_version->manifest->mode)});
}

void swarm::on_message(peer& p, xet::wire::metadata_request const& m)
{
	auto const v = m_version;
	if (!v || !m_folder || m.id != m_folder->id() || m.piece >= v->pieces() || !p.take_metadata_turn())
	{
		p.send(xet::wire::metadata_not_found{m.id, m.piece});
		return;
	}
	boost::asio::post(m_shared->workers, [self = shared_from_this(), peer = p.weak_from_this(), v, m] {
		auto data = v->piece(m.piece);
		self->m_shared->on_network([peer, v, m, data = std::move(data)] {
			auto const to = peer.lock();
			if (!to) return;
			to->end_metadata_turn();
			if (!data) to->send(xet::wire::metadata_not_found{m.id, m.piece});
			else to->send(xet::wire::metadata_response{m.id, m.piece, v->pieces(), xet::metadata_piece_bytes, *data});
		});
	});
}

void swarm::on_message(peer& p, xet::wire::folder_head const& m)
{
	if (!m_folder || m.id != m_folder->id()) return;
	m_folder->head_arrived(m, p.key());
}

void swarm::on_message(peer& p, xet::wire::folder_have const& m)
{
	if (!m_folder || m.id != m_folder->id()) return;
	if (m.all) m_scheduler.peer_has_all(p.key(), m.root);
	else m_scheduler.peer_has(p.key(), m.root, m.first, m.bits);
	pump(p);
	arm_timer();
}

void swarm::on_message(peer& p, xet::wire::chunks_added const& m)
{
	if (m.hashes.size() <= max_hashes_per_message)
	{
		m_scheduler.peer_added(p.key(), m.hashes);
		pump(p);
		return;
	}
	// longer than this project sends: in slices, so that the thread is free for others in between
	for (std::size_t at = 0; at < m.hashes.size(); at += max_hashes_per_message)
	{
		auto const end = std::min(m.hashes.size(), at + max_hashes_per_message);
		m_shared->on_network([self = shared_from_this(), key = p.key()
			, slice = std::vector(m.hashes.begin() + std::ptrdiff_t(at), m.hashes.begin() + std::ptrdiff_t(end))] {
			self->m_scheduler.peer_added(key, slice);
		});
	}
	arm_timer();
}

void swarm::on_message(peer& p, xet::wire::folder_peers const& m)
{
	if (!m_folder || m.id != m_folder->id()) return;
	// Both ends hear of each other at once. The newcomer dials; two calls that cross would cost both of them.
	bool const newcomer = p.age() < newcomer_for;
	auto const now = steady::now();
	for (xet::wire::endpoint const& e : m.peers)
	{
		auto const endpoint = from_wire(e);
		if (endpoint.port() == 0 || endpoint.address().is_unspecified() || endpoint.address().is_multicast()) continue;
		learn(endpoint, newcomer ? now : now + dial_back_after, false);
	}
	if (newcomer) dial_known();
}

} // namespace ut_xet
