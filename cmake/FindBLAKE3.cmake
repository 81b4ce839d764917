# Finds BLAKE3 and provides the target BLAKE3::blake3 (header blake3.h).
#
# In this order: an installed library (its CMake package, or pkg-config's libblake3), then the official C and assembly
# sources that Debian's librust-blake3-dev installs. Sets BLAKE3_FOUND, BLAKE3_ORIGIN (a text for people) and
# BLAKE3_FROM_SOURCE (the internal header blake3_impl.h is at hand as well).

set(BLAKE3_FROM_SOURCE FALSE)
set(BLAKE3_ORIGIN)

function(_blake3_add_sources dir)
	add_library(blake3_sources STATIC "${dir}/blake3.c" "${dir}/blake3_dispatch.c" "${dir}/blake3_portable.c")
	if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
		foreach(unit sse2 sse41 avx2 avx512)
			target_sources(blake3_sources PRIVATE "${dir}/blake3_${unit}_x86-64_unix.S")
		endforeach()
	elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
		target_sources(blake3_sources PRIVATE "${dir}/blake3_neon.c")
		target_compile_definitions(blake3_sources PRIVATE BLAKE3_USE_NEON=1)
	else()
		target_compile_definitions(blake3_sources PRIVATE BLAKE3_NO_SSE2 BLAKE3_NO_SSE41 BLAKE3_NO_AVX2 BLAKE3_NO_AVX512)
	endif()
	target_include_directories(blake3_sources SYSTEM INTERFACE "${dir}")
	# only here are blake3_impl.h and what it declares within reach
	target_compile_definitions(blake3_sources INTERFACE UT_XET_BLAKE3_BATCH=1)
	set_target_properties(blake3_sources PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
	# others' code: its warnings are not ours, and its one-time CPU detection is a benign race
	target_compile_options(blake3_sources PRIVATE -w -O3 -fno-sanitize=all)
	add_library(BLAKE3::blake3 ALIAS blake3_sources)
endfunction()

if(NOT TARGET BLAKE3::blake3)
	find_package(BLAKE3 CONFIG QUIET)
	if(TARGET BLAKE3::blake3)
		set(BLAKE3_ORIGIN "CMake package in ${BLAKE3_DIR}")
	endif()
endif()

if(NOT TARGET BLAKE3::blake3)
	find_package(PkgConfig QUIET)
	if(PkgConfig_FOUND)
		pkg_check_modules(LIBBLAKE3 QUIET IMPORTED_TARGET libblake3)
		if(LIBBLAKE3_FOUND)
			add_library(BLAKE3::blake3 ALIAS PkgConfig::LIBBLAKE3)
			set(BLAKE3_ORIGIN "library libblake3 ${LIBBLAKE3_VERSION}")
		endif()
	endif()
endif()

if(NOT TARGET BLAKE3::blake3)
	file(GLOB _blake3_headers "/usr/share/cargo/registry/blake3-*/c/blake3.h")
	if(_blake3_headers)
		list(SORT _blake3_headers COMPARE NATURAL ORDER DESCENDING)
		list(GET _blake3_headers 0 _blake3_header)
		get_filename_component(_blake3_dir "${_blake3_header}" DIRECTORY)
		_blake3_add_sources("${_blake3_dir}")
		set(BLAKE3_ORIGIN "C sources in ${_blake3_dir}")
		set(BLAKE3_FROM_SOURCE TRUE)
	endif()
endif()

include(FindPackageHandleStandardArgs)
set(FPHSA_NAME_MISMATCHED TRUE)
find_package_handle_standard_args(BLAKE3 REQUIRED_VARS BLAKE3_ORIGIN)
