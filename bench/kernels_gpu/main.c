/* usage: bench_kernels_gpu [quick | tune | compile PART PARTS | layouts | profile]
 *
 * The GPU's kernels, measured: a table on standard output, JSON lines on standard error.
 *
 * A graph of many launches is replayed; its launches go over sets of buffers one after another. Cold: the sets' data is larger
 * than the L2, or the L2 is filled with other data before each replay, so that every set is in memory. Hot: one set. The arms
 * (ours in three kinds of order, the floor, a copy of as many bytes, nothing) take turns in every round.
 *
 * tune: other grids, and kernels that leave something out. compile: kernels of all this into the cache on disk, a part of them, so
 * that several processes can. layouts: buffers side by side and apart, rows of the
 * cache at random places and in order. profile: single launches, for bench/kernels_gpu/counters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

enum { ROUNDS = 15, LEAST_LAUNCHES = 40, MOST_ARMS = 32 };
static const size_t flushed_bytes = (size_t)256 << 20; /* several times the L2 */

static struct cuda cuda;
static regraft_gpu *gpu;
static uint64_t flushed;
static void *start_event, *end_event;
static double copy_bandwidth;                /* bytes read and written, a second */
static int compiling, part, parts, compiled; /* compile: what was asked for */

static const int tokens_of_table[] = {1, 8, 64, 256, 1024, 4096};
static int token_counts(void) { return compiling ? 1 : sizeof tokens_of_table / sizeof *tokens_of_table; }

/* ---- arms ---- */

enum arm_kind { ARM_KERNEL, ARM_COPY };
struct arm {
    const char *name;
    enum arm_kind kind;
    int overlap;
    struct gpu_trial trial;
    void *executable[2]; /* cold, hot */
    int launches[2];
    float times[2][ROUNDS];
};

static void record(const struct arm *arm, const struct sets *sets, int set) {
    regraft_gpu_launch launch = {.stream = cuda.stream, .overlap = (regraft_gpu_overlap)arm->overlap};
    size_t offset = (size_t)set * sets->set_size;
    if (arm->kind == ARM_KERNEL)
        call(gpu, sets, set, &launch);
    else
        CUDA(
            cuda.copy(sets->copies + offset, sets->memory + offset, (size_t)(bytes_of(&sets->shape) / 2), cuda.stream));
}

static void prepare(struct arm *arm, const struct sets *sets) {
    gpu->trial = arm->trial;
    regraft_gpu_launch ready = {.compile_only = 1, .overlap = (regraft_gpu_overlap)arm->overlap};
    int another = !arm->trial.steps && !arm->trial.threads; /* else the same kernel */
    if (arm->kind == ARM_KERNEL && (!compiling || (another && compiled++ % parts == part))) call(gpu, sets, 0, &ready);
    for (int hot = 0; hot < 2 && !compiling; hot++) {
        void *graph;
        arm->launches[hot] = sets->count > LEAST_LAUNCHES ? sets->count : LEAST_LAUNCHES;
        CUDA(cuda.capture_begin(cuda.stream, 0));
        for (int i = 0; i < arm->launches[hot]; i++) record(arm, sets, hot ? 0 : i % sets->count);
        CUDA(cuda.capture_end(cuda.stream, &graph));
        CUDA(cuda.graph_ready(&arm->executable[hot], graph, 0));
        CUDA(cuda.graph_release(graph));
    }
    gpu->trial = (struct gpu_trial){0};
}

static float replay(const struct arm *arm, int hot) {
    float milliseconds;
    if (!hot) CUDA(cuda.copy(flushed, flushed + flushed_bytes / 2, flushed_bytes / 2, cuda.stream));
    CUDA(cuda.event_record(start_event, cuda.stream));
    CUDA(cuda.graph_launch(arm->executable[hot], cuda.stream));
    CUDA(cuda.event_record(end_event, cuda.stream));
    CUDA(cuda.stream_wait(cuda.stream));
    CUDA(cuda.event_elapsed(&milliseconds, start_event, end_event));
    return milliseconds * 1000 / (float)arm->launches[hot];
}

static int by_value(const void *a, const void *b) {
    return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

static void measure(struct arm *arms, int count, const struct sets *sets) {
    for (int i = 0; i < count; i++) prepare(&arms[i], sets);
    if (compiling) return;
    for (int round = -2; round < ROUNDS; round++)
        for (int hot = 0; hot < 2; hot++)
            for (int i = 0; i < count; i++) {
                float time = replay(&arms[i], hot);
                if (round >= 0) arms[i].times[hot][round] = time;
            }
    for (int i = 0; i < count; i++)
        for (int hot = 0; hot < 2; hot++) {
            qsort(arms[i].times[hot], ROUNDS, sizeof(float), by_value);
            CUDA(cuda.executable_release(arms[i].executable[hot]));
        }
}

/* ---- tables ---- */

static double share_of(const struct arm *arm, double bytes, int hot) {
    return bytes / (double)arm->times[hot][ROUNDS / 2] / 1e-6 / copy_bandwidth;
}

static void print_arm(const struct shape *s, const struct arm *arm, int hot) {
    fprintf(
        stderr,
        "{\"operation\": \"%s\", \"heads\": %d, \"key_heads\": %d, \"head_size\": %d, \"cache\": \"%s\", "
        "\"tokens\": %d, \"ordered\": %d, \"apart\": %d, \"arm\": \"%s\", \"trial\": [%d, %d, %d, %d], \"%s\": %.3f, "
        "\"p10\": %.3f, \"p90\": %.3f, \"bytes\": %.0f, \"share\": %.3f}\n",
        operation_names[s->operation], s->heads, s->key_heads, s->head_size, s->fp8 ? "fp8" : "bf16", s->tokens,
        s->ordered, s->apart, arm->name, arm->trial.steps, arm->trial.threads, arm->trial.measured, arm->trial.chunks,
        hot ? "hot" : "cold", arm->times[hot][ROUNDS / 2], arm->times[hot][ROUNDS / 10],
        arm->times[hot][ROUNDS - 1 - ROUNDS / 10], bytes_of(s), share_of(arm, bytes_of(s), hot));
}

static void print_shape(const struct shape *s, const struct arm *arms, int count) {
    if (compiling) return;
    printf("%-18s %4d %2d %5d %-4s %5d%s%s", operation_names[s->operation], s->heads, s->key_heads, s->head_size,
           s->fp8 ? "fp8" : "bf16", s->tokens, s->ordered ? " ordered" : "", s->apart ? " apart" : "");
    for (int i = 0; i < count; i++)
        for (int hot = 0; hot < 2; hot++) {
            printf(" %6.2f", arms[i].times[hot][ROUNDS / 2]);
            print_arm(s, &arms[i], hot);
        }
    printf(" ");
    for (int i = 0; i < count && i < 3; i++) printf(" %3.0f %%", 100 * share_of(&arms[i], bytes_of(s), 0));
    printf("\n");
    fflush(stdout);
}

static void measure_arms(const struct shape *shape, struct arm *arms, int count) {
    struct sets sets = make_sets(&cuda, shape);
    measure(arms, count, &sets);
    print_shape(shape, arms, count);
    free_sets(&cuda, &sets);
}

/* Norms and activation have no floor: it would be a copy. */
static void measure_shape(struct shape shape) {
    struct arm arms[] = {{.name = "ours"},
                         {.name = "ours, constants overlap", .overlap = REGRAFT_GPU_OVERLAP_CONSTANTS},
                         {.name = "ours, all overlap", .overlap = REGRAFT_GPU_OVERLAP_ALL},
                         {.name = "copy of as many bytes", .kind = ARM_COPY},
                         {.name = "floor", .trial = {.measured = 1}}};
    measure_arms(&shape, arms, shape.operation <= ROPE_CACHE ? 5 : 4);
}

/* Other grids than the one that the library chooses, and kernels that leave something out. */
static void tune_shape(struct shape shape) {
    static const struct gpu_trial trials[] = {
        {0},
        {.steps = 1},
        {.steps = 2},
        {.steps = 4},
        {.threads = 64},
        {.threads = 256},
        {.chunks = 1},
        {.chunks = 2},
        {.measured = 1},
        {.measured = 3}, /* without the wait for the position, cosines and sines, stores */
        {.measured = 4},
        {.measured = 5},
    };
    enum { COUNT = sizeof trials / sizeof *trials };
    struct arm arms[COUNT + 1] = {{.name = "copy of as many bytes", .kind = ARM_COPY}};
    for (int i = 0; i < COUNT; i++) arms[i + 1] = (struct arm){.name = "trial", .trial = trials[i]};
    measure_arms(&shape, arms, COUNT + 1);
}

static void measure_copy(void) {
    size_t size = (size_t)2 << 30;
    uint64_t from = allocate(&cuda, size), to = allocate(&cuda, size);
    float best = 0, milliseconds;
    fill(&cuda, from, size);
    for (int round = 0; round < 10; round++) {
        CUDA(cuda.event_record(start_event, cuda.stream));
        CUDA(cuda.copy(to, from, size, cuda.stream));
        CUDA(cuda.event_record(end_event, cuda.stream));
        CUDA(cuda.stream_wait(cuda.stream));
        CUDA(cuda.event_elapsed(&milliseconds, start_event, end_event));
        if (round >= 2 && (best == 0 || milliseconds < best)) best = milliseconds;
    }
    copy_bandwidth = 2 * (double)size / (double)best * 1000;
    cuda.release(from), cuda.release(to);
}

/* A launch that has nothing to do: all its tokens are past the number of tokens. */
static void measure_empty(void) {
    struct shape shape = {ROPE_LATENT_CACHE, 16, 1, 64, 512, 0, 1, 0, 0};
    struct sets sets = make_sets(&cuda, &shape);
    struct arm arms[] = {{.name = "empty, 1 block", .trial = {.measured = 2}},
                         {.name = "empty, overlapped", .trial = {.measured = 2}, .overlap = REGRAFT_GPU_OVERLAP_ALL}};
    measure(arms, 2, &sets);
    free_sets(&cuda, &sets);
    if (compiling) return;
    printf("an empty node: %.2f us, cold %.2f us; overlapped %.2f us\n", arms[0].times[1][ROUNDS / 2],
           arms[0].times[0][ROUNDS / 2], arms[1].times[1][ROUNDS / 2]);
    fprintf(stderr, "{\"empty_node\": %.3f, \"empty_node_cold\": %.3f, \"empty_node_overlapped\": %.3f}\n",
            arms[0].times[1][ROUNDS / 2], arms[0].times[0][ROUNDS / 2], arms[1].times[1][ROUNDS / 2]);
}

/* ---- modes ---- */

static void for_latent(void (*each)(struct shape), int fp8) {
    static const int heads[] = {16, 64, 128};
    for (int h = 0; h < 3; h++)
        for (int t = 0; t < token_counts(); t++)
            each((struct shape){ROPE_LATENT_CACHE, heads[h], 1, 64, 512, fp8, tokens_of_table[t], 0, 0});
}

static void for_tokens(void (*each)(struct shape), struct shape shape) {
    for (int t = 0; t < token_counts(); t++) {
        shape.tokens = tokens_of_table[t];
        each(shape);
    }
}

static void all(void) {
    for (int fp8 = 0; fp8 < 2; fp8++) for_latent(measure_shape, fp8);
    for_tokens(measure_shape, (struct shape){ROPE_CACHE, 32, 8, 128, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){ROPE_CACHE, 8, 1, 128, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){NORM_ROPE_CACHE, 32, 8, 128, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){LATENT_CACHE, 0, 1, 64, 512, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){CACHE, 0, 8, 128, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){RMS_NORM, 0, 0, 4096, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){RMS_NORM, 0, 0, 7168, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){FUSED_ADD_RMS_NORM, 0, 0, 4096, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){FUSED_ADD_RMS_NORM, 0, 0, 7168, 0, 0, 0, 0, 0});
    for_tokens(measure_shape, (struct shape){SILU_AND_MUL, 0, 0, 14336, 0, 0, 0, 0, 0});
}

static void tune(void) {
    for (int fp8 = 0; fp8 < 2; fp8++) for_latent(tune_shape, fp8);
    for_tokens(tune_shape, (struct shape){ROPE_CACHE, 32, 8, 128, 0, 0, 0, 0, 0});
    for_tokens(tune_shape, (struct shape){ROPE_CACHE, 8, 1, 128, 0, 0, 0, 0, 0});
}

static void layouts(void) {
    static const int tokens[] = {64, 1024, 4096};
    for (int t = 0; t < 3; t++)
        for (int ordered = 0; ordered < 2; ordered++)
            for (int apart = 0; apart <= !ordered; apart++) {
                measure_shape((struct shape){ROPE_LATENT_CACHE, 16, 1, 64, 512, 0, tokens[t], ordered, apart});
                measure_shape((struct shape){ROPE_CACHE, 32, 8, 128, 0, 0, tokens[t], ordered, apart});
            }
}

/* Three launches of each on other buffers; the profiler looks at the last. Their names and bytes go to standard output. */
static void profile(void) {
    static const struct shape shapes[] = {
        {ROPE_LATENT_CACHE, 16, 1, 64, 512, 0, 0, 0, 0},  {ROPE_LATENT_CACHE, 128, 1, 64, 512, 0, 0, 0, 0},
        {ROPE_LATENT_CACHE, 128, 1, 64, 512, 1, 0, 0, 0}, {ROPE_CACHE, 32, 8, 128, 0, 0, 0, 0, 0},
        {ROPE_CACHE, 8, 1, 128, 0, 0, 0, 0, 0},           {FUSED_ADD_RMS_NORM, 0, 0, 7168, 0, 0, 0, 0, 0}};
    static const int tokens[] = {64, 1024, 4096};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 3; t++) {
            struct shape shape = shapes[i];
            shape.tokens = tokens[t];
            struct sets sets = make_sets(&cuda, &shape);
            for (int set = 0; set < 3; set++) call(gpu, &sets, set, &(regraft_gpu_launch){.stream = cuda.stream});
            CUDA(cuda.stream_wait(cuda.stream));
            printf("launches %s, %d heads, %s, %d tokens, bytes %.0f\n", operation_names[shape.operation], shape.heads,
                   shape.fp8 ? "fp8" : "bf16", shape.tokens, bytes_of(&shape));
            free_sets(&cuda, &sets);
        }
}

static void print_head(void) {
    printf(
        "\nMicroseconds a launch, medians of %d replays; cold and hot, of: ours, with constants overlapped, with all "
        "overlapped, a copy of as many bytes, the floor; shares of copy bandwidth of the first three, cold\n",
        ROUNDS);
}

static int open_all(void) {
    char message[256];
    if (regraft_gpu_create(NULL, &gpu, message, sizeof message) != REGRAFT_OK || !cuda_open(&cuda)) {
        printf("no table for the GPU: %s\n", message);
        return 0;
    }
    CUDA(cuda.event_create(&start_event, 0));
    CUDA(cuda.event_create(&end_event, 0));
    flushed = allocate(&cuda, flushed_bytes);
    fill(&cuda, flushed, flushed_bytes);
    return 1;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    if (!open_all()) return 0;
    if (strcmp(mode, "profile") == 0) {
        profile();
        return 0;
    }
    if (strcmp(mode, "compile") == 0 && argc == 4) {
        compiling = 1, part = atoi(argv[2]), parts = atoi(argv[3]);
        measure_empty();
        all();
        tune();
        return 0;
    }
    measure_copy();
    printf("%s; a copy moves %.2f TB/s, bytes read and written\n", regraft_gpu_name(gpu), copy_bandwidth / 1e12);
    fprintf(stderr, "{\"machine\": \"%s\", \"multiprocessors\": %d, \"copy_bandwidth\": %.4g}\n", regraft_gpu_name(gpu),
            gpu->multiprocessors, copy_bandwidth);
    measure_empty();
    print_head();
    if (strcmp(mode, "tune") == 0)
        tune();
    else if (strcmp(mode, "layouts") == 0)
        layouts();
    else if (strcmp(mode, "quick") == 0)
        measure_shape((struct shape){ROPE_LATENT_CACHE, 16, 1, 64, 512, 0, 8, 0, 0});
    else
        all();
    return 0;
}
