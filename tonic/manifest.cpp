#include "tonic/manifest.hpp"

#include "tonic/limits.hpp"
#include "tonic/path_rules.hpp"
#include "xet/merkle.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace tonic {

namespace {

constexpr std::array<std::string_view, 4> mode_names{"designated", "best-effort", "broadcast", "consensus"};

// bencoded integers are read as signed 64-bit numbers everywhere
constexpr std::uint64_t max_integer = std::uint64_t(std::numeric_limits<std::int64_t>::max());

enum class entry_kind : std::uint8_t { file, dir, link };

struct path_ref
{
	std::string_view path;
	entry_kind kind;
};

template <class Entries>
auto* find_entry(Entries const& entries, std::string_view path)
{
	auto const it = std::lower_bound(entries.begin(), entries.end(), path, [](auto const& e, std::string_view p) { return e.path < p; });
	return it != entries.end() && it->path == path ? &*it : nullptr;
}

// Order of a walk through the tree: '/' before every other byte, so that what lies below an entry directly follows it.
bool tree_less(path_ref const& a, path_ref const& b)
{
	auto const [x, y] = std::mismatch(a.path.begin(), a.path.end(), b.path.begin(), b.path.end());
	if (y == b.path.end()) return false;
	if (x == a.path.end()) return true;
	auto const rank = [](char c) { return c == '/' ? 0 : int(static_cast<unsigned char>(c)); };
	return rank(*x) < rank(*y);
}

bool lies_below(std::string_view path, std::string_view parent)
{
	return path.size() > parent.size() && path[parent.size()] == '/' && path.starts_with(parent);
}

bool is_hex(std::string_view text)
{
	return std::all_of(text.begin(), text.end(), [](char c) {
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	});
}

template <class Entries>
xet::result<> check_paths(Entries const& entries, std::string_view what)
{
	for (std::size_t i = 0; i < entries.size(); ++i)
	{
		if (auto ok = check_path(entries[i].path); !ok) return xet::fail(ok.error().code, what, " ", i, ": ", ok.error().message);
		if (i > 0 && !(entries[i - 1].path < entries[i].path))
			return xet::fail(xet::errc::invalid, what, " ", i, " (\"", printable(entries[i].path), "\") "
				, entries[i - 1].path == entries[i].path ? "is listed twice" : "is out of order");
	}
	return {};
}

xet::result<> check_tree(manifest const& m)
{
	std::vector<path_ref> all;
	all.reserve(m.files.size() + m.dirs.size() + m.links.size());
	for (auto const& e : m.files) all.push_back({e.path, entry_kind::file});
	for (auto const& e : m.dirs) all.push_back({e.path, entry_kind::dir});
	for (auto const& e : m.links) all.push_back({e.path, entry_kind::link});
	std::sort(all.begin(), all.end(), tree_less);

	for (std::size_t i = 1; i < all.size(); ++i)
	{
		auto const& [parent, kind] = all[i - 1];
		auto const path = all[i].path;
		if (path == parent)
			return xet::fail(xet::errc::invalid, "\"", printable(path), "\" is listed twice, as two kinds of entry");
		if (kind != entry_kind::dir && lies_below(path, parent))
			return xet::fail(xet::errc::invalid, "\"", printable(path), "\" lies below \"", printable(parent), "\", which is a "
				, kind == entry_kind::file ? "file" : "symbolic link");
	}
	return {};
}

template <class Entries>
xet::result<> check_modes(Entries const& entries)
{
	for (auto const& e : entries)
		if (e.mode > 0777)
			return xet::fail(xet::errc::invalid, "\"", printable(e.path), "\" has mode bits beyond 0777");
	return {};
}

xet::result<> check_links(manifest const& m)
{
	for (auto const& l : m.links)
		if (!link_stays_inside(l.path, l.target))
			return xet::fail(xet::errc::invalid, "the symbolic link \"", printable(l.path), "\" points out of the folder, to \""
				, printable(l.target), "\"");
	return {};
}

xet::result<> check_content(manifest const& m, file_entry const& f)
{
	auto const bad = [&](auto const&... why) {
		return xet::fail(xet::errc::invalid, "file \"", printable(f.path), "\": ", why...);
	};
	std::uint64_t left = f.size;
	for (auto const& c : m.chunks_of(f))
	{
		if (c.size == 0 || c.size > xet::max_wire_chunk_bytes)
			return bad("a chunk of ", c.size, " bytes (1 to ", xet::max_wire_chunk_bytes, " are allowed)");
		if (c.size > left) return bad("its chunks are larger than its size of ", f.size, " bytes");
		left -= c.size;
	}
	if (left != 0) return bad("its chunks are ", left, " bytes short of its size of ", f.size, " bytes");
	if (xet::file_hash(m.how.kind, m.chunks_of(f)) != f.hash)
		return xet::fail(xet::errc::mismatch, "file \"", printable(f.path), "\": its hash is not that of its chunks");
	return {};
}

xet::result<> check_files(manifest const& m)
{
	if (m.chunks.size() > std::numeric_limits<std::uint32_t>::max()) return xet::fail(xet::errc::limit, "more than 2^32 chunks");
	std::uint64_t next_chunk = 0;
	std::uint64_t total = 0;
	for (auto const& f : m.files)
	{
		if (f.first_chunk != next_chunk || f.chunk_count > m.chunks.size() - next_chunk)
			return xet::fail(xet::errc::invalid, "file \"", printable(f.path), "\": its chunks are not those that follow the file before it");
		if (f.size > max_integer - total)
			return xet::fail(xet::errc::limit, "file \"", printable(f.path), "\": the sizes add up to more than 2^63 bytes");
		if (auto ok = check_content(m, f); !ok) return ok;
		next_chunk += f.chunk_count;
		total += f.size;
	}
	if (next_chunk != m.chunks.size())
		return xet::fail(xet::errc::invalid, m.chunks.size() - next_chunk, " chunks belong to no file");
	return {};
}

xet::result<> check_head(manifest const& m)
{
	if (auto ok = check_folder_name(m.name); !ok) return ok;
	if (m.salt.empty() || m.salt.size() > max_salt_bytes)
		return xet::fail(xet::errc::invalid, "a salt of ", m.salt.size(), " bytes (1 to ", max_salt_bytes, " are allowed)");
	if (!is_folder_id_of(m.folder, m.author, m.salt))
		return xet::fail(xet::errc::mismatch, "the folder id \"", printable(m.folder), "\" is not that of the author's key and the salt");
	if (!m.git_ref.empty() && ((m.git_ref.size() != 40 && m.git_ref.size() != 64) || !is_hex(m.git_ref)))
		return xet::fail(xet::errc::invalid, "git_ref is not 40 or 64 hexadecimal characters");
	if (std::size_t(m.mode) >= mode_names.size()) return xet::fail(xet::errc::invalid, "unknown sync mode ", int(m.mode));
	if (m.seq > max_integer) return xet::fail(xet::errc::limit, "seq is over 2^63 - 1");
	auto const target = m.how.cut.target_bytes;
	if (!std::has_single_bit(target) || target < xet::min_target_bytes || target > xet::max_target_bytes)
		return xet::fail(xet::errc::invalid, "a target chunk size of ", target, " bytes");
	return {};
}

} // namespace

std::string_view name_of(sync_mode m)
{
	return std::size_t(m) < mode_names.size() ? mode_names[std::size_t(m)] : std::string_view("unknown");
}

std::optional<sync_mode> mode_from_name(std::string_view name)
{
	// other implementations write "best_effort"
	if (name == "best_effort") return sync_mode::best_effort;
	auto const it = std::find(mode_names.begin(), mode_names.end(), name);
	if (it == mode_names.end()) return std::nullopt;
	return sync_mode(it - mode_names.begin());
}

std::uint64_t manifest::total_bytes() const
{
	std::uint64_t ret = 0;
	for (auto const& f : files) ret += f.size;
	return ret;
}

file_entry const* manifest::find_file(std::string_view path) const { return find_entry(files, path); }
link_entry const* manifest::find_link(std::string_view path) const { return find_entry(links, path); }
dir_entry const* manifest::find_dir(std::string_view path) const { return find_entry(dirs, path); }

bool manifest::same_tree(manifest const& other) const
{
	return files == other.files && dirs == other.dirs && links == other.links && chunks == other.chunks;
}

xet::result<> manifest::check() const
{
	if (auto ok = check_head(*this); !ok) return ok;
	if (auto ok = check_paths(files, "file"); !ok) return ok;
	if (auto ok = check_paths(dirs, "directory"); !ok) return ok;
	if (auto ok = check_paths(links, "symbolic link"); !ok) return ok;
	if (auto ok = check_tree(*this); !ok) return ok;
	if (auto ok = check_modes(files); !ok) return ok;
	if (auto ok = check_modes(dirs); !ok) return ok;
	if (auto ok = check_links(*this); !ok) return ok;
	return check_files(*this);
}

} // namespace tonic
