#include "tonic/folder_file.hpp"

#include "tonic/bencode_reader.hpp"
#include "tonic/limits.hpp"
#include "tonic/tonic_file.hpp"

namespace tonic {

namespace {

xet::error why_unusable(std::string_view data, xet::error const& as_torrent, xet::error const& as_tonic)
{
	if (as_torrent.code == xet::errc::not_found)
		return {xet::errc::invalid, "an ordinary torrent, not a shared folder; add it to a BitTorrent client"};
	auto const root = parse_loosely(data, max_bencode_depth, max_bencode_tokens);
	if (!root) return {root.error().code, xet::cat("not a .torrent or .tonic file, or cut short: ", root.error().message)};
	if (has_field(*root, "info")) return {as_torrent.code, xet::cat("not the .torrent of a shared folder: ", as_torrent.message)};
	if (has_field(*root, "xet")) return as_tonic;
	return {xet::errc::invalid, "not a .torrent or .tonic file: it has neither the key \"info\" nor the key \"xet\""};
}

} // namespace

xet::result<folder_file> read_folder_file(std::string_view data)
{
	auto carried = read_carrier(data);
	if (carried) return folder_file{std::move(carried->info), std::move(carried->trackers), std::nullopt};
	auto version = decode_tonic(data);
	if (!version) return tl::unexpected(why_unusable(data, carried.error(), version.error()));
	carrier_info info{version->folder, version->name, version->author, version->salt};
	return folder_file{std::move(info), {}, std::move(*version)};
}

} // namespace tonic
