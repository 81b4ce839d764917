#include "tonic/materialiser.hpp"

#include "tonic/path_rules.hpp"
#include "xet/merkle.hpp"

#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tonic {

using xet::errc;
using xet::fail;

namespace {

constexpr std::uint32_t none = UINT32_MAX;
constexpr std::size_t max_open_partials = 64;
// From this many files on, syncing the whole file system once is cheaper than one journal commit per file.
constexpr std::size_t sync_all_from = 8;

bool all_zero(xet::bytes_view data)
{
	return data.empty() || (data[0] == 0 && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
}

// False where the file system has no holes.
bool make_hole(int fd, std::uint64_t offset, std::size_t size)
{
	return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t(offset), off_t(size)) == 0;
}

} // namespace

materialiser::materialiser(folder_fs fs, std::shared_ptr<manifest const> target, std::shared_ptr<manifest const> previous
	, std::vector<std::uint32_t> build)
	: m_fs(std::move(fs))
	, m_target(std::move(target))
	, m_previous(std::move(previous))
	, m_build(std::move(build))
	, m_partials(m_build.size())
	, m_next_same(m_target->chunks.size(), none)
	, m_offset(m_target->chunks.size(), 0)
{
	for (std::size_t position = 0; position < m_build.size(); ++position)
	{
		file_entry const& f = m_target->files[m_build[position]];
		m_partials[position].chunks_left = f.chunk_count;
		std::uint64_t offset = 0;
		for (std::uint32_t o = f.first_chunk; o < f.first_chunk + f.chunk_count; ++o)
		{
			m_offset[o] = offset;
			offset += m_target->chunks[o].size;
			auto const [i, fresh] = m_by_hash.try_emplace(m_target->chunks[o].hash, std::uint32_t(m_uniques.size()));
			if (fresh)
			{
				m_uniques.push_back(o);
				continue;
			}
			// behind the first: the order of the others does not matter
			std::uint32_t const first = m_uniques[i->second];
			m_next_same[o] = m_next_same[first];
			m_next_same[first] = o;
		}
		if (f.chunk_count == 0) m_ready.push_back(m_build[position]);
	}
	m_state = std::vector<std::atomic<std::uint8_t>>(m_uniques.size());
	m_files_left = m_build.size();
}

materialiser::~materialiser() = default;

std::optional<std::uint32_t> materialiser::find(xet::hash32 const& h) const
{
	auto const i = m_by_hash.find(h);
	if (i == m_by_hash.end()) return std::nullopt;
	return i->second;
}

std::string materialiser::partial_path(std::uint32_t file) const
{
	file_entry const& f = m_target->files[file];
	// path and content together, so that another version of the file never goes on in this one's partial file
	std::string key = f.path;
	key.push_back('\0');
	key += xet::as_text(f.hash.view());
	auto const name = xet::chunk_hash(xet::hash_kind::sha256, xet::as_bytes(key));
	return xet::cat(private_dir, "/", xet::to_hex(name.view().first(16)), ".partial");
}

std::size_t materialiser::build_position(std::uint32_t ordinal) const
{
	auto const i = std::upper_bound(m_build.begin(), m_build.end(), ordinal
		, [&](std::uint32_t o, std::uint32_t file) { return o < m_target->files[file].first_chunk; });
	// files without chunks share their first_chunk with the next file: step back over them
	auto p = std::size_t(i - m_build.begin()) - 1;
	while (m_target->files[m_build[p]].chunk_count == 0) --p;
	return p;
}

xet::result<std::shared_ptr<file_descriptor>> materialiser::open_partial(std::size_t position) const
{
	std::lock_guard const lock(m_mutex);
	for (auto i = m_fds.begin(); i != m_fds.end(); ++i)
	{
		if (i->first != position) continue;
		m_fds.splice(m_fds.begin(), m_fds, i);
		return m_fds.front().second;
	}
	std::uint32_t const file = m_build[position];
	// One that vanishes while its chunks come in (somebody cleans up) must not come back as a file full of holes.
	int const create = m_partials[position].made ? 0 : O_CREAT;
	auto fd = m_fs.open_file(partial_path(file), O_RDWR | create, 0600);
	// a run that was killed just before the rename had given it its mode already
	if (!fd && m_fs.set_mode(partial_path(file), 0600)) fd = m_fs.open_file(partial_path(file), O_RDWR | create, 0600);
	if (!fd) return tl::unexpected(fd.error());
	m_partials[position].made = true;
	auto shared = std::make_shared<file_descriptor>(std::move(*fd));
	file_entry const& f = m_target->files[file];
	if (f.chunk_count > 1 && ::ftruncate(shared->get(), off_t(f.size)) != 0)
		return fail(errno == ENOSPC ? errc::no_space : errc::io, "cannot make room for ", printable(f.path), ": ", std::strerror(errno));
	m_fds.emplace_front(position, shared);
	if (m_fds.size() > max_open_partials) m_fds.pop_back();
	return shared;
}

void materialiser::forget_fd(std::size_t position) const
{
	std::lock_guard const lock(m_mutex);
	m_fds.remove_if([&](auto const& entry) { return entry.first == position; });
}

xet::result<> materialiser::remove_foreign_partials()
{
	std::unordered_set<std::string> ours;
	for (std::uint32_t const file : m_build) ours.insert(partial_path(file));
	std::error_code ec;
	for (auto const& entry : std::filesystem::directory_iterator(m_fs.root() / private_dir, ec))
	{
		std::string const path = xet::cat(private_dir, "/", entry.path().filename().string());
		if (!path.ends_with(".partial") || ours.contains(path)) continue;
		auto const gone = m_fs.remove_file(path);
		if (!gone) return gone;
	}
	return {};
}

xet::result<> materialiser::recover(std::atomic<bool> const& stop)
{
	if (m_build.empty()) return remove_foreign_partials();
	auto made = m_fs.make_dirs(std::string(private_dir));
	if (!made) return made;
	auto cleaned = remove_foreign_partials();
	if (!cleaned) return cleaned;

	std::unordered_set<std::string> there;
	std::error_code ec;
	for (auto const& entry : std::filesystem::directory_iterator(m_fs.root() / private_dir, ec))
		there.insert(entry.path().filename().string());
	if (there.empty()) return {};
	xet::bytes buffer;
	for (std::size_t position = 0; position < m_build.size(); ++position)
	{
		std::string const name = partial_path(m_build[position]).substr(private_dir.size() + 1);
		if (!there.contains(name)) continue;
		auto const ok = recover_file(position, stop, buffer);
		if (!ok) return ok;
	}
	return {};
}

xet::result<> materialiser::recover_file(std::size_t position, std::atomic<bool> const& stop, xet::bytes& buffer)
{
	m_partials[position].existed = true;
	auto fd = open_partial(position);
	if (!fd) return tl::unexpected(fd.error());
	file_entry const& f = m_target->files[m_build[position]];
	for (std::uint32_t o = f.first_chunk; o < f.first_chunk + f.chunk_count; ++o)
	{
		if (stop) return fail(errc::cancelled, "stopped");
		xet::chunk_ref const& c = m_target->chunks[o];
		std::uint32_t const u = m_by_hash.at(c.hash);
		if (has(u)) continue;
		// holes are what was never written: passed over without reading; a chunk of zeros comes from elsewhere at no cost
		off_t const data = ::lseek((*fd)->get(), off_t(m_offset[o]), SEEK_DATA);
		if (data < 0 || std::uint64_t(data) >= m_offset[o] + c.size) continue;
		buffer.resize(c.size);
		if (!read_at((*fd)->get(), m_offset[o], buffer) || xet::chunk_hash(m_target->how.kind, buffer) != c.hash) continue;
		// put writes it to this place again, too: seldom, and simpler than knowing which places hold it
		auto const ok = put(u, buffer);
		if (!ok) return ok;
	}
	return {};
}

std::uint64_t materialiser::bytes_to_write(std::uint32_t block_bytes) const
{
	std::uint64_t total = 0;
	xet::bytes const zeros(m_target->how.cut.max_bytes, 0);
	auto const zero_hash = xet::chunk_hash(m_target->how.kind, zeros);
	for (std::uint32_t const file : m_build)
	{
		std::uint64_t of_file = 0;
		for (xet::chunk_ref const& c : m_target->chunks_of(m_target->files[file]))
			if (!has(m_by_hash.at(c.hash)) && c.hash != zero_hash) of_file += c.size;
		total += (of_file + block_bytes - 1) / block_bytes * block_bytes;
	}
	return total;
}

std::uint64_t materialiser::partial_bytes() const
{
	std::uint64_t total = 0;
	struct stat st{};
	std::error_code ec;
	for (auto const& entry : std::filesystem::directory_iterator(m_fs.root() / private_dir, ec))
		if (::lstat(entry.path().c_str(), &st) == 0) total += std::uint64_t(st.st_blocks) * 512;
	return total;
}

xet::result<> materialiser::put(std::uint32_t u, xet::bytes_view data)
{
	std::uint8_t expected = missing;
	if (!m_state[u].compare_exchange_strong(expected, writing)) return {};
	bool const zeros = all_zero(data);
	for (std::uint32_t o = m_uniques[u]; o != none; o = m_next_same[o])
	{
		std::size_t const position = build_position(o);
		bool const whole_file = m_target->files[m_build[position]].chunk_count == 1;
		if (zeros && !whole_file && !m_partials[position].existed) continue;  // a fresh partial file is a hole
		auto fd = open_partial(position);
		xet::result<> written;
		if (!fd) written = tl::unexpected(fd.error());
		else if (zeros && !whole_file && make_hole((*fd)->get(), m_offset[o], data.size())) written = {};
		else written = write_at((*fd)->get(), m_offset[o], data, m_target->files[m_build[position]].path);
		if (!written)
		{
			m_state[u] = missing;
			return written;
		}
	}
	m_state[u].store(had, std::memory_order_release);
	for (std::uint32_t o = m_uniques[u]; o != none; o = m_next_same[o]) chunk_done(build_position(o));
	return {};
}

// The chunk belongs in one place only, of a file with several chunks.
bool materialiser::one_place(std::uint32_t u, std::size_t& position) const
{
	if (m_next_same[m_uniques[u]] != none) return false;
	position = build_position(m_uniques[u]);
	return m_target->files[m_build[position]].chunk_count > 1;
}

// How many chunks from the front on can be written with one call.
std::size_t materialiser::run_length(std::span<chunk_data const> chunks) const
{
	std::size_t position, next;
	if (!one_place(chunks[0].u, position)) return 1;
	std::size_t n = 1;
	while (n < chunks.size() && m_uniques[chunks[n].u] == m_uniques[chunks[n - 1].u] + 1 && one_place(chunks[n].u, next)
		&& next == position && chunks[n].data.data() == chunks[n - 1].data.data() + chunks[n - 1].data.size())
		++n;
	return n;
}

xet::result<> materialiser::put_run(std::span<chunk_data const> run)
{
	std::size_t const position = build_position(m_uniques[run[0].u]);
	auto fd = open_partial(position);
	if (!fd) return tl::unexpected(fd.error());
	std::size_t bytes = 0;
	for (chunk_data const& c : run) bytes += c.data.size();
	std::uint64_t const offset = m_offset[m_uniques[run[0].u]];
	std::lock_guard const turn(m_turns[position % m_turns.size()]);
	auto const written = write_at((*fd)->get(), offset, {run[0].data.data(), bytes}, m_target->files[m_build[position]].path);
	if (written) ::sync_file_range((*fd)->get(), off_t(offset), off_t(bytes), SYNC_FILE_RANGE_WRITE);
	return written;
}

xet::result<> materialiser::put(std::span<chunk_data const> chunks)
{
	while (!chunks.empty())
	{
		auto const run = chunks.first(run_length(chunks));
		chunks = chunks.subspan(run.size());
		bool const zeros = std::any_of(run.begin(), run.end(), [](chunk_data const& c) { return all_zero(c.data); });
		bool const fresh = std::none_of(run.begin(), run.end(), [&](chunk_data const& c) { return m_state[c.u] != missing; });
		if (run.size() == 1 || zeros || !fresh)
		{
			for (chunk_data const& c : run)
				if (auto const one = put(c.u, c.data); !one) return one;
			continue;
		}
		// two writers of one chunk write the same bytes: only who ends its state counts it
		if (auto const written = put_run(run); !written) return written;
		for (chunk_data const& c : run)
		{
			std::uint8_t expected = missing;
			if (m_state[c.u].compare_exchange_strong(expected, had)) chunk_done(build_position(m_uniques[c.u]));
		}
	}
	return {};
}

void materialiser::chunk_done(std::size_t position)
{
	if (--m_partials[position].chunks_left != 0) return;
	// a file of nothing but zeros was never opened: it has to exist before it can be moved
	auto const exists = open_partial(position);
	forget_fd(position);
	std::lock_guard const lock(m_mutex);
	m_ready.push_back(m_build[position]);
}

bool materialiser::read(std::uint32_t u, xet::bytes& out) const
{
	if (!has(u)) return false;
	std::uint32_t const o = m_uniques[u];
	out.resize(m_target->chunks[o].size);
	file_entry const& f = m_target->files[m_build[build_position(o)]];
	auto fd = m_fs.open_file(partial_path(std::uint32_t(&f - m_target->files.data())), O_RDONLY);
	if (!fd) fd = m_fs.open_file(f.path, O_RDONLY);  // moved into place meanwhile
	return fd && read_at(fd->get(), m_offset[o], out);
}

std::vector<std::uint32_t> materialiser::take_ready()
{
	std::lock_guard const lock(m_mutex);
	return std::exchange(m_ready, {});
}

bool materialiser::any_ready() const
{
	std::lock_guard const lock(m_mutex);
	return !m_ready.empty();
}

bool materialiser::is_placed(file_entry const& f) const
{
	auto const now = m_fs.look(f.path);
	return now.kind == entry_kind::file && now.stamp.size == f.size && now.stamp.mtime_ns == f.mtime_ns;
}

xet::result<> materialiser::sync(std::vector<std::uint32_t> const& files)
{
	std::vector<file_descriptor> fds;
	for (std::uint32_t const file : files)
	{
		file_entry const& f = m_target->files[file];
		auto fd = m_fs.open_file(partial_path(file), O_RDWR | (f.chunk_count == 0 ? O_CREAT : 0), 0600);
		if (!fd && is_placed(f)) continue;  // handed in a second time after an error further down the list
		if (!fd) return tl::unexpected(fd.error());
		struct stat st{};
		if (::fstat(fd->get(), &st) != 0 || std::uint64_t(st.st_size) != f.size)
			return fail(errc::io, "the partial file of ", printable(f.path), " was changed by somebody else; it is begun again");
		timespec const times[2] = {{0, UTIME_OMIT}, to_timespec(f.mtime_ns)};
		if (::fchmod(fd->get(), f.mode) != 0 || ::futimens(fd->get(), times) != 0)
			return fail(errc::io, "cannot set mode and time of ", printable(f.path), ": ", std::strerror(errno));
		if (files.size() < sync_all_from && ::fdatasync(fd->get()) != 0)
			return fail(errc::io, "cannot sync ", printable(f.path), ": ", std::strerror(errno));
		if (fds.empty()) fds.push_back(std::move(*fd));
	}
	if (files.size() >= sync_all_from && !fds.empty() && ::syncfs(fds.front().get()) != 0)
		return fail(errc::io, "cannot sync the file system of ", m_fs.root().string(), ": ", std::strerror(errno));
	return {};
}

// The same edit was made here.
bool materialiser::agrees(file_entry const& f, file_stamp const& now) const
{
	if (now.size != f.size) return false;
	auto const fd = m_fs.open_file(f.path, O_RDONLY | O_NONBLOCK);
	auto const chunks = fd ? xet::chunk_file(fd->get(), m_target->how) : tl::unexpected(fd.error());
	return chunks && xet::file_hash(m_target->how.kind, *chunks) == f.hash;
}

xet::result<bool> materialiser::clear_way(file_entry const& f, local_index const& index, std::int64_t now_seconds, placed& report)
{
	auto const& path = f.path;
	auto const now = m_fs.look(path);
	switch (now.kind)
	{
		case entry_kind::absent: return true;
		case entry_kind::dir: return m_fs.remove_empty_dir(path);
		case entry_kind::file:
		{
			local_file const* known = index.find(path);
			if (known != nullptr && known->published && known->stamp.same_content(now.stamp)) return true;
			if (agrees(f, now.stamp)) return true;
			break;
		}
		case entry_kind::link:
		{
			link_entry const* known = m_previous ? m_previous->find_link(path) : nullptr;
			if (known != nullptr && known->target == m_fs.read_link(path)) return true;
			break;
		}
		case entry_kind::other: break;
	}
	auto const aside = m_fs.keep_aside(path, now_seconds);
	if (!aside) return tl::unexpected(aside.error());
	report.kept_aside.push_back(*aside);
	return true;
}

xet::result<materialiser::placed> materialiser::move_into_place(
	std::vector<std::uint32_t> const& files, local_index const& index, std::int64_t now_seconds)
{
	placed report;
	auto const synced = sync(files);
	if (!synced) return tl::unexpected(synced.error());
	std::string last_dir;
	for (std::uint32_t const file : files)
	{
		file_entry const& f = m_target->files[file];
		std::string const dir = f.path.substr(0, f.path.rfind('/') == std::string::npos ? 0 : f.path.rfind('/'));
		if (!dir.empty() && dir != last_dir)
		{
			auto const made = m_fs.make_dirs(dir);
			if (!made && made.error().code != errc::refused) return tl::unexpected(made.error());
			if (!made)
			{
				report.blocked.push_back(file);
				continue;
			}
			last_dir = dir;
		}
		auto const clear = clear_way(f, index, now_seconds, report);
		if (!clear) return tl::unexpected(clear.error());
		if (!*clear)
		{
			report.blocked.push_back(file);
			continue;
		}
		auto moved = m_fs.rename(partial_path(file), f.path);
		if (!moved && moved.error().code == errc::not_found)
		{
			if (is_placed(f)) moved = {};
		}
		if (!moved) return tl::unexpected(moved.error());
		--m_files_left;
		auto const now = m_fs.look(f.path);
		// edited in this very moment: the next scan reads what it is
		if (!is_placed(f)) continue;
		auto const chunks = m_target->chunks_of(f);
		report.files.push_back({f.path, now.stamp, f.hash, std::make_shared<xet::chunk_list const>(chunks.begin(), chunks.end()), true});
	}
	return report;
}

} // namespace tonic
