#include "tests/unit/test_data.hpp"
#include "xet/hash.hpp"

#include <cstdio>
#include <fstream>
#include <regex>
#include <stdexcept>

namespace ut_xet_test {

nlohmann::json load_vectors(std::string_view path, std::string const& inside)
{
	auto const full = std::string(UT_XET_VECTORS) + "/" + std::string(path);
	std::ifstream in(full);
	if (!in) throw std::runtime_error("no vectors at " + full);
	return nlohmann::json::parse(in).at(nlohmann::json::json_pointer(inside));
}

bytes zeros(std::size_t size) { return bytes(size, 0); }

bytes repeated(bytes_view period, std::size_t size)
{
	bytes out(size);
	for (std::size_t i = 0; i < size; ++i) out[i] = period[i % period.size()];
	return out;
}

bytes sha256_stream(std::string_view label, std::size_t size)
{
	bytes out;
	for (std::uint64_t i = 0; out.size() < size; ++i)
	{
		bytes block(label.begin(), label.end());
		xet::append_be(block, i);
		xet::append(out, xet::chunk_hash(xet::hash_kind::sha256, block).view());
	}
	out.resize(size);
	return out;
}

bytes text(std::size_t size)
{
	bytes out;
	for (unsigned i = 0; out.size() < size; ++i)
	{
		char line[80];
		std::snprintf(line, sizeof line, "line %08u the quick brown fox jumps over the lazy dog\n", i);
		xet::append(out, xet::as_bytes(line));
	}
	out.resize(size);
	return out;
}

std::uint64_t random_source::next()
{
	m_state += 0x9E3779B97F4A7C15;
	auto z = m_state;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
	z = (z ^ z >> 27) * 0x94D049BB133111EB;
	return z ^ z >> 31;
}

bytes splitmix(std::uint64_t seed, std::size_t size)
{
	random_source words(seed);
	bytes out;
	out.reserve(size + 8);
	while (out.size() < size)
	{
		auto const word = words.next();
		for (int shift = 0; shift < 64; shift += 8) out.push_back(std::uint8_t(word >> shift));
	}
	out.resize(size);
	return out;
}

bytes xorshift32_bytes(std::uint32_t state, std::size_t size)
{
	bytes out(size);
	for (auto& b : out)
	{
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		b = std::uint8_t(state);
	}
	return out;
}

bytes from_notation(std::string_view notation)
{
	static std::regex const with_label(R"(stream\(['"](.*)['"],\s*(\d+)\))");
	static std::regex const with_size(R"((text|zeros)\((\d+)\))");
	static std::regex const with_byte(R"(byte\((\d+),\s*(\d+)\))");
	std::string const s(notation);
	std::smatch m;
	if (std::regex_match(s, m, with_label)) return sha256_stream(m[1].str(), std::stoul(m[2]));
	if (std::regex_match(s, m, with_byte)) return bytes(std::stoul(m[2]), std::uint8_t(std::stoul(m[1])));
	if (std::regex_match(s, m, with_size)) return m[1] == "text" ? text(std::stoul(m[2])) : zeros(std::stoul(m[2]));
	throw std::runtime_error("unknown notation: " + s);
}

std::string sha256_hex(bytes_view data)
{
	return xet::to_hex(xet::chunk_hash(xet::hash_kind::sha256, data).view());
}

} // namespace ut_xet_test
