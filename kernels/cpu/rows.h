/* What the forms implement: work on one token's heads, in memory that the caller has laid out and checked. */
#ifndef REGRAFT_KERNELS_CPU_ROWS_H
#define REGRAFT_KERNELS_CPU_ROWS_H

#include "cpu/form.h"

enum {
    block_lanes = 16,   /* elements that are worked on at a time */
    largest_head = 4096 /* elements of a head, and so of a rotation, that fit the buffers on the stack */
};

/* The cosines and sines of one position, in f32, by turns a block of cosines and a block of sines, each in the order of the
 * rotated type. Half rotation: [pairs] of both; interleaved: [2 * pairs] of both, every number twice, sines as (-s, s). */
struct turn {
    int64_t pairs;
    int interleaved;
    _Alignas(64) float numbers[2 * largest_head];
};

/* What to fetch on the way, head by head or line by line: a burst of prefetches gets lost. `start` NULL: nothing. */
struct ahead {
    const void *start; /* the same row of a later token */
    int64_t lines;     /* of 64 bytes, for each head */
};

/* Rows of one token: the rotated part, or whole heads. */
struct rows {
    const void *in;
    void *out; /* may be `in` */
    int64_t heads, in_stride, out_stride;
    struct ahead ahead;
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
    /* `count` elements, divided by `scale`, to fp8; `streaming` as below; `ahead` NULL, or a row to fetch on the way. */
    void (*quantize)(void *out, const void *in, int64_t count, float scale, int streaming, const void *ahead);
    /* Row [cosines | sines] of a table of this type, or of f32; `turn` has pairs and interleaved. */
    void (*load_turn)(struct turn *turn, const void *row, int inverse);
    void (*load_turn_from_f32)(struct turn *turn, const void *row, int inverse);
};

struct form {
    struct typed_rows types[3]; /* by regraft_type: bf16, f16, f32 */
    /* Copies around the caches; not ordered before `fence`. */
    void (*stream)(void *out, const void *in, size_t size, const void *ahead);
    void (*fence)(void);
};

extern const struct form form_portable;
#if REGRAFT_X86
extern const struct form form_avx2, form_avx512, form_avx512_bf16;
#endif

/* The table of a form that this machine has. */
const struct form *form_rows(regraft_cpu_form form);

#endif
