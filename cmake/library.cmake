# libregraft: one set of objects, three libraries.
#   regraft::internal  every symbol, for the tool, the unit tests and the fuzzers; not installed
#   regraft::static    libregraft.a, public symbols only
#   regraft::shared    libregraft.so
file(GLOB library_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.c ${PROJECT_SOURCE_DIR}/src/base/*.c
    ${PROJECT_SOURCE_DIR}/src/ir/*.c ${PROJECT_SOURCE_DIR}/src/fx/*.c ${PROJECT_SOURCE_DIR}/src/pass/*.c
    ${PROJECT_SOURCE_DIR}/src/interp/*.c ${PROJECT_SOURCE_DIR}/src/proof/*.c ${PROJECT_SOURCE_DIR}/src/plan/*.c)

add_library(regraft_objects OBJECT ${library_sources})
target_link_libraries(regraft_objects PRIVATE regraft_flags PkgConfig::jansson PkgConfig::zlib)

add_library(regraft_internal STATIC $<TARGET_OBJECTS:regraft_objects>)
target_link_libraries(regraft_internal PUBLIC regraft_flags PkgConfig::jansson PkgConfig::zlib m)
set_target_properties(regraft_internal PROPERTIES OUTPUT_NAME regraft-internal)
add_library(regraft::internal ALIAS regraft_internal)

# Hidden symbols can still collide in a static library. Linked into one object first, they become local to it.
if(REGRAFT_SINGLE_OBJECT)
    set(single_object ${PROJECT_BINARY_DIR}/regraft.o)
    add_custom_command(OUTPUT ${single_object}
        COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${single_object} $<TARGET_OBJECTS:regraft_objects>
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${single_object}
        DEPENDS regraft_objects $<TARGET_OBJECTS:regraft_objects> COMMAND_EXPAND_LISTS VERBATIM)
    add_library(regraft_static STATIC ${single_object})
    set_target_properties(regraft_static PROPERTIES LINKER_LANGUAGE C)
else()
    add_library(regraft_static STATIC $<TARGET_OBJECTS:regraft_objects>)
endif()
add_library(regraft_shared SHARED $<TARGET_OBJECTS:regraft_objects>)
set_target_properties(regraft_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_link_libraries(regraft_shared PRIVATE regraft_flags)
if(NOT REGRAFT_SANITIZERS)
    target_link_options(regraft_shared PRIVATE -Wl,--no-undefined)
endif()

foreach(kind static shared)
    add_library(regraft::${kind} ALIAS regraft_${kind})
    set_target_properties(regraft_${kind} PROPERTIES OUTPUT_NAME regraft EXPORT_NAME ${kind})
    target_include_directories(regraft_${kind} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
target_link_libraries(regraft_shared PRIVATE PkgConfig::jansson PkgConfig::zlib m)
# By name: an imported target of ours would not exist where the package is used.
target_link_libraries(regraft_static PUBLIC jansson z m)
