#include "tests/unit/xet/container_data.hpp"
#include "xet/hash.hpp"
#include "xet/little_endian.hpp"
#include "xet/shard.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

hash32 named(std::string_view name) { return chunk_hash(hash_kind::sha256, as_bytes(name)); }

// What the vectors describe.
shard one_file() { return {{{"a.txt", named("file-a"), 0, {}}}, {}, {}}; }
shard two_files()
{
	auto s = one_file();
	s.files.push_back({"dir/\xc3\xa9t\xc3\xa9.bin", named("file-b"), 0x0102030405060708, {named("xorb-0"), named("xorb-1")}});
	s.xorbs = {named("xorb-0"), named("xorb-1")};
	s.chunks = {named("chunk-0"), named("chunk-1"), named("chunk-2")};
	return s;
}

bytes const key = from_text("a key");

errc refused(bytes const& file, std::string_view words, std::optional<bytes_view> with = {})
{
	auto const got = read_shard(file, with);
	EXPECT_FALSE(got) << words;
	if (got) return errc::io;
	EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
	return got.error().code;
}

} // namespace

TEST(shard, files_are_those_of_the_vectors)
{
	for (auto const& v : load_vectors("bep/shard.json", "/vectors"))
	{
		auto const content = v["name"] == "empty" ? shard{} : one_file();
		std::optional<bytes> k;
		if (v["hmac_key_hex"].is_string()) k = from_hex(v["hmac_key_hex"].get<std::string>()).value();
		auto const file = write_shard(content, k);
		EXPECT_EQ(to_hex(file), v["hex"]) << v["name"] << v["hmac_key_hex"];
		EXPECT_EQ(file, load_bytes("bep/" + v["file"].get<std::string>()));

		auto const back = read_shard(file, k);
		ASSERT_TRUE(back) << back.error().message;
		EXPECT_EQ(back->content, content);
		EXPECT_EQ(back->seal, !k ? shard_seal::none : k->empty() ? shard_seal::missing : shard_seal::verified);
	}
}

TEST(shard, what_was_written_comes_back)
{
	auto const s = two_files();
	ASSERT_TRUE(check_shard(s));
	auto const file = write_shard(s, key);
	EXPECT_EQ(file.size(), 24u + 53 + 48 + 13 + 64 + 64 + 96 + 32);
	EXPECT_TRUE(looks_like_shard(file));
	auto const back = read_shard(file, key);
	ASSERT_TRUE(back) << back.error().message;
	EXPECT_EQ(back->content, s);
	EXPECT_EQ(back->seal, shard_seal::verified);
	EXPECT_EQ(read_shard(file).value().seal, shard_seal::unchecked) << "readable without the key";
}

TEST(shard, a_key_vouches_for_every_bit)
{
	for_each_damage(write_shard(two_files(), key), [](bytes const& file, std::string const& what) {
		EXPECT_FALSE(read_shard(file, key)) << what;
		auto const unchecked = read_shard(file);
		EXPECT_TRUE(!unchecked || check_shard(unchecked->content)) << what;
	});
}

TEST(shard, keys_that_cannot_vouch_are_told)
{
	auto const sealed = write_shard(two_files(), key);
	EXPECT_EQ(refused(sealed, "was not made with this key", from_text("another")), errc::mismatch);
	EXPECT_EQ(refused(sealed, "was not made with this key", bytes{}), errc::mismatch);
	EXPECT_EQ(refused(write_shard(two_files()), "has no HMAC", key), errc::mismatch);
	EXPECT_EQ(refused(write_shard(two_files()), "has no HMAC", bytes{}), errc::mismatch);
	auto const empty_key = write_shard(two_files(), bytes{});
	EXPECT_EQ(refused(empty_key, "claims an HMAC and has none", key), errc::mismatch);
	EXPECT_EQ(read_shard(empty_key, bytes{}).value().seal, shard_seal::missing);
	EXPECT_EQ(read_shard(empty_key).value().seal, shard_seal::missing);
}

TEST(shard, each_rule_has_its_message)
{
	auto const good = write_shard(two_files());
	auto const with = [&](std::size_t at, std::uint64_t value, std::size_t width) {
		auto file = good;
		write_le(file.data() + at, value, width);
		return file;
	};
	EXPECT_EQ(refused({}, "not a shard"), errc::invalid);
	EXPECT_EQ(refused(bytes(24), "not a shard"), errc::invalid);
	EXPECT_EQ(refused(with(4, 2, 1), "version 2"), errc::unsupported);
	EXPECT_EQ(refused(with(5, 2, 1), "flags 2 at offset 5"), errc::unsupported);
	EXPECT_EQ(refused(with(7, 9, 1), "byte 9 at offset 7"), errc::invalid);
	EXPECT_EQ(refused(with(23, 1, 1), "byte 1 at offset 23"), errc::invalid);
	EXPECT_EQ(refused(with(8, 0xffffffff, 4), "file count 4294967295 at offset 8"), errc::invalid);
	EXPECT_EQ(refused(with(12, 0xffffffff, 4), "xorb count 4294967295 at offset 12"), errc::invalid);
	EXPECT_EQ(refused(with(16, 0xffffffff, 4), "chunk count 4294967295 at offset 16"), errc::invalid);
	EXPECT_EQ(refused(with(24, 0xffffffff, 4), "file 0 at offset 24: a path of 4294967295 bytes"), errc::limit);
	EXPECT_EQ(refused(with(24, 1000, 4), "within the path at offset 28"), errc::invalid);
	EXPECT_EQ(refused(with(24, 0, 4), "file 0 at offset 24: an empty path"), errc::invalid);
	EXPECT_EQ(refused(with(28, 0xff, 1), "not UTF-8 from its byte 0 on"), errc::invalid);
	EXPECT_EQ(refused(with(29, 0, 1), "zero byte in the path"), errc::invalid);
	EXPECT_EQ(refused(with(73, 0xffffffff, 4), "file 0 at offset 24: xorb count 4294967295 at offset 73"), errc::invalid);
	auto longer = good;
	longer.push_back(0);
	EXPECT_EQ(refused(longer, "1 bytes at offset 362 behind the chunk hashes"), errc::invalid);
}

TEST(shard, only_utf8_is_a_path)
{
	auto const check = [](std::string path) { return check_shard({{{path, {}, 0, {}}}, {}, {}}).has_value(); };
	for (char const* const good : {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xef\xbf\xbf"}) EXPECT_TRUE(check(good)) << good;
	for (char const* const bad : {"", "\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82"})
		EXPECT_FALSE(check(bad)) << to_hex(as_bytes(bad));
	EXPECT_TRUE(check(std::string(4096, 'x')));
	EXPECT_FALSE(check(std::string(4097, 'x')));
}

TEST(shard, hmac_is_that_of_rfc_4231)
{
	EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?")).view())
		, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
