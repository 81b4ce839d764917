#include "xet/added_files.hpp"

#include "xet/merkle.hpp"
#include "xet/posix.hpp"
#include "xet/store_writer.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>

namespace xet {

namespace {

constexpr std::string_view suffix = ".shard";
constexpr std::string_view holder_prefix = "shard:";

// HASH.KIND.shard, since a shard does not say which function names its chunks
std::string file_name(hash_kind kind, bytes_view data)
{
	auto const h = chunk_hash(has_blake3() ? hash_kind::blake3 : hash_kind::sha256, data);
	return cat(to_hex(h.view()), '.', name_of(kind), suffix);
}

std::optional<hash_kind> kind_of_name(std::string_view name)
{
	if (!name.ends_with(suffix)) return std::nullopt;
	name.remove_suffix(suffix.size());
	auto const dot = name.rfind('.');
	return dot == name.npos ? std::nullopt : kind_from_name(name.substr(dot + 1));
}

std::uint64_t total_size(shard const& s)
{
	std::uint64_t n = 0;
	for (shard_file const& f : s.files) n += f.size;
	return n;
}

// The regular files of paths, with the names they get.
class file_finder
{
public:
	using found_list = std::vector<std::pair<std::filesystem::path, std::string>>;
	explicit file_finder(std::vector<std::string>& skipped) : m_skipped(skipped) {}

	void look(std::filesystem::path const& given)
	{
		std::error_code ec;
		auto path = std::filesystem::absolute(given, ec).lexically_normal();
		if (!path.has_filename()) path = path.parent_path();
		m_base = path.parent_path();
		// the path somebody names may be a link; what lies below it is not followed
		if (std::filesystem::is_directory(path, ec)) descend(path);
		else take(path);
	}
	found_list take_all()
	{
		std::sort(m_found.begin(), m_found.end());
		m_found.erase(std::unique(m_found.begin(), m_found.end()), m_found.end());
		return std::move(m_found);
	}

private:
	void descend(std::filesystem::path const& dir)
	{
		std::error_code ec;
		std::filesystem::directory_iterator i(dir, ec);
		for (; !ec && i != std::filesystem::directory_iterator(); i.increment(ec)) take(i->path());
		if (ec) m_skipped.push_back(cat(dir.native(), ": ", ec.message()));
	}
	void take(std::filesystem::path const& path)
	{
		std::error_code unknown;
		auto const kind = std::filesystem::symlink_status(path, unknown).type();
		auto const refuse = [&](std::string const& why) { m_skipped.push_back(cat(path.native(), ": ", why)); };
		if (kind == std::filesystem::file_type::directory) return descend(path);
		if (kind == std::filesystem::file_type::not_found) return refuse("there is no such file");
		if (kind != std::filesystem::file_type::regular) return refuse("not a regular file");
		shard one;
		one.files.push_back({path.lexically_relative(m_base).generic_string(), {}, 0, {}});
		if (auto const ok = check_shard(one); !ok) return refuse(ok.error().message);
		m_found.emplace_back(path, one.files.front().path);
	}

	std::vector<std::string>& m_skipped;
	std::filesystem::path m_base;
	found_list m_found;
};

std::optional<hash_kind> kind_of_chunk(hash32 const& hash, bytes_view data)
{
	for (auto const kind : all_hash_kinds)
		if ((kind == hash_kind::sha256 || has_blake3()) && chunk_hash(kind, data) == hash) return kind;
	return std::nullopt;
}

// Cuts one file and puts its chunks. The content is what the hashes say: it is hashed from the same bytes.
result<chunk_list> put_file(store_writer& writer, std::filesystem::path const& path, added_files::options const& how)
{
	file_descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
	struct ::stat st{};
	if (!fd || ::fstat(fd.get(), &st) != 0) return system_failure("cannot read it");
	if (!S_ISREG(st.st_mode)) return fail(errc::refused, "not a regular file");
	result<> put;
	chunk_file_options options;
	options.progress = how.progress;
	options.stop = how.stop;
	options.chunks = [&](std::span<chunk_ref const> chunks, bytes_view data) {
		for (chunk_ref const& c : chunks)
		{
			if (put) put = writer.put(c.hash, data.first(c.size));
			data = data.subspan(c.size);
		}
		return bool(put);
	};
	auto chunks = chunk_file(fd.get(), how.how, options);
	if (!put) return tl::unexpected(put.error());
	return chunks;
}

} // namespace

result<std::vector<std::string>> added_files::names()
{
	auto const entries = m_store.files().list(dir());
	if (!entries) return tl::unexpected(entries.error());
	std::vector<std::string> out;
	for (auto const& e : *entries)
		if (kind_of_name(e.name)) out.push_back(e.name);
	return out;
}

result<added_files::on_disk> added_files::load(std::string const& name)
{
	auto const path = dir() / name;
	auto const data = read_all(m_store.files(), path, max_shard_bytes);
	if (!data) return tl::unexpected(data.error());
	auto const kind = *kind_of_name(name);
	if (file_name(kind, *data) != name) return fail(errc::mismatch, "the shard ", path.native(), " is damaged: its content does not fit its name");
	auto s = read_shard(*data);
	if (!s) return fail(s.error().code, path.native(), ": ", s.error().message);
	return on_disk{name, kind, std::move(s->content)};
}

result<std::string> added_files::save(hash_kind kind, shard const& s)
{
	if (auto const ok = check_shard(s); !ok) return tl::unexpected(ok.error());
	auto const data = write_shard(s);
	auto const name = file_name(kind, data);
	if (auto const made = m_store.files().make_dirs(dir()); !made) return tl::unexpected(made.error());
	if (auto const synced = m_store.files().sync_dir(m_store.dir()); !synced) return tl::unexpected(synced.error());
	if (auto const written = write_durably(m_store.files(), dir() / name, data); !written) return tl::unexpected(written.error());
	return name;
}

result<> added_files::hold(on_disk const& s)
{
	return m_store.hold_only(cat(holder_prefix, s.name), total_size(s.content), s.kind, s.content.chunks, chunk_store::others::are_wanted);
}

result<> added_files::restore(std::string& note)
{
	std::lock_guard const lock(m_mutex);
	auto const on_disk_names = names();
	if (!on_disk_names) return tl::unexpected(on_disk_names.error());
	auto const holders = m_store.holders();
	if (!holders) return tl::unexpected(holders.error());
	std::set<std::string> held, wanted;
	for (auto const& h : *holders)
		if (h.name.starts_with(holder_prefix)) held.insert(h.name.substr(holder_prefix.size()));
	for (std::string const& name : *on_disk_names)
	{
		wanted.insert(name);
		if (held.contains(name)) continue;
		auto const s = load(name);
		if (!s)
		{
			note += (note.empty() ? "" : "; ") + s.error().message;
			continue;
		}
		if (auto const done = hold(*s); !done) return done;
	}
	for (std::string const& name : held)
		if (!wanted.contains(name))
			if (auto const done = m_store.release(cat(holder_prefix, name)); !done) return done;
	return {};
}

result<added_files::added> added_files::add(std::vector<std::filesystem::path> const& paths, options const& how)
{
	added out;
	file_finder finder(out.skipped);
	for (auto const& path : paths) finder.look(path);
	auto const found = finder.take_all();
	store_writer writer(m_store, how.how.kind);
	shard s;
	for (auto const& [path, name] : found)
	{
		auto const chunks = put_file(writer, path, how);
		if (!chunks)
		{
			auto const& e = chunks.error();
			if (e.code == errc::cancelled || e.code == errc::no_space || writer.failed()) return tl::unexpected(e);
			out.skipped.push_back(cat(path.native(), ": ", e.message));
			continue;
		}
		shard_file f{name, file_hash(how.how.kind, *chunks), 0, {}};
		for (chunk_ref const& c : *chunks)
		{
			f.size += c.size;
			s.chunks.push_back(c.hash);
		}
		out.files.push_back({path, f.hash, f.size, chunks->size()});
		out.bytes += f.size;
		s.files.push_back(std::move(f));
	}
	if (out.files.empty()) return out;
	if (auto const written = writer.flush(); !written) return tl::unexpected(written.error());
	s.xorbs = writer.xorbs();
	std::lock_guard const lock(m_mutex);
	// the shard first: whoever finds it without its holder makes the holder
	auto const name = save(how.how.kind, s);
	if (!name) return tl::unexpected(name.error());
	if (auto const held = writer.commit(cat(holder_prefix, *name), total_size(s), true); !held) return tl::unexpected(held.error());
	out.name = *name;
	out.new_bytes = writer.new_bytes();
	return out;
}

result<added_files::imported> added_files::import_loose(std::filesystem::path const& dir, std::function<bool(std::uint64_t, std::uint64_t)> const& progress)
{
	auto const entries = m_store.files().list(dir);
	if (!entries) return tl::unexpected(entries.error());
	if (std::error_code ec; !std::filesystem::is_directory(dir, ec)) return fail(errc::not_found, dir.native(), " is not a directory");
	imported out;
	std::map<hash_kind, std::unique_ptr<store_writer>> writers;
	std::map<hash_kind, shard> shards;
	std::uint64_t done = 0;
	for (auto const& e : *entries)
	{
		if (progress && !progress(done++, entries->size())) return fail(errc::cancelled, "stopped");
		auto const hash = hash_from_hex(e.name);
		if (!hash) continue;
		auto const data = read_all(m_store.files(), dir / e.name, max_wire_chunk_bytes);
		if (!data)
		{
			out.skipped.push_back(data.error().message);
			continue;
		}
		auto const kind = kind_of_chunk(*hash, *data);
		if (!kind)
		{
			out.skipped.push_back(cat((dir / e.name).native(), ": its content has another hash"));
			continue;
		}
		auto& writer = writers[*kind];
		if (!writer) writer = std::make_unique<store_writer>(m_store, *kind);
		if (auto const put = writer->put(*hash, *data); !put) return tl::unexpected(put.error());
		shards[*kind].chunks.push_back(*hash);
		++out.chunks;
		out.bytes += data->size();
	}
	std::lock_guard const lock(m_mutex);
	for (auto& [kind, writer] : writers)
	{
		if (auto const written = writer->flush(); !written) return tl::unexpected(written.error());
		shards[kind].xorbs = writer->xorbs();
		auto const name = save(kind, shards[kind]);
		if (!name) return tl::unexpected(name.error());
		if (auto const held = writer->commit(cat(holder_prefix, *name), 0, true); !held) return tl::unexpected(held.error());
		out.new_bytes += writer->new_bytes();
	}
	return out;
}

// A shard does not say how many chunks a file has: their sizes do. The size of a chunk that is lost is not known; then the file's
// hash tells which of the few possible numbers is right.
result<std::size_t> added_files::count_chunks(on_disk const& s, shard_file const& f, std::size_t first)
{
	auto const& all = s.content.chunks;
	std::uint64_t known = 0, unknown = 0;
	for (std::size_t n = 0;; ++n)
	{
		if (known + unknown > f.size) break;
		if (unknown == 0 && known == f.size) return n;
		if (unknown != 0 && f.size <= known + unknown * max_chunk_bytes)
		{
			chunk_list list;
			for (std::size_t i = 0; i < n; ++i) list.push_back({all[first + i], 0});
			if (s.kind != hash_kind::hf && file_hash(s.kind, list) == f.hash) return n;
		}
		if (first + n == all.size()) break;
		auto const size = m_store.size_of(s.kind, all[first + n]);
		if (size) known += *size;
		else if (size.error().code == errc::not_found) ++unknown;
		else return tl::unexpected(size.error());
	}
	if (unknown != 0) return fail(errc::mismatch, unknown, " chunks around ", f.path, " are lost, so the shard ", s.name, " cannot be read");
	return fail(errc::invalid, "the shard ", s.name, " lists chunks that do not make ", f.path);
}

result<std::vector<std::size_t>> added_files::first_chunks(on_disk const& s)
{
	std::vector<std::size_t> out{0};
	for (shard_file const& f : s.content.files)
	{
		auto const n = count_chunks(s, f, out.back());
		if (!n) return tl::unexpected(n.error());
		out.push_back(out.back() + *n);
	}
	return out;
}

// The new shard is there, and holds, before the old one goes.
result<> added_files::replace(on_disk const& old, on_disk rest)
{
	if (!rest.content.chunks.empty() || !rest.content.files.empty())
	{
		auto const saved = save(rest.kind, rest.content);
		if (!saved) return tl::unexpected(saved.error());
		rest.name = *saved;
		if (auto const held = hold(rest); !held) return held;
	}
	if (auto const gone = m_store.files().remove(dir() / old.name); !gone) return gone;
	if (auto const synced = m_store.files().sync_dir(dir()); !synced) return synced;
	return m_store.release(cat(holder_prefix, old.name));
}

result<std::size_t> added_files::remove(hash32 const& file_hash)
{
	std::lock_guard const lock(m_mutex);
	auto const all = names();
	if (!all) return tl::unexpected(all.error());
	std::size_t removed = 0;
	for (std::string const& name : *all)
	{
		auto const s = load(name);
		if (!s) continue;  // named at every start
		auto const is_it = [&](shard_file const& f) { return f.hash == file_hash; };
		auto const count = std::count_if(s->content.files.begin(), s->content.files.end(), is_it);
		if (s->content.files.empty())
		{
			// loose chunks that were imported: each stands for itself
			on_disk rest = *s;
			if (std::erase(rest.content.chunks, file_hash) == 0) continue;
			++removed;
			if (auto const done = replace(*s, rest); !done) return tl::unexpected(done.error());
			continue;
		}
		if (count == 0) continue;
		removed += std::size_t(count);
		auto const first = first_chunks(*s);
		if (!first) return tl::unexpected(first.error());
		on_disk rest{{}, s->kind, {}};
		rest.content.xorbs = s->content.xorbs;
		for (std::size_t i = 0; i < s->content.files.size(); ++i)
		{
			if (is_it(s->content.files[i])) continue;
			rest.content.files.push_back(s->content.files[i]);
			rest.content.chunks.insert(rest.content.chunks.end(), s->content.chunks.begin() + std::ptrdiff_t((*first)[i])
				, s->content.chunks.begin() + std::ptrdiff_t((*first)[i + 1]));
		}
		if (auto const done = replace(*s, rest); !done) return tl::unexpected(done.error());
	}
	return removed;
}

result<std::vector<added_files::listed>> added_files::list()
{
	std::lock_guard const lock(m_mutex);
	auto const all = names();
	if (!all) return tl::unexpected(all.error());
	std::vector<listed> out;
	for (std::string const& name : *all)
	{
		auto const s = load(name);
		if (!s) continue;  // named at every start
		for (shard_file const& f : s->content.files) out.push_back({name, f.path, s->kind, f.hash, f.size});
	}
	return out;
}

result<> added_files::read(hash32 const& file_hash, std::function<bool(bytes_view)> const& sink)
{
	std::optional<on_disk> from;
	std::size_t index = 0;
	{
		std::lock_guard const lock(m_mutex);
		auto const all = names();
		if (!all) return tl::unexpected(all.error());
		for (std::string const& name : *all)
		{
			auto s = load(name);
			if (!s) continue;  // named at every start
			auto const& files = s->content.files;
			auto const f = std::find_if(files.begin(), files.end(), [&](shard_file const& x) { return x.hash == file_hash; });
			if (f == files.end()) continue;
			index = std::size_t(f - files.begin());
			from = std::move(*s);
			break;
		}
	}
	if (!from) return fail(errc::not_found, "no file ", to_hex(file_hash.view()), " was added to the store");
	auto const first = first_chunks(*from);
	if (!first) return tl::unexpected(first.error());
	for (std::size_t i = (*first)[index]; i < (*first)[index + 1]; ++i)
	{
		auto const data = m_store.read(from->kind, from->content.chunks[i]);
		if (!data) return tl::unexpected(data.error());
		if (!sink(*data)) return fail(errc::cancelled, "stopped");
	}
	return {};
}

} // namespace xet
