#pragma once
// Files in memory for the tests of container formats: vectors, damaged copies, sources that count or fail.

#include "tests/unit/test_data.hpp"
#include "xet/files.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace ut_xet_test {

// The bytes of tests/vectors/<path>.
inline bytes load_bytes(std::string const& path)
{
	std::ifstream in(std::string(UT_XET_VECTORS) + "/" + path, std::ios::binary);
	if (!in) throw std::runtime_error("no vector at " + path);
	return bytes(std::istreambuf_iterator<char>(in), {});
}

// from_notation, and "byte(0x41,n)".
inline bytes from_rule(std::string const& rule)
{
	if (rule.rfind("byte(0x", 0) != 0) return from_notation(rule);
	return bytes(std::stoul(rule.substr(rule.find(',') + 1)), std::uint8_t(std::stoul(rule.substr(5), nullptr, 16)));
}

inline bytes from_text(std::string_view s) { return bytes(s.begin(), s.end()); }

// Calls visit with every copy of file that has one bit flipped, and then with every shorter one.
template <class Visit>
void for_each_damage(bytes const& file, Visit visit)
{
	bytes copy = file;
	for (std::size_t bit = 0; bit < file.size() * 8; ++bit)
	{
		copy[bit / 8] ^= std::uint8_t(1 << bit % 8);
		visit(copy, xet::cat("bit ", bit % 8, " of byte ", bit / 8));
		copy[bit / 8] = file[bit / 8];
	}
	for (std::size_t n = 0; n < file.size(); ++n) visit(bytes(file.begin(), file.begin() + std::ptrdiff_t(n)), xet::cat("cut at ", n));
}

class counting_source : public xet::memory_source
{
public:
	using memory_source::memory_source;
	xet::result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> into) override
	{
		++reads;
		bytes_read += into.size();
		return memory_source::read_at(offset, into);
	}
	std::size_t reads = 0;
	std::uint64_t bytes_read = 0;
};

// Any read fails as a broken disk does.
class broken_source : public xet::byte_source
{
public:
	xet::result<std::uint64_t> size() override { return 1000; }
	xet::result<std::size_t> read_at(std::uint64_t, std::span<std::uint8_t>) override { return xet::fail(xet::errc::io, "broken disk"); }
};

} // namespace ut_xet_test
