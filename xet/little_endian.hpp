#pragma once
// The little-endian integers of files. width: bytes, for those that take fewer than their type has.

#include "xet/bytes.hpp"

namespace xet {

template <class T>
T read_le(std::uint8_t const* p, std::size_t width = sizeof(T))
{
	T v = 0;
	for (std::size_t i = width; i-- > 0;) v = T(std::uint64_t(v) << 8 | p[i]);
	return v;
}

template <class T>
void write_le(std::uint8_t* p, T v, std::size_t width = sizeof(T))
{
	for (std::size_t i = 0; i < width; ++i) p[i] = std::uint8_t(std::uint64_t(v) >> (8 * i));
}

template <class T>
void append_le(bytes& out, T v)
{
	std::uint8_t b[sizeof(T)];
	write_le(b, v);
	out.insert(out.end(), b, b + sizeof b);
}

} // namespace xet
