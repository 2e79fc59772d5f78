# libregraft-kernels: the kernels alone, without the compiler. kernels/common and kernels/cpu here.
#   regraft::kernels         libregraft-kernels.so
#   regraft::kernels_static  libregraft-kernels.a, public symbols only
#   regraft::kernels_internal  every symbol, for the tests; not installed
file(GLOB kernel_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/common/*.c ${PROJECT_SOURCE_DIR}/kernels/cpu/*.c)
find_package(OpenMP COMPONENTS C QUIET) # without it: one thread

add_library(regraft_kernel_objects OBJECT ${kernel_sources})
target_link_libraries(regraft_kernel_objects PRIVATE regraft_flags)
target_include_directories(regraft_kernel_objects PRIVATE ${PROJECT_SOURCE_DIR}/kernels)
# The meaning of the kernels is given to the bit: products and sums are rounded apart.
target_compile_options(regraft_kernel_objects PRIVATE -ffp-contract=off $<$<CONFIG:Release>:-O3>)
set(kernel_libraries m)
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
