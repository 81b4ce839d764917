#pragma once
// Writes a run (chunk_run.hpp) in one pass, from entries in order, with little memory besides its filter and fences: under a temporary
// name until it is whole and durable.
//
// Thread rule: one thread at a time.

#include "xet/chunk_run_format.hpp"
#include "xet/files.hpp"

namespace xet {

inline constexpr std::string_view run_suffix = ".run";

class run_writer
{
public:
	// What the run will cover, and how many entries it has at most (the filter is laid out for so many).
	struct plan
	{
		index_id id{};
		std::uint32_t from = 0;
		std::uint32_t until = 0;
		std::uint64_t max_entries = 0;
	};
	static result<run_writer> create(file_layer& files, std::filesystem::path const& dir, plan const& what);
	run_writer(run_writer&&) = default;
	run_writer& operator=(run_writer&&) = delete;
	~run_writer();  // without finish: nothing is left

	// Each sorts after the one before. Errors: io, no_space.
	result<> add(packed_entry const& entry);
	// The path of the run, which survives a power cut now. containers: ascending. Errors: io, no_space.
	result<std::filesystem::path> finish(std::span<std::uint32_t const> containers);
	std::uint64_t written_bytes() const { return m_written; }

private:
	struct page
	{
		alignas(bulk_alignment) std::array<std::uint8_t, run_block_bytes> bytes;
	};

	run_writer(file_layer& files, std::filesystem::path path, plan const& what);
	std::uint8_t* current_block() { return m_buffer[m_used].bytes.data(); }
	result<> end_block();
	result<> write_buffer();
	result<> append_section(bytes_view section);

	file_layer* m_files;
	std::filesystem::path m_path;
	std::filesystem::path m_temporary;
	std::unique_ptr<file> m_file;
	run_header m_header;
	std::vector<page> m_buffer;
	std::size_t m_used = 0;      // whole blocks in the buffer
	std::size_t m_in_block = 0;  // entries in the block after them
	std::uint64_t m_written = 0;
	std::uint64_t m_offset = run_block_bytes;  // where the buffer goes; the header comes last
	std::vector<std::uint64_t> m_fences;       // as stored: little-endian
	run_filter m_filter;
};

} // namespace xet
