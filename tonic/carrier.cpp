#include "tonic/carrier.hpp"

#include "tonic/bencode_reader.hpp"
#include "tonic/limits.hpp"
#include "tonic/path_rules.hpp"

#include <libtorrent/bencode.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/hasher.hpp>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <limits>

namespace tonic {

namespace {

// Part of every carrier's info-hash: do not change
constexpr int carrier_version = 1;
constexpr int piece_bytes = 16 * 1024;
constexpr std::string_view descriptor_suffix = ".xet.txt";

constexpr int max_torrent_depth = 100;  // libtorrent's own: ordinary torrents are looked at too, only to say so

// Part of every carrier's info-hash: do not change
std::string descriptor_text(carrier_info const& info)
{
	return xet::cat("This is the shared folder \"", info.name, "\".\n\n"
		"Its files are not in this torrent. A BitTorrent client with the ut_xet plugin gets them, and keeps them up to date,\n"
		"in a folder of that name beside this file: add this torrent (or its magnet link) there, and nothing else is needed.\n"
		"A client without the plugin gets just this text.\n\n"
		"Folder id: ", info.folder, "\n"
		"Publisher: ", xet::to_hex(info.author), "\n");
}

lt::entry string_entry(xet::bytes_view b) { return std::string(xet::as_text(b)); }

lt::entry info_dict(carrier_info const& info, std::string const& descriptor_name, std::string const& descriptor)
{
	lt::entry ret;
	ret["length"] = std::int64_t(descriptor.size());
	ret["name"] = descriptor_name;
	ret["piece length"] = piece_bytes;
	ret["pieces"] = lt::hasher(descriptor).final().to_string();
	auto& x = ret["xet"];
	x["folder"] = info.folder;
	x["name"] = info.name;
	x["pk"] = string_entry(info.author);
	x["salt"] = string_entry(info.salt);
	x["v"] = carrier_version;
	return ret;
}

void add_trackers(lt::entry& torrent, std::vector<std::string> const& trackers)
{
	if (trackers.empty()) return;
	torrent["announce"] = trackers.front();
	auto& tiers = torrent["announce-list"].list();
	for (auto const& url : trackers) tiers.emplace_back(lt::entry::list_type{lt::entry(url)});
}

xet::result<carrier_info> read_xet_dict(lt::bdecode_node const& x)
{
	auto const version = int_field(x, "v", 0, std::numeric_limits<std::int64_t>::max());
	if (!version) return tl::unexpected(version.error());
	if (*version != carrier_version)
		return xet::fail(xet::errc::unsupported, "carrier version ", *version, "; this program reads version ", carrier_version);
	auto const folder = string_field_of_size(x, "folder", 40);
	auto const name = string_field(x, "name");
	auto const pk = string_field_of_size(x, "pk", 32);
	auto const salt = string_field(x, "salt");
	for (auto const* field : {&folder, &name, &pk, &salt})
		if (!*field) return tl::unexpected(field->error());
	if (salt->empty() || salt->size() > max_salt_bytes) return xet::fail(xet::errc::invalid, "a salt of ", salt->size(), " bytes");
	if (auto ok = check_folder_name(*name); !ok) return tl::unexpected(ok.error());

	carrier_info ret;
	ret.folder = *folder;
	ret.name = *name;
	std::copy(pk->begin(), pk->end(), ret.author.begin());
	ret.salt.assign(salt->begin(), salt->end());
	if (!is_folder_id_of(ret.folder, ret.author, ret.salt))
		return xet::fail(xet::errc::mismatch, "the folder id \"", printable(ret.folder), "\" is not that of the publisher's key and the salt");
	return ret;
}

xet::result<carrier_info> read_info(lt::bdecode_node const& info)
{
	auto const x = dict_field(info, "xet");
	if (!x) return tl::unexpected(x.error());
	// whoever adds a carrier expects one small text file in the save path, whoever made it
	if (auto const length = int_field(info, "length", 1, max_descriptor_bytes); !length)
		return xet::fail(length.error().code, "not a carrier of a shared folder: ", length.error().message);
	return read_xet_dict(*x);
}

std::vector<std::string> read_trackers(lt::bdecode_node const& torrent)
{
	std::vector<std::string> ret;
	auto const add = [&](lt::string_view url) {
		std::string text(url.data(), url.size());
		if (!text.empty() && std::find(ret.begin(), ret.end(), text) == ret.end()) ret.push_back(std::move(text));
	};
	auto const tiers = torrent.dict_find_list("announce-list");
	for (int i = 0; tiers && i < tiers.list_size(); ++i)
	{
		auto const tier = tiers.list_at(i);
		if (tier.type() != lt::bdecode_node::list_t) continue;
		for (int k = 0; k < tier.list_size(); ++k) add(tier.list_string_value_at(k));
	}
	if (ret.empty()) add(torrent.dict_find_string_value("announce"));
	return ret;
}

} // namespace

carrier make_carrier(carrier_info const& info, std::vector<std::string> const& trackers)
{
	carrier ret;
	ret.descriptor_name = xet::cat(info.name, descriptor_suffix);
	ret.descriptor = descriptor_text(info);
	assert(ret.descriptor.size() <= max_descriptor_bytes);

	lt::entry torrent;
	auto& dict = torrent["info"] = info_dict(info, ret.descriptor_name, ret.descriptor);
	std::string section;
	lt::bencode(std::back_inserter(section), dict);
	auto const digest = lt::hasher(section).final();
	ret.info_hash = xet::to_hex({reinterpret_cast<std::uint8_t const*>(digest.data()), std::size_t(digest.size())});

	torrent["created by"] = "ut_xet";
	add_trackers(torrent, trackers);
	lt::bencode(std::back_inserter(ret.torrent), torrent);
	return ret;
}

xet::result<carrier_info> read_carrier_info(std::string_view info_section)
{
	auto const info = parse_loosely(info_section, max_torrent_depth, max_bencode_tokens);
	if (!info) return tl::unexpected(info.error());
	if (!has_field(*info, "xet")) return xet::fail(xet::errc::not_found, "an ordinary torrent: its info dictionary has no key \"xet\"");
	if (auto ok = check_canonical(*info, info_section); !ok) return tl::unexpected(ok.error());
	return read_info(*info);
}

xet::result<carrier_file> read_carrier(std::string_view torrent)
{
	auto const root = parse_loosely(torrent, max_torrent_depth, max_bencode_tokens);
	if (!root) return xet::fail(root.error().code, "not a .torrent file: ", root.error().message);
	auto const info = dict_field(*root, "info");
	if (!info) return xet::fail(info.error().code, "not a .torrent file: ", info.error().message);
	auto carried = read_carrier_info(text_of(info->data_section()));
	if (!carried) return tl::unexpected(carried.error());
	return carrier_file{std::move(*carried), read_trackers(*root)};
}

} // namespace tonic
