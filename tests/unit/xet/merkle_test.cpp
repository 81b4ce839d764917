#include "tests/unit/test_data.hpp"
#include "xet/merkle.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

std::vector<hash32> leaves(std::size_t count)
{
	std::vector<hash32> out;
	for (std::uint64_t i = 0; i < count; ++i)
	{
		bytes b;
		append(b, as_bytes("xet-leaf"));
		append_be(b, i);
		out.push_back(chunk_hash(hash_kind::sha256, b));
	}
	return out;
}

} // namespace

TEST(merkle, sha256_roots_match_the_vectors)
{
	auto const vectors = load_vectors("bep/merkle.json");
	EXPECT_EQ(to_hex(leaves(1)[0].raw), vectors["leaf0"]);
	for (auto const& v : vectors["vectors"])
		EXPECT_EQ(to_hex(merkle_root(hash_kind::sha256, leaves(v["n"])).raw), v["root_sha256"]) << v["n"];
}

TEST(merkle, order_and_count_matter)
{
	auto l = leaves(7);
	auto const root = merkle_root(hash_kind::sha256, l);
	std::swap(l[2], l[3]);
	EXPECT_NE(merkle_root(hash_kind::sha256, l), root);
	std::swap(l[2], l[3]);
	l.pop_back();
	EXPECT_NE(merkle_root(hash_kind::sha256, l), root);
}

// Why a root is only accepted together with the chunk count.
TEST(merkle, the_odd_rule_lets_two_lists_share_a_root)
{
	auto l = leaves(3);
	auto const root = merkle_root(hash_kind::sha256, l);
	l.push_back(l.back());
	EXPECT_EQ(merkle_root(hash_kind::sha256, l), root);
}

TEST(merkle, file_hash_is_the_root_of_the_profile)
{
	chunk_list chunks;
	for (auto const& h : leaves(5)) chunks.push_back({h, 100});
	EXPECT_EQ(file_hash(hash_kind::sha256, chunks), merkle_root(hash_kind::sha256, leaves(5)));
	EXPECT_TRUE(file_hash(hash_kind::sha256, {}).is_zero());
	EXPECT_TRUE(file_hash(hash_kind::hf, {}).is_zero());
	EXPECT_TRUE(hf_tree_root(std::span<chunk_ref const>()).is_zero());
}

#if UT_XET_HAVE_BLAKE3

TEST(merkle, blake3_roots_match_the_vectors)
{
	for (auto const& v : load_vectors("bep/merkle.json", "/vectors"))
		EXPECT_EQ(to_hex(merkle_root(hash_kind::blake3, leaves(v["n"])).raw), v["root_blake3"]) << v["n"];
}

TEST(merkle, hf_inner_node_matches_the_draft)
{
	auto const vector = load_vectors("hf/official_vectors.json", "/draft/internal_node");
	chunk_list chunks;
	for (auto const& child : vector["children"])
		chunks.push_back({*hash_from_string(hash_kind::hf, child[0].get<std::string>()), child[1]});
	EXPECT_EQ(to_string(hash_kind::hf, hf_tree_root(chunks)), vector["hash"]);
}

TEST(merkle, hf_trees_match_the_official_cases)
{
	auto const cases = load_vectors("hf/official_vectors.json", "/aggregated_hashes/cases");
	ASSERT_EQ(cases.size(), 18u);
	for (auto const& c : cases)
	{
		std::vector<hf_node> nodes;
		for (auto const& node : c["nodes"])
			nodes.push_back({*hash_from_string(hash_kind::hf, node[0].get<std::string>()), node[1]});
		auto const root = hf_tree_root(nodes);
		EXPECT_EQ(to_string(hash_kind::hf, root), c["xorb_hash"]) << nodes.size() << " nodes";

		ASSERT_EQ(c["salted"].size(), 3u);
		for (auto const& salted : c["salted"])
		{
			auto const salt = *hash_from_string(hash_kind::hf, salted[0].get<std::string>());
			// an empty file has no tree, so its hash is not salted
			auto const got = nodes.empty() ? hash32{} : keyed_blake3(salt.view(), root.view());
			EXPECT_EQ(to_string(hash_kind::hf, got), salted[1]) << nodes.size() << " nodes";
		}
	}
}

#endif
