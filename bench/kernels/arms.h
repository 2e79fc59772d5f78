/* One measured operation on one shape, and the ways to run it. */
#ifndef REGRAFT_BENCH_ARMS_H
#define REGRAFT_BENCH_ARMS_H

#include "regraft/kernels.h"

/* Shapes of a model's attention; rank 0: grouped-query, else latent attention. */
struct shape {
    const char *name;
    int64_t query_heads, key_heads, head_size, rotary, rank;
    regraft_cache cache; /* type only */
    int interleaved;
};

/* Tensors for many tokens; a call works on some of them, one behind the other. */
struct tensors {
    struct shape shape;
    int64_t tokens, rows; /* of the inputs, of the caches */
    int64_t row;          /* elements of a token's row of inputs [q | k | v], or of q, and of [kv_c | k_pe] */
    uint16_t *inputs, *latents;
    float *table;
    int64_t table_rows;
    int64_t *positions, *slots;
    void *key_cache, *value_cache;
};

enum { block_size = 16 };

typedef void arm(const struct tensors *tensors, int64_t first, int64_t count);
arm arm_fused, arm_unfused, arm_plain;
arm arm_floor; /* reads and writes the same bytes and computes nothing: what memory allows */

/* What a fused pass has to read and write for one token. */
int64_t token_bytes(const struct shape *shape);

#endif
