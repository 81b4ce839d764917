#include "xet/chunk_tree.hpp"

#include "../test_data.hpp"

#include <gtest/gtest.h>

namespace xet {
namespace {

using namespace ut_xet_test;

hash_kind kind() { return has_blake3() ? hash_kind::blake3 : hash_kind::sha256; }

bytes chunk_of(chunk_tree const& tree, bytes const& data, hash32 const& h)
{
	if (tree.root().levels == 0 && h == tree.root().hash) return data;
	auto const place = tree.find(h);
	EXPECT_TRUE(place);
	bytes_view const level = place->level == 0 ? bytes_view(data) : tree.list(place->level);
	auto const part = level.subspan(place->offset, place->size);
	return {part.begin(), part.end()};
}

// Fetches what `known` does not have; returns the bytes that had to come over the wire.
std::size_t fetch(bytes const& data, bytes const& known, std::string& out)
{
	auto const tree = chunk_tree::build(kind(), data);
	auto const old = chunk_tree::build(kind(), known);
	auto a = tree_assembly::start(kind(), tree.root());
	EXPECT_TRUE(a);
	std::size_t fetched = 0;
	while (!a->done())
	{
		for (chunk_ref const& c : a->missing())
		{
			auto const have = old.find(c.hash);
			bytes const chunk = have ? chunk_of(old, known, c.hash) : chunk_of(tree, data, c.hash);
			if (!have) fetched += chunk.size();
			EXPECT_TRUE(a->supply(c.hash, chunk));
		}
	}
	out = a->take();
	return fetched;
}

TEST(chunk_tree, puts_any_size_together_again)
{
	for (std::size_t const size : {0, 1, 511, 512, 8191, 8192, 8193, 20000, 300000, 3000000})
	{
		auto const data = splitmix(size, size);
		std::string out;
		fetch(data, {}, out);
		EXPECT_EQ(out, as_text(data)) << size;
	}
}

TEST(chunk_tree, repeated_content_is_fetched_once)
{
	auto const data = zeros(1 << 20);
	std::string out;
	auto const fetched = fetch(data, {}, out);
	EXPECT_EQ(out, as_text(data));
	EXPECT_LT(fetched, 64u * 1024);
}

TEST(chunk_tree, a_small_change_costs_the_same_in_a_large_text_as_in_a_small_one)
{
	for (std::size_t const size : {1 << 20, 16 << 20})
	{
		auto const before = splitmix(3, size);
		auto after = before;
		after.insert(after.begin() + std::ptrdiff_t(size / 2), 'x');
		std::string out;
		auto const fetched = fetch(after, before, out);
		EXPECT_EQ(out, as_text(after));
		EXPECT_LT(fetched, 24u * 1024) << size;
	}
}

TEST(chunk_tree, wrong_bytes_are_refused_and_the_right_ones_still_taken)
{
	auto const data = splitmix(5, 100000);
	auto const tree = chunk_tree::build(kind(), data);
	auto a = tree_assembly::start(kind(), tree.root());
	ASSERT_TRUE(a);
	auto const root = a->missing().at(0).hash;
	auto wrong = chunk_of(tree, data, root);
	wrong[3] ^= 1;
	auto const refused = a->supply(root, wrong);
	ASSERT_FALSE(refused);
	EXPECT_EQ(refused.error().code, errc::mismatch);
	EXPECT_TRUE(a->supply(root, chunk_of(tree, data, root)));
}

// A publisher whose lists make no sense: hashes right, content hostile.
result<> feed_root(bytes const& root_chunk, std::uint8_t levels, std::uint64_t data_bytes)
{
	tree_root const root{chunk_hash(kind(), root_chunk), std::uint32_t(root_chunk.size()), levels, data_bytes};
	auto a = tree_assembly::start(kind(), root);
	if (!a) return tl::unexpected(a.error());
	return a->supply(root.hash, root_chunk);
}

TEST(chunk_tree, hostile_lists_are_refused)
{
	bytes entry(32, 1);
	append_be(entry, std::uint32_t(1000));
	EXPECT_TRUE(feed_root(entry, 1, 1000));
	EXPECT_FALSE(feed_root(entry, 1, 999)) << "sizes do not add up";
	EXPECT_FALSE(feed_root(entry, 9, 1000)) << "too many levels";
	EXPECT_FALSE(feed_root(bytes(35, 1), 1, 1000)) << "half an entry";
	bytes huge(32, 1);
	append_be(huge, std::uint32_t(0xffffffff));
	EXPECT_FALSE(feed_root(huge, 1, 0xffffffff)) << "a chunk of 4 GiB";
	EXPECT_FALSE(feed_root(entry, 0, 1ull << 40)) << "more metadata than anybody reads";
	bytes many;
	for (int i = 0; i < 200; ++i) append(many, huge);
	EXPECT_FALSE(feed_root(many, 2, 5000)) << "a list level far larger than its data";
}

} // namespace
} // namespace xet
