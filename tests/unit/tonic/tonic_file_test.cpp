#include "tonic/tonic_file.hpp"

#include "tonic/bencode_writer.hpp"
#include "tonic/limits.hpp"
#include "tonic_resign.hpp"
#include "tonic_testing.hpp"

#include <libtorrent/bencode.hpp>
#include <libtorrent/entry.hpp>

#include <chrono>
#include <functional>
#include <sys/stat.h>

namespace tonic {
namespace {

using namespace testing;

void expect_same(manifest const& a, manifest const& b)
{
	EXPECT_TRUE(a.same_tree(b));
	EXPECT_EQ(a.folder, b.folder);
	EXPECT_EQ(a.name, b.name);
	EXPECT_EQ(a.how.kind, b.how.kind);
	EXPECT_EQ(a.how.cut.target_bytes, b.how.cut.target_bytes);
	EXPECT_EQ(a.mode, b.mode);
	EXPECT_EQ(a.git_ref, b.git_ref);
	EXPECT_EQ(a.allowlist_hash, b.allowlist_hash);
	EXPECT_EQ(a.author, b.author);
	EXPECT_EQ(a.salt, b.salt);
	EXPECT_EQ(a.seq, b.seq);
	EXPECT_EQ(a.timestamp, b.timestamp);
}

lt::entry parsed(std::string const& text)
{
	lt::error_code ec;
	return lt::entry(lt::bdecode({text.data(), std::ptrdiff_t(text.size())}, ec));
}

std::string encoded(lt::entry const& e)
{
	std::string ret;
	lt::bencode(std::back_inserter(ret), e);
	return ret;
}

TEST(tonic_file, round_trip)
{
	std::vector<manifest> all{small_manifest("sha256"), empty_manifest()};
	if (xet::has_blake3())
	{
		all.push_back(small_manifest("blake3"));
		all.push_back(small_manifest("hf"));
	}
	all.push_back(small_manifest());
	all.back().git_ref = std::string(64, 'a');
	all.back().allowlist_hash = xet::chunk_hash(xet::hash_kind::sha256, {});
	all.back().mode = sync_mode::consensus;
	all.back().timestamp = -1;
	all.back().seq = std::uint64_t(std::numeric_limits<std::int64_t>::max());
	for (auto const& m : all)
	{
		auto const bytes = encode_tonic(m, test_key());
		auto const read = decode_tonic(bytes);
		ASSERT_TRUE(read) << read.error().message;
		expect_same(*read, m);
		EXPECT_EQ(encode_tonic(*read, test_key()), bytes) << "one manifest and one key give one byte string";
		EXPECT_EQ(encoded(parsed(bytes)), bytes) << "canonical";
	}
}

TEST(tonic_file, layout_is_that_of_the_protocol)
{
	auto m = empty_manifest("n", "sha256");
	m.how.cut.target_bytes = 32 * 1024;
	add_file(m, "d.x", "");
	add_file(m, "d/f", "hi");
	auto top = parsed(encode_tonic(m, test_key()));
	auto& x = top["xet"];
	EXPECT_EQ(top.dict().size(), 1u);
	EXPECT_EQ(x["version"].integer(), 1);
	EXPECT_EQ(x["hash_algorithm"].string(), "xet-hash:v1:sha256");
	EXPECT_EQ(x["target_chunk_size"].integer(), 32 * 1024);
	EXPECT_EQ(x["git_ref"].string(), "");
	EXPECT_TRUE(x["parents"].list().empty());
	EXPECT_TRUE(x["version_vector"].dict().empty());
	ASSERT_EQ(x["files"].list().size(), 2u);
	auto& f = x["files"].list()[1];
	EXPECT_EQ(f["path"].string(), "d/f");
	EXPECT_EQ(f["size"].integer(), 2);
	EXPECT_EQ(f["chunks"].integer(), 1);
	EXPECT_EQ(f["chunk_sizes"].string(), std::string("\0\0\0\2", 4));
	EXPECT_EQ(f["hash"].string(), x["chunk_hashes"].list()[0].string());
	EXPECT_EQ(x["file_tree"]["d"]["f"][""]["size"].integer(), 2);
	EXPECT_EQ(x["file_tree"]["d.x"][""]["hash"].string(), std::string(32, '\0'));
	EXPECT_EQ(x["signature"].string().size(), 64u);
}

TEST(tonic_file, the_signature_of_another_key_is_refused)
{
	auto text = resigned(encode_tonic(small_manifest(), test_key(1)), test_key(2));
	auto const read = decode_tonic(text);
	ASSERT_FALSE(read);
	EXPECT_EQ(read.error().code, xet::errc::mismatch);
	EXPECT_NE(read.error().message.find("signature"), std::string::npos);
	EXPECT_TRUE(decode_tonic(resigned(text, test_key(1)))) << "the tests' own tool works";
}

TEST(tonic_file, no_changed_bit_is_accepted)
{
	auto const whole = encode_tonic(small_manifest(), test_key());
	for (std::size_t i = 0; i < whole.size(); ++i)
		for (int bit = 0; bit < 8; ++bit)
		{
			auto text = whole;
			text[i] = char(text[i] ^ (1 << bit));
			ASSERT_FALSE(decode_tonic(text)) << "byte " << i << " bit " << bit;
		}
}

TEST(tonic_file, no_cut_is_accepted)
{
	auto const whole = encode_tonic(small_manifest(), test_key());
	for (std::size_t n = 0; n < whole.size(); ++n)
	{
		ASSERT_FALSE(decode_tonic(std::string_view(whole).substr(0, n))) << n;
		ASSERT_FALSE(decode_tonic(std::string_view(whole).substr(whole.size() - n))) << n;
	}
	EXPECT_FALSE(decode_tonic(whole + "e"));
	EXPECT_FALSE(decode_tonic(whole + whole));
}

// A hostile author signs what he likes: then the same flips must never crash, and what is accepted must keep the rules.
TEST(tonic_file, signed_nonsense_never_breaks_the_rules)
{
	auto const key = test_key();
	auto const whole = encode_tonic(small_manifest(), key);
	int accepted = 0;
	for (std::size_t i = 0; i < whole.size(); ++i)
		for (int const bit : {0, 2, 6})
		{
			auto text = whole;
			text[i] = char(text[i] ^ (1 << bit));
			text = resigned(std::move(text), key);
			auto const read = decode_tonic(text);
			if (!read) continue;
			++accepted;
			EXPECT_TRUE(read->check());
			expect_same(*decode_tonic(encode_tonic(*read, key)), *read);
		}
	EXPECT_GT(accepted, 0) << "a changed mtime is fine";
}

// As above, one change at a time to the parsed file, signed by its author.
struct hostile
{
	char const* what;
	std::function<void(lt::entry&)> change;  // of the dictionary xet
};

void PrintTo(hostile const& h, std::ostream* out) { *out << h.what; }

class hostile_author : public ::testing::TestWithParam<hostile> {};

TEST_P(hostile_author, is_refused)
{
	auto top = parsed(encode_tonic(small_manifest(), test_key()));
	ASSERT_TRUE(decode_tonic(resigned(encoded(top), test_key())));
	GetParam().change(top["xet"]);
	auto const read = decode_tonic(resigned(encoded(top), test_key()));
	ASSERT_FALSE(read) << GetParam().what;
	EXPECT_EQ(read.error().message.find("signature is not"), std::string::npos) << "must be refused for its own sake";
}

lt::entry& file(lt::entry& x, int i) { return x["files"].list()[std::size_t(i)]; }

void rename_file(lt::entry& x, std::string const& path)
{
	file(x, 0)["path"] = path;
	auto& tree = x["file_tree"].dict();
	tree[path] = tree["a.txt"];
	tree.erase("a.txt");
}

INSTANTIATE_TEST_SUITE_P(changes, hostile_author, ::testing::Values(
	hostile{"version", [](lt::entry& x) { x["version"] = 2; }},
	hostile{"version type", [](lt::entry& x) { x["version"] = "1"; }},
	hostile{"no version", [](lt::entry& x) { x.dict().erase("version"); }},
	hostile{"sync_mode", [](lt::entry& x) { x["sync_mode"] = 4; }},
	hostile{"negative sync_mode", [](lt::entry& x) { x["sync_mode"] = -1; }},
	hostile{"seq", [](lt::entry& x) { x["seq"] = -1; }},
	hostile{"target", [](lt::entry& x) { x["target_chunk_size"] = 20'000; }},
	hostile{"huge target", [](lt::entry& x) { x["target_chunk_size"] = std::int64_t(1) << 48; }},
	hostile{"algorithm", [](lt::entry& x) { x["hash_algorithm"] = "md5"; }},
	hostile{"author size", [](lt::entry& x) { x["author"] = std::string(31, 'a'); }},
	hostile{"author", [](lt::entry& x) { x["author"] = std::string(32, 'a'); }},
	hostile{"salt", [](lt::entry& x) { x["salt"] = "other"; }},
	hostile{"folder", [](lt::entry& x) { x["folder"] = std::string(40, '0'); }},
	hostile{"name", [](lt::entry& x) { x["name"] = ".."; }},
	hostile{"git_ref", [](lt::entry& x) { x["git_ref"] = "x"; }},
	hostile{"git_ref type", [](lt::entry& x) { x["git_ref"] = 1; }},
	hostile{"allowlist_hash", [](lt::entry& x) { x["allowlist_hash"] = std::string(20, 'a'); }},
	hostile{"parents", [](lt::entry& x) { x["parents"] = 1; }},
	hostile{"version_vector", [](lt::entry& x) { x["version_vector"] = lt::entry::list_type(); }},
	hostile{"signature size", [](lt::entry& x) { x["signature"] = std::string(63, 'a'); }},
	hostile{"files type", [](lt::entry& x) { x["files"] = lt::entry::dictionary_type(); }},
	hostile{"no files", [](lt::entry& x) { x.dict().erase("files"); }},
	hostile{"file type", [](lt::entry& x) { file(x, 0) = "a.txt"; }},
	hostile{"list of hashes", [](lt::entry& x) { x["chunk_hashes"] = 1; }},
	hostile{"hash type", [](lt::entry& x) { x["chunk_hashes"].list()[0] = 1; }},
	hostile{"hash size", [](lt::entry& x) { x["chunk_hashes"].list()[0] = std::string(31, 'a'); }},
	hostile{"chunk hash", [](lt::entry& x) { x["chunk_hashes"].list()[0] = std::string(32, 'a'); }},
	hostile{"one hash more", [](lt::entry& x) { x["chunk_hashes"].list().emplace_back(std::string(32, 'a')); }},
	hostile{"one hash less", [](lt::entry& x) { x["chunk_hashes"].list().pop_back(); }},
	hostile{"more chunks than hashes", [](lt::entry& x) { file(x, 4)["chunks"] = 1'000'000; }},
	hostile{"negative chunks", [](lt::entry& x) { file(x, 4)["chunks"] = -1; }},
	hostile{"chunks and sizes", [](lt::entry& x) { file(x, 4)["chunk_sizes"] = std::string(8, '\0'); }},
	hostile{"chunk of no bytes", [](lt::entry& x) { file(x, 4)["chunk_sizes"] = std::string(4, '\0'); }},
	hostile{"chunk of 4 GiB", [](lt::entry& x) { file(x, 4)["chunk_sizes"] = std::string(4, '\xff'); }},
	hostile{"size does not add up", [](lt::entry& x) { file(x, 0)["size"] = 6; x["file_tree"]["a.txt"][""]["size"] = 6; }},
	hostile{"huge size", [](lt::entry& x) { file(x, 0)["size"] = std::int64_t(1) << 62; x["file_tree"]["a.txt"][""]["size"] = std::int64_t(1) << 62; }},
	hostile{"negative size", [](lt::entry& x) { file(x, 0)["size"] = -5; x["file_tree"]["a.txt"][""]["size"] = -5; }},
	hostile{"hash in both", [](lt::entry& x) { file(x, 0)["hash"] = std::string(32, 'a'); x["file_tree"]["a.txt"][""]["hash"] = std::string(32, 'a'); }},
	hostile{"mode", [](lt::entry& x) { file(x, 0)["mode"] = 04755; }},
	hostile{"negative mode", [](lt::entry& x) { file(x, 0)["mode"] = -1; }},
	hostile{"path type", [](lt::entry& x) { file(x, 0)["path"] = lt::entry::list_type(); }},
	hostile{"files out of order", [](lt::entry& x) { std::swap(x["files"].list()[2], x["files"].list()[3]); }},
	hostile{"file twice", [](lt::entry& x) { x["files"].list().insert(x["files"].list().begin() + 2, file(x, 2)); }},
	hostile{"traversal in both", [](lt::entry& x) { file(x, 0)["path"] = "../a"; x["file_tree"][".."]["a"] = x["file_tree"]["a.txt"]; x["file_tree"].dict().erase("a.txt"); }},
	hostile{"traversal in files", [](lt::entry& x) { file(x, 0)["path"] = "../a.txt"; }},
	hostile{"traversal in the tree", [](lt::entry& x) { x["file_tree"][".."]["a.txt"] = x["file_tree"]["a.txt"]; }},
	hostile{"absolute path", [](lt::entry& x) { rename_file(x, "/a"); }},
	hostile{"NUL", [](lt::entry& x) { rename_file(x, std::string("a\0b", 3)); }},
	hostile{"not UTF-8", [](lt::entry& x) { rename_file(x, "a\xff"); }},
	hostile{"private directory", [](lt::entry& x) { rename_file(x, ".ut_xet"); }},
	hostile{"slash in a key", [](lt::entry& x) { auto& a = x["file_tree"]["a"].dict(); auto& t = x["file_tree"].dict(); t["a/z"] = a["z"]; a.erase("z"); }},
	hostile{"long name", [](lt::entry& x) { rename_file(x, std::string(256, 'a')); }},
	hostile{"missing in the tree", [](lt::entry& x) { x["file_tree"].dict().erase("a.txt"); }},
	hostile{"missing in files", [](lt::entry& x) { x["file_tree"]["other"] = x["file_tree"]["a.txt"]; }},
	hostile{"tree hash", [](lt::entry& x) { x["file_tree"]["a.txt"][""]["hash"] = std::string(32, 'a'); }},
	hostile{"tree size", [](lt::entry& x) { x["file_tree"]["a.txt"][""]["size"] = 6; }},
	hostile{"tree leaf type", [](lt::entry& x) { x["file_tree"]["a.txt"][""] = 1; }},
	hostile{"tree entry type", [](lt::entry& x) { x["file_tree"]["a.txt"] = 1; }},
	hostile{"tree type", [](lt::entry& x) { x["file_tree"] = 1; }},
	hostile{"no tree", [](lt::entry& x) { x.dict().erase("file_tree"); }},
	hostile{"empty directory in the tree", [](lt::entry& x) { x["file_tree"]["void"] = lt::entry::dictionary_type(); }},
	hostile{"file and directory", [](lt::entry& x) { x["file_tree"]["a.txt"]["below"] = x["file_tree"]["a.txt"]; }},
	hostile{"root is a file", [](lt::entry& x) { x["file_tree"][""] = x["file_tree"]["a.txt"][""]; }},
	hostile{"dir path", [](lt::entry& x) { x["dirs"].list()[0]["path"] = "../a"; }},
	hostile{"dir is a file", [](lt::entry& x) { x["dirs"].list()[0]["path"] = "a.txt"; }},
	hostile{"dirs type", [](lt::entry& x) { x["dirs"] = "x"; }},
	hostile{"dir type", [](lt::entry& x) { x["dirs"].list()[0] = 1; }},
	hostile{"dir mode", [](lt::entry& x) { x["dirs"].list()[0]["mode"] = 010000; }},
	hostile{"link out", [](lt::entry& x) { x["symlinks"].list()[0]["target"] = "../../../etc"; }},
	hostile{"absolute link", [](lt::entry& x) { x["symlinks"].list()[0]["target"] = "/etc"; }},
	hostile{"link with NUL", [](lt::entry& x) { x["symlinks"].list()[0]["target"] = std::string("a\0b", 3); }},
	hostile{"link above a file", [](lt::entry& x) { x["symlinks"].list()[0]["path"] = "a"; x["symlinks"].list()[0]["target"] = "x"; }},
	hostile{"link type", [](lt::entry& x) { x["symlinks"].list()[0] = 1; }},
	hostile{"no target", [](lt::entry& x) { x["symlinks"].list()[0].dict().erase("target"); }}));

std::string replaced(std::string text, std::string const& from, std::string const& to)
{
	auto const at = text.find(from);
	EXPECT_NE(at, std::string::npos) << from;
	return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// What libtorrent's own encoder cannot write.
TEST(tonic_file, bencoding_that_is_not_canonical_is_refused)
{
	auto const key = test_key();
	auto const whole = encode_tonic(small_manifest(), key);
	for (auto const& [from, to] : std::vector<std::pair<std::string, std::string>>{
		{"3:seqi7e", "3:seqi07e"}, {"3:seqi7e", "3:seqi-0e"}, {"3:seqi7e", "3:seqi99999999999999999999e"}, {"3:seqi7e", "3:seqie"}
		, {"3:seqi7e", "3:seqi-e"}, {"3:seqi7e", "3:seqi+7e"}, {"3:seqi7e", "3:seqi7e3:seqi7e"}, {"3:seqi7e", "03:seqi7e"}
		, {"7:versioni1e", "7:versioni1e5:abbrvi1e"}, {"4:name7:holiday", "4:name07:holiday"}
		, {"9:sync_modei0e", "9:sync_modei-1e"}, {"4:sizei5e", "4:sizei9223372036854775808e"}, {"4:sizei5e", "4:sizei18446744073709551621e"}})
		EXPECT_FALSE(decode_tonic(resigned(replaced(whole, from, to), key))) << to;
	EXPECT_TRUE(decode_tonic(resigned(replaced(whole, "3:seqi7e", "3:seqi8e"), key)));
	for (auto const* more : {"e", "x", "\n", "de"}) EXPECT_FALSE(decode_tonic(resigned(whole + more, key))) << "trailing bytes";
}

TEST(tonic_file, unknown_keys_are_ignored)
{
	auto const key = test_key();
	auto top = parsed(encode_tonic(small_manifest(), key));
	top["other"] = 1;
	top["xet"]["zzz"] = lt::entry::list_type{lt::entry(1)};
	file(top["xet"], 0)["comment"] = "x";
	top["xet"]["dirs"].list()[0]["comment"] = "x";
	top["xet"]["symlinks"].list()[0]["comment"] = "x";
	top["xet"]["file_tree"]["a.txt"][""]["comment"] = "x";
	auto const read = decode_tonic(resigned(encoded(top), key));
	ASSERT_TRUE(read) << read.error().message;
	expect_same(*read, small_manifest());
}

TEST(tonic_file, what_only_this_project_writes_may_be_absent)
{
	auto const key = test_key();
	auto top = parsed(encode_tonic(small_manifest(), key));
	for (auto const* name : {"dirs", "symlinks", "parents", "version_vector", "git_ref"}) top["xet"].dict().erase(name);
	for (auto& f : top["xet"]["files"].list())
	{
		f.dict().erase("mode");
		f.dict().erase("mtime");
	}
	auto const read = decode_tonic(resigned(encoded(top), key));
	ASSERT_TRUE(read) << read.error().message;
	EXPECT_EQ(read->files[0].mode, 0644u);
}

TEST(tonic_file, deep_and_wide_nonsense)
{
	for (char const c : {'d', 'l', 'i', 'e', '0', '9', ':', '-', '\0'}) EXPECT_FALSE(decode_tonic(std::string(1'000'000, c))) << c;
	std::string nested = "d3:xet";
	for (int i = 0; i < 1'000'000; ++i) nested += "d1:a";
	EXPECT_FALSE(decode_tonic(nested));
	EXPECT_FALSE(decode_tonic(nested + std::string(1'000'002, 'e')));
	EXPECT_FALSE(decode_tonic(""));
	EXPECT_FALSE(decode_tonic("de"));
	EXPECT_FALSE(decode_tonic("d3:xetdee"));
	EXPECT_FALSE(decode_tonic("d3:xetlee"));
	EXPECT_FALSE(decode_tonic("le"));
}

TEST(tonic_file, the_deepest_path_is_read)
{
	auto m = empty_manifest();
	std::string path;
	for (int i = 1; i < max_path_depth; ++i) path += "d/";
	add_file(m, path + "f", "x");
	auto const read = decode_tonic(encode_tonic(m, test_key()));
	ASSERT_TRUE(read) << read.error().message;
	expect_same(*read, m);
}

TEST(tonic_file, hundred_thousand_files)
{
	auto m = empty_manifest();
	for (int i = 0; i < 100'000; ++i)
	{
		auto const number = std::to_string(1'000'000 + i);
		add_file(m, "directory-" + number.substr(1, 4) + "/file with a name-" + number + ".jpeg", number);
	}
	auto const bytes = encode_tonic(m, test_key());
	auto const start = std::chrono::steady_clock::now();
	auto const read = decode_tonic(bytes);
	std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
	ASSERT_TRUE(read) << read.error().message;
	EXPECT_TRUE(read->same_tree(m));
	EXPECT_LT(seconds.count(), 10) << "far off the usual quarter of a second, sanitizers and slow machines allowed for";
}

TEST(tonic_file, files_on_disk)
{
	temp_dir dir;
	auto const file = dir / "a.tonic";
	auto const bytes = encode_tonic(small_manifest(), test_key());
	ASSERT_TRUE(write_file_atomically(file, "old"));
	::chmod(file.c_str(), 0640);
	ASSERT_TRUE(write_file_atomically(file, bytes));
	struct ::stat st;
	ASSERT_EQ(::stat(file.c_str(), &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0640u);
	EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1) << "no temporary file is left";
	EXPECT_EQ(*read_whole_file(file, bytes.size()), bytes);
	EXPECT_EQ(read_whole_file(file, bytes.size() - 1).error().code, xet::errc::limit);
	expect_same(*read_tonic(file), small_manifest());

	EXPECT_EQ(read_tonic(dir / "absent").error().code, xet::errc::not_found);
	EXPECT_EQ(read_whole_file(dir.path(), 10).error().code, xet::errc::refused);
	ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
	EXPECT_EQ(read_whole_file(dir / "pipe", 10).error().code, xet::errc::refused) << "and it does not wait for a writer";
	EXPECT_EQ(read_whole_file("/proc/self/cmdline", 1).error().code, xet::errc::limit) << "a file that says its size is 0";
	EXPECT_FALSE(write_file_atomically(dir / "no/such/dir/x", "x"));
	write_text(dir / "bad.tonic", "junk");
	auto const bad = read_tonic(dir / "bad.tonic");
	ASSERT_FALSE(bad);
	EXPECT_TRUE(bad.error().message.starts_with((dir / "bad.tonic").native())) << bad.error().message;
}

} // namespace
} // namespace tonic
