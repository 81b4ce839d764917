#include "tests/support/faulty_disk.hpp"

#include "tests/support/faulty_vfs.hpp"

#include <array>

namespace ut_xet_test {

using namespace xet;

namespace {

// the workload's end, the cut and a recovery; more nobody reads
constexpr std::size_t max_log_lines = 80;

// the system's words, so that a message reads as it would
char const* text_of(errc code)
{
	switch (code)
	{
	case errc::no_space: return "No space left on device";
	case errc::not_found: return "No such file or directory";
	default: return "Input/output error";
	}
}

} // namespace

class faulty_file : public file
{
public:
	faulty_file(faulty_disk& disk, disk_image::node_id id, std::uint64_t generation, std::string path, bool writable)
		: disk(disk), id(id), generation(generation), path(std::move(path)), writable(writable)
	{
	}

	result<std::uint64_t> size() override { return disk.size_of(*this); }
	result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> into) override { return disk.read(*this, offset, into); }
	result<> write_at(std::uint64_t offset, bytes_view data) override { return disk.write(*this, offset, data); }
	result<> truncate(std::uint64_t size) override { return disk.truncate(*this, size); }
	result<> sync() override { return disk.sync(*this); }

	faulty_disk& disk;
	disk_image::node_id const id;
	std::uint64_t const generation;
	std::string const path;
	bool const writable;
};

faulty_disk::faulty_disk(std::uint64_t seed) : m_state(seed), m_vfs(std::make_unique<faulty_vfs>(*this)) { m_vfs->reseed(seed); }

faulty_disk::~faulty_disk() = default;

char const* faulty_disk::sqlite_vfs() const { return m_vfs->name(); }

char const* faulty_disk::name_of(operation what)
{
	static constexpr std::array names{"open", "make", "size", "read", "write", "truncate", "sync", "rename", "remove", "make_dirs",
		"sync_dir", "list", "free_bytes", "lock", "stat"};
	return names.at(std::size_t(what));
}

tl::unexpected<error> faulty_disk::refuse(errc code, std::string const& why)
{
	auto& line = m_state.log.back();
	line.note = why;
	return fail(code, "cannot ", name_of(line.what), ' ', line.path, ": ", why);
}

faulty_disk::verdict faulty_disk::begin(operation what, std::string const& path, std::uint64_t offset, std::uint64_t length)
{
	auto& s = m_state;
	auto const number = s.operations++;
	s.log.push_back({number, what, path, offset, length, {}});
	if (s.log.size() > max_log_lines) s.log.pop_front();
	if (s.dead) return {refuse(errc::io, "after the crash")};
	if (number >= s.crash_at)
	{
		s.struck = s.dead = true;
		return {refuse(errc::io, "CRASH"), true};
	}

	bool const due = s.how_long == lasting::once ? number == s.fault_at : number >= s.fault_at;
	if (s.planned == fault::none || !due) return {};
	bool const needs_space = what == operation::make || what == operation::write || what == operation::truncate
		|| what == operation::sync || what == operation::rename || what == operation::make_dirs || what == operation::sync_dir;
	if (s.planned == fault::no_space && !needs_space) return {};
	s.struck = true;
	auto const code = s.planned == fault::no_space ? errc::no_space : errc::io;
	return {refuse(code, std::string(text_of(code)) + " (FAULT)"), true};
}

result<> faulty_disk::check_alive(faulty_file const& f)
{
	if (f.generation != m_generation) return refuse(errc::io, "the handle is from before the cut");
	return {};
}

std::uint64_t faulty_disk::growth_left() const
{
	auto const used = m_state.image.used_bytes();
	return used >= m_state.capacity ? 0 : m_state.capacity - used;
}

result<std::unique_ptr<file>> faulty_disk::open(std::filesystem::path const& path, open_mode mode)
{
	std::lock_guard const lock(m_mutex);
	auto& image = m_state.image;
	auto id = image.find(path);
	auto const what = id == disk_image::none && mode != open_mode::read ? operation::make : operation::open;
	if (auto v = begin(what, path.native()); !v.outcome) return tl::unexpected(v.outcome.error());
	bool const must_be_new = mode == open_mode::create || mode == open_mode::create_bulk;
	if (id != disk_image::none && must_be_new) return refuse(errc::io, "File exists");
	if (id != disk_image::none && image.is_directory(id)) return refuse(errc::io, "Is a directory");
	if (id == disk_image::none)
	{
		if (mode == open_mode::read || image.find_parent(path) == disk_image::none)
			return refuse(errc::not_found, text_of(errc::not_found));
		id = image.create(path, false);
	}
	image.drop_lost(id);
	return std::make_unique<faulty_file>(*this, id, m_generation, path.native(), mode != open_mode::read);
}

result<> faulty_disk::rename(std::filesystem::path const& from, std::filesystem::path const& to)
{
	std::lock_guard const lock(m_mutex);
	auto& image = m_state.image;
	if (auto v = begin(operation::rename, from.native() + " to " + to.native()); !v.outcome) return v.outcome;
	auto const source = image.find(from);
	auto const target = image.find(to);
	if (source == disk_image::none || image.find_parent(to) == disk_image::none)
		return refuse(errc::not_found, text_of(errc::not_found));
	if (image.is_directory(source) || (target != disk_image::none && image.is_directory(target)))
		return refuse(errc::io, "Is a directory");
	image.rename(from, to);
	return {};
}

result<> faulty_disk::remove(std::filesystem::path const& path)
{
	std::lock_guard const lock(m_mutex);
	if (auto v = begin(operation::remove, path.native()); !v.outcome) return v.outcome;
	auto const id = m_state.image.find(path);
	if (id == disk_image::none) return refuse(errc::not_found, text_of(errc::not_found));
	if (m_state.image.is_directory(id)) return refuse(errc::io, "Is a directory");
	m_state.image.remove(path);
	return {};
}

result<> faulty_disk::make_dirs(std::filesystem::path const& path)
{
	std::lock_guard const lock(m_mutex);
	auto& image = m_state.image;
	if (auto v = begin(operation::make_dirs, path.native()); !v.outcome) return v.outcome;
	std::filesystem::path at = "/";
	for (auto const& part : path.lexically_normal().relative_path())
	{
		if (part.empty()) continue;
		at /= part;
		auto const id = image.find(at);
		if (id == disk_image::none)
			image.create(at, true);
		else if (!image.is_directory(id))
			return refuse(errc::io, "Not a directory");
	}
	return {};
}

result<> faulty_disk::sync_dir(std::filesystem::path const& path)
{
	std::lock_guard const lock(m_mutex);
	auto& image = m_state.image;
	auto v = begin(operation::sync_dir, path.native());
	auto const id = image.find(path);
	bool const is_directory = id != disk_image::none && image.is_directory(id);
	// at a crash, the cut decides what survived
	if (v.under_way && is_directory && !m_state.dead) image.fail_sync_directory(id, m_state.random);
	if (!v.outcome) return v.outcome;
	if (!is_directory) return refuse(errc::not_found, text_of(errc::not_found));
	image.sync_directory(id);
	return {};
}

result<std::vector<file_layer::entry>> faulty_disk::list(std::filesystem::path const& dir)
{
	std::lock_guard const lock(m_mutex);
	auto const& image = m_state.image;
	if (auto v = begin(operation::list, dir.native()); !v.outcome) return tl::unexpected(v.outcome.error());
	std::vector<entry> out;
	auto const at = image.find(dir);
	if (at == disk_image::none) return out;
	if (!image.is_directory(at)) return refuse(errc::not_found, "Not a directory");
	for (auto const& [name, id] : image.names(at))
		if (!image.is_directory(id)) out.push_back({name, image.content(id).size(), image.modified_seconds(id)});
	return out;
}

result<std::uint64_t> faulty_disk::free_bytes(std::filesystem::path const& dir)
{
	std::lock_guard const lock(m_mutex);
	if (auto v = begin(operation::free_bytes, dir.native()); !v.outcome) return tl::unexpected(v.outcome.error());
	if (m_state.image.find(dir) == disk_image::none) return refuse(errc::not_found, text_of(errc::not_found));
	bool const full = m_state.struck && m_state.planned == fault::no_space && m_state.how_long == lasting::from_then_on;
	return full ? 0 : growth_left();
}

result<std::shared_ptr<void>> faulty_disk::lock(std::filesystem::path const& path)
{
	std::lock_guard const guard(m_mutex);
	auto& image = m_state.image;
	if (auto v = begin(operation::lock, path.native()); !v.outcome) return tl::unexpected(v.outcome.error());
	if (image.find_parent(path) == disk_image::none) return refuse(errc::not_found, text_of(errc::not_found));
	if (image.find(path) == disk_image::none) image.create(path, false);
	if (!m_locks[path].expired()) return refuse(errc::refused, "locked already");
	auto held = std::make_shared<char>();
	m_locks[path] = held;
	return held;
}

// As SQLite asks: an empty file is none.
result<bool> faulty_disk::has_content(std::filesystem::path const& path)
{
	std::lock_guard const lock(m_mutex);
	if (auto v = begin(operation::stat, path.native()); !v.outcome) return tl::unexpected(v.outcome.error());
	auto const id = m_state.image.find(path);
	return id != disk_image::none && !m_state.image.content(id).empty();
}

result<std::uint64_t> faulty_disk::size_of(faulty_file const& f)
{
	std::lock_guard const lock(m_mutex);
	auto v = begin(operation::size, f.path);
	if (v.outcome) v.outcome = check_alive(f);
	if (!v.outcome) return tl::unexpected(v.outcome.error());
	return m_state.image.content(f.id).size();
}

result<std::size_t> faulty_disk::read(faulty_file const& f, std::uint64_t offset, std::span<std::uint8_t> into)
{
	std::lock_guard const lock(m_mutex);
	auto v = begin(operation::read, f.path, offset, into.size());
	if (v.outcome) v.outcome = check_alive(f);
	if (!v.outcome) return tl::unexpected(v.outcome.error());
	return memory_source(m_state.image.content(f.id)).read_at(offset, into);
}

result<> faulty_disk::write(faulty_file const& f, std::uint64_t offset, bytes_view data)
{
	std::lock_guard const lock(m_mutex);
	auto& s = m_state;
	auto v = begin(operation::write, f.path, offset, data.size());
	if (!v.outcome && !v.under_way) return v.outcome;
	if (auto alive = check_alive(f); !alive) return alive;
	if (!f.writable) return refuse(errc::io, "Bad file descriptor");
	auto const size = s.image.content(f.id).size();
	std::uint64_t const growth_end = size + growth_left();
	if (v.under_way) data = data.first(s.random.between(0, data.size()));
	bool const fits = data.empty() || (offset <= growth_end && data.size() <= growth_end - offset);
	if (!fits) data = data.first(offset >= growth_end ? 0 : std::size_t(growth_end - offset));
	s.image.write(f.id, offset, data, s.clock);
	if (v.under_way || !fits) s.log.back().note += " after " + std::to_string(data.size()) + " bytes";
	if (v.outcome && !fits) return refuse(errc::no_space, text_of(errc::no_space) + s.log.back().note);
	return v.outcome;
}

result<> faulty_disk::truncate(faulty_file const& f, std::uint64_t size)
{
	std::lock_guard const lock(m_mutex);
	auto& image = m_state.image;
	auto v = begin(operation::truncate, f.path, size);
	if (v.outcome) v.outcome = check_alive(f);
	if (!v.outcome) return v.outcome;
	if (!f.writable) return refuse(errc::io, "Bad file descriptor");
	auto const old = image.content(f.id).size();
	if (size > old && size - old > growth_left()) return refuse(errc::no_space, text_of(errc::no_space));
	image.truncate(f.id, size, m_state.clock);
	return {};
}

result<> faulty_disk::sync(faulty_file const& f)
{
	std::lock_guard const lock(m_mutex);
	auto v = begin(operation::sync, f.path);
	if (!v.outcome && (!v.under_way || m_state.dead)) return v.outcome;
	if (auto alive = check_alive(f); !alive) return alive;
	if (v.under_way)
		m_state.image.fail_sync(f.id, m_state.random);
	else
		m_state.image.sync(f.id);
	return v.outcome;
}

} // namespace ut_xet_test
