// Xorbs from anywhere, both formats; the first byte chooses: bit 0 the format, bit 1 what is done. What is read, written
// again, reads the same; a chunk whose hash is right is never another; a frame never yields more than it may.

#include "xet/hf_xorb.hpp"
#include "xet/lz4.hpp"

#include <algorithm>
#include <cstdlib>

using namespace xet;

namespace {

void require(bool ok)
{
	if (!ok) std::abort();
}

constexpr auto sha = hash_kind::sha256;

// One for all runs: its memory costs more than what is done with it.
xorb_builder& fresh_builder()
{
	static xorb_builder builder(sha, 1 << 20);
	builder.clear();
	return builder;
}

void bep(bytes_view data)
{
	memory_source source(data);
	auto const entries = read_xorb_directory(source);
	if (!entries) return;
	auto& builder = fresh_builder();
	for (auto const& e : *entries)
	{
		require(e.offset + e.stored + xorb_trailer_bytes <= data.size());
		// its own hash is hardly ever right: take the content as it comes, and name it anew
		bytes content(e.size);
		(void)read_xorb_chunk(source, e, sha, content);
		if (builder.fits(content.size())) builder.add(chunk_hash(sha, content), content);
	}
	for (auto const how : {compression::none, compression::lz4})
	{
		auto const built = builder.finish(how);
		memory_source again(built.file);
		auto const back = read_xorb_directory(again);
		require(back && *back == built.entries && xorb_hash(again, *back, sha).value() == built.hash);
	}
}

void hf(bytes_view data)
{
	memory_source source(data);
	auto x = read_hf_xorb(source);
	if (!x || !has_blake3()) return;
	hf_xorb_writer writer(compression::lz4);
	for (auto e : x->entries)
	{
		require(e.offset + e.stored <= data.size());
		e.hash.reset();
		auto const content = read_hf_chunk(source, e);
		require(!content || content->size() == e.size);
		if (content) require(writer.add(*content).has_value());
	}
	auto const built = std::move(writer).finish();
	memory_source again(built.file);
	auto back = read_hf_xorb(again);
	require(back && back->entries == built.entries && verify_hf_xorb(again, *back).value() == built.hash);
	(void)verify_hf_xorb(source, *x);
}

// The data cut into chunks of given lengths, through a writer and back.
void round_trip(bytes_view data, bool as_hf)
{
	std::vector<bytes> chunks;
	while (!data.empty())
	{
		auto const n = std::min<std::size_t>(data[0], data.size() - 1);
		chunks.emplace_back(data.begin() + 1, data.begin() + 1 + std::ptrdiff_t(n));
		data = data.subspan(1 + n);
	}
	if (as_hf && !has_blake3()) return;
	auto& builder = fresh_builder();
	hf_xorb_writer writer(compression::lz4);
	for (auto const& c : chunks)
	{
		if (!as_hf && builder.fits(c.size())) builder.add(chunk_hash(sha, c), c);
		if (as_hf) require(writer.add(c).has_value() || chunks.size() > max_xorb_chunks);
	}
	if (!as_hf)
	{
		auto const built = builder.finish(compression::lz4);
		memory_source source(built.file);
		auto const back = read_xorb_directory(source).value();
		for (std::size_t i = 0; i < back.size(); ++i) require(read_xorb_chunk(source, back[i], sha).value() == chunks[i]);
		return;
	}
	auto const built = std::move(writer).finish();
	memory_source source(built.file);
	auto const back = read_hf_xorb(source).value();
	for (std::size_t i = 0; i < back.entries.size(); ++i) require(read_hf_chunk(source, back.entries[i]).value() == chunks[i]);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* input, std::size_t size)
{
	if (size == 0) return 0;
	bytes_view const data(input + 1, size - 1);
	bool const as_hf = (input[0] & 1) != 0;
	if ((input[0] & 2) != 0) round_trip(data, as_hf);
	else if (as_hf) hf(data);
	else bep(data);
	(void)lz4_decompress(data, input[0] * 64u);
	return 0;
}
