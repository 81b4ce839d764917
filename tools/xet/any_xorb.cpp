#include "tools/xet/any_xorb.hpp"

#include "tonic/path_rules.hpp"

#include <filesystem>

namespace tools {

using xet::errc;
using xet::fail;

namespace {

// Each file that was packed by hand is one chunk, whatever its size.
constexpr xet::xorb_limits limits{xet::max_xorb_bytes, xet::max_xorb_bytes, xet::max_foreign_xorb_chunks};

xet::result<std::unique_ptr<xet::byte_source>> open_regular(std::string const& path)
{
	std::error_code ec;
	auto const status = std::filesystem::status(path, ec);
	if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return fail(errc::refused, "cannot read ", tonic::printable(path), ": not a regular file");
	auto file = xet::system_files().open(path, xet::open_mode::read);
	if (!file) return tl::unexpected(file.error());
	return std::unique_ptr<xet::byte_source>(std::move(*file));
}

xet::result<container_format> detect(xet::byte_source& file)
{
	std::uint8_t start[8];
	auto const n = file.read_at(0, start);
	if (!n) return tl::unexpected(n.error());
	xet::bytes_view const have(start, *n);
	if (xet::looks_like_xorb(have)) return container_format::bep;
	if (xet::looks_like_hf_xorb(have)) return container_format::hf;
	return fail(errc::invalid, "not a xorb: it begins neither as BEP XET's (31756824) nor as Hugging Face's (a chunk header or XETBLOB)");
}

// The function by which the first chunk has its hash.
xet::result<xet::hash_kind> detect_kind(xet::byte_source& file, std::vector<xet::xorb_entry> const& entries)
{
	auto const fallback = xet::has_blake3() ? xet::hash_kind::blake3 : xet::hash_kind::sha256;
	if (entries.empty()) return fallback;
	for (auto const kind : {xet::hash_kind::blake3, xet::hash_kind::sha256, xet::hash_kind::hf})
	{
		if (kind != xet::hash_kind::sha256 && !xet::has_blake3()) continue;
		auto const data = xet::read_xorb_chunk(file, entries[0], kind);
		if (data) return kind;
		if (data.error().code != errc::mismatch) return tl::unexpected(data.error());
	}
	return fail(errc::mismatch, "chunk at offset ", entries[0].offset, ": its content does not have the hash ", xet::to_hex(entries[0].hash.view())
		, " by any function (blake3, sha256, hf)");
}

} // namespace

xet::result<any_xorb> any_xorb::open(std::string const& path, container_format format, std::optional<xet::hash_kind> kind)
{
	any_xorb out;
	auto file = open_regular(path);
	if (!file) return tl::unexpected(file.error());
	out.m_file = std::move(*file);
	auto const done = [&]() -> xet::result<> {
		if (format == container_format::detect)
		{
			auto const found = detect(*out.m_file);
			if (!found) return tl::unexpected(found.error());
			format = *found;
		}
		return format == container_format::hf ? out.load_hf() : out.load_bep(kind);
	}();
	if (!done) return fail(done.error().code, tonic::printable(path), ": ", done.error().message);
	return out;
}

xet::result<> any_xorb::load_bep(std::optional<xet::hash_kind> kind)
{
	auto entries = xet::read_xorb_directory(*m_file, limits);
	if (!entries) return tl::unexpected(entries.error());
	if (!kind)
	{
		auto const found = detect_kind(*m_file, *entries);
		if (!found) return tl::unexpected(found.error());
		kind = *found;
	}
	auto const hash = xet::xorb_hash(*m_file, *entries, *kind);
	if (!hash) return tl::unexpected(hash.error());
	m_kind = *kind;
	m_hash = *hash;
	for (auto const& e : *entries) m_chunks.push_back({e.hash, e.size, e.stored});
	m_content = std::move(*entries);
	return {};
}

xet::result<> any_xorb::load_hf()
{
	if (!xet::has_blake3()) return fail(errc::unsupported, "this program was built without BLAKE3, which Hugging Face's xorbs need");
	auto x = xet::read_hf_xorb(*m_file);
	if (!x) return tl::unexpected(x.error());
	auto const hash = xet::verify_hf_xorb(*m_file, *x);
	if (!hash) return tl::unexpected(hash.error());
	m_kind = xet::hash_kind::hf;
	m_hash = *hash;
	for (auto const& e : x->entries) m_chunks.push_back({*e.hash, e.size, e.stored});
	m_content = std::move(*x);
	return {};
}

std::uint64_t any_xorb::payload_bytes() const
{
	std::uint64_t n = 0;
	for (auto const& c : m_chunks) n += c.size;
	return n;
}

std::uint64_t any_xorb::chunk_region_bytes() const { return is_hf() ? std::get<xet::hf_xorb>(m_content).chunk_region_bytes : 0; }

xet::result<xet::bytes> any_xorb::read(std::size_t index)
{
	if (is_hf()) return xet::read_hf_chunk(*m_file, std::get<xet::hf_xorb>(m_content).entries[index]);
	return xet::read_xorb_chunk(*m_file, std::get<0>(m_content)[index], m_kind);
}

} // namespace tools
