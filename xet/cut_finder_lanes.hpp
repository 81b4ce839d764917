#pragma once
// Rolls many gear hashes at once: the inner loop of the cut finder. Internal to it.
//
// Thread rule: pure; any thread.

#include <cstddef>
#include <cstdint>

namespace xet::gear {

inline constexpr std::size_t max_lanes = 16;
inline constexpr std::size_t block_bytes = 8;

// Where lanes stand: the next byte of each and its hash.
struct positions
{
	std::uint8_t const* at[max_lanes];
	std::uint64_t hash[max_lanes];
};

// Rolls all lanes on by up to blocks × block_bytes bytes each and stops when hashes trigger. Returns a bit for each lane whose
// did: its position is behind that byte. The others are a few bytes more or less far than that, never beyond blocks.
using roll_lanes = std::uint32_t (*)(positions& p, std::size_t blocks, std::uint64_t mask);

struct roller
{
	std::size_t lanes;
	roll_lanes roll;
	std::size_t min_bytes;  // what it needs to be worth it
};

// Four lanes on any machine.
roller const& portable_roller();
// Sixteen lanes with AVX-512, or null where this processor has none.
roller const* wide_roller();
// The faster of them. Which one that is differs between processors with the same instructions, so the first call finds out:
// that takes less than a millisecond.
roller const& fastest_roller();

} // namespace xet::gear
