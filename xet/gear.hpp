#pragma once
// The gear hash itself, and the search for the first place where it says "cut". Internal to the chunker.

#include "xet/bytes.hpp"
#include "xet/chunker.hpp"
#include "xet/gear_table.hpp"

namespace xet::gear {

// The hash is 64 bits wide and shifts by one per byte: it depends on the last 64 bytes only.
inline constexpr std::size_t window_bytes = 64;

inline std::uint64_t roll(std::uint64_t h, std::uint8_t byte) { return (h << 1) + gear_table[byte]; }

// The hash after the bytes [from, to), started with h.
inline std::uint64_t roll_over(std::uint64_t h, std::uint8_t const* from, std::uint8_t const* to)
{
	for (; from != to; ++from) h = roll(h, *from);
	return h;
}

// How many bytes at the front of a chunk need not be looked at: no cut is allowed there, and they are out of the
// window by the time one is.
inline std::uint32_t skippable(chunking const& c)
{
	return c.min_bytes > window_bytes ? c.min_bytes - std::uint32_t(window_bytes) : 0;
}

// Rolls h on over data and stops behind the first byte after which (h & mask) == 0. Returns how many bytes were taken;
// hit says whether the last of them is a cut.
struct scan_result { std::size_t taken; bool hit; };

inline scan_result scan(std::uint64_t& h, bytes_view data, std::uint64_t mask)
{
	std::uint64_t rolling = h;
	std::size_t i = 0;
	bool hit = false;
	while (i < data.size() && !hit)
	{
		rolling = roll(rolling, data[i++]);
		hit = (rolling & mask) == 0;
	}
	h = rolling;
	return {i, hit};
}

} // namespace xet::gear
