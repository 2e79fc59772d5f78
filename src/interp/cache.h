/* The paged caches of attention layers: rows in blocks, written by slot, read through a block table. */
#ifndef REGRAFT_INTERP_CACHE_H
#define REGRAFT_INTERP_CACHE_H

#include "interp/call.h"

/* How values stand in a cache: converted, or as 8-bit floats after division by a scale. */
struct cache_format {
    bool scaled;
    double scale;
};

/* Writes row t of `rows` [tokens, ...] to columns [column, ...) of row slots[t] of `cache` [blocks, block_size, ...]
 * for each slot; a negative slot writes nothing. The sizes behind the token and the row must hold equally many
 * elements. */
regraft_status cache_write(struct call *call, const struct tensor *cache, const struct tensor *slots, int64_t column,
                           const struct tensor *rows, const struct cache_format *format);

/* Where the keys and values of an attention go: [blocks, block_size, heads, width] each. */
struct attention_cache {
    struct tensor keys, values, slots;
    struct cache_format key_format, value_format;
};
/* From the call's arguments key_cache, value_cache, slot_mapping, kv_cache_dtype, k_scale and v_scale. */
regraft_status attention_cache_given(struct call *call, struct attention_cache *cache);
/* The state k_scale or v_scale of the layer layer_name: what keys or values in a cache of 8-bit floats are multiplied by
 * when they are read. 1 when there is none. */
double layer_scale(struct call *call, const char *field);
/* Of the layer layer_name: kv_cache [blocks, 2, block_size, heads, width]. Where that holds 8-bit floats (f8e4m3fn or
 * u8), they are scaled by k_scale and v_scale; else values are converted. */
regraft_status attention_cache_of_layer(struct call *call, struct attention_cache *cache);
regraft_status attention_cache_write(struct call *call, const struct attention_cache *cache, const struct tensor *key,
                                     const struct tensor *value);

/* Where the rows [kv_c | k_pe] of a latent attention go: [blocks, block_size, rank + rope]. */
struct latent_cache {
    struct tensor rows, slots;
    struct cache_format format;
};
/* From the call's arguments kv_cache, slot_mapping, kv_cache_dtype and scale. */
regraft_status latent_cache_given(struct call *call, struct latent_cache *cache);
/* Of the layer layer_name; the format is the call's kv_cache_dtype and `scale`. */
regraft_status latent_cache_of_layer(struct call *call, const struct tensor *scale, struct latent_cache *cache);
regraft_status latent_cache_write(struct call *call, const struct latent_cache *cache, const struct tensor *kv_c,
                                  const struct tensor *k_pe);

/* Result `index` that only carries an order: no elements. */
regraft_status cache_dummy(struct call *call, size_t index, enum dtype dtype, struct tensor *dummy);

/* Turns the elements at two positions of the storage: (a, b) becomes (a * cosine - b * sine, b * cosine + a * sine). */
void rotate_pair(const struct tensor *x, int64_t first, int64_t second, double cosine, double sine);

/* Rotates `x` in place, [positions..., heads * head_size] or [positions..., heads, head_size]. */
struct rotation {
    const struct tensor *positions, *cos_sin; /* [max_position, rotary width]: cosines, then sines */
    int64_t head_size, offset;                /* the rotated part starts at `offset` of each head */
    bool neox, inverse;                       /* pairs (i, i + width/2), else (2i, 2i + 1) */
};
regraft_status rotate(struct call *call, const struct rotation *rotation, const struct tensor *x);

#endif
