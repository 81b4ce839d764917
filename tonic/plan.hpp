#pragma once
// What has to be done to a folder's files on this disk so that they become a version. Pure functions.

#include "tonic/local_index.hpp"
#include "tonic/scan.hpp"

namespace tonic {

struct folder_plan
{
	struct move
	{
		std::string from;
		std::uint32_t file;  // index into the version's files
	};

	std::vector<std::uint32_t> build;     // files whose content has to be put together from chunks
	std::vector<move> moves;              // content already here, under a path the version no longer has
	std::vector<std::uint32_t> touch;     // content right; mode or time differ
	std::vector<std::string> keep_aside;  // edited here, and the version has or had something else at this path
	std::vector<std::string> remove;      // published once, not in the version
	std::vector<std::string> extra;       // made here, never published: left alone

	bool nothing_to_do() const
	{
		return build.empty() && moves.empty() && touch.empty() && keep_aside.empty() && remove.empty();
	}
};

// local: every file with its published flag set where its content is, or was, that of a published version.
// previous: the version this folder followed before, or null.
folder_plan make_plan(manifest const& target, manifest const* previous, std::vector<local_file> const& local);

// The path is that of something below one of the directories; "" is the folder itself.
bool lies_below(std::string_view path, std::vector<std::string> const& dirs);

// What a scan could not look at (unreadable, or changing while it was read) is taken to be as it was, not gone: files as the
// index has them, directories and links as the version before had them. before may be null.
void keep_unknown(scan_result& found, local_index const& known, manifest const* before);

// Nothing of what was there is there, though something else may be: a disk that is not mounted looks like that.
bool all_gone(scan_result const& found, local_index const& known, manifest const* before);

} // namespace tonic
