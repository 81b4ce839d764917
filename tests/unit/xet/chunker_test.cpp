#include "tests/unit/xet/naive_chunker.hpp"
#include "xet/gear_table.hpp"
#include "xet/merkle.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

chunking target(std::uint32_t bytes) { return {.target_bytes = bytes}; }

std::vector<std::uint64_t> ends_of(std::vector<std::uint32_t> const& lengths)
{
	std::vector<std::uint64_t> ends;
	std::uint64_t at = 0;
	for (auto const length : lengths) ends.push_back(at += length);
	return ends;
}

// what the chunker says when the data comes in buffers of random sizes
std::vector<std::uint32_t> lengths_in_pieces(bytes_view data, chunking const& c, std::size_t largest, random_source& random)
{
	std::vector<std::uint32_t> lengths;
	chunker cutter(c);
	std::uint32_t current = 0;
	while (!data.empty())
	{
		auto piece = data.first(std::min(data.size(), random.between(0, largest)));
		data = data.subspan(piece.size());
		while (!piece.empty())
		{
			auto const s = cutter.next(piece);
			EXPECT_TRUE(s.boundary || s.consumed == piece.size());
			current += std::uint32_t(s.consumed);
			piece = piece.subspan(s.consumed);
			if (s.boundary)
			{
				EXPECT_EQ(cutter.pending(), 0u);
				lengths.push_back(current);
				current = 0;
			}
			else
				EXPECT_EQ(cutter.pending(), current);
		}
	}
	if (current > 0) lengths.push_back(current);
	return lengths;
}

} // namespace

TEST(chunker, table_is_the_published_one)
{
	auto const published = load_gear_table();
	ASSERT_EQ(published.size(), gear_table.size());
	EXPECT_TRUE(std::equal(published.begin(), published.end(), gear_table.begin()));
}

TEST(chunker, mask_is_the_top_bits)
{
	EXPECT_EQ(target(65536).mask(), 0xFFFF000000000000u);
	EXPECT_EQ(target(16384).mask(), 0xFFFC000000000000u);
	EXPECT_EQ(target(8192).mask(), 0xFFF8000000000000u);
}

TEST(chunker, boundaries_match_the_vectors)
{
	for (auto const& v : load_vectors("bep/bep_chunks.json", "/vectors"))
	{
		SCOPED_TRACE(v["name"].get<std::string>());
		auto const data = from_notation(v["input"].get<std::string>());
		ASSERT_EQ(sha256_hex(data), v["sha256"]);
		EXPECT_EQ(ends_of(chunk_lengths(data, target(v["target"]))), v["chunk_ends"].get<std::vector<std::uint64_t>>());
	}
}

TEST(chunker, official_boundaries_hold)
{
	auto const vectors = load_vectors("hf/official_vectors.json", "/chunker");
	auto const expect = [](bytes const& data, nlohmann::json const& boundaries)
	{ EXPECT_EQ(ends_of(chunk_lengths(data, target(65536))), boundaries.get<std::vector<std::uint64_t>>()); };

	expect(splitmix(0, vectors["splitmix64"]["length"]), vectors["splitmix64"]["boundaries"]);
	expect(bytes(vectors["const59"]["length"].get<std::size_t>(), 59), vectors["const59"]["boundaries"]);

	// data built so that a cut falls just around the minimum: every off-by-one shows
	auto const& triggering = vectors["triggering"];
	ASSERT_EQ(triggering["boundaries"].size(), 128u);
	for (std::size_t pad = 0; pad < 128; ++pad)
	{
		SCOPED_TRACE(pad);
		auto data = *from_hex(triggering["base_hex"].get<std::string>());
		data.resize(data.size() + pad, 0);
		data = repeated(data, triggering["length"]);
		ASSERT_EQ(data[11111], triggering["byte_at_11111"][pad]);
		expect(data, triggering["boundaries"][pad]);
	}
}

TEST(chunker, a_trigger_before_the_minimum_is_no_cut)
{
	auto const vector = load_vectors("hf/official_vectors.json", "/hfjs_min_boundary");
	auto const data = xorshift32_bytes(0x9e3779b9, 3 * 1024 * 1024);
	ASSERT_EQ(sha256_hex(data), vector["sha256"]);
	auto const lengths = chunk_lengths(data, target(65536));
	auto const& chunks = vector["computed_here"]["chunks"];
	ASSERT_EQ(lengths.size(), chunks.size());
	for (std::size_t i = 0; i < lengths.size(); ++i) EXPECT_EQ(lengths[i], chunks[i]["length"]) << i;
	EXPECT_EQ(lengths[44], vector["chunk_44"]["length"]);
}

TEST(chunker, follows_the_plain_rule_on_any_split_of_any_data)
{
	auto const random_data = splitmix(3, 1'500'000);
	std::vector<bytes> const inputs{random_data, zeros(500'000), text(900'000), repeated(bytes_view(random_data).first(777), 600'000),
									bytes(random_data.begin(), random_data.begin() + 8191), bytes{}, bytes{1}};
	random_source random(4);
	for (auto const& data : inputs)
		for (std::uint32_t const t : {8192u, 16384u, 32768u, 65536u})
		{
			SCOPED_TRACE(cat(data.size(), " bytes, target ", t));
			auto const expected = naive_lengths(data, target(t));
			EXPECT_EQ(chunk_lengths(data, target(t)), expected);
			for (std::size_t const largest : {3u, 64u, 5000u, 70'000u, 2'000'000u})
				EXPECT_EQ(lengths_in_pieces(data, target(t), largest, random), expected) << "pieces up to " << largest;
		}
}

TEST(chunker, other_minima_and_maxima_follow_the_rule_too)
{
	auto const data = splitmix(5, 200'000);
	random_source random(6);
	for (std::uint32_t const min : {1u, 2u, 63u, 64u, 65u, 100u, 4096u})
		for (std::uint32_t const max : {4096u, 5000u})
		{
			chunking const c{min, 256, max};
			SCOPED_TRACE(cat(min, " to ", max));
			auto const expected = naive_lengths(data, c);
			EXPECT_EQ(lengths_in_pieces(data, c, 1000, random), expected);
			EXPECT_EQ(chunk_lengths(data, c), expected);
		}
}

TEST(chunker, sha256_chunks_are_named_by_their_bytes)
{
	auto const p = make_profile("sha256");
	ASSERT_TRUE(p);
	auto const data = splitmix(7, 300'000);
	auto const chunks = chunk_buffer(data, *p);
	auto const lengths = naive_lengths(data, p->cut);
	ASSERT_EQ(chunks.size(), lengths.size());
	std::size_t at = 0;
	for (std::size_t i = 0; i < chunks.size(); ++i)
	{
		EXPECT_EQ(chunks[i].size, lengths[i]);
		EXPECT_EQ(to_hex(chunks[i].hash.raw), sha256_hex(bytes_view(data).subspan(at, lengths[i])));
		at += lengths[i];
	}
}

TEST(profile, knows_its_names_and_targets)
{
	auto const sha = make_profile("sha256", 32768);
	ASSERT_TRUE(sha);
	EXPECT_EQ(sha->kind, hash_kind::sha256);
	EXPECT_EQ(sha->cut.target_bytes, 32768u);
	EXPECT_EQ(make_profile("sha256")->cut.target_bytes, 16384u);

	for (std::uint32_t const bad : {1u, 4096u, 8191u, 10'000u, 131072u, 0x80000000u})
	{
		auto const p = make_profile("sha256", bad);
		ASSERT_FALSE(p) << bad;
		EXPECT_EQ(p.error().code, errc::invalid);
		EXPECT_NE(p.error().message.find(std::to_string(bad)), std::string::npos);
	}
	EXPECT_EQ(make_profile("md5").error().code, errc::invalid);
	EXPECT_EQ(make_profile("").error().code, errc::invalid);
}

#if UT_XET_HAVE_BLAKE3

TEST(profile, blake3_and_hf)
{
	EXPECT_EQ(make_profile("blake3")->cut.target_bytes, 16384u);
	EXPECT_EQ(make_profile("hf")->cut.target_bytes, 65536u);
	EXPECT_TRUE(make_profile("hf", 65536));
	EXPECT_EQ(make_profile("hf", 16384).error().code, errc::invalid);
}

TEST(chunker, blake3_hashes_match_the_vectors)
{
	for (auto const& v : load_vectors("bep/bep_chunks.json", "/vectors"))
	{
		SCOPED_TRACE(v["name"].get<std::string>());
		auto const p = make_profile("blake3", v["target"]);
		ASSERT_TRUE(p);
		auto const chunks = chunk_buffer(from_notation(v["input"].get<std::string>()), *p);
		bytes hashes;
		for (auto const& c : chunks) append(hashes, c.hash.view());
		EXPECT_EQ(sha256_hex(hashes), v["hashes_sha256"]);
		EXPECT_EQ(to_hex(file_hash(p->kind, chunks).raw), v["merkle_root"]);
		if (chunks.empty()) continue;
		EXPECT_EQ(to_hex(chunks.front().hash.raw), v["first_chunk_hash"]);
		EXPECT_EQ(to_hex(chunks.back().hash.raw), v["last_chunk_hash"]);
	}
}

namespace {

bytes hf_input(std::string_view name)
{
	static constexpr std::string_view label = "hfxet-vector-v1";
	constexpr std::size_t mebibyte = 1024 * 1024;
	if (name == "empty") return {};
	if (name == "one_zero_byte") return {0};
	if (name == "one_byte_a") return {'a'};
	if (name == "hello_world")
	{
		auto const t = as_bytes("Hello World!");
		return {t.begin(), t.end()};
	}
	if (name == "zeros_1MiB") return zeros(mebibyte);
	if (name == "ctr_1MiB") return sha256_stream(label, mebibyte);
	if (name == "ctr_1MiB_insert1_at_100000")
	{
		auto data = sha256_stream(label, mebibyte);
		data.insert(data.begin() + 100'000, 0x58);
		return data;
	}
	if (name == "splitmix0_1000000") return splitmix(0, 1'000'000);
	auto const size = std::stoul(std::string(name.substr(name.rfind('_') + 1)));
	return name.starts_with("zeros") ? zeros(size) : sha256_stream(label, size);
}

void expect_hf_chunks(chunk_list const& got, nlohmann::json const& expected)
{
	ASSERT_EQ(got.size(), expected["chunks"].size());
	for (std::size_t i = 0; i < got.size(); ++i)
	{
		EXPECT_EQ(got[i].size, expected["chunks"][i]["length"]) << i;
		EXPECT_EQ(to_hex(got[i].hash.raw), expected["chunks"][i]["hash_raw"]) << i;
		EXPECT_EQ(to_string(hash_kind::hf, got[i].hash), expected["chunks"][i]["hash"]) << i;
	}
	EXPECT_EQ(to_string(hash_kind::hf, hf_tree_root(got)), expected["xorb_hash"]);
	EXPECT_EQ(to_string(hash_kind::hf, file_hash(hash_kind::hf, got)), expected["file_hash"]);
}

} // namespace

TEST(chunker, hf_files_match_the_vectors)
{
	auto const vectors = load_vectors("hf/chunk_vectors.json", "/vectors");
	ASSERT_EQ(vectors.size(), 14u);
	for (auto const& v : vectors)
	{
		auto const name = v["name"].get<std::string>();
		SCOPED_TRACE(name);
		auto const data = hf_input(name);
		ASSERT_EQ(sha256_hex(data), v["sha256"]);
		expect_hf_chunks(chunk_buffer(data, *make_profile("hf")), v);
	}
	auto const min_boundary = load_vectors("hf/official_vectors.json", "/hfjs_min_boundary/computed_here");
	expect_hf_chunks(chunk_buffer(xorshift32_bytes(0x9e3779b9, 3 * 1024 * 1024), *make_profile("hf")), min_boundary);
}

#else

TEST(profile, without_blake3_says_what_to_use)
{
	for (auto const* name : {"blake3", "hf"})
	{
		auto const p = make_profile(name);
		ASSERT_FALSE(p);
		EXPECT_EQ(p.error().code, errc::unsupported);
		EXPECT_NE(p.error().message.find("sha256"), std::string::npos);
	}
}

#endif
