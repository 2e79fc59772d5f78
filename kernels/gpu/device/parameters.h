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
    const float *scale;
    int64 block_stride, row_stride, head_stride;
    int64 block_size;
    int64 block_shift; /* of a block size that is a power of two */
} cache_parameters;

/* For rope.h. */
typedef struct parameters {
    tensor_parameters query, query_out, key, key_out, value;
    cache_parameters key_cache, value_cache;
    const int64 *positions, *slots;
    const void *table, *query_weight, *key_weight;
    int64 table_stride, slot_count;
    uint32 tokens;
    float epsilon;
} parameters;

/* For rows.h. */
typedef struct row_parameters {
    tensor_parameters input, out;
    const void *weight;
    uint32 rows; /* tokens * heads */
    float epsilon;
} row_parameters;

#endif
