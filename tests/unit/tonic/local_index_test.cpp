#include "tonic/local_index.hpp"

#include "../test_data.hpp"
#include "tonic_testing.hpp"

namespace tonic {
namespace {

using namespace testing;
using namespace ut_xet_test;

local_file file(std::string path, xet::bytes const& data, bool published = false)
{
	auto const how = *xet::make_profile(test_kind());
	auto chunks = std::make_shared<xet::chunk_list const>(xet::chunk_buffer(data, how));
	return {std::move(path), {.size = data.size(), .mtime_ns = -5, .ctime_ns = 6, .inode = UINT64_MAX, .mode = 0644}
		, xet::file_hash(how.kind, *chunks), chunks, published};
}

TEST(local_index, remembers_files_across_restarts)
{
	temp_dir dir;
	auto const a = file(std::string("odd\n\xff name"), splitmix(1, 100000), true), b = file("b", splitmix(2, 10));
	{
		auto index = *local_index::open(dir / "i.db");
		ASSERT_TRUE(index->apply({a, b}, {}));
		ASSERT_TRUE(index->apply({}, {"b"}));
	}
	auto index = *local_index::open(dir / "i.db");
	EXPECT_EQ(index->size(), 1u);
	auto const* found = index->find(a.path);
	ASSERT_NE(found, nullptr);
	EXPECT_EQ(found->stamp, a.stamp);
	EXPECT_EQ(found->hash, a.hash);
	EXPECT_EQ(*found->chunks, *a.chunks);
	EXPECT_TRUE(found->published);
}

TEST(local_index, finds_every_chunk_at_its_offset)
{
	temp_dir dir;
	auto index = *local_index::open(dir / "i.db");
	auto const a = file("a", splitmix(1, 200000));
	ASSERT_TRUE(index->apply({a}, {}));
	std::uint64_t offset = 0;
	for (auto const& c : *a.chunks)
	{
		auto const places = index->locate(c.hash);
		ASSERT_EQ(places.size(), 1u);
		EXPECT_EQ(places[0].file->path, "a");
		EXPECT_EQ(places[0].offset, offset);
		EXPECT_EQ(places[0].size, c.size);
		offset += c.size;
	}
}

TEST(local_index, forgets_the_places_of_replaced_and_removed_files)
{
	temp_dir dir;
	auto index = *local_index::open(dir / "i.db");
	auto const data = splitmix(1, 50000);
	auto const first = file("a", data), copy = file("copy", data), other = file("a", splitmix(2, 50000));
	ASSERT_TRUE(index->apply({first, copy}, {}));
	auto const h = first.chunks->front().hash;
	EXPECT_EQ(index->locate(h).size(), 2u);
	ASSERT_TRUE(index->apply({other}, {}));
	ASSERT_EQ(index->locate(h).size(), 1u);
	EXPECT_EQ(index->locate(h)[0].file->path, "copy");
	ASSERT_TRUE(index->apply({}, {"copy"}));
	EXPECT_TRUE(index->locate(h).empty());
}

TEST(local_index, a_repeated_chunk_costs_one_place)
{
	temp_dir dir;
	auto index = *local_index::open(dir / "i.db");
	auto const a = file("sparse", zeros(8 << 20));
	ASSERT_TRUE(index->apply({a}, {}));
	EXPECT_EQ(index->locate(a.chunks->front().hash).size(), 1u);
}

TEST(local_index, an_unusable_database_is_moved_away_and_said)
{
	temp_dir dir;
	write_text(dir / "i.db", std::string(8192, 'x'));
	std::string note;
	auto index = local_index::open(dir / "i.db", &note);
	ASSERT_TRUE(index) << index.error().message;
	EXPECT_EQ((*index)->size(), 0u);
	EXPECT_NE(note.find("i.db"), std::string::npos);
	EXPECT_TRUE(std::filesystem::exists(dir / "i.db.broken"));
	EXPECT_TRUE((*index)->apply({file("a", splitmix(1, 10))}, {}));
}

} // namespace
} // namespace tonic
