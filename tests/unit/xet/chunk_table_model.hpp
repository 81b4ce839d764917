#pragma once
// What a chunk table should say: the containers it was given, and an index of them that is too simple to be wrong.

#include "tests/unit/test_data.hpp"
#include "xet/chunk_table.hpp"
#include "xet/files.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <stdlib.h>
#include <unordered_map>

namespace ut_xet_test {

inline std::array<std::uint8_t, 16> const test_index_id{'t', 'e', 's', 't', ' ', 'i', 'n', 'd', 'e', 'x', 1, 2, 3, 4, 5, 6};

class chunk_table_dir
{
public:
	chunk_table_dir()
	{
		auto name = (std::filesystem::temp_directory_path() / "chunk_table_XXXXXX").string();
		if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
		m_path = name;
	}
	chunk_table_dir(chunk_table_dir const&) = delete;
	~chunk_table_dir()
	{
		std::error_code ignored;
		std::filesystem::remove_all(m_path, ignored);
	}
	std::filesystem::path runs() const { return m_path / "runs"; }
	std::vector<std::string> names() const
	{
		std::vector<std::string> out;
		auto const entries = xet::system_files().list(runs());
		for (auto const& e : *entries) out.push_back(e.name);
		return out;
	}

private:
	std::filesystem::path m_path;
};

inline xet::hash32 random_hash(random_source& random)
{
	xet::hash32 h;
	for (std::size_t i = 0; i < 32; i += 8)
	{
		auto const v = random.next();
		std::memcpy(h.raw.data() + i, &v, 8);
	}
	return h;
}

class chunk_table_model
{
public:
	std::uint32_t next() const { return m_next; }

	// A new container, as the store makes one: the row first, then the table.
	xet::result<> add(xet::chunk_table& table, std::vector<xet::hash32> const& hashes)
	{
		auto const id = m_next++;
		std::vector<xet::chunk_entry> list;
		for (auto const& h : hashes)
		{
			auto const ordinal = std::uint32_t(list.size());
			list.push_back({h, std::uint64_t(id) * 1000 + ordinal, ordinal % 4096 + 1});
			m_locations.emplace(h, xet::chunk_location{id, ordinal, list.back().offset, list.back().size});
		}
		m_containers[id] = list;
		return table.insert(id, list);
	}
	void kill(std::uint32_t container)
	{
		m_containers.erase(container);
		std::erase_if(m_locations, [&](auto const& one) { return one.second.container == container; });
	}
	std::vector<std::uint32_t> alive() const
	{
		std::vector<std::uint32_t> out;
		for (auto const& one : m_containers) out.push_back(one.first);
		return out;
	}

	xet::result<std::unique_ptr<xet::chunk_table>> open(xet::file_layer& files, std::filesystem::path const& dir,
		xet::chunk_table_options const& options) const
	{
		auto const ids = alive();
		return xet::chunk_table::open(files, dir, {test_index_id, m_next, ids}, options);
	}
	xet::result<> refill(xet::chunk_table& table) const
	{
		for (auto c = m_containers.lower_bound(table.covered_until()); c != m_containers.end(); ++c)
			if (auto r = table.insert(c->first, c->second); !r) return r;
		return {};
	}
	std::unique_ptr<xet::chunk_table> open_filled(std::filesystem::path const& dir, xet::chunk_table_options const& options) const
	{
		auto table = open(xet::system_files(), dir, options);
		if (!table) throw std::runtime_error(table.error().message);
		if (auto r = refill(**table); !r) throw std::runtime_error(r.error().message);
		return std::move(*table);
	}

	// All of its living locations, or enough of them, the newest first.
	bool is_right(xet::hash32 const& hash, xet::chunk_locations const& found) const
	{
		auto const [begin, end] = m_locations.equal_range(hash);
		auto const expected = std::size_t(std::distance(begin, end));
		if (found.size() != std::min(expected, xet::max_chunk_locations)) return false;
		std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
		for (auto const& one : found)
		{
			if (std::none_of(begin, end, [&](auto const& e) { return e.second == one; })) return false;
			if (!seen.insert({one.container, one.ordinal}).second) return false;
		}
		return std::is_sorted(found.begin(), found.end(), [](auto const& a, auto const& b) { return a.container > b.container; });
	}
	bool is_right(xet::hash32 const& hash, std::optional<xet::chunk_location> const& found) const
	{
		auto const [begin, end] = m_locations.equal_range(hash);
		if (!found) return begin == end;
		return std::any_of(begin, end, [&](auto const& e) { return e.second == *found; });
	}

	testing::AssertionResult agrees(xet::chunk_table const& table, std::span<xet::hash32 const> hashes) const
	{
		std::vector<std::optional<xet::chunk_location>> places(hashes.size());
		if (auto const r = table.find(hashes, places); !r) return testing::AssertionFailure() << r.error().message;
		for (std::size_t i = 0; i < hashes.size(); ++i)
		{
			auto const found = table.find(hashes[i]);
			if (!found) return testing::AssertionFailure() << found.error().message;
			if (!is_right(hashes[i], *found)) return testing::AssertionFailure() << "find of hash " << i << ", " << found->size() << " places";
			if (!is_right(hashes[i], places[i])) return testing::AssertionFailure() << "batch find of hash " << i;
		}
		return testing::AssertionSuccess();
	}
	testing::AssertionResult agrees(xet::chunk_table const& table) const { return agrees(table, hashes()); }

	std::vector<xet::hash32> hashes() const
	{
		std::vector<xet::hash32> out;
		for (auto const& [id, list] : m_containers)
			for (auto const& e : list) out.push_back(e.hash);
		return out;
	}

private:
	std::uint32_t m_next = 0;
	std::map<std::uint32_t, std::vector<xet::chunk_entry>> m_containers;
	std::unordered_multimap<xet::hash32, xet::chunk_location> m_locations;
};

} // namespace ut_xet_test
