// What a chunk table makes of damaged runs, of what interrupted work left, and of failing disks: it may forget that it has something
// (and then says from which container on), but never claims that what it was given is absent.
#include "tests/support/every_fault.hpp"
#include "tests/unit/xet/chunk_table_model.hpp"
#include "xet/chunk_run_format.hpp"

#include <fstream>

using namespace xet;
using namespace ut_xet_test;

namespace {

using file_contents = std::map<std::string, bytes>;

file_contents contents_of(std::filesystem::path const& dir)
{
	file_contents out;
	auto const entries = system_files().list(dir);
	for (auto const& e : *entries) out[e.name] = *read_all(system_files(), dir / e.name, 1 << 26);
	return out;
}

void write_file(std::filesystem::path const& path, bytes_view data)
{
	std::ofstream(path, std::ios::binary | std::ios::trunc).write(reinterpret_cast<char const*>(data.data()), std::streamsize(data.size()));
}

void restore(std::filesystem::path const& dir, file_contents const& files)
{
	std::filesystem::remove_all(dir);
	std::filesystem::create_directories(dir);
	for (auto const& [name, data] : files) write_file(dir / name, data);
}

class chunk_table_damage : public testing::Test
{
protected:
	// 3 runs of 1200, 400 and 400 chunks, and 100 chunks in memory
	void SetUp() override
	{
		auto const table = m_model.open_filled(m_dir.runs(), m_options);
		for (int i = 0; i < 21; ++i)
		{
			add(*table, 100);
			if (i != 11 && i != 15 && i != 19) continue;
			ASSERT_TRUE(table->flush());
		}
		ASSERT_EQ(table->figures().runs, 3u);
		m_good = contents_of(m_dir.runs());
		ASSERT_EQ(m_good.size(), 3u);
	}
	void add(chunk_table& table, std::size_t count)
	{
		std::vector<hash32> hashes(count);
		for (auto& h : hashes) h = random_hash(m_random);
		hashes[0] = m_shared;
		ASSERT_TRUE(m_model.add(table, hashes));
	}

	// Every answer is right or an error, and after an error repair helps.
	testing::AssertionResult copes()
	{
		auto const table = m_model.open_filled(m_dir.runs(), m_options);
		for (auto const& h : m_model.hashes())
		{
			auto const found = table->find(h);
			std::array<std::optional<chunk_location>, 1> place;
			auto const looked = table->find({&h, 1}, place);
			if (found && !m_model.is_right(h, *found)) return testing::AssertionFailure() << "a wrong answer";
			if (looked && !m_model.is_right(h, place[0])) return testing::AssertionFailure() << "a wrong answer in a batch";
			if ((!found || !looked) && !table->damaged()) return testing::AssertionFailure() << "an error without damage";
		}
		if (!table->damaged()) return testing::AssertionSuccess();
		if (auto r = table->drop_damaged(); !r) return testing::AssertionFailure() << r.error().message;
		if (auto r = m_model.refill(*table); !r) return testing::AssertionFailure() << r.error().message;
		return m_model.agrees(*table);
	}
	void expect_copes_with(std::string const& name, bytes const& bad, std::string const& what)
	{
		restore(m_dir.runs(), m_good);
		write_file(m_dir.runs() / name, bad);
		EXPECT_TRUE(copes()) << name << ", " << what;
	}
	std::uint32_t covered_after_open() const { return (*m_model.open(system_files(), m_dir.runs(), m_options))->covered_until(); }

	chunk_table_dir m_dir;
	random_source m_random{11};
	hash32 m_shared = random_hash(m_random);
	chunk_table_model m_model;
	chunk_table_options m_options{.memory_entries = 400};
	file_contents m_good;
};

TEST_F(chunk_table_damage, flipped_bits_anywhere_are_seen_or_do_no_harm)
{
	for (auto const& [name, good] : m_good)
	{
		auto const header = *run_header::decode(good);
		std::set<std::size_t> places;
		for (std::size_t i = 0; i < 100; ++i) places.insert(i);
		auto const some_of = [&](std::uint64_t from, std::uint64_t until) {
			for (int i = 0; i < 12; ++i) places.insert(m_random.between(from, until - 1));
			places.insert({from, until - 1});
		};
		for (std::uint64_t b = 0; b < header.blocks(); ++b) some_of(header.block_offset(b), header.block_offset(b + 1));
		some_of(header.fences_offset(), header.filter_offset());
		some_of(header.filter_offset(), header.containers_offset());
		some_of(header.containers_offset(), header.file_bytes());
		for (auto const i : places)
		{
			auto bad = good;
			bad[i] ^= std::uint8_t(1u << m_random.between(0, 7));
			expect_copes_with(name, bad, cat("byte ", i));
			if (HasFailure()) return;
		}
	}
}

TEST_F(chunk_table_damage, truncated_and_extended_runs_are_not_used)
{
	for (auto const& [name, good] : m_good)
	{
		auto const header = *run_header::decode(good);
		for (std::uint64_t const end : {std::uint64_t(0), header.block_offset(0), header.block_offset(1), header.fences_offset(), header.filter_offset(),
				 header.containers_offset(), header.file_bytes()})
		{
			for (int const off : {-1, 0, 1})
			{
				auto const size = std::int64_t(end) + off;
				if (size < 0 || (size == std::int64_t(good.size()))) continue;
				auto bad = good;
				bad.resize(std::size_t(size));
				expect_copes_with(name, bad, cat("size ", size));
				EXPECT_TRUE(m_dir.names().size() < 3);
			}
		}
	}
}

TEST_F(chunk_table_damage, blocks_in_each_others_place_are_seen)
{
	auto const& [name, good] = *m_good.begin();
	auto bad = good;
	std::swap_ranges(bad.begin() + run_block_bytes, bad.begin() + 2 * run_block_bytes, bad.begin() + 2 * run_block_bytes);
	expect_copes_with(name, bad, "first blocks swapped");
}

TEST_F(chunk_table_damage, a_merge_reports_it_and_leaves_all_else)
{
	restore(m_dir.runs(), m_good);
	auto const name = m_dir.names().back();
	auto bad = m_good[name];
	bad[run_block_bytes + 100] ^= 1;
	write_file(m_dir.runs() / name, bad);
	auto const table = m_model.open_filled(m_dir.runs(), m_options);
	add(*table, 100);
	ASSERT_TRUE(table->flush());
	add(*table, 100);
	ASSERT_TRUE(table->flush());
	ASSERT_TRUE(table->wants_merge());
	EXPECT_FALSE(table->damaged());
	EXPECT_EQ(table->merge().error().code, errc::mismatch);
	EXPECT_TRUE(table->damaged());
	ASSERT_TRUE(table->drop_damaged());
	EXPECT_FALSE(table->damaged());
	EXPECT_EQ(table->covered_until(), 16u);
	ASSERT_TRUE(m_model.refill(*table));
	EXPECT_TRUE(m_model.agrees(*table));
}

TEST_F(chunk_table_damage, what_is_no_run_of_this_index_is_removed)
{
	restore(m_dir.runs(), m_good);
	write_file(m_dir.runs() / "0000000020-0000000021.run.tmp", m_good.begin()->second);
	write_file(m_dir.runs() / "notes.txt", {});
	write_file(m_dir.runs() / "0000000020-0000000021.run", m_good.begin()->second);
	EXPECT_TRUE(copes());
	EXPECT_EQ(m_dir.names().size(), 3u);
	auto const other = chunk_table::open(system_files(), m_dir.runs(), {{}, m_model.next(), {}});
	ASSERT_TRUE(other);
	EXPECT_EQ((*other)->covered_until(), 0u);
	EXPECT_TRUE(m_dir.names().empty());
}

TEST_F(chunk_table_damage, a_gap_ends_what_is_covered)
{
	restore(m_dir.runs(), m_good);
	std::filesystem::remove(m_dir.runs() / m_dir.names()[1]);
	EXPECT_EQ(covered_after_open(), 12u);
	EXPECT_EQ(m_dir.names().size(), 1u);
	EXPECT_TRUE(copes());
}

TEST_F(chunk_table_damage, merged_runs_win_over_what_they_replace_if_they_are_whole)
{
	restore(m_dir.runs(), m_good);
	{
		auto const table = m_model.open_filled(m_dir.runs(), {.memory_entries = 1200});
		add(*table, 100);
		ASSERT_TRUE(table->flush());
		ASSERT_TRUE(table->wants_merge());
		auto const before = contents_of(m_dir.runs());
		ASSERT_EQ(before.size(), 4u);
		ASSERT_TRUE(table->merge());
		auto both = contents_of(m_dir.runs());
		ASSERT_EQ(both.size(), 1u);
		auto const merged = both.begin()->first;
		both.insert(before.begin(), before.end());
		m_good = both;

		restore(m_dir.runs(), m_good);
		EXPECT_EQ(covered_after_open(), 22u);
		EXPECT_EQ(m_dir.names(), std::vector{merged});
		EXPECT_TRUE(copes());

		auto bad = both[merged];
		bad.resize(bad.size() - 1);
		expect_copes_with(merged, bad, "merged run truncated");
		EXPECT_EQ(covered_after_open(), 22u);
		EXPECT_EQ(m_dir.names().size(), 4u);
	}
}

TEST_F(chunk_table_damage, runs_of_another_history_of_the_index_are_not_used)
{
	// the last containers were lost with the database: their ids will be given away again
	restore(m_dir.runs(), m_good);
	std::vector<std::uint32_t> alive(18);
	for (std::uint32_t i = 0; i < 18; ++i) alive[i] = i;
	EXPECT_EQ((*chunk_table::open(system_files(), m_dir.runs(), {test_index_id, 18, alive}))->covered_until(), 16u);
	EXPECT_EQ(m_dir.names().size(), 2u);

	// a container that a merge has dropped is back
	restore(m_dir.runs(), m_good);
	{
		auto const table = m_model.open_filled(m_dir.runs(), m_options);
		for (std::uint32_t id = 0; id < 12; ++id)
			if (id != 3) table->kill(id);
		ASSERT_TRUE(table->merge());
	}
	EXPECT_EQ(covered_after_open(), 0u);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t strike_every = 5;  // a minute otherwise
#else
constexpr std::uint64_t strike_every = 1;
#endif

// A few containers, flushes, merges and deaths; errors are put up with.
chunk_table_model short_life(faulty_disk& disk, chunk_table_options const& options)
{
	chunk_table_model model;
	random_source random(12);
	auto const table = model.open(disk, "/store/runs", options);
	if (!table) return model;
	for (int i = 0; i < 14; ++i)
	{
		std::vector<hash32> hashes(12);
		for (auto& h : hashes) h = random_hash(random);
		if (!model.add(**table, hashes)) throw std::runtime_error("insert failed");
		if ((*table)->wants_flush()) (void)(*table)->flush();
		if ((*table)->wants_merge()) (void)(*table)->merge();
		if (i % 4 != 3) continue;
		auto const victim = std::uint32_t(random.between(0, std::size_t(i)));
		model.kill(victim);
		(*table)->kill(victim);
	}
	if (auto const r = model.agrees(**table); !r && !(*table)->damaged()) throw std::runtime_error(cat("wrong while it lives: ", r.message()));
	return model;
}

TEST(chunk_table_faults, nothing_is_lost_whatever_the_disk_does)
{
	chunk_table_options const options{.memory_entries = 20};
	EXPECT_TRUE(for_every_fault([&](faulty_disk& disk) { return short_life(disk, options); },
		[&](faulty_disk& disk, chunk_table_model const& model) -> testing::AssertionResult {
			auto const table = model.open(disk, "/store/runs", options);
			if (!table) return testing::AssertionFailure() << table.error().message;
			if (auto const r = model.refill(**table); !r) return testing::AssertionFailure() << r.error().message;
			if (auto const r = model.agrees(**table); !r) return r;
			while ((*table)->wants_merge())
				if (auto const r = (*table)->merge(); !r) return testing::AssertionFailure() << r.error().message;
			if (auto const r = (*table)->flush(); !r) return testing::AssertionFailure() << r.error().message;
			return model.agrees(**table);
		},
		{.tries_per_cut = 1, .prepare = [](faulty_disk& disk) { (void)disk.make_dirs("/store"); }, .every = strike_every}));
}

TEST(chunk_table_faults, a_flush_without_space_loses_nothing_and_is_made_up_for)
{
	faulty_disk disk;
	ASSERT_TRUE(disk.make_dirs("/store"));
	chunk_table_model model;
	random_source random(13);
	auto const table = *model.open(disk, "/store/runs", {});
	auto const add = [&] {
		std::vector<hash32> hashes(500);
		for (auto& h : hashes) h = random_hash(random);
		ASSERT_TRUE(model.add(*table, hashes));
	};
	add();
	disk.set_capacity(4096);
	EXPECT_EQ(table->flush().error().code, errc::no_space);
	EXPECT_TRUE(disk.list("/store/runs")->empty());
	EXPECT_EQ(table->covered_until(), 0u);
	add();
	EXPECT_TRUE(model.agrees(*table));
	EXPECT_FALSE(table->flush());
	disk.set_capacity(1 << 26);
	ASSERT_TRUE(table->flush());
	EXPECT_EQ(table->covered_until(), 2u);
	EXPECT_EQ(table->figures().memory_entries, 0u);
	EXPECT_TRUE(model.agrees(*table));
}

} // namespace
