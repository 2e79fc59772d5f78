/* What a launch passes to a kernel: pointers, strides and counts, in elements. Read by the host's C and by the device's source. */
#ifndef REGRAFT_GPU_PARAMETERS_H
#define REGRAFT_GPU_PARAMETERS_H

#ifndef REGRAFT_GPU_PLATFORM_H
#include <stdint.h>
typedef int64_t int64;
typedef uint32_t uint32;
#endif

typedef struct tensor_parameters {
    void *data; /* [tokens, heads, size] */
    int64 token_stride, head_stride;
} tensor_parameters;

typedef struct cache_parameters {
    void *data;
    int64 row_stride, block_stride, head_stride;
    const float *scale;
    int64 block_size;
    int64 block_shift; /* of a block size that is a power of two */
} cache_parameters;

/* For rope.h. What every warp needs comes first, in the order in which it is needed: parameters are fetched in lines, and the
 * first use of each line waits for it. */
typedef struct parameters {
    const int64 *positions, *slots;
    const void *table;
    int64 table_stride, slot_count;
    uint32 tokens;
    float epsilon;
    tensor_parameters query, key, value;
    cache_parameters value_cache, key_cache;
    tensor_parameters query_out, key_out; /* where they are not in place */
    const void *query_weight, *key_weight;
} parameters;

/* For rows.h. */
typedef struct row_parameters {
    tensor_parameters input, out;
    const void *weight;
    uint32 rows; /* tokens * heads */
    float epsilon;
} row_parameters;

#endif
