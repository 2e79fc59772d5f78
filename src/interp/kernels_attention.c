/* Scaled dot product attention, in all the forms that PyTorch has for it: softmax(q k^T * scale + bias) v. */
#include <math.h>

#include "interp/kernels.h"

/* query [..., heads, queries, width], key [..., kv_heads, keys, width], value [..., kv_heads, keys, value_width] */
struct attention {
    const struct tensor *query, *key, *value;
    const struct tensor *bias; /* added, or a mask of what may be looked at; NULL */
    bool causal;
    double scale;
    struct tensor out, logsumexp; /* logsumexp: [..., heads, queries]; no storage when not wanted */
};

static double bias_at(const struct tensor *bias, const int64_t *index) {
    int64_t position = tensor_position(bias, index);
    if (bias->dtype == dtype_b8) return tensor_integer(bias, position) ? 0 : -INFINITY;
    return tensor_real(bias, position);
}

/* The key's (value's) index for a query's: its head is shared by a group of query heads. */
static void share_head(const struct tensor *query, const struct tensor *key, int64_t *index) {
    size_t rank = query->shape.rank;
    if (rank > 2) index[rank - 3] /= query->shape.sizes[rank - 3] / key->shape.sizes[rank - 3];
}

static double score(const struct attention *attention, const struct tensor *bias, const int64_t *index, int64_t key) {
    size_t rank = attention->query->shape.rank;
    int64_t from[rank_limit], to[rank_limit];
    double sum = 0;
    memcpy(from, index, sizeof from);
    memcpy(to, index, sizeof to);
    share_head(attention->query, attention->key, to);
    to[rank - 2] = key;
    if (attention->causal && key > index[rank - 2]) return -INFINITY;
    for (int64_t i = 0; i < attention->query->shape.sizes[rank - 1]; i++) {
        from[rank - 1] = to[rank - 1] = i;
        sum += tensor_real(attention->query, tensor_position(attention->query, from)) *
               tensor_real(attention->key, tensor_position(attention->key, to));
    }
    from[rank - 1] = key;
    return sum * attention->scale + (bias ? bias_at(bias, from) : 0);
}

/* One query: `index` is [..., head, query]; `weights` has room for one number a key. */
static void attend(const struct attention *attention, const struct tensor *bias, int64_t *index, double *weights) {
    size_t rank = attention->query->shape.rank;
    int64_t keys = attention->key->shape.sizes[rank - 2], from[rank_limit];
    double largest = -INFINITY, sum = 0;
    for (int64_t key = 0; key < keys; key++) {
        weights[key] = score(attention, bias, index, key);
        if (weights[key] > largest || isnan(weights[key])) largest = weights[key];
    }
    bool blind = isinf(largest) && largest < 0; /* nothing may be looked at: zeros */
    for (int64_t key = 0; key < keys; key++) {
        weights[key] = blind ? 0 : exp(weights[key] - largest);
        sum += weights[key];
    }
    for (int64_t i = 0; i < attention->value->shape.sizes[rank - 1]; i++) {
        double value = 0;
        memcpy(from, index, sizeof from);
        share_head(attention->query, attention->value, from);
        from[rank - 1] = i;
        for (int64_t key = 0; key < keys; key++) {
            from[rank - 2] = key;
            if (weights[key] != 0)
                value += weights[key] * tensor_real(attention->value, tensor_position(attention->value, from));
        }
        index[rank - 1] = i;
        tensor_set_real(&attention->out, tensor_position(&attention->out, index), blind ? 0 : value / sum);
    }
    if (attention->logsumexp.storage)
        tensor_set_real(&attention->logsumexp, tensor_position(&attention->logsumexp, index), largest + log(sum));
}

static regraft_status check(struct call *call, const struct attention *attention) {
    const struct shape *q = &attention->query->shape, *k = &attention->key->shape, *v = &attention->value->shape;
    bool fits = q->rank >= 2 && k->rank == q->rank && v->rank == q->rank &&
                q->sizes[q->rank - 1] == k->sizes[q->rank - 1] && k->sizes[q->rank - 2] == v->sizes[q->rank - 2];
    for (size_t i = 0; fits && i + 2 < q->rank; i++) {
        bool head = i + 3 == q->rank;
        fits = k->sizes[i] == v->sizes[i] &&
               (k->sizes[i] == q->sizes[i] || (head && k->sizes[i] > 0 && q->sizes[i] % k->sizes[i] == 0));
    }
    if (fits) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "query %s, key %s and value %s do not fit together",
                     shape_print(call->arena, q), shape_print(call->arena, k), shape_print(call->arena, v));
}

static regraft_status run_attention(struct call *call, struct attention *attention) {
    const struct shape *q = &attention->query->shape;
    struct tensor bias, rows = attention->out;
    struct shape scores = *q;
    scores.sizes[q->rank - 1] = attention->key->shape.sizes[q->rank - 2];
    if (attention->bias && !tensor_broadcast(attention->bias, &scores, &bias))
        return call_fail(call, REGRAFT_REJECTED, "a mask of sizes %s does not fit scores of sizes %s",
                         shape_print(call->arena, &attention->bias->shape), shape_print(call->arena, &scores));
    double *weights = arena_array(call->scratch, double, (size_t)scores.sizes[q->rank - 1]);
    rows.shape.sizes[q->rank - 1] = 1;
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&rows}); walk.left; walk_next(&walk)) {
        int64_t index[rank_limit];
        memcpy(index, walk.index, sizeof index);
        attend(attention, attention->bias ? &bias : NULL, index, weights);
    }
    return REGRAFT_OK;
}

/* Fills in the arguments, and makes the first result; two results when `several`, then `count` in all. */
static regraft_status attention(struct call *call, const char *bias, size_t count) {
    struct attention attention = {call_tensor(call, "query"),
                                  call_tensor(call, "key"),
                                  call_tensor(call, "value"),
                                  bias ? call_tensor(call, bias) : NULL,
                                  call_boolean(call, "is_causal"),
                                  1,
                                  {0},
                                  {0}};
    TRY(check(call, &attention));
    if (call_real(call, "dropout_p", 0) != 0) return call_fail(call, REGRAFT_UNSUPPORTED, "dropout is random");
    struct shape shape = attention.query->shape;
    size_t rank = shape.rank;
    double width = (double)shape.sizes[rank - 1];
    attention.scale = call_real(call, "scale", 1 / sqrt(width));
    shape.sizes[rank - 1] = attention.value->shape.sizes[rank - 1];
    TRY(call_create(call, 0, attention.query->dtype, &shape, &attention.out));
    if (count == 1) {
        TRY(call_return(call, &attention.out));
        return run_attention(call, &attention);
    }
    shape.rank--;
    TRY(call_create(call, 1, dtype_f32, &shape, &attention.logsumexp));
    TRY(call_return_item(call, 0, count, &attention.out));
    TRY(call_return_item(call, 1, count, &attention.logsumexp));
    return run_attention(call, &attention);
}

regraft_status kernel_scaled_dot_product_attention(struct call *call) { return attention(call, "attn_mask", 1); }
regraft_status kernel_scaled_dot_product_cudnn_attention(struct call *call) { return attention(call, "attn_bias", 9); }
regraft_status kernel_scaled_dot_product_efficient_attention(struct call *call) {
    return attention(call, "attn_bias", 4);
}
regraft_status kernel_scaled_dot_product_flash_attention(struct call *call) { return attention(call, NULL, 9); }
regraft_status kernel_scaled_dot_product_flash_attention_for_cpu(struct call *call) {
    return attention(call, "attn_mask", 2);
}
