#pragma once
// What a node counts since its start. Relaxed atomics: any thread.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace ut_xet {

using counter = std::atomic<std::uint64_t>;

// How long things took: buckets that are an eighth of a power of two wide, so a quantile is right to within that.
// An entry costs a few nanoseconds. Any thread.
class duration_histogram
{
public:
	void add(std::chrono::nanoseconds took)
	{
		auto const ns = took.count() > 0 ? std::uint64_t(took.count()) : 0;
		m_buckets[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed);
		auto longest = m_longest.load(std::memory_order_relaxed);
		while (longest < ns && !m_longest.compare_exchange_weak(longest, ns, std::memory_order_relaxed)) {}
	}

	// Microseconds that the given part (0 … 1) of all entries did not exceed; 0 when there are none.
	double quantile_us(double part) const
	{
		std::uint64_t total = 0;
		for (auto const& b : m_buckets) total += b.load(std::memory_order_relaxed);
		std::uint64_t seen = 0;
		for (std::size_t i = 0; i < m_buckets.size() && total > 0; ++i)
		{
			seen += m_buckets[i].load(std::memory_order_relaxed);
			if (double(seen) >= part * double(total)) return std::min(double(end_of(i)), double(m_longest)) / 1000;
		}
		return 0;
	}
	double max_us() const { return double(m_longest) / 1000; }

private:
	static constexpr std::size_t bucket_of(std::uint64_t ns)
	{
		if (ns < 8) return std::size_t(ns);
		int const shift = std::bit_width(ns) - 4;
		return std::size_t(shift) * 8 + std::size_t(ns >> shift);
	}
	static constexpr std::uint64_t end_of(std::size_t bucket)
	{
		if (bucket < 8) return bucket;
		return ((bucket % 8 + 9) << (bucket / 8 - 1)) - 1;
	}

	std::array<counter, 62 * 8> m_buckets{};
	counter m_longest{0};
};

struct counters
{
	counter chunk_bytes_in{0};     // chunk data received and found right, metadata chunks included
	counter chunk_bytes_out{0};    // chunk data handed to sockets
	counter chunk_bytes_local{0};  // content reused from this disk instead of fetched
	counter chunks_in{0};
	counter chunks_out{0};
	counter chunks_duplicate{0};   // arrived twice (endgame)
	counter metadata_bytes_in{0};  // the part of chunk_bytes_in that is metadata
	counter metadata_bytes_out{0};
	counter verify_failures{0};    // chunks whose bytes did not have their hash, from peers or from disk
	counter wire_bytes_in{0};      // all ut_xet messages with their headers
	counter wire_bytes_out{0};
	counter violations{0};         // messages that broke the protocol
	std::atomic<std::int64_t> peers{0};
	duration_histogram network_thread;  // how long this plugin kept libtorrent's thread, each time
};

} // namespace ut_xet
