#include "xet/chunk_run.hpp"

#include <algorithm>

namespace xet {

namespace {

// Lookups of a batch that lie in adjacent blocks are read together, up to this much.
constexpr std::size_t max_group_blocks = 32;
// A merge reads this much at once from each run: 128 KiB keeps 20 runs within 3 MiB, and a disk busy.
constexpr std::size_t reader_blocks = 32;
// As many filter lines are on their way from memory at once.
constexpr std::size_t prefetch_distance = 16;

class entry_block
{
public:
	entry_block(std::uint8_t const* data, std::uint64_t count) : m_entries(reinterpret_cast<packed_entry const*>(data)), m_count(count) {}

	packed_entry const* begin() const { return m_entries; }
	packed_entry const* end() const { return m_entries + m_count; }
	packed_entry const* first_not_below(hash32 const& hash) const
	{
		auto const prefix = hash_prefix(hash.raw.data());
		return std::partition_point(begin(), end(), [&](packed_entry const& e) {
			auto const own = e.prefix();
			return own != prefix ? own < prefix : compare_hash(e, hash.raw.data()) < 0;
		});
	}

private:
	packed_entry const* m_entries;
	std::uint64_t m_count;
};

std::uint32_t block_of(std::uint64_t candidate) { return std::uint32_t(candidate >> 32); }
std::uint32_t index_of(std::uint64_t candidate) { return std::uint32_t(candidate); }

} // namespace

struct chunk_run::candidates
{
	std::vector<std::uint64_t> by_block;  // block in the upper half, index of the hash in the lower
};

result<std::shared_ptr<chunk_run>> chunk_run::open(std::unique_ptr<file> f, std::filesystem::path path, index_id const& id)
{
	std::shared_ptr<chunk_run> run(new chunk_run);
	run->m_file = std::move(f);
	run->m_path = std::move(path);
	auto const name = run->m_path.native();
	std::array<std::uint8_t, run_block_bytes> block{};
	auto const n = run->m_file->read_at(0, block);
	if (!n) return tl::unexpected(n.error());
	auto header = run_header::decode({block.data(), *n});
	if (!header) return fail(header.error().code, name, ": ", header.error().message);
	run->m_header = *header;
	if (header->id != id) return fail(errc::invalid, name, " belongs to another index");
	if (run->m_path.filename() != run_file_name(header->from, header->until))
		return fail(errc::invalid, name, " covers containers ", header->from, " to ", header->until, ", its name says otherwise");
	auto const size = run->m_file->size();
	if (!size) return tl::unexpected(size.error());
	if (*size != header->file_bytes())
		return fail(errc::mismatch, name, " has ", *size, " bytes; its header says ", header->file_bytes());
	if (auto const loaded = run->load_sections(); !loaded) return tl::unexpected(loaded.error());
	return run;
}

result<> chunk_run::load_sections()
{
	auto const& h = m_header;
	m_fences.resize(h.blocks());
	std::span const fences{reinterpret_cast<std::uint8_t*>(m_fences.data()), m_fences.size() * 8};
	if (auto r = load_section(h.fences_offset(), fences, 1, h.fences_checksum, "fences"); !r) return r;
	for (auto& fence : m_fences) fence = read_le<std::uint64_t>(reinterpret_cast<std::uint8_t const*>(&fence));
	m_filter = run_filter(h.filter_blocks);
	if (auto r = load_section(h.filter_offset(), m_filter.raw(), 2, h.filter_checksum, "filter"); !r) return r;
	m_containers.resize(h.containers);
	std::span const containers{reinterpret_cast<std::uint8_t*>(m_containers.data()), m_containers.size() * 4};
	if (auto r = load_section(h.containers_offset(), containers, 3, h.containers_checksum, "container list"); !r) return r;
	for (auto& c : m_containers) c = read_le<std::uint32_t>(reinterpret_cast<std::uint8_t const*>(&c));
	return {};
}

result<> chunk_run::load_section(std::uint64_t offset, std::span<std::uint8_t> into, int section, std::uint64_t checksum, char const* what)
{
	auto const n = m_file->read_at(offset, into);
	if (!n) return damage(n.error().code, n.error().message);
	if (*n != into.size() || checksum64(into, m_header.section_seed(section)) != checksum)
		return damage(errc::mismatch, cat("wrong checksum of the ", what, " at offset ", offset));
	return {};
}

tl::unexpected<error> chunk_run::damage(errc code, std::string message) const
{
	m_damaged.store(true, std::memory_order_relaxed);
	return fail(code, m_path.native(), ": ", message);
}

result<> chunk_run::read_blocks(std::uint64_t first, std::size_t count, std::vector<std::uint8_t>& into) const
{
	into.resize(count * run_block_bytes);
	auto const n = m_file->read_at(m_header.block_offset(first), into);
	if (!n) return damage(n.error().code, n.error().message);
	for (std::size_t i = 0; i < count; ++i)
	{
		auto const* const p = into.data() + i * run_block_bytes;
		bool const whole = (i + 1) * run_block_bytes <= *n;
		if (!whole || checksum64({p, run_block_bytes - 8}, m_header.block_seed(first + i)) != read_le<std::uint64_t>(p + run_block_bytes - 8))
			return damage(errc::mismatch, cat("wrong checksum of the entries at offset ", m_header.block_offset(first + i)));
	}
	return {};
}

// Hashes are spread evenly as a rule, so the place is guessed and the neighbourhood searched in growing steps: at a billion
// entries that is a few cache lines instead of the 24 scattered ones of a plain binary search.
std::optional<std::uint64_t> chunk_run::last_block_for(std::uint64_t prefix) const
{
	auto const count = m_fences.size();
	if (count == 0 || m_fences[0] > prefix) return std::nullopt;
	std::size_t low = std::size_t((prefix >> 32) * count >> 32);  // to become: fence[low] <= prefix
	std::size_t high = low + 1;                                   // to become: fence[high] > prefix, or the end
	for (std::size_t step = 4; low > 0 && m_fences[low] > prefix; step *= 2)
	{
		high = low;
		low -= std::min(low, step);
	}
	for (std::size_t step = 4; high < count && m_fences[high] <= prefix; step *= 2)
	{
		low = high;
		high += std::min(count - high, step);
	}
	auto const begin = m_fences.begin();
	auto const after = std::upper_bound(begin + std::ptrdiff_t(low), begin + std::ptrdiff_t(high), prefix);
	return std::uint64_t(after - begin) - 1;
}

result<> chunk_run::find(hash32 const& hash, container_set const& alive, chunk_locations& out) const
{
	if (!m_filter.may_hold(hash.raw.data())) return {};
	auto const last = last_block_for(hash_prefix(hash.raw.data()));
	if (!last) return {};
	return find_among(hash, *last, alive, out);
}

// Blocks whose fence equals the prefix may start with the hash, lie before or after it: search them, reading.
result<> chunk_run::find_among(hash32 const& hash, std::uint64_t last, container_set const& alive, chunk_locations& out) const
{
	auto const prefix = hash_prefix(hash.raw.data());
	auto const begin = m_fences.begin();
	auto const equal = std::uint64_t(std::lower_bound(begin, begin + std::ptrdiff_t(last), prefix) - begin);
	// of low it is known (or supposed, for the very first) that it starts below the hash; of high that it does not, or is the end
	std::uint64_t low = m_fences[equal] < prefix || equal == 0 ? equal : equal - 1;
	std::uint64_t high = last + 1;
	std::vector<std::uint8_t> buffer;
	while (high - low > 1)
	{
		auto const middle = low + (high - low) / 2;
		if (auto r = read_blocks(middle, 1, buffer); !r) return r;
		bool const below = compare_hash(*entry_block(buffer.data(), 1).begin(), hash.raw.data()) < 0;
		(below ? low : high) = middle;
	}
	for (auto block = low; block <= last && !out.full(); ++block)
	{
		if (auto r = read_blocks(block, 1, buffer); !r) return r;
		entry_block const entries(buffer.data(), m_header.entries_in(block));
		auto const* e = entries.first_not_below(hash);
		for (; e != entries.end() && e->is(hash) && !out.full(); ++e)
			if (alive.test(e->container())) out.push_back(e->location());
		if (e != entries.end()) break;
	}
	return {};
}

void chunk_run::pass_filter(std::span<hash32 const> hashes, std::span<std::uint32_t const> pending, candidates& out) const
{
	for (std::size_t i = 0; i < pending.size(); ++i)
	{
		if (i + prefetch_distance < pending.size()) m_filter.prefetch(hashes[pending[i + prefetch_distance]].raw.data());
		auto const& hash = hashes[pending[i]];
		if (!m_filter.may_hold(hash.raw.data())) continue;
		if (auto const block = last_block_for(hash_prefix(hash.raw.data()))) out.by_block.push_back(*block << 32 | pending[i]);
	}
	std::sort(out.by_block.begin(), out.by_block.end());
}

result<> chunk_run::find(std::span<hash32 const> hashes, std::vector<std::uint32_t>& pending, container_set const& alive,
	std::span<std::optional<chunk_location>> out) const
{
	candidates found;
	pass_filter(hashes, pending, found);
	std::span<std::uint64_t const> rest = found.by_block;
	if (rest.empty()) return {};
	std::vector<std::uint8_t> buffer;
	result<> done;
	while (!rest.empty())
	{
		std::size_t n = 1;
		while (n < rest.size() && block_of(rest[n]) - block_of(rest[n - 1]) <= 1 && block_of(rest[n]) - block_of(rest[0]) < max_group_blocks) ++n;
		if (auto r = look_up(hashes, rest.first(n), alive, buffer, out); !r && done) done = r;
		rest = rest.subspan(n);
	}
	std::erase_if(pending, [&](std::uint32_t i) { return out[i].has_value(); });
	return done;
}

// group: candidates of adjacent blocks
result<> chunk_run::look_up(std::span<hash32 const> hashes, std::span<std::uint64_t const> group, container_set const& alive,
	std::vector<std::uint8_t>& buffer, std::span<std::optional<chunk_location>> out) const
{
	auto const first = block_of(group.front());
	if (auto r = read_blocks(first, block_of(group.back()) - first + 1, buffer); !r) return r;
	for (auto const candidate : group)
	{
		auto const block = block_of(candidate);
		auto const& hash = hashes[index_of(candidate)];
		auto& place = out[index_of(candidate)];
		entry_block const entries(buffer.data() + std::size_t(block - first) * run_block_bytes, m_header.entries_in(block));
		for (auto const* e = entries.first_not_below(hash); e != entries.end() && e->is(hash) && !place; ++e)
			if (alive.test(e->container())) place = e->location();
		// a block that starts with the prefix need not be the only one with this hash
		if (place || m_fences[block] < hash_prefix(hash.raw.data())) continue;
		chunk_locations all;
		if (auto r = find_among(hash, block, alive, all); !r) return r;
		if (!all.empty()) place = all[0];
	}
	return {};
}

result<packed_entry const*> run_reader::next()
{
	auto const& header = m_run->header();
	if (m_position == header.entries) return nullptr;
	auto const block = m_position / run_block_entries;
	if (block >= m_end_block)
	{
		m_first_block = block;
		m_end_block = std::min(block + reader_blocks, header.blocks());
		if (auto r = m_run->read_blocks(block, std::size_t(m_end_block - block), m_buffer); !r) return tl::unexpected(r.error());
	}
	auto const place = (block - m_first_block) * run_block_bytes + m_position % run_block_entries * run_entry_bytes;
	++m_position;
	return reinterpret_cast<packed_entry const*>(m_buffer.data() + place);
}

} // namespace xet
