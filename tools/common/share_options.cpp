#include "tools/common/share_options.hpp"

#include "tonic/link.hpp"
#include "tonic/path_rules.hpp"
#include "xet/chunker.hpp"

namespace tools {

xet::result<> check(share_options const& o)
{
	if (auto const how = xet::make_profile(o.profile, o.target); !how) return tl::unexpected(how.error());
	if (!o.name.empty())
		if (auto const ok = tonic::check_folder_name(o.name); !ok) return xet::fail(ok.error().code, "--name: ", ok.error().message);
	for (std::string const& url : o.trackers)
		if (!tonic::is_tracker_url(url))
			return xet::fail(xet::errc::invalid, "--tracker ", tonic::printable(url), ": not the URL of a tracker, as udp://tracker.example:6969");
	return {};
}

} // namespace tools
