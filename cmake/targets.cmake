# Small helpers around file(GLOB) and precompiled headers.

# Sources matching the patterns, relative to the top folder; new files are noticed by the next build.
function(ut_xet_sources out)
	set(found)
	foreach(pattern IN LISTS ARGN)
		if(pattern MATCHES "\\*\\*/")
			string(REPLACE "**/" "" flat "${pattern}")
			file(GLOB_RECURSE some CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${flat}")
		else()
			file(GLOB some CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${pattern}")
		endif()
		list(APPEND found ${some})
	endforeach()
	list(REMOVE_DUPLICATES found)
	set(${out} "${found}" PARENT_SCOPE)
	if(NOT found)
		message(STATUS "no sources yet: ${ARGN}")
	endif()
endfunction()

# libtorrent's and the JSON library's headers take seconds each; parse them once for the whole build.
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/pch/heavy_headers.cpp" CONTENT "// carries the precompiled header\n" @ONLY)
add_library(heavy_headers OBJECT "${CMAKE_BINARY_DIR}/pch/heavy_headers.cpp")
target_link_libraries(heavy_headers PRIVATE ut_xet_flags ut_xet_libtorrent nlohmann_json::nlohmann_json tl::expected)
target_precompile_headers(heavy_headers PRIVATE
	<algorithm> <array> <chrono> <cstdint> <filesystem> <functional> <map> <memory> <mutex> <optional> <set> <span>
	<sstream> <string> <string_view> <thread> <unordered_map> <vector> <tl/expected.hpp>
	<nlohmann/json.hpp>
	<libtorrent/session.hpp> <libtorrent/session_params.hpp> <libtorrent/extensions.hpp> <libtorrent/alert_types.hpp>
	<libtorrent/torrent_handle.hpp> <libtorrent/peer_connection_handle.hpp> <libtorrent/torrent_info.hpp>
	<libtorrent/create_torrent.hpp> <libtorrent/bencode.hpp> <libtorrent/bdecode.hpp> <libtorrent/entry.hpp>)

function(ut_xet_use_heavy_headers target)
	target_link_libraries(${target} PRIVATE nlohmann_json::nlohmann_json)
	target_precompile_headers(${target} REUSE_FROM heavy_headers)
endfunction()
