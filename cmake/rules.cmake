# The rules of rules/*.rule, and the graphs of rules/*.txt, as a C source, so that the library needs no files at run time.
file(GLOB rule_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/rules/*.rule)
set(builtin_rules ${PROJECT_BINARY_DIR}/builtin_rules.c)
set(arrays "")
set(rows "")
set(graph_rows "")
foreach(graphs definitions meanings roundings)
    list(APPEND rule_files ${PROJECT_SOURCE_DIR}/rules/${graphs}.txt)
endforeach()
foreach(rule_file ${rule_files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${rule_file})
    cmake_path(GET rule_file STEM stem)
    string(MAKE_C_IDENTIFIER ${stem} identifier)
    file(READ ${rule_file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1, " bytes "${bytes}")
    string(APPEND arrays "static const unsigned char ${identifier}[] = {${bytes}0};\n")
    cmake_path(GET rule_file FILENAME filename)
    set(row "{\"rules/${filename}\", ${identifier}, sizeof ${identifier} - 1}")
    if(filename MATCHES "txt$")
        string(APPEND graph_rows "const struct builtin_rule_file builtin_${identifier} = ${row};\n")
    else()
        string(APPEND rows "    ${row},\n")
    endif()
endforeach()
file(CONFIGURE OUTPUT ${builtin_rules} @ONLY CONTENT "/* Made by cmake/rules.cmake. */
#include \"rule/builtin.h\"

@arrays@
const struct builtin_rule_file builtin_rule_files[] = {
@rows@    {0},
};
@graph_rows@")
target_sources(regraft_objects PRIVATE ${builtin_rules})
