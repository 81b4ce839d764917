#include "plugin/config.hpp"

#include "tonic/tonic_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <vector>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace ut_xet {

using xet::errc;
using xet::fail;

namespace {

constexpr std::size_t max_config_bytes = 1024 * 1024;

struct key
{
	std::function<bool(config&, toml::node const&)> set;
	std::string what;  // the kind of value, for the message
};

template <class T>
bool take(T& into, toml::node const& n)
{
	if constexpr (std::is_same_v<T, bool>)
	{
		if (!n.is_boolean()) return false;
		into = *n.value<bool>();
	}
	else if constexpr (std::is_same_v<T, int>)
	{
		if (!n.is_integer() || *n.value<std::int64_t>() < 0 || *n.value<std::int64_t>() > INT32_MAX) return false;
		into = int(*n.value<std::int64_t>());
	}
	else if constexpr (std::is_same_v<T, std::int64_t>)
	{
		if (!n.is_integer() || *n.value<std::int64_t>() < 0) return false;
		into = *n.value<std::int64_t>();
	}
	else
	{
		if (!n.is_string()) return false;
		into = *n.value<std::string>();
	}
	return true;
}

template <class T>
key make(T config::*member)
{
	std::string const what = std::is_same_v<T, bool> ? "true or false" : std::is_integral_v<T> ? "a whole number, not negative" : "a string";
	return {[member](config& c, toml::node const& n) { return take(c.*member, n); }, what};
}

key make(std::string config::*member, std::vector<std::string> const& words)
{
	std::string what;
	for (std::string const& w : words) what += xet::cat(what.empty() ? "" : w == words.back() ? " or " : ", ", '"', w, '"');
	return {[member, words](config& c, toml::node const& n) {
		return take(c.*member, n) && std::find(words.begin(), words.end(), c.*member) != words.end();
	}, what};
}

std::map<std::string, key> const& keys()
{
	static std::map<std::string, key> const all{
		{"network.listen", make(&config::listen)},
		{"network.enable_dht", make(&config::enable_dht)},
		{"network.enable_lsd", make(&config::enable_lsd)},
		{"network.enable_upnp", make(&config::enable_upnp)},
		{"network.upload_limit", make(&config::upload_limit)},
		{"network.download_limit", make(&config::download_limit)},
		{"network.outgoing", make(&config::outgoing, {"tcp", "utp", "both"})},
		{"network.encryption", make(&config::encryption, {"allowed", "required", "off"})},
		{"disk.xet_chunk_store_path", make(&config::xet_chunk_store_path)},
		{"disk.xet_compression_enabled", make(&config::xet_compression_enabled)},
		{"disk.xet_store_quota", make(&config::xet_store_quota)},
		{"disk.xet_store_reserve", make(&config::xet_store_reserve)},
		{"disk.xet_cleanup_days", make(&config::xet_cleanup_days)},
		{"disk.xet_scrub_rate", make(&config::xet_scrub_rate)},
		{"versions.keep_versions", make(&config::keep_versions)},
		{"versions.keep_days", make(&config::keep_days)},
		{"versions.keep_own_bytes", make(&config::keep_own_bytes)},
		{"versions.keep_own_total", make(&config::keep_own_total)},
	};
	return all;
}

std::size_t edit_distance(std::string const& a, std::string const& b)
{
	std::vector<std::size_t> row(b.size() + 1);
	for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
	for (std::size_t i = 1; i <= a.size(); ++i)
	{
		std::size_t diagonal = row[0];
		row[0] = i;
		for (std::size_t j = 1; j <= b.size(); ++j)
		{
			std::size_t const above = row[j];
			row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
			diagonal = above;
		}
	}
	return row.back();
}

std::string nearest(std::string const& name)
{
	return std::min_element(keys().begin(), keys().end(), [&](auto const& a, auto const& b) {
		return edit_distance(a.first, name) < edit_distance(b.first, name);
	})->first;
}

std::string shown(std::string const& dotted)
{
	auto const dot = dotted.find('.');
	return xet::cat("[", dotted.substr(0, dot), "] ", dotted.substr(dot + 1));
}

xet::result<> apply(config& c, std::string const& name, toml::node const& value, std::string const& where)
{
	auto const k = keys().find(name);
	if (k == keys().end()) return fail(errc::invalid, where, ": unknown key ", shown(name), "; did you mean ", shown(nearest(name)), "?");
	if (!k->second.set(c, value)) return fail(errc::invalid, where, ": ", shown(name), " has to be ", k->second.what);
	return {};
}

xet::result<> read_file(config& c, std::filesystem::path const& file)
{
	try
	{
		// not by toml++ itself: it would wait for ever on a pipe, and read a device to its end
		auto const text = tonic::read_whole_file(file, max_config_bytes);
		if (!text) return tl::unexpected(text.error());
		auto const table = toml::parse(*text, file.string());
		for (auto const& [section, content] : table)
		{
			auto const* inner = content.as_table();
			if (inner == nullptr)
				return fail(errc::invalid, file.string(), ": line ", content.source().begin.line, ": key ", section.str(), " stands outside of a section; ", shown(nearest(std::string(section.str()))), " is the nearest known key");
			for (auto const& [name, value] : *inner)
			{
				auto const ok = apply(c, xet::cat(section.str(), ".", name.str()), value, xet::cat(file.string(), ": line ", value.source().begin.line));
				if (!ok) return ok;
			}
		}
		return {};
	}
	catch (toml::parse_error const& e)
	{
		return fail(errc::invalid, file.string(), ": line ", e.source().begin.line, ": ", e.description());
	}
}

xet::result<> read_environment(config& c)
{
	for (auto const& [name, k] : keys())
	{
		std::string variable = "UT_XET_" + name;
		std::transform(variable.begin(), variable.end(), variable.begin(), [](char ch) { return ch == '.' ? '_' : char(std::toupper(ch)); });
		char const* text = std::getenv(variable.c_str());
		if (text == nullptr) continue;
		// the value as TOML would write it; what is no number or boolean is a string
		toml::table parsed;
		try
		{
			parsed = toml::parse(xet::cat("v = ", text));
		}
		catch (toml::parse_error const&)
		{
			parsed.insert_or_assign("v", std::string(text));
		}
		auto const ok = apply(c, name, *parsed.get("v"), variable);
		if (!ok) return ok;
	}
	return {};
}

} // namespace

xet::result<config> load_config(std::filesystem::path const& explicit_file, std::filesystem::path const& data_dir)
{
	config c;
	std::filesystem::path file = explicit_file;
	std::error_code ec;
	if (!file.empty() && !std::filesystem::exists(file, ec)) return fail(errc::not_found, "no configuration file ", file.string());
	if (file.empty())
	{
		char const* xdg = std::getenv("XDG_CONFIG_HOME");
		char const* home = std::getenv("HOME");
		std::filesystem::path const user = xdg != nullptr && *xdg == '/' ? std::filesystem::path(xdg) : std::filesystem::path(home != nullptr ? home : "/") / ".config";
		for (auto const& candidate : {data_dir / "ut_xet.toml", user / "ut_xet" / "ut_xet.toml"})
			if (file.empty() && std::filesystem::exists(candidate, ec)) file = candidate;
	}
	if (!file.empty())
	{
		auto const ok = read_file(c, file);
		if (!ok) return tl::unexpected(ok.error());
	}
	auto const ok = read_environment(c);
	if (!ok) return tl::unexpected(ok.error());
	return c;
}

} // namespace ut_xet
