#include "xet/merkle.hpp"

#include <algorithm>
#include <cassert>

namespace xet {

namespace {

// Hugging Face's INTERNAL_NODE_KEY. do not change
constexpr std::uint8_t hf_node_key[32] = {
	0x01, 0x7e, 0xc5, 0xc7, 0xa5, 0x47, 0x29, 0x96, 0xfd, 0x94, 0x66, 0x66, 0xb4, 0x8a, 0x02, 0xe6,
	0x5d, 0xdd, 0x53, 0x6f, 0x37, 0xc7, 0x6d, 0xd2, 0xf8, 0x63, 0x52, 0xe6, 0x4a, 0x53, 0x71, 0x3f};

constexpr std::size_t hf_max_children = 9;

// the last 8 bytes as little-endian u64, mod 4: only the first of these bytes matters
bool ends_group(hash32 const& h) { return h.raw[24] % 4 == 0; }

// How many of the nodes at the front share a parent.
std::size_t group_size(std::span<hf_node const> nodes)
{
	if (nodes.size() <= 2) return nodes.size();
	std::size_t const most = std::min(nodes.size(), hf_max_children);
	for (std::size_t i = 2; i < most; ++i)
		if (ends_group(nodes[i].hash)) return i + 1;
	return most;
}

hf_node parent_of(std::span<hf_node const> children)
{
	hf_node parent;
	std::string lines;
	for (auto const& child : children)
	{
		lines += to_string(hash_kind::hf, child.hash);
		lines += " : ";
		lines += std::to_string(child.size);
		lines += '\n';
		parent.size += child.size;
	}
	parent.hash = keyed_blake3(hf_node_key, as_bytes(lines));
	return parent;
}

} // namespace

hash32 merkle_root(hash_kind kind, std::span<hash32 const> leaves)
{
	assert(kind != hash_kind::hf);
	if (leaves.empty()) return {};

	std::vector<hash32> level(leaves.begin(), leaves.end());
	while (level.size() > 1)
	{
		if (level.size() % 2 != 0) level.push_back(level.back());
		for (std::size_t i = 0; i < level.size() / 2; ++i)
		{
			// two neighbours lie next to each other in memory
			std::uint8_t const* pair = level[2 * i].raw.data();
			level[i] = chunk_hash(kind, {pair, 2 * sizeof(hash32)});
		}
		level.resize(level.size() / 2);
	}
	return level[0];
}

hash32 hf_tree_root(std::vector<hf_node> level)
{
	if (level.empty()) return {};
	while (level.size() > 1)
	{
		std::size_t parents = 0;
		for (std::size_t at = 0; at < level.size();)
		{
			auto const rest = std::span<hf_node const>(level).subspan(at);
			auto const group = rest.first(group_size(rest));
			at += group.size();
			level[parents++] = parent_of(group);
		}
		level.resize(parents);
	}
	return level[0].hash;
}

hash32 hf_tree_root(std::span<chunk_ref const> chunks)
{
	std::vector<hf_node> leaves;
	leaves.reserve(chunks.size());
	for (auto const& c : chunks) leaves.push_back({c.hash, c.size});
	return hf_tree_root(std::move(leaves));
}

hash32 hf_file_hash(std::span<chunk_ref const> chunks)
{
	if (chunks.empty()) return {};
	return keyed_blake3(hash32{}.view(), hf_tree_root(chunks).view());
}

hash32 file_hash(hash_kind kind, std::span<chunk_ref const> chunks)
{
	if (kind == hash_kind::hf) return hf_file_hash(chunks);
	std::vector<hash32> leaves;
	leaves.reserve(chunks.size());
	for (auto const& c : chunks) leaves.push_back(c.hash);
	return merkle_root(kind, leaves);
}

} // namespace xet
