#include "plugin/inbox.hpp"

#include <gtest/gtest.h>

namespace ut_xet {
namespace {

xet::hash32 hash_of(std::uint8_t n)
{
	xet::hash32 h;
	h.raw[0] = n;
	return h;
}

TEST(inbox, chunks_lie_behind_each_other_and_come_out_in_order)
{
	slab_pool pool;
	inbox in(pool);
	EXPECT_TRUE(in.put(hash_of(1), xet::bytes(1000, 1), 7)) << "a worker is called";
	EXPECT_FALSE(in.put(hash_of(2), xet::bytes(500, 2), 8)) << "it is on its way";
	auto const batch = in.take();
	ASSERT_TRUE(batch);
	ASSERT_EQ(batch->chunks.size(), 2u);
	EXPECT_EQ(batch->chunks[0].hash, hash_of(1));
	EXPECT_EQ(batch->chunks[1].peer, 8u);
	EXPECT_EQ(batch->chunks[0].data.data() + 1000, batch->chunks[1].data.data());
	EXPECT_EQ(batch->chunks[1].data[499], 2);
	EXPECT_FALSE(in.take());
	EXPECT_TRUE(in.put(hash_of(3), xet::bytes(10, 3), 7)) << "its turn was over";
}

TEST(inbox, a_second_worker_helps_when_slabs_queue_up)
{
	slab_pool pool;
	inbox in(pool);
	int called = 0;
	xet::bytes const chunk(slab_bytes / 2, 1);
	for (int i = 0; i < 8; ++i) called += in.put(hash_of(1), chunk, 7);
	EXPECT_EQ(called, 2);
	for (int i = 0; i < 4; ++i) EXPECT_EQ(in.take()->chunks.size(), 2u);
	EXPECT_FALSE(in.take());
	EXPECT_FALSE(in.take());
	EXPECT_TRUE(in.put(hash_of(1), xet::bytes(2 * slab_bytes, 1), 7)) << "larger than a slab";
	EXPECT_EQ(in.take()->chunks[0].data.size(), 2 * slab_bytes);
}

TEST(slab_pool, memory_is_used_again)
{
	std::shared_ptr<slab> late;
	{
		slab_pool pool;
		auto const* first = pool.take()->data.get();
		auto const again = pool.take();
		EXPECT_EQ(again->data.get(), first);
		EXPECT_NE(pool.take()->data.get(), first);
		late = pool.take();
	}
	EXPECT_EQ(late->room(), slab_bytes) << "it may outlive the pool";
}

} // namespace
} // namespace ut_xet
