#pragma once
// What `xet share` and xet-mktonic both take: checked before anything is begun.

#include "xet/error.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tools {

struct share_options
{
	std::string name;  // empty: the directory's
	std::string profile = "blake3";
	std::uint32_t target = 0;  // bytes; 0: the profile's own
	std::vector<std::string> trackers;
};

// Errors name the option and what it takes.
xet::result<> check(share_options const& o);

} // namespace tools
