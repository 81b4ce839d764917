#include "tonic/carrier.hpp"

#include "tonic_testing.hpp"

#include <libtorrent/announce_entry.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/bdecode.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/hasher.hpp>
#include <libtorrent/torrent_info.hpp>

namespace tonic {
namespace {

using namespace testing;

carrier_info test_info(std::string const& name = "Caf\xc3\xa9 photos")
{
	carrier_info info;
	info.name = name;
	info.author = test_key().pub();
	info.salt = folder_salt(name);
	info.folder = folder_id(info.author, info.salt);
	return info;
}

std::vector<std::string> const trackers{"udp://a.example:1/announce", "http://b.example/announce"};

std::string encoded(lt::entry const& e)
{
	std::string ret;
	lt::bencode(std::back_inserter(ret), e);
	return ret;
}

lt::entry decoded_info(carrier const& c)
{
	lt::error_code ec;
	return lt::entry(lt::bdecode({c.torrent.data(), std::ptrdiff_t(c.torrent.size())}, ec))["info"];
}

TEST(carrier, libtorrent_loads_it_as_a_v1_torrent_with_one_small_file)
{
	auto const info = test_info();
	auto const c = make_carrier(info, trackers);
	lt::error_code ec;
	lt::torrent_info const ti(lt::span<char const>(c.torrent.data(), std::ptrdiff_t(c.torrent.size())), ec, lt::from_span);
	ASSERT_FALSE(ec) << ec.message();
	EXPECT_TRUE(ti.v1());
	EXPECT_FALSE(ti.v2());
	EXPECT_EQ(ti.num_files(), 1);
	EXPECT_EQ(ti.num_pieces(), 1);
	EXPECT_EQ(ti.piece_length(), 16384);
	EXPECT_EQ(ti.total_size(), std::int64_t(c.descriptor.size()));
	EXPECT_EQ(ti.name(), c.descriptor_name);
	EXPECT_EQ(ti.files().file_path(lt::file_index_t(0)), c.descriptor_name);
	EXPECT_EQ(c.descriptor_name, info.name + ".xet.txt");
	EXPECT_EQ(ti.hash_for_piece(lt::piece_index_t(0)), lt::hasher(c.descriptor).final());
	EXPECT_EQ(xet::to_hex({reinterpret_cast<std::uint8_t const*>(ti.info_hashes().v1.data()), 20}), c.info_hash);
	ASSERT_EQ(ti.trackers().size(), 2u);
	EXPECT_EQ(ti.trackers()[1].url, trackers[1]);

	auto const section = ti.info_section();
	auto const read = read_carrier_info({section.data(), std::size_t(section.size())});
	ASSERT_TRUE(read) << read.error().message;
	EXPECT_EQ(*read, info);
}

TEST(carrier, file_round_trip)
{
	for (auto const& list : {trackers, std::vector<std::string>(), std::vector<std::string>{"udp://a:1"}})
	{
		auto const read = read_carrier(make_carrier(test_info(), list).torrent);
		ASSERT_TRUE(read) << read.error().message;
		EXPECT_EQ(read->info, test_info());
		EXPECT_EQ(read->trackers, list);
	}
}

TEST(carrier, the_info_dictionary_depends_on_nothing_but_the_folder)
{
	auto const one = make_carrier(test_info(), trackers), two = make_carrier(test_info(), {});
	EXPECT_EQ(one.info_hash, two.info_hash);
	EXPECT_EQ(one.descriptor, two.descriptor);
	EXPECT_NE(one.info_hash, make_carrier(test_info("other"), {}).info_hash);
}

// A swarm is found by this hash: when this fails, every folder that exists would be cut off from its peers.
TEST(carrier, info_hash_is_stable)
{
	carrier_info info;
	info.name = "stable";
	info.author = test_key(9).pub();
	info.salt = folder_salt("stable");
	info.folder = std::string(40, '0');
	EXPECT_EQ(make_carrier(info, {}).info_hash, "2b66b6e2f119097011549d8b7e20452ef63bb3fe");
}

TEST(carrier, the_descriptor_tells_a_person_what_it_is)
{
	auto const c = make_carrier(test_info(std::string(200, 'x')), {});
	EXPECT_LE(c.descriptor.size(), 16384u);
	for (auto const& word : {std::string("shared folder"), test_info(std::string(200, 'x')).folder, std::string("ut_xet")})
		EXPECT_NE(c.descriptor.find(word), std::string::npos) << word;
	EXPECT_EQ(c.descriptor.back(), '\n');
}

TEST(carrier, ordinary_torrents_are_not_found_rather_than_invalid)
{
	auto info = decoded_info(make_carrier(test_info(), {}));
	info.dict().erase("xet");
	EXPECT_EQ(read_carrier_info(encoded(info)).error().code, xet::errc::not_found);
	EXPECT_EQ(read_carrier_info("d1:b1:x1:a1:ye").error().code, xet::errc::not_found) << "not canonical, but not ours either";
	lt::entry torrent;
	torrent["info"] = info;
	EXPECT_EQ(read_carrier(encoded(torrent)).error().code, xet::errc::not_found);
}

TEST(carrier, refuses_what_does_not_fit_together)
{
	auto const good = decoded_info(make_carrier(test_info(), {}));
	ASSERT_TRUE(read_carrier_info(encoded(good)));
	auto const changed = [&](auto change) {
		lt::entry e = good;
		change(e);
		auto const read = read_carrier_info(encoded(e));
		EXPECT_FALSE(read);
		return read ? xet::errc::cancelled : read.error().code;
	};
	for (auto const* key : {"folder", "name", "pk", "salt", "v"})
	{
		EXPECT_EQ(changed([&](lt::entry& e) { e["xet"].dict().erase(key); }), xet::errc::invalid) << key;
		EXPECT_EQ(changed([&](lt::entry& e) { e["xet"][key] = lt::entry::list_type(); }), xet::errc::invalid) << key;
	}
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"] = 1; }), xet::errc::invalid);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["v"] = 2; }), xet::errc::unsupported);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["name"] = "../x"; }), xet::errc::invalid);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["name"] = std::string("a\0b", 3); }), xet::errc::invalid);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["salt"] = ""; }), xet::errc::invalid);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["salt"] = std::string(65, 's'); }), xet::errc::invalid);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["salt"] = "other"; }), xet::errc::mismatch);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["pk"] = std::string(32, 'p'); }), xet::errc::mismatch);
	EXPECT_EQ(changed([](lt::entry& e) { e["xet"]["folder"] = std::string(40, '0'); }), xet::errc::mismatch);
	EXPECT_EQ(changed([](lt::entry& e) { e["length"] = std::int64_t(1) << 40; }), xet::errc::invalid) << "a whole film is no descriptor";
	EXPECT_EQ(changed([](lt::entry& e) { e.dict().erase("length"); }), xet::errc::invalid) << "several files";
}

TEST(carrier, survives_any_cut_and_any_flip)
{
	auto const whole = make_carrier(test_info(), trackers).torrent;
	for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(read_carrier(std::string_view(whole).substr(0, n)));
	for (std::size_t i = 0; i < whole.size(); ++i)
		for (int const bit : {0, 1, 4, 7})
		{
			auto text = whole;
			text[i] = char(text[i] ^ (1 << bit));
			auto const read = read_carrier(text);
			EXPECT_TRUE(!read || read->info.folder == test_info().folder);
		}
	EXPECT_FALSE(read_carrier(std::string(1'000'000, 'd')));
	EXPECT_FALSE(read_carrier(std::string(1'000'000, 'l')));
}

} // namespace
} // namespace tonic
