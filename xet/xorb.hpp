#pragma once
// Xorb files: packs of chunks. Source: protocol §5. Integers are little-endian.
//
//   31 75 68 24 | version u8 = 1 | flags u8 (bit 0: compression was asked for) | 10 zero bytes | chunk count u32
//   per chunk: hash[32] | size u32 | stored u32 (0: raw) | payload (raw, or one LZ4 frame of `stored` bytes)
//   sum of the sizes u64
//
// A xorb's hash is the chunk-hash function over this with nothing compressed and all flags 0. The file does not say which
// function names its chunks.
//
// Thread rule: a builder belongs to one thread at a time; the reading functions are pure but for their source.

#include "xet/files.hpp"
#include "xet/hash.hpp"
#include "xet/limits.hpp"

#include <memory>
#include <vector>

namespace xet {

// do not change: parts of the format
inline constexpr std::size_t xorb_header_bytes = 20;
inline constexpr std::size_t xorb_entry_header_bytes = 40;  // before each payload
inline constexpr std::size_t xorb_trailer_bytes = 8;

struct xorb_entry
{
	hash32 hash;
	std::uint32_t size = 0;    // bytes of the chunk
	std::uint32_t stored = 0;  // bytes in the file: size itself when it is stored raw
	bool compressed = false;
	std::uint64_t offset = 0;  // of the payload in the file

	bool operator==(xorb_entry const&) const = default;
};

enum class compression
{
	none,
	lz4,
};

// Puts chunks together in memory. The buffers are kept from one xorb to the next, and are aligned to bulk_alignment, so
// that a whole xorb can be written past the page cache. They take memory as they are filled, not before.
class xorb_builder
{
public:
	// capacity: bytes of payload, uncompressed
	explicit xorb_builder(hash_kind kind, std::size_t capacity = max_xorb_bytes, std::uint32_t max_chunks = max_xorb_chunks);

	// Whether one more chunk of this size may be added.
	bool fits(std::size_t size) const;
	// Precondition: fits(data.size()), and hash is the chunk's.
	void add(hash32 const& hash, bytes_view data);
	std::size_t count() const { return m_entries.size(); }
	std::uint64_t payload_bytes() const { return m_payload; }  // uncompressed
	bool empty() const { return m_entries.empty(); }
	hash32 const& hash_of(std::size_t index) const { return m_entries[index].hash; }
	// Content of a chunk that was added; valid until clear.
	bytes_view data_of(std::size_t index) const;

	struct built
	{
		hash32 hash;
		std::vector<xorb_entry> entries;
		bytes_view file;  // valid until the next add, finish or clear
	};
	// The file of what was added. A chunk is stored compressed only where that is smaller; if none is, file is the
	// serialisation as it was laid down, without a copy. More may be added afterwards.
	built finish(compression how = compression::none);
	// Forgets what was added, keeps the memory.
	void clear();

private:
	struct aligned_free
	{
		void operator()(std::uint8_t* p) const;
	};
	using buffer = std::unique_ptr<std::uint8_t[], aligned_free>;
	static buffer allocate(std::size_t size);

	std::size_t pack();  // the compressed form into m_packed; its length, 0 if no chunk became smaller

	hash_kind m_kind;
	std::size_t m_capacity;
	std::uint32_t m_max_chunks;
	std::size_t m_buffer_bytes;
	buffer m_raw;     // the serialisation with nothing compressed
	buffer m_packed;  // made when it is needed
	std::vector<xorb_entry> m_entries;  // as in m_raw
	std::vector<xorb_entry> m_packed_entries;
	std::uint64_t m_payload = 0;
	std::size_t m_end = 0;  // of the last entry in m_raw
};

// What a reader accepts.
struct xorb_limits
{
	std::uint32_t max_chunk_bytes = max_wire_chunk_bytes;
	std::uint64_t max_payload_bytes = max_xorb_bytes;
	std::uint32_t max_chunks = max_foreign_xorb_chunks;
};

// Whether these bytes begin as a xorb does: four are enough.
bool looks_like_xorb(bytes_view start);

// Reads the headers of all entries and checks everything but the chunks themselves: counts, sizes, the sum, that nothing
// reaches beyond the end or follows it. Takes memory in proportion to what the file really holds.
// Errors: invalid, unsupported (another version or unknown flags), limit, io; each says where.
result<std::vector<xorb_entry>> read_xorb_directory(byte_source& source, xorb_limits const& limits = {});

// The content of one chunk, decompressed and checked against its hash. into must have entry.size bytes.
// Errors: invalid (the file is shorter, or this is no LZ4 frame of that size), mismatch, io. On an error the content of
// into is undefined.
result<> read_xorb_chunk(byte_source& source, xorb_entry const& entry, hash_kind kind, std::span<std::uint8_t> into);
result<bytes> read_xorb_chunk(byte_source& source, xorb_entry const& entry, hash_kind kind);

// The xorb's hash from its file. Reads and verifies every chunk. Kind hf holds the whole serialisation in memory, the
// others one chunk. Errors: as read_xorb_chunk.
result<hash32> xorb_hash(byte_source& source, std::vector<xorb_entry> const& entries, hash_kind kind);

} // namespace xet
