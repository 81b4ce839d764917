#include "tools/common/terminal.hpp"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <unistd.h>

namespace tools {

std::string human_bytes(std::uint64_t n)
{
	static char const* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = double(n);
	int unit = 0;
	while (v >= 1024 && unit < 5)
	{
		v /= 1024;
		++unit;
	}
	char out[32];
	std::snprintf(out, sizeof out, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
	return out;
}

void progress_line::show(std::string const& text)
{
	using namespace std::chrono_literals;
	bool const terminal = ::isatty(STDERR_FILENO) != 0;
	auto const now = std::chrono::steady_clock::now();
	if (now - m_last < (terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(1000)) || text == m_text) return;
	m_last = now;
	m_text = text;
	if (terminal)
	{
		std::cerr << '\r' << text << "\x1b[K" << std::flush;
		m_shown = true;
	}
	else std::cerr << text << std::endl;
}

void progress_line::clear()
{
	if (std::exchange(m_shown, false)) std::cerr << "\r\x1b[K" << std::flush;
}

int complain(std::string const& program, std::string const& message, int code)
{
	std::cerr << program << ": " << message << std::endl;
	return code;
}

std::filesystem::path default_data_dir()
{
	if (char const* dir = std::getenv("UT_XET_DATA")) return dir;
	if (char const* dir = std::getenv("XDG_DATA_HOME"); dir != nullptr && *dir == '/') return std::filesystem::path(dir) / "ut_xet";
	char const* home = std::getenv("HOME");
	return std::filesystem::path(home != nullptr ? home : "/") / ".local/share/ut_xet";
}

} // namespace tools
