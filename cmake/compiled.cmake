# SPDX-License-Identifier: Apache-2.0

# promisqs::compiled, the compiled form, from this source file. It is built only by projects that link it, and by their
# compiler: so it can be installed as a source, and there is none for each architecture.
function(promisqs_add_compiled source)
    if(TARGET promisqs_compiled)
        return()
    endif()
    add_library(promisqs_compiled STATIC EXCLUDE_FROM_ALL "${source}")
    add_library(promisqs::compiled ALIAS promisqs_compiled)
    target_link_libraries(promisqs_compiled PUBLIC promisqs::promisqs)
    target_compile_definitions(promisqs_compiled PUBLIC PROMISQS_COMPILED)
    set_target_properties(promisqs_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
endfunction()
