# SPDX-License-Identifier: Apache-2.0

# cmake -D root=... -P readme.cmake
# Each program that README.md shows, behind a line `<!-- examples/NAME.cpp -->`, is that example, to the letter.

cmake_minimum_required(VERSION 3.25)

file(READ "${root}/README.md" readme)
string(REGEX MATCHALL "<!-- examples/[a-z_]+\\.cpp -->" shown "${readme}")
list(LENGTH shown count)
if(count EQUAL 0)
    message(FATAL_ERROR "README.md shows no example.")
endif()
foreach(marker IN LISTS shown)
    string(REGEX REPLACE "<!-- (.*) -->" "\\1" source "${marker}")
    file(READ "${root}/${source}" program)
    string(REGEX REPLACE "^// SPDX[^\n]*\n" "" program "${program}")
    string(FIND "${readme}" "${marker}\n```cpp\n${program}```\n" found)
    if(found EQUAL -1)
        message(FATAL_ERROR "README.md does not show ${source} as it is.")
    endif()
endforeach()
message(STATUS "${count} examples in README.md are what they should be.")
