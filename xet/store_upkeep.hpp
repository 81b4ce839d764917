#pragma once
// Looking after a store: what nobody needs is collected, sparse xorbs are packed together, everything is verified from time
// to time and repaired where another copy exists.
//
// Thread rule: any thread; one such work at a time (the others wait), while chunks are read and added. Adding waits while
// one group of xorbs is replaced (tens of MiB).

#include "xet/chunk_store.hpp"

namespace xet {

// How far some long work is, in bytes. False ends it early, with nothing broken.
using upkeep_progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

class store_upkeep
{
public:
	explicit store_upkeep(chunk_store& store) : m_store(store) {}

	// Two phases. First, xorbs of which nobody needs a chunk, and that were neither added to, used nor given up for max_age,
	// are condemned. Second, xorbs condemned for at least grace, and still not needed nor used since, are removed. With a grace of
	// 0 both happen in one call. What a writer counts on (pins) is never touched.
	struct item
	{
		hash_kind kind;
		hash32 xorb;
		std::uint32_t chunks = 0;
		std::uint64_t stored = 0;
		std::int64_t unused_since = 0;
	};
	struct collected
	{
		std::vector<item> condemned;  // now; they go when the grace is over
		std::vector<item> removed;    // with dry_run: would be
		std::uint64_t freed_bytes = 0;
	};
	result<collected> collect(std::int64_t max_age_seconds, std::int64_t grace_seconds, bool dry_run);

	// Writes the needed chunks of sparse and of small xorbs together anew. A xorb is sparse when less than this part of its content
	// is needed.
	static constexpr double sparse_below = 0.75;
	struct packed
	{
		std::uint64_t xorbs_before = 0, xorbs_after = 0;
		std::uint64_t bytes_before = 0, bytes_after = 0;  // of files
		std::uint64_t lost_chunks = 0;                    // needed, but no copy was whole: wanted now
	};
	result<packed> pack(bool dry_run, upkeep_progress const& progress = {});

	// Verifies every chunk from where the last scrub ended, at most rate bytes a second (0: no limit). What is bad is written
	// anew from another copy, or wanted. sleep: waits for so many seconds; false ends it.
	struct scrubbed
	{
		std::uint64_t xorbs = 0, chunks = 0, bytes = 0;
		std::uint64_t bad_chunks = 0, repaired_chunks = 0, lost_chunks = 0;
		std::vector<std::string> messages;  // one for each xorb that was damaged
		bool finished = false;              // the end of the store was reached; the next one begins at its start
	};
	result<scrubbed> scrub(std::uint64_t rate, std::function<bool(double)> const& sleep, upkeep_progress const& progress = {});

	// Compares index, lookup table and xorbs' headers; with content, verifies every chunk. What is wrong, in words.
	result<std::vector<std::string>> check(bool content, upkeep_progress const& progress = {});

	// Removes index and table of a store nobody has open: the next open makes them again from the xorbs.
	static result<> forget_index(file_layer& files, std::filesystem::path const& dir);

private:
	struct group;

	item item_of(chunk_store::container const& c) const;
	bool is_unused(chunk_store::container const& c, xorb_row const& row, std::int64_t max_age_seconds) const;
	result<std::vector<chunk_store::container_ptr>> remove_unneeded(std::vector<std::uint32_t> const& ids);
	result<std::vector<group>> plan_groups();
	result<> pack_group(group const& g, packed& report);
	result<bool> scrub_one(chunk_store::container& c, scrubbed& report, std::function<bool(std::uint64_t)> const& pace);
	result<bool> take_other_layout(chunk_store::container& c, std::vector<xorb_entry> const& chunks);
	result<> repair(chunk_store::container_ptr const& c, std::vector<xorb_entry> const& chunks, std::vector<bool> const& bad, scrubbed& report);
	result<bytes> read_any(chunk_store::container& c, std::uint32_t ordinal, xorb_entry const& e);
	result<std::vector<xorb_entry>> chunks_of(chunk_store::container const& c);
	result<> check_xorb(chunk_store::container& c, bool content, std::vector<std::string>& problems);

	chunk_store& m_store;
};

} // namespace xet
