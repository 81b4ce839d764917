#pragma once
// What the tests of the folder layer share.

#include "tonic/carrier.hpp"
#include "tonic/manifest.hpp"
#include "tonic/tonic_file.hpp"
#include "xet/merkle.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace tonic::testing {

namespace fs = std::filesystem;

// A new directory, removed with all it holds.
class temp_dir
{
public:
	temp_dir()
	{
		std::string name = (fs::temp_directory_path() / "tonic-test-XXXXXX").native();
		if (!::mkdtemp(name.data())) std::abort();
		m_path = name;
	}
	~temp_dir()
	{
		std::error_code ec;
		fs::remove_all(m_path, ec);
	}
	temp_dir(temp_dir const&) = delete;
	temp_dir& operator=(temp_dir const&) = delete;

	fs::path const& path() const { return m_path; }
	fs::path operator/(std::string_view name) const { return m_path / name; }

private:
	fs::path m_path;
};

inline void write_text(fs::path const& file, std::string_view text)
{
	std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

// Bytes that look random and are the same in every run.
inline std::string noise(std::size_t size, std::uint64_t seed)
{
	std::string ret(size, '\0');
	for (auto& c : ret)
	{
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		c = char(seed >> 56);
	}
	return ret;
}

inline key_pair test_key(std::uint8_t n = 1)
{
	std::array<std::uint8_t, 32> seed{};
	seed.fill(n);
	return key_pair::from_seed(seed);
}

inline std::string test_kind() { return xet::has_blake3() ? "blake3" : "sha256"; }

inline void add_file(manifest& m, std::string path, std::string_view content, std::int64_t mtime_ns = 1'700'000'000'123'456'789)
{
	file_entry f;
	f.path = std::move(path);
	f.size = content.size();
	f.mtime_ns = mtime_ns;
	auto const chunks = xet::chunk_buffer(xet::as_bytes(content), m.how);
	f.first_chunk = std::uint32_t(m.chunks.size());
	f.chunk_count = std::uint32_t(chunks.size());
	f.hash = xet::file_hash(m.how.kind, chunks);
	m.chunks.insert(m.chunks.end(), chunks.begin(), chunks.end());
	m.files.push_back(std::move(f));
}

inline manifest empty_manifest(std::string const& name = "holiday", std::string const& profile = test_kind())
{
	manifest m;
	m.how = *xet::make_profile(profile);
	m.name = name;
	m.author = test_key().pub();
	m.salt = folder_salt(name);
	m.folder = folder_id(m.author, m.salt);
	m.seq = 7;
	m.timestamp = 1'700'000'000;
	return m;
}

// Files above and below one another, in several directories, of no, one and many chunks; a directory; a link.
inline manifest small_manifest(std::string const& profile = test_kind())
{
	auto m = empty_manifest("holiday", profile);
	add_file(m, "a.txt", "hello");
	add_file(m, "a/b/deep.bin", noise(200'000, 1));
	add_file(m, "a/b/empty", "");
	add_file(m, "a/z", "z", -5);
	add_file(m, "strange \"name\"\n\xc3\xa9", "x");
	m.dirs.push_back({"a", 0755, 1});
	m.dirs.push_back({"a/b", 0700, 2});
	m.dirs.push_back({"nothing in here", 0755, 3});
	m.links.push_back({"a/b/link", "../z", 4});
	return m;
}

} // namespace tonic::testing
