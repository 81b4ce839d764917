#pragma once
// LZ4 frames, as they stand in xorbs: one frame per chunk, its content's size known from elsewhere. Source: protocol §5.
//
// Thread rule: pure functions.

#include "xet/bytes.hpp"
#include "xet/error.hpp"

namespace xet {

// The most that lz4_compress writes for so many bytes.
std::size_t lz4_bound(std::size_t size);

// Whether a frame of this length can hold so much at all: no need to make room for what cannot be true.
bool lz4_can_hold(std::size_t frame_bytes, std::uint64_t content_bytes);

// Writes data as one frame (content size in its header, linked blocks of 64 KiB, no checksums) and returns its length.
// into must have room for lz4_bound(data.size()) bytes.
std::size_t lz4_compress(bytes_view data, std::span<std::uint8_t> into);
bytes lz4_compress(bytes_view data);

// Takes any writer's frame. It must fill into exactly, and nothing may follow it. What the frame itself says about sizes
// allocates nothing but liblz4's work space: two blocks, at most 8.2 MiB, kept by the thread for the next frame.
// Errors: invalid (no frame, broken, too short, too long; the message has the offset in the frame).
result<> lz4_decompress(bytes_view frame, std::span<std::uint8_t> into);
result<bytes> lz4_decompress(bytes_view frame, std::size_t exact_size);

// Whether trying to compress is likely to save a sixteenth or more. Looks at 128 bytes of data that looks random, and at
// a few KiB of data that does not; so it overlooks repeats of what is random in itself. False below 64 bytes, where the
// frame costs more than it can save.
bool worth_compressing(bytes_view data);

} // namespace xet
