#include "tonic/link.hpp"

#include "tonic/limits.hpp"
#include "tonic_testing.hpp"

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/magnet_uri.hpp>

namespace tonic {
namespace {

using namespace testing;

carrier_info test_info(std::string const& name = "R&D 100% \"caf\xc3\xa9\" + x=y?#")
{
	carrier_info info;
	info.name = name;
	info.author = test_key().pub();
	info.salt = folder_salt(name);
	info.folder = folder_id(info.author, info.salt);
	return info;
}

std::string const hash_hex = "0123456789abcdef0123456789abcdef01234567";
std::vector<std::string> const trackers{"udp://tracker.example:1337/announce?a=b&c=d", "https://t.example/x+y"};
std::vector<std::string> const peers{"192.0.2.1:6881", "[2001:db8::1]:80", "host-1.example:1"};

xet::errc code_of_link(std::string_view text)
{
	auto const link = parse_link(text);
	EXPECT_FALSE(link) << text;
	return link ? xet::errc::cancelled : link.error().code;
}

TEST(link, magnet_round_trip)
{
	auto const name = test_info().name;
	auto const text = magnet_link(hash_hex, name, trackers, peers);
	auto const link = parse_link(text);
	ASSERT_TRUE(link) << link.error().message;
	EXPECT_FALSE(link->is_tonic());
	EXPECT_EQ(link->info_hash, hash_hex);
	EXPECT_EQ(link->name, name);
	EXPECT_EQ(link->trackers, trackers);
	EXPECT_EQ(link->peers, peers);
	EXPECT_EQ(link->info, carrier_info());
}

TEST(link, libtorrent_reads_our_magnet)
{
	lt::error_code ec;
	auto const p = lt::parse_magnet_uri(magnet_link(hash_hex, "a b&c", trackers, {"192.0.2.1:6881", "[2001:db8::1]:80"}), ec);
	ASSERT_FALSE(ec) << ec.message();
	EXPECT_EQ(xet::to_hex({reinterpret_cast<std::uint8_t const*>(p.info_hashes.v1.data()), 20}), hash_hex);
	EXPECT_EQ(p.name, "a b&c");
	EXPECT_EQ(p.trackers, trackers);
	EXPECT_EQ(p.peers.size(), 2u);
}

TEST(link, tonic_round_trip)
{
	auto const info = test_info();
	auto const text = tonic_link(info, trackers, peers);
	auto const link = parse_link(text);
	ASSERT_TRUE(link) << link.error().message;
	EXPECT_TRUE(link->is_tonic());
	EXPECT_EQ(link->info, info);
	EXPECT_EQ(link->name, info.name);
	EXPECT_EQ(link->trackers, trackers);
	EXPECT_EQ(link->peers, peers);

	std::string other = text;
	other.replace(0, 7, "tonic?:");
	EXPECT_EQ(parse_link(other)->info, info);
	EXPECT_EQ(parse_link(" " + text + "\n")->info, info) << "as pasted";
}

TEST(link, other_spellings)
{
	EXPECT_EQ(parse_link("MAGNET:?XT=x&xt=URN:BTIH:" "0123456789ABCDEF0123456789ABCDEF01234567")->info_hash, hash_hex);
	EXPECT_EQ(parse_link("magnet:?xt=urn:btih:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH")->info_hash, hash_hex) << "base32";
	EXPECT_EQ(parse_link("magnet:?xt.1=urn:btih:" + hash_hex + "&tr.7=udp%3A%2F%2Fa%3A1&unknown=%00&flag&&x=&dn=a+b%2Bc")->name, "a b+c");
	EXPECT_EQ(parse_link("magnet:?xt=urn%3Abtih%3A" + hash_hex)->info_hash, hash_hex);
	EXPECT_TRUE(parse_link("magnet:?xt=urn:btih:" + hash_hex + "&xt=urn:btmh:1220" + std::string(64, 'a'))) << "a hybrid has a v1 hash";
}

TEST(link, refused)
{
	auto const magnet = "magnet:?xt=urn:btih:" + hash_hex;
	for (std::string const& text : {std::string(), std::string("http://example"), std::string("magnet:"), std::string("magnet:?dn=x")
		, std::string("magnet:?xt=urn:btih:"), std::string("magnet:?xt=urn:btih:") + std::string(39, 'a'), "magnet:?xt=urn:btih:" + std::string(40, 'g')
		, "magnet:?xt=urn:btih:" + std::string(32, '1'), magnet + "&xt=urn:btih:" + std::string(40, 'a')
		, magnet + "&dn=a%00b", magnet + "&dn=a%0ab", magnet + "&dn=a%7f", magnet + "&dn=..", magnet + "&dn=a%2fb", magnet + "&dn=.ssh", magnet + "&dn=%ff"
		, magnet + "&dn=%", magnet + "&dn=%4", magnet + "&dn=%zz", magnet + "&tr=nothing", magnet + "&tr=udp://", magnet + "&tr=udp://a%0a"
		, magnet + "&x.pe=host", magnet + "&x.pe=host:", magnet + "&x.pe=host:0", magnet + "&x.pe=host:65536", magnet + "&x.pe=:80"
		, magnet + "&x.pe=::1:80", magnet + "&x.pe=[::1:80", magnet + "&x.pe=[]:80", magnet + "&x.pe=a%20b:80", magnet + "&x.pe=host:-1"
		, magnet + "&x.pe=[host]:1"})
		EXPECT_EQ(code_of_link(text), xet::errc::invalid) << text;
	EXPECT_EQ(code_of_link("magnet:?xt=urn:btmh:1220" + std::string(64, 'a')), xet::errc::unsupported);
	EXPECT_EQ(code_of_link(magnet + "&x=" + std::string(max_link_bytes, 'a')), xet::errc::limit);
}

TEST(link, tonic_links_must_fit_together)
{
	auto const info = test_info("photos");
	auto const whole = tonic_link(info, {});
	auto const without = [&](std::string const& key) {
		auto text = whole;
		auto const from = text.find(key + "=");
		text.erase(from, text.find('&', from) - from);
		return text;
	};
	for (auto const* key : {"xt", "pk", "salt", "dn"}) EXPECT_EQ(code_of_link(without(key)), xet::errc::invalid) << key;

	auto const swapped = [&](std::string const& from, std::string const& to) {
		auto text = whole;
		return text.replace(text.find(from), from.size(), to);
	};
	EXPECT_EQ(code_of_link(swapped(xet::to_hex(info.author), xet::to_hex(test_key(2).pub()))), xet::errc::mismatch);
	EXPECT_EQ(code_of_link(swapped(xet::to_hex(info.salt), "00")), xet::errc::mismatch);
	EXPECT_EQ(code_of_link(swapped(info.folder, hash_hex)), xet::errc::mismatch);
	EXPECT_EQ(code_of_link(swapped(xet::to_hex(info.salt), "0")), xet::errc::invalid);
	EXPECT_EQ(code_of_link(swapped(xet::to_hex(info.salt), std::string(130, 'a'))), xet::errc::invalid);
	EXPECT_EQ(code_of_link(swapped(info.folder, info.folder.substr(1))), xet::errc::invalid);
}

TEST(link, looks_like_link)
{
	for (auto const* text : {"magnet:?xt", "MAGNET:?", "tonic:?xt", "tonic?:xt", "Tonic:"}) EXPECT_TRUE(looks_like_link(text)) << text;
	for (auto const* text : {"", "magnet", "photos.tonic", "tonic.torrent", "/magnet:"}) EXPECT_FALSE(looks_like_link(text)) << text;
}

} // namespace
} // namespace tonic
