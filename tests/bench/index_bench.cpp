// The chunk table at 10 million chunks: building, opening, lookups, memory and disk, and what follows for a billion.
//   index_bench [--chunks N] [--dir FOLDER] [--json]        N at least 2 million
// Runs are really on disk, in the page cache unless a line says cold. One thread. Figures of a shared machine are ratios at best.

#include "xet/chunk_table.hpp"
#include "xet/chunk_table_merge.hpp"
#include "xet/files.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <numeric>
#include <string>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

using namespace xet;

namespace {

constexpr std::uint32_t chunks_per_container = 2700;  // a xorb of 64 MiB
constexpr std::uint64_t large_store = 1'000'000'000;
constexpr std::array<std::uint8_t, 16> bench_id{'i', 'n', 'd', 'e', 'x', ' ', 'b', 'e', 'n', 'c', 'h', 1, 2, 3, 4, 5};

struct bench_options
{
	std::uint64_t chunks = 10'000'000;
	std::filesystem::path dir = std::filesystem::temp_directory_path();
	bool json = false;
};

struct build_figures
{
	double insert_seconds = 0, flush_seconds = 0, merge_seconds = 0;
	double longest_flush_seconds = 0, longest_merge_seconds = 0;
	std::uint64_t written_bytes = 0;
};

// There is no going on after an error.
template <class T>
T must(result<T> r)
{
	if (r) return std::move(*r);
	std::fprintf(stderr, "%s\n", r.error().message.c_str());
	std::exit(1);
}

void must(result<> const& r)
{
	if (r) return;
	std::fprintf(stderr, "%s\n", r.error().message.c_str());
	std::exit(1);
}

template <class Work>
double seconds_of(Work const& work)
{
	auto const start = std::chrono::steady_clock::now();
	work();
	return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double cpu_seconds()
{
	::timespec t{};
	::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

std::uint64_t splitmix(std::uint64_t& state)
{
	auto z = state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

// Made again whenever it is needed, so that the memory is the table's own.
hash32 hash_of(std::uint64_t number)
{
	auto state = number * 0xd1342543de82ef95;
	hash32 h;
	for (std::size_t i = 0; i < 32; i += 8)
	{
		auto const v = splitmix(state);
		std::memcpy(h.raw.data() + i, &v, 8);
	}
	return h;
}

class reporter
{
public:
	explicit reporter(bool json) : m_json(json) {}
	void line(char const* name, double value, char const* unit)
	{
		if (m_json) std::printf("{\"bench\": \"index\", \"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
		else std::printf("%-52s %14.*f %s\n", name, value < 100 ? 3 : 0, value, unit);
		std::fflush(stdout);
	}

private:
	bool m_json;
};

std::vector<chunk_entry> list_of(std::uint32_t container, std::uint64_t chunks)
{
	std::vector<chunk_entry> list;
	auto const first = std::uint64_t(container) * chunks_per_container;
	auto const end = std::min(first + chunks_per_container, chunks);
	for (auto i = first; i < end; ++i) list.push_back({hash_of(i), (i - first) * 24600, 24600});
	return list;
}

std::uint32_t containers_for(std::uint64_t chunks)
{
	return std::uint32_t((chunks + chunks_per_container - 1) / chunks_per_container);
}

build_figures build(bench_options const& o)
{
	build_figures out;
	auto const table = must(chunk_table::open(system_files(), o.dir, {bench_id, 0, {}}));
	for (std::uint32_t c = 0; c < containers_for(o.chunks); ++c)
	{
		auto const list = list_of(c, o.chunks);
		out.insert_seconds += seconds_of([&] { must(table->insert(c, list)); });
		if (!table->wants_flush()) continue;
		auto const flush = seconds_of([&] { must(table->flush()); });
		out.flush_seconds += flush;
		out.longest_flush_seconds = std::max(out.longest_flush_seconds, flush);
		while (table->wants_merge())
		{
			auto const merge = seconds_of([&] { must(table->merge()); });
			out.merge_seconds += merge;
			out.longest_merge_seconds = std::max(out.longest_merge_seconds, merge);
		}
	}
	out.written_bytes = table->figures().written_bytes;
	return out;
}

// In a process of its own, so that what it leaves in the heap is not counted as the table's.
build_figures build_apart(bench_options const& o)
{
	int ends[2];
	if (::pipe(ends) != 0) std::exit(1);
	auto const child = ::fork();
	if (child == 0)
	{
		auto const figures = build(o);
		bool const told = ::write(ends[1], &figures, sizeof figures) == ssize_t(sizeof figures);
		::_exit(told ? 0 : 1);
	}
	build_figures out;
	int status = 1;
	bool const told = ::read(ends[0], &out, sizeof out) == ssize_t(sizeof out);
	::waitpid(child, &status, 0);
	if (!told || status != 0) std::exit(1);
	return out;
}

double resident_mib()
{
	std::ifstream status("/proc/self/status");
	for (std::string line; std::getline(status, line);)
		if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
	return 0;
}

void drop_page_cache(std::filesystem::path const& dir)
{
	for (auto const& e : std::filesystem::directory_iterator(dir))
	{
		int const fd = ::open(e.path().c_str(), O_RDONLY | O_CLOEXEC);
		if (fd < 0) continue;
		(void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		::close(fd);
	}
}

struct rate
{
	double per_second = 0;
	double per_cpu_second = 0;  // of this thread: what a core of its own would give, the page cache being warm
};

// Ends with a message when an answer is wrong.
class lookups
{
public:
	lookups(chunk_table const& table, std::uint64_t chunks) : m_table(table), m_chunks(chunks) {}

	rate batched(std::size_t batch, bool present, std::size_t count)
	{
		std::vector<hash32> hashes(batch);
		std::vector<std::uint64_t> numbers(batch);
		std::vector<std::optional<chunk_location>> places(batch);
		double seconds = 0, cpu = 0;
		std::size_t done = 0;
		for (; done < count; done += batch)
		{
			for (std::size_t i = 0; i < batch; ++i) hashes[i] = hash_of(numbers[i] = pick(present));
			auto const cpu_before = cpu_seconds();
			seconds += seconds_of([&] { must(m_table.find(hashes, places)); });
			cpu += cpu_seconds() - cpu_before;
			for (std::size_t i = 0; i < batch; ++i) check(present, numbers[i], places[i] ? &*places[i] : nullptr);
		}
		return {double(done) / seconds, double(done) / cpu};
	}

	double single(bool present, std::size_t count)
	{
		double seconds = 0;
		for (std::size_t i = 0; i < count; ++i)
		{
			auto const number = pick(present);
			auto const hash = hash_of(number);
			chunk_locations found;
			seconds += seconds_of([&] { found = must(m_table.find(hash)); });
			check(present, number, found.begin() == found.end() ? nullptr : found.begin());
		}
		return double(count) / seconds;
	}

private:
	std::uint64_t pick(bool present) { return splitmix(m_state) % m_chunks + (present ? 0 : m_chunks); }
	static void check(bool present, std::uint64_t number, chunk_location const* where)
	{
		bool const is_there = where != nullptr && where->container == number / chunks_per_container
			&& where->ordinal == number % chunks_per_container;
		if (present ? is_there : where == nullptr) return;
		std::fprintf(stderr, "wrong answer for chunk %llu\n", static_cast<unsigned long long>(number));
		std::exit(1);
	}

	chunk_table const& m_table;
	std::uint64_t m_chunks;
	std::uint64_t m_state = 1;
};

struct growth
{
	std::size_t runs = 0, most_runs = 0;
	double mean_runs = 0, write_amplification = 0, largest_merge_entries = 0;
};

// The table's own rule, played through with numbers only.
growth grow_to(std::uint64_t chunks)
{
	auto const per_run = chunk_table_options{}.memory_entries;
	growth out;
	std::vector<run_size> runs;
	double written = 0, sum_of_runs = 0;
	std::uint64_t flushes = 0;
	for (std::uint64_t n = per_run; n <= chunks; n += per_run, ++flushes)
	{
		runs.push_back({per_run, 1, 0});
		written += double(per_run);
		for (auto r = choose_merge(runs, per_run); r.count > 0; r = choose_merge(runs, per_run))
		{
			auto const first = runs.begin() + std::ptrdiff_t(r.first);
			auto const last = first + std::ptrdiff_t(r.count);
			first->entries = std::accumulate(first, last, std::uint64_t(0), [](auto sum, auto const& run) { return sum + run.entries; });
			written += double(first->entries);
			out.largest_merge_entries = std::max(out.largest_merge_entries, double(first->entries));
			runs.erase(first + 1, last);
		}
		sum_of_runs += double(runs.size());
		out.most_runs = std::max(out.most_runs, runs.size());
	}
	out.runs = runs.size();
	out.mean_runs = flushes > 0 ? sum_of_runs / double(flushes) : 0;
	out.write_amplification = written / double(chunks);
	return out;
}

void report_build(reporter& out, bench_options const& o)
{
	auto const b = build_apart(o);
	auto const n = double(o.chunks);
	out.line("inserts, flushes and merges included", n / (b.insert_seconds + b.flush_seconds + b.merge_seconds), "chunks/s");
	out.line("inserts alone", n / b.insert_seconds, "chunks/s");
	out.line("time in inserts", b.insert_seconds, "s");
	out.line("time in flushes", b.flush_seconds, "s");
	out.line("time in merges", b.merge_seconds, "s");
	out.line("longest flush", b.longest_flush_seconds, "s");
	out.line("longest merge", b.longest_merge_seconds, "s");
	out.line("bytes written per chunk", double(b.written_bytes) / n, "bytes");
}

std::unique_ptr<chunk_table> report_open(reporter& out, bench_options const& o)
{
	std::vector<std::uint32_t> alive(containers_for(o.chunks));
	std::iota(alive.begin(), alive.end(), 0u);
	std::unique_ptr<chunk_table> table;
	chunk_table_index const index{bench_id, std::uint32_t(alive.size()), alive};
	auto const open_seconds = seconds_of([&] { table = must(chunk_table::open(system_files(), o.dir, index)); });
	double refill_seconds = 0;
	for (auto c = table->covered_until(); c < alive.size(); ++c)
	{
		auto const list = list_of(c, o.chunks);
		refill_seconds += seconds_of([&] { must(table->insert(c, list)); });
	}
	out.line("open", open_seconds, "s");
	out.line("refill of memory", refill_seconds, "s");
	out.line("chunks refilled", double(table->figures().memory_entries), "chunks");
	return table;
}

void report_lookups(reporter& out, chunk_table const& table, bench_options const& o)
{
	lookups ask(table, o.chunks);
	(void)ask.batched(65536, true, o.chunks);  // the page cache is warm after this
	auto const both = [&out](std::string const& name, rate const& r) {
		out.line(name.c_str(), r.per_second, "lookups/s");
		out.line((name + ", CPU").c_str(), r.per_cpu_second, "lookups/s of CPU");
	};
	for (std::size_t const batch : {256, 4096, 65536})
	{
		both(cat("absent, batches of ", batch), ask.batched(batch, false, 4'000'000));
		both(cat("present, batches of ", batch), ask.batched(batch, true, 1'000'000));
	}
	out.line("absent, one at a time", ask.single(false, 1'000'000), "lookups/s");
	out.line("present, one at a time", ask.single(true, 300'000), "lookups/s");
	out.line("resident memory after lookups", resident_mib(), "MiB");
	drop_page_cache(o.dir);
	out.line("present, one at a time, cold", ask.single(true, 2'000), "lookups/s");
	drop_page_cache(o.dir);
	out.line("present, batches of 4096, cold", ask.batched(4096, true, 3 * 4096).per_second, "lookups/s");
	drop_page_cache(o.dir);
	out.line("absent, batches of 4096, cold", ask.batched(4096, false, 100 * 4096).per_second, "lookups/s");
}

void report_large(reporter& out, double filter_per_chunk, double disk_per_chunk)
{
	auto const g = grow_to(large_store);
	auto const n = double(large_store);
	out.line("calculated for", n, "chunks");
	out.line("  filters and fences in memory", n * filter_per_chunk / (1 << 20), "MiB");
	out.line("  disk", n * disk_per_chunk / (1 << 30), "GiB");
	out.line("  runs at that point", double(g.runs), "runs");
	out.line("  runs on the way, mean", g.mean_runs, "runs");
	out.line("  runs on the way, most", double(g.most_runs), "runs");
	out.line("  each chunk written", g.write_amplification, "times");
	out.line("  largest merge", g.largest_merge_entries, "chunks");
	out.line("  temporary disk space of that merge", g.largest_merge_entries * disk_per_chunk / (1 << 30), "GiB");
}

bench_options parse(int argc, char** argv)
{
	bench_options o;
	for (int i = 1; i < argc; ++i)
	{
		std::string const a = argv[i];
		if (a == "--json") o.json = true;
		else if (a == "--chunks" && i + 1 < argc) o.chunks = std::strtoull(argv[++i], nullptr, 10);
		else if (a == "--dir" && i + 1 < argc) o.dir = argv[++i];
		else
		{
			std::fprintf(stderr, "usage: index_bench [--chunks N] [--dir FOLDER] [--json]\n");
			std::exit(2);
		}
	}
	// with fewer nothing comes to the disk
	o.chunks = std::max<std::uint64_t>(o.chunks, 2'000'000);
	o.dir /= cat("xet_index_bench.", ::getpid());
	return o;
}

} // namespace

int main(int argc, char** argv)
{
	auto const o = parse(argc, argv);
	reporter out(o.json);
	out.line("chunks", double(o.chunks), "chunks");
	report_build(out, o);
	{
		auto const table = report_open(out, o);
		auto const f = table->figures();
		auto const in_runs = double(f.entries - f.memory_entries);
		out.line("runs", double(f.runs), "runs");
		out.line("bytes on disk per chunk", double(f.disk_bytes) / in_runs, "bytes");
		out.line("filters and fences in memory", double(f.filter_bytes) / (1 << 20), "MiB");
		report_lookups(out, *table, o);
		report_large(out, double(f.filter_bytes) / in_runs, double(f.disk_bytes) / in_runs);
	}
	std::error_code ignored;
	std::filesystem::remove_all(o.dir, ignored);
}
