#pragma once
// Which directories below a folder have an inotify watch. Used by the watcher.
//
// Thread rule: belongs to one thread at a time.

#include "tonic/file_io.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tonic {

class watch_tree
{
public:
	// inotify_fd stays the caller's
	watch_tree(int inotify_fd, std::string root) : m_inotify(inotify_fd), m_root(std::move(root)) {}

	// Watches the root and all directories below it, or finds those that are missing or gone after events were lost.
	// False when the root itself cannot be watched, errno says why.
	bool rebuild();
	// A directory appeared: watches it and all below it.
	void add(int parent_watch, std::string const& name);
	// A directory was moved away or deleted: forgets it and all below it.
	void remove(int parent_watch, std::string const& name);
	// The kernel removed a watch by itself.
	void forget(int watch);

	bool is_root(int watch) const { return watch == m_root_watch; }
	std::size_t size() const { return m_nodes.size(); }
	// True once after the system's limit of watches was met.
	bool take_limit_reached() { return std::exchange(m_limit_reached, false); }

private:
	struct node
	{
		int parent = -1;
		std::string name;
		std::map<std::string, int> children;
		std::uint32_t generation = 0;  // of the last rebuild() that found it
	};

	int watch(int parent, std::string const& name);
	void add_below(int watch);
	std::vector<std::string> subdirectories(std::string const& path) const;
	std::string path_of(int watch) const;
	bool is_same_or_above(int upper, int watch) const;
	void detach(node const& n, int watch);
	void drop(int watch, bool tell_kernel);

	int m_inotify;
	std::string m_root;
	int m_root_watch = -1;
	std::uint32_t m_generation = 0;
	bool m_limit_reached = false;
	std::unordered_map<int, node> m_nodes;  // by watch descriptor
};

} // namespace tonic
