// The chunk table against a model, under many threads, and at its limits. Damage: chunk_table_damage_test.cpp.
#include "tests/unit/xet/chunk_table_model.hpp"
#include "xet/chunk_table_merge.hpp"

#include <thread>

using namespace xet;
using namespace ut_xet_test;

namespace {

// Hashes that share prefixes of any length, some of them often.
std::vector<hash32> awkward_hashes(random_source& random, std::size_t count)
{
	std::vector<hash32> out;
	for (std::size_t i = 0; i < count; ++i)
	{
		auto h = random_hash(random);
		if (random.between(0, 2) == 0) std::fill_n(h.raw.begin(), random.between(0, 31), random.between(0, 1) ? 0x00 : 0xff);
		out.push_back(h);
	}
	out[0].raw.fill(0);
	out[1].raw.fill(0xff);
	return out;
}

class random_life
{
public:
	explicit random_life(std::uint64_t seed) : m_random(seed), m_pool(awkward_hashes(m_random, 4000)) {}

	void live(std::size_t steps)
	{
		reopen();
		for (std::size_t i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i)
		{
			step(m_random.between(0, 99));
			if (i % 8 == 0) check(64);
		}
		check(m_pool.size());
		reopen();
		check(m_pool.size());
	}

private:
	void reopen()
	{
		m_table.reset();
		m_table = m_model.open_filled(m_dir.runs(), m_options);
	}
	void step(std::size_t dice)
	{
		if (dice < 60) insert();
		else if (dice < 75) kill();
		else if (dice < 78) reopen();
		else if (dice < 80) ASSERT_TRUE(m_table->flush());
		else if (m_table->wants_flush()) ASSERT_TRUE(m_table->flush());
		else while (m_table->wants_merge()) ASSERT_TRUE(m_table->merge());
	}
	void insert()
	{
		std::vector<hash32> hashes;
		for (auto n = m_random.between(0, 300); n > 0; --n)
			hashes.push_back(m_pool[m_random.between(0, m_random.between(0, 3) == 0 ? 20 : m_pool.size() - 1)]);
		auto const id = m_model.next();
		ASSERT_TRUE(m_model.add(*m_table, hashes));
		EXPECT_TRUE(m_table->is_alive(id));
	}
	void kill()
	{
		auto const id = std::uint32_t(m_random.between(0, m_model.next() + 3));
		m_model.kill(id);
		m_table->kill(id);
		EXPECT_FALSE(m_table->is_alive(id));
	}
	void check(std::size_t count)
	{
		std::vector<hash32> some;
		for (std::size_t i = 0; i < count; ++i) some.push_back(m_pool[count == m_pool.size() ? i : m_random.between(0, m_pool.size() - 1)]);
		for (int i = 0; i < 8; ++i) some.push_back(random_hash(m_random));
		ASSERT_TRUE(m_model.agrees(*m_table, some));
	}

	chunk_table_dir m_dir;
	random_source m_random;
	std::vector<hash32> m_pool;
	chunk_table_model m_model;
	chunk_table_options m_options{.memory_entries = 500};
	std::unique_ptr<chunk_table> m_table;
};

std::vector<hash32> random_hashes(random_source& random, std::size_t count)
{
	std::vector<hash32> out(count);
	for (auto& h : out) h = random_hash(random);
	return out;
}

TEST(chunk_table, says_what_a_model_says)
{
	for (std::uint64_t seed = 1; seed <= 6; ++seed)
	{
		SCOPED_TRACE(cat("seed ", seed));
		random_life(seed).live(300);
		if (HasFatalFailure()) return;
	}
}

TEST(chunk_table, an_empty_one_finds_nothing)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {});
	random_source random(1);
	EXPECT_TRUE(table->find(random_hash(random))->empty());
	EXPECT_FALSE(table->wants_flush());
	EXPECT_FALSE(table->wants_merge());
	EXPECT_TRUE(table->flush());
	EXPECT_TRUE(table->merge());
	EXPECT_EQ(table->covered_until(), 0u);
	EXPECT_TRUE(dir.names().empty());
}

TEST(chunk_table, equal_prefixes_over_many_blocks_are_found)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {});
	random_source random(2);
	auto hashes = random_hashes(random, 6000);
	for (std::size_t i = 0; i < hashes.size(); ++i) std::fill_n(hashes[i].raw.begin(), i % 3 == 0 ? 8 : 30, 0x5a);
	ASSERT_TRUE(model.add(*table, hashes));
	ASSERT_TRUE(table->flush());
	ASSERT_EQ(table->figures().memory_entries, 0u);
	EXPECT_TRUE(model.agrees(*table));
	for (auto& h : hashes) h.raw[31] ^= 0x80;
	EXPECT_TRUE(model.agrees(*table, hashes));
}

TEST(chunk_table, one_chunk_in_very_many_containers_is_found_where_it_lives)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {});
	random_source random(3);
	auto const everywhere = random_hash(random);
	for (int i = 0; i < 2000; ++i)
		ASSERT_TRUE(model.add(*table, {everywhere, random_hash(random)}));
	// only the first is left: the last that a search comes to
	auto const kill_all_but_first = [&] {
		for (std::uint32_t id = 1; id < model.next(); ++id)
		{
			model.kill(id);
			table->kill(id);
		}
	};
	EXPECT_TRUE(model.agrees(*table, std::array{everywhere}));
	ASSERT_TRUE(table->flush());
	EXPECT_TRUE(model.agrees(*table, std::array{everywhere}));
	kill_all_but_first();
	EXPECT_TRUE(model.agrees(*table, std::array{everywhere}));
	EXPECT_EQ((*table->find(everywhere))[0].container, 0u);
	// and then a run of little else is made smaller
	ASSERT_TRUE(table->wants_merge());
	ASSERT_TRUE(table->merge());
	EXPECT_EQ(table->entries(), 2u);
	EXPECT_TRUE(model.agrees(*table));
	EXPECT_FALSE(table->wants_merge());
}

TEST(chunk_table, a_large_batch_shares_reads_and_finds_all)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {.memory_entries = 20000});
	random_source random(4);
	for (int i = 0; i < 30; ++i)
	{
		ASSERT_TRUE(model.add(*table, random_hashes(random, 2000)));
		if (table->wants_flush())
		{
			ASSERT_TRUE(table->flush());
		}
	}
	auto hashes = model.hashes();
	for (int i = 0; i < 300000; ++i) hashes.push_back(random_hash(random));  // more than one batch
	std::vector<std::optional<chunk_location>> found(hashes.size());
	ASSERT_TRUE(table->find(hashes, found));
	for (std::size_t i = 0; i < hashes.size(); ++i) ASSERT_TRUE(model.is_right(hashes[i], found[i])) << i;
	EXPECT_FALSE(table->find(hashes, std::span(found).first(3)));
}

TEST(chunk_table, refuses_what_it_cannot_hold)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {});
	random_source random(5);
	auto const h = random_hash(random);
	EXPECT_TRUE(table->insert(5, std::array{chunk_entry{h, max_chunk_offset - 1, max_chunk_entry_bytes}}));
	EXPECT_EQ(table->insert(5, {}).error().code, errc::invalid);
	EXPECT_EQ(table->insert(4, {}).error().code, errc::invalid);
	EXPECT_EQ(table->insert(6, std::array{chunk_entry{h, max_chunk_offset, 1}}).error().code, errc::invalid);
	EXPECT_EQ(table->insert(6, std::array{chunk_entry{h, 0, max_chunk_entry_bytes + 1}}).error().code, errc::invalid);
	EXPECT_EQ(table->insert(max_container_id + 1, {}).error().code, errc::invalid);
	ASSERT_TRUE(table->insert(max_container_id, {}));
	ASSERT_TRUE(table->flush());
	EXPECT_EQ(table->covered_until(), max_container_id + 1);
	auto const found = table->find(h);
	ASSERT_EQ(found->size(), 1u);
	EXPECT_EQ((*found)[0], (chunk_location{5, 0, max_chunk_offset - 1, max_chunk_entry_bytes}));
	EXPECT_EQ(table->entries(), 1u);

	for (auto const& alive : {std::vector<std::uint32_t>{1, 1}, {2, 1}, {9}})
		EXPECT_EQ(chunk_table::open(system_files(), dir.runs(), {test_index_id, 9, alive}).error().code, errc::invalid);
}

TEST(chunk_table, a_merge_that_is_stopped_changes_nothing)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {.memory_entries = 3000});
	random_source random(6);
	for (int i = 0; i < 4; ++i)
	{
		ASSERT_TRUE(model.add(*table, random_hashes(random, 3000)));
		ASSERT_TRUE(table->flush());
	}
	ASSERT_TRUE(table->wants_merge());
	auto const before = dir.names();
	std::stop_source stop;
	stop.request_stop();
	EXPECT_EQ(table->merge(stop.get_token()).error().code, errc::cancelled);
	EXPECT_EQ(dir.names(), before);
	EXPECT_TRUE(model.agrees(*table));
	ASSERT_TRUE(table->merge());
	EXPECT_EQ(dir.names().size(), 1u);
	EXPECT_EQ(table->figures().runs, 1u);
	EXPECT_TRUE(model.agrees(*table));
}

TEST(chunk_table, clear_forgets_all)
{
	chunk_table_dir dir;
	chunk_table_model model;
	auto const table = model.open_filled(dir.runs(), {});
	random_source random(7);
	ASSERT_TRUE(model.add(*table, random_hashes(random, 100)));
	ASSERT_TRUE(table->flush());
	ASSERT_TRUE(model.add(*table, random_hashes(random, 100)));
	ASSERT_TRUE(table->clear());
	EXPECT_EQ(table->covered_until(), 0u);
	EXPECT_EQ(table->entries(), 0u);
	EXPECT_TRUE(dir.names().empty());
	ASSERT_TRUE(model.refill(*table));
	EXPECT_TRUE(model.agrees(*table));
}

TEST(chunk_table, finds_go_on_while_others_insert_flush_merge_and_kill)
{
	chunk_table_dir dir;
	chunk_table_model const model;
	auto const table = model.open_filled(dir.runs(), {.memory_entries = 2000});
	constexpr std::uint32_t containers = 120;
	constexpr std::size_t per_container = 200;
	random_source random(8);
	std::vector<std::vector<hash32>> lists;
	for (std::uint32_t i = 0; i < containers; ++i) lists.push_back(random_hashes(random, per_container));

	std::atomic<std::uint32_t> inserted{0};
	std::atomic<bool> done{false};
	std::atomic<int> wrong{0};
	auto const finder = [&](std::uint64_t seed) {
		random_source own(seed);
		std::vector<std::optional<chunk_location>> places(per_container);
		while (!done)
		{
			auto const known = inserted.load();
			if (known == 0) continue;
			// every third is killed at some time
			auto const id = std::uint32_t(own.between(0, known - 1));
			if (id % 3 == 1) continue;
			auto const one = table->find(lists[id][own.between(0, per_container - 1)]);
			if (!one || one->size() != 1 || (*one)[0].container != id) ++wrong;
			if (!table->find(lists[id], places)) ++wrong;
			for (std::uint32_t i = 0; i < per_container; ++i)
				if (!places[i] || places[i]->container != id || places[i]->ordinal != i) ++wrong;
		}
	};
	auto const merger = [&] {
		while (!done)
			if (table->wants_merge() && !table->merge()) ++wrong;
	};
	std::vector<std::thread> threads;
	for (std::uint64_t i = 0; i < 3; ++i) threads.emplace_back(finder, i);
	threads.emplace_back(merger);
	for (std::uint32_t id = 0; id < containers; ++id)
	{
		std::vector<chunk_entry> list;
		for (auto const& h : lists[id]) list.push_back({h, list.size() * 10, 10});
		if (!table->insert(id, list)) ++wrong;
		inserted = id + 1;
		if (id > 30 && (id - 30) % 3 == 1) table->kill(id - 30);
		if (table->wants_flush() && !table->flush()) ++wrong;
	}
	done = true;
	for (auto& t : threads) t.join();
	EXPECT_EQ(wrong, 0);
	EXPECT_GT(table->covered_until(), 0u);
}

TEST(run_filter, holds_all_that_was_added_and_little_else)
{
	constexpr std::uint64_t count = 20000;
	run_filter filter(run_filter::blocks_for(count));
	random_source random(10);
	auto const hashes = random_hashes(random, count);
	for (auto const& h : hashes) filter.add(h.raw.data());
	for (auto const& h : hashes) ASSERT_TRUE(filter.may_hold(h.raw.data()));
	std::size_t passed = 0;
	for (auto const& h : random_hashes(random, count)) passed += filter.may_hold(h.raw.data()) ? 1 : 0;
	EXPECT_LT(passed, count / 75);
}

TEST(checksum64, sees_one_or_two_flipped_bits_every_length_and_every_seed)
{
	bytes data(200);
	std::set<std::uint64_t> sums{checksum64(data, 1), checksum64(data, 2)};
	std::size_t expected = 2;
	// all different from each other: so no flip makes up for another
	for (std::size_t bit = 0; bit < data.size() * 8; ++bit, ++expected)
	{
		data[bit / 8] ^= std::uint8_t(1u << bit % 8);
		sums.insert(checksum64(data, 1));
		data[bit / 8] ^= std::uint8_t(1u << bit % 8);
	}
	for (std::size_t size = 0; size < data.size(); ++size, ++expected) sums.insert(checksum64(bytes_view(data).first(size), 1));
	EXPECT_EQ(sums.size(), expected);
}

run_size entries(std::uint64_t n, std::uint32_t containers = 10, std::uint32_t dead = 0) { return {n, containers, dead}; }

std::pair<std::size_t, std::size_t> chosen(std::vector<run_size> const& runs)
{
	auto const r = choose_merge(runs, 100);
	return {r.first, r.count};
}

TEST(choose_merge, takes_the_newest_of_a_size_and_what_they_reach)
{
	using range = std::pair<std::size_t, std::size_t>;
	EXPECT_EQ(chosen({}).second, 0u);
	EXPECT_EQ(chosen({entries(100), entries(100), entries(100)}).second, 0u);
	EXPECT_EQ(chosen({entries(100), entries(100), entries(100), entries(100)}), (range{0, 4}));
	EXPECT_EQ(chosen({entries(1000), entries(100), entries(1), entries(100), entries(0)}), (range{1, 4}));
	EXPECT_EQ(chosen({entries(300), entries(100), entries(100), entries(100)}), (range{0, 4}));
	EXPECT_EQ(chosen({entries(301), entries(100), entries(100), entries(100)}).second, 0u);
	EXPECT_EQ(chosen({entries(1000, 10, 6), entries(100)}), (range{0, 1}));
	EXPECT_EQ(chosen({entries(1000, 10, 5), entries(100)}).second, 0u);
}

TEST(choose_merge, keeps_runs_few_and_writing_bounded)
{
	random_source random(9);
	for (bool const even : {true, false})
	{
		std::vector<run_size> runs;
		std::uint64_t all = 0, written = 0;
		for (int i = 0; i < 3000; ++i)
		{
			runs.push_back(entries(even ? 100 : random.between(1, 200)));
			all += runs.back().entries;
			written += runs.back().entries;
			for (auto r = choose_merge(runs, 100); r.count > 0; r = choose_merge(runs, 100))
			{
				std::uint64_t sum = 0;
				for (std::size_t k = 0; k < r.count; ++k) sum += runs[r.first + k].entries;
				written += sum;
				runs.erase(runs.begin() + std::ptrdiff_t(r.first + 1), runs.begin() + std::ptrdiff_t(r.first + r.count));
				runs[r.first] = entries(sum);
			}
			ASSERT_LE(runs.size(), 16u);
		}
		EXPECT_LT(written, all * 10);
	}
}

} // namespace
