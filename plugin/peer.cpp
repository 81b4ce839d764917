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

constexpr std::size_t answers_per_batch = 16;

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

char* mutable_data(xet::bytes const& b)
{
	// libtorrent takes char*, and does not write through buffers appended as const
	return const_cast<char*>(reinterpret_cast<char const*>(b.data()));
}

} // namespace

peer::peer(std::weak_ptr<swarm> s, lt::peer_connection_handle const& pc, std::uint32_t key)
	: m_swarm(std::move(s)), m_pc(pc), m_key(key)
{}

std::string peer::name() const
{
	auto const r = m_listens ? *m_listens : m_pc.remote();
	return xet::cat(r.address().is_v6() ? "[" : "", r.address().to_string(), r.address().is_v6() ? "]" : "", ":", r.port());
}

void peer::add_handshake(lt::entry& e)
{
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
	s->shared().count.wire_bytes_in += std::uint64_t(length) + 6;
	xet::bytes_view const bytes(reinterpret_cast<std::uint8_t const*>(body.data()), std::size_t(body.size()));
	auto const m = xet::wire::decode(bytes);
	if (m) s->received(*this, *m);
	else if (m.error().code != xet::errc::unsupported) violation(m.error().message);
	return true;
}

void peer::violation(std::string_view what)
{
	auto const s = m_swarm.lock();
	if (!s) return;
	++s->shared().count.violations;
	s->shared().log.warning("peer ", name(), " (", m_client, ") broke the protocol: ", what);
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
	if (auto const s = m_swarm.lock()) s->shared().log.warning("peer ", name(), " (", m_client, ") does not read what it asks for");
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
	if (auto const s = m_swarm.lock()) s->shared().count.wire_bytes_out += frame.size();
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
	if (auto const s = m_swarm.lock()) s->shared().count.wire_bytes_out += frames.size();
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
	pump_answers();
}

int peer::buffered() const
{
	auto const native = m_pc.native_handle();
	return native ? native->send_buffer_size() : 0;
}

// Reads the next chunks the peer asked for, on a worker, unless its socket has enough to send already.
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
	if (buffered() > send_watermark_bytes)
	{
		watch_buffer();
		return;
	}
	auto const n = std::min(m_queue.size(), answers_per_batch);
	std::vector<xet::wire::chunk_request> batch(m_queue.begin(), m_queue.begin() + std::ptrdiff_t(n));
	m_queue.erase(m_queue.begin(), m_queue.begin() + std::ptrdiff_t(n));
	m_reading = true;
	boost::asio::post(s->shared().workers, [self = weak_from_this(), shared = s->shared_ptr_of_context(), f, batch = std::move(batch)] {
		std::vector<answer> answers;
		answers.reserve(batch.size());
		for (auto const& asked : batch)
		{
			bool metadata = false;
			auto data = f->read_chunk(asked.hash, metadata);
			answers.push_back({asked, data ? std::make_shared<xet::bytes const>(std::move(*data)) : nullptr, metadata});
		}
		shared->on_network([self, answers = std::move(answers)] {
			auto const p = self.lock();
			if (!p) return;
			p->m_reading = false;
			p->send_answers(answers);
			p->pump_answers();
		});
	});
}

void peer::send_answers(std::vector<answer> const& answers)
{
	auto const s = m_swarm.lock();
	auto const native = m_pc.native_handle();
	if (!s || !native || !can_send()) return;
	counters& count = s->shared().count;
	for (answer const& a : answers)
	{
		if (!a.data || a.data->empty())
		{
			send_frame(xet::wire::not_found(a.asked));
			continue;
		}
		auto const head = xet::wire::response_head(a.asked, std::uint32_t(a.data->size()));
		xet::bytes frame;
		begin_frame(frame, head.size() + a.data->size());
		xet::append(frame, head);
		count.wire_bytes_out += frame.size() + a.data->size();
		count.chunk_bytes_out += a.data->size();
		if (a.metadata) count.metadata_bytes_out += a.data->size();
		else s->sent(*this, a.asked.hash, a.data->size());
		++count.chunks_out;
#if LIBTORRENT_VERSION_NUM == 20008
		if (native->rc4_encrypted())
		{
			// an encrypted link copies in any case, and a copy's spare room would swallow the byte that starts sending
			m_pc.send_buffer(reinterpret_cast<char const*>(frame.data()), int(frame.size()));
			m_pc.send_buffer(reinterpret_cast<char const*>(a.data->data()), int(a.data->size()));
			continue;
		}
		// All but the last byte without a copy; the last byte goes through the exported call, which is what starts sending.
		auto const keep = std::make_shared<xet::bytes const>(std::move(frame));
		native->append_const_send_buffer(shared_buffer(keep, mutable_data(*keep), int(keep->size())), int(keep->size()));
		int const most = int(a.data->size()) - 1;
		if (most > 0) native->append_const_send_buffer(shared_buffer(a.data, mutable_data(*a.data), most), most);
		m_pc.send_buffer(reinterpret_cast<char const*>(&a.data->back()), 1);
#else
		m_pc.send_buffer(reinterpret_cast<char const*>(frame.data()), int(frame.size()));
		m_pc.send_buffer(reinterpret_cast<char const*>(a.data->data()), int(a.data->size()));
#endif
	}
}

// No hook tells when a plugin's bytes have left. So a keep-alive message goes behind them, in a buffer whose release does.
void peer::watch_buffer()
{
#if LIBTORRENT_VERSION_NUM == 20008
	auto const s = m_swarm.lock();
	auto const native = m_pc.native_handle();
	if (m_watching || !s || !native) return;
	m_watching = true;
	static_assert(sizeof(shared_buffer) <= 32);
	auto* const zeros = new char[4]{};
	std::shared_ptr<void const> const owner(zeros, [self = weak_from_this(), shared = s->shared_ptr_of_context(), zeros](void const*) {
		delete[] zeros;
		// posted: libtorrent is in the middle of its send buffer here
		shared->on_network([self] {
			if (auto const p = self.lock())
			{
				p->m_watching = false;
				p->pump_answers();
			}
		});
	});
	native->append_send_buffer(shared_buffer(owner, zeros, 4), 4);
#endif
}

void peer::tick()
{
	pump_answers();
}

} // namespace ut_xet
