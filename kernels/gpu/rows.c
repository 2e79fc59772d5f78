/* Norms and gated activation: from the arguments of the public functions to the kernels of device/rows.h. */
#include "gpu/device/parameters.h"
#include "gpu/run.h"

enum { SILU_THREADS = 256 }; /* of a block */

struct row_work {
    int64_t tokens, size;
    regraft_type type;
    const regraft_heads *input, *out;
    const void *weight;
    float epsilon;
};

static void fit(struct chunk *chunk, const regraft_heads *tensor, int element_size) {
    chunk_bytes(chunk, element_size, (long long)(uintptr_t)tensor->data);
    chunk_bytes(chunk, element_size, tensor->token_stride * element_size);
    if (tensor->heads > 1) chunk_bytes(chunk, element_size, tensor->head_stride * element_size);
}

/* The threads of a row: two chunks each, whole warps. */
static int threads_of_row(int chunks) {
    int threads = divide_up(chunks, 64) * 32;
    return threads < 1024 ? threads : 1024;
}

static struct specialisation specialise(const struct row_work *work) {
    int element_size = (int)type_size(work->type);
    struct chunk chunk = chunk_of_type(element_size);
    chunk_count(&chunk, work->size);
    fit(&chunk, work->input, element_size);
    fit(&chunk, work->out, element_size);
    if (work->weight) chunk_bytes(&chunk, element_size, (long long)(uintptr_t)work->weight);
    int threads = threads_of_row((int)work->size / chunk.vector);
    return (struct specialisation){.ELEMENT = (int)work->type,
                                   .ROW_SIZE = (int)work->size,
                                   .ROW_VECTOR = chunk.vector,
                                   .ROW_THREADS = threads,
                                   .ROW_HEADS = (int)work->input->heads,
                                   .HAS_WEIGHT = work->weight != NULL};
}

static row_parameters parameters_of(const struct row_work *work) {
    return (row_parameters){{work->input->data, work->input->token_stride, work->input->head_stride},
                            {work->out->data, work->out->token_stride, work->out->head_stride},
                            work->weight,
                            (uint32)(work->tokens * work->input->heads),
                            work->epsilon};
}

static struct gpu_grid grid_of(int64_t threads, int of_block, int form) {
    return (struct gpu_grid){(unsigned)((threads + of_block - 1) / of_block), (unsigned)of_block, form};
}

static struct gpu_grid choose(const regraft_gpu *gpu, const struct gpu_kernel *kernel, void *launched) {
    const row_parameters *p = launched;
    const struct specialisation *s = &kernel->specialisation;
    int64_t rows = p->rows;
    if (s->OPERATION_SILU) return grid_of(rows * (s->ROW_SIZE / s->ROW_VECTOR), SILU_THREADS, 0);
    int many = rows * s->ROW_THREADS > gpu->multiprocessors * (int64_t)GPU_WARPS_AT_ONCE * 32 / 2;
    if (gpu->trial.steps) many = gpu->trial.steps > 1;
    int threads = many ? divide_up(s->ROW_THREADS / 2, 32) * 32 : s->ROW_THREADS; /* as in device/rows.h */
    return grid_of(rows * threads, threads == 32 ? 128 : threads, many);
}

static regraft_status run(regraft_gpu *gpu, const struct row_work *work, struct specialisation *s,
                          const regraft_gpu_launch *launch) {
    CHECK(gpu_check_limit(gpu, "size", work->size, GPU_MOST_ROW));
    CHECK(gpu_check_limit(gpu, "heads", work->input->heads, GPU_MOST_HEADS));
    CHECK(gpu_check_limit(gpu, "tokens", work->tokens, INT32_MAX / GPU_MOST_HEADS));
    row_parameters p = parameters_of(work);
    return gpu_run(gpu, s, choose, launch, work->tokens, &p);
}

regraft_status regraft_gpu_rms_norm(regraft_gpu *gpu, const regraft_rms_norm_arguments *arguments,
                                    const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_rms_norm(&check, arguments));
    struct row_work work = {arguments->tokens, arguments->size,   arguments->type,   &arguments->input,
                            &arguments->out,   arguments->weight, arguments->epsilon};
    struct specialisation s = specialise(&work);
    return run(gpu, &work, &s, launch);
}

regraft_status regraft_gpu_fused_add_rms_norm(regraft_gpu *gpu, const regraft_fused_add_rms_norm_arguments *arguments,
                                              const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_fused_add_rms_norm(&check, arguments));
    struct row_work work = {arguments->tokens,    arguments->size,   arguments->type,   &arguments->input,
                            &arguments->residual, arguments->weight, arguments->epsilon};
    struct specialisation s = specialise(&work);
    s.OPERATION_ADD = 1;
    return run(gpu, &work, &s, launch);
}

regraft_status regraft_gpu_silu_and_mul(regraft_gpu *gpu, const regraft_silu_and_mul_arguments *arguments,
                                        const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_silu_and_mul(&check, arguments));
    struct row_work work = {
        arguments->tokens, arguments->size, arguments->type, &arguments->input, &arguments->out, NULL, 0};
    struct specialisation s = specialise(&work);
    s.OPERATION_SILU = 1;
    s.BLOCK_THREADS = SILU_THREADS;
    return run(gpu, &work, &s, launch);
}
