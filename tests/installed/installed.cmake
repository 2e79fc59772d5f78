# An installation is used as its users will: with pkg-config, shared and static, and with find_package.
add_test(NAME package COMMAND ${CMAKE_CURRENT_LIST_DIR}/consume ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
set_tests_properties(package PROPERTIES LABELS package)
