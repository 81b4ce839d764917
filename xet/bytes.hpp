#pragma once
// Small value types for bytes: views, 32-byte hashes, hexadecimal text, big-endian integers.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xet {

using bytes_view = std::span<std::uint8_t const>;
using bytes = std::vector<std::uint8_t>;

inline bytes_view as_bytes(std::string_view s)
{
	return {reinterpret_cast<std::uint8_t const*>(s.data()), s.size()};
}

inline std::string_view as_text(bytes_view b)
{
	return {reinterpret_cast<char const*>(b.data()), b.size()};
}

// The 32 raw bytes of a BLAKE3 or SHA-256 hash. Which of them it is, is known from context (hash_kind).
struct hash32
{
	std::array<std::uint8_t, 32> raw{};

	auto operator<=>(hash32 const&) const = default;
	bool is_zero() const { return *this == hash32{}; }
	bytes_view view() const { return raw; }

	// b must hold at least 32 bytes
	static hash32 from(bytes_view b)
	{
		hash32 h;
		std::memcpy(h.raw.data(), b.data(), h.raw.size());
		return h;
	}
};

// Lower-case hexadecimal.
std::string to_hex(bytes_view b);
// Accepts upper and lower case; nothing on an odd length or a character that is not hexadecimal.
std::optional<bytes> from_hex(std::string_view text);
std::optional<hash32> hash_from_hex(std::string_view text);

// Big-endian integers at p.
template <class T>
T read_be(std::uint8_t const* p)
{
	T v = 0;
	for (std::size_t i = 0; i < sizeof(T); ++i) v = T(v << 8) | T(p[i]);
	return v;
}

template <class T>
void append_be(bytes& out, T v)
{
	for (int shift = int(sizeof(T) - 1) * 8; shift >= 0; shift -= 8) out.push_back(std::uint8_t(v >> shift));
}

inline void append(bytes& out, bytes_view more) { out.insert(out.end(), more.begin(), more.end()); }

} // namespace xet

template <>
struct std::hash<xet::hash32>
{
	// a hash is already evenly spread: its first eight bytes will do
	std::size_t operator()(xet::hash32 const& h) const noexcept
	{
		std::uint64_t v;
		std::memcpy(&v, h.raw.data(), sizeof v);
		return v;
	}
};
