#pragma once
// Hugging Face's shard files (MDB). Source: Hugging Face's Xet specification and the open-source client. Integers are
// little-endian; all sections are made of units of 48 bytes.
//
//   header: tag[32] | version u64 = 2 | footer length u64 (200, or 0 in the form that is uploaded)
//   per file: hash[32] flags u32 segments u32 unused u64
//             | per segment: xorb hash[32] flags u32 bytes u32 first chunk u32, end chunk u32
//             | flags bit 31: per segment a hash over its chunk hashes[32], 16 zero | bit 30: SHA-256[32], 16 zero
//   a bookend: 32 × ff, 16 zero
//   per xorb: hash[32] flags u32 chunks u32 bytes u32 stored bytes u32 | per chunk: hash[32] offset u32 size u32 flags u32 unused u32
//   a bookend
//   stored form: tables sorted by the first 8 bytes of a hash as u64: file (u64, unit u32), xorb (u64, unit u32),
//                chunk (u64, unit of the xorb u32, chunk u32); then a footer of 200 bytes
//
// Thread rule: pure functions.

#include "xet/bytes.hpp"
#include "xet/error.hpp"
#include "xet/limits.hpp"

#include <optional>

namespace xet {

// Chunks in a row of one xorb: a part of a file.
struct hf_segment
{
	hash32 xorb;
	std::uint32_t flags = 0;
	std::uint32_t bytes = 0;  // of content
	std::uint32_t first_chunk = 0;
	std::uint32_t end_chunk = 0;  // behind the last one

	bool operator==(hf_segment const&) const = default;
};

struct hf_shard_file
{
	hash32 hash;
	std::vector<hf_segment> segments;
	std::vector<hash32> range_hashes;  // one per segment, or none at all
	std::optional<hash32> sha256;      // the digest as SHA-256 gives it (the format stores each 8-byte group reversed)

	std::uint64_t size() const;
	bool operator==(hf_shard_file const&) const = default;
};

struct hf_shard_chunk
{
	hash32 hash;  // keyed again when the shard has a key
	std::uint32_t offset = 0;  // in the xorb's content
	std::uint32_t size = 0;
	std::uint32_t flags = 0;

	bool operator==(hf_shard_chunk const&) const = default;
};

// Flag of a chunk: ask for it when looking for data that is stored already. do not change
inline constexpr std::uint32_t hf_global_dedup_flag = 1u << 31;

struct hf_shard_xorb
{
	hash32 hash;
	std::uint32_t flags = 0;
	std::uint32_t bytes = 0;         // of content
	std::uint32_t stored_bytes = 0;  // of its chunk region
	std::vector<hf_shard_chunk> chunks;

	bool operator==(hf_shard_xorb const&) const = default;
};

// What only the stored form has.
struct hf_shard_footer
{
	hash32 chunk_key;  // zero: chunk hashes stand as they are; otherwise as keyed_blake3(chunk_key, hash)
	std::uint64_t created = 0;  // seconds since 1970
	std::uint64_t key_expiry = UINT64_MAX;

	bool operator==(hf_shard_footer const&) const = default;
};

struct hf_shard
{
	std::vector<hf_shard_file> files;
	std::vector<hf_shard_xorb> xorbs;
	std::optional<hf_shard_footer> footer;  // set: the stored form

	bool operator==(hf_shard const&) const = default;
};

// keyed BLAKE3 over the raw chunk hashes of a segment: the proof that an uploader had them
hash32 hf_range_hash(std::span<hf_shard_chunk const> chunks);

bool looks_like_hf_shard(bytes_view start);  // 32 bytes

// Reads a whole shard, checks counts, bounds, that offsets do not overlap, and that tables are sorted and point to what
// they say. Errors: invalid, unsupported, limit; each with field and offset.
result<hf_shard> read_hf_shard(bytes_view file);

// The upload form, or the stored form when s.footer is set, then with all three tables. Precondition: every file has as
// many range hashes as segments, or none.
bytes write_hf_shard(hf_shard const& s);

// What hashes can tell: that each xorb is made of its chunks, that segments lie within xorbs that are in this shard and
// have the right size and range hash, and that a file all of whose segments are here has its hash. A shard with keyed
// chunk hashes can be checked for sizes only. Errors: mismatch; names the file or xorb.
result<> verify_hf_shard(hf_shard const& s);

} // namespace xet
