# libregraft: one set of objects, three libraries.
#   regraft::internal  every symbol, for the tool, the unit tests and the fuzzers; not installed
#   regraft::static    libregraft.a, public symbols only
#   regraft::shared    libregraft.so
file(GLOB library_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.c ${PROJECT_SOURCE_DIR}/src/base/*.c
    ${PROJECT_SOURCE_DIR}/src/ir/*.c ${PROJECT_SOURCE_DIR}/src/fx/*.c ${PROJECT_SOURCE_DIR}/src/rule/*.c ${PROJECT_SOURCE_DIR}/src/pass/*.c
    ${PROJECT_SOURCE_DIR}/src/interp/*.c ${PROJECT_SOURCE_DIR}/src/proof/*.c ${PROJECT_SOURCE_DIR}/src/plan/*.c ${PROJECT_SOURCE_DIR}/src/live/*.c)

add_library(regraft_objects OBJECT ${library_sources})
target_link_libraries(regraft_objects PRIVATE regraft_flags PkgConfig::jansson PkgConfig::zlib)

add_library(regraft_internal STATIC $<TARGET_OBJECTS:regraft_objects>)
target_link_libraries(regraft_internal PUBLIC regraft_flags PkgConfig::jansson PkgConfig::zlib m)
set_target_properties(regraft_internal PROPERTIES OUTPUT_NAME regraft-internal)
add_library(regraft::internal ALIAS regraft_internal)

# Hidden symbols can still collide in a static library. Linked into one object first, they become local to it.
# Sets REGRAFT_HIDDEN to what a static library of these objects is made of.
function(regraft_hide objects name)
    set(REGRAFT_HIDDEN $<TARGET_OBJECTS:${objects}> PARENT_SCOPE)
    if(REGRAFT_SINGLE_OBJECT)
        set(single_object ${PROJECT_BINARY_DIR}/${name}.o)
        add_custom_command(OUTPUT ${single_object}
            COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${single_object} $<TARGET_OBJECTS:${objects}>
            COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${single_object}
            DEPENDS ${objects} $<TARGET_OBJECTS:${objects}> COMMAND_EXPAND_LISTS VERBATIM)
        set(REGRAFT_HIDDEN ${single_object} PARENT_SCOPE)
    endif()
endfunction()

# What every installed library has: its file's name, its name as regraft::NAME, the headers, a version when shared.
function(regraft_public_library target file name)
    add_library(regraft::${name} ALIAS ${target})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${file} EXPORT_NAME ${name})
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL SHARED_LIBRARY)
        set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
        if(NOT REGRAFT_SANITIZERS)
            target_link_options(${target} PRIVATE -Wl,--no-undefined)
        endif()
    endif()
endfunction()

regraft_hide(regraft_objects regraft)
add_library(regraft_static STATIC ${REGRAFT_HIDDEN})
set_target_properties(regraft_static PROPERTIES LINKER_LANGUAGE C)
add_library(regraft_shared SHARED $<TARGET_OBJECTS:regraft_objects>)
target_link_libraries(regraft_shared PRIVATE regraft_flags PkgConfig::jansson PkgConfig::zlib m)
# By name: an imported target of ours would not exist where the package is used.
target_link_libraries(regraft_static PUBLIC jansson z m)
regraft_public_library(regraft_static regraft static)
regraft_public_library(regraft_shared regraft shared)
