/* The paged caches of attention layers: rows in blocks, written by slot, read through a block table. */
#ifndef REGRAFT_INTERP_CACHE_H
#define REGRAFT_INTERP_CACHE_H

#include "interp/call.h"

/* How values stand in a cache: converted, or as 8-bit floats after division by a scale. */
struct cache_format {
    bool scaled;
    double scale;
};

/* From the name that vLLM gives it ("auto", "fp8", "fp8_e4m3", ...) and the scale's tensor. */
regraft_status cache_format(struct call *call, struct text name, const struct tensor *scale,
                            struct cache_format *format);

/* Writes row t of `rows` [tokens, ...] to columns [column, ...) of row slots[t] of `cache` [blocks, block_size, ...]
 * for each slot; a negative slot writes nothing. The sizes behind the token and the row must hold equally many
 * elements. */
regraft_status cache_write(struct call *call, const struct tensor *cache, const struct tensor *slots, int64_t column,
                           const struct tensor *rows, const struct cache_format *format);

/* Rotates `x` in place, [positions..., heads * head_size] or [positions..., heads, head_size]. */
struct rotation {
    const struct tensor *positions, *cos_sin; /* [max_position, rotary width]: cosines, then sines */
    int64_t head_size, offset;                /* the rotated part starts at `offset` of each head */
    bool neox, inverse;                       /* pairs (i, i + width/2), else (2i, 2i + 1) */
};
regraft_status rotate(struct call *call, const struct rotation *rotation, const struct tensor *x);

#endif
