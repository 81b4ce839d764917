#pragma once
// The control socket: a Unix socket in the data directory, one JSON object a line each way (docs/control.md).
//
// Thread rule: start and stop from one thread; every connection has a thread of its own.

#include "plugin/log.hpp"
#include "tonic/folder_fs.hpp"

#include <filesystem>
#include <list>
#include <thread>

namespace ut_xet {

class node;

class control_server
{
public:
	control_server(node& n, logger& log);
	~control_server();

	// A socket left by a node that was killed is replaced: the data directory's lock says that none runs.
	xet::result<> start(std::filesystem::path const& path);
	void stop();

private:
	struct connection
	{
		tonic::file_descriptor fd;
		std::thread thread;
		std::atomic<bool> done{false};
	};

	void accept_loop();
	void serve(connection& c);
	void reap(bool all);

	node& m_node;
	logger& m_log;
	std::filesystem::path m_path;
	tonic::file_descriptor m_listener, m_wake;
	std::thread m_thread;
	std::atomic<bool> m_stop{false};
	std::mutex m_mutex;
	std::list<connection> m_connections;
};

} // namespace ut_xet
