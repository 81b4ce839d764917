#include "plugin/control/commands.hpp"

#include "plugin/control/store_commands.hpp"
#include "plugin/node.hpp"
#include "plugin/swarm.hpp"
#include "tonic/path_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

namespace ut_xet {

using json = nlohmann::ordered_json;  // keys as they are documented
using xet::errc;
using xet::fail;
using namespace std::chrono_literals;

namespace {

constexpr auto progress_interval = 100ms;

// How long to wait before looking again at something that has taken so long already: what is quickly done is quickly seen,
// and who waits for minutes does not keep a core busy.
std::chrono::milliseconds next_look(std::chrono::steady_clock::duration waited)
{
	return std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(waited / 50), 1ms, 20ms);
}

std::string dump(json const& j)
{
	// names need not be UTF-8; an answer always is
	return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

char const* code_name(errc c)
{
	switch (c)
	{
		case errc::invalid: return "invalid";
		case errc::unsupported: return "unsupported";
		case errc::limit: return "limit";
		case errc::mismatch: return "mismatch";
		case errc::not_found: return "not_found";
		case errc::refused: return "refused";
		case errc::no_space: return "no_space";
		case errc::io: return "io";
		case errc::cancelled: return "cancelled";
	}
	return "invalid";
}

json refused_json(folder_status const& s)
{
	auto out = json::array();
	for (auto const& r : s.refused) out.push_back({{"path", text_of(r.path)}, {"reason", r.reason}});
	return out;
}

json to_json(folder_status const& s)
{
	auto edits = json::array();
	for (auto const& e : s.local_edits) edits.push_back(text_of(e));
	return {
		{"folder", s.folder}, {"name", s.name}, {"state", s.state}, {"files", s.files}, {"bytes", s.bytes},
		{"need_bytes", s.need_bytes}, {"peers", s.peers}, {"version", s.version}, {"seq", s.seq}, {"role", s.role},
		{"path", text_of(s.path.native())}, {"infohash", s.info_hash}, {"chunks", s.chunks}, {"problem", s.problem}, {"failed", s.failed},
		{"local_edits", edits}, {"refused", refused_json(s)}, {"progress", s.progress},
	};
}

json shared_json(node const& n, folder const& f)
{
	auto const s = f.status();
	return {
		{"folder", s.folder}, {"name", s.name}, {"infohash", s.info_hash}, {"magnet", n.magnet_of(f)}, {"link", n.tonic_link_of(f)},
		{"torrent", f.torrent_path().string()}, {"tonic", f.tonic_path().string()}, {"files", s.files}, {"bytes", s.bytes},
		{"chunks", s.chunks}, {"refused", refused_json(s)},
	};
}

using sender = std::function<bool(json const&)>;

// Waits for the first version, telling how far it is.
xet::result<json> do_share(node& n, json const& q, sender const& send)
{
	share_request r;
	r.path = bytes_of(q, "path");
	r.name = q.value("name", "");
	r.profile = q.value("profile", "blake3");
	r.target_bytes = q.value("target", 0u);
	r.trackers = q.value("trackers", std::vector<std::string>());
	auto const f = n.share(r);
	if (!f) return tl::unexpected(f.error());
	using clock = std::chrono::steady_clock;
	auto const since = clock::now();
	for (auto told = since - progress_interval;; std::this_thread::sleep_for(next_look(clock::now() - since)))
	{
		auto const s = (*f)->status();
		if (!s.version.empty() && s.state == "in-sync") return shared_json(n, **f);
		if (s.failed)
		{
			std::string const problem = s.problem;
			if (s.version.empty()) (void)n.leave(s.folder);
			return fail(errc::io, problem);
		}
		if (clock::now() - told < progress_interval) continue;
		told = clock::now();
		if (!send({{"event", "progress"}, {"state", s.state}, {"progress", s.progress}})) return fail(errc::cancelled, "gone");
	}
}

xet::result<json> do_join(node& n, json const& q, sender const&)
{
	join_request r;
	r.source = bytes_of(q, "source");
	r.dest = bytes_of(q, "dest");
	r.peers = q.value("peers", std::vector<std::string>());
	r.reuse = q.value("reuse", false);
	auto const joined = n.join(r);
	if (!joined) return tl::unexpected(joined.error());
	return json{{"folder", joined->folder}, {"name", joined->name}, {"infohash", joined->info_hash}, {"path", text_of(joined->path.native())}};
}

xet::result<json> do_status(node& n, json const& q, sender const&)
{
	auto rows = json::array();
	std::string const which = q.contains("folder") || q.contains("folder_hex") ? bytes_of(q, "folder") : std::string();
	auto const f = which.empty() ? nullptr : n.find(which);
	for (folder_status const& s : n.status())
	{
		bool const matches = which.empty() || (f ? s.folder == f->id() : s.info_hash == which || s.name == which || s.path == which);
		if (matches) rows.push_back(to_json(s));
	}
	if (!which.empty() && rows.empty()) return fail(errc::not_found, "this node has no folder ", tonic::printable(which), "; xet status without a folder lists them");
	json result{{"folders", rows}, {"host", n.how().host}, {"node", n.id()}, {"port", n.listen_port()}};
	if (q.contains("why") || q.contains("why_hex"))
	{
		std::string const path = bytes_of(q, "why");
		if (!f) return fail(errc::not_found, "say which folder the path is in: xet status FOLDER --why PATH");
		result["why"] = f->why(path);
	}
	return result;
}

xet::result<json> do_stats(node& n, json const&, sender const&)
{
	auto const& c = n.count();
	json out{
		{"chunk_bytes_in", c.chunk_bytes_in.load()}, {"chunk_bytes_out", c.chunk_bytes_out.load()},
		{"chunk_bytes_local", c.chunk_bytes_local.load()}, {"chunks_in", c.chunks_in.load()}, {"chunks_out", c.chunks_out.load()},
		{"verify_failures", c.verify_failures.load()}, {"peers", c.peers.load()}, {"chunks_duplicate", c.chunks_duplicate.load()},
		{"metadata_bytes_in", c.metadata_bytes_in.load()}, {"metadata_bytes_out", c.metadata_bytes_out.load()},
		{"wire_bytes_in", c.wire_bytes_in.load()}, {"wire_bytes_out", c.wire_bytes_out.load()}, {"violations", c.violations.load()},
		{"network_thread_us_p50", c.network_thread.quantile_us(0.5)}, {"network_thread_us_p999", c.network_thread.quantile_us(0.999)},
		{"network_thread_us_max", c.network_thread.max_us()},
	};
	if (auto const store = n.store())
	{
		auto const figures = store_figures(*store);
		if (!figures) return tl::unexpected(figures.error());
		out.update(*figures);
	}
	return out;
}

xet::result<json> do_leave(node& n, json const& q, sender const&)
{
	auto const left = n.leave(bytes_of(q, "folder"));
	if (!left) return tl::unexpected(left.error());
	return json::object();
}

xet::result<json> do_rescan(node& n, json const& q, sender const&)
{
	auto const which = bytes_of(q, "folder");
	auto const f = n.find(which);
	if (!f) return fail(errc::not_found, "this node has no folder ", tonic::printable(which), "; xet status lists them");
	f->rescan(q.value("accept_deletions", false));
	return json::object();
}

using handler = xet::result<json> (*)(node&, json const&, sender const&);

std::map<std::string, handler> const handlers{
	{"share", do_share}, {"join", do_join}, {"status", do_status}, {"stats", do_stats}, {"leave", do_leave}, {"rescan", do_rescan},
};

xet::result<json> carry_out(node& n, std::string const& request, sender const& send)
{
	try
	{
		auto const q = json::parse(request);
		std::string const cmd = q.at("cmd");
		if (is_store_command(cmd))
		{
			auto const store = n.store();
			if (!store) return fail(errc::io, "this node's store cannot be used; its log says why");
			return answer_store(*store, q, send);
		}
		auto const h = handlers.find(cmd);
		if (h == handlers.end()) return fail(errc::unsupported, "unknown command ", cmd);
		return h->second(n, q, send);
	}
	catch (json::exception const& e)
	{
		return fail(errc::invalid, "malformed request: ", e.what());
	}
	catch (std::exception const& e)
	{
		return fail(errc::io, e.what());
	}
}

} // namespace

bool answer(node& n, std::string const& request, std::function<bool(std::string const&)> const& send)
{
	auto const r = carry_out(n, request, [&](json const& j) { return send(dump(j)); });
	if (r) return send(dump({{"ok", true}, {"result", *r}}));
	return send(dump({{"ok", false}, {"code", code_name(r.error().code)}, {"error", r.error().message}}));
}

} // namespace ut_xet
