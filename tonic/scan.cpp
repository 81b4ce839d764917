#include "tonic/scan.hpp"

#include "tonic/content_reader.hpp"
#include "tonic/file_io.hpp"
#include "tonic/scan_progress.hpp"
#include "tonic/tree_walk.hpp"

#include <algorithm>
#include <fcntl.h>

namespace tonic {

namespace {

// Listing is done: from here on the totals are known, and what need not be read counts as done.
void start_reading(progress_meter& progress, scan_result const& found, std::vector<std::uint32_t> const& pending)
{
	for (auto const& f : found.files) progress.bytes_total += f.stamp.size;
	std::uint64_t to_read = 0;
	for (auto const index : pending) to_read += found.files[index].stamp.size;
	progress.files_total = found.files.size();
	progress.files_done = found.files.size() - pending.size();
	progress.bytes_done = progress.bytes_total - to_read;
	progress.report();
}

void sort_reports(scan_result& r)
{
	for (auto const& dir : r.unreadable_dirs)
		r.refused.push_back({dir.empty() ? "." : dir, "this directory cannot be read; what is below it stays as it was"});
	std::sort(r.refused.begin(), r.refused.end(), [](auto const& a, auto const& b) { return a.path < b.path; });
	std::sort(r.unstable.begin(), r.unstable.end());
	std::sort(r.unreadable_dirs.begin(), r.unreadable_dirs.end());
}

} // namespace

xet::result<scan_result> scan_folder(std::filesystem::path const& root, scan_options const& options)
{
	file_descriptor const fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!fd) return system_failure("cannot scan the folder ", root.native());

	scan_result ret;
	progress_meter progress(options);
	auto const pending = walk_tree(fd.get(), options, progress, ret);
	if (!pending) return tl::unexpected(pending.error());
	start_reading(progress, ret, *pending);
	if (auto ok = read_contents(fd.get(), *pending, options, progress, ret); !ok) return tl::unexpected(ok.error());
	sort_reports(ret);
	progress.report(true);
	return ret;
}

manifest to_manifest(scan_result const& scan, xet::profile const& how)
{
	manifest m;
	m.how = how;
	m.dirs = scan.dirs;
	m.links = scan.links;
	std::size_t chunk_count = 0;
	for (auto const& f : scan.files) chunk_count += f.chunks ? f.chunks->size() : 0;
	m.chunks.reserve(chunk_count);
	m.files.reserve(scan.files.size());
	for (auto const& f : scan.files)
	{
		// content that was not wanted is not known: there is nothing to publish
		if (!f.chunks) continue;
		file_entry e;
		e.path = f.path;
		e.size = f.stamp.size;
		e.mode = f.stamp.mode;
		e.mtime_ns = f.stamp.mtime_ns;
		e.hash = f.hash;
		e.first_chunk = std::uint32_t(m.chunks.size());
		e.chunk_count = std::uint32_t(f.chunks->size());
		m.chunks.insert(m.chunks.end(), f.chunks->begin(), f.chunks->end());
		m.files.push_back(std::move(e));
	}
	return m;
}

} // namespace tonic
