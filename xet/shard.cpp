#include "xet/shard.hpp"

#include "xet/byte_cursor.hpp"
#include "xet/little_endian.hpp"

#include <algorithm>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdexcept>

namespace xet {

namespace {

// do not change: parts of the format
constexpr std::string_view magic = "SHAR";
constexpr std::uint8_t version = 1;
constexpr std::uint8_t flag_hmac = 1;
constexpr std::size_t header_bytes = 24;
constexpr std::size_t version_at = 4, flags_at = 5, counts_at = 8, zeros_at = 20;
constexpr std::size_t smallest_file_bytes = 4 + 32 + 8 + 4;
constexpr std::size_t hash_bytes = 32;

bool is_continuation(std::uint8_t b) { return (b & 0xc0) == 0x80; }

// Bytes of the UTF-8 character at the front, 0 if there is none: overlong forms, surrogates and what lies beyond U+10FFFF
// do not count.
std::size_t utf8_length(bytes_view s)
{
	auto const b = s[0];
	if (b < 0x80) return 1;
	std::size_t const n = b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;
	if (n == 0 || s.size() < n || !std::all_of(s.begin() + 1, s.begin() + std::ptrdiff_t(n), is_continuation)) return 0;
	if ((b == 0xe0 && s[1] < 0xa0) || (b == 0xed && s[1] >= 0xa0) || (b == 0xf0 && s[1] < 0x90) || (b == 0xf4 && s[1] >= 0x90)) return 0;
	return n;
}

result<> check_path(bytes_view path)
{
	if (path.empty()) return fail(errc::invalid, "an empty path");
	if (path.size() > max_shard_path_bytes) return fail(errc::limit, "a path of ", path.size(), " bytes; at most ", max_shard_path_bytes, " are allowed");
	for (std::size_t i = 0; i < path.size();)
	{
		if (path[i] == 0) return fail(errc::invalid, "a zero byte in the path");
		auto const n = utf8_length(path.subspan(i));
		if (n == 0) return fail(errc::invalid, "the path is not UTF-8 from its byte ", i, " on");
		i += n;
	}
	return {};
}

void append_hashes(bytes& out, std::vector<hash32> const& hashes)
{
	for (auto const& h : hashes) append(out, h.view());
}

class shard_reader
{
public:
	explicit shard_reader(bytes_view file) : m_file(file), m_in(file) {}

	result<sealed_shard> read(std::optional<bytes_view> key)
	{
		if (auto const ok = read_header(); !ok) return tl::unexpected(ok.error());
		for (std::uint32_t i = 0; i < m_files; ++i)
		{
			auto const at = m_in.at();
			if (auto const ok = read_file(); !ok) return fail(ok.error().code, "file ", i, " at offset ", at, ": ", ok.error().message);
		}
		if (auto const ok = read_hashes(m_out.content.xorbs, m_xorbs, "xorb hashes"); !ok) return tl::unexpected(ok.error());
		if (auto const ok = read_hashes(m_out.content.chunks, m_chunks, "chunk hashes"); !ok) return tl::unexpected(ok.error());
		if (auto const ok = check_seal(key); !ok) return tl::unexpected(ok.error());
		return std::move(m_out);
	}

private:
	result<> read_header()
	{
		if (m_file.size() < header_bytes || !looks_like_shard(m_file)) return fail(errc::invalid, "not a shard: it does not begin with ", magic, " and a header of ", header_bytes, " bytes");
		auto const* const p = m_in.sure(header_bytes).data();
		if (p[version_at] != version) return fail(errc::unsupported, "a shard of version ", int(p[version_at]), "; this program reads version 1");
		m_flags = p[flags_at];
		if ((m_flags & ~flag_hmac) != 0) return fail(errc::unsupported, "unknown shard flags ", int(m_flags), " at offset ", flags_at);
		for (std::size_t const i : {std::size_t(6), std::size_t(7), zeros_at, zeros_at + 1, zeros_at + 2, zeros_at + 3})
			if (p[i] != 0) return fail(errc::invalid, "byte ", int(p[i]), " at offset ", i, " where a shard has zero");
		m_files = read_le<std::uint32_t>(p + counts_at);
		m_xorbs = read_le<std::uint32_t>(p + counts_at + 4);
		m_chunks = read_le<std::uint32_t>(p + counts_at + 8);
		if (auto const ok = check_count("file count", counts_at, m_files, max_shard_files, smallest_file_bytes); !ok) return ok;
		if (auto const ok = check_count("xorb count", counts_at + 4, m_xorbs, max_shard_xorbs, hash_bytes); !ok) return ok;
		return check_count("chunk count", counts_at + 8, m_chunks, max_shard_chunks, hash_bytes);
	}

	// Before anything is allocated for it.
	result<> check_count(char const* field, std::size_t at, std::uint32_t count, std::uint32_t most, std::size_t smallest)
	{
		if (count > m_in.left() / smallest) return fail(errc::invalid, field, " ", count, " at offset ", at, ": the file of ", m_file.size(), " bytes cannot hold so many");
		if (count > most) return fail(errc::limit, field, " ", count, " at offset ", at, ": at most ", most, " are allowed");
		return {};
	}

	result<> read_file()
	{
		auto const length = m_in.take(4, "path length");
		if (!length) return tl::unexpected(length.error());
		auto const n = read_le<std::uint32_t>(length->data());
		if (n > max_shard_path_bytes) return fail(errc::limit, "a path of ", n, " bytes; at most ", max_shard_path_bytes, " are allowed");
		auto const path = m_in.take(n, "path");
		if (!path) return tl::unexpected(path.error());
		if (auto const ok = check_path(*path); !ok) return ok;
		auto const rest = m_in.take(smallest_file_bytes - 4, "file's hash, size and xorb count");
		if (!rest) return tl::unexpected(rest.error());
		auto const xorbs_at = m_in.at() - 4;
		auto const xorbs = read_le<std::uint32_t>(rest->data() + 40);
		if (auto const ok = check_count("xorb count", xorbs_at, xorbs, max_shard_xorbs, hash_bytes); !ok) return ok;
		auto& f = m_out.content.files.emplace_back();
		f.path = as_text(*path);
		f.hash = hash32::from(*rest);
		f.size = read_le<std::uint64_t>(rest->data() + 32);
		return read_hashes(f.xorbs, xorbs, "xorb hashes");
	}

	result<> read_hashes(std::vector<hash32>& into, std::uint32_t count, char const* field)
	{
		auto const list = m_in.take(count * hash_bytes, field);
		if (!list) return tl::unexpected(list.error());
		into.reserve(count);
		for (std::size_t i = 0; i < count; ++i) into.push_back(hash32::from(list->subspan(i * hash_bytes)));
		return {};
	}

	result<> check_seal(std::optional<bytes_view> key)
	{
		bool const claimed = (m_flags & flag_hmac) != 0;
		auto const end = m_in.at();
		auto const rest = m_in.left();
		if (rest != 0 && !(claimed && rest == hmac_bytes))
			return fail(errc::invalid, rest, " bytes at offset ", end, " behind the chunk hashes, where ", claimed ? "an HMAC of 32 bytes is expected" : "the file should end");
		if (!claimed)
		{
			if (key) return fail(errc::mismatch, "the shard has no HMAC (flags at offset ", flags_at, "), so the key cannot vouch for it; read it without a key to see what it says");
			return {};
		}
		if (rest == 0)
		{
			m_out.seal = shard_seal::missing;
			if (key && !key->empty()) return fail(errc::mismatch, "the shard claims an HMAC and has none at offset ", end, ": it was cut off, or written with an empty key");
			return {};
		}
		m_out.seal = shard_seal::unchecked;
		if (!key) return {};
		// an empty key makes no HMAC, so none can be right
		if (key->empty() || CRYPTO_memcmp(hmac_sha256(*key, m_file.first(end)).raw.data(), m_file.data() + end, hmac_bytes) != 0)
			return fail(errc::mismatch, "the HMAC at offset ", end, " was not made with this key over this content: the key is another, or the shard was changed");
		m_out.seal = shard_seal::verified;
		return {};
	}

	bytes_view m_file;
	byte_cursor m_in;
	std::uint8_t m_flags = 0;
	std::uint32_t m_files = 0, m_xorbs = 0, m_chunks = 0;
	sealed_shard m_out;
};

} // namespace

hash32 hmac_sha256(bytes_view key, bytes_view data)
{
	hash32 out;
	unsigned length = 0;
	if (HMAC(EVP_sha256(), key.data(), int(key.size()), data.data(), data.size(), out.raw.data(), &length) == nullptr || length != out.raw.size())
		throw std::runtime_error("OpenSSL cannot compute HMAC-SHA256");
	return out;
}

bool looks_like_shard(bytes_view start) { return start.size() >= magic.size() && as_text(start.first(magic.size())) == magic; }

bytes write_shard(shard const& s, std::optional<bytes_view> key)
{
	bytes out(header_bytes, 0);
	std::copy(magic.begin(), magic.end(), out.begin());
	out[version_at] = version;
	out[flags_at] = key ? flag_hmac : 0;
	write_le(out.data() + counts_at, std::uint32_t(s.files.size()));
	write_le(out.data() + counts_at + 4, std::uint32_t(s.xorbs.size()));
	write_le(out.data() + counts_at + 8, std::uint32_t(s.chunks.size()));
	for (shard_file const& f : s.files)
	{
		append_le(out, std::uint32_t(f.path.size()));
		append(out, as_bytes(f.path));
		append(out, f.hash.view());
		append_le(out, f.size);
		append_le(out, std::uint32_t(f.xorbs.size()));
		append_hashes(out, f.xorbs);
	}
	append_hashes(out, s.xorbs);
	append_hashes(out, s.chunks);
	if (key && !key->empty()) append(out, hmac_sha256(*key, out).view());
	return out;
}

result<> check_shard(shard const& s)
{
	if (s.files.size() > max_shard_files) return fail(errc::limit, s.files.size(), " files; a shard holds at most ", max_shard_files);
	if (s.xorbs.size() > max_shard_xorbs) return fail(errc::limit, s.xorbs.size(), " xorbs; a shard holds at most ", max_shard_xorbs);
	if (s.chunks.size() > max_shard_chunks) return fail(errc::limit, s.chunks.size(), " chunks; a shard holds at most ", max_shard_chunks);
	for (shard_file const& f : s.files)
	{
		if (auto const ok = check_path(as_bytes(f.path)); !ok) return fail(ok.error().code, f.path, ": ", ok.error().message);
		if (f.xorbs.size() > max_shard_xorbs) return fail(errc::limit, f.path, ": ", f.xorbs.size(), " xorbs; at most ", max_shard_xorbs, " are allowed");
	}
	return {};
}

result<sealed_shard> read_shard(bytes_view file, std::optional<bytes_view> key) { return shard_reader(file).read(key); }

} // namespace xet
