#include "tests/unit/xet/container_data.hpp"
#include "xet/hash.hpp"
#include "xet/hf_shard.hpp"
#include "xet/little_endian.hpp"
#include "xet/merkle.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

#if UT_XET_HAVE_BLAKE3

namespace {

// One file in one xorb of uncompressed chunks, as the vectors have it.
hf_shard shard_of(bytes const& data, chunking const& cut)
{
	auto const chunks = chunk_buffer(data, {hash_kind::hf, cut});
	hf_shard_xorb x;
	x.hash = hf_tree_root(chunks);
	for (auto const& c : chunks)
	{
		x.chunks.push_back({c.hash, x.bytes, c.size, x.chunks.empty() ? hf_global_dedup_flag : 0});
		x.bytes += c.size;
	}
	x.stored_bytes = x.bytes + std::uint32_t(8 * chunks.size());
	hf_shard_file f;
	f.hash = hf_file_hash(chunks);
	f.segments.push_back({x.hash, 0, x.bytes, 0, std::uint32_t(chunks.size())});
	f.range_hashes.push_back(hf_range_hash(x.chunks));
	f.sha256 = chunk_hash(hash_kind::sha256, data);
	return {{f}, {x}, {}};
}

hf_shard ctr_1MiB() { return shard_of(sha256_stream("hfxet-vector-v1", 1 << 20), make_profile("hf")->cut); }

// A few hundred bytes of content, so that every bit can be tried.
hf_shard small()
{
	auto s = shard_of(splitmix(4, 700), {64, 64, 256});
	auto more = shard_of(splitmix(5, 300), {64, 64, 256});
	auto f = more.files[0];
	f.range_hashes.clear();
	f.sha256.reset();
	s.files.push_back(f);
	s.xorbs.push_back(more.xorbs[0]);
	return s;
}

hf_shard stored(hf_shard s)
{
	s.footer.emplace();
	return s;
}

errc refused(bytes const& file, std::string_view words)
{
	auto const got = read_hf_shard(file);
	EXPECT_FALSE(got) << words;
	if (got) return errc::io;
	EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
	return got.error().code;
}

} // namespace

TEST(hf_shard, files_are_those_of_the_vectors)
{
	auto const v = load_vectors("hf/shard/index.json", "/shards");
	auto const upload = write_hf_shard(ctr_1MiB()), with_footer = write_hf_shard(stored(ctr_1MiB()));
	EXPECT_EQ(upload, load_bytes("hf/shard/ctr_1MiB_upload.mdb"));
	EXPECT_EQ(sha256_hex(upload), v[0]["sha256"]);
	EXPECT_EQ(with_footer.size(), v[1]["size"]);
	EXPECT_EQ(sha256_hex(with_footer), v[1]["sha256"]);
}

TEST(hf_shard, range_hash_is_that_of_the_draft)
{
	auto const v = load_vectors("hf/official_vectors.json", "/draft/verification");
	std::vector<hf_shard_chunk> chunks;
	for (auto const& raw : v["chunk_hashes_raw"]) chunks.push_back({hash_from_hex(raw.get<std::string>()).value(), 0, 0, 0});
	EXPECT_EQ(to_string(hash_kind::hf, hf_range_hash(chunks)), v["hash"]);
}

TEST(hf_shard, what_was_written_comes_back)
{
	auto keyed = stored(small());
	keyed.footer->chunk_key = chunk_hash(hash_kind::sha256, as_bytes("key"));
	keyed.footer->created = 1;
	keyed.footer->key_expiry = 2;
	for (auto& x : keyed.xorbs)
		for (auto& c : x.chunks) c.hash = keyed_blake3(keyed.footer->chunk_key.view(), c.hash.view());
	for (hf_shard const& s : {hf_shard{}, stored({}), small(), stored(small()), ctr_1MiB(), keyed})
	{
		auto const file = write_hf_shard(s);
		EXPECT_TRUE(looks_like_hf_shard(file));
		auto const back = read_hf_shard(file);
		ASSERT_TRUE(back) << back.error().message;
		EXPECT_EQ(*back, s);
		auto const verified = verify_hf_shard(*back);
		EXPECT_TRUE(verified) << verified.error().message;
	}
}

TEST(hf_shard, damage_is_found_or_changes_nothing_that_hashes_cover)
{
	for (auto const& good : {small(), stored(small())})
		for_each_damage(write_hf_shard(good), [&](bytes const& file, std::string const& what) {
			auto got = read_hf_shard(file);
			if (!got || !verify_hf_shard(*got)) return;
			if (got->footer && !got->footer->chunk_key.is_zero()) return;  // says that nothing can be checked
			// flags, sizes on disk, the SHA-256 and times are vouched for by nothing
			ASSERT_EQ(got->files.size(), good.files.size()) << what;
			for (std::size_t i = 0; i < good.files.size(); ++i)
			{
				auto& f = got->files[i];
				f.sha256 = good.files[i].sha256;
				for (auto& s : f.segments)
				{
					s.flags = 0;
					if (s.xorb != got->xorbs.at(i).hash) return;  // said to be in another shard
				}
			}
			for (std::size_t i = 0; i < good.xorbs.size(); ++i)
			{
				auto& x = got->xorbs.at(i);
				x.flags = 0;
				x.stored_bytes = good.xorbs[i].stored_bytes;
				for (std::size_t j = 0; j < x.chunks.size(); ++j) x.chunks[j].flags = good.xorbs[i].chunks.at(j).flags;
			}
			got->footer = good.footer;
			EXPECT_EQ(*got, good) << what;
		});
}

TEST(hf_shard, each_rule_has_its_message)
{
	auto const good = write_hf_shard(stored(small()));
	auto const n = good.size();
	auto const with = [&](std::size_t at, std::uint64_t value, std::size_t width) {
		auto file = good;
		write_le(file.data() + at, value, width);
		return file;
	};
	EXPECT_EQ(refused({}, "not a Hugging Face shard"), errc::invalid);
	EXPECT_EQ(refused(with(0, 0, 1), "not a Hugging Face shard"), errc::invalid);
	EXPECT_EQ(refused(with(32, 3, 8), "version 3"), errc::unsupported);
	EXPECT_EQ(refused(with(40, 100, 8), "footer length 100 at offset 40"), errc::unsupported);
	EXPECT_EQ(refused(with(40, 0, 8), "behind the last section"), errc::invalid);
	EXPECT_EQ(refused(with(80, 1, 1), "file 0 at offset 48: unknown flags"), errc::unsupported);
	EXPECT_EQ(refused(with(84, 0xffffffff, 4), "4294967295 segments cannot fit"), errc::invalid);
	EXPECT_EQ(refused(with(96 + 44, 0, 4), "has chunks 0 to 0"), errc::invalid);
	EXPECT_EQ(refused(bytes(good.begin(), good.begin() + 48 + 200), "the file section, at offset 48, has no end"), errc::invalid);

	auto const xorbs = std::size_t(read_le<std::uint64_t>(good.data() + n - 200 + 16));
	EXPECT_EQ(refused(with(xorbs + 36, 0xffffffff, 4), "4294967295 chunks cannot fit"), errc::invalid);
	EXPECT_EQ(refused(with(xorbs + 40, 1, 4), "it is said to have 1"), errc::invalid);
	EXPECT_EQ(refused(with(xorbs + 96 + 32, 1, 4), "xorb 0 at offset " + std::to_string(xorbs) + ": chunk 1"), errc::invalid) << "chunks that overlap";

	EXPECT_EQ(refused(with(n - 200, 2, 8), "footer of version 2"), errc::unsupported);
	EXPECT_EQ(refused(with(n - 192, 96, 8), "offset of the files is 96"), errc::invalid);
	EXPECT_EQ(refused(with(n - 184, 48, 8), "offset of the xorbs is 48"), errc::invalid);
	EXPECT_EQ(refused(with(n - 176, 48, 8), "file table: offset 48"), errc::invalid) << "tables that overlap sections";
	EXPECT_EQ(refused(with(n - 168, 3, 8), "file table: 3 rows"), errc::invalid);
	EXPECT_EQ(refused(with(n - 168, UINT64_MAX, 8), "file table: 18446744073709551615 rows"), errc::invalid);
	EXPECT_EQ(refused(with(n - 136, UINT64_MAX / 16 + 2, 8), "chunk table"), errc::invalid);
	EXPECT_EQ(refused(with(n - 8, 0, 8), "offset of the footer is 0"), errc::invalid);

	auto const table = std::size_t(read_le<std::uint64_t>(good.data() + n - 176));
	EXPECT_EQ(refused(with(table, UINT64_MAX, 8), "file table: row 0"), errc::invalid);
	EXPECT_EQ(refused(with(table + 8, 1, 4), "file table: row 0"), errc::invalid) << "into the middle of a file";
	EXPECT_EQ(refused(with(table + 12, 0, 8), "file table: row 1 at offset " + std::to_string(table + 12) + " is not in order"), errc::invalid);
}

TEST(hf_shard, tables_may_be_left_out)
{
	auto file = write_hf_shard(stored(small()));
	auto const table = std::size_t(read_le<std::uint64_t>(file.data() + file.size() - 176));
	file.erase(file.begin() + std::ptrdiff_t(table), file.end() - 200);
	for (auto const at : {168, 152, 136}) write_le(file.data() + file.size() - std::size_t(at), std::uint64_t(0));
	write_le(file.data() + file.size() - 8, std::uint64_t(table));
	auto const got = read_hf_shard(file);
	ASSERT_TRUE(got) << got.error().message;
	EXPECT_EQ(*got, stored(small()));
}

TEST(hf_shard, hashes_that_do_not_fit_together_are_named)
{
	auto const wrong = [](auto change, std::string_view words) {
		auto s = small();
		change(s);
		auto const got = verify_hf_shard(s);
		ASSERT_FALSE(got) << words;
		EXPECT_EQ(got.error().code, errc::mismatch);
		EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
	};
	wrong([](hf_shard& s) { s.xorbs[1].chunks[0].hash = {}; }, "its chunks make another hash");
	wrong([](hf_shard& s) { s.files[0].hash = {}; }, "file 0000");
	wrong([](hf_shard& s) { s.files[0].range_hashes[0] = {}; }, "the range hash of segment 0");
	wrong([](hf_shard& s) { s.files[0].segments[0].bytes -= 1; }, "segment 0 has 699 bytes; its chunks have 700");
	wrong([](hf_shard& s) { s.files[0].segments[0].end_chunk = 1000; }, "ends at chunk 1000");
	auto elsewhere = small();
	elsewhere.xorbs.clear();
	EXPECT_TRUE(verify_hf_shard(elsewhere)) << "what is in other shards cannot be told";
}

#endif
