#include "tonic/materialiser.hpp"

#include "../test_data.hpp"
#include "tonic/plan.hpp"
#include "tonic_testing.hpp"

#include <sys/stat.h>

namespace tonic {
namespace {

using namespace testing;
using namespace ut_xet_test;

// A version made of content in memory.
struct made_version
{
	std::shared_ptr<manifest> m = std::make_shared<manifest>();
	std::map<xet::hash32, xet::bytes> chunks;

	made_version() { m->how = *xet::make_profile(test_kind()); }

	void add(std::string path, xet::bytes const& data)
	{
		file_entry f;
		f.path = std::move(path);
		f.size = data.size();
		f.mode = 0640;
		f.mtime_ns = 1'500'000'000'123'456'789;
		auto const list = xet::chunk_buffer(data, m->how);
		f.hash = xet::file_hash(m->how.kind, list);
		f.first_chunk = std::uint32_t(m->chunks.size());
		f.chunk_count = std::uint32_t(list.size());
		std::size_t offset = 0;
		for (auto const& c : list)
		{
			chunks[c.hash] = xet::bytes(data.begin() + std::ptrdiff_t(offset), data.begin() + std::ptrdiff_t(offset + c.size));
			offset += c.size;
		}
		m->chunks.insert(m->chunks.end(), list.begin(), list.end());
		m->files.push_back(std::move(f));
	}

	std::vector<std::uint32_t> all() const
	{
		std::vector<std::uint32_t> out(m->files.size());
		for (std::uint32_t i = 0; i < out.size(); ++i) out[i] = i;
		return out;
	}
};

struct materialiser_test : ::testing::Test
{
	temp_dir dir;
	folder_fs fs = *folder_fs::open(dir.path());
	temp_dir state;
	std::unique_ptr<local_index> index = *local_index::open(state / "index.db");
	made_version v;
	std::atomic<bool> stop{false};

	void put_all(materialiser& job)
	{
		for (std::uint32_t u = 0; u < job.unique_count(); ++u) ASSERT_TRUE(job.put(u, v.chunks.at(job.unique(u).hash)));
	}
	materialiser::placed place(materialiser& job)
	{
		auto placed = job.move_into_place(job.take_ready(), *index, 1'700'000'000);
		EXPECT_TRUE(placed) << (placed ? "" : placed.error().message);
		return placed ? std::move(*placed) : materialiser::placed{};
	}
	std::string content(std::string_view name) { return *read_whole_file(dir / name, 1 << 30); }
};

TEST_F(materialiser_test, builds_files_with_mode_and_time)
{
	auto const big = splitmix(1, 300000), small = splitmix(2, 100);
	v.add("a/big", big);
	v.add("empty", {});
	v.add("small", small);
	materialiser job(fs, v.m, nullptr, v.all());
	ASSERT_TRUE(job.recover(stop));
	put_all(job);
	auto const placed = place(job);
	EXPECT_EQ(job.files_left(), 0u);
	EXPECT_EQ(placed.files.size(), 3u);
	EXPECT_EQ(content("a/big"), xet::as_text(big));
	EXPECT_EQ(content("small"), xet::as_text(small));
	EXPECT_EQ(content("empty"), "");
	struct stat st{};
	ASSERT_EQ(::stat((dir / "small").c_str(), &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0640u);
	EXPECT_EQ(st.st_mtim.tv_sec, 1'500'000'000);
	EXPECT_EQ(st.st_mtim.tv_nsec, 123'456'789);
}

TEST_F(materialiser_test, nothing_is_under_its_name_before_it_is_whole)
{
	v.add("f", splitmix(1, 300000));
	materialiser job(fs, v.m, nullptr, v.all());
	ASSERT_TRUE(job.recover(stop));
	for (std::uint32_t u = 0; u + 1 < job.unique_count(); ++u)
	{
		ASSERT_TRUE(job.put(u, v.chunks.at(job.unique(u).hash)));
		EXPECT_TRUE(job.take_ready().empty());
		EXPECT_FALSE(std::filesystem::exists(dir / "f"));
	}
}

TEST_F(materialiser_test, a_killed_runs_chunks_are_found_again_and_damaged_ones_are_not)
{
	auto const data = splitmix(1, 1 << 20);
	v.add("f", data);
	std::uint32_t half = 0;
	{
		materialiser job(fs, v.m, nullptr, v.all());
		ASSERT_TRUE(job.recover(stop));
		half = job.unique_count() / 2;
		for (std::uint32_t u = 0; u < half; ++u) ASSERT_TRUE(job.put(u, v.chunks.at(job.unique(u).hash)));
	}
	for (auto const& e : std::filesystem::directory_iterator(dir / ".ut_xet"))
	{
		std::fstream f(e.path(), std::ios::in | std::ios::out | std::ios::binary);
		f.seekp(10);
		f.put('!');
	}
	materialiser again(fs, v.m, nullptr, v.all());
	ASSERT_TRUE(again.recover(stop));
	EXPECT_FALSE(again.has(0)) << "damaged";
	for (std::uint32_t u = 1; u < again.unique_count(); ++u) EXPECT_EQ(again.has(u), u < half) << u;
	put_all(again);
	place(again);
	EXPECT_EQ(content("f"), xet::as_text(data));
}

TEST_F(materialiser_test, zeros_after_an_old_partial_file_are_zeros)
{
	// another content was in the partial file's range before: a hole there would keep it
	auto data = splitmix(1, 1 << 20);
	std::fill(data.begin() + 300000, data.begin() + 800000, 0);
	v.add("f", data);
	{
		materialiser job(fs, v.m, nullptr, v.all());
		ASSERT_TRUE(job.recover(stop));
		ASSERT_TRUE(job.put(0, v.chunks.at(job.unique(0).hash)));
	}
	for (auto const& e : std::filesystem::directory_iterator(dir / ".ut_xet"))
		write_text(e.path(), std::string(1 << 20, 'x'));
	materialiser job(fs, v.m, nullptr, v.all());
	ASSERT_TRUE(job.recover(stop));
	put_all(job);
	place(job);
	EXPECT_EQ(content("f"), xet::as_text(data));
}

TEST_F(materialiser_test, a_sparse_file_stays_sparse)
{
	xet::bytes data(4 << 20, 0);
	auto const middle = splitmix(1, 1000);
	std::copy(middle.begin(), middle.end(), data.begin() + (2 << 20));
	v.add("f", data);
	materialiser job(fs, v.m, nullptr, v.all());
	EXPECT_LT(job.bytes_to_write(), 300000u);
	ASSERT_TRUE(job.recover(stop));
	put_all(job);
	place(job);
	EXPECT_EQ(content("f"), xet::as_text(data));
	struct stat st{};
	ASSERT_EQ(::stat((dir / "f").c_str(), &st), 0);
	EXPECT_LT(st.st_blocks * 512, 1 << 20);
}

TEST_F(materialiser_test, a_file_nobody_published_is_kept_aside)
{
	v.add("report.txt", splitmix(1, 100));
	write_text(dir / "report.txt", "my own work");
	materialiser job(fs, v.m, nullptr, v.all());
	ASSERT_TRUE(job.recover(stop));
	put_all(job);
	auto const placed = place(job);
	ASSERT_EQ(placed.kept_aside.size(), 1u);
	EXPECT_TRUE(is_kept_aside(placed.kept_aside[0]));
	EXPECT_TRUE(placed.kept_aside[0].ends_with(".txt"));
	EXPECT_EQ(content(placed.kept_aside[0]), "my own work");
	EXPECT_EQ(content("report.txt"), xet::as_text(splitmix(1, 100)));
}

TEST_F(materialiser_test, never_writes_through_a_link)
{
	temp_dir outside;
	std::filesystem::create_directory_symlink(outside.path(), dir / "a");
	v.add("a/f", splitmix(1, 100));
	materialiser job(fs, v.m, nullptr, v.all());
	ASSERT_TRUE(job.recover(stop));
	put_all(job);
	auto const placed = job.move_into_place(job.take_ready(), *index, 0);
	EXPECT_TRUE(!placed || placed->blocked.size() == 1);
	EXPECT_TRUE(std::filesystem::is_empty(outside.path()));
}

TEST_F(materialiser_test, partial_files_of_other_versions_are_removed)
{
	v.add("f", splitmix(1, 300000));
	{
		materialiser job(fs, v.m, nullptr, v.all());
		ASSERT_TRUE(job.recover(stop));
		ASSERT_TRUE(job.put(0, v.chunks.at(job.unique(0).hash)));
	}
	made_version other;
	other.add("g", splitmix(2, 300000));
	materialiser job(fs, other.m, nullptr, other.all());
	ASSERT_TRUE(job.recover(stop));
	EXPECT_TRUE(std::filesystem::is_empty(dir / ".ut_xet"));
}

// --- the plan ---------------------------------------------------------------------------------------------------------------

local_file on_disk(made_version const& v, std::string const& path, std::string const& as, bool published)
{
	auto const* f = v.m->find_file(path);
	auto const chunks = v.m->chunks_of(*f);
	return {as, {.size = f->size, .mtime_ns = f->mtime_ns, .ctime_ns = 1, .inode = 1, .mode = f->mode}, f->hash
		, std::make_shared<xet::chunk_list const>(chunks.begin(), chunks.end()), published};
}

TEST(folder_plan, tells_renames_edits_and_deletions_apart)
{
	made_version before, after;
	before.add("deleted", splitmix(1, 100));
	before.add("edited here", splitmix(2, 100));
	before.add("edited there", splitmix(3, 100));
	before.add("old name", splitmix(4, 100));
	before.add("same", splitmix(5, 100));
	before.add("same but gone there", splitmix(7, 100));
	after.add("edited here", splitmix(2, 100));
	after.add("edited there", splitmix(30, 100));
	after.add("new", splitmix(6, 100));
	after.add("new name", splitmix(4, 100));
	after.add("same", splitmix(5, 100));

	made_version mine;
	mine.add("x", splitmix(99, 50));
	std::vector<local_file> const local{on_disk(before, "deleted", "deleted", true), on_disk(mine, "x", "edited here", false)
		, on_disk(before, "edited there", "edited there", true), on_disk(mine, "x", "my own", false), on_disk(before, "old name", "old name", true)
		, on_disk(before, "same", "same", true), on_disk(mine, "x", "same but gone there", false)};
	auto const plan = make_plan(*after.m, before.m.get(), local);
	EXPECT_EQ(plan.remove, std::vector<std::string>{"deleted"});
	EXPECT_EQ(plan.keep_aside, (std::vector<std::string>{"same but gone there", "edited here"}));
	EXPECT_EQ(plan.extra, std::vector<std::string>{"my own"});
	ASSERT_EQ(plan.moves.size(), 1u);
	EXPECT_EQ(plan.moves[0].from, "old name");
	EXPECT_EQ(after.m->files[plan.moves[0].file].path, "new name");
	std::vector<std::string> build;
	for (auto const i : plan.build) build.push_back(after.m->files[i].path);
	EXPECT_EQ(build, (std::vector<std::string>{"edited here", "edited there", "new"}));
	EXPECT_TRUE(plan.touch.empty());
}

TEST(folder_plan, mode_and_time_alone_build_nothing)
{
	made_version v;
	v.add("f", splitmix(1, 100));
	auto f = on_disk(v, "f", "f", true);
	EXPECT_TRUE(make_plan(*v.m, nullptr, {f}).nothing_to_do());
	f.stamp.mode = 0600;
	auto const plan = make_plan(*v.m, nullptr, {f});
	EXPECT_EQ(plan.touch.size(), 1u);
	EXPECT_TRUE(plan.build.empty());
}

} // namespace
} // namespace tonic
