#pragma once
// Puts a shard together from files on disk and the xorbs that hold their chunks.

#include "tools/xet/any_xorb.hpp"
#include "xet/chunker.hpp"
#include "xet/hf_shard.hpp"
#include "xet/shard.hpp"

#include <unordered_map>
#include <unordered_set>

namespace tools {

// A file that was read.
struct shard_input
{
	std::string path;  // as it is recorded
	std::uint64_t size = 0;
	xet::chunk_list chunks;
	std::optional<xet::hash32> sha256;
};

// BEP XET's: files with their xorbs, all xorbs, all chunks, each hash once.
class bep_shard_maker
{
public:
	explicit bep_shard_maker(xet::hash_kind kind) : m_kind(kind) {}
	void add_xorb(any_xorb const& x);
	// Returns how many of the file's chunks are in none of the xorbs.
	std::size_t add_file(shard_input const& f);
	xet::shard const& content() const { return m_shard; }

private:
	xet::hash_kind m_kind;
	xet::shard m_shard;
	std::unordered_map<xet::hash32, xet::hash32> m_xorb_of;  // chunk → xorb
	std::unordered_set<xet::hash32> m_known_xorbs, m_known_chunks;
};

// Hugging Face's. Chunks that no given xorb holds are put into new ones, as if they were stored uncompressed.
class hf_shard_maker
{
public:
	void add_xorb(any_xorb const& x);
	void add_file(shard_input const& f);
	xet::hf_shard finish() &&;

private:
	struct place
	{
		std::size_t xorb;
		std::uint32_t chunk;
	};
	place place_of(xet::chunk_ref const& c);

	xet::hf_shard m_shard;
	std::vector<std::vector<std::size_t>> m_segment_xorbs;  // per file and segment, into m_shard.xorbs
	std::size_t m_given = 0;  // xorbs that exist
	std::unordered_map<xet::hash32, place> m_places;
	std::unordered_set<xet::hash32> m_known_files;
};

} // namespace tools
