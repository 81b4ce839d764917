#pragma once
// Chunk hashes and the hash of a stream. Source: protocol §4.
//
// Thread rule: free functions are pure; a hasher belongs to one thread at a time.

#include "xet/bytes.hpp"
#include "xet/error.hpp"

#include <memory>
#include <span>
#include <string_view>

namespace xet {

// Which function names chunks. Stored in files and databases: do not change the numbers.
enum class hash_kind : std::uint8_t
{
	blake3 = 0,  // BLAKE3-256, unkeyed
	sha256 = 1,  // SHA-256
	hf = 2,      // BLAKE3-256 keyed with Hugging Face's DATA_KEY
};

// False in a build that found no BLAKE3: then only hash_kind::sha256 works.
bool has_blake3() noexcept;

// A chunk's name: 32 bytes. In a build without BLAKE3 call it with sha256 only: the others throw std::logic_error, since a
// made-up hash would be taken for a real one.
hash32 chunk_hash(hash_kind kind, bytes_view data);

// The same of many chunks: out[i] = chunk_hash(kind, chunks[i]), faster where BLAKE3 can hash them side by side. Both spans
// have the same size.
void chunk_hashes(hash_kind kind, std::span<bytes_view const> chunks, std::span<hash32> out);

// BLAKE3 keyed with any 32-byte key (the inner nodes of Hugging Face's trees).
hash32 keyed_blake3(bytes_view key32, bytes_view data);

// Hash of a stream of any length, plain BLAKE3 (kinds blake3 and hf) or SHA-256.
class hasher
{
public:
	explicit hasher(hash_kind kind);
	~hasher();
	hasher(hasher&&) noexcept;
	hasher& operator=(hasher&&) noexcept;

	hasher& update(bytes_view data);
	hasher& update(std::string_view text) { return update(as_bytes(text)); }
	hash32 finish() const;

private:
	struct state;
	std::unique_ptr<state> m_state;
};

// "blake3", "sha256", "hf"
std::string_view name_of(hash_kind kind);
// "xet-hash:v1:blake3" …: the value of hash_algorithm in handshakes and .tonic files
std::string_view algorithm_name(hash_kind kind);
std::optional<hash_kind> kind_from_name(std::string_view name);            // "blake3"
std::optional<hash_kind> kind_from_algorithm(std::string_view algorithm);  // "xet-hash:v1:blake3"

// A hash as the profile's users know it: hex, and for hf the Hub's form (each 8-byte group reversed, then hex).
std::string to_string(hash_kind kind, hash32 const& h);
std::optional<hash32> hash_from_string(hash_kind kind, std::string_view text);

} // namespace xet
