#pragma once
// File hashes: one root over a file's chunk hashes. Source: protocol §4; Hugging Face's tree.
//
// Because the odd rule of the binary tree lets two different leaf lists share a root, a root is only ever accepted
// together with the file's size and chunk count.
//
// Thread rule: pure functions.

#include "xet/chunker.hpp"

#include <span>

namespace xet {

// Pairs neighbours, hash(left ‖ right), an odd last node with itself, until one is left. No leaves: 32 zero bytes;
// one leaf: the leaf. kind is blake3 or sha256.
hash32 merkle_root(hash_kind kind, std::span<hash32 const> leaves);

// Hugging Face's aggregated tree over (hash, size) pairs: groups of 2 to 9 cut by hash value. No chunks: 32 zero bytes;
// one chunk: its hash. This is also the xorb hash of those chunks.
hash32 hf_tree_root(std::span<chunk_ref const> chunks);

// The same over nodes of any size, such as the roots of subtrees.
struct hf_node
{
	hash32 hash;
	std::uint64_t size = 0;  // bytes below this node
};
hash32 hf_tree_root(std::vector<hf_node> nodes);

// hf: BLAKE3 keyed with 32 zero bytes over the tree root; 32 zero bytes for an empty file.
hash32 hf_file_hash(std::span<chunk_ref const> chunks);

// The file hash of the profile: merkle_root or hf_file_hash.
hash32 file_hash(hash_kind kind, std::span<chunk_ref const> chunks);

} // namespace xet
