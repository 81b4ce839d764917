#include "tools/xet/commands.hpp"

#include "tonic/link.hpp"
#include "tonic/path_rules.hpp"
#include "tools/common/client.hpp"
#include "tools/common/share_options.hpp"
#include "tools/common/terminal.hpp"

#include <nlohmann/json.hpp>

#include <iostream>
#include <thread>

namespace tools {

using json = nlohmann::ordered_json;

namespace {

constexpr std::chrono::milliseconds poll_interval{100};

std::string line_of(json const& j)
{
	return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

int complain_of(xet::error const& e)
{
	return complain("xet", e.message);
}

std::string percent(double part)
{
	return xet::cat(int(part * 100), " %");
}

// An empty path would be the directory the command runs in.
std::string not_empty(std::string const& text)
{
	return text.empty() ? "is empty" : "";
}

// A folder is named by its name or id, or else by its path, which is made absolute here, where the shell's directory is known.
xet::result<json> ask_about(shell const& s, std::string const& folder, json q)
{
	q["folder"] = folder;
	auto const r = ask_node(s.data, q);
	std::error_code ec;
	if (r || r.error().code != xet::errc::not_found || !std::filesystem::is_directory(folder, ec)) return r;
	q["folder"] = std::filesystem::absolute(folder).string();
	return ask_node(s.data, q);
}

void print_refused(json const& refused)
{
	for (json const& r : refused)
		std::cerr << "not shared: " << tonic::printable(r.at("path").get<std::string>()) << ": " << r.at("reason").get<std::string>() << '\n';
}

// --- share -------------------------------------------------------------------------------------------------------------

struct share_arguments
{
	std::string folder;
	share_options options;
	bool as_json = false;
};

int share(shell const& s, share_arguments const& a)
{
	if (auto const ok = check(a.options); !ok) return complain("xet", ok.error().message, usage);
	progress_line progress;
	auto const r = ask_node(s.data, {{"cmd", "share"}, {"path", std::filesystem::absolute(a.folder).string()}, {"name", a.options.name}
		, {"profile", a.options.profile}, {"target", a.options.target}, {"trackers", a.options.trackers}}
		, [&](json const& event) { progress.show(xet::cat("reading ", a.folder, ": ", percent(event.value("progress", 0.0)))); });
	progress.clear();
	if (!r) return complain_of(r.error());
	bool const partial = !r->at("refused").empty();
	print_refused(r->at("refused"));
	if (a.as_json)
	{
		json out;
		for (char const* key : {"folder", "name", "infohash", "magnet", "link", "torrent", "tonic", "files", "bytes", "chunks"}) out[key] = r->at(key);
		std::cout << line_of(out) << std::endl;
	}
	else
	{
		std::cout << "shared   " << r->at("name").get<std::string>() << " (" << r->at("files") << " files, "
			<< human_bytes(r->at("bytes")) << ", " << r->at("chunks") << " chunks)\n"
			<< "folder   " << r->at("folder").get<std::string>() << '\n'
			<< "magnet   " << r->at("magnet").get<std::string>() << '\n'
			<< "link     " << r->at("link").get<std::string>() << '\n'
			<< "torrent  " << r->at("torrent").get<std::string>() << '\n'
			<< "tonic    " << r->at("tonic").get<std::string>() << std::endl;
	}
	return partial ? partly : ok;
}

// --- join --------------------------------------------------------------------------------------------------------------

struct join_arguments
{
	std::string source, dest;
	std::vector<std::string> peers;
	bool wait = false, reuse = false, as_json = false;
};

std::string progress_of(json const& row)
{
	std::string const state = row.at("state");
	std::uint64_t const bytes = row.at("bytes"), need = row.at("need_bytes");
	std::string out = xet::cat(row.at("name").get<std::string>(), ": ", state, ", ", row.at("peers"), " peers");
	if (bytes > 0 && state == "syncing") out += xet::cat(", ", human_bytes(need), " of ", human_bytes(bytes), " to fetch");
	return out;
}

// Until the folder is in sync, or stands in an error.
int wait_for_sync(shell const& s, json const& joined, json& row)
{
	progress_line progress;
	for (;;)
	{
		auto const r = ask_node(s.data, {{"cmd", "status"}, {"folder", joined.at("infohash")}});
		if (!r)
		{
			progress.clear();
			return complain_of(r.error());
		}
		row = r->at("folders").at(0);
		if (row.at("state") == "in-sync") return ok;
		if (row.at("failed"))
		{
			progress.clear();
			std::string const problem = row.at("problem");
			// a join that never became a folder leaves nothing behind
			if (row.at("folder") == "") (void)ask_node(s.data, {{"cmd", "leave"}, {"folder", joined.at("infohash")}});
			return complain("xet", problem);
		}
		progress.show(progress_of(row));
		std::this_thread::sleep_for(poll_interval);
	}
}

int join(shell const& s, join_arguments const& a)
{
	std::error_code ec;
	std::string const source = tonic::looks_like_link(a.source) && !std::filesystem::exists(a.source, ec) ? a.source : std::filesystem::absolute(a.source).string();
	auto const r = ask_node(s.data, {{"cmd", "join"}, {"source", source}, {"dest", std::filesystem::absolute(a.dest).string()}
		, {"peers", a.peers}, {"reuse", a.reuse}});
	if (!r) return complain_of(r.error());
	json row = *r;
	if (a.wait)
	{
		int const waited = wait_for_sync(s, *r, row);
		if (waited != ok) return waited;
	}
	if (a.as_json) std::cout << line_of(row) << std::endl;
	else if (a.wait)
		std::cout << "in sync: " << row.at("path").get<std::string>() << " (" << row.at("files") << " files, " << human_bytes(row.at("bytes"))
			<< ", version " << row.at("version").get<std::string>().substr(0, 16) << ")" << std::endl;
	else std::cout << "joined " << row.at("name").get<std::string>() << "; it appears at " << row.at("path").get<std::string>() << std::endl;
	return ok;
}

// --- status, stats -----------------------------------------------------------------------------------------------------

struct status_arguments
{
	std::string folder, why;
	bool as_json = false;
};

void print_row(json const& row)
{
	std::cout << tonic::printable(row.at("name").get<std::string>()) << "  [" << row.at("state").get<std::string>() << "]  " << row.at("role").get<std::string>() << '\n'
		<< "  folder   " << (row.at("folder") == "" ? row.at("infohash").get<std::string>() + " (info-hash)" : row.at("folder").get<std::string>()) << '\n'
		<< "  path     " << row.at("path").get<std::string>() << '\n'
		<< "  content  " << row.at("files") << " files, " << human_bytes(row.at("bytes"));
	if (row.at("need_bytes") > 0) std::cout << ", " << human_bytes(row.at("need_bytes")) << " to fetch";
	std::cout << "\n  peers    " << row.at("peers") << '\n';
	if (row.at("version") != "") std::cout << "  version  " << row.at("version").get<std::string>() << '\n';
	if (row.at("problem") != "") std::cout << "  problem  " << row.at("problem").get<std::string>() << '\n';
	for (json const& e : row.at("local_edits")) std::cout << "  local edit kept aside: " << tonic::printable(e.get<std::string>()) << '\n';
	for (json const& r : row.at("refused"))
		std::cout << "  not shared: " << tonic::printable(r.at("path").get<std::string>()) << ": " << r.at("reason").get<std::string>() << '\n';
}

int status(shell const& s, status_arguments const& a)
{
	json q{{"cmd", "status"}};
	if (!a.why.empty()) q["why"] = a.why;
	auto const r = a.folder.empty() ? ask_node(s.data, q) : ask_about(s, a.folder, q);
	if (!r) return complain_of(r.error());
	if (!a.why.empty())
	{
		if (a.as_json) std::cout << line_of({{"path", a.why}, {"why", r->at("why")}}) << std::endl;
		else std::cout << r->at("why").get<std::string>() << std::endl;
		return ok;
	}
	for (json const& row : r->at("folders"))
	{
		if (a.as_json) std::cout << line_of(row) << '\n';
		else print_row(row);
	}
	if (r->at("folders").empty() && !a.as_json) std::cout << "no folders; share one with: xet share FOLDER, or join one with: xet join LINK DEST\n";
	std::cout << std::flush;
	return ok;
}

int stats(shell const& s, bool as_json)
{
	auto const r = ask_store(s.data, {{"cmd", "stats"}});
	if (!r) return complain_of(r.error());
	if (as_json) std::cout << line_of(*r) << std::endl;
	else
		for (auto const& [name, value] : r->items()) std::cout << name << std::string(22 - std::min<std::size_t>(21, name.size()), ' ') << value << std::endl;
	return ok;
}

int simple(shell const& s, std::string const& folder, json const& q)
{
	auto const r = ask_about(s, folder, q);
	return r ? ok : complain_of(r.error());
}

} // namespace

void add_node_commands(CLI::App& app, shell& s)
{
	{
		auto* c = app.add_subcommand("share", "share a folder in place");
		auto a = std::make_shared<share_arguments>();
		c->add_option("FOLDER", a->folder, "the folder")->required()->check(not_empty);
		c->add_option("--name", a->options.name, "its name for others (default: the directory's)");
		c->add_option("--profile", a->options.profile, "how chunks are named: blake3, sha256 or hf")->capture_default_str();
		c->add_option("--target", a->options.target, "target chunk size in bytes: 8192, 16384, 32768 or 65536 (default 16384; hf 65536)");
		c->add_option("--tracker", a->options.trackers, "announce to this tracker, too")->take_all()->expected(1);
		c->add_flag("--json", a->as_json, "print one JSON object");
		c->footer("Example:\n  xet --data ~/node share ~/photos --name holiday --json");
		c->callback([&s, a] { s.chosen = [&s, a] { return share(s, *a); }; });
	}
	{
		auto* c = app.add_subcommand("join", "join a folder: it appears at DEST/NAME and follows its publisher");
		auto a = std::make_shared<join_arguments>();
		c->add_option("SOURCE", a->source, "a .torrent or .tonic file, a magnet: or tonic: link")->required()->check(not_empty);
		c->add_option("DEST", a->dest, "the directory it is put into")->required()->check(not_empty);
		c->add_option("--peer", a->peers, "HOST:PORT of a node that has it")->take_all()->expected(1);
		c->add_flag("--wait", a->wait, "return when it is in sync, showing progress");
		c->add_flag("--reuse", a->reuse, "take over files that are at DEST/NAME already; those that differ are kept aside");
		c->add_flag("--json", a->as_json, "print one JSON object");
		c->footer("Example:\n  xet --data ~/node join 'magnet:?xt=urn:btih:…' ~/shared --peer 192.0.2.7:6881 --wait");
		c->callback([&s, a] { s.chosen = [&s, a] { return join(s, *a); }; });
	}
	{
		auto* c = app.add_subcommand("status", "how each folder is");
		auto a = std::make_shared<status_arguments>();
		c->add_option("FOLDER", a->folder, "only this one: its id, name, path or info-hash");
		c->add_option("--why", a->why, "why this path (relative to the folder) is not in sync, and what happens next");
		c->add_flag("--json", a->as_json, "a JSON object a line");
		c->footer("Examples:\n  xet status\n  xet status photos --why 2024/beach.jpg");
		c->callback([&s, a] { s.chosen = [&s, a] { return status(s, *a); }; });
	}
	{
		auto* c = app.add_subcommand("stats", "what the node sent, received and reused since its start, and what its store holds");
		auto as_json = std::make_shared<bool>(false);
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, as_json] { s.chosen = [&s, as_json] { return stats(s, *as_json); }; });
	}
	{
		auto* c = app.add_subcommand("leave", "stop sharing or following a folder; its files stay");
		auto folder = std::make_shared<std::string>();
		c->add_option("FOLDER", *folder, "its id, name, path or info-hash")->required()->check(not_empty);
		c->callback([&s, folder] { s.chosen = [&s, folder] { return simple(s, *folder, {{"cmd", "leave"}}); }; });
	}
	{
		auto* c = app.add_subcommand("rescan", "look at a folder's files now");
		auto folder = std::make_shared<std::string>();
		auto accept = std::make_shared<bool>(false);
		c->add_option("FOLDER", *folder, "its id, name, path or info-hash")->required()->check(not_empty);
		c->add_flag("--accept-deletions", *accept, "yes, everything in it was deleted on purpose");
		c->callback([&s, folder, accept] {
			s.chosen = [&s, folder, accept] { return simple(s, *folder, {{"cmd", "rescan"}, {"accept_deletions", *accept}}); };
		});
	}
}

} // namespace tools
