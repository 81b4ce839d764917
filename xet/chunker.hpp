#pragma once
// Content-defined chunking: where a byte stream is cut. Source: protocol §3.
//
// Gear hash over u64: h = 0 at each chunk start, h = (h << 1) + TABLE[byte], mask = the top log2(target) bits.
// After the byte that makes the chunk c bytes long: c < min: go on; c >= max: cut; (h & mask) == 0: cut.
//
// Thread rule: a chunker belongs to one thread at a time; chunk_file starts and joins its own helper threads.

#include "xet/bytes.hpp"
#include "xet/error.hpp"
#include "xet/hash.hpp"
#include "xet/limits.hpp"

#include <atomic>
#include <functional>
#include <span>
#include <vector>

namespace xet {

struct chunking
{
	std::uint32_t min_bytes = min_chunk_bytes;
	std::uint32_t target_bytes = default_target_bytes;  // a power of two, min_target_bytes … max_target_bytes
	std::uint32_t max_bytes = max_chunk_bytes;

	std::uint64_t mask() const;  // the top log2(target_bytes) bits
};

// How a folder's or a file's data is cut and named.
struct profile
{
	hash_kind kind = hash_kind::blake3;
	chunking cut;
};

// name: "blake3", "sha256" or "hf"; target_bytes 0 means the profile's default (16 KiB; 64 KiB for hf, which allows no other).
// Errors: unknown name, a target that is no power of two from 8 KiB to 64 KiB, BLAKE3 missing from this build.
result<profile> make_profile(std::string_view name, std::uint32_t target_bytes = 0);

struct chunk_ref
{
	hash32 hash;
	std::uint32_t size = 0;  // bytes

	auto operator<=>(chunk_ref const&) const = default;
};

using chunk_list = std::vector<chunk_ref>;

// Finds boundaries in a stream that arrives in buffers of any size.
class chunker
{
public:
	explicit chunker(chunking const& c);

	// Reads data up to the end of the current chunk. Returns how many bytes of data belong to the current chunk, and
	// whether the chunk ends there; when it does not, all of data was consumed and the next call goes on.
	struct step { std::size_t consumed; bool boundary; };
	step next(bytes_view data);

	// Bytes of the current, unfinished chunk so far.
	std::uint32_t pending() const { return m_size; }

private:
	std::uint64_t m_mask;
	std::uint32_t m_min, m_max;
	std::uint32_t m_skip;  // bytes at the front of a chunk that cannot matter
	std::uint64_t m_hash = 0;
	std::uint32_t m_size = 0;
};

// Lengths of all chunks of one buffer; the last one may be shorter than the minimum. Empty for an empty buffer.
std::vector<std::uint32_t> chunk_lengths(bytes_view data, chunking const& c);

// Chunks of one buffer, hashed.
chunk_list chunk_buffer(bytes_view data, profile const& p);

struct chunk_file_options
{
	// called from time to time with the bytes done since the last call; may come from the calling thread only
	std::function<void(std::uint64_t)> progress;
	// Chunks that are hashed, in order, and their bytes, which are valid during the call only; from the calling thread, which then does
	// all the work. A run of one repeated chunk (a hole) may be told once. False ends it with errc::cancelled.
	std::function<bool(std::span<chunk_ref const>, bytes_view)> chunks = {};
	// when set and true, chunk_file ends with errc::cancelled
	std::atomic<bool> const* stop = nullptr;
};

// Reads fd from offset 0 to its end and returns its chunks. Memory is bounded (a few MiB) whatever the file's size. A
// file larger than 1 MiB is read by up to four threads in different places. A file that shrinks or grows meanwhile gives
// the chunks of what was read. The descriptor's own offset is used for finding holes in sparse files
// only, and put back.
// Errors: io (with the system's text), cancelled, unsupported (this build lacks the profile's hash).
result<chunk_list> chunk_file(int fd, profile const& p, chunk_file_options const& options = {});

} // namespace xet
