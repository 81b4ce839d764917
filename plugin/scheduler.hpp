#pragma once
// Decides which chunk is asked of which peer. Pure logic: no sockets, no clock of its own, no disk.
//
// - each chunk is owned by one request at a time; the last few may be asked twice (endgame);
// - the publisher is asked for what nobody else has; what others have is asked of them, as long as they keep up, so that the
//   publisher's upload goes into what only it can give;
// - the caller's order of chunks is kept otherwise: callers shuffle it, so that nodes of one swarm differ.
//
// Thread rule: one thread (the network thread).

#include "xet/chunker.hpp"

#include "plugin/limits.hpp"

#include <deque>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace ut_xet {

using steady = std::chrono::steady_clock;

class scheduler
{
public:
	using peer_key = std::uint32_t;

	struct want
	{
		xet::hash32 hash;
		std::uint32_t size = 0;
		std::uint32_t ordinal = 0;  // in the version's chunk list
	};

	scheduler();
	~scheduler();

	// plain: a peer without this project's have messages; it is asked for anything and may say it lacks it
	// origin: the folder's publisher
	void add_peer(peer_key peer, int reqq, bool plain, bool origin = false);
	void remove_peer(peer_key peer);

	void peer_has_all(peer_key peer, xet::hash32 const& root);
	// bits: most significant first, for ordinals first …
	void peer_has(peer_key peer, xet::hash32 const& root, std::uint32_t first, xet::bytes_view bits);
	void peer_added(peer_key peer, std::vector<xet::hash32> const& hashes);
	void peer_lacks(peer_key peer, xet::hash32 const& hash);
	// The publisher refers us to others; it is asked again when they do not keep up.
	void peer_refers(peer_key peer, xet::hash32 const& hash, steady::time_point now);
	// The peer said it has all of that version.
	bool has_all(peer_key peer, xet::hash32 const& root) const;

	// What is wanted of one version. Making one takes long for a large folder, and so does getting rid of it: both may be done
	// on any thread.
	struct pool;
	static std::shared_ptr<pool> prepare(xet::hash32 const& root, std::vector<want> wants);

	// Replace what is wanted, and return what was. Metadata goes first. root names the version both belong to.
	std::shared_ptr<pool> set_metadata(std::shared_ptr<pool> wanted);
	std::shared_ptr<pool> set_content(std::shared_ptr<pool> wanted);
	void set_metadata(xet::hash32 const& root, xet::chunk_list const& chunks);
	void set_content(xet::hash32 const& root, std::vector<want> wants);

	// Chunks to ask the peer for now; they count as asked.
	std::vector<xet::hash32> pick(peer_key peer, steady::time_point now);

	enum class verdict
	{
		unasked,    // nobody asked this peer for it
		wanted,     // take it; say done or failed later
		duplicate,  // asked, but not needed any more
	};
	verdict arrived(peer_key peer, xet::hash32 const& hash, std::uint32_t size, steady::time_point now);
	void done(xet::hash32 const& hash);    // verified and stored, whoever brought it
	void failed(xet::hash32 const& hash);  // could not be used: wanted again

	// Takes chunks back from peers that went silent. True when somebody else may now be asked.
	bool expire(steady::time_point now);

	bool is_metadata(xet::hash32 const& hash) const;
	bool idle() const;
	std::size_t content_open() const;
	std::size_t outstanding(peer_key peer) const;

private:
	enum class state : std::uint8_t { pending, asked, working, done };

	struct item
	{
		want what;
		state at = state::pending;
		peer_key owner = 0;
		steady::time_point since;
	};

	struct request
	{
		std::uint32_t size;
		steady::time_point since;
		bool expired = false;
	};

	struct peer
	{
		int reqq = default_reqq;
		bool plain = false;
		bool origin = false;
		xet::hash32 root;
		bool all = false;
		xet::bytes bits;  // most significant first, by ordinal
		std::unordered_set<xet::hash32> unmapped;  // said to have, before we knew the version's chunks
		std::unordered_set<xet::hash32> lacks;
		std::unordered_set<xet::hash32> referred;
		std::unordered_map<xet::hash32, request> asked;
		std::int64_t window = 0;  // bytes asked or in work
		std::uint32_t cursor = 0;
		std::set<xet::hash32> past;  // versions it had all of: most of their chunks are still there
		bool offered = false;
		std::uint64_t exhausted_at = 0;  // the epoch in which nothing was found for it
		steady::time_point last_data{};
		bool snubbed = false;

		std::int64_t window_limit = first_window_bytes;
		steady::duration quickest = std::chrono::seconds(1);  // answer
		std::int64_t measured_bytes = 0;
		steady::time_point measured_since{};

		bool has_bit(std::uint32_t ordinal) const { return ordinal / 8 < bits.size() && (bits[ordinal / 8] & (0x80 >> (ordinal % 8))); }
		void set_bit(std::uint32_t ordinal);
	};

	bool has(peer const& p, pool const& from, item const& i, bool metadata) const;
	std::uint32_t next_for(peer& p, pool& from, bool metadata, steady::time_point now);
	std::uint32_t endgame_for(peer const& p, pool& from, bool metadata, steady::time_point now);
	void ask(peer_key key, peer& p, pool& from, std::uint32_t i, steady::time_point now);
	void give_back(pool& from, std::uint32_t i);
	bool is_partial(peer const& p) const;
	bool partly_held(std::uint32_t ordinal);
	void measure(peer& p, steady::time_point asked, std::uint32_t size, steady::time_point now);
	void refill(pool& into);
	void map_added(peer& p);
	bool unask(peer_key key, peer& p, xet::hash32 const& hash);
	bool others_keep_up(steady::time_point now) const;
	bool complete_others() const;
	void expect_others(peer& p);
	void release(xet::hash32 const& hash, state to);

	std::unordered_map<peer_key, peer> m_peers;
	std::shared_ptr<pool> m_metadata, m_content;  // never null
	int m_steps = 0;  // taken by this pick: it is cut short before it takes long
	bool m_was_referred = false;  // once for each version's content
	bool m_out_of_time = false;  // the last search stopped before it had seen everything
	std::uint64_t m_epoch = 1;  // grows when a peer that found nothing may find something
	steady::time_point m_others_data{};  // when a peer other than the publisher last sent, or offered, something
	double m_others_rate = 0;            // bytes a second from them, smoothed
	steady::time_point m_rate_since{};
	std::int64_t m_rate_bytes = 0;
};

} // namespace ut_xet
