// Every fast path against the rule as it reads, on data chosen to hurt.

#include "tests/unit/xet/naive_chunker.hpp"
#include "xet/cut_finder.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

// Feeds data in parts of random sizes, carrying the unfinished chunk over as a reader of a file does.
std::vector<std::uint32_t> lengths_by_parts(bytes_view data, chunking const& c, std::size_t smallest, std::size_t largest,
											random_source& random, gear::roller const& how)
{
	cut_finder finder(c, how);
	std::vector<std::uint32_t> lengths;
	std::size_t start = 0, read = 0;
	while (read < data.size())
	{
		std::size_t const clean = read - start;
		read = std::min(data.size(), read + random.between(smallest, largest));
		std::size_t const before = lengths.size();
		auto const covered = finder.find(data.subspan(start, read - start), clean, lengths);
		std::size_t sum = 0;
		for (std::size_t i = before; i < lengths.size(); ++i) sum += lengths[i];
		EXPECT_EQ(sum, covered);
		start += covered;
		EXPECT_LT(read - start, c.max_bytes);
	}
	if (start < data.size()) lengths.push_back(std::uint32_t(data.size() - start));
	return lengths;
}

void expect_the_rule(bytes_view data, chunking const& c, random_source& random)
{
	auto const expected = naive_lengths(data, c);
	EXPECT_EQ(chunk_lengths(data, c), expected);
	for (auto const* how : {&gear::portable_roller(), gear::wide_roller()})
	{
		if (how == nullptr) continue;
		auto greedy = *how;
		greedy.min_bytes = 0;  // even where it does not pay
		SCOPED_TRACE(greedy.lanes);
		EXPECT_EQ(lengths_by_parts(data, c, 1, 20'000, random, greedy), expected);
		EXPECT_EQ(lengths_by_parts(data, c, 100'000, 1'000'000, random, greedy), expected);
		EXPECT_EQ(lengths_by_parts(data, c, 1'000'000, 3'000'000, random, *how), expected);
	}
}

// 64 bytes after which the hash triggers for any target up to 64 KiB, wherever they stand.
bytes trigger()
{
	chunking const c{.target_bytes = 65536};
	random_source random(99);
	for (;;)
	{
		auto const candidate = splitmix(random.next(), 4096);
		auto const table = load_gear_table();
		std::uint64_t h = 0;
		for (std::size_t i = 0; i < candidate.size(); ++i)
		{
			h = (h << 1) + table[candidate[i]];
			if (i >= 63 && (h & c.mask()) == 0) return {candidate.begin() + long(i) - 63, candidate.begin() + long(i) + 1};
		}
	}
}

} // namespace

TEST(cut_finder, random_data_of_any_size)
{
	auto const data = splitmix(21, 3'000'000);
	random_source random(22);
	for (std::uint32_t const target : {8192u, 16384u, 32768u, 65536u})
		for (int i = 0; i < 12; ++i)
		{
			auto const size = random.between(0, i < 6 ? 300'000 : data.size());
			SCOPED_TRACE(cat(size, " bytes, target ", target));
			expect_the_rule(bytes_view(data).last(size), {.target_bytes = target}, random);
		}
}

TEST(cut_finder, constant_bytes)
{
	random_source random(23);
	for (unsigned const value : {0u, 1u, 59u, 127u, 128u, 200u, 255u})
	{
		SCOPED_TRACE(value);
		expect_the_rule(bytes(1'234'567, std::uint8_t(value)), {}, random);
	}
}

TEST(cut_finder, periodic_data)
{
	random_source random(24);
	auto const noise = splitmix(25, 300'000);
	for (std::size_t const period : {2u, 3u, 63u, 64u, 65u, 1000u, 8191u, 8192u, 8193u, 16384u, 131071u, 131072u, 131073u})
	{
		SCOPED_TRACE(period);
		auto const data = repeated(bytes_view(noise).first(period), 1'500'000);
		expect_the_rule(data, {}, random);
		expect_the_rule(data, {.target_bytes = 65536}, random);
	}
}

TEST(cut_finder, dense_triggers)
{
	auto const once = trigger();
	random_source random(26);
	// quiet bytes between two triggers: from back to back to just around the minimum and the maximum
	for (std::size_t const gap : {0u, 1u, 7u, 64u, 500u, 8000u, 8127u, 8128u, 8129u, 70'000u, 131'007u, 131'008u, 131'009u})
	{
		SCOPED_TRACE(gap);
		auto period = once;
		period.resize(once.size() + gap, 0);
		auto const data = repeated(period, 1'300'000);
		ASSERT_GT(naive_lengths(data, {}).size(), 9u);
		expect_the_rule(data, {}, random);
		expect_the_rule(data, {.target_bytes = 65536}, random);
	}
}

TEST(cut_finder, triggers_at_random_places)
{
	auto const once = trigger();
	random_source random(27);
	for (std::size_t const mean_gap : {300u, 4000u, 20'000u, 100'000u, 300'000u})
	{
		SCOPED_TRACE(mean_gap);
		auto data = zeros(2'000'000);
		for (std::size_t at = 0; at + once.size() < data.size(); at += once.size() + random.between(0, 2 * mean_gap))
			std::copy(once.begin(), once.end(), data.begin() + long(at));
		expect_the_rule(data, {}, random);
		expect_the_rule(data, {.target_bytes = 65536}, random);
	}
}

TEST(cut_finder, sizes_around_every_edge)
{
	auto const noise = splitmix(28, 1'200'000);
	auto const quiet = zeros(1'200'000);
	random_source random(29);
	for (std::size_t const edge : {1u, 64u, 2048u, 8192u, 16384u, 131072u, 139264u, 262144u, 1048576u})
		for (int const by : {-1, 0, 1})
		{
			auto const size = edge + std::size_t(by);
			SCOPED_TRACE(size);
			expect_the_rule(bytes_view(noise).first(size), {}, random);
			expect_the_rule(bytes_view(quiet).first(size), {}, random);
		}
}

TEST(cut_finder, narrow_and_small_limits)
{
	auto const noise = splitmix(30, 400'000);
	random_source random(31);
	for (std::uint32_t const min : {1u, 63u, 64u, 65u, 72u, 200u, 1000u})
		for (std::uint32_t const max : {1000u, 1001u, 2000u, 60'000u})
			for (std::uint32_t const target : {2u, 16u, 256u, 16384u})
			{
				SCOPED_TRACE(cat(min, " … ", max, ", target ", target));
				expect_the_rule(noise, {min, target, max}, random);
			}
}

TEST(cut_finder, a_change_of_kind_inside_the_data)
{
	random_source random(32);
	for (int round = 0; round < 8; ++round)
	{
		bytes data;
		while (data.size() < 2'500'000)
		{
			auto const size = random.between(1, 400'000);
			switch (random.between(0, 3))
			{
			case 0: append(data, zeros(size)); break;
			case 1: append(data, splitmix(random.next(), size)); break;
			case 2: append(data, text(size)); break;
			default: append(data, repeated(splitmix(random.next(), random.between(1, 300)), size)); break;
			}
		}
		SCOPED_TRACE(round);
		expect_the_rule(data, {}, random);
		expect_the_rule(data, {.target_bytes = 65536}, random);
	}
}
