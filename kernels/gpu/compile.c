/* Kernels: from memory, from disk, from the run-time compiler. */
#include "gpu/gpu.h"
#include "gpu/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 4096 };

/* How the source is compiled beside its constants. Contraction off: products and sums are rounded apart. */
static void fixed_options(const regraft_gpu *gpu, char architecture[GPU_OPTION_SIZE], const char *options[3]) {
    snprintf(architecture, GPU_OPTION_SIZE, "--gpu-architecture=sm_%d%d", gpu->major, gpu->minor);
    options[0] = architecture;
    options[1] = "--std=c++17";
    options[2] = "--fmad=false";
}

void gpu_key(const regraft_gpu *gpu, const struct specialisation *specialisation, char *key, size_t size) {
    char constants[GPU_CONSTANT_COUNT][GPU_OPTION_SIZE], architecture[GPU_OPTION_SIZE];
    const char *fixed[3];
    uint64_t source = 0xcbf29ce484222325u;
    for (size_t i = 0; i < gpu_source_count; i++)
        source = store_hash(source, gpu_source_texts[i], strlen(gpu_source_texts[i]) + 1);
    fixed_options(gpu, architecture, fixed);
    specialisation_options(specialisation, constants);
    int used = snprintf(key, size, "%s; driver %d; source %016llx; %s %s %s", gpu->name, gpu->driver_version,
                        (unsigned long long)source, fixed[0], fixed[1], fixed[2]);
    for (size_t i = 0; i < GPU_CONSTANT_COUNT && used >= 0 && (size_t)used < size; i++)
        used += snprintf(key + used, size - (size_t)used, " %s", constants[i]);
}

static regraft_status compile_failed(regraft_gpu *gpu, void *program, int result) {
    size_t size = 0;
    char *log = gpu->compiler.log_size(program, &size) == 0 && size > 1 ? malloc(size + 1) : NULL;
    if (log && gpu->compiler.log(program, log) != 0) log[0] = 0;
    gpu_fail(gpu, REGRAFT_INTERNAL, "the kernel does not compile (NVRTC error %d): %s", result, log ? log : "");
    free(log);
    return REGRAFT_INTERNAL;
}

static regraft_status compile_program(regraft_gpu *gpu, void *program, const struct specialisation *specialisation,
                                      void **code, size_t *size) {
    char constants[GPU_CONSTANT_COUNT][GPU_OPTION_SIZE], architecture[GPU_OPTION_SIZE];
    const char *options[3 + GPU_CONSTANT_COUNT];
    fixed_options(gpu, architecture, options);
    specialisation_options(specialisation, constants);
    for (size_t i = 0; i < GPU_CONSTANT_COUNT; i++) options[3 + i] = constants[i];
    int result = gpu->compiler.compile(program, 3 + GPU_CONSTANT_COUNT, options);
    if (result == 0) result = gpu->compiler.code_size(program, size);
    if (result != 0) return compile_failed(gpu, program, result);
    *code = malloc(*size);
    if (!*code) return gpu_fail(gpu, REGRAFT_NO_MEMORY, "no memory for a compiled kernel of %zu bytes", *size);
    return gpu->compiler.code(program, *code) == 0 ? REGRAFT_OK : compile_failed(gpu, program, result);
}

static regraft_status compile(regraft_gpu *gpu, const struct specialisation *specialisation, void **code,
                              size_t *size) {
    if (!gpu->compiler.library) {
        regraft_status status =
            gpu_compiler_open(&gpu->compiler, gpu_compiler_names, gpu->message, sizeof gpu->message);
        if (status != REGRAFT_OK) return status;
    }
    void *program = NULL;
    int result = gpu->compiler.create(&program, gpu_source_texts[0], gpu_source_names[0], (int)gpu_source_count - 1,
                                      gpu_source_texts + 1, gpu_source_names + 1);
    if (result != 0) return gpu_fail(gpu, REGRAFT_INTERNAL, "NVRTC takes no program (error %d)", result);
    regraft_status status = compile_program(gpu, program, specialisation, code, size);
    gpu->compiler.destroy(&program);
    return status;
}

static regraft_status load(regraft_gpu *gpu, const void *code, struct gpu_kernel *kernel) {
    static const char *const rope[] = {"regraft_rope_1", "regraft_rope_2", "regraft_rope_4"};
    static const char *const rows[] = {"regraft_rows", "regraft_many_rows"};
    const struct specialisation *s = &kernel->specialisation;
    int result = gpu->driver.module_load(&kernel->module, code);
    if (result != 0) return gpu_check(gpu, result, "a compiled kernel cannot be loaded");
    int forms = s->OPERATION_ROPE ? GPU_FORMS : s->OPERATION_SILU ? 1 : 2;
    for (int i = 0; i < forms && result == 0; i++)
        result =
            gpu->driver.module_function(&kernel->functions[i], kernel->module, s->OPERATION_ROPE ? rope[i] : rows[i]);
    if (result != 0) gpu->driver.module_unload(kernel->module);
    return gpu_check(gpu, result, "a compiled kernel cannot be used");
}

static regraft_status make(regraft_gpu *gpu, struct gpu_kernel *kernel) {
    char key[KEY_SIZE];
    size_t size = 0;
    gpu_key(gpu, &kernel->specialisation, key, sizeof key);
    void *code = store_read(gpu->cache_folder, key, &size);
    if (code && load(gpu, code, kernel) == REGRAFT_OK) {
        free(code);
        return REGRAFT_OK;
    }
    free(code);
    code = NULL;
    regraft_status status = compile(gpu, &kernel->specialisation, &code, &size);
    if (status == REGRAFT_OK) status = load(gpu, code, kernel);
    if (status == REGRAFT_OK) store_write(gpu->cache_folder, key, code, size); /* no folder: compiled again next time */
    free(code);
    return status;
}

static int make_room(regraft_gpu *gpu) {
    if (gpu->kernel_count < gpu->kernel_capacity) return 1;
    size_t capacity = gpu->kernel_capacity ? 2 * gpu->kernel_capacity : 16;
    struct gpu_kernel *kernels = realloc(gpu->kernels, capacity * sizeof *kernels);
    if (!kernels) return 0;
    gpu->kernels = kernels;
    gpu->kernel_capacity = capacity;
    return 1;
}

static regraft_status refuse_capture(regraft_gpu *gpu, void *stream) {
    int capturing = 0;
    if (gpu->driver.stream_capturing(stream, &capturing) != 0 || capturing == 0) return REGRAFT_OK;
    return gpu_fail(gpu, REGRAFT_UNSUPPORTED,
                    "this kernel is not compiled yet, and the stream is being captured: call with compile_only first, "
                    "with arguments of the same types, sizes, strides and alignment");
}

regraft_status gpu_kernel_find(regraft_gpu *gpu, const struct specialisation *specialisation, void *stream,
                               struct gpu_kernel **kernel) {
    for (size_t i = 0; i < gpu->kernel_count; i++)
        if (specialisation_equal(&gpu->kernels[i].specialisation, specialisation)) {
            *kernel = &gpu->kernels[i];
            return REGRAFT_OK;
        }
    regraft_status status = refuse_capture(gpu, stream);
    if (status != REGRAFT_OK) return status;
    if (!make_room(gpu)) return gpu_fail(gpu, REGRAFT_NO_MEMORY, "no memory for another kernel");
    *kernel = &gpu->kernels[gpu->kernel_count];
    **kernel = (struct gpu_kernel){.specialisation = *specialisation};
    status = make(gpu, *kernel);
    if (status == REGRAFT_OK) gpu->kernel_count++;
    return status;
}

regraft_status gpu_launch(regraft_gpu *gpu, const struct gpu_kernel *kernel, struct gpu_grid grid, int overlap,
                          void *stream, void *parameters) {
    gpu_launch_attribute attribute = {.id = GPU_PROGRAMMATIC_SERIALIZATION, .value = {.enabled = 1}};
    gpu_launch_configuration configuration = {.grid = {grid.blocks, 1, 1},
                                              .block = {grid.threads, 1, 1},
                                              .stream = stream,
                                              .attributes = overlap ? &attribute : NULL,
                                              .attribute_count = overlap ? 1 : 0};
    return gpu_check(gpu, gpu->driver.launch(&configuration, kernel->functions[grid.form], &parameters, NULL),
                     "a launch failed");
}
