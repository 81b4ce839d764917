#pragma once
// How container files are read: their headers, small pieces at rising offsets, one read serving those that lie close
// together; and payloads.
//
// Thread rule: one thread at a time.

#include "xet/files.hpp"

#include <algorithm>

namespace xet {

// Small pieces at rising offsets.
class window_reader
{
public:
	window_reader(byte_source& source, std::uint64_t size) : m_source(source), m_size(size) {}

	std::uint64_t size() const { return m_size; }

	// n bytes (at most window_bytes) at offset; valid until the next call. Errors: invalid (beyond the end), io.
	result<std::uint8_t const*> at(std::uint64_t offset, std::size_t n)
	{
		if (offset > m_size || n > m_size - offset) return fail(errc::invalid, "the file ends at offset ", m_size, "; ", n, " bytes are missing at offset ", offset);
		if (offset < m_start || offset + n > m_start + m_have)
		{
			auto const want = std::size_t(std::min<std::uint64_t>(window_bytes, m_size - offset));
			auto const got = m_source.read_at(offset, std::span(m_window).first(want));
			if (!got) return tl::unexpected(got.error());
			m_start = offset;
			m_have = *got;
			if (m_have < n) return fail(errc::io, "the file became shorter while it was read, at offset ", offset + m_have);
		}
		return m_window + (offset - m_start);
	}

	static constexpr std::size_t window_bytes = 4096;

private:
	byte_source& m_source;
	std::uint64_t m_size;
	std::uint64_t m_start = 0;
	std::size_t m_have = 0;
	std::uint8_t m_window[window_bytes];
};

// All of a payload. Errors: invalid (the file ends within it), io.
inline result<> read_payload(byte_source& source, std::uint64_t offset, std::span<std::uint8_t> into)
{
	if (into.empty()) return {};
	auto const got = source.read_at(offset, into);
	if (!got) return tl::unexpected(got.error());
	if (*got == into.size()) return {};
	return fail(errc::invalid, "the file ends at offset ", offset + *got, ", within the chunk at offset ", offset);
}

} // namespace xet
