/* One call of an operation, in the device's context. */
#include "gpu/run.h"

struct check gpu_checks(regraft_gpu *gpu, const regraft_gpu_launch *launch) {
    return (struct check){.message = gpu->message,
                          .message_size = sizeof gpu->message,
                          .without_pointers = launch && launch->compile_only};
}

regraft_status gpu_check_limit(regraft_gpu *gpu, const char *name, int64_t value, int64_t most) {
    if (value <= most) return REGRAFT_OK;
    return gpu_fail(gpu, REGRAFT_UNSUPPORTED, "%s: %lld; the GPU's kernels take at most %lld", name, (long long)value,
                    (long long)most);
}

static regraft_status run_here(regraft_gpu *gpu, const struct specialisation *specialisation, gpu_choose *choose,
                               const regraft_gpu_launch *launch, int64_t tokens, void *parameters) {
    struct gpu_kernel *kernel;
    regraft_status status = gpu_kernel_find(gpu, specialisation, launch->stream, &kernel);
    if (status != REGRAFT_OK || launch->compile_only || tokens == 0) return status;
    return gpu_launch(gpu, kernel, choose(gpu, kernel, parameters), specialisation->OVERLAP, launch->stream,
                      parameters);
}

regraft_status gpu_run(regraft_gpu *gpu, struct specialisation *specialisation, gpu_choose *choose,
                       const regraft_gpu_launch *launch, int64_t tokens, void *parameters) {
    static const regraft_gpu_launch plain;
    if (!launch) launch = &plain;
    if ((unsigned)launch->overlap > REGRAFT_GPU_OVERLAP_ALL)
        return gpu_fail(gpu, REGRAFT_REJECTED, "overlap: %d is none of the kinds", (int)launch->overlap);
    specialisation->OVERLAP = gpu->major < 9 ? 0 : (int)launch->overlap;
    specialisation->MEASURED = gpu->trial.measured;
    void *previous;
    regraft_status status = gpu_check(gpu, gpu->driver.context_push(gpu->context), "the device's context is gone");
    if (status != REGRAFT_OK) return status;
    status = run_here(gpu, specialisation, choose, launch, tokens, parameters);
    gpu->driver.context_pop(&previous);
    return status;
}
