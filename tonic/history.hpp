#pragma once
// The versions of a folder that are kept: their .tonic files below DIR (DIR/SEQ.tonic), and, in the chunk store, the chunks of
// them that no file has any more. A policy says how many are kept, and for how long.
//
// Thread rule: one thread at a time for a folder.

#include "tonic/manifest.hpp"
#include "xet/chunk_store.hpp"

namespace tonic {

struct keep_policy
{
	std::uint32_t versions = 10;  // kept besides the current one; 0: none
	std::uint32_t days = 30;      // since they were replaced; 0: without end
};

struct kept_version
{
	std::uint64_t seq = 0;
	std::int64_t replaced_at = 0;  // seconds since 1970
	std::filesystem::path file;    // its .tonic
};

class history
{
public:
	history(std::filesystem::path dir, std::string const& folder_id) : m_dir(std::move(dir)), m_holder("folder:" + folder_id) {}

	std::string const& holder() const { return m_holder; }
	// Newest first.
	std::vector<kept_version> list() const;
	// Keeps the .tonic of a version that is about to be replaced. A second time for one version does nothing. Errors: io, no_space.
	xet::result<> remember(std::uint64_t seq, std::filesystem::path const& tonic_file) const;
	// Drops what the policy does not keep. True when something was dropped: hold() is due.
	bool expire(keep_policy const& policy, std::int64_t now_seconds) const;
	// The store keeps, for this folder, what it has of the kept versions and of current, and no more. Errors: io.
	xet::result<> hold(xet::chunk_store& store, manifest const* current) const;

private:
	std::filesystem::path m_dir;
	std::string m_holder;
};

// Files of before that after has not, or has with another content.
std::vector<file_entry const*> replaced_files(manifest const& before, manifest const& after);
// The different chunks of these files that after has nowhere. what: of before.
std::vector<xet::chunk_ref> chunks_not_in(manifest const& before, std::vector<file_entry const*> const& what, manifest const& after);

} // namespace tonic
