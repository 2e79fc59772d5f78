/* vLLM's attention over the cache of a layer, for decoding: token t attends to its own seq_lens[t] cached rows, which
 * it finds through block_table[t]. */
#include <math.h>

#include "interp/cache.h"
#include "interp/kernels.h"

struct layer {
    struct tensor cache, block_table, seq_lens;
    double scale, key_scale, value_scale; /* of keys and values in a cache of 8-bit floats */
};

static regraft_status open_layer(struct call *call, struct layer *layer) {
    struct text name = call_text(call, "layer_name");
    const double *scale = map_get_text(call->run->bindings->scales, name);
    if (call_has(call, "output_scale") || call_has(call, "output_block_scale") || call_has(call, "quant_group_size"))
        return call_fail(call, REGRAFT_UNSUPPORTED, "the interpreter does not quantise the output of attention");
    if (!scale)
        return call_fail(call, REGRAFT_REJECTED, "the inputs give no softmax scale for layer '%.*s'", TEXT_ARGS(name));
    layer->scale = *scale;
    layer->key_scale = layer_scale(call, "k_scale");
    layer->value_scale = layer_scale(call, "v_scale");
    TRY(run_state(call->run, call->node, name, "kv_cache", &layer->cache));
    TRY(run_state(call->run, call->node, name, "block_table", &layer->block_table));
    TRY(run_state(call->run, call->node, name, "seq_lens", &layer->seq_lens));
    if (layer->block_table.shape.rank == 2 && layer->seq_lens.shape.rank == 1) return REGRAFT_OK;
    return call_fail(
        call, REGRAFT_REJECTED, "expected a block_table of 2 dimensions and seq_lens of 1, found %s and %s",
        shape_print(call->arena, &layer->block_table.shape), shape_print(call->arena, &layer->seq_lens.shape));
}

static double load_cached(const struct layer *layer, int64_t position, double scale) {
    const struct tensor *cache = &layer->cache;
    if (cache->dtype == dtype_u8) return element_decode(dtype_f8e4m3fn, *tensor_at(cache, position)) * scale;
    if (dtype_size(cache->dtype) == 1) return tensor_real(cache, position) * scale;
    return tensor_real(cache, position);
}

/* How many rows token t attends to, and where they start in the cache: one position each. */
static regraft_status find_rows(struct call *call, const struct layer *layer, size_t block_dim, int64_t token,
                                int64_t *count, int64_t **positions) {
    const struct tensor *table = &layer->block_table, *lengths = &layer->seq_lens, *cache = &layer->cache;
    int64_t block_size = cache->shape.sizes[block_dim];
    if (token >= lengths->shape.sizes[0] || token >= table->shape.sizes[0])
        return call_fail(call, REGRAFT_REJECTED, "there are more tokens than seq_lens or rows of block_table");
    *count = tensor_integer(lengths, lengths->offset + token * lengths->strides[0]);
    if (*count < 0 || block_size == 0 || (*count + block_size - 1) / block_size > table->shape.sizes[1])
        return call_fail(call, REGRAFT_REJECTED, "%lld cached rows of token %lld do not fit its %lld blocks of %lld",
                         (long long)*count, (long long)token, (long long)table->shape.sizes[1], (long long)block_size);
    *positions = arena_array(call->scratch, int64_t, (size_t)*count);
    for (int64_t i = 0; i < *count; i++) {
        int64_t block =
            tensor_integer(table, table->offset + token * table->strides[0] + i / block_size * table->strides[1]);
        if (block < 0 || block >= cache->shape.sizes[0])
            return call_fail(call, REGRAFT_REJECTED, "block %lld lies outside of the cache of %lld blocks",
                             (long long)block, (long long)cache->shape.sizes[0]);
        (*positions)[i] = cache->offset + block * cache->strides[0] + i % block_size * cache->strides[block_dim];
    }
    return REGRAFT_OK;
}

/* Turns scores into weights: exp(s - largest) / sum. */
static void soften(double *scores, int64_t count) {
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) largest = scores[i] > largest || isnan(scores[i]) ? scores[i] : largest;
    for (int64_t i = 0; i < count; i++) sum += scores[i] = exp(scores[i] - largest);
    for (int64_t i = 0; i < count; i++) scores[i] /= sum;
}

/* Writes row-major results over all of the output, whatever its sizes. */
static regraft_status store_output(struct call *call, const double *results, int64_t count, enum dtype dtype) {
    const struct tensor *output = call_tensor(call, "output");
    if (tensor_count(output) != count)
        return call_fail(call, REGRAFT_REJECTED, "an output of sizes %s cannot take %lld elements",
                         shape_print(call->arena, &output->shape), (long long)count);
    unsigned char element[16];
    for (struct walk walk = walk_start(1, &output); walk.left; walk_next(&walk)) {
        element_store_real(dtype, element, *results++);
        element_convert(output->dtype, tensor_at(output, walk.position[0]), dtype, element);
    }
    return REGRAFT_OK;
}

/* ---- grouped-query attention: kv_cache [blocks, 2, block_size, kv_heads, width] ---- */

static void attend_head(const struct layer *layer, const double *query, int64_t head, const int64_t *rows,
                        int64_t count, double *scores, double *out) {
    const struct tensor *cache = &layer->cache;
    int64_t width = cache->shape.sizes[4], step = cache->strides[4], start = head * cache->strides[3];
    for (int64_t row = 0; row < count; row++) {
        scores[row] = 0;
        for (int64_t i = 0; i < width; i++)
            scores[row] += query[i] * load_cached(layer, rows[row] + start + i * step, layer->key_scale);
        scores[row] *= layer->scale;
    }
    soften(scores, count);
    for (int64_t row = 0; row < count; row++)
        for (int64_t i = 0; i < width; i++)
            out[i] +=
                scores[row] * load_cached(layer, rows[row] + cache->strides[1] + start + i * step, layer->value_scale);
}

regraft_status kernel_unified_attention_with_output(struct call *call) {
    const struct tensor *query = call_tensor(call, "query");
    struct layer layer;
    TRY(open_layer(call, &layer));
    const struct shape *cache = &layer.cache.shape;
    if (query->shape.rank != 3 || cache->rank != 5 || cache->sizes[1] != 2 ||
        query->shape.sizes[2] != cache->sizes[4] || cache->sizes[3] == 0 || query->shape.sizes[1] % cache->sizes[3])
        return call_fail(call, REGRAFT_REJECTED, "a query of sizes %s does not fit a cache of sizes %s",
                         shape_print(call->arena, &query->shape), shape_print(call->arena, cache));
    int64_t tokens = query->shape.sizes[0], heads = query->shape.sizes[1], width = cache->sizes[4], count, *rows;
    const double *queries = tensor_reals(call->scratch, query);
    double *results = arena_array(call->scratch, double, (size_t)tensor_count(query));
    for (int64_t token = 0; token < tokens; token++) {
        TRY(find_rows(call, &layer, 2, token, &count, &rows));
        double *scores = arena_array(call->scratch, double, (size_t)count);
        for (int64_t head = 0; head < heads; head++) {
            int64_t at = (token * heads + head) * width;
            attend_head(&layer, queries + at, head / (heads / cache->sizes[3]), rows, count, scores, results + at);
        }
    }
    return store_output(call, results, tensor_count(query), query->dtype);
}

/* ---- latent attention: kv_cache [blocks, block_size, rank + rope], q [tokens, heads, nope + rope] ---- */

struct latent {
    struct layer layer;
    struct tensor w_uk, w_uv; /* [heads, nope, rank], [heads, rank, v] */
    int64_t heads, nope, rope, rank, v;
};

static regraft_status open_latent(struct call *call, const struct tensor *q, struct latent *latent) {
    struct text name = call_text(call, "layer_name");
    TRY(open_layer(call, &latent->layer));
    TRY(run_state(call->run, call->node, name, "w_uk", &latent->w_uk));
    TRY(run_state(call->run, call->node, name, "w_uv", &latent->w_uv));
    const struct shape *cache = &latent->layer.cache.shape, *uk = &latent->w_uk.shape, *uv = &latent->w_uv.shape;
    bool fits = q->shape.rank == 3 && cache->rank == 3 && uk->rank == 3 && uv->rank == 3 &&
                uk->sizes[0] == q->shape.sizes[1] && uv->sizes[0] == q->shape.sizes[1] &&
                uk->sizes[2] == uv->sizes[1] && q->shape.sizes[2] >= uk->sizes[1] &&
                cache->sizes[2] == uk->sizes[2] + q->shape.sizes[2] - uk->sizes[1];
    if (!fits)
        return call_fail(call, REGRAFT_REJECTED, "q %s, the cache %s, w_uk %s and w_uv %s do not fit together",
                         shape_print(call->arena, &q->shape), shape_print(call->arena, cache),
                         shape_print(call->arena, uk), shape_print(call->arena, uv));
    latent->heads = uk->sizes[0];
    latent->nope = uk->sizes[1];
    latent->rank = uk->sizes[2];
    latent->rope = q->shape.sizes[2] - latent->nope;
    latent->v = uv->sizes[2];
    return REGRAFT_OK;
}

/* One head of one token: `absorbed` has room for rank + rope numbers, `mixed` for rank. */
static void attend_latent(const struct latent *latent, const double *query, const double *up_k, const double *up_v,
                          const int64_t *rows, int64_t count, double *scores, double *absorbed, double *mixed,
                          double *out) {
    int64_t rank = latent->rank, width = rank + latent->rope, step = latent->layer.cache.strides[2];
    for (int64_t r = 0; r < rank; r++) {
        absorbed[r] = mixed[r] = 0;
        for (int64_t i = 0; i < latent->nope; i++) absorbed[r] += query[i] * up_k[i * rank + r];
    }
    for (int64_t i = 0; i < latent->rope; i++) absorbed[rank + i] = query[latent->nope + i];
    for (int64_t row = 0; row < count; row++) {
        scores[row] = 0;
        for (int64_t i = 0; i < width; i++)
            scores[row] += absorbed[i] * load_cached(&latent->layer, rows[row] + i * step, latent->layer.key_scale);
        scores[row] *= latent->layer.scale;
    }
    soften(scores, count);
    for (int64_t row = 0; row < count; row++)
        for (int64_t r = 0; r < rank; r++)
            mixed[r] += scores[row] * load_cached(&latent->layer, rows[row] + r * step, latent->layer.key_scale);
    for (int64_t r = 0; r < rank; r++)
        for (int64_t i = 0; i < latent->v; i++) out[i] += mixed[r] * up_v[r * latent->v + i];
}

regraft_status kernel_unified_mla_attention_with_output(struct call *call) {
    const struct tensor *q = call_tensor(call, "q");
    struct latent latent;
    int64_t count, *rows;
    TRY(open_latent(call, q, &latent));
    int64_t tokens = q->shape.sizes[0], width = q->shape.sizes[2], total = tokens * latent.heads * latent.v;
    const double *queries = tensor_reals(call->scratch, q);
    const double *up_k = tensor_reals(call->scratch, &latent.w_uk), *up_v = tensor_reals(call->scratch, &latent.w_uv);
    double *results = arena_array(call->scratch, double, (size_t)total);
    double *absorbed = arena_array(call->scratch, double, (size_t)(latent.rank + latent.rope));
    double *mixed = arena_array(call->scratch, double, (size_t)latent.rank);
    for (int64_t token = 0; token < tokens; token++) {
        TRY(find_rows(call, &latent.layer, 1, token, &count, &rows));
        double *scores = arena_array(call->scratch, double, (size_t)count);
        for (int64_t head = 0; head < latent.heads; head++)
            attend_latent(&latent, queries + (token * latent.heads + head) * width,
                          up_k + head * latent.nope * latent.rank, up_v + head * latent.rank * latent.v, rows, count,
                          scores, absorbed, mixed, results + (token * latent.heads + head) * latent.v);
    }
    return store_output(call, results, total, q->dtype);
}
