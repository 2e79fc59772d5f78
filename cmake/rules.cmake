# The rules of rules/*.rule as a C source, so that the library needs no files at run time.
file(GLOB rule_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/rules/*.rule)
set(builtin_rules ${PROJECT_BINARY_DIR}/builtin_rules.c)
set(arrays "")
set(rows "")
foreach(rule_file ${rule_files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${rule_file})
    cmake_path(GET rule_file STEM stem)
    string(MAKE_C_IDENTIFIER ${stem} identifier)
    file(READ ${rule_file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1, " bytes "${bytes}")
    string(APPEND arrays "static const unsigned char ${identifier}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"rules/${stem}.rule\", ${identifier}, sizeof ${identifier} - 1},\n")
endforeach()
file(CONFIGURE OUTPUT ${builtin_rules} @ONLY CONTENT "/* Made by cmake/rules.cmake. */
#include \"rule/builtin.h\"

@arrays@
const struct builtin_rule_file builtin_rule_files[] = {
@rows@    {0},
};
")
target_sources(regraft_objects PRIVATE ${builtin_rules})
