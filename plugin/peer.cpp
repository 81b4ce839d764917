#include "plugin/peer.hpp"

#include "plugin/folder.hpp"

#include <libtorrent/bdecode.hpp>
#include <libtorrent/bt_peer_connection.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/error_code.hpp>

#include <boost/asio/post.hpp>

namespace ut_xet {

namespace {

// Our number for the extension in BEP 10 handshakes: away from libtorrent's own (ut_pex 1, ut_metadata 2, upload_only 3,
// ut_holepunch 4, lt_donthave 7, share_mode 8).
constexpr int local_id = 42;
constexpr std::uint8_t msg_extended = 20;

// Read with one turn of a worker, if they fit into a slab.
constexpr std::size_t max_answers_per_batch = 64;
constexpr std::size_t encrypted_batch_bytes = 128 * 1024;

// Chunk data on its way to the socket: libtorrent keeps the holder until the bytes are sent. At most 32 bytes.
class shared_buffer
{
public:
	shared_buffer(std::shared_ptr<void const> owner, char* data, int size)
		: m_owner(std::move(owner)), m_data(data), m_size(size)
	{}
	char* data() const { return m_data; }
	int size() const { return m_size; }

private:
	std::shared_ptr<void const> m_owner;
	char* m_data;
	int m_size;
};

} // namespace

peer::peer(std::weak_ptr<swarm> s, std::shared_ptr<context> shared, lt::peer_connection_handle const& pc, std::uint32_t key)
	: m_swarm(std::move(s)), m_shared(std::move(shared)), m_pc(pc), m_key(key)
{}

std::string peer::name() const
{
	auto const r = m_listens ? *m_listens : m_pc.remote();
	return xet::cat(r.address().is_v6() ? "[" : "", r.address().to_string(), r.address().is_v6() ? "]" : "", ":", r.port());
}

void peer::add_handshake(lt::entry& e)
{
	context::network_turn const turn(*m_shared);
	auto const s = m_swarm.lock();
	if (!s) return;
	e["m"]["ut_xet"] = local_id;
	auto& x = e["xet"];
	x["version"] = "1.0";
	x["supports_chunk_requests"] = 1;
	x["supports_p2p_cas"] = 1;
	x["supports_folder_sync"] = 1;
	x["supports_metadata_exchange"] = 1;
	x["supports_bloom_filters"] = 0;
	x["heads"] = 1;
	x["reqq"] = advertised_reqq;
	if (auto const f = s->attached())
	{
		x["hash_algorithm"] = std::string(f->hash_algorithm());
		if (f->publishes()) x["origin"] = 1;
	}
	// libtorrent drops links between nodes that both say they only upload; ours have much to say to each other
	if (s->carrier_complete()) e.dict().erase("upload_only");
}

bool peer::on_extension_handshake(lt::bdecode_node const& handshake)
{
	context::network_turn const turn(*m_shared);
	m_handshaken = true;
	auto const s = m_swarm.lock();
	auto const m = handshake.type() == lt::bdecode_node::dict_t ? handshake.dict_find_dict("m") : lt::bdecode_node();
	auto const id = m ? m.dict_find_int_value("ut_xet", 0) : 0;
	if (!s || id < 1 || id > 255)
	{
		// libtorrent forgets this plugin now, without another word, also when an earlier handshake had named the extension
		if (std::exchange(m_remote_id, 0) != 0 && s) s->left(*this);
		return false;
	}
	bool const first = m_remote_id == 0;
	m_remote_id = int(id);

	if (auto const x = handshake.dict_find_dict("xet"))
	{
		m_folder_sync = x.dict_find_int_value("supports_folder_sync", 0) != 0;
		m_heads = m_folder_sync && x.dict_find_int_value("heads", 0) != 0;
		m_origin = m_heads && x.dict_find_int_value("origin", 0) != 0;
		m_reqq = int(std::clamp<std::int64_t>(x.dict_find_int_value("reqq", default_reqq), 1, advertised_reqq));
	}
	m_client = std::string(handshake.dict_find_string_value("v").substr(0, 64));
	auto const port = handshake.dict_find_int_value("p", 0);
	auto remote = m_pc.remote();
	if (m_pc.is_outgoing()) m_listens = remote;
	else if (port > 0 && port < 65536) m_listens = lt::tcp::endpoint(remote.address(), std::uint16_t(port));
	if (first) s->joined(shared_from_this(), m_listens);
	return true;
}

// Once the descriptor is complete nothing depends on who has which piece of it. Knowing that the other side is a seed would
// only make libtorrent drop the link and never dial it again.
bool peer::hide_pieces() const
{
	auto const s = m_swarm.lock();
	return s && s->carrier_complete() && (m_remote_id != 0 || !m_handshaken);
}

bool peer::can_disconnect(lt::error_code const& ec)
{
	bool const redundant = ec == lt::errors::upload_upload_connection || ec == lt::errors::uninteresting_upload_peer
		|| ec == lt::errors::torrent_finished || ec == lt::errors::timed_out_no_interest
		|| ec == lt::errors::timed_out_no_request;
	if (!redundant) return true;
	// the question may come before the handshake that tells whether it is one of ours
	if (!m_handshaken) return steady::now() - m_since > std::chrono::seconds(10);
	return m_remote_id == 0;
}

void peer::on_disconnect(lt::error_code const&)
{
	context::network_turn const turn(*m_shared);
	m_queue.clear();
	if (auto const s = m_swarm.lock()) s->left(*this);
}

bool peer::on_extended(int length, int msg, lt::span<char const> body)
{
	if (msg != local_id) return false;
	auto const s = m_swarm.lock();
	if (!s) return true;
	if (length > int(xet::max_message_bytes))
	{
		violation("message too large");
		disconnect();
		return true;
	}
	if (int(body.size()) < length) return true;
	context::network_turn const turn(*m_shared);
	m_shared->count.wire_bytes_in += std::uint64_t(length) + 6;
	xet::bytes_view const bytes(reinterpret_cast<std::uint8_t const*>(body.data()), std::size_t(body.size()));
	auto const m = xet::wire::decode(bytes);
	if (m) s->received(*this, *m);
	else if (m.error().code != xet::errc::unsupported) violation(m.error().message);
	return true;
}

void peer::violation(std::string_view what)
{
	++m_shared->count.violations;
	m_shared->log.warning("peer ", name(), " (", m_client, ") broke the protocol: ", what);
	if (++m_violations >= max_violations) disconnect();
}

bool peer::may_ask_again()
{
	auto const now = steady::now();
	if (now - m_asked_again < std::chrono::milliseconds(500)) return false;
	m_asked_again = now;
	return true;
}

void peer::disconnect()
{
	m_queue.clear();
	if (m_pc.native_handle() && !m_pc.is_disconnecting())
		m_pc.disconnect(lt::errors::invalid_message, lt::operation_t::bittorrent, lt::peer_connection_interface::peer_error);
}

void peer::begin_frame(xet::bytes& out, std::size_t body_bytes) const
{
	xet::append_be(out, std::uint32_t(2 + body_bytes));
	out.push_back(msg_extended);
	out.push_back(std::uint8_t(m_remote_id));
}

bool peer::can_send()
{
	if (m_remote_id == 0 || !m_pc.native_handle() || m_pc.is_disconnecting()) return false;
	if (buffered() < max_unread_bytes) return true;
	m_shared->log.warning("peer ", name(), " (", m_client, ") does not read what it asks for");
	disconnect();
	return false;
}

void peer::send_frame(xet::bytes_view body)
{
	if (!can_send()) return;
	xet::bytes frame;
	frame.reserve(body.size() + 6);
	begin_frame(frame, body.size());
	xet::append(frame, body);
	m_shared->count.wire_bytes_out += frame.size();
	m_pc.send_buffer(reinterpret_cast<char const*>(frame.data()), int(frame.size()));
}

void peer::send(xet::wire::message const& m)
{
	send_frame(xet::wire::encode(m));
}

void peer::send_requests(std::vector<xet::hash32> const& hashes)
{
	if (hashes.empty() || !can_send()) return;
	xet::bytes frames;
	for (xet::hash32 const& h : hashes)
	{
		auto const body = xet::wire::encode(xet::wire::chunk_request{.hash = h});
		begin_frame(frames, body.size());
		xet::append(frames, body);
	}
	m_shared->count.wire_bytes_out += frames.size();
	m_pc.send_buffer(reinterpret_cast<char const*>(frames.data()), int(frames.size()));
}

void peer::queue_answer(xet::wire::chunk_request const& asked)
{
	if (m_queue.size() >= max_queued_requests)
	{
		violation(xet::cat("more than ", max_queued_requests, " requests without reading the answers"));
		disconnect();
		return;
	}
	m_queue.push_back(asked);
	pump_soon();
}

int peer::buffered() const
{
	auto const native = m_pc.native_handle();
	return native ? native->send_buffer_size() : 0;
}

// What the socket has to send besides slabs.
int peer::buffered_elsewhere() const
{
	return std::max(0, buffered() - m_unsent);
}

// More requests may be in the bytes that were just received: all of them are looked at together.
void peer::pump_soon()
{
	if (std::exchange(m_pump_posted, true)) return;
	m_shared->on_network([self = weak_from_this(), shared = m_shared] {
		auto const p = self.lock();
		if (!p) return;
		p->m_pump_posted = false;
		p->pump_answers();
	});
}

// libtorrent encrypts what it is given on the network thread, at some 250 MB/s.
std::size_t peer::most_at_once() const
{
#if LIBTORRENT_VERSION_NUM == 20008
	auto const native = m_pc.native_handle();
	if (native && native->rc4_encrypted()) return encrypted_batch_bytes;
#endif
	return slab_bytes;
}

// Reads the next chunks the peer asked for, on a worker, unless enough is on its way to it already.
void peer::pump_answers()
{
	auto const s = m_swarm.lock();
	if (!s || m_reading || m_queue.empty() || !can_send()) return;
	auto const f = s->attached();
	if (!f)
	{
		for (auto const& asked : m_queue) send_frame(xet::wire::not_found(asked));
		m_queue.clear();
		return;
	}
	if (m_unsent + buffered_elsewhere() >= send_watermark_bytes) return;
	auto const n = std::min(m_queue.size(), max_answers_per_batch);
	std::vector<xet::wire::chunk_request> batch(m_queue.begin(), m_queue.begin() + std::ptrdiff_t(n));
	m_reading = true;
	boost::asio::post(m_shared->workers, [self = weak_from_this(), shared = m_shared, f, batch = std::move(batch), id = m_remote_id
		, most = most_at_once()] {
		auto given = read_answers(*f, *shared, batch, id, most);
		shared->on_network([self, shared, given = std::move(given)] {
			auto const p = self.lock();
			if (!p) return;
			p->m_reading = false;
			p->send_answers(given);
			p->pump_answers();
		});
	});
}

void peer::send_answers(answers const& given)
{
	auto const s = m_swarm.lock();
	// emptied meanwhile, when the connection ends
	m_queue.erase(m_queue.begin(), m_queue.begin() + std::ptrdiff_t(std::min(m_queue.size(), given.chunks.size())));
	if (!s || !can_send()) return;
	counters& count = m_shared->count;
	count.wire_bytes_out += given.memory->used;
	for (auto const& c : given.chunks)
	{
		if (c.size == 0) continue;
		count.chunk_bytes_out += c.size;
		if (c.metadata) count.metadata_bytes_out += c.size;
		else s->sent(*this, c.hash, c.size);
		++count.chunks_out;
	}
	send_slab(given.memory);
}

// Everything but the last byte goes without a copy; the last byte goes through the exported call, which is what starts sending.
// Nobody else uses the slab, so an encrypted link may encrypt it where it is.
void peer::send_slab(std::shared_ptr<slab> const& memory)
{
	auto* const data = reinterpret_cast<char*>(memory->data.get());
	int const size = int(memory->used);
#if LIBTORRENT_VERSION_NUM == 20008
	static_assert(sizeof(shared_buffer) <= 32);
	m_unsent += size;
	auto const native = m_pc.native_handle();
	char const last = data[size - 1];
	native->append_send_buffer(shared_buffer(until_sent(memory, size), data, size - 1), size - 1);
	m_pc.send_buffer(&last, 1);
#else
	m_pc.send_buffer(data, size);
#endif
}

// No hook tells when a plugin's bytes have left; that libtorrent lets go of them does.
std::shared_ptr<void const> peer::until_sent(std::shared_ptr<slab> memory, int size)
{
	auto* const address = memory.get();
	return {address, [memory = std::move(memory), self = weak_from_this(), shared = m_shared, size](void const*) mutable {
		memory.reset();
		if (self.expired()) return;
		// posted: libtorrent is in the middle of its send buffer here
		shared->on_network([self, shared, size] {
			auto const p = self.lock();
			if (!p) return;
			p->m_unsent -= size;
			p->pump_answers();
		});
	}};
}

void peer::tick()
{
	context::network_turn const turn(*m_shared);
	pump_answers();
}

} // namespace ut_xet
