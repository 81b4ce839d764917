#include "tonic/plan.hpp"

#include "tonic/folder_fs.hpp"

#include <map>

namespace tonic {

namespace {

bool same_content(file_entry const& wanted, local_file const& here)
{
	return wanted.size == here.stamp.size && wanted.hash == here.hash
		&& wanted.chunk_count == (here.chunks ? here.chunks->size() : 0);
}

// A removed file's content may be what a new file needs: a rename at the publisher is a rename here.
void find_moves(manifest const& target, std::map<std::string_view, local_file const*> const& by_path, folder_plan& plan)
{
	std::multimap<xet::hash32, std::string> sources;
	for (std::string& path : plan.remove)
	{
		local_file const* f = by_path.at(path);
		if (f->stamp.size > 0) sources.emplace(f->hash, path);
	}
	if (sources.empty()) return;

	std::vector<std::uint32_t> build;
	for (std::uint32_t const index : plan.build)
	{
		file_entry const& wanted = target.files[index];
		auto const s = sources.find(wanted.hash);
		if (s != sources.end() && same_content(wanted, *by_path.at(s->second)))
		{
			plan.moves.push_back({s->second, index});
			sources.erase(s);
		}
		else build.push_back(index);
	}
	if (plan.moves.empty()) return;
	plan.build = std::move(build);
	std::map<std::string_view, bool> moved;
	for (auto const& m : plan.moves) moved[m.from] = true;
	std::erase_if(plan.remove, [&](std::string const& p) { return moved.contains(p); });
}

} // namespace

folder_plan make_plan(manifest const& target, manifest const* previous, std::vector<local_file> const& local)
{
	folder_plan plan;
	std::map<std::string_view, local_file const*> by_path;
	for (local_file const& f : local)
	{
		by_path[f.path] = &f;
		if (target.find_file(f.path) != nullptr) continue;
		if (f.published) plan.remove.push_back(f.path);
		else if (previous != nullptr && previous->find_file(f.path) != nullptr && !is_kept_aside(f.path))
			plan.keep_aside.push_back(f.path);
		else plan.extra.push_back(f.path);
	}
	for (std::uint32_t i = 0; i < target.files.size(); ++i)
	{
		file_entry const& wanted = target.files[i];
		auto const here = by_path.find(wanted.path);
		if (here == by_path.end())
		{
			plan.build.push_back(i);
			continue;
		}
		local_file const& f = *here->second;
		if (same_content(wanted, f))
		{
			if (f.stamp.mode != wanted.mode || f.stamp.mtime_ns != wanted.mtime_ns) plan.touch.push_back(i);
			continue;
		}
		if (!f.published) plan.keep_aside.push_back(f.path);
		plan.build.push_back(i);
	}
	find_moves(target, by_path, plan);
	return plan;
}

} // namespace tonic
