#pragma once
// Puts the files of a version together on disk. Chunks may come in any order and from anywhere; each is written at once to
// a partial file in the folder's private directory. A whole file is synced, given its mode and time, and renamed into
// place: a reader sees the old file or the new one, never a mixture. Partial files need no journal: what they hold is
// found again by hashing them, so a process may be killed at any moment.
//
// Thread rule: put, has, read and take_ready may be called from any threads at once; recover and move_into_place from one.

#include "tonic/folder_fs.hpp"
#include "tonic/local_index.hpp"

#include <atomic>
#include <list>
#include <unordered_set>

namespace tonic {

class materialiser
{
public:
	// build: indexes into target->files, ascending. previous: the version followed before (its links may be replaced).
	materialiser(folder_fs fs, std::shared_ptr<manifest const> target, std::shared_ptr<manifest const> previous
		, std::vector<std::uint32_t> build);
	~materialiser();

	// The different chunks of the files to build, numbered from 0.
	std::uint32_t unique_count() const { return std::uint32_t(m_uniques.size()); }
	xet::chunk_ref const& unique(std::uint32_t u) const { return m_target->chunks[m_uniques[u]]; }
	// the chunk's first place in the version's chunk list
	std::uint32_t ordinal(std::uint32_t u) const { return m_uniques[u]; }
	std::optional<std::uint32_t> find(xet::hash32 const& h) const;

	// Takes up the partial files an earlier run left: chunks found in them by hashing count as had. Partial files of other
	// versions are removed. Errors: io, no_space, cancelled.
	xet::result<> recover(std::atomic<bool> const& stop);

	// Bytes that will be written to disk at most, what partial files hold already not counted.
	// With block_bytes, what that takes on a disk: every file ends in a block of its own.
	std::uint64_t bytes_to_write(std::uint32_t block_bytes = 1) const;

	// Bytes on disk that partial files of earlier runs hold already: good ones need not be written, others will be removed.
	std::uint64_t partial_bytes() const;

	bool has(std::uint32_t u) const { return m_state[u].load(std::memory_order_acquire) == had; }
	// data is the verified content of unique(u). A second put of one chunk does nothing.
	xet::result<> put(std::uint32_t u, xet::bytes_view data);
	struct chunk_data
	{
		std::uint32_t u;
		xet::bytes_view data;
	};
	// The same for many. Chunks that are neighbours in memory and in their file are written with one call, and their way to
	// the disk begins at once, so that the sync at the end finds little left to do.
	xet::result<> put(std::span<chunk_data const> chunks);
	// Bytes of a chunk that is here already; not verified.
	bool read(std::uint32_t u, xet::bytes& out) const;

	// Files that have all their chunks and were not handed out before.
	std::vector<std::uint32_t> take_ready();
	bool any_ready() const;
	std::size_t files_left() const { return m_files_left; }

	struct placed
	{
		std::vector<local_file> files;
		std::vector<std::string> kept_aside;  // new names of local edits found in the way
		std::vector<std::uint32_t> blocked;   // a directory that is not empty is in the way: try again later
	};
	// Errors: io, no_space: nothing is lost, the files may be given again.
	xet::result<placed> move_into_place(std::vector<std::uint32_t> const& files, local_index const& index, std::int64_t now_seconds);

	manifest const& target() const { return *m_target; }
	std::vector<std::uint32_t> const& build() const { return m_build; }

private:
	enum : std::uint8_t { missing, writing, had };
	struct partial
	{
		std::atomic<std::uint32_t> chunks_left{0};
		std::atomic<bool> made{false};  // by this run: it must not be made again when it vanishes
		bool existed = false;  // may hold bytes of an earlier run: zeros are not there by themselves
	};

	std::string partial_path(std::uint32_t file) const;
	std::size_t build_position(std::uint32_t ordinal) const;
	xet::result<std::shared_ptr<file_descriptor>> open_partial(std::size_t position) const;
	void forget_fd(std::size_t position) const;
	xet::result<> recover_file(std::size_t position, std::atomic<bool> const& stop, xet::bytes& buffer);
	void chunk_done(std::size_t position);
	bool one_place(std::uint32_t u, std::size_t& position) const;
	std::size_t run_length(std::span<chunk_data const> chunks) const;
	xet::result<> put_run(std::span<chunk_data const> run);
	xet::result<> remove_foreign_partials();
	bool is_placed(file_entry const& f) const;
	xet::result<> sync(std::vector<std::uint32_t> const& files);
	bool agrees(file_entry const& f, file_stamp const& now) const;
	xet::result<bool> clear_way(file_entry const& f, local_index const& index, std::int64_t now_seconds, placed& report);

	folder_fs m_fs;
	std::shared_ptr<manifest const> m_target;
	std::shared_ptr<manifest const> m_previous;
	std::vector<std::uint32_t> m_build;
	mutable std::vector<partial> m_partials;                      // parallel to m_build
	std::vector<std::uint32_t> m_uniques;                 // u → ordinal
	std::unordered_map<xet::hash32, std::uint32_t> m_by_hash;  // → u
	std::vector<std::uint32_t> m_next_same;               // ordinal → next ordinal with the same chunk, or none
	std::vector<std::uint64_t> m_offset;                  // ordinal → offset in its file
	std::vector<std::atomic<std::uint8_t>> m_state;       // u →
	std::atomic<std::size_t> m_files_left{0};

	// Two writers of one file would only spin for the kernel's lock on it.
	std::array<std::mutex, 16> m_turns;  // by build position

	mutable std::mutex m_mutex;
	std::vector<std::uint32_t> m_ready;
	mutable std::list<std::pair<std::size_t, std::shared_ptr<file_descriptor>>> m_fds;  // most recent first
};

} // namespace tonic
