// SQLite on the disk that fails: what its promises are worth there, and so that the VFS keeps its own.
#include "tests/support/every_fault.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>
#include <set>
#include <sqlite3.h>

using namespace ut_xet_test;

namespace {

constexpr int transactions = 30;
constexpr char const* path = "/db/index";

SQLite::Database open_database(faulty_disk& disk, char const* synchronous = "FULL")
{
	SQLite::Database db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 0, disk.sqlite_vfs());
	// small pages and a short log, so that a short run has checkpoints
	db.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=12");
	db.exec(std::string("PRAGMA synchronous=") + synchronous);
	db.exec("CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v BLOB NOT NULL)");
	return db;
}

struct manner
{
	char const* synchronous = "FULL";
	// SQLite overlooks a failure to make the name of a new log durable
	bool syncs_names = true;
	bool dies_at_the_end = false;
};

struct acknowledged
{
	std::set<int> committed, attempted;
};

void run_transactions(faulty_disk& disk, int from, int to, manner const& how, acknowledged& done)
{
	try
	{
		auto db = open_database(disk, how.synchronous);
		if (how.syncs_names && !disk.sync_dir("/db")) return;
		for (int k = from; k < to; ++k)
		{
			done.attempted.insert(k);
			try
			{
				SQLite::Transaction transaction(db);
				SQLite::Statement insert(db, "INSERT INTO t VALUES(?, randomblob(?))");
				insert.bind(1, k);
				insert.bind(2, 100 + k * 37 % 700);
				insert.exec();
				transaction.commit();
				done.committed.insert(k);
			}
			catch (SQLite::Exception const&)
			{
				// not acknowledged; the next one may fare better
			}
		}
		if (how.dies_at_the_end) disk.crash_at(disk.operations());
	}
	catch (std::exception const&)
	{
		// it does not open: nothing more is acknowledged
	}
}

// two sessions, so that a log is checkpointed, removed and begun anew
acknowledged run_two_sessions(faulty_disk& disk, manner const& how)
{
	acknowledged done;
	run_transactions(disk, 0, transactions / 2, how, done);
	run_transactions(disk, transactions / 2, transactions, how, done);
	return done;
}

testing::AssertionResult verify(faulty_disk& disk, acknowledged const& done)
{
	auto db = open_database(disk);
	if (auto const verdict = db.execAndGet("PRAGMA integrity_check").getString(); verdict != "ok")
		return testing::AssertionFailure() << "integrity_check: " << verdict;
	std::set<int> present;
	SQLite::Statement rows(db, "SELECT k FROM t");
	while (rows.executeStep()) present.insert(rows.getColumn(0).getInt());
	unsigned unacknowledged = 0;
	for (int k = 0; k < transactions; ++k)
	{
		if (done.committed.contains(k) && !present.contains(k)) return testing::AssertionFailure() << "transaction " << k << " is lost";
		if (done.committed.contains(k) || !present.contains(k)) continue;
		if (!done.attempted.contains(k)) return testing::AssertionFailure() << "nobody wrote " << k;
		++unacknowledged;
	}
	if (unacknowledged > 1) return testing::AssertionFailure() << unacknowledged << " transactions that were not acknowledged";
	return testing::AssertionSuccess();
}

fault_options options_for(fault_kind kind)
{
	fault_options o;
	o.kinds = {kind};
	o.tries_per_cut = 1;
	o.prepare = [](faulty_disk& disk) { ASSERT_TRUE(disk.make_dirs("/db")); };
	o.recover = [](faulty_disk& disk)
	{
		try
		{
			open_database(disk);
		}
		catch (std::exception const&)
		{
			// it was cut off
		}
	};
	return o;
}

testing::AssertionResult try_out(manner const& how, fault_kind kind)
{
	return for_every_fault([&](faulty_disk& disk) { return run_two_sessions(disk, how); }, verify, options_for(kind));
}

class faulty_sqlite : public testing::TestWithParam<fault_kind>
{
};

TEST_P(faulty_sqlite, keeps_what_it_acknowledged)
{
	EXPECT_TRUE(try_out({}, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(every, faulty_sqlite, testing::ValuesIn(fault_options().kinds),
	[](auto const& kind) { return name_of(kind.param); });

// That the disk is hard enough: what is known to be unsafe does not pass.
TEST(faulty_sqlite_unsafe, loses_what_is_not_synced)
{
	EXPECT_FALSE(try_out({.synchronous = "NORMAL"}, fault_kind::crash));
	EXPECT_FALSE(try_out({.synchronous = "OFF"}, fault_kind::crash));
}

TEST(faulty_sqlite_unsafe, loses_a_log_whose_name_could_not_be_synced)
{
	for (bool const syncs_names : {false, true})
	{
		unsigned losses = 0;
		for (std::uint64_t n = 0; n < 100; ++n)
		{
			faulty_disk disk(n);
			ASSERT_TRUE(disk.make_dirs("/db"));
			disk.settle();
			disk.fail_at(n, xet::errc::io);
			acknowledged done;
			run_transactions(disk, 0, 3, {.syncs_names = syncs_names, .dies_at_the_end = true}, done);
			disk.power_cut(cut::synced_only, n);
			if (!verify(disk, done)) ++losses;
		}
		EXPECT_EQ(losses != 0, !syncs_names);
	}
}

TEST(faulty_sqlite_replay, is_exact)
{
	std::set<std::string> logs;
	std::set<bytes> contents;
	for (int i = 0; i < 2; ++i)
	{
		faulty_disk disk(7);
		ASSERT_TRUE(disk.make_dirs("/db"));
		disk.settle();
		disk.crash_at(200);
		auto const done = run_two_sessions(disk, {});
		EXPECT_TRUE(disk.struck());
		EXPECT_FALSE(done.committed.empty());
		disk.power_cut(cut::subset, 7);
		logs.insert(disk.log());
		contents.insert(disk.content(path));
		contents.insert(disk.content(std::string(path) + "-wal"));
	}
	EXPECT_EQ(logs.size(), 1u);
	EXPECT_EQ(contents.size(), 2u);
}

} // namespace
