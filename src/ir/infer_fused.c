/* Types of fresh results of fused operations (docs/operations.md); all of them are row-major. */
#include "ir/infer.h"

static const struct type *named_tensor(const struct inference *inference, const char *name) {
    size_t index = schema_find_argument(&inference->operation->schema, text_of(name));
    return index == SIZE_MAX ? NULL : inference_tensor(inference, index);
}

static const struct type *row_major(const struct inference *inference, const struct type *like, size_t rank,
                                    const symint *sizes) {
    struct arena *arena = inference->context->arena;
    struct layout layout = {rank, sizes, layout_contiguous_strides(arena, inference->context->symbols, sizes, rank)};
    return type_make_tensor(arena, like->dtype, layout, like->device);
}

/* `empty(0)`: what orders a cache write before its reader. */
static const struct type *dummy(const struct inference *inference, const struct type *like) {
    symint *sizes = arena_array(inference->context->arena, symint, 1);
    sizes[0] = symint_constant(inference->context->symbols, 0);
    return row_major(inference, like, 1, sizes);
}

regraft_status infer_empty_like_kv_c(struct inference *inference) {
    const struct type *kv_c = named_tensor(inference, "kv_c");
    if (kv_c) inference->result = dummy(inference, kv_c);
    return REGRAFT_OK;
}

/* [tokens, 1, rope] of k_pe [tokens, rope] or [tokens, 1, rope] */
regraft_status infer_k_pe_out(struct inference *inference) {
    const struct type *k_pe = named_tensor(inference, "k_pe");
    if (!k_pe) return REGRAFT_OK;
    size_t rank = k_pe->layout.rank;
    if (rank != 2 && rank != 3)
        return inference_fail(inference, "k_pe must be [tokens, width] or [tokens, 1, width]; it has %zu dimensions",
                              rank);
    symint *sizes = arena_array(inference->context->arena, symint, 3);
    sizes[0] = k_pe->layout.sizes[0];
    sizes[1] = symint_constant(inference->context->symbols, 1);
    sizes[2] = k_pe->layout.sizes[rank - 1];
    inference->result = row_major(inference, k_pe, 3, sizes);
    return REGRAFT_OK;
}

regraft_status infer_k_pe_out_and_dummy(struct inference *inference) {
    const struct type *kv_c = named_tensor(inference, "kv_c");
    TRY(infer_k_pe_out(inference));
    if (!inference->result || !kv_c) {
        inference->result = NULL;
        return REGRAFT_OK;
    }
    const struct type *items[] = {inference->result, dummy(inference, kv_c)};
    inference->result = type_make_tuple(inference->context->arena, items, 2);
    return REGRAFT_OK;
}

static void set_query_and_key(struct inference *inference, size_t count) {
    const struct type *query = named_tensor(inference, "query"), *key = named_tensor(inference, "key");
    if (!query || !key) return;
    const struct type *items[] = {row_major(inference, query, query->layout.rank, query->layout.sizes),
                                  row_major(inference, key, key->layout.rank, key->layout.sizes),
                                  dummy(inference, key)};
    inference->result = type_make_tuple(inference->context->arena, items, count);
}

regraft_status infer_query_and_key(struct inference *inference) {
    set_query_and_key(inference, 2);
    return REGRAFT_OK;
}

regraft_status infer_query_and_key_and_dummy(struct inference *inference) {
    set_query_and_key(inference, 3);
    return REGRAFT_OK;
}
