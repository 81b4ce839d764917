// store, cleanup, versions, restore: the node's chunks and the past of its folders, with a node or without.

#include "tools/xet/commands.hpp"

#include "plugin/control/store_commands.hpp"
#include "tonic/path_rules.hpp"
#include "tools/common/client.hpp"
#include "tools/common/terminal.hpp"

#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include <ctime>
#include <iomanip>
#include <iostream>

namespace tools {

using json = nlohmann::ordered_json;

namespace {

std::string line_of(json const& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }
std::string absolute(std::string const& path) { return std::filesystem::absolute(path).lexically_normal().string(); }
std::string text(json const& row, char const* key) { return row.at(key).get<std::string>(); }

std::string time_text(std::int64_t seconds)
{
	std::time_t const t = seconds;
	std::tm parts{};
	::localtime_r(&t, &parts);
	char out[32];
	std::strftime(out, sizeof out, "%Y-%m-%d %H:%M:%S", &parts);
	return out;
}

// Rows go to stdout as they come, progress to stderr.
class listener
{
public:
	listener(std::string doing, bool as_json, std::function<void(json const&)> print = {}) : m_doing(std::move(doing)), m_json(as_json), m_print(std::move(print)) {}
	void operator()(json const& event)
	{
		if (event.at("event") == "progress")
		{
			std::uint64_t const done = event.at("done"), total = event.at("total");
			m_progress.show(total == 0 ? xet::cat(m_doing, ": ", human_bytes(done)) : xet::cat(m_doing, ": ", done * 100 / total, " %"));
			return;
		}
		if (event.at("event") != "row") return;
		m_progress.clear();
		json row = event;
		row.erase("event");
		if (m_json) std::cout << line_of(row) << '\n';
		else if (m_print) m_print(row);
	}

private:
	std::string m_doing;
	bool m_json;
	std::function<void(json const&)> m_print;
	progress_line m_progress;
};

int finish(xet::result<json> const& r, bool as_json, std::function<void(json const&)> const& print, int code = ok)
{
	if (!r)
	{
		std::cout << std::flush;
		return complain("xet", r.error().message);
	}
	if (as_json) std::cout << line_of(*r) << std::endl;
	else
	{
		print(*r);
		std::cout << std::flush;
	}
	return std::cout ? code : complain("xet", "cannot write to standard output");
}

// --- store -------------------------------------------------------------------------------------------------------------

struct add_arguments
{
	std::vector<std::string> paths;
	std::string profile = "blake3";
	std::uint32_t target = 0;
	bool as_json = false;
};

int add(shell const& s, add_arguments const& a)
{
	if (auto const how = xet::make_profile(a.profile, a.target); !how) return complain("xet", how.error().message, usage);
	auto paths = json::array();
	for (std::string const& p : a.paths) paths.push_back({{"path", absolute(p)}});
	listener events("adding", a.as_json, [](json const& row) { std::cout << text(row, "hash") << "  " << tonic::printable(text(row, "path")) << '\n'; });
	auto const r = ask_store(s.data, {{"cmd", "store_add"}, {"paths", paths}, {"profile", a.profile}, {"target", a.target}}, std::ref(events));
	if (!r) return finish(r, a.as_json, {});
	for (json const& skipped : r->at("skipped")) std::cerr << "not added: " << tonic::printable(skipped.get<std::string>()) << '\n';
	bool const partial = !r->at("skipped").empty();
	int const code = !partial ? ok : r->at("files") == 0 ? failed : partly;
	return finish(r, a.as_json, [](json const& sum) {
		std::cerr << sum.at("files") << " files, " << human_bytes(sum.at("bytes")) << ", of which new: " << human_bytes(sum.at("new_bytes")) << std::endl;
	}, code);
}

struct get_arguments
{
	std::string hash, out;
};

int get(shell const& s, get_arguments const& a)
{
	json q{{"cmd", "store_get"}, {"hash", a.hash}};
	if (!a.out.empty()) q["out"] = absolute(a.out);
	bool written = true;
	auto const r = ask_store(s.data, q, [&](json const& event) {
		if (event.at("event") != "data" || !written) return;
		auto const data = xet::from_hex(event.at("hex").get_ref<std::string const&>());
		written = data && std::cout.write(reinterpret_cast<char const*>(data->data()), std::streamsize(data->size()));
	});
	written = written && std::cout.flush();
	if (!r) return complain("xet", r.error().message);
	return written ? ok : complain("xet", "cannot write to standard output");
}

int ls(shell const& s, bool files, bool as_json)
{
	listener events("listing", as_json, [&](json const& row) {
		if (files) std::cout << text(row, "hash") << ' ' << std::setw(12) << row.at("size").get<std::uint64_t>() << "  " << tonic::printable(text(row, "path")) << '\n';
		else
			std::cout << text(row, "hash") << ' ' << std::setw(8) << row.at("size").get<std::uint64_t>() << ' ' << std::setw(8) << row.at("stored").get<std::uint64_t>()
				<< " refs " << row.at("refs") << '\n';
	});
	auto const r = ask_store(s.data, {{"cmd", "store_ls"}, {"files", files}}, std::ref(events));
	if (!r) return finish(r, as_json, {});
	std::cout << std::flush;
	if (!as_json) std::cerr << (files ? r->at("files") : r->at("chunks")) << (files ? " files, " : " chunks, ") << human_bytes(r->at("bytes")) << std::endl;
	return std::cout ? ok : complain("xet", "cannot write to standard output");
}

int rm(shell const& s, std::vector<std::string> const& hashes)
{
	return finish(ask_store(s.data, {{"cmd", "store_rm"}, {"hashes", hashes}}), false, [](json const& r) {
		std::cerr << r.at("files") << " files given up; xet cleanup removes what nobody needs any more" << std::endl;
	});
}

int import_dir(shell const& s, std::string const& dir, bool as_json)
{
	listener events("importing", as_json);
	auto const r = ask_store(s.data, {{"cmd", "store_import"}, {"dir", absolute(dir)}}, std::ref(events));
	if (!r) return finish(r, as_json, {});
	for (json const& skipped : r->at("skipped")) std::cerr << "not imported: " << tonic::printable(skipped.get<std::string>()) << '\n';
	return finish(r, as_json, [](json const& sum) {
		std::cerr << sum.at("chunks") << " chunks, " << human_bytes(sum.at("bytes")) << ", of which new: " << human_bytes(sum.at("new_bytes")) << std::endl;
	}, r->at("skipped").empty() ? ok : partly);
}

int export_dir(shell const& s, std::string const& dir, std::vector<std::string> const& hashes, bool as_json)
{
	listener events("exporting", as_json);
	return finish(ask_store(s.data, {{"cmd", "store_export"}, {"dir", absolute(dir)}, {"hashes", hashes}}, std::ref(events)), as_json, [](json const& sum) {
		std::cerr << sum.at("chunks") << " chunks, " << human_bytes(sum.at("bytes")) << std::endl;
	});
}

int scrub(shell const& s, std::uint64_t rate, bool as_json)
{
	listener events("scrubbing", as_json);
	auto const r = ask_store(s.data, {{"cmd", "store_scrub"}, {"rate", rate}}, std::ref(events));
	if (!r) return finish(r, as_json, {});
	for (json const& m : r->at("messages")) std::cerr << "xet: " << tonic::printable(m.get<std::string>()) << '\n';
	return finish(r, as_json, [](json const& sum) {
		std::cout << sum.at("chunks") << " chunks in " << sum.at("xorbs") << " xorbs verified, " << human_bytes(sum.at("bytes")) << ": " << sum.at("bad_chunks") << " bad, "
			<< sum.at("repaired_chunks") << " repaired, " << sum.at("lost_chunks") << " lost\n";
	}, r->at("bad_chunks") > r->at("repaired_chunks") ? failed : ok);
}

int pack(shell const& s, bool dry_run, bool as_json)
{
	listener events("packing", as_json);
	return finish(ask_store(s.data, {{"cmd", "store_pack"}, {"dry_run", dry_run}}, std::ref(events)), as_json, [&](json const& sum) {
		std::cout << (dry_run ? "would pack " : "packed ") << sum.at("xorbs_before") << " xorbs (" << human_bytes(sum.at("bytes_before")) << ") into " << sum.at("xorbs_after")
			<< " (" << (dry_run ? "at most " : "") << human_bytes(sum.at("bytes_after")) << ")\n";
	});
}

int check(shell const& s, bool quick, bool as_json)
{
	listener events("checking", as_json);
	auto const r = ask_store(s.data, {{"cmd", "store_check"}, {"quick", quick}}, std::ref(events));
	if (!r) return finish(r, as_json, {});
	bool const good = r->at("problems").empty();
	return finish(r, as_json, [&](json const& sum) {
		for (json const& p : sum.at("problems")) std::cout << tonic::printable(p.get<std::string>()) << '\n';
		std::cout << sum.at("chunks") << " chunks in " << sum.at("xorbs") << " xorbs: " << (good ? "all is well" : xet::cat(sum.at("problems").size(), " problems; xet store scrub repairs what can be repaired")) << '\n';
	}, good ? ok : failed);
}

int rebuild(shell const& s, bool as_json)
{
	if (node_runs(s.data)) return complain("xet", xet::cat("a node runs with the data directory ", s.data.string(), "; stop it first"));
	auto const dir = std::filesystem::absolute(s.data);
	auto const how = ut_xet::load_config({}, dir);
	if (!how) return complain("xet", how.error().message);
	std::error_code ec;
	if (!std::filesystem::is_directory(ut_xet::store_dir(dir, *how), ec)) return complain("xet", xet::cat("there is no store in ", s.data.string()));
	auto const forgotten = xet::store_upkeep::forget_index(xet::system_files(), ut_xet::store_dir(dir, *how));
	if (!forgotten) return complain("xet", forgotten.error().message);
	auto const r = ask_store(s.data, {{"cmd", "store_check"}, {"quick", true}});
	if (!r) return finish(r, as_json, {});
	bool const good = r->at("problems").empty();
	return finish(r, as_json, [&](json const& sum) {
		for (json const& p : sum.at("problems")) std::cout << tonic::printable(p.get<std::string>()) << '\n';
		std::cout << "made again: " << sum.at("chunks") << " chunks in " << sum.at("xorbs") << " xorbs\n";
	}, good ? ok : failed);
}

// --- cleanup, versions, restore ----------------------------------------------------------------------------------------

struct cleanup_arguments
{
	double days = 0;
	std::int64_t grace = 0;
	bool dry_run = false, as_json = false;
};

int cleanup(shell const& s, cleanup_arguments const& a)
{
	listener events("cleaning up", a.as_json, [&](json const& row) {
		std::cout << (a.dry_run ? "would " + text(row, "action") : text(row, "action") == "remove" ? "removed" : "condemned") << " xorb " << text(row, "xorb") << ": " << row.at("chunks") << " chunks, "
			<< human_bytes(row.at("bytes")) << ", unused since " << time_text(row.at("unused_since")) << '\n';
	});
	return finish(ask_store(s.data, {{"cmd", "cleanup"}, {"max_age_days", a.days}, {"grace_seconds", a.grace}, {"dry_run", a.dry_run}}, std::ref(events)), a.as_json
		, [&](json const& sum) {
			std::cout << (a.dry_run ? "would remove " : "removed ") << sum.at("removed_xorbs") << " xorbs and " << (a.dry_run ? "pack " : "packed ") << sum.at("packed_xorbs") << "; "
				<< human_bytes(sum.at("freed_bytes")) << (a.dry_run ? " would be free\n" : " are free\n");
		});
}

int versions(shell const& s, std::string const& path, bool as_json)
{
	listener events("versions", as_json, [](json const& row) {
		std::cout << row.at("seq") << "  " << text(row, "version").substr(0, 16) << "  " << time_text(row.at("time")) << "  " << std::setw(10) << human_bytes(row.at("size"));
		if (row.contains("files")) std::cout << "  " << row.at("files") << " files";
		if (row.at("current")) std::cout << "  current";
		if (!row.at("available")) std::cout << "  " << row.at("missing_chunks") << " chunks are not here; peers may have kept them";
		std::cout << '\n';
	});
	auto const r = ask_store(s.data, {{"cmd", "versions"}, {"path", path}}, std::ref(events));
	// a folder's name, or else a path where the command runs
	if (!r && r.error().code == xet::errc::not_found && !std::filesystem::path(path).is_absolute())
	{
		auto const again = ask_store(s.data, {{"cmd", "versions"}, {"path", absolute(path)}}, std::ref(events));
		return finish(again, false, [](json const&) {});
	}
	return finish(r, false, [](json const&) {});
}

struct restore_arguments
{
	std::string path, version, out;
	bool as_json = false;
};

int restore(shell const& s, restore_arguments const& a)
{
	listener events("restoring", a.as_json);
	json q{{"cmd", "restore"}, {"path", a.path}, {"version", a.version}};
	if (!a.out.empty()) q["out"] = absolute(a.out);
	auto r = ask_store(s.data, q, std::ref(events));
	if (!r && r.error().code == xet::errc::not_found && !std::filesystem::path(a.path).is_absolute())
	{
		q["path"] = absolute(a.path);
		auto again = ask_store(s.data, q, std::ref(events));
		if (again || again.error().code != xet::errc::not_found) r = std::move(again);
	}
	bool const partial = r && !r->at("failed").empty();
	if (partial)
		for (json const& f : r->at("failed")) std::cerr << "not restored: " << tonic::printable(f.get<std::string>()) << '\n';
	if (r && r->at("in_place") && node_runs(s.data)) (void)ask_node(s.data, {{"cmd", "rescan"}, {"folder", r->at("folder").get<std::string>()}});
	return finish(r, a.as_json, [](json const& done) {
		std::cout << "restored " << done.at("files") << " files (" << human_bytes(done.at("bytes")) << ") of version " << done.at("seq") << " to "
			<< tonic::printable(text(done, "to")) << '\n';
		for (json const& aside : done.at("kept_aside")) std::cerr << "what was there and in no version is now " << tonic::printable(aside.get<std::string>()) << '\n';
	}, partial ? partly : ok);
}

CLI::App* leaf(CLI::App& parent, char const* name, char const* what, char const* example)
{
	auto* c = parent.add_subcommand(name, what);
	c->footer(xet::cat("Example:\n  ", example));
	return c;
}

void add_store_family(CLI::App& app, shell& s)
{
	auto* store = app.add_subcommand("store", "the chunk store: put files in, take chunks out, look after it");
	store->require_subcommand(1);
	store->fallthrough();
	store->footer("Examples:\n  xet store add ~/photos\n  xet store ls --json\n  xet store scrub --rate 20000000");
	{
		auto* c = leaf(*store, "add", "put files, or all files below directories, into the store", "xet --data ~/node store add ~/photos");
		auto a = std::make_shared<add_arguments>();
		c->add_option("PATH", a->paths, "files and directories")->required();
		c->add_option("--profile", a->profile, "how chunks are named: blake3, sha256 or hf")->capture_default_str();
		c->add_option("--target", a->target, "target chunk size in bytes: 8192, 16384, 32768 or 65536 (default 16384; hf 65536)");
		c->add_flag("--json", a->as_json, "a JSON object per file, then one for all");
		c->callback([&s, a] { s.chosen = [&s, a] { return add(s, *a); }; });
	}
	{
		auto* c = leaf(*store, "get", "write a chunk, or an added file, to stdout", "xet store get 92421443a7…5b3a -o chunk.bin");
		auto a = std::make_shared<get_arguments>();
		c->add_option("HASH", a->hash, "of a chunk or of an added file: 64 hexadecimal digits")->required();
		c->add_option("-o,--out", a->out, "the file to write");
		c->callback([&s, a] { s.chosen = [&s, a] { return get(s, *a); }; });
	}
	{
		auto* c = leaf(*store, "ls", "list the chunks in xorbs, or the files that were added", "xet store ls --files --json");
		auto files = std::make_shared<bool>(false), as_json = std::make_shared<bool>(false);
		c->add_flag("--files", *files, "the files that were added");
		c->add_flag("--json", *as_json, "a JSON object a line");
		c->callback([&s, files, as_json] { s.chosen = [&s, files, as_json] { return ls(s, *files, *as_json); }; });
	}
	{
		auto* c = leaf(*store, "rm", "give up added files; cleanup frees what nobody needs any more", "xet store rm 92421443a7…5b3a");
		auto hashes = std::make_shared<std::vector<std::string>>();
		c->add_option("HASH", *hashes, "of added files, as store ls --files shows them")->required();
		c->callback([&s, hashes] { s.chosen = [&s, hashes] { return rm(s, *hashes); }; });
	}
	{
		auto* c = leaf(*store, "import", "take in loose chunks, files named by their hash", "xet store import ~/.xet_cache/xet_chunks");
		auto dir = std::make_shared<std::string>();
		auto as_json = std::make_shared<bool>(false);
		c->add_option("DIR", *dir, "the directory, as other implementations write it")->required();
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, dir, as_json] { s.chosen = [&s, dir, as_json] { return import_dir(s, *dir, *as_json); }; });
	}
	{
		auto* c = leaf(*store, "export", "write chunks as loose files named by their hash", "xet store export /tmp/xet_chunks");
		auto dir = std::make_shared<std::string>();
		auto hashes = std::make_shared<std::vector<std::string>>();
		auto as_json = std::make_shared<bool>(false);
		c->add_option("DIR", *dir, "the directory")->required();
		c->add_option("HASH", *hashes, "only these chunks");
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, dir, hashes, as_json] { s.chosen = [&s, dir, hashes, as_json] { return export_dir(s, *dir, *hashes, *as_json); }; });
	}
	{
		auto* c = leaf(*store, "scrub", "verify every chunk from where the last scrub ended; repair what has another copy", "xet store scrub --rate 20000000");
		auto rate = std::make_shared<std::uint64_t>(0);
		auto as_json = std::make_shared<bool>(false);
		c->add_option("--rate", *rate, "bytes a second at most (default: no limit)");
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, rate, as_json] { s.chosen = [&s, rate, as_json] { return scrub(s, *rate, *as_json); }; });
	}
	{
		auto* c = leaf(*store, "pack", "write sparse and small xorbs together anew", "xet store pack --dry-run");
		auto dry = std::make_shared<bool>(false), as_json = std::make_shared<bool>(false);
		c->add_flag("--dry-run", *dry, "say what would be done");
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, dry, as_json] { s.chosen = [&s, dry, as_json] { return pack(s, *dry, *as_json); }; });
	}
	{
		auto* c = leaf(*store, "check", "compare index, lookup table and xorbs; changes nothing", "xet store check --json");
		auto quick = std::make_shared<bool>(false), as_json = std::make_shared<bool>(false);
		c->add_flag("--quick", *quick, "do not read the chunks themselves");
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, quick, as_json] { s.chosen = [&s, quick, as_json] { return check(s, *quick, *as_json); }; });
	}
	{
		auto* c = leaf(*store, "rebuild-index", "make the index again from the xorbs, the added files' shards and the folders", "xet --data ~/node store rebuild-index");
		auto as_json = std::make_shared<bool>(false);
		c->add_flag("--json", *as_json, "one JSON object");
		c->callback([&s, as_json] { s.chosen = [&s, as_json] { return rebuild(s, *as_json); }; });
	}
}

} // namespace

void add_store_commands(CLI::App& app, shell& s)
{
	add_store_family(app, s);
	{
		auto* c = leaf(app, "cleanup", "remove chunks nobody needs and that were not used for some days", "xet cleanup --max-age-days 30 --dry-run");
		auto a = std::make_shared<cleanup_arguments>();
		c->add_option("--max-age-days", a->days, "how long they were not added, used or needed; 0: any time")->required();
		c->add_option("--grace", a->grace, "seconds between being condemned, by one cleanup, and removed, by a later one (default 0: at once)")->check(CLI::NonNegativeNumber);
		c->add_flag("--dry-run", a->dry_run, "print the plan, change nothing");
		c->add_flag("--json", a->as_json, "a JSON object per xorb, then one for all");
		c->callback([&s, a] { s.chosen = [&s, a] { return cleanup(s, *a); }; });
	}
	{
		auto* c = leaf(app, "versions", "the versions of a file or folder that are kept, newest first", "xet versions ~/photos/beach.jpg");
		auto path = std::make_shared<std::string>();
		auto as_json = std::make_shared<bool>(false);
		c->add_option("PATH", *path, "a path in a folder of this node, or a folder's name")->required();
		c->add_flag("--json", *as_json, "a JSON object a line");
		c->callback([&s, path, as_json] { s.chosen = [&s, path, as_json] { return versions(s, *path, *as_json); }; });
	}
	{
		auto* c = leaf(app, "restore", "bring a version of a file or folder back", "xet restore ~/photos/beach.jpg --version 1763680000 -o beach-before.jpg");
		auto a = std::make_shared<restore_arguments>();
		c->add_option("PATH", a->path, "a path in a folder of this node, or a folder's name")->required();
		c->add_option("--version", a->version, "its number, or the first digits of its name, as xet versions shows them")->required();
		c->add_option("-o,--out", a->out, "where to (default: its place; what is there now is kept)");
		c->add_flag("--json", a->as_json, "one JSON object");
		c->callback([&s, a] { s.chosen = [&s, a] { return restore(s, *a); }; });
	}
}

} // namespace tools
