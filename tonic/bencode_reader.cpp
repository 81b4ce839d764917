#include "tonic/bencode_reader.hpp"

#include <charconv>

namespace tonic {

namespace {

std::string_view type_name(lt::bdecode_node::type_t t)
{
	switch (t)
	{
	case lt::bdecode_node::dict_t: return "a dictionary";
	case lt::bdecode_node::list_t: return "a list";
	case lt::bdecode_node::string_t: return "a string";
	case lt::bdecode_node::int_t: return "an integer";
	default: return "nothing";
	}
}

xet::result<lt::bdecode_node> typed_field(lt::bdecode_node const& dict, std::string_view key, lt::bdecode_node::type_t type)
{
	auto node = dict.dict_find({key.data(), key.size()});
	if (!node) return xet::fail(xet::errc::invalid, "the key \"", key, "\" is missing");
	if (node.type() != type)
		return xet::fail(xet::errc::invalid, "the key \"", key, "\" holds ", type_name(node.type()), ", not ", type_name(type));
	return node;
}

} // namespace

xet::result<lt::bdecode_node> parse_loosely(std::string_view data, int depth_limit, int token_limit)
{
	lt::error_code ec;
	int position = 0;
	auto node = lt::bdecode({data.data(), std::ptrdiff_t(data.size())}, ec, &position, depth_limit, token_limit);
	if (ec) return xet::fail(xet::errc::invalid, "not bencoded: ", ec.message(), " at byte ", position);
	if (node.type() != lt::bdecode_node::dict_t) return xet::fail(xet::errc::invalid, "not a bencoded dictionary");
	return node;
}

xet::result<> check_canonical(lt::bdecode_node const& root, std::string_view data)
{
	char why[128] = {};
	if (root.has_soft_error(why)) return xet::fail(xet::errc::invalid, "not canonical bencoding: ", why);
	if (auto const used = std::size_t(root.data_section().size()); used != data.size())
		return xet::fail(xet::errc::invalid, data.size() - used, " bytes follow the end of the dictionary");
	return {};
}

xet::result<lt::bdecode_node> parse_bencoded_dict(std::string_view data, int depth_limit, int token_limit)
{
	auto ret = parse_loosely(data, depth_limit, token_limit);
	if (!ret) return ret;
	if (auto ok = check_canonical(*ret, data); !ok) return tl::unexpected(ok.error());
	return ret;
}

xet::result<std::string_view> string_field(lt::bdecode_node const& dict, std::string_view key)
{
	auto const node = typed_field(dict, key, lt::bdecode_node::string_t);
	if (!node) return tl::unexpected(node.error());
	return text_of(node->string_value());
}

xet::result<std::string_view> string_field_of_size(lt::bdecode_node const& dict, std::string_view key, std::size_t size)
{
	auto const ret = string_field(dict, key);
	if (ret && ret->size() != size)
		return xet::fail(xet::errc::invalid, "the key \"", key, "\" holds ", ret->size(), " bytes, not ", size);
	return ret;
}

xet::result<std::int64_t> int_field(lt::bdecode_node const& dict, std::string_view key, std::int64_t min, std::int64_t max)
{
	auto const node = typed_field(dict, key, lt::bdecode_node::int_t);
	if (!node) return tl::unexpected(node.error());
	// bdecode_node::int_value() turns a number that does not fit into 0
	auto text = text_of(node->data_section());
	text = text.substr(1, text.size() - 2);
	std::int64_t value = 0;
	auto const [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
	if (ec != std::errc() || end != text.data() + text.size() || value < min || value > max || text == "-0")
		return xet::fail(xet::errc::invalid, "the key \"", key, "\" is ", text.substr(0, 24), ", not an integer from ", min, " to ", max);
	return value;
}

xet::result<std::int64_t> int_field_or(std::int64_t absent, lt::bdecode_node const& dict, std::string_view key
	, std::int64_t min, std::int64_t max)
{
	if (!has_field(dict, key)) return absent;
	return int_field(dict, key, min, max);
}

xet::result<lt::bdecode_node> list_field(lt::bdecode_node const& dict, std::string_view key)
{
	return typed_field(dict, key, lt::bdecode_node::list_t);
}

xet::result<lt::bdecode_node> dict_field(lt::bdecode_node const& dict, std::string_view key)
{
	return typed_field(dict, key, lt::bdecode_node::dict_t);
}

} // namespace tonic
