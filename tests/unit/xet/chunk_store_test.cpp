#include "xet/added_files.hpp"
#include "xet/store_upkeep.hpp"
#include "xet/store_writer.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <random>

using namespace xet;

namespace {

bytes random_bytes(std::size_t n, unsigned seed)
{
	std::mt19937_64 random(seed);
	bytes out(n);
	for (auto& b : out) b = std::uint8_t(random());
	return out;
}

struct piece
{
	hash32 hash;
	bytes data;
};

piece make_piece(std::size_t size, unsigned seed)
{
	auto data = random_bytes(size, seed);
	return {chunk_hash(hash_kind::blake3, data), std::move(data)};
}

class a_store : public testing::Test
{
protected:
	void SetUp() override
	{
		m_dir = std::filesystem::temp_directory_path() / ("store_test_" + std::to_string(::getpid()) + "_"
			+ testing::UnitTest::GetInstance()->current_test_info()->name());
		std::filesystem::remove_all(m_dir);
		open();
	}
	void TearDown() override
	{
		store.reset();
		std::filesystem::remove_all(m_dir);
	}
	void open()
	{
		store.reset();
		store_options o = options;
		o.now = [this] { return now; };
		auto opened = chunk_store::open(system_files(), m_dir, o, &note);
		ASSERT_TRUE(opened) << opened.error().message;
		store = std::move(*opened);
	}
	void put(std::vector<piece> const& pieces, std::string const& holder)
	{
		store_writer w(*store, hash_kind::blake3);
		for (piece const& p : pieces) ASSERT_TRUE(w.put(p.hash, p.data));
		auto const done = w.commit(holder, 0);
		ASSERT_TRUE(done) << done.error().message;
	}
	void expect_all(std::vector<piece> const& pieces)
	{
		for (piece const& p : pieces)
		{
			auto const data = store->read(hash_kind::blake3, p.hash);
			ASSERT_TRUE(data) << data.error().message;
			EXPECT_EQ(*data, p.data);
		}
	}
	std::vector<std::filesystem::path> xorbs() const
	{
		std::vector<std::filesystem::path> out;
		for (auto const& e : std::filesystem::directory_iterator(m_dir / "xorbs" / "blake3")) out.push_back(e.path());
		std::sort(out.begin(), out.end());
		return out;
	}
	static void flip(std::filesystem::path const& file, std::uint64_t offset)
	{
		std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
		f.seekg(std::streamoff(offset));
		char c = 0;
		f.get(c);
		f.seekp(std::streamoff(offset));
		f.put(char(c ^ 1));
	}
	static std::vector<piece> pieces(std::size_t count, unsigned seed, std::size_t size = 10'000)
	{
		std::vector<piece> out;
		for (std::size_t i = 0; i < count; ++i) out.push_back(make_piece(size + i, seed * 1000 + unsigned(i)));
		return out;
	}
	std::vector<std::string> problems(bool content = true)
	{
		auto const found = store_upkeep(*store).check(content);
		EXPECT_TRUE(found) << found.error().message;
		return found ? *found : std::vector<std::string>{"check failed"};
	}

	std::filesystem::path m_dir;
	store_options options;
	std::int64_t now = 1'000'000;
	std::string note;
	std::unique_ptr<chunk_store> store;
};

TEST_F(a_store, gives_back_what_was_put_also_after_a_restart)
{
	auto const p = pieces(20, 1);
	put(p, "a");
	expect_all(p);
	open();
	EXPECT_EQ(note, "");
	expect_all(p);
	EXPECT_TRUE(problems().empty());
	EXPECT_EQ(store->read(hash_kind::blake3, hash32{}).error().code, errc::not_found);
	EXPECT_EQ(store->read(hash_kind::sha256, p[0].hash).error().code, errc::not_found);
}

TEST_F(a_store, keeps_a_chunk_once)
{
	auto const p = pieces(20, 1);
	put(p, "a");
	auto const before = store->stats()->xorb_bytes;
	put(p, "b");
	EXPECT_EQ(store->stats()->xorb_bytes, before);
	EXPECT_EQ(store->stats()->chunks, 20u);
	std::uint32_t refs = 0;
	ASSERT_TRUE(store->for_each([&](chunk_store::listed const& c) { refs += c.refs; return true; }));
	EXPECT_EQ(refs, 40u);
}

TEST_F(a_store, fills_several_xorbs_and_finds_chunks_that_are_not_written_yet)
{
	options.xorb_payload_bytes = 64 * 1024;
	open();
	auto p = pieces(50, 1);
	auto const twice = p;
	p.insert(p.end(), twice.begin(), twice.end());
	put(p, "a");
	EXPECT_GT(xorbs().size(), 5u);
	EXPECT_EQ(store->stats()->chunks, 50u);
	expect_all(p);
}

TEST_F(a_store, compresses_what_pays_and_leaves_what_does_not)
{
	bytes text;
	while (text.size() < 20'000)
		for (char const c : std::string("the quick brown fox " + std::to_string(text.size()))) text.push_back(std::uint8_t(c));
	piece const a{chunk_hash(hash_kind::blake3, text), text};
	put({a}, "text");
	auto const s = store->stats();
	EXPECT_GT(s->compressed_saved_bytes, 10'000u);
	EXPECT_LT(s->xorb_bytes, 10'000u);
	expect_all({a});
}

TEST_F(a_store, collects_only_what_nobody_holds_and_only_when_it_is_old)
{
	auto const a = pieces(5, 1), b = pieces(5, 2);
	put(a, "a");
	put(b, "b");
	store_upkeep upkeep(*store);
	EXPECT_TRUE(upkeep.collect(0, 0, false)->removed.empty());
	ASSERT_TRUE(store->release("a"));
	EXPECT_TRUE(upkeep.collect(100, 0, false)->removed.empty());
	now += 100;
	EXPECT_EQ(upkeep.collect(100, 0, true)->removed.size(), 1u);
	expect_all(a);  // a dry run removes nothing, and reading is a use
	EXPECT_TRUE(upkeep.collect(100, 0, false)->removed.empty());
	now += 100;
	EXPECT_EQ(upkeep.collect(100, 0, false)->removed.size(), 1u);
	EXPECT_FALSE(store->read(hash_kind::blake3, a[0].hash));
	expect_all(b);
	EXPECT_EQ(xorbs().size(), 1u);
	open();
	EXPECT_FALSE(store->contains(hash_kind::blake3, a[0].hash));
	EXPECT_TRUE(problems().empty());
}

TEST_F(a_store, waits_for_the_grace_and_forgives_what_is_used_again)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	ASSERT_TRUE(store->release("a"));
	store_upkeep upkeep(*store);
	EXPECT_EQ(upkeep.collect(0, 60, false)->condemned.size(), 1u);
	now += 30;
	EXPECT_TRUE(upkeep.collect(0, 60, false)->removed.empty());
	expect_all(a);
	now += 30;
	EXPECT_TRUE(upkeep.collect(0, 60, false)->removed.empty()) << "it was read meanwhile";
	now += 60;
	put(a, "again");
	EXPECT_TRUE(upkeep.collect(0, 60, false)->removed.empty());
	expect_all(a);
}

TEST_F(a_store, does_not_collect_what_a_writer_counts_on)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	ASSERT_TRUE(store->release("a"));
	store_writer w(*store, hash_kind::blake3);
	for (piece const& p : a) ASSERT_TRUE(w.put(p.hash, p.data));
	EXPECT_EQ(w.new_bytes(), 0u);
	EXPECT_TRUE(store_upkeep(*store).collect(0, 0, false)->removed.empty());
	ASSERT_TRUE(w.commit("b", 0));
	EXPECT_TRUE(store_upkeep(*store).collect(0, 0, false)->removed.empty());
	expect_all(a);
}

TEST_F(a_store, packs_sparse_xorbs_and_moves_the_references)
{
	options.xorb_payload_bytes = 100'000;
	open();
	auto const all = pieces(9, 1);
	std::vector<piece> const kept{all[1], all[4], all[7]};
	put(all, "all");
	put(kept, "some");
	ASSERT_TRUE(store->release("all"));
	auto const before = store->stats()->xorb_bytes;
	auto const report = store_upkeep(*store).pack(false);
	ASSERT_TRUE(report) << report.error().message;
	EXPECT_EQ(report->xorbs_before, 1u);
	EXPECT_LT(store->stats()->xorb_bytes, before / 2);
	EXPECT_EQ(store->stats()->chunks, 3u);
	expect_all(kept);
	EXPECT_FALSE(store->contains(hash_kind::blake3, all[0].hash));
	EXPECT_TRUE(store_upkeep(*store).collect(0, 0, false)->removed.empty());
	open();
	expect_all(kept);
	EXPECT_TRUE(problems().empty());
}

TEST_F(a_store, puts_small_xorbs_together)
{
	std::vector<piece> all;
	for (unsigned i = 0; i < 10; ++i)
	{
		auto const some = pieces(2, i + 1);
		put(some, "holder " + std::to_string(i));
		all.insert(all.end(), some.begin(), some.end());
	}
	EXPECT_EQ(xorbs().size(), 10u);
	ASSERT_TRUE(store_upkeep(*store).pack(false));
	EXPECT_EQ(xorbs().size(), 1u);
	expect_all(all);
	auto const again = store_upkeep(*store).pack(false);
	EXPECT_EQ(again->xorbs_before, 0u) << "there is nothing more to do";
}

TEST_F(a_store, is_the_same_after_its_index_was_lost)
{
	auto const a = pieces(20, 1), b = pieces(20, 2);
	put(a, "a");
	put(b, "b");
	auto const before = store->fingerprint();
	store.reset();
	ASSERT_TRUE(store_upkeep::forget_index(system_files(), m_dir));
	open();
	expect_all(a);
	std::vector<hash32> hashes;
	for (auto const& p : a) hashes.push_back(p.hash);
	ASSERT_TRUE(store->hold_only("a", 0, hash_kind::blake3, hashes, chunk_store::others::may_lie_elsewhere));
	hashes.clear();
	for (auto const& p : b) hashes.push_back(p.hash);
	ASSERT_TRUE(store->hold_only("b", 0, hash_kind::blake3, hashes, chunk_store::others::may_lie_elsewhere));
	EXPECT_EQ(*store->fingerprint(), *before);
}

TEST_F(a_store, makes_a_damaged_index_again)
{
	auto const a = pieces(200, 1);
	put(a, "a");
	auto const size = [&] {
		store.reset();
		return std::filesystem::file_size(m_dir / "index.db");
	}();
	for (std::uint64_t at = 0; at < size; at += size / 37)
	{
		flip(m_dir / "index.db", at);
		open();
		expect_all(a);
		EXPECT_TRUE(problems().empty()) << "after a flipped bit at " << at << ": " << problems().front();
		store.reset();
	}
	std::filesystem::resize_file(m_dir / "index.db", size / 2);
	open();
	EXPECT_NE(note, "");
	expect_all(a);
}

TEST_F(a_store, never_serves_a_flipped_bit_and_wants_the_chunk)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	flip(xorbs().front(), 20 + 40 + 5000);  // in the first chunk
	auto const data = store->read(hash_kind::blake3, a[0].hash);
	ASSERT_FALSE(data);
	EXPECT_EQ(data.error().code, errc::mismatch);
	EXPECT_NE(data.error().message.find(xorbs().front().filename().string()), std::string::npos) << data.error().message;
	for (std::size_t i = 1; i < 5; ++i) EXPECT_TRUE(store->read(hash_kind::blake3, a[i].hash));
	ASSERT_EQ(store->wanted()->size(), 1u);
	EXPECT_EQ(store->wanted()->front().hash, a[0].hash);
	EXPECT_FALSE(problems().empty());

	put({a[0]}, "b");  // somebody brings it
	EXPECT_TRUE(store->wanted()->empty());
	expect_all(a);
	ASSERT_TRUE(store->release("b"));
	ASSERT_TRUE(store_upkeep(*store).collect(0, 0, false));
	expect_all(a);  // its old holder holds it again
}

TEST_F(a_store, scrubs_and_repairs_from_another_copy)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	flip(xorbs().front(), 20 + 40 + 5000);
	std::filesystem::create_directories(m_dir / "xet_chunks");
	std::ofstream(store->loose_path(a[0].hash), std::ios::binary).write(reinterpret_cast<char const*>(a[0].data.data()), std::streamsize(a[0].data.size()));
	auto const report = store_upkeep(*store).scrub(0, {});
	ASSERT_TRUE(report) << report.error().message;
	EXPECT_EQ(report->bad_chunks, 1u);
	EXPECT_EQ(report->repaired_chunks, 1u);
	EXPECT_EQ(report->lost_chunks, 0u);
	EXPECT_TRUE(report->finished);
	std::filesystem::remove_all(m_dir / "xet_chunks");
	expect_all(a);
	EXPECT_TRUE(problems().empty());
	open();
	expect_all(a);
}

TEST_F(a_store, scrubs_what_cannot_be_repaired_out_of_the_way)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	flip(xorbs().front(), 20 + 40 + 5000);
	auto const report = store_upkeep(*store).scrub(0, {});
	ASSERT_TRUE(report) << report.error().message;
	EXPECT_EQ(report->lost_chunks, 1u);
	EXPECT_EQ(store->wanted()->size(), 1u);
	open();
	EXPECT_EQ(store->wanted()->size(), 1u);
	EXPECT_FALSE(store->contains(hash_kind::blake3, a[0].hash));
	expect_all({a[1], a[2], a[3], a[4]});
	put({a[0]}, "b");
	expect_all(a);
	EXPECT_TRUE(problems().empty());
}

TEST_F(a_store, remembers_where_a_scrub_stopped)
{
	for (unsigned i = 0; i < 4; ++i) put(pieces(2, i + 1), "a");
	int seen = 0;
	auto const first = store_upkeep(*store).scrub(0, {}, [&](auto, auto) { return ++seen < 2; });
	EXPECT_EQ(first->xorbs, 2u);
	EXPECT_FALSE(first->finished);
	open();
	auto const second = store_upkeep(*store).scrub(0, {});
	EXPECT_EQ(second->xorbs, 2u);
	EXPECT_TRUE(second->finished);
	double slept = 0;
	auto const third = store_upkeep(*store).scrub(1000, [&](double seconds) { slept += seconds; return true; });
	EXPECT_EQ(third->xorbs, 4u);
	EXPECT_NEAR(slept, double(8 * 10'000) / 1000, 1);
}

TEST_F(a_store, saves_what_is_whole_of_a_truncated_xorb)
{
	auto const a = pieces(10, 1);
	put(a, "a");
	auto const x = xorbs().front();
	store.reset();
	std::filesystem::resize_file(x, 20 + 5 * 10'050);
	open();
	EXPECT_NE(note.find(x.filename().string()), std::string::npos) << note;
	expect_all({a[0], a[1], a[2], a[3]});
	auto const report = store_upkeep(*store).scrub(0, {});
	ASSERT_TRUE(report) << report.error().message;
	EXPECT_EQ(store->wanted()->size(), report->lost_chunks);
	EXPECT_GT(report->lost_chunks, 4u);
	expect_all({a[0], a[1], a[2], a[3]});

	// the same without an index
	auto const y = xorbs().front();
	store.reset();
	ASSERT_TRUE(store_upkeep::forget_index(system_files(), m_dir));
	std::filesystem::resize_file(y, std::filesystem::file_size(y) - 9000);
	open();
	EXPECT_NE(note.find("damaged"), std::string::npos) << note;
	expect_all({a[0], a[1], a[2]});
}

TEST_F(a_store, notices_a_xorb_that_vanished)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	auto const x = xorbs().front();
	store.reset();
	std::filesystem::remove(x);
	open();
	EXPECT_NE(note.find("is gone"), std::string::npos) << note;
	EXPECT_EQ(store->wanted()->size(), 5u);
	put(a, "b");
	EXPECT_TRUE(store->wanted()->empty());
}

TEST_F(a_store, holds_again_what_was_gone_for_a_while)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	auto const x = xorbs().front();
	store.reset();
	std::filesystem::rename(x, m_dir / "elsewhere");
	open();
	EXPECT_EQ(store->wanted()->size(), 5u);
	store.reset();
	std::filesystem::rename(m_dir / "elsewhere", x);
	open();
	EXPECT_TRUE(store->wanted()->empty());
	EXPECT_TRUE(store_upkeep(*store).collect(0, 0, false)->removed.empty());
	expect_all(a);
	EXPECT_TRUE(problems().empty());
}

// The same xorb as somebody else may have written it: its hash does not tell whether chunks are compressed.
TEST_F(a_store, takes_a_xorb_with_another_layout)
{
	std::vector<piece> a;
	for (unsigned i = 0; i < 4; ++i)
	{
		bytes text(9000 + i, std::uint8_t('a' + i));
		a.push_back({chunk_hash(hash_kind::blake3, text), text});
	}
	put(a, "a");
	auto const write_raw = [&] {
		xorb_builder builder(hash_kind::blake3);
		for (piece const& p : a) builder.add(p.hash, p.data);
		auto const built = builder.finish(compression::none);
		EXPECT_EQ(to_hex(built.hash.view()) + ".xorb", xorbs().front().filename().string());
		std::ofstream(xorbs().front(), std::ios::binary).write(reinterpret_cast<char const*>(built.file.data()), std::streamsize(built.file.size()));
	};
	write_raw();
	auto const report = store_upkeep(*store).scrub(0, {});
	ASSERT_TRUE(report) << report.error().message;
	EXPECT_EQ(report->lost_chunks, 0u);
	expect_all(a);
	EXPECT_TRUE(problems().empty());

	store.reset();
	std::filesystem::remove_all(m_dir);
	open();
	put(a, "a");
	write_raw();
	open();
	expect_all(a);
	EXPECT_TRUE(problems().empty());
	EXPECT_TRUE(store_upkeep(*store).collect(0, 0, false)->removed.empty());
}

TEST_F(a_store, keeps_a_writers_promise_when_the_xorb_it_counts_on_is_written_anew)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	ASSERT_TRUE(store->release("a"));
	store_writer first(*store, hash_kind::blake3);
	for (piece const& p : a) ASSERT_TRUE(first.put(p.hash, p.data));
	flip(xorbs().front(), 20 + 40 + 5000);
	EXPECT_FALSE(store->read(hash_kind::blake3, a[0].hash));
	{
		store_writer second(*store, hash_kind::blake3);
		for (piece const& p : a) ASSERT_TRUE(second.put(p.hash, p.data));
		ASSERT_TRUE(second.flush());
	}
	EXPECT_TRUE(store_upkeep(*store).collect(0, 0, false)->removed.empty());
	ASSERT_TRUE(first.commit("b", 0));
	expect_all(a);
	EXPECT_TRUE(problems().empty());
}

TEST_F(a_store, takes_a_damaged_chunk_again_after_a_restart_too)
{
	auto const a = pieces(5, 1);
	put(a, "a");
	flip(xorbs().front(), 20 + 40 + 5000);
	EXPECT_FALSE(store->read(hash_kind::blake3, a[0].hash));
	open();
	EXPECT_FALSE(store->contains(hash_kind::blake3, a[0].hash));
	put(a, "b");
	expect_all(a);
}

TEST_F(a_store, mends_a_foreign_xorb_with_more_chunks_than_ours_have)
{
	constexpr std::uint32_t many = 3 * max_xorb_chunks;
	xorb_builder builder(hash_kind::blake3, max_xorb_bytes, many);
	std::vector<piece> all;
	for (unsigned i = 0; i < many; ++i)
	{
		bytes data{std::uint8_t(i), std::uint8_t(i >> 8), std::uint8_t(i >> 16), 7};
		all.push_back({chunk_hash(hash_kind::blake3, data), data});
		builder.add(all.back().hash, data);
	}
	auto const built = builder.finish(compression::none);
	auto const path = store->xorb_path(hash_kind::blake3, built.hash);
	store.reset();
	std::ofstream(path, std::ios::binary).write(reinterpret_cast<char const*>(built.file.data()), std::streamsize(built.file.size()));
	flip(path, 20 + 40);
	open();
	auto const report = store_upkeep(*store).scrub(0, {});
	ASSERT_TRUE(report) << report.error().message;
	EXPECT_EQ(report->bad_chunks, 1u);
	EXPECT_FALSE(store->read(hash_kind::blake3, all.front().hash));
	expect_all({all[1], all[many / 2], all.back()});
}

TEST_F(a_store, keeps_to_its_quota)
{
	options.quota_bytes = 50'000;
	open();
	put(pieces(3, 1), "a");
	store_writer w(*store, hash_kind::blake3);
	for (auto const& p : pieces(5, 2)) ASSERT_TRUE(w.put(p.hash, p.data));
	auto const done = w.commit("b", 0);
	ASSERT_FALSE(done);
	EXPECT_EQ(done.error().code, errc::no_space);
	EXPECT_NE(done.error().message.find("quota"), std::string::npos);
	EXPECT_EQ(xorbs().size(), 1u);
}

TEST_F(a_store, leaves_a_reserve_of_the_disk)
{
	options.reserve_bytes = UINT64_MAX / 2;
	open();
	store_writer w(*store, hash_kind::blake3);
	for (auto const& p : pieces(5, 2)) ASSERT_TRUE(w.put(p.hash, p.data));
	EXPECT_EQ(w.commit("b", 0).error().code, errc::no_space);
}

TEST_F(a_store, is_for_one_process)
{
	auto const second = chunk_store::open(system_files(), m_dir);
	ASSERT_FALSE(second);
	EXPECT_EQ(second.error().code, errc::refused);
}

struct a_source : chunk_source
{
	bool may_have(hash_kind, hash32 const& h) const override { return h == p.hash; }
	std::optional<bytes> read(hash_kind, hash32 const&) const override { return p.data; }
	piece p;
};

TEST_F(a_store, reads_from_sources_and_verifies_them)
{
	auto const s = std::make_shared<a_source>();
	s->p = make_piece(9000, 7);
	store->add_source(s);
	expect_all({s->p});
	s->p.data[5] ^= 1;
	EXPECT_EQ(store->read(hash_kind::blake3, s->p.hash).error().code, errc::not_found);
	store->remove_source(s.get());
}

class added : public a_store
{
protected:
	void write(std::string const& name, bytes const& data)
	{
		auto const path = m_dir / "in" / name;
		std::filesystem::create_directories(path.parent_path());
		std::ofstream(path, std::ios::binary).write(reinterpret_cast<char const*>(data.data()), std::streamsize(data.size()));
	}
	bytes get(added_files& files, hash32 const& h)
	{
		bytes out;
		auto const done = files.read(h, [&](bytes_view b) { append(out, b); return true; });
		EXPECT_TRUE(done) << done.error().message;
		return out;
	}
};

TEST_F(added, files_come_back_and_go)
{
	auto const big = random_bytes(3'000'000, 1), small = random_bytes(100, 2);
	write("a/big", big);
	write("a/small", small);
	write("a/empty", {});
	write("a/copy", big);
	added_files files(*store);
	auto const done = files.add({m_dir / "in" / "a"}, {});
	ASSERT_TRUE(done) << done.error().message;
	EXPECT_EQ(done->files.size(), 4u);
	EXPECT_EQ(done->bytes, 6'000'100u);
	EXPECT_EQ(done->new_bytes, 3'000'100u);
	auto const listed = files.list();
	ASSERT_EQ(listed->size(), 4u);
	EXPECT_EQ(listed->at(0).path, "a/big");
	for (auto const& f : *listed) EXPECT_EQ(get(files, f.hash).size(), f.size);
	EXPECT_EQ(get(files, listed->at(0).hash), big);
	EXPECT_EQ(store->stats()->logical_bytes, 6'000'100u);
	EXPECT_EQ(files.add({m_dir / "in" / "a"}, {})->new_bytes, 0u);
	EXPECT_EQ(files.list()->size(), 4u) << "the same again is the same";

	auto const before = store->fingerprint();
	store.reset();
	ASSERT_TRUE(store_upkeep::forget_index(system_files(), m_dir));
	open();
	added_files again(*store);
	ASSERT_TRUE(again.restore(note));
	EXPECT_EQ(*store->fingerprint(), *before);

	EXPECT_EQ(*again.remove(listed->at(0).hash), 2u);
	EXPECT_EQ(again.list()->size(), 2u);
	ASSERT_TRUE(store_upkeep(*store).pack(false));
	ASSERT_TRUE(store_upkeep(*store).collect(0, 0, false));
	EXPECT_EQ(store->stats()->unique_bytes, 100u);
	auto const left = again.list();
	for (auto const& f : *left) EXPECT_EQ(get(again, f.hash).size(), f.size);
}

TEST_F(added, what_cannot_be_read_is_named)
{
	write("x", {1, 2, 3});
	std::filesystem::create_symlink("x", m_dir / "in" / "link");
	added_files files(*store);
	auto const done = files.add({m_dir / "in", m_dir / "nothing"}, {});
	ASSERT_TRUE(done);
	EXPECT_EQ(done->files.size(), 1u);
	EXPECT_EQ(done->skipped.size(), 2u);
}

} // namespace
