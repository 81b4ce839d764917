#include "tests/support/disk_image.hpp"

#include <algorithm>
#include <set>
#include <sstream>

namespace ut_xet_test {

namespace {

// Out of four: how likely a pending change survives. One of these per file, so that whole files survive beside lost ones.
std::size_t pick_odds(random_source& random) { return random.between(0, 4); }

bool survives(std::size_t odds, random_source& random) { return random.between(0, 3) < odds; }

} // namespace

char const* name_of(cut mode)
{
	switch (mode)
	{
	case cut::kill: return "kill";
	case cut::synced_only: return "synced_only";
	case cut::prefix: return "prefix";
	case cut::subset: return "subset";
	}
	return "?";
}

disk_image::disk_image()
{
	m_nodes[root].is_directory = true;
	m_nodes[root].first_name = "/";
}

disk_image::node_id disk_image::find(std::filesystem::path const& path) const
{
	node_id at = root;
	for (auto const& part : path.lexically_normal().relative_path())
	{
		if (part.empty()) continue;
		auto const& n = m_nodes.at(at);
		auto const i = n.names.find(part.native());
		if (i == n.names.end()) return none;
		at = i->second;
	}
	return at;
}

disk_image::node_id disk_image::find_parent(std::filesystem::path const& path) const
{
	auto const dir = find(path.parent_path());
	return dir != none && is_directory(dir) ? dir : none;
}

std::uint64_t disk_image::used_bytes() const
{
	std::uint64_t used = 0;
	for (auto const& [id, dir] : m_nodes)
		for (auto const& [name, target] : dir.names) used += content(target).size();
	return used;
}

void disk_image::make_name_change(name_operation o)
{
	for (auto const& c : o)
	{
		auto& names = m_nodes.at(c.dir).names;
		if (c.target == none)
			names.erase(c.name);
		else
			names[c.name] = c.target;
	}
	m_pending_names.push_back(std::move(o));
}

disk_image::node_id disk_image::create(std::filesystem::path const& path, bool directory)
{
	auto const id = m_next++;
	auto& n = m_nodes[id];
	n.is_directory = directory;
	n.first_name = path.native();
	make_name_change({{find_parent(path), path.filename().native(), id}});
	return id;
}

void disk_image::rename(std::filesystem::path const& from, std::filesystem::path const& to)
{
	auto const id = find(from);
	if (find(to) == id) return;
	make_name_change({{find_parent(from), from.filename().native(), none}, {find_parent(to), to.filename().native(), id}});
}

void disk_image::remove(std::filesystem::path const& path)
{
	make_name_change({{find_parent(path), path.filename().native(), none}});
}

void disk_image::apply(bytes& content, change const& c)
{
	if (c.is_truncate)
	{
		content.resize(std::size_t(c.offset));
		return;
	}
	if (content.size() < c.offset + c.data.size()) content.resize(std::size_t(c.offset) + c.data.size());
	std::copy(c.data.begin(), c.data.end(), content.begin() + std::ptrdiff_t(c.offset));
}

void disk_image::write(node_id id, std::uint64_t offset, bytes_view data, std::int64_t now_seconds)
{
	if (data.empty()) return;
	auto& n = m_nodes.at(id);
	n.modified_seconds = now_seconds;
	n.pending.push_back({offset, bytes(data.begin(), data.end())});
	apply(n.content, n.pending.back());
}

void disk_image::truncate(node_id id, std::uint64_t size, std::int64_t now_seconds)
{
	auto& n = m_nodes.at(id);
	n.modified_seconds = now_seconds;
	n.pending.push_back({size, {}, true});
	apply(n.content, n.pending.back());
}

void disk_image::sync(node_id id)
{
	auto& n = m_nodes.at(id);
	// the log, not a copy of the content: what an earlier sync lost stays lost
	for (auto const& c : n.pending) apply(n.durable_content, c);
	n.pending.clear();
}

void disk_image::fail_sync(node_id id, random_source& random)
{
	auto& n = m_nodes.at(id);
	auto const odds = pick_odds(random);
	for (auto const& c : n.pending)
	{
		if (survives(odds, random))
			apply(n.durable_content, c);
		else
			n.has_lost_writes = true;
	}
	n.pending.clear();
}

void disk_image::drop_lost(node_id id)
{
	auto& n = m_nodes.at(id);
	if (!n.has_lost_writes) return;
	n.has_lost_writes = false;
	n.content = n.durable_content;
	for (auto const& c : n.pending) apply(n.content, c);
}

void disk_image::apply_durably(name_operation const& o)
{
	for (auto const& c : o)
	{
		auto& names = m_nodes.at(c.dir).durable_names;
		if (c.target == none)
			names.erase(c.name);
		else
			names[c.name] = c.target;
	}
}

// The pending operations that change names in dir, with those that came before and are tied to them by a rename from one
// directory into another; in order.
std::vector<std::size_t> disk_image::operations_of(node_id dir) const
{
	std::set<node_id> dirs{dir};
	std::vector<std::size_t> out;
	for (std::size_t i = m_pending_names.size(); i-- > 0;)
	{
		auto const& o = m_pending_names[i];
		if (std::none_of(o.begin(), o.end(), [&](name_change const& c) { return dirs.contains(c.dir); })) continue;
		for (auto const& c : o) dirs.insert(c.dir);
		out.push_back(i);
	}
	std::reverse(out.begin(), out.end());
	return out;
}

void disk_image::make_durable(std::vector<std::size_t> const& operations)
{
	for (auto const i : operations) apply_durably(m_pending_names[i]);
	for (auto i = operations.rbegin(); i != operations.rend(); ++i) m_pending_names.erase(m_pending_names.begin() + std::ptrdiff_t(*i));
}

void disk_image::sync_directory(node_id dir) { make_durable(operations_of(dir)); }

void disk_image::fail_sync_directory(node_id dir, random_source& random)
{
	auto some = operations_of(dir);
	some.resize(random.between(0, some.size()));
	make_durable(some);
}

void disk_image::settle()
{
	for (auto& [id, n] : m_nodes)
	{
		n.pending.clear();
		n.has_lost_writes = false;
		n.durable_content = n.content;
		n.durable_names = n.names;
	}
	m_pending_names.clear();
}

std::string disk_image::describe(change const& c)
{
	std::ostringstream out;
	if (c.is_truncate)
		out << "truncate to " << c.offset;
	else
		out << "write " << c.offset << '+' << c.data.size();
	return out.str();
}

// A write that was under way when the power went.
std::string disk_image::apply_damaged(bytes& content, change const& c, bool head_only, random_source& random)
{
	auto const end = c.offset + c.data.size();
	enum { lost, zeros, torn_head, torn_tail } kind = decltype(kind)(random.between(0, head_only ? 2 : 3));
	if (c.is_truncate) kind = lost;
	if (kind == zeros && content.size() < end)
	{
		content.resize(std::size_t(end));
		return describe(c) + ": as zeros";
	}
	auto const first = (c.offset / sector_bytes + 1) * sector_bytes;
	if ((kind == torn_head || kind == torn_tail) && first < end)
	{
		auto const at = first + sector_bytes * random.between(0, std::size_t((end - first - 1) / sector_bytes));
		auto const head = std::ptrdiff_t(at - c.offset);
		if (kind == torn_head)
			apply(content, {c.offset, bytes(c.data.begin(), c.data.begin() + head)});
		else
			apply(content, {at, bytes(c.data.begin() + head, c.data.end())});
		return describe(c) + (kind == torn_head ? ": torn, only what is before " : ": torn, only what is from ") + std::to_string(at);
	}
	return describe(c) + ": lost";
}

void disk_image::cut_content(node& n, cut mode, random_source& random, std::vector<std::string>& report)
{
	auto const odds = pick_odds(random);
	std::size_t const kept = mode == cut::prefix ? random.between(0, n.pending.size()) : 0;
	for (std::size_t i = 0; i < n.pending.size(); ++i)
	{
		auto const& c = n.pending[i];
		std::string fate;
		if (mode == cut::prefix ? i < kept : mode == cut::subset && survives(odds, random))
		{
			apply(n.durable_content, c);
			fate = describe(c) + ": kept";
		}
		else if (mode == cut::subset || (mode == cut::prefix && i == kept))
			fate = apply_damaged(n.durable_content, c, mode == cut::prefix, random);
		else
			fate = describe(c) + ": lost";
		report.push_back(n.first_name + ": " + fate);
	}
	n.pending.clear();
	n.has_lost_writes = false;
	n.content = n.durable_content;
}

std::string disk_image::describe(name_operation const& o) const
{
	std::string out = "names:";
	for (auto const& c : o)
		out += (c.target == none ? " - " : " + ") + (std::filesystem::path(m_nodes.at(c.dir).first_name) / c.name).native();
	return out;
}

void disk_image::cut_names(cut mode, random_source& random, std::vector<std::string>& report)
{
	auto const odds = pick_odds(random);
	std::size_t const kept = mode == cut::prefix ? random.between(0, m_pending_names.size()) : 0;
	for (std::size_t i = 0; i < m_pending_names.size(); ++i)
	{
		auto const& o = m_pending_names[i];
		bool const keep = mode == cut::prefix ? i < kept : mode == cut::subset && survives(odds, random);
		if (keep) apply_durably(o);
		report.push_back(describe(o) + (keep ? ": kept" : ": lost"));
	}
	m_pending_names.clear();
	for (auto& [id, n] : m_nodes) n.names = n.durable_names;
}

void disk_image::forget_unreachable()
{
	std::vector<node_id> to_visit{root};
	std::set<node_id> reached{root};
	while (!to_visit.empty())
	{
		auto const at = to_visit.back();
		to_visit.pop_back();
		for (auto const* names : {&m_nodes.at(at).names, &m_nodes.at(at).durable_names})
			for (auto const& [name, id] : *names)
				if (reached.insert(id).second) to_visit.push_back(id);
	}
	for (auto const& o : m_pending_names)
		for (auto const& c : o) reached.insert({c.dir, c.target});
	std::erase_if(m_nodes, [&](auto const& n) { return !reached.contains(n.first); });
}

std::vector<std::string> disk_image::power_cut(cut mode, random_source& random)
{
	std::vector<std::string> report;
	if (mode == cut::kill)
	{
		for (auto const& [id, n] : m_nodes) drop_lost(id);
		return report;
	}
	cut_names(mode, random, report);
	for (auto& [id, n] : m_nodes) cut_content(n, mode, random, report);
	forget_unreachable();
	return report;
}

} // namespace ut_xet_test
