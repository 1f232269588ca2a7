# SPDX-License-Identifier: Apache-2.0
#
# What the library and its own programs are built on: an installed package where there is one, else a pinned release.
# Only what is asked for with promisqs_provide() is looked for, so that a sub-project needs nothing but Boost's headers.

include(FetchContent)

# SYSTEM comes first: behind URL_HASH, CMake 3.25.1 takes it for a part of the hash.

FetchContent_Declare(
    Boost
    SYSTEM
    URL https://github.com/boostorg/boost/releases/download/boost-1.87.0/boost-1.87.0-cmake.tar.xz
    URL_HASH SHA256=7da75f171837577a52bbf217e17f8ea576c7c246e4594d617bfde7fafd408be5
    FIND_PACKAGE_ARGS 1.74 CONFIG
)
# No version: both 2.13 and 3 will do.
FetchContent_Declare(
    Catch2
    SYSTEM
    URL https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz
    URL_HASH SHA256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c
    FIND_PACKAGE_ARGS CONFIG
)
FetchContent_Declare(
    benchmark
    SYSTEM
    URL https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz
    URL_HASH SHA256=32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981
    FIND_PACKAGE_ARGS CONFIG
)
FetchContent_Declare(
    CLI11
    SYSTEM
    URL https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.2.tar.gz
    URL_HASH SHA256=f2d893a65c3b1324c50d4e682c0cdc021dd0477ae2c048544f39eed6654b699a
    FIND_PACKAGE_ARGS CONFIG
)
FetchContent_Declare(
    fmt
    SYSTEM
    URL https://github.com/fmtlib/fmt/archive/refs/tags/10.2.1.tar.gz
    URL_HASH SHA256=1250e4cc58bf06ee631567523f48848dc4596133e163f02615c97f78bab6c811
    FIND_PACKAGE_ARGS 9 CONFIG
)
FetchContent_Declare(
    nlohmann_json
    SYSTEM
    URL https://github.com/nlohmann/json/archive/refs/tags/v3.11.3.tar.gz
    URL_HASH SHA256=0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406
    FIND_PACKAGE_ARGS CONFIG
)
# Of zlib, only the checksum is built from source: no more is needed.
FetchContent_Declare(
    zlib
    URL https://github.com/madler/zlib/releases/download/v1.3.1/zlib-1.3.1.tar.gz
    URL_HASH SHA256=9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23
    SOURCE_SUBDIR none
)

# The client of NATS, for the bridge of the program: release 3.6.1. It is added by promisqs_build_nats().
FetchContent_Declare(
    cnats
    URL https://github.com/nats-io/nats.c/archive/66cec7fce9a64f911015f0c516a086c1a74cd22a.tar.gz
    URL_HASH SHA512=c0d3ad62c9453dca1799e69c3fe9df63c57c29c3c596ba4a9c5053b4886014741b8ce1563adb28d3e64b6b221748884ef71d6b288fae2855ae1ed1fdd2d028fb
    SOURCE_SUBDIR none
)

# A macro, because what find_package() sets (Catch2: CMAKE_MODULE_PATH) is for the caller.
macro(promisqs_provide package)
    if("${package}" STREQUAL "Boost")
        promisqs_provide_boost()
    elseif("${package}" STREQUAL "zlib")
        promisqs_provide_zlib()
    elseif("${package}" STREQUAL "nats")
        promisqs_provide_nats()
    else()
        # For a fetched dependency: the library alone, nothing of it installed.
        set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
        set(CATCH_INSTALL_DOCS OFF)
        set(CATCH_INSTALL_EXTRAS OFF)
        set(BENCHMARK_ENABLE_TESTING OFF)
        set(BENCHMARK_ENABLE_INSTALL OFF)
        set(BENCHMARK_INSTALL_DOCS OFF)
        set(BENCHMARK_ENABLE_WERROR OFF)
        set(CLI11_BUILD_TESTS OFF)
        set(CLI11_BUILD_EXAMPLES OFF)
        set(CLI11_BUILD_DOCS OFF)
        set(CLI11_INSTALL OFF)
        set(FMT_DOC OFF)
        set(FMT_INSTALL OFF)
        set(FMT_TEST OFF)
        set(JSON_BuildTests OFF)
        set(JSON_Install OFF)
        FetchContent_MakeAvailable(${package})
        if("${package}" STREQUAL "Catch2" AND DEFINED catch2_SOURCE_DIR)
            list(APPEND CMAKE_MODULE_PATH "${catch2_SOURCE_DIR}/extras")
        endif()
    endif()
endmacro()

# Sets promisqs_boost_targets, promisqs_boost_histogram_target, promisqs_boost_beast_target and
# promisqs_boost_is_installed in the scope of the caller.
macro(promisqs_provide_boost)
    if(NOT TARGET Boost::headers AND NOT TARGET Boost::interprocess)
        set(BOOST_INCLUDE_LIBRARIES interprocess describe)
        if(PROMISQS_BUILD_BENCH)
            list(APPEND BOOST_INCLUDE_LIBRARIES histogram)
        endif()
        if(PROMISQS_BUILD_TOOLS)
            list(APPEND BOOST_INCLUDE_LIBRARIES asio beast)
        endif()
        FetchContent_MakeAvailable(Boost)
    endif()
    set(promisqs_boost_targets Boost::headers)
    set(promisqs_boost_histogram_target Boost::headers)
    set(promisqs_boost_beast_target Boost::headers)
    set(promisqs_boost_is_installed OFF)
    if(TARGET Boost::headers)
        get_target_property(promisqs_boost_is_installed Boost::headers IMPORTED)
    endif()
    if(NOT promisqs_boost_is_installed)
        # Built from source, by us or by the surrounding project: one target for each library, and an empty Boost::headers.
        set(promisqs_boost_targets Boost::interprocess)
        if(TARGET Boost::describe)
            list(APPEND promisqs_boost_targets Boost::describe)
        endif()
        set(promisqs_boost_histogram_target Boost::histogram)
        set(promisqs_boost_beast_target Boost::beast)
    endif()
endmacro()

# ZLIB::ZLIB.
macro(promisqs_provide_zlib)
    if(NOT TARGET ZLIB::ZLIB)
        find_package(ZLIB QUIET)
    endif()
    if(NOT TARGET ZLIB::ZLIB)
        enable_language(C)
        FetchContent_MakeAvailable(zlib)
        add_library(promisqs_zlib STATIC "${zlib_SOURCE_DIR}/crc32.c")
        target_include_directories(promisqs_zlib SYSTEM PUBLIC "${zlib_SOURCE_DIR}")
        add_library(ZLIB::ZLIB ALIAS promisqs_zlib)
    endif()
endmacro()

# promisqs_nats, if the client of NATS is there, or PROMISQS_WITH_NATS is ON: then it is built from source where there is
# none.
macro(promisqs_provide_nats)
    set(promisqs_nats_library "")
    if(PROMISQS_WITH_NATS)
        # Not by its CMake package: that of Debian names a file that is in no package, and so ends the configuration.
        find_path(promisqs_nats_headers nats/nats.h)
        find_library(promisqs_nats_file nats)
        mark_as_advanced(promisqs_nats_headers promisqs_nats_file)
        if(promisqs_nats_headers AND promisqs_nats_file)
            set(promisqs_nats_library "${promisqs_nats_file}")
        endif()
        if("${promisqs_nats_library}" STREQUAL "" AND NOT "${PROMISQS_WITH_NATS}" STREQUAL "AUTO")
            promisqs_build_nats()
            set(promisqs_nats_library nats_static)
        endif()
    endif()
    if(NOT "${promisqs_nats_library}" STREQUAL "")
        add_library(promisqs_nats INTERFACE)
        target_link_libraries(promisqs_nats INTERFACE ${promisqs_nats_library})
        target_include_directories(promisqs_nats SYSTEM INTERFACE ${promisqs_nats_headers})
    elseif(PROMISQS_WITH_NATS)
        message(STATUS "No client of NATS was found, so `promisqs bridge` is left out: install libnats-dev")
    endif()
endmacro()

# nats_static, from source; promisqs_nats_headers: a folder with its headers, where an installed client has them.
function(promisqs_build_nats)
    enable_language(C)
    set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
    set(BUILD_TESTING OFF)
    set(NATS_BUILD_EXAMPLES OFF)
    set(NATS_BUILD_STREAMING OFF)
    set(NATS_BUILD_LIB_SHARED OFF)
    FetchContent_MakeAvailable(cnats)
    # It would be installed with us, were it not excluded.
    add_subdirectory("${cnats_SOURCE_DIR}" "${cnats_BINARY_DIR}" EXCLUDE_FROM_ALL SYSTEM)
    set(headers "${CMAKE_CURRENT_BINARY_DIR}/nats_headers")
    file(MAKE_DIRECTORY "${headers}")
    file(CREATE_LINK "${cnats_SOURCE_DIR}/src" "${headers}/nats" SYMBOLIC)
    set(promisqs_nats_headers "${headers}" PARENT_SCOPE)
endfunction()
