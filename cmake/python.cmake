# What the wheel has beside the Python files (pyproject.toml): the library, the tool, and the libraries that both need, all
# found from where they are. So the wheel runs where none of these is installed.
if(NOT SKBUILD)
    return()
endif()

foreach(target regraft_shared regraft_kernels regraft_tool)
    set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH $ORIGIN)
endforeach()
install(FILES $<TARGET_FILE:regraft_shared> RENAME libregraft.so DESTINATION regraft/lib COMPONENT python)
install(FILES $<TARGET_FILE:regraft_kernels> RENAME libregraft-kernels.so DESTINATION regraft/lib COMPONENT python)
install(PROGRAMS $<TARGET_FILE:regraft_tool> DESTINATION regraft/lib COMPONENT python)

# A shared library by the name that programs ask for: libjansson.so.4.
function(install_shared file)
    execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${file} OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
    if(headers MATCHES "SONAME +([^\n ]+)")
        install(FILES ${file} RENAME ${CMAKE_MATCH_1} DESTINATION regraft/lib COMPONENT python)
    endif()
endfunction()
function(install_dependency name)
    find_library(found_${name} ${name} REQUIRED)
    file(REAL_PATH ${found_${name}} file)
    install_shared(${file})
endfunction()
install_dependency(jansson)
install_dependency(z)
if(OpenMP_C_FOUND) # the compiler's own
    list(GET OpenMP_C_LIB_NAMES 0 name)
    file(REAL_PATH ${OpenMP_${name}_LIBRARY} file)
    install_shared(${file})
endif()
