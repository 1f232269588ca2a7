# SPDX-License-Identifier: Apache-2.0

# cmake -D compiler=... -D source=... -D include_dirs=a|b -D expected=regex -D errors=number -D flags=a|b
#       -P check.cmake
# Compiles the source, which has to fail and to say what is expected, in so many errors, if that matters; to succeed,
# where nothing is expected.

cmake_minimum_required(VERSION 3.25)

string(REPLACE "|" ";" include_dirs "${include_dirs}")
list(TRANSFORM include_dirs PREPEND "-I")
string(REPLACE "|" ";" flags "${flags}")
set(ENV{LC_ALL} C)
execute_process(
    COMMAND ${compiler} -std=c++20 -fsyntax-only ${include_dirs} ${flags} ${source}
    RESULT_VARIABLE result
    OUTPUT_VARIABLE diagnostics
    ERROR_VARIABLE diagnostics
)

if(expected STREQUAL "")
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "It should compile, but doesn't:\n${diagnostics}")
    endif()
elseif(result EQUAL 0)
    message(FATAL_ERROR "It compiles, but should not.")
elseif(NOT diagnostics MATCHES "${expected}")
    message(FATAL_ERROR "It fails, as it should, but without \"${expected}\":\n${diagnostics}")
elseif(NOT errors STREQUAL "")
    string(REGEX MATCHALL " error: " found "${diagnostics}")
    list(LENGTH found count)
    if(NOT count EQUAL errors)
        message(FATAL_ERROR "It fails, as it should, but with ${count} errors, not ${errors}:\n${diagnostics}")
    endif()
endif()
