#include "plugin/answers.hpp"

#include "plugin/folder.hpp"

#include <algorithm>

namespace ut_xet {

namespace {

constexpr std::uint8_t msg_extended = 20;
constexpr std::size_t frame_header_bytes = 6;   // length u32, msg_extended, the peer's number
constexpr std::size_t max_head_bytes = frame_header_bytes + 64;  // with what comes before a chunk's bytes, in any form

std::uint8_t* put(std::uint8_t* to, xet::bytes_view data)
{
	return std::copy(data.begin(), data.end(), to);
}

// A message's header and its beginning; rest_bytes follow.
std::uint8_t* put_frame(std::uint8_t* to, xet::bytes_view begin, std::size_t rest_bytes, int remote_id)
{
	auto const length = std::uint32_t(2 + begin.size() + rest_bytes);
	for (int shift = 24; shift >= 0; shift -= 8) *to++ = std::uint8_t(length >> shift);
	*to++ = msg_extended;
	*to++ = std::uint8_t(remote_id);
	return put(to, begin);
}

// One by one, each from wherever it is.
answers read_singly(folder const& f, context& shared, std::span<xet::wire::chunk_request const> asked, int remote_id)
{
	answers out;
	for (auto const& a : asked)
	{
		bool metadata = false;
		auto const data = f.read_chunk(a.hash, metadata);
		std::size_t const size = data ? data->size() : 0;
		if (!out.memory) out.memory = shared.slabs.take(max_head_bytes + size);
		if (out.memory->room() < max_head_bytes + size) break;
		auto const begin = size > 0 ? xet::wire::response_head(a, std::uint32_t(size)) : xet::wire::not_found(a);
		auto* end = put_frame(out.memory->end(), begin, size, remote_id);
		if (size > 0) end = put(end, *data);
		out.memory->used = std::size_t(end - out.memory->data.get());
		out.chunks.push_back({a.hash, std::uint32_t(size), metadata});
	}
	return out;
}

} // namespace

answers read_answers(folder const& f, context& shared, std::span<xet::wire::chunk_request const> asked, int remote_id
	, std::size_t max_bytes)
{
	answers out;
	out.memory = shared.slabs.take();
	std::vector<folder::reading> readings;
	for (auto const& a : asked)
	{
		auto place = f.place_of(a.hash);
		if (!place || (!readings.empty() && out.memory->used + place->size > max_bytes)) break;
		if (out.memory->room() < max_head_bytes + place->size) break;
		auto* const data = put_frame(out.memory->end(), xet::wire::response_head(a, place->size), place->size, remote_id);
		out.memory->used = std::size_t(data - out.memory->data.get()) + place->size;
		out.chunks.push_back({a.hash, place->size, false});
		readings.push_back({a.hash, std::move(*place), data});
	}
	// what is in no file of this version, and what turns out to be something else, is looked for everywhere
	if (readings.empty() || !f.read_places(readings)) return read_singly(f, shared, asked, remote_id);
	return out;
}

} // namespace ut_xet
