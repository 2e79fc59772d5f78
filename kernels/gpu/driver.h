/* The CUDA driver and its run-time compiler, opened when they are needed: what is used of them, in their own names and layout. */
#ifndef REGRAFT_GPU_DRIVER_H
#define REGRAFT_GPU_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "regraft/status.h"

typedef struct gpu_launch_attribute {
    int id, padding;
    union {
        char space[64];
        int enabled;
    } value;
} gpu_launch_attribute; /* CUlaunchAttribute */

typedef struct gpu_launch_configuration {
    unsigned grid[3], block[3], shared_bytes;
    void *stream;
    gpu_launch_attribute *attributes;
    unsigned attribute_count;
} gpu_launch_configuration; /* CUlaunchConfig */

enum {
    GPU_MULTIPROCESSORS = 16, /* CU_DEVICE_ATTRIBUTE_... */
    GPU_MAJOR = 75,
    GPU_MINOR = 76,
    GPU_PROGRAMMATIC_SERIALIZATION = 6 /* CU_LAUNCH_ATTRIBUTE_... */
};

/* FUNCTION(name here, name in the library, arguments) */
#define GPU_DRIVER_FUNCTIONS(FUNCTION)                                                                                 \
    FUNCTION(initialise, "cuInit", (unsigned flags))                                                                   \
    FUNCTION(driver_version, "cuDriverGetVersion", (int *version))                                                     \
    FUNCTION(device_get, "cuDeviceGet", (int *device, int number))                                                     \
    FUNCTION(device_name, "cuDeviceGetName", (char *name, int size, int device))                                       \
    FUNCTION(device_attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))                        \
    FUNCTION(context_retain, "cuDevicePrimaryCtxRetain", (void **context, int device))                                 \
    FUNCTION(context_release, "cuDevicePrimaryCtxRelease_v2", (int device))                                            \
    FUNCTION(context_push, "cuCtxPushCurrent_v2", (void *context))                                                     \
    FUNCTION(context_pop, "cuCtxPopCurrent_v2", (void **context))                                                      \
    FUNCTION(module_load, "cuModuleLoadData", (void **module, const void *image))                                      \
    FUNCTION(module_unload, "cuModuleUnload", (void *module))                                                          \
    FUNCTION(module_function, "cuModuleGetFunction", (void **function, void *module, const char *name))                \
    FUNCTION(launch, "cuLaunchKernelEx",                                                                               \
             (const gpu_launch_configuration *configuration, void *function, void **parameters, void **extra))         \
    FUNCTION(stream_capturing, "cuStreamIsCapturing", (void *stream, int *status))                                     \
    FUNCTION(error_name, "cuGetErrorName", (int error, const char **name))                                             \
    FUNCTION(error_text, "cuGetErrorString", (int error, const char **text))

#define GPU_COMPILER_FUNCTIONS(FUNCTION)                                                                               \
    FUNCTION(create, "nvrtcCreateProgram",                                                                             \
             (void **program, const char *source, const char *name, int headers, const char *const *texts,             \
              const char *const *names))                                                                               \
    FUNCTION(destroy, "nvrtcDestroyProgram", (void **program))                                                         \
    FUNCTION(compile, "nvrtcCompileProgram", (void *program, int count, const char *const *options))                   \
    FUNCTION(log_size, "nvrtcGetProgramLogSize", (void *program, size_t *size))                                        \
    FUNCTION(log, "nvrtcGetProgramLog", (void *program, char *text))                                                   \
    FUNCTION(code_size, "nvrtcGetCUBINSize", (void *program, size_t *size))                                            \
    FUNCTION(code, "nvrtcGetCUBIN", (void *program, char *code))

#define GPU_FUNCTION_POINTER(name, symbol, arguments) int(*name) arguments;
struct gpu_driver {
    void *library;
    GPU_DRIVER_FUNCTIONS(GPU_FUNCTION_POINTER)
};
struct gpu_compiler {
    void *library;
    GPU_COMPILER_FUNCTIONS(GPU_FUNCTION_POINTER)
};
#undef GPU_FUNCTION_POINTER

/* Open the libraries: the first of `names` (ends with NULL) that can be opened. REGRAFT_UNSUPPORTED and a message that says what
 * was looked for when there is none, or when it lacks a function. */
regraft_status gpu_driver_open(struct gpu_driver *driver, const char *const *names, char *message, size_t size);
regraft_status gpu_compiler_open(struct gpu_compiler *compiler, const char *const *names, char *message, size_t size);

extern const char *const gpu_driver_names[];
extern const char *const gpu_compiler_names[];

#endif
