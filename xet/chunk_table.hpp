#pragma once
// Where the chunks of a store lie: chunk hash → container (a xorb), place in it. Derived data: whoever holds each container's list of
// chunks can fill it again, so it may be lost, but it never answers "absent" for a chunk it was given and still has the container of.
//
// A log-structured merge tree: recent containers in memory, the others in runs (immutable sorted files, chunk_run.hpp). Runs
// cover container ids without gap from 0 to covered_until(); what is in memory is gone when the process ends, and the caller
// inserts those containers again after open.
//
// What the caller must keep to:
//   - container ids ascend and are never given to another container. A container's row is durable before flush() may run
//     (or: pass next_container to open, so that runs which know containers the index has lost are dropped);
//   - kill() only once the removal of the container cannot be undone;
//   - on errc::mismatch or errc::io from find or merge, or when damaged(): drop_damaged(), then insert all containers from
//     covered_until() on again.
//
// Thread rule: every function from any thread. A find never waits for a flush or a merge, a flush never for a merge.
// insert is in order of container ids, so one thread at a time in practice, and none during drop_damaged and clear.

#include "xet/bytes.hpp"
#include "xet/error.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

namespace xet {

class file_layer;

struct chunk_location
{
	std::uint32_t container = 0;
	std::uint32_t ordinal = 0;  // position in the container's list
	std::uint64_t offset = 0;
	std::uint32_t size = 0;

	bool operator==(chunk_location const&) const = default;
};

// One chunk of a container's list; its ordinal is its position there.
struct chunk_entry
{
	hash32 hash;
	std::uint64_t offset = 0;  // less than max_chunk_offset
	std::uint32_t size = 0;    // at most max_chunk_entry_bytes
};

inline constexpr std::uint64_t max_chunk_offset = std::uint64_t(1) << 40;              // 5 bytes in a run
inline constexpr std::uint32_t max_chunk_entry_bytes = (std::uint32_t(1) << 24) - 1;  // 3 bytes in a run
// Bounds the memory for the set of live containers (32 MiB); 2^28 containers of 2,700 chunks are 7 * 10^11 chunks.
inline constexpr std::uint32_t max_container_id = (std::uint32_t(1) << 28) - 1;
// Enough to try another copy when one is damaged; a chunk that lies in thousands of containers must not cost thousands of reads.
inline constexpr std::size_t max_chunk_locations = 8;

// All locations of one chunk, at most max_chunk_locations; the newest containers' first.
class chunk_locations
{
public:
	chunk_location const* begin() const { return m_items.data(); }
	chunk_location const* end() const { return m_items.data() + m_count; }
	std::size_t size() const { return m_count; }
	bool empty() const { return m_count == 0; }
	bool full() const { return m_count == m_items.size(); }
	chunk_location const& operator[](std::size_t i) const { return m_items[i]; }
	void push_back(chunk_location const& one) { m_items[m_count++] = one; }

private:
	std::array<chunk_location, max_chunk_locations> m_items{};
	std::size_t m_count = 0;
};

// What the index knows when the table is opened.
struct chunk_table_index
{
	std::array<std::uint8_t, 16> id{};     // runs of another index are removed
	std::uint32_t next_container = 0;      // the id the next container will get; runs that know it already are removed
	std::span<std::uint32_t const> alive;  // all containers that exist, ascending; all others are dead
};

struct chunk_table_figures
{
	std::uint64_t entries = 0;         // in memory and in runs; those of dead containers count until a merge drops them
	std::uint64_t memory_entries = 0;  // of these, not yet in a run
	std::uint64_t runs = 0;
	std::uint64_t disk_bytes = 0;
	std::uint64_t filter_bytes = 0;   // resident: filters and fences of all runs
	std::uint64_t written_bytes = 0;  // to disk since open, by flushes and merges
};

struct chunk_table_options
{
	// When a flush is wanted, and what counts as a small run. A million entries take 60 MiB; fewer make more runs and more merging.
	std::uint64_t memory_entries = 1'000'000;
};

class chunk_table
{
public:
	virtual ~chunk_table() = default;

	// dir is made if absent and holds nothing else. What cannot be used there (temporary files, runs of another index, damaged
	// or superfluous runs) is removed; that is no error. Errors: io; invalid (index.alive is not ascending or not below next_container).
	static result<std::unique_ptr<chunk_table>> open(file_layer& files, std::filesystem::path dir, chunk_table_index const& index,
		chunk_table_options const& options = {});

	// Containers below are in runs; the caller inserts all living ones from here on after open, drop_damaged and clear.
	virtual std::uint32_t covered_until() const = 0;

	// The whole list of a container, which becomes alive. Errors: invalid (container is not above all inserted before, or an
	// entry's offset or size is out of range), limit (memory is full: flush first). On an error nothing is inserted.
	virtual result<> insert(std::uint32_t container, std::span<chunk_entry const> chunks) = 0;
	// The container is gone for good: its chunks are not found from now on. Unknown ids are ignored.
	virtual void kill(std::uint32_t container) = 0;
	virtual bool is_alive(std::uint32_t container) const = 0;

	// All living locations of one chunk. Errors: io, mismatch (see above: damaged).
	virtual result<chunk_locations> find(hash32 const& hash) const = 0;
	// For each hash one living location, the newest, or nothing. out.size() == hashes.size(). On an error what could be read is in out,
	// but an empty entry means nothing. Large batches (10,000 and more) are cheapest by hash: they share reads.
	virtual result<> find(std::span<hash32 const> hashes, std::span<std::optional<chunk_location>> out) const = 0;

	// flush: what is in memory becomes a run; does nothing when there is nothing. Returns once the run is durable. On an error
	// all is still in memory, and a later flush tries again. insert and find go on meanwhile. Errors: io, no_space.
	virtual bool wants_flush() const = 0;
	virtual result<> flush() = 0;

	// One merge of some runs: call while wants_merge(). May take minutes (about 25 s for 100 million chunks); a merge that is asked to
	// stop leaves all as it was: cancelled. Other errors: io, no_space, mismatch (damaged).
	virtual bool wants_merge() const = 0;
	virtual result<> merge(std::stop_token stop = {}) = 0;

	// A run could not be read, or its bytes are not what was written.
	virtual bool damaged() const = 0;
	// Removes the damaged runs, all newer ones and what is in memory: covered_until() shrinks, containers from there on are to be
	// inserted again. Chunks of containers that are not inserted yet are not found. Errors: io.
	virtual result<> drop_damaged() = 0;
	// Removes everything: covered_until() is 0. Errors: io.
	virtual result<> clear() = 0;

	virtual chunk_table_figures figures() const = 0;
	std::uint64_t entries() const { return figures().entries; }
};

} // namespace xet
