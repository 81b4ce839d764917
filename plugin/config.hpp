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
	std::string outgoing = "tcp";               // what peers are called over: tcp, utp or both; calls come in over either
	std::string encryption = "allowed";         // of the stream: allowed, required or off

	// [disk]
	std::string xet_chunk_store_path;           // of the chunk store; empty: store/ in the data directory
	bool xet_compression_enabled = true;        // LZ4 in xorbs, where it pays
	std::int64_t xet_store_quota = 0;           // bytes of xorbs at most; 0 is none
	std::int64_t xet_store_reserve = 256 << 20; // bytes of the disk that are left to others
	int xet_cleanup_days = 7;                   // a node collects what nobody needed or used for so long; 0: never by itself
	std::int64_t xet_scrub_rate = 0;            // bytes a second a node verifies by itself; 0: only when told to

	// [versions]
	int keep_versions = 10;                     // old versions of a folder; 0 keeps none
	int keep_days = 30;                         // since they were replaced; 0 is without end
	std::int64_t keep_own_bytes = 1 << 20;      // a publisher's files up to this size are copied to the store; 0: none
	std::int64_t keep_own_total = 256 << 20;    // and only while the store is smaller than this
};

// explicit_file when given must exist; otherwise data_dir/ut_xet.toml, then ut_xet/ut_xet.toml below XDG_CONFIG_HOME, or none.
// Environment UT_XET_<SECTION>_<KEY> wins over the file.
xet::result<config> load_config(std::filesystem::path const& explicit_file, std::filesystem::path const& data_dir);

} // namespace ut_xet
