#pragma once
// Inputs that the vectors describe by a rule, random data from a seed, and the vector files themselves.

#include "xet/bytes.hpp"

#include <nlohmann/json.hpp>
#include <string_view>

namespace ut_xet_test {

using xet::bytes;
using xet::bytes_view;

// The value that the JSON pointer `inside` names in tests/vectors/<path>; throws when it is missing or no JSON.
// It comes by value: an element of a temporary document must not be looped over.
nlohmann::json load_vectors(std::string_view path, std::string const& inside = "");

bytes zeros(std::size_t size);
bytes repeated(bytes_view period, std::size_t size);
// concatenation over i = 0… of SHA-256(label ‖ i as big-endian u64), truncated
bytes sha256_stream(std::string_view label, std::size_t size);
// concatenation over i = 0… of "line %08d the quick brown fox jumps over the lazy dog\n", truncated
bytes text(std::size_t size);
// splitmix64, little-endian words
bytes splitmix(std::uint64_t seed, std::size_t size);
// xorshift32, the low byte of each state
bytes xorshift32_bytes(std::uint32_t state, std::size_t size);

// "stream('label',n)", "text(n)", "zeros(n)", "byte(b,n)": the notation of tests/vectors/bep
bytes from_notation(std::string_view notation);

std::string sha256_hex(bytes_view data);

// A small generator for property tests: replays from its seed.
class random_source
{
public:
	explicit random_source(std::uint64_t seed) : m_state(seed) {}
	std::uint64_t next();
	// from … to, both included
	std::size_t between(std::size_t from, std::size_t to) { return from + next() % (to - from + 1); }

private:
	std::uint64_t m_state;
};

} // namespace ut_xet_test
