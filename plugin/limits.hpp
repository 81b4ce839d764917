#pragma once
// Every limit of the plugin layer, each with its reason.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ut_xet {

// Outstanding chunk requests we accept from a peer (`reqq`): a window of the smallest chunks on a fast link.
inline constexpr int advertised_reqq = 512;
// A peer that has this many unanswered requests here does not read its limits: it is disconnected.
inline constexpr int max_queued_requests = 2 * advertised_reqq;
// What we assume of a peer that names no `reqq`.
inline constexpr int default_reqq = 64;

// Bytes asked of one peer and not yet written to disk. How many follows what the link needs (rate times the quickest answer),
// between these; little is asked of a slow peer that another one could have. The most covers 80 MB/s at 100 ms, and bounds memory.
inline constexpr std::int64_t min_window_bytes = 256 * 1024;
inline constexpr std::int64_t first_window_bytes = 1024 * 1024;
// Without a delay that asks for more: what the slabs between disk and disk hold, so that no stage waits for another.
inline constexpr std::int64_t near_window_bytes = 4 * 1024 * 1024;
inline constexpr std::int64_t max_window_bytes = 8 * 1024 * 1024;
// Answers read from disk for one peer ahead of its socket: no more are read until less than this waits. The kernel's own
// buffer for the socket comes on top, so a link does not run dry meanwhile.
inline constexpr int send_watermark_bytes = 1024 * 1024;
// Sent and not read by the peer: far above the watermark, so only small answers to a flood of questions reach it.
inline constexpr int max_unread_bytes = 8 * 1024 * 1024;

// A peer that owes us chunks and sends nothing for this long is passed over.
inline constexpr std::chrono::seconds snub_after{20};
// Last chunks asked of one peer are asked of a second one after this.
inline constexpr std::chrono::milliseconds endgame_after{500};
inline constexpr std::size_t endgame_items = 64;
// The publisher is asked for chunks that others have, too, only when those would need longer than this: its upload is for
// what only it has.
inline constexpr std::chrono::seconds common_chunks_patience{10};

// A publisher that sent this much lately sends a chunk once, and refers other peers to who has it; a small edit is simply sent
// to everybody.
inline constexpr std::int64_t refer_from_bytes = 16 * 1024 * 1024;
inline constexpr std::chrono::seconds refer_window{10};

inline constexpr std::chrono::milliseconds have_interval{200};      // CHUNKS_ADDED deltas
inline constexpr std::size_t max_hashes_per_message = 1024;         // 32 KiB: some 100 µs of the network thread
inline constexpr std::uint32_t max_bitmap_bytes = 256 * 1024;       // of one FOLDER_HAVE; longer ones go in parts
inline constexpr std::size_t max_unmapped_hashes = 200'000;         // CHUNKS_ADDED before we know the version's chunks
inline constexpr std::size_t max_known_peers = 50;                  // addresses remembered per folder
inline constexpr std::uint32_t max_version_chunks = 64u * 1024 * 1024;  // of a peer's bitmap: 1.5 TB of 16 KiB chunks
inline constexpr int max_metadata_turns = 64;  // pieces of metadata read for one peer at a time: a megabyte
inline constexpr int max_violations = 3;                            // then the peer is disconnected

// The chunk store: how often a node looks after it, and how long what is condemned may still be claimed.
inline constexpr std::chrono::minutes store_tending_interval{60};
inline constexpr std::int64_t store_grace_seconds = 3600;
// A command that has the store while a node starts is waited for.
inline constexpr std::chrono::milliseconds store_open_interval{250};
inline constexpr int store_open_tries = 40;
// Chunks of old versions that are asked back from peers: written to the store so much at a time; given up when none came for so long.
inline constexpr std::uint64_t recall_batch_bytes = 8 * 1024 * 1024;
inline constexpr std::chrono::seconds recall_patience{10};

inline constexpr std::size_t max_control_request_bytes = 1024 * 1024;
inline constexpr int max_control_connections = 64;

} // namespace ut_xet
