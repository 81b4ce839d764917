// The fast cut finder against the streaming chunker, with limits small enough that every edge is met. Input: four bytes
// that choose the limits and the split into buffers, then the data.

#include "xet/chunker.hpp"

#include <cstdlib>

using namespace xet;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* input, std::size_t size)
{
	if (size < 4) return 0;
	chunking c;
	c.min_bytes = 1 + input[0];
	c.max_bytes = c.min_bytes + input[1] * 8u;
	c.target_bytes = 1u << (1 + input[2] % 12);
	std::size_t const piece = 1 + input[3];
	bytes_view data(input + 4, size - 4);

	auto const fast = chunk_lengths(data, c);
	chunker cutter(c);
	std::size_t current = 0, count = 0;
	while (!data.empty())
	{
		auto const s = cutter.next(data.first(std::min(piece, data.size())));
		data = data.subspan(s.consumed);
		current += s.consumed;
		if (!s.boundary) continue;
		if (count >= fast.size() || fast[count] != current) std::abort();
		++count;
		current = 0;
	}
	if (current > 0 && (count >= fast.size() || fast[count++] != current)) std::abort();
	if (count != fast.size()) std::abort();
	return 0;
}
