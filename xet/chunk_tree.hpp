#pragma once
// A tree of chunk lists over a byte string, so that a reader who has an older version of the bytes fetches only the
// chunks that changed and the few list chunks that name them. Used for a folder's metadata (protocol §7).
//
// Level 0 is the byte string. A level of more than one chunk is described by the next level: for each of its chunks
// hash[32] ‖ size u32 (big-endian). The root is the one chunk of the last level. All levels are cut with the metadata
// chunk sizes of limits.hpp; cutting by content keeps the lists, too, the same where nothing changed.
//
// Thread rule: a chunk_tree is immutable once built; a tree_assembly belongs to one thread at a time.

#include "xet/chunker.hpp"

#include <string>
#include <unordered_map>

namespace xet {

struct tree_root
{
	hash32 hash;
	std::uint32_t size = 0;        // of the root chunk
	std::uint8_t levels = 0;       // list levels above the data; 0: the root chunk is the data
	std::uint64_t data_bytes = 0;  // length of level 0

	bool operator==(tree_root const&) const = default;
};

class chunk_tree
{
public:
	static chunk_tree build(hash_kind kind, bytes_view data);

	tree_root const& root() const { return m_root; }

	struct place
	{
		std::uint8_t level;    // 0: in the data
		std::uint64_t offset;  // in that level's bytes
		std::uint32_t size;
	};
	std::optional<place> find(hash32 const& h) const;
	// The bytes of a list level, 1 … root().levels.
	bytes_view list(std::uint8_t level) const { return m_lists[level - 1]; }

private:
	tree_root m_root;
	std::vector<bytes> m_lists;
	std::unordered_map<hash32, place> m_places;
};

// Puts the data together again, from the root downwards, out of chunks that arrive in any order.
class tree_assembly
{
public:
	// Errors: limit (levels, sizes).
	static result<tree_assembly> start(hash_kind kind, tree_root const& root);

	// Chunks of the level being assembled that are still missing, each once.
	std::vector<chunk_ref> missing() const;
	// data is checked against h. Errors: mismatch; invalid when a list chunk makes no sense (then the whole tree is false).
	// A chunk that is not missing is ignored.
	result<> supply(hash32 const& h, bytes_view data);
	bool done() const { return m_done; }
	// The level being assembled; it falls when missing() has become another list.
	int level() const { return m_level; }
	// once done: the data
	std::string take() { return std::move(m_data); }

private:
	result<> level_complete();
	result<> set_level(chunk_list refs);

	hash_kind m_kind = hash_kind::blake3;
	tree_root m_root;
	int m_level = 0;
	chunk_list m_refs;                                        // chunks of the current level
	std::unordered_map<hash32, std::vector<std::uint64_t>> m_wanted;  // where in m_data each missing chunk goes
	std::string m_data;                                       // the current level's bytes
	bool m_done = false;
};

} // namespace xet
