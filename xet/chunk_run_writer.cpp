#include "xet/chunk_run_writer.hpp"

#include <algorithm>

namespace xet {

namespace {

constexpr std::size_t max_buffer_blocks = 256;  // 1 MiB a write: the disk is busy, the memory small

// Runs up to this go through the page cache, where the next lookups find them (20 million chunks). Larger ones would push out more
// useful pages and stall the machine's other writes at their sync.
constexpr std::uint64_t max_cached_run_bytes = std::uint64_t(1) << 30;

} // namespace

run_writer::run_writer(file_layer& files, std::filesystem::path path, plan const& what)
	: m_files(&files), m_path(std::move(path)), m_temporary(m_path),
	  m_buffer(std::min<std::size_t>(max_buffer_blocks, what.max_entries / run_block_entries + 1)),
	  m_filter(run_filter::blocks_for(what.max_entries))
{
	m_temporary += ".tmp";
	m_header.id = what.id;
	m_header.from = what.from;
	m_header.until = what.until;
	m_fences.reserve(std::size_t(what.max_entries / run_block_entries + 1));
}

result<run_writer> run_writer::create(file_layer& files, std::filesystem::path const& dir, plan const& what)
{
	run_writer writer(files, dir / run_file_name(what.from, what.until), what);
	(void)files.remove(writer.m_temporary);
	bool const large = what.max_entries * run_entry_bytes > max_cached_run_bytes;
	auto f = files.open(writer.m_temporary, large ? open_mode::create_bulk : open_mode::create);
	if (!f) return tl::unexpected(f.error());
	writer.m_file = std::move(*f);
	return writer;
}

run_writer::~run_writer()
{
	if (!m_file) return;
	m_file.reset();
	(void)m_files->remove(m_temporary);
}

result<> run_writer::add(packed_entry const& entry)
{
	if (m_in_block == 0)
	{
		std::uint64_t fence = 0;
		write_le(reinterpret_cast<std::uint8_t*>(&fence), entry.prefix());
		m_fences.push_back(fence);
	}
	m_filter.add(entry.raw.data());
	std::memcpy(current_block() + m_in_block * run_entry_bytes, entry.raw.data(), run_entry_bytes);
	++m_header.entries;
	return ++m_in_block == run_block_entries ? end_block() : result<>{};
}

result<> run_writer::end_block()
{
	auto* const p = current_block();
	auto const used = m_in_block * run_entry_bytes;
	std::memset(p + used, 0, run_block_bytes - used);
	write_le(p + run_block_bytes - 8, checksum64({p, run_block_bytes - 8}, m_header.block_seed(m_fences.size() - 1)));
	m_in_block = 0;
	return ++m_used == m_buffer.size() ? write_buffer() : result<>{};
}

result<> run_writer::write_buffer()
{
	bytes_view const data{m_buffer.front().bytes.data(), m_used * run_block_bytes};
	m_used = 0;
	return append_section(data);
}

result<> run_writer::append_section(bytes_view section)
{
	if (auto r = m_file->write_at(m_offset, section); !r) return r;
	m_offset += section.size();
	m_written += section.size();
	return {};
}

result<std::filesystem::path> run_writer::finish(std::span<std::uint32_t const> containers)
{
	auto& h = m_header;
	result<> done = m_in_block > 0 ? end_block() : result<>{};
	if (done && m_used > 0) done = write_buffer();

	bytes list(containers.size() * 4);
	for (std::size_t i = 0; i < containers.size(); ++i) write_le(list.data() + 4 * i, containers[i]);
	bytes_view const fences{reinterpret_cast<std::uint8_t const*>(m_fences.data()), m_fences.size() * 8};
	h.filter_blocks = m_filter.blocks();
	h.containers = std::uint32_t(containers.size());
	h.fences_checksum = checksum64(fences, h.section_seed(1));
	h.filter_checksum = checksum64(std::as_const(m_filter).raw(), h.section_seed(2));
	h.containers_checksum = checksum64(list, h.section_seed(3));

	if (done) done = append_section(fences);
	if (done) done = append_section(std::as_const(m_filter).raw());
	if (done) done = append_section(list);
	auto const header = h.encode();
	if (done) done = m_file->write_at(0, header);
	if (done) done = m_file->sync();
	if (done)
	{
		m_file.reset();
		done = m_files->rename(m_temporary, m_path);
		if (!done) (void)m_files->remove(m_temporary);
	}
	if (done) done = m_files->sync_dir(m_path.parent_path());
	if (!done) return tl::unexpected(done.error());
	m_written += run_block_bytes;
	// a reader follows, with a filter of its own
	m_filter = {};
	m_fences = {};
	return m_path;
}

} // namespace xet
