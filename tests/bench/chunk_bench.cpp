// Throughput of the chunker and of chunk_file, one line per variant: median of several runs, GB/s (10^9 bytes).
//   chunk_bench [MiB] [folder for the test file] [only variants whose name begins so]
// The test file is in the page cache. Figures of a shared machine are ratios at best.

#include "xet/chunker.hpp"
#include "xet/merkle.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <unistd.h>

using namespace xet;

namespace {

template <class Run>
double median_seconds(Run const& run)
{
	constexpr int rounds = 7;
	std::vector<double> seconds;
	for (int i = 0; i < rounds; ++i)
	{
		auto const start = std::chrono::steady_clock::now();
		run();
		seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
	}
	std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
	return seconds[rounds / 2];
}

std::string wanted;

template <class Run>
void report(std::string const& name, std::size_t size, Run const& run)
{
	if (!name.starts_with(wanted)) return;
	std::printf("%-44s %6.2f\n", name.c_str(), double(size) / median_seconds(run) / 1e9);
	std::fflush(stdout);
}

bytes random_bytes(std::size_t size)
{
	bytes data(size);
	std::uint64_t x = 88172645463325252;
	for (auto& b : data)
	{
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		b = std::uint8_t(x >> 32);
	}
	return data;
}

bytes text_bytes(std::size_t size)
{
	std::string text;
	for (unsigned i = 0; text.size() < size; ++i) text += cat("line ", i, " the quick brown fox jumps over the lazy dog\n");
	text.resize(size);
	return {text.begin(), text.end()};
}

std::size_t stream_chunks(bytes_view data, chunking const& c)
{
	chunker cutter(c);
	std::size_t count = 0;
	while (!data.empty())
	{
		data = data.subspan(cutter.next(data).consumed);
		++count;
	}
	return count;
}

struct open_file
{
	int fd;
	~open_file() { close(fd); }
};

int make_file(std::string folder, bytes_view data)
{
	folder += "/chunk_bench.XXXXXX";
	int const fd = mkstemp(folder.data());
	if (fd < 0)
	{
		std::perror(folder.c_str());
		std::exit(1);
	}
	unlink(folder.c_str());
	while (!data.empty())
	{
		auto const n = write(fd, data.data(), data.size());
		if (n <= 0)
		{
			std::perror("write");
			std::exit(1);
		}
		data = data.subspan(std::size_t(n));
	}
	return fd;
}

void bench_memory(std::string const& name, bytes_view data)
{
	for (std::uint32_t const target : {16384u, 65536u})
	{
		chunking const c{.target_bytes = target};
		auto const suffix = cat(", ", name, ", ", target / 1024, " KiB");
		report("chunker::next" + suffix, data.size(), [&] { stream_chunks(data, c); });
		report("chunk_lengths" + suffix, data.size(), [&] { chunk_lengths(data, c); });
	}
}

void bench_profiles(bytes_view data, open_file const& file)
{
	for (auto const* name : {"blake3", "hf", "sha256"})
	{
		auto const p = make_profile(name);
		if (!p) continue;
		auto const lengths = chunk_lengths(data, p->cut);
		report(cat("hash only, ", name), data.size(),
			   [&]
			   {
				   std::size_t at = 0;
				   for (auto const length : lengths)
				   {
					   chunk_hash(p->kind, data.subspan(at, length));
					   at += length;
				   }
			   });
		std::vector<bytes_view> chunks;
		for (std::size_t at = 0; auto const length : lengths)
		{
			chunks.push_back(data.subspan(at, length));
			at += length;
		}
		std::vector<hash32> hashes(chunks.size());
		report(cat("hash only, many at once, ", name), data.size(), [&] { chunk_hashes(p->kind, chunks, hashes); });
		report(cat("chunk_buffer, ", name), data.size(), [&] { chunk_buffer(data, *p); });
		report(cat("chunk_file, ", name), data.size(), [&] { chunk_file(file.fd, *p).value(); });
	}
}

} // namespace

int main(int argc, char** argv)
{
	std::size_t const size = (argc > 1 ? std::stoul(argv[1]) : 512) * 1024 * 1024;
	std::string const folder = argc > 2 ? argv[2] : "/tmp";
	if (argc > 3) wanted = argv[3];
	std::printf("%zu MiB, GB/s\n", size / 1024 / 1024);

	auto const data = random_bytes(size);
	bench_memory("random", data);
	bench_memory("text", text_bytes(size / 4));
	bench_memory("zeros", bytes(size / 4));
	open_file const file{make_file(folder, data)};
	bench_profiles(data, file);

	constexpr std::size_t small = 16 * 1024, small_rounds = 10'000;
	open_file const small_file{make_file(folder, bytes_view(data).first(small))};
	auto const p = make_profile(has_blake3() ? "blake3" : "sha256").value();
	report("chunk_file, 10,000 files of 16 KiB", small * small_rounds,
		   [&]
		   {
			   for (std::size_t i = 0; i < small_rounds; ++i) chunk_file(small_file.fd, p).value();
		   });
}
