#include "xet/chunk_table.hpp"

#include "xet/chunk_table_files.hpp"
#include "xet/chunk_table_memory.hpp"
#include "xet/chunk_table_merge.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <shared_mutex>

namespace xet {

namespace {

// A batch takes the lock again for so many, so that an insert waits for some ten microseconds at most.
constexpr std::size_t hashes_per_lock = 1024;
// Bounds the memory a batch takes besides its own (12 bytes each); more together would save little.
constexpr std::size_t max_batch = std::size_t(1) << 18;

class table final : public chunk_table
{
public:
	table(file_layer& files, std::filesystem::path dir, index_id const& id, chunk_table_options const& options)
		: m_files(files), m_dir(std::move(dir)), m_id(id), m_options(options)
	{
		std::memcpy(&m_secret, id.data(), sizeof m_secret);
		m_memory = std::make_shared<chunk_memory>(m_secret);
	}

	result<> load(chunk_table_index const& index);

	std::uint32_t covered_until() const override;
	result<> insert(std::uint32_t container, std::span<chunk_entry const> chunks) override;
	void kill(std::uint32_t container) override;
	bool is_alive(std::uint32_t container) const override { return m_alive.test(container); }
	result<chunk_locations> find(hash32 const& hash) const override;
	result<> find(std::span<hash32 const> hashes, std::span<std::optional<chunk_location>> out) const override;
	bool wants_flush() const override;
	result<> flush() override;
	bool wants_merge() const override;
	result<> merge(std::stop_token stop) override;
	bool damaged() const override;
	result<> drop_damaged() override;
	result<> clear() override;
	chunk_table_figures figures() const override;

private:
	using shared_runs = std::shared_ptr<run_list const>;

	// The gate lets a writer in though readers never pause.
	std::shared_lock<std::shared_mutex> read_lock() const
	{
		{
			std::lock_guard const turn(m_gate);
		}
		return std::shared_lock(m_lock);
	}
	struct write_lock
	{
		explicit write_lock(table const& t) : turn(t.m_gate), lock(t.m_lock) {}
		std::lock_guard<std::mutex> turn;
		std::lock_guard<std::shared_mutex> lock;
	};

	shared_runs runs() const
	{
		auto const lock = read_lock();
		return m_runs;
	}
	result<std::shared_ptr<chunk_run>> open_run(std::filesystem::path const& path) const;
	void count_dead(chunk_run& run) const;
	bool freeze(bool only_earlier);
	result<> write_frozen();
	merge_range merge_choice(run_list const& list) const;
	void replace_runs(run_list const& old, std::shared_ptr<chunk_run> merged);
	template <class Good>
	result<> keep_runs(Good const& good);
	void find_in_memory(std::span<hash32 const> hashes, std::vector<std::uint32_t>& pending, std::span<std::optional<chunk_location>> out) const;
	result<> find_batch(std::span<hash32 const> hashes, std::span<std::optional<chunk_location>> out) const;

	file_layer& m_files;
	std::filesystem::path const m_dir;
	index_id const m_id;
	chunk_table_options const m_options;
	std::uint64_t m_secret = 0;
	container_set m_alive;  // changed with m_lock, read without
	std::atomic<std::uint64_t> m_written{0};

	// taken in this order: merging, flushing, gate, lock
	std::mutex m_merging;
	std::mutex m_flushing;
	std::atomic<int> m_dropping{0};  // a merge that is under way is for nothing
	mutable std::mutex m_gate;
	mutable std::shared_mutex m_lock;  // what follows; held for moments only
	shared_runs m_runs = std::make_shared<run_list>();
	std::shared_ptr<chunk_memory> m_memory;
	std::shared_ptr<chunk_memory const> m_frozen;  // on its way into a run, or left by a flush that failed
	std::uint32_t m_next = 0;                      // above all inserted containers
	std::uint32_t m_frozen_until = 0;              // ids below are in m_frozen or in runs
	std::uint32_t m_covered = 0;
};

result<> table::load(chunk_table_index const& index)
{
	for (std::size_t i = 0; i < index.alive.size(); ++i)
	{
		auto const id = index.alive[i];
		if (id > max_container_id || id >= index.next_container || (i > 0 && id <= index.alive[i - 1]))
			return fail(errc::invalid, m_dir.native(), ": container ", id, " at ", i, " of the list of containers is out of order or range");
		m_alive.set(id);
	}
	if (auto r = m_files.make_dirs(m_dir); !r) return r;
	// where it was just made: so that runs are not lost with their directory
	auto const parent = m_dir.parent_path();
	if (auto r = m_files.sync_dir(parent.empty() ? "." : parent); !r) return r;
	auto loaded = load_runs(m_files, m_dir, index, m_alive);
	if (!loaded) return tl::unexpected(loaded.error());
	// before anything is built on it: a run that is not used now must not come back
	if (auto r = remove_all_but(m_files, m_dir, *loaded); !r) return r;
	if (!loaded->empty()) m_next = m_covered = m_frozen_until = loaded->back()->header().until;
	m_runs = std::make_shared<run_list>(std::move(*loaded));
	return {};
}

std::uint32_t table::covered_until() const
{
	auto const lock = read_lock();
	return m_covered;
}

result<> table::insert(std::uint32_t container, std::span<chunk_entry const> chunks)
{
	if (container > max_container_id) return fail(errc::invalid, "container ", container, " is above ", max_container_id);
	for (std::size_t i = 0; i < chunks.size(); ++i)
		if (chunks[i].offset >= max_chunk_offset || chunks[i].size > max_chunk_entry_bytes)
			return fail(errc::invalid, "chunk ", i, " of container ", container, ": offset ", chunks[i].offset, " or size ", chunks[i].size, " is too large");
	write_lock const lock(*this);
	if (container < m_next) return fail(errc::invalid, "container ", container, " after container ", m_next - 1);
	if (m_memory->size() + chunks.size() > max_memory_entries)
		return fail(errc::limit, "more than ", max_memory_entries, " chunks wait to be written to ", m_dir.native());
	m_memory->insert(container, chunks);
	m_alive.set(container);
	m_next = container + 1;
	return {};
}

void table::kill(std::uint32_t container)
{
	write_lock const lock(*this);
	if (!m_alive.clear(container)) return;
	for (auto const& run : *m_runs)
		if (run->header().from <= container && container < run->header().until) ++run->dead_containers;
}

result<chunk_locations> table::find(hash32 const& hash) const
{
	chunk_locations out;
	shared_runs list;
	{
		auto const lock = read_lock();
		m_memory->find(hash, m_alive, out);
		if (m_frozen) m_frozen->find(hash, m_alive, out);
		list = m_runs;
	}
	for (auto run = list->rbegin(); run != list->rend() && !out.full(); ++run)
		if (auto r = (*run)->find(hash, m_alive, out); !r) return tl::unexpected(r.error());
	return out;
}

result<> table::find(std::span<hash32 const> hashes, std::span<std::optional<chunk_location>> out) const
{
	if (hashes.size() != out.size()) return fail(errc::invalid, "room for ", out.size(), " locations of ", hashes.size(), " chunks");
	result<> done;
	while (!hashes.empty())
	{
		auto const n = std::min(hashes.size(), max_batch);
		if (auto r = find_batch(hashes.first(n), out.first(n)); !r && done) done = r;
		hashes = hashes.subspan(n);
		out = out.subspan(n);
	}
	return done;
}

// What leaves memory for a run between the locks is in the list of runs, which is taken last.
result<> table::find_batch(std::span<hash32 const> hashes, std::span<std::optional<chunk_location>> out) const
{
	std::vector<std::uint32_t> pending;
	pending.reserve(hashes.size());
	find_in_memory(hashes, pending, out);
	auto const list = runs();
	result<> done;
	for (auto run = list->rbegin(); run != list->rend() && !pending.empty(); ++run)
		if (auto r = (*run)->find(hashes, pending, m_alive, out); !r && done) done = r;
	return done;
}

void table::find_in_memory(std::span<hash32 const> hashes, std::vector<std::uint32_t>& pending, std::span<std::optional<chunk_location>> out) const
{
	for (std::size_t first = 0; first < hashes.size(); first += hashes_per_lock)
	{
		auto const end = std::min(first + hashes_per_lock, hashes.size());
		auto const lock = read_lock();
		for (auto i = first; i < end; ++i) m_memory->prefetch(hashes[i]);
		for (auto i = first; i < end; ++i)
		{
			out[i] = m_memory->find_one(hashes[i], m_alive);
			if (!out[i] && m_frozen) out[i] = m_frozen->find_one(hashes[i], m_alive);
			if (!out[i]) pending.push_back(std::uint32_t(i));
		}
	}
}

bool table::wants_flush() const
{
	auto const lock = read_lock();
	return m_memory->size() >= m_options.memory_entries;
}

// False when there is nothing to write.
bool table::freeze(bool only_earlier)
{
	write_lock const lock(*this);
	if (m_frozen) return true;
	if (only_earlier || m_next == m_covered) return false;
	m_frozen = m_memory;
	m_frozen_until = m_next;
	m_memory = std::make_shared<chunk_memory>(m_secret);
	return true;
}

result<> table::flush()
{
	std::lock_guard const flushing(m_flushing);
	if (freeze(true))  // left by a flush that failed
		if (auto r = write_frozen(); !r) return r;
	return freeze(false) ? write_frozen() : result<>{};
}

result<> table::write_frozen()
{
	auto const& frozen = *m_frozen;  // only changed with m_flushing
	std::vector<std::uint32_t> containers;
	auto const all = frozen.containers();
	std::copy_if(all.begin(), all.end(), std::back_inserter(containers), [&](auto c) { return m_alive.test(c); });

	auto writer = run_writer::create(m_files, m_dir, {m_id, m_covered, m_frozen_until, frozen.size()});
	if (!writer) return tl::unexpected(writer.error());
	for (auto const i : frozen.in_order())
		if (m_alive.test(frozen.entry(i).container()))
			if (auto r = writer->add(frozen.entry(i)); !r) return r;
	auto const path = writer->finish(containers);
	m_written += writer->written_bytes();
	if (!path) return tl::unexpected(path.error());
	auto run = open_run(*path);
	if (!run) return tl::unexpected(run.error());

	write_lock const lock(*this);
	auto list = std::make_shared<run_list>(*m_runs);
	count_dead(**run);
	list->push_back(std::move(*run));
	m_runs = std::move(list);
	m_covered = m_frozen_until;
	m_frozen.reset();
	return {};
}

result<std::shared_ptr<chunk_run>> table::open_run(std::filesystem::path const& path) const
{
	auto f = m_files.open(path, open_mode::read);
	if (!f) return tl::unexpected(f.error());
	return chunk_run::open(std::move(*f), path, m_id);
}

void table::count_dead(chunk_run& run) const
{
	auto const all = run.containers();
	run.dead_containers = std::uint32_t(std::count_if(all.begin(), all.end(), [&](auto c) { return !m_alive.test(c); }));
}

merge_range table::merge_choice(run_list const& list) const
{
	std::vector<run_size> sizes;
	for (auto const& run : list) sizes.push_back({run->header().entries, run->header().containers, run->dead_containers});
	return choose_merge(sizes, m_options.memory_entries);
}

bool table::wants_merge() const
{
	return merge_choice(*runs()).count > 0;
}

result<> table::merge(std::stop_token stop)
{
	std::lock_guard const merging(m_merging);
	auto const list = runs();
	auto const range = merge_choice(*list);
	if (range.count == 0) return {};
	run_list const old(list->begin() + std::ptrdiff_t(range.first), list->begin() + std::ptrdiff_t(range.first + range.count));

	auto const merged = merge_runs(m_files, m_dir, old, m_alive, [&] { return stop.stop_requested() || m_dropping > 0; });
	if (!merged) return tl::unexpected(merged.error());
	m_written += merged->written_bytes;
	auto run = open_run(merged->path);
	if (!run) return tl::unexpected(run.error());
	replace_runs(old, std::move(*run));
	// what is left of them by an error is found superfluous by the next open
	for (auto const& one : old)
		if (one->path() != merged->path) (void)m_files.remove(one->path());
	return {};
}

// Runs may have come behind them meanwhile, by flushes.
void table::replace_runs(run_list const& old, std::shared_ptr<chunk_run> merged)
{
	write_lock const lock(*this);
	auto list = std::make_shared<run_list>(*m_runs);
	count_dead(*merged);
	auto const first = std::find(list->begin(), list->end(), old.front());
	*first = std::move(merged);
	list->erase(first + 1, first + std::ptrdiff_t(old.size()));
	m_runs = std::move(list);
}

bool table::damaged() const
{
	auto const list = runs();
	return std::any_of(list->begin(), list->end(), [](auto const& run) { return run->damaged(); });
}

result<> table::drop_damaged()
{
	return damaged() ? keep_runs([](chunk_run const& run) { return !run.damaged(); }) : result<>{};
}

result<> table::clear()
{
	return keep_runs([](chunk_run const&) { return false; });
}

// The runs before the first bad one and nothing else.
template <class Good>
result<> table::keep_runs(Good const& good)
{
	++m_dropping;
	std::scoped_lock const working(m_merging, m_flushing);
	--m_dropping;
	auto const list = runs();
	auto const kept = std::make_shared<run_list>(list->begin(), std::find_if_not(list->begin(), list->end(), [&](auto const& r) { return good(*r); }));
	{
		write_lock const lock(*this);
		m_memory = std::make_shared<chunk_memory>(m_secret);
		m_frozen.reset();
		m_next = m_covered = m_frozen_until = kept->empty() ? 0 : kept->back()->header().until;
		m_runs = kept;
	}
	return remove_all_but(m_files, m_dir, *kept);
}

chunk_table_figures table::figures() const
{
	chunk_table_figures out;
	shared_runs list;
	{
		auto const lock = read_lock();
		out.memory_entries = m_memory->size() + (m_frozen ? m_frozen->size() : 0);
		list = m_runs;
	}
	out.entries = out.memory_entries;
	out.runs = list->size();
	for (auto const& run : *list)
	{
		out.entries += run->header().entries;
		out.disk_bytes += run->header().file_bytes();
		out.filter_bytes += run->resident_bytes();
	}
	out.written_bytes = m_written;
	return out;
}

} // namespace

result<std::unique_ptr<chunk_table>> chunk_table::open(file_layer& files, std::filesystem::path dir, chunk_table_index const& index,
	chunk_table_options const& options)
{
	auto out = std::make_unique<table>(files, std::move(dir), index.id, options);
	if (auto const loaded = out->load(index); !loaded) return tl::unexpected(loaded.error());
	return out;
}

} // namespace xet
