// How a store with many chunks opens and answers: store_bench [chunks] [directory]. The xorb files are holes of the right
// length, since only what the index knows is asked for; index, chunk lists and lookup table are real.

#include "xet/chunk_store.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

using namespace xet;

namespace {

constexpr std::uint32_t chunks_per_xorb = 2700;
constexpr std::uint32_t chunk_bytes = 24 * 1024;

double seconds_of(auto const& run)
{
	auto const start = std::chrono::steady_clock::now();
	run();
	return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

hash32 random_hash(std::mt19937_64& random)
{
	hash32 h;
	for (std::size_t i = 0; i < 4; ++i)
	{
		auto const v = random();
		std::memcpy(h.raw.data() + 8 * i, &v, 8);
	}
	return h;
}

long resident_kib(char const* key)
{
	std::ifstream status("/proc/self/status");
	for (std::string line; std::getline(status, line);)
		if (line.starts_with(key)) return std::atol(line.c_str() + std::strlen(key) + 1);
	return 0;
}

void make(std::filesystem::path const& dir, std::uint64_t chunks)
{
	std::filesystem::create_directories(dir / "xorbs" / "blake3");
	auto index = store_index::open(system_files(), dir / "index.db", false);
	if (!index) std::exit((std::fprintf(stderr, "%s\n", index.error().message.c_str()), 1));
	std::mt19937_64 random(1);
	chunk_refs refs;
	for (std::uint64_t done = 0; done < chunks; done += chunks_per_xorb)
	{
		std::vector<xorb_entry> entries;
		std::uint64_t offset = xorb_header_bytes;
		for (std::uint32_t i = 0; i < chunks_per_xorb; ++i)
		{
			offset += xorb_entry_header_bytes;
			entries.push_back({random_hash(random), chunk_bytes, chunk_bytes, false, offset});
			offset += chunk_bytes;
		}
		xorb_row row;
		row.name = random_hash(random);
		row.chunks = chunks_per_xorb;
		row.bytes = std::uint64_t(chunks_per_xorb) * chunk_bytes;
		row.stored = offset + 8;
		auto const path = dir / "xorbs" / "blake3" / (to_hex(row.name.view()) + ".xorb");
		std::ofstream(path).close();
		std::filesystem::resize_file(path, row.stored);
		auto const id = (*index)->add_xorb(row, entries);
		if (!id) std::exit((std::fprintf(stderr, "%s\n", id.error().message.c_str()), 1));
		refs[*id] = chunk_bits::all(chunks_per_xorb);
	}
	(void)(*index)->hold("everything", 0, refs, true, 0);
}

} // namespace

int main(int argc, char** argv)
{
	std::uint64_t const chunks = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
	std::filesystem::path const dir = std::filesystem::path(argc > 2 ? argv[2] : ".") / "store_bench";
	std::filesystem::remove_all(dir);
	std::printf("making the index: %.1f s\n", seconds_of([&] { make(dir, chunks); }));
	std::unique_ptr<chunk_store> store;
	auto const open = [&] {
		store.reset();
		auto opened = chunk_store::open(system_files(), dir);
		if (!opened) std::exit((std::fprintf(stderr, "%s\n", opened.error().message.c_str()), 1));
		store = std::move(*opened);
	};
	std::printf("first open (fills the lookup table): %.2f s\n", seconds_of(open));
	for (int i = 0; i < 3; ++i) std::printf("open: %.2f s\n", seconds_of(open));

	std::mt19937_64 random(1);
	std::vector<hash32> present, absent;
	for (std::uint64_t done = 0; done < chunks; done += chunks_per_xorb)
	{
		for (std::uint32_t i = 0; i < chunks_per_xorb; ++i)
		{
			auto const h = random_hash(random);
			if ((done / chunks_per_xorb + i) % 16 == 0) present.push_back(h);
		}
		(void)random_hash(random);
	}
	for (std::size_t i = 0; i < present.size(); ++i) absent.push_back(random_hash(random));
	std::shuffle(present.begin(), present.end(), random);
	constexpr std::size_t batch = 4096;
	for (auto const& [name, hashes] : {std::pair("present", &present), std::pair("absent", &absent)})
	{
		std::uint64_t found = 0;
		auto const s = seconds_of([&] {
			for (std::size_t i = 0; i < hashes->size(); i += batch)
			{
				auto const some = std::span(*hashes).subspan(i, std::min(batch, hashes->size() - i));
				auto const here = store->contains(hash_kind::blake3, some);
				if (here) found += std::uint64_t(std::count(here->begin(), here->end(), true));
			}
		});
		std::printf("lookups of %s chunks: %.0f/s, %llu of %zu found\n", name, double(hashes->size()) / s, static_cast<unsigned long long>(found), hashes->size());
	}
	std::printf("resident: %ld MiB, of which the list of hashes to ask for: %zu MiB; peak %ld MiB\n", resident_kib("VmRSS:") / 1024
		, (present.size() + absent.size()) * 32 >> 20, resident_kib("VmHWM:") / 1024);
	store.reset();
	std::filesystem::remove_all(dir);
}
