#pragma once
// Which names may be in a shared folder. Pure functions.

#include "xet/error.hpp"

#include <string>
#include <string_view>

namespace tonic {

// A directory of this name at the folder's root is the node's own (files on their way in) and never shared.
inline constexpr std::string_view private_dir = ".ut_xet";

// A relative path that stays inside the folder on every reader: valid UTF-8, no NUL, no empty, "." or ".." component, no
// leading or trailing '/', within max_path_bytes, max_name_bytes and max_path_depth, not below private_dir (in any case).
xet::result<> check_path(std::string_view path);

// A folder's own name: one path component, valid UTF-8, at most max_folder_name_bytes, no '/', no control character, and not
// starting with '.': the name comes from strangers and becomes a directory of the save path.
xet::result<> check_folder_name(std::string_view name);

// True when target, seen from the link at path, stays inside the folder: relative, not empty, valid UTF-8, ".." only at
// its beginning and not more often than path is deep. ("x/.." is refused: x may be a link itself, and two links that each
// look harmless would together leave the folder.)
bool link_stays_inside(std::string_view path, std::string_view target);

// What a name looks like to systems that fold case and normalise Unicode: full case folding, NFC. Two different paths
// with one fold key cannot live side by side there. Empty when path is not UTF-8.
std::string fold_key(std::string_view path);

bool is_utf8(std::string_view text);

// Text safe to print on a terminal line: control characters, marks that reorder text and bytes that are not UTF-8 as \xHH,
// newline as \n.
std::string printable(std::string_view text);

} // namespace tonic
