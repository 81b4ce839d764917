#pragma once
// What a node remembers of a folder across restarts: one small JSON file in the folder's state directory.

#include "tonic/carrier.hpp"
#include "tonic/manifest.hpp"

#include <filesystem>

namespace ut_xet {

enum class folder_role { publisher, follower };

struct folder_record
{
	tonic::carrier_info carrier;
	std::string info_hash;  // of the carrier torrent, 40 hexadecimal characters
	std::vector<std::string> trackers;
	folder_role role = folder_role::follower;
	std::filesystem::path path;  // of the folder on disk
	std::string profile = "blake3";
	std::uint32_t target_bytes = 0;
	std::string git_ref;             // publisher: what to say the version is
	std::vector<std::string> peers;  // "host:port", seen before
	// device and inode of the folder's root when it was last seen: an empty directory with other ones is a missing disk
	std::uint64_t root_device = 0, root_inode = 0;
	bool placed = false;  // follower: the folder was made on disk once
};

xet::result<folder_record> load_record(std::filesystem::path const& file);
xet::result<> save_record(std::filesystem::path const& file, folder_record const& record);

} // namespace ut_xet
