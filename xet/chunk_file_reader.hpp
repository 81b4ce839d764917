#pragma once
// Reads, cuts and hashes stretches of a file, window by window. Internal to chunk_file.
//
// A window is read into a buffer that fits a core's cache with room to spare, and stays there until it is hashed.
//
// Thread rule: a reader belongs to one thread; any number of readers may share a descriptor and a hole_finder.

#include "xet/chunker.hpp"
#include "xet/cut_finder.hpp"

#include <memory>
#include <sys/stat.h>

namespace xet {

// Tells how much of a sparse file need not be read. Uses the descriptor's own offset, and puts it back.
class hole_finder
{
public:
	hole_finder(int fd, struct ::stat const& st);
	~hole_finder();
	hole_finder(hole_finder const&) = delete;

	// Bytes from offset at to the end of the hole that at lies in; 0 where it lies in data.
	std::uint64_t hole_at(std::uint64_t at) const;

private:
	int m_fd;
	std::int64_t m_before;  // the descriptor's offset, to be put back; negative where the file is not sparse
};

class chunk_reader
{
public:
	chunk_reader(int fd, profile const& p, hole_finder const& holes);
	~chunk_reader();
	chunk_reader(chunk_reader const&) = delete;

	// A chunk begins at offset at.
	void start(std::uint64_t at);
	// Every chunk's bytes are shown, too, while they are at hand (chunk_file_options::chunks).
	void show_to(chunk_file_options const& options) { m_options = &options; }
	bool refused() const { return m_refused; }  // whoever they were shown to wants no more

	// Asked at each place where a chunk ends; true ends the reading there.
	using stop_at = std::function<bool(std::uint64_t end)>;

	// Reads on by one window, but not beyond offset to, and appends the chunks that end in it. False when that was the last
	// one: at the end of the file, whose rest is a chunk then, or where stop said so.
	result<bool> next(chunk_list& out, std::uint64_t to, stop_at const& stop = {});

	std::uint64_t at() const { return m_at; }                         // of the next byte to read
	std::uint64_t end() const { return m_at - m_carried.size(); }     // of the last chunk
	bool at_end_of_file() const { return m_at_end; }

private:
	result<std::size_t> read_some(std::uint8_t* into, std::size_t size);
	bool trim(std::uint8_t const* begin, stop_at const& stop);
	void hash(std::uint8_t const* begin, chunk_list& out);
	void show(std::span<chunk_ref const> chunks, std::uint8_t const* begin);
	bool skip_hole(chunk_list& out, std::uint64_t to, stop_at const& stop);
	bool zeros_make_one_chunk();

	int m_fd;
	profile const m_profile;
	hole_finder const& m_holes;
	cut_finder m_finder;
	std::unique_ptr<std::uint8_t[]> m_memory;
	std::uint64_t m_at = 0;
	bool m_at_end = false;
	bytes_view m_carried;  // the unfinished chunk at the end of the last window, in m_memory
	std::optional<chunk_ref> m_zero_chunk;
	std::vector<std::uint32_t> m_lengths;
	std::vector<bytes_view> m_views;
	std::vector<hash32> m_hashes;
	chunk_file_options const* m_options = nullptr;
	bool m_refused = false;
};

} // namespace xet
