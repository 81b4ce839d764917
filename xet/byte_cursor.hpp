#pragma once
// Reads the fields of a format in memory, little-endian, one after the other; knows where it is for error messages.
//
// Thread rule: one thread at a time.

#include "xet/bytes.hpp"
#include "xet/error.hpp"
#include "xet/little_endian.hpp"

namespace xet {

class byte_cursor
{
public:
	explicit byte_cursor(bytes_view data, std::size_t at = 0) : m_data(data), m_at(at) {}

	std::size_t at() const { return m_at; }
	std::size_t left() const { return m_data.size() - m_at; }

	// The next n bytes. Errors: invalid, with the field's name and offset.
	result<bytes_view> take(std::size_t n, char const* field)
	{
		if (n > left()) return fail(errc::invalid, "the file ends at offset ", m_data.size(), ", within the ", field, " at offset ", m_at);
		auto const out = m_data.subspan(m_at, n);
		m_at += n;
		return out;
	}

	// The same where the caller knows that they are there.
	bytes_view sure(std::size_t n)
	{
		auto const out = m_data.subspan(m_at, n);
		m_at += n;
		return out;
	}
	std::uint32_t u32() { return read_le<std::uint32_t>(sure(4).data()); }
	std::uint64_t u64() { return read_le<std::uint64_t>(sure(8).data()); }
	hash32 hash() { return hash32::from(sure(32)); }

private:
	bytes_view m_data;
	std::size_t m_at;
};

} // namespace xet
