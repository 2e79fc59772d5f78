# The GPU's kernels: on a GPU, where there is one (else the test says so and skips), and on the emulator, which runs the same
# source and the same host code on this CPU. Skipped as `Skipped` by ctest would hide the message: it is in the test's output.
set(here ${CMAKE_CURRENT_LIST_DIR})
add_executable(gpu_kernels_test ${here}/gpu_kernels_test.c ${here}/random_case.c ${here}/elements.c ${here}/cuda.c)
target_link_libraries(gpu_kernels_test PRIVATE regraft::kernels_internal regraft_flags PkgConfig::cmocka m)
add_test(NAME kernels/gpu COMMAND gpu_kernels_test)
set_tests_properties(kernels/gpu PROPERTIES LABELS kernels)

# Threads on stacks of their own, and modules that are compiled while the test runs: not under a sanitizer.
find_program(REGRAFT_EMULATOR_CXX NAMES clang++-14 clang++ g++ HINTS /usr/lib/llvm-14/bin)
if(REGRAFT_EMULATOR_CXX AND NOT REGRAFT_SANITIZERS AND NOT REGRAFT_COVERAGE)
    set(emulator ${CMAKE_CURRENT_BINARY_DIR}/emulator)
    foreach(library cuda nvrtc)
        add_library(emulated_${library} SHARED ${here}/emulator/emulator.c ${here}/elements.c)
        target_include_directories(emulated_${library} PRIVATE ${PROJECT_SOURCE_DIR}/kernels ${here})
        target_link_libraries(emulated_${library} PRIVATE regraft_flags m ${CMAKE_DL_LIBS})
        target_compile_definitions(emulated_${library} PRIVATE _GNU_SOURCE EMULATOR_FOLDER="${here}/emulator")
        set_target_properties(emulated_${library} PROPERTIES OUTPUT_NAME ${library}
            LIBRARY_OUTPUT_DIRECTORY ${emulator} C_EXTENSIONS ON)
    endforeach()
    set_target_properties(emulated_cuda PROPERTIES VERSION 1 SOVERSION 1)
    set_target_properties(emulated_nvrtc PROPERTIES VERSION 13 SOVERSION 13)
    add_test(NAME kernels/gpu_emulated COMMAND gpu_kernels_test)
    set_tests_properties(kernels/gpu_emulated PROPERTIES LABELS kernels ENVIRONMENT
        "LD_LIBRARY_PATH=${emulator};XDG_CACHE_HOME=${emulator}/cache;REGRAFT_EMULATOR_CXX=${REGRAFT_EMULATOR_CXX};REGRAFT_TEST_CASES=12;REGRAFT_TEST_TOKENS=64")
endif()
