#pragma once
// The messages of ut_xet: bytes in, value or error out. Source: protocol §2. Knows nothing of libtorrent or sockets.
// All integers are big-endian; a message starts with its type byte (the BEP 10 header is the caller's).
//
// Thread rule: pure functions.

#include "xet/chunk_tree.hpp"

#include <variant>

namespace xet::wire {

// Type bytes. Fixed by the protocol: do not change.
enum class type : std::uint8_t
{
	chunk_request = 0x01,
	chunk_response = 0x02,
	chunk_not_found = 0x03,
	chunk_error = 0x04,
	version_request = 0x10,
	version_response = 0x11,
	update_notify = 0x12,
	mode_request = 0x13,
	mode_response = 0x14,
	metadata_request = 0x20,
	metadata_response = 0x21,
	metadata_not_found = 0x22,
	bloom_request = 0x30,
	bloom_response = 0x31,
	chunks_added = 0x42,
	chunks_dropped = 0x43,
	// this project's extensions, used between peers whose `xet` dict has `heads`
	folder_head = 0x44,
	folder_have = 0x45,
	folder_peers = 0x46,
};

// The forms of a chunk request, told apart by length; an answer has the form of its question.
enum class dialect : std::uint8_t
{
	table,  // hash
	ccbt,   // request id, hash
	zest,   // request id, hash, first and last chunk
};

struct chunk_request
{
	dialect form = dialect::table;
	std::uint32_t request_id = 0;  // ccbt, zest
	hash32 hash;
	std::uint32_t range_start = 0, range_end = 0;  // zest
};

struct chunk_response
{
	hash32 hash;
	bytes_view data;  // points into the message
};

struct chunk_not_found { hash32 hash; };

struct chunk_error
{
	hash32 hash;
	std::uint32_t code = 0;
	std::string text;
};

// Codes of CHUNK_ERROR. do not change
inline constexpr std::uint32_t error_internal = 1;  // could not be read just now
inline constexpr std::uint32_t error_busy = 2;      // too many requests outstanding
inline constexpr std::uint32_t error_elsewhere = 3; // just sent to another peer of the folder: ask around, or ask again

// ref[40]: 40 hexadecimal characters of a git SHA-1, or 32 raw bytes and 8 zero bytes.
using ref40 = std::array<std::uint8_t, 40>;
ref40 to_ref(hash32 const& h);
// git: 40 or 64 hexadecimal characters
std::optional<ref40> to_ref(std::string_view git);
// As people read it: the 40 characters of a SHA-1, or 64 hexadecimal characters.
std::string ref_text(ref40 const& r);

struct version_request { std::string id; };
struct version_response { std::string id; ref40 ref{}; };
struct update_notify { std::string id; ref40 ref{}; std::uint64_t timestamp = 0; };
struct mode_request { std::string id; };
struct mode_response { std::string id; std::uint8_t mode = 0; };
struct metadata_request { std::string id; std::uint32_t piece = 0; };
struct metadata_response { std::string id; std::uint32_t piece = 0, total = 0, piece_size = 0; bytes_view data; };
struct metadata_not_found { std::string id; std::uint32_t piece = 0; };
struct bloom_request { std::uint32_t size = 0; };
struct bloom_response { std::uint32_t hash_count = 0; bytes_view bits; };
struct chunks_added { std::vector<hash32> hashes; };
struct chunks_dropped { std::vector<hash32> hashes; };

// A folder's newest version, signed by who may publish it.
// Layout: id NUL, author[32], seq u64, timestamp u64, ref[40], data bytes u64, root hash[32], root size u32, levels u8, hash u8, signature[64]
// The signature is Ed25519 over "tonic head v1" ‖ everything before it.
struct folder_head
{
	std::string id;
	std::array<std::uint8_t, 32> author{};
	std::uint64_t seq = 0;
	std::uint64_t timestamp = 0;  // seconds since 1970
	ref40 ref{};
	tree_root tree;  // of the .tonic bytes
	hash_kind hash = hash_kind::blake3;  // what the tree's and the folder's chunks are named with
	std::array<std::uint8_t, 64> signature{};

	bytes signed_part() const;  // what the signature is over
	bool operator==(folder_head const&) const = default;
};

// Which of a version's chunks the sender can serve; it has the version's metadata whole.
// Layout: id NUL, root hash[32], kind u8 (0 some: a bitmap follows; 1 all), then for 0: first u32, bits (most significant
// first) for the chunks first … of the .tonic's chunk_hashes
struct folder_have
{
	std::string id;
	hash32 root;
	bool all = false;
	std::uint32_t first = 0;
	bytes_view bits;
};

// Where other nodes of this folder listen. Layout: id NUL, n × (family u8 = 4 or 6, address[4 or 16], port u16)
struct endpoint
{
	bytes address;  // 4 or 16 bytes
	std::uint16_t port = 0;
	auto operator<=>(endpoint const&) const = default;
};
struct folder_peers { std::string id; std::vector<endpoint> peers; };

using message = std::variant<chunk_request, chunk_response, chunk_not_found, chunk_error, version_request, version_response
	, update_notify, mode_request, mode_response, metadata_request, metadata_response, metadata_not_found, bloom_request
	, bloom_response, chunks_added, chunks_dropped, folder_head, folder_have, folder_peers>;

// body: a whole message from its type byte on. Views in the result point into body.
// Errors: unsupported (a type this version does not know: ignore it), invalid (wrong length or content: the peer's fault).
result<message> decode(bytes_view body);

bytes encode(message const& m);

// The part of an answer that comes before the chunk's data, for senders that do not copy it.
bytes response_head(chunk_request const& asked, std::uint32_t data_bytes);
bytes not_found(chunk_request const& asked);
bytes error_answer(chunk_request const& asked, std::uint32_t code, std::string_view text);

} // namespace xet::wire
