// faulty_disk's other face: what a test does to the disk, and asks of it, beside the operations.
#include "tests/support/faulty_disk.hpp"
#include "tests/support/faulty_vfs.hpp"

#include <sstream>

namespace ut_xet_test {

using namespace xet;

std::uint64_t faulty_disk::operations() const
{
	std::lock_guard const lock(m_mutex);
	return m_state.operations;
}

void faulty_disk::fail_at(std::uint64_t n, errc kind, lasting how_long)
{
	std::lock_guard const lock(m_mutex);
	m_state.planned = kind == errc::no_space ? fault::no_space : fault::io;
	m_state.fault_at = n;
	m_state.how_long = how_long;
	m_state.struck = false;
}

void faulty_disk::crash_at(std::uint64_t n)
{
	std::lock_guard const lock(m_mutex);
	m_state.crash_at = n;
	m_state.struck = false;
}

bool faulty_disk::struck() const
{
	std::lock_guard const lock(m_mutex);
	return m_state.struck;
}

void faulty_disk::heal()
{
	std::lock_guard const lock(m_mutex);
	m_state.planned = fault::none;
	m_state.crash_at = never;
	m_state.dead = false;
}

void faulty_disk::power_cut(cut mode, std::uint64_t seed)
{
	std::lock_guard const lock(m_mutex);
	auto& s = m_state;
	random_source random(seed);
	auto const report = s.image.power_cut(mode, random);
	auto note = cat("---- cut: ", ut_xet_test::name_of(mode), ", seed ", seed, " ----\n");
	for (auto const& line : report) note += "    " + line + '\n';
	s.log.push_back({s.operations, operation::stat, {}, 0, 0, std::move(note)});
	s.planned = fault::none;
	s.crash_at = never;
	s.dead = false;
	++m_generation;
	m_locks.clear();
}

void faulty_disk::settle()
{
	std::lock_guard const lock(m_mutex);
	m_state.image.settle();
	m_state.operations = 0;
	m_state.log.clear();
}

void faulty_disk::reseed(std::uint64_t seed)
{
	std::lock_guard const lock(m_mutex);
	m_state.random = random_source(seed);
	m_vfs->reseed(seed);
}

void faulty_disk::set_capacity(std::uint64_t bytes)
{
	std::lock_guard const lock(m_mutex);
	m_state.capacity = bytes;
}

void faulty_disk::set_clock(std::int64_t seconds_since_1970)
{
	std::lock_guard const lock(m_mutex);
	m_state.clock = seconds_since_1970;
}

std::int64_t faulty_disk::clock() const
{
	std::lock_guard const lock(m_mutex);
	return m_state.clock;
}

bool faulty_disk::exists(std::filesystem::path const& path) const
{
	std::lock_guard const lock(m_mutex);
	return m_state.image.find(path) != disk_image::none;
}

bytes faulty_disk::content(std::filesystem::path const& path) const
{
	std::lock_guard const lock(m_mutex);
	auto const id = m_state.image.find(path);
	return id == disk_image::none ? bytes{} : m_state.image.content(id);
}

std::string faulty_disk::log() const
{
	std::lock_guard const lock(m_mutex);
	std::ostringstream out;
	for (auto const& line : m_state.log)
	{
		if (line.path.empty())
		{
			out << line.note;
			continue;
		}
		out << '#' << line.number << ' ' << name_of(line.what) << ' ' << line.path;
		if (line.what == operation::read || line.what == operation::write) out << ' ' << line.offset << '+' << line.length;
		if (line.what == operation::truncate) out << " to " << line.offset;
		if (!line.note.empty()) out << ": " << line.note;
		out << '\n';
	}
	return std::move(out).str();
}

std::shared_ptr<faulty_disk::snapshot const> faulty_disk::save() const
{
	std::lock_guard const lock(m_mutex);
	return std::make_shared<snapshot const>(snapshot{m_state});
}

void faulty_disk::restore(snapshot const& from)
{
	std::lock_guard const lock(m_mutex);
	m_state = from.saved;
	++m_generation;
	m_locks.clear();
}

} // namespace ut_xet_test
