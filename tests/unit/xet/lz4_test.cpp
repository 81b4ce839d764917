#include "tests/unit/xet/container_data.hpp"
#include "xet/lz4.hpp"

#include <gtest/gtest.h>
#include <lz4frame.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

// A frame as some other writer would make it.
bytes foreign_frame(bytes_view data, LZ4F_blockSizeID_t block, LZ4F_blockMode_t mode, bool checksums, bool content_size)
{
	LZ4F_preferences_t p{};
	p.frameInfo.blockSizeID = block;
	p.frameInfo.blockMode = mode;
	p.frameInfo.contentChecksumFlag = checksums ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum;
	p.frameInfo.blockChecksumFlag = checksums ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
	p.frameInfo.contentSize = content_size ? data.size() : 0;
	bytes out(LZ4F_compressFrameBound(data.size(), &p));
	out.resize(LZ4F_compressFrame(out.data(), out.size(), data.data(), data.size(), &p));
	return out;
}

} // namespace

TEST(lz4, comes_back_the_same)
{
	for (std::size_t const size : {0u, 1u, 13u, 1000u, 65535u, 65536u, 65537u, 131072u, 1000003u})
		for (bytes const& data : {text(size), zeros(size), splitmix(size, size)})
		{
			auto const frame = lz4_compress(data);
			EXPECT_LE(frame.size(), lz4_bound(size));
			auto const back = lz4_decompress(frame, size);
			ASSERT_TRUE(back) << back.error().message;
			EXPECT_EQ(*back, data);
		}
}

TEST(lz4, writes_the_frames_that_the_format_names)
{
	auto const one_block = lz4_compress(text(10000)), many = lz4_compress(text(100000));
	EXPECT_EQ(to_hex(bytes_view(one_block).first(14)), "04224d186840102700000000" "0000");
	EXPECT_EQ(to_hex(bytes_view(many).first(6)), "04224d184840");
}

TEST(lz4, takes_the_frames_of_other_writers)
{
	auto const data = text(300000);
	for (auto const block : {LZ4F_max64KB, LZ4F_max256KB, LZ4F_max1MB, LZ4F_max4MB})
		for (auto const mode : {LZ4F_blockLinked, LZ4F_blockIndependent})
			for (bool const checksums : {false, true})
				for (bool const sized : {false, true})
				{
					auto const back = lz4_decompress(foreign_frame(data, block, mode, checksums, sized), data.size());
					ASSERT_TRUE(back) << back.error().message;
					EXPECT_EQ(*back, data);
				}
}

TEST(lz4, a_frame_holds_exactly_what_it_is_said_to_hold)
{
	auto const data = text(5000);
	auto const frame = lz4_compress(data);
	for (std::size_t const wrong : {0u, 1u, 4999u, 5001u, 100000u})
	{
		auto const got = lz4_decompress(frame, wrong);
		ASSERT_FALSE(got) << wrong;
		EXPECT_EQ(got.error().code, errc::invalid);
	}
	for (std::size_t n = 0; n < frame.size(); ++n)
		EXPECT_FALSE(lz4_decompress(bytes_view(frame).first(n), data.size())) << "cut at " << n;
	for (bytes const& more : {bytes{0}, frame})
	{
		auto longer = frame;
		append(longer, more);
		EXPECT_FALSE(lz4_decompress(longer, data.size()));
	}
	// an error leaves nothing behind, not even for a frame that does not say its size
	EXPECT_FALSE(lz4_decompress(bytes_view(frame).first(100), data.size()));
	EXPECT_TRUE(lz4_decompress(foreign_frame(data, LZ4F_max64KB, LZ4F_blockLinked, false, false), data.size()));
}

TEST(lz4, damage_never_reaches_beyond_the_declared_size)
{
	auto const data = text(700);
	auto const frame = lz4_compress(data);
	bytes room(data.size() + 64, 0xee);
	for_each_damage(frame, [&](bytes const& damaged, std::string const& what) {
		(void)lz4_decompress(damaged, std::span(room).first(data.size()));
		for (std::size_t i = data.size(); i < room.size(); ++i) ASSERT_EQ(room[i], 0xee) << what;
	});
}

TEST(lz4, a_bomb_costs_nothing)
{
	auto const bomb = lz4_compress(zeros(64 << 20));
	ASSERT_LT(bomb.size(), 300000u);
	EXPECT_FALSE(lz4_decompress(bomb, 100));
	// more than LZ4 can make of so little: refused before room is made
	auto const got = lz4_decompress(bytes_view(bomb).first(100), std::size_t(1) << 40);
	ASSERT_FALSE(got);
	EXPECT_NE(got.error().message.find("cannot hold"), std::string::npos) << got.error().message;
	EXPECT_TRUE(lz4_can_hold(bomb.size(), 64 << 20));
}

TEST(lz4, worth_compressing_tells_text_from_noise)
{
	for (std::size_t const size : {64u, 100u, 128u, 1000u, 16384u, 131072u, 5000000u})
	{
		EXPECT_TRUE(worth_compressing(zeros(size))) << size;
		EXPECT_FALSE(worth_compressing(splitmix(size, size))) << size;
	}
	EXPECT_TRUE(worth_compressing(text(16384)));
	EXPECT_FALSE(worth_compressing({}));
	EXPECT_FALSE(worth_compressing(zeros(20)));

	std::size_t wrong = 0;
	for (std::uint64_t seed = 0; seed < 2000; ++seed) wrong += worth_compressing(splitmix(seed, 16384));
	EXPECT_EQ(wrong, 0u);
}

TEST(lz4, worth_compressing_says_yes_to_most_of_a_program)
{
	std::ifstream in("/proc/self/exe", std::ios::binary);
	bytes const program(std::istreambuf_iterator<char>(in), {});
	std::size_t yes = 0, chunks = 0;
	for (std::size_t at = 0; at + 16384 <= program.size() && chunks < 500; at += 16384, ++chunks)
		yes += worth_compressing(bytes_view(program).subspan(at, 16384));
	ASSERT_GT(chunks, 10u);
	EXPECT_GT(yes * 10, chunks * 8);
}

TEST(lz4, worth_compressing_sees_a_part_of_a_large_chunk)
{
	auto mixed = splitmix(1, 8 << 20);
	std::fill(mixed.begin() + (3 << 20), mixed.begin() + (5 << 20), 0);
	EXPECT_TRUE(worth_compressing(mixed));
}
