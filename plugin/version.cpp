#include "plugin/version.hpp"

#include "xet/limits.hpp"

#include <fcntl.h>

namespace ut_xet {

using xet::errc;
using xet::fail;

namespace {

xet::bytes head_message(xet::wire::folder_head const& head)
{
	xet::bytes message;
	xet::append(message, xet::as_bytes("tonic head v1"));
	xet::append(message, head.signed_part());
	return message;
}

} // namespace

std::optional<xet::bytes> version::read(xet::hash32 const& h) const
{
	auto const place = tree.find(h);
	if (!place)
	{
		// a tree of one level has its root nowhere in a list
		if (h != tree.root().hash || tree.root().levels != 0) return std::nullopt;
	}
	std::uint8_t const level = place ? place->level : 0;
	std::uint64_t const offset = place ? place->offset : 0;
	std::uint32_t const size = place ? place->size : tree.root().size;
	if (level > 0)
	{
		auto const list = tree.list(level).subspan(offset, size);
		return xet::bytes(list.begin(), list.end());
	}
	xet::bytes out(size);
	if (!tonic::read_at(tonic.get(), offset, out)) return std::nullopt;
	return out;
}

std::uint32_t version::pieces() const
{
	return std::uint32_t((tree.root().data_bytes + xet::metadata_piece_bytes - 1) / xet::metadata_piece_bytes);
}

std::optional<xet::bytes> version::piece(std::uint32_t index) const
{
	if (index >= pieces()) return std::nullopt;
	std::uint64_t const offset = std::uint64_t(index) * xet::metadata_piece_bytes;
	xet::bytes out(std::min<std::uint64_t>(xet::metadata_piece_bytes, tree.root().data_bytes - offset));
	if (!tonic::read_at(tonic.get(), offset, out)) return std::nullopt;
	return out;
}

xet::result<std::shared_ptr<version>> make_version(tonic::manifest manifest, std::string_view data, std::filesystem::path const& file)
{
	auto v = std::make_shared<version>();
	v->tonic = tonic::file_descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
	if (!v->tonic) return fail(errc::io, "cannot open ", file.string(), ": ", std::strerror(errno));
	v->tree = xet::chunk_tree::build(manifest.how.kind, xet::as_bytes(data));
	auto const git = manifest.git_ref.empty() ? std::nullopt : xet::wire::to_ref(manifest.git_ref);
	v->ref = git ? *git : xet::wire::to_ref(xet::hasher(manifest.how.kind).update(data).finish());
	v->manifest = std::make_shared<tonic::manifest const>(std::move(manifest));
	return v;
}

xet::wire::folder_head make_head(version const& v, tonic::key_pair const& key)
{
	xet::wire::folder_head head;
	head.id = v.manifest->folder;
	head.author = key.pub();
	head.seq = v.manifest->seq;
	head.timestamp = std::uint64_t(v.manifest->timestamp);
	head.ref = v.ref;
	head.tree = v.tree.root();
	head.hash = v.manifest->how.kind;
	head.signature = key.sign(head_message(head));
	return head;
}

bool verify_head(xet::wire::folder_head const& head)
{
	return tonic::verify(head.author, head_message(head), head.signature);
}

} // namespace ut_xet
