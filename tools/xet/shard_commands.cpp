#include "tools/xet/commands.hpp"

#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"
#include "tools/common/terminal.hpp"
#include "tools/xet/output_file.hpp"
#include "tools/xet/shard_maker.hpp"
#include "tools/xet/shard_printer.hpp"
#include "xet/posix.hpp"

#include <algorithm>
#include <fcntl.h>
#include <iostream>
#include <sys/stat.h>

namespace tools {

using xet::errc;
using xet::fail;

namespace {

int finish_output(int code) { return std::cout.flush() ? code : complain("xet", "cannot write to standard output"); }

struct key_option
{
	std::string hex;
	CLI::Option* option = nullptr;

	void add_to(CLI::App* c, std::string const& help) { option = c->add_option("--hmac-key", hex, help)->option_text("HEX"); }

	// Nothing when none was given; an empty text is an empty key. Errors: invalid.
	xet::result<std::optional<xet::bytes>> key() const
	{
		if (option->count() == 0) return std::nullopt;
		auto k = xet::from_hex(hex);
		if (!k) return fail(errc::invalid, "--hmac-key: not hexadecimal, or an odd number of digits");
		return k;
	}
};

// --- dump --------------------------------------------------------------------------------------------------------------

struct dump_arguments
{
	std::string file;
	key_option key;
	bool as_json = false;
};

int dump_bep(dump_arguments const& a, xet::bytes_view data, std::optional<xet::bytes> const& key)
{
	auto const s = xet::read_shard(data, key);
	if (!s) return complain("xet", xet::cat(tonic::printable(a.file), ": ", s.error().message));
	print_shard(*s, a.as_json);
	if (s->seal == xet::shard_seal::missing)
		std::cerr << "xet: " << tonic::printable(a.file) << " claims an HMAC and has none, as after writing with an empty key: nothing vouches for it" << std::endl;
	else if (s->seal == xet::shard_seal::unchecked)
		std::cerr << "xet: " << tonic::printable(a.file) << " has an HMAC that was not checked; give its key with --hmac-key" << std::endl;
	return finish_output(ok);
}

int dump_hf(dump_arguments const& a, xet::bytes_view data)
{
	if (a.key.option->count() != 0) return complain("xet", xet::cat(tonic::printable(a.file), " is a shard of Hugging Face, which has no HMAC; leave out --hmac-key"));
	if (!xet::has_blake3()) return complain("xet", "this program was built without BLAKE3, which Hugging Face's shards need");
	auto const s = xet::read_hf_shard(data);
	if (!s) return complain("xet", xet::cat(tonic::printable(a.file), ": ", s.error().message));
	auto const verified = xet::verify_hf_shard(*s);
	print_shard(*s, verified.has_value(), a.as_json);
	if (!verified) return finish_output(complain("xet", xet::cat(tonic::printable(a.file), ": ", verified.error().message)));
	return finish_output(ok);
}

int dump(dump_arguments const& a)
{
	auto const key = a.key.key();
	if (!key) return complain("xet", key.error().message, usage);
	auto const data = tonic::read_whole_file(a.file, xet::max_shard_bytes);
	if (!data) return complain("xet", data.error().message);
	auto const view = xet::as_bytes(*data);
	if (xet::looks_like_shard(view)) return dump_bep(a, view, *key);
	if (xet::looks_like_hf_shard(view)) return dump_hf(a, view);
	return complain("xet", xet::cat(tonic::printable(a.file), ": not a shard: it begins neither with SHAR nor with HFRepoMetaData"));
}

// --- make --------------------------------------------------------------------------------------------------------------

struct make_arguments
{
	std::vector<std::string> paths, xorbs;
	std::string output, profile, format = "bep";
	key_option key;
	bool stored = false, as_json = false;
};

// Regular files below a directory, sorted; what is something else is named and counted.
xet::result<std::vector<std::string>> files_below(std::string const& directory, std::size_t& left_out)
{
	std::vector<std::string> out;
	std::error_code ec;
	for (std::filesystem::recursive_directory_iterator at(directory, ec), end; !ec && at != end; at.increment(ec))
	{
		auto const status = at->symlink_status(ec);
		if (ec) break;
		if (std::filesystem::is_regular_file(status)) out.push_back(at->path().native());
		else if (!std::filesystem::is_directory(status))
		{
			std::cerr << "xet: left out, not a regular file: " << tonic::printable(at->path().native()) << std::endl;
			++left_out;
		}
	}
	if (ec) return fail(errc::io, "cannot list ", tonic::printable(directory), ": ", ec.message());
	std::sort(out.begin(), out.end());
	return out;
}

xet::result<xet::hash32> sha256_of(int fd, std::uint64_t size)
{
	xet::hasher h(xet::hash_kind::sha256);
	xet::bytes buffer(std::size_t(1) << 20);
	std::uint64_t at = 0;
	for (;;)
	{
		auto const n = ::pread(fd, buffer.data(), buffer.size(), off_t(at));
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return xet::system_failure("cannot read at offset ", at);
		if (n == 0) break;
		h.update(xet::bytes_view(buffer).first(std::size_t(n)));
		at += std::uint64_t(n);
	}
	if (at != size) return fail(errc::io, "it changed while it was read; try again");
	return h.finish();
}

xet::result<shard_input> read_input(std::string const& path, xet::profile const& how, bool with_sha256)
{
	auto const wrong = [&](xet::error const& e) { return fail(e.code, tonic::printable(path), ": ", e.message); };
	xet::file_descriptor const fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	struct ::stat st{};
	if (!fd || ::fstat(fd.get(), &st) != 0) return xet::system_failure("cannot read ", tonic::printable(path));
	if (!S_ISREG(st.st_mode)) return fail(errc::refused, tonic::printable(path), ": not a regular file");
	progress_line progress;
	std::uint64_t done = 0;
	xet::chunk_file_options options;
	options.progress = [&](std::uint64_t n) {
		done += n;
		progress.show(xet::cat("chunking ", tonic::printable(path), ": ", human_bytes(done), " of ", human_bytes(std::uint64_t(st.st_size))));
	};
	auto chunks = xet::chunk_file(fd.get(), how, options);
	if (!chunks) return wrong(chunks.error());
	shard_input out{path, 0, std::move(*chunks), {}};
	for (auto const& c : out.chunks) out.size += c.size;
	if (with_sha256)
	{
		auto const digest = sha256_of(fd.get(), out.size);
		if (!digest) return wrong(digest.error());
		out.sha256 = *digest;
	}
	return out;
}

// The files that the paths name; left_out counts what lies below a directory and cannot be recorded.
xet::result<std::vector<std::string>> expand(std::vector<std::string> const& paths, std::size_t& left_out)
{
	std::vector<std::string> out;
	for (std::string path : paths)
	{
		std::error_code ec;
		if (!std::filesystem::is_directory(path, ec))
		{
			out.push_back(path);
			continue;
		}
		while (path.size() > 1 && path.back() == '/') path.pop_back();
		auto const below = files_below(path, left_out);
		if (!below) return tl::unexpected(below.error());
		out.insert(out.end(), below->begin(), below->end());
	}
	return out;
}

xet::result<std::vector<any_xorb>> open_xorbs(make_arguments const& a, xet::hash_kind kind)
{
	std::vector<any_xorb> out;
	for (std::string const& path : a.xorbs)
	{
		auto const wanted = a.format == "hf" ? container_format::hf : container_format::detect;
		auto x = any_xorb::open(path, wanted);
		if (!x) return tl::unexpected(x.error());
		if (x->kind() != kind && !x->chunks().empty())
			return fail(errc::invalid, tonic::printable(path), ": its chunks are named by ", xet::name_of(x->kind()), ", those of the files by ", xet::name_of(kind), "; give the right --profile");
		out.push_back(std::move(*x));
	}
	return out;
}

// What make returns when it worked.
struct made
{
	xet::bytes file;
	std::size_t files = 0, xorbs = 0, chunks = 0;
};

xet::result<made> make_bep(make_arguments const& a, xet::profile const& how, std::optional<xet::bytes> const& key, std::vector<std::string> const& paths, std::size_t& incomplete)
{
	auto const xorbs = open_xorbs(a, how.kind);
	if (!xorbs) return tl::unexpected(xorbs.error());
	bep_shard_maker maker(how.kind);
	for (auto const& x : *xorbs) maker.add_xorb(x);
	for (std::string const& path : paths)
	{
		if (!tonic::is_utf8(path))
		{
			std::cerr << "xet: left out, its name is not UTF-8: " << tonic::printable(path) << std::endl;
			++incomplete;
			continue;
		}
		auto const input = read_input(path, how, false);
		if (!input) return tl::unexpected(input.error());
		auto const homeless = maker.add_file(*input);
		if (homeless == 0 || a.xorbs.empty()) continue;
		std::cerr << "xet: " << tonic::printable(path) << ": " << homeless << " of its " << input->chunks.size() << " chunks are in none of the xorbs" << std::endl;
		++incomplete;
	}
	auto const& s = maker.content();
	if (auto const fine = xet::check_shard(s); !fine) return tl::unexpected(fine.error());
	return made{xet::write_shard(s, key), s.files.size(), s.xorbs.size(), s.chunks.size()};
}

xet::result<made> make_hf(make_arguments const& a, xet::profile const& how, std::vector<std::string> const& paths)
{
	auto const xorbs = open_xorbs(a, how.kind);
	if (!xorbs) return tl::unexpected(xorbs.error());
	hf_shard_maker maker;
	for (auto const& x : *xorbs) maker.add_xorb(x);
	for (std::string const& path : paths)
	{
		auto const input = read_input(path, how, true);
		if (!input) return tl::unexpected(input.error());
		maker.add_file(*input);
	}
	auto s = std::move(maker).finish();
	if (a.stored) s.footer.emplace();
	made out{xet::write_hf_shard(s), s.files.size(), s.xorbs.size(), 0};
	for (auto const& x : s.xorbs) out.chunks += x.chunks.size();
	return out;
}

int make(make_arguments const& a)
{
	bool const hf = a.format == "hf";
	auto const how = xet::make_profile(!a.profile.empty() ? a.profile : hf ? "hf" : "blake3");
	if (!how) return complain("xet", how.error().message, usage);
	if (hf && how->kind != xet::hash_kind::hf) return complain("xet", "--format hf goes with --profile hf only", usage);
	auto const key = a.key.key();
	if (!key) return complain("xet", key.error().message, usage);
	if (hf && *key) return complain("xet", "a shard of Hugging Face has no HMAC; leave out --hmac-key", usage);
	if (a.stored && !hf) return complain("xet", "--stored is for --format hf", usage);

	std::size_t incomplete = 0;
	auto const paths = expand(a.paths, incomplete);
	if (!paths) return complain("xet", paths.error().message);
	auto const done = hf ? make_hf(a, *how, *paths) : make_bep(a, *how, *key, *paths, incomplete);
	if (!done) return complain("xet", done.error().message);
	if (auto const written = write_output(a.output, done->file); !written) return complain("xet", written.error().message);
	if (a.as_json)
		std::cout << "{\"format\":\"" << a.format << "\",\"files\":" << done->files << ",\"xorbs\":" << done->xorbs << ",\"chunks\":" << done->chunks
			<< ",\"bytes\":" << done->file.size() << "}\n";
	else std::cout << done->files << " files, " << done->xorbs << " xorbs, " << done->chunks << " chunks\n";
	return finish_output(incomplete == 0 ? ok : partly);
}

} // namespace

void add_shard_commands(CLI::App& app, shell& s)
{
	auto* const shard = app.add_subcommand("shard", "make and show shards, lists of files with their xorbs and chunks; needs no node");
	shard->require_subcommand(1);
	shard->footer("Example:\n  xet shard dump --json data.shard");
	{
		auto* c = shard->add_subcommand("dump", "what a shard says, BEP XET's or Hugging Face's");
		auto a = std::make_shared<dump_arguments>();
		c->add_option("FILE", a->file, "the shard")->required();
		a->key.add_to(c, "the key of its HMAC: without the right one, nothing is shown");
		c->add_flag("--json", a->as_json, "a JSON object per file, xorb and chunk (hf: per file and xorb), then one for the shard");
		c->footer("Example:\n  xet shard dump --hmac-key 00ff17 data.shard");
		c->callback([&s, a] { s.chosen = [a] { return dump(*a); }; });
	}
	{
		auto* c = shard->add_subcommand("make", "record files, and all below directories, in a shard");
		auto a = std::make_shared<make_arguments>();
		c->add_option("PATH", a->paths, "the files, recorded under the names given here")->required()->option_text("...");
		c->add_option("-o,--output", a->output, "the shard to write")->required()->option_text("FILE");
		c->add_option("--format", a->format, "bep or hf")->check(CLI::IsMember({"bep", "hf"}))->option_text("FORMAT (default: bep)");
		c->add_option("--profile", a->profile, "how files are cut and named: blake3, sha256 or hf (default: blake3; hf for --format hf)")->option_text("PROFILE");
		a->key.add_to(c, "bep: seal it with HMAC-SHA256 under this key");
		c->add_option("--xorb", a->xorbs, "a xorb that holds chunks of the files; may be given several times")->allow_extra_args(false)->option_text("FILE");
		c->add_flag("--stored", a->stored, "hf: the form with lookup tables and a footer, not the one that is uploaded");
		c->add_flag("--json", a->as_json, "one JSON object");
		c->footer("Example:\n  xet shard make --hmac-key 00ff17 --xorb data.xorb -o data.shard a.txt b.bin");
		c->callback([&s, a] { s.chosen = [a] { return make(*a); }; });
	}
}

} // namespace tools
