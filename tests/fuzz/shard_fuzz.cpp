// Shards from anywhere, both formats; the first byte chooses: bit 0 the format, bit 1 whether a shard of BEP XET is sealed
// first, to reach what lies behind the HMAC. What is read, written again, reads the same.

#include "xet/hash.hpp"
#include "xet/hf_shard.hpp"
#include "xet/shard.hpp"

#include <cstdlib>

using namespace xet;

namespace {

void require(bool ok)
{
	if (!ok) std::abort();
}

void bep(bytes_view data, bool seal)
{
	bytes const key = {1, 2, 3};
	bytes sealed(data.begin(), data.end());
	if (seal && sealed.size() > 5)
	{
		sealed[5] |= 1;
		append(sealed, hmac_sha256(key, sealed).view());
	}
	auto const s = seal ? read_shard(sealed, key) : read_shard(data);
	if (!s) return;
	require(check_shard(s->content).has_value());
	require(s->seal == shard_seal::verified || !seal);
	auto const file = write_shard(s->content, key);
	auto const back = read_shard(file, key);
	require(back && back->content == s->content && back->seal == shard_seal::verified);
	if (seal) require(file == sealed);
}

void hf(bytes_view data)
{
	auto const s = read_hf_shard(data);
	if (!s) return;
	auto const back = read_hf_shard(write_hf_shard(*s));
	require(back && *back == *s);
	if (has_blake3()) require(verify_hf_shard(*s).has_value() == verify_hf_shard(*back).has_value());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* input, std::size_t size)
{
	if (size == 0) return 0;
	bytes_view const data(input + 1, size - 1);
	if ((input[0] & 1) != 0) hf(data);
	else bep(data, (input[0] & 2) != 0);
	return 0;
}
