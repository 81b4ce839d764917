#include "tools/xet/commands.hpp"

#include "plugin/folder_record.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/plan.hpp"
#include "tonic/scan.hpp"
#include "tonic/tonic_file.hpp"
#include "tools/common/terminal.hpp"
#include "xet/merkle.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <iomanip>
#include <iostream>
#include <sys/stat.h>
#include <unistd.h>

namespace tools {

using nlohmann::json;

namespace {

// --- chunk -------------------------------------------------------------------------------------------------------------

struct chunk_arguments
{
	std::string file, profile = "blake3";
	std::uint32_t target = 0;
	bool as_json = false;
};

int chunk(chunk_arguments const& a)
{
	auto const how = xet::make_profile(a.profile, a.target);
	if (!how) return complain("xet", how.error().message, usage);
	int const fd = a.file == "-" ? STDIN_FILENO : ::open(a.file.c_str(), O_RDONLY | O_CLOEXEC);
	struct stat st{};
	if (fd < 0 || ::fstat(fd, &st) != 0) return complain("xet", xet::cat(a.file, ": ", std::strerror(errno)));
	if (S_ISDIR(st.st_mode)) return complain("xet", xet::cat(a.file, " is a directory; give a file"));

	progress_line progress;
	std::uint64_t done = 0;
	auto const chunks = xet::chunk_file(fd, *how, {.progress = [&](std::uint64_t n) {
		done += n;
		progress.show(xet::cat("chunking ", a.file, ": ", human_bytes(done), " of ", human_bytes(std::uint64_t(st.st_size))));
	}});
	progress.clear();
	if (!chunks) return complain("xet", xet::cat(a.file, ": ", chunks.error().message));

	std::uint64_t offset = 0;
	for (xet::chunk_ref const& c : *chunks)
	{
		auto const hash = xet::to_string(how->kind, c.hash);
		if (a.as_json) std::cout << "{\"offset\":" << offset << ",\"length\":" << c.size << ",\"hash\":\"" << hash << "\"}\n";
		else std::cout << std::setw(12) << offset << ' ' << std::setw(7) << c.size << ' ' << hash << '\n';
		offset += c.size;
	}
	auto const file_hash = xet::to_string(how->kind, xet::file_hash(how->kind, *chunks));
	if (a.as_json)
		std::cout << "{\"file_hash\":\"" << file_hash << "\",\"chunks\":" << chunks->size() << ",\"size\":" << offset << "}" << std::endl;
	else std::cout << "file " << file_hash << "  " << chunks->size() << " chunks, " << offset << " bytes" << std::endl;
	return std::cout ? ok : complain("xet", "cannot write to standard output");
}

// --- verify ------------------------------------------------------------------------------------------------------------

struct verify_arguments
{
	std::string folder, tonic;
	bool as_json = false;
};

// The version of a folder of this node, or FOLDER.tonic beside it.
std::filesystem::path find_tonic(shell const& s, std::filesystem::path const& folder)
{
	std::error_code ec;
	auto const wanted = std::filesystem::weakly_canonical(folder, ec);
	for (auto const& entry : std::filesystem::directory_iterator(s.data / "folders", ec))
	{
		auto const record = ut_xet::load_record(entry.path() / "folder.json");
		if (record && record->path == wanted) return entry.path() / (record->carrier.name + ".tonic");
	}
	auto beside = wanted;
	beside += ".tonic";
	return std::filesystem::exists(beside, ec) ? beside : std::filesystem::path();
}

class difference_printer
{
public:
	explicit difference_printer(bool as_json) : m_json(as_json) {}
	void operator()(std::string const& path, char const* what)
	{
		++m_count;
		if (m_json)
			std::cout << json{{"path", path}, {"difference", what}}.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
		else std::cout << tonic::printable(path) << ": " << what << '\n';
	}
	std::size_t count() const { return m_count; }

private:
	bool m_json;
	std::size_t m_count = 0;
};

// What could not be read is named as that, and not as missing, too.
bool is_unknown(tonic::scan_result const& found, std::string const& path)
{
	return tonic::lies_below(path, found.unreadable_dirs) || std::find(found.unstable.begin(), found.unstable.end(), path) != found.unstable.end()
		|| std::any_of(found.unreadable_files.begin(), found.unreadable_files.end(), [&](auto const& f) { return f.path == path; });
}

template <class Wanted, class Found, class Compare>
void compare_lists(std::vector<Wanted> const& wanted, std::vector<Found> const& found, tonic::scan_result const& all
	, difference_printer& print, Compare compare)
{
	auto f = found.begin();
	for (auto w = wanted.begin(); w != wanted.end() || f != found.end();)
	{
		if (f == found.end() || (w != wanted.end() && w->path < f->path))
		{
			if (!is_unknown(all, w->path)) print(w->path, "missing");
			++w;
		}
		else if (w == wanted.end() || f->path < w->path) print((f++)->path, "not in the version");
		else compare(*w++, *f++);
	}
}

int verify(shell const& s, verify_arguments const& a)
{
	std::filesystem::path const file = a.tonic.empty() ? find_tonic(s, a.folder) : std::filesystem::path(a.tonic);
	if (file.empty())
		return complain("xet", xet::cat("no version of ", a.folder, " is known to ", s.data.string(), " and there is no ", a.folder, ".tonic; name one with --tonic"));
	auto const m = tonic::read_tonic(file);
	if (!m) return complain("xet", m.error().message);
	progress_line progress;
	tonic::scan_options options;
	options.how = m->how;
	options.for_sharing = false;
	options.progress = [&](tonic::scan_progress const& p) { progress.show(xet::cat("reading ", human_bytes(p.bytes_done), " of ", human_bytes(p.bytes_total))); };
	auto const found = tonic::scan_folder(a.folder, options);
	progress.clear();
	if (!found) return complain("xet", found.error().message);

	difference_printer print(a.as_json);
	compare_lists(m->files, found->files, *found, print, [&](tonic::file_entry const& w, tonic::local_file const& f) {
		if (w.size != f.stamp.size || w.hash != f.hash) print(w.path, "content differs");
		if (w.mode != f.stamp.mode) print(w.path, "mode differs");
		if (w.mtime_ns != f.stamp.mtime_ns) print(w.path, "time differs");
	});
	compare_lists(m->dirs, found->dirs, *found, print, [&](tonic::dir_entry const& w, tonic::dir_entry const& f) {
		if (w.mode != f.mode) print(w.path, "mode differs");
		if (w.mtime_ns != f.mtime_ns) print(w.path, "time differs");
	});
	compare_lists(m->links, found->links, *found, print, [&](tonic::link_entry const& w, tonic::link_entry const& f) {
		if (w.target != f.target) print(w.path, "link target differs");
		if (w.mtime_ns != f.mtime_ns) print(w.path, "time differs");
	});
	for (std::string const& path : found->unstable) print(path, "changed while it was read");
	for (tonic::refusal const& r : found->refused) print(r.path, r.reason.c_str());
	std::cerr << (print.count() == 0 ? xet::cat("identical: ", m->files.size(), " files, ", human_bytes(m->total_bytes()))
		: xet::cat(print.count(), " differences")) << std::endl;
	return print.count() == 0 ? ok : failed;
}

} // namespace

void add_file_commands(CLI::App& app, shell& s)
{
	{
		auto* c = app.add_subcommand("chunk", "where a file is cut, and its hashes; needs no node");
		auto a = std::make_shared<chunk_arguments>();
		c->add_option("FILE", a->file, "the file")->required();
		c->add_option("--profile", a->profile, "how chunks are named: blake3, sha256 or hf")->capture_default_str();
		c->add_option("--target", a->target, "target chunk size in bytes: 8192, 16384, 32768 or 65536 (default 16384; hf 65536)");
		c->add_flag("--json", a->as_json, "a JSON object per chunk, then one for the file");
		c->footer("Example:\n  xet chunk --profile hf --json model.safetensors");
		c->callback([&s, a] { s.chosen = [a] { return chunk(*a); }; });
	}
	{
		auto* c = app.add_subcommand("verify", "compare a folder on disk with its version; names every difference");
		auto a = std::make_shared<verify_arguments>();
		c->add_option("FOLDER", a->folder, "the folder")->required();
		c->add_option("--tonic", a->tonic, "the version (default: the one the node of --data has, or FOLDER.tonic)");
		c->add_flag("--json", a->as_json, "a JSON object per difference");
		c->footer("Example:\n  xet verify ~/photos --tonic photos.tonic");
		c->callback([&s, a] { s.chosen = [&s, a] { return verify(s, *a); }; });
	}
}

} // namespace tools
