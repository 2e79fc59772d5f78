#include "cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cuda_check(int result, const char *call) {
    if (result == 0) return;
    fprintf(stderr, "CUDA error %d: %s\n", result, call);
    exit(1);
}

static int load(struct cuda *cuda, void *library) {
#define LOAD(name, symbol, arguments) {symbol, offsetof(struct cuda, name)},
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {CUDA_FUNCTIONS(LOAD)};
#undef LOAD
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *address = dlsym(library, rows[i].name);
        if (!address) return 0;
        memcpy((char *)cuda + rows[i].offset, &address, sizeof address);
    }
    return 1;
}

int cuda_open(struct cuda *cuda) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW), *context = NULL;
    int (*initialise)(unsigned) = NULL;
    void *address = library ? dlsym(library, "cuInit") : NULL;
    if (!address || !load(cuda, library)) return 0;
    memcpy(&initialise, &address, sizeof address);
    if (initialise(0) != 0 || cuda->context_retain(&context, 0) != 0 || cuda->context_set(context) != 0) return 0;
    return cuda->stream_create(&cuda->stream, 1 /* CU_STREAM_NON_BLOCKING */) == 0;
}
