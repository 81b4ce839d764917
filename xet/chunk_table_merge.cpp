#include "xet/chunk_table_merge.hpp"

#include <algorithm>

namespace xet {

namespace {

constexpr std::uint64_t stop_check_entries = 4096;

// The smallest next entry of several runs. A handful of runs: a scan over their prefixes beats a heap.
class run_merger
{
public:
	explicit run_merger(std::span<std::shared_ptr<chunk_run> const> runs)
	{
		for (auto const& run : runs) m_inputs.push_back({run_reader(run), nullptr, 0});
	}

	result<> start()
	{
		for (auto& in : m_inputs)
			if (auto r = advance(in); !r) return r;
		return {};
	}

	// nullptr at the end. Valid until pop.
	packed_entry const* top()
	{
		m_top = nullptr;
		for (auto& in : m_inputs)
			if (in.entry != nullptr && (m_top == nullptr || before(in, *m_top))) m_top = &in;
		return m_top != nullptr ? m_top->entry : nullptr;
	}

	result<> pop() { return advance(*m_top); }

private:
	struct input
	{
		run_reader reader;
		packed_entry const* entry;  // nullptr: it has ended
		std::uint64_t prefix;
	};

	static bool before(input const& a, input const& b)
	{
		return a.prefix != b.prefix ? a.prefix < b.prefix : sorts_before(*a.entry, *b.entry);
	}

	static result<> advance(input& in)
	{
		auto const next = in.reader.next();
		if (!next) return tl::unexpected(next.error());
		in.entry = *next;
		if (in.entry != nullptr) in.prefix = in.entry->prefix();
		return {};
	}

	std::vector<input> m_inputs;
	input* m_top = nullptr;
};

run_writer::plan plan_for(std::span<std::shared_ptr<chunk_run> const> runs)
{
	run_writer::plan plan{runs.front()->header().id, runs.front()->header().from, runs.back()->header().until, 0};
	for (auto const& run : runs) plan.max_entries += run->header().entries;
	return plan;
}

} // namespace

merge_range choose_merge(std::span<run_size const> runs, std::uint64_t small_run)
{
	auto const size_of = [&](run_size const& r) { return std::max(r.entries, small_run); };
	std::uint64_t newer = 0;
	std::size_t first = runs.size();
	while (first > 0 && (newer == 0 || size_of(runs[first - 1]) <= newer)) newer += size_of(runs[--first]);
	if (runs.size() - first >= merge_fan_in) return {first, runs.size() - first};
	for (std::size_t i = 0; i < runs.size(); ++i)
		if (runs[i].dead_containers > runs[i].containers / 2) return {i, 1};
	if (runs.size() > max_runs) return {runs.size() / 2, runs.size() - runs.size() / 2};
	return {};
}

result<merged_run> merge_runs(file_layer& files, std::filesystem::path const& dir, std::span<std::shared_ptr<chunk_run> const> runs,
	container_set const& alive, std::function<bool()> const& stopped)
{
	// the containers are chosen before the entries: one that dies meanwhile is listed with some entries missing, and never asked for
	std::vector<std::uint32_t> containers;
	for (auto const& run : runs)
		std::copy_if(run->containers().begin(), run->containers().end(), std::back_inserter(containers), [&](auto c) { return alive.test(c); });

	auto writer = run_writer::create(files, dir, plan_for(runs));
	if (!writer) return tl::unexpected(writer.error());
	run_merger merger(runs);
	if (auto r = merger.start(); !r) return tl::unexpected(r.error());
	std::uint64_t done = 0;
	while (auto const* entry = merger.top())
	{
		if (++done % stop_check_entries == 0 && stopped())
			return fail(errc::cancelled, "merging was asked to stop after ", done, " entries");
		if (alive.test(entry->container()))
			if (auto r = writer->add(*entry); !r) return tl::unexpected(r.error());
		if (auto r = merger.pop(); !r) return tl::unexpected(r.error());
	}
	auto path = writer->finish(containers);
	if (!path) return tl::unexpected(path.error());
	return merged_run{std::move(*path), writer->written_bytes()};
}

} // namespace xet
