#include "tools/xet/shard_printer.hpp"

#include "tonic/path_rules.hpp"
#include "xet/hash.hpp"

#include <nlohmann/json.hpp>

#include <iostream>

namespace tools {

using json = nlohmann::ordered_json;

namespace {

void print(json const& row) { std::cout << row.dump(-1, ' ', false, json::error_handler_t::replace) << '\n'; }

std::string hex(xet::hash32 const& h) { return xet::to_hex(h.view()); }
std::string hub(xet::hash32 const& h) { return xet::to_string(xet::hash_kind::hf, h); }

char const* name_of(xet::shard_seal s)
{
	switch (s)
	{
	case xet::shard_seal::none: return "none";
	case xet::shard_seal::missing: return "missing";
	case xet::shard_seal::unchecked: return "unchecked";
	case xet::shard_seal::verified: return "verified";
	}
	return "";
}

void print_json(xet::sealed_shard const& s)
{
	for (auto const& f : s.content.files)
	{
		json xorbs = json::array();
		for (auto const& x : f.xorbs) xorbs.push_back(hex(x));
		print({{"path", f.path}, {"hash", hex(f.hash)}, {"size", f.size}, {"xorbs", xorbs}});
	}
	for (auto const& x : s.content.xorbs) print({{"xorb", hex(x)}});
	for (auto const& c : s.content.chunks) print({{"chunk", hex(c)}});
	print({{"format", "bep"}, {"files", s.content.files.size()}, {"xorbs", s.content.xorbs.size()}, {"chunks", s.content.chunks.size()}
		, {"hmac", name_of(s.seal)}, {"verified", s.seal == xet::shard_seal::verified}});
}

void print_text(xet::sealed_shard const& s)
{
	for (auto const& f : s.content.files)
	{
		std::cout << "file  " << hex(f.hash) << ' ' << f.size << ' ' << tonic::printable(f.path) << '\n';
		for (auto const& x : f.xorbs) std::cout << "  in  " << hex(x) << '\n';
	}
	for (auto const& x : s.content.xorbs) std::cout << "xorb  " << hex(x) << '\n';
	for (auto const& c : s.content.chunks) std::cout << "chunk " << hex(c) << '\n';
	std::cout << s.content.files.size() << " files, " << s.content.xorbs.size() << " xorbs, " << s.content.chunks.size()
		<< " chunks; HMAC: " << name_of(s.seal) << '\n';
}

json to_json(xet::hf_shard_file const& f)
{
	json segments = json::array();
	for (std::size_t i = 0; i < f.segments.size(); ++i)
	{
		auto const& s = f.segments[i];
		json row = {{"xorb", hub(s.xorb)}, {"size", s.bytes}, {"first_chunk", s.first_chunk}, {"end_chunk", s.end_chunk}};
		if (!f.range_hashes.empty()) row["range_hash"] = hub(f.range_hashes[i]);
		segments.push_back(row);
	}
	json out = {{"file", hub(f.hash)}, {"size", f.size()}, {"segments", segments}};
	if (f.sha256) out["sha256"] = hex(*f.sha256);
	return out;
}

json to_json(xet::hf_shard_xorb const& x)
{
	json chunks = json::array();
	for (auto const& c : x.chunks)
		chunks.push_back({{"hash", hub(c.hash)}, {"offset", c.offset}, {"size", c.size}, {"global_dedup", (c.flags & xet::hf_global_dedup_flag) != 0}});
	return {{"xorb", hub(x.hash)}, {"size", x.bytes}, {"stored", x.stored_bytes}, {"chunks", chunks}};
}

void print_text(xet::hf_shard const& s)
{
	for (auto const& f : s.files)
	{
		std::cout << "file  " << hub(f.hash) << ' ' << f.size() << (f.sha256 ? xet::cat(" sha256 ", hex(*f.sha256)) : "") << '\n';
		for (auto const& part : f.segments)
			std::cout << "  in  " << hub(part.xorb) << " chunks " << part.first_chunk << " to " << part.end_chunk << ", " << part.bytes << " bytes\n";
	}
	for (auto const& x : s.xorbs)
	{
		std::cout << "xorb  " << hub(x.hash) << ' ' << x.bytes << " bytes, " << x.stored_bytes << " stored\n";
		for (auto const& c : x.chunks)
			std::cout << "chunk " << hub(c.hash) << ' ' << c.offset << ' ' << c.size << (c.flags & xet::hf_global_dedup_flag ? " global-dedup" : "") << '\n';
	}
}

// Whether its chunk hashes are hashed once more with a key, so that nothing can be computed from them.
bool is_keyed(xet::hf_shard const& s) { return s.footer && !s.footer->chunk_key.is_zero(); }

json summary(xet::hf_shard const& s, std::size_t chunks, bool verified)
{
	json out = {{"format", "hf"}, {"form", s.footer ? "stored" : "upload"}, {"files", s.files.size()}, {"xorbs", s.xorbs.size()}, {"chunks", chunks}
		, {"keyed", is_keyed(s)}, {"verified", verified && !is_keyed(s)}};
	if (s.footer) out.update({{"chunk_key", hex(s.footer->chunk_key)}, {"created", s.footer->created}, {"key_expiry", s.footer->key_expiry}});
	return out;
}

} // namespace

void print_shard(xet::sealed_shard const& s, bool as_json)
{
	if (as_json) print_json(s);
	else print_text(s);
}

void print_shard(xet::hf_shard const& s, bool verified, bool as_json)
{
	std::size_t chunks = 0;
	for (auto const& x : s.xorbs) chunks += x.chunks.size();
	if (as_json)
	{
		for (auto const& f : s.files) print(to_json(f));
		for (auto const& x : s.xorbs) print(to_json(x));
		print(summary(s, chunks, verified));
		return;
	}
	print_text(s);
	std::cout << s.files.size() << " files, " << s.xorbs.size() << " xorbs, " << chunks << " chunks; Hugging Face, "
		<< (s.footer ? "stored" : "upload") << " form" << (is_keyed(s) ? ", chunk hashes keyed" : "") << '\n';
}

} // namespace tools
