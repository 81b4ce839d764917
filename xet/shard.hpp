#pragma once
// Shard files: which files there are, which xorbs, which chunks. Source: protocol §6. Integers are little-endian.
//
//   "SHAR" | version u8 = 1 | flags u8 (bit 0: HMAC) | 2 zero bytes | files u32 | xorbs u32 | chunks u32 | 4 zero bytes
//   per file: path length u32 | path | hash[32] | size u64 | xorb count u32 | xorb hash[32] ×
//   xorb hash[32] × | chunk hash[32] × | HMAC-SHA256(key, everything before) if the flag is set
//
// With an empty key a writer sets the flag and writes no HMAC (so does the other implementation): such a file is readable,
// but nothing vouches for it.
//
// Thread rule: pure functions.

#include "xet/bytes.hpp"
#include "xet/error.hpp"
#include "xet/limits.hpp"

#include <optional>

namespace xet {

struct shard_file
{
	std::string path;  // UTF-8, '/' between its parts
	hash32 hash;
	std::uint64_t size = 0;     // bytes
	std::vector<hash32> xorbs;  // where its chunks are

	bool operator==(shard_file const&) const = default;
};

struct shard
{
	std::vector<shard_file> files;
	std::vector<hash32> xorbs;
	std::vector<hash32> chunks;

	bool operator==(shard const&) const = default;
};

// What stands behind a shard that was read.
enum class shard_seal
{
	none,       // the file has no HMAC and does not claim one
	missing,    // the flag says HMAC, but there is none: written with an empty key
	unchecked,  // there is an HMAC, and no key was given
	verified,   // the HMAC is right
};

struct sealed_shard
{
	shard content;
	shard_seal seal = shard_seal::none;
};

inline constexpr std::size_t hmac_bytes = 32;
hash32 hmac_sha256(bytes_view key, bytes_view data);

bool looks_like_shard(bytes_view start);  // four bytes are enough

// No key: no HMAC, and none is claimed. Preconditions: the limits of limits.hpp hold (check_shard).
bytes write_shard(shard const& s, std::optional<bytes_view> key = {});

// Errors: limit, invalid (a path that is empty, no UTF-8 or holds a zero byte); each names the file.
result<> check_shard(shard const& s);

// Reads a whole shard. With a key, the file has to carry an HMAC made with it; with an empty key, it has to claim one and
// have none. Without a key nothing is checked but the form.
// Errors: invalid, unsupported, limit (with offset and field), mismatch (the HMAC is another, or missing).
result<sealed_shard> read_shard(bytes_view file, std::optional<bytes_view> key = {});

} // namespace xet
