// The store on a disk that fails: at every single operation of a small life of a store, the process dies or the operation
// fails, and then the power goes, too. What was acknowledged must be there, nothing may refer to what is not, and an
// index made again from the xorbs must know the same.

#include "tests/support/every_fault.hpp"
#include "xet/added_files.hpp"
#include "xet/store_upkeep.hpp"
#include "xet/store_writer.hpp"

#include <random>

using namespace xet;
using namespace ut_xet_test;

namespace {

constexpr char const* dir = "/node/store";

struct piece
{
	hash32 hash;
	bytes data;
};

piece piece_number(unsigned n)
{
	std::mt19937 random(n + 1);
	bytes data(1000 + 37 * n);
	for (auto& b : data) b = std::uint8_t(random());
	// every third one can be compressed
	if (n % 3 == 0) std::fill(data.begin() + 100, data.end(), std::uint8_t(n));
	return {chunk_hash(hash_kind::blake3, data), data};
}

// What the store said is safe, and what was asked of it that may have happened or not.
struct promise
{
	std::map<std::string, std::set<unsigned>> held;      // holder → numbers of chunks
	std::map<std::string, std::set<unsigned>> in_flight;
	std::set<std::string> maybe_released;
};

std::unique_ptr<chunk_store> open_store(faulty_disk& disk)
{
	store_options o;
	o.overlap = false;  // so that operations come in the same order every time
	o.reserve_bytes = 0;
	o.xorb_payload_bytes = 8 * 1024;
	o.now = [&disk] { return disk.clock(); };
	auto store = chunk_store::open(disk, dir, o);
	return store ? std::move(*store) : nullptr;
}

void put(chunk_store& store, promise& p, std::string const& holder, unsigned from, unsigned to)
{
	store_writer writer(store, hash_kind::blake3);
	bool good = true;
	for (unsigned n = from; n < to; ++n)
	{
		p.in_flight[holder].insert(n);
		auto const one = piece_number(n);
		good = good && writer.put(one.hash, one.data);
	}
	if (!good || !writer.commit(holder, 0)) return;
	for (unsigned n = from; n < to; ++n) p.held[holder].insert(n);
}

void release(chunk_store& store, promise& p, std::string const& holder)
{
	p.maybe_released.insert(holder);
	(void)store.release(holder);
}

promise a_life(faulty_disk& disk)
{
	promise p;
	if (auto const store = open_store(disk))
	{
		put(*store, p, "a", 0, 12);
		put(*store, p, "b", 8, 20);
		put(*store, p, "c", 20, 22);
		release(*store, p, "a");
		(void)store_upkeep(*store).collect(0, 0, false);
		(void)store_upkeep(*store).pack(false);
	}
	if (auto const store = open_store(disk))
	{
		put(*store, p, "d", 0, 4);
		(void)store_upkeep(*store).scrub(0, {});
		release(*store, p, "c");
		(void)store_upkeep(*store).collect(0, 0, false);
	}
	return p;
}

testing::AssertionResult says(chunk_store& store, promise const& p)
{
	for (auto const& [holder, numbers] : p.held)
	{
		if (p.maybe_released.contains(holder)) continue;
		for (unsigned const n : numbers)
		{
			auto const one = piece_number(n);
			auto const data = store.read(hash_kind::blake3, one.hash);
			if (!data) return testing::AssertionFailure() << "chunk " << n << " of " << holder << " is lost: " << data.error().message;
			if (*data != one.data) return testing::AssertionFailure() << "chunk " << n << " came back with another content";
		}
	}
	auto const problems = store_upkeep(store).check(true);
	if (!problems) return testing::AssertionFailure() << "check: " << problems.error().message;
	if (!problems->empty()) return testing::AssertionFailure() << "check: " << problems->front();
	return testing::AssertionSuccess();
}

// Nothing that is held goes when the rest is collected, and that what is held is what the holders were given.
testing::AssertionResult is_whole(faulty_disk& disk, promise const& p)
{
	auto store = open_store(disk);
	if (!store) return testing::AssertionFailure() << "the store does not open";
	if (auto const first = says(*store, p); !first) return first;
	disk.set_clock(disk.clock() + 1);
	if (auto const done = store_upkeep(*store).collect(0, 0, false); !done) return testing::AssertionFailure() << done.error().message;
	if (auto const done = store_upkeep(*store).pack(false); !done) return testing::AssertionFailure() << done.error().message;
	if (auto second = says(*store, p); !second) return second << " (after collecting and packing)";

	std::map<std::string, std::vector<hash32>> held;
	auto const holders = store->holders();
	if (!holders) return testing::AssertionFailure() << holders.error().message;
	for (auto const& h : *holders)
	{
		auto const asked = p.in_flight.find(h.name);
		if (asked == p.in_flight.end()) return testing::AssertionFailure() << "nobody made the holder " << h.name;
		for (unsigned const n : asked->second) held[h.name].push_back(piece_number(n).hash);
	}
	auto const before = store->fingerprint();
	store.reset();
	if (auto const gone = store_upkeep::forget_index(disk, dir); !gone) return testing::AssertionFailure() << gone.error().message;
	store = open_store(disk);
	if (!store) return testing::AssertionFailure() << "the store does not open without its index";
	for (auto const& [holder, chunks] : held)
		if (auto const done = store->hold_only(holder, 0, hash_kind::blake3, chunks, chunk_store::others::may_lie_elsewhere); !done) return testing::AssertionFailure() << done.error().message;
	if (auto third = says(*store, p); !third) return third << " (after the index was made again)";
	auto const after = store->fingerprint();
	// a holder whose commit did not come through may hold less than it was given: then the two differ rightly
	bool const complete = std::all_of(held.begin(), held.end(), [&](auto const& h) {
		auto const known = p.held.find(h.first);
		return known != p.held.end() && known->second == p.in_flight.at(h.first);
	});
	if (complete && (!before || !after || *before != *after)) return testing::AssertionFailure() << "the index made again differs";
	return testing::AssertionSuccess();
}

fault_options everywhere()
{
	fault_options o;
	o.prepare = [](faulty_disk& d) { (void)d.make_dirs("/node"); };
	o.recover = [](faulty_disk& d) { (void)open_store(d); };
	o.tries_per_cut = 1;
	return o;
}

TEST(a_store_on_a_failing_disk, lives_without_faults)
{
	faulty_disk disk;
	(void)disk.make_dirs("/node");
	auto const p = a_life(disk);
	EXPECT_EQ(p.held.size(), 4u);
	EXPECT_TRUE(is_whole(disk, p));
}

TEST(a_store_on_a_failing_disk, loses_nothing_when_the_process_dies)
{
	auto o = everywhere();
	o.kinds = {fault_kind::crash};
	EXPECT_TRUE(for_every_fault(a_life, is_whole, o));
}

TEST(a_store_on_a_failing_disk, loses_nothing_when_an_operation_fails)
{
	auto o = everywhere();
	o.kinds = {fault_kind::io_once, fault_kind::io_once_then_crash, fault_kind::io_from_then_on};
	EXPECT_TRUE(for_every_fault(a_life, is_whole, o));
}

TEST(a_store_on_a_failing_disk, loses_nothing_when_the_disk_is_full)
{
	auto o = everywhere();
	o.kinds = {fault_kind::no_space_once, fault_kind::no_space_from_then_on};
	EXPECT_TRUE(for_every_fault(a_life, is_whole, o));
}

} // namespace
