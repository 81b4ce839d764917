#include "tests/unit/xet/naive_chunker.hpp"

#include <cstdio>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

using namespace xet;
using namespace ut_xet_test;

namespace {

// a nameless file
class scratch_file
{
public:
	scratch_file() : m_file(std::tmpfile()) {}
	explicit scratch_file(bytes_view data) : scratch_file() { write(data, 0); }
	~scratch_file() { std::fclose(m_file); }
	scratch_file(scratch_file const&) = delete;

	int fd() const { return fileno(m_file); }

	void write(bytes_view data, off_t at)
	{
		while (!data.empty())
		{
			auto const n = pwrite(fd(), data.data(), data.size(), at);
			ASSERT_GT(n, 0);
			data = data.subspan(std::size_t(n));
			at += n;
		}
	}

	void resize(off_t size) { ASSERT_EQ(ftruncate(fd(), size), 0); }

private:
	std::FILE* m_file;
};

std::vector<profile> profiles()
{
	std::vector<profile> out{*make_profile("sha256")};
	if (has_blake3())
	{
		out.push_back(*make_profile("blake3"));
		out.push_back(*make_profile("hf"));
	}
	return out;
}

// the rule as it reads, over a buffer
chunk_list expected_chunks(bytes_view data, profile const& p)
{
	chunk_list chunks;
	for (auto const length : naive_lengths(data, p.cut))
	{
		chunks.push_back({chunk_hash(p.kind, data.first(length)), length});
		data = data.subspan(length);
	}
	return chunks;
}

} // namespace

TEST(chunk_file, gives_what_the_rule_gives)
{
	constexpr std::size_t mebibyte = 1024 * 1024;
	auto const data = splitmix(11, 9 * mebibyte + 12345);
	for (std::size_t const size : {std::size_t(0), std::size_t(1), std::size_t(8191), std::size_t(8192), std::size_t(100'000), mebibyte - 1, mebibyte,
								   mebibyte + 1, 2 * mebibyte, 4 * mebibyte + 777, data.size()})
	{
		bytes_view const part = bytes_view(data).first(size);
		scratch_file const file(part);
		for (auto const& p : profiles())
		{
			auto const chunks = chunk_file(file.fd(), p);
			ASSERT_TRUE(chunks) << chunks.error().message;
			EXPECT_TRUE(*chunks == expected_chunks(part, p)) << size << " bytes, " << name_of(p.kind);
		}
	}
}

// Read in strips whose guesses at the cuts are wrong for long, or for ever.
TEST(chunk_file, long_runs_without_a_trigger)
{
	auto const noise = splitmix(16, 5'000'000);
	auto const tile = bytes_view(noise).first(70'001);
	for (bytes const& run : {zeros(17'000'000), repeated(tile, 17'000'000)})
	{
		bytes data(noise.begin(), noise.begin() + 100'001);
		append(data, run);
		append(data, bytes_view(noise).subspan(1));
		append(data, bytes_view(run).first(3'333'333));
		scratch_file const file(data);
		for (auto const& p : profiles())
		{
			auto const chunks = chunk_file(file.fd(), p);
			ASSERT_TRUE(chunks) << chunks.error().message;
			EXPECT_TRUE(*chunks == expected_chunks(data, p)) << name_of(p.kind);
		}
	}
}

TEST(chunk_file, does_not_mind_where_the_file_offset_is)
{
	auto const data = splitmix(12, 50'000);
	scratch_file const file(data);
	ASSERT_EQ(lseek(file.fd(), 30'000, SEEK_SET), 30'000);
	auto const p = *make_profile("sha256");
	EXPECT_TRUE(chunk_file(file.fd(), p).value() == expected_chunks(data, p));
	EXPECT_EQ(lseek(file.fd(), 0, SEEK_CUR), 30'000);
}

TEST(chunk_file, holes_are_zeros)
{
	auto const island = splitmix(13, 300'000);
	// a hole at the front, in the middle and at the end, none of them on a round offset
	constexpr std::size_t first = 3'333'333, second = 9'876'543, size = 15'000'001;
	scratch_file file;
	file.resize(size);
	file.write(island, first);
	file.write(island, second);
	bytes data(size);
	std::copy(island.begin(), island.end(), data.begin() + first);
	std::copy(island.begin(), island.end(), data.begin() + second);
	for (auto const& p : profiles())
		EXPECT_TRUE(chunk_file(file.fd(), p).value() == expected_chunks(data, p)) << name_of(p.kind);
}

TEST(chunk_file, reports_all_bytes_from_the_calling_thread)
{
	auto const data = splitmix(14, 7'000'000);
	scratch_file const file(data);
	std::uint64_t done = 0, calls = 0;
	auto const self = std::this_thread::get_id();
	chunk_file_options options;
	options.progress = [&](std::uint64_t n)
	{
		EXPECT_EQ(std::this_thread::get_id(), self);
		done += n;
		++calls;
	};
	ASSERT_TRUE(chunk_file(file.fd(), *make_profile("sha256"), options));
	EXPECT_EQ(done, data.size());
	EXPECT_GT(calls, 1u);
}

TEST(chunk_file, can_be_cancelled_before_and_while_it_runs)
{
	auto const data = splitmix(15, 20'000'000);
	scratch_file const file(data);
	std::atomic<bool> stop = true;
	std::uint64_t done = 0;
	chunk_file_options options;
	options.stop = &stop;
	options.progress = [&](std::uint64_t n)
	{
		done += n;
		stop = true;
	};
	auto const p = *make_profile("sha256");
	EXPECT_EQ(chunk_file(file.fd(), p, options).error().code, errc::cancelled);
	EXPECT_EQ(done, 0u);
	stop = false;
	EXPECT_EQ(chunk_file(file.fd(), p, options).error().code, errc::cancelled);
	EXPECT_LT(done, data.size());
}

TEST(chunk_file, a_descriptor_that_cannot_be_read_is_an_io_error)
{
	auto const p = *make_profile("sha256");
	auto const bad = chunk_file(-1, p);
	ASSERT_FALSE(bad);
	EXPECT_EQ(bad.error().code, errc::io);

	int const folder = open("/", O_RDONLY | O_DIRECTORY);
	ASSERT_GE(folder, 0);
	EXPECT_EQ(chunk_file(folder, p).error().code, errc::io);
	close(folder);

	int const write_only = open("/dev/null", O_WRONLY);
	ASSERT_GE(write_only, 0);
	EXPECT_EQ(chunk_file(write_only, p).error().code, errc::io);
	close(write_only);
}

// The file changes when the first progress comes: some of it is read, most of it is not.
TEST(chunk_file, a_file_that_shrinks_gives_a_shorter_list_or_an_error)
{
	auto const data = splitmix(16, 24'000'000);
	scratch_file file(data);
	chunk_file_options options;
	bool shrunk = false;
	options.progress = [&](std::uint64_t)
	{
		if (!shrunk) file.resize(10'000'000);
		shrunk = true;
	};
	auto const p = *make_profile("sha256");
	auto const chunks = chunk_file(file.fd(), p, options);
	ASSERT_TRUE(shrunk);
	if (chunks)
	{
		std::uint64_t size = 0;
		for (auto const& c : *chunks) size += c.size;
		EXPECT_LE(size, data.size());
		EXPECT_TRUE(*chunks == expected_chunks(bytes_view(data).first(size), p));
	}
	else
		EXPECT_EQ(chunks.error().code, errc::io);
}

TEST(chunk_file, a_file_that_grows_gives_a_prefix_or_all)
{
	auto const data = splitmix(17, 24'000'000);
	constexpr std::size_t before = 12'000'000;
	scratch_file file(bytes_view(data).first(before));
	chunk_file_options options;
	bool grown = false;
	options.progress = [&](std::uint64_t)
	{
		if (!grown) file.write(bytes_view(data).subspan(before), before);
		grown = true;
	};
	auto const p = *make_profile("sha256");
	auto const chunks = chunk_file(file.fd(), p, options);
	ASSERT_TRUE(grown);
	ASSERT_TRUE(chunks) << chunks.error().message;
	std::uint64_t size = 0;
	for (auto const& c : *chunks) size += c.size;
	EXPECT_GE(size, before);
	EXPECT_TRUE(*chunks == expected_chunks(bytes_view(data).first(size), p));
}
