/* vLLM's rotary embeddings and cache writes. */
#include "interp/cache.h"
#include "interp/kernels.h"
#include "interp/rows.h"

/* ---- rotation ---- */

/* The rotated part of one head of one token. */
static void rotate_head(const struct rotation *rotation, const struct tensor *x, int64_t start, int64_t position) {
    const struct tensor *table = rotation->cos_sin;
    int64_t half = row_length(table) / 2, step = row_stride(x);
    int64_t row = table->offset + position * table->strides[0];
    for (int64_t i = 0; i < half; i++) {
        int64_t first = start + (rotation->offset + (rotation->neox ? i : 2 * i)) * step;
        int64_t second = first + (rotation->neox ? half : 1) * step;
        double cosine = tensor_real(table, row + i * row_stride(table));
        double sine = tensor_real(table, row + (half + i) * row_stride(table)) * (rotation->inverse ? -1 : 1);
        double a = tensor_real(x, first), b = tensor_real(x, second);
        tensor_set_real(x, first, a * cosine - b * sine);
        tensor_set_real(x, second, b * cosine + a * sine);
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

regraft_status kernel_rotary_embedding(struct call *call) {
    struct rotation rotation = {call_tensor(call, "positions"),     call_tensor(call, "cos_sin_cache"),
                                call_integer(call, "head_size", 0), call_integer(call, "rope_dim_offset", 0),
                                call_boolean(call, "is_neox"),      call_boolean(call, "inverse")};
    const struct tensor *key = call_tensor(call, "key");
    TRY(rotate(call, &rotation, call_tensor(call, "query")));
    return key ? rotate(call, &rotation, key) : REGRAFT_OK;
}

/* ---- caches ---- */

regraft_status cache_format(struct call *call, struct text name, const struct tensor *scale,
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

regraft_status kernel_reshape_and_cache_flash(struct call *call) {
    const struct tensor *slots = call_tensor(call, "slot_mapping");
    struct text name = call_text(call, "kv_cache_dtype");
    struct cache_format keys, values;
    TRY(cache_format(call, name, call_tensor(call, "k_scale"), &keys));
    TRY(cache_format(call, name, call_tensor(call, "v_scale"), &values));
    TRY(cache_write(call, call_tensor(call, "key_cache"), slots, 0, call_tensor(call, "key"), &keys));
    return cache_write(call, call_tensor(call, "value_cache"), slots, 0, call_tensor(call, "value"), &values);
}

/* A row of the latent cache is [kv_c | k_pe]. */
static regraft_status write_latent(struct call *call, const struct tensor *cache, const struct tensor *slots,
                                   const struct tensor *kv_c, const struct tensor *k_pe,
                                   const struct cache_format *format) {
    TRY(cache_write(call, cache, slots, 0, kv_c, format));
    return cache_write(call, cache, slots, elements_behind(kv_c, 1), k_pe, format);
}

regraft_status kernel_concat_and_cache_mla(struct call *call) {
    struct cache_format format;
    TRY(cache_format(call, call_text(call, "kv_cache_dtype"), call_tensor(call, "scale"), &format));
    return write_latent(call, call_tensor(call, "kv_cache"), call_tensor(call, "slot_mapping"),
                        call_tensor(call, "kv_c"), call_tensor(call, "k_pe"), &format);
}

/* ---- caches of a layer, reached through its name ---- */

static regraft_status layer_state(struct call *call, const char *field, struct tensor *tensor) {
    return run_state(call->run, call->node, call_text(call, "layer_name"), field, tensor);
}

/* The results that only carry an order: no elements. */
static regraft_status return_nothing(struct call *call, enum dtype dtype) {
    struct tensor empty;
    return call_create_result(call, dtype, &(struct shape){1, {0}}, &empty);
}

/* kv_cache [blocks, 2, block_size, kv_heads, head_size] */
regraft_status kernel_unified_kv_cache_update(struct call *call) {
    const struct tensor *key = call_tensor(call, "key"), *value = call_tensor(call, "value");
    const struct cache_format format = {false, 1};
    struct tensor cache, slots;
    TRY(layer_state(call, "kv_cache", &cache));
    TRY(layer_state(call, "slot_mapping", &slots));
    if (cache.shape.rank != 5 || cache.shape.sizes[1] != 2)
        return call_fail(call, REGRAFT_REJECTED,
                         "expected a cache of sizes [blocks, 2, block_size, heads, width], found %s",
                         shape_print(call->arena, &cache.shape));
    for (int64_t half = 0; half < 2; half++) {
        struct tensor part = cache;
        part.shape =
            (struct shape){4, {cache.shape.sizes[0], cache.shape.sizes[2], cache.shape.sizes[3], cache.shape.sizes[4]}};
        memmove(&part.strides[1], &part.strides[2], 3 * sizeof *part.strides);
        part.offset += half * cache.strides[1];
        TRY(cache_write(call, &part, &slots, 0, half ? value : key, &format));
    }
    return return_nothing(call, key->dtype);
}

static regraft_status update_latent(struct call *call, const struct tensor *kv_c, const struct tensor *k_pe,
                                    const struct tensor *scale) {
    struct cache_format format;
    struct tensor cache, slots;
    TRY(cache_format(call, call_text(call, "kv_cache_dtype"), scale, &format));
    TRY(layer_state(call, "kv_cache", &cache));
    TRY(layer_state(call, "slot_mapping", &slots));
    return write_latent(call, &cache, &slots, kv_c, k_pe, &format);
}

regraft_status kernel_unified_mla_kv_cache_update(struct call *call) {
    const struct tensor *kv_c = call_tensor(call, "kv_c_normed");
    TRY(update_latent(call, kv_c, call_tensor(call, "k_pe"), call_tensor(call, "k_scale")));
    return return_nothing(call, kv_c->dtype);
}

/* Rotates q_pe in place, and `k_pe` too; writes the cache. */
static regraft_status rotate_and_cache(struct call *call, const struct tensor *k_pe) {
    const struct tensor *q_pe = call_tensor(call, "q_pe"), *table = call_tensor(call, "cos_sin_cache");
    if (q_pe->shape.rank == 0 || k_pe->shape.rank == 0)
        return call_fail(call, REGRAFT_REJECTED, "q_pe and k_pe need dimensions");
    struct rotation rotation = {call_tensor(call, "positions"), table, row_length(q_pe), 0,
                                call_boolean(call, "is_neox"),  false};
    TRY(rotate(call, &rotation, q_pe));
    rotation.head_size = row_length(k_pe);
    TRY(rotate(call, &rotation, k_pe));
    return update_latent(call, call_tensor(call, "kv_c"), k_pe, call_tensor(call, "kv_cache_scale"));
}

regraft_status kernel_fused_concat_and_cache_mla_rope(struct call *call) {
    return rotate_and_cache(call, call_tensor(call, "k_pe"));
}

/* The rotated k_pe goes to k_pe_out; k_pe stays as it is. */
regraft_status kernel_fused_concat_and_cache_mla_rope_out(struct call *call) {
    const struct tensor *k_pe = call_tensor(call, "k_pe"), *out = call_tensor(call, "k_pe_out");
    struct tensor rotated = tensor_convert(call->scratch, k_pe, k_pe->dtype);
    TRY(rotate_and_cache(call, &rotated));
    if (tensor_count(out) != tensor_count(k_pe))
        return call_fail(call, REGRAFT_REJECTED, "k_pe of sizes %s does not fit k_pe_out of sizes %s",
                         shape_print(call->arena, &k_pe->shape), shape_print(call->arena, &out->shape));
    rotated.shape = out->shape; /* both row-major */
    shape_contiguous_strides(&rotated.shape, rotated.strides);
    tensor_copy(call->scratch, out, &rotated);
    return REGRAFT_OK;
}
