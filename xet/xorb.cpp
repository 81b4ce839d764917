#include "xet/xorb.hpp"

#include "xet/container_reader.hpp"
#include "xet/little_endian.hpp"
#include "xet/lz4.hpp"

#include <algorithm>
#include <cassert>
#include <new>

namespace xet {

namespace {

// do not change: parts of the format
constexpr std::uint32_t magic = 0x24687531;
constexpr std::uint8_t version = 1;
constexpr std::uint8_t flag_compression_asked = 1;
constexpr std::size_t version_at = 4, flags_at = 5, zeros_at = 6, count_at = 16;

void write_header(std::uint8_t* p, std::size_t count)
{
	std::memset(p, 0, xorb_header_bytes);
	write_le(p, magic);
	p[version_at] = version;
	write_le(p + count_at, std::uint32_t(count));
}

// stored: what the file says, 0 for a raw payload
void write_entry_header(std::uint8_t* p, hash32 const& hash, std::uint32_t size, std::uint32_t stored)
{
	std::memcpy(p, hash.raw.data(), hash.raw.size());
	write_le(p + 32, size);
	write_le(p + 36, stored);
}

std::size_t entry_at(xorb_entry const& e) { return std::size_t(e.offset) - xorb_entry_header_bytes; }

} // namespace

// --- writing -------------------------------------------------------------------------------------------------------------

void xorb_builder::aligned_free::operator()(std::uint8_t* p) const { ::operator delete[](p, std::align_val_t(bulk_alignment)); }

xorb_builder::buffer xorb_builder::allocate(std::size_t size)
{
	return buffer(static_cast<std::uint8_t*>(::operator new[](size, std::align_val_t(bulk_alignment))));
}

xorb_builder::xorb_builder(hash_kind kind, std::size_t capacity, std::uint32_t max_chunks)
	: m_kind(kind), m_capacity(std::min(capacity, max_xorb_bytes)), m_max_chunks(max_chunks)
{
	// room for an attempt to compress the last chunk, which may come out larger than the chunk
	auto const slack = lz4_bound(m_capacity) - m_capacity + xorb_trailer_bytes;
	m_buffer_bytes = xorb_header_bytes + m_capacity + max_chunks * xorb_entry_header_bytes + slack;
	m_buffer_bytes = (m_buffer_bytes + bulk_alignment - 1) / bulk_alignment * bulk_alignment;
	m_raw = allocate(m_buffer_bytes);
	clear();
}

bool xorb_builder::fits(std::size_t size) const { return size <= m_capacity - m_payload && m_entries.size() < m_max_chunks; }

void xorb_builder::add(hash32 const& hash, bytes_view data)
{
	assert(fits(data.size()));
	auto const size = std::uint32_t(data.size());
	std::uint8_t* const p = m_raw.get() + m_end;
	write_entry_header(p, hash, size, 0);
	if (size != 0) std::memcpy(p + xorb_entry_header_bytes, data.data(), size);
	m_entries.push_back({hash, size, size, false, m_end + xorb_entry_header_bytes});
	m_end += xorb_entry_header_bytes + size;
	m_payload += size;
}

bytes_view xorb_builder::data_of(std::size_t index) const
{
	auto const& e = m_entries.at(index);
	return {m_raw.get() + e.offset, e.size};
}

xorb_builder::built xorb_builder::finish(compression how)
{
	write_header(m_raw.get(), m_entries.size());
	write_le(m_raw.get() + m_end, m_payload);
	bytes_view const raw(m_raw.get(), m_end + xorb_trailer_bytes);
	built out{chunk_hash(m_kind, raw), {}, raw};
	if (how == compression::none)
	{
		out.entries = m_entries;
		return out;
	}
	m_raw[flags_at] = flag_compression_asked;
	auto const packed = pack();
	out.entries = packed == 0 ? m_entries : m_packed_entries;
	if (packed != 0) out.file = {m_packed.get(), packed};
	return out;
}

std::size_t xorb_builder::pack()
{
	std::size_t end = 0;  // of what is in m_packed; 0 until the first chunk that becomes smaller
	for (std::size_t i = 0; i < m_entries.size(); ++i)
	{
		xorb_entry e = m_entries[i];
		auto const data = data_of(i);
		std::size_t smaller = 0;
		if (worth_compressing(data))
		{
			if (!m_packed) m_packed = allocate(m_buffer_bytes);
			auto const at = (end == 0 ? entry_at(e) : end) + xorb_entry_header_bytes;
			auto const n = lz4_compress(data, {m_packed.get() + at, m_buffer_bytes - at});
			if (n < e.size) smaller = n;
		}
		if (end == 0)
		{
			if (smaller == 0) continue;
			// all before it stays as it is
			end = entry_at(e);
			std::memcpy(m_packed.get(), m_raw.get(), end);
			m_packed_entries.assign(m_entries.begin(), m_entries.begin() + std::ptrdiff_t(i));
		}
		std::uint8_t* const p = m_packed.get() + end;
		write_entry_header(p, e.hash, e.size, std::uint32_t(smaller));
		if (smaller == 0) std::memcpy(p + xorb_entry_header_bytes, data.data(), data.size());
		else e.stored = std::uint32_t(smaller), e.compressed = true;
		e.offset = end + xorb_entry_header_bytes;
		end = std::size_t(e.offset) + e.stored;
		m_packed_entries.push_back(e);
	}
	if (end == 0) return 0;
	write_le(m_packed.get() + end, m_payload);
	return end + xorb_trailer_bytes;
}

void xorb_builder::clear()
{
	m_entries.clear();
	m_payload = 0;
	m_end = xorb_header_bytes;
}

// --- reading -------------------------------------------------------------------------------------------------------------

namespace {

result<std::uint32_t> read_count(window_reader& in, xorb_limits const& limits)
{
	if (in.size() < xorb_header_bytes + xorb_trailer_bytes)
		return fail(errc::invalid, "not a xorb: ", in.size(), " bytes; the smallest has ", xorb_header_bytes + xorb_trailer_bytes);
	auto const header = in.at(0, xorb_header_bytes);
	if (!header) return tl::unexpected(header.error());
	std::uint8_t const* const p = *header;
	if (read_le<std::uint32_t>(p) != magic) return fail(errc::invalid, "not a xorb: it does not begin with 31756824");
	if (p[version_at] != version) return fail(errc::unsupported, "a xorb of version ", int(p[version_at]), "; this program reads version 1");
	if ((p[flags_at] & ~flag_compression_asked) != 0)
		return fail(errc::unsupported, "unknown xorb flags ", int(p[flags_at]), " at offset ", flags_at);
	for (std::size_t i = zeros_at; i < count_at; ++i)
		if (p[i] != 0) return fail(errc::invalid, "byte ", int(p[i]), " at offset ", i, " where a xorb has zero");
	auto const count = read_le<std::uint32_t>(p + count_at);
	if (count > (in.size() - xorb_header_bytes - xorb_trailer_bytes) / xorb_entry_header_bytes)
		return fail(errc::invalid, "chunk count ", count, " at offset ", count_at, ": the file of ", in.size(), " bytes cannot hold so many");
	if (count > limits.max_chunks)
		return fail(errc::limit, "chunk count ", count, " at offset ", count_at, ": at most ", limits.max_chunks, " are allowed");
	return count;
}

// The entry whose header stands at offset. room: bytes left for its header and payload.
result<xorb_entry> read_entry(window_reader& in, std::uint64_t offset, std::uint64_t room, xorb_limits const& limits)
{
	if (room < xorb_entry_header_bytes) return fail(errc::invalid, "the file ends within its header");
	auto const header = in.at(offset, xorb_entry_header_bytes);
	if (!header) return tl::unexpected(header.error());
	std::uint8_t const* const p = *header;
	auto const stored = read_le<std::uint32_t>(p + 36);
	xorb_entry e{hash32::from({p, 32}), read_le<std::uint32_t>(p + 32), stored, stored != 0, offset + xorb_entry_header_bytes};
	if (!e.compressed) e.stored = e.size;
	room -= xorb_entry_header_bytes;
	if (e.stored > room) return fail(errc::invalid, "its ", e.stored, " bytes reach beyond the end; ", room, " are left");
	if (e.size > limits.max_chunk_bytes) return fail(errc::limit, "size ", e.size, "; at most ", limits.max_chunk_bytes, " bytes are allowed");
	if (e.compressed && !lz4_can_hold(e.stored, e.size))
		return fail(errc::invalid, "size ", e.size, " cannot come from ", e.stored, " compressed bytes");
	if (e.compressed && e.stored > lz4_bound(e.size))
		return fail(errc::invalid, e.stored, " compressed bytes are more than any frame of ", e.size, " bytes needs");
	return e;
}

} // namespace

bool looks_like_xorb(bytes_view start) { return start.size() >= 4 && read_le<std::uint32_t>(start.data()) == magic; }

result<std::vector<xorb_entry>> read_xorb_directory(byte_source& source, xorb_limits const& limits)
{
	auto const size = source.size();
	if (!size) return tl::unexpected(size.error());
	window_reader in(source, *size);
	auto const count = read_count(in, limits);
	if (!count) return tl::unexpected(count.error());

	std::vector<xorb_entry> out;
	out.reserve(*count);
	std::uint64_t offset = xorb_header_bytes, payload = 0;
	std::uint64_t const end = *size - xorb_trailer_bytes;
	for (std::uint32_t i = 0; i < *count; ++i)
	{
		auto e = read_entry(in, offset, end - offset, limits);
		if (!e) return fail(e.error().code, "chunk ", i, " at offset ", offset, ": ", e.error().message);
		payload += e->size;
		if (payload > limits.max_payload_bytes)
			return fail(errc::limit, "chunk ", i, " at offset ", offset, ": the chunks so far have ", payload, " bytes; at most ", limits.max_payload_bytes, " are allowed");
		offset = e->offset + e->stored;
		out.push_back(*e);
	}
	if (offset != end) return fail(errc::invalid, end - offset, " bytes at offset ", offset, " that belong to no chunk");
	auto const trailer = in.at(end, xorb_trailer_bytes);
	if (!trailer) return tl::unexpected(trailer.error());
	auto const said = read_le<std::uint64_t>(*trailer);
	if (said != payload) return fail(errc::invalid, "sum of sizes at offset ", end, ": ", said, "; the chunks have ", payload, " bytes");
	return out;
}

result<> read_xorb_chunk(byte_source& source, xorb_entry const& entry, hash_kind kind, std::span<std::uint8_t> into)
{
	assert(into.size() == entry.size);
	bytes frame(entry.compressed ? entry.stored : 0);
	std::span<std::uint8_t> const payload = entry.compressed ? std::span<std::uint8_t>(frame) : into;
	if (auto const got = read_payload(source, entry.offset, payload); !got) return got;
	if (entry.compressed)
		if (auto const done = lz4_decompress(frame, into); !done)
			return fail(done.error().code, "chunk at offset ", entry.offset, ": ", done.error().message);
	if (auto const is = chunk_hash(kind, into); is != entry.hash)
		return fail(errc::mismatch, "chunk at offset ", entry.offset, ": its ", name_of(kind), " hash is ", to_string(kind, is), ", not ", to_string(kind, entry.hash));
	return {};
}

result<bytes> read_xorb_chunk(byte_source& source, xorb_entry const& entry, hash_kind kind)
{
	bytes out(entry.size);
	if (auto const done = read_xorb_chunk(source, entry, kind, out); !done) return tl::unexpected(done.error());
	return out;
}

namespace {

// Hash of a serialisation that comes in parts. The stream hasher knows no keys, so for hf the parts are collected.
class serialisation_hasher
{
public:
	explicit serialisation_hasher(hash_kind kind) : m_kind(kind), m_stream(kind) {}
	void update(bytes_view part)
	{
		if (m_kind == hash_kind::hf) append(m_all, part);
		else m_stream.update(part);
	}
	hash32 finish() const { return m_kind == hash_kind::hf ? chunk_hash(m_kind, m_all) : m_stream.finish(); }

private:
	hash_kind m_kind;
	hasher m_stream;
	bytes m_all;
};

} // namespace

result<hash32> xorb_hash(byte_source& source, std::vector<xorb_entry> const& entries, hash_kind kind)
{
	serialisation_hasher out(kind);
	std::uint8_t header[std::max(xorb_header_bytes, xorb_entry_header_bytes)];
	write_header(header, entries.size());
	out.update({header, xorb_header_bytes});
	std::uint64_t payload = 0;
	for (xorb_entry const& e : entries)
	{
		auto const data = read_xorb_chunk(source, e, kind);
		if (!data) return tl::unexpected(data.error());
		write_entry_header(header, e.hash, e.size, 0);
		out.update({header, xorb_entry_header_bytes});
		out.update(*data);
		payload += e.size;
	}
	write_le(header, payload);
	out.update({header, xorb_trailer_bytes});
	return out.finish();
}

} // namespace xet
