// Bytes from a peer: decode accepts only what encode writes, and reads nothing beyond them.

#include "xet/wire.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
	auto const m = xet::wire::decode({data, size});
	// an error's text is cut when it is too long: the one message that is not written back the same
	if (m && !std::holds_alternative<xet::wire::chunk_error>(*m))
	{
		auto const back = xet::wire::encode(*m);
		if (back.size() != size || !std::equal(back.begin(), back.end(), data)) std::abort();
	}
	return 0;
}
