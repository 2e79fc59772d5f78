/* What bench_kernels_gpu measures: operations, their buffers on the device, their calls. */
#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

#include "cuda.h"
#include "gpu/gpu.h"
#include "regraft/kernels.h"

enum operation {
    ROPE_LATENT_CACHE,
    ROPE_CACHE,
    NORM_ROPE_CACHE,
    LATENT_CACHE,
    CACHE,
    RMS_NORM,
    FUSED_ADD_RMS_NORM,
    SILU_AND_MUL
};
extern const char *const operation_names[];

struct shape {
    enum operation operation;
    int heads, key_heads, head_size, rank; /* of norms and activation: one head of head_size */
    int fp8, tokens;
    int ordered; /* rows of the cache one after another, instead of at random places */
    int apart; /* the arrays of a call in memory of their own, each beside those of the other calls, as a framework has them */
};

/* The bytes that have to move: what is read once and what is written once. */
double bytes_of(const struct shape *shape);

enum array { QUERY, KEY, VALUE, POSITIONS, SLOTS, ARRAYS };

/* Buffers for many calls of one shape. Cache, table and weights are shared. */
struct sets {
    struct shape shape;
    uint64_t memory, copies, cache, value_cache, table, scale;
    uint64_t at[ARRAYS];   /* of set 0 */
    size_t stride[ARRAYS]; /* from a set to the next */
    size_t set_size;
    int count;
    int64_t cache_rows;
};

struct sets make_sets(const struct cuda *cuda, const struct shape *shape);
void free_sets(const struct cuda *cuda, struct sets *sets);

/* One call on the buffers of one set. Ends the program when it fails. */
void call(regraft_gpu *gpu, const struct sets *sets, int set, const regraft_gpu_launch *launch);

uint64_t allocate(const struct cuda *cuda, size_t size);
/* bf16 of values below 1 in magnitude. */
void fill(const struct cuda *cuda, uint64_t to, size_t size);

#endif
