#pragma once
// A node's chunk store and what hangs on it, whether a node runs or a command looks at its data directory by itself.
//
// Thread rule: any thread.

#include "plugin/config.hpp"
#include "plugin/folder_record.hpp"
#include "tonic/history.hpp"
#include "xet/added_files.hpp"
#include "xet/store_upkeep.hpp"

#include <mutex>

namespace ut_xet {

// Where the chunks of a node are: [disk] xet_chunk_store_path, or store/ in the data directory.
std::filesystem::path store_dir(std::filesystem::path const& data_dir, config const& how);

class node_store
{
public:
	// note: what was found and mended. Errors: refused (in use by another process), io.
	static xet::result<std::unique_ptr<node_store>> open(std::filesystem::path const& data_dir, config const& how, std::string& note);

	xet::chunk_store& chunks() { return *m_chunks; }
	xet::added_files& added() { return m_added; }
	config const& how() const { return m_config; }
	// Held while it is decided what a folder holds, and carried out.
	std::mutex& holding() { return m_holding; }
	// Versions the policy does not keep go, and with them what only they needed. Whether there were any.
	xet::result<bool> expire(tonic::history const& kept, tonic::manifest const* current);
	tonic::keep_policy policy() const { return {std::uint32_t(m_config.keep_versions), std::uint32_t(m_config.keep_days)}; }

	struct place
	{
		folder_record record;
		std::filesystem::path state_dir;

		std::filesystem::path tonic() const { return state_dir / (record.carrier.name + ".tonic"); }
		tonic::history kept() const { return tonic::history(state_dir / "versions", record.carrier.folder); }
	};
	// The folders of the data directory, as they stand on the disk.
	std::vector<place> folders() const;

	// Asks a folder's peers for chunks of earlier versions; returns when they are here, or nothing comes any more. progress: chunks
	// still missing; false ends it. Empty without a node.
	using recaller = std::function<void(std::string const& folder, std::vector<xet::chunk_ref> missing, std::function<bool(std::size_t)> const& progress)>;
	void use_recaller(recaller r) { m_recall = std::move(r); }
	recaller const& recall() const { return m_recall; }

	// What the folders' files hold is read from them too. A running node's folders do that themselves.
	void read_folders();
	// Folders whose chunks nobody holds since the index was lost.
	xet::result<> restore_holders();

private:
	node_store(std::filesystem::path data_dir, config how, std::unique_ptr<xet::chunk_store> chunks)
		: m_data_dir(std::move(data_dir)), m_config(std::move(how)), m_chunks(std::move(chunks)), m_added(*m_chunks)
	{}

	std::filesystem::path m_data_dir;
	config m_config;
	std::unique_ptr<xet::chunk_store> m_chunks;
	xet::added_files m_added;
	std::mutex m_holding;
	recaller m_recall;
};

} // namespace ut_xet
