#pragma once
// What the programs print for people: sizes, progress on stderr, and exit codes.

#include "xet/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

namespace tools {

// do not change: scripts rely on them
enum exit_code : int { ok = 0, failed = 1, usage = 2, partly = 3 };

std::string human_bytes(std::uint64_t n);  // "1.3 GiB"

// One line on stderr, rewritten in place on a terminal, and once a second elsewhere.
class progress_line
{
public:
	~progress_line() { clear(); }
	void show(std::string const& text);
	void clear();

private:
	std::chrono::steady_clock::time_point m_last{};
	std::string m_text;
	bool m_shown = false;
};

int complain(std::string const& program, std::string const& message, int code = failed);

// UT_XET_DATA, or ut_xet below XDG_DATA_HOME or ~/.local/share.
std::filesystem::path default_data_dir();

} // namespace tools
