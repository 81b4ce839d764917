// The disk that the store's crash tests stand on: that it forgets and fails as it says it does.
#include "tests/support/every_fault.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <thread>

using namespace xet;
using namespace ut_xet_test;

namespace {

constexpr std::uint64_t sector = disk_image::sector_bytes;

std::unique_ptr<file> must_open(faulty_disk& disk, char const* path, open_mode mode = open_mode::read_write)
{
	auto f = disk.open(path, mode);
	if (!f) throw std::runtime_error(f.error().message);
	return std::move(*f);
}

// a file of zeros under a durable name
void put(faulty_disk& disk, char const* path, std::size_t size)
{
	ASSERT_TRUE(must_open(disk, path)->write_at(0, zeros(size)));
	disk.settle();
}

std::string text_in(faulty_disk const& disk, char const* path) { return std::string(as_text(disk.content(path))); }

TEST(faulty_disk, forgets_what_was_not_synced)
{
	faulty_disk disk;
	auto f = must_open(disk, "/a");
	ASSERT_TRUE(f->write_at(0, as_bytes("first")));
	ASSERT_TRUE(f->sync());
	ASSERT_TRUE(disk.sync_dir("/"));
	ASSERT_TRUE(f->write_at(5, as_bytes(" second")));
	EXPECT_EQ(text_in(disk, "/a"), "first second");
	disk.power_cut(cut::synced_only, 1);
	EXPECT_EQ(text_in(disk, "/a"), "first");
	EXPECT_FALSE(f->write_at(0, as_bytes("x")));
	EXPECT_FALSE(f->size());
	EXPECT_EQ(text_in(disk, "/a"), "first");
}

TEST(faulty_disk, a_kill_forgets_nothing_but_makes_nothing_durable)
{
	faulty_disk disk;
	ASSERT_TRUE(must_open(disk, "/a")->write_at(0, as_bytes("x")));
	disk.power_cut(cut::kill, 1);
	EXPECT_EQ(text_in(disk, "/a"), "x");
	disk.power_cut(cut::synced_only, 1);
	EXPECT_FALSE(disk.exists("/a"));
}

TEST(faulty_disk, a_name_needs_its_directory_synced)
{
	faulty_disk disk;
	ASSERT_TRUE(disk.make_dirs("/d/e"));
	auto f = must_open(disk, "/d/e/a");
	ASSERT_TRUE(f->write_at(0, as_bytes("x")));
	ASSERT_TRUE(f->sync());
	ASSERT_TRUE(disk.sync_dir("/d/e"));
	disk.power_cut(cut::kill, 1);
	ASSERT_TRUE(disk.sync_dir("/"));
	ASSERT_TRUE(disk.sync_dir("/d"));
	disk.power_cut(cut::synced_only, 1);
	EXPECT_EQ(text_in(disk, "/d/e/a"), "x");

	ASSERT_TRUE(disk.rename("/d/e/a", "/d/e/b"));
	disk.power_cut(cut::synced_only, 1);
	EXPECT_TRUE(disk.exists("/d/e/a"));
	EXPECT_FALSE(disk.exists("/d/e/b"));

	ASSERT_TRUE(disk.remove("/d/e/a"));
	disk.power_cut(cut::synced_only, 1);
	EXPECT_TRUE(disk.exists("/d/e/a"));
}

TEST(faulty_disk, a_rename_is_whole_whatever_survives)
{
	std::set<std::string> seen;
	for (std::uint64_t seed = 0; seed < 60; ++seed)
	{
		faulty_disk disk(seed);
		ASSERT_TRUE(disk.make_dirs("/from"));
		ASSERT_TRUE(disk.make_dirs("/to"));
		ASSERT_TRUE(write_durably(disk, "/to/x", as_bytes("old")));
		ASSERT_TRUE(write_durably(disk, "/from/x", as_bytes("new")));
		disk.settle();
		ASSERT_TRUE(disk.rename("/from/x", "/to/x"));
		bool const synced = seed % 3 == 0 && disk.sync_dir("/from");
		disk.power_cut(seed % 2 ? cut::prefix : cut::subset, seed);
		EXPECT_EQ(disk.exists("/from/x"), text_in(disk, "/to/x") == "old") << seed;
		EXPECT_TRUE(!synced || text_in(disk, "/to/x") == "new") << seed;
		seen.insert(text_in(disk, "/to/x"));
	}
	EXPECT_EQ(seen, (std::set<std::string>{"old", "new"}));
}

TEST(faulty_disk, writes_tear_at_sectors)
{
	bool torn = false, whole = false, lost = false, as_zeros = false;
	for (std::uint64_t seed = 0; seed < 200; ++seed)
	{
		faulty_disk disk(seed);
		put(disk, "/a", 100);
		bytes const ones(5 * sector, 1);
		ASSERT_TRUE(must_open(disk, "/a")->write_at(100, ones));
		disk.power_cut(seed % 2 ? cut::prefix : cut::subset, seed);
		auto const left = disk.content("/a");
		ASSERT_EQ(left.size() >= 100 && left.size() <= 100 + ones.size(), true);
		bool some = false;
		for (std::size_t i = 100; i < left.size(); ++i)
		{
			ASSERT_TRUE(i == 100 || i % sector == 0 || left[i] == left[i - 1]) << "seed " << seed << " offset " << i;
			some |= left[i] == 1;
		}
		auto const kept = std::count(left.begin(), left.end(), 1);
		lost |= left.size() == 100;
		as_zeros |= left.size() == 100 + ones.size() && !some;
		whole |= kept == std::ptrdiff_t(ones.size());
		torn |= kept != 0 && kept < std::ptrdiff_t(ones.size());
	}
	EXPECT_TRUE(torn && whole && lost && as_zeros);
}

TEST(faulty_disk, later_writes_may_survive_earlier_ones_in_a_subset_only)
{
	for (auto const mode : {cut::prefix, cut::subset})
	{
		bool overtaken = false;
		for (std::uint64_t seed = 0; seed < 100; ++seed)
		{
			faulty_disk disk;
			put(disk, "/a", 2);
			auto const f = must_open(disk, "/a");
			ASSERT_TRUE(f->write_at(0, as_bytes("x")));
			ASSERT_TRUE(f->write_at(1, as_bytes("x")));
			disk.power_cut(mode, seed);
			overtaken |= disk.content("/a") == bytes{0, 'x'};
		}
		EXPECT_EQ(overtaken, mode == cut::subset);
	}
}

TEST(faulty_disk, a_failed_sync_is_not_made_good_by_the_next)
{
	bool kept = false, lost = false;
	for (std::uint64_t seed = 0; seed < 40; ++seed)
	{
		faulty_disk disk(seed);
		put(disk, "/a", 2);
		auto const f = must_open(disk, "/a");
		ASSERT_TRUE(f->write_at(0, as_bytes("x")));
		disk.fail_at(disk.operations(), errc::io);
		auto const failed = f->sync();
		ASSERT_FALSE(failed);
		EXPECT_EQ(failed.error().code, errc::io);
		EXPECT_EQ(disk.content("/a"), (bytes{'x', 0})) << "still in the page cache";
		ASSERT_TRUE(f->write_at(1, as_bytes("y")));
		ASSERT_TRUE(f->sync());
		disk.power_cut(cut::synced_only, seed);
		ASSERT_EQ(disk.content("/a").at(1), 'y');
		(disk.content("/a").at(0) == 'x' ? kept : lost) = true;
	}
	EXPECT_TRUE(kept && lost);
}

// each kind of operation once; the errors come back by operation number
std::vector<errc> tiny_workload(faulty_disk& disk)
{
	std::vector<errc> errors;
	auto note = [&](auto const& r) { errors.push_back(r ? errc{} : r.error().code); };
	std::uint8_t buffer[4];
	note(disk.make_dirs("/d"));
	auto f = disk.open("/d/a", open_mode::create);
	note(f);
	note(f ? (*f)->write_at(0, as_bytes("content")) : result<>{});
	note(f ? (*f)->truncate(4) : result<>{});
	note(f ? (*f)->sync() : result<>{});
	note(f ? (*f)->size() : result<std::uint64_t>{});
	note(f ? (*f)->read_at(0, buffer) : result<std::size_t>{});
	note(disk.rename("/d/a", "/d/b"));
	note(disk.sync_dir("/d"));
	note(disk.list("/d"));
	note(disk.free_bytes("/d"));
	note(disk.lock("/d/b"));
	note(disk.remove("/d/b"));
	return errors;
}

TEST(faulty_disk, a_fault_strikes_each_operation)
{
	faulty_disk healthy;
	auto const no_errors = tiny_workload(healthy);
	EXPECT_EQ(std::count(no_errors.begin(), no_errors.end(), errc{}), 13);
	EXPECT_EQ(healthy.operations(), 13u);
	for (std::uint64_t n = 0; n < 13; ++n)
	{
		faulty_disk once(n), crashed(n), full(n);
		once.fail_at(n, errc::io);
		EXPECT_EQ(tiny_workload(once)[n], errc::io) << once.log();
		EXPECT_TRUE(once.struck());
		EXPECT_NE(once.log().find("#" + std::to_string(n) + " "), std::string::npos);
		EXPECT_NE(once.log().find("FAULT"), std::string::npos);

		crashed.crash_at(n);
		auto const errors = tiny_workload(crashed);
		EXPECT_EQ(errors[n], errc::io);
		EXPECT_EQ(errors.back(), errc::io);
		crashed.power_cut(cut::subset, n);
		EXPECT_TRUE(crashed.make_dirs("/alive"));

		full.fail_at(n, errc::no_space, faulty_disk::lasting::from_then_on);
		auto const full_errors = tiny_workload(full);
		bool const needs_space = n != 5 && n != 6 && n != 9 && n != 10 && n != 11 && n != 12;
		EXPECT_EQ(full_errors[n], needs_space ? errc::no_space : errc{}) << full.log();
	}
}

TEST(faulty_disk, a_failing_write_may_have_begun)
{
	std::set<std::size_t> lengths;
	for (std::uint64_t seed = 0; seed < 20; ++seed)
	{
		faulty_disk disk(seed);
		auto const f = must_open(disk, "/a");
		disk.fail_at(disk.operations(), errc::no_space);
		EXPECT_EQ(f->write_at(0, zeros(10)).error().code, errc::no_space);
		lengths.insert(disk.content("/a").size());
	}
	EXPECT_GT(lengths.size(), 3u);
}

TEST(faulty_disk, is_full_when_it_is_full)
{
	faulty_disk disk;
	disk.set_capacity(1000);
	auto const f = must_open(disk, "/a");
	ASSERT_TRUE(f->write_at(0, zeros(900)));
	EXPECT_EQ(disk.free_bytes("/"), 100u);
	EXPECT_EQ(f->write_at(900, zeros(101)).error().code, errc::no_space);
	EXPECT_EQ(f->truncate(1001).error().code, errc::no_space);
	ASSERT_TRUE(f->write_at(0, zeros(1000)));
	EXPECT_EQ(must_open(disk, "/b")->write_at(0, zeros(1)).error().code, errc::no_space);
	ASSERT_TRUE(disk.remove("/a"));
	EXPECT_EQ(disk.free_bytes("/"), 1000u);
}

TEST(faulty_disk, refuses_as_the_system_does)
{
	faulty_disk disk;
	EXPECT_EQ(disk.open("/a", open_mode::read).error().code, errc::not_found);
	EXPECT_EQ(disk.open("/d/a", open_mode::read_write).error().code, errc::not_found);
	put(disk, "/a", 1);
	EXPECT_EQ(disk.open("/a", open_mode::create).error().code, errc::io);
	EXPECT_EQ(must_open(disk, "/a", open_mode::read)->write_at(0, zeros(1)).error().code, errc::io);
	EXPECT_EQ(disk.remove("/b").error().code, errc::not_found);
	EXPECT_EQ(disk.rename("/b", "/c").error().code, errc::not_found);
	EXPECT_EQ(disk.sync_dir("/d").error().code, errc::not_found);
	EXPECT_EQ(disk.list("/d")->size(), 0u);
	auto const names = disk.list("/");
	ASSERT_EQ(names->size(), 1u);
	EXPECT_EQ(names->front().name, "a");
	EXPECT_EQ(names->front().size, 1u);
	EXPECT_EQ(names->front().modified_seconds, 1'000'000'000);
}

TEST(faulty_disk, a_lock_ends_with_its_holder_or_a_cut)
{
	faulty_disk disk;
	auto held = disk.lock("/lock");
	ASSERT_TRUE(held);
	EXPECT_EQ(disk.lock("/lock").error().code, errc::refused);
	held->reset();
	held = disk.lock("/lock");
	ASSERT_TRUE(held);
	disk.power_cut(cut::kill, 1);
	EXPECT_TRUE(disk.lock("/lock"));
}

TEST(faulty_disk, serves_many_threads)
{
	faulty_disk disk;
	std::vector<std::jthread> threads;
	for (int i = 0; i < 4; ++i)
		threads.emplace_back([&disk, i]
		{
			auto const name = "/" + std::to_string(i);
			auto const f = must_open(disk, name.c_str());
			for (std::uint64_t at = 0; at < 100; ++at) EXPECT_TRUE(f->write_at(at, as_bytes("x")) && f->sync() && disk.sync_dir("/"));
		});
	threads.clear();
	EXPECT_EQ(disk.operations(), 4u * 301u);
	disk.power_cut(cut::synced_only, 1);
	EXPECT_EQ(disk.content("/3").size(), 100u);
}

// The loop finds a writer that forgets one sync, and passes one that does not.
result<> write_carelessly(faulty_disk& disk)
{
	{
		auto f = disk.open("/new", open_mode::read_write);
		if (!f) return tl::unexpected(f.error());
		if (auto done = (*f)->write_at(0, zeros(2000)); !done) return done;
	}
	if (auto done = disk.rename("/new", "/a"); !done) return done;
	return disk.sync_dir("/");
}

testing::AssertionResult whole_if(bool said_so, faulty_disk const& disk)
{
	auto const size = disk.content("/a").size();
	if (size == 2000 || (size == 0 && !disk.exists("/a") && !said_so)) return testing::AssertionSuccess();
	return testing::AssertionFailure() << "/a has " << size << " bytes";
}

TEST(every_fault, finds_the_sync_that_is_not_there)
{
	auto verify = [](faulty_disk& disk, bool said_so) { return whole_if(said_so, disk); };
	auto const careless = for_every_fault([](faulty_disk& disk) { return write_carelessly(disk).has_value(); }, verify);
	EXPECT_FALSE(careless);
	EXPECT_NE(std::string(careless.message()).find("cut "), std::string::npos) << careless.message();
	EXPECT_NE(std::string(careless.message()).find("rename /new to /a"), std::string::npos) << careless.message();
	EXPECT_TRUE(for_every_fault([](faulty_disk& disk) { return write_durably(disk, "/a", zeros(2000)).has_value(); }, verify));
}

} // namespace
