// The way in: the session plugin, and the checks before it is loaded into somebody else's program.

#include "plugin/ut_xet.hpp"

#include "plugin/node.hpp"
#include "plugin/swarm.hpp"

#include <libtorrent/session.hpp>
#include <libtorrent/version.hpp>

#include <cstdlib>
#include <iostream>

namespace ut_xet {

// With another ABI version libtorrent's virtual tables differ from those of Debian's build: loading would crash later.
static_assert(TORRENT_ABI_VERSION == 1, "build with the flags of pkg-config --cflags libtorrent-rasterbar");

namespace {

class session_plugin : public lt::plugin
{
public:
	explicit session_plugin(std::shared_ptr<node> n) : m_node(std::move(n)) {}

	std::shared_ptr<lt::torrent_plugin> new_torrent(lt::torrent_handle const& torrent, lt::client_data_t) override
	{
		try
		{
			return m_node->new_torrent(torrent);
		}
		catch (std::exception const&)
		{
			return nullptr;  // the torrent works as if there were no plugin
		}
	}

	void added(lt::session_handle const& session) override
	{
		// torrents the session had before
		lt::session_handle s = session;
		for (lt::torrent_handle h : s.get_torrents())
			h.add_extension([n = m_node](lt::torrent_handle const& torrent, lt::client_data_t) { return n->new_torrent(torrent); });
	}

	void abort() override { m_node->session_ends(); }

private:
	std::shared_ptr<node> m_node;
};

std::filesystem::path default_data_dir()
{
	if (char const* dir = std::getenv("UT_XET_DATA")) return dir;
	if (char const* dir = std::getenv("XDG_DATA_HOME"); dir != nullptr && *dir == '/') return std::filesystem::path(dir) / "ut_xet";
	char const* home = std::getenv("HOME");
	return std::filesystem::path(home != nullptr ? home : "/") / ".local/share/ut_xet";
}

void log_to_stderr(int severity, std::string const& line)
{
	static char const* const names[] = {"", "warning: ", "error: "};
	std::cerr << "ut_xet: " << names[severity] << line << std::endl;
}

} // namespace

std::shared_ptr<node> attach(lt::session_handle const& session, options o)
{
	if (std::string(lt::version()) != LIBTORRENT_VERSION)
		throw std::runtime_error(xet::cat("this program runs libtorrent ", lt::version(), "; ut_xet was built for ", LIBTORRENT_VERSION));
	if (!session.is_valid()) throw std::runtime_error("the libtorrent session is not running");
	if (!o.log) o.log = log_to_stderr;
	auto made = node::create(session, std::move(o));
	if (!made) throw std::runtime_error(made.error().message);
	auto const n = std::move(*made);
	lt::session_handle s = session;
	s.add_extension(std::static_pointer_cast<lt::plugin>(std::make_shared<session_plugin>(n)));
	if (auto const started = n->start(); !started)
	{
		n->stop();
		throw std::runtime_error(started.error().message);
	}
	return n;
}

} // namespace ut_xet

bool ut_xet_attach(libtorrent::session_handle* session)
{
	char const* off = std::getenv("UT_XET_DISABLE");
	if (off != nullptr && std::string(off) == "1") return false;
	try
	{
		// kept for the life of the process: libtorrent has no way to remove a session plugin
		static std::vector<std::shared_ptr<ut_xet::node>> nodes;
		nodes.push_back(ut_xet::attach(*session, {.data_dir = ut_xet::default_data_dir(), .config_file = {}, .host = "libtorrent", .log = {}}));
		return true;
	}
	catch (std::exception const& e)
	{
		std::cerr << "ut_xet: not loaded: " << e.what() << std::endl;
		return false;
	}
}
