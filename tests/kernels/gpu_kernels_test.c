/* The GPU's kernels against the CPU's: random shapes, strides, alignments, slots. A case lives in one arena of random bytes, on
 * the host and on the device; afterwards all of both is compared, so a byte written anywhere else is seen. Skips without a GPU.
 * REGRAFT_TEST_PART=I/N runs one part of the cases, REGRAFT_TEST_CASES=N that many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda.h"
#include "elements.h"
#include "gpu/gpu.h"
#include "random_case.h"

static struct cuda cuda;
static regraft_gpu *gpu;

static int open_gpu(void **state) {
    (void)state;
    char message[256];
    if (regraft_gpu_create(NULL, &gpu, message, sizeof message) != REGRAFT_OK) {
        printf("skipped: %s\n", message);
        gpu = NULL;
        return 0;
    }
    printf("on %s\n", regraft_gpu_name(gpu));
    return cuda_open(&cuda) ? 0 : -1;
}

static int close_gpu(void **state) {
    (void)state;
    regraft_gpu_destroy(gpu);
    return 0;
}

/* ---- one case ---- */

static regraft_status launch(const union operation_arguments *a, enum operation operation,
                             const regraft_gpu_launch *how) {
    switch (operation) {
    case OPERATION_ROPE:
        return regraft_gpu_rope(gpu, &a->rope, how);
    case OPERATION_ROPE_CACHE:
        return regraft_gpu_rope_cache(gpu, &a->rope_cache, how);
    case OPERATION_NORM_ROPE_CACHE:
        return regraft_gpu_norm_rope_cache(gpu, &a->rope_cache, how);
    case OPERATION_ROPE_LATENT_CACHE:
        return regraft_gpu_rope_latent_cache(gpu, &a->rope_latent_cache, how);
    case OPERATION_CACHE:
        return regraft_gpu_cache(gpu, &a->cache, how);
    case OPERATION_LATENT_CACHE:
        return regraft_gpu_latent_cache(gpu, &a->latent_cache, how);
    case OPERATION_RMS_NORM:
        return regraft_gpu_rms_norm(gpu, &a->rms_norm, how);
    case OPERATION_FUSED_ADD_RMS_NORM:
        return regraft_gpu_fused_add_rms_norm(gpu, &a->fused_add_rms_norm, how);
    case OPERATION_SILU_AND_MUL:
        return regraft_gpu_silu_and_mul(gpu, &a->silu_and_mul, how);
    default:
        return REGRAFT_INTERNAL;
    }
}

static regraft_status on_cpu(regraft_cpu *cpu, const union operation_arguments *a, enum operation operation) {
    switch (operation) {
    case OPERATION_ROPE:
        return regraft_cpu_rope(cpu, &a->rope);
    case OPERATION_ROPE_CACHE:
        return regraft_cpu_rope_cache(cpu, &a->rope_cache);
    case OPERATION_NORM_ROPE_CACHE:
        return regraft_cpu_norm_rope_cache(cpu, &a->rope_cache);
    case OPERATION_ROPE_LATENT_CACHE:
        return regraft_cpu_rope_latent_cache(cpu, &a->rope_latent_cache);
    case OPERATION_CACHE:
        return regraft_cpu_cache(cpu, &a->cache);
    case OPERATION_LATENT_CACHE:
        return regraft_cpu_latent_cache(cpu, &a->latent_cache);
    case OPERATION_RMS_NORM:
        return regraft_cpu_rms_norm(cpu, &a->rms_norm);
    case OPERATION_FUSED_ADD_RMS_NORM:
        return regraft_cpu_fused_add_rms_norm(cpu, &a->fused_add_rms_norm);
    case OPERATION_SILU_AND_MUL:
        return regraft_cpu_silu_and_mul(cpu, &a->silu_and_mul);
    default:
        return REGRAFT_INTERNAL;
    }
}

/* What has to come out, in the case's own arena: by the portable CPU kernels, which are tested against the interpreter. */
static void expect(const struct random_case *c) {
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    union operation_arguments arguments;
    cpu.form = REGRAFT_CPU_PORTABLE, cpu.threads = 1;
    random_case_arguments(c, c->host, &arguments);
    if (on_cpu(&cpu, &arguments, c->operation) == REGRAFT_OK) return;
    print_error("%s: on the CPU: %s\n", random_case_text(c), cpu.message);
    fail();
}

/* Norms add in another order, exp differs in the last bit: an element may be off by a step or two of its type, where the
 * operation has one. All else is equal to the bit. */
static int nearly(const struct random_case *c, const unsigned char *a, const unsigned char *b, size_t at) {
    if (!random_case_is_inexact(c)) return 0;
    for (size_t i = 0; i < c->region_count; i++) {
        const struct region *region = &c->regions[i];
        if (!region->written || at < region->start || at >= region->start + region->size) continue;
        size_t element = (at - region->start) / element_size(region->type);
        double x = element_get(a + region->start, region->type, (int64_t)element);
        double y = element_get(b + region->start, region->type, (int64_t)element);
        double bound = (region->type == REGRAFT_F32   ? 1e-5
                        : region->type == REGRAFT_F16 ? 4e-3
                                                      : 3e-2) *
                       (1 + (x < 0 ? -x : x));
        if (region->type == REGRAFT_FP8_E4M3) bound = 0.15 * ((x < 0 ? -x : x) + 0.1);
        return x - y <= bound && y - x <= bound;
    }
    return 0;
}

static void compare(const struct random_case *c, const unsigned char *found) {
    for (size_t i = 0; i < c->size; i++) {
        if (found[i] == c->host[i] || nearly(c, found, c->host, i)) continue;
        print_error("%s: byte %zu (%s) is %02x, expected %02x\n", random_case_text(c), i, random_case_where(c, i),
                    found[i], c->host[i]);
        fail();
    }
}

static void run_case(uint64_t seed) {
    struct random_case c;
    union operation_arguments arguments;
    uint64_t device;
    random_case_make(&c, seed);
    CUDA(cuda.allocate(&device, c.size));
    CUDA(cuda.to_device(device, c.host, c.size));
    unsigned char *found = malloc(c.size);
    random_case_arguments(&c, cuda_pointer(device), &arguments);
    regraft_gpu_launch how = {.stream = cuda.stream, .overlap = (regraft_gpu_overlap)(seed / 7 % 3)};
    /* Also with the number of steps that a larger launch has, and with a value that two warps share. */
    gpu->trial = (struct gpu_trial){.steps = (int)(seed / 21 % 2) * 2, .chunks = (int)(seed / 2 % 3)};
    if (launch(&arguments, c.operation, &how) != REGRAFT_OK) {
        print_error("%s: %s\n", random_case_text(&c), regraft_gpu_message(gpu));
        fail();
    }
    gpu->trial = (struct gpu_trial){0};
    CUDA(cuda.stream_wait(cuda.stream));
    CUDA(cuda.to_host(found, device, c.size));
    expect(&c);
    compare(&c, found);
    CUDA(cuda.release(device));
    free(found);
    random_case_free(&c);
}

static void test_random_cases(void **state) {
    (void)state;
    if (!gpu) skip();
    const char *part_text = getenv("REGRAFT_TEST_PART"), *count_text = getenv("REGRAFT_TEST_CASES");
    unsigned part = 0, parts = 1, count = count_text ? (unsigned)atoi(count_text) : 200;
    if (part_text) sscanf(part_text, "%u/%u", &part, &parts);
    for (unsigned i = part; i < count; i += parts) run_case(i);
}

/* ---- what is told apart from random cases ---- */

static void test_capture(void **state) {
    (void)state;
    if (!gpu) skip();
    struct random_case c;
    union operation_arguments arguments;
    uint64_t device;
    void *graph, *executable;
    random_case_make_operation(&c, 3, OPERATION_ROPE_LATENT_CACHE);
    CUDA(cuda.allocate(&device, c.size));
    CUDA(cuda.to_device(device, c.host, c.size));
    random_case_arguments(&c, cuda_pointer(device), &arguments);
    regraft_gpu *fresh;
    const regraft_gpu_options options = {sizeof options, 0, ""};
    assert_int_equal(regraft_gpu_create(&options, &fresh, NULL, 0), REGRAFT_OK);
    regraft_gpu *kept = gpu;
    gpu = fresh;
    regraft_gpu_launch how = {.stream = cuda.stream};
    CUDA(cuda.capture_begin(cuda.stream, 0));
    assert_int_equal(launch(&arguments, c.operation, &how), REGRAFT_UNSUPPORTED);
    assert_non_null(strstr(regraft_gpu_message(gpu), "compile_only"));
    CUDA(cuda.capture_end(cuda.stream, &graph));
    how.compile_only = 1;
    assert_int_equal(launch(&arguments, c.operation, &how), REGRAFT_OK);
    how.compile_only = 0;
    CUDA(cuda.capture_begin(cuda.stream, 0));
    assert_int_equal(launch(&arguments, c.operation, &how), REGRAFT_OK);
    CUDA(cuda.capture_end(cuda.stream, &graph));
    CUDA(cuda.graph_ready(&executable, graph, 0));
    CUDA(cuda.graph_launch(executable, cuda.stream));
    CUDA(cuda.stream_wait(cuda.stream));
    unsigned char *found = malloc(c.size);
    CUDA(cuda.to_host(found, device, c.size));
    expect(&c);
    compare(&c, found);
    regraft_gpu_destroy(fresh);
    gpu = kept;
    CUDA(cuda.release(device));
    free(found);
    random_case_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_cases), cmocka_unit_test(test_capture)};
    return cmocka_run_group_tests(tests, open_gpu, close_gpu);
}
