# libregraft-kernels: the kernels alone, without the compiler.
#   regraft::kernels         libregraft-kernels.so
#   regraft::kernels_static  libregraft-kernels.a, public symbols only
#   regraft::kernels_internal  every symbol, for the tests; not installed
file(GLOB kernel_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/common/*.c ${PROJECT_SOURCE_DIR}/kernels/cpu/*.c
    ${PROJECT_SOURCE_DIR}/kernels/gpu/*.c)
find_package(OpenMP COMPONENTS C QUIET) # without it: one thread

# The GPU's kernels are compiled on the user's machine: their source is data of the library. The first file is the main one.
set(gpu_folder ${PROJECT_SOURCE_DIR}/kernels/gpu)
set(gpu_sources ${gpu_folder}/device/kernels.h ${gpu_folder}/device/rope.h ${gpu_folder}/device/rows.h
    ${gpu_folder}/device/element.h ${gpu_folder}/device/platform.h ${gpu_folder}/device/conversions.h ${gpu_folder}/device/parameters.h)
set(gpu_source ${PROJECT_BINARY_DIR}/gpu_source.c)
add_custom_command(OUTPUT ${gpu_source} COMMAND ${CMAKE_COMMAND} -D OUTPUT=${gpu_source} -D "FILES=${gpu_sources}"
    -P ${gpu_folder}/embed.cmake DEPENDS ${gpu_sources} ${gpu_folder}/embed.cmake VERBATIM)

add_library(regraft_kernel_objects OBJECT ${kernel_sources} ${gpu_source})
target_link_libraries(regraft_kernel_objects PRIVATE regraft_flags)
target_include_directories(regraft_kernel_objects PRIVATE ${PROJECT_SOURCE_DIR}/kernels)
# The meaning of the kernels is given to the bit: products and sums are rounded apart.
target_compile_options(regraft_kernel_objects PRIVATE -ffp-contract=off -fno-math-errno $<$<CONFIG:Release>:-O3>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(avx2 -mavx2 -mf16c)
    set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512)
    foreach(form avx2 avx512)
        set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/cpu/rows_${form}.c PROPERTIES COMPILE_OPTIONS "${${form}}")
    endforeach()
    set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/cpu/rows_avx512_bf16.c PROPERTIES
        COMPILE_OPTIONS "${avx512};-mavx512bf16")
endif()
set(kernel_libraries m ${CMAKE_DL_LIBS})
if(OpenMP_C_FOUND)
    target_link_libraries(regraft_kernel_objects PRIVATE OpenMP::OpenMP_C)
    list(APPEND kernel_libraries ${OpenMP_C_FLAGS}) # by name, for installed users: -fopenmp
endif()

add_library(regraft_kernels_internal STATIC $<TARGET_OBJECTS:regraft_kernel_objects>)
target_link_libraries(regraft_kernels_internal PUBLIC regraft_flags ${kernel_libraries})
target_include_directories(regraft_kernels_internal PUBLIC ${PROJECT_SOURCE_DIR}/kernels)
set_target_properties(regraft_kernels_internal PROPERTIES OUTPUT_NAME regraft-kernels-internal)
add_library(regraft::kernels_internal ALIAS regraft_kernels_internal)

regraft_hide(regraft_kernel_objects regraft-kernels)
add_library(regraft_kernels_static STATIC ${REGRAFT_HIDDEN})
set_target_properties(regraft_kernels_static PROPERTIES LINKER_LANGUAGE C)
add_library(regraft_kernels SHARED $<TARGET_OBJECTS:regraft_kernel_objects>)
target_link_libraries(regraft_kernels_static PUBLIC ${kernel_libraries})
target_link_libraries(regraft_kernels PRIVATE regraft_flags ${kernel_libraries})
regraft_public_library(regraft_kernels regraft-kernels kernels)
regraft_public_library(regraft_kernels_static regraft-kernels kernels_static)
