#pragma once
// The node's log: one line an event, for a person. Goes where the host says (stderr by default). Any thread.

#include "xet/error.hpp"

#include <functional>
#include <mutex>

namespace ut_xet {

enum class severity { info, warning, error };

class logger
{
public:
	using sink = std::function<void(severity, std::string const&)>;
	explicit logger(sink s) : m_sink(std::move(s)) {}

	template <class... Args>
	void info(Args const&... args) { write(severity::info, xet::cat(args...)); }
	template <class... Args>
	void warning(Args const&... args) { write(severity::warning, xet::cat(args...)); }
	template <class... Args>
	void error(Args const&... args) { write(severity::error, xet::cat(args...)); }

private:
	void write(severity s, std::string const& line)
	{
		std::lock_guard const lock(m_mutex);
		if (m_sink) m_sink(s, line);
	}

	std::mutex m_mutex;
	sink m_sink;
};

} // namespace ut_xet
