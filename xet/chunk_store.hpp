#pragma once
// The chunk store: chunks by hash, packed in xorbs, each kept once; who needs them is counted, what nobody needs is
// collected. docs/store.md has the files, the order of durable steps and what survives which failure.
//
//   DIR/lock  index.db (store_index)  runs/ (chunk_table)  xorbs/KIND/HASH.xorb  shards/  xet_chunks/HASH (loose chunks)
//
// A chunk may lie in several places: in xorbs, in files of the user (chunk_source), loose in xet_chunks. Whatever is read is
// verified; when a copy is damaged the next one is tried.
//
// Thread rule: any thread. Reads do not wait for writers, except for the index's lock.

#include "xet/chunk_table.hpp"
#include "xet/chunker.hpp"
#include "xet/store_index.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <shared_mutex>

namespace xet {

// Chunks that lie outside the store, in files that may change at any time.
class chunk_source
{
public:
	virtual ~chunk_source() = default;
	// cheap, from memory; a promise of nothing
	virtual bool may_have(hash_kind kind, hash32 const& hash) const = 0;
	// verified content, or nothing
	virtual std::optional<bytes> read(hash_kind kind, hash32 const& hash) const = 0;
};

struct store_options
{
	std::uint64_t quota_bytes = 0;                // of xorb files; 0: none
	std::uint64_t reserve_bytes = 256ull << 20;   // free disk that is left to others
	compression compress = compression::lz4;
	std::size_t xorb_payload_bytes = 32u << 20;   // a larger one is read past more at a time when it is packed; at most max_xorb_bytes
	bool overlap = true;                          // a writer has a thread that names and writes xorbs
	std::function<std::int64_t()> now;            // seconds since 1970; by default the system's clock
};

struct store_stats
{
	std::uint64_t chunks = 0;        // in xorbs
	std::uint64_t unique_bytes = 0;  // their content
	std::uint64_t logical_bytes = 0; // what the holders stand for, repeats counted
	std::uint64_t xorbs = 0;
	std::uint64_t xorb_bytes = 0;    // the files
	std::uint64_t compressed_saved_bytes = 0;
	std::uint64_t quota_bytes = 0;
	std::uint64_t wanted = 0;        // chunks that were found damaged and have no other copy
};

class chunk_store
{
public:
	// note: what was found and mended, in words. Errors: refused (another process has it), io, no_space.
	static result<std::unique_ptr<chunk_store>> open(file_layer& files, std::filesystem::path dir, store_options options = {}
		, std::string* note = nullptr);
	~chunk_store();  // remembers last uses

	// --- reading ---
	bool contains(hash_kind kind, hash32 const& hash);
	// which of them the xorbs have
	result<std::vector<bool>> contains(hash_kind kind, std::span<hash32 const> hashes);
	// Whether read() would find a copy to try: in a xorb, a source or a loose file. Cheap; nothing is verified.
	bool may_read(hash_kind kind, hash32 const& hash);
	// Verified. Errors: not_found; mismatch (every copy is damaged: the chunk is wanted now); io.
	result<bytes> read(hash_kind kind, hash32 const& hash);
	// Bytes of a chunk that lies in a xorb. Errors: not_found, io.
	result<std::uint32_t> size_of(hash_kind kind, hash32 const& hash);
	// From xorbs, sources or loose files but not from the xorb left out.
	result<bytes> read_elsewhere(hash_kind kind, hash32 const& hash, std::uint32_t left_out);
	void add_source(std::shared_ptr<chunk_source const> source);
	void remove_source(chunk_source const* source);

	// --- holders ---
	// The chunks among these that lie in xorbs are held by holder from now on, and no others. The rest is left alone, or, if all of
	// them should be here, wanted.
	enum class others { may_lie_elsewhere, are_wanted };
	result<> hold_only(std::string const& holder, std::uint64_t logical_bytes, hash_kind kind, std::span<hash32 const> chunks, others rest);
	result<> release(std::string const& holder);
	// Whether holder holds the chunk. Absent chunks are told without a look at the disk.
	bool is_held(std::string const& holder, hash_kind kind, hash32 const& hash);
	result<std::vector<store_index::holder_row>> holders();

	// --- looking ---
	result<store_stats> stats();
	struct listed
	{
		hash_kind kind;
		hash32 hash;
		std::uint32_t size;
		std::uint32_t stored;
		std::uint32_t refs;
		hash32 xorb;
	};
	// Every chunk in xorbs, xorb by xorb; false from visit ends it.
	result<> for_each(std::function<bool(listed const&)> const& visit);
	result<std::vector<wanted_chunk>> wanted();
	// A digest of everything the index knows but times and numbers: equal for equal stores.
	result<hash32> fingerprint();

	std::filesystem::path const& dir() const { return m_dir; }
	file_layer& files() const { return m_files; }
	store_options const& options() const { return m_options; }
	std::int64_t now() const { return m_options.now(); }
	std::filesystem::path xorb_path(hash_kind kind, hash32 const& name) const;
	std::filesystem::path loose_path(hash32 const& hash) const;

private:
	friend class store_writer;
	friend class store_upkeep;

	// Writers that count on a xorb; one that is written anew goes on with the same count.
	class pin_count
	{
	public:
		void operator++() { ++*m_count; }
		void operator--() { --*m_count; }
		operator std::uint32_t() const { return *m_count; }

	private:
		std::shared_ptr<std::atomic<std::uint32_t>> m_count = std::make_shared<std::atomic<std::uint32_t>>(0);
	};

	struct container
	{
		xorb_row row;
		std::atomic<std::int64_t> last_used{0};
		pin_count pins;                        // writers that count on it
		std::atomic<bool> suspect{false};      // a read found it damaged
		std::mutex file_mutex;
		std::shared_ptr<file> open_file;
	};
	using container_ptr = std::shared_ptr<container>;

	chunk_store(file_layer& files, std::filesystem::path dir, store_options options);
	result<> start(std::string& note);
	result<> open_index(std::string& note);
	result<> load_xorbs(std::string& note);
	result<> load_kind(hash_kind kind, std::map<hash32, xorb_row> known, std::string& note);
	result<> adopt(hash_kind kind, file_layer::entry const& entry);
	result<bool> take_other_layout(xorb_row const& row, std::uint64_t size);
	// What is whole of a xorb whose structure is not; the damaged file is put aside.
	struct wreck
	{
		hash_kind kind;
		std::string name;
		std::string why;
	};
	result<> salvage(wreck const& w, std::string& note);
	result<> drop_lost(std::vector<xorb_row> const& lost, std::string& note);
	result<> open_table();
	result<> fill_table();         // with m_table_mutex
	result<> mend_table();
	result<> tend_table();

	container_ptr find_container(std::uint32_t id) const;
	std::vector<container_ptr> all_containers() const;
	// A healthy copy that will stay until it is unpinned; null: none.
	result<std::optional<chunk_location>> pin(hash_kind kind, hash32 const& hash, container_ptr& in);
	result<std::shared_ptr<file>> open_xorb(container& c);
	result<chunk_locations> locate(hash32 const& hash);
	result<bytes> read_at(container& c, chunk_location const& where, hash32 const& hash);
	std::optional<bytes> read_outside(hash_kind kind, hash32 const& hash) const;
	// Takes a durable xorb file into index and table.
	result<container_ptr> register_xorb(xorb_row row, std::span<xorb_entry const> chunks);
	// Writes one, durably, and takes it in; pinned once for the caller.
	result<container_ptr> add_xorb(hash_kind kind, xorb_builder& builder);
	// With m_removal_mutex. room_for_it: whether quota and reserve are to be kept to; what makes room need not.
	enum class room { asked_for, taken };
	result<container_ptr> write_xorb(hash_kind kind, xorb_builder::built const& built, std::uint64_t payload_bytes, room r);
	result<container_ptr> write_new_xorb(hash_kind kind, xorb_builder::built const& built, std::uint64_t payload_bytes, room r);
	container_ptr pin_same(hash_kind kind, hash32 const& name);
	// With m_index_mutex: refs to xorbs that were written anew since go to these.
	result<> hold_refs(std::string const& holder, std::uint64_t logical_bytes, chunk_refs refs, bool replace);
	result<> heal(container const& c, std::span<xorb_entry const> chunks);
	result<> reload_wanted();  // with m_index_mutex, or while opening
	bool is_wanted(hash_kind kind, hash32 const& hash) const;
	result<> mark_wanted(hash_kind kind, hash32 const& hash, chunk_locations const& places);
	// Index rows are gone already: removes the files, and the chunks from the table.
	// or, when they are damaged, puts them aside.
	enum class fate { removed, put_aside };
	void forget(std::vector<container_ptr> const& gone, fate f = fate::removed);
	result<> admit(std::uint64_t more_bytes);

	file_layer& m_files;
	std::filesystem::path m_dir;
	store_options m_options;
	std::shared_ptr<void> m_lock;

	mutable std::shared_mutex m_containers_mutex;
	std::map<std::uint32_t, container_ptr> m_containers;
	std::map<std::pair<hash_kind, hash32>, std::uint32_t> m_by_name;

	mutable std::mutex m_index_mutex;
	std::unique_ptr<store_index> m_index;
	std::mutex m_table_mutex;  // keeps the order of numbers: taken before m_index_mutex
	std::unique_ptr<chunk_table> m_table;
	std::set<std::pair<hash_kind, hash32>> m_wanted;         // m_index_mutex
	std::atomic<bool> m_any_wanted{false};
	std::atomic<bool> m_table_incomplete{false};             // it has to be filled again before it may be asked
	std::vector<std::uint32_t> m_adopted;                    // while opening
	std::map<std::uint32_t, std::uint32_t> m_written_anew;  // damaged xorb → the same one, whole; m_index_mutex
	std::mutex m_writing_mutex;
	std::condition_variable m_writing_ended;
	std::set<std::pair<hash_kind, hash32>> m_writing;  // xorbs: of one name, one at a time

	mutable std::shared_mutex m_sources_mutex;
	std::vector<std::shared_ptr<chunk_source const>> m_sources;

	std::mutex m_upkeep_mutex;           // one collection, packing or scrubbing at a time
	std::shared_mutex m_removal_mutex;   // whoever removes xorbs has it alone; whoever counts on one, or writes one, shares it
	std::mutex m_open_files_mutex;
	std::vector<std::weak_ptr<container>> m_open_files;  // oldest first
	std::atomic<std::uint64_t> m_pending_bytes{0};       // in xorbs that are being written
	std::vector<wreck> m_wrecks;                         // found while opening
};

} // namespace xet
