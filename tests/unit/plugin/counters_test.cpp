#include "plugin/counters.hpp"

#include <gtest/gtest.h>

namespace ut_xet {
namespace {

using namespace std::chrono_literals;

TEST(duration_histogram, quantiles_are_right_to_an_eighth)
{
	duration_histogram h;
	EXPECT_EQ(h.quantile_us(0.5), 0);
	for (int i = 1; i <= 1000; ++i) h.add(std::chrono::microseconds(i));
	EXPECT_NEAR(h.quantile_us(0.5), 500, 500 / 8);
	EXPECT_NEAR(h.quantile_us(0.999), 999, 999 / 8);
	EXPECT_EQ(h.max_us(), 1000);
	EXPECT_EQ(h.quantile_us(1), 1000) << "never more than the longest";
}

TEST(duration_histogram, takes_anything)
{
	duration_histogram h;
	h.add(-1ns);
	h.add(0ns);
	h.add(7ns);
	h.add(std::chrono::nanoseconds::max());
	EXPECT_EQ(h.quantile_us(0.25), 0);
	EXPECT_NEAR(h.quantile_us(0.75), 0.007, 0.001);
	EXPECT_GT(h.quantile_us(1), 9e15);
}

} // namespace
} // namespace ut_xet
