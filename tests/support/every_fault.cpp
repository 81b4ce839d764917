#include "tests/support/every_fault.hpp"

#include <exception>
#include <optional>

namespace ut_xet_test {

namespace {

// A number of its own for each case, so that a case replays alone.
std::uint64_t mix(std::uint64_t a, std::uint64_t b)
{
	random_source first(a);
	return random_source(first.next() ^ b).next();
}

bool depends_on_chance(cut mode) { return mode == cut::prefix || mode == cut::subset; }

void arm(faulty_disk& disk, fault_kind kind, std::uint64_t n, std::uint64_t crash_at)
{
	using lasting = faulty_disk::lasting;
	switch (kind)
	{
	case fault_kind::crash: return disk.crash_at(n);
	case fault_kind::io_once: return disk.fail_at(n, xet::errc::io, lasting::once);
	case fault_kind::io_once_then_crash: disk.fail_at(n, xet::errc::io, lasting::once); return disk.crash_at(crash_at);
	case fault_kind::io_from_then_on: return disk.fail_at(n, xet::errc::io, lasting::from_then_on);
	case fault_kind::no_space_once: return disk.fail_at(n, xet::errc::no_space, lasting::once);
	case fault_kind::no_space_from_then_on: return disk.fail_at(n, xet::errc::no_space, lasting::from_then_on);
	}
}

class fault_runner
{
public:
	fault_runner(std::function<disk_check(faulty_disk&)> const& workload, fault_options const& options)
		: m_workload(workload), m_options(options), m_disk(options.seed)
	{
	}

	testing::AssertionResult run();

private:
	// One outcome of a cut, and what came after it.
	struct outcome
	{
		cut mode;
		std::uint64_t seed;
		bool recovers = false;
		std::string trail{};
	};

	testing::AssertionResult run_without_fault();
	testing::AssertionResult run_with_fault(fault_kind kind, std::uint64_t n);
	testing::AssertionResult check_all_cuts(disk_check const& check, std::uint64_t seed);
	void make(outcome& o, faulty_disk::snapshot const& state);
	testing::AssertionResult check_one(disk_check const& check, outcome o, faulty_disk::snapshot const& state);

	std::function<disk_check(faulty_disk&)> const& m_workload;
	fault_options const& m_options;
	faulty_disk m_disk;
	std::shared_ptr<faulty_disk::snapshot const> m_prepared;
	std::uint64_t m_operations = 0;
	std::uint64_t m_recovery_operations = 0;
	std::uint64_t m_checks = 0;
};

// Leaves the disk as the check is to find it.
void fault_runner::make(outcome& o, faulty_disk::snapshot const& state)
{
	m_disk.restore(state);
	m_disk.reseed(o.seed);
	m_disk.power_cut(o.mode, o.seed);
	o.trail = xet::cat("cut ", name_of(o.mode), " with seed ", o.seed);
	if (!o.recovers) return;

	random_source random(mix(o.seed, 1));
	// half of the recoveries get to their end
	auto const at = random.between(0, std::size_t(2 * m_recovery_operations + 1));
	auto const mode = cut(random.between(0, 3));
	m_disk.crash_at(m_disk.operations() + at);
	m_options.recover(m_disk);
	o.trail += xet::cat(", recovery ", m_disk.struck() ? xet::cat("crashed at its operation ", at) : "done");
	m_disk.power_cut(mode, mix(o.seed, 2));
	o.trail += xet::cat(", cut ", name_of(mode));
}

testing::AssertionResult fault_runner::check_one(disk_check const& check, outcome o, faulty_disk::snapshot const& state)
{
	make(o, state);
	++m_checks;
	auto verdict = testing::AssertionSuccess();
	try
	{
		verdict = check(m_disk);
	}
	catch (std::exception const& e)
	{
		verdict = testing::AssertionFailure() << "the check threw: " << e.what();
	}
	if (verdict) return verdict;
	// once more, for a log without the check's own operations
	make(o, state);
	return verdict << "\nafter " << o.trail << "\nlast operations:\n" << m_disk.log();
}

testing::AssertionResult fault_runner::check_all_cuts(disk_check const& check, std::uint64_t seed)
{
	auto const state = m_disk.save();
	for (auto const mode : m_options.cuts)
	{
		unsigned const tries = (depends_on_chance(mode) ? m_options.tries_per_cut : 1) * (m_options.recover ? 2 : 1);
		for (unsigned i = 0; i < tries; ++i)
		{
			outcome const o{mode, mix(seed, i * 4 + unsigned(mode)), m_options.recover && i % 2 == 1};
			if (auto verdict = check_one(check, o, *state); !verdict) return verdict;
		}
	}
	return testing::AssertionSuccess();
}

testing::AssertionResult fault_runner::run_without_fault()
{
	m_disk.restore(*m_prepared);
	m_disk.reseed(m_options.seed);
	auto const check = m_workload(m_disk);
	m_operations = m_disk.operations();
	auto const state = m_disk.save();
	if (m_options.recover)
	{
		m_options.recover(m_disk);
		m_recovery_operations = m_disk.operations() - m_operations;
		m_disk.restore(*state);
	}
	auto verdict = check_all_cuts(check, m_options.seed);
	if (verdict) return verdict;
	return verdict << "(no fault, seed " << m_options.seed << ", " << m_operations << " operations)";
}

testing::AssertionResult fault_runner::run_with_fault(fault_kind kind, std::uint64_t n)
{
	auto const seed = mix(mix(m_options.seed, std::uint64_t(kind)), n);
	m_disk.restore(*m_prepared);
	m_disk.reseed(seed);
	arm(m_disk, kind, n, random_source(seed).between(n + 1, m_operations));
	auto verdict = testing::AssertionSuccess();
	try
	{
		auto const check = m_workload(m_disk);
		if (!m_disk.struck()) return verdict;
		m_disk.heal();
		verdict = check_all_cuts(check, seed);
	}
	catch (std::exception const& e)
	{
		verdict = testing::AssertionFailure() << "the workload threw: " << e.what() << '\n' << m_disk.log();
	}
	if (verdict) return verdict;
	return verdict << "(" << name_of(kind) << " at operation " << n << " of " << m_operations << "; to run it alone: "
		<< ".kinds = {fault_kind::" << name_of(kind) << "}, .from = " << n << ", .to = " << n << ", .seed = " << m_options.seed << ")";
}

testing::AssertionResult fault_runner::run()
{
	if (m_options.prepare) m_options.prepare(m_disk);
	m_disk.settle();
	m_prepared = m_disk.save();
	if (auto verdict = run_without_fault(); !verdict) return verdict;
	for (auto const kind : m_options.kinds)
		for (auto n = m_options.from; n < m_operations && n <= m_options.to; n += m_options.every)
			if (auto verdict = run_with_fault(kind, n); !verdict) return verdict;
	return testing::AssertionSuccess() << m_operations << " operations, " << m_checks << " checks";
}

} // namespace

char const* name_of(fault_kind kind)
{
	switch (kind)
	{
	case fault_kind::crash: return "crash";
	case fault_kind::io_once: return "io_once";
	case fault_kind::io_once_then_crash: return "io_once_then_crash";
	case fault_kind::io_from_then_on: return "io_from_then_on";
	case fault_kind::no_space_once: return "no_space_once";
	case fault_kind::no_space_from_then_on: return "no_space_from_then_on";
	}
	return "?";
}

testing::AssertionResult run_every_fault(std::function<disk_check(faulty_disk&)> const& workload, fault_options const& options)
{
	return fault_runner(workload, options).run();
}

} // namespace ut_xet_test
