#include "tools/common/client.hpp"

#include "plugin/control/store_commands.hpp"
#include "plugin/control/unix_socket.hpp"
#include "tonic/path_rules.hpp"
#include "tools/common/terminal.hpp"
#include "xet/bytes.hpp"

#include <nlohmann/json.hpp>
#include <sys/socket.h>

namespace tools {

using json = nlohmann::ordered_json;
using xet::errc;
using xet::fail;

namespace {

errc code_of(std::string const& name)
{
	if (name == "not_found") return errc::not_found;
	if (name == "refused") return errc::refused;
	if (name == "no_space") return errc::no_space;
	if (name == "io") return errc::io;
	return errc::invalid;
}

// Paths are bytes, JSON is text: what is not UTF-8 goes in hexadecimal, as KEY_hex.
json as_text(json const& request)
{
	if (request.is_array())
	{
		auto out = json::array();
		for (json const& value : request) out.push_back(as_text(value));
		return out;
	}
	if (!request.is_object()) return request;
	json out = json::object();
	for (auto const& [key, value] : request.items())
	{
		auto const* text = value.get_ptr<std::string const*>();
		if (text == nullptr) out[key] = as_text(value);
		else if (tonic::is_utf8(*text)) out[key] = value;
		else out[key + "_hex"] = xet::to_hex(xet::as_bytes(*text));
	}
	return out;
}

} // namespace

bool node_runs(std::filesystem::path const& data_dir)
{
	auto const fd = ut_xet::connect_unix(std::filesystem::absolute(data_dir) / "control.sock");
	return fd || fd.error().code != errc::not_found;
}

xet::result<json> ask_store(std::filesystem::path const& data_dir, json const& request, std::function<void(json const&)> const& on_event)
{
	if (node_runs(data_dir)) return ask_node(data_dir, request, on_event);
	std::error_code ec;
	auto const dir = std::filesystem::absolute(data_dir);
	auto const how = ut_xet::load_config({}, dir);
	if (!how) return tl::unexpected(how.error());
	// whoever only asks makes nothing
	bool const adds = request.at("cmd") == "store_add" || request.at("cmd") == "store_import";
	if (!adds && !std::filesystem::exists(ut_xet::store_dir(dir, *how), ec) && !std::filesystem::exists(dir / "folders", ec))
		return fail(errc::not_found, "there is no store and no node in the data directory ", data_dir.string(), "; start a node with: xetd --data ", data_dir.string());
	bool const fresh = std::filesystem::create_directories(dir, ec);
	if (ec) return fail(errc::io, "cannot make the data directory ", data_dir.string(), ": ", ec.message());
	if (fresh) std::filesystem::permissions(dir, std::filesystem::perms::owner_all, ec);
	std::string note;
	auto const store = ut_xet::node_store::open(dir, *how, note);
	if (!note.empty()) complain("xet", note);
	if (!store) return tl::unexpected(store.error());
	(*store)->read_folders();
	auto const listen = [&](json const& event) {
		if (on_event) on_event(event);
		return true;
	};
	if (request.at("cmd") == "stats") return ut_xet::store_figures(**store);
	return ut_xet::answer_store(**store, request, listen);
}

xet::result<json> ask_node(std::filesystem::path const& data_dir, json const& request, std::function<void(json const&)> const& on_event)
{
	auto const fd = ut_xet::connect_unix(std::filesystem::absolute(data_dir) / "control.sock");
	if (!fd && fd.error().code == errc::not_found)
		return fail(errc::not_found, "no node runs with the data directory ", data_dir.string(), "; start one with: xetd --data ", data_dir.string());
	if (!fd) return tl::unexpected(fd.error());

	std::string const line = as_text(request).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
	for (std::size_t sent = 0; sent < line.size();)
	{
		auto const n = ::send(fd->get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
		if (n <= 0) return fail(errc::io, "the node closed its control socket");
		sent += std::size_t(n);
	}
	std::string pending;
	char buffer[65536];
	for (;;)
	{
		for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n'))
		{
			auto const j = json::parse(pending.substr(0, end), nullptr, false);
			pending.erase(0, end + 1);
			if (!j.is_object()) return fail(errc::invalid, "what answers at the control socket is not a ut_xet node");
			if (j.contains("event"))
			{
				if (on_event) on_event(j);
				continue;
			}
			if (j.value("ok", false)) return j.value("result", json::object());
			return fail(code_of(j.value("code", "")), j.value("error", "the node gave no reason"));
		}
		auto const n = ::recv(fd->get(), buffer, sizeof buffer, 0);
		if (n <= 0) return fail(errc::io, "the node stopped before it answered");
		pending.append(buffer, std::size_t(n));
	}
}

} // namespace tools
