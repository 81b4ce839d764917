#include "tonic/watch_tree.hpp"

#include "tonic/limits.hpp"
#include "tonic/path_rules.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/inotify.h>
#include <sys/stat.h>

namespace tonic {

namespace {

constexpr std::uint32_t events = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB
	| IN_DELETE_SELF | IN_MOVE_SELF;

bool is_directory(int dir_fd, dirent const& entry)
{
	if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
	struct ::stat st;
	return ::fstatat(dir_fd, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

} // namespace

bool watch_tree::rebuild()
{
	++m_generation;
	// the root may be a link to the folder; nothing below it is followed
	int const root = ::inotify_add_watch(m_inotify, m_root.c_str(), events | IN_ONLYDIR | IN_EXCL_UNLINK);
	if (root < 0)
	{
		if (errno == ENOSPC) m_limit_reached = true;
		return m_limit_reached;
	}
	m_root_watch = root;
	m_nodes[root].generation = m_generation;
	add_below(root);

	std::vector<int> stale;
	for (auto const& [watch, n] : m_nodes)
		if (n.generation != m_generation) stale.push_back(watch);
	for (int const watch : stale) drop(watch, true);
	return true;
}

void watch_tree::add(int parent_watch, std::string const& name)
{
	if (!m_nodes.contains(parent_watch)) return;
	if (int const w = watch(parent_watch, name); w >= 0) add_below(w);
}

void watch_tree::remove(int parent_watch, std::string const& name)
{
	auto const parent = m_nodes.find(parent_watch);
	if (parent == m_nodes.end()) return;
	auto const child = parent->second.children.find(name);
	if (child != parent->second.children.end()) drop(child->second, true);
}

void watch_tree::forget(int watch) { drop(watch, false); }

int watch_tree::watch(int parent, std::string const& name)
{
	if (is_root(parent) && name == private_dir) return -1;
	auto const path = path_of(parent) + '/' + name;
	int const w = ::inotify_add_watch(m_inotify, path.c_str(), events | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
	if (w < 0)
	{
		// no permission, or gone already: nothing to watch. A scan reports what it cannot read.
		if (errno == ENOSPC) m_limit_reached = true;
		return -1;
	}
	// a bind mount can hold a directory it lies in
	if (is_same_or_above(w, parent)) return -1;
	auto& n = m_nodes[w];
	// The kernel gives a directory it knows its old number: then it was moved here.
	if (n.parent >= 0 && (n.parent != parent || n.name != name)) detach(n, w);
	n.parent = parent;
	n.name = name;
	n.generation = m_generation;
	m_nodes[parent].children[name] = w;
	return w;
}

void watch_tree::add_below(int top)
{
	std::vector<int> todo{top};
	while (!todo.empty())
	{
		int const parent = todo.back();
		todo.pop_back();
		auto const path = path_of(parent);
		if (path.size() > m_root.size() + max_path_bytes) continue;
		for (auto const& name : subdirectories(path))
		{
			int const w = watch(parent, name);
			if (w >= 0) todo.push_back(w);
			if (w < 0 && m_limit_reached) return;
		}
	}
}

// Listed after the watch was made: what appears in between is found here or comes as an event, or both.
std::vector<std::string> watch_tree::subdirectories(std::string const& path) const
{
	std::vector<std::string> ret;
	std::unique_ptr<DIR, void (*)(DIR*)> const dir(::opendir(path.c_str()), [](DIR* d) { ::closedir(d); });
	if (!dir) return ret;
	while (auto const* entry = ::readdir(dir.get()))
	{
		std::string_view const name = entry->d_name;
		if (name != "." && name != ".." && is_directory(::dirfd(dir.get()), *entry)) ret.emplace_back(name);
	}
	return ret;
}

std::string watch_tree::path_of(int watch) const
{
	std::vector<std::string const*> names;
	for (auto it = m_nodes.find(watch); it != m_nodes.end() && it->second.parent >= 0; it = m_nodes.find(it->second.parent))
		names.push_back(&it->second.name);
	std::string ret = m_root;
	for (auto it = names.rbegin(); it != names.rend(); ++it) ret += '/' + **it;
	return ret;
}

bool watch_tree::is_same_or_above(int upper, int watch) const
{
	for (auto it = m_nodes.find(watch); it != m_nodes.end(); it = m_nodes.find(it->second.parent))
		if (it->first == upper) return true;
	return false;
}

// Takes a node out of its parent's list, if it is still there.
void watch_tree::detach(node const& n, int watch)
{
	auto const parent = m_nodes.find(n.parent);
	if (parent == m_nodes.end()) return;
	auto const child = parent->second.children.find(n.name);
	if (child != parent->second.children.end() && child->second == watch) parent->second.children.erase(child);
}

void watch_tree::drop(int top, bool tell_kernel)
{
	auto const first = m_nodes.find(top);
	if (first == m_nodes.end()) return;
	detach(first->second, top);
	std::vector<int> todo{top};
	while (!todo.empty())
	{
		int const watch = todo.back();
		todo.pop_back();
		auto const it = m_nodes.find(watch);
		if (it == m_nodes.end()) continue;
		for (auto const& [name, child] : it->second.children) todo.push_back(child);
		m_nodes.erase(it);
		if (tell_kernel || watch != top) ::inotify_rm_watch(m_inotify, watch);
	}
	if (is_root(top)) m_root_watch = -1;
}

} // namespace tonic
