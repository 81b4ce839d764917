#include "xet/lz4.hpp"

#include <algorithm>
#include <lz4.h>
#include <lz4frame.h>
#include <memory>
#include <stdexcept>

namespace xet {

namespace {

LZ4F_preferences_t preferences(std::size_t size)
{
	LZ4F_preferences_t p{};
	p.frameInfo.blockSizeID = LZ4F_max64KB;
	p.frameInfo.blockMode = LZ4F_blockLinked;
	p.frameInfo.contentSize = size;
	p.autoFlush = 1;
	return p;
}

tl::unexpected<error> too_small(bytes_view frame, std::size_t wanted)
{
	return fail(errc::invalid, "an LZ4 frame of ", frame.size(), " bytes cannot hold the ", wanted, " bytes it is said to hold");
}

struct context_free
{
	void operator()(LZ4F_dctx* c) const { LZ4F_freeDecompressionContext(c); }
};

using context = std::unique_ptr<LZ4F_dctx, context_free>;

context make_context()
{
	LZ4F_dctx* c = nullptr;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&c, LZ4F_VERSION))) throw std::bad_alloc();
	return context(c);
}

result<> decompress(LZ4F_dctx* state, bytes_view frame, std::span<std::uint8_t> into)
{
	LZ4F_decompressOptions_t options{};
	options.stableDst = 1;  // what was written stays there, so liblz4 keeps no copy of it
	std::size_t read = 0, written = 0;
	for (;;)
	{
		std::size_t in = frame.size() - read, out = into.size() - written;
		auto const left = LZ4F_decompress(state, into.data() + written, &out, frame.data() + read, &in, &options);
		if (LZ4F_isError(left)) return fail(errc::invalid, "broken LZ4 frame near its offset ", read, ": ", LZ4F_getErrorName(left));
		read += in;
		written += out;
		if (left == 0) break;
		if (in != 0 || out != 0) continue;
		if (read < frame.size() || written == into.size())
			return fail(errc::invalid, "the LZ4 frame holds more than the ", into.size(), " bytes it is said to hold, or has no end");
		return fail(errc::invalid, "the LZ4 frame is cut off after ", read, " bytes");
	}
	if (written != into.size())
		return fail(errc::invalid, "the LZ4 frame holds ", written, " bytes, and is said to hold ", into.size());
	if (read != frame.size())
		return fail(errc::invalid, "the LZ4 frame ends after ", read, " of its ", frame.size(), " bytes");
	return {};
}

// How many different byte values stand in 16 groups of 8 spread over data: about 101 of the 128 in random data, 35 in
// text, 60 to 75 in programs, 55 in base64, which does not compress.
constexpr std::size_t groups = 16;
constexpr std::size_t group_bytes = 8;
constexpr int random_looking = 90;  // random data is below this once in a thousand times
constexpr int text_looking = 44;

int different_bytes(bytes_view data)
{
	// all loads first: each may have to wait for memory, and they wait together
	alignas(64) std::uint8_t taken[groups * group_bytes];
	std::size_t const step = (data.size() - group_bytes) / (groups - 1);
	for (std::size_t g = 0; g < groups; ++g) std::memcpy(taken + g * group_bytes, data.data() + g * step, group_bytes);
	alignas(64) std::uint8_t seen[256] = {};
	for (auto const b : taken) seen[b] = 1;
	// the bytes of eight columns at once: none of them gets beyond 32
	std::uint64_t sums = 0;
	for (std::size_t i = 0; i < sizeof seen; i += sizeof sums)
	{
		std::uint64_t word;
		std::memcpy(&word, seen + i, sizeof word);
		sums += word;
	}
	int count = 0;
	for (; sums != 0; sums >>= 8) count += int(sums & 255);
	return count;
}

constexpr std::size_t sample_parts = 4;
constexpr std::size_t sample_part_bytes = 1024;
constexpr std::size_t sample_bytes = sample_parts * sample_part_bytes;

bool sample_compresses(bytes_view data)
{
	std::uint8_t gathered[sample_bytes];
	if (data.size() > sample_bytes)
	{
		std::size_t const step = (data.size() - sample_part_bytes) / (sample_parts - 1);
		for (std::size_t i = 0; i < sample_parts; ++i)
			std::memcpy(gathered + i * sample_part_bytes, data.data() + i * step, sample_part_bytes);
		data = gathered;
	}
	// LZ4 gives up as soon as the room it has is not enough
	std::size_t const wanted = data.size() - data.size() / 16;
	char out[sample_bytes];
	return LZ4_compress_default(reinterpret_cast<char const*>(data.data()), out, int(data.size()), int(wanted)) > 0;
}

// Larger inputs are looked at in windows, some of them only.
constexpr std::size_t window_bytes = 128 * 1024;
constexpr std::size_t max_windows = 32;

bool window_worth_compressing(bytes_view data)
{
	if (data.size() >= groups * group_bytes)
	{
		int const n = different_bytes(data);
		if (n >= random_looking) return false;
		if (n <= text_looking) return true;
	}
	return sample_compresses(data);
}

} // namespace

std::size_t lz4_bound(std::size_t size)
{
	auto const p = preferences(size);
	return LZ4F_compressFrameBound(size, &p);
}

bool lz4_can_hold(std::size_t frame_bytes, std::uint64_t content_bytes)
{
	// a match grows by at most 255 bytes with each byte that is spent on its length
	return content_bytes / 255 <= frame_bytes;
}

std::size_t lz4_compress(bytes_view data, std::span<std::uint8_t> into)
{
	auto const p = preferences(data.size());
	auto const n = LZ4F_compressFrame(into.data(), into.size(), data.data(), data.size(), &p);
	if (LZ4F_isError(n)) throw std::logic_error(cat("LZ4: ", LZ4F_getErrorName(n)));
	return n;
}

bytes lz4_compress(bytes_view data)
{
	bytes out(lz4_bound(data.size()));
	out.resize(lz4_compress(data, out));
	return out;
}

result<> lz4_decompress(bytes_view frame, std::span<std::uint8_t> into)
{
	if (!lz4_can_hold(frame.size(), into.size())) return too_small(frame, into.size());
	// one a thread: making one costs more than a chunk
	thread_local context state;
	if (!state) state = make_context();
	auto done = decompress(state.get(), frame, into);
	// liblz4 (1.9.4) does not forget an unfinished frame's size when it is reset
	if (!done) state.reset();
	return done;
}

result<bytes> lz4_decompress(bytes_view frame, std::size_t exact_size)
{
	if (!lz4_can_hold(frame.size(), exact_size)) return too_small(frame, exact_size);
	bytes out(exact_size);
	if (auto const done = lz4_decompress(frame, out); !done) return tl::unexpected(done.error());
	return out;
}

bool worth_compressing(bytes_view data)
{
	if (data.size() < 64) return false;
	if (data.size() <= window_bytes) return window_worth_compressing(data);
	std::size_t const windows = std::min(max_windows, data.size() / window_bytes);
	std::size_t const step = windows == 1 ? 0 : (data.size() - window_bytes) / (windows - 1);
	for (std::size_t i = 0; i < windows; ++i)
		if (window_worth_compressing(data.subspan(i * step, window_bytes))) return true;
	return false;
}

} // namespace xet
