#pragma once
// BLAKE3 of many messages at once. Internal to the hashes.
//
// One message of some odd length leaves most of a wide core's lanes empty: its last, partial leaf has a lane to itself, and
// its tree ends in ever fewer nodes. Many messages together fill the lanes: leaves with the same number go side by side, and
// so do the inner nodes of one level of all trees.
//
// Thread rule: pure; any thread.

#include "xet/bytes.hpp"

#include <cstdint>
#include <span>

namespace xet {

// Whether this build reaches BLAKE3's internals. Without them there is no hash_blake3_batch.
bool has_blake3_batch() noexcept;

// out[i] = BLAKE3-256 of messages[i], keyed unless key32 is empty. Both spans have the same size; key32 has 32 bytes or none.
void hash_blake3_batch(bytes_view key32, std::span<bytes_view const> messages, std::span<hash32> out);

} // namespace xet
