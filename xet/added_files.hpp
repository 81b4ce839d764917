#pragma once
// Files that somebody put into a store. Each addition is one shard below DIR/shards: what the files are called, how long they
// are, and the chunks of all of them in order. The shard is what holds the chunks, and what the index's holders are made
// again from.
//
// Thread rule: any thread; one change at a time.

#include "xet/chunk_store.hpp"
#include "xet/shard.hpp"

namespace xet {

class added_files
{
public:
	explicit added_files(chunk_store& store) : m_store(store) {}

	// Makes index and shards agree: after a crash, or when the index was lost. Call it once after the store was opened.
	// note: shards that cannot be read, which is no error; they stay where they are.
	result<> restore(std::string& note);

	struct options
	{
		profile how;
		std::function<void(std::uint64_t bytes)> progress;  // done since the last call
		std::atomic<bool> const* stop = nullptr;
	};
	struct added
	{
		struct file
		{
			std::filesystem::path path;
			hash32 hash;
			std::uint64_t size = 0;
			std::uint64_t chunks = 0;
		};
		std::vector<file> files;
		std::vector<std::string> skipped;  // with the reason: not a regular file, cannot be read, changed meanwhile
		std::uint64_t bytes = 0, new_bytes = 0;
		std::string name;  // of the shard
	};
	// Directories with all that is below them; names in the shard are relative to the given path's parent. Acknowledged and
	// durable when it returns. Errors: io, no_space, cancelled, limit (more chunks than a shard lists): nothing was added.
	result<added> add(std::vector<std::filesystem::path> const& paths, options const& how);

	struct imported
	{
		std::uint64_t chunks = 0, bytes = 0, new_bytes = 0;
		std::vector<std::string> skipped;
	};
	// Loose chunks, as other implementations keep them: files whose name is their hash, 64 hexadecimal digits (any of the hash kinds).
	// Others are skipped. progress: files done and in all; false ends it.
	result<imported> import_loose(std::filesystem::path const& dir, std::function<bool(std::uint64_t, std::uint64_t)> const& progress = {});

	// Gives up every added file, and every imported chunk, of that hash; how many there were. The chunks go when they are collected.
	result<std::size_t> remove(hash32 const& file_hash);

	struct listed
	{
		std::string shard, path;
		hash_kind kind = hash_kind::blake3;
		hash32 hash;
		std::uint64_t size = 0;
	};
	result<std::vector<listed>> list();

	// The content of an added file, chunk by chunk. Errors: not_found (nothing of that hash was added), mismatch, io.
	result<> read(hash32 const& file_hash, std::function<bool(bytes_view)> const& sink);

private:
	struct on_disk
	{
		std::string name;
		hash_kind kind = hash_kind::blake3;
		shard content;
	};
	std::filesystem::path dir() const { return m_store.dir() / "shards"; }
	result<std::vector<std::string>> names();
	result<on_disk> load(std::string const& name);
	result<std::string> save(hash_kind kind, shard const& s);
	result<> hold(on_disk const& s);
	result<> replace(on_disk const& old, on_disk rest);
	result<std::size_t> count_chunks(on_disk const& s, shard_file const& f, std::size_t first);
	// Where each file's chunks begin in the list, and where the last one's end.
	result<std::vector<std::size_t>> first_chunks(on_disk const& s);

	chunk_store& m_store;
	std::mutex m_mutex;
};

} // namespace xet
