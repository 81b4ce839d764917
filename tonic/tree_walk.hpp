#pragma once
// The first half of a scan: lists a tree without reading any file. Used by scan_folder.
//
// Thread rule: runs on the calling thread and a helper, which it joins; options' functions are called on the calling thread.

#include "tonic/scan.hpp"

struct stat;

namespace tonic {

class progress_meter;

file_stamp stamp_of(struct ::stat const& st);

// Fills files, dirs, links, refused, unreadable_dirs and unstable of out, each list in order of path but dirs. A file whose
// stamp is known keeps its chunks; the indices (into out.files) of those to be read are returned. A file to be read has
// the hash and the published flag of what was known of its path before.
// Errors: cancelled.
xet::result<std::vector<std::uint32_t>> walk_tree(int root_fd, scan_options const& options, progress_meter& progress, scan_result& out);

} // namespace tonic
