# SPDX-License-Identifier: Apache-2.0

if(NOT promisqs_boost_is_installed)
    # An installed promisqs has to find an installed Boost, and this one has not been installed.
    message(STATUS "promisqs: no install rules, because Boost is built from source here")
    return()
endif()

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Headers only, the same for every architecture: so share/, not lib/.
set(promisqs_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/promisqs)
set(promisqs_pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(TARGETS promisqs EXPORT promisqs-targets FILE_SET HEADERS)
install(EXPORT promisqs-targets NAMESPACE promisqs:: DESTINATION ${promisqs_package_dir})

configure_package_config_file(
    cmake/promisqs-config.cmake.in promisqs-config.cmake
    INSTALL_DESTINATION ${promisqs_package_dir}
    NO_SET_AND_CHECK_MACRO
)
# Before 1.0 a new minor version may break: the shared layout, or the interface.
write_basic_package_version_file(promisqs-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

# Relative to the .pc file, so that an installed tree can be moved.
cmake_path(SET pkgconfig_dir NORMALIZE "/prefix/${promisqs_pkgconfig_dir}")
cmake_path(SET include_dir NORMALIZE "/prefix/${CMAKE_INSTALL_INCLUDEDIR}")
cmake_path(RELATIVE_PATH include_dir BASE_DIRECTORY "${pkgconfig_dir}" OUTPUT_VARIABLE promisqs_pc_include_dir)
set(promisqs_pc_libs -pthread)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    string(APPEND promisqs_pc_libs " -lrt")
endif()
configure_file(cmake/promisqs.pc.in promisqs.pc @ONLY)

install(
    FILES "${PROJECT_BINARY_DIR}/promisqs-config.cmake" "${PROJECT_BINARY_DIR}/promisqs-config-version.cmake"
    DESTINATION ${promisqs_package_dir}
)
install(FILES cmake/compiled.cmake src/promisqs.cpp DESTINATION ${promisqs_package_dir})  # promisqs::compiled
install(FILES "${PROJECT_BINARY_DIR}/promisqs.pc" DESTINATION ${promisqs_pkgconfig_dir})
install(FILES LICENSE-APACHE DESTINATION ${CMAKE_INSTALL_DOCDIR})
