#pragma once
// Links to a folder: a magnet link (any client with the plugin) and a tonic link (which carries the publisher's key, so
// the folder's torrent can be made without asking anybody). Pure functions.
//
//   magnet:?xt=urn:btih:<40 hex>&dn=<name>&tr=<url>…&x.pe=<host:port>…
//   tonic:?xt=urn:xet:<folder id, 40 hex>&pk=<64 hex>&salt=<hex>&dn=<name>&tr=<url>…&x.pe=<host:port>…
// Values are percent-encoded. "tonic?:" is read too: other implementations write it.

#include "tonic/carrier.hpp"

namespace tonic {

struct folder_link
{
	std::string info_hash;  // 40 hex; empty in a tonic link
	std::string name;
	carrier_info info;      // complete in a tonic link; empty in a magnet link
	std::vector<std::string> trackers;
	std::vector<std::string> peers;  // "host:port"

	bool is_tonic() const { return info_hash.empty(); }
};

std::string magnet_link(std::string const& info_hash, std::string const& name, std::vector<std::string> const& trackers
	, std::vector<std::string> const& peers = {});
std::string tonic_link(carrier_info const& info, std::vector<std::string> const& trackers
	, std::vector<std::string> const& peers = {});

// Errors: not a link, no or a malformed hash or key, id that is not that of key and salt, unsafe name, over 64 KiB.
// v2-only magnets (urn:btmh) are unsupported. Base32 btih is accepted.
xet::result<folder_link> parse_link(std::string_view text);
bool looks_like_link(std::string_view text);  // starts with magnet: or tonic
bool is_tracker_url(std::string_view text);   // scheme://something, in one line

} // namespace tonic
