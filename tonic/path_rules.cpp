#include "tonic/path_rules.hpp"

#include "tonic/limits.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace tonic {

namespace {

// Bytes of the valid character at text[at], and its code point; 0 when the bytes there are not UTF-8.
std::size_t next_character(std::string_view text, std::size_t at, utf8proc_int32_t& code)
{
	auto const n = utf8proc_iterate(reinterpret_cast<utf8proc_uint8_t const*>(text.data() + at)
		, utf8proc_ssize_t(text.size() - at), &code);
	return n > 0 ? std::size_t(n) : 0;
}

bool is_ascii(std::string_view text)
{
	return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

// Offset of the first byte that is not UTF-8, or npos.
std::size_t find_invalid_utf8(std::string_view text)
{
	for (std::size_t i = 0; i < text.size();)
	{
		if (static_cast<unsigned char>(text[i]) < 0x80)
		{
			++i;
			continue;
		}
		utf8proc_int32_t code;
		auto const n = next_character(text, i, code);
		if (n == 0) return i;
		i += n;
	}
	return std::string_view::npos;
}

// The character would move the cursor, end the line or reorder what is printed around it.
bool is_disruptive(utf8proc_int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)
		|| (c >= 0x2066 && c <= 0x2069);
}

bool is_private_dir(std::string_view component)
{
	return std::equal(component.begin(), component.end(), private_dir.begin(), private_dir.end()
		, [](char a, char b) { return lower(a) == b; });
}

xet::result<> check_component(std::string_view path, std::string_view component)
{
	if (component.empty())
		return xet::fail(xet::errc::invalid, "path \"", printable(path), "\" has an empty component (a leading, trailing or double '/')");
	if (component == "." || component == "..")
		return xet::fail(xet::errc::invalid, "path \"", printable(path), "\" has the component \"", component, "\"");
	if (component.size() > max_name_bytes)
		return xet::fail(xet::errc::limit, "path \"", printable(path), "\" has a component of ", component.size()
			, " bytes, over the limit of ", max_name_bytes);
	return {};
}

void append_escaped(std::string& out, std::string_view raw)
{
	constexpr char digits[] = "0123456789abcdef";
	for (char const c : raw)
	{
		auto const byte = static_cast<unsigned char>(c);
		out += "\\x";
		out += digits[byte >> 4];
		out += digits[byte & 15];
	}
}

} // namespace

xet::result<> check_path(std::string_view path)
{
	if (path.empty()) return xet::fail(xet::errc::invalid, "a path is empty");
	if (path.size() > max_path_bytes)
		return xet::fail(xet::errc::limit, "path \"", printable(path.substr(0, 60)), "…\" is ", path.size()
			, " bytes long, over the limit of ", max_path_bytes);
	if (path.find('\0') != std::string_view::npos)
		return xet::fail(xet::errc::invalid, "path \"", printable(path), "\" has a NUL byte");
	if (auto const at = find_invalid_utf8(path); at != std::string_view::npos)
		return xet::fail(xet::errc::invalid, "path \"", printable(path), "\" is not UTF-8 at byte ", at);

	int depth = 0;
	for (std::size_t from = 0; from <= path.size();)
	{
		auto const to = std::min(path.find('/', from), path.size());
		auto const component = path.substr(from, to - from);
		if (auto ok = check_component(path, component); !ok) return ok;
		if (depth == 0 && is_private_dir(component))
			return xet::fail(xet::errc::invalid, "path \"", printable(path), "\" lies in ", private_dir, ", which is every node's own and never shared");
		if (++depth > max_path_depth)
			return xet::fail(xet::errc::limit, "path \"", printable(path), "\" is more than ", max_path_depth, " levels deep");
		from = to + 1;
	}
	return {};
}

xet::result<> check_folder_name(std::string_view name)
{
	auto const bad = [&](auto const&... why) {
		return xet::fail(xet::errc::invalid, "\"", printable(name.substr(0, max_folder_name_bytes)), "\" cannot be the name of a folder: ", why...);
	};
	if (name.empty()) return bad("it is empty");
	if (name.size() > max_folder_name_bytes) return bad("it is longer than ", max_folder_name_bytes, " bytes");
	if (name.find('/') != std::string_view::npos) return bad("it has a '/'");
	// a name comes from strangers and becomes a directory of the save path: it must not be ".ssh" or ".config"
	if (name.front() == '.') return bad("it starts with '.'");
	if (find_invalid_utf8(name) != std::string_view::npos) return bad("it is not UTF-8");
	if (std::any_of(name.begin(), name.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }))
		return bad("it has a control character");
	return {};
}

bool link_stays_inside(std::string_view path, std::string_view target)
{
	if (target.empty() || target.size() >= max_path_bytes || target.front() == '/') return false;
	if (target.find('\0') != std::string_view::npos || find_invalid_utf8(target) != std::string_view::npos) return false;

	auto depth = std::count(path.begin(), path.end(), '/');
	bool went_down = false;
	for (std::size_t from = 0; from <= target.size();)
	{
		auto const to = std::min(target.find('/', from), target.size());
		auto const component = target.substr(from, to - from);
		from = to + 1;
		if (component.empty() || component == ".") continue;
		if (component != "..")
		{
			went_down = true;
			continue;
		}
		// what came before may itself be a link, and then ".." starts from wherever that leads
		if (went_down || --depth < 0) return false;
	}
	return true;
}

std::string fold_key(std::string_view path)
{
	std::string ret;
	if (is_ascii(path))
	{
		ret.resize(path.size());
		std::transform(path.begin(), path.end(), ret.begin(), lower);
		return ret;
	}
	utf8proc_uint8_t* mapped = nullptr;
	auto const size = utf8proc_map(reinterpret_cast<utf8proc_uint8_t const*>(path.data()), utf8proc_ssize_t(path.size())
		, &mapped, utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD));
	std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> const owner(mapped, std::free);
	if (size > 0) ret.assign(reinterpret_cast<char const*>(mapped), std::size_t(size));
	return ret;
}

bool is_utf8(std::string_view text)
{
	return find_invalid_utf8(text) == std::string_view::npos;
}

std::string printable(std::string_view text)
{
	std::string ret;
	ret.reserve(text.size());
	for (std::size_t i = 0; i < text.size();)
	{
		utf8proc_int32_t code = -1;
		auto const n = next_character(text, i, code);
		auto const raw = text.substr(i, std::max<std::size_t>(n, 1));
		if (code == '\n') ret += "\\n";
		else if (n == 0 || is_disruptive(code)) append_escaped(ret, raw);
		else ret += raw;
		i += raw.size();
	}
	return ret;
}

} // namespace tonic
