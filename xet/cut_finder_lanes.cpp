#include "xet/cut_finder_lanes.hpp"
#include "xet/gear.hpp"

#include <algorithm>
#include <bit>
#include <chrono>

#if defined(__x86_64__) && defined(__GNUC__)
#define UT_XET_WIDE_LANES 1
#include <immintrin.h>
#endif

namespace xet::gear {

namespace {

constexpr std::size_t portable_lanes = 4;

std::uint32_t roll_four(positions& p, std::size_t blocks, std::uint64_t mask)
{
	// Copies, so that they live in registers; one running offset serves all.
	std::uint8_t const* const at[4] = {p.at[0], p.at[1], p.at[2], p.at[3]};
	std::uint64_t hash[4] = {p.hash[0], p.hash[1], p.hash[2], p.hash[3]};
	std::size_t offset = 0;
	std::size_t const end = blocks * block_bytes;
	std::size_t k = 0;
	int lane = -1;
	for (; offset != end; offset += block_bytes)
	{
		// The jump leaves the hot loop with its 32 tests as nothing but fused compare and branch: collecting the hits
		// first halves the speed.
#pragma GCC unroll 8
		for (k = 0; k < block_bytes; ++k)
		{
#pragma GCC unroll 4
			for (lane = 0; lane < 4; ++lane)
			{
				hash[lane] = roll(hash[lane], at[lane][offset + k]);
				if ((hash[lane] & mask) == 0) [[unlikely]]
					goto triggered;
			}
		}
	}
	k = 0;
	lane = -1;
triggered:
	for (int i = 0; i < 4; ++i)
	{
		p.at[i] = at[i] + offset + k + (i <= lane ? 1 : 0);
		p.hash[i] = hash[i];
	}
	return lane < 0 ? 0 : 1u << lane;
}

#if UT_XET_WIDE_LANES

// GCC 12 warns about the deliberately undefined values inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

constexpr std::size_t wide_lanes = 16;

// A lane that triggered within a block goes back to the byte that did.
void go_back(positions& p, std::uint32_t hits, std::uint64_t const* before, std::uint64_t mask)
{
	for (; hits != 0; hits &= hits - 1)
	{
		auto const lane = std::size_t(std::countr_zero(hits));
		auto h = before[lane];
		auto const block = bytes_view(p.at[lane] - block_bytes, block_bytes);
		auto const scanned = scan(h, block, mask);
		p.at[lane] = block.data() + scanned.taken;
		p.hash[lane] = h;
	}
}

// Each step looks eight bytes up in the table at once. The hits of a block are tested for together: there is one in a
// hundred blocks at most, and a lane can be rolled once more from the block's front.
__attribute__((target("avx512f"))) std::uint32_t roll_sixteen(positions& p, std::size_t blocks, std::uint64_t mask)
{
	auto const masks = _mm512_set1_epi64(static_cast<long long>(mask));
	auto const low_byte = _mm512_set1_epi64(0xff);
	auto const step = _mm512_set1_epi64(block_bytes);
	auto at0 = _mm512_loadu_si512(p.at), at1 = _mm512_loadu_si512(p.at + 8);
	auto h0 = _mm512_loadu_si512(p.hash), h1 = _mm512_loadu_si512(p.hash + 8);
	auto before0 = h0, before1 = h1;
	std::uint32_t hits = 0;
	for (std::size_t b = 0; b != blocks && hits == 0; ++b)
	{
		auto words0 = _mm512_i64gather_epi64(at0, nullptr, 1), words1 = _mm512_i64gather_epi64(at1, nullptr, 1);
		at0 = _mm512_add_epi64(at0, step);
		at1 = _mm512_add_epi64(at1, step);
		before0 = h0;
		before1 = h1;
		auto hit0 = __mmask8(0), hit1 = __mmask8(0);
#pragma GCC unroll 8
		for (std::size_t k = 0; k < block_bytes; ++k)
		{
			auto const added0 = _mm512_i64gather_epi64(_mm512_and_si512(words0, low_byte), gear_table.data(), 8);
			auto const added1 = _mm512_i64gather_epi64(_mm512_and_si512(words1, low_byte), gear_table.data(), 8);
			words0 = _mm512_srli_epi64(words0, 8);
			words1 = _mm512_srli_epi64(words1, 8);
			h0 = _mm512_add_epi64(_mm512_add_epi64(h0, h0), added0);
			h1 = _mm512_add_epi64(_mm512_add_epi64(h1, h1), added1);
			hit0 = __mmask8(hit0 | _mm512_testn_epi64_mask(h0, masks));
			hit1 = __mmask8(hit1 | _mm512_testn_epi64_mask(h1, masks));
		}
		// GCC 12 may leave rubbish above a mask's eight bits
		hits = (std::uint32_t(hit0) & 0xff) | (std::uint32_t(hit1) & 0xff) << 8;
	}
	_mm512_storeu_si512(p.at, at0);
	_mm512_storeu_si512(p.at + 8, at1);
	_mm512_storeu_si512(p.hash, h0);
	_mm512_storeu_si512(p.hash + 8, h1);
	if (hits != 0)
	{
		std::uint64_t before[wide_lanes];
		_mm512_storeu_si512(before, before0);
		_mm512_storeu_si512(before + 8, before1);
		go_back(p, hits, before, mask);
	}
	return hits;
}

#pragma GCC diagnostic pop

#endif

constexpr std::size_t race_lane_bytes = 2048;

// Nanoseconds per byte at its best of a few rounds.
double cost(roller const& r, bytes_view noise)
{
	double best = 1e9;
	for (int round = 0; round < 5; ++round)
	{
		positions p;
		for (std::size_t i = 0; i < r.lanes; ++i)
		{
			p.at[i] = noise.data() + i * race_lane_bytes;
			p.hash[i] = 0;
		}
		auto const start = std::chrono::steady_clock::now();
		// a mask that never triggers: the whole way, whoever runs
		r.roll(p, race_lane_bytes / block_bytes, ~std::uint64_t(0));
		std::chrono::duration<double, std::nano> const taken = std::chrono::steady_clock::now() - start;
		best = std::min(best, taken.count() / double(r.lanes * race_lane_bytes));
	}
	return best;
}

roller const& race()
{
	auto const* wide = wide_roller();
	if (wide == nullptr) return portable_roller();
	bytes noise(max_lanes * race_lane_bytes);
	std::uint64_t x = 1;
	for (auto& b : noise) b = std::uint8_t((x = roll(x, std::uint8_t(x >> 56))) >> 32);
	return cost(*wide, noise) < cost(portable_roller(), noise) ? *wide : portable_roller();
}

} // namespace

roller const& portable_roller()
{
	static constexpr roller r{portable_lanes, roll_four, 0};
	return r;
}

roller const* wide_roller()
{
#if UT_XET_WIDE_LANES
	// with shorter strips the lanes meet the true chunks too late
	static constexpr roller r{wide_lanes, roll_sixteen, wide_lanes * 32 * 1024};
	static bool const able = __builtin_cpu_supports("avx512f");
	return able ? &r : nullptr;
#else
	return nullptr;
#endif
}

roller const& fastest_roller()
{
	static roller const& fastest = race();
	return fastest;
}

} // namespace xet::gear
