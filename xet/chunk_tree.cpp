#include "xet/chunk_tree.hpp"

namespace xet {

namespace {

constexpr std::size_t list_entry_bytes = 32 + 4;

chunking metadata_chunking()
{
	return {.min_bytes = meta_min_bytes, .target_bytes = meta_target_bytes, .max_bytes = meta_max_bytes};
}

} // namespace

chunk_tree chunk_tree::build(hash_kind kind, bytes_view data)
{
	chunk_tree tree;
	tree.m_root.data_bytes = data.size();

	bytes_view level_bytes = data;
	for (std::uint8_t level = 0;; ++level)
	{
		bytes list;
		std::uint64_t offset = 0;
		auto const lengths = chunk_lengths(level_bytes, metadata_chunking());
		for (std::uint32_t const size : lengths)
		{
			hash32 const h = chunk_hash(kind, level_bytes.subspan(offset, size));
			tree.m_places.try_emplace(h, place{level, offset, size});
			append(list, h.view());
			append_be(list, size);
			offset += size;
		}
		if (lengths.size() <= 1)
		{
			tree.m_root.hash = chunk_hash(kind, level_bytes);
			tree.m_root.size = std::uint32_t(level_bytes.size());
			tree.m_root.levels = level;
			return tree;
		}
		tree.m_lists.push_back(std::move(list));
		level_bytes = tree.m_lists.back();
	}
}

std::optional<chunk_tree::place> chunk_tree::find(hash32 const& h) const
{
	auto const i = m_places.find(h);
	if (i == m_places.end()) return std::nullopt;
	return i->second;
}

result<tree_assembly> tree_assembly::start(hash_kind kind, tree_root const& root)
{
	if (root.levels > max_tree_levels)
		return fail(errc::limit, "metadata tree with ", int(root.levels), " levels; at most ", max_tree_levels);
	if (root.data_bytes > max_metadata_bytes)
		return fail(errc::limit, "metadata of ", root.data_bytes, " bytes; at most ", max_metadata_bytes);
	if (root.size > meta_max_bytes)
		return fail(errc::limit, "metadata root chunk of ", root.size, " bytes; at most ", meta_max_bytes);

	tree_assembly a;
	a.m_kind = kind;
	a.m_root = root;
	a.m_level = root.levels;
	auto const set = a.set_level({{root.hash, root.size}});
	if (!set) return tl::unexpected(set.error());
	return a;
}

std::vector<chunk_ref> tree_assembly::missing() const
{
	std::vector<chunk_ref> out;
	out.reserve(m_wanted.size());
	std::unordered_map<hash32, bool> seen;
	for (chunk_ref const& c : m_refs)
		if (m_wanted.contains(c.hash) && seen.try_emplace(c.hash, true).second) out.push_back(c);
	return out;
}

result<> tree_assembly::set_level(chunk_list refs)
{
	m_refs = std::move(refs);
	m_wanted.clear();
	std::uint64_t offset = 0;
	for (chunk_ref const& c : m_refs)
	{
		if (c.size > meta_max_bytes || (c.size == 0 && m_refs.size() > 1))
			return fail(errc::invalid, "metadata list names a chunk of ", c.size, " bytes");
		m_wanted[c.hash].push_back(offset);
		offset += c.size;
	}
	// a list level describes the level below it: it cannot be larger than a list of that many minimal chunks
	std::uint64_t const most = m_level == 0 ? m_root.data_bytes : (m_root.data_bytes / meta_min_bytes + 1) * list_entry_bytes;
	if (offset > most || (m_level == 0 && offset != m_root.data_bytes))
		return fail(errc::invalid, "metadata tree level ", m_level, " has ", offset, " bytes; ", most, " declared");
	m_data.assign(offset, '\0');
	return {};
}

result<> tree_assembly::supply(hash32 const& h, bytes_view data)
{
	auto const i = m_wanted.find(h);
	if (i == m_wanted.end()) return {};
	if (chunk_hash(m_kind, data) != h)
		return fail(errc::mismatch, "metadata chunk ", to_hex(h.view()), " has other bytes");
	for (std::uint64_t const offset : i->second)
	{
		if (offset + data.size() > m_data.size())
			return fail(errc::invalid, "metadata chunk ", to_hex(h.view()), " is longer than its list says");
		std::memcpy(m_data.data() + offset, data.data(), data.size());
	}
	m_wanted.erase(i);
	if (!m_wanted.empty()) return {};
	return level_complete();
}

result<> tree_assembly::level_complete()
{
	if (m_level == 0)
	{
		m_done = true;
		return {};
	}
	if (m_data.size() % list_entry_bytes != 0)
		return fail(errc::invalid, "metadata list of ", m_data.size(), " bytes is not a whole number of entries");
	auto const list = as_bytes(m_data);
	chunk_list refs;
	refs.reserve(list.size() / list_entry_bytes);
	for (std::size_t at = 0; at < list.size(); at += list_entry_bytes)
		refs.push_back({hash32::from(list.subspan(at)), read_be<std::uint32_t>(list.data() + at + 32)});
	--m_level;
	return set_level(std::move(refs));
}

} // namespace xet
