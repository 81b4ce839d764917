#include "tonic/identity.hpp"

#include "tonic/file_io.hpp"
#include "xet/hash.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace tonic {

namespace {

constexpr std::string_view folder_id_domain = "tonic folder v1";
constexpr std::string_view salt_domain = "tonic salt v1";
constexpr std::size_t folder_id_bytes = 20;
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t max_key_file_bytes = 256;  // one line of 64 characters, with room for stray blanks

struct free_key
{
	void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
	void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
};

using key_handle = std::unique_ptr<EVP_PKEY, free_key>;
using digest_handle = std::unique_ptr<EVP_MD_CTX, free_key>;

// OpenSSL fails here only when it is out of memory or built without Ed25519. There is nothing to go on with then: an
// empty signature or a key of zeros would be worse than no process.
void require(bool ok)
{
	if (!ok) std::abort();
}

std::string folder_id_with(xet::hash_kind kind, public_key const& pk, xet::bytes_view salt)
{
	xet::hasher h(kind);
	h.update(folder_id_domain).update(xet::bytes_view(pk)).update(salt);
	return xet::to_hex(h.finish().view().first(folder_id_bytes));
}

std::string_view trimmed(std::string_view text)
{
	auto const blank = " \t\r\n";
	auto const from = text.find_first_not_of(blank);
	if (from == std::string_view::npos) return {};
	return text.substr(from, text.find_last_not_of(blank) - from + 1);
}

// The file is complete when it appears under its name, and never replaces one that is there: of two processes that
// start at once, one makes the key and the other reads it. Returns false when somebody else was first.
xet::result<bool> create_key_file(std::filesystem::path const& file, std::string_view line)
{
	std::filesystem::path temporary;
	auto const fd = open_temporary(file, 0600, temporary);
	if (!fd) return system_failure("cannot write the key file ", file.native());

	auto const written = ::fchmod(fd.get(), 0600) == 0 && write_all(fd.get(), line) == 0 ? ::fsync(fd.get()) : -1;
	int const linked = written == 0 ? ::link(temporary.c_str(), file.c_str()) : -1;
	int const reason = errno;
	::unlink(temporary.c_str());
	if (linked == 0) return true;
	if (written == 0 && reason == EEXIST) return false;
	errno = reason;
	return system_failure("cannot write the key file ", file.native());
}

xet::result<> make_private_directory(std::filesystem::path const& dir)
{
	if (dir.empty()) return {};
	std::error_code ec;
	if (std::filesystem::is_directory(dir, ec)) return {};
	std::filesystem::create_directories(dir.parent_path(), ec);
	if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
		return system_failure("cannot make the directory ", dir.native());
	return {};
}

} // namespace

key_pair key_pair::generate()
{
	std::array<std::uint8_t, 32> seed;
	require(RAND_priv_bytes(seed.data(), int(seed.size())) == 1);
	key_pair ret = from_seed(seed);
	OPENSSL_cleanse(seed.data(), seed.size());
	return ret;
}

key_pair key_pair::from_seed(std::array<std::uint8_t, 32> const& seed)
{
	key_pair ret;
	ret.m_seed = seed;
	key_handle key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
	std::size_t size = ret.m_public.size();
	require(key && EVP_PKEY_get_raw_public_key(key.get(), ret.m_public.data(), &size) == 1 && size == ret.m_public.size());
	return ret;
}

xet::result<key_pair> key_pair::load(std::filesystem::path const& file)
{
	file_descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	if (!fd) return system_failure("cannot read the key file ", file.native());
	struct ::stat st{};
	if (::fstat(fd.get(), &st) != 0) return system_failure("cannot read the key file ", file.native());
	if (!S_ISREG(st.st_mode)) return xet::fail(xet::errc::invalid, "the key file ", file.native(), " is not a regular file");
	if (st.st_mode & 077)
		return xet::fail(xet::errc::refused, "the key file ", file.native(), " can be used by other users of this machine: run  chmod 600 "
			, shell_quoted(file.native()), "  (and publish with a new key if somebody may have read it)");

	auto text = read_to_end(fd.get(), max_key_file_bytes);
	if (!text) return system_failure("cannot read the key file ", file.native());
	auto raw = xet::from_hex(trimmed(*text));
	OPENSSL_cleanse(text->data(), text->size());
	if (!raw || raw->size() != 32)
		return xet::fail(xet::errc::invalid, "the key file ", file.native()
			, " does not hold a key: one line of 64 hexadecimal characters is expected");

	std::array<std::uint8_t, 32> seed;
	std::copy(raw->begin(), raw->end(), seed.begin());
	OPENSSL_cleanse(raw->data(), raw->size());
	key_pair ret = from_seed(seed);
	OPENSSL_cleanse(seed.data(), seed.size());
	return ret;
}

xet::result<key_pair> key_pair::load_or_create(std::filesystem::path const& file)
{
	auto existing = load(file);
	if (existing || existing.error().code != xet::errc::not_found) return existing;

	if (auto made = make_private_directory(file.parent_path()); !made) return tl::unexpected(made.error());
	key_pair const fresh = generate();
	std::string line = xet::to_hex(fresh.m_seed) + "\n";
	auto const created = create_key_file(file, line);
	OPENSSL_cleanse(line.data(), line.size());
	if (!created) return tl::unexpected(created.error());
	if (!*created) return load(file);
	return fresh;
}

signature key_pair::sign(xet::bytes_view message) const
{
	key_handle key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, m_seed.data(), m_seed.size()));
	digest_handle context(EVP_MD_CTX_new());
	signature ret{};
	std::size_t size = ret.size();
	require(key && context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1
		&& EVP_DigestSign(context.get(), ret.data(), &size, message.data(), message.size()) == 1 && size == ret.size());
	return ret;
}

bool verify(public_key const& pk, xet::bytes_view message, signature const& sig)
{
	key_handle key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, pk.data(), pk.size()));
	digest_handle context(EVP_MD_CTX_new());
	return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1
		&& EVP_DigestVerify(context.get(), sig.data(), sig.size(), message.data(), message.size()) == 1;
}

std::string folder_id(public_key const& pk, xet::bytes_view salt)
{
	return folder_id_with(xet::has_blake3() ? xet::hash_kind::blake3 : xet::hash_kind::sha256, pk, salt);
}

bool is_folder_id_of(std::string_view id, public_key const& pk, xet::bytes_view salt)
{
	return (xet::has_blake3() && id == folder_id_with(xet::hash_kind::blake3, pk, salt))
		|| id == folder_id_with(xet::hash_kind::sha256, pk, salt);
}

xet::bytes folder_salt(std::string_view name, std::uint32_t counter)
{
	xet::bytes number;
	xet::append_be(number, counter);
	auto const full = xet::hasher(xet::hash_kind::sha256).update(salt_domain).update(name).update(xet::bytes_view(number)).finish();
	return xet::bytes(full.raw.begin(), full.raw.begin() + salt_bytes);
}

} // namespace tonic
