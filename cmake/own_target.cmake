# SPDX-License-Identifier: Apache-2.0

# For the project's own programs: many warnings, which are errors where the project is built for itself
# (`cmake --compile-no-warning-as-error` lifts that, for packagers with a compiler newer than this list).
function(promisqs_own_target target)
    target_link_libraries(${target} PRIVATE promisqs::promisqs)
    set_target_properties(
        ${target}
        PROPERTIES CXX_EXTENSIONS OFF COMPILE_WARNING_AS_ERROR ${PROJECT_IS_TOP_LEVEL}
    )
    target_compile_options(
        ${target}
        PRIVATE
            -Wall
            -Wextra
            -Wpedantic
            -Wcast-align
            -Wcast-qual
            -Wconversion
            -Wextra-semi
            -Wformat=2
            -Wnon-virtual-dtor
            -Wold-style-cast
            -Woverloaded-virtual
            -Wshadow
            -Wsign-conversion
            -Wundef
            -Wunused
            -Wzero-as-null-pointer-constant
            $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-branches>
            $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond>
            $<$<CXX_COMPILER_ID:GNU>:-Wlogical-op>
            $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Wimplicit-fallthrough>
    )
endfunction()
