#include "tonic/tonic_file.hpp"

#include "tonic/bencode_reader.hpp"
#include "tonic/limits.hpp"
#include "tonic/path_rules.hpp"
#include "tonic/tonic_signature.hpp"

#include <algorithm>
#include <limits>

namespace tonic {

namespace {

using node = lt::bdecode_node;

constexpr std::int64_t max_int = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t min_int = std::numeric_limits<std::int64_t>::min();

// The fewest bytes one item takes in a file. A list of a million empty items must not reserve memory for a million files.
constexpr std::size_t min_hash_item_bytes = 35;
constexpr std::size_t min_file_item_bytes = 90;
constexpr std::size_t min_other_item_bytes = 20;

std::size_t plausible_count(node const& list, std::string_view data, std::size_t min_item_bytes)
{
	return std::min(std::size_t(list.list_size()), data.size() / min_item_bytes);
}

// Adds where to an error that only knows what.
tl::unexpected<xet::error> in_item(std::string_view list, int index, node const& item, xet::error const& e)
{
	auto const path = item.type() == node::dict_t ? text_of(item.dict_find_string_value("path")) : std::string_view();
	return xet::fail(e.code, list, " ", index, " (\"", printable(path.substr(0, max_path_bytes)), "\"): ", e.message);
}

template <class Array>
void copy_raw(std::string_view from, Array& to)
{
	std::copy(from.begin(), from.end(), to.begin());
}

class tonic_reader
{
public:
	explicit tonic_reader(std::string_view data) : m_data(data) {}
	xet::result<manifest> read();

private:
	xet::result<> read_format();
	xet::result<> read_identity();
	xet::result<> read_version();
	xet::result<> check_signature() const;
	xet::result<> read_files();
	xet::result<> read_file(node const& item);
	xet::result<> read_chunks(node const& item, file_entry& f);
	xet::result<> read_dirs();
	xet::result<> read_links();
	xet::result<> check_tree();
	xet::result<> check_subtree(node const& dict, std::string& path, std::size_t& files_seen) const;
	xet::result<> check_leaf(node const& leaf, std::string const& path) const;

	std::string_view m_data;
	node m_root;
	node m_xet;
	node m_hashes;
	manifest m;
};

xet::result<manifest> tonic_reader::read()
{
	if (m_data.size() > max_tonic_bytes)
		return xet::fail(xet::errc::limit, m_data.size(), " bytes, over the limit of ", max_tonic_bytes);
	auto root = parse_bencoded_dict(m_data, max_bencode_depth, max_bencode_tokens);
	if (!root) return tl::unexpected(root.error());
	m_root = std::move(*root);
	auto top = dict_field(m_root, "xet");
	if (!top) return tl::unexpected(top.error());
	m_xet = *top;

	using step = xet::result<> (tonic_reader::*)();
	for (step s : {&tonic_reader::read_format, &tonic_reader::read_identity, &tonic_reader::read_version})
		if (auto ok = (this->*s)(); !ok) return tl::unexpected(ok.error());
	// strangers stop here: everything below reads only what the folder's author wrote
	if (auto ok = check_signature(); !ok) return tl::unexpected(ok.error());
	for (step s : {&tonic_reader::read_files, &tonic_reader::read_dirs, &tonic_reader::read_links, &tonic_reader::check_tree})
		if (auto ok = (this->*s)(); !ok) return tl::unexpected(ok.error());

	m_hashes.clear();
	m_xet.clear();
	m_root.clear();
	if (auto ok = m.check(); !ok) return tl::unexpected(ok.error());
	return std::move(m);
}

xet::result<> tonic_reader::read_format()
{
	auto const version = int_field(m_xet, "version", 0, max_int);
	if (!version) return tl::unexpected(version.error());
	if (*version != tonic_version)
		return xet::fail(xet::errc::unsupported, "format version ", *version, "; this program reads version ", tonic_version);

	auto const algorithm = string_field(m_xet, "hash_algorithm");
	if (!algorithm) return tl::unexpected(algorithm.error());
	auto const kind = xet::kind_from_algorithm(*algorithm);
	if (!kind) return xet::fail(xet::errc::unsupported, "unknown hash_algorithm \"", printable(algorithm->substr(0, 64)), "\"");
	auto const target = int_field(m_xet, "target_chunk_size", xet::min_target_bytes, xet::max_target_bytes);
	if (!target) return tl::unexpected(target.error());
	auto const how = xet::make_profile(xet::name_of(*kind), std::uint32_t(*target));
	if (!how) return tl::unexpected(how.error());
	m.how = *how;
	return {};
}

xet::result<> tonic_reader::read_identity()
{
	auto const author = string_field_of_size(m_xet, "author", m.author.size());
	if (!author) return tl::unexpected(author.error());
	copy_raw(*author, m.author);
	auto const salt = string_field(m_xet, "salt");
	if (!salt) return tl::unexpected(salt.error());
	if (salt->empty() || salt->size() > max_salt_bytes) return xet::fail(xet::errc::invalid, "the salt has ", salt->size(), " bytes");
	m.salt.assign(salt->begin(), salt->end());
	auto const folder = string_field_of_size(m_xet, "folder", 40);
	if (!folder) return tl::unexpected(folder.error());
	m.folder = *folder;
	if (!is_folder_id_of(m.folder, m.author, m.salt))
		return xet::fail(xet::errc::mismatch, "the folder id \"", printable(m.folder), "\" is not that of the author's key and the salt");
	auto const name = string_field(m_xet, "name");
	if (!name) return tl::unexpected(name.error());
	m.name = *name;
	return check_folder_name(m.name);
}

xet::result<> tonic_reader::read_version()
{
	auto const mode = int_field(m_xet, "sync_mode", 0, 3);
	if (!mode) return tl::unexpected(mode.error());
	m.mode = sync_mode(*mode);
	auto const seq = int_field(m_xet, "seq", 0, max_int);
	if (!seq) return tl::unexpected(seq.error());
	m.seq = std::uint64_t(*seq);
	auto const timestamp = int_field(m_xet, "timestamp", min_int, max_int);
	if (!timestamp) return tl::unexpected(timestamp.error());
	m.timestamp = *timestamp;

	if (has_field(m_xet, "git_ref"))
	{
		auto const ref = string_field(m_xet, "git_ref");
		if (!ref) return tl::unexpected(ref.error());
		m.git_ref = *ref;
	}
	if (has_field(m_xet, "allowlist_hash"))
	{
		auto const hash = string_field_of_size(m_xet, "allowlist_hash", 32);
		if (!hash) return tl::unexpected(hash.error());
		m.allowlist_hash = xet::hash32::from(xet::as_bytes(*hash));
	}
	// empty in this version of the format; their types are checked so that a later reader can rely on them
	if (has_field(m_xet, "parents"))
		if (auto ok = list_field(m_xet, "parents"); !ok) return tl::unexpected(ok.error());
	if (has_field(m_xet, "version_vector"))
		if (auto ok = dict_field(m_xet, "version_vector"); !ok) return tl::unexpected(ok.error());
	return {};
}

xet::result<> tonic_reader::check_signature() const
{
	constexpr std::size_t key_bytes = std::string_view("9:signature").size(), value_bytes = std::string_view("64:").size() + 64;
	auto const value = string_field_of_size(m_xet, "signature", 64);
	if (!value) return tl::unexpected(value.error());
	// canonical bencoding: nothing can stand between a key and its value
	auto const offset = std::size_t(m_xet.dict_find("signature").data_offset()) - key_bytes;

	signature sig;
	copy_raw(*value, sig);
	if (!verify(m.author, signed_message(m.how.kind, m_data, offset, key_bytes + value_bytes), sig))
		return xet::fail(xet::errc::mismatch, "the signature is not the author's: the file was changed or cut together");
	return {};
}

xet::result<> tonic_reader::read_files()
{
	auto hashes = list_field(m_xet, "chunk_hashes");
	if (!hashes) return tl::unexpected(hashes.error());
	m_hashes = *hashes;
	m.chunks.reserve(plausible_count(m_hashes, m_data, min_hash_item_bytes));

	auto const files = list_field(m_xet, "files");
	if (!files) return tl::unexpected(files.error());
	m.files.reserve(plausible_count(*files, m_data, min_file_item_bytes));
	for (int i = 0; i < files->list_size(); ++i)
	{
		auto const item = files->list_at(i);
		if (auto ok = read_file(item); !ok) return in_item("file", i, item, ok.error());
	}
	if (m.chunks.size() != std::size_t(m_hashes.list_size()))
		return xet::fail(xet::errc::invalid, "chunk_hashes has ", m_hashes.list_size(), " items, the files have ", m.chunks.size(), " chunks");
	return {};
}

xet::result<> tonic_reader::read_file(node const& item)
{
	if (item.type() != node::dict_t) return xet::fail(xet::errc::invalid, "not a dictionary");
	auto const path = string_field(item, "path");
	if (!path) return tl::unexpected(path.error());
	auto const hash = string_field_of_size(item, "hash", 32);
	if (!hash) return tl::unexpected(hash.error());
	auto const size = int_field(item, "size", 0, max_int);
	if (!size) return tl::unexpected(size.error());
	auto const mode = int_field_or(0644, item, "mode", 0, 0777);
	if (!mode) return tl::unexpected(mode.error());
	auto const mtime = int_field_or(0, item, "mtime", min_int, max_int);
	if (!mtime) return tl::unexpected(mtime.error());

	file_entry f;
	f.path = *path;
	f.hash = xet::hash32::from(xet::as_bytes(*hash));
	f.size = std::uint64_t(*size);
	f.mode = std::uint32_t(*mode);
	f.mtime_ns = *mtime;
	if (auto ok = read_chunks(item, f); !ok) return ok;
	m.files.push_back(std::move(f));
	return {};
}

xet::result<> tonic_reader::read_chunks(node const& item, file_entry& f)
{
	auto const left = std::int64_t(m_hashes.list_size()) - std::int64_t(m.chunks.size());
	auto const count = int_field(item, "chunks", 0, left);
	if (!count) return tl::unexpected(count.error());
	auto const sizes = string_field_of_size(item, "chunk_sizes", std::size_t(*count) * 4);
	if (!sizes) return tl::unexpected(sizes.error());

	f.first_chunk = std::uint32_t(m.chunks.size());
	f.chunk_count = std::uint32_t(*count);
	for (std::size_t i = 0; i < f.chunk_count; ++i)
	{
		auto const hash = text_of(m_hashes.list_string_value_at(int(m.chunks.size())));
		if (hash.size() != 32) return xet::fail(xet::errc::invalid, "item ", m.chunks.size(), " of chunk_hashes is not a string of 32 bytes");
		auto const size = xet::read_be<std::uint32_t>(xet::as_bytes(*sizes).data() + i * 4);
		m.chunks.push_back({xet::hash32::from(xet::as_bytes(hash)), size});
	}
	return {};
}

xet::result<> tonic_reader::read_dirs()
{
	if (!has_field(m_xet, "dirs")) return {};
	auto const dirs = list_field(m_xet, "dirs");
	if (!dirs) return tl::unexpected(dirs.error());
	m.dirs.reserve(plausible_count(*dirs, m_data, min_other_item_bytes));
	for (int i = 0; i < dirs->list_size(); ++i)
	{
		auto const item = dirs->list_at(i);
		if (item.type() != node::dict_t) return xet::fail(xet::errc::invalid, "directory ", i, ": not a dictionary");
		auto const path = string_field(item, "path");
		if (!path) return in_item("directory", i, item, path.error());
		auto const mode = int_field_or(0755, item, "mode", 0, 0777);
		if (!mode) return in_item("directory", i, item, mode.error());
		auto const mtime = int_field_or(0, item, "mtime", min_int, max_int);
		if (!mtime) return in_item("directory", i, item, mtime.error());
		m.dirs.push_back({std::string(*path), std::uint32_t(*mode), *mtime});
	}
	return {};
}

xet::result<> tonic_reader::read_links()
{
	if (!has_field(m_xet, "symlinks")) return {};
	auto const links = list_field(m_xet, "symlinks");
	if (!links) return tl::unexpected(links.error());
	m.links.reserve(plausible_count(*links, m_data, min_other_item_bytes));
	for (int i = 0; i < links->list_size(); ++i)
	{
		auto const item = links->list_at(i);
		if (item.type() != node::dict_t) return xet::fail(xet::errc::invalid, "symbolic link ", i, ": not a dictionary");
		auto const path = string_field(item, "path");
		if (!path) return in_item("symbolic link", i, item, path.error());
		auto const target = string_field(item, "target");
		if (!target) return in_item("symbolic link", i, item, target.error());
		auto const mtime = int_field_or(0, item, "mtime", min_int, max_int);
		if (!mtime) return in_item("symbolic link", i, item, mtime.error());
		m.links.push_back({std::string(*path), std::string(*target), *mtime});
	}
	return {};
}

// file_tree and files are the same files, or other readers than this one would see another folder.
xet::result<> tonic_reader::check_tree()
{
	auto const tree = dict_field(m_xet, "file_tree");
	if (!tree) return tl::unexpected(tree.error());
	// find_file() searches, so the order that check() proves later is needed here already
	if (!std::is_sorted(m.files.begin(), m.files.end(), [](auto const& a, auto const& b) { return a.path < b.path; }))
		return xet::fail(xet::errc::invalid, "files are not sorted by path");
	std::string path;
	std::size_t files_seen = 0;
	if (auto ok = check_subtree(*tree, path, files_seen); !ok) return ok;
	if (files_seen != m.files.size())
		return xet::fail(xet::errc::invalid, "file_tree has ", files_seen, " files, the list has ", m.files.size());
	return {};
}

xet::result<> tonic_reader::check_subtree(node const& dict, std::string& path, std::size_t& files_seen) const
{
	for (int i = 0; i < dict.dict_size(); ++i)
	{
		auto const [key, value] = dict.dict_at(i);
		auto const name = text_of(key);
		auto const parent_size = path.size();
		if (name.empty() || name.size() > max_name_bytes || name.find('/') != name.npos || parent_size + name.size() >= max_path_bytes)
			return xet::fail(xet::errc::invalid, "file_tree: bad name \"", printable(name.substr(0, max_name_bytes)), "\" below \"", printable(path), "\"");
		if (parent_size > 0) path += '/';
		path += name;

		if (value.type() != node::dict_t || value.dict_size() == 0)
			return xet::fail(xet::errc::invalid, "file_tree: \"", printable(path), "\" is neither a file nor a directory with files");
		bool const is_file = value.dict_at(0).first.empty();
		if (auto ok = is_file ? check_leaf(value, path) : check_subtree(value, path, files_seen); !ok) return ok;
		if (is_file) ++files_seen;
		path.resize(parent_size);
	}
	return {};
}

xet::result<> tonic_reader::check_leaf(node const& leaf, std::string const& path) const
{
	auto const bad = [&](auto const&... why) {
		return xet::fail(xet::errc::invalid, "file_tree: \"", printable(path), "\" ", why...);
	};
	if (leaf.dict_size() != 1) return bad("is a file and a directory");
	auto const content = dict_field(leaf, "");
	if (!content) return bad("is no file: ", content.error().message);
	auto const hash = string_field_of_size(*content, "hash", 32);
	if (!hash) return bad("has no hash: ", hash.error().message);
	auto const size = int_field(*content, "size", 0, max_int);
	if (!size) return bad("has no size: ", size.error().message);
	auto const* f = m.find_file(path);
	if (!f) return bad("is not in the list of files");
	if (std::uint64_t(*size) != f->size || xet::as_text(f->hash.view()) != *hash)
		return bad("has another hash or size in the list of files");
	return {};
}

} // namespace

xet::result<manifest> decode_tonic(std::string_view data)
{
	auto ret = tonic_reader(data).read();
	if (!ret) return xet::fail(ret.error().code, "not a valid .tonic file: ", ret.error().message);
	return ret;
}

xet::result<manifest> read_tonic(std::filesystem::path const& file)
{
	auto const data = read_whole_file(file, max_tonic_bytes);
	if (!data) return tl::unexpected(data.error());
	auto ret = decode_tonic(*data);
	if (!ret) return xet::fail(ret.error().code, file.native(), ": ", ret.error().message);
	return ret;
}

} // namespace tonic
