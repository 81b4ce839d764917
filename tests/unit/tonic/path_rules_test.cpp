#include "tonic/path_rules.hpp"

#include "tonic/limits.hpp"
#include "tonic/name_twins.hpp"

#include <gtest/gtest.h>

using namespace std::literals;

namespace tonic {
namespace {

std::string repeated(std::string_view part, int times)
{
	std::string ret;
	for (int i = 0; i < times; ++i) ret += part;
	return ret;
}

TEST(path_rules, safe_paths)
{
	for (auto const& path : {"a"s, "a/b/c"s, "..."s, ".hidden/x"s, "a b\n\"'"s, "\xe6\x97\xa5\xe6\x9c\xac"s, std::string(255, 'x')
		, "x/.ut_xet"s, ".ut_xet2"s, repeated("d/", max_path_depth - 1) + "f", "back\\slash"s})
	{
		auto const ok = check_path(path);
		EXPECT_TRUE(ok) << ok.error().message;
	}
}

TEST(path_rules, unsafe_paths)
{
	for (auto const& path : {""s, "/"s, "/a"s, "a/"s, "a//b"s, "."s, ".."s, "a/../b"s, "a/./b"s, "../a"s, "a\0b"s, "\xff"s, "a/\xc3"s
		, "\xc0\xaf"s, "\xed\xa0\x80"s, std::string(256, 'x'), repeated("d/", max_path_depth) + "f", repeated("0123456789abcde/", 256) + "f"
		, ".ut_xet"s, ".ut_xet/x"s, ".UT_Xet/x"s})
		EXPECT_FALSE(check_path(path)) << path;
}

TEST(path_rules, errors_are_one_printable_line)
{
	auto const error = check_path("a\n\x1b[2J/..").error().message;
	EXPECT_EQ(error.find('\n'), std::string::npos);
	EXPECT_EQ(error.find('\x1b'), std::string::npos);
	EXPECT_NE(error.find(".."), std::string::npos);
}

TEST(path_rules, folder_names)
{
	for (auto const& name : {"a"s, "My Photos (2024)"s, "\xc3\xa9t\xc3\xa9"s, std::string(200, 'x')}) EXPECT_TRUE(check_folder_name(name)) << name;
	for (auto const& name : {""s, "."s, ".."s, ".ssh"s, "a/b"s, "/"s, "a\0"s, "a\nb"s, "\x7f"s, "\xff"s, std::string(201, 'x')})
		EXPECT_FALSE(check_folder_name(name)) << name;
}

TEST(path_rules, links_inside)
{
	struct { char const* path; char const* target; bool inside; } const cases[] = {
		{"l", "a", true}, {"l", "a/b", true}, {"l", "./a", true}, {"l", "a//b/", true}, {"l", ".", true},
		{"d/l", "..", true}, {"d/l", "../a", true}, {"d/e/l", "../../a", true}, {"d/l", ".././a", true},
		{"l", "", false}, {"l", "/", false}, {"l", "/etc/passwd", false}, {"l", "..", false}, {"l", "../a", false},
		{"d/l", "../..", false}, {"d/l", "../../d/x", false}, {"d/l", "./../../x", false},
		// "a" may be a link to the root, and then "a/.." is outside
		{"l", "a/..", false}, {"d/l", "a/../b", false},
		{"l", "\xff", false},
	};
	for (auto const& c : cases) EXPECT_EQ(link_stays_inside(c.path, c.target), c.inside) << c.path << " -> " << c.target;
	EXPECT_FALSE(link_stays_inside("l", "a\0b"sv));
	EXPECT_FALSE(link_stays_inside("l", std::string(5000, 'x')));
}

TEST(path_rules, fold_keys)
{
	EXPECT_EQ(fold_key("ReadMe.TXT"), fold_key("readme.txt"));
	EXPECT_EQ(fold_key("\xc3\xa9"), fold_key("e\xcc\x81"));            // é: one character, and e with an accent
	EXPECT_EQ(fold_key("\xc3\x89"), fold_key("e\xcc\x81"));            // É
	EXPECT_EQ(fold_key("stra\xc3\x9f" "e"), fold_key("STRASSE"));      // full folding: ß and ss
	EXPECT_NE(fold_key("a"), fold_key("b"));
	EXPECT_NE(fold_key("e"), fold_key("\xc3\xa9"));
	EXPECT_EQ(fold_key("\xff"), "");
}

TEST(path_rules, printable_text)
{
	EXPECT_EQ(printable("plain \xc3\xa9"), "plain \xc3\xa9");
	EXPECT_EQ(printable("a\nb\tc\x1b\x7f"), "a\\nb\\x09c\\x1b\\x7f");
	EXPECT_EQ(printable("\xff" "a\xc3"), "\\xffa\\xc3");
	EXPECT_EQ(printable("\0"sv), "\\x00");
	EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");                    // C1: starts an escape sequence on some terminals
	EXPECT_EQ(printable("\xe2\x80\xae" "gpj.exe"), "\\xe2\\x80\\xaegpj.exe");  // right-to-left override
}

TEST(name_twins, groups)
{
	std::vector<std::string_view> const names{"b", "A", "x", "a", "\xc3\xa9", "e\xcc\x81", "B2", "\xc3\x89"};
	auto twins = find_twins(names);
	std::sort(twins.begin(), twins.end(), [](auto const& l, auto const& r) { return l.index < r.index; });
	std::vector<std::uint32_t> indices;
	for (auto const& t : twins)
	{
		indices.push_back(t.index);
		EXPECT_NE(t.index, t.other);
		EXPECT_EQ(fold_key(names[t.index]), fold_key(names[t.other]));
	}
	EXPECT_EQ(indices, (std::vector<std::uint32_t>{1, 3, 4, 5, 7}));
	EXPECT_TRUE(find_twins({}).empty());
}

TEST(name_twins, reasons_name_both)
{
	auto const letters = describe_twin("A", "a");
	EXPECT_NE(letters.find("\"A\" and \"a\""), std::string::npos);
	EXPECT_NE(letters.find("upper and lower case"), std::string::npos);
	EXPECT_NE(describe_twin("\xc3\xa9", "e\xcc\x81").find("accents"), std::string::npos);
}

} // namespace
} // namespace tonic
