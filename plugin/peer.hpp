#pragma once
// One connection to another node: framing, the handshake's capabilities, the queue of what it asked us for, and sending
// chunk data without copying it. Which chunks are asked of it is the swarm's business.
//
// Thread rule: network thread.

#include "plugin/answers.hpp"
#include "plugin/swarm.hpp"

#include <deque>

namespace ut_xet {

class peer : public lt::peer_plugin, public std::enable_shared_from_this<peer>
{
public:
	peer(std::weak_ptr<swarm> s, std::shared_ptr<context> shared, lt::peer_connection_handle const& pc, std::uint32_t key);

	std::uint32_t key() const { return m_key; }
	bool folder_sync() const { return m_folder_sync; }  // may be sent folder messages
	bool heads() const { return m_heads; }              // speaks this project's extensions
	bool origin() const { return m_origin; }            // says it publishes the folder
	int reqq() const { return m_reqq; }
	std::optional<lt::tcp::endpoint> const& listens() const { return m_listens; }
	steady::duration age() const { return steady::now() - m_since; }
	// Bounds on what a peer may make us do: false when it asks too much at once.
	bool take_metadata_turn() { return m_metadata_turns < max_metadata_turns && ++m_metadata_turns > 0; }
	void end_metadata_turn() { --m_metadata_turns; }
	bool may_ask_again();
	std::string name() const;

	void send(xet::wire::message const& m);
	void send_requests(std::vector<xet::hash32> const& hashes);
	void queue_answer(xet::wire::chunk_request const& asked);
	// The peer broke the protocol: logged; after a few times it is disconnected.
	void violation(std::string_view what);
	void disconnect();

	// lt::peer_plugin
	lt::string_view type() const override { return "ut_xet"; }
	void add_handshake(lt::entry& e) override;
	bool on_extension_handshake(lt::bdecode_node const& handshake) override;
	bool on_extended(int length, int msg, lt::span<char const> body) override;
	void on_disconnect(lt::error_code const& ec) override;
	bool can_disconnect(lt::error_code const& ec) override;
	bool on_have(lt::piece_index_t) override { return hide_pieces(); }
	bool on_bitfield(lt::bitfield const&) override { return hide_pieces(); }
	bool on_have_all() override { return hide_pieces(); }
	void tick() override;

private:
	bool hide_pieces() const;
	void send_frame(xet::bytes_view body);
	void begin_frame(xet::bytes& out, std::size_t body_bytes) const;
	void pump_answers();
	void pump_soon();
	void send_answers(answers const& given);
	void send_slab(std::shared_ptr<slab> const& memory);
	std::shared_ptr<void const> until_sent(std::shared_ptr<slab> memory, int size);
	std::size_t most_at_once() const;
	int buffered() const;
	int buffered_elsewhere() const;
	bool can_send();

	std::weak_ptr<swarm> m_swarm;
	std::shared_ptr<context> const m_shared;
	lt::bt_peer_connection_handle m_pc;
	std::uint32_t const m_key;
	steady::time_point const m_since = steady::now();
	int m_remote_id = 0;  // the peer's number for ut_xet; 0 until its handshake names one
	bool m_handshaken = false;
	bool m_folder_sync = false;
	bool m_heads = false;
	bool m_origin = false;
	int m_reqq = default_reqq;
	std::optional<lt::tcp::endpoint> m_listens;
	std::string m_client;
	int m_violations = 0;
	int m_metadata_turns = 0;
	steady::time_point m_asked_again{};

	std::deque<xet::wire::chunk_request> m_queue;  // not answered yet
	bool m_reading = false;       // a worker reads the first of them
	bool m_pump_posted = false;
	int m_unsent = 0;             // bytes of slabs given to libtorrent and not sent
};

} // namespace ut_xet
