#pragma once
// The second half of a scan: reads files and finds their chunks, many small files on two threads, a large one with
// chunk_file's own threads. Used by scan_folder.
//
// Thread rule: runs on the calling thread and one helper, which it joins; progress is reported from the calling thread.

#include "tonic/scan.hpp"

#include <span>

namespace tonic {

class progress_meter;

// Reads the files of out whose indices are in pending, below root_fd and never through a symbolic link. Fills in stamp, hash
// and chunks, and keeps published only where the hash did not change. Takes files out of out.files that vanished, that
// cannot be read (added to refused) or that changed while they were read (added to unstable). Counts bytes_hashed.
// Errors: cancelled.
xet::result<> read_contents(int root_fd, std::span<std::uint32_t const> pending, scan_options const& options
	, progress_meter& progress, scan_result& out);

} // namespace tonic
