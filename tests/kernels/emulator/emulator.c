/* A CUDA driver and an NVRTC that run the kernels on this CPU, so that their source and the host's code around it are tested where
 * there is no GPU. Built as libcuda.so.1 and as libnvrtc.so.13, both the same. Compiling is done by the C++ compiler
 * $REGRAFT_EMULATOR_CXX, with emulator/platform.h in the place of the device's. One thread, one stream; a graph holds launches. */
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "gpu/driver.h"
#include "elements.h"

#define EXPORT __attribute__((visibility("default")))
enum { STACK = 64 * 1024, MOST_THREADS = 1024, PARAMETERS = 1024 };

/* ---- threads of a block: each runs until it exchanges something, then the next ---- */

struct index {
    unsigned x, y, z;
};
EXPORT struct index emulated_thread, emulated_block, emulated_block_size;

typedef struct {
    char bytes[PARAMETERS];
} parameter_block; /* larger than any: passed by value, as the kernels take theirs */

static struct {
    ucontext_t scheduler, threads[MOST_THREADS];
    char *stacks;
    int ended[MOST_THREADS], phase[MOST_THREADS];
    float exchanged[2][MOST_THREADS];
    void (*function)(parameter_block);
    const parameter_block *parameters;
} block;

static void yield(void) {
    unsigned me = emulated_thread.x;
    swapcontext(&block.threads[me], &block.scheduler);
    emulated_thread.x = me;
}

EXPORT void emulated_barrier(void) { yield(); }

EXPORT float emulated_shuffle_xor(float value, int mask) {
    unsigned me = emulated_thread.x;
    int phase = block.phase[me]++ & 1;
    block.exchanged[phase][me] = value;
    yield();
    return block.exchanged[phase][me ^ (unsigned)mask];
}

EXPORT float emulated_multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
EXPORT float emulated_float_of_f16(unsigned short bits) { return (float)element_get(&bits, REGRAFT_F16, 0); }
EXPORT unsigned short emulated_f16_of(float value) {
    unsigned short bits;
    element_set(&bits, REGRAFT_F16, 0, value);
    return bits;
}

static void run_thread(void) {
    block.function(*block.parameters);
    block.ended[emulated_thread.x] = 1;
}

static void run_block(unsigned threads) {
    for (unsigned i = 0; i < threads; i++) {
        getcontext(&block.threads[i]);
        block.threads[i].uc_stack.ss_sp = block.stacks + (size_t)i * STACK;
        block.threads[i].uc_stack.ss_size = STACK;
        block.threads[i].uc_link = &block.scheduler;
        makecontext(&block.threads[i], run_thread, 0);
        block.ended[i] = block.phase[i] = 0;
    }
    for (unsigned running = threads; running > 0;) {
        running = 0;
        for (unsigned i = 0; i < threads; i++) {
            if (block.ended[i]) continue;
            emulated_thread = (struct index){i, 0, 0};
            swapcontext(&block.scheduler, &block.threads[i]);
            running += !block.ended[i];
        }
    }
}

/* ---- launches and graphs ---- */

struct recorded {
    void *function;
    unsigned blocks, threads;
    parameter_block parameters;
    struct recorded *next;
};
static struct recorded *recording, **recording_end;
static int capturing;

static void run(const struct recorded *launch) {
    memcpy(&block.function, &launch->function, sizeof block.function);
    block.parameters = &launch->parameters;
    if (!block.stacks) block.stacks = malloc((size_t)MOST_THREADS * STACK);
    emulated_block_size = (struct index){launch->threads, 1, 1};
    for (unsigned i = 0; i < launch->blocks; i++) {
        emulated_block = (struct index){i, 0, 0};
        run_block(launch->threads);
    }
}

EXPORT int cuLaunchKernelEx(const gpu_launch_configuration *configuration, void *function, void **parameters,
                            void **extra) {
    if (extra || configuration->block[0] > MOST_THREADS || configuration->grid[0] == 0) return 1;
    struct recorded launch = {function, configuration->grid[0], configuration->block[0], {{0}}, NULL};
    /* The size of the parameters is known to the function only: what lies behind them is copied too. */
    for (size_t i = 0; i < PARAMETERS; i += 16) memcpy(launch.parameters.bytes + i, (char *)parameters[0] + i, 16);
    if (!capturing) {
        run(&launch);
        return 0;
    }
    *recording_end = malloc(sizeof launch);
    **recording_end = launch;
    recording_end = &(*recording_end)->next;
    return 0;
}

EXPORT int cuStreamBeginCapture_v2(void *stream, int mode) {
    (void)stream, (void)mode;
    capturing = 1, recording = NULL, recording_end = &recording;
    return 0;
}
EXPORT int cuStreamEndCapture(void *stream, void **graph) {
    (void)stream;
    capturing = 0, *graph = recording;
    return 0;
}
EXPORT int cuStreamIsCapturing(void *stream, int *status) {
    (void)stream;
    *status = capturing;
    return 0;
}
EXPORT int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    *executable = graph;
    return flags != 0;
}
EXPORT int cuGraphLaunch(void *executable, void *stream) {
    (void)stream;
    for (const struct recorded *launch = executable; launch; launch = launch->next) run(launch);
    return 0;
}
EXPORT int cuGraphDestroy(void *graph) {
    for (struct recorded *launch = graph, *next; launch; launch = next) next = launch->next, free(launch);
    return 0;
}
EXPORT int cuGraphExecDestroy(void *executable) { return executable == NULL; }

/* ---- device, memory ---- */

EXPORT int cuInit(unsigned flags) { return flags != 0; }
/* Another driver when the emulated device's header is another: kernels that were kept are not taken then. */
EXPORT int cuDriverGetVersion(int *version) {
    struct stat state;
    *version = stat(EMULATOR_FOLDER "/platform.h", &state) == 0 ? (int)(state.st_mtime % 1000000000) : 0;
    return 0;
}
EXPORT int cuDeviceGet(int *device, int number) { return *device = number, number == 0 ? 0 : 101; }
EXPORT int cuDeviceGetName(char *name, int size, int device) {
    return snprintf(name, (size_t)size, "emulated GPU %d", device) < 0;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == GPU_MULTIPROCESSORS ? 4 : attribute == GPU_MAJOR ? 9 : 0;
    return device;
}
EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = &block, device; }
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) { return device; }
EXPORT int cuCtxSetCurrent(void *context) { return context != &block; }
EXPORT int cuCtxPushCurrent_v2(void *context) { return context != &block; }
EXPORT int cuCtxPopCurrent_v2(void **context) { return *context = &block, 0; }
EXPORT int cuGetErrorName(int error, const char **name) {
    return *name = error == 101 ? "CUDA_ERROR_INVALID_DEVICE" : "CUDA_ERROR", 0;
}
EXPORT int cuGetErrorString(int error, const char **text) { return (void)error, *text = "emulated", 0; }
EXPORT int cuMemAlloc_v2(uint64_t *address, size_t size) {
    return *address = (uint64_t)(uintptr_t)aligned_alloc(256, (size + 255) / 256 * 256), *address == 0;
}
EXPORT int cuMemFree_v2(uint64_t address) { return free((void *)(uintptr_t)address), 0; }
EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) {
    return memcpy((void *)(uintptr_t)to, from, size), 0;
}
EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size) {
    return memcpy(to, (void *)(uintptr_t)from, size), 0;
}
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream) {
    return (void)stream, memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, size), 0;
}
EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void *stream) {
    return (void)stream, memset((void *)(uintptr_t)to, value, count), 0;
}
EXPORT int cuStreamCreate(void **stream, unsigned flags) { return (void)flags, *stream = &capturing, 0; }
EXPORT int cuStreamSynchronize(void *stream) { return (void)stream, 0; }
EXPORT int cuEventCreate(void **event, unsigned flags) { return (void)flags, *event = &capturing, 0; }
EXPORT int cuEventRecord(void *event, void *stream) { return (void)event, (void)stream, 0; }
EXPORT int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    return (void)start, (void)end, *milliseconds = 1, 0;
}

/* ---- modules: a shared library behind its size ---- */

static int write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    int written = file && fwrite(data, 1, size, file) == size;
    return file && fclose(file) == 0 && written;
}

EXPORT int cuModuleLoadData(void **module, const void *image) {
    char path[] = "/tmp/regraft-emulator-XXXXXX";
    uint64_t size;
    int descriptor = mkstemp(path);
    memcpy(&size, image, sizeof size);
    if (descriptor < 0) return 1;
    close(descriptor);
    *module = write_file(path, (const char *)image + sizeof size, size) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!*module) fprintf(stderr, "emulator: %s\n", dlerror());
    unlink(path);
    return *module == NULL;
}
EXPORT int cuModuleUnload(void *module) { return dlclose(module); }
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
    return *function = dlsym(module, name), *function ? 0 : 500;
}

/* ---- the compiler ---- */

struct program {
    char folder[64], log[4096];
    char *code;
    size_t size;
};

static int write_source(const struct program *program, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", program->folder, name);
    return write_file(path, text, strlen(text));
}

EXPORT int nvrtcCreateProgram(void **program, const char *source, const char *name, int headers,
                              const char *const *texts, const char *const *names) {
    struct program *made = calloc(1, sizeof *made);
    snprintf(made->folder, sizeof made->folder, "/tmp/regraft-emulator-XXXXXX");
    int good = mkdtemp(made->folder) != NULL && write_source(made, name, source);
    for (int i = 0; i < headers; i++)
        if (strcmp(names[i], "platform.h") != 0) good = good && write_source(made, names[i], texts[i]);
    *program = made;
    return !good;
}

static void remove_folder(const struct program *program) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", program->folder);
    if (system(command) != 0)
        fprintf(stderr, "emulator: cannot remove %s\n", program->folder); /* NOLINT(cert-env33-c) */
}
EXPORT int nvrtcDestroyProgram(void **program) {
    struct program *made = *program;
    remove_folder(made);
    free(made->code);
    free(made);
    return 0;
}

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    struct stat state;
    if (!file || fstat(fileno(file), &state) != 0) return NULL;
    char *data = malloc((size_t)state.st_size + 8);
    *size = (size_t)state.st_size + 8;
    uint64_t count = (uint64_t)state.st_size;
    memcpy(data, &count, 8);
    if (fread(data + 8, 1, *size - 8, file) != *size - 8) data[8] = 0;
    fclose(file);
    return data;
}

EXPORT int nvrtcCompileProgram(void *program, int count, const char *const *options) {
    struct program *made = program;
    char command[8192], path[128];
    Dl_info here; /* the modules find the driver, which has their threads, beside this library */
    if (!dladdr((void *)(uintptr_t)&nvrtcCompileProgram, &here)) return 1;
    int folder = (int)(strrchr(here.dli_fname, '/') - here.dli_fname);
    const char *compiler = getenv("REGRAFT_EMULATOR_CXX"), *flags = getenv("REGRAFT_EMULATOR_CXXFLAGS");
    int used = snprintf(command, sizeof command,
                        "%s -std=c++17 -O1 -g -fPIC -shared -fvisibility=hidden -ffp-contract=off -fsanitize=alignment "
                        "-fsanitize-undefined-trap-on-error "
                        "-Wno-unknown-pragmas %s "
                        "-I'%s' -I'%s' -x c++ '%s/kernels.h' -x none '%.*s/libcuda.so.1' -o '%s/code'",
                        compiler ? compiler : "c++", flags ? flags : "", EMULATOR_FOLDER, made->folder, made->folder,
                        folder, here.dli_fname, made->folder);
    for (int i = 0; i < count; i++)
        if (strncmp(options[i], "-D", 2) == 0)
            used += snprintf(command + used, sizeof command - (size_t)used, " %s", options[i]);
    snprintf(command + used, sizeof command - (size_t)used, " >&2");
    snprintf(path, sizeof path, "%s/code", made->folder);
    if (system(command) != 0) return 6; /* NOLINT(cert-env33-c) */
    made->code = read_file(path, &made->size);
    return made->code == NULL;
}
EXPORT int nvrtcGetProgramLogSize(void *program, size_t *size) {
    return *size = strlen(((struct program *)program)->log) + 1, 0;
}
EXPORT int nvrtcGetProgramLog(void *program, char *text) { return strcpy(text, ((struct program *)program)->log), 0; }
EXPORT int nvrtcGetCUBINSize(void *program, size_t *size) { return *size = ((struct program *)program)->size, 0; }
EXPORT int nvrtcGetCUBIN(void *program, char *code) {
    return memcpy(code, ((struct program *)program)->code, ((struct program *)program)->size), 0;
}
