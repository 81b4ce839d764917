#include "tonic/name_twins.hpp"

#include "tonic/path_rules.hpp"
#include "xet/error.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>

namespace tonic {

namespace {

struct keyed_name
{
	std::size_t key_hash;
	std::uint32_t index;
};

std::string normalised(std::string_view name)
{
	utf8proc_uint8_t* mapped = nullptr;
	auto const size = utf8proc_map(reinterpret_cast<utf8proc_uint8_t const*>(name.data()), utf8proc_ssize_t(name.size())
		, &mapped, utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
	std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> const owner(mapped, std::free);
	return size > 0 ? std::string(reinterpret_cast<char const*>(mapped), std::size_t(size)) : std::string();
}

// The names of [from, to) have one hash; nearly always that means one key.
void add_twins(std::span<std::string_view const> names, std::vector<keyed_name>::const_iterator from
	, std::vector<keyed_name>::const_iterator to, std::vector<twin>& out)
{
	std::vector<std::pair<std::string, std::uint32_t>> keys;
	for (; from != to; ++from) keys.emplace_back(fold_key(names[from->index]), from->index);
	std::sort(keys.begin(), keys.end());
	for (std::size_t i = 0; i < keys.size(); ++i)
	{
		bool const before = i > 0 && keys[i - 1].first == keys[i].first;
		bool const after = i + 1 < keys.size() && keys[i + 1].first == keys[i].first;
		if (before || after) out.push_back({keys[i].second, keys[before ? i - 1 : i + 1].second});
	}
}

} // namespace

std::vector<twin> find_twins(std::span<std::string_view const> names)
{
	std::vector<keyed_name> keyed;
	keyed.reserve(names.size());
	for (std::uint32_t i = 0; i < names.size(); ++i) keyed.push_back({std::hash<std::string>()(fold_key(names[i])), i});
	std::sort(keyed.begin(), keyed.end(), [](auto const& a, auto const& b) { return a.key_hash < b.key_hash; });

	std::vector<twin> ret;
	for (auto from = keyed.cbegin(); from != keyed.cend();)
	{
		auto const to = std::find_if(from, keyed.cend(), [&](auto const& k) { return k.key_hash != from->key_hash; });
		if (to - from > 1) add_twins(names, from, to, ret);
		from = to;
	}
	return ret;
}

std::string describe_twin(std::string_view a, std::string_view b)
{
	bool const same_letters = normalised(a) == normalised(b);
	return xet::cat("\"", printable(a), "\" and \"", printable(b), "\" differ only in "
		, same_letters ? "how their accents are encoded (Unicode normalisation)" : "upper and lower case"
		, ", and other systems cannot hold both: rename one of them");
}

} // namespace tonic
