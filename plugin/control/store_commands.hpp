#pragma once
// What can be asked of a node's store and of its folders' old versions (docs/control.md). The same code answers over a running node's
// control socket and inside a command that looks at the data directory of a node that does not run.

#include "plugin/node_store.hpp"

#include <nlohmann/json.hpp>

namespace ut_xet {

// Sends {"event":…} lines; false when nobody listens any more.
using event_sender = std::function<bool(nlohmann::ordered_json const&)>;

bool is_store_command(std::string const& name);
// q.cmd is one of them. Throws nlohmann::json::exception when a field is missing or of the wrong type.
xet::result<nlohmann::ordered_json> answer_store(node_store& s, nlohmann::ordered_json const& q, event_sender const& send);

// The figures of `stats` that concern the store and what the folders' files hold.
xet::result<nlohmann::ordered_json> store_figures(node_store& s);

// Names are bytes, JSON is text.
std::string text_of(std::string const& name);
std::string bytes_of(nlohmann::ordered_json const& q, std::string const& key);  // KEY_hex has what would not be text

xet::result<nlohmann::ordered_json> do_versions(node_store& s, nlohmann::ordered_json const& q, event_sender const& send);
xet::result<nlohmann::ordered_json> do_restore(node_store& s, nlohmann::ordered_json const& q, event_sender const& send);

} // namespace ut_xet
