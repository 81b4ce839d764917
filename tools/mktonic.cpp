// xet-mktonic: writes a folder's .tonic file and its carrier torrent, and prints the links. Needs no node.

#include "tonic/carrier.hpp"
#include "tonic/link.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/scan.hpp"
#include "tonic/tonic_file.hpp"
#include "tools/common/share_options.hpp"
#include "tools/common/terminal.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <ctime>
#include <iostream>

namespace {

struct arguments
{
	std::filesystem::path folder, out, torrent, key;
	tools::share_options share;
	std::string mode = "designated", git_ref;
	bool as_json = false;
};

std::string shell_quoted(std::string const& text)
{
	std::string out = "'";
	for (char const c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
	return out + "'";
}

// REF, or "auto" for HEAD, as git in the folder understands it: 40 or 64 hexadecimal characters.
xet::result<std::string> resolve_git(std::filesystem::path const& folder, std::string const& ref)
{
	std::string const command = "git -C " + shell_quoted(folder.string()) + " rev-parse --verify --quiet --end-of-options "
		+ shell_quoted((ref == "auto" ? "HEAD" : ref) + "^{commit}") + " 2>/dev/null";
	std::string out;
	if (FILE* pipe = ::popen(command.c_str(), "r"))
	{
		std::array<char, 256> buffer;
		while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
		::pclose(pipe);
	}
	while (!out.empty() && out.back() == '\n') out.pop_back();
	auto const raw = xet::from_hex(out);
	if (raw && (raw->size() == 20 || raw->size() == 32)) return out;
	// a full commit id is taken as it is: it need not be in this repository
	auto const given = xet::from_hex(ref);
	if (given && (given->size() == 20 || given->size() == 32)) return ref;
	if (ref == "auto") return std::string();  // no repository, or no commit yet
	return xet::fail(xet::errc::not_found, "git knows no commit ", ref, " in ", folder.string());
}

xet::result<tonic::manifest> scan(arguments const& a, xet::profile const& how, bool& all_shared)
{
	tools::progress_line progress;
	tonic::scan_options options;
	options.how = how;
	options.progress = [&](tonic::scan_progress const& p) {
		progress.show(xet::cat("reading ", a.folder.string(), ": ", p.files_done, " files, ", tools::human_bytes(p.bytes_done), " of ", tools::human_bytes(p.bytes_total)));
	};
	auto found = tonic::scan_folder(a.folder, options);
	// a file that is being written settles, or the folder cannot be published as one version
	for (int attempt = 0; found && !found->unstable.empty() && attempt < 3; ++attempt) found = tonic::scan_folder(a.folder, options);
	progress.clear();
	if (!found) return tl::unexpected(found.error());
	for (std::string const& path : found->unstable) found->refused.push_back({path, "it keeps changing while it is read"});
	for (auto const& r : found->refused) std::cerr << "not shared: " << tonic::printable(r.path) << ": " << r.reason << '\n';
	all_shared = found->refused.empty();
	return tonic::to_manifest(*found, how);
}

int run(arguments& a)
{
	auto const complain = [](xet::error const& e) { return tools::complain("xet-mktonic", e.message); };
	if (auto const ok = tools::check(a.share); !ok) return tools::complain("xet-mktonic", ok.error().message, tools::usage);
	auto const how = xet::make_profile(a.share.profile, a.share.target);
	auto const mode = tonic::mode_from_name(a.mode);
	if (!mode) return tools::complain("xet-mktonic", xet::cat("--mode ", a.mode, ": this version knows designated"), tools::usage);
	if (*mode != tonic::sync_mode::designated)
		return tools::complain("xet-mktonic", xet::cat("--mode ", a.mode, " is not in this version; use designated"), tools::usage);
	std::error_code ec;
	auto const folder = std::filesystem::canonical(a.folder, ec);
	if (ec) return tools::complain("xet-mktonic", xet::cat(tonic::printable(a.folder.native()), ": ", ec.message()));
	a.folder = folder;
	std::string const name = a.share.name.empty() ? a.folder.filename().string() : a.share.name;
	if (auto const named = tonic::check_folder_name(name); !named)
		return tools::complain("xet-mktonic", xet::cat(named.error().message, "; choose one with --name"));
	if (a.out.empty()) a.out = name + ".tonic";
	if (a.torrent.empty()) a.torrent = std::filesystem::path(a.out).replace_extension(".torrent");
	if (a.key.empty()) a.key = tools::default_data_dir() / "publisher.key";
	auto const key = tonic::key_pair::load_or_create(a.key);
	if (!key) return complain(key.error());

	bool all_shared = true;
	auto m = scan(a, *how, all_shared);
	if (!m) return complain(m.error());
	if (!a.git_ref.empty())
	{
		auto const ref = resolve_git(a.folder, a.git_ref);
		if (!ref) return complain(ref.error());
		m->git_ref = *ref;
	}
	m->name = name;
	m->mode = *mode;
	m->author = key->pub();
	m->salt = tonic::folder_salt(name);
	m->folder = tonic::folder_id(m->author, m->salt);
	m->timestamp = std::int64_t(std::time(nullptr));
	m->seq = std::uint64_t(m->timestamp);
	// the same folder written again is its next version
	if (auto const before = tonic::read_tonic(a.out); before && before->folder == m->folder) m->seq = std::max(m->seq, before->seq + 1);

	auto const data = tonic::encode_tonic(*m, *key);
	if (auto const written = tonic::write_file_atomically(a.out, data); !written) return complain(written.error());
	tonic::carrier_info const info{m->folder, m->name, m->author, m->salt};
	auto const carrier = tonic::make_carrier(info, a.share.trackers);
	if (auto const written = tonic::write_file_atomically(a.torrent, carrier.torrent); !written) return complain(written.error());

	auto const magnet = tonic::magnet_link(carrier.info_hash, name, a.share.trackers);
	auto const link = tonic::tonic_link(info, a.share.trackers);
	if (a.as_json)
		std::cout << nlohmann::ordered_json{{"folder", m->folder}, {"name", name}, {"infohash", carrier.info_hash}, {"magnet", magnet}, {"link", link}
			, {"torrent", std::filesystem::absolute(a.torrent).string()}, {"tonic", std::filesystem::absolute(a.out).string()}
			, {"files", m->files.size()}, {"bytes", m->total_bytes()}, {"chunks", m->chunks.size()}}
				.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
	else
		std::cout << "magnet   " << magnet << "\nlink     " << link << "\ntorrent  " << a.torrent.string() << "\ntonic    " << a.out.string() << std::endl;
	return all_shared ? tools::ok : tools::partly;
}

} // namespace

int main(int argc, char** argv)
{
	arguments a;
	CLI::App app("xet-mktonic: writes a folder's .tonic file and its carrier torrent, and prints the links");
	app.footer("Examples:\n  xet-mktonic -o photos.tonic ~/photos\n  xet-mktonic --git-ref auto --tracker udp://tracker.example:6969 ~/project\n"
		"Exit status: 0 ok, 1 failed, 2 usage, 3 some entries could not be shared (each is named).");
	app.add_option("FOLDER", a.folder, "the folder")->required();
	app.add_option("-o", a.out, "the .tonic file to write (default NAME.tonic)");
	app.add_option("--torrent", a.torrent, "the carrier torrent to write (default beside the .tonic)");
	app.add_option("--name", a.share.name, "the folder's name for others (default: the directory's)");
	app.add_option("--profile", a.share.profile, "how chunks are named: blake3, sha256 or hf")->capture_default_str();
	app.add_option("--target", a.share.target, "target chunk size in bytes: 8192, 16384, 32768 or 65536 (default 16384; hf 65536)");
	app.add_option("--mode", a.mode, "who may change the folder: designated")->capture_default_str();
	app.add_option("--git-ref", a.git_ref, "auto (the folder's HEAD) or a commit: the version others are shown");
	app.add_option("--tracker", a.share.trackers, "a tracker for the torrent and the links; may be given several times")->take_all()->expected(1);
	app.add_option("--key", a.key, "the publisher's key; made when it does not exist (default: publisher.key in the data directory)");
	app.add_flag("--json", a.as_json, "print one JSON object");
	try
	{
		app.parse(argc, argv);
	}
	catch (CLI::ParseError const& e)
	{
		return app.exit(e) == 0 ? tools::ok : tools::usage;
	}
	try
	{
		return run(a);
	}
	catch (std::exception const& e)
	{
		return tools::complain("xet-mktonic", e.what());
	}
}
