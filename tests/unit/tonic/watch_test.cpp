#include "tonic/watch.hpp"

#include "tonic_testing.hpp"

#include <condition_variable>
#include <mutex>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace tonic {
namespace {

using namespace testing;
using namespace std::chrono_literals;

// Counts callbacks and lets a test wait for one.
class witness
{
public:
	explicit witness(fs::path const& root, watch_options const& o = {10ms, 200ms})
	{
		auto started = watcher::start(root, o, [this] { note_change(); }, [this](std::string text) { note_problem(std::move(text)); });
		if (!started) throw std::runtime_error(started.error().message);
		m_watcher = std::move(*started);
	}

	// True when a callback came since the last call; waits for it.
	bool changed(std::chrono::seconds bound = 20s)
	{
		std::unique_lock lock(m_mutex);
		bool const ret = m_wake.wait_for(lock, bound, [&] { return m_changes > m_seen; });
		m_seen = m_changes;
		return ret;
	}

	std::string problem(std::chrono::seconds bound = 20s)
	{
		std::unique_lock lock(m_mutex);
		m_wake.wait_for(lock, bound, [&] { return !m_problem.empty(); });
		return m_problem;
	}

	int changes()
	{
		std::lock_guard const lock(m_mutex);
		return m_changes;
	}

	void stop() { m_watcher.reset(); }

private:
	void note_change()
	{
		std::lock_guard const lock(m_mutex);
		++m_changes;
		m_wake.notify_all();
	}
	void note_problem(std::string text)
	{
		std::lock_guard const lock(m_mutex);
		m_problem += text;
		m_wake.notify_all();
	}

	std::mutex m_mutex;
	std::condition_variable m_wake;
	int m_changes = 0, m_seen = 0;
	std::string m_problem;
	std::unique_ptr<watcher> m_watcher;  // last: its thread uses the rest
};

TEST(watch, sees_every_kind_of_change)
{
	temp_dir dir, outside;
	fs::create_directories(dir / "a/b/c");
	write_text(dir / "a/b/c/old", "x");
	write_text(outside / "f", "x");
	witness w(dir.path());

	write_text(dir / "new", "x");
	EXPECT_TRUE(w.changed()) << "create";
	write_text(dir / "a/b/c/old", "y");
	EXPECT_TRUE(w.changed()) << "write, deep";
	::chmod((dir / "a/b/c/old").c_str(), 0600);
	EXPECT_TRUE(w.changed()) << "mode";
	fs::rename(dir / "a/b/c/old", dir / "a/moved");
	EXPECT_TRUE(w.changed()) << "rename";
	fs::remove(dir / "a/moved");
	EXPECT_TRUE(w.changed()) << "delete";
	fs::create_symlink("new", dir / "a/link");
	EXPECT_TRUE(w.changed()) << "link";
	fs::rename(outside / "f", dir / "a/b/f");
	EXPECT_TRUE(w.changed()) << "moved in";
	fs::rename(dir / "a/b/f", outside / "f");
	EXPECT_TRUE(w.changed()) << "moved out";
	fs::remove_all(dir / "a");
	EXPECT_TRUE(w.changed()) << "directories deleted";
}

TEST(watch, follows_new_and_moved_directories)
{
	temp_dir dir, outside;
	witness w(dir.path());
	fs::create_directories(dir / "n/e/w");
	EXPECT_TRUE(w.changed());
	write_text(dir / "n/e/w/f", "x");
	EXPECT_TRUE(w.changed()) << "below a new directory";

	fs::rename(dir / "n", dir / "m");
	EXPECT_TRUE(w.changed());
	write_text(dir / "m/e/w/g", "x");
	EXPECT_TRUE(w.changed()) << "below a renamed directory";
	fs::create_directory(dir / "m/e/w/deeper");
	EXPECT_TRUE(w.changed());
	write_text(dir / "m/e/w/deeper/f", "x");
	EXPECT_TRUE(w.changed()) << "new below renamed";

	fs::create_directories(outside / "tree/x");
	fs::rename(outside / "tree", dir / "tree");
	EXPECT_TRUE(w.changed());
	write_text(dir / "tree/x/f", "x");
	EXPECT_TRUE(w.changed()) << "below a directory that was moved in";
}

// Events of one directory come in order: when the change that is watched has been reported, so would the other have been.
TEST(watch, does_not_look_outside_or_into_its_own_directory)
{
	temp_dir dir, outside;
	fs::create_directories(dir / ".ut_xet");
	fs::create_directory_symlink(outside.path(), dir / "link");
	witness w(dir.path(), {10ms, 10ms});
	for (int i = 0; i < 100; ++i)
	{
		write_text(outside / "f", "x");
		write_text(dir / ".ut_xet/f", "x");
	}
	::chmod((dir / ".ut_xet").c_str(), 0700);
	write_text(dir / "seen", "x");
	EXPECT_TRUE(w.changed());
	EXPECT_EQ(w.changes(), 1);
}

TEST(watch, a_burst_is_one_callback)
{
	temp_dir dir;
	witness w(dir.path(), {500ms, 60s});
	for (int i = 0; i < 200; ++i) write_text(dir / std::to_string(i), "x");
	EXPECT_TRUE(w.changed());
	EXPECT_EQ(w.changes(), 1);
}

TEST(watch, a_folder_that_never_rests_is_reported_all_the_same)
{
	temp_dir dir;
	witness w(dir.path(), {60s, 50ms});
	std::atomic<bool> done{false};
	std::jthread const writer([&] {
		while (!done) write_text(dir / "f", "x");
	});
	EXPECT_TRUE(w.changed());
	EXPECT_TRUE(w.changed());
	done = true;
}

TEST(watch, events_that_were_lost_lead_to_a_callback)
{
	temp_dir dir;
	// slower than the events come: the callback holds the thread up until the kernel's queue is full
	std::mutex gate;
	std::condition_variable wake;
	bool inside = false, open = false;
	int calls = 0;
	auto started = watcher::start(dir.path(), {1ms, 1ms}, [&] {
		std::unique_lock lock(gate);
		inside = true;
		++calls;
		wake.notify_all();
		wake.wait_for(lock, 20s, [&] { return open; });
	}, {});
	ASSERT_TRUE(started);
	write_text(dir / "f", "x");
	{
		std::unique_lock lock(gate);
		ASSERT_TRUE(wake.wait_for(lock, 20s, [&] { return inside; }));
	}
	std::uint64_t queue = 16384;
	std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queue;
	if (queue > 100'000) GTEST_SKIP() << "the queue is too long to fill";
	// two events that differ, so that the kernel does not merge them
	for (std::uint64_t i = 0; i <= queue; ++i)
	{
		::chmod((dir / "f").c_str(), i % 2 ? 0600 : 0644);
		::chmod(dir.path().c_str(), i % 2 ? 0700 : 0755);
	}
	std::unique_lock lock(gate);
	open = true;
	wake.notify_all();
	EXPECT_TRUE(wake.wait_for(lock, 20s, [&] { return calls >= 2; }));
}

TEST(watch, stops_without_a_callback_in_between)
{
	temp_dir dir;
	for (int i = 0; i < 20; ++i)
	{
		witness w(dir.path(), {0ms, 0ms});
		write_text(dir / "f", "x");
		w.stop();
		int const after = w.changes();
		write_text(dir / "g", "x");
		EXPECT_EQ(w.changes(), after);
	}
}

TEST(watch, survives_the_loss_of_its_root)
{
	temp_dir parent;
	fs::create_directories(parent / "root/a/b");
	witness w(parent / "root");
	fs::remove_all(parent / "root");
	EXPECT_TRUE(w.changed());
}

TEST(watch, errors)
{
	temp_dir dir;
	write_text(dir / "f", "x");
	EXPECT_EQ(watcher::start(dir / "absent", {}, [] {}, {}).error().code, xet::errc::not_found);
	EXPECT_EQ(watcher::start(dir / "f", {}, [] {}, {}).error().code, xet::errc::not_found);
}

TEST(watch, the_advice_is_a_command_that_can_be_pasted)
{
	auto const line = watch_limit_advice(8192);
	EXPECT_NE(line.find("fs.inotify.max_user_watches is 8192"), std::string::npos);
	EXPECT_NE(line.find("sysctl fs.inotify.max_user_watches=1048576"), std::string::npos);
	EXPECT_NE(watch_limit_advice(1048576).find("max_user_watches=4194304"), std::string::npos) << "more than there is now";
	EXPECT_EQ(line.find('\n'), std::string::npos);
}

// In a process of its own, whose user namespace allows five watches. 0: as it should be, 77: cannot be tried here.
int watch_with_few_watches(fs::path const& root)
{
	if (::unshare(CLONE_NEWUSER) != 0) return 77;
	std::ofstream limit("/proc/sys/user/max_inotify_watches");
	limit << 5 << std::flush;
	if (!limit) return 77;
	witness w(root);
	if (w.problem().find("sysctl fs.inotify.max_user_watches=") == std::string::npos) return 1;
	write_text(root / "f", "x");
	return w.changed() ? 0 : 2;
}

TEST(watch, running_out_of_watches_is_told_and_the_rest_is_watched)
{
	temp_dir dir;
	for (int i = 0; i < 20; ++i) fs::create_directory(dir / std::to_string(i));
	auto const child = ::fork();
	ASSERT_GE(child, 0);
	if (child == 0)
	{
		int status = 3;
		try
		{
			status = watch_with_few_watches(dir.path());
		}
		catch (std::exception const&)
		{
		}
		::_exit(status);
	}
	int status = 0;
	ASSERT_EQ(::waitpid(child, &status, 0), child);
	ASSERT_TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no user namespaces here";
	EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
} // namespace tonic
