#pragma once
// Reading foreign bencoded data strictly: libtorrent parses, these functions refuse what it lets pass (unsorted or repeated
// keys, leading zeros, trailing bytes, integers that do not fit) and say which field is wrong. Used inside this layer only.

#include "xet/error.hpp"

#include <libtorrent/bdecode.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace tonic {

// A dictionary that is the whole of data. The node refers to data.
xet::result<lt::bdecode_node> parse_bencoded_dict(std::string_view data, int depth_limit, int token_limit);

// The same in two steps, for data that is often somebody else's and only then worth an error.
xet::result<lt::bdecode_node> parse_loosely(std::string_view data, int depth_limit, int token_limit);
xet::result<> check_canonical(lt::bdecode_node const& root, std::string_view data);

// Fields of a dictionary. Errors name the key: missing, wrong type, outside of min … max, wrong length.
xet::result<std::string_view> string_field(lt::bdecode_node const& dict, std::string_view key);
xet::result<std::string_view> string_field_of_size(lt::bdecode_node const& dict, std::string_view key, std::size_t size);
xet::result<std::int64_t> int_field(lt::bdecode_node const& dict, std::string_view key, std::int64_t min, std::int64_t max);
xet::result<std::int64_t> int_field_or(std::int64_t absent, lt::bdecode_node const& dict, std::string_view key
	, std::int64_t min, std::int64_t max);
xet::result<lt::bdecode_node> list_field(lt::bdecode_node const& dict, std::string_view key);
xet::result<lt::bdecode_node> dict_field(lt::bdecode_node const& dict, std::string_view key);
inline bool has_field(lt::bdecode_node const& dict, std::string_view key) { return bool(dict.dict_find({key.data(), key.size()})); }

inline std::string_view text_of(lt::span<char const> s) { return {s.data(), std::size_t(s.size())}; }
inline std::string_view text_of(lt::string_view s) { return {s.data(), s.size()}; }

} // namespace tonic
