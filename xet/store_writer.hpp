#pragma once
// Puts chunks into a store. What the store has already is kept, the rest goes into xorbs; nothing is acknowledged, and
// nothing is held, before commit() has returned. A writer that dies without a commit leaves chunks nobody needs.
//
// Thread rule: one thread at a time. With store_options::overlap a xorb is named, compressed and written on a thread of its own while
// the next one is filled; two at a time, so that one is written while the disk syncs the other.

#include "xet/chunk_store.hpp"
#include "xet/xorb.hpp"

#include <deque>
#include <future>
#include <unordered_set>

namespace xet {

class store_writer
{
public:
	store_writer(chunk_store& store, hash_kind kind);
	~store_writer();

	// data is the content that hash names: the caller computed or verified it. Errors (the writer is of no more use then): io, no_space.
	result<> put(hash32 const& hash, bytes_view data);
	// Whether the store, or this writer, has the chunk; if so it is kept.
	result<bool> keep(hash32 const& hash);
	// Makes all that was put durable, not held by anybody yet.
	result<> flush();
	// All that was put and kept is durable and held by holder (store_index::hold).
	result<> commit(std::string const& holder, std::uint64_t logical_bytes, bool replace = false);

	bool failed() const { return m_broken.has_value(); }
	std::vector<hash32> xorbs() const;  // that have a part of it; after flush
	std::uint64_t new_bytes() const { return m_new_bytes; }
	std::uint64_t known_bytes() const { return m_known_bytes; }

private:
	result<> add(hash32 const& hash, bytes_view data);
	result<> send();     // the filled xorb goes to be written
	result<> collect();  // waits for the oldest that was sent
	result<> broken(error e);

	using written = result<chunk_store::container_ptr>;

	chunk_store& m_store;
	hash_kind m_kind;
	struct sent
	{
		std::unique_ptr<xorb_builder> builder;
		std::future<written> writing;
	};

	std::unique_ptr<xorb_builder> m_filling, m_spare;
	std::deque<sent> m_sent;            // oldest first
	std::unordered_set<hash32> m_here;  // in m_filling and m_sent
	chunk_refs m_refs;
	std::map<std::uint32_t, chunk_store::container_ptr> m_pinned;
	std::optional<error> m_broken;
	std::uint64_t m_new_bytes = 0, m_known_bytes = 0;
};

} // namespace xet
