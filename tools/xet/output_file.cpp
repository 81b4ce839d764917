#include "tools/xet/output_file.hpp"

#include "tonic/path_rules.hpp"
#include "tonic/tonic_file.hpp"

namespace tools {

xet::result<> write_output(std::filesystem::path const& path, xet::bytes_view data)
{
	std::error_code ec;
	auto const status = std::filesystem::status(path, ec);
	// replacing a device or a directory by a file is never meant
	if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
		return xet::fail(xet::errc::refused, "cannot write ", tonic::printable(path.native()), ": it is there and not a regular file");
	return tonic::write_file_atomically(path, xet::as_text(data));
}

} // namespace tools
