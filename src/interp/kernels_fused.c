/* Fused operations: rotary embedding with the cache write, with the norm of each head before it. Each is the chain of
 * its parts, with the parts' roundings (docs/operations.md). A token without a slot (-1, or beyond the slot mapping) is
 * rotated all the same; only its row is not written. */
#include "interp/cache.h"
#include "interp/kernels.h"
#include "interp/norm.h"
#include "interp/rows.h"

/* ---- heads ---- */

static regraft_status check_heads(struct call *call, const char *name, const struct tensor *x) {
    if (x->shape.rank == 3) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "%s must be [tokens, heads, width]; its sizes are %s", name,
                     shape_print(call->arena, &x->shape));
}

/* One call of rotary_embedding rotates heads of one width. */
static regraft_status check_widths(struct call *call, const struct tensor *query, const struct tensor *key) {
    if (query->shape.rank == 0 || key->shape.rank == 0 || row_length(query) == row_length(key)) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "heads of %lld and of %lld elements cannot be rotated together",
                     (long long)row_length(query), (long long)row_length(key));
}

static struct rotation rotation_of(const struct call *call) {
    return (struct rotation){.positions = call_tensor(call, "positions"),
                             .cos_sin = call_tensor(call, "cos_sin_cache"),
                             .neox = call_boolean(call, "is_neox")};
}

/* Rotates `x` [tokens, heads, width] in place, the first elements of each head that the table is wide. */
static regraft_status rotate_heads(struct call *call, const char *name, const struct tensor *x) {
    struct rotation rotation = rotation_of(call);
    TRY(check_heads(call, name, x));
    rotation.head_size = row_length(x);
    return rotate(call, &rotation, x);
}

/* ---- rotation of query and key, cache write ---- */

static regraft_status rotate_and_write(struct call *call, const struct attention_cache *cache) {
    const struct tensor *query = call_tensor(call, "query"), *key = call_tensor(call, "key");
    if (query->dtype != key->dtype)
        return call_fail(call, REGRAFT_REJECTED, "query and key must have one element type; they have %s and %s",
                         dtype_abbreviation(query->dtype), dtype_abbreviation(key->dtype));
    TRY(check_widths(call, query, key));
    TRY(rotate_heads(call, "query", query));
    TRY(rotate_heads(call, "key", key));
    return attention_cache_write(call, cache, key, call_tensor(call, "value"));
}

regraft_status kernel_fused_rope_and_unified_kv_cache_update(struct call *call) {
    struct attention_cache cache;
    struct tensor dummy;
    TRY(attention_cache_of_layer(call, &cache));
    TRY(rotate_and_write(call, &cache));
    TRY(cache_dummy(call, 0, call_tensor(call, "query")->dtype, &dummy));
    return call_return(call, &dummy);
}

regraft_status kernel_fused_rope_reshape_and_cache_flash(struct call *call) {
    struct attention_cache cache;
    TRY(attention_cache_given(call, &cache));
    return rotate_and_write(call, &cache);
}

/* ---- rotation of q_pe and k_pe, write of the latent cache ---- */

/* k_pe [tokens, width] as [tokens, 1, width] */
static regraft_status as_heads(struct call *call, struct tensor *k_pe) {
    if (k_pe->shape.rank == 2) {
        k_pe->shape = (struct shape){3, {k_pe->shape.sizes[0], 1, k_pe->shape.sizes[1]}};
        k_pe->strides[2] = k_pe->strides[1];
        k_pe->strides[1] = 0;
    }
    if (k_pe->shape.rank == 3 && k_pe->shape.sizes[1] == 1) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "k_pe must be [tokens, width] or [tokens, 1, width]; its sizes are %s",
                     shape_print(call->arena, &k_pe->shape));
}

/* `k_pe` [tokens, 1, width]: where the rotated values go, a copy of the argument or itself */
static regraft_status rotate_and_write_latent(struct call *call, const struct latent_cache *cache,
                                              const struct tensor *k_pe) {
    TRY(check_widths(call, call_tensor(call, "q_pe"), k_pe));
    TRY(rotate_heads(call, "q_pe", call_tensor(call, "q_pe")));
    TRY(rotate_heads(call, "k_pe", k_pe));
    return latent_cache_write(call, cache, call_tensor(call, "kv_c"), k_pe);
}

static regraft_status in_place(struct call *call, const struct latent_cache *cache) {
    struct tensor k_pe = *call_tensor(call, "k_pe");
    TRY(as_heads(call, &k_pe));
    return rotate_and_write_latent(call, cache, &k_pe);
}

/* The argument k_pe stays as it is; the rotated one is fresh, [tokens, 1, width], row-major. */
static regraft_status into_fresh(struct call *call, const struct latent_cache *cache, struct tensor *fresh) {
    struct tensor k_pe = *call_tensor(call, "k_pe");
    TRY(as_heads(call, &k_pe));
    TRY(call_create(call, 0, k_pe.dtype, &k_pe.shape, fresh));
    tensor_copy(call->scratch, fresh, &k_pe);
    return rotate_and_write_latent(call, cache, fresh);
}

static regraft_status open_layer(struct call *call, struct latent_cache *cache) {
    return latent_cache_of_layer(call, call_tensor(call, "kv_cache_scale"), cache);
}

static regraft_status return_dummy(struct call *call, size_t index, size_t count, enum dtype dtype) {
    struct tensor dummy;
    TRY(cache_dummy(call, index, dtype, &dummy));
    return count == 1 ? call_return(call, &dummy) : call_return_item(call, index, count, &dummy);
}

regraft_status kernel_fused_rope_unified_mla_kv_cache_update(struct call *call) {
    struct latent_cache cache;
    TRY(open_layer(call, &cache));
    TRY(in_place(call, &cache));
    return return_dummy(call, 0, 1, call_tensor(call, "kv_c")->dtype);
}

regraft_status kernel_fused_rope_unified_mla_kv_cache_update_k_pe_out(struct call *call) {
    struct latent_cache cache;
    struct tensor k_pe;
    TRY(open_layer(call, &cache));
    TRY(into_fresh(call, &cache, &k_pe));
    TRY(call_return_item(call, 0, 2, &k_pe));
    return return_dummy(call, 1, 2, call_tensor(call, "kv_c")->dtype);
}

regraft_status kernel_fused_rope_unified_mla_kv_cache_update_no_write_back(struct call *call) {
    struct latent_cache cache;
    struct tensor k_pe;
    TRY(open_layer(call, &cache));
    TRY(into_fresh(call, &cache, &k_pe));
    return return_dummy(call, 0, 1, call_tensor(call, "kv_c")->dtype);
}

regraft_status kernel_fused_rope_concat_and_cache_mla(struct call *call) {
    struct latent_cache cache;
    TRY(latent_cache_given(call, &cache));
    return in_place(call, &cache);
}

regraft_status kernel_fused_rope_concat_and_cache_mla_k_pe_out(struct call *call) {
    struct latent_cache cache;
    struct tensor k_pe;
    TRY(latent_cache_given(call, &cache));
    TRY(into_fresh(call, &cache, &k_pe));
    return call_return(call, &k_pe);
}

regraft_status kernel_fused_rope_concat_and_cache_mla_no_write_back(struct call *call) {
    struct latent_cache cache;
    struct tensor k_pe;
    TRY(latent_cache_given(call, &cache));
    return into_fresh(call, &cache, &k_pe);
}

/* The names of vLLM 0.26's operation in captured graphs: nothing is returned. */
regraft_status kernel_fused_concat_and_cache_mla_rope(struct call *call) {
    struct latent_cache cache;
    TRY(open_layer(call, &cache));
    return in_place(call, &cache);
}

/* The rotated k_pe goes to k_pe_out, [tokens, width] or [tokens, 1, width]. */
regraft_status kernel_fused_concat_and_cache_mla_rope_out(struct call *call) {
    struct tensor k_pe = *call_tensor(call, "k_pe"), out = *call_tensor(call, "k_pe_out");
    struct latent_cache cache;
    TRY(open_layer(call, &cache));
    TRY(as_heads(call, &k_pe));
    TRY(as_heads(call, &out));
    if (!shape_equal(&k_pe.shape, &out.shape))
        return call_fail(call, REGRAFT_REJECTED, "k_pe of sizes %s does not fit k_pe_out of sizes %s",
                         shape_print(call->arena, &k_pe.shape), shape_print(call->arena, &out.shape));
    tensor_copy(call->scratch, &out, &k_pe);
    return rotate_and_write_latent(call, &cache, &out);
}

/* ---- norm of each head, rotation, cache write ---- */

/* x [tokens, heads, width] normed and rotated into fresh memory */
static regraft_status norm_and_rotate(struct call *call, size_t index, const char *name, const char *weight,
                                      struct tensor *result) {
    const struct tensor *x = call_tensor(call, name);
    TRY(check_heads(call, name, x));
    TRY(call_create(call, index, x->dtype, &x->shape, result));
    TRY(rms_norm(call, x, call_tensor(call, weight), call_real(call, "epsilon", 0), result));
    return rotate_heads(call, name, result);
}

/* The first two of `count` results. */
static regraft_status norm_and_rotate_both(struct call *call, size_t count, struct tensor *key) {
    struct tensor query;
    TRY(check_widths(call, call_tensor(call, "query"), call_tensor(call, "key")));
    TRY(norm_and_rotate(call, 0, "query", "q_weight", &query));
    TRY(norm_and_rotate(call, 1, "key", "k_weight", key));
    TRY(call_return_item(call, 0, count, &query));
    return call_return_item(call, 1, count, key);
}

regraft_status kernel_fused_qk_norm_rope(struct call *call) {
    struct tensor key;
    return norm_and_rotate_both(call, 2, &key);
}

regraft_status kernel_fused_qk_norm_rope_and_unified_kv_cache_update(struct call *call) {
    struct attention_cache cache;
    struct tensor key;
    TRY(attention_cache_of_layer(call, &cache));
    TRY(norm_and_rotate_both(call, 3, &key));
    TRY(attention_cache_write(call, &cache, &key, call_tensor(call, "value")));
    return return_dummy(call, 2, 3, key.dtype);
}

regraft_status kernel_fused_qk_norm_rope_reshape_and_cache_flash(struct call *call) {
    struct attention_cache cache;
    struct tensor key;
    TRY(attention_cache_given(call, &cache));
    TRY(norm_and_rotate_both(call, 2, &key));
    return attention_cache_write(call, &cache, &key, call_tensor(call, "value"));
}

/* `count` heads of qkv [tokens, heads * width] from `first` on, in place */
static regraft_status norm_and_rotate_packed(struct call *call, int64_t first, int64_t count, const char *weight) {
    const struct tensor *qkv = call_tensor(call, "qkv");
    struct rotation rotation = rotation_of(call);
    int64_t width = call_integer(call, "head_dim", 0);
    struct tensor heads = tensor_window(qkv, 1, first * width, count * width);
    heads.shape = (struct shape){3, {qkv->shape.sizes[0], count, width}};
    heads.strides[2] = qkv->strides[1];
    heads.strides[1] = width * qkv->strides[1];
    rotation.positions = call_tensor(call, "position_ids");
    rotation.head_size = width;
    TRY(rms_norm(call, &heads, call_tensor(call, weight), call_real(call, "eps", 0), &heads));
    return rotate(call, &rotation, &heads);
}

/* qkv [tokens, (q + k + v heads) * head_dim] */
regraft_status kernel_packed_qk_norm_rope(struct call *call) {
    const struct tensor *qkv = call_tensor(call, "qkv");
    int64_t q = call_integer(call, "num_heads_q", 0), k = call_integer(call, "num_heads_k", 0),
            v = call_integer(call, "num_heads_v", 0), width = call_integer(call, "head_dim", 0), heads, elements;
    bool fits = q >= 0 && k >= 0 && v >= 0 && width > 0 && qkv->shape.rank == 2 &&
                !__builtin_add_overflow(q, k, &heads) && !__builtin_add_overflow(heads, v, &heads) &&
                !__builtin_mul_overflow(heads, width, &elements) && elements == qkv->shape.sizes[1];
    if (!fits)
        return call_fail(call, REGRAFT_REJECTED, "qkv of sizes %s does not hold %lld + %lld + %lld heads of %lld",
                         shape_print(call->arena, &qkv->shape), (long long)q, (long long)k, (long long)v,
                         (long long)width);
    TRY(norm_and_rotate_packed(call, 0, q, "q_weight"));
    return norm_and_rotate_packed(call, q, k, "k_weight");
}

/* ---- rotation with cosines and sines that are given ---- */

/* cos or sin with sizes that fit all of x: [..., pairs] */
static regraft_status spread(struct call *call, const char *name, const struct tensor *x, struct tensor *angles) {
    const struct tensor *given = call_tensor(call, name);
    struct shape shape = x->shape;
    bool fits = given->shape.rank >= 1 && x->shape.rank >= 1 && 2 * row_length(given) <= row_length(x);
    if (fits) shape.sizes[shape.rank - 1] = row_length(given);
    if (fits && tensor_broadcast(given, &shape, angles)) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED,
                     "%s of sizes %s does not fit x of sizes %s: expected [..., at most half a row]", name,
                     shape_print(call->arena, &given->shape), shape_print(call->arena, &x->shape));
}

/* x [..., width], cos and sin [..., pairs]: the first 2 * pairs elements of each row are rotated into fresh memory */
regraft_status kernel_rotary_embedding_cos_sin(struct call *call) {
    const struct tensor *x = call_tensor(call, "x");
    struct tensor out, cos, sin;
    TRY(spread(call, "cos", x, &cos));
    TRY(spread(call, "sin", x, &sin));
    if (row_length(&cos) != row_length(&sin))
        return call_fail(call, REGRAFT_REJECTED, "cos has %lld pairs, sin has %lld", (long long)row_length(&cos),
                         (long long)row_length(&sin));
    TRY(call_create_result(call, x->dtype, &x->shape, &out));
    tensor_copy(call->scratch, &out, x);
    bool neox = call_boolean(call, "is_neox");
    int64_t pairs = row_length(&cos), step = row_stride(&out);
    struct tensor starts[] = {row_starts(&out), row_starts(&cos), row_starts(&sin)};
    for (struct walk walk = walk_start(3, (const struct tensor *[]){&starts[0], &starts[1], &starts[2]}); walk.left;
         walk_next(&walk))
        for (int64_t i = 0; i < pairs; i++) {
            int64_t first = walk.position[0] + (neox ? i : 2 * i) * step;
            rotate_pair(&out, first, first + (neox ? pairs : 1) * step,
                        tensor_real(&cos, walk.position[1] + i * row_stride(&cos)),
                        tensor_real(&sin, walk.position[2] + i * row_stride(&sin)));
        }
    return REGRAFT_OK;
}
