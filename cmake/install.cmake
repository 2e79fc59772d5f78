# `cmake --install`: tool, libraries, header, man page, pkg-config file and CMake package.
install(TARGETS regraft_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS regraft_static regraft_shared regraft_kernels regraft_kernels_static EXPORT regraft-targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/regraft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/docs/regraft.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

list(JOIN kernel_libraries " -l" kernel_link_flags)
string(REPLACE "-l-" "-" kernel_link_flags "-l${kernel_link_flags}")
foreach(package regraft regraft-kernels)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/regraft)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/regraft-config.cmake.in
    ${PROJECT_BINARY_DIR}/regraft-config.cmake INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may break users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/regraft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/regraft-config.cmake ${PROJECT_BINARY_DIR}/regraft-config-version.cmake
    DESTINATION ${package_folder})
install(EXPORT regraft-targets NAMESPACE regraft:: DESTINATION ${package_folder})
