/* A device and its kernels: what the files of this folder share. */
#ifndef REGRAFT_GPU_GPU_H
#define REGRAFT_GPU_GPU_H

#include "gpu/driver.h"
#include "gpu/specialise.h"
#include "regraft/kernels.h"

/* The device's source, made part of the library by the build: source.c. `source_texts[0]` is the file to compile. */
extern const char *const gpu_source_names[], *const gpu_source_texts[];
extern const size_t gpu_source_count;

enum { GPU_FORMS = 3, GPU_THREADS = 128 }; /* functions of a kernel: steps of a warp 1, 2, 4 (rope.h) */
enum { GPU_WARPS_AT_ONCE = 64 };           /* of a multiprocessor */

struct gpu_kernel {
    struct specialisation specialisation;
    void *module, *functions[GPU_FORMS];
};

/* For measurements; all zeros: as the library chooses. */
struct gpu_trial {
    int steps;    /* of a warp: 1, 2, 4 */
    int threads;  /* of a block */
    int measured; /* MEASURED in rope.h */
    int chunks;   /* VALUE_CHUNKS of a value that has one head */
};

struct regraft_gpu {
    struct gpu_driver driver;
    struct gpu_compiler compiler; /* opened when a kernel is in no cache */
    int device, multiprocessors, major, minor, driver_version;
    void *context;
    struct gpu_kernel *kernels;
    size_t kernel_count, kernel_capacity;
    char cache_folder[4096], name[256], message[1024];
    struct gpu_trial trial;
};

/* The grid of a launch. */
struct gpu_grid {
    unsigned blocks, threads;
    int form; /* which of the functions */
};

regraft_status gpu_fail(regraft_gpu *gpu, regraft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* REGRAFT_OK when `result` is 0; else a message: `what` failed, and the driver's name of the error. */
regraft_status gpu_check(regraft_gpu *gpu, int result, const char *what);

/* The text that names a compiled kernel on disk. `key` has room for `size` bytes. */
void gpu_key(const regraft_gpu *gpu, const struct specialisation *specialisation, char *key, size_t size);

/* Finds a kernel, or makes it: from disk, or by compiling. During a capture it has to be there. */
regraft_status gpu_kernel_find(regraft_gpu *gpu, const struct specialisation *specialisation, void *stream,
                               struct gpu_kernel **kernel);

/* Chooses the grid of a launch, and what of it is among the parameters. */
typedef struct gpu_grid gpu_choose(const regraft_gpu *gpu, const struct gpu_kernel *kernel, void *parameters);

regraft_status gpu_launch(regraft_gpu *gpu, const struct gpu_kernel *kernel, struct gpu_grid grid, int overlap,
                          void *stream, void *parameters);

#endif
