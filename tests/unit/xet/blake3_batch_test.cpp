// Many messages at once against one message at a time.

#include "tests/unit/test_data.hpp"
#include "xet/blake3_batch.hpp"
#include "xet/hash.hpp"

#include <gtest/gtest.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

// Whatever is hashed together, each hash is that of its message alone.
void expect_single_hashes(std::vector<bytes_view> const& messages)
{
	for (auto const kind : {hash_kind::blake3, hash_kind::hf, hash_kind::sha256})
	{
		if (kind != hash_kind::sha256 && !has_blake3()) continue;
		std::vector<hash32> out(messages.size());
		chunk_hashes(kind, messages, out);
		for (std::size_t i = 0; i < messages.size(); ++i)
			ASSERT_EQ(out[i], chunk_hash(kind, messages[i])) << name_of(kind) << ", message " << i << " of " << messages[i].size() << " bytes";
	}
}

std::vector<bytes_view> parts_of_random_length(bytes_view data, std::size_t count, std::size_t longest, random_source& random)
{
	std::vector<bytes_view> parts;
	for (std::size_t i = 0; i < count; ++i)
	{
		auto const size = random.between(0, longest);
		parts.push_back(data.subspan(random.between(0, data.size() - size), size));
	}
	return parts;
}

} // namespace

TEST(blake3_batch, every_short_length)
{
	auto const data = splitmix(31, 9000);
	std::vector<bytes_view> all;
	for (std::size_t size = 0; size <= 8200; ++size)
	{
		auto const message = bytes_view(data).subspan(size % 100, size);
		all.push_back(message);
		if (size <= 4200) expect_single_hashes({message});
	}
	expect_single_hashes(all);
}

TEST(blake3_batch, around_every_full_tree)
{
	auto const data = splitmix(32, 300'000);
	std::vector<bytes_view> messages;
	for (std::size_t leaves = 1; leaves <= 260; ++leaves)
		for (std::size_t const more : {0, 1, 64, 1023}) messages.push_back(bytes_view(data).subspan(leaves, leaves * 1024 + more));
	expect_single_hashes(messages);
	for (auto const m : {17u, 100u, 255u}) expect_single_hashes({messages[m], messages[4 * m], bytes_view(), messages[m + 1]});
}

TEST(blake3_batch, random_lengths_in_batches_of_any_size)
{
	auto const data = splitmix(33, 3'000'000);
	random_source random(34);
	for (std::size_t const longest : {100u, 2000u, 20'000u, 131'072u, 2'900'000u})
		for (std::size_t const count : {0u, 1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u})
		{
			if (longest * count > 20'000'000) continue;
			SCOPED_TRACE(longest);
			expect_single_hashes(parts_of_random_length(data, count, longest, random));
		}
}

TEST(blake3_batch, sizes_must_agree)
{
	std::vector<hash32> out(2);
	std::vector<bytes_view> const one{bytes_view()};
	EXPECT_THROW(chunk_hashes(hash_kind::sha256, one, out), std::logic_error);
	if (has_blake3_batch())
	{
		EXPECT_THROW(hash_blake3_batch({}, one, out), std::logic_error);
		EXPECT_THROW(hash_blake3_batch(bytes_view(out[0].raw).first(31), one, std::span(out).first(1)), std::logic_error);
	}
}
