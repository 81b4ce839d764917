#pragma once
// The rule of protocol §3 as it reads, byte by byte. Every fast path is compared with it. The table comes from the
// vectors, not from the code under test.

#include "tests/unit/test_data.hpp"
#include "xet/chunker.hpp"

namespace ut_xet_test {

inline std::vector<std::uint64_t> load_gear_table()
{
	std::vector<std::uint64_t> table;
	for (auto const& value : load_vectors("hf/constants.json", "/gear_table_u64_hex"))
		table.push_back(std::stoull(value.get<std::string>(), nullptr, 16));
	return table;
}

inline std::vector<std::uint32_t> naive_lengths(bytes_view data, xet::chunking const& c)
{
	static auto const table = load_gear_table();
	int bits = 0;
	while ((1u << bits) < c.target_bytes) ++bits;
	std::vector<std::uint32_t> lengths;
	std::uint64_t h = 0;
	std::uint32_t size = 0;
	for (auto const byte : data)
	{
		h = (h << 1) + table[byte];
		++size;
		if (size < c.min_bytes) continue;
		if (size >= c.max_bytes || h >> (64 - bits) == 0)
		{
			lengths.push_back(size);
			size = 0;
			h = 0;
		}
	}
	if (size > 0) lengths.push_back(size);
	return lengths;
}

} // namespace ut_xet_test
