#include "plugin/scheduler.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <set>

namespace ut_xet {
namespace {

using namespace std::chrono_literals;

xet::hash32 hash_of(std::uint32_t n)
{
	xet::hash32 h;
	std::memcpy(h.raw.data(), &n, sizeof n);
	h.raw[31] = 1;
	return h;
}

xet::hash32 const root = hash_of(0xffffffff);

std::vector<scheduler::want> wants(std::uint32_t n, std::uint32_t size = 1000)
{
	std::vector<scheduler::want> out;
	for (std::uint32_t i = 0; i < n; ++i) out.push_back({hash_of(i), size, i});
	return out;
}

xet::bytes bitmap(std::set<std::uint32_t> const& ordinals, std::uint32_t n)
{
	xet::bytes bits((n + 7) / 8, 0);
	for (auto const o : ordinals) bits[o / 8] |= std::uint8_t(0x80 >> (o % 8));
	return bits;
}

steady::time_point const start = steady::now();

TEST(scheduler, a_chunk_is_owned_by_one_request_at_a_time)
{
	scheduler s;
	s.set_content(root, wants(100));
	std::multiset<xet::hash32> asked;
	for (scheduler::peer_key p : {1u, 2u, 3u})
	{
		s.add_peer(p, 20, false);
		s.peer_has_all(p, root);
		for (auto const& h : s.pick(p, start)) asked.insert(h);
	}
	EXPECT_EQ(asked.size(), 60u);
	for (auto const& h : asked) EXPECT_EQ(asked.count(h), 1u);
}

TEST(scheduler, asks_only_for_what_the_peer_has_of_this_version)
{
	scheduler s;
	s.set_content(root, wants(40));
	s.add_peer(1, 100, false);
	EXPECT_TRUE(s.pick(1, start).empty());
	s.peer_has(1, hash_of(77), 0, bitmap({1, 2}, 40));
	EXPECT_TRUE(s.pick(1, start).empty()) << "another version";
	s.peer_has(1, root, 0, bitmap({3, 17, 39}, 40));
	auto const asked = s.pick(1, start);
	EXPECT_EQ(std::set(asked.begin(), asked.end()), (std::set{hash_of(3), hash_of(17), hash_of(39)}));
	s.peer_added(1, {hash_of(5)});
	EXPECT_EQ(s.pick(1, start), std::vector{hash_of(5)});
}

TEST(scheduler, what_was_said_before_the_version_was_known_counts)
{
	scheduler s;
	s.add_peer(1, 100, false);
	s.peer_has(1, root, 0, bitmap({3}, 10));
	s.peer_added(1, {hash_of(6)});
	s.set_content(root, wants(10));
	auto const asked = s.pick(1, start);
	EXPECT_EQ(std::set(asked.begin(), asked.end()), (std::set{hash_of(3), hash_of(6)}));
}

TEST(scheduler, the_window_is_bounded_in_bytes_and_comes_back_with_the_answer)
{
	scheduler s;
	s.set_content(root, wants(1000, 128 * 1024));
	s.add_peer(1, advertised_reqq, false);
	s.peer_has_all(1, root);
	auto const first = s.pick(1, start);
	EXPECT_EQ(std::int64_t(first.size()) * 128 * 1024, first_window_bytes);
	EXPECT_EQ(s.arrived(1, first[0], 128 * 1024, start), scheduler::verdict::wanted);
	EXPECT_TRUE(s.pick(1, start).empty()) << "the chunk is not stored yet";
	s.done(first[0]);
	EXPECT_EQ(s.pick(1, start).size(), 1u);
}

// How much is asked for at once, after a while with a link of that rate and delay.
std::int64_t window_with(double bytes_per_second, steady::duration delay)
{
	scheduler s;
	std::uint32_t const size = 16 * 1024;
	s.set_content(root, wants(100'000, size));
	s.add_peer(1, advertised_reqq, false);
	s.peer_has_all(1, root);
	std::deque<std::pair<steady::time_point, xet::hash32>> on_the_way;
	auto const chunk_takes = std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(size / bytes_per_second));
	auto now = start, link_free = start;
	for (int i = 0; i < 5000; ++i)
	{
		for (auto const& h : s.pick(1, now))
		{
			link_free = std::max(link_free, now) + chunk_takes;
			on_the_way.emplace_back(link_free + delay, h);
		}
		now = std::max(now, on_the_way.front().first);
		s.arrived(1, on_the_way.front().second, size, now);
		s.done(on_the_way.front().second);
		on_the_way.pop_front();
	}
	return std::int64_t(s.outstanding(1)) * size;
}

TEST(scheduler, the_window_follows_the_link)
{
	EXPECT_GE(window_with(12.5e6, 100ms), 1'250'000) << "100 Mbit/s, 100 ms";
	EXPECT_LE(window_with(12.5e6, 0ms), near_window_bytes);
	EXPECT_LE(window_with(1e5, 10ms), min_window_bytes + 16 * 1024) << "a slow peer is asked for little";
	EXPECT_LE(window_with(1e9, 500ms), max_window_bytes + 16 * 1024);
}

TEST(scheduler, a_bitmap_may_begin_anywhere)
{
	scheduler s;
	s.set_content(root, wants(40));
	s.add_peer(1, 100, false);
	s.peer_has(1, root, 5, bitmap({0, 8, 12}, 16));
	auto const asked = s.pick(1, start);
	EXPECT_EQ(std::set(asked.begin(), asked.end()), (std::set{hash_of(5), hash_of(13), hash_of(17)}));
}

TEST(scheduler, data_nobody_asked_for_is_told_apart)
{
	scheduler s;
	s.set_content(root, wants(10));
	s.add_peer(1, 5, false);
	s.peer_has_all(1, root);
	EXPECT_EQ(s.arrived(1, hash_of(0), 1000, start), scheduler::verdict::unasked);
	auto const asked = s.pick(1, start);
	EXPECT_EQ(s.arrived(1, asked[0], 1000, start), scheduler::verdict::wanted);
	s.done(asked[0]);
	EXPECT_EQ(s.arrived(1, asked[0], 1000, start), scheduler::verdict::unasked) << "the second time";
}

TEST(scheduler, a_leaving_peers_chunks_go_to_others)
{
	scheduler s;
	s.set_content(root, wants(10));
	s.add_peer(1, 100, false);
	s.peer_has_all(1, root);
	EXPECT_EQ(s.pick(1, start).size(), 10u);
	s.add_peer(2, 100, false);
	s.peer_has_all(2, root);
	EXPECT_TRUE(s.pick(2, start).empty());
	s.remove_peer(1);
	EXPECT_EQ(s.pick(2, start).size(), 10u);
}

TEST(scheduler, a_peer_that_lacks_a_chunk_is_not_asked_again)
{
	scheduler s;
	s.set_content(root, wants(1));
	s.add_peer(1, 100, true);
	ASSERT_EQ(s.pick(1, start).size(), 1u);
	s.peer_lacks(1, hash_of(0));
	EXPECT_TRUE(s.pick(1, start).empty());
	s.add_peer(2, 100, true);
	EXPECT_EQ(s.pick(2, start).size(), 1u);
}

TEST(scheduler, a_chunk_that_failed_is_wanted_again)
{
	scheduler s;
	s.set_content(root, wants(1));
	s.add_peer(1, 100, false);
	s.peer_has_all(1, root);
	auto const asked = s.pick(1, start);
	s.arrived(1, asked[0], 1000, start);
	s.failed(asked[0]);
	EXPECT_EQ(s.pick(1, start), asked);
	s.arrived(1, asked[0], 1000, start);
	s.done(asked[0]);
	EXPECT_TRUE(s.idle());
	EXPECT_EQ(s.outstanding(1), 0u);
}

TEST(scheduler, the_last_chunks_are_asked_of_a_second_peer)
{
	scheduler s;
	s.set_content(root, wants(3));
	for (scheduler::peer_key p : {1u, 2u})
	{
		s.add_peer(p, 100, false);
		s.peer_has_all(p, root);
	}
	EXPECT_EQ(s.pick(1, start).size(), 3u);
	EXPECT_TRUE(s.pick(2, start).empty()) << "not at once";
	s.expire(start + endgame_after);
	EXPECT_EQ(s.pick(2, start + endgame_after + 1ms).size(), 3u);
	EXPECT_EQ(s.arrived(2, hash_of(0), 1000, start), scheduler::verdict::wanted);
	s.done(hash_of(0));
	EXPECT_EQ(s.arrived(1, hash_of(0), 1000, start), scheduler::verdict::duplicate);
}

TEST(scheduler, a_silent_peer_is_passed_over_and_may_come_back)
{
	scheduler s;
	s.set_content(root, wants(200));
	s.add_peer(1, 100, false);
	s.peer_has_all(1, root);
	auto const asked = s.pick(1, start);
	ASSERT_EQ(asked.size(), 100u);
	EXPECT_FALSE(s.expire(start + snub_after - 1s));
	EXPECT_TRUE(s.expire(start + snub_after));
	s.add_peer(2, 300, false);
	s.peer_has_all(2, root);
	EXPECT_EQ(s.pick(2, start + snub_after).size(), 200u);
	EXPECT_TRUE(s.pick(1, start + snub_after).empty());
	EXPECT_NE(s.arrived(1, asked[0], 1000, start + snub_after), scheduler::verdict::unasked) << "late is no crime";
}

TEST(scheduler, the_publisher_is_asked_for_what_others_lack)
{
	scheduler s;
	s.set_content(root, wants(100));
	s.add_peer(1, 200, false, true);
	s.peer_has_all(1, root);
	s.add_peer(2, 200, false);
	std::set<std::uint32_t> half;
	for (std::uint32_t i = 0; i < 50; ++i) half.insert(i);
	s.peer_has(2, root, 0, bitmap(half, 100));
	auto const now = steady::now();
	auto const of_publisher = s.pick(1, now);
	EXPECT_EQ(of_publisher.size(), 50u);
	for (auto const& h : of_publisher)
	{
		std::uint32_t n;
		std::memcpy(&n, h.raw.data(), sizeof n);
		EXPECT_GE(n, 50u);
	}
	EXPECT_EQ(s.pick(2, now).size(), 50u);
}

TEST(scheduler, the_publisher_helps_when_others_send_nothing)
{
	scheduler s;
	s.set_content(root, wants(100));
	s.add_peer(1, 200, false, true);
	s.peer_has_all(1, root);
	s.add_peer(2, 10, false);
	s.peer_has_all(2, root);
	EXPECT_TRUE(s.pick(1, steady::now()).empty());
	EXPECT_EQ(s.pick(2, steady::now()).size(), 10u);
	s.expire(steady::now());
	EXPECT_EQ(s.pick(1, steady::now() + 3s).size(), 90u);
}

TEST(scheduler, a_referral_is_followed_for_a_moment_and_then_the_publisher_is_asked_again)
{
	scheduler s;
	s.set_content(root, wants(2));
	s.add_peer(1, 200, false, true);
	s.peer_has_all(1, root);
	auto const now = steady::now() + 10s;  // nobody else offered anything lately
	ASSERT_EQ(s.pick(1, now).size(), 2u);
	s.peer_refers(1, hash_of(0), now);
	EXPECT_TRUE(s.pick(1, now).empty());
	s.expire(now + 1s);
	EXPECT_TRUE(s.pick(1, now + 1s).empty());
	s.expire(now + 3s);
	EXPECT_EQ(s.pick(1, now + 3s), std::vector{hash_of(0)});
	// a second time nobody is waited for
	s.peer_refers(1, hash_of(0), now + 3s);
	EXPECT_EQ(s.pick(1, now + 3s), std::vector{hash_of(0)});
}

TEST(scheduler, metadata_goes_first_and_a_new_version_keeps_what_is_on_its_way)
{
	scheduler s;
	s.set_content(root, wants(5));
	s.set_metadata(root, {{hash_of(1000), 10}});
	s.add_peer(1, 3, false);
	s.peer_has_all(1, root);
	auto const asked = s.pick(1, start);
	ASSERT_EQ(asked.size(), 3u);
	EXPECT_EQ(asked[0], hash_of(1000));
	auto const next = hash_of(0xeeeeeeee);
	s.peer_has_all(1, next);
	s.set_content(next, wants(5));
	s.add_peer(2, 100, false);
	s.peer_has_all(2, next);
	EXPECT_EQ(s.pick(2, start).size(), 3u) << "the other two are on their way from peer 1";
}

TEST(scheduler, a_hundred_thousand_chunks_are_handed_out_in_small_steps)
{
	scheduler s;
	std::uint32_t const n = 100'000;
	s.set_content(root, wants(n, 100));
	s.add_peer(1, advertised_reqq, false);
	s.peer_has_all(1, root);
	s.add_peer(2, advertised_reqq, false);
	s.peer_has(2, root, 0, bitmap({n - 1}, n));  // has only the last one: found although the search is bounded
	std::size_t got = 0;
	bool found = false;
	for (int round = 0; round < 1000 && !s.idle(); ++round)
	{
		auto const now = start + round * 1ms;
		for (auto const& h : s.pick(2, now)) found = h == hash_of(n - 1);
		for (auto const& h : s.pick(1, now))
		{
			s.arrived(1, h, 100, now);
			s.done(h);
			++got;
		}
		if (found) break;
	}
	EXPECT_TRUE(found);
	EXPECT_GT(got, 0u);
}

} // namespace
} // namespace ut_xet
