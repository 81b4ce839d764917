#pragma once
// What the signature of a .tonic file covers: shared by its writer and its reader. Source: tonic_file.hpp.

#include "xet/hash.hpp"

namespace tonic {

inline constexpr int tonic_version = 1;
inline constexpr std::string_view tonic_signature_domain = "tonic v1";

// The bytes that are signed: "tonic v1" ‖ H(file without the size bytes at offset, which hold the signature's key and value).
inline xet::bytes signed_message(xet::hash_kind kind, std::string_view file, std::size_t offset, std::size_t size)
{
	auto const h = xet::hasher(kind == xet::hash_kind::sha256 ? kind : xet::hash_kind::blake3)
		.update(file.substr(0, offset))
		.update(file.substr(offset + size))
		.finish();
	xet::bytes ret;
	xet::append(ret, xet::as_bytes(tonic_signature_domain));
	xet::append(ret, h.view());
	return ret;
}

} // namespace tonic
