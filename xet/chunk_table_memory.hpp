#pragma once
// The part of a chunk table that is in no run yet: a hash table with open addressing over entries in the order they came.
//
// Thread rule: const functions from any threads at once, insert alone.

#include "xet/chunk_run_format.hpp"
#include "xet/chunk_table_alive.hpp"

#include <memory>

namespace xet {

// More is refused: flushes have failed for long. 22 bits of a slot number the entries.
inline constexpr std::size_t max_memory_entries = (std::size_t(1) << 22) - 1;

class chunk_memory
{
public:
	// secret: where a hash goes depends on it, so that nobody can make chunks that all go to one place
	explicit chunk_memory(std::uint64_t secret) : m_secret(secret) {}

	// size() + chunks.size() <= max_memory_entries
	void insert(std::uint32_t container, std::span<chunk_entry const> chunks);

	void prefetch(hash32 const& hash) const;
	// Adds the living locations until out is full; the newest first.
	void find(hash32 const& hash, container_set const& alive, chunk_locations& out) const;
	// The newest living location.
	std::optional<chunk_location> find_one(hash32 const& hash, container_set const& alive) const;

	std::size_t size() const { return m_size; }
	std::span<std::uint32_t const> containers() const { return m_containers; }
	packed_entry const& entry(std::uint32_t i) const { return node_at(i).entry; }
	// Numbers of all entries, in the order of a run.
	std::vector<std::uint32_t> in_order() const;

private:
	static constexpr std::uint32_t none = ~std::uint32_t(0);
	static constexpr std::size_t nodes_per_block = 4096;  // entries never move, and no allocation is large
	struct node
	{
		packed_entry entry;
		std::uint32_t older;  // with the same hash
	};

	node const& node_at(std::uint32_t i) const { return m_blocks[i / nodes_per_block][i % nodes_per_block]; }
	node& node_at(std::uint32_t i) { return m_blocks[i / nodes_per_block][i % nodes_per_block]; }
	std::uint64_t spread(std::uint8_t const* hash) const;
	std::size_t slot_of(std::uint64_t spread) const { return std::size_t(spread >> m_shift); }
	std::uint32_t newest(hash32 const& hash) const;
	void insert_one(packed_entry const& entry);
	void grow();

	std::uint64_t m_secret;
	std::vector<std::unique_ptr<node[]>> m_blocks;
	std::size_t m_size = 0;
	// Slots: 0, or 10 bits of the hash above 22 bits of entry number + 1. A power of two, at most half full.
	std::vector<std::uint32_t> m_slots;
	std::size_t m_slots_used = 0;
	unsigned m_shift = 64;
	std::vector<std::uint32_t> m_containers;
};

} // namespace xet
