/* What rotations and cache writes come to: for each token, heads that are rotated and rows that go to the cache. */
#ifndef REGRAFT_KERNELS_CPU_TOKENS_H
#define REGRAFT_KERNELS_CPU_TOKENS_H

#include "cpu/parallel.h"

/* Heads that are rotated into `out`, which may be themselves. */
struct rotated_heads {
    regraft_heads in, out;
    int to_cache_only;  /* `out` is not there; the rotated heads are what the first store takes */
    const void *weight; /* NULL, or of a norm before the rotation, [head_size] */
};

/* Rows [heads, size] that go to columns [column, ...) of the token's row in a cache. */
struct cache_store {
    regraft_heads from;
    int64_t size, column;
    const regraft_cache *cache;
    float scale;
};

struct token_work {
    int64_t tokens, head_size;
    regraft_type type;
    const regraft_rotation *rotation; /* of the rotated heads */
    struct rotated_heads rotated[2];
    size_t rotated_count;
    float epsilon;
    regraft_slots slots;
    struct cache_store stores[2]; /* the first is the key's */
    size_t store_count;
};

/* Looks at positions and slots, then runs the work. */
regraft_status tokens_run(struct setup *setup, const struct token_work *work);

#endif
