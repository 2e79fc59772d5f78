/* Vectors along the last dimension of a tensor: what norms and rotations work on. */
#ifndef REGRAFT_INTERP_ROWS_H
#define REGRAFT_INTERP_ROWS_H

#include "interp/tensor.h"

/* The tensor with its last dimension cut to size 1: walking over it visits the start of each row. Rank at least 1. */
static inline struct tensor row_starts(const struct tensor *tensor) {
    struct tensor starts = *tensor;
    starts.shape.sizes[starts.shape.rank - 1] = 1;
    return starts;
}

static inline int64_t row_length(const struct tensor *tensor) { return tensor->shape.sizes[tensor->shape.rank - 1]; }
static inline int64_t row_stride(const struct tensor *tensor) { return tensor->strides[tensor->shape.rank - 1]; }

/* A value as an element of this type holds it. */
static inline double round_to(enum dtype dtype, double value) {
    unsigned char bytes[16];
    element_store_real(dtype, bytes, value);
    return element_load_real(dtype, bytes);
}

#endif
