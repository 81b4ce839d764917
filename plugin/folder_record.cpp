#include "plugin/folder_record.hpp"

#include "tonic/tonic_file.hpp"

#include <nlohmann/json.hpp>

namespace ut_xet {

using xet::errc;
using xet::fail;

namespace {

constexpr std::size_t max_record_bytes = 1024 * 1024;

} // namespace

xet::result<folder_record> load_record(std::filesystem::path const& file)
{
	auto const text = tonic::read_whole_file(file, max_record_bytes);
	if (!text) return tl::unexpected(text.error());
	try
	{
		auto const j = nlohmann::json::parse(*text);
		folder_record r;
		r.carrier.folder = j.at("folder");
		r.carrier.name = j.at("name");
		auto const author = xet::from_hex(j.at("author").get<std::string>());
		auto const salt = xet::from_hex(j.at("salt").get<std::string>());
		if (!author || author->size() != r.carrier.author.size() || !salt) return fail(errc::invalid, file.string(), ": bad author or salt");
		std::copy(author->begin(), author->end(), r.carrier.author.begin());
		r.carrier.salt = *salt;
		r.info_hash = j.at("info_hash");
		r.trackers = j.at("trackers");
		r.role = j.at("role") == "publisher" ? folder_role::publisher : folder_role::follower;
		auto const path = xet::from_hex(j.at("path_hex").get<std::string>());
		if (!path) return fail(errc::invalid, file.string(), ": bad path");
		r.path = std::string(xet::as_text(*path));
		r.profile = j.at("profile");
		r.target_bytes = j.at("target_bytes");
		r.git_ref = j.value("git_ref", "");
		r.peers = j.at("peers");
		r.root_device = j.at("root_device");
		r.root_inode = j.at("root_inode");
		r.placed = j.at("placed");
		return r;
	}
	catch (std::exception const& e)
	{
		return fail(errc::invalid, file.string(), " is damaged: ", e.what());
	}
}

xet::result<> save_record(std::filesystem::path const& file, folder_record const& r)
{
	nlohmann::json const j{
		{"folder", r.carrier.folder},
		{"name", r.carrier.name},
		{"author", xet::to_hex(r.carrier.author)},
		{"salt", xet::to_hex(r.carrier.salt)},
		{"info_hash", r.info_hash},
		{"trackers", r.trackers},
		{"role", r.role == folder_role::publisher ? "publisher" : "follower"},
		{"path", r.path.string()},
		// paths are bytes, JSON is text: the hexadecimal form is the one that is read
		{"path_hex", xet::to_hex(xet::as_bytes(r.path.native()))},
		{"profile", r.profile},
		{"target_bytes", r.target_bytes},
		{"git_ref", r.git_ref},
		{"peers", r.peers},
		{"root_device", r.root_device},
		{"root_inode", r.root_inode},
		{"placed", r.placed},
	};
	return tonic::write_file_atomically(
		file, j.dump(1, '\t', false, nlohmann::json::error_handler_t::replace) + "\n");
}

} // namespace ut_xet
