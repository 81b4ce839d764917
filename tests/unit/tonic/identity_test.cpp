#include "tonic/identity.hpp"

#include "tonic_testing.hpp"

#include <sys/stat.h>
#include <thread>

namespace tonic {
namespace {

using namespace testing;

std::string hex_of(auto const& raw) { return xet::to_hex(raw); }

// RFC 8032, section 7.1, tests 1 and 3
TEST(identity, rfc8032_vectors)
{
	struct { char const* seed; char const* pub; char const* message; char const* sig; } const vectors[] = {
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
			, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", ""
			, "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
			, "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82"
			, "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	};
	for (auto const& v : vectors)
	{
		auto const key = key_pair::from_seed(xet::hash_from_hex(v.seed)->raw);
		auto const message = *xet::from_hex(v.message);
		EXPECT_EQ(hex_of(key.pub()), v.pub);
		EXPECT_EQ(hex_of(key.sign(message)), v.sig);
		EXPECT_TRUE(verify(key.pub(), message, key.sign(message)));
	}
}

TEST(identity, verify_refuses_another_key_message_or_signature)
{
	auto const key = test_key(1);
	auto const message = xet::as_bytes("message");
	auto sig = key.sign(message);
	EXPECT_FALSE(verify(test_key(2).pub(), message, sig));
	EXPECT_FALSE(verify(key.pub(), xet::as_bytes("messagE"), sig));
	sig[63] ^= 1;
	EXPECT_FALSE(verify(key.pub(), message, sig));
	EXPECT_FALSE(verify(public_key{}, message, signature{}));
}

TEST(identity, generated_keys_differ)
{
	EXPECT_NE(key_pair::generate().pub(), key_pair::generate().pub());
}

TEST(identity, key_file_round_trip)
{
	temp_dir dir;
	auto const file = dir / "new/deeper/key";
	auto const made = key_pair::load_or_create(file);
	ASSERT_TRUE(made) << made.error().message;
	struct ::stat st;
	ASSERT_EQ(::stat(file.c_str(), &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0600u);
	ASSERT_EQ(::stat(file.parent_path().c_str(), &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0700u);
	EXPECT_EQ(std::distance(fs::directory_iterator(file.parent_path()), fs::directory_iterator()), 1) << "no temporary file is left";

	EXPECT_EQ(key_pair::load(file)->pub(), made->pub());
	EXPECT_EQ(key_pair::load_or_create(file)->pub(), made->pub());
}

TEST(identity, all_who_start_together_get_one_key)
{
	temp_dir dir;
	auto const file = dir / "key";
	std::array<public_key, 8> keys{};
	{
		std::vector<std::jthread> threads;
		for (auto& key : keys) threads.emplace_back([&] { key = key_pair::load_or_create(file).value().pub(); });
	}
	for (auto const& key : keys) EXPECT_EQ(key, keys[0]);
	EXPECT_EQ(keys[0], key_pair::load(file)->pub());
	EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

TEST(identity, a_key_others_can_read_is_refused_with_the_cure)
{
	temp_dir dir;
	auto const file = dir / "it's a key";
	ASSERT_TRUE(key_pair::load_or_create(file));
	for (mode_t const mode : {0640, 0604, 0620, 0601})
	{
		::chmod(file.c_str(), mode);
		auto const key = key_pair::load(file);
		ASSERT_FALSE(key);
		EXPECT_EQ(key.error().code, xet::errc::refused);
		EXPECT_NE(key.error().message.find("chmod 600 '" + dir.path().native() + "/it'\\''s a key'"), std::string::npos) << key.error().message;
		EXPECT_FALSE(key_pair::load_or_create(file)) << "must not be replaced either";
	}
}

TEST(identity, what_is_no_key_is_refused)
{
	temp_dir dir;
	auto const file = dir / "key";
	for (std::string const& text : {std::string(), std::string("\n"), std::string(63, 'a'), std::string(66, 'a'), std::string(64, 'g')
		, std::string(64, '\0'), std::string(100'000, 'a')})
	{
		write_text(file, text);
		::chmod(file.c_str(), 0600);
		auto const key = key_pair::load(file);
		ASSERT_FALSE(key);
		EXPECT_EQ(key.error().code, xet::errc::invalid);
	}
	EXPECT_EQ(key_pair::load(dir / "absent").error().code, xet::errc::not_found);
	EXPECT_FALSE(key_pair::load(dir.path()));
	EXPECT_FALSE(key_pair::load_or_create(dir / "key/below a file"));
}

TEST(identity, folder_ids)
{
	auto const pk = test_key().pub();
	auto const salt = folder_salt("photos");
	EXPECT_EQ(salt.size(), 16u);
	EXPECT_EQ(salt, folder_salt("photos", 0));
	EXPECT_NE(salt, folder_salt("photos", 1));
	EXPECT_NE(salt, folder_salt("photo"));

	auto const id = folder_id(pk, salt);
	EXPECT_EQ(id.size(), 40u);
	EXPECT_TRUE(is_folder_id_of(id, pk, salt));
	EXPECT_FALSE(is_folder_id_of(id, test_key(2).pub(), salt));
	EXPECT_FALSE(is_folder_id_of(id, pk, folder_salt("photos", 1)));
	EXPECT_FALSE(is_folder_id_of("", pk, salt));

	xet::bytes all = xet::bytes(xet::as_bytes("tonic folder v1").begin(), xet::as_bytes("tonic folder v1").end());
	xet::append(all, pk);
	xet::append(all, salt);
	EXPECT_TRUE(is_folder_id_of(xet::to_hex(xet::chunk_hash(xet::hash_kind::sha256, all).view()).substr(0, 40), pk, salt))
		<< "a node without BLAKE3 makes ids with SHA-256";
	if (xet::has_blake3())
	{
		EXPECT_EQ(id, xet::to_hex(xet::chunk_hash(xet::hash_kind::blake3, all).view()).substr(0, 40));
	}
}

} // namespace
} // namespace tonic
