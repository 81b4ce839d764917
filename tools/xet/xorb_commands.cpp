#include "tools/xet/commands.hpp"

#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"
#include "tools/common/terminal.hpp"
#include "tools/xet/any_xorb.hpp"
#include "tools/xet/output_file.hpp"
#include "xet/chunker.hpp"

#include <iomanip>
#include <iostream>

namespace tools {

namespace {

int finish_output() { return std::cout.flush() ? ok : complain("xet", "cannot write to standard output"); }

// --- pack --------------------------------------------------------------------------------------------------------------

struct pack_arguments
{
	std::vector<std::string> files;
	std::string profile = "blake3", output, compress = "lz4";
	bool as_json = false;

	xet::compression how() const { return compress == "lz4" ? xet::compression::lz4 : xet::compression::none; }
};

struct packed
{
	xet::hash32 hash;
	std::uint64_t payload = 0;
	xet::bytes file;
};

xet::result<std::string> read_chunk(std::string const& path) { return tonic::read_whole_file(path, xet::max_xorb_bytes); }

template <class... Args>
auto too_much(std::string const& path, Args const&... why)
{
	return xet::fail(xet::errc::limit, tonic::printable(path), ": ", why..., "; pack the files into several xorbs");
}

xet::result<packed> pack_bep(pack_arguments const& a, xet::hash_kind kind)
{
	if (a.files.size() > xet::max_foreign_xorb_chunks) return too_much(a.files.back(), "more than ", xet::max_foreign_xorb_chunks, " chunks");
	xet::xorb_builder builder(kind, xet::max_xorb_bytes, std::uint32_t(a.files.size()));
	for (std::string const& path : a.files)
	{
		auto const data = read_chunk(path);
		if (!data) return tl::unexpected(data.error());
		if (!builder.fits(data->size())) return too_much(path, "a xorb holds at most ", xet::max_xorb_bytes, " bytes");
		builder.add(xet::chunk_hash(kind, xet::as_bytes(*data)), xet::as_bytes(*data));
	}
	auto const built = builder.finish(a.how());
	return packed{built.hash, builder.payload_bytes(), xet::bytes(built.file.begin(), built.file.end())};
}

xet::result<packed> pack_hf(pack_arguments const& a)
{
	xet::hf_xorb_writer writer(a.how());
	std::uint64_t payload = 0;
	for (std::string const& path : a.files)
	{
		auto const data = read_chunk(path);
		if (!data) return tl::unexpected(data.error());
		if (auto const added = writer.add(xet::as_bytes(*data)); !added) return xet::fail(added.error().code, tonic::printable(path), ": ", added.error().message);
		payload += data->size();
	}
	auto built = std::move(writer).finish();
	return packed{built.hash, payload, std::move(built.file)};
}

int pack(pack_arguments const& a)
{
	auto const how = xet::make_profile(a.profile);
	if (!how) return complain("xet", how.error().message, usage);
	auto const done = how->kind == xet::hash_kind::hf ? pack_hf(a) : pack_bep(a, how->kind);
	if (!done) return complain("xet", done.error().message);
	if (auto const written = write_output(a.output, done->file); !written) return complain("xet", written.error().message);
	auto const hash = xet::to_string(how->kind, done->hash);
	if (a.as_json)
		std::cout << "{\"xorb_hash\":\"" << hash << "\",\"chunks\":" << a.files.size() << ",\"size\":" << done->payload
			<< ",\"stored\":" << done->file.size() << "}\n";
	else std::cout << hash << '\n';
	return finish_output();
}

// --- list, unpack ------------------------------------------------------------------------------------------------------

struct open_arguments
{
	std::string file, directory, profile, format;
	bool as_json = false;
};

// Runs use with the xorb once all of it is verified.
template <class Use>
int with_xorb(open_arguments const& a, Use use)
{
	std::optional<xet::hash_kind> kind;
	if (!a.profile.empty())
	{
		auto const how = xet::make_profile(a.profile);
		if (!how) return complain("xet", how.error().message, usage);
		kind = how->kind;
	}
	auto const format = a.format.empty() ? container_format::detect : a.format == "hf" ? container_format::hf : container_format::bep;
	auto x = any_xorb::open(a.file, format, kind);
	return x ? use(*x) : complain("xet", x.error().message);
}

int list(any_xorb const& x, bool as_json)
{
	auto const& chunks = x.chunks();
	for (std::size_t i = 0; i < chunks.size(); ++i)
	{
		auto const& c = chunks[i];
		auto const hash = xet::to_string(x.kind(), c.hash);
		if (as_json) std::cout << "{\"index\":" << i << ",\"hash\":\"" << hash << "\",\"size\":" << c.size << ",\"stored\":" << c.stored << "}\n";
		else std::cout << std::setw(6) << i << ' ' << std::setw(8) << c.size << ' ' << std::setw(8) << c.stored << ' ' << hash << '\n';
	}
	auto const hash = xet::to_string(x.kind(), x.hash());
	if (as_json)
		std::cout << "{\"xorb_hash\":\"" << hash << "\",\"chunks\":" << chunks.size() << ",\"size\":" << x.payload_bytes() << "}\n";
	else
		std::cout << "xorb " << hash << "  " << chunks.size() << " chunks, " << x.payload_bytes() << " bytes, named by "
			<< xet::name_of(x.kind()) << '\n';
	return finish_output();
}

std::string chunk_file_name(std::size_t index)
{
	auto const digits = std::to_string(index);
	return std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits + ".bin";
}

int unpack(any_xorb& x, open_arguments const& a)
{
	std::filesystem::path const directory(a.directory);
	if (auto const made = xet::system_files().make_dirs(directory); !made) return complain("xet", made.error().message);
	for (std::size_t i = 0; i < x.chunks().size(); ++i)
	{
		auto const data = x.read(i);
		if (!data) return complain("xet", xet::cat(tonic::printable(a.file), ": ", data.error().message));
		if (auto const written = write_output(directory / chunk_file_name(i), *data); !written) return complain("xet", written.error().message);
	}
	std::cerr << x.chunks().size() << " chunks, " << human_bytes(x.payload_bytes()) << ", in " << tonic::printable(a.directory) << std::endl;
	return ok;
}

void add_open_options(CLI::App* c, std::shared_ptr<open_arguments> const& a)
{
	c->add_option("FILE", a->file, "the xorb")->required();
	c->add_option("--format", a->format, "bep or hf (default: what the file looks like)")->check(CLI::IsMember({"bep", "hf"}))->option_text("FORMAT");
	c->add_option("--profile", a->profile, "how the chunks of a BEP xorb are named: blake3, sha256 or hf (default: what its first chunk says)")->option_text("PROFILE");
}

} // namespace

void add_xorb_commands(CLI::App& app, shell& s)
{
	auto* const xorb = app.add_subcommand("xorb", "make, list and unpack xorbs, files that hold many chunks; needs no node");
	xorb->require_subcommand(1);
	xorb->footer("Example:\n  xet xorb list --json data.xorb");
	{
		auto* c = xorb->add_subcommand("pack", "put files into one xorb, each as one chunk, and print its hash");
		auto a = std::make_shared<pack_arguments>();
		c->add_option("FILE", a->files, "the files, in this order")->required()->option_text("...");
		c->add_option("-o,--output", a->output, "the xorb to write")->required()->option_text("FILE");
		c->add_option("--compress", a->compress, "lz4 or none; a chunk is only compressed where that is smaller")->check(CLI::IsMember({"lz4", "none"}))->option_text("HOW (default: lz4)");
		c->add_option("--profile", a->profile, "how chunks are named: blake3 or sha256; hf writes Hugging Face's format")->capture_default_str();
		c->add_flag("--json", a->as_json, "one JSON object");
		c->footer("Example:\n  xet xorb pack --compress none -o data.xorb 1.bin 2.bin");
		c->callback([&s, a] { s.chosen = [a] { return pack(*a); }; });
	}
	{
		auto* c = xorb->add_subcommand("list", "verify a xorb, and list its chunks");
		auto a = std::make_shared<open_arguments>();
		add_open_options(c, a);
		c->add_flag("--json", a->as_json, "a JSON object per chunk, then one for the xorb");
		c->footer("Example:\n  xet xorb list --json data.xorb");
		c->callback([&s, a] { s.chosen = [a] { return with_xorb(*a, [&](any_xorb const& x) { return list(x, a->as_json); }); }; });
	}
	{
		auto* c = xorb->add_subcommand("unpack", "verify a xorb, and write its chunks to DIR/000000.bin, DIR/000001.bin, and so on");
		auto a = std::make_shared<open_arguments>();
		add_open_options(c, a);
		c->add_option("DIR", a->directory, "where to write; made when it is not there")->required();
		c->footer("Example:\n  xet xorb unpack data.xorb chunks");
		c->callback([&s, a] { s.chosen = [a] { return with_xorb(*a, [&](any_xorb& x) { return unpack(x, *a); }); }; });
	}
}

} // namespace tools
