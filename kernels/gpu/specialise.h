/* A specialisation: the constants that a kernel is compiled with, macros of the device's source. */
#ifndef REGRAFT_GPU_SPECIALISE_H
#define REGRAFT_GPU_SPECIALISE_H

#include <stddef.h>

/* docs/kernels.md says what each is. Booleans are 0 or 1, types are those of regraft_type, -1 is none. */
#define GPU_CONSTANTS(CONSTANT)                                                                                        \
    CONSTANT(OPERATION_ROPE) /* else a row-wise operation: */                                                          \
    CONSTANT(OPERATION_ADD)                                                                                            \
    CONSTANT(OPERATION_SILU)                                                                                           \
    CONSTANT(ELEMENT)                                                                                                  \
    CONSTANT(OVERLAP)                                                                                                  \
    CONSTANT(MEASURED)                                                                                                 \
    CONSTANT(BLOCK_THREADS) /* of rope.h */                                                                            \
    CONSTANT(TABLE_TYPE)                                                                                               \
    CONSTANT(HEAD_SIZE)                                                                                                \
    CONSTANT(VALUE_SIZE)                                                                                               \
    CONSTANT(ROTARY_WIDTH)                                                                                             \
    CONSTANT(ROTARY_OFFSET)                                                                                            \
    CONSTANT(INTERLEAVED)                                                                                              \
    CONSTANT(INVERSE)                                                                                                  \
    CONSTANT(NORMED_HEADS)                                                                                             \
    CONSTANT(QUERY_HEADS)                                                                                              \
    CONSTANT(QUERY_VECTOR)                                                                                             \
    CONSTANT(QUERY_OUT)                                                                                                \
    CONSTANT(KEY_HEADS)                                                                                                \
    CONSTANT(KEY_VECTOR)                                                                                               \
    CONSTANT(KEY_RESULT)                                                                                               \
    CONSTANT(KEY_CACHE)                                                                                                \
    CONSTANT(VALUE_HEADS)                                                                                              \
    CONSTANT(VALUE_VECTOR)                                                                                             \
    CONSTANT(VALUE_CACHE)                                                                                              \
    CONSTANT(VALUE_CHUNKS)                                                                                             \
    CONSTANT(ONE_CACHE)                                                                                                \
    CONSTANT(BLOCKS) /* of rows.h */                                                                                   \
    CONSTANT(ROW_SIZE) CONSTANT(ROW_VECTOR) CONSTANT(ROW_THREADS) CONSTANT(ROW_HEADS) CONSTANT(HAS_WEIGHT)

#define GPU_CONSTANT_FIELD(name) int name;
struct specialisation {
    GPU_CONSTANTS(GPU_CONSTANT_FIELD)
};
#undef GPU_CONSTANT_FIELD

enum { GPU_CONSTANT_COUNT = sizeof(struct specialisation) / sizeof(int), GPU_OPTION_SIZE = 48 };

int specialisation_equal(const struct specialisation *a, const struct specialisation *b);

/* One option of the compiler for each constant: `-DNAME=value`. */
void specialisation_options(const struct specialisation *specialisation, char options[][GPU_OPTION_SIZE]);

/* The widest chunk, in elements, a power of two: */
struct chunk {
    int vector;
};
struct chunk chunk_of_type(int element_size);                             /* 16 bytes */
void chunk_count(struct chunk *chunk, long long count);                   /* `count` elements are whole chunks */
void chunk_bytes(struct chunk *chunk, int element_size, long long bytes); /* an address or a stride fits its accesses */

static inline int divide_up(int a, int b) { return (a + b - 1) / b; }

/* The part of a warp's steps that a segment of rope.h takes: as its constants of the same names. */
struct segment_steps {
    int units, lanes, steps;
};
struct segment_shape {
    int heads, size, vector;
    int rotated, interleaved; /* elements of a head; whether pairs are neighbours */
    int whole;                /* what is not rotated has somewhere to go */
    int copied_chunks;        /* of a unit, where nothing is rotated: 1 or 2 */
};
struct segment_steps segment_steps(struct segment_shape shape);

#endif
