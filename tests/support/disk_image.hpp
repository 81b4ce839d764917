#pragma once
// What is on a modelled disk, and what a power cut leaves of it. A value: a copy is a snapshot.
//
// A file has the content that programs see and the content that is durable; a directory has names of both kinds. What lies
// between the two is a log of pending changes. Nothing here fails or counts: that is faulty_disk's part.
//
// Stricter than most file systems, within what POSIX allows: syncing a file says nothing about its name, and a directory that
// was made is gone after a power cut unless its parent was synced. A rename is atomic, also between directories.
//
// Thread rule: none, its owner locks.

#include "tests/unit/test_data.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace ut_xet_test {

enum class cut
{
	kill,         // the process dies, the kernel lives: all is there, and what was not synced still is not
	synced_only,  // what was not synced is gone
	prefix,       // names up to some operation; of each file, writes up to some write, the last one perhaps damaged
	subset,       // any names and any writes, each perhaps damaged
};

char const* name_of(cut mode);

class disk_image
{
public:
	using node_id = std::uint64_t;
	static constexpr node_id none = 0;
	static constexpr node_id root = 1;
	// what a disk writes whole or not at all
	static constexpr std::uint64_t sector_bytes = 512;

	disk_image();

	// Relative paths start at the root. none: no such file or directory.
	node_id find(std::filesystem::path const& path) const;
	node_id find_parent(std::filesystem::path const& path) const;
	bool exists(node_id id) const { return m_nodes.contains(id); }
	bool is_directory(node_id id) const { return m_nodes.at(id).is_directory; }
	bytes const& content(node_id id) const { return m_nodes.at(id).content; }
	std::int64_t modified_seconds(node_id id) const { return m_nodes.at(id).modified_seconds; }
	std::map<std::string, node_id> const& names(node_id dir) const { return m_nodes.at(dir).names; }
	// Of all files that have a name.
	std::uint64_t used_bytes() const;

	// The parent must exist, the name must be free.
	node_id create(std::filesystem::path const& path, bool directory);
	// from must exist, and so must to's parent; to must be no directory.
	void rename(std::filesystem::path const& from, std::filesystem::path const& to);
	// An open file keeps its content until the next cut.
	void remove(std::filesystem::path const& path);
	void write(node_id id, std::uint64_t offset, bytes_view data, std::int64_t now_seconds);
	void truncate(node_id id, std::uint64_t size, std::int64_t now_seconds);

	void sync(node_id id);
	// As Linux does: the pages count as clean afterwards, so what did not get to the disk now is not tried again, though it
	// is still seen.
	void fail_sync(node_id id, random_source& random);
	// Until here: what a failed sync lost is seen no more. Linux drops such pages when it likes. Were they to stay for whoever
	// opens the file next, no program could know that they are not on the disk.
	void drop_lost(node_id id);
	void sync_directory(node_id dir);
	// Some of the names became durable. The others wait on: file systems keep names in a journal, and one that cannot be
	// written stops the file system; it does not forget.
	void fail_sync_directory(node_id dir, random_source& random);
	// All that is pending becomes durable.
	void settle();

	// Returns what became of each pending change, a line each.
	std::vector<std::string> power_cut(cut mode, random_source& random);

private:
	struct change
	{
		std::uint64_t offset = 0;  // or the new size, when there is no data
		bytes data;
		bool is_truncate = false;
	};
	struct node
	{
		bool is_directory = false;
		std::int64_t modified_seconds = 0;
		bytes content, durable_content;
		std::vector<change> pending;
		bool has_lost_writes = false;
		std::map<std::string, node_id> names, durable_names;
		std::string first_name;  // for messages
	};
	// none: the name goes
	struct name_change
	{
		node_id dir;
		std::string name;
		node_id target;
	};
	// happens as a whole
	using name_operation = std::vector<name_change>;

	static void apply(bytes& content, change const& c);
	static std::string describe(change const& c);
	static std::string apply_damaged(bytes& content, change const& c, bool head_only, random_source& random);
	void apply_durably(name_operation const& o);
	void make_name_change(name_operation o);
	std::vector<std::size_t> operations_of(node_id dir) const;
	void make_durable(std::vector<std::size_t> const& operations);
	std::string describe(name_operation const& o) const;
	void cut_names(cut mode, random_source& random, std::vector<std::string>& report);
	static void cut_content(node& n, cut mode, random_source& random, std::vector<std::string>& report);
	void forget_unreachable();

	std::map<node_id, node> m_nodes;
	std::vector<name_operation> m_pending_names;
	node_id m_next = root + 1;
};

} // namespace ut_xet_test
