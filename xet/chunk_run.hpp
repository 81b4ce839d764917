#pragma once
// A run: an immutable file of chunk locations sorted by hash (bytes: chunk_run_format.hpp). Its fences and its filter are in
// memory, so that an absent chunk costs no read and a present one costs one read of 4 KiB, whose checksum is verified.
// Equal prefixes in the hashes make it slower, never wrong.
//
// Thread rule: any thread.

#include "xet/chunk_run_format.hpp"
#include "xet/chunk_table_alive.hpp"
#include "xet/files.hpp"

#include <atomic>

namespace xet {

class chunk_run
{
public:
	// Checks everything but the entry blocks. Errors: io; invalid, unsupported, mismatch (not a run of this index, damaged,
	// truncated, or its name says something else).
	static result<std::shared_ptr<chunk_run>> open(std::unique_ptr<file> f, std::filesystem::path path, index_id const& id);

	run_header const& header() const { return m_header; }
	std::filesystem::path const& path() const { return m_path; }
	// Whose chunks were given to it, though they may have none; ascending.
	std::span<std::uint32_t const> containers() const { return m_containers; }
	std::uint64_t resident_bytes() const { return m_filter.raw().size() + m_fences.size() * 8 + m_containers.size() * 4; }

	// Adds the living locations of a chunk until out is full. Errors: io, mismatch; the run is damaged from then on.
	result<> find(hash32 const& hash, container_set const& alive, chunk_locations& out) const;
	// One living location of each of hashes[pending[…]]; what is found leaves pending. Errors as above; what could be read is done.
	result<> find(std::span<hash32 const> hashes, std::vector<std::uint32_t>& pending, container_set const& alive,
		std::span<std::optional<chunk_location>> out) const;

	// Blocks [first, first + count) into the buffer (resized), each verified. Errors as above.
	result<> read_blocks(std::uint64_t first, std::size_t count, std::vector<std::uint8_t>& into) const;

	bool damaged() const { return m_damaged.load(std::memory_order_relaxed); }

	// How many of the containers are dead: a hint for merging, kept by the table.
	std::atomic<std::uint32_t> dead_containers{0};

private:
	chunk_run() = default;
	result<> load_sections();
	result<> load_section(std::uint64_t offset, std::span<std::uint8_t> into, int section, std::uint64_t checksum, char const* what);
	// The last block whose fence is at most the prefix; nothing when all are above.
	std::optional<std::uint64_t> last_block_for(std::uint64_t prefix) const;
	result<> find_among(hash32 const& hash, std::uint64_t last, container_set const& alive, chunk_locations& out) const;
	struct candidates;
	void pass_filter(std::span<hash32 const> hashes, std::span<std::uint32_t const> pending, candidates& out) const;
	result<> look_up(std::span<hash32 const> hashes, std::span<std::uint64_t const> group, container_set const& alive,
		std::vector<std::uint8_t>& buffer, std::span<std::optional<chunk_location>> out) const;
	tl::unexpected<error> damage(errc code, std::string message) const;

	std::unique_ptr<file> m_file;
	std::filesystem::path m_path;
	run_header m_header;
	std::vector<std::uint64_t> m_fences;
	run_filter m_filter;
	std::vector<std::uint32_t> m_containers;
	mutable std::atomic<bool> m_damaged{false};
};

// The entries of a run in order, read in large pieces: for merging.
class run_reader
{
public:
	explicit run_reader(std::shared_ptr<chunk_run const> run) : m_run(std::move(run)) {}

	// nullptr at the end. Valid until the next call. Errors: io, mismatch.
	result<packed_entry const*> next();

private:
	std::shared_ptr<chunk_run const> m_run;
	std::vector<std::uint8_t> m_buffer;
	std::uint64_t m_position = 0;      // of the next entry in the run
	std::uint64_t m_first_block = 0;   // what the buffer holds: blocks [first, end)
	std::uint64_t m_end_block = 0;
};

} // namespace xet
