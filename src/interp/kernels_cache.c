/* vLLM's rotary embeddings and cache writes. */
#include "interp/cache.h"
#include "interp/kernels.h"
#include "interp/rows.h"

/* ---- rotation ---- */

/* What a rotation computes in: every product and every sum is rounded once, to f32 (to f64 for elements of f64), with no
 * fused multiply-add; a store rounds once more, to the element type. */
static double in_precision(const struct tensor *x, double value) {
    return x->dtype == dtype_f64 ? value : (double)(float)value;
}

void rotate_pair(const struct tensor *x, int64_t first, int64_t second, double cosine, double sine) {
    double a = tensor_real(x, first), b = tensor_real(x, second);
    cosine = in_precision(x, cosine);
    sine = in_precision(x, sine);
    tensor_set_real(x, first, in_precision(x, in_precision(x, a * cosine) - in_precision(x, b * sine)));
    tensor_set_real(x, second, in_precision(x, in_precision(x, b * cosine) + in_precision(x, a * sine)));
}

/* The rotated part of one head of one token. */
static void rotate_head(const struct rotation *rotation, const struct tensor *x, int64_t start, int64_t position) {
    const struct tensor *table = rotation->cos_sin;
    int64_t half = row_length(table) / 2, step = row_stride(x);
    int64_t row = table->offset + position * table->strides[0];
    for (int64_t i = 0; i < half; i++) {
        int64_t first = start + (rotation->offset + (rotation->neox ? i : 2 * i)) * step;
        int64_t second = first + (rotation->neox ? half : 1) * step;
        double cosine = tensor_real(table, row + i * row_stride(table));
        double sine = tensor_real(table, row + (half + i) * row_stride(table));
        rotate_pair(x, first, second, cosine, rotation->inverse ? -sine : sine);
    }
}

static regraft_status check_rotation(struct call *call, const struct rotation *rotation, const struct tensor *x) {
    size_t lead = rotation->positions->shape.rank;
    const struct tensor *table = rotation->cos_sin;
    bool fits = table->shape.rank == 2 && row_length(table) % 2 == 0 && rotation->head_size > 0 &&
                rotation->offset >= 0 && rotation->offset <= rotation->head_size - row_length(table) && lead >= 1 &&
                (x->shape.rank == lead + 1 || x->shape.rank == lead + 2) && row_length(x) % rotation->head_size == 0 &&
                (x->shape.rank == lead + 1 || row_length(x) == rotation->head_size);
    for (size_t i = 0; fits && i < lead; i++) fits = x->shape.sizes[i] == rotation->positions->shape.sizes[i];
    if (fits) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED,
                     "positions %s, a tensor of sizes %s, heads of %lld and a table of sizes %s do not fit together",
                     shape_print(call->arena, &rotation->positions->shape), shape_print(call->arena, &x->shape),
                     (long long)rotation->head_size, shape_print(call->arena, &table->shape));
}

regraft_status rotate(struct call *call, const struct rotation *rotation, const struct tensor *x) {
    size_t lead = rotation->positions->shape.rank;
    TRY(check_rotation(call, rotation, x));
    bool flat = x->shape.rank == lead + 1;
    int64_t heads = flat ? row_length(x) / rotation->head_size : x->shape.sizes[lead];
    int64_t head_stride = flat ? rotation->head_size * row_stride(x) : x->strides[lead];
    for (struct walk walk = walk_start(1, &rotation->positions); walk.left; walk_next(&walk)) {
        int64_t position = tensor_integer(rotation->positions, walk.position[0]), start = x->offset;
        if (position < 0 || position >= rotation->cos_sin->shape.sizes[0])
            return call_fail(call, REGRAFT_REJECTED, "position %lld lies outside of the table of %lld rows",
                             (long long)position, (long long)rotation->cos_sin->shape.sizes[0]);
        for (size_t i = 0; i < lead; i++) start += walk.index[i] * x->strides[i];
        for (int64_t head = 0; head < heads; head++) rotate_head(rotation, x, start + head * head_stride, position);
    }
    return REGRAFT_OK;
}

static struct rotation rotation_of(const struct call *call) {
    return (struct rotation){call_tensor(call, "positions"),     call_tensor(call, "cos_sin_cache"),
                             call_integer(call, "head_size", 0), call_integer(call, "rope_dim_offset", 0),
                             call_boolean(call, "is_neox"),      call_boolean(call, "inverse")};
}

regraft_status kernel_rotary_embedding(struct call *call) {
    struct rotation rotation = rotation_of(call);
    const struct tensor *key = call_tensor(call, "key");
    TRY(rotate(call, &rotation, call_tensor(call, "query")));
    return key ? rotate(call, &rotation, key) : REGRAFT_OK;
}

/* All of `out`, also what is not rotated. */
static regraft_status rotate_out(struct call *call, const struct rotation *rotation, const struct tensor *x,
                                 const struct tensor *out) {
    if (!x != !out) return call_fail(call, REGRAFT_REJECTED, "key and key_out: one of them is None");
    if (!x) return REGRAFT_OK;
    if (x->dtype != out->dtype || !shape_equal(&x->shape, &out->shape))
        return call_fail(call, REGRAFT_REJECTED,
                         "%s%s does not fit the place %s%s that its rotation is to be written to",
                         dtype_abbreviation(x->dtype), shape_print(call->arena, &x->shape),
                         dtype_abbreviation(out->dtype), shape_print(call->arena, &out->shape));
    tensor_copy(call->scratch, out, x);
    return rotate(call, rotation, out);
}

regraft_status kernel_rotary_embedding_out(struct call *call) {
    struct rotation rotation = rotation_of(call);
    TRY(rotate_out(call, &rotation, call_tensor(call, "query"), call_tensor(call, "query_out")));
    return rotate_out(call, &rotation, call_tensor(call, "key"), call_tensor(call, "key_out"));
}

/* ---- caches ---- */

static regraft_status cache_format(struct call *call, struct text name, const struct tensor *scale,
                                   struct cache_format *format) {
    bool scaled = text_is(name, "fp8") || text_is(name, "fp8_e4m3");
    *format = (struct cache_format){scaled, scaled && scale ? tensor_real(scale, scale->offset) : 1};
    if (scaled || text_is(name, "auto") || dtype_from_torch_name(name) != dtype_none) return REGRAFT_OK;
    return call_fail(call, REGRAFT_UNSUPPORTED, "the interpreter does not know the cache format '%.*s'",
                     TEXT_ARGS(name));
}

/* Saturates, as vLLM's conversion does. */
static void store_scaled(const struct tensor *cache, int64_t position, double value) {
    const double largest = 448;
    value = value > largest ? largest : value < -largest ? -largest : value;
    *tensor_at(cache, position) = (unsigned char)element_encode(dtype_f8e4m3fn, value);
}

static void store_cached(const struct tensor *cache, int64_t to, const struct tensor *rows, int64_t from,
                         const struct cache_format *format) {
    if (format->scaled)
        store_scaled(cache, to, tensor_real(rows, from) / format->scale);
    else
        element_convert(cache->dtype, tensor_at(cache, to), rows->dtype, tensor_at(rows, from));
}

static int64_t elements_behind(const struct tensor *tensor, size_t dims) {
    int64_t count = 1;
    for (size_t i = dims; i < tensor->shape.rank; i++) count *= tensor->shape.sizes[i];
    return count;
}

/* One token's elements in row-major order, to the row's elements from `column` on. */
static void write_row(const struct tensor *row, int64_t column, const struct tensor *token,
                      const struct cache_format *format) {
    struct walk to = walk_start(1, &row);
    for (int64_t i = 0; i < column; i++) walk_next(&to);
    for (struct walk from = walk_start(1, &token); from.left; walk_next(&from), walk_next(&to))
        store_cached(row, to.position[0], token, from.position[0], format);
}

/* The part of a tensor behind its first `count` indices. */
static struct tensor part_of(const struct tensor *tensor, const int64_t *index, size_t count) {
    struct tensor part = *tensor;
    part.shape.rank -= count;
    for (size_t i = 0; i < count; i++) part.offset += index[i] * tensor->strides[i];
    for (size_t i = 0; i < part.shape.rank; i++) {
        part.shape.sizes[i] = tensor->shape.sizes[i + count];
        part.strides[i] = tensor->strides[i + count];
    }
    return part;
}

regraft_status cache_write(struct call *call, const struct tensor *cache, const struct tensor *slots, int64_t column,
                           const struct tensor *rows, const struct cache_format *format) {
    if (cache->shape.rank < 3 || rows->shape.rank < 2 || slots->shape.rank != 1 ||
        slots->shape.sizes[0] > rows->shape.sizes[0] || elements_behind(cache, 2) < column + elements_behind(rows, 1) ||
        (format->scaled && dtype_size(cache->dtype) != 1))
        return call_fail(call, REGRAFT_REJECTED, "rows %s%s and slots %s do not fit a cache %s%s",
                         dtype_abbreviation(rows->dtype), shape_print(call->arena, &rows->shape),
                         shape_print(call->arena, &slots->shape), dtype_abbreviation(cache->dtype),
                         shape_print(call->arena, &cache->shape));
    int64_t blocks = cache->shape.sizes[0], block_size = cache->shape.sizes[1];
    for (int64_t token = 0; token < slots->shape.sizes[0]; token++) {
        int64_t slot = tensor_integer(slots, slots->offset + token * slots->strides[0]);
        if (slot < 0) continue;
        if (block_size == 0 || slot / block_size >= blocks)
            return call_fail(call, REGRAFT_REJECTED, "slot %lld lies outside of %lld blocks of %lld", (long long)slot,
                             (long long)blocks, (long long)block_size);
        struct tensor row = part_of(cache, (int64_t[]){slot / block_size, slot % block_size}, 2),
                      from = part_of(rows, &token, 1);
        write_row(&row, column, &from, format);
    }
    return REGRAFT_OK;
}

/* ---- the cache of an attention: keys and values ---- */

regraft_status attention_cache_given(struct call *call, struct attention_cache *cache) {
    struct text name = call_text(call, "kv_cache_dtype");
    cache->keys = *call_tensor(call, "key_cache");
    cache->values = *call_tensor(call, "value_cache");
    cache->slots = *call_tensor(call, "slot_mapping");
    TRY(cache_format(call, name, call_tensor(call, "k_scale"), &cache->key_format));
    return cache_format(call, name, call_tensor(call, "v_scale"), &cache->value_format);
}

static regraft_status layer_state(struct call *call, const char *field, struct tensor *tensor) {
    return run_state(call->run, call->node, call_text(call, "layer_name"), field, tensor);
}

double layer_scale(struct call *call, const char *field) {
    struct text name = text_of(text_format(call->arena, "%.*s/%s", TEXT_ARGS(call_text(call, "layer_name")), field));
    const struct tensor *scale = tensor_set_find(&call->run->bindings->tensors, name);
    return scale && tensor_count(scale) == 1 ? tensor_real(scale, scale->offset) : 1;
}

/* A layer's cache of 8-bit floats is scaled. */
static struct cache_format layer_format(struct call *call, const struct tensor *cache, const char *field) {
    bool scaled = cache->dtype == dtype_f8e4m3fn || cache->dtype == dtype_u8;
    return (struct cache_format){scaled, scaled ? layer_scale(call, field) : 1};
}

regraft_status attention_cache_of_layer(struct call *call, struct attention_cache *cache) {
    struct tensor both;
    TRY(layer_state(call, "kv_cache", &both));
    TRY(layer_state(call, "slot_mapping", &cache->slots));
    if (both.shape.rank != 5 || both.shape.sizes[1] != 2)
        return call_fail(call, REGRAFT_REJECTED,
                         "expected a cache of sizes [blocks, 2, block_size, heads, width], found %s",
                         shape_print(call->arena, &both.shape));
    cache->keys = both;
    cache->keys.shape =
        (struct shape){4, {both.shape.sizes[0], both.shape.sizes[2], both.shape.sizes[3], both.shape.sizes[4]}};
    memmove(&cache->keys.strides[1], &both.strides[2], 3 * sizeof *both.strides);
    cache->values = cache->keys;
    cache->values.offset += both.strides[1];
    cache->key_format = layer_format(call, &both, "k_scale");
    cache->value_format = layer_format(call, &both, "v_scale");
    return REGRAFT_OK;
}

regraft_status attention_cache_write(struct call *call, const struct attention_cache *cache, const struct tensor *key,
                                     const struct tensor *value) {
    TRY(cache_write(call, &cache->keys, &cache->slots, 0, key, &cache->key_format));
    return cache_write(call, &cache->values, &cache->slots, 0, value, &cache->value_format);
}

/* ---- the cache of a latent attention: rows [kv_c | k_pe] ---- */

regraft_status latent_cache_given(struct call *call, struct latent_cache *cache) {
    cache->rows = *call_tensor(call, "kv_cache");
    cache->slots = *call_tensor(call, "slot_mapping");
    return cache_format(call, call_text(call, "kv_cache_dtype"), call_tensor(call, "scale"), &cache->format);
}

regraft_status latent_cache_of_layer(struct call *call, const struct tensor *scale, struct latent_cache *cache) {
    TRY(cache_format(call, call_text(call, "kv_cache_dtype"), scale, &cache->format));
    TRY(layer_state(call, "kv_cache", &cache->rows));
    return layer_state(call, "slot_mapping", &cache->slots);
}

regraft_status latent_cache_write(struct call *call, const struct latent_cache *cache, const struct tensor *kv_c,
                                  const struct tensor *k_pe) {
    TRY(cache_write(call, &cache->rows, &cache->slots, 0, kv_c, &cache->format));
    return cache_write(call, &cache->rows, &cache->slots, elements_behind(kv_c, 1), k_pe, &cache->format);
}

/* ---- vLLM's calls ---- */

regraft_status kernel_reshape_and_cache_flash(struct call *call) {
    struct attention_cache cache;
    TRY(attention_cache_given(call, &cache));
    return attention_cache_write(call, &cache, call_tensor(call, "key"), call_tensor(call, "value"));
}

regraft_status kernel_concat_and_cache_mla(struct call *call) {
    struct latent_cache cache;
    TRY(latent_cache_given(call, &cache));
    return latent_cache_write(call, &cache, call_tensor(call, "kv_c"), call_tensor(call, "k_pe"));
}

regraft_status cache_dummy(struct call *call, size_t index, enum dtype dtype, struct tensor *dummy) {
    return call_create(call, index, dtype, &(struct shape){1, {0}}, dummy);
}

static regraft_status return_dummy(struct call *call, enum dtype dtype) {
    struct tensor dummy;
    TRY(cache_dummy(call, 0, dtype, &dummy));
    return call_return(call, &dummy);
}

regraft_status kernel_unified_kv_cache_update(struct call *call) {
    const struct tensor *key = call_tensor(call, "key");
    struct attention_cache cache;
    TRY(attention_cache_of_layer(call, &cache));
    TRY(attention_cache_write(call, &cache, key, call_tensor(call, "value")));
    return return_dummy(call, key->dtype);
}

regraft_status kernel_unified_mla_kv_cache_update(struct call *call) {
    const struct tensor *kv_c = call_tensor(call, "kv_c_normed");
    struct latent_cache cache;
    TRY(latent_cache_of_layer(call, call_tensor(call, "k_scale"), &cache));
    TRY(latent_cache_write(call, &cache, kv_c, call_tensor(call, "k_pe")));
    return return_dummy(call, kv_c->dtype);
}
