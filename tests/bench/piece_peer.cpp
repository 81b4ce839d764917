// libtorrent's own piece download, well tuned, as the reference of tools/bench wire. Two of these are its two processes:
//   piece_peer make FILE TORRENT                    a v1 torrent with 1 MiB pieces
//   piece_peer seed TORRENT DIR TRANSPORT           prints {"port":N}, serves until its standard input ends
//   piece_peer fetch TORRENT DIR TRANSPORT PORT     prints {"seconds":S,"cpu":C} when every piece is there and checked
// TRANSPORT: tcp, utp or encrypted (RC4 over TCP). Seconds run from the connection to the torrent being finished; the CPU time is
// that of this process within them.

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/create_torrent.hpp>
#include <libtorrent/load_torrent.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/torrent_info.hpp>

#include <cstdio>
#include <fstream>
#include <string>
#include <sys/resource.h>

namespace {

using sp = lt::settings_pack;
using clock_type = std::chrono::steady_clock;

constexpr int piece_bytes = 1024 * 1024;

double cpu_seconds()
{
	rusage u{};
	::getrusage(RUSAGE_SELF, &u);
	return double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// What a fast transfer of a large file asks for; the values are those a prototype was tuned to.
sp settings(std::string const& transport)
{
	sp s;
	s.set_str(sp::listen_interfaces, "127.0.0.1:0");
	for (int const off : {sp::enable_dht, sp::enable_lsd, sp::enable_upnp, sp::enable_natpmp}) s.set_bool(off, false);
	s.set_bool(sp::allow_multiple_connections_per_ip, true);
	s.set_int(sp::alert_mask, lt::alert_category::error | lt::alert_category::status | lt::alert_category::connect);
	s.set_int(sp::send_buffer_watermark, 4 * 1024 * 1024);
	s.set_int(sp::send_buffer_low_watermark, 1024 * 1024);
	s.set_int(sp::max_out_request_queue, 2000);
	s.set_int(sp::max_allowed_in_request_queue, 4000);
	s.set_int(sp::max_queued_disk_bytes, 32 * 1024 * 1024);
	s.set_int(sp::aio_threads, 4);
	s.set_int(sp::hashing_threads, 2);
	s.set_int(sp::unchoke_slots_limit, -1);
	bool const utp = transport == "utp";
	for (int const b : {sp::enable_outgoing_utp, sp::enable_incoming_utp}) s.set_bool(b, utp);
	for (int const b : {sp::enable_outgoing_tcp, sp::enable_incoming_tcp}) s.set_bool(b, !utp);
	int const policy = transport == "encrypted" ? sp::pe_forced : sp::pe_disabled;
	s.set_int(sp::out_enc_policy, policy);
	s.set_int(sp::in_enc_policy, policy);
	s.set_int(sp::allowed_enc_level, transport == "encrypted" ? sp::pe_rc4 : sp::pe_both);
	return s;
}

int make(std::string const& file, std::string const& torrent)
{
	lt::file_storage files;
	lt::add_files(files, file, lt::create_torrent::v1_only);
	lt::create_torrent t(files, piece_bytes, lt::create_torrent::v1_only);
	lt::error_code ec;
	lt::set_piece_hashes(t, file.substr(0, file.rfind('/')), ec);
	if (ec) return std::fprintf(stderr, "%s: %s\n", file.c_str(), ec.message().c_str()), 1;
	std::ofstream out(torrent, std::ios::binary);
	lt::bencode(std::ostream_iterator<char>(out), t.generate());
	return out.good() ? 0 : 1;
}

lt::torrent_handle add(lt::session& ses, std::string const& torrent, std::string const& dir, bool seed)
{
	auto p = lt::load_torrent_file(torrent);
	p.save_path = dir;
	p.flags &= ~(lt::torrent_flags::auto_managed | lt::torrent_flags::paused);
	if (seed) p.flags |= lt::torrent_flags::seed_mode;
	return ses.add_torrent(std::move(p));
}

template <class Alert>
Alert const* wait_for(lt::session& ses, clock_type::time_point& when)
{
	static std::vector<lt::alert*> alerts;
	for (auto const until = clock_type::now() + std::chrono::minutes(10); clock_type::now() < until;)
	{
		ses.wait_for_alert(std::chrono::milliseconds(500));
		when = clock_type::now();
		ses.pop_alerts(&alerts);
		for (lt::alert* a : alerts)
		{
			if (auto const* found = lt::alert_cast<Alert>(a)) return found;
			if (a->category() & lt::alert_category::error) std::fprintf(stderr, "%s\n", a->message().c_str());
		}
	}
	return nullptr;
}

int seed(std::string const& torrent, std::string const& dir, std::string const& transport)
{
	lt::session ses{lt::session_params(settings(transport))};
	clock_type::time_point when;
	auto const* listening = wait_for<lt::listen_succeeded_alert>(ses, when);
	if (listening == nullptr) return 1;
	int const port = listening->port;
	add(ses, torrent, dir, true);
	std::printf("{\"port\":%d}\n", port);
	std::fflush(stdout);
	while (std::getchar() != EOF) {}
	return 0;
}

int fetch(std::string const& torrent, std::string const& dir, std::string const& transport, int port)
{
	lt::session ses{lt::session_params(settings(transport))};
	auto const t = add(ses, torrent, dir, false);
	clock_type::time_point begin, end;
	// the empty torrent is checked first, which is not the transfer's time
	if (wait_for<lt::torrent_checked_alert>(ses, begin) == nullptr) return 1;
	t.connect_peer({lt::make_address("127.0.0.1"), std::uint16_t(port)});
	if (wait_for<lt::peer_connect_alert>(ses, begin) == nullptr) return 1;
	double const cpu = cpu_seconds();
	if (wait_for<lt::torrent_finished_alert>(ses, end) == nullptr) return 1;
	std::printf("{\"seconds\":%.6f,\"cpu\":%.3f}\n", std::chrono::duration<double>(end - begin).count(), cpu_seconds() - cpu);
	return 0;
}

} // namespace

int main(int argc, char** argv)
{
	std::vector<std::string> const a(argv + 1, argv + argc);
	if (a.size() == 3 && a[0] == "make") return make(a[1], a[2]);
	if (a.size() == 4 && a[0] == "seed") return seed(a[1], a[2], a[3]);
	if (a.size() == 5 && a[0] == "fetch") return fetch(a[1], a[2], a[3], std::stoi(a[4]));
	std::fprintf(stderr, "usage: piece_peer make FILE TORRENT | seed TORRENT DIR TRANSPORT | fetch TORRENT DIR TRANSPORT PORT\n");
	return 2;
}
