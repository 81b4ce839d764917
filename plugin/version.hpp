#pragma once
// One version of a folder as a node holds it: what is in it, its .tonic bytes (on disk) as a tree of chunks, and the signed
// head that tells others of it. Immutable once made; any thread.

#include "tonic/folder_fs.hpp"
#include "tonic/manifest.hpp"
#include "xet/wire.hpp"

namespace ut_xet {

struct version
{
	std::shared_ptr<tonic::manifest const> manifest;
	xet::chunk_tree tree;
	xet::wire::ref40 ref{};  // the git reference, or BLAKE3 (SHA-256) of the .tonic bytes
	std::optional<xet::wire::folder_head> head;  // none when all we have is a .tonic file
	tonic::file_descriptor tonic;  // its own descriptor: replacing the file does not change what is read here

	// A chunk of the metadata tree. Nothing when it is not part of it or cannot be read.
	std::optional<xet::bytes> read(xet::hash32 const& h) const;
	// The .tonic in pieces of metadata_piece_bytes.
	std::uint32_t pieces() const;
	std::optional<xet::bytes> piece(std::uint32_t index) const;
};

// data: the .tonic's bytes, as they are in file. The file is opened and kept open.
xet::result<std::shared_ptr<version>> make_version(tonic::manifest manifest, std::string_view data
	, std::filesystem::path const& file);

// The signed record of v for other nodes. key must be the manifest's author's.
xet::wire::folder_head make_head(version const& v, tonic::key_pair const& key);
bool verify_head(xet::wire::folder_head const& head);

} // namespace ut_xet
