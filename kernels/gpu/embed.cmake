# cmake -D OUTPUT=FILE -D "FILES=a.h;b.h" -P embed.cmake: a C file with the texts of the files, the first one first.
set(names "")
set(texts "")
set(arrays "")
set(number 0)
foreach(file ${FILES})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    cmake_path(GET file FILENAME name)
    string(APPEND arrays "static const char text_${number}[] = {${bytes}0};\n")
    string(APPEND names "\"${name}\", ")
    string(APPEND texts "text_${number}, ")
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "/* Made by kernels/gpu/embed.cmake. */\n#include \"gpu/gpu.h\"\n\n${arrays}\n"
    "const char *const gpu_source_names[] = {${names}};\nconst char *const gpu_source_texts[] = {${texts}};\n"
    "const size_t gpu_source_count = ${number};\n")
