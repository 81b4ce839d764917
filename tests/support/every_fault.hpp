#pragma once
// Runs a workload once for every operation it makes of a disk, each time with a fault at that operation and then a cut, and
// checks what is left:
//
//	EXPECT_TRUE(for_every_fault(
//		[](faulty_disk& disk) { return names_of_what_the_store_said_is_safe(disk); },
//		[](faulty_disk& disk, auto const& acknowledged) -> testing::AssertionResult { ... },
//		{.kinds = {fault_kind::crash}}));
//
// The workload must put up with errors, and close what it opened. The check runs on a disk without faults, several times per
// workload, each time on another outcome of the cut. The first failure ends it; its message names all that is needed to
// run that case alone, and the last operations.

#include "tests/support/faulty_disk.hpp"

#include <functional>
#include <gtest/gtest.h>
#include <limits>

namespace ut_xet_test {

enum class fault_kind
{
	crash,
	io_once,
	io_once_then_crash,  // somewhere later; what a program closes in order after an error hides what the error did
	io_from_then_on,
	no_space_once,
	no_space_from_then_on,
};

char const* name_of(fault_kind kind);

struct fault_options
{
	std::vector<fault_kind> kinds{fault_kind::crash, fault_kind::io_once, fault_kind::io_once_then_crash,
		fault_kind::io_from_then_on, fault_kind::no_space_once, fault_kind::no_space_from_then_on};
	std::vector<cut> cuts{cut::kill, cut::synced_only, cut::prefix, cut::subset};
	// for the cuts that depend on chance
	unsigned tries_per_cut = 2;
	// What is on the disk before; runs without faults, once, and counts as durable.
	std::function<void(faulty_disk&)> prepare = {};
	// Opens and closes what the workload wrote. When given, half of the checks come after a recovery that was itself cut off
	// somewhere, or was cut off after it was done.
	std::function<void(faulty_disk&)> recover = {};
	// The operations to strike; `every` thins them out.
	std::uint64_t from = 0, to = std::numeric_limits<std::uint64_t>::max(), every = 1;
	std::uint64_t seed = 1;
};

using disk_check = std::function<testing::AssertionResult(faulty_disk&)>;

// The same, for a workload that returns the check of what it did.
testing::AssertionResult run_every_fault(std::function<disk_check(faulty_disk&)> const& workload, fault_options const& options);

template <class Workload, class Verify>
testing::AssertionResult for_every_fault(Workload const& workload, Verify const& verify, fault_options const& options = {})
{
	return run_every_fault(
		[&](faulty_disk& disk) -> disk_check
		{ return [&verify, acknowledged = workload(disk)](faulty_disk& d) { return verify(d, acknowledged); }; },
		options);
}

} // namespace ut_xet_test
