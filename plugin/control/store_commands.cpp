#include "plugin/control/store_commands.hpp"

#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"
#include "xet/store_writer.hpp"

#include <thread>

namespace ut_xet {

using json = nlohmann::ordered_json;
using xet::errc;
using xet::fail;

namespace {

// At most this often: an event is for a person, or for a client that wants to know that all is well.
constexpr auto event_interval = std::chrono::milliseconds(100);
constexpr std::int64_t seconds_per_day = 24 * 3600;

class paced_events
{
public:
	explicit paced_events(event_sender const& send) : m_send(send) {}
	bool operator()(std::uint64_t done, std::uint64_t total)
	{
		auto const now = std::chrono::steady_clock::now();
		if (now - m_last < event_interval) return m_listening;
		m_last = now;
		m_done = done;
		m_total = total;
		m_listening = m_send({{"event", "progress"}, {"done", done}, {"total", total}});
		return m_listening;
	}
	// Waits; false as soon as nobody listens any more.
	bool sleep(double seconds)
	{
		constexpr double slice = 0.1;
		for (; seconds > slice && m_listening; seconds -= slice)
		{
			std::this_thread::sleep_for(std::chrono::duration<double>(slice));
			(*this)(m_done, m_total);
		}
		std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, slice)));
		return m_listening;
	}

private:
	event_sender const& m_send;
	std::chrono::steady_clock::time_point m_last{};
	std::uint64_t m_done = 0, m_total = 0;
	bool m_listening = true;
};

// A chunk's or a file's hash, as the profile's users write it; without a profile all kinds it may be.
std::vector<std::pair<xet::hash_kind, xet::hash32>> hashes_from(std::string const& text)
{
	std::vector<std::pair<xet::hash_kind, xet::hash32>> out;
	for (auto const kind : xet::all_hash_kinds)
		if (auto const h = xet::hash_from_string(kind, text)) out.emplace_back(kind, *h);
	return out;
}

xet::result<json> do_add(node_store& s, json const& q, event_sender const& send)
{
	auto const how = xet::make_profile(q.value("profile", "blake3"), q.value("target", 0u));
	if (!how) return tl::unexpected(how.error());
	if (!q.at("paths").is_array()) return fail(errc::invalid, "paths has to be a list");
	std::vector<std::filesystem::path> paths;
	for (json const& p : q.at("paths")) paths.emplace_back(p.is_string() ? p.get<std::string>() : bytes_of(p, "path"));
	paced_events progress(send);
	std::atomic<bool> stop{false};
	std::uint64_t done = 0;
	xet::added_files::options options;
	options.how = *how;
	options.stop = &stop;
	options.progress = [&](std::uint64_t bytes) {
		done += bytes;
		if (!progress(done, 0)) stop = true;
	};
	auto const added = s.added().add(paths, options);
	if (!added) return tl::unexpected(added.error());
	for (auto const& f : added->files)
		if (!send({{"event", "row"}, {"path", text_of(f.path.native())}, {"hash", xet::to_string(how->kind, f.hash)}, {"size", f.size}, {"chunks", f.chunks}}))
			return fail(errc::cancelled, "gone");
	auto skipped = json::array();
	for (std::string const& text : added->skipped) skipped.push_back(text_of(text));
	return json{{"files", added->files.size()}, {"bytes", added->bytes}, {"new_bytes", added->new_bytes}, {"shard", added->name}, {"skipped", skipped}};
}

// Where the content of a chunk or a file goes: to a file (whole, or not at all), or to whoever asked.
class content_sink
{
public:
	content_sink(xet::file_layer& files, std::filesystem::path out, event_sender const& send) : m_files(files), m_out(std::move(out)), m_send(send) {}
	~content_sink()
	{
		if (m_file) (void)m_files.remove(temporary());
	}

	bool take(xet::bytes_view data)
	{
		if (m_out.empty()) return m_send({{"event", "data"}, {"hex", xet::to_hex(data)}});
		if (!m_file)
		{
			(void)m_files.remove(temporary());
			auto opened = m_files.open(temporary(), xet::open_mode::create);
			if (!opened) return refuse(opened.error());
			m_file = std::move(*opened);
		}
		if (auto const written = m_file->write_at(m_at, data); !written) return refuse(written.error());
		m_at += data.size();
		return true;
	}
	xet::result<> finish()
	{
		if (m_problem) return tl::unexpected(*m_problem);
		if (m_out.empty()) return {};
		if (!m_file && !take({})) return tl::unexpected(*m_problem);  // an empty file
		if (auto const synced = m_file->sync(); !synced) return synced;
		auto const renamed = m_files.rename(temporary(), m_out);
		if (renamed) m_file.reset();
		return renamed;
	}
	std::optional<xet::error> const& problem() const { return m_problem; }

private:
	std::filesystem::path temporary() const { return m_out.native() + ".xet-tmp"; }
	bool refuse(xet::error e)
	{
		m_problem = std::move(e);
		return false;
	}

	xet::file_layer& m_files;
	std::filesystem::path m_out;
	event_sender const& m_send;
	std::unique_ptr<xet::file> m_file;
	std::uint64_t m_at = 0;
	std::optional<xet::error> m_problem;
};

// A chunk, or an added file.
xet::result<json> do_get(node_store& s, json const& q, event_sender const& send)
{
	std::string const text = q.at("hash");
	auto const candidates = hashes_from(text);
	if (candidates.empty()) return fail(errc::invalid, tonic::printable(text), " is not a hash: 64 hexadecimal digits are");
	std::string const out = q.contains("out") || q.contains("out_hex") ? bytes_of(q, "out") : std::string();
	content_sink sink(s.chunks().files(), out, send);
	std::optional<xet::error> problem;
	for (auto const& [kind, hash] : candidates)
	{
		auto const data = s.chunks().read(kind, hash);
		if (data)
		{
			if (!sink.take(*data) && !sink.problem()) return fail(errc::cancelled, "gone");
			if (auto const done = sink.finish(); !done) return tl::unexpected(done.error());
			return json{{"kind", "chunk"}, {"size", data->size()}};
		}
		if (data.error().code != errc::not_found) problem = data.error();
	}
	if (problem) return tl::unexpected(*problem);
	std::uint64_t size = 0;
	for (auto const& [kind, hash] : candidates)
	{
		auto const read = s.added().read(hash, [&](xet::bytes_view data) {
			size += data.size();
			return sink.take(data);
		});
		if (sink.problem()) return tl::unexpected(*sink.problem());
		if (!read && read.error().code == errc::not_found) continue;
		if (!read) return tl::unexpected(read.error());
		if (auto const done = sink.finish(); !done) return tl::unexpected(done.error());
		return json{{"kind", "file"}, {"size", size}};
	}
	return fail(errc::not_found, "the store has no chunk and no file ", text);
}

xet::result<json> do_ls(node_store& s, json const& q, event_sender const& send)
{
	std::uint64_t count = 0, bytes = 0;
	if (q.value("files", false))
	{
		auto const files = s.added().list();
		if (!files) return tl::unexpected(files.error());
		for (auto const& f : *files)
		{
			++count;
			bytes += f.size;
			if (!send({{"event", "row"}, {"path", text_of(f.path)}, {"hash", xet::to_string(f.kind, f.hash)}, {"size", f.size}, {"profile", xet::name_of(f.kind)}, {"shard", f.shard}}))
				return fail(errc::cancelled, "gone");
		}
		return json{{"files", count}, {"bytes", bytes}};
	}
	bool listening = true;
	auto const seen = s.chunks().for_each([&](xet::chunk_store::listed const& c) {
		++count;
		bytes += c.size;
		listening = send({{"event", "row"}, {"hash", xet::to_string(c.kind, c.hash)}, {"size", c.size}, {"stored", c.stored}, {"refs", c.refs}
			, {"profile", xet::name_of(c.kind)}, {"xorb", xet::to_string(c.kind, c.xorb)}});
		return listening;
	});
	if (!seen) return tl::unexpected(seen.error());
	if (!listening) return fail(errc::cancelled, "gone");
	return json{{"chunks", count}, {"bytes", bytes}};
}

xet::result<json> do_rm(node_store& s, json const& q, event_sender const&)
{
	std::size_t removed = 0;
	for (json const& text : q.at("hashes"))
	{
		std::string const name = text;
		auto const candidates = hashes_from(name);
		std::size_t here = 0;
		for (auto const& [kind, hash] : candidates)
		{
			auto const gone = s.added().remove(hash);
			if (!gone) return tl::unexpected(gone.error());
			here += *gone;
		}
		if (here == 0) return fail(errc::not_found, "no file ", tonic::printable(name), " was added to the store; xet store ls --files lists them");
		removed += here;
	}
	return json{{"files", removed}};
}

xet::result<json> do_import(node_store& s, json const& q, event_sender const& send)
{
	paced_events progress(send);
	auto const done = s.added().import_loose(bytes_of(q, "dir"), [&](std::uint64_t n, std::uint64_t total) { return progress(n, total); });
	if (!done) return tl::unexpected(done.error());
	auto skipped = json::array();
	for (std::string const& text : done->skipped) skipped.push_back(text_of(text));
	return json{{"chunks", done->chunks}, {"bytes", done->bytes}, {"new_bytes", done->new_bytes}, {"skipped", skipped}};
}

xet::result<json> do_export(node_store& s, json const& q, event_sender const& send)
{
	std::filesystem::path const dir = bytes_of(q, "dir");
	auto& files = s.chunks().files();
	if (auto const made = files.make_dirs(dir); !made) return tl::unexpected(made.error());
	std::vector<std::pair<xet::hash_kind, xet::hash32>> wanted;
	for (json const& text : q.value("hashes", json::array()))
	{
		auto const candidates = hashes_from(text);
		auto const here = std::find_if(candidates.begin(), candidates.end(), [&](auto const& c) { return s.chunks().contains(c.first, c.second); });
		if (here == candidates.end()) return fail(errc::not_found, "the store has no chunk ", tonic::printable(text.get<std::string>()));
		wanted.push_back(*here);
	}
	if (wanted.empty())
	{
		auto const seen = s.chunks().for_each([&](auto const& c) {
			wanted.emplace_back(c.kind, c.hash);
			return true;
		});
		if (!seen) return tl::unexpected(seen.error());
	}
	paced_events progress(send);
	std::uint64_t done = 0, bytes = 0;
	for (auto const& [kind, hash] : wanted)
	{
		auto const data = s.chunks().read(kind, hash);
		if (!data) return tl::unexpected(data.error());
		// the name other implementations look for: the raw bytes in hexadecimal
		if (auto const written = xet::write_durably(files, dir / xet::to_hex(hash.view()), *data); !written) return tl::unexpected(written.error());
		bytes += data->size();
		if (!progress(++done, wanted.size())) return fail(errc::cancelled, "gone");
	}
	return json{{"chunks", done}, {"bytes", bytes}};
}

json to_json(xet::store_upkeep::item const& i, char const* what)
{
	return {{"event", "row"}, {"xorb", xet::to_string(i.kind, i.xorb)}, {"action", what}, {"chunks", i.chunks}, {"bytes", i.stored}, {"unused_since", i.unused_since}};
}

xet::result<json> do_cleanup(node_store& s, json const& q, event_sender const& send)
{
	bool const dry = q.value("dry_run", false);
	double const days = q.at("max_age_days");
	if (!(days >= 0) || days > 1e6) return fail(errc::invalid, "the age in days has to be from 0 to 1000000");
	auto const age = std::int64_t(days * double(seconds_per_day));
	std::uint64_t expired = 0;
	if (!dry)
	{
		for (auto const& p : s.folders())
		{
			auto const current = tonic::read_tonic(p.tonic());
			if (!current && current.error().code == errc::io) return tl::unexpected(current.error());
			auto const done = s.expire(p.kept(), current ? &*current : nullptr);
			if (!done) return tl::unexpected(done.error());
			expired += *done ? 1 : 0;
		}
	}
	xet::store_upkeep upkeep(s.chunks());
	auto const collected = upkeep.collect(age, q.value("grace_seconds", std::int64_t(0)), dry);
	if (!collected) return tl::unexpected(collected.error());
	for (auto const& i : collected->condemned)
		if (!send(to_json(i, "condemn"))) return fail(errc::cancelled, "gone");
	for (auto const& i : collected->removed)
		if (!send(to_json(i, "remove"))) return fail(errc::cancelled, "gone");
	paced_events progress(send);
	auto const packed = upkeep.pack(dry, std::ref(progress));
	if (!packed) return tl::unexpected(packed.error());
	std::uint64_t const saved = packed->bytes_before > packed->bytes_after ? packed->bytes_before - packed->bytes_after : 0;
	return json{{"dry_run", dry}, {"removed_xorbs", collected->removed.size()}, {"condemned_xorbs", collected->condemned.size()}
		, {"freed_bytes", collected->freed_bytes + saved}, {"packed_xorbs", packed->xorbs_before}, {"expired_folders", expired}};
}

xet::result<json> do_pack(node_store& s, json const& q, event_sender const& send)
{
	paced_events progress(send);
	auto const p = xet::store_upkeep(s.chunks()).pack(q.value("dry_run", false), std::ref(progress));
	if (!p) return tl::unexpected(p.error());
	return json{{"dry_run", q.value("dry_run", false)}, {"xorbs_before", p->xorbs_before}, {"xorbs_after", p->xorbs_after}
		, {"bytes_before", p->bytes_before}, {"bytes_after", p->bytes_after}, {"lost_chunks", p->lost_chunks}};
}

xet::result<json> do_scrub(node_store& s, json const& q, event_sender const& send)
{
	paced_events progress(send);
	auto const sleep = [&](double seconds) { return progress.sleep(seconds); };
	auto const r = xet::store_upkeep(s.chunks()).scrub(q.value("rate", std::uint64_t(0)), sleep, std::ref(progress));
	if (!r) return tl::unexpected(r.error());
	return json{{"finished", r->finished}, {"xorbs", r->xorbs}, {"chunks", r->chunks}, {"bytes", r->bytes}, {"bad_chunks", r->bad_chunks}
		, {"repaired_chunks", r->repaired_chunks}, {"lost_chunks", r->lost_chunks}, {"messages", r->messages}};
}

xet::result<json> do_check(node_store& s, json const& q, event_sender const& send)
{
	paced_events progress(send);
	auto const problems = xet::store_upkeep(s.chunks()).check(!q.value("quick", false), std::ref(progress));
	if (!problems) return tl::unexpected(problems.error());
	auto const print = s.chunks().fingerprint();
	if (!print) return tl::unexpected(print.error());
	auto const figures = s.chunks().stats();
	if (!figures) return tl::unexpected(figures.error());
	return json{{"problems", *problems}, {"chunks", figures->chunks}, {"xorbs", figures->xorbs}, {"fingerprint", xet::to_hex(print->view())}};
}

using handler = xet::result<json> (*)(node_store&, json const&, event_sender const&);

std::map<std::string, handler> const handlers{
	{"store_add", do_add}, {"store_get", do_get}, {"store_ls", do_ls}, {"store_rm", do_rm}, {"store_import", do_import}, {"store_export", do_export},
	{"store_pack", do_pack}, {"store_scrub", do_scrub}, {"store_check", do_check}, {"cleanup", do_cleanup}, {"versions", do_versions}, {"restore", do_restore},
};

} // namespace

std::string text_of(std::string const& name) { return tonic::is_utf8(name) ? name : tonic::printable(name); }

std::string bytes_of(json const& q, std::string const& key)
{
	if (!q.contains(key + "_hex")) return q.at(key).get<std::string>();
	auto const raw = xet::from_hex(q.at(key + "_hex").get<std::string>());
	return raw ? std::string(xet::as_text(*raw)) : std::string();
}

bool is_store_command(std::string const& name) { return handlers.contains(name); }

xet::result<json> answer_store(node_store& s, json const& q, event_sender const& send) { return handlers.at(q.at("cmd"))(s, q, send); }

// Chunks count once, wherever they lie.
xet::result<json> store_figures(node_store& s)
{
	auto const stats = s.chunks().stats();
	if (!stats) return tl::unexpected(stats.error());
	std::uint64_t in_place = 0, logical = stats->logical_bytes;
	std::map<xet::hash_kind, std::vector<xet::chunk_ref>> by_kind;
	for (auto const& p : s.folders())
	{
		auto const m = tonic::read_tonic(p.tonic());
		if (!m) continue;
		in_place += m->total_bytes();
		logical += m->total_bytes();
		auto& all = by_kind[m->how.kind];
		all.insert(all.end(), m->chunks.begin(), m->chunks.end());
	}
	std::uint64_t chunks = stats->chunks, unique = stats->unique_bytes;
	for (auto& [kind, all] : by_kind)
	{
		std::sort(all.begin(), all.end());
		all.erase(std::unique(all.begin(), all.end()), all.end());
		std::vector<xet::hash32> hashes;
		for (xet::chunk_ref const& c : all) hashes.push_back(c.hash);
		auto const packed = s.chunks().contains(kind, hashes);
		if (!packed) return tl::unexpected(packed.error());
		for (std::size_t i = 0; i < all.size(); ++i)
		{
			if ((*packed)[i]) continue;
			++chunks;
			unique += all[i].size;
		}
	}
	return json{{"chunks", chunks}, {"unique_bytes", unique}, {"logical_bytes", logical}
		, {"dedup_ratio", unique == 0 ? 1.0 : double(logical) / double(unique)}, {"xorbs", stats->xorbs}, {"xorb_bytes", stats->xorb_bytes}
		, {"compressed_saved_bytes", stats->compressed_saved_bytes}, {"in_place_bytes", in_place}, {"quota_bytes", stats->quota_bytes}
		, {"wanted_chunks", stats->wanted}};
}

} // namespace ut_xet
