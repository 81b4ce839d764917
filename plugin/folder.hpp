#pragma once
// A folder this node has: it watches and publishes it, or follows its publisher. Everything that takes time runs on the
// folder's strand of the jobs pool; chunk reads and writes run on workers.
//
// Thread rule: "network" functions return at once and may be called from the network thread; the rest from anywhere.

#include "plugin/context.hpp"
#include "plugin/folder_record.hpp"
#include "plugin/inbox.hpp"
#include "plugin/scheduler.hpp"
#include "plugin/version.hpp"
#include "tonic/history.hpp"
#include "tonic/local_index.hpp"
#include "tonic/materialiser.hpp"
#include "tonic/plan.hpp"
#include "tonic/watch.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <map>
#include <set>

namespace ut_xet {

class swarm;

// What a person is told of a folder.
struct folder_status
{
	std::string folder, name, role, state, info_hash;
	std::filesystem::path path;
	std::uint64_t files = 0, bytes = 0, chunks = 0;
	std::uint64_t need_bytes = 0;  // still to be fetched
	std::size_t peers = 0;
	std::string version;  // reference, as text; empty when none is known
	std::uint64_t seq = 0;
	std::string problem;  // why it is not in sync, and what happens next; empty when all is well
	bool failed = false;  // the problem needs somebody
	std::vector<std::string> local_edits;           // files kept aside
	std::vector<tonic::refusal> refused;            // not shared
	double progress = 0;                            // 0 … 1 while scanning or syncing
};

class folder;

// The other folders of this node: content they have need not be fetched.
using sibling_list = std::function<std::vector<std::shared_ptr<folder>>()>;

class folder : public std::enable_shared_from_this<folder>
{
public:
	folder(std::shared_ptr<context> shared, folder_record record, std::filesystem::path state_dir, sibling_list siblings);
	~folder();

	// Loads the state from disk. Errors: io, corrupt record.
	xet::result<> load();
	void start();                           // begins scanning and watching
	void stop();                            // nothing new begins; running work ends soon
	void use_swarm(std::shared_ptr<swarm> s);
	std::shared_ptr<swarm> current_swarm() const;

	std::string const& id() const { return m_id; }
	xet::hash_kind hash_kind() const;
	std::string hash_algorithm() const;
	bool publishes() const { return m_publishes; }
	folder_record record() const;
	folder_status status() const;
	std::string why(std::string const& asked) const;  // a path below the folder
	std::filesystem::path const& state_dir() const { return m_state_dir; }
	std::filesystem::path tonic_path() const;
	std::filesystem::path torrent_path() const;

	// Scan now; the next scan may publish that everything was deleted.
	void rescan(bool accept_deletions);
	// Chunks of earlier versions, which peers may have kept: they come into the node's store, or they do not.
	void recall(std::vector<xet::chunk_ref> chunks);
	void end_recall();
	std::uint64_t recalled() const { return m_recalled_chunks; }  // how many came, ever
	void remember_peers(std::vector<std::string> peers);
	// "192.0.2.7:6881", "[2001:db8::1]:6881"
	static std::optional<boost::asio::ip::tcp::endpoint> parse_endpoint(std::string const& text);

	// network ----------------------------------------------------------------------------------------------------------
	void head_arrived(xet::wire::folder_head const& head, std::uint32_t peer);
	void chunk_arrived(xet::hash32 const& hash, xet::bytes_view data, bool metadata, std::uint32_t peer);
	void peers_changed();
	void tell_what_is_here();  // offers again, with what came in since the last time

	// workers: a chunk that this folder may serve, verified. metadata says which kind it was.
	std::optional<xet::bytes> read_chunk(xet::hash32 const& hash, bool& metadata) const;
	// The same for many that lie in this folder's files, where one read can serve neighbours. False: not all of them are as
	// they should be.
	struct reading
	{
		xet::hash32 hash;
		tonic::local_index::place place;
		std::uint8_t* into;  // room for place.size bytes
	};
	std::optional<tonic::local_index::place> place_of(xet::hash32 const& hash) const;
	bool read_places(std::span<reading const> readings) const;
	// content of this folder's files only; the first tells without reading whether it should be there
	bool knows_content(xet::hash_kind kind, xet::hash32 const& hash) const;
	std::optional<xet::bytes> read_content(xet::hash_kind kind, xet::hash32 const& hash) const;

private:
	using clock = std::chrono::steady_clock;

	// strand
	void post(std::function<void()> task);
	void post_later(std::chrono::milliseconds after, std::function<void()> task);
	void scan_soon();
	void scan_now();
	void publisher_scan();
	void follower_scan();
	xet::result<> open_root();
	void watch_root();
	xet::result<tonic::scan_result> scan(std::function<bool(std::string_view)> want_content);
	bool same_root_as_before() const;
	void root_is_gone(std::string problem);
	void check_root();
	void retry(std::chrono::milliseconds after);
	std::vector<std::string> find_kept_aside(tonic::scan_result const& found) const;
	xet::result<> index_scan(tonic::scan_result const& found);
	xet::result<> publish(tonic::manifest next);
	xet::result<> take_version(tonic::manifest manifest, std::string_view data, std::optional<xet::wire::folder_head> head);
	void remember_root();
	void trouble(xet::error const& e, std::chrono::milliseconds retry_after);

	// strand, following
	void begin_fetch(xet::wire::folder_head head);
	void begin_next_fetch();
	void wait_with_next_head(std::uint64_t need_bytes);
	void continue_fetch();
	void metadata_arrived(xet::hash32 const& hash, xet::bytes const& data, std::uint32_t peer);
	std::optional<xet::bytes> own_metadata(xet::hash32 const& hash) const;
	void finish_fetch();
	void mark_published(std::vector<tonic::local_file>& files) const;
	xet::result<> carry_out(tonic::folder_plan plan, tonic::scan_result const& found);
	bool wait_for_same_edit(tonic::scan_result const& found);
	bool entries_are_right(tonic::scan_result const& found) const;
	xet::result<> check_room(tonic::materialiser const& job, tonic::folder_fs const& disk) const;
	xet::result<> make_root();
	xet::result<> open_dirs();
	xet::result<> keep_edits_aside(std::vector<std::string> const& paths);
	xet::result<> make_way_for_dirs();
	xet::result<> move_files(std::vector<tonic::folder_plan::move> const& moves, std::vector<tonic::local_file> const& local);
	xet::result<> touch_files(std::vector<std::uint32_t> const& files, std::vector<tonic::local_file> const& local);
	xet::result<> begin_job(std::shared_ptr<tonic::materialiser> const& job);
	void gather(std::shared_ptr<tonic::materialiser> const& job);
	void want_missing(std::shared_ptr<tonic::materialiser> const& job, std::vector<std::uint32_t> wanted);
	void place_ready();
	xet::result<> place(std::vector<std::uint32_t> const& files);
	void complete();
	xet::result<> finish_tree();
	xet::result<> remove_old_files();
	xet::result<> place_blocked();
	xet::result<> remove_old_entries();
	xet::result<> place_links();
	xet::result<> place_dirs();
	xet::bytes have_bits(tonic::materialiser const& job) const;
	void offer_all();
	tonic::manifest const& target() const { return *m_target; }

	// strand, what is kept (folder_history.cpp)
	tonic::history kept_versions() const;
	std::optional<xet::bytes> read_kept(xet::hash_kind kind, xet::hash32 const& hash) const;  // workers
	void remember_version();
	void keep_files(tonic::manifest const& m, std::vector<xet::chunk_ref> const& chunks, std::uint64_t logical_bytes, std::uint64_t room);
	void keep_replaced(std::uint64_t needed_bytes);
	void keep_own(std::shared_ptr<version const> before);
	void keep_small_files(tonic::manifest const* before, tonic::manifest const& now);  // keep strand
	void expire_versions();
	bool recalled_arrived(xet::hash32 const& hash, xet::bytes const& data, std::uint32_t peer);
	void store_recalled(xet::hash_kind kind);

	// workers
	struct copy_list;
	void copy_some(std::shared_ptr<copy_list> const& list);
	void copied(std::shared_ptr<copy_list> const& list);
	void copy_run(copy_list& list, std::size_t begin, std::size_t end, xet::bytes& buffer);
	bool read_source(copy_list const& list, std::size_t i, std::span<std::uint8_t> into);
	void store(std::shared_ptr<tonic::materialiser> const& job, std::span<tonic::materialiser::chunk_data const> chunks, bool fetched);
	void store_arrivals();
	void store_batch(inbox::batch const& batch);
	void job_failed(xet::error const& e);

	void set_state(std::string state, std::string problem = {}, bool failed = false);
	void save() const;
	std::shared_ptr<version const> current() const;

	class as_source;

	std::shared_ptr<context> m_shared;
	std::shared_ptr<xet::chunk_source const> m_source;  // this folder's files, for the node's store
	std::filesystem::path const m_state_dir;
	std::string const m_id;
	bool const m_publishes;
	sibling_list m_siblings;
	boost::asio::strand<boost::asio::thread_pool::executor_type> m_strand;
	boost::asio::strand<boost::asio::thread_pool::executor_type> m_keep_strand;  // a publisher's copies of its files
	std::atomic<bool> m_stop{false};

	std::mutex m_heads_mutex;
	std::map<std::uint32_t, xet::wire::folder_head> m_heads;  // arrived, by peer, not looked at yet
	std::atomic<bool> m_telling{false};
	inbox m_inbox;  // content from peers

	mutable std::mutex m_mutex;  // guards what follows, up to the blank line
	folder_record m_record;
	std::shared_ptr<swarm> m_swarm;
	std::shared_ptr<version const> m_version;
	std::shared_ptr<tonic::materialiser> m_job;
	std::optional<tonic::folder_fs> m_fs;
	std::string m_state = "starting", m_problem;
	bool m_failed = false;
	double m_progress = 0;
	std::vector<tonic::refusal> m_refused;
	std::vector<std::string> m_local_edits;

	std::unique_ptr<tonic::local_index> m_index;
	std::unique_ptr<tonic::watcher> m_watcher;
	std::atomic<std::uint64_t> m_need_bytes{0};
	std::atomic<std::uint64_t> m_asked_bytes{0};  // of peers, for the job at hand
	clock::time_point m_asked_since{};            // strand
	std::atomic<bool> m_placing{false};
	std::atomic<std::uint64_t> m_newest_seq{0};  // of the versions known or being fetched
	std::atomic<bool> m_headless{false};         // the version came from a file: its head is welcome

	// strand only
	std::shared_ptr<tonic::manifest const> m_target;    // the current version's, for the work at hand
	std::shared_ptr<tonic::manifest const> m_previous;  // the version that was complete on disk last
	std::unordered_map<xet::hash32, std::uint32_t> m_recalled;  // asked for, and not here yet: → size
	std::vector<std::pair<xet::hash32, xet::bytes>> m_recall_buffer;
	std::uint64_t m_recall_bytes = 0;  // in the buffer
	std::atomic<std::uint64_t> m_recalled_chunks{0};
	std::uint64_t m_kept_for_seq = 0;  // what this version replaces is in the store
	std::vector<std::string> m_to_remove;
	std::vector<std::string> m_closed_dirs;  // cannot be listed, and there is no work to open them for
	std::optional<xet::wire::folder_head> m_fetching;
	std::optional<xet::tree_assembly> m_assembly;
	std::uint32_t m_fetch_peer = 0;
	std::optional<xet::wire::folder_head> m_next_head;  // waits until the job at hand had its time
	clock::time_point m_job_since{};
	bool m_scan_pending = false;
	int m_waits_for_edits = 0;
	bool m_scan_again = false;
	bool m_accept_deletions = false;
	std::optional<clock::time_point> m_retry_at;
	std::vector<std::uint32_t> m_blocked;
	std::set<xet::hash32> m_bad_roots;
};

} // namespace ut_xet
