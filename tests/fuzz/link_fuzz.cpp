// parse_link with any text: what is accepted, written again, is the same link. And the readers of carriers with any bytes.

#include "tonic/link.hpp"
#include "tonic/path_rules.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
	std::string_view const text(reinterpret_cast<char const*>(data), size);
	auto const require = [](bool ok) {
		if (!ok) std::abort();
	};
	if (auto const l = tonic::parse_link(text))
	{
		auto const again = tonic::parse_link(l->is_tonic() ? tonic::tonic_link(l->info, l->trackers, l->peers)
			: tonic::magnet_link(l->info_hash, l->name, l->trackers, l->peers));
		// a magnet link may have no name, but not an empty one
		require(l->name.empty() || (again && again->info == l->info && again->info_hash == l->info_hash && again->name == l->name
			&& again->trackers == l->trackers && again->peers == l->peers));
	}
	if (auto const c = tonic::read_carrier(text)) require(tonic::check_folder_name(c->info.name).has_value());
	(void)tonic::read_carrier_info(text);
	(void)tonic::printable(text);
	(void)tonic::fold_key(text);
	return 0;
}
