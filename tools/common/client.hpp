#pragma once
// The other end of a node's control socket (docs/control.md).

#include "xet/error.hpp"

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace tools {

// Sends one request to the node of data_dir and returns its result. on_event sees every {"event":…} line before that.
// Errors: not_found with a line that says how to start a node when none runs; otherwise the node's own.
xet::result<nlohmann::ordered_json> ask_node(std::filesystem::path const& data_dir, nlohmann::ordered_json const& request
	, std::function<void(nlohmann::ordered_json const&)> const& on_event = {});

// Whether somebody listens at the control socket.
bool node_runs(std::filesystem::path const& data_dir);

// The same for what concerns the store and old versions, and stats: without a node the data directory itself is opened.
xet::result<nlohmann::ordered_json> ask_store(std::filesystem::path const& data_dir, nlohmann::ordered_json const& request
	, std::function<void(nlohmann::ordered_json const&)> const& on_event = {});

} // namespace tools
