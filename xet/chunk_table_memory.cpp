#include "xet/chunk_table_memory.hpp"

#include <algorithm>

namespace xet {

namespace {

constexpr unsigned number_bits = 22;
constexpr std::uint32_t number_mask = (std::uint32_t(1) << number_bits) - 1;
constexpr unsigned first_slot_bits = 10;

std::uint32_t tag_of(std::uint64_t spread) { return std::uint32_t(spread) & ~number_mask; }

} // namespace

std::uint64_t chunk_memory::spread(std::uint8_t const* hash) const
{
	auto v = (hash_prefix(hash) ^ m_secret) * 0x9e3779b97f4a7c15;
	v ^= v >> 32;
	v *= m_secret | 1;
	return v ^ v >> 29;
}

void chunk_memory::prefetch(hash32 const& hash) const
{
	if (!m_slots.empty()) __builtin_prefetch(&m_slots[slot_of(spread(hash.raw.data()))]);
}

std::uint32_t chunk_memory::newest(hash32 const& hash) const
{
	if (m_slots.empty()) return none;
	auto const where = spread(hash.raw.data());
	for (auto i = slot_of(where);; i = (i + 1) & (m_slots.size() - 1))
	{
		auto const slot = m_slots[i];
		if (slot == 0) return none;
		if ((slot & ~number_mask) != tag_of(where)) continue;
		auto const number = (slot & number_mask) - 1;
		if (node_at(number).entry.is(hash)) return number;
	}
}

void chunk_memory::find(hash32 const& hash, container_set const& alive, chunk_locations& out) const
{
	for (auto i = newest(hash); i != none && !out.full(); i = node_at(i).older)
		if (alive.test(node_at(i).entry.container())) out.push_back(node_at(i).entry.location());
}

std::optional<chunk_location> chunk_memory::find_one(hash32 const& hash, container_set const& alive) const
{
	for (auto i = newest(hash); i != none; i = node_at(i).older)
		if (alive.test(node_at(i).entry.container())) return node_at(i).entry.location();
	return std::nullopt;
}

void chunk_memory::insert(std::uint32_t container, std::span<chunk_entry const> chunks)
{
	std::uint32_t ordinal = 0;
	for (auto const& c : chunks) insert_one(packed_entry::of(c.hash, {container, ordinal++, c.offset, c.size}));
	m_containers.push_back(container);
}

void chunk_memory::insert_one(packed_entry const& entry)
{
	if (m_slots_used * 2 >= m_slots.size()) grow();
	if (m_size == m_blocks.size() * nodes_per_block) m_blocks.push_back(std::make_unique_for_overwrite<node[]>(nodes_per_block));
	auto const number = std::uint32_t(m_size++);
	auto& added = node_at(number);
	added = {entry, none};
	auto const where = spread(entry.raw.data());
	for (auto i = slot_of(where);; i = (i + 1) & (m_slots.size() - 1))
	{
		auto& slot = m_slots[i];
		bool const free = slot == 0;
		if (!free)
		{
			if ((slot & ~number_mask) != tag_of(where)) continue;
			auto const older = (slot & number_mask) - 1;
			if (compare_hash(entry, node_at(older).entry.raw.data()) != 0) continue;
			added.older = older;
		}
		slot = tag_of(where) | (number + 1);
		m_slots_used += free ? 1 : 0;
		return;
	}
}

void chunk_memory::grow()
{
	auto const old = std::move(m_slots);
	m_slots.assign(old.empty() ? std::size_t(1) << first_slot_bits : old.size() * 2, 0);
	m_shift = old.empty() ? 64 - first_slot_bits : m_shift - 1;
	for (auto const slot : old)
	{
		if (slot == 0) continue;
		auto i = slot_of(spread(entry((slot & number_mask) - 1).raw.data()));
		while (m_slots[i] != 0) i = (i + 1) & (m_slots.size() - 1);
		m_slots[i] = slot;
	}
}

std::vector<std::uint32_t> chunk_memory::in_order() const
{
	struct key
	{
		std::uint64_t prefix;
		std::uint32_t number;
	};
	std::vector<key> keys(m_size);
	for (std::uint32_t i = 0; i < m_size; ++i) keys[i] = {entry(i).prefix(), i};
	std::sort(keys.begin(), keys.end(), [this](key const& a, key const& b) {
		return a.prefix != b.prefix ? a.prefix < b.prefix : sorts_before(entry(a.number), entry(b.number));
	});
	std::vector<std::uint32_t> out(m_size);
	std::transform(keys.begin(), keys.end(), out.begin(), [](key const& k) { return k.number; });
	return out;
}

} // namespace xet
