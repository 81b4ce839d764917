#include "tonic/watch_tree.hpp"

#include "tonic_testing.hpp"

#include <sys/inotify.h>

namespace tonic {
namespace {

using namespace testing;

class watch_tree_test : public ::testing::Test
{
protected:
	// what the next event of the directory would be reported as
	int number_of(std::string const& path) const
	{
		return ::inotify_add_watch(m_inotify.get(), (m_dir.path() / path).c_str(), IN_MASK_ADD | IN_CREATE);
	}

	temp_dir m_dir;
	file_descriptor m_inotify{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
	watch_tree m_tree{m_inotify.get(), m_dir.path().native()};
};

TEST_F(watch_tree_test, watches_directories_but_not_its_own_nor_through_links)
{
	fs::create_directories(m_dir / "a/b/c");
	fs::create_directories(m_dir / "d/.ut_xet");
	fs::create_directories(m_dir / ".ut_xet/incoming");
	fs::create_directory_symlink("a", m_dir / "link");
	write_text(m_dir / "file", "x");
	ASSERT_TRUE(m_tree.rebuild());
	EXPECT_EQ(m_tree.size(), 6u);  // the root, a, a/b, a/b/c, d, d/.ut_xet
	EXPECT_TRUE(m_tree.is_root(number_of(".")));
	EXPECT_FALSE(m_tree.is_root(number_of("a")));
	EXPECT_FALSE(m_tree.take_limit_reached());
}

TEST_F(watch_tree_test, rebuild_finds_what_lost_events_would_have_told)
{
	fs::create_directories(m_dir / "a/b/c");
	ASSERT_TRUE(m_tree.rebuild());
	ASSERT_EQ(m_tree.size(), 4u);
	fs::create_directories(m_dir / "x/y");
	ASSERT_TRUE(m_tree.rebuild());
	EXPECT_EQ(m_tree.size(), 6u);
	fs::remove_all(m_dir / "a");
	ASSERT_TRUE(m_tree.rebuild());
	EXPECT_EQ(m_tree.size(), 3u) << "nothing is kept for directories that are gone";
	ASSERT_TRUE(m_tree.rebuild());
	EXPECT_EQ(m_tree.size(), 3u);
}

TEST_F(watch_tree_test, directories_that_come_and_go)
{
	ASSERT_TRUE(m_tree.rebuild());
	int const root = number_of(".");
	for (int i = 0; i < 100; ++i)
	{
		fs::create_directories(m_dir / "n/e/w");
		m_tree.add(root, "n");
		EXPECT_EQ(m_tree.size(), 4u);
		fs::remove_all(m_dir / "n");
		m_tree.remove(root, "n");
		ASSERT_EQ(m_tree.size(), 1u) << "no leak";
	}
	m_tree.add(root, "absent");
	m_tree.remove(root, "absent");
	m_tree.add(12345, "n");
	m_tree.remove(12345, "n");
	m_tree.forget(12345);
	EXPECT_EQ(m_tree.size(), 1u);
}

TEST_F(watch_tree_test, a_moved_directory_keeps_its_number_and_gets_its_new_place)
{
	fs::create_directories(m_dir / "a/b");
	fs::create_directories(m_dir / "z");
	ASSERT_TRUE(m_tree.rebuild());
	ASSERT_EQ(m_tree.size(), 4u);
	int const a = number_of("a"), root = number_of("."), z = number_of("z");
	fs::rename(m_dir / "a", m_dir / "z/moved");
	// the events may come in either order when they were handled late
	m_tree.add(z, "moved");
	EXPECT_EQ(m_tree.size(), 4u);
	EXPECT_EQ(number_of("z/moved"), a);
	m_tree.remove(root, "a");
	EXPECT_EQ(m_tree.size(), 4u) << "it is no longer at its old place";
	fs::create_directory(m_dir / "z/moved/new");
	m_tree.add(a, "new");
	EXPECT_EQ(m_tree.size(), 5u) << "new directories are found below its new path";
	m_tree.remove(root, "z");
	EXPECT_EQ(m_tree.size(), 1u);
}

TEST_F(watch_tree_test, the_root_may_vanish)
{
	fs::create_directories(m_dir / "a/b");
	ASSERT_TRUE(m_tree.rebuild());
	int const root = number_of(".");
	fs::remove_all(m_dir.path());
	m_tree.forget(root);
	EXPECT_EQ(m_tree.size(), 0u);
	EXPECT_FALSE(m_tree.rebuild());
	EXPECT_EQ(errno, ENOENT);
}

} // namespace
} // namespace tonic
