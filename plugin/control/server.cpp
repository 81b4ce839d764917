#include "plugin/control/server.hpp"

#include "plugin/control/commands.hpp"
#include "plugin/control/unix_socket.hpp"
#include "plugin/limits.hpp"
#include "plugin/node.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ut_xet {

namespace {

bool write_all(int fd, std::string_view text)
{
	while (!text.empty())
	{
		auto const n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return false;
		text.remove_prefix(std::size_t(n));
	}
	return true;
}

} // namespace

control_server::control_server(node& n, logger& log) : m_node(n), m_log(log) {}

control_server::~control_server()
{
	stop();
}

xet::result<> control_server::start(std::filesystem::path const& path)
{
	auto fd = listen_unix(path);
	if (!fd) return tl::unexpected(fd.error());
	m_path = path;
	m_listener = std::move(*fd);
	m_wake = tonic::file_descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	m_thread = std::thread([this] { accept_loop(); });
	return {};
}

void control_server::stop()
{
	if (m_stop.exchange(true) || !m_thread.joinable()) return;
	std::uint64_t const one = 1;
	(void)!::write(m_wake.get(), &one, sizeof one);
	m_thread.join();
	reap(true);
	::unlink(m_path.c_str());
}

void control_server::accept_loop()
{
	while (!m_stop)
	{
		pollfd waiting[2] = {{m_listener.get(), POLLIN, 0}, {m_wake.get(), POLLIN, 0}};
		if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
		if (m_stop) return;
		reap(false);
		if (!(waiting[0].revents & POLLIN)) continue;
		tonic::file_descriptor fd(::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
		if (!fd) continue;
		std::lock_guard const lock(m_mutex);
		if (m_connections.size() >= max_control_connections)
		{
			write_all(fd.get(), "{\"ok\":false,\"code\":\"busy\",\"error\":\"too many control connections\"}\n");
			continue;
		}
		auto& c = m_connections.emplace_back();
		c.fd = std::move(fd);
		c.thread = std::thread([this, &c] {
			serve(c);
			c.done = true;
		});
	}
}

void control_server::reap(bool all)
{
	std::list<connection> ended;
	{
		std::lock_guard const lock(m_mutex);
		for (auto i = m_connections.begin(); i != m_connections.end();)
		{
			auto const next = std::next(i);
			if (all) ::shutdown(i->fd.get(), SHUT_RDWR);
			if (all || i->done) ended.splice(ended.end(), m_connections, i);
			i = next;
		}
	}
	for (auto& c : ended) c.thread.join();
}

void control_server::serve(connection& c)
{
	std::string pending;
	char buffer[4096];
	while (!m_stop)
	{
		auto const n = ::recv(c.fd.get(), buffer, sizeof buffer, 0);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return;
		pending.append(buffer, std::size_t(n));
		for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n'))
		{
			std::string const line = pending.substr(0, end);
			pending.erase(0, end + 1);
			auto const answered = answer(m_node, line, [&](std::string const& out) { return !m_stop && write_all(c.fd.get(), out + "\n"); });
			if (!answered) return;
		}
		if (pending.size() > max_control_request_bytes)
		{
			write_all(c.fd.get(), "{\"ok\":false,\"code\":\"limit\",\"error\":\"request over 1 MiB\"}\n");
			return;
		}
	}
}

} // namespace ut_xet
