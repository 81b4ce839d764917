#include "xet/hf_xorb.hpp"

#include "xet/container_reader.hpp"
#include "xet/little_endian.hpp"
#include "xet/lz4.hpp"
#include "xet/merkle.hpp"

#include <algorithm>
#include <utility>

namespace xet {

namespace {

// do not change: parts of the format
constexpr std::string_view file_ident = "XETBLOB";
constexpr std::string_view hashes_ident = "XBLBHSH";
constexpr std::string_view boundaries_ident = "XBLBBND";
constexpr std::size_t ident_bytes = 7;
constexpr std::size_t chunk_header_bytes = 8;
constexpr std::size_t size_field_bytes = 3;
constexpr std::size_t free_bytes = 16;
constexpr std::uint8_t footer_version = 1;

// Official readers take compressed chunks up to twice the largest chunk: a compressor may have made things worse.
constexpr std::uint32_t max_stored_factor = 2;

bool has_ident(std::uint8_t const* p, std::string_view ident) { return std::memcmp(p, ident.data(), ident.size()) == 0; }

char const* scheme_name(std::uint8_t scheme)
{
	switch (scheme)
	{
	case 3: return " (FullBitsliceLZ4)";
	case 99: return " (Auto)";
	default: return "";
	}
}

result<hf_xorb_entry> read_chunk_header(window_reader& in, std::uint64_t offset, xorb_limits const& limits)
{
	auto const header = in.at(offset, chunk_header_bytes);
	if (!header) return tl::unexpected(header.error());
	std::uint8_t const* const p = *header;
	if (p[0] != 0) return fail(errc::unsupported, "chunk header of version ", int(p[0]), "; this program reads version 0");
	if (p[4] > std::uint8_t(hf_scheme::bg4_lz4))
		return fail(errc::unsupported, "compression scheme ", int(p[4]), scheme_name(p[4]), "; this program reads None, LZ4 and ByteGrouping4LZ4");
	hf_xorb_entry e;
	e.stored = read_le<std::uint32_t>(p + 1, size_field_bytes);
	e.scheme = hf_scheme(p[4]);
	e.size = read_le<std::uint32_t>(p + 5, size_field_bytes);
	e.offset = offset + chunk_header_bytes;
	if (e.stored > in.size() - e.offset)
		return fail(errc::invalid, "its ", e.stored, " bytes reach beyond the end; ", in.size() - e.offset, " are left");
	if (e.size > limits.max_chunk_bytes) return fail(errc::limit, "size ", e.size, "; at most ", limits.max_chunk_bytes, " bytes are allowed");
	if (e.scheme == hf_scheme::none && e.stored != e.size)
		return fail(errc::invalid, "stored as it is, but with ", e.stored, " bytes for ", e.size);
	if (e.stored > max_stored_factor * limits.max_chunk_bytes)
		return fail(errc::limit, e.stored, " compressed bytes; at most ", max_stored_factor * limits.max_chunk_bytes, " are allowed");
	if (e.scheme != hf_scheme::none && !lz4_can_hold(e.stored, e.size))
		return fail(errc::invalid, "size ", e.size, " cannot come from ", e.stored, " compressed bytes");
	return e;
}

// --- footer ----------------------------------------------------------------------------------------------------------

// Reads a footer from its first byte to its last and compares it with the chunks that were found.
class footer_reader
{
public:
	footer_reader(window_reader& in, hf_xorb& xorb) : m_in(in), m_xorb(xorb), m_start(xorb.chunk_region_bytes), m_at(m_start) {}

	result<> read()
	{
		auto const version = ident(file_ident);
		if (!version) return tl::unexpected(version.error());
		auto const hash = take(32);
		if (!hash) return tl::unexpected(hash.error());
		m_xorb.hash = hash32::from({*hash, 32});
		result<> done;
		if (*version == 0) done = read_v0();
		else if (*version == footer_version) done = read_v1();
		else return fail(errc::unsupported, "xorb footer of version ", int(*version), " at offset ", m_start, "; this program reads versions 0 and 1");
		if (!done) return done;
		return read_info_length();
	}

private:
	result<std::uint8_t const*> take(std::size_t n)
	{
		auto p = m_in.at(m_at, n);
		m_at += n;
		return p;
	}

	// What begins a section: its name and a version.
	result<std::uint8_t> ident(std::string_view name)
	{
		auto const p = take(ident_bytes + 1);
		if (!p) return tl::unexpected(p.error());
		if (!has_ident(*p, name)) return fail(errc::invalid, "no ", name, " at offset ", m_at - ident_bytes - 1);
		return (*p)[ident_bytes];
	}

	// A number that has to be what the chunks say.
	result<> number(std::uint64_t wanted, char const* what, std::size_t index = SIZE_MAX)
	{
		auto const p = take(4);
		if (!p) return tl::unexpected(p.error());
		auto const is = read_le<std::uint32_t>(*p);
		if (is == wanted) return {};
		return fail(errc::invalid, "footer: ", what, index == SIZE_MAX ? "" : cat(" ", index), " is ", is, " at offset ", m_at - 4, "; it should be ", wanted);
	}

	result<> chunk_count() { return number(m_xorb.entries.size(), "chunk count"); }

	result<> hashes()
	{
		for (auto& e : m_xorb.entries)
		{
			auto const p = take(32);
			if (!p) return tl::unexpected(p.error());
			e.hash = hash32::from({*p, 32});
		}
		return {};
	}

	result<> file_ends()
	{
		for (std::size_t i = 0; i < m_xorb.entries.size(); ++i)
			if (auto const ok = number(m_xorb.entries[i].offset + m_xorb.entries[i].stored, "end of chunk", i); !ok) return ok;
		return {};
	}

	result<> content_ends()
	{
		std::uint64_t end = 0;
		for (std::size_t i = 0; i < m_xorb.entries.size(); ++i)
			if (auto const ok = number(end += m_xorb.entries[i].size, "end in the content of chunk", i); !ok) return ok;
		return {};
	}

	result<> read_v0()
	{
		if (auto const ok = chunk_count(); !ok) return ok;
		if (auto const ok = file_ends(); !ok) return ok;
		if (auto const ok = hashes(); !ok) return ok;
		m_at += free_bytes;
		return {};
	}

	result<> read_v1()
	{
		auto const hashes_at = m_at;
		auto const hashes_version = ident(hashes_ident);
		if (!hashes_version) return tl::unexpected(hashes_version.error());
		if (*hashes_version != 0)
			return fail(errc::unsupported, "hashes section of version ", int(*hashes_version), " at offset ", hashes_at, "; this program reads version 0");
		if (auto const ok = chunk_count(); !ok) return ok;
		if (auto const ok = hashes(); !ok) return ok;

		auto const boundaries_at = m_at;
		auto const boundaries_version = ident(boundaries_ident);
		if (!boundaries_version) return tl::unexpected(boundaries_version.error());
		if (*boundaries_version > 1)
			return fail(errc::unsupported, "boundaries section of version ", int(*boundaries_version), " at offset ", boundaries_at, "; this program reads versions 0 and 1");
		if (auto const ok = chunk_count(); !ok) return ok;
		if (auto const ok = file_ends(); !ok) return ok;
		if (*boundaries_version == 1)
			if (auto const ok = content_ends(); !ok) return ok;

		auto const end = m_at + 12 + free_bytes;
		if (auto const ok = chunk_count(); !ok) return ok;
		if (auto const ok = number(end - hashes_at, "distance of the hashes section"); !ok) return ok;
		if (auto const ok = number(end - boundaries_at, "distance of the boundaries section"); !ok) return ok;
		m_at = end;
		return {};
	}

	result<> read_info_length()
	{
		if (auto const ok = number(m_at - m_start, "info length"); !ok) return ok;
		if (m_at != m_in.size()) return fail(errc::invalid, m_in.size() - m_at, " bytes at offset ", m_at, " behind the footer");
		return {};
	}

	window_reader& m_in;
	hf_xorb& m_xorb;
	std::uint64_t m_start;
	std::uint64_t m_at;
};

void append_ident(bytes& out, std::string_view name, std::uint8_t version)
{
	append(out, as_bytes(name));
	out.push_back(version);
}

void append_footer(bytes& out, hash32 const& hash, std::vector<hf_xorb_entry> const& entries)
{
	auto const start = out.size();
	auto const count = std::uint32_t(entries.size());
	append_ident(out, file_ident, footer_version);
	append(out, hash.view());
	auto const hashes_at = out.size();
	append_ident(out, hashes_ident, 0);
	append_le(out, count);
	for (auto const& e : entries) append(out, e.hash->view());
	auto const boundaries_at = out.size();
	append_ident(out, boundaries_ident, 1);
	append_le(out, count);
	for (auto const& e : entries) append_le(out, std::uint32_t(e.offset + e.stored));
	std::uint32_t content_end = 0;
	for (auto const& e : entries) append_le(out, content_end += e.size);
	append_le(out, count);
	auto const end = out.size() + 8 + free_bytes;
	append_le(out, std::uint32_t(end - hashes_at));
	append_le(out, std::uint32_t(end - boundaries_at));
	out.resize(out.size() + free_bytes);
	append_le(out, std::uint32_t(out.size() - start));
}

hash32 root_of(std::vector<hf_xorb_entry> const& entries)
{
	chunk_list chunks;
	chunks.reserve(entries.size());
	for (auto const& e : entries) chunks.push_back({*e.hash, e.size});
	return hf_tree_root(chunks);
}

} // namespace

// --- reading -------------------------------------------------------------------------------------------------------------

bool looks_like_hf_xorb(bytes_view start)
{
	if (start.size() < chunk_header_bytes) return false;
	return has_ident(start.data(), file_ident) || (start[0] == 0 && start[4] <= std::uint8_t(hf_scheme::bg4_lz4));
}

result<hf_xorb> read_hf_xorb(byte_source& source, xorb_limits const& limits)
{
	auto const size = source.size();
	if (!size) return tl::unexpected(size.error());
	if (*size == 0) return fail(errc::invalid, "not a xorb: an empty file");
	window_reader in(source, *size);
	hf_xorb out;
	std::uint64_t offset = 0, payload = 0;
	while (offset < *size)
	{
		auto const start = in.at(offset, std::size_t(std::min<std::uint64_t>(ident_bytes, *size - offset)));
		if (!start) return tl::unexpected(start.error());
		out.chunk_region_bytes = offset;
		if (*size - offset >= ident_bytes && has_ident(*start, file_ident))
		{
			if (auto const ok = footer_reader(in, out).read(); !ok) return tl::unexpected(ok.error());
			return out;
		}
		auto const e = read_chunk_header(in, offset, limits);
		auto const where = [&] { return cat("chunk ", out.entries.size(), " at offset ", offset, ": "); };
		if (!e) return fail(e.error().code, where(), e.error().message);
		if (out.entries.size() == limits.max_chunks) return fail(errc::limit, where(), "more than ", limits.max_chunks, " chunks");
		payload += e->size;
		if (payload > limits.max_payload_bytes)
			return fail(errc::limit, where(), "the chunks so far have ", payload, " bytes; at most ", limits.max_payload_bytes, " are allowed");
		out.entries.push_back(*e);
		offset = e->offset + e->stored;
	}
	out.chunk_region_bytes = offset;
	return out;
}

namespace {

// What the payload holds, not checked against any hash.
result<bytes> unpack(bytes payload, hf_xorb_entry const& entry)
{
	if (entry.scheme == hf_scheme::none) return payload;
	auto plain = lz4_decompress(payload, entry.size);
	if (!plain || entry.scheme == hf_scheme::lz4) return plain;
	bytes joined(entry.size);
	bg4_join(*plain, joined);
	return joined;
}

} // namespace

result<bytes> read_hf_chunk(byte_source& source, hf_xorb_entry const& entry)
{
	bytes payload(entry.stored);
	if (auto const got = read_payload(source, entry.offset, payload); !got) return tl::unexpected(got.error());
	auto data = unpack(std::move(payload), entry);
	if (!data) return fail(data.error().code, "chunk at offset ", entry.offset, ": ", data.error().message);
	if (entry.hash)
		if (auto const is = chunk_hash(hash_kind::hf, *data); is != *entry.hash)
			return fail(errc::mismatch, "chunk at offset ", entry.offset, ": its hash is ", to_string(hash_kind::hf, is), ", not ", to_string(hash_kind::hf, *entry.hash));
	return data;
}

result<hash32> verify_hf_xorb(byte_source& source, hf_xorb& xorb)
{
	for (auto& e : xorb.entries)
	{
		auto const data = read_hf_chunk(source, e);
		if (!data) return tl::unexpected(data.error());
		if (!e.hash) e.hash = chunk_hash(hash_kind::hf, *data);
	}
	auto const root = root_of(xorb.entries);
	if (xorb.hash && *xorb.hash != root)
		return fail(errc::mismatch, "the chunks make the xorb ", to_string(hash_kind::hf, root), "; its footer says ", to_string(hash_kind::hf, *xorb.hash));
	return root;
}

// --- writing -------------------------------------------------------------------------------------------------------------

result<> hf_xorb_writer::add(bytes_view data)
{
	if (data.size() > max_chunk_bytes)
		return fail(errc::limit, "a chunk of ", data.size(), " bytes; Hugging Face's readers take at most ", max_chunk_bytes);
	if (m_entries.size() == max_xorb_chunks) return fail(errc::limit, "more than ", max_xorb_chunks, " chunks in one xorb");
	if (m_payload + data.size() > max_xorb_bytes) return fail(errc::limit, "more than ", max_xorb_bytes, " bytes in one xorb");

	hf_xorb_entry e;
	e.hash = chunk_hash(hash_kind::hf, data);
	e.size = std::uint32_t(data.size());
	bytes best;
	auto const attempt = [&](hf_scheme scheme, bytes_view content) {
		if (!worth_compressing(content)) return;
		auto packed = lz4_compress(content);
		if (packed.size() >= (best.empty() ? data.size() : best.size())) return;
		best = std::move(packed);
		e.scheme = scheme;
	};
	if (m_how == compression::lz4)
	{
		attempt(hf_scheme::lz4, data);
		attempt(hf_scheme::bg4_lz4, bg4_split(data));
	}
	bytes_view const payload = best.empty() ? data : bytes_view(best);
	e.stored = std::uint32_t(payload.size());
	e.offset = m_file.size() + chunk_header_bytes;
	std::uint8_t header[chunk_header_bytes] = {};
	write_le(header + 1, e.stored, size_field_bytes);
	header[4] = std::uint8_t(e.scheme);
	write_le(header + 5, e.size, size_field_bytes);
	append(m_file, header);
	append(m_file, payload);
	m_entries.push_back(e);
	m_payload += e.size;
	return {};
}

hf_xorb_writer::built hf_xorb_writer::finish() &&
{
	built out{root_of(m_entries), std::move(m_entries), std::move(m_file)};
	append_footer(out.file, out.hash, out.entries);
	return out;
}

// --- byte grouping -------------------------------------------------------------------------------------------------------

bytes bg4_split(bytes_view data)
{
	bytes out;
	out.reserve(data.size());
	for (std::size_t group = 0; group < 4; ++group)
		for (std::size_t i = group; i < data.size(); i += 4) out.push_back(data[i]);
	return out;
}

void bg4_join(bytes_view from, std::span<std::uint8_t> into)
{
	std::size_t at = 0;
	for (std::size_t group = 0; group < 4; ++group)
		for (std::size_t i = group; i < into.size(); i += 4) into[i] = from[at++];
}

} // namespace xet
