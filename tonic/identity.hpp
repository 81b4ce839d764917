#pragma once
// Ed25519 keys (RFC 8032): who publishes a folder, and the name that follows from it.
//
// Thread rule: a key_pair is immutable once made; everything may be called from any thread.

#include "xet/bytes.hpp"
#include "xet/error.hpp"

#include <array>
#include <filesystem>
#include <string>

namespace tonic {

using public_key = std::array<std::uint8_t, 32>;
using signature = std::array<std::uint8_t, 64>;

class key_pair
{
public:
	static key_pair generate();
	// seed: the 32 bytes an Ed25519 key is made from
	static key_pair from_seed(std::array<std::uint8_t, 32> const& seed);
	// The file holds one line: the seed in hexadecimal. Errors: not readable, not a key, readable by others (mode).
	static xet::result<key_pair> load(std::filesystem::path const& file);
	// Makes the file (mode 0600, its directory too) when it does not exist.
	static xet::result<key_pair> load_or_create(std::filesystem::path const& file);

	public_key const& pub() const { return m_public; }
	signature sign(xet::bytes_view message) const;

private:
	std::array<std::uint8_t, 32> m_seed{};
	public_key m_public{};
};

bool verify(public_key const& key, xet::bytes_view message, signature const& sig);

// Folder id: 40 hexadecimal characters, the first 20 bytes of BLAKE3-256("tonic folder v1" ‖ pk ‖ salt); a build without
// BLAKE3 makes it with SHA-256. Source: protocol §8.
std::string folder_id(public_key const& pk, xet::bytes_view salt);
// True when id is that of pk and salt, by either hash.
bool is_folder_id_of(std::string_view id, public_key const& pk, xet::bytes_view salt);
// The salt of a folder a publisher calls name: its first 16 bytes of SHA-256("tonic salt v1" ‖ name ‖ counter as u32 BE),
// so that publishing the same name again with the same key is the same folder. counter tells apart two folders of one name.
xet::bytes folder_salt(std::string_view name, std::uint32_t counter = 0);

} // namespace tonic
