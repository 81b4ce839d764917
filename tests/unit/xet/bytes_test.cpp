#include "xet/bytes.hpp"

#include <gtest/gtest.h>

using namespace xet;

TEST(bytes, hex_goes_both_ways)
{
	bytes all(256);
	for (std::size_t i = 0; i < all.size(); ++i) all[i] = std::uint8_t(i);
	auto const text = to_hex(all);
	EXPECT_EQ(text.substr(0, 8), "00010203");
	EXPECT_EQ(text.substr(504), "fcfdfeff");
	EXPECT_EQ(from_hex(text), all);
	EXPECT_EQ(from_hex("aBCdEF"), (bytes{0xab, 0xcd, 0xef}));
	EXPECT_EQ(from_hex(""), bytes{});
}

TEST(bytes, hex_that_is_none_is_refused)
{
	for (auto const* bad : {"0", "0g", "g0", " 00", "00 ", "0x00", "0-", "\xc3\xa9"}) EXPECT_FALSE(from_hex(bad)) << bad;
}

TEST(bytes, hash_text_has_64_characters)
{
	std::string const text(64, 'f');
	auto const h = hash_from_hex(text);
	ASSERT_TRUE(h);
	EXPECT_EQ(to_hex(h->raw), text);
	EXPECT_FALSE(hash_from_hex(text.substr(1)));
	EXPECT_FALSE(hash_from_hex(text.substr(2)));
	EXPECT_FALSE(hash_from_hex(text + "00"));
	EXPECT_FALSE(hash_from_hex(std::string(63, 'f') + "z"));
}

TEST(bytes, integers_are_big_endian)
{
	bytes out;
	append_be(out, std::uint32_t(0x01020304));
	append_be(out, std::uint16_t(0xfffe));
	append_be(out, std::uint64_t(0x8000000000000001));
	append_be(out, std::uint8_t(7));
	EXPECT_EQ(to_hex(out), "01020304fffe800000000000000107");
	EXPECT_EQ(read_be<std::uint32_t>(out.data()), 0x01020304u);
	EXPECT_EQ(read_be<std::uint16_t>(out.data() + 4), 0xfffe);
	EXPECT_EQ(read_be<std::uint64_t>(out.data() + 6), 0x8000000000000001u);
	EXPECT_EQ(read_be<std::uint8_t>(out.data() + 14), 7);
}
