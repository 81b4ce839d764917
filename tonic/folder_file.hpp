#pragma once
// A file by which a folder is joined: its carrier's .torrent, or the .tonic file of one of its versions. Which of them it is
// is seen from its content.

#include "tonic/carrier.hpp"
#include "tonic/manifest.hpp"

#include <optional>

namespace tonic {

struct folder_file
{
	carrier_info info;
	std::vector<std::string> trackers;
	std::optional<manifest> version;  // what a .tonic file says of the folder's content
};

// Errors: of all that a file could have been, the reason that fits what it is.
xet::result<folder_file> read_folder_file(std::string_view data);

} // namespace tonic
