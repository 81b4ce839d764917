#pragma once
// Hugging Face's xorb files. Source: Hugging Face's Xet specification and the open-source client. Integers are little-endian.
//
//   per chunk: version u8 = 0 | stored u24 | scheme u8 | size u24 | payload
//   then nothing (the form that is uploaded), or a footer of info_length bytes, and info_length u32
//
//   footer V1: "XETBLOB" 1 hash[32] | "XBLBHSH" 0 n u32, chunk hash[32] × n
//              | "XBLBBND" 1 n u32, end in the file u32 × n, end in the content u32 × n (not in version 0 of this section)
//              | n u32, bytes from "XBLBHSH" to the end u32, bytes from "XBLBBND" to the end u32 | 16 bytes
//   footer V0: "XETBLOB" 0 hash[32] | n u32 | end in the file u32 × n | chunk hash[32] × n | 16 bytes
//
// The 16 bytes are free: newer writers put a random number there. So the bytes of a xorb do not follow from its hash, and it
// is verified through its chunks only: the hash is hf_tree_root over (chunk hash, size).
//
// Thread rule: pure functions but for their source.

#include "xet/files.hpp"
#include "xet/hash.hpp"
#include "xet/limits.hpp"
#include "xet/xorb.hpp"

#include <optional>

namespace xet {

// How a payload is stored. do not change: numbers of the format
enum class hf_scheme : std::uint8_t
{
	none = 0,
	lz4 = 1,      // one LZ4 frame
	bg4_lz4 = 2,  // the bytes grouped by their offset modulo 4, then one LZ4 frame
};

struct hf_xorb_entry
{
	std::optional<hash32> hash;  // from the footer
	std::uint32_t size = 0;      // bytes of the chunk
	std::uint32_t stored = 0;    // bytes of the payload in the file
	hf_scheme scheme = hf_scheme::none;
	std::uint64_t offset = 0;    // of the payload in the file

	bool operator==(hf_xorb_entry const&) const = default;
};

struct hf_xorb
{
	std::optional<hash32> hash;  // from the footer
	std::vector<hf_xorb_entry> entries;
	std::uint64_t chunk_region_bytes = 0;  // chunks with their headers: where the footer begins
};

// Whether these bytes can begin such a file: a chunk header of a known scheme, or the footer of an empty one. Take 8.
bool looks_like_hf_xorb(bytes_view start);

// Reads all chunk headers, and the footer if there is one, and checks them against each other. No chunk is read.
// Errors: invalid, unsupported (a scheme or version this program does not know), limit, io; each says where.
result<hf_xorb> read_hf_xorb(byte_source& source, xorb_limits const& limits = {max_chunk_bytes, max_xorb_bytes, max_xorb_chunks});

// The content of one chunk; checked against its hash when the entry has one.
// Errors: invalid, mismatch, io.
result<bytes> read_hf_chunk(byte_source& source, hf_xorb_entry const& entry);

// Reads every chunk, fills in the hashes that no footer gave, and compares the tree with the footer's. Returns the hash.
// Errors: as read_hf_chunk.
result<hash32> verify_hf_xorb(byte_source& source, hf_xorb& xorb);

// Puts a file together; the same chunks give the same bytes.
class hf_xorb_writer
{
public:
	explicit hf_xorb_writer(compression how = compression::lz4) : m_how(how) {}
	// Errors: limit (the chunk, or the xorb with it, would be larger than Hugging Face's readers take).
	result<> add(bytes_view data);

	struct built
	{
		hash32 hash;
		std::vector<hf_xorb_entry> entries;
		bytes file;
	};
	// The whole file, with a V1 footer whose free bytes are zero.
	built finish() &&;

private:
	compression m_how;
	bytes m_file;
	std::vector<hf_xorb_entry> m_entries;
	std::uint64_t m_payload = 0;
};

// Bytes 0, 4, 8, … of data, then 1, 5, 9, …, and so on; and back. from and into have the same size.
bytes bg4_split(bytes_view data);
void bg4_join(bytes_view from, std::span<std::uint8_t> into);

} // namespace xet
