#pragma once
// Answers to chunk requests, as they go to the socket: whole messages behind each other in one slab, read from disk straight
// into their places.
//
// Thread rule: workers.

#include "plugin/context.hpp"
#include "xet/wire.hpp"

namespace ut_xet {

class folder;

struct answers
{
	struct given
	{
		xet::hash32 hash;
		std::uint32_t size = 0;  // 0: it is not here
		bool metadata = false;
	};

	std::shared_ptr<slab> memory;  // memory->used bytes to send
	std::vector<given> chunks;     // for the first requests, in their order; the others did not fit
};

// Answers as many of the requests, from the first on, as fit into max_bytes and a slab; at least one. remote_id: the peer's
// number for the extension. Every chunk is verified before it goes out: files change.
answers read_answers(folder const& f, context& shared, std::span<xet::wire::chunk_request const> asked, int remote_id
	, std::size_t max_bytes = slab_bytes);

} // namespace ut_xet
