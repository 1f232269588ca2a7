# SPDX-License-Identifier: Apache-2.0
#
# Libraries that the benchmarks compare with, as far as they are installed (`tools/setup bench`): none is needed. Those who link
# to bench_peers have BENCH_HAS_<NAME> defined for each, as 0 or 1, and BENCH_MISSING, the names of those that are not there.

add_library(bench_peers INTERFACE)
set(bench_missing_peers "")
if(PROMISQS_SMOKE_ONLY)
    set(names ATOMIC_QUEUE BOOST_LOCKFREE DBUS DPDK ICEORYX MOODYCAMEL ZEROMQ)
    list(TRANSFORM names REPLACE "(.+)" "BENCH_HAS_\\1=0" OUTPUT_VARIABLE definitions)
    list(JOIN names " " names)
    string(TOLOWER "${names}" names)
    target_compile_definitions(bench_peers INTERFACE ${definitions} BENCH_MISSING="${names}")
    return()
endif()

# bench_peer(<NAME> FOUND <value> [INCLUDE_DIRS <dir>...] [LIBRARIES <library>...])
function(bench_peer name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOUND" "INCLUDE_DIRS;LIBRARIES")
    if(arg_FOUND)
        target_compile_definitions(bench_peers INTERFACE BENCH_HAS_${name}=1)
        target_include_directories(bench_peers SYSTEM INTERFACE ${arg_INCLUDE_DIRS})
        target_link_libraries(bench_peers INTERFACE ${arg_LIBRARIES})
    else()
        target_compile_definitions(bench_peers INTERFACE BENCH_HAS_${name}=0)
        string(TOLOWER "${name}" name)
        set(bench_missing_peers ${bench_missing_peers} ${name} PARENT_SCOPE)
    endif()
endfunction()

# Not with a Boost that was built for the project itself, which has only what that needs.
if(promisqs_boost_is_installed)
    find_path(BENCH_BOOST_LOCKFREE_DIR boost/lockfree/queue.hpp HINTS ${Boost_INCLUDE_DIRS})
endif()
bench_peer(BOOST_LOCKFREE FOUND "${BENCH_BOOST_LOCKFREE_DIR}" INCLUDE_DIRS ${BENCH_BOOST_LOCKFREE_DIR})

find_path(BENCH_ATOMIC_QUEUE_DIR atomic_queue/atomic_queue.h)
bench_peer(ATOMIC_QUEUE FOUND "${BENCH_ATOMIC_QUEUE_DIR}" INCLUDE_DIRS ${BENCH_ATOMIC_QUEUE_DIR})

find_path(BENCH_MOODYCAMEL_DIR concurrentqueue/concurrentqueue.h)
bench_peer(MOODYCAMEL FOUND "${BENCH_MOODYCAMEL_DIR}" INCLUDE_DIRS ${BENCH_MOODYCAMEL_DIR})

find_path(BENCH_ZEROMQ_DIR zmq.hpp)
find_library(BENCH_ZEROMQ_LIBRARY zmq)
if(BENCH_ZEROMQ_DIR AND BENCH_ZEROMQ_LIBRARY)
    set(bench_has_zeromq ON)
endif()
bench_peer(
    ZEROMQ
    FOUND "${bench_has_zeromq}"
    INCLUDE_DIRS ${BENCH_ZEROMQ_DIR}
    LIBRARIES ${BENCH_ZEROMQ_LIBRARY}
)

find_package(iceoryx_posh CONFIG QUIET)
if(iceoryx_posh_FOUND)
    find_program(BENCH_ROUDI iox-roudi)
endif()
bench_peer(ICEORYX FOUND "${BENCH_ROUDI}" LIBRARIES iceoryx_posh::iceoryx_posh)

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(BENCH_DBUS QUIET dbus-1)
    find_program(BENCH_DBUS_DAEMON dbus-daemon)
endif()
if(BENCH_DBUS_FOUND AND BENCH_DBUS_DAEMON)
    set(bench_has_dbus ON)
endif()
bench_peer(DBUS FOUND "${bench_has_dbus}" INCLUDE_DIRS ${BENCH_DBUS_INCLUDE_DIRS} LIBRARIES ${BENCH_DBUS_LINK_LIBRARIES})

# Only the ring, and what that is linked with: not the drivers that pkg-config names along with it.
if(PkgConfig_FOUND)
    pkg_check_modules(BENCH_DPDK QUIET libdpdk)
    find_library(BENCH_RTE_RING_LIBRARY rte_ring HINTS ${BENCH_DPDK_LIBRARY_DIRS})
endif()
if(BENCH_DPDK_FOUND AND BENCH_RTE_RING_LIBRARY)
    set(bench_has_dpdk ON)
endif()
bench_peer(DPDK FOUND "${bench_has_dpdk}" INCLUDE_DIRS ${BENCH_DPDK_INCLUDE_DIRS} LIBRARIES ${BENCH_RTE_RING_LIBRARY})

list(JOIN bench_missing_peers " " bench_missing_peers)
target_compile_definitions(bench_peers INTERFACE BENCH_MISSING="${bench_missing_peers}")
if(bench_missing_peers)
    message(STATUS "Not installed, so not in the benchmarks: ${bench_missing_peers}")
endif()
