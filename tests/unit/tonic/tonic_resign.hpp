#pragma once
// Gives a .tonic file that was tampered with a valid signature again, as a hostile author could: so that tests and fuzzers
// reach what lies behind the signature.

#include "tonic/bencode_reader.hpp"
#include "tonic/identity.hpp"
#include "tonic/tonic_signature.hpp"

#include <string>

namespace tonic::testing {

// The file unchanged when it has no dictionary "xet" with a signature of 64 bytes.
inline std::string resigned(std::string file, key_pair const& key)
{
	constexpr std::size_t key_bytes = 11, prefix_bytes = 3;  // "9:signature" and "64:"
	auto const root = parse_loosely(file, 200, 1'000'000);
	if (!root) return file;
	auto const x = root->dict_find_dict("xet");
	if (!x) return file;
	auto const sig = x.dict_find_string("signature");
	if (!sig || sig.string_length() != 64 || sig.string_offset() - sig.data_offset() != std::ptrdiff_t(prefix_bytes)) return file;
	auto const value_at = std::size_t(sig.data_offset());
	if (value_at < key_bytes || file.compare(value_at - key_bytes, key_bytes, "9:signature") != 0) return file;

	auto const kind = xet::kind_from_algorithm(text_of(x.dict_find_string_value("hash_algorithm")));
	auto const message = signed_message(kind.value_or(xet::hash_kind::sha256), file, value_at - key_bytes, key_bytes + prefix_bytes + 64);
	auto const fresh = key.sign(message);
	file.replace(value_at + prefix_bytes, fresh.size(), xet::as_text(fresh));
	return file;
}

} // namespace tonic::testing
