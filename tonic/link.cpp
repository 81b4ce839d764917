#include "tonic/link.hpp"

#include "tonic/limits.hpp"
#include "tonic/path_rules.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace tonic {

namespace {

constexpr std::string_view magnet_scheme = "magnet:?";
constexpr std::string_view tonic_scheme = "tonic:?";
constexpr std::string_view other_tonic_scheme = "tonic?:";
constexpr std::string_view btih_prefix = "urn:btih:";
constexpr std::string_view btmh_prefix = "urn:btmh:";
constexpr std::string_view xet_prefix = "urn:xet:";
constexpr std::size_t id_characters = 40;

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

std::string lower(std::string_view text)
{
	std::string ret(text);
	std::transform(ret.begin(), ret.end(), ret.begin(), [](char c) { return lower(c); });
	return ret;
}

// prefix is lower case
bool starts_with_any_case(std::string_view text, std::string_view prefix)
{
	return text.size() >= prefix.size()
		&& std::equal(prefix.begin(), prefix.end(), text.begin(), [](char p, char t) { return p == lower(t); });
}

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// as_is: reserved characters that readers want to see unescaped
std::string percent_encode(std::string_view text, std::string_view as_is = {})
{
	constexpr char digits[] = "0123456789ABCDEF";
	std::string ret;
	for (char const c : text)
	{
		if (is_alphanumeric(c) || std::string_view("-._~").find(c) != std::string_view::npos || as_is.find(c) != std::string_view::npos)
		{
			ret += c;
			continue;
		}
		auto const byte = static_cast<unsigned char>(c);
		ret += '%';
		ret += digits[byte >> 4];
		ret += digits[byte & 15];
	}
	return ret;
}

std::optional<std::string> percent_decode(std::string_view text)
{
	std::string ret;
	ret.reserve(text.size());
	for (std::size_t i = 0; i < text.size(); ++i)
	{
		if (text[i] != '%')
		{
			ret += text[i];
			continue;
		}
		auto const byte = xet::from_hex(text.substr(i + 1, 2));
		if (!byte || byte->size() != 1) return std::nullopt;
		ret += char(byte->front());
		i += 2;
	}
	return ret;
}

bool has_control_character(std::string_view text)
{
	return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

// RFC 4648 base32 of 20 bytes, 32 characters
std::optional<std::string> base32_to_hex(std::string_view text)
{
	constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz234567";
	xet::bytes raw;
	std::uint32_t bits = 0;
	int count = 0;
	for (char const c : text)
	{
		auto const value = alphabet.find(lower(c));
		if (value == std::string_view::npos) return std::nullopt;
		bits = (bits << 5 | std::uint32_t(value)) & 0xfff;
		count += 5;
		if (count < 8) continue;
		count -= 8;
		raw.push_back(std::uint8_t(bits >> count));
	}
	return xet::to_hex(raw);
}

// 40 hexadecimal or 32 base32 characters
std::optional<std::string> parse_info_hash(std::string_view text)
{
	if (text.size() == 32) return base32_to_hex(text);
	if (text.size() != id_characters || !xet::from_hex(text)) return std::nullopt;
	return lower(text);
}

bool is_host_and_port(std::string_view text)
{
	auto const colon = text.rfind(':');
	if (colon == std::string_view::npos) return false;
	auto host = text.substr(0, colon);
	auto const digits = text.substr(colon + 1);
	std::uint16_t port = 0;
	auto const [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
	if (ec != std::errc() || end != digits.data() + digits.size() || port == 0) return false;

	bool const bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
	if (bracketed) host = host.substr(1, host.size() - 2);
	auto const allowed = [&](char c) { return is_alphanumeric(c) || c == '.' || (bracketed ? c == ':' || c == '%' : c == '-'); };
	bool const has_colon = host.find(':') != std::string_view::npos;
	return !host.empty() && has_colon == bracketed && std::all_of(host.begin(), host.end(), allowed);
}

// "xt.1" and "tr.2" are "xt" and "tr": some programs number what is repeated
std::string_view without_index(std::string_view key)
{
	auto const dot = key.rfind('.');
	if (dot == std::string_view::npos || dot + 1 == key.size()) return key;
	auto const digits = key.substr(dot + 1);
	bool const numbered = std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
	return numbered ? key.substr(0, dot) : key;
}

class link_reader
{
public:
	xet::result<folder_link> read_magnet(std::string_view query);
	xet::result<folder_link> read_tonic(std::string_view query);

private:
	xet::result<> read_parameters(std::string_view query);
	xet::result<> read_parameter(std::string_view key, std::string value);
	xet::result<> read_topic(std::string const& value);
	xet::result<> read_key(std::string const& value);
	xet::result<> read_salt(std::string const& value);

	folder_link m_link;
	std::string m_folder;
	bool m_has_key = false;
	bool m_has_v2_topic = false;
};

xet::result<> link_reader::read_parameters(std::string_view query)
{
	while (!query.empty())
	{
		auto const part = query.substr(0, query.find('&'));
		query.remove_prefix(std::min(part.size() + 1, query.size()));
		auto const equals = part.find('=');
		if (equals == std::string_view::npos) continue;
		auto const key = without_index(part.substr(0, equals));
		std::string raw(part.substr(equals + 1));
		// forms and many clients write a space so; everywhere else '+' is itself
		if (key == "dn") std::replace(raw.begin(), raw.end(), '+', ' ');
		auto value = percent_decode(raw);
		if (!value) return xet::fail(xet::errc::invalid, "the link's \"", printable(key), "\" has a '%' that is not followed by two hexadecimal digits");
		if (auto ok = read_parameter(key, std::move(*value)); !ok) return ok;
	}
	return {};
}

xet::result<> link_reader::read_parameter(std::string_view key, std::string value)
{
	if (key == "xt") return read_topic(value);
	if (key == "pk") return read_key(value);
	if (key == "salt") return read_salt(value);
	if (key == "dn")
	{
		if (auto ok = check_folder_name(value); !ok) return xet::fail(ok.error().code, "the link's dn: ", ok.error().message);
		m_link.name = std::move(value);
	}
	else if (key == "tr")
	{
		if (!is_tracker_url(value)) return xet::fail(xet::errc::invalid, "the link's tr \"", printable(value), "\" is not the URL of a tracker");
		m_link.trackers.push_back(std::move(value));
	}
	else if (key == "x.pe")
	{
		if (!is_host_and_port(value))
			return xet::fail(xet::errc::invalid, "the link's x.pe \"", printable(value), "\" is not host:port (an IPv6 address stands in brackets)");
		m_link.peers.push_back(std::move(value));
	}
	return {};
}

xet::result<> link_reader::read_topic(std::string const& value)
{
	auto const set = [&](std::string& to, std::optional<std::string> hash) -> xet::result<> {
		if (!hash) return xet::fail(xet::errc::invalid, "the link's xt \"", printable(value), "\" has no valid hash");
		if (!to.empty() && to != *hash) return xet::fail(xet::errc::invalid, "the link has two different hashes, ", to, " and ", *hash);
		to = std::move(*hash);
		return {};
	};
	if (starts_with_any_case(value, btih_prefix)) return set(m_link.info_hash, parse_info_hash(std::string_view(value).substr(btih_prefix.size())));
	if (starts_with_any_case(value, xet_prefix))
	{
		auto const id = std::string_view(value).substr(xet_prefix.size());
		bool const valid = id.size() == id_characters && xet::from_hex(id);
		return set(m_folder, valid ? std::optional(lower(id)) : std::nullopt);
	}
	if (starts_with_any_case(value, btmh_prefix)) m_has_v2_topic = true;
	return {};
}

xet::result<> link_reader::read_key(std::string const& value)
{
	auto const raw = xet::hash_from_hex(value);
	if (!raw) return xet::fail(xet::errc::invalid, "the link's pk is not a public key of 64 hexadecimal characters");
	m_link.info.author = raw->raw;
	m_has_key = true;
	return {};
}

xet::result<> link_reader::read_salt(std::string const& value)
{
	auto raw = xet::from_hex(value);
	if (!raw || raw->empty() || raw->size() > max_salt_bytes)
		return xet::fail(xet::errc::invalid, "the link's salt is not 1 to ", max_salt_bytes, " bytes in hexadecimal");
	m_link.info.salt = std::move(*raw);
	return {};
}

xet::result<folder_link> link_reader::read_magnet(std::string_view query)
{
	if (auto ok = read_parameters(query); !ok) return tl::unexpected(ok.error());
	if (m_link.info_hash.empty() && m_has_v2_topic)
		return xet::fail(xet::errc::unsupported, "the magnet link names a v2 torrent only (urn:btmh); a shared folder's torrent is v1 (urn:btih)");
	if (m_link.info_hash.empty()) return xet::fail(xet::errc::invalid, "the magnet link has no xt=urn:btih:<info-hash>");
	m_link.info = {};
	return std::move(m_link);
}

xet::result<folder_link> link_reader::read_tonic(std::string_view query)
{
	if (auto ok = read_parameters(query); !ok) return tl::unexpected(ok.error());
	if (m_folder.empty()) return xet::fail(xet::errc::invalid, "the tonic link has no xt=urn:xet:<folder id>");
	if (!m_has_key || m_link.info.salt.empty() || m_link.name.empty())
		return xet::fail(xet::errc::invalid, "the tonic link has no \"", !m_has_key ? "pk" : m_link.info.salt.empty() ? "salt" : "dn"
			, "\": ask for the complete link, or for the folder's magnet link");
	if (!is_folder_id_of(m_folder, m_link.info.author, m_link.info.salt))
		return xet::fail(xet::errc::mismatch, "the tonic link's folder id is not that of its pk and salt: it was changed or cut on its way");
	m_link.info_hash.clear();
	m_link.info.folder = m_folder;
	m_link.info.name = m_link.name;
	return std::move(m_link);
}

std::string with_sources(std::string link, std::vector<std::string> const& trackers, std::vector<std::string> const& peers)
{
	for (auto const& url : trackers) link += "&tr=" + percent_encode(url);
	// libtorrent reads x.pe without unescaping it
	for (auto const& peer : peers) link += "&x.pe=" + percent_encode(peer, ":[]");
	return link;
}

std::string_view trimmed(std::string_view text)
{
	auto const from = text.find_first_not_of(" \t\r\n");
	if (from == std::string_view::npos) return {};
	return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

} // namespace

std::string magnet_link(std::string const& info_hash, std::string const& name, std::vector<std::string> const& trackers
	, std::vector<std::string> const& peers)
{
	return with_sources(xet::cat(magnet_scheme, "xt=", btih_prefix, info_hash, "&dn=", percent_encode(name)), trackers, peers);
}

std::string tonic_link(carrier_info const& info, std::vector<std::string> const& trackers, std::vector<std::string> const& peers)
{
	return with_sources(xet::cat(tonic_scheme, "xt=", xet_prefix, info.folder, "&pk=", xet::to_hex(info.author), "&salt="
		, xet::to_hex(info.salt), "&dn=", percent_encode(info.name)), trackers, peers);
}

xet::result<folder_link> parse_link(std::string_view text)
{
	text = trimmed(text);
	if (text.size() > max_link_bytes)
		return xet::fail(xet::errc::limit, "a link of ", text.size(), " bytes, over the limit of ", max_link_bytes);
	if (starts_with_any_case(text, magnet_scheme)) return link_reader().read_magnet(text.substr(magnet_scheme.size()));
	if (starts_with_any_case(text, tonic_scheme)) return link_reader().read_tonic(text.substr(tonic_scheme.size()));
	if (starts_with_any_case(text, other_tonic_scheme)) return link_reader().read_tonic(text.substr(other_tonic_scheme.size()));
	return xet::fail(xet::errc::invalid, "not a link to a shared folder: it begins with magnet:? or tonic:?");
}

bool looks_like_link(std::string_view text)
{
	return starts_with_any_case(text, "magnet:") || starts_with_any_case(text, "tonic:") || starts_with_any_case(text, other_tonic_scheme);
}

bool is_tracker_url(std::string_view text)
{
	auto const at = text.find("://");
	return at != std::string_view::npos && at > 0 && at + 3 < text.size() && !has_control_character(text)
		&& text.find(' ') == std::string_view::npos && std::all_of(text.begin(), text.begin() + std::ptrdiff_t(at), is_alphanumeric);
}

} // namespace tonic
