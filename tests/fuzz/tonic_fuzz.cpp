// decode_tonic with any bytes, as they are and with a valid signature of a known key: the second reaches what lies behind the
// signature. What is accepted must keep the rules and come back the same.

#include "tonic/tonic_file.hpp"
#include "../unit/tonic/tonic_resign.hpp"

#include <cstdlib>

namespace {

tonic::key_pair const& author()
{
	static auto const key = [] {
		std::array<std::uint8_t, 32> seed;
		seed.fill(1);
		return tonic::key_pair::from_seed(seed);
	}();
	return key;
}

void require(bool ok)
{
	if (!ok) std::abort();
}

void check(std::string_view data)
{
	auto const m = tonic::decode_tonic(data);
	if (!m || m->author != author().pub()) return;
	require(m->check().has_value());
	auto const again = tonic::decode_tonic(tonic::encode_tonic(*m, author()));
	require(again && again->same_tree(*m));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
	std::string_view const text(reinterpret_cast<char const*>(data), size);
	check(text);
	check(tonic::testing::resigned(std::string(text), author()));
	return 0;
}
