/* usage: bench_kernels_gpu [quick | tune | profile]   the GPU's kernels, measured: a table on standard output, JSON lines on standard error.
 *
 * A graph of many launches is replayed; its launches go over sets of buffers one after another. Cold: the sets' data is larger
 * than the L2, or the L2 is filled with other data before each replay, so that every set is in memory. Hot: one set. The arms
 * (ours in three kinds of order, the floor, a copy of as many bytes, nothing) take turns in every round. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda.h"
#include "gpu/gpu.h"
#include "regraft/kernels.h"

enum { ROUNDS = 15, LEAST_SETS = 12, MOST_SETS = 400, LEAST_LAUNCHES = 40, BLOCK_SIZE = 64, TABLE_ROWS = 65536 };
static const size_t flushed_bytes = (size_t)256 << 20, sets_bytes = (size_t)400 << 20; /* several times the L2 */

static struct cuda cuda;
static regraft_gpu *gpu;
static uint64_t flushed;
static void *start_event, *end_event;

/* ---- what is measured ---- */

struct shape {
    int latent; /* else grouped-query */
    int heads, key_heads, head_size, rank;
    int fp8;
    int tokens;
};

/* All sets of one shape: a set is query, key, value, positions, slots; cache and table are shared. */
struct sets {
    struct shape shape;
    uint64_t memory, copies, cache, value_cache, table, scale;
    size_t set_size, query_at, key_at, value_at, positions_at, slots_at;
    int count;
    int64_t cache_rows;
};

static int64_t row_of(const struct shape *s) {
    return s->latent ? s->rank + s->head_size : (int64_t)s->key_heads * s->head_size;
}

static size_t aligned(size_t size) { return (size + 255) / 256 * 256; }

/* The bytes that have to move: what is read once and what is written once. */
static double bytes_of(const struct shape *s) {
    double cached = s->fp8 ? 1 : 2, table = s->head_size * 2.0, integers = 16;
    double query = 2.0 * 2 * s->heads * s->head_size;
    double key = s->latent ? (s->rank + s->head_size) * (2.0 + cached)
                           : s->key_heads * s->head_size * (2.0 + cached) * 2; /* key and value */
    return s->tokens * (query + key + table + integers);
}

static uint64_t allocate(size_t size) {
    uint64_t address;
    CUDA(cuda.allocate(&address, size));
    return address;
}

static uint64_t random_state = 88172645463325252u;
static uint64_t random_number(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* bf16 of values below 1 in magnitude. */
static void fill(uint64_t to, size_t size) {
    size_t piece = (size_t)4 << 20, done = size < piece ? size : piece;
    uint16_t *values = malloc(piece);
    for (size_t i = 0; i < piece / 2; i++)
        values[i] = (uint16_t)((random_number() & 0x80ff) | (0x3e00 + (random_number() & 0x180)));
    CUDA(cuda.to_device(to, values, done));
    for (size_t more; done < size; done += more) {
        more = size - done < done ? size - done : done;
        CUDA(cuda.copy(to + done, to, more, cuda.stream));
    }
    CUDA(cuda.stream_wait(cuda.stream));
    free(values);
}

static void fill_integers(const struct sets *sets) {
    size_t count = (size_t)sets->shape.tokens;
    int64_t *numbers = malloc(count * sizeof *numbers), *order = malloc((size_t)sets->cache_rows * sizeof *order);
    for (int64_t i = 0; i < sets->cache_rows; i++) order[i] = i;
    int64_t used = 0;
    for (int set = 0; set < sets->count; set++) {
        uint64_t base = sets->memory + (size_t)set * sets->set_size;
        for (size_t i = 0; i < count; i++) numbers[i] = (int64_t)(random_number() >> 8) % TABLE_ROWS;
        CUDA(cuda.to_device(base + sets->positions_at, numbers, count * 8));
        for (size_t i = 0; i < count; i++) {
            if (used == sets->cache_rows) used = 0;
            int64_t other = used + (int64_t)(random_number() >> 8) % (sets->cache_rows - used), row = order[other];
            order[other] = order[used], order[used++] = row;
            numbers[i] = row;
        }
        CUDA(cuda.to_device(base + sets->slots_at, numbers, count * 8));
    }
    free(numbers), free(order);
}

static struct sets make_sets(const struct shape *s) {
    struct sets sets = {.shape = *s};
    size_t tokens = (size_t)s->tokens;
    sets.key_at = aligned(tokens * (size_t)(s->heads * s->head_size) * 2);
    sets.value_at =
        sets.key_at + aligned(tokens * (size_t)(s->latent ? s->head_size : s->key_heads * s->head_size) * 2);
    sets.positions_at =
        sets.value_at + aligned(tokens * (size_t)(s->latent ? s->rank : s->key_heads * s->head_size) * 2);
    sets.slots_at = sets.positions_at + aligned(tokens * 8);
    sets.set_size = sets.slots_at + aligned(tokens * 8);
    size_t fit = sets_bytes / sets.set_size;
    sets.count = fit < LEAST_SETS ? LEAST_SETS : fit > MOST_SETS ? MOST_SETS : (int)fit;
    sets.cache_rows = (int64_t)tokens * sets.count;
    sets.cache_rows = (sets.cache_rows > 262144  ? 262144
                       : sets.cache_rows < 16384 ? 16384
                                                 : sets.cache_rows) /
                      BLOCK_SIZE * BLOCK_SIZE;
    /* Room for a copy of as many bytes, which reads half of them: an input and an output of a launch are not of one size. */
    sets.memory = allocate(sets.set_size * (size_t)(sets.count + 1));
    sets.copies = allocate(sets.set_size * (size_t)(sets.count + 1));
    size_t cache_size = (size_t)sets.cache_rows * (size_t)row_of(s) * (s->fp8 ? 1 : 2);
    sets.cache = allocate(cache_size);
    sets.value_cache = s->latent ? 0 : allocate(cache_size);
    sets.table = allocate((size_t)TABLE_ROWS * (size_t)s->head_size * 2);
    sets.scale = allocate(256);
    float scale = 0.25f;
    CUDA(cuda.to_device(sets.scale, &scale, sizeof scale));
    fill(sets.memory, sets.set_size * (size_t)sets.count);
    fill(sets.table, (size_t)TABLE_ROWS * (size_t)s->head_size * 2);
    fill_integers(&sets);
    return sets;
}

static void free_sets(struct sets *sets) {
    cuda.release(sets->memory), cuda.release(sets->copies), cuda.release(sets->cache), cuda.release(sets->table),
        cuda.release(sets->scale);
    if (sets->value_cache) cuda.release(sets->value_cache);
}

static regraft_rotation rotation_of(const struct sets *sets, uint64_t base) {
    return (regraft_rotation){.positions = cuda_pointer(base + sets->positions_at),
                              .table = cuda_pointer(sets->table),
                              .table_type = REGRAFT_BF16,
                              .table_rows = TABLE_ROWS,
                              .table_stride = sets->shape.head_size,
                              .width = sets->shape.head_size,
                              .interleaved = sets->shape.latent};
}

static regraft_cache cache_of(const struct sets *sets, uint64_t address) {
    int64_t row = row_of(&sets->shape);
    return (regraft_cache){.data = cuda_pointer(address),
                           .type = sets->shape.fp8 ? REGRAFT_FP8_E4M3 : REGRAFT_BF16,
                           .blocks = sets->cache_rows / BLOCK_SIZE,
                           .block_size = BLOCK_SIZE,
                           .block_stride = row * BLOCK_SIZE,
                           .row_stride = row,
                           .head_stride = sets->shape.head_size,
                           .scale = sets->shape.fp8 ? cuda_pointer(sets->scale) : NULL};
}

static regraft_heads heads_of(uint64_t address, int64_t heads, int64_t size) {
    return (regraft_heads){cuda_pointer(address), heads, heads * size, size};
}

static regraft_status call(const struct sets *sets, int set, const regraft_gpu_launch *launch) {
    const struct shape *s = &sets->shape;
    uint64_t base = sets->memory + (size_t)set * sets->set_size;
    if (s->latent) {
        regraft_rope_latent_cache_arguments a = {.tokens = s->tokens,
                                                 .head_size = s->head_size,
                                                 .rank = s->rank,
                                                 .rotation = rotation_of(sets, base),
                                                 .query = heads_of(base + sets->query_at, s->heads, s->head_size),
                                                 .key_pe = heads_of(base + sets->key_at, 1, s->head_size),
                                                 .kv_c = heads_of(base + sets->value_at, 1, s->rank),
                                                 .key_result = REGRAFT_KEY_CACHE_ONLY,
                                                 .slots = {cuda_pointer(base + sets->slots_at), s->tokens},
                                                 .cache = cache_of(sets, sets->cache)};
        return regraft_gpu_rope_latent_cache(gpu, &a, launch);
    }
    regraft_rope_cache_arguments a = {.tokens = s->tokens,
                                      .head_size = s->head_size,
                                      .rotation = rotation_of(sets, base),
                                      .query = heads_of(base + sets->query_at, s->heads, s->head_size),
                                      .key = heads_of(base + sets->key_at, s->key_heads, s->head_size),
                                      .value = heads_of(base + sets->value_at, s->key_heads, s->head_size),
                                      .key_result = REGRAFT_KEY_CACHE_ONLY,
                                      .slots = {cuda_pointer(base + sets->slots_at), s->tokens},
                                      .key_cache = cache_of(sets, sets->cache),
                                      .value_cache = cache_of(sets, sets->value_cache)};
    return regraft_gpu_rope_cache(gpu, &a, launch);
}

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

static void must(regraft_status status) {
    if (status == REGRAFT_OK) return;
    fprintf(stderr, "%s\n", regraft_gpu_message(gpu));
    exit(1);
}

static void record(const struct arm *arm, const struct sets *sets, int set) {
    regraft_gpu_launch launch = {.stream = cuda.stream, .overlap = (regraft_gpu_overlap)arm->overlap};
    if (arm->kind == ARM_KERNEL)
        must(call(sets, set, &launch));
    else
        CUDA(cuda.copy(sets->copies + (size_t)set * sets->set_size, sets->memory + (size_t)set * sets->set_size,
                       (size_t)(bytes_of(&sets->shape) / 2), cuda.stream));
}

static void prepare(struct arm *arm, const struct sets *sets) {
    gpu->trial = arm->trial;
    regraft_gpu_launch ready = {.compile_only = 1, .overlap = (regraft_gpu_overlap)arm->overlap};
    if (arm->kind == ARM_KERNEL) must(call(sets, 0, &ready));
    for (int hot = 0; hot < 2; hot++) {
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

static double copy_bandwidth; /* bytes read and written, a second */

static void print_shape(const struct shape *s, const struct arm *arms, int count) {
    double bytes = bytes_of(s);
    printf("%-7s %3d %2d %4s %5d", s->latent ? "latent" : "grouped", s->heads, s->key_heads, s->fp8 ? "fp8" : "bf16",
           s->tokens);
    for (int i = 0; i < count; i++)
        for (int hot = 0; hot < 2; hot++) {
            printf(" %7.2f", arms[i].times[hot][ROUNDS / 2]);
            fprintf(stderr,
                    "{\"operation\": \"%s\", \"heads\": %d, \"key_heads\": %d, \"cache\": \"%s\", \"tokens\": %d, "
                    "\"arm\": \"%s\", "
                    "\"trial\": [%d, %d, %d], \"%s\": %.3f, \"p10\": %.3f, \"p90\": %.3f, \"bytes\": %.0f, "
                    "\"share\": %.3f}\n",
                    s->latent ? "rope_latent_cache" : "rope_cache", s->heads, s->key_heads, s->fp8 ? "fp8" : "bf16",
                    s->tokens, arms[i].name, arms[i].trial.steps, arms[i].trial.threads, arms[i].trial.measured,
                    hot ? "hot" : "cold", arms[i].times[hot][ROUNDS / 2], arms[i].times[hot][ROUNDS / 10],
                    arms[i].times[hot][ROUNDS - 1 - ROUNDS / 10], bytes,
                    bytes / (double)arms[i].times[hot][ROUNDS / 2] / 1e-6 / copy_bandwidth);
        }
    printf("  %4.0f %%  %4.0f %%\n", 100 * bytes / (double)arms[0].times[0][ROUNDS / 2] / 1e-6 / copy_bandwidth,
           100 * bytes / (double)arms[1].times[0][ROUNDS / 2] / 1e-6 / copy_bandwidth);
    fflush(stdout);
}

static void measure_shape(struct shape shape) {
    struct arm arms[] = {{.name = "ours"},
                         {.name = "ours, constants overlap", .overlap = REGRAFT_GPU_OVERLAP_CONSTANTS},
                         {.name = "ours, all overlap", .overlap = REGRAFT_GPU_OVERLAP_ALL},
                         {.name = "floor", .trial = {.measured = 1}},
                         {.name = "copy of as many bytes", .kind = ARM_COPY}};
    int count = sizeof arms / sizeof *arms;
    struct sets sets = make_sets(&shape);
    measure(arms, count, &sets);
    print_shape(&shape, arms, count);
    free_sets(&sets);
}

/* Other grids than the one that the library chooses, and kernels that leave something out. */
static void tune_shape(struct shape shape) {
    static const struct gpu_trial trials[] = {
        {1, 128, 0}, {2, 128, 0}, {4, 128, 0},                           /* steps of a warp */
        {1, 64, 0},  {2, 64, 0},  {1, 256, 0}, {2, 256, 0}, {4, 256, 0}, /* threads of a block */
        {0, 0, 3},   {0, 0, 4},   {0, 0, 5},                             /* without position, table, stores */
    };
    enum { COUNT = sizeof trials / sizeof *trials };
    struct arm arms[COUNT] = {{0}};
    struct sets sets = make_sets(&shape);
    for (int i = 0; i < COUNT; i++) arms[i] = (struct arm){.name = "trial", .trial = trials[i]};
    measure(arms, COUNT, &sets);
    print_shape(&shape, arms, COUNT);
    free_sets(&sets);
}

static void measure_copy(void) {
    size_t size = (size_t)2 << 30;
    uint64_t from = allocate(size), to = allocate(size);
    float best = 0, milliseconds;
    fill(from, size);
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
    struct shape shape = {1, 16, 1, 64, 512, 0, 1};
    struct sets sets = make_sets(&shape);
    struct arm arms[] = {{.name = "empty, 1 block", .trial = {.measured = 2}},
                         {.name = "empty, overlapped", .trial = {.measured = 2}, .overlap = REGRAFT_GPU_OVERLAP_ALL}};
    measure(arms, 2, &sets);
    printf("an empty node: %.2f us, overlapped %.2f us\n", arms[0].times[1][ROUNDS / 2], arms[1].times[1][ROUNDS / 2]);
    fprintf(stderr, "{\"empty_node\": %.3f, \"empty_node_overlapped\": %.3f}\n", arms[0].times[1][ROUNDS / 2],
            arms[1].times[1][ROUNDS / 2]);
    free_sets(&sets);
}

/* Single launches, cold, for a profiler: latent attention with 16 heads and 4096 tokens. */
static void profile(void) {
    struct shape shape = {1, 16, 1, 64, 512, 0, 4096};
    struct sets sets = make_sets(&shape);
    for (int steps = 1; steps <= 2; steps++)
        for (int set = 0; set < 3; set++) {
            gpu->trial = (struct gpu_trial){.steps = steps};
            must(call(&sets, set, &(regraft_gpu_launch){.stream = cuda.stream}));
            CUDA(cuda.stream_wait(cuda.stream));
        }
    free_sets(&sets);
}

static void print_head(void) {
    printf("\nMicroseconds a launch, medians of %d replays; cold and hot; share of copy bandwidth: ours cold, "
           "overlapped cold\n"
           "%-7s %3s %2s %4s %5s %15s %15s %15s %15s %15s\n",
           ROUNDS, "", "q", "kv", "", "tok", "ours", "constants ovl.", "all overlap", "floor", "copy");
}

int main(int argc, char **argv) {
    static const int tokens[] = {1, 8, 64, 256, 1024, 4096}, heads[] = {16, 64, 128};
    char message[256];
    if (regraft_gpu_create(NULL, &gpu, message, sizeof message) != REGRAFT_OK || !cuda_open(&cuda)) {
        printf("no table for the GPU: %s\n", message);
        return 0;
    }
    CUDA(cuda.event_create(&start_event, 0));
    CUDA(cuda.event_create(&end_event, 0));
    flushed = allocate(flushed_bytes);
    fill(flushed, flushed_bytes);
    measure_copy();
    printf("%s; a copy moves %.2f TB/s, bytes read and written\n", regraft_gpu_name(gpu), copy_bandwidth / 1e12);
    fprintf(stderr, "{\"machine\": \"%s\", \"multiprocessors\": %d, \"copy_bandwidth\": %.4g}\n", regraft_gpu_name(gpu),
            gpu->multiprocessors, copy_bandwidth);
    if (argc > 1 && strcmp(argv[1], "profile") == 0) {
        profile();
        return 0;
    }
    measure_empty();
    if (argc > 1 && strcmp(argv[1], "tune") == 0) {
        for (int h = 0; h < 3; h++)
            for (int t = 0; t < 6; t++) tune_shape((struct shape){1, heads[h], 1, 64, 512, 0, tokens[t]});
        for (int t = 0; t < 6; t++) tune_shape((struct shape){0, 32, 8, 128, 0, 0, tokens[t]});
        for (int t = 0; t < 6; t++) tune_shape((struct shape){0, 8, 1, 128, 0, 0, tokens[t]});
        return 0;
    }
    print_head();
    if (argc > 1 && strcmp(argv[1], "quick") == 0) {
        measure_shape((struct shape){1, 16, 1, 64, 512, 0, 8});
        return 0;
    }
    for (int fp8 = 0; fp8 < 2; fp8++)
        for (int h = 0; h < 3; h++)
            for (int t = 0; t < 6; t++) measure_shape((struct shape){1, heads[h], 1, 64, 512, fp8, tokens[t]});
    for (int t = 0; t < 6; t++) measure_shape((struct shape){0, 32, 8, 128, 0, 0, tokens[t]});
    for (int t = 0; t < 6; t++) measure_shape((struct shape){0, 8, 1, 128, 0, 0, tokens[t]});
    return 0;
}
