#include "xet/chunk_run_format.hpp"

#include <bit>
#include <cstdio>

namespace xet {

namespace {

constexpr std::string_view magic = "XETCRUN\n";
constexpr std::size_t header_bytes = 96;  // what is checked; the rest of the block is zero
constexpr std::size_t filter_probes = 7;
// block numbers are 32 bits in lookups; 3.6 * 10^11 chunks in one run are far away
constexpr std::uint64_t max_run_entries = (std::uint64_t(1) << 32) * run_block_entries;
constexpr std::uint64_t max_filter_blocks = (std::uint64_t(1) << 32) - 1;
// odd numbers without pattern: fractional digits of the square roots of 2, 3, 5, 7
constexpr std::array<std::uint64_t, 4> lane_multipliers{0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1};

std::uint64_t mix(std::uint64_t v)
{
	v ^= v >> 32;
	v *= lane_multipliers[0];
	v ^= v >> 29;
	v *= lane_multipliers[1];
	return v ^ v >> 32;
}

std::uint64_t word_at(std::uint8_t const* p)
{
	std::uint64_t v;
	std::memcpy(&v, p, sizeof v);
	if constexpr (std::endian::native == std::endian::big) v = __builtin_bswap64(v);
	return v;
}

} // namespace

packed_entry packed_entry::of(hash32 const& hash, chunk_location const& where)
{
	packed_entry e;
	std::memcpy(e.raw.data(), hash.raw.data(), 32);
	write_le(e.raw.data() + 32, where.container);
	write_le(e.raw.data() + 36, where.ordinal);
	write_le(e.raw.data() + 40, where.offset, 5);
	write_le(e.raw.data() + 45, where.size, 3);
	return e;
}

chunk_location packed_entry::location() const
{
	return {container(), ordinal(), read_le<std::uint64_t>(raw.data() + 40, 5), read_le<std::uint32_t>(raw.data() + 45, 3)};
}

bool sorts_before(packed_entry const& a, packed_entry const& b)
{
	if (int const order = compare_hash(a, b.raw.data()); order != 0) return order < 0;
	if (a.container() != b.container()) return a.container() > b.container();
	return a.ordinal() < b.ordinal();
}

// Each step is a bijection of its lane for a given word: one wrong word never goes unseen. Four lanes keep the multiplier busy.
std::uint64_t checksum64(bytes_view data, std::uint64_t seed)
{
	std::array<std::uint64_t, 4> lanes;
	for (std::size_t i = 0; i < 4; ++i) lanes[i] = seed + lane_multipliers[i];
	auto const step = [&lanes](std::size_t i, std::uint64_t word) {
		lanes[i] = std::rotl((lanes[i] ^ word) * lane_multipliers[i], 31);
	};
	std::size_t const length = data.size();
	auto const* p = data.data();
	auto left = length;
	for (; left >= 32; left -= 32, p += 32)
		for (std::size_t i = 0; i < 4; ++i) step(i, word_at(p + 8 * i));
	for (std::size_t i = 0; left > 0; ++i)
	{
		std::array<std::uint8_t, 8> word{};
		auto const part = std::min<std::size_t>(left, 8);
		std::memcpy(word.data(), p, part);
		step(i, word_at(word.data()));
		left -= part;
		p += part;
	}
	std::uint64_t sum = mix(seed ^ length);
	for (auto const lane : lanes) sum = mix(sum ^ lane);
	return sum;
}

std::uint64_t run_header::entries_in(std::uint64_t block) const
{
	return std::min<std::uint64_t>(run_block_entries, entries - block * run_block_entries);
}

std::uint64_t run_header::block_seed(std::uint64_t block) const
{
	return mix(section_seed(0) + block);
}

std::uint64_t run_header::section_seed(int section) const
{
	auto const range = std::uint64_t(from) << 32 | until;
	return mix(range ^ word_at(id.data())) ^ mix(word_at(id.data() + 8) + std::uint64_t(section));
}

std::array<std::uint8_t, run_block_bytes> run_header::encode() const
{
	std::array<std::uint8_t, run_block_bytes> out{};
	auto* const p = out.data();
	std::memcpy(p, magic.data(), magic.size());
	write_le(p + 8, run_version);
	write_le(p + 12, containers);
	std::memcpy(p + 16, id.data(), id.size());
	write_le(p + 32, from);
	write_le(p + 36, until);
	write_le(p + 40, entries);
	write_le(p + 48, filter_blocks);
	write_le(p + 56, fences_checksum);
	write_le(p + 64, filter_checksum);
	write_le(p + 72, containers_checksum);
	write_le(p + header_bytes - 8, checksum64({p, header_bytes - 8}, 0));
	return out;
}

result<run_header> run_header::decode(bytes_view block)
{
	if (block.size() < run_block_bytes) return fail(errc::invalid, "the header has ", block.size(), " bytes instead of ", run_block_bytes);
	auto const* const p = block.data();
	if (std::memcmp(p, magic.data(), magic.size()) != 0) return fail(errc::invalid, "not a run: other bytes at offset 0");
	if (auto const v = read_le<std::uint32_t>(p + 8); v != run_version) return fail(errc::unsupported, "version ", v, " at offset 8");
	if (read_le<std::uint64_t>(p + header_bytes - 8) != checksum64({p, header_bytes - 8}, 0))
		return fail(errc::mismatch, "wrong checksum of the header at offset ", header_bytes - 8);
	run_header h;
	h.containers = read_le<std::uint32_t>(p + 12);
	std::memcpy(h.id.data(), p + 16, h.id.size());
	h.from = read_le<std::uint32_t>(p + 32);
	h.until = read_le<std::uint32_t>(p + 36);
	h.entries = read_le<std::uint64_t>(p + 40);
	h.filter_blocks = read_le<std::uint64_t>(p + 48);
	h.fences_checksum = read_le<std::uint64_t>(p + 56);
	h.filter_checksum = read_le<std::uint64_t>(p + 64);
	h.containers_checksum = read_le<std::uint64_t>(p + 72);
	if (h.from >= h.until || h.entries > max_run_entries || h.filter_blocks > max_filter_blocks || (h.entries > 0 && h.filter_blocks == 0))
		return fail(errc::invalid, "impossible counts in the header");
	return h;
}

std::string run_file_name(std::uint32_t from, std::uint32_t until)
{
	char name[32];
	std::snprintf(name, sizeof name, "%010u-%010u.run", from, until);
	return name;
}

run_filter::run_filter(std::uint64_t blocks) : m_blocks(blocks) {}

std::uint64_t run_filter::blocks_for(std::uint64_t entries)
{
	constexpr std::uint64_t bits = run_filter_block_bytes * 8;
	return (entries * run_filter_bits_per_entry + bits - 1) / bits;
}

std::uint64_t run_filter::block_of(std::uint8_t const* hash) const
{
	return (hash_prefix(hash) >> 32) * m_blocks.size() >> 32;
}

void run_filter::add(std::uint8_t const* hash)
{
	auto& bits = m_blocks[block_of(hash)].bits;
	auto word = word_at(hash + 8);
	for (std::size_t i = 0; i < filter_probes; ++i, word >>= 9) bits[word >> 3 & 63] |= std::uint8_t(1u << (word & 7));
}

bool run_filter::may_hold(std::uint8_t const* hash) const
{
	if (m_blocks.empty()) return false;
	auto const& bits = m_blocks[block_of(hash)].bits;
	auto word = word_at(hash + 8);
	unsigned all = 1;
	for (std::size_t i = 0; i < filter_probes; ++i, word >>= 9) all &= unsigned(bits[word >> 3 & 63]) >> (word & 7);
	return (all & 1) != 0;
}

void run_filter::prefetch(std::uint8_t const* hash) const
{
	if (!m_blocks.empty()) __builtin_prefetch(&m_blocks[block_of(hash)]);
}

std::span<std::uint8_t> run_filter::raw()
{
	return {reinterpret_cast<std::uint8_t*>(m_blocks.data()), m_blocks.size() * run_filter_block_bytes};
}

bytes_view run_filter::raw() const
{
	return {reinterpret_cast<std::uint8_t const*>(m_blocks.data()), m_blocks.size() * run_filter_block_bytes};
}

} // namespace xet
