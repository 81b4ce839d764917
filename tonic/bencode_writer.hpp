#pragma once
// Bencoding written as it goes, straight into one string: libtorrent's entry would need hundreds of megabytes for a folder
// of 100,000 files. Writing the keys of a dictionary in their order is the caller's duty.

#include "xet/bytes.hpp"

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace tonic {

class bencode_writer
{
public:
	explicit bencode_writer(std::string& out) : m_out(out) {}

	void begin_dict() { m_out += 'd'; }
	void begin_list() { m_out += 'l'; }
	void end() { m_out += 'e'; }

	void string(std::string_view s)
	{
		decimal(s.size());
		m_out += ':';
		m_out += s;
	}
	void string(xet::bytes_view b) { string(xet::as_text(b)); }
	void key(std::string_view k) { string(k); }

	template <class Integer>
	void integer(Integer v)
	{
		m_out += 'i';
		decimal(v);
		m_out += 'e';
	}

	// the two commonest pairs in one call
	template <class Integer>
	void pair(std::string_view k, Integer v) requires std::is_integral_v<Integer>
	{
		key(k);
		integer(v);
	}
	void pair(std::string_view k, std::string_view v)
	{
		key(k);
		string(v);
	}
	void pair(std::string_view k, xet::bytes_view v) { pair(k, xet::as_text(v)); }

private:
	template <class Integer>
	void decimal(Integer v)
	{
		char digits[24];
		auto const end = std::to_chars(digits, digits + sizeof digits, v).ptr;
		m_out.append(digits, end);
	}

	std::string& m_out;
};

} // namespace tonic
