#pragma once
// The folder's small carrier torrent: one tiny text file, and the private key `xet` in the info dict. Source: protocol §8.
// The info dict is a function of carrier_info alone, so everybody who knows a folder's key, salt and name can make it.
//
// Thread rule: pure functions.

#include "tonic/identity.hpp"

#include <string>
#include <vector>

namespace tonic {

struct carrier_info
{
	std::string folder;  // id
	std::string name;    // of the folder on disk
	public_key author{};
	xet::bytes salt;

	bool operator==(carrier_info const&) const = default;
};

struct carrier
{
	std::string torrent;          // the bytes of the .torrent file
	std::string info_hash;        // v1, 40 hexadecimal characters
	std::string descriptor_name;  // "<name>.xet.txt": the one file of the torrent
	std::string descriptor;       // its bytes, at most 16 KiB
};

// A v1 torrent (Transmission refuses hybrids) with one 16 KiB piece.
carrier make_carrier(carrier_info const& info, std::vector<std::string> const& trackers);

// From the bytes of an info dict. Errors: not_found when there is no `xet` key (an ordinary torrent), invalid otherwise
// (types, name, id that is not that of key and salt).
xet::result<carrier_info> read_carrier_info(std::string_view info_section);

// From a whole .torrent file: the carrier's info and its trackers.
struct carrier_file { carrier_info info; std::vector<std::string> trackers; };
xet::result<carrier_file> read_carrier(std::string_view torrent);

} // namespace tonic
