/* usage: bench_kernels [--quick] [--huge-pages] [--only TEXT] [--peer COMMAND]
 *
 * Times the kernels on this CPU beside their parts apart, a plain loop and a peer; a table on standard output, JSON lines on
 * standard error. bench/kernels/run calls it, docs/kernels.md explains the columns. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arms.h"
#include "measure.h"
#include "peer.h"

enum { most_samples = 64, most_arms = 5 };

struct options {
    int samples, huge;
    const char *only, *peer;
};

static const struct shape shapes[] = {
    {"grouped 32/8 x 128", 32, 8, 128, 128, 0, {.type = REGRAFT_BF16}, 0},
    {"grouped 32/8 x 128, fp8 cache", 32, 8, 128, 128, 0, {.type = REGRAFT_FP8_E4M3}, 0},
    {"grouped 8/1 x 128", 8, 1, 128, 128, 0, {.type = REGRAFT_BF16}, 0},
    {"latent 16 heads", 16, 1, 192, 64, 512, {.type = REGRAFT_BF16}, 1},
    {"latent 16 heads, fp8 cache", 16, 1, 192, 64, 512, {.type = REGRAFT_FP8_E4M3}, 1},
    {"latent 128 heads", 128, 1, 192, 64, 512, {.type = REGRAFT_BF16}, 1},
};
static const int64_t token_counts[] = {1, 8, 64, 256, 1024, 4096};

/* ---- tensors ---- */

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

struct store {
    uint16_t *inputs, *latents;
    float *table;
    int64_t *positions, *slots, *order;
    void *caches[2];
};
enum { table_rows = 65536, most_tokens = 65536, most_rows = 262144 };
static const size_t input_bytes = (size_t)400 << 20, cache_bytes = (size_t)302 << 20;

static void fill_store(struct store *store, int huge) {
    uint64_t state = 1;
    store->inputs = memory(input_bytes, huge);
    store->latents = memory((size_t)most_tokens * 576 * 2, huge);
    store->table = memory((size_t)table_rows * 128 * sizeof(float), huge);
    store->positions = memory(most_tokens * sizeof(int64_t), huge);
    store->slots = memory(most_tokens * sizeof(int64_t), huge);
    store->order = memory(most_rows * sizeof(int64_t), huge);
    for (int i = 0; i < 2; i++) store->caches[i] = memory(cache_bytes, huge);
    for (size_t i = 0; i < input_bytes / 2; i++) store->inputs[i] = (uint16_t)(0x3f00 + next_random(&state) % 0x100);
    for (size_t i = 0; i < (size_t)most_tokens * 576; i++) store->latents[i] = store->inputs[i];
    for (int64_t i = 0; i < most_tokens; i++) store->positions[i] = (int64_t)next_random(&state) % table_rows;
}

/* As many tokens as make four times the last cache, and caches with rows in random order. */
static struct tensors tensors_of(const struct store *store, const struct shape *shape) {
    struct tensors tensors = {.shape = *shape,
                              .inputs = store->inputs,
                              .latents = store->latents,
                              .table = store->table,
                              .table_rows = table_rows,
                              .positions = store->positions,
                              .slots = store->slots,
                              .key_cache = store->caches[0],
                              .value_cache = store->caches[1]};
    int64_t cached = shape->rank ? shape->rank + shape->rotary : shape->key_heads * shape->head_size;
    tensors.row = (shape->query_heads + (shape->rank ? 0 : 2 * shape->key_heads)) * shape->head_size;
    tensors.tokens = (int64_t)input_bytes / (tensors.row * 2);
    if (tensors.tokens > most_tokens) tensors.tokens = most_tokens;
    tensors.tokens = tensors.tokens / 4096 * 4096;
    tensors.rows = (int64_t)cache_bytes / (cached * 2) / block_size * block_size;
    if (tensors.rows > most_rows) tensors.rows = most_rows;
    for (int64_t i = 0; i < table_rows * shape->rotary; i++) /* a true rotation: numbers stay as large as they are */
        store->table[i] = i % shape->rotary < shape->rotary / 2 ? 0.6f : 0.8f;
    uint64_t state = 7;
    for (int64_t i = 0; i < tensors.rows; i++) store->order[i] = i;
    for (int64_t i = 0; i < tensors.tokens; i++) {
        int64_t other = i + (int64_t)next_random(&state) % (tensors.rows - i), row = store->order[other];
        store->order[other] = store->order[i];
        store->slots[i] = store->order[i] = row;
    }
    return tensors;
}

/* ---- measuring ---- */

struct measured {
    const char *name;
    arm *run; /* NULL: the peer */
    double samples[most_samples];
};

/* Microseconds of one call; cold ones take the next tokens each time. */
static double sample(const struct measured *measured, const struct tensors *tensors, int64_t count, int cold, int calls,
                     int64_t *cursor, struct peer *peer) {
    if (!measured->run) return peer_run(peer, count, cold, calls);
    double start = now();
    for (int call = 0; call < calls; call++) {
        measured->run(tensors, *cursor, count);
        if (cold) *cursor = *cursor + 2 * count <= tensors->tokens ? *cursor + count : 0;
    }
    return (now() - start) * 1e6 / calls;
}

static void rest(void) { nanosleep(&(struct timespec){0, 3000000}, NULL); } /* OpenMP's threads stop spinning */

static void print_row(const struct tensors *tensors, int64_t count, int cold, struct measured *arms, size_t arm_count,
                      const double *copies, size_t samples) {
    double bytes = (double)(token_bytes(&tensors->shape) * count), sorted[most_samples];
    memcpy(sorted, copies, samples * sizeof *copies);
    double copy = quantile(sorted, samples, 0.5);
    printf("%-29s %6lld %-4s %9.1f", tensors->shape.name, (long long)count, cold ? "cold" : "hot", bytes / 1e3);
    double fused = quantile(arms[0].samples, samples, 0.5);
    printf(" %9.2f %8.2f %8.2f %5.0f%%", fused, quantile(arms[0].samples, samples, 0.1),
           quantile(arms[0].samples, samples, 0.9), 100 * bytes / fused / 1e-6 / copy);
    for (size_t i = 1; i < most_arms; i++) {
        double median = i < arm_count ? quantile(arms[i].samples, samples, 0.5) : 0;
        if (i < arm_count)
            printf(" %9.2f %5.2f", median, median / fused);
        else
            printf(" %9s %5s", "-", "-");
    }
    printf("\n");
    fflush(stdout);
    for (size_t i = 0; i < arm_count; i++)
        fprintf(stderr,
                "{\"shape\": \"%s\", \"tokens\": %lld, \"cold\": %d, \"arm\": \"%s\", \"bytes\": %.0f, \"us\": %.3f, "
                "\"us_p10\": "
                "%.3f, \"us_p90\": %.3f, \"copy_bytes_per_second\": %.4g, \"share_of_copy\": %.4f}\n",
                tensors->shape.name, (long long)count, cold, arms[i].name, bytes,
                quantile(arms[i].samples, samples, 0.5), quantile(arms[i].samples, samples, 0.1),
                quantile(arms[i].samples, samples, 0.9), copy,
                bytes / quantile(arms[i].samples, samples, 0.5) / 1e-6 / copy);
}

static void measure(const struct tensors *tensors, int64_t count, int cold, const struct options *options,
                    struct peer *peer) {
    struct measured arms[most_arms] = {{"fused", arm_fused, {0}},
                                       {"floor", arm_floor, {0}},
                                       {"unfused", arm_unfused, {0}},
                                       {"plain", arm_plain, {0}},
                                       {"PyTorch", NULL, {0}}};
    size_t arm_count = peer ? 5 : 4;
    double copies[most_samples];
    int64_t cursor = 0;
    int calls = 1;
    for (size_t i = 0; i < arm_count; i++) sample(&arms[i], tensors, count, cold, 1, &cursor, peer);
    double once = sample(&arms[0], tensors, count, cold, 1, &cursor, peer);
    while (calls * once < 40 && calls < 64) calls *= 2;
    for (int round = 0; round < options->samples; round++) {
        copies[round] = copy_bandwidth();
        for (size_t i = 0; i < arm_count; i++) {
            struct measured *turn = &arms[(i + (size_t)round) % arm_count];
            rest();
            turn->samples[round] = sample(turn, tensors, count, cold, calls, &cursor, peer);
        }
    }
    print_row(tensors, count, cold, arms, arm_count, copies, (size_t)options->samples);
}

/* ---- */

static struct options parse(int argc, char **argv) {
    struct options options = {31, 0, "", NULL};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            options.samples = 9;
        else if (strcmp(argv[i], "--huge-pages") == 0)
            options.huge = 1;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            options.only = argv[++i];
        else if (strcmp(argv[i], "--peer") == 0 && i + 1 < argc)
            options.peer = argv[++i];
        else {
            fprintf(stderr, "usage: bench_kernels [--quick] [--huge-pages] [--only TEXT] [--peer COMMAND]\n");
            exit(2);
        }
    }
    return options;
}

static void print_head(const struct options *options) {
    printf("%s, %d threads, last cache %zu MiB, form %s, pages: %s\n", processor_name(), threads_available(),
           last_cache() >> 20, regraft_cpu_form_name(regraft_cpu_best()), options->huge ? "2 MiB" : "4 KiB");
    printf("Medians of %d, microseconds; p10 and p90; share: bytes a second of the fused kernel, of those of a copy;\n"
           "then each other way, and how many times longer it takes. floor: the same addresses without arithmetic\n\n",
           options->samples);
    printf("%-29s %6s %-4s %9s %9s %8s %8s %6s %9s %5s %9s %5s %9s %5s %9s\n", "shape", "tokens", "", "kB", "fused",
           "p10", "p90", "share", "floor", "", "unfused", "", "plain", "", "PyTorch");
    fprintf(
        stderr, "{\"machine\": \"%s\", \"threads\": %d, \"last_cache\": %zu, \"form\": \"%s\", \"huge_pages\": %d}\n",
        processor_name(), threads_available(), last_cache(), regraft_cpu_form_name(regraft_cpu_best()), options->huge);
}

int main(int argc, char **argv) {
    struct options options = parse(argc, argv);
    struct store store;
    fill_store(&store, options.huge);
    print_head(&options);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (!strstr(shapes[i].name, options.only)) continue;
        struct tensors tensors = tensors_of(&store, &shapes[i]);
        struct peer *peer = peer_start(options.peer, &tensors);
        for (int cold = 1; cold >= 0; cold--)
            for (size_t count = 0; count < sizeof token_counts / sizeof *token_counts; count++)
                measure(&tensors, token_counts[count], cold, &options, peer);
        peer_stop(peer);
        printf("\n");
    }
    return 0;
}
