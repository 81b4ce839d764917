#pragma once
// ut_xet: folders that stay in sync, inside any libtorrent client. Load it like this:
//
//   lt::session ses;
//   ut_xet::attach(ses, {.data_dir = "/home/me/.local/share/ut_xet"});
//
// One session with the plugin is one node: one data directory, one control socket (data_dir/control.sock, `xet status`).
// Attach before or after adding torrents. Nothing it does blocks the session's network thread, and no exception leaves it.
// UT_XET_DISABLE=1 in the environment turns all of it off.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace libtorrent {
struct session_handle;
}

namespace ut_xet {

class node;

struct options
{
	std::filesystem::path data_dir;
	std::filesystem::path config_file;  // empty: ut_xet.toml where it is looked for by default
	std::string host = "libtorrent";  // the program this runs in, as `xet status` shows it
	// one line of the log; severity 0 info, 1 warning, 2 error; by default to stderr
	std::function<void(int severity, std::string const&)> log;
};

// Makes a node of the session. Throws std::runtime_error with the reason (data directory in use or not writable, a
// libtorrent this was not built for). Never call it from the network thread.
std::shared_ptr<node> attach(libtorrent::session_handle const& session, options o);

} // namespace ut_xet

// The same for programs that load the library at run time: the data directory is UT_XET_DATA, or ut_xet below
// XDG_DATA_HOME. False, with a line on stderr, when it could not be attached or UT_XET_DISABLE is set.
extern "C" __attribute__((visibility("default"))) bool ut_xet_attach(libtorrent::session_handle* session);
