/* What the forms implement: work on one token's heads, in memory that the caller has laid out and checked. */
#ifndef REGRAFT_KERNELS_CPU_ROWS_H
#define REGRAFT_KERNELS_CPU_ROWS_H

#include "cpu/form.h"

enum {
    block_lanes = 16,   /* elements that are worked on at a time */
    largest_head = 4096 /* elements of a head, and so of a rotation, that fit the buffers on the stack */
};

/* The cosines and sines of one position, in f32 and in the order in which they are used: for half rotation [pairs] each;
 * interleaved [2 * pairs] each, every number twice, sines as (-s, s). */
struct turn {
    int64_t pairs;
    int interleaved;
    float cosines[largest_head], sines[largest_head];
};

/* Rows of one token: the rotated part, or whole heads. */
struct rows {
    const void *in;
    void *out; /* may be `in` */
    int64_t heads, in_stride, out_stride;
};

struct norm_rows {
    struct rows rows;
    void *residual; /* NULL, or what the input is added to, [heads, size] */
    int64_t residual_stride;
    const void *weight; /* or NULL: 1 */
    int64_t size;
    float epsilon;
};

/* Functions for one element type of the operation. */
struct typed_rows {
    void (*rotate)(const struct turn *turn, const struct rows *rows);
    void (*norm)(const struct norm_rows *norm);
    void (*silu_and_mul)(void *out, const void *gate, const void *up, int64_t count);
    /* `count` elements, divided by `scale`, to fp8; `streaming` as below. */
    void (*quantize)(void *out, const void *in, int64_t count, float scale, int streaming);
    /* Row [cosines | sines] of a table of this type; `turn` has pairs and interleaved. */
    void (*load_turn)(struct turn *turn, const void *row, int inverse);
};

struct form {
    struct typed_rows types[3];                             /* by regraft_type: bf16, f16, f32 */
    void (*stream)(void *out, const void *in, size_t size); /* copies around the caches; not ordered before `fence` */
    void (*fence)(void);
};

extern const struct form form_portable;
#if REGRAFT_X86
extern const struct form form_avx2, form_avx512, form_avx512_bf16;
#endif

/* The table of a form that this machine has. */
const struct form *form_rows(regraft_cpu_form form);

#endif
