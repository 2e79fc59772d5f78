# The command-line tool, build/regraft: one file that needs no libregraft.so beside it. All but main is linked into its
# unit tests too.
file(GLOB tool_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/tool/*.c)
list(REMOVE_ITEM tool_sources ${PROJECT_SOURCE_DIR}/src/tool/main.c)
add_library(regraft_tool_parts STATIC ${tool_sources})
target_link_libraries(regraft_tool_parts PUBLIC regraft::internal)
target_compile_definitions(regraft_tool_parts PUBLIC _GNU_SOURCE) # argp, fileno, getpid

add_executable(regraft_tool ${PROJECT_SOURCE_DIR}/src/tool/main.c)
set_target_properties(regraft_tool PROPERTIES OUTPUT_NAME regraft RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
target_link_libraries(regraft_tool PRIVATE regraft_tool_parts)
