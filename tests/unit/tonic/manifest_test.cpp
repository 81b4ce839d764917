#include "tonic/manifest.hpp"

#include "tonic_testing.hpp"

#include <functional>
#include <limits>

namespace tonic {
namespace {

using namespace testing;

TEST(manifest, a_good_one_passes)
{
	auto const m = small_manifest();
	auto const ok = m.check();
	EXPECT_TRUE(ok) << ok.error().message;
	EXPECT_TRUE(small_manifest("sha256").check());
	EXPECT_TRUE(empty_manifest().check());
	EXPECT_EQ(m.total_bytes(), 200'007u);
}

struct broken
{
	char const* what;
	xet::errc code;
	std::function<void(manifest&)> change;
};

void PrintTo(broken const& b, std::ostream* out) { *out << b.what; }

class manifest_check : public ::testing::TestWithParam<broken> {};

TEST_P(manifest_check, refuses)
{
	auto m = small_manifest();
	GetParam().change(m);
	auto const ok = m.check();
	ASSERT_FALSE(ok) << GetParam().what;
	EXPECT_EQ(ok.error().code, GetParam().code) << ok.error().message;
	EXPECT_GT(ok.error().message.size(), 10u);
}

using enum xet::errc;

INSTANTIATE_TEST_SUITE_P(rules, manifest_check, ::testing::Values(
	broken{"name", invalid, [](manifest& m) { m.name = "../x"; }},
	broken{"no name", invalid, [](manifest& m) { m.name.clear(); }},
	broken{"folder id", mismatch, [](manifest& m) { m.folder[0] = m.folder[0] == '0' ? '1' : '0'; }},
	broken{"author", mismatch, [](manifest& m) { m.author[0] ^= 1; }},
	broken{"salt", mismatch, [](manifest& m) { m.salt[0] ^= 1; }},
	broken{"no salt", invalid, [](manifest& m) { m.salt.clear(); }},
	broken{"long salt", invalid, [](manifest& m) { m.salt.resize(65); }},
	broken{"git ref length", invalid, [](manifest& m) { m.git_ref = "abc"; }},
	broken{"git ref text", invalid, [](manifest& m) { m.git_ref = std::string(40, 'x'); }},
	broken{"sync mode", invalid, [](manifest& m) { m.mode = sync_mode(4); }},
	broken{"seq", limit, [](manifest& m) { m.seq = std::numeric_limits<std::uint64_t>::max(); }},
	broken{"target", invalid, [](manifest& m) { m.how.cut.target_bytes = 10'000; }},
	broken{"file path", invalid, [](manifest& m) { m.files[0].path = "../a"; }},
	broken{"dir path", invalid, [](manifest& m) { m.dirs[0].path = "/a"; }},
	broken{"link path", invalid, [](manifest& m) { m.links[0].path = ".ut_xet/l"; }},
	broken{"file order", invalid, [](manifest& m) { std::swap(m.files[0].path, m.files[3].path); }},
	broken{"dir order", invalid, [](manifest& m) { std::swap(m.dirs[0], m.dirs[1]); }},
	broken{"file twice", invalid, [](manifest& m) { m.files[2].path = m.files[1].path; }},
	broken{"dir twice", invalid, [](manifest& m) { m.dirs[1].path = "a"; }},
	broken{"file and dir", invalid, [](manifest& m) { m.dirs[2].path = "a.txt"; std::swap(m.dirs[1], m.dirs[2]); }},
	broken{"file and link", invalid, [](manifest& m) { m.links[0].path = "a/z"; }},
	broken{"below a file", invalid, [](manifest& m) { m.links[0].path = "a.txt/l"; m.links[0].target = "x"; }},
	broken{"dir below a link", invalid, [](manifest& m) { m.dirs[2].path = "a/b/link/d"; }},
	broken{"link out", invalid, [](manifest& m) { m.links[0].target = "../../../x"; }},
	broken{"absolute link", invalid, [](manifest& m) { m.links[0].target = "/etc/passwd"; }},
	broken{"file mode", invalid, [](manifest& m) { m.files[0].mode = 04755; }},
	broken{"dir mode", invalid, [](manifest& m) { m.dirs[0].mode = 01777; }},
	broken{"size over", invalid, [](manifest& m) { ++m.files[0].size; }},
	broken{"size under", invalid, [](manifest& m) { --m.files[0].size; }},
	broken{"huge size", invalid, [](manifest& m) { m.files[0].size = std::uint64_t(1) << 62; }},
	broken{"size beyond integers", limit, [](manifest& m) { m.files[0].size = std::numeric_limits<std::uint64_t>::max(); }},
	broken{"chunk of no bytes", invalid, [](manifest& m) { m.chunks[0].size = 0; }},
	broken{"chunk too large", invalid, [](manifest& m) { m.chunks[0].size = 256 * 1024 + 1; }},
	broken{"chunk hash", mismatch, [](manifest& m) { m.chunks[0].hash.raw[0] ^= 1; }},
	broken{"file hash", mismatch, [](manifest& m) { m.files[3].hash.raw[31] ^= 1; }},
	broken{"hash of an empty file", mismatch, [](manifest& m) { m.files[2].hash.raw[0] = 1; }},
	broken{"range gap", invalid, [](manifest& m) { ++m.files[1].first_chunk; }},
	broken{"range overlap", invalid, [](manifest& m) { --m.files[1].first_chunk; }},
	broken{"range beyond", invalid, [](manifest& m) { m.files.back().chunk_count = std::numeric_limits<std::uint32_t>::max(); }},
	broken{"loose chunk", invalid, [](manifest& m) { m.chunks.push_back(m.chunks[0]); }},
	broken{"missing chunk", invalid, [](manifest& m) { m.chunks.pop_back(); }}));

TEST(manifest, sizes_must_not_wrap_around)
{
	auto m = empty_manifest();
	add_file(m, "a", "x");
	add_file(m, "b", "y");
	m.files[0].size = m.files[1].size = std::uint64_t(1) << 63;
	EXPECT_FALSE(m.check());
}

TEST(manifest, an_entry_far_below_a_file_is_found_among_its_lookalikes)
{
	auto m = empty_manifest();
	for (auto const* path : {"a", "a b", "a!", "a-b/c", "a.txt", "aa"}) add_file(m, path, path);
	std::sort(m.files.begin(), m.files.end(), [](auto const& x, auto const& y) { return x.first_chunk < y.first_chunk; });
	ASSERT_TRUE(m.check());
	m.dirs.push_back({"a/x", 0755, 0});
	EXPECT_FALSE(m.check());
}

TEST(manifest, finding_entries)
{
	auto const m = small_manifest();
	for (auto const& f : m.files) EXPECT_EQ(m.find_file(f.path), &f);
	EXPECT_EQ(m.find_file("a"), nullptr);
	EXPECT_EQ(m.find_file(""), nullptr);
	EXPECT_EQ(m.find_file("zzz"), nullptr);
	EXPECT_EQ(m.find_dir("a/b"), &m.dirs[1]);
	EXPECT_EQ(m.find_link("a/b/link"), &m.links[0]);
	EXPECT_EQ(m.chunks_of(m.files[1]).size(), m.files[1].chunk_count);
}

TEST(manifest, same_tree_looks_at_content_only)
{
	auto const m = small_manifest();
	auto other = m;
	other.seq = 99;
	other.timestamp = 0;
	EXPECT_TRUE(m.same_tree(other));
	other.files[0].mode = 0600;
	EXPECT_FALSE(m.same_tree(other));
	other = m;
	other.links[0].target = "../y";
	EXPECT_FALSE(m.same_tree(other));
	other = m;
	other.dirs.pop_back();
	EXPECT_FALSE(m.same_tree(other));
}

TEST(manifest, sync_mode_names)
{
	for (int i = 0; i < 4; ++i) EXPECT_EQ(mode_from_name(name_of(sync_mode(i))), sync_mode(i));
	EXPECT_EQ(name_of(sync_mode::best_effort), "best-effort");
	EXPECT_EQ(mode_from_name("best_effort"), sync_mode::best_effort);
	EXPECT_FALSE(mode_from_name("other"));
	EXPECT_EQ(name_of(sync_mode(9)), "unknown");
}

} // namespace
} // namespace tonic
