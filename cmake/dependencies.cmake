# Everything the project takes from the system.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(tl-expected REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(SQLiteCpp REQUIRED CONFIG)
find_package(SQLite3 REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(LIBTORRENT REQUIRED IMPORTED_TARGET libtorrent-rasterbar>=2.0)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)

# The defines pkg-config prints decide the layout of libtorrent's and asio's types: whatever includes a libtorrent header
# links this target. TORRENT_NO_DEPRECATE must never be added: it changes those layouts too.
add_library(ut_xet_libtorrent INTERFACE)
target_link_libraries(ut_xet_libtorrent INTERFACE PkgConfig::LIBTORRENT OpenSSL::SSL OpenSSL::Crypto Threads::Threads)

set(UT_XET_HAVE_BLAKE3 0)
if(UT_XET_WITHOUT_BLAKE3)
	message(STATUS "BLAKE3: left out on request (UT_XET_WITHOUT_BLAKE3), SHA-256 only")
else()
	find_package(BLAKE3 MODULE QUIET)
	if(BLAKE3_FOUND)
		set(UT_XET_HAVE_BLAKE3 1)
		message(STATUS "BLAKE3: ${BLAKE3_ORIGIN}")
	else()
		message(WARNING "BLAKE3 not found: this build knows SHA-256 only and cannot join folders that use BLAKE3. "
			"Install libblake3-dev or librust-blake3-dev and configure again.")
	endif()
endif()
