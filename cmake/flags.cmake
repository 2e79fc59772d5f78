# Flags for all targets of the project: the interface target `regraft_flags`.
add_library(regraft_flags INTERFACE)
target_include_directories(regraft_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(regraft_flags INTERFACE _POSIX_C_SOURCE=200809L) # clock_gettime, fdopen, mkstemp
target_compile_options(regraft_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wvla
    $<$<BOOL:${REGRAFT_WERROR}>:-Werror>)
target_compile_options(regraft_flags INTERFACE -ffp-contract=off) # the interpreter's roundings are stated to the bit

if(REGRAFT_SANITIZERS)
    target_compile_options(regraft_flags INTERFACE -fsanitize=${REGRAFT_SANITIZERS} -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    target_link_options(regraft_flags INTERFACE -fsanitize=${REGRAFT_SANITIZERS})
endif()
if(REGRAFT_COVERAGE)
    target_compile_options(regraft_flags INTERFACE --coverage)
    target_link_options(regraft_flags INTERFACE --coverage)
endif()
if(REGRAFT_FUZZ)
    target_compile_options(regraft_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(REGRAFT_SANITIZERS OR REGRAFT_COVERAGE OR REGRAFT_FUZZ)
    set(REGRAFT_SINGLE_OBJECT OFF) # their runtimes look for symbols that would be hidden
endif()
