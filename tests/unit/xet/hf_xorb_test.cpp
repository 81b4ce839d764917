#include "tests/unit/xet/container_data.hpp"
#include "xet/hf_xorb.hpp"
#include "xet/little_endian.hpp"
#include "xet/lz4.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

std::string hub(hash32 const& h) { return to_string(hash_kind::hf, h); }

void append_chunk(bytes& out, std::uint8_t scheme, std::uint32_t size, bytes_view payload)
{
	std::uint8_t header[8] = {};
	write_le(header + 1, std::uint32_t(payload.size()), 3);
	header[4] = scheme;
	write_le(header + 5, size, 3);
	append(out, header);
	append(out, payload);
}

errc refused(bytes const& file, std::string_view words)
{
	memory_source source(file);
	auto const got = read_hf_xorb(source);
	EXPECT_FALSE(got) << words;
	if (got) return errc::io;
	EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
	return got.error().code;
}

} // namespace

TEST(hf_xorb, bytes_are_grouped_as_in_the_vectors)
{
	for (auto const& v : load_vectors("hf/bg4_vectors.json", "/vectors"))
	{
		bytes data(v["n"].get<std::size_t>());
		for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::uint8_t(i);
		auto const split = bg4_split(data);
		EXPECT_EQ(to_hex(split), v["split_hex"]);
		bytes joined(data.size());
		bg4_join(split, joined);
		EXPECT_EQ(joined, data);
	}
}

TEST(hf_xorb, schemes_have_names)
{
	bytes file;
	append_chunk(file, 3, 5, splitmix(1, 5));
	EXPECT_EQ(refused(file, "chunk 0 at offset 0: compression scheme 3 (FullBitsliceLZ4)"), errc::unsupported);
	file[4] = 99;
	EXPECT_EQ(refused(file, "compression scheme 99 (Auto)"), errc::unsupported);
	file[4] = 0;
	file[0] = 1;
	EXPECT_EQ(refused(file, "version 1"), errc::unsupported);
}

TEST(hf_xorb, sizes_that_lie_are_refused)
{
	bytes file;
	append_chunk(file, 0, 6, splitmix(1, 5));
	EXPECT_EQ(refused(file, "5 bytes for 6"), errc::invalid);
	file.clear();
	append_chunk(file, 1, 131072, bytes(20));
	EXPECT_EQ(refused(file, "cannot come from 20"), errc::invalid);
	file.clear();
	append_chunk(file, 1, 131073, bytes(10000));
	EXPECT_EQ(refused(file, "at most 131072"), errc::limit);
	file.clear();
	append_chunk(file, 0, 5, splitmix(1, 5));
	file.pop_back();
	EXPECT_EQ(refused(file, "reach beyond the end"), errc::invalid);
	EXPECT_EQ(refused({}, "empty"), errc::invalid);
	file.clear();
	for (int i = 0; i < 8193; ++i) append_chunk(file, 0, 0, {});
	EXPECT_EQ(refused(file, "chunk 8192 at offset 65536: more than 8192 chunks"), errc::limit);
}

#if UT_XET_HAVE_BLAKE3

namespace {

struct vector_case
{
	std::string file;
	std::vector<bytes> inputs;
};

hf_xorb_writer::built write_all(std::vector<bytes> const& chunks, compression how)
{
	hf_xorb_writer w(how);
	for (auto const& c : chunks) EXPECT_TRUE(w.add(c));
	return std::move(w).finish();
}

std::vector<bytes> const small3 = {from_text("First chunk"), from_text("Second chunk"), from_text("Third chunk")};

// Where the 16 free bytes stand.
std::size_t free_at(bytes const& file) { return file.size() - 4 - 16; }

bytes without_footer(bytes const& file)
{
	memory_source source(file);
	auto const n = read_hf_xorb(source).value().chunk_region_bytes;
	return bytes(file.begin(), file.begin() + std::ptrdiff_t(n));
}

} // namespace

TEST(hf_xorb, raw_files_are_those_of_the_vectors)
{
	auto const ctr = sha256_stream("hfxet-vector-v1", 131073);
	auto const v = load_vectors("hf/xorb/index.json", "/xorbs");
	for (auto const& [index, inputs] : {std::pair(0, small3), {1, small3}, {3, std::vector{bytes(ctr.begin(), ctr.begin() + 105898), bytes(ctr.begin() + 105898, ctr.end())}}})
	{
		auto built = write_all(inputs, compression::none);
		auto const nonce = from_hex(v[index]["nonce"].get<std::string>()).value();
		std::copy(nonce.begin(), nonce.end(), built.file.begin() + std::ptrdiff_t(free_at(built.file)));
		EXPECT_EQ(sha256_hex(built.file), v[index]["sha256"]) << v[index]["file"];
		EXPECT_EQ(hub(built.hash), v[index]["xorb_hash"]);
	}
}

TEST(hf_xorb, reads_the_files_of_the_vectors)
{
	for (int const index : {0, 2})
	{
		auto const v = load_vectors("hf/xorb/index.json", "/xorbs")[index];
		auto const file = load_bytes("hf/" + v["file"].get<std::string>());
		ASSERT_EQ(sha256_hex(file), v["sha256"]);
		EXPECT_TRUE(looks_like_hf_xorb(file));
		for (bool const footer : {true, false})
		{
			auto const data = footer ? file : without_footer(file);
			memory_source source(data);
			auto x = read_hf_xorb(source);
			ASSERT_TRUE(x) << x.error().message;
			EXPECT_EQ(x->hash.has_value(), footer);
			EXPECT_EQ(x->chunk_region_bytes, v["body_len"]);
			auto const hash = verify_hf_xorb(source, *x);
			ASSERT_TRUE(hash) << hash.error().message;
			EXPECT_EQ(hub(*hash), v["xorb_hash"]);
			ASSERT_EQ(x->entries.size(), v["chunks"].size());
			for (std::size_t i = 0; i < x->entries.size(); ++i)
			{
				auto const& wanted = v["chunks"][i];
				EXPECT_EQ(hub(*x->entries[i].hash), wanted["hash"]);
				EXPECT_EQ(x->entries[i].size, wanted["length"]);
				EXPECT_EQ(x->entries[i].stored, wanted["compressed"]);
				EXPECT_EQ(int(x->entries[i].scheme), wanted["scheme_in_header"]);
			}
		}
	}
}

TEST(hf_xorb, compressed_chunks_come_back)
{
	bytes ramp;
	for (int i = 0; i < 16384; ++i)
	{
		float const f = float(i) * 0.25f;
		std::uint32_t word;
		std::memcpy(&word, &f, sizeof word);
		append_le(ramp, word);
	}
	std::vector<bytes> const chunks = {text(20000), splitmix(3, 9001), ramp, zeros(131072), {}, from_text("x")};
	auto const built = write_all(chunks, compression::lz4);
	EXPECT_EQ(built.hash, write_all(chunks, compression::none).hash);
	EXPECT_EQ(built.file, write_all(chunks, compression::lz4).file);
	EXPECT_NE(built.entries[0].scheme, hf_scheme::none);
	EXPECT_EQ(built.entries[1].scheme, hf_scheme::none);
	EXPECT_EQ(built.entries[2].scheme, hf_scheme::bg4_lz4);
	memory_source source(built.file);
	auto const x = read_hf_xorb(source);
	ASSERT_TRUE(x) << x.error().message;
	EXPECT_EQ(x->entries, built.entries);
	for (std::size_t i = 0; i < chunks.size(); ++i) EXPECT_EQ(read_hf_chunk(source, x->entries[i]).value(), chunks[i]);
}

TEST(hf_xorb, older_footers_are_read)
{
	auto const built = write_all(small3, compression::none);
	auto const body = without_footer(built.file);

	auto v0 = body;
	append(v0, as_bytes("XETBLOB"));
	v0.push_back(0);
	append(v0, built.hash.view());
	append_le(v0, std::uint32_t(3));
	for (auto const& e : built.entries) append_le(v0, std::uint32_t(e.offset + e.stored));
	for (auto const& e : built.entries) append(v0, e.hash->view());
	v0.resize(v0.size() + 16);
	append_le(v0, std::uint32_t(v0.size() - body.size()));
	EXPECT_EQ(v0.size() - body.size() - 4, 60u + 3 * 36);

	// a V1 footer whose boundaries section has version 0, and so no ends in the content
	auto v1 = built.file;
	auto const boundaries = body.size() + 40 + 12 + 96;
	v1[boundaries + 7] = 0;
	v1.erase(v1.begin() + std::ptrdiff_t(boundaries + 12 + 12), v1.begin() + std::ptrdiff_t(boundaries + 12 + 24));
	for (auto const at : {v1.size() - 4, v1.size() - 4 - 16 - 4, v1.size() - 4 - 16 - 8})
		write_le(v1.data() + at, read_le<std::uint32_t>(v1.data() + at) - 12);

	for (auto const& file : {v0, v1})
	{
		memory_source source(file);
		auto x = read_hf_xorb(source);
		ASSERT_TRUE(x) << x.error().message;
		EXPECT_EQ(x->entries, built.entries);
		EXPECT_EQ(verify_hf_xorb(source, *x).value(), built.hash);
	}
}

TEST(hf_xorb, damage_is_found_or_changes_nothing)
{
	auto const good = write_all({from_text("First chunk"), zeros(200), text(150)}, compression::lz4);
	for_each_damage(good.file, [&](bytes const& file, std::string const& what) {
		memory_source source(file);
		auto x = read_hf_xorb(source);
		if (!x) return;
		auto const hash = verify_hf_xorb(source, *x);
		if (!hash) return;
		if (x->hash)
		{
			EXPECT_EQ(*hash, good.hash) << what;
			return;
		}
		// cut between two chunks: a xorb without a footer says nothing about itself, but what is there is right
		for (std::size_t i = 0; i < x->entries.size(); ++i) EXPECT_EQ(x->entries[i].hash, good.entries[i].hash) << what;
	});
}

TEST(hf_xorb, a_footer_says_what_the_chunks_say)
{
	auto const good = write_all(small3, compression::none).file;
	std::size_t const footer = 58, hashes = footer + 40, boundaries = hashes + 12 + 96;
	auto const with = [&](std::size_t at, std::uint32_t value, std::size_t width = 4) {
		auto file = good;
		write_le(file.data() + at, value, width);
		return file;
	};
	EXPECT_EQ(refused(with(footer + 7, 2, 1), "footer of version 2 at offset 58"), errc::unsupported);
	EXPECT_EQ(refused(with(hashes + 7, 1, 1), "hashes section of version 1"), errc::unsupported);
	EXPECT_EQ(refused(with(hashes, 0, 1), "no XBLBHSH at offset 98"), errc::invalid);
	EXPECT_EQ(refused(with(hashes + 8, 0xffffffff), "chunk count is 4294967295"), errc::invalid);
	EXPECT_EQ(refused(with(boundaries + 12, 5), "end of chunk 0 is 5"), errc::invalid);
	EXPECT_EQ(refused(with(boundaries + 16, 19), "end of chunk 1 is 19"), errc::invalid);
	EXPECT_EQ(refused(with(boundaries + 24, 12), "end in the content of chunk 0 is 12"), errc::invalid);
	EXPECT_EQ(refused(with(good.size() - 24, 65), "distance of the boundaries section"), errc::invalid) << "sections that overlap";
	EXPECT_EQ(refused(with(good.size() - 4, 213), "info length is 213"), errc::invalid);
	auto longer = good;
	longer.push_back(0);
	EXPECT_EQ(refused(longer, "1 bytes at offset 274 behind the footer"), errc::invalid);

	auto lying = with(footer + 8, 0);
	memory_source source(lying);
	auto x = read_hf_xorb(source).value();
	auto const hash = verify_hf_xorb(source, x);
	ASSERT_FALSE(hash);
	EXPECT_EQ(hash.error().code, errc::mismatch);
}

TEST(hf_xorb, the_writer_keeps_the_limits)
{
	hf_xorb_writer w(compression::none);
	EXPECT_EQ(w.add(zeros(131073)).error().code, errc::limit);
	auto const chunk = zeros(131072);
	for (int i = 0; i < 512; ++i) ASSERT_TRUE(w.add(chunk));
	EXPECT_EQ(w.add(zeros(1)).error().code, errc::limit);
	auto const built = std::move(w).finish();
	memory_source source(built.file);
	EXPECT_TRUE(read_hf_xorb(source));
}

TEST(hf_xorb, an_empty_one_is_a_footer)
{
	auto const built = write_all({}, compression::none);
	EXPECT_TRUE(built.hash.is_zero());
	EXPECT_TRUE(looks_like_hf_xorb(built.file));
	memory_source source(built.file);
	auto x = read_hf_xorb(source);
	ASSERT_TRUE(x) << x.error().message;
	EXPECT_TRUE(verify_hf_xorb(source, *x).value().is_zero());
}

#endif
