#pragma once
// A xorb file of either format, verified, as the commands see it.

#include "xet/hf_xorb.hpp"
#include "xet/xorb.hpp"

#include <memory>
#include <string>
#include <variant>

namespace tools {

enum class container_format { detect, bep, hf };

class any_xorb
{
public:
	struct chunk
	{
		xet::hash32 hash;
		std::uint32_t size = 0;
		std::uint32_t stored = 0;  // bytes in the file
	};

	// Reads every chunk and checks it. A BEP xorb does not say which function names its chunks: with kind not given, the one
	// that its first chunk agrees with is taken. Errors name the file.
	static xet::result<any_xorb> open(std::string const& path, container_format format = container_format::detect
		, std::optional<xet::hash_kind> kind = {});

	bool is_hf() const { return std::holds_alternative<xet::hf_xorb>(m_content); }
	xet::hash_kind kind() const { return m_kind; }
	xet::hash32 const& hash() const { return m_hash; }
	std::vector<chunk> const& chunks() const { return m_chunks; }
	std::uint64_t payload_bytes() const;  // uncompressed
	std::uint64_t chunk_region_bytes() const;  // hf: without the footer
	xet::result<xet::bytes> read(std::size_t index);

private:
	xet::result<> load_bep(std::optional<xet::hash_kind> kind);
	xet::result<> load_hf();

	std::unique_ptr<xet::byte_source> m_file;
	xet::hash_kind m_kind = xet::hash_kind::blake3;
	xet::hash32 m_hash;
	std::vector<chunk> m_chunks;
	std::variant<std::vector<xet::xorb_entry>, xet::hf_xorb> m_content;
};

} // namespace tools
