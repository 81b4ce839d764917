#include "tests/unit/test_data.hpp"
#include "xet/hash.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

TEST(hash, sha256_matches_the_vectors)
{
	auto const vectors = load_vectors("bep/merkle.json");
	for (auto const& v : vectors["hash_examples"])
	{
		auto const data = from_hex(v["data_hex"].get<std::string>());
		ASSERT_TRUE(data);
		EXPECT_EQ(to_hex(chunk_hash(hash_kind::sha256, *data).raw), v["sha256"]);
	}
	auto const& large = vectors["hash_example_8193"];
	auto const data = from_notation(large["input"].get<std::string>());
	EXPECT_EQ(to_hex(chunk_hash(hash_kind::sha256, data).raw), large["sha256"]);
}

TEST(hash, a_hasher_gives_the_same_however_its_input_is_split)
{
	auto const data = splitmix(1, 100'000);
	random_source random(2);
	std::vector<hash_kind> kinds{hash_kind::sha256};
	if (has_blake3()) kinds.push_back(hash_kind::blake3);
	for (auto const kind : kinds)
	{
		hasher h(kind);
		bytes_view rest = data;
		while (!rest.empty())
		{
			auto const n = std::min(rest.size(), random.between(0, 9000));
			h.update(rest.first(n));
			rest = rest.subspan(n);
		}
		EXPECT_EQ(h.finish(), chunk_hash(kind, data));
		EXPECT_EQ(h.finish(), chunk_hash(kind, data)) << "finish must leave the stream as it was";

		h.update("more");
		auto longer = data;
		append(longer, as_bytes("more"));
		EXPECT_EQ(h.finish(), chunk_hash(kind, longer));
	}
}

TEST(hash, names_go_both_ways)
{
	for (auto const kind : {hash_kind::blake3, hash_kind::sha256, hash_kind::hf})
	{
		EXPECT_EQ(kind_from_name(name_of(kind)), kind);
		EXPECT_EQ(kind_from_algorithm(algorithm_name(kind)), kind);
	}
	EXPECT_EQ(algorithm_name(hash_kind::blake3), "xet-hash:v1:blake3");
	EXPECT_EQ(algorithm_name(hash_kind::sha256), "xet-hash:v1:sha256");
	EXPECT_EQ(algorithm_name(hash_kind::hf), "xet-hash:v1:hf");
	EXPECT_FALSE(kind_from_name("BLAKE3"));
	EXPECT_FALSE(kind_from_name("xet-hash:v1:blake3"));
	EXPECT_FALSE(kind_from_algorithm("blake3"));
	EXPECT_FALSE(kind_from_algorithm("xet-hash:v2:blake3"));
}

TEST(hash, numbers_are_stored_and_stay)
{
	EXPECT_EQ(int(hash_kind::blake3), 0);
	EXPECT_EQ(int(hash_kind::sha256), 1);
	EXPECT_EQ(int(hash_kind::hf), 2);
}

TEST(hash, hash_text_goes_both_ways_in_each_form)
{
	auto const vector = load_vectors("hf/official_vectors.json", "/draft/hash_string");
	auto const raw = hash_from_hex(vector["raw"].get<std::string>());
	ASSERT_TRUE(raw);
	EXPECT_EQ(to_string(hash_kind::hf, *raw), vector["string"]);
	EXPECT_EQ(hash_from_string(hash_kind::hf, vector["string"].get<std::string>()), raw);
	for (auto const kind : {hash_kind::blake3, hash_kind::sha256})
	{
		EXPECT_EQ(to_string(kind, *raw), vector["raw"]);
		EXPECT_EQ(hash_from_string(kind, vector["raw"].get<std::string>()), raw);
	}
	EXPECT_FALSE(hash_from_string(hash_kind::hf, std::string(62, '0')));
	EXPECT_FALSE(hash_from_string(hash_kind::hf, std::string(64, 'x')));
}

#if UT_XET_HAVE_BLAKE3

TEST(hash, blake3_matches_the_vectors)
{
	auto const vectors = load_vectors("bep/merkle.json");
	for (auto const& v : vectors["hash_examples"])
	{
		auto const data = from_hex(v["data_hex"].get<std::string>());
		ASSERT_TRUE(data);
		EXPECT_EQ(to_hex(chunk_hash(hash_kind::blake3, *data).raw), v["blake3"]);
		EXPECT_EQ(to_hex(hasher(hash_kind::blake3).update(*data).finish().raw), v["blake3"]);
	}
	auto const& large = vectors["hash_example_8193"];
	auto const data = from_notation(large["input"].get<std::string>());
	EXPECT_EQ(to_hex(chunk_hash(hash_kind::blake3, data).raw), large["blake3"]);
}

TEST(hash, hf_chunks_are_keyed_with_the_data_key)
{
	auto const vector = load_vectors("hf/official_vectors.json", "/draft/chunk_hash");
	auto const input = vector["input_ascii"].get<std::string>();
	auto const h = chunk_hash(hash_kind::hf, as_bytes(input));
	EXPECT_EQ(to_hex(h.raw), vector["hash_raw"]);
	EXPECT_EQ(to_string(hash_kind::hf, h), vector["hash"]);

	auto const key = from_hex(load_vectors("hf/constants.json", "/keys/DATA_KEY").get<std::string>());
	ASSERT_TRUE(key);
	EXPECT_EQ(keyed_blake3(*key, as_bytes(input)), h);
	EXPECT_THROW(keyed_blake3(bytes_view(*key).first(31), {}), std::logic_error);
}

#else

TEST(hash, without_blake3_no_hash_is_made_up)
{
	EXPECT_FALSE(has_blake3());
	EXPECT_THROW(chunk_hash(hash_kind::blake3, {}), std::logic_error);
	EXPECT_THROW(chunk_hash(hash_kind::hf, {}), std::logic_error);
	EXPECT_THROW(hasher{hash_kind::blake3}, std::logic_error);
}

#endif
