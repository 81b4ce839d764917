#include "tonic/tonic_file.hpp"

#include "tonic/bencode_writer.hpp"
#include "tonic/tonic_signature.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace tonic {

namespace {

// Some bytes too many are cheaper than growing a string of 30 MB by halves.
std::size_t size_estimate(manifest const& m)
{
	constexpr std::size_t per_file = 280, per_chunk = 40, per_other = 80, head = 1024;
	std::size_t ret = head + m.chunks.size() * per_chunk;
	for (auto const& f : m.files) ret += per_file + 2 * f.path.size();
	for (auto const& d : m.dirs) ret += per_other + 2 * d.path.size();
	for (auto const& l : m.links) ret += per_other + l.path.size() + l.target.size();
	return ret;
}

void write_chunk_hashes(bencode_writer& out, manifest const& m)
{
	out.key("chunk_hashes");
	out.begin_list();
	for (auto const& c : m.chunks) out.string(c.hash.view());
	out.end();
}

void write_dirs(bencode_writer& out, manifest const& m)
{
	out.key("dirs");
	out.begin_list();
	for (auto const& d : m.dirs)
	{
		out.begin_dict();
		out.pair("mode", d.mode);
		out.pair("mtime", d.mtime_ns);
		out.pair("path", std::string_view(d.path));
		out.end();
	}
	out.end();
}

void write_files(bencode_writer& out, manifest const& m)
{
	out.key("files");
	out.begin_list();
	xet::bytes sizes;
	for (auto const& f : m.files)
	{
		sizes.clear();
		for (auto const& c : m.chunks_of(f)) xet::append_be(sizes, c.size);
		out.begin_dict();
		out.pair("chunk_sizes", xet::bytes_view(sizes));
		out.pair("chunks", f.chunk_count);
		out.pair("hash", f.hash.view());
		out.pair("mode", f.mode);
		out.pair("mtime", f.mtime_ns);
		out.pair("path", std::string_view(f.path));
		out.pair("size", f.size);
		out.end();
	}
	out.end();
}

void write_links(bencode_writer& out, manifest const& m)
{
	out.key("symlinks");
	out.begin_list();
	for (auto const& l : m.links)
	{
		out.begin_dict();
		out.pair("mtime", l.mtime_ns);
		out.pair("path", std::string_view(l.path));
		out.pair("target", std::string_view(l.target));
		out.end();
	}
	out.end();
}

// Files in the order of the nested dictionaries. It differs from the order by path: the key "a" (a directory) comes before
// "a.txt", but '/' comes after '.'.
std::vector<std::uint32_t> tree_order(manifest const& m)
{
	std::vector<std::uint32_t> order(m.files.size());
	std::iota(order.begin(), order.end(), 0u);
	auto const rank = [](char c) { return c == '/' ? 0 : int(static_cast<unsigned char>(c)); };
	std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
		return std::ranges::lexicographical_compare(m.files[a].path, m.files[b].path, {}, rank, rank);
	});
	return order;
}

// Bytes of the directory part that two paths share, with its '/'.
std::size_t common_directory(std::string_view a, std::string_view b)
{
	auto const [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
	auto const slash = a.substr(0, std::size_t(x - a.begin())).rfind('/');
	return slash == std::string_view::npos ? 0 : slash + 1;
}

void write_file_tree(bencode_writer& out, manifest const& m)
{
	out.key("file_tree");
	out.begin_dict();
	std::string_view open;  // the directory whose dictionaries are open, with its trailing '/'
	for (auto const index : tree_order(m))
	{
		auto const& f = m.files[index];
		std::string_view const path = f.path;
		auto const shared = common_directory(path, open);
		for (auto n = std::count(open.begin() + std::ptrdiff_t(shared), open.end(), '/'); n > 0; --n) out.end();

		auto from = shared;
		for (auto to = path.find('/', from); to != path.npos; from = to + 1, to = path.find('/', from))
		{
			out.key(path.substr(from, to - from));
			out.begin_dict();
		}
		open = path.substr(0, from);

		out.key(path.substr(from));
		out.begin_dict();
		out.key("");
		out.begin_dict();
		out.pair("hash", f.hash.view());
		out.pair("size", f.size);
		out.end();
		out.end();
	}
	for (auto n = std::count(open.begin(), open.end(), '/'); n > 0; --n) out.end();
	out.end();
}

} // namespace

std::string encode_tonic(manifest const& m, key_pair const& key)
{
	assert(m.author == key.pub());
	std::string bytes;
	bytes.reserve(size_estimate(m));
	bencode_writer out(bytes);

	out.begin_dict();
	out.key("xet");
	out.begin_dict();
	if (m.allowlist_hash) out.pair("allowlist_hash", m.allowlist_hash->view());
	out.pair("author", xet::bytes_view(m.author));
	write_chunk_hashes(out, m);
	write_dirs(out, m);
	write_file_tree(out, m);
	write_files(out, m);
	out.pair("folder", std::string_view(m.folder));
	out.pair("git_ref", std::string_view(m.git_ref));
	out.pair("hash_algorithm", xet::algorithm_name(m.how.kind));
	out.pair("name", std::string_view(m.name));
	out.key("parents");
	out.begin_list();
	out.end();
	out.pair("salt", xet::bytes_view(m.salt));
	out.pair("seq", m.seq);
	auto const signature_at = bytes.size();
	write_links(out, m);
	out.pair("sync_mode", int(m.mode));
	out.pair("target_chunk_size", m.how.cut.target_bytes);
	out.pair("timestamp", m.timestamp);
	out.pair("version", tonic_version);
	out.key("version_vector");
	out.begin_dict();
	out.end();
	out.end();
	out.end();

	auto const sig = key.sign(signed_message(m.how.kind, bytes, signature_at, 0));
	std::string pair;
	bencode_writer(pair).pair("signature", xet::bytes_view(sig));
	bytes.insert(signature_at, pair);
	return bytes;
}

} // namespace tonic
