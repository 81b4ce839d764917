#include "tests/unit/xet/container_data.hpp"
#include "xet/little_endian.hpp"
#include "xet/lz4.hpp"
#include "xet/xorb.hpp"

#include <gtest/gtest.h>
#include <map>

using namespace xet;
using namespace ut_xet_test;

namespace {

constexpr auto sha = hash_kind::sha256;

void add(xorb_builder& b, bytes const& data, hash_kind kind = sha) { b.add(chunk_hash(kind, data), data); }

bytes to_bytes(bytes_view v) { return bytes(v.begin(), v.end()); }

bytes pack(std::vector<bytes> const& chunks, compression how, hash_kind kind = sha)
{
	xorb_builder b(kind, 1 << 20);
	for (auto const& c : chunks) add(b, c, kind);
	return to_bytes(b.finish(how).file);
}

// Expects an error that has these words, and returns its code.
errc refused(bytes const& file, std::string_view words, xorb_limits const& limits = {})
{
	memory_source source(file);
	auto const got = read_xorb_directory(source, limits);
	EXPECT_FALSE(got) << words;
	if (got) return errc::io;
	EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
	return got.error().code;
}

std::vector<bytes> const small_chunks = {splitmix(1, 40), zeros(300), {}, text(200)};

} // namespace

#if UT_XET_HAVE_BLAKE3

TEST(xorb, raw_files_are_those_of_the_vectors)
{
	for (auto const& v : load_vectors("bep/xorb.json", "/vectors"))
	{
		bool const asked = v["compress"];
		xorb_builder b(hash_kind::blake3);
		std::size_t i = 0;
		for (auto const& input : v["inputs"])
		{
			auto const data = from_rule(input);
			EXPECT_EQ(to_hex(chunk_hash(hash_kind::blake3, data).view()), v["chunk_hashes_blake3"][i++]);
			add(b, data, hash_kind::blake3);
		}
		auto const built = b.finish(asked ? compression::lz4 : compression::none);
		EXPECT_EQ(to_hex(built.hash.view()), v["get_xorb_hash_blake3"]) << v["name"];
		EXPECT_EQ(to_hex(built.file.first(20)), v["header_hex"]);
		EXPECT_EQ(to_hex(built.file.last(8)), v["trailer_hex"]);
		// which bytes a compressor makes is its own business
		bool const compressed = asked && v["name"] != "one_small";
		EXPECT_TRUE(compressed || sha256_hex(built.file) == v["sha256"]) << v["name"];
	}
}

TEST(xorb, reads_the_files_of_the_vectors)
{
	for (auto const& v : load_vectors("bep/xorb.json", "/vectors"))
	{
		auto const file = load_bytes("bep/" + v["file"].get<std::string>());
		memory_source source(file);
		EXPECT_TRUE(looks_like_xorb(file));
		auto const entries = read_xorb_directory(source);
		ASSERT_TRUE(entries) << entries.error().message;
		ASSERT_EQ(entries->size(), v["entries"].size());
		for (std::size_t i = 0; i < entries->size(); ++i)
		{
			auto const& e = (*entries)[i];
			auto const& wanted = v["entries"][i];
			EXPECT_EQ(e.offset, wanted["offset"].get<std::size_t>() + xorb_entry_header_bytes);
			EXPECT_EQ(e.size, wanted["uncompressed"]);
			EXPECT_EQ(e.compressed ? e.stored : 0, wanted["compressed_field"]);
			auto const data = read_xorb_chunk(source, e, hash_kind::blake3);
			ASSERT_TRUE(data) << data.error().message;
			EXPECT_EQ(*data, from_rule(v["inputs"][i]));
		}
		auto const hash = xorb_hash(source, *entries, hash_kind::blake3);
		ASSERT_TRUE(hash) << hash.error().message;
		EXPECT_EQ(to_hex(hash->view()), v["get_xorb_hash_blake3"]);
	}
}

#endif

TEST(xorb, what_was_added_comes_back)
{
	for (auto const kind : {sha, hash_kind::blake3, hash_kind::hf})
	{
		if (kind != sha && !has_blake3()) continue;
		for (auto const how : {compression::none, compression::lz4})
		{
			xorb_builder b(kind, 1 << 20);
			for (auto const& c : small_chunks) add(b, c, kind);
			EXPECT_EQ(b.count(), small_chunks.size());
			EXPECT_EQ(b.payload_bytes(), 540u);
			auto const built = b.finish(how);
			memory_source source(built.file);
			auto const entries = read_xorb_directory(source);
			ASSERT_TRUE(entries) << entries.error().message;
			EXPECT_EQ(*entries, built.entries);
			for (std::size_t i = 0; i < small_chunks.size(); ++i)
			{
				EXPECT_EQ(to_bytes(b.data_of(i)), small_chunks[i]);
				EXPECT_EQ(read_xorb_chunk(source, (*entries)[i], kind).value(), small_chunks[i]);
			}
			EXPECT_EQ((*entries)[1].compressed, how == compression::lz4);
			EXPECT_FALSE((*entries)[0].compressed);
			EXPECT_EQ(xorb_hash(source, *entries, kind).value(), built.hash);
		}
	}
}

TEST(xorb, without_a_smaller_chunk_only_the_flag_tells_that_compression_was_asked_for)
{
	xorb_builder b(sha, 1 << 20);
	for (int i = 0; i < 5; ++i) add(b, splitmix(i, 10000));
	auto const raw = b.finish(compression::none);
	auto const raw_file = to_bytes(raw.file);
	auto const asked = b.finish(compression::lz4);
	EXPECT_EQ(asked.file.data(), raw.file.data()) << "no copy";
	EXPECT_EQ(asked.hash, raw.hash);
	auto without_flag = to_bytes(asked.file);
	EXPECT_EQ(without_flag[5], 1);
	without_flag[5] = 0;
	EXPECT_EQ(without_flag, raw_file);
	EXPECT_EQ(raw.hash, chunk_hash(sha, raw_file));
}

TEST(xorb, a_builder_is_used_again)
{
	xorb_builder b(sha, 1 << 20);
	EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.finish().file.data()) % bulk_alignment, 0u);
	add(b, text(3000));
	auto const first = to_bytes(b.finish(compression::lz4).file);
	add(b, zeros(5000));  // goes on after finish
	auto const packed = b.finish(compression::lz4);
	EXPECT_EQ(reinterpret_cast<std::uintptr_t>(packed.file.data()) % bulk_alignment, 0u);
	EXPECT_EQ(to_bytes(packed.file), pack({text(3000), zeros(5000)}, compression::lz4));
	EXPECT_EQ(to_bytes(b.finish().file), pack({text(3000), zeros(5000)}, compression::none));
	b.clear();
	EXPECT_TRUE(b.empty());
	EXPECT_EQ(b.payload_bytes(), 0u);
	add(b, text(3000));
	EXPECT_EQ(to_bytes(b.finish(compression::lz4).file), first);
}

TEST(xorb, fits_keeps_both_limits)
{
	xorb_builder b(sha, 100, 3);
	EXPECT_TRUE(b.fits(100));
	EXPECT_FALSE(b.fits(101));
	add(b, zeros(99));
	EXPECT_TRUE(b.fits(1));
	EXPECT_FALSE(b.fits(2));
	add(b, {});
	add(b, zeros(1));
	EXPECT_FALSE(b.fits(0)) << "three chunks are all";
	memory_source source(b.finish().file);
	EXPECT_EQ(read_xorb_directory(source).value().size(), 3u);
}

TEST(xorb, a_full_one_of_noise_after_something_that_shrank_stays_within_the_buffer)
{
	xorb_builder b(sha, 300000, 4);
	add(b, zeros(100));
	add(b, splitmix(2, 299900));
	auto const built = b.finish(compression::lz4);
	memory_source source(built.file);
	auto const entries = read_xorb_directory(source, {.max_chunk_bytes = 1 << 20, .max_payload_bytes = max_xorb_bytes, .max_chunks = 4});
	ASSERT_TRUE(entries) << entries.error().message;
	EXPECT_EQ(xorb_hash(source, *entries, sha).value(), built.hash);
}

TEST(xorb, damage_is_found_or_changes_nothing)
{
	std::map<hash32, bytes> known;
	for (auto const& c : small_chunks) known[chunk_hash(sha, c)] = c;
	for (auto const how : {compression::none, compression::lz4})
		for_each_damage(pack(small_chunks, how), [&](bytes const& file, std::string const& what) {
			memory_source source(file);
			auto const entries = read_xorb_directory(source);
			if (!entries)
			{
				EXPECT_FALSE(entries.error().message.empty());
				return;
			}
			EXPECT_EQ(entries->size(), small_chunks.size()) << what;
			for (auto const& e : *entries)
			{
				auto const data = read_xorb_chunk(source, e, sha);
				ASSERT_TRUE(!data || *data == known.at(e.hash)) << what;
			}
		});
}

TEST(xorb, each_rule_has_its_message)
{
	auto const good = pack(small_chunks, compression::none);
	auto const with = [&](std::size_t at, std::uint64_t value, std::size_t width) {
		auto file = good;
		write_le(file.data() + at, value, width);
		return file;
	};
	EXPECT_EQ(refused({}, "not a xorb"), errc::invalid);
	EXPECT_EQ(refused(with(0, 0, 1), "does not begin with 31756824"), errc::invalid);
	EXPECT_EQ(refused(with(4, 2, 1), "version 2"), errc::unsupported);
	EXPECT_EQ(refused(with(5, 2, 1), "unknown xorb flags 2 at offset 5"), errc::unsupported);
	EXPECT_EQ(refused(with(15, 7, 1), "byte 7 at offset 15"), errc::invalid);
	EXPECT_EQ(refused(with(16, 0xffffffff, 4), "chunk count 4294967295 at offset 16: the file of 728 bytes cannot hold so many"), errc::invalid);
	EXPECT_EQ(refused(with(16, 3, 4), "belong to no chunk"), errc::invalid);
	EXPECT_EQ(refused(with(16, 5, 4), "chunk 4 at offset 720"), errc::invalid);
	EXPECT_EQ(refused(with(52, 41, 4), "at offset"), errc::invalid);
	EXPECT_EQ(refused(with(52, 1000, 4), "chunk 0 at offset 20: its 1000 bytes reach beyond the end"), errc::invalid);
	EXPECT_EQ(refused(with(720, 541, 8), "sum of sizes at offset 720: 541; the chunks have 540 bytes"), errc::invalid);
	EXPECT_EQ(refused(good, "size 300; at most 200", {.max_chunk_bytes = 200, .max_payload_bytes = 10000, .max_chunks = 10}), errc::limit);
	EXPECT_EQ(refused(good, "at most 400 are allowed", {.max_chunk_bytes = 300, .max_payload_bytes = 400, .max_chunks = 10}), errc::limit);
	EXPECT_EQ(refused(good, "at most 3 are allowed", {.max_chunk_bytes = 300, .max_payload_bytes = 10000, .max_chunks = 3}), errc::limit);
	auto longer = good;
	longer.push_back(0);
	EXPECT_EQ(refused(longer, "1 bytes at offset 720 that belong to no chunk"), errc::invalid);
}

TEST(xorb, sizes_that_lie_allocate_nothing)
{
	// a chunk of 64 MiB out of a frame of 26 bytes
	auto file = pack({zeros(300)}, compression::lz4);
	write_le(file.data() + 52, std::uint32_t(64 << 20));
	EXPECT_EQ(refused(file, "cannot come from", {.max_chunk_bytes = 64 << 20, .max_payload_bytes = max_xorb_bytes, .max_chunks = 10}), errc::invalid);

	// a frame that holds much more than it is said to
	xorb_entry bomb{chunk_hash(sha, zeros(100)), 100, 0, true, 0};
	auto const frame = lz4_compress(zeros(1 << 20));
	bomb.stored = std::uint32_t(frame.size());
	memory_source source(frame);
	auto const got = read_xorb_chunk(source, bomb, sha);
	ASSERT_FALSE(got);
	EXPECT_EQ(got.error().code, errc::invalid) << got.error().message;
}

TEST(xorb, a_million_tiny_chunks_are_read_in_few_reads)
{
	xorb_builder b(sha, 1'000'000, 1'000'000);
	bytes const one = {7};
	auto const hash = chunk_hash(sha, one);
	for (int i = 0; i < 1'000'000; ++i) b.add(hash, one);
	EXPECT_FALSE(b.fits(0));
	auto const built = b.finish();
	counting_source source(built.file);
	auto const entries = read_xorb_directory(source);
	ASSERT_TRUE(entries) << entries.error().message;
	EXPECT_EQ(entries->size(), 1'000'000u);
	EXPECT_LT(source.reads, 11'000u);
}

TEST(xorb, the_directory_of_large_chunks_needs_little_of_the_file)
{
	xorb_builder b(sha, 16 << 20);
	auto const data = splitmix(1, 100000);
	while (b.fits(data.size())) add(b, data);
	auto const built = b.finish();
	counting_source source(built.file);
	ASSERT_TRUE(read_xorb_directory(source));
	EXPECT_LT(source.bytes_read, built.file.size() / 20);
}

TEST(xorb, a_wrong_hash_function_and_a_broken_disk_are_told)
{
	auto const file = pack(small_chunks, compression::lz4);
	memory_source source(file);
	auto const entries = read_xorb_directory(source).value();
	if (has_blake3())
	{
		auto const got = read_xorb_chunk(source, entries[0], hash_kind::blake3);
		ASSERT_FALSE(got);
		EXPECT_EQ(got.error().code, errc::mismatch);
		EXPECT_NE(got.error().message.find("chunk at offset 60: its blake3 hash is"), std::string::npos) << got.error().message;
	}
	broken_source broken;
	EXPECT_EQ(read_xorb_directory(broken).error().code, errc::io);
	EXPECT_EQ(read_xorb_chunk(broken, entries[0], sha).error().code, errc::io);
}
