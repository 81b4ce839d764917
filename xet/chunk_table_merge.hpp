#pragma once
// Which runs to merge, and merging them.

#include "xet/chunk_run.hpp"
#include "xet/chunk_run_writer.hpp"

#include <functional>

namespace xet {

struct run_size
{
	std::uint64_t entries = 0;
	std::uint32_t containers = 0;
	std::uint32_t dead_containers = 0;
};

struct merge_range
{
	std::size_t first = 0;
	std::size_t count = 0;  // 0: nothing is to be merged
};

// Runs of a size are merged once there are this many: a chunk is written about log4(n) + 1 times.
inline constexpr std::size_t merge_fan_in = 4;
// However strange their sizes: each run costs every absent lookup a cache miss.
inline constexpr std::size_t max_runs = 24;

// runs: oldest first. small_run: smaller ones count as this large, so that they do not pile up.
// Merges the newest runs as far back as each is at most as large as all newer ones together, if those are merge_fan_in; else a
// run more than half of whose containers are dead; else the newer half of more than max_runs.
merge_range choose_merge(std::span<run_size const> runs, std::uint64_t small_run);

// A new durable run of the same containers without the dead. Errors: io, no_space, mismatch (one of runs is damaged then), cancelled.
struct merged_run
{
	std::filesystem::path path;
	std::uint64_t written_bytes = 0;
};
result<merged_run> merge_runs(file_layer& files, std::filesystem::path const& dir, std::span<std::shared_ptr<chunk_run> const> runs,
	container_set const& alive, std::function<bool()> const& stopped);

} // namespace xet
