#include "tools/xet/commands.hpp"

#include "tools/common/terminal.hpp"
#include "xet/merkle.hpp"

#include <charconv>
#include <iostream>

namespace tools {

namespace {

struct merkle_arguments
{
	std::string profile = "blake3";
	bool file = false;
};

// One line of standard input: a hash, and for hf a size behind it.
std::optional<xet::hf_node> parse_leaf(std::string_view line, xet::hash_kind kind)
{
	while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
	auto const space = line.find(' ');
	auto const hash = xet::hash_from_string(kind, line.substr(0, space));
	if (!hash || (space != line.npos) != (kind == xet::hash_kind::hf)) return std::nullopt;
	xet::hf_node node{*hash, 0};
	if (space == line.npos) return node;
	auto const size = line.substr(line.find_first_not_of(' ', space));
	auto const [end, error] = std::from_chars(size.data(), size.data() + size.size(), node.size);
	if (error != std::errc() || end != size.data() + size.size()) return std::nullopt;
	return node;
}

xet::hash32 root_of(std::vector<xet::hf_node> leaves, xet::hash_kind kind, bool file)
{
	if (kind == xet::hash_kind::hf)
	{
		bool const empty = leaves.empty();
		auto const root = xet::hf_tree_root(std::move(leaves));
		return file && !empty ? xet::keyed_blake3(xet::hash32{}.view(), root.view()) : root;
	}
	std::vector<xet::hash32> hashes;
	hashes.reserve(leaves.size());
	for (auto const& leaf : leaves) hashes.push_back(leaf.hash);
	return xet::merkle_root(kind, hashes);
}

int merkle(merkle_arguments const& a)
{
	auto const how = xet::make_profile(a.profile);
	if (!how) return complain("xet", how.error().message, usage);
	if (a.file && how->kind != xet::hash_kind::hf) return complain("xet", "--file is for --profile hf; elsewhere the root is the file's hash", usage);
	std::vector<xet::hf_node> leaves;
	std::string line;
	for (std::size_t number = 1; std::getline(std::cin, line); ++number)
	{
		auto const leaf = parse_leaf(line, how->kind);
		if (!leaf)
			return complain("xet", xet::cat("line ", number, " of standard input is not ", how->kind == xet::hash_kind::hf
				? "a hash of 64 hexadecimal digits, a space, and a size in bytes" : "a hash of 64 hexadecimal digits"));
		leaves.push_back(*leaf);
	}
	if (std::cin.bad()) return complain("xet", "cannot read standard input");
	std::cout << xet::to_string(how->kind, root_of(std::move(leaves), how->kind, a.file)) << std::endl;
	return std::cout ? ok : complain("xet", "cannot write to standard output");
}

} // namespace

void add_container_commands(CLI::App& app, shell& s)
{
	add_xorb_commands(app, s);
	add_shard_commands(app, s);
	auto* c = app.add_subcommand("merkle", "the root over hashes that come on standard input, one a line; needs no node");
	auto a = std::make_shared<merkle_arguments>();
	c->add_option("--profile", a->profile, "blake3 or sha256: binary tree; hf: Hugging Face's, with a size behind each hash")->capture_default_str();
	c->add_flag("--file", a->file, "hf: the file's hash instead of the tree's root, which is the xorb's hash");
	c->footer("Example:\n  xet chunk --json FILE | jq -r 'select(.length) | .hash' | xet merkle");
	c->callback([&s, a] { s.chosen = [a] { return merkle(*a); }; });
}

} // namespace tools
