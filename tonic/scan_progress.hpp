#pragma once
// Counts what a scan has done and reports it some ten times a second. Used by scans.
//
// Thread rule: the counters may be raised from any thread, report() is called by the scan's own thread only.

#include "tonic/scan.hpp"

#include <atomic>
#include <chrono>

namespace tonic {

class progress_meter
{
public:
	explicit progress_meter(scan_options const& options) : m_callback(options.progress), m_stop(options.stop) {}

	std::atomic<std::uint64_t> files_done{0};
	std::atomic<std::uint64_t> bytes_done{0};
	std::uint64_t files_total = 0;
	std::uint64_t bytes_total = 0;

	bool stopped() const { return m_stop && m_stop->load(std::memory_order_relaxed); }

	void report(bool now = false)
	{
		if (!m_callback) return;
		auto const time = std::chrono::steady_clock::now();
		if (!now && time - m_last < std::chrono::milliseconds(100)) return;
		m_last = time;
		m_callback({files_done, bytes_done, files_total, bytes_total});
	}

private:
	std::function<void(scan_progress const&)> const& m_callback;
	std::atomic<bool> const* m_stop;
	std::chrono::steady_clock::time_point m_last = std::chrono::steady_clock::now();
};

} // namespace tonic
