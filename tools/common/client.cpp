#include "tools/common/client.hpp"

#include "plugin/control/unix_socket.hpp"
#include "tonic/path_rules.hpp"
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
	json out;
	for (auto const& [key, value] : request.items())
	{
		auto const* text = value.get_ptr<std::string const*>();
		if (text == nullptr || tonic::is_utf8(*text)) out[key] = value;
		else out[key + "_hex"] = xet::to_hex(xet::as_bytes(*text));
	}
	return out;
}

} // namespace

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
