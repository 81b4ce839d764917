# Options and flags that hold for every target of the project.

option(UT_XET_WERROR "Treat warnings as errors" OFF)
option(UT_XET_FUZZ "Build the libFuzzer targets of tests/fuzz (needs clang)" OFF)
option(UT_XET_WITHOUT_BLAKE3 "Build with SHA-256 only, as where no BLAKE3 can be found" OFF)
set(UT_XET_SANITIZE "" CACHE STRING "Value for -fsanitize=, for example address,undefined")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()
# line tables only: backtraces work, and building and linking take half the time
string(REGEX REPLACE "-g([ ]|$)" "-g1\\1" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
string(REGEX REPLACE "-g([ ]|$)" "-g1\\1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# only the plugin's entry points are seen from outside
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

# One kind of position independence for libraries and programs, so that they can share a precompiled header
add_compile_options(-fPIC)

if(UT_XET_SANITIZE)
	if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
		# instrumented code of the standard library looks uninitialised to GCC
		add_compile_options(-Wno-maybe-uninitialized)
	endif()
	add_compile_options(-fsanitize=${UT_XET_SANITIZE} -fno-sanitize-recover=all)
	add_link_options(-fsanitize=${UT_XET_SANITIZE})
endif()
if(UT_XET_FUZZ)
	if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "UT_XET_FUZZ needs clang: use the preset fuzz")
	endif()
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
	# precompiled headers carry time stamps and macros that ccache otherwise refuses to overlook
	set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
	set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
		"CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime" "${CCACHE_PROGRAM}")
	if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
		add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
	endif()
endif()

# For the project's own code only: others' sources must build without our warnings.
add_library(ut_xet_flags INTERFACE)
target_compile_options(ut_xet_flags INTERFACE
	$<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra> $<$<COMPILE_LANGUAGE:CXX>:-Wpedantic>
	$<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${UT_XET_WERROR}>>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
	# GCC 12 warns about std::string's own moves and copies (GCC bugs 105329, 105651)
	target_compile_options(ut_xet_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds>
		$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict> $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow>)
endif()
target_include_directories(ut_xet_flags INTERFACE "${CMAKE_SOURCE_DIR}")
