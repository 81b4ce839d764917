// versions and restore: what is kept of a folder's past.

#include "plugin/control/store_commands.hpp"

#include "tonic/folder_fs.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"
#include "xet/merkle.hpp"
#include "xet/store_writer.hpp"
#include "xet/wire.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace ut_xet {

using json = nlohmann::ordered_json;
using xet::errc;
using xet::fail;

namespace {

constexpr std::size_t min_version_digits = 4;

struct asked_path
{
	node_store::place folder;
	std::string inside;  // relative; empty: the folder itself
};

xet::result<asked_path> find_path(node_store const& s, std::string const& text)
{
	auto const path = std::filesystem::path(text).lexically_normal();
	std::optional<asked_path> best;
	for (auto& p : s.folders())
	{
		auto const& r = p.record;
		if (r.carrier.folder == text || r.carrier.name == text || r.info_hash == text) return asked_path{std::move(p), {}};
		auto const inside = path.lexically_relative(r.path).generic_string();
		if (inside.empty() || inside == ".." || inside.starts_with("../")) continue;
		if (!best || r.path.native().size() > best->folder.record.path.native().size())
			best = asked_path{std::move(p), inside == "." ? "" : inside};
	}
	if (!best) return fail(errc::not_found, tonic::printable(text), " is in no folder of this node; xet status lists them");
	while (best->inside.ends_with('/')) best->inside.pop_back();
	return std::move(*best);
}

struct known_version
{
	tonic::manifest manifest;
	std::string ref;
	bool current = false;
	std::int64_t replaced_at = 0;
};

xet::result<known_version> load(std::filesystem::path const& file)
{
	auto const data = tonic::read_whole_file(file, xet::max_metadata_bytes);
	if (!data) return tl::unexpected(data.error());
	auto m = tonic::decode_tonic(*data);
	if (!m) return fail(m.error().code, file.native(), ": ", m.error().message);
	known_version v;
	v.ref = m->git_ref.empty() ? xet::to_hex(xet::hasher(m->how.kind).update(*data).finish().view()) : m->git_ref;
	v.manifest = std::move(*m);
	return v;
}

// Newest first. visit returns false to end it.
xet::result<> each_version(node_store::place const& p, std::function<bool(known_version&)> const& visit)
{
	std::uint64_t current_seq = 0;
	if (auto v = load(p.tonic()))
	{
		v->current = true;
		current_seq = v->manifest.seq;
		if (!visit(*v)) return {};
	}
	for (auto const& k : p.kept().list())
	{
		if (k.seq == current_seq) continue;
		auto v = load(k.file);
		if (!v) return tl::unexpected(v.error());
		v->replaced_at = k.replaced_at;
		if (!visit(*v)) return {};
	}
	return {};
}

// The files of a version at a path: the file itself, or all below.
std::vector<tonic::file_entry const*> files_at(tonic::manifest const& m, std::string const& inside)
{
	std::vector<tonic::file_entry const*> out;
	std::string const below = inside + "/";
	for (tonic::file_entry const& f : m.files)
		if (inside.empty() || f.path == inside || f.path.starts_with(below)) out.push_back(&f);
	return out;
}

std::vector<xet::chunk_ref> missing_chunks(node_store& s, tonic::manifest const& m, std::vector<tonic::file_entry const*> const& files)
{
	std::vector<xet::chunk_ref> all;
	for (auto const* f : files)
	{
		auto const chunks = m.chunks_of(*f);
		all.insert(all.end(), chunks.begin(), chunks.end());
	}
	std::sort(all.begin(), all.end());
	all.erase(std::unique(all.begin(), all.end()), all.end());
	std::erase_if(all, [&](xet::chunk_ref const& c) { return s.chunks().may_read(m.how.kind, c.hash); });
	return all;
}

bool is_version(known_version const& v, std::string const& wanted)
{
	return wanted == std::to_string(v.manifest.seq) || (wanted == "current" && v.current)
		|| (wanted.size() >= min_version_digits && v.ref.starts_with(wanted));
}

// Reads what is needed for a restore. What should be here and is not is asked of the folder's peers, until that has failed once.
class version_reader
{
public:
	version_reader(node_store& s, tonic::manifest const& m) : m_store(s), m_manifest(m), m_ask(bool(s.recall())) {}

	xet::result<xet::bytes> read(xet::chunk_ref const& c)
	{
		auto data = m_store.chunks().read(m_manifest.how.kind, c.hash);
		if (data || !m_ask) return data;
		m_store.recall()(m_manifest.folder, {c}, [](std::size_t) { return true; });
		data = m_store.chunks().read(m_manifest.how.kind, c.hash);
		m_ask = bool(data);
		return data;
	}

	xet::result<> write_file(tonic::file_entry const& f, int fd)
	{
		std::uint64_t at = 0;
		for (xet::chunk_ref const& c : m_manifest.chunks_of(f))
		{
			auto const data = read(c);
			if (!data) return tl::unexpected(data.error());
			if (auto const written = tonic::write_at(fd, at, *data, f.path); !written) return written;
			at += data->size();
		}
		if (::ftruncate(fd, off_t(at)) != 0 || ::fchmod(fd, f.mode) != 0 || ::fsync(fd) != 0) return tonic::system_failure("cannot write it");
		return {};
	}

private:
	node_store& m_store;
	tonic::manifest const& m_manifest;
	bool m_ask;
};

// Complete and synced beside its place, then renamed: nobody sees half a file.
xet::result<> restore_file(version_reader& reader, tonic::file_entry const& f, tonic::folder_fs const& into, std::string const& path)
{
	auto const slash = path.rfind('/');
	if (slash != std::string::npos)
		if (auto const made = into.make_dirs(path.substr(0, slash)); !made) return made;
	std::string const temporary = xet::cat(path.substr(0, slash == std::string::npos ? 0 : slash + 1), ".restoring-", xet::to_hex(f.hash.view()).substr(0, 16));
	(void)into.remove_file(temporary);
	auto const fd = into.open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (!fd) return tl::unexpected(fd.error());
	auto done = reader.write_file(f, fd->get());
	if (done) done = into.set_times(temporary, f.mtime_ns);
	if (done) done = into.rename(temporary, path);
	if (!done) (void)into.remove_file(temporary);
	return done;
}

// What stands in a place that is about to be overwritten: nothing of it is lost. What the current version says is kept in the store;
// anything else, which was never published, gets another name beside it.
xet::result<std::vector<std::string>> make_way(node_store& s, asked_path const& where, std::vector<tonic::file_entry const*> const& files, tonic::folder_fs const& fs)
{
	std::vector<std::string> aside;
	auto const current = load(where.folder.tonic());
	if (!current) return tl::unexpected(current.error());
	auto const& m = current->manifest;
	xet::store_writer writer(s.chunks(), m.how.kind);
	for (auto const* f : files)
	{
		auto const kind = fs.look(f->path).kind;
		if (kind == tonic::entry_kind::absent) continue;
		if (kind == tonic::entry_kind::dir) return fail(errc::refused, tonic::printable(f->path), " is a directory now; restore to another place with -o");
		auto const* now = m.find_file(f->path);
		xet::chunk_file_options options;
		options.chunks = [&](std::span<xet::chunk_ref const> chunks, xet::bytes_view data) {
			for (xet::chunk_ref const& c : chunks)
			{
				if (!writer.put(c.hash, data.first(c.size))) return false;
				data = data.subspan(c.size);
			}
			return true;
		};
		auto const fd = fs.open_file(f->path, O_RDONLY | O_NONBLOCK);
		auto const chunks = fd ? xet::chunk_file(fd->get(), m.how, options) : tl::unexpected(fd.error());
		bool const published = chunks && now != nullptr && xet::file_hash(m.how.kind, *chunks) == now->hash;
		if (published || (chunks && xet::file_hash(m.how.kind, *chunks) == f->hash)) continue;
		auto const renamed = fs.keep_aside(f->path, s.chunks().now());
		if (!renamed) return tl::unexpected(renamed.error());
		aside.push_back(*renamed);
	}
	std::lock_guard const lock(s.holding());
	if (auto const kept = writer.commit(where.folder.kept().holder(), 0); !kept)
		return fail(kept.error().code, "what is there now cannot be kept (", kept.error().message, "); restore to another place with -o");
	return aside;
}

xet::result<json> restore_tree(node_store& s, known_version const& v, asked_path const& where, std::string const& out, event_sender const& send)
{
	auto const files = files_at(v.manifest, where.inside);
	bool const one_file = files.size() == 1 && files.front()->path == where.inside;
	bool const in_place = out.empty();
	if (in_place && where.folder.record.role == folder_role::follower)
		return fail(errc::refused, "this node follows the folder's publisher, who decides what is in it; restore to another place with -o OUT");
	auto missing = missing_chunks(s, v.manifest, files);
	if (!missing.empty() && s.recall())
	{
		auto const total = missing.size();
		s.recall()(v.manifest.folder, std::move(missing), [&](std::size_t left) { return send({{"event", "progress"}, {"done", total - left}, {"total", total}}); });
		missing = missing_chunks(s, v.manifest, files);
	}
	if (!missing.empty())
		return fail(errc::not_found, missing.size(), " chunks of this version are not here any more, and ", s.recall() ? "no peer that is connected kept them" : "no node runs that could ask its peers for them", "; nothing was restored");

	std::filesystem::path root = in_place ? where.folder.record.path : std::filesystem::path(out);
	std::string file_name;
	if (!in_place && one_file)
	{
		std::error_code ec;
		if (std::filesystem::is_directory(root, ec)) file_name = std::filesystem::path(where.inside).filename().string();
		else
		{
			file_name = root.filename().string();
			root = root.has_parent_path() ? root.parent_path() : ".";
		}
	}
	else if (!in_place)
	{
		std::error_code ec;
		if (std::filesystem::exists(root, ec) && !std::filesystem::is_empty(root, ec))
			return fail(errc::refused, tonic::printable(root.native()), " is not empty; give a new or an empty directory");
		std::filesystem::create_directories(root, ec);
		if (ec) return fail(errc::io, "cannot make ", tonic::printable(root.native()), ": ", ec.message());
	}
	auto const fs = tonic::folder_fs::open(root);
	if (!fs) return tl::unexpected(fs.error());
	auto aside = json::array();
	if (in_place)
	{
		auto const renamed = make_way(s, where, files, *fs);
		if (!renamed) return tl::unexpected(renamed.error());
		for (std::string const& path : *renamed) aside.push_back(text_of(path));
	}

	std::string const below = where.inside.empty() ? "" : where.inside + "/";
	auto const target = [&](std::string const& path) { return in_place ? path : one_file ? file_name : path.substr(below.size()); };
	std::uint64_t done = 0, total = 0, count = 0;
	for (auto const* f : files) total += f->size;
	if (!one_file)
		for (tonic::dir_entry const& d : v.manifest.dirs)
			if (d.path.starts_with(below))
				if (auto const made = fs->make_dirs(target(d.path)); !made) return tl::unexpected(made.error());
	version_reader reader(s, v.manifest);
	auto failed = json::array();
	for (auto const* f : files)
	{
		if (auto const restored = restore_file(reader, *f, *fs, target(f->path)); !restored)
		{
			if (one_file || restored.error().code == errc::no_space) return fail(restored.error().code, tonic::printable(f->path), ": ", restored.error().message);
			failed.push_back(text_of(f->path) + ": " + restored.error().message);
			continue;
		}
		done += f->size;
		++count;
		if (!send({{"event", "progress"}, {"done", done}, {"total", total}})) return fail(errc::cancelled, "gone after ", count, " of ", files.size(), " files");
	}
	if (!one_file)
		for (tonic::link_entry const& l : v.manifest.links)
			if (l.path.starts_with(below) && fs->look(target(l.path)).kind == tonic::entry_kind::absent)
				if (auto const made = fs->make_link(target(l.path), l.target, l.mtime_ns); !made) return tl::unexpected(made.error());
	// the deepest first: what is put into a directory changes its time
	if (!one_file && !in_place)
		for (auto d = v.manifest.dirs.rbegin(); d != v.manifest.dirs.rend(); ++d)
			if (d->path.starts_with(below))
			{
				(void)fs->set_times(target(d->path), d->mtime_ns);
				(void)fs->set_mode(target(d->path), d->mode);
			}
	return json{{"files", count}, {"bytes", done}, {"version", v.ref}, {"seq", v.manifest.seq}, {"folder", where.folder.record.carrier.folder}
		, {"to", text_of(in_place ? (root / where.inside).native() : one_file ? (root / file_name).native() : root.native())}, {"in_place", in_place}, {"kept_aside", aside}, {"failed", failed}};
}

} // namespace

xet::result<json> do_versions(node_store& s, json const& q, event_sender const& send)
{
	auto const where = find_path(s, bytes_of(q, "path"));
	if (!where) return tl::unexpected(where.error());
	std::uint64_t count = 0;
	bool listening = true;
	auto const seen = each_version(where->folder, [&](known_version& v) {
		auto const files = files_at(v.manifest, where->inside);
		if (files.empty() && !where->inside.empty()) return true;
		bool const one_file = files.size() == 1 && files.front()->path == where->inside;
		json row{{"event", "row"}, {"version", v.ref}, {"seq", v.manifest.seq}, {"time", v.manifest.timestamp}, {"current", v.current}
			, {"path", text_of(where->inside)}};
		if (one_file)
		{
			row["size"] = files.front()->size;
			row["hash"] = xet::to_string(v.manifest.how.kind, files.front()->hash);
			row["mtime"] = files.front()->mtime_ns / 1'000'000'000;
		}
		else
		{
			std::uint64_t bytes = 0;
			for (auto const* f : files) bytes += f->size;
			row["files"] = files.size();
			row["size"] = bytes;
		}
		auto const missing = missing_chunks(s, v.manifest, files);
		row["available"] = missing.empty();
		row["missing_chunks"] = missing.size();
		++count;
		listening = send(row);
		return listening;
	});
	if (!seen) return tl::unexpected(seen.error());
	if (!listening) return fail(errc::cancelled, "gone");
	if (count == 0) return fail(errc::not_found, "no version that is kept has ", tonic::printable(where->inside));
	return json{{"versions", count}, {"folder", where->folder.record.carrier.folder}};
}

xet::result<json> do_restore(node_store& s, json const& q, event_sender const& send)
{
	auto const where = find_path(s, bytes_of(q, "path"));
	if (!where) return tl::unexpected(where.error());
	std::string const wanted = q.at("version");
	std::optional<known_version> found;
	std::size_t matches = 0;
	auto const seen = each_version(where->folder, [&](known_version& v) {
		if (!is_version(v, wanted)) return true;
		++matches;
		if (!found) found = std::move(v);
		return true;
	});
	if (!seen) return tl::unexpected(seen.error());
	if (!found) return fail(errc::not_found, "there is no version ", tonic::printable(wanted), "; xet versions lists them (a version's number, or the first digits of its name)");
	if (matches > 1) return fail(errc::invalid, tonic::printable(wanted), " fits ", matches, " versions; give more digits, or the number");
	if (files_at(found->manifest, where->inside).empty())
		return fail(errc::not_found, "version ", wanted, " has no ", where->inside.empty() ? "files" : tonic::printable(where->inside));
	std::string const out = q.contains("out") || q.contains("out_hex") ? bytes_of(q, "out") : std::string();
	return restore_tree(s, *found, *where, out, send);
}

} // namespace ut_xet
