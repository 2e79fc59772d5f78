/* Opens the CUDA driver and NVRTC. */
#include "gpu/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const char *const gpu_driver_names[] = {"libcuda.so.1", "libcuda.so", NULL};
const char *const gpu_compiler_names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", NULL};

struct symbol {
    const char *name;
    size_t offset; /* of the pointer in the struct of functions */
};

/* `what`: for the message. `functions`: the struct, whose first member is the library. */
static regraft_status open_library(const char *what, const char *const *names, const struct symbol *symbols,
                                   size_t count, void *functions, char *message, size_t size) {
    void *library = NULL;
    for (size_t i = 0; names[i] && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(message, size, "no %s: %s cannot be opened (%s)", what, names[0] ? names[0] : "it", dlerror());
        return REGRAFT_UNSUPPORTED;
    }
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (!address) {
            snprintf(message, size, "this %s is too old: it has no %s", what, symbols[i].name);
            dlclose(library);
            return REGRAFT_UNSUPPORTED;
        }
        memcpy((char *)functions + symbols[i].offset, &address, sizeof address);
    }
    memcpy(functions, &library, sizeof library);
    return REGRAFT_OK;
}

regraft_status gpu_driver_open(struct gpu_driver *driver, const char *const *names, char *message, size_t size) {
#define ROW(field, symbol, arguments) {symbol, offsetof(struct gpu_driver, field)},
    static const struct symbol symbols[] = {GPU_DRIVER_FUNCTIONS(ROW)};
#undef ROW
    return open_library("CUDA driver", names, symbols, sizeof symbols / sizeof *symbols, driver, message, size);
}

regraft_status gpu_compiler_open(struct gpu_compiler *compiler, const char *const *names, char *message, size_t size) {
#define ROW(field, symbol, arguments) {symbol, offsetof(struct gpu_compiler, field)},
    static const struct symbol symbols[] = {GPU_COMPILER_FUNCTIONS(ROW)};
#undef ROW
    return open_library("run-time compiler (NVRTC)", names, symbols, sizeof symbols / sizeof *symbols, compiler,
                        message, size);
}
