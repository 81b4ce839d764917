#include "xet/hash.hpp"
#include "xet/blake3_batch.hpp"

#include <algorithm>
#include <openssl/evp.h>
#include <stdexcept>

#if UT_XET_HAVE_BLAKE3
#include <blake3.h>
#endif

namespace xet {

namespace {

struct names
{
	hash_kind kind;
	std::string_view name;
	std::string_view algorithm;
};

constexpr names all_names[] = {
	{hash_kind::blake3, "blake3", "xet-hash:v1:blake3"},
	{hash_kind::sha256, "sha256", "xet-hash:v1:sha256"},
	{hash_kind::hf, "hf", "xet-hash:v1:hf"},
};

void require(bool ok)
{
	// out of memory, or an OpenSSL without SHA-256
	if (!ok) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

struct md_ctx_free
{
	void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
};
using md_ctx = std::unique_ptr<EVP_MD_CTX, md_ctx_free>;

// Fetched once: looking the algorithm up costs more than hashing a Merkle node.
EVP_MD const* sha256_algorithm()
{
	static EVP_MD const* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
	require(algorithm != nullptr);
	return algorithm;
}

md_ctx start_sha256()
{
	md_ctx c(EVP_MD_CTX_new());
	require(c && EVP_DigestInit_ex2(c.get(), sha256_algorithm(), nullptr) == 1);
	return c;
}

hash32 sha256(bytes_view data)
{
	thread_local md_ctx const c = start_sha256();
	hash32 out;
	require(EVP_DigestInit_ex2(c.get(), nullptr, nullptr) == 1
			&& EVP_DigestUpdate(c.get(), data.data(), data.size()) == 1
			&& EVP_DigestFinal_ex(c.get(), out.raw.data(), nullptr) == 1);
	return out;
}

#if UT_XET_HAVE_BLAKE3

// Hugging Face's DATA_KEY. do not change
constexpr std::uint8_t hf_data_key[32] = {
	0x66, 0x97, 0xf5, 0x77, 0x5b, 0x95, 0x50, 0xde, 0x31, 0x35, 0xcb, 0xac, 0xa5, 0x97, 0x18, 0x1c,
	0x9d, 0xe4, 0x21, 0x10, 0x9b, 0xeb, 0x2b, 0x58, 0xb4, 0xd0, 0xb0, 0x4b, 0x93, 0xad, 0xf2, 0x29};

hash32 finish_blake3(blake3_hasher const& h)
{
	hash32 out;
	blake3_hasher_finalize(&h, out.raw.data(), out.raw.size());
	return out;
}

hash32 plain_blake3(bytes_view data)
{
	blake3_hasher h;
	blake3_hasher_init(&h);
	blake3_hasher_update(&h, data.data(), data.size());
	return finish_blake3(h);
}

hash32 keyed_blake3(std::uint8_t const* key, bytes_view data)
{
	blake3_hasher h;
	blake3_hasher_init_keyed(&h, key);
	blake3_hasher_update(&h, data.data(), data.size());
	return finish_blake3(h);
}

#else

// A made-up hash would be taken for a real one, so this cannot return anything.
[[noreturn]] void no_blake3() { throw std::logic_error("this build has no BLAKE3"); }

#endif

// each 8-byte group reversed: the Hub prints a hash as four little-endian u64
hash32 swap_groups(hash32 h)
{
	for (auto group = h.raw.begin(); group != h.raw.end(); group += 8) std::reverse(group, group + 8);
	return h;
}

} // namespace

bool has_blake3() noexcept { return UT_XET_HAVE_BLAKE3 != 0; }

hash32 chunk_hash(hash_kind kind, bytes_view data)
{
	if (kind == hash_kind::sha256) return sha256(data);
#if UT_XET_HAVE_BLAKE3
	return kind == hash_kind::hf ? keyed_blake3(hf_data_key, data) : plain_blake3(data);
#else
	no_blake3();
#endif
}

void chunk_hashes(hash_kind kind, std::span<bytes_view const> chunks, std::span<hash32> out)
{
	if (chunks.size() != out.size()) throw std::logic_error("as many hashes as chunks");
#if UT_XET_HAVE_BLAKE3
	if (kind != hash_kind::sha256 && has_blake3_batch())
		return hash_blake3_batch(kind == hash_kind::hf ? bytes_view(hf_data_key) : bytes_view(), chunks, out);
#endif
	for (std::size_t i = 0; i < chunks.size(); ++i) out[i] = chunk_hash(kind, chunks[i]);
}

hash32 keyed_blake3([[maybe_unused]] bytes_view key32, [[maybe_unused]] bytes_view data)
{
#if UT_XET_HAVE_BLAKE3
	if (key32.size() != BLAKE3_KEY_LEN) throw std::logic_error("a BLAKE3 key has 32 bytes");
	return keyed_blake3(key32.data(), data);
#else
	no_blake3();
#endif
}

struct hasher::state
{
	md_ctx sha;  // set for sha256 only
#if UT_XET_HAVE_BLAKE3
	blake3_hasher blake;
#endif
};

hasher::hasher(hash_kind kind) : m_state(std::make_unique<state>())
{
	if (kind == hash_kind::sha256)
		m_state->sha = start_sha256();
	else
	{
#if UT_XET_HAVE_BLAKE3
		blake3_hasher_init(&m_state->blake);
#else
		no_blake3();
#endif
	}
}

hasher::~hasher() = default;
hasher::hasher(hasher&&) noexcept = default;
hasher& hasher::operator=(hasher&&) noexcept = default;

hasher& hasher::update(bytes_view data)
{
	if (m_state->sha) require(EVP_DigestUpdate(m_state->sha.get(), data.data(), data.size()) == 1);
#if UT_XET_HAVE_BLAKE3
	else
		blake3_hasher_update(&m_state->blake, data.data(), data.size());
#endif
	return *this;
}

hash32 hasher::finish() const
{
#if UT_XET_HAVE_BLAKE3
	if (!m_state->sha) return finish_blake3(m_state->blake);
#endif
	// a copy, so that the stream can go on
	md_ctx copy(EVP_MD_CTX_new());
	hash32 out;
	require(copy && EVP_MD_CTX_copy_ex(copy.get(), m_state->sha.get()) == 1
			&& EVP_DigestFinal_ex(copy.get(), out.raw.data(), nullptr) == 1);
	return out;
}

std::string_view name_of(hash_kind kind)
{
	for (auto const& n : all_names)
		if (n.kind == kind) return n.name;
	return "unknown";
}

std::string_view algorithm_name(hash_kind kind)
{
	for (auto const& n : all_names)
		if (n.kind == kind) return n.algorithm;
	return "unknown";
}

std::optional<hash_kind> kind_from_name(std::string_view name)
{
	for (auto const& n : all_names)
		if (n.name == name) return n.kind;
	return std::nullopt;
}

std::optional<hash_kind> kind_from_algorithm(std::string_view algorithm)
{
	for (auto const& n : all_names)
		if (n.algorithm == algorithm) return n.kind;
	return std::nullopt;
}

std::string to_string(hash_kind kind, hash32 const& h)
{
	return to_hex((kind == hash_kind::hf ? swap_groups(h) : h).raw);
}

std::optional<hash32> hash_from_string(hash_kind kind, std::string_view text)
{
	auto h = hash_from_hex(text);
	if (h && kind == hash_kind::hf) h = swap_groups(*h);
	return h;
}

} // namespace xet
