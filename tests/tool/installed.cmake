# SPDX-License-Identifier: Apache-2.0

# cmake -D build=... -D work=... -D version=... -P installed.cmake
# Installs the program from a build tree, and looks whether it works where it is, with all that belongs to it.

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE "${work}")
execute_process(
    COMMAND ${CMAKE_COMMAND} --install "${build}" --component promisqs_tool --prefix "${work}"
    COMMAND_ERROR_IS_FATAL ANY
)
execute_process(COMMAND "${work}/bin/promisqs" --version OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
if(NOT said STREQUAL "promisqs ${version}\n")
    message(FATAL_ERROR "The installed program says: ${said}")
endif()
foreach(
    file
    man/man1/promisqs.1
    bash-completion/completions/promisqs
    zsh/site-functions/_promisqs
    fish/vendor_completions.d/promisqs.fish
)
    file(SIZE "${work}/share/${file}" size)
    if(size EQUAL 0)
        message(FATAL_ERROR "${file} is empty")
    endif()
endforeach()
file(REMOVE_RECURSE "${work}")
