#include "xet/chunk_table_files.hpp"

#include "xet/chunk_run_writer.hpp"

#include <algorithm>

namespace xet {

namespace {

struct candidate
{
	std::uint32_t from;
	std::uint32_t until;
};

std::optional<candidate> parse_name(std::string const& name)
{
	constexpr std::size_t digits = 10;
	if (name.size() != 2 * digits + 1 + run_suffix.size()) return std::nullopt;
	candidate c{};
	std::uint64_t const from = std::strtoull(name.c_str(), nullptr, 10);
	std::uint64_t const until = std::strtoull(name.c_str() + digits + 1, nullptr, 10);
	if (until > std::uint64_t(max_container_id) + 1 || from >= until) return std::nullopt;
	c = {std::uint32_t(from), std::uint32_t(until)};
	if (name != run_file_name(c.from, c.until)) return std::nullopt;
	return c;
}

// Larger ones before what they replace.
result<std::vector<candidate>> candidates_in(file_layer& files, std::filesystem::path const& dir)
{
	auto const entries = files.list(dir);
	if (!entries) return tl::unexpected(entries.error());
	std::vector<candidate> out;
	for (auto const& e : *entries)
		if (auto const c = parse_name(e.name)) out.push_back(*c);
	std::sort(out.begin(), out.end(), [](candidate const& a, candidate const& b) { return a.from != b.from ? a.from < b.from : a.until > b.until; });
	return out;
}

// A container may be missing when its removal was undone with the database, or when the run is of another history of it.
bool has_all(chunk_run const& run, std::span<std::uint32_t const> alive)
{
	auto const begin = std::lower_bound(alive.begin(), alive.end(), run.header().from);
	auto const end = std::lower_bound(begin, alive.end(), run.header().until);
	auto const own = run.containers();
	return std::includes(own.begin(), own.end(), begin, end);
}

} // namespace

result<run_list> load_runs(file_layer& files, std::filesystem::path const& dir, chunk_table_index const& index, container_set const& alive)
{
	auto const candidates = candidates_in(files, dir);
	if (!candidates) return tl::unexpected(candidates.error());
	run_list out;
	std::uint32_t covered = 0;
	for (auto const& c : *candidates)
	{
		if (c.from != covered || c.until > index.next_container) continue;
		auto const path = dir / run_file_name(c.from, c.until);
		auto f = files.open(path, open_mode::read);
		if (!f) return tl::unexpected(f.error());
		auto run = chunk_run::open(std::move(*f), path, index.id);
		if (!run || !has_all(**run, index.alive)) continue;
		auto const own = (*run)->containers();
		(*run)->dead_containers = std::uint32_t(std::count_if(own.begin(), own.end(), [&](auto id) { return !alive.test(id); }));
		out.push_back(std::move(*run));
		covered = c.until;
	}
	return out;
}

result<> remove_all_but(file_layer& files, std::filesystem::path const& dir, run_list const& kept)
{
	auto const entries = files.list(dir);
	if (!entries) return tl::unexpected(entries.error());
	bool removed = false;
	for (auto const& e : *entries)
	{
		auto const path = dir / e.name;
		if (std::any_of(kept.begin(), kept.end(), [&](auto const& run) { return run->path() == path; })) continue;
		if (auto const r = files.remove(path); !r && r.error().code != errc::not_found) return r;
		removed = true;
	}
	return removed ? files.sync_dir(dir) : result<>{};
}

} // namespace xet
