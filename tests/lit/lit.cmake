# Golden tests with LLVM's lit and FileCheck. lit comes from PyPI into build/venv (tools/dependencies check).
find_program(REGRAFT_LIT lit HINTS ${PROJECT_SOURCE_DIR}/build/venv/bin REQUIRED)
add_test(NAME lit COMMAND ${REGRAFT_LIT} --threads 2 -v --param tool=$<TARGET_FILE:regraft_tool>
    --param graphs=${REGRAFT_GRAPHS} --param scratch=${PROJECT_BINARY_DIR}/lit ${CMAKE_CURRENT_LIST_DIR})
set_tests_properties(lit PROPERTIES LABELS lit)
