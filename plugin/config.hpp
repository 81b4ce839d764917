#pragma once
// ut_xet.toml. Keys of the specification plus what a node without a user interface needs. An unknown key is an error that
// names the nearest one.

#include "xet/error.hpp"

#include <filesystem>

namespace ut_xet {

struct config
{
	// [network]
	std::string listen = "0.0.0.0:6881";
	bool enable_dht = true, enable_lsd = true, enable_upnp = true;
	int upload_limit = 0, download_limit = 0;  // bytes a second, 0 is none
};

// explicit_file when given must exist; otherwise data_dir/ut_xet.toml, then ut_xet/ut_xet.toml below XDG_CONFIG_HOME, or none.
// Environment UT_XET_<SECTION>_<KEY> wins over the file.
xet::result<config> load_config(std::filesystem::path const& explicit_file, std::filesystem::path const& data_dir);

} // namespace ut_xet
