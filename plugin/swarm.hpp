#pragma once
// A folder's swarm: the peers of its carrier torrent, what they have, and who is asked for what. It is also the
// libtorrent torrent plugin. Source: protocol §1, §2, §8.
//
// Thread rule: network thread, except for what says "any thread" (those post there).

#include "plugin/context.hpp"
#include "plugin/scheduler.hpp"
#include "plugin/version.hpp"

#include <libtorrent/extensions.hpp>
#include <libtorrent/peer_connection_handle.hpp>
#include <libtorrent/torrent_handle.hpp>

#include <boost/asio/steady_timer.hpp>

#include <map>
#include <set>

namespace ut_xet {

class folder;
class peer;

class swarm : public lt::torrent_plugin, public std::enable_shared_from_this<swarm>
{
public:
	// found is called once, on the network thread, when the torrent's metadata shows which folder it carries (or none).
	using metadata_callback = std::function<void(std::shared_ptr<swarm>, std::string const& info_section)>;

	swarm(std::shared_ptr<context> shared, lt::torrent_handle torrent, metadata_callback on_metadata);
	~swarm() override;

	// From now on the torrent carries this folder.
	void attach(std::shared_ptr<folder> f);
	void detach();
	std::shared_ptr<folder> attached() const { return m_folder; }
	lt::torrent_handle const& torrent() const { return m_torrent; }

	// any thread ------------------------------------------------------------------------------------------------------
	// What this node now offers: v, all of it or the chunks of have (a bit for each ordinal, most significant first). Told to
	// every peer.
	void offer(std::shared_ptr<version const> v, bool all, xet::bytes have);
	void chunks_stored(std::vector<xet::hash32> hashes, bool news);  // news: tell others that we have them
	void chunk_failed(xet::hash32 const& hash);
	void want_metadata(xet::hash32 const& root, xet::chunk_list chunks);
	void want_content(xet::hash32 const& root, std::vector<scheduler::want> wants);
	void connect(std::vector<lt::tcp::endpoint> endpoints);
	void ban(std::uint32_t peer_key, std::string reason);
	std::size_t peer_count() const { return m_peer_count; }
	// every node's address seen in this swarm, to be remembered
	std::vector<lt::tcp::endpoint> known_peers() const;
	void stop();

	// lt::torrent_plugin -----------------------------------------------------------------------------------------------
	std::shared_ptr<lt::peer_plugin> new_connection(lt::peer_connection_handle const& pc) override;
	void tick() override;
	void on_state(lt::torrent_status::state_t state) override;
	void on_files_checked() override;

	// for peers --------------------------------------------------------------------------------------------------------
	void joined(std::shared_ptr<peer> const& p, std::optional<lt::tcp::endpoint> listens);
	void left(peer& p);
	void received(peer& p, xet::wire::message const& m);
	void sent(peer const& p, xet::hash32 const& hash, std::size_t bytes);  // content went to p
	void pump(peer& p);  // asks p for what it may be asked for
	bool carrier_complete() const { return m_complete; }
	context& shared() { return *m_shared; }
	std::shared_ptr<context> const& shared_ptr_of_context() const { return m_shared; }

private:
	void look_for_metadata();
	void introduce(peer& p);
	void send_have(peer& p);
	void flush_news();
	void pump_all();
	void arm_timer();
	void gossip_peers(peer& p);
	void learn(lt::tcp::endpoint const& e, steady::time_point dial_from, bool proven);
	void dial_known();
	template <class Old>
	void discard(Old old);
	bool refer(peer& p, xet::hash32 const& hash);

	void on_message(peer& p, xet::wire::chunk_request const& m);
	void on_message(peer& p, xet::wire::chunk_response const& m);
	void on_message(peer& p, xet::wire::chunk_not_found const& m);
	void on_message(peer& p, xet::wire::chunk_error const& m);
	void on_message(peer& p, xet::wire::version_request const& m);
	void on_message(peer& p, xet::wire::mode_request const& m);
	void on_message(peer& p, xet::wire::metadata_request const& m);
	void on_message(peer& p, xet::wire::folder_head const& m);
	void on_message(peer& p, xet::wire::folder_have const& m);
	void on_message(peer& p, xet::wire::folder_peers const& m);
	void on_message(peer& p, xet::wire::chunks_added const& m);
	template <class Other>
	void on_message(peer&, Other const&) {}  // answers to questions this node does not ask

	std::shared_ptr<context> m_shared;
	lt::torrent_handle m_torrent;
	metadata_callback m_on_metadata;
	bool m_looked = false;
	bool m_complete = false;
	bool m_stopped = false;

	std::shared_ptr<folder> m_folder;
	std::map<std::uint32_t, std::shared_ptr<peer>> m_peers;  // those that speak ut_xet
	std::uint32_t m_next_key = 1;
	std::atomic<std::size_t> m_peer_count{0};

	std::shared_ptr<version const> m_version;
	bool m_have_all = false;
	xet::bytes m_have;
	std::vector<xet::hash32> m_news;

	// publisher: who got which chunk last, so that others may be referred to them
	std::unordered_map<xet::hash32, std::uint32_t> m_sent_to;
	std::set<std::pair<std::uint32_t, xet::hash32>> m_referred;
	std::int64_t m_sent_lately = 0;
	steady::time_point m_lately_since{};

	scheduler m_scheduler;
	boost::asio::steady_timer m_timer;
	bool m_timer_armed = false;
	steady::time_point m_last_expire{};

	mutable std::mutex m_known_mutex;
	struct known
	{
		steady::time_point dial_from;  // not before
		bool proven = false;           // was connected, or named by the user
	};
	std::map<lt::tcp::endpoint, known> m_known;
};

} // namespace ut_xet
