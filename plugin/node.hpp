#pragma once
// One node: a libtorrent session with the plugin, its data directory, its folders, and what can be asked of it.
//
// Thread rule: any thread but the network thread, except for what says otherwise.

#include "plugin/folder.hpp"
#include "plugin/ut_xet.hpp"
#include "tonic/link.hpp"

#include <libtorrent/extensions.hpp>
#include <libtorrent/session_handle.hpp>

namespace ut_xet {

class control_server;
class swarm;

struct share_request
{
	std::filesystem::path path;
	std::string name;  // empty: the directory's
	std::string profile = "blake3";
	std::uint32_t target_bytes = 0;
	std::vector<std::string> trackers;
};

struct join_request
{
	std::string source;  // a link, or the path of a .torrent or .tonic file
	std::filesystem::path dest;
	std::vector<std::string> peers;  // "host:port"
	bool reuse = false;  // files that are there already are taken over; those that differ are kept aside
};

class node : public std::enable_shared_from_this<node>
{
public:
	static xet::result<std::shared_ptr<node>> create(lt::session_handle const& session, options o);
	~node();

	// Loads the folders and opens the control socket.
	xet::result<> start();
	void stop();

	xet::result<std::shared_ptr<folder>> share(share_request const& request);
	struct joined
	{
		std::string info_hash;
		std::string name;
		std::filesystem::path path;
		std::string folder;  // empty until the torrent's metadata is here
	};
	xet::result<joined> join(join_request const& request);
	// Forgets a folder; its files stay.
	xet::result<> leave(std::string const& which);

	std::vector<std::shared_ptr<folder>> folders() const;
	// By id, name, path or info-hash; null when there is none.
	std::shared_ptr<folder> find(std::string const& which) const;
	// Every folder, and every join whose torrent has no metadata yet.
	std::vector<folder_status> status() const;

	std::shared_ptr<node_store> store() const { return m_shared->store; }  // null when it cannot be used
	counters const& count() const { return m_shared->count; }
	std::string id() const { return xet::to_hex(m_shared->identity->pub()); }
	options const& how() const { return m_options; }
	std::filesystem::path control_path() const;
	std::string magnet_of(folder const& f) const;
	std::string tonic_link_of(folder const& f) const;
	int listen_port() const { return m_session.listen_port(); }

	// network thread: libtorrent has a new torrent
	std::shared_ptr<lt::torrent_plugin> new_torrent(lt::torrent_handle const& torrent);
	// network thread: the session ends
	void session_ends();

private:
	// A link that says no more than an info-hash: the rest comes from peers.
	struct pending_join
	{
		join_request request;
		tonic::folder_link link;
		std::string problem;
	};

	node(lt::session_handle const& session, options o);
	void end_pools();
	xet::result<> lock_data_dir();
	void open_store();
	void tend_store_later();
	void tend_store();
	void recall(std::string const& id, std::vector<xet::chunk_ref> missing, std::function<bool(std::size_t)> const& progress);
	xet::result<> load_folders();
	void load_joins();
	void save_joins() const;
	xet::result<std::shared_ptr<folder>> open_folder(folder_record record);
	xet::result<> add_carrier(folder const& f);
	void add_magnet(std::string const& info_hash, pending_join const& join);
	void carrier_known(std::shared_ptr<swarm> s, std::string const& info_section);
	void carrier_joined(std::shared_ptr<swarm> s, tonic::carrier_info info, std::string info_hash, std::filesystem::path save_path);
	xet::result<> check_apart_from_data(std::filesystem::path const& path, char const* advice) const;
	xet::result<> check_place(std::filesystem::path const& path, bool reuse) const;
	xet::result<> check_overlap(std::filesystem::path const& path) const;
	void fail_join(std::string const& info_hash, std::string problem);
	std::filesystem::path folder_dir(std::string const& id) const { return m_shared->data_dir / "folders" / id; }

	lt::session_handle m_session;
	options m_options;
	std::shared_ptr<context> m_shared;
	tonic::file_descriptor m_lock;
	std::unique_ptr<control_server> m_control;
	std::optional<boost::asio::steady_timer> m_tend_timer;
	std::atomic<bool> m_stopped{false};
	std::atomic<bool> m_session_gone{false};

	mutable std::mutex m_mutex;
	std::map<std::string, std::shared_ptr<folder>> m_folders;  // by id
	std::map<std::string, std::string> m_by_info_hash;         // → id
	std::map<std::string, pending_join> m_joins;               // by info-hash
	std::map<std::string, std::weak_ptr<swarm>> m_swarms;      // by info-hash
};

} // namespace ut_xet
