#pragma once
// What a node counts since its start. Relaxed atomics: any thread.

#include <atomic>
#include <cstdint>

namespace ut_xet {

using counter = std::atomic<std::uint64_t>;

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
};

} // namespace ut_xet
