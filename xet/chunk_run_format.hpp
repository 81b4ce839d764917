#pragma once
// The bytes of a run (see chunk_run.hpp), little-endian throughout. Derived data, but other versions of the program read it:
// change run_version with any change here.
//
//   block 0          header, the rest zero
//   blocks 1 … n     85 entries of 48 bytes in ascending order, the last block padded with zeros; 8 bytes zero; 8 bytes checksum
//   fences           u64 for each entry block: the first 8 bytes (big-endian) of its first hash
//   filter           64-byte blocks of a Bloom filter
//   containers       u32 each, ascending: whose chunks are in here
//
// An entry: hash 32 | container u32 | ordinal u32 | offset u40 | size u24.

#include "xet/bytes.hpp"
#include "xet/chunk_table.hpp"
#include "xet/little_endian.hpp"

namespace xet {

using index_id = std::array<std::uint8_t, 16>;

inline constexpr std::size_t run_block_bytes = 4096;  // a page: what one cold lookup reads
inline constexpr std::size_t run_entry_bytes = 48;
inline constexpr std::size_t run_block_entries = 85;  // leaves 16 bytes for the checksum
inline constexpr std::size_t run_filter_block_bytes = 64;  // a cache line: one miss for a chunk that is not here
// 12 bits an entry and 7 bits set: about 0.7 % of absent chunks pass. 16 bits would save half of those reads for a third more memory.
inline constexpr std::uint64_t run_filter_bits_per_entry = 12;
inline constexpr std::uint32_t run_version = 1;

// Fences, filter and the table in memory go by this.
inline std::uint64_t hash_prefix(std::uint8_t const* hash) { return read_be<std::uint64_t>(hash); }

struct packed_entry
{
	std::array<std::uint8_t, run_entry_bytes> raw;

	static packed_entry of(hash32 const& hash, chunk_location const& where);
	std::uint64_t prefix() const { return hash_prefix(raw.data()); }
	std::uint32_t container() const { return read_le<std::uint32_t>(raw.data() + 32); }
	std::uint32_t ordinal() const { return read_le<std::uint32_t>(raw.data() + 36); }
	chunk_location location() const;
	bool is(hash32 const& hash) const { return std::memcmp(raw.data(), hash.raw.data(), 32) == 0; }
};
static_assert(sizeof(packed_entry) == run_entry_bytes);

// <0, 0, >0 by hash, as memcmp
inline int compare_hash(packed_entry const& a, std::uint8_t const* hash) { return std::memcmp(a.raw.data(), hash, 32); }
// The order of a run: hash, then the newest container first.
bool sorts_before(packed_entry const& a, packed_entry const& b);

// Finds damage, not malice: 64 bits, 15 GB/s without any special instruction: a fourth of what reading a block
// costs. seed: which bytes these are, so that a block in the wrong place is damage too.
std::uint64_t checksum64(bytes_view data, std::uint64_t seed);

struct run_header
{
	index_id id{};
	std::uint32_t from = 0;  // container ids [from, until)
	std::uint32_t until = 0;
	std::uint64_t entries = 0;
	std::uint64_t filter_blocks = 0;
	std::uint32_t containers = 0;
	std::uint64_t fences_checksum = 0;
	std::uint64_t filter_checksum = 0;
	std::uint64_t containers_checksum = 0;

	std::uint64_t blocks() const { return (entries + run_block_entries - 1) / run_block_entries; }
	std::uint64_t entries_in(std::uint64_t block) const;  // block < blocks()
	std::uint64_t block_offset(std::uint64_t block) const { return (block + 1) * run_block_bytes; }
	std::uint64_t fences_offset() const { return block_offset(blocks()); }
	std::uint64_t filter_offset() const { return fences_offset() + blocks() * 8; }
	std::uint64_t containers_offset() const { return filter_offset() + filter_blocks * run_filter_block_bytes; }
	std::uint64_t file_bytes() const { return containers_offset() + std::uint64_t(containers) * 4; }
	// Seeds of checksums: of entry block i, of section i
	std::uint64_t block_seed(std::uint64_t block) const;
	std::uint64_t section_seed(int section) const;

	std::array<std::uint8_t, run_block_bytes> encode() const;
	// Errors: invalid, unsupported (version), mismatch (checksum); the text says which field, not which file.
	static result<run_header> decode(bytes_view block);
};

// "0000000000-0000000123.run"
std::string run_file_name(std::uint32_t from, std::uint32_t until);

// A blocked Bloom filter: the upper bits of a hash choose its block, so that entries in order fill it from front to back and
// a batch in order reads it so; other bytes of the hash choose 7 bits of the block.
class run_filter
{
public:
	run_filter() = default;
	explicit run_filter(std::uint64_t blocks);
	static std::uint64_t blocks_for(std::uint64_t entries);

	void add(std::uint8_t const* hash);
	bool may_hold(std::uint8_t const* hash) const;
	void prefetch(std::uint8_t const* hash) const;
	std::uint64_t blocks() const { return m_blocks.size(); }
	std::span<std::uint8_t> raw();
	bytes_view raw() const;

private:
	struct alignas(run_filter_block_bytes) block
	{
		std::array<std::uint8_t, run_filter_block_bytes> bits;
	};
	std::uint64_t block_of(std::uint8_t const* hash) const;

	std::vector<block> m_blocks;
};

} // namespace xet
