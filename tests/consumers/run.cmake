# SPDX-License-Identifier: Apache-2.0

# cmake -D case=... -D promisqs=... -D work=... -D generator=... -D compiler=... -D boost_dir=... -D boost_include_dirs=a|b
#       -D pkg_config=... -D riscv=... -D qemu_riscv=... -P run.cmake
# Configures, builds and runs one consumer project. Any failure is fatal.

cmake_minimum_required(VERSION 3.25)

set(consumers "${CMAKE_CURRENT_LIST_DIR}")
set(settings -G "${generator}" -D "CMAKE_CXX_COMPILER=${compiler}" -D CMAKE_BUILD_TYPE=Debug)
if(boost_dir)
    list(APPEND settings -D "Boost_DIR=${boost_dir}")
endif()

function(run)
    execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(configure source binary)
    run(${CMAKE_COMMAND} -S "${source}" -B "${binary}" ${settings} ${ARGN})
endfunction()

function(build_and_run project)
    configure("${consumers}/${project}" "${work}/build" ${ARGN})
    run(${CMAKE_COMMAND} --build "${work}/build")
    run("${work}/build/consumer")
    if(EXISTS "${work}/build/consumer_compiled")  # the same program, with the compiled form
        run("${work}/build/consumer_compiled")
    endif()
endfunction()

# Installs promisqs, and moves what was installed to ${work}/installed: it has to work wherever it ends up.
function(install_promisqs)
    configure("${promisqs}" "${work}/promisqs" -D PROMISQS_BUILD_TESTS=OFF -D PROMISQS_BUILD_BENCH=OFF
              -D PROMISQS_BUILD_EXAMPLES=OFF -D PROMISQS_BUILD_TOOLS=OFF ${ARGN})
    run(${CMAKE_COMMAND} --build "${work}/promisqs")
    run(${CMAKE_COMMAND} --install "${work}/promisqs" --prefix "${work}/first")
    if(EXISTS "${work}/first")
        file(RENAME "${work}/first" "${work}/installed")
    endif()
endfunction()

function(case_find_package)
    install_promisqs()
    build_and_run(find_package -D "CMAKE_PREFIX_PATH=${work}/installed")
endfunction()

function(case_add_subdirectory)
    build_and_run(add_subdirectory -D "PROMISQS_DIR=${promisqs}")
endfunction()

function(case_fetch_content)
    build_and_run(fetch_content -D "FETCHCONTENT_SOURCE_DIR_PROMISQS=${promisqs}")
endfunction()

function(case_pkg_config)
    install_promisqs()
    set(ENV{PKG_CONFIG_PATH} "${work}/installed/share/pkgconfig")
    execute_process(
        COMMAND ${pkg_config} --cflags --libs promisqs
        OUTPUT_VARIABLE flags
        COMMAND_ERROR_IS_FATAL ANY
    )
    if(NOT flags MATCHES "-I[^ ]*/installed/")
        message(FATAL_ERROR "The flags don't lead to where it is installed now: ${flags}")
    endif()
    separate_arguments(flags UNIX_COMMAND "${flags}")
    file(GLOB sources "${consumers}/program/*.cpp")
    run(${compiler} -std=c++20 ${sources} ${flags} -o "${work}/consumer")
    run("${work}/consumer")
endfunction()

# Downloads all that cmake/dependencies.cmake declares, each from an archive of a project with nothing in it.
function(case_downloaded)
    file(READ "${promisqs}/cmake/dependencies.cmake" text)
    string(REGEX MATCHALL "FetchContent_Declare\\([^)]*\\)" declarations "${text}")
    set(names "")
    foreach(declaration IN LISTS declarations)
        string(REGEX MATCH "\\(\n *([A-Za-z0-9_]+)" name "${declaration}")
        set(name ${CMAKE_MATCH_1})
        list(APPEND names ${name})
        file(WRITE "${work}/${name}/CMakeLists.txt" "project(${name} LANGUAGES NONE)\n")
        execute_process(
            COMMAND ${CMAKE_COMMAND} -E tar czf ${name}.tar.gz ${name}
            WORKING_DIRECTORY "${work}"
            COMMAND_ERROR_IS_FATAL ANY
        )
        file(SHA256 "${work}/${name}.tar.gz" hash)
        string(REGEX REPLACE "URL https:[^\n]*" "URL \"file://${work}/${name}.tar.gz\"" local "${declaration}")
        string(REGEX REPLACE "SHA256=[0-9a-f]*" "SHA256=${hash}" local "${local}")
        string(REPLACE "${declaration}" "${local}" text "${text}")
    endforeach()
    file(WRITE "${work}/project/dependencies.cmake" "${text}")
    file(COPY_FILE "${consumers}/downloaded/CMakeLists.txt" "${work}/project/CMakeLists.txt")
    configure("${work}/project" "${work}/build" -D FETCHCONTENT_TRY_FIND_PACKAGE_MODE=NEVER -D "names=${names}")
endfunction()

# Without -pthread, and with nothing but the standard libraries.
function(case_riscv64)
    string(REPLACE "|" ";" boost "${boost_include_dirs}")
    list(TRANSFORM boost PREPEND "-idirafter")
    file(GLOB sources "${consumers}/program/*.cpp")
    run(${riscv} -std=c++20 -I "${promisqs}/include" ${boost} -idirafter/usr/include ${sources} -static -o "${work}/consumer")
    run(${qemu_riscv} "${work}/consumer")
endfunction()

# With no Boost installed: what FetchContent would fetch is played by a project with the targets that Boost's own has.
function(case_fetched_boost)
    set(fetched
        -D FETCHCONTENT_TRY_FIND_PACKAGE_MODE=NEVER -D "FETCHCONTENT_SOURCE_DIR_BOOST=${consumers}/boost_stand_in"
        -D "stand_in_include_dirs=${boost_include_dirs}"
    )
    build_and_run(add_subdirectory -D "PROMISQS_DIR=${promisqs}" ${fetched})
    install_promisqs(${fetched})
    if(EXISTS "${work}/installed")
        message(FATAL_ERROR "Installed, though its Boost is not")
    endif()
endfunction()

file(REMOVE_RECURSE "${work}")
file(MAKE_DIRECTORY "${work}")
cmake_language(CALL "case_${case}")
