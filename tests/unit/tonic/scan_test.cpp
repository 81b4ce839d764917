#include "tonic/scan.hpp"

#include "tonic/path_rules.hpp"
#include "tonic_testing.hpp"

#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace tonic {
namespace {

using namespace testing;

// What a node keeps between scans.
struct memory
{
	std::map<std::string, local_file, std::less<>> files;

	void keep(scan_result const& r)
	{
		files.clear();
		for (auto const& f : r.files) files.emplace(f.path, f);
	}
};

scan_options options_with(memory const* known = nullptr)
{
	scan_options o;
	o.how = *xet::make_profile(test_kind());
	if (known) o.known = [known](std::string_view path) -> local_file const* {
		auto const it = known->files.find(path);
		return it == known->files.end() ? nullptr : &it->second;
	};
	return o;
}

scan_result scanned(temp_dir const& dir, scan_options const& o = options_with())
{
	auto r = scan_folder(dir.path(), o);
	if (!r) throw std::runtime_error(r.error().message);
	return std::move(*r);
}

template <class Entries>
std::vector<std::string> paths_of(Entries const& entries)
{
	std::vector<std::string> ret;
	for (auto const& e : entries) ret.push_back(e.path);
	return ret;
}

using paths = std::vector<std::string>;

TEST(scan, a_tree_with_strange_names)
{
	temp_dir dir;
	std::string const longest(255, 'x');
	for (auto const* d : {"a", "a/b", "empty dir", ".hidden", ".git", "a.d", ".ut_xet", "sub/.ut_xet"}) fs::create_directories(dir / d);
	std::map<std::string, std::string> const content{{"a/b/two words", "1"}, {"a/b/quote\"'`$", "2"}, {"a/new\nline", "3"}, {"\xe6\x97\xa5\xe6\x9c\xac", "4"}
		, {longest, "5"}, {"empty", ""}, {".hidden/.x", "6"}, {".git/config", "7"}, {"a.txt", "8"}, {"a!", "9"}, {"a.d/f", "10"}
		, {"large", noise(3'000'000, 1)}, {"-rf", "11"}, {"sub/.ut_xet/mine", "12"}, {"back\\slash", "13"}};
	for (auto const& [path, text] : content) write_text(dir / path, text);
	write_text(dir / ".ut_xet/private", "never shared");

	auto const r = scanned(dir);
	EXPECT_TRUE(r.refused.empty()) << r.refused[0].path << " " << r.refused[0].reason;
	EXPECT_TRUE(r.unstable.empty());
	paths expected;
	std::uint64_t bytes = 0;
	for (auto const& [path, text] : content)
	{
		expected.push_back(path);
		bytes += text.size();
	}
	EXPECT_EQ(paths_of(r.files), expected) << "all of them, in order";
	EXPECT_EQ(r.bytes_hashed, bytes);
	EXPECT_EQ(paths_of(r.dirs), (paths{".git", ".hidden", "a", "a.d", "a/b", "empty dir", "sub", "sub/.ut_xet"}));
	auto const how = options_with().how;
	for (auto const& f : r.files)
	{
		auto const chunks = xet::chunk_buffer(xet::as_bytes(content.at(f.path)), how);
		EXPECT_EQ(*f.chunks, chunks) << f.path;
		EXPECT_EQ(f.hash, xet::file_hash(how.kind, chunks)) << f.path;
		EXPECT_FALSE(f.published);
	}
}

TEST(scan, becomes_a_version_that_passes_its_checks)
{
	temp_dir dir;
	for (auto const* d : {"a", "a/b", "empty"}) fs::create_directories(dir / d);
	for (auto const* f : {"a/b/x", "a/y", "a.txt", "z"}) write_text(dir / f, f);
	write_text(dir / "many chunks", noise(500'000, 2));
	fs::create_symlink("../a.txt", dir / "a/link");
	::chmod((dir / "z").c_str(), 04711);

	auto m = to_manifest(scanned(dir), options_with().how);
	auto const head = empty_manifest();
	m.name = head.name;
	m.folder = head.folder;
	m.author = head.author;
	m.salt = head.salt;
	auto const ok = m.check();
	ASSERT_TRUE(ok) << ok.error().message;
	EXPECT_EQ(m.find_file("z")->mode, 0711u);
	EXPECT_EQ(m.find_link("a/link")->target, "../a.txt");
	EXPECT_TRUE(decode_tonic(encode_tonic(m, test_key())));
}

TEST(scan, what_cannot_be_shared_is_refused_with_a_reason)
{
	temp_dir dir;
	write_text(dir / "good", "x");
	fs::create_directory(dir / "d");
	ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
	int const s = ::socket(AF_UNIX, SOCK_STREAM, 0);
	sockaddr_un address{};
	address.sun_family = AF_UNIX;
	std::strncpy(address.sun_path, (dir / "socket").c_str(), sizeof address.sun_path - 1);
	ASSERT_EQ(::bind(s, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
	::close(s);
	write_text(dir / "not \xff utf-8", "x");
	fs::create_symlink("/etc/passwd", dir / "absolute");
	fs::create_symlink("../../up", dir / "d/out");
	fs::create_symlink("../good", dir / "d/in");
	fs::create_symlink("nowhere", dir / "dangling");
	fs::create_symlink(".", dir / "loop");

	auto const r = scanned(dir);
	EXPECT_EQ(paths_of(r.files), paths{"good"});
	EXPECT_EQ(paths_of(r.links), (paths{"d/in", "dangling", "loop"}));
	std::map<std::string, std::string> reasons;
	for (auto const& x : r.refused) reasons[x.path] = x.reason;
	EXPECT_EQ(paths_of(r.refused), (paths{"absolute", "d/out", "not \xff utf-8", "pipe", "socket"}));
	EXPECT_NE(reasons["pipe"].find("named pipe"), std::string::npos);
	EXPECT_NE(reasons["socket"].find("socket"), std::string::npos);
	EXPECT_NE(reasons["absolute"].find("leaves the folder"), std::string::npos);
	EXPECT_NE(reasons["d/out"].find("../../up"), std::string::npos);
	EXPECT_NE(reasons["not \xff utf-8"].find("UTF-8"), std::string::npos);
}

TEST(scan, links_are_never_followed)
{
	temp_dir outside, dir;
	write_text(outside / "secret", "s");
	fs::create_directory_symlink(outside.path(), dir / "out");
	fs::create_directory(dir / "real");
	write_text(dir / "real/f", "f");
	fs::create_directory_symlink("real", dir / "in");
	auto const r = scanned(dir);
	EXPECT_EQ(paths_of(r.files), paths{"real/f"});
	EXPECT_EQ(paths_of(r.links), paths{"in"});

	fs::create_directory_symlink(dir.path(), outside / "root");
	auto const through = scan_folder(outside / "root", options_with());
	ASSERT_TRUE(through) << "the folder itself may be given as a link";
	EXPECT_EQ(paths_of(through->files), paths{"real/f"});
}

TEST(scan, twins_are_refused_all_of_them)
{
	temp_dir dir;
	write_text(dir / "A", "1");
	write_text(dir / "a", "2");
	write_text(dir / "caf\xc3\xa9", "3");
	write_text(dir / "cafe\xcc\x81", "4");
	fs::create_directories(dir / "Dir/below");
	fs::create_directories(dir / "dir");
	write_text(dir / "Dir/below/x", "5");
	write_text(dir / "dir/y", "6");
	write_text(dir / "link", "7");
	fs::create_symlink("a", dir / "LINK");
	write_text(dir / "only", "8");

	auto const r = scanned(dir);
	EXPECT_EQ(paths_of(r.files), paths{"only"});
	EXPECT_TRUE(r.dirs.empty());
	EXPECT_TRUE(r.links.empty());
	EXPECT_EQ(paths_of(r.refused), (paths{"A", "Dir", "LINK", "a", "cafe\xcc\x81", "caf\xc3\xa9", "dir", "link"})) << "once per directory";
	EXPECT_NE(r.refused[0].reason.find("\"a\""), std::string::npos) << r.refused[0].reason;
	EXPECT_EQ(r.bytes_hashed, 1u) << "twins are not even read";

	auto o = options_with();
	o.for_sharing = false;
	auto const followed = scanned(dir, o);
	EXPECT_TRUE(followed.refused.empty());
	EXPECT_EQ(followed.files.size(), 8u);
	EXPECT_EQ(followed.links.size(), 1u);
}

// fork() would be simpler, but a file made by root can be read by root: the test needs to be somebody else for a moment.
class as_nobody
{
public:
	as_nobody() { m_changed = ::geteuid() == 0 && ::seteuid(65534) == 0; }
	~as_nobody()
	{
		if (m_changed && ::seteuid(0) != 0) std::abort();
	}
	as_nobody(as_nobody const&) = delete;
	as_nobody& operator=(as_nobody const&) = delete;

private:
	bool m_changed;
};

TEST(scan, unreadable_files_and_directories)
{
	temp_dir dir;
	::chmod(dir.path().c_str(), 0755);
	fs::create_directories(dir / "closed/inner");
	write_text(dir / "closed/f", "x");
	write_text(dir / "locked", "x");
	write_text(dir / "open", "x");
	::chmod((dir / "closed").c_str(), 0);
	::chmod((dir / "locked").c_str(), 0);
	scan_result r;
	{
		as_nobody const drop_rights;
		r = scanned(dir);
	}
	::chmod((dir / "closed").c_str(), 0755);
	EXPECT_EQ(paths_of(r.files), paths{"open"});
	EXPECT_EQ(paths_of(r.refused), (paths{"closed", "locked"}));
	EXPECT_NE(r.refused[1].reason.find("permission"), std::string::npos);
	EXPECT_EQ(paths_of(r.unreadable_files), paths{"locked"});
	EXPECT_EQ(r.unreadable_dirs, paths{"closed"});
	EXPECT_EQ(paths_of(r.dirs), paths{"closed"}) << "it is there; what is below is unknown";
}

TEST(scan, a_rescan_reads_nothing_and_an_edit_reads_one_file)
{
	temp_dir dir;
	fs::create_directories(dir / "d");
	for (int i = 0; i < 50; ++i) write_text(dir / ("d/" + std::to_string(i)), std::to_string(i));
	write_text(dir / "large", noise(2'000'000, 3));
	memory known;
	auto const first = scanned(dir);
	known.keep(first);
	for (auto& [path, f] : known.files) f.published = true;

	auto const again = scanned(dir, options_with(&known));
	EXPECT_EQ(again.bytes_hashed, 0u);
	ASSERT_EQ(again.files.size(), first.files.size());
	for (std::size_t i = 0; i < first.files.size(); ++i)
	{
		EXPECT_EQ(again.files[i].chunks, first.files[i].chunks) << "shared, not copied";
		EXPECT_EQ(again.files[i].hash, first.files[i].hash);
		EXPECT_TRUE(again.files[i].published);
	}

	write_text(dir / "d/7", "edited");
	write_text(dir / "new", "!");
	fs::remove(dir / "d/8");
	auto const edited = scanned(dir, options_with(&known));
	EXPECT_EQ(edited.bytes_hashed, 7u);
	EXPECT_EQ(edited.files.size(), first.files.size());
	for (auto const& f : edited.files) EXPECT_EQ(f.published, f.path != "d/7" && f.path != "new") << f.path;
}

TEST(scan, an_edit_in_the_tick_of_the_last_scan_is_seen)
{
	temp_dir dir;
	memory known;
	for (int i = 0; i < 20; ++i)
	{
		write_text(dir / "f", std::to_string(100 + i));  // same size every time
		auto const r = scanned(dir, options_with(&known));
		ASSERT_EQ(r.files.size(), 1u);
		EXPECT_EQ(*r.files[0].chunks, xet::chunk_buffer(xet::as_bytes(std::to_string(100 + i)), options_with().how));
		known.keep(r);
	}
}

TEST(scan, touched_but_unchanged_content_stays_published)
{
	temp_dir dir;
	write_text(dir / "f", "x");
	memory known;
	known.keep(scanned(dir));
	known.files.at("f").published = true;
	::chmod((dir / "f").c_str(), 0600);
	auto const r = scanned(dir, options_with(&known));
	EXPECT_EQ(r.bytes_hashed, 1u) << "the stamp changed, so it is read";
	EXPECT_TRUE(r.files[0].published) << "but its content is the published one";
	EXPECT_EQ(r.files[0].stamp.mode, 0600u);
}

TEST(scan, only_wanted_content_is_read)
{
	temp_dir dir;
	write_text(dir / "wanted", "yes");
	write_text(dir / "other", "no");
	auto o = options_with();
	o.want_content = [](std::string_view path) { return path == "wanted"; };
	auto const r = scanned(dir, o);
	ASSERT_EQ(paths_of(r.files), (paths{"other", "wanted"}));
	EXPECT_EQ(r.files[0].chunks, nullptr);
	EXPECT_EQ(r.files[0].stamp.size, 2u);
	EXPECT_NE(r.files[1].chunks, nullptr);
	EXPECT_EQ(r.bytes_hashed, 3u);
}

// The hook in want_content runs between listing and reading: a race, made certain.
TEST(scan, files_that_vanish_or_change_kind_before_they_are_read)
{
	temp_dir dir;
	for (auto const* f : {"gone", "grown", "now a link", "kept"}) write_text(dir / f, "x");
	fs::create_directory(dir / "swapped");
	write_text(dir / "swapped/f", "inside");
	temp_dir outside;
	write_text(outside / "f", "secret");
	auto o = options_with();
	o.want_content = [&](std::string_view path) {
		if (path == "gone") fs::remove(dir / "gone");
		if (path == "grown") write_text(dir / "grown", "xx");
		if (path == "now a link")
		{
			fs::remove(dir / path);
			fs::create_symlink("kept", dir / path);
		}
		if (path == "swapped/f")
		{
			fs::rename(dir / "swapped", outside / "away");
			fs::create_directory_symlink(outside.path(), dir / "swapped");
		}
		return true;
	};
	auto const r = scanned(dir, o);
	EXPECT_EQ(paths_of(r.files), (paths{"grown", "kept"}));
	EXPECT_EQ(r.files[0].stamp.size, 2u) << "what was read, not what was listed";
	EXPECT_EQ(r.unstable, (paths{"now a link", "swapped/f"})) << "no link is followed";
	EXPECT_TRUE(r.refused.empty());
}

// The same for directories: known() runs between the listing of a directory and the opening of those in it.
TEST(scan, a_wide_tree_is_listed_as_a_narrow_one)
{
	temp_dir dir;
	paths expected;
	for (int i = 0; i < 40; ++i)
	{
		auto const branch = fs::path(xet::cat("branch ", i));
		fs::create_directories(dir / (branch / "twig").native());
		for (auto const& path : {branch / "leaf", branch / "twig" / "leaf", fs::path(xet::cat("branch ", i, ".txt"))})
		{
			write_text(dir / path.native(), path.native());
			expected.push_back(path.native());
		}
		fs::create_symlink("leaf", dir / (branch / "link").native());
	}
	std::sort(expected.begin(), expected.end());
	auto const first = scanned(dir);
	EXPECT_EQ(paths_of(first.files), expected);
	EXPECT_EQ(first.dirs.size(), 80u);
	EXPECT_EQ(first.links.size(), 40u);

	// what is known is asked for on the calling thread, and found for every file
	std::map<std::string, local_file, std::less<>> known;
	for (auto const& f : first.files) known.emplace(f.path, f);
	auto o = options_with();
	o.known = [&, self = std::this_thread::get_id()](std::string_view path) {
		EXPECT_EQ(std::this_thread::get_id(), self);
		auto const i = known.find(path);
		return i == known.end() ? nullptr : &i->second;
	};
	auto const second = scanned(dir, o);
	EXPECT_EQ(paths_of(second.files), expected);
	EXPECT_EQ(second.bytes_hashed, 0u);
}

TEST(scan, a_directory_that_becomes_a_link_or_vanishes_before_it_is_opened)
{
	temp_dir dir, outside;
	write_text(outside / "secret", "s");
	write_text(dir / "a", "x");
	fs::create_directories(dir / "swapped");
	fs::create_directories(dir / "gone");
	auto o = options_with();
	o.known = [&](std::string_view) -> local_file const* {
		fs::remove_all(dir / "gone");
		fs::remove(dir / "swapped");
		fs::create_directory_symlink(outside.path(), dir / "swapped");
		return nullptr;
	};
	auto const r = scanned(dir, o);
	EXPECT_EQ(paths_of(r.files), paths{"a"});
	EXPECT_TRUE(r.dirs.empty());
	EXPECT_EQ(r.unstable, paths{"swapped"});
}

TEST(scan, a_file_that_changes_while_it_is_read_is_unstable)
{
	temp_dir dir;
	write_text(dir / "growing", noise(32'000'000, 4));
	write_text(dir / "other", "x");
	std::atomic<bool> done{false};
	std::jthread const writer([&] {
		std::ofstream out(dir / "growing", std::ios::app);
		while (!done) out << "more" << std::flush;
	});
	auto const r = scanned(dir);
	done = true;
	EXPECT_EQ(paths_of(r.files), paths{"other"});
	EXPECT_EQ(r.unstable, paths{"growing"});
}

TEST(scan, errors)
{
	temp_dir dir;
	write_text(dir / "f", "x");
	EXPECT_EQ(scan_folder(dir / "absent", options_with()).error().code, xet::errc::not_found);
	EXPECT_EQ(scan_folder(dir / "f", options_with()).error().code, xet::errc::not_found);
	std::atomic<bool> stop{true};
	auto o = options_with();
	o.stop = &stop;
	EXPECT_EQ(scan_folder(dir.path(), o).error().code, xet::errc::cancelled);
}

TEST(scan, progress_ends_with_everything_done)
{
	temp_dir dir;
	for (int i = 0; i < 10; ++i) write_text(dir / std::to_string(i), "1234");
	scan_progress last;
	auto o = options_with();
	o.progress = [&](scan_progress const& p) { last = p; };
	scanned(dir, o);
	EXPECT_EQ(last.files_done, 10u);
	EXPECT_EQ(last.files_total, 10u);
	EXPECT_EQ(last.bytes_done, 40u);
	EXPECT_EQ(last.bytes_total, 40u);
}

} // namespace
} // namespace tonic
