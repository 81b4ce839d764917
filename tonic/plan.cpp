#include "tonic/plan.hpp"

#include "tonic/folder_fs.hpp"

#include <algorithm>
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

bool is_below(std::string_view path, std::string const& dir)
{
	return dir.empty() || (path.size() > dir.size() && path[dir.size()] == '/' && path.starts_with(dir));
}

// The entries of more whose paths are not in list already.
template <class Entry>
void merge(std::vector<Entry>& list, std::vector<Entry> more)
{
	if (more.empty()) return;
	auto const by_path = [](Entry const& a, Entry const& b) { return a.path < b.path; };
	auto const middle = list.insert(list.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
	std::sort(middle, list.end(), by_path);
	std::inplace_merge(list.begin(), middle, list.end(), by_path);
	list.erase(std::unique(list.begin(), list.end(), [](Entry const& a, Entry const& b) { return a.path == b.path; }), list.end());
}

template <class Entry>
std::vector<Entry> entries_below(std::vector<Entry> const& list, std::vector<std::string> const& dirs)
{
	std::vector<Entry> out;
	std::copy_if(list.begin(), list.end(), std::back_inserter(out), [&](Entry const& e) { return lies_below(e.path, dirs); });
	return out;
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

bool lies_below(std::string_view path, std::vector<std::string> const& dirs)
{
	return std::any_of(dirs.begin(), dirs.end(), [&](std::string const& d) { return is_below(path, d); });
}

void keep_unknown(scan_result& found, local_index const& known, manifest const* before)
{
	std::vector<local_file> kept;
	for (std::string const& path : found.unstable)
		if (auto const* f = known.find(path)) kept.push_back(*f);
	for (local_file const& unread : found.unreadable_files)
	{
		auto const* f = known.find(unread.path);
		if (f == nullptr) continue;
		kept.push_back(*f);
		file_stamp const& now = unread.stamp;
		if (now.size == f->stamp.size && now.mtime_ns == f->stamp.mtime_ns && now.inode == f->stamp.inode) kept.back().stamp.mode = now.mode;
	}
	auto unknown = found.unreadable_dirs;
	if (before != nullptr)
	{
		std::vector<link_entry> links;
		for (std::string const& path : found.unstable)
		{
			if (auto const* l = before->find_link(path)) links.push_back(*l);
			if (before->find_dir(path) != nullptr) unknown.push_back(path);
		}
		merge(found.links, std::move(links));
		merge(found.dirs, entries_below(before->dirs, unknown));
		merge(found.links, entries_below(before->links, unknown));
	}
	if (!unknown.empty())
	{
		for (auto const& f : known.all())
			if (lies_below(f->path, unknown)) kept.push_back(*f);
	}
	merge(found.files, std::move(kept));
}

bool all_gone(scan_result const& found, local_index const& known, manifest const* before)
{
	if (!found.unstable.empty()) return false;
	bool const file_left = std::any_of(found.files.begin(), found.files.end(), [&](local_file const& f) {
		return known.find(f.path) != nullptr || (before != nullptr && before->find_file(f.path) != nullptr);
	});
	bool const link_left = before != nullptr
		&& std::any_of(found.links.begin(), found.links.end(), [&](link_entry const& l) { return before->find_link(l.path) != nullptr; });
	bool const had_any = known.size() > 0 || (before != nullptr && !(before->files.empty() && before->links.empty()));
	return had_any && !file_left && !link_left;
}

} // namespace tonic
