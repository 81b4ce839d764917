// xetd: a node without a user interface. A libtorrent session with the plugin, until SIGTERM.

#include "plugin/config.hpp"
#include "plugin/node.hpp"
#include "tools/common/terminal.hpp"
#include "tonic/tonic_file.hpp"

#include <libtorrent/alert_types.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#include <charconv>
#include <csignal>
#include <ctime>
#include <iostream>
#include <malloc.h>
#include <thread>

namespace {

using namespace std::chrono_literals;

struct arguments
{
	std::filesystem::path data = tools::default_data_dir();
	std::string listen;
	std::filesystem::path config;
	bool no_dht = false, no_lsd = false, no_upnp = false, foreground = false;
};

void log_line(int severity, std::string const& line)
{
	static char const* const names[] = {"", "warning: ", "error: "};
	char stamp[32];
	std::time_t const now = std::time(nullptr);
	std::tm tm{};
	std::strftime(stamp, sizeof stamp, "%F %T", ::localtime_r(&now, &tm));
	std::cerr << xet::cat(stamp, " ", names[severity], line, "\n") << std::flush;
}

// "127.0.0.1:0", "[::1]:6881"
std::optional<std::pair<std::string, int>> split_address(std::string const& text)
{
	auto const colon = text.rfind(':');
	if (colon == std::string::npos) return std::nullopt;
	std::string host = text.substr(0, colon);
	if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
	boost::system::error_code ec;
	(void)boost::asio::ip::make_address(host, ec);
	int port = -1;
	auto const [end, bad] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
	if (ec || bad != std::errc() || end != text.data() + text.size() || port < 0 || port > 65535) return std::nullopt;
	return std::pair(text.substr(0, colon), port);
}

lt::settings_pack session_settings(ut_xet::config const& c, arguments const& a)
{
	using sp = lt::settings_pack;
	sp s;
	s.set_str(sp::user_agent, "ut_xet/0.1 libtorrent/" LIBTORRENT_VERSION);
	s.set_str(sp::peer_fingerprint, "-XT0100-");
	s.set_int(sp::alert_mask, lt::alert_category::error | lt::alert_category::status);
	s.set_bool(sp::enable_dht, c.enable_dht && !a.no_dht);
	s.set_bool(sp::enable_lsd, c.enable_lsd && !a.no_lsd);
	s.set_bool(sp::enable_upnp, c.enable_upnp && !a.no_upnp);
	s.set_bool(sp::enable_natpmp, c.enable_upnp && !a.no_upnp);
	// several nodes behind one address (a household, a test) are different peers
	s.set_bool(sp::allow_multiple_connections_per_ip, true);
	// TCP, unless told otherwise: it carries chunks at tens of times uTP's rate (libtorrent 2.0.8)
	s.set_bool(sp::enable_outgoing_utp, c.outgoing != "tcp");
	s.set_bool(sp::enable_outgoing_tcp, c.outgoing != "utp");
	if (c.encryption != "allowed")
	{
		int const policy = c.encryption == "required" ? sp::pe_forced : sp::pe_disabled;
		s.set_int(sp::out_enc_policy, policy);
		s.set_int(sp::in_enc_policy, policy);
		// forced, but with the stream left plain, would be a handshake for show
		s.set_int(sp::allowed_enc_level, c.encryption == "required" ? sp::pe_rc4 : sp::pe_both);
	}
	// folders live by finding each other again quickly
	s.set_int(sp::min_reconnect_time, 1);
	s.set_int(sp::max_failcount, 50);
	s.set_int(sp::peer_connect_timeout, 7);
	s.set_int(sp::upload_rate_limit, c.upload_limit);
	s.set_int(sp::download_rate_limit, c.download_limit);
	// carriers are tiny: no need for many disk threads
	s.set_int(sp::aio_threads, 1);
	s.set_int(sp::hashing_threads, 1);
	s.set_int(sp::send_buffer_watermark, 1024 * 1024);
	s.set_bool(sp::announce_to_all_trackers, true);
	return s;
}

// libtorrent leaves peers on the local network out of its limits; whoever sets one means all peers.
void limit_local_peers(lt::session& ses, ut_xet::config const& c)
{
	auto const local = lt::session::local_peer_class_id;
	auto info = ses.get_peer_class(local);
	info.upload_limit = c.upload_limit;
	info.download_limit = c.download_limit;
	ses.set_peer_class(local, info);
}

// A port chosen by the system is kept for the node's next start: peers remember it.
int remembered_port(std::filesystem::path const& data)
{
	auto const text = tonic::read_whole_file(data / "port", 64);
	return text ? std::atoi(text->c_str()) : 0;
}

int wait_for_port(lt::session& ses, std::string& problem)
{
	auto until = std::chrono::steady_clock::now() + 5s;
	while (std::chrono::steady_clock::now() < until)
	{
		ses.wait_for_alert(50ms);
		std::vector<lt::alert*> alerts;
		ses.pop_alerts(&alerts);
		for (lt::alert* a : alerts)
		{
			if (auto const* failed = lt::alert_cast<lt::listen_failed_alert>(a))
			{
				problem = failed->error.message();
				// another address of this machine may still be good
				until = std::min(until, std::chrono::steady_clock::now() + 300ms);
			}
			if (auto const* good = lt::alert_cast<lt::listen_succeeded_alert>(a))
				if (good->socket_type == lt::socket_type_t::tcp) return good->port;
		}
	}
	return 0;
}

lt::session start_session(lt::settings_pack settings, std::string const& host, int port)
{
	settings.set_str(lt::settings_pack::listen_interfaces, xet::cat(host, ":", port));
	lt::session_params params(std::move(settings));
	return lt::session(std::move(params));
}

int run(arguments const& a)
{
	auto const config = ut_xet::load_config(a.config, a.data);
	if (!config) return tools::complain("xetd", config.error().message);
	bool const asked = !a.listen.empty();
	std::string const listen = asked ? a.listen : config->listen;
	auto const address = split_address(listen);
	if (!address)
		return tools::complain("xetd", xet::cat(asked ? "--listen " : "[network] listen = ", listen, ": give ADDR:PORT, as 127.0.0.1:0 or [::]:6881")
			, asked ? tools::usage : tools::failed);

	// before any thread starts, so that all of them leave the signals to sigwait
	sigset_t signals;
	sigemptyset(&signals);
	for (int const s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, s);
	pthread_sigmask(SIG_BLOCK, &signals, nullptr);
	std::signal(SIGPIPE, SIG_IGN);

	auto settings = session_settings(*config, a);
	auto const [host, wanted] = *address;
	bool const any = host == "0.0.0.0" || host == "[::]" || host == "::";
	if (!any) settings.set_str(lt::settings_pack::outgoing_interfaces, host.front() == '[' ? host.substr(1, host.size() - 2) : host);
	int const before = wanted == 0 ? remembered_port(a.data) : 0;
	// another port than the one somebody chose would be a surprise to his router and his friends
	bool const chosen = listen != ut_xet::config().listen;
	settings.set_int(lt::settings_pack::max_retry_port_bind, chosen ? 0 : 10);
	settings.set_bool(lt::settings_pack::listen_system_port_fallback, !chosen || wanted == 0);
	auto ses = start_session(settings, host, before != 0 ? before : wanted);
	std::string problem;
	int const port = wait_for_port(ses, problem);
	if (port == 0) return tools::complain("xetd", xet::cat("cannot listen on ", listen, ": ", problem.empty() ? "no answer" : problem));

	limit_local_peers(ses, *config);

	std::shared_ptr<ut_xet::node> node;
	try
	{
		node = ut_xet::attach(ses, {.data_dir = a.data, .config_file = a.config, .host = "xetd", .log = log_line});
	}
	catch (std::exception const& e)
	{
		return tools::complain("xetd", e.what());
	}
	if (auto const saved = tonic::write_file_atomically(a.data / "port", std::to_string(port) + "\n"); !saved)
		log_line(1, saved.error().message);

	nlohmann::ordered_json const ready{{"ready", true}, {"port", port}, {"control", node->control_path().string()}, {"node", node->id()}};
	std::cout << ready.dump() << std::endl;

	for (;;)
	{
		timespec const wait{0, 500'000'000};
		int const got = ::sigtimedwait(&signals, nullptr, &wait);
		if (got == SIGTERM || got == SIGINT) break;
		std::vector<lt::alert*> alerts;
		ses.pop_alerts(&alerts);
		for (lt::alert const* alert : alerts)
			if (alert->category() & lt::alert_category::error) log_line(1, alert->message());
	}
	log_line(0, "stopping");
	node->stop();
	return tools::ok;
}

} // namespace

int main(int argc, char** argv)
{
	// one heap for the few busy threads instead of eight per core: freed metadata is used again
	::mallopt(M_ARENA_MAX, 2);
	arguments a;
	CLI::App app("xetd: a node that shares folders and keeps them in sync, until SIGTERM");
	app.footer("Examples:\n"
		"  xetd --data ~/.local/share/ut_xet\n"
		"  xetd --data /tmp/a --listen 127.0.0.1:0 --no-dht --no-lsd --no-upnp\n"
		"Then: xet --data DIR share FOLDER, xet --data DIR join LINK DEST, xet --data DIR status");
	app.add_option("--data", a.data, "the node's data directory: key, state, control socket")->capture_default_str()
		->check([](std::string const& text) { return text.empty() ? "is empty" : ""; });
	app.add_option("--listen", a.listen, "ADDR:PORT to listen on for peers; port 0 picks one (default 0.0.0.0:6881)");
	app.add_option("--config", a.config, "configuration file (default: ut_xet.toml in the data directory, then in ~/.config/ut_xet)");
	app.add_flag("--no-dht", a.no_dht, "do not use the DHT");
	app.add_flag("--no-lsd", a.no_lsd, "do not look for peers on the local network");
	app.add_flag("--no-upnp", a.no_upnp, "do not ask the router to map the port (UPnP, NAT-PMP)");
	app.add_flag("--foreground", a.foreground, "stay in the foreground (xetd always does; for service files that say so)");
	try
	{
		app.parse(argc, argv);
	}
	catch (CLI::ParseError const& e)
	{
		return app.exit(e) == 0 ? tools::ok : tools::usage;
	}
	char const* off = std::getenv("UT_XET_DISABLE");
	if (off != nullptr && std::string(off) == "1") return tools::complain("xetd", "UT_XET_DISABLE=1 is set: nothing to do");
	try
	{
		return run(a);
	}
	catch (std::exception const& e)
	{
		return tools::complain("xetd", e.what());
	}
}
