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
// Numbers without pattern: the fractional bits of the square roots of the first primes; odd ones multiply.
constexpr std::size_t lanes = 8;
constexpr std::array<std::uint64_t, lanes> lane_starts{0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
constexpr std::uint64_t lane_multiplier = lane_starts[1];
constexpr std::uint64_t word_multiplier = lane_starts[3];

std::uint64_t mix(std::uint64_t v)
{
	v ^= v >> 32;
	v *= lane_multiplier;
	v ^= v >> 29;
	v *= word_multiplier;
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

// Each step is a bijection of its lane for a given word and the other way round: one wrong word never goes unseen. Words are mixed before
// they meet their lane, or a flip of a top bit could be undone by one other flip. Eight lanes hide the multipliers' latency.
std::uint64_t checksum64(bytes_view data, std::uint64_t seed)
{
	constexpr std::size_t stride = lanes * 8;
	std::array<std::uint64_t, lanes> lane;
	for (std::size_t i = 0; i < lanes; ++i) lane[i] = seed + lane_starts[i];
	auto const step_all = [&lane](std::uint8_t const* p) {
		for (std::size_t i = 0; i < lanes; ++i)
		{
			auto const word = word_at(p + 8 * i);
			lane[i] = std::rotl((lane[i] ^ (word ^ word >> 32) * word_multiplier) * lane_multiplier, 31);
		}
	};
	std::uint64_t sum = mix(seed ^ data.size());
	for (; data.size() >= stride; data = data.subspan(stride)) step_all(data.data());
	if (!data.empty())
	{
		std::array<std::uint8_t, stride> last{};
		std::memcpy(last.data(), data.data(), data.size());
		step_all(last.data());
	}
	for (auto const one : lane) sum = mix(sum ^ one);
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
