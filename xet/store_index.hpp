#pragma once
// What the chunk store knows, in SQLite: its xorbs with their chunks, who needs which chunk (holders), and which chunks are
// wanted because every copy was found damaged. All of it can be made again from the xorbs and from what the holders say.
//
// A change is one transaction, durable before the call returns; after an error nothing of it happened.
//
// Thread rule: one thread at a time (the store's mutex).

#include "xet/files.hpp"
#include "xet/hash.hpp"
#include "xet/xorb.hpp"

#include <array>
#include <map>
#include <optional>
#include <string>

namespace SQLite { class Database; }

namespace xet {

inline constexpr hash_kind all_hash_kinds[] = {hash_kind::blake3, hash_kind::sha256, hash_kind::hf};

// The same chunks in the same order, however they are stored.
bool same_chunks(std::span<xorb_entry const> a, std::span<xorb_entry const> b);

// A set of chunks of one xorb, by ordinal.
class chunk_bits
{
public:
	chunk_bits() = default;
	explicit chunk_bits(bytes packed) : m_bits(std::move(packed)) {}
	static chunk_bits all(std::size_t count);

	void set(std::size_t i);
	bool test(std::size_t i) const { return i / 8 < m_bits.size() && (m_bits[i / 8] >> (i % 8) & 1) != 0; }
	bool any() const;
	chunk_bits& operator|=(chunk_bits const& o);
	bytes const& packed() const { return m_bits; }

private:
	bytes m_bits;
};

// Chunks by xorb (its id in the index).
using chunk_refs = std::map<std::uint32_t, chunk_bits>;

struct xorb_row
{
	std::uint32_t id = 0;  // ascending, never used again
	hash_kind kind = hash_kind::blake3;
	hash32 name;                     // the xorb's hash
	std::uint32_t chunks = 0;
	std::uint64_t bytes = 0;         // of content
	std::uint64_t stored = 0;        // of the file
	std::int64_t added = 0;          // seconds since 1970, this and the following
	std::int64_t last_used = 0;
	std::int64_t released = 0;       // when something in it was last given up
	std::int64_t condemned = 0;      // since when it waits for its removal; 0: it does not
};

struct wanted_chunk
{
	hash_kind kind = hash_kind::blake3;
	hash32 hash;
	std::uint32_t size = 0;
	std::string holder;  // who needs it

	auto operator<=>(wanted_chunk const&) const = default;
};

class store_index
{
public:
	// Opens or makes the database. With check, every page and every chunk list is looked at. Errors: mismatch or invalid when
	// the database is damaged (make it again), io.
	static result<std::unique_ptr<store_index>> open(file_layer& files, std::filesystem::path const& database, bool check);
	~store_index();

	std::array<std::uint8_t, 16> const& id() const { return m_id; }  // a new one for every database
	result<std::vector<xorb_row>> xorbs();
	result<std::uint32_t> next_xorb();  // the id the next one will get
	// The chunks of a xorb in their order.
	result<std::vector<xorb_entry>> chunks_of(std::uint32_t id);

	// The new xorb's id. instead_of: a xorb with the same chunks in the same order, which goes; its refs move.
	result<std::uint32_t> add_xorb(xorb_row const& row, std::span<xorb_entry const> chunks, std::optional<std::uint32_t> instead_of = {});

	struct holder_row
	{
		std::string name;
		std::uint64_t logical_bytes = 0;  // size of what it stands for, repeats counted
	};
	result<std::vector<holder_row>> holders();
	result<std::vector<std::string>> holders_of(std::uint32_t xorb, std::uint32_t ordinal);
	result<bool> holds(std::string const& holder, std::uint32_t xorb, std::uint32_t ordinal);
	result<chunk_refs> refs_of(std::string const& holder);
	// Everything anybody needs; refs by xorb, or'ed.
	result<chunk_refs> all_refs();
	result<chunk_bits> all_refs_of_xorb(std::uint32_t id);
	// How many holders need each chunk of one xorb.
	result<std::vector<std::uint32_t>> ref_counts(std::uint32_t id, std::uint32_t chunks);

	// Adds refs to a holder (made when new), or with replace makes them all it has. now: when what is given up was given up.
	result<> hold(std::string const& holder, std::uint64_t logical_bytes, chunk_refs const& refs, bool replace, std::int64_t now);
	result<> release(std::string const& holder, std::int64_t now);

	result<> condemn(std::vector<std::uint32_t> const& xorbs, std::int64_t now);
	result<> reprieve(std::vector<std::uint32_t> const& xorbs);
	// Refs go with them; what is still needed of them must be in wanted or was moved.
	result<> remove(std::vector<std::uint32_t> const& xorbs, std::vector<wanted_chunk> const& wanted = {});
	// One xorb's chunks are elsewhere now: every ref moves, chunks without a new place become wanted, the row goes.
	struct place
	{
		std::uint32_t xorb = 0;
		std::uint32_t ordinal = 0;
	};
	result<> replace(std::uint32_t old, std::vector<std::optional<place>> const& new_places);
	result<> note_use(std::map<std::uint32_t, std::int64_t> const& last_used);

	result<std::vector<wanted_chunk>> wanted();
	result<> want(std::vector<wanted_chunk> const& chunks);
	// Wanted chunks are here again, in a xorb at these places: their holders hold them.
	result<> found(hash_kind kind, std::uint32_t xorb, std::vector<std::pair<hash32, std::uint32_t>> const& chunks);
	result<std::uint32_t> wanted_size(hash_kind kind, hash32 const& hash);  // 0: not known

	result<std::string> setting(std::string const& key);  // empty when it was never set
	result<> set(std::string const& key, std::string const& value);

	// What is wrong inside the database, in words; empty when nothing is.
	result<std::vector<std::string>> problems();

private:
	explicit store_index(std::unique_ptr<SQLite::Database> db, std::filesystem::path path);
	template <class F>
	auto attempt(char const* what, F f) -> result<std::invoke_result_t<F>>;
	void prepare();
	std::int64_t holder_id(std::string const& name);
	void add_refs(std::int64_t holder, std::uint32_t xorb, chunk_bits const& bits);
	void remove_row(std::uint32_t xorb);

	std::unique_ptr<SQLite::Database> m_db;
	std::filesystem::path m_path;
	std::array<std::uint8_t, 16> m_id{};
};

} // namespace xet
