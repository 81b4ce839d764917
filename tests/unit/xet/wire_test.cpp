#include "xet/wire.hpp"

#include "../test_data.hpp"
#include "xet/limits.hpp"

#include <gtest/gtest.h>

namespace xet::wire {
namespace {

using namespace ut_xet_test;

hash32 some_hash(std::uint8_t first)
{
	hash32 h;
	for (std::size_t i = 0; i < 32; ++i) h.raw[i] = std::uint8_t(first + i);
	return h;
}

bytes hex(std::string_view text) { return *from_hex(text); }

template <class M>
M decoded(bytes const& b)
{
	auto const m = decode(b);
	EXPECT_TRUE(m.has_value()) << (m ? "" : m.error().message);
	return std::get<M>(*m);
}

// --- the table's forms, byte by byte -------------------------------------------------------------------------------------

TEST(wire, chunk_request_is_33_bytes)
{
	auto const b = encode(chunk_request{.hash = some_hash(0)});
	EXPECT_EQ(to_hex(b), "01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	auto const r = decoded<chunk_request>(b);
	EXPECT_EQ(r.form, dialect::table);
	EXPECT_EQ(r.hash, some_hash(0));
}

TEST(wire, chunk_response_carries_hash_length_data)
{
	bytes const data = {0xaa, 0xbb};
	auto const b = encode(chunk_response{some_hash(0), data});
	EXPECT_EQ(to_hex(b), "02000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00000002aabb");
	auto const r = decoded<chunk_response>(b);
	EXPECT_EQ(r.hash, some_hash(0));
	EXPECT_EQ(bytes(r.data.begin(), r.data.end()), data);
}

TEST(wire, chunk_response_length_must_be_that_of_its_data)
{
	auto b = encode(chunk_response{some_hash(0), bytes(10, 1)});
	b.push_back(0);
	EXPECT_FALSE(decode(b));
	b.resize(b.size() - 2);
	EXPECT_FALSE(decode(b));
}

TEST(wire, chunk_response_over_the_limit_is_refused)
{
	EXPECT_TRUE(decode(encode(chunk_response{some_hash(0), bytes(max_wire_chunk_bytes, 1)})));
	EXPECT_FALSE(decode(encode(chunk_response{some_hash(0), bytes(max_wire_chunk_bytes + 1, 1)})));
}

TEST(wire, folder_messages_have_their_layout)
{
	ref40 ref{};
	ref[0] = 0x41;
	EXPECT_EQ(to_hex(encode(version_request{"ab"})), "10616200");
	EXPECT_EQ(to_hex(encode(version_response{"ab", ref})), "1161620041" + std::string(78, '0'));
	EXPECT_EQ(to_hex(encode(update_notify{"ab", ref, 258})), "1261620041" + std::string(78, '0') + "0000000000000102");
	EXPECT_EQ(to_hex(encode(mode_request{"ab"})), "13616200");
	EXPECT_EQ(to_hex(encode(mode_response{"ab", 3})), "1461620003");
	EXPECT_EQ(to_hex(encode(metadata_request{"ab", 7})), "2061620000000007");
	EXPECT_EQ(to_hex(encode(metadata_response{"ab", 1, 2, 16384, bytes{9}})), "21616200000000010000000200004000" "09");
	EXPECT_EQ(to_hex(encode(metadata_not_found{"ab", 7})), "2261620000000007");
	EXPECT_EQ(to_hex(encode(bloom_request{1024})), "3000000400");
	EXPECT_EQ(to_hex(encode(bloom_response{5, bytes{1, 2}})), "3100000002000000050102");
	EXPECT_EQ(encode(chunks_added{{some_hash(1), some_hash(2)}}).size(), 65u);
}

TEST(wire, every_message_survives_a_round_trip)
{
	bytes const data = splitmix(1, 100);
	folder_head head{.id = "folder", .author = {}, .seq = 1ull << 40, .timestamp = 5, .ref = to_ref(some_hash(3))
		, .tree = {some_hash(4), 77, 2, 1ull << 33}, .hash = hash_kind::hf, .signature = {}};
	head.signature[63] = 9;
	std::vector<message> const all{chunk_request{.hash = some_hash(1)}, chunk_not_found{some_hash(1)}, chunk_error{some_hash(1), 2, "busy"}
		, version_request{"x"}, version_response{"x", to_ref(some_hash(1))}, update_notify{"x", to_ref(some_hash(1)), 99}, mode_request{"x"}
		, mode_response{"x", 1}, metadata_request{"x", 4}, metadata_response{"x", 0, 1, 100, data}, metadata_not_found{"x", 4}, bloom_request{8}
		, bloom_response{3, data}, chunks_added{{some_hash(1)}}, chunks_dropped{{}}, head, folder_have{"x", some_hash(1), true, 0, {}}
		, folder_have{"x", some_hash(1), false, 8, data}, folder_peers{"x", {{{127, 0, 0, 1}, 6881}, {bytes(16, 1), 1}}}};
	for (message const& m : all)
	{
		auto const b = encode(m);
		auto const back = decode(b);
		ASSERT_TRUE(back) << m.index() << ": " << back.error().message;
		EXPECT_EQ(back->index(), m.index());
		EXPECT_EQ(encode(*back), b) << m.index();
	}
	EXPECT_EQ(std::get<folder_head>(*decode(encode(head))), head);
}

TEST(wire, every_length_but_the_right_one_is_the_peers_fault)
{
	for (message const& m : std::vector<message>{chunk_not_found{some_hash(1)}, version_response{"x", {}}, update_notify{"x", {}, 1}
			, mode_response{"x", 1}, metadata_request{"x", 4}, metadata_not_found{"x", 4}, bloom_request{8}, folder_head{.id = "x", .author = {}, .seq = 0, .timestamp = 0, .ref = {}, .tree = {}, .hash = {}, .signature = {}}})
	{
		auto const whole = encode(m);
		for (std::size_t n = 1; n < whole.size(); ++n)
		{
			auto const r = decode(bytes_view(whole).first(n));
			ASSERT_FALSE(r) << m.index() << " at " << n;
			EXPECT_EQ(r.error().code, errc::invalid);
		}
		auto longer = whole;
		longer.push_back(0);
		EXPECT_FALSE(decode(longer)) << m.index();
	}
}

TEST(wire, folder_ids_are_bounded_and_not_empty)
{
	EXPECT_TRUE(decode(encode(version_request{std::string(255, 'a')})));
	EXPECT_FALSE(decode(encode(version_request{std::string(256, 'a')})));
	EXPECT_FALSE(decode(encode(version_request{""})));
	EXPECT_FALSE(decode(bytes{0x10, 'a', 'b'}));  // no NUL
}

TEST(wire, an_unknown_type_is_not_the_peers_fault)
{
	auto const r = decode(bytes{0x7f, 1, 2});
	ASSERT_FALSE(r);
	EXPECT_EQ(r.error().code, errc::unsupported);
	EXPECT_EQ(decode({}).error().code, errc::invalid);
}

TEST(wire, random_bytes_never_crash_and_what_is_accepted_is_canonical)
{
	random_source random(7);
	for (int i = 0; i < 20000; ++i)
	{
		auto b = splitmix(random.next(), random.between(0, 120));
		if (!b.empty() && i % 2) b[0] = std::uint8_t(random.between(0, 0x46));
		auto const m = decode(b);
		if (!m || std::holds_alternative<chunk_error>(*m)) continue;
		EXPECT_EQ(encode(*m), b);
	}
}

TEST(wire, a_ref_is_a_git_id_or_a_hash)
{
	EXPECT_EQ(ref_text(to_ref(some_hash(0))), to_hex(some_hash(0).view()));
	std::string const sha1 = "0123456789abcdef0123456789abcdef01234567";
	ASSERT_TRUE(to_ref(sha1));
	EXPECT_EQ(ref_text(*to_ref(sha1)), sha1);
	EXPECT_EQ(as_text(*to_ref(sha1)), sha1);
	EXPECT_FALSE(to_ref("abc"));
	EXPECT_FALSE(to_ref(std::string(40, 'g')));
}

// --- dialects -------------------------------------------------------------------------------------------------------------

TEST(wire, zest_requests_are_answered_in_their_form)
{
	auto const v = load_vectors("hf/zest_wire_vectors.json");
	auto const body = [&](char const* name) {
		auto const frame = hex(v[name]["frame_hex"].get<std::string>());
		return bytes(frame.begin() + 6, frame.end());  // length, 20, extension id
	};
	auto const asked = decoded<chunk_request>(body("chunk_request"));
	EXPECT_EQ(asked.form, dialect::zest);
	EXPECT_EQ(asked.request_id, v["chunk_request"]["request_id"]);
	EXPECT_EQ(asked.range_start, v["chunk_request"]["range_start"]);
	EXPECT_EQ(asked.range_end, v["chunk_request"]["range_end"]);
	EXPECT_EQ(encode(asked), body("chunk_request"));

	auto const data = hex(v["chunk_response"]["data_hex"].get<std::string>());
	auto answer = response_head(asked, std::uint32_t(data.size()));
	append(answer, data);
	EXPECT_EQ(answer, body("chunk_response"));
	EXPECT_EQ(not_found(asked), body("chunk_not_found"));
}

TEST(wire, ccbt_requests_are_answered_in_their_form)
{
	auto const v = load_vectors("ccbt/wire.json", "/vectors");
	int seen = 0;
	for (auto const& vector : v)
	{
		if (!vector.contains("hex") || vector["len"] != 37 || !vector.contains("chunk_hash")) continue;
		auto const b = hex(vector["hex"].get<std::string>());
		auto const asked = decoded<chunk_request>(b);
		EXPECT_EQ(asked.form, dialect::ccbt);
		EXPECT_EQ(asked.request_id, vector["request_id"]);
		EXPECT_EQ(to_hex(asked.hash.view()), vector["chunk_hash"]);
		EXPECT_EQ(encode(asked), b);
		++seen;
	}
	EXPECT_GT(seen, 0);
	chunk_request const asked{.form = dialect::ccbt, .request_id = 0x01020304, .hash = some_hash(0)};
	EXPECT_EQ(to_hex(response_head(asked, 0)), "020102030400000000");
	EXPECT_EQ(to_hex(not_found(asked)), "0301020304");
	EXPECT_EQ(to_hex(error_answer(asked, 1, "text is not theirs")), "040102030400000001");
}

} // namespace
} // namespace xet::wire
