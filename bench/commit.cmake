# SPDX-License-Identifier: Apache-2.0
#
# cmake -D SOURCE_DIR=<dir> -D OUTPUT=<file> -P commit.cmake
#
# Writes a header that says which commit this is, if it says something else by now.

cmake_minimum_required(VERSION 3.25)

find_program(GIT git)
set(commit "unknown")
if(GIT)
    execute_process(
        COMMAND ${GIT} describe --always --dirty --abbrev=12
        WORKING_DIRECTORY ${SOURCE_DIR}
        OUTPUT_VARIABLE described
        OUTPUT_STRIP_TRAILING_WHITESPACE
        ERROR_QUIET
        RESULT_VARIABLE failed
    )
    if(NOT failed)
        set(commit "${described}")
    endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define BENCH_COMMIT \"@commit@\"\n" @ONLY)
