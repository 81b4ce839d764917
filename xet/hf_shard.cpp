#include "xet/hf_shard.hpp"

#include "xet/byte_cursor.hpp"
#include "xet/little_endian.hpp"

#include <algorithm>

namespace xet {

namespace {

// do not change: parts of the format
constexpr std::uint8_t tag[32] = {
	'H', 'F', 'R', 'e', 'p', 'o', 'M', 'e', 't', 'a', 'D', 'a', 't', 'a', 0,
	0x55, 0x69, 0x67, 0x45, 0x6a, 0x7b, 0x81, 0x57, 0x83, 0xa5, 0xbd, 0xd9, 0x5c, 0xcd, 0xd1, 0x4a, 0xa9};
constexpr std::uint64_t header_version = 2, footer_version = 1;
constexpr std::size_t unit = 48;
constexpr std::size_t footer_bytes = 200;
constexpr std::size_t footer_zeros = 48;
constexpr std::size_t lookup_bytes = 12, chunk_lookup_bytes = 16;
constexpr std::uint32_t flag_range_hashes = 1u << 31, flag_metadata = 1u << 30;

constexpr hash32 bookend = [] {
	hash32 h;
	h.raw.fill(0xff);
	return h;
}();

std::uint64_t lookup_key(hash32 const& h) { return read_le<std::uint64_t>(h.raw.data()); }

// SHA-256 digests stand in the file as the Hub prints hashes.
hash32 swap_groups(hash32 h)
{
	for (auto group = h.raw.begin(); group != h.raw.end(); group += 8) std::reverse(group, group + 8);
	return h;
}

// One row of a lookup table; chunk only for chunks.
struct lookup
{
	std::uint64_t key;
	std::uint32_t at;  // unit in its section
	std::uint32_t chunk;
};

// --- reading -----------------------------------------------------------------------------------------------------------

class hf_shard_reader
{
public:
	explicit hf_shard_reader(bytes_view file) : m_file(file), m_in(file) {}

	result<hf_shard> read()
	{
		auto const footer = read_header();
		if (!footer) return tl::unexpected(footer.error());
		m_end = m_file.size() - *footer;
		if (auto const ok = read_section("file", m_file_units, [this](unit_head const& h) { return read_file(h); }); !ok) return tl::unexpected(ok.error());
		m_xorb_section = m_in.at();
		if (auto const ok = read_section("xorb", m_xorb_units, [this](unit_head const& h) { return read_xorb(h); }); !ok) return tl::unexpected(ok.error());
		if (*footer != 0)
			if (auto const ok = read_footer(); !ok) return tl::unexpected(ok.error());
		if (m_in.at() != m_file.size()) return fail(errc::invalid, m_in.left(), " bytes at offset ", m_in.at(), " behind the last section");
		return std::move(m_out);
	}

private:
	// The first unit of a file or xorb.
	struct unit_head
	{
		hash32 hash;
		std::uint32_t flags, count, third, fourth;
	};

	std::size_t units_left() const { return (m_end - m_in.at()) / unit; }

	// The footer's length.
	result<std::size_t> read_header()
	{
		if (m_file.size() < unit || !looks_like_hf_shard(m_file)) return fail(errc::invalid, "not a Hugging Face shard: it does not begin with HFRepoMetaData and a header of ", unit, " bytes");
		m_in.sure(sizeof tag);
		if (auto const v = m_in.u64(); v != header_version) return fail(errc::unsupported, "a Hugging Face shard of version ", v, " (offset 32); this program reads version 2");
		auto const footer = m_in.u64();
		if (footer != 0 && footer != footer_bytes) return fail(errc::unsupported, "footer length ", footer, " at offset 40; it should be 0 or ", footer_bytes);
		if (m_file.size() - unit < footer) return fail(errc::invalid, "the file of ", m_file.size(), " bytes cannot hold its footer");
		return std::size_t(footer);
	}

	// Units up to a bookend; starts gets the unit number at which each file or xorb begins.
	template <class Read>
	result<> read_section(char const* what, std::vector<std::uint32_t>& starts, Read read_one)
	{
		auto const section = m_in.at();
		for (;;)
		{
			auto const at = m_in.at();
			if (units_left() == 0) return fail(errc::invalid, "the ", what, " section, at offset ", section, ", has no end");
			unit_head const h{m_in.hash(), m_in.u32(), m_in.u32(), m_in.u32(), m_in.u32()};
			if (h.hash == bookend)
			{
				if ((h.flags | h.count | h.third | h.fourth) != 0) return fail(errc::invalid, "the end of the ", what, " section at offset ", at, " is not followed by zeros");
				return {};
			}
			starts.push_back(std::uint32_t((at - section) / unit));
			if (auto const ok = read_one(h); !ok) return fail(ok.error().code, what, " ", starts.size() - 1, " at offset ", at, ": ", ok.error().message);
		}
	}

	result<> read_file(unit_head const& h)
	{
		if (m_out.files.size() == max_shard_files) return fail(errc::limit, "more than ", max_shard_files, " files");
		if ((h.flags & ~(flag_range_hashes | flag_metadata)) != 0) return fail(errc::unsupported, "unknown flags ", h.flags);
		bool const ranges = (h.flags & flag_range_hashes) != 0, metadata = (h.flags & flag_metadata) != 0;
		auto const needed = std::uint64_t(h.count) * (ranges ? 2 : 1) + (metadata ? 1 : 0);
		if (needed > units_left()) return fail(errc::invalid, h.count, " segments cannot fit into the ", m_end - m_in.at(), " bytes that are left");
		auto& f = m_out.files.emplace_back();
		f.hash = h.hash;
		f.segments.reserve(h.count);
		for (std::uint32_t i = 0; i < h.count; ++i)
		{
			hf_segment const s{m_in.hash(), m_in.u32(), m_in.u32(), m_in.u32(), m_in.u32()};
			if (s.first_chunk >= s.end_chunk) return fail(errc::invalid, "segment ", i, " at offset ", m_in.at() - unit, " has chunks ", s.first_chunk, " to ", s.end_chunk);
			f.segments.push_back(s);
		}
		for (std::uint32_t i = 0; ranges && i < h.count; ++i)
		{
			f.range_hashes.push_back(m_in.hash());
			m_in.sure(16);
		}
		if (metadata)
		{
			f.sha256 = swap_groups(m_in.hash());
			m_in.sure(16);
		}
		return {};
	}

	result<> read_xorb(unit_head const& h)
	{
		if (m_out.xorbs.size() == max_shard_xorbs) return fail(errc::limit, "more than ", max_shard_xorbs, " xorbs");
		if (h.count > units_left()) return fail(errc::invalid, h.count, " chunks cannot fit into the ", m_end - m_in.at(), " bytes that are left");
		m_chunks += h.count;
		if (m_chunks > max_shard_chunks) return fail(errc::limit, "more than ", max_shard_chunks, " chunks");
		auto& x = m_out.xorbs.emplace_back();
		x.hash = h.hash;
		x.flags = h.flags;
		x.bytes = h.third;
		x.stored_bytes = h.fourth;
		x.chunks.reserve(h.count);
		std::uint64_t end = 0;
		for (std::uint32_t i = 0; i < h.count; ++i)
		{
			hf_shard_chunk c;
			c.hash = m_in.hash();
			c.offset = m_in.u32();
			c.size = m_in.u32();
			c.flags = m_in.u32();
			m_in.sure(4);
			if (c.offset != end) return fail(errc::invalid, "chunk ", i, " at offset ", m_in.at() - unit, " begins at ", c.offset, " in the xorb; the one before it ends at ", end);
			end += c.size;
			x.chunks.push_back(c);
		}
		if (end != x.bytes) return fail(errc::invalid, "its chunks have ", end, " bytes, it is said to have ", x.bytes);
		return {};
	}

	result<> expect(std::uint64_t is, std::uint64_t wanted, char const* field)
	{
		if (is == wanted) return {};
		return fail(errc::invalid, "footer: ", field, " is ", is, " at offset ", m_footer.at() - 8, "; it should be ", wanted);
	}

	result<> read_footer()
	{
		m_footer = byte_cursor(m_file, m_end);
		if (auto const v = m_footer.u64(); v != footer_version) return fail(errc::unsupported, "shard footer of version ", v, " at offset ", m_end, "; this program reads version 1");
		if (auto const ok = expect(m_footer.u64(), unit, "offset of the files"); !ok) return ok;
		if (auto const ok = expect(m_footer.u64(), m_xorb_section, "offset of the xorbs"); !ok) return ok;
		if (auto const ok = read_tables(); !ok) return ok;

		auto& footer = m_out.footer.emplace();
		footer.chunk_key = m_footer.hash();
		footer.created = m_footer.u64();
		footer.key_expiry = m_footer.u64();
		m_footer.sure(footer_zeros + 3 * 8);  // sums of bytes, for statistics
		if (auto const ok = expect(m_footer.u64(), m_end, "offset of the footer"); !ok) return ok;
		m_in.sure(footer_bytes);
		return {};
	}

	result<> read_tables()
	{
		auto const& files = m_out.files;
		auto const& xorbs = m_out.xorbs;
		auto const index_of = [](std::vector<std::uint32_t> const& starts, std::uint32_t at) {
			auto const i = std::lower_bound(starts.begin(), starts.end(), at);
			return i != starts.end() && *i == at ? std::size_t(i - starts.begin()) : SIZE_MAX;
		};
		auto const file_hash = [&](lookup const& l) {
			auto const i = index_of(m_file_units, l.at);
			return i == SIZE_MAX ? nullptr : &files[i].hash;
		};
		auto const xorb_hash = [&](lookup const& l) {
			auto const i = index_of(m_xorb_units, l.at);
			return i == SIZE_MAX ? nullptr : &xorbs[i].hash;
		};
		auto const chunk_hash = [&](lookup const& l) -> hash32 const* {
			auto const i = index_of(m_xorb_units, l.at);
			return i == SIZE_MAX || l.chunk >= xorbs[i].chunks.size() ? nullptr : &xorbs[i].chunks[l.chunk].hash;
		};
		if (auto const ok = read_table("file table", lookup_bytes, files.size(), file_hash); !ok) return ok;
		if (auto const ok = read_table("xorb table", lookup_bytes, xorbs.size(), xorb_hash); !ok) return ok;
		return read_table("chunk table", chunk_lookup_bytes, m_chunks, chunk_hash);
	}

	// A table may be left out; one that is there stands behind the one before it, and each row leads to what it names.
	template <class HashOf>
	result<> read_table(char const* name, std::size_t row_bytes, std::size_t most, HashOf hash_of)
	{
		auto const offset = m_footer.u64(), rows = m_footer.u64();
		if (rows == 0) return {};
		auto const wrong = [&](auto const&... why) { return fail(errc::invalid, name, ": ", why...); };
		if (offset != m_in.at()) return wrong("offset ", offset, " in the footer; what is before it ends at ", m_in.at());
		if (rows > most) return wrong(rows, " rows in the footer; at most ", most, " can be needed");
		if (rows > (m_end - m_in.at()) / row_bytes) return wrong(rows, " rows reach beyond offset ", m_end);
		std::uint64_t last = 0;
		for (std::uint64_t i = 0; i < rows; ++i)
		{
			auto const at = m_in.at();
			lookup const l{m_in.u64(), m_in.u32(), row_bytes == chunk_lookup_bytes ? m_in.u32() : 0};
			if (l.key < last) return wrong("row ", i, " at offset ", at, " is not in order");
			last = l.key;
			hash32 const* const h = hash_of(l);
			if (h == nullptr || lookup_key(*h) != l.key) return wrong("row ", i, " at offset ", at, " does not lead to what it names");
		}
		return {};
	}

	bytes_view m_file;
	byte_cursor m_in;
	byte_cursor m_footer{bytes_view()};
	std::size_t m_end = 0;  // of the sections and tables
	std::size_t m_xorb_section = 0;
	std::vector<std::uint32_t> m_file_units, m_xorb_units;
	std::size_t m_chunks = 0;
	hf_shard m_out;
};

// --- writing -----------------------------------------------------------------------------------------------------------

class hf_shard_writer
{
public:
	bytes write(hf_shard const& s)
	{
		append(m_out, tag);
		append_le(m_out, header_version);
		append_le(m_out, std::uint64_t(s.footer ? footer_bytes : 0));
		for (auto const& f : s.files) write_file(f);
		write_unit(bookend, 0, 0, 0, 0);
		m_section = m_out.size();
		auto const xorbs_at = m_section;
		for (auto const& x : s.xorbs) write_xorb(x);
		write_unit(bookend, 0, 0, 0, 0);
		if (s.footer) write_footer(s, xorbs_at);
		return std::move(m_out);
	}

private:
	void write_unit(hash32 const& h, std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d)
	{
		append(m_out, h.view());
		for (auto const v : {a, b, c, d}) append_le(m_out, v);
	}

	std::uint32_t unit_number() const { return std::uint32_t((m_out.size() - m_section) / unit); }

	void write_file(hf_shard_file const& f)
	{
		bool const ranges = !f.range_hashes.empty();
		m_files.push_back({lookup_key(f.hash), unit_number(), 0});
		write_unit(f.hash, (ranges ? flag_range_hashes : 0) | (f.sha256 ? flag_metadata : 0), std::uint32_t(f.segments.size()), 0, 0);
		for (auto const& s : f.segments) write_unit(s.xorb, s.flags, s.bytes, s.first_chunk, s.end_chunk);
		for (auto const& h : f.range_hashes) write_unit(h, 0, 0, 0, 0);
		if (f.sha256) write_unit(swap_groups(*f.sha256), 0, 0, 0, 0);
		m_materialized += f.size();
	}

	void write_xorb(hf_shard_xorb const& x)
	{
		auto const at = unit_number();
		m_xorbs.push_back({lookup_key(x.hash), at, 0});
		write_unit(x.hash, x.flags, std::uint32_t(x.chunks.size()), x.bytes, x.stored_bytes);
		for (auto const& c : x.chunks)
		{
			m_chunks.push_back({lookup_key(c.hash), at, std::uint32_t(&c - x.chunks.data())});
			write_unit(c.hash, c.offset, c.size, c.flags, 0);
		}
		m_stored += x.bytes;
		m_on_disk += x.stored_bytes;
	}

	// Returns its offset.
	std::uint64_t write_table(std::vector<lookup>& rows, bool with_chunk)
	{
		auto const at = m_out.size();
		std::stable_sort(rows.begin(), rows.end(), [](lookup const& a, lookup const& b) { return a.key < b.key; });
		for (auto const& row : rows)
		{
			append_le(m_out, row.key);
			append_le(m_out, row.at);
			if (with_chunk) append_le(m_out, row.chunk);
		}
		return at;
	}

	void write_footer(hf_shard const& s, std::uint64_t xorbs_at)
	{
		std::uint64_t const tables[] = {
			write_table(m_files, false), m_files.size(), write_table(m_xorbs, false), m_xorbs.size(), write_table(m_chunks, true), m_chunks.size()};
		std::uint64_t const footer_at = m_out.size();
		for (std::uint64_t const v : {footer_version, std::uint64_t(unit), xorbs_at}) append_le(m_out, v);
		for (auto const v : tables) append_le(m_out, v);
		append(m_out, s.footer->chunk_key.view());
		append_le(m_out, s.footer->created);
		append_le(m_out, s.footer->key_expiry);
		m_out.resize(m_out.size() + footer_zeros);
		for (auto const v : {m_on_disk, m_materialized, m_stored, footer_at}) append_le(m_out, v);
	}

	bytes m_out;
	std::size_t m_section = unit;
	std::vector<lookup> m_files, m_xorbs, m_chunks;
	std::uint64_t m_materialized = 0, m_stored = 0, m_on_disk = 0;
};

} // namespace

std::uint64_t hf_shard_file::size() const
{
	std::uint64_t n = 0;
	for (auto const& s : segments) n += s.bytes;
	return n;
}

bool looks_like_hf_shard(bytes_view start) { return start.size() >= sizeof tag && std::equal(std::begin(tag), std::end(tag), start.begin()); }

result<hf_shard> read_hf_shard(bytes_view file) { return hf_shard_reader(file).read(); }

bytes write_hf_shard(hf_shard const& s) { return hf_shard_writer().write(s); }

} // namespace xet
