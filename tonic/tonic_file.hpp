#pragma once
// Reading and writing .tonic files. Source: protocol §7. Canonical bencoding: one manifest and one key give one byte string.
//
// Layout: { "xet": { allowlist_hash?, author, chunk_hashes, dirs, file_tree, files, folder, git_ref, hash_algorithm, name,
//   parents, salt, seq, signature, symlinks, sync_mode, target_chunk_size, timestamp, version, version_vector } }
// - files: list of { chunk_sizes (packed u32 big-endian), chunks, hash, mode, mtime (ns), path, size }
// - dirs: list of { mode, mtime, path }; symlinks: list of { mtime, path, target }
// - file_tree: nested dicts; a file is { "": { hash, size } }
// - signature: Ed25519 over "tonic v1" ‖ H(the file without the signature's key and value), H = BLAKE3-256 or SHA-256
//   (profile sha256)
//
// Thread rule: pure functions.

#include "tonic/manifest.hpp"

#include <filesystem>

namespace tonic {

// m.author must be key's. The manifest must pass check().
std::string encode_tonic(manifest const& m, key_pair const& key);

// Checks syntax, limits, that files and file_tree agree, manifest::check(), folder id and signature.
// The error says which field and entry. Memory: a small multiple of the input.
xet::result<manifest> decode_tonic(std::string_view data);

// Reads a file and decodes it; the error begins with the file's name.
xet::result<manifest> read_tonic(std::filesystem::path const& file);

// What of a file that was written survives a power cut. Content without the name: whoever syncs the directory next sees to it.
enum class durability { none, content, content_and_name };

// Writes next to it, syncs, renames. Shared by everything that replaces a small file.
xet::result<> write_file_atomically(std::filesystem::path const& file, std::string_view data, durability keep = durability::content_and_name);
// Whole file, at most max_bytes. Errors: not_found, io, limit.
xet::result<std::string> read_whole_file(std::filesystem::path const& file, std::size_t max_bytes);

} // namespace tonic
