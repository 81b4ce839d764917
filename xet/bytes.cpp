#include "xet/bytes.hpp"

namespace xet {

namespace {

int digit_value(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

bool decode_hex(std::string_view text, std::uint8_t* out)
{
	for (std::size_t i = 0; i < text.size(); i += 2)
	{
		int const high = digit_value(text[i]);
		int const low = digit_value(text[i + 1]);
		if (high < 0 || low < 0) return false;
		out[i / 2] = std::uint8_t(high << 4 | low);
	}
	return true;
}

} // namespace

std::string to_hex(bytes_view b)
{
	static constexpr char digits[] = "0123456789abcdef";
	std::string out(b.size() * 2, '\0');
	for (std::size_t i = 0; i < b.size(); ++i)
	{
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	return out;
}

std::optional<bytes> from_hex(std::string_view text)
{
	if (text.size() % 2 != 0) return std::nullopt;
	bytes out(text.size() / 2);
	if (!decode_hex(text, out.data())) return std::nullopt;
	return out;
}

std::optional<hash32> hash_from_hex(std::string_view text)
{
	hash32 h;
	if (text.size() != h.raw.size() * 2 || !decode_hex(text, h.raw.data())) return std::nullopt;
	return h;
}

} // namespace xet
