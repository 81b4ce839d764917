#pragma once
// Tells that something below a folder changed (inotify, recursively). What changed is found by scanning: events only say when.
//
// Thread rule: the callback comes from the watcher's own thread; start and stop from any one other thread.

#include "xet/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace tonic {

struct watch_options
{
	// quiet time after the last event before the callback
	std::chrono::milliseconds settle{100};
	// a folder that never gets quiet is reported this often
	std::chrono::milliseconds at_most{1000};
};

class watcher
{
public:
	// Starts watching root and everything below it, private_dir excepted. on_change is called after a burst of events, once.
	// on_problem is called with a line for a person (with the exact sysctl) when the system's watch limit runs out; watching
	// then goes on for the directories that got a watch, and the caller's periodic rescan finds the rest.
	static xet::result<std::unique_ptr<watcher>> start(std::filesystem::path const& root, watch_options const& options
		, std::function<void()> on_change, std::function<void(std::string)> on_problem);
	virtual ~watcher() = default;  // stops and joins: never from within a callback
};

// The line for on_problem: which limit of the system ran out, its value now, and the command that raises it.
std::string watch_limit_advice(std::uint64_t current_limit);

} // namespace tonic
