// A publisher's metadata tree: the first bytes are the root's numbers, the rest its root chunk. Nothing it says may cost more
// than the limits.

#include "xet/chunk_tree.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
	if (size < 9) return 0;
	xet::bytes_view const chunk(data + 9, size - 9);
	auto const kind = xet::hash_kind::sha256;
	xet::tree_root const root{xet::chunk_hash(kind, chunk), std::uint32_t(chunk.size()), data[0], xet::read_be<std::uint64_t>(data + 1) & 0xffffff};
	auto a = xet::tree_assembly::start(kind, root);
	if (!a || !a->supply(root.hash, chunk) || a->done()) return 0;
	for (auto const& c : a->missing()) (void)a->supply(c.hash, chunk);
	return 0;
}
