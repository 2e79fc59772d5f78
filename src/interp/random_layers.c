/* State of layers for vLLM's operations, made up from the shapes that the graph shows. */
#include <math.h>

#include "interp/random_source.h"
#include "ir/memory.h"

enum { block_size = 4, blocks_per_token = 2 };

/* A call that reaches a layer, and the shapes that matter for it. */
struct layer_call {
    struct random_source *source;
    const struct node *node;
    struct text layer;
};

static bool shape_of(struct layer_call *call, const char *argument, enum dtype *dtype, struct shape *shape) {
    return random_shape(call->source, random_argument(call->source, call->node, argument), dtype, shape);
}

static regraft_status bind_state(struct layer_call *call, const char *field, enum dtype dtype,
                                 const struct shape *shape, int64_t limit, struct tensor *tensor, bool *fresh) {
    struct text name = text_of(text_format(call->source->run.arena, "%.*s/%s", TEXT_ARGS(call->layer), field));
    *fresh = !tensor_set_find(&call->source->bindings->tensors, name);
    return random_bind(call->source, call->node, name, dtype, shape, limit, tensor);
}

/* The cache, and a distinct slot for each token, with -1 for the last of several. */
static regraft_status bind_cache(struct layer_call *call, enum dtype dtype, int64_t tokens, const struct shape *shape) {
    struct tensor tensor;
    bool fresh;
    TRY(bind_state(call, "kv_cache", dtype, shape, 0, &tensor, &fresh));
    TRY(bind_state(call, "slot_mapping", dtype_i64, &(struct shape){1, {tokens}}, 1, &tensor, &fresh));
    if (fresh) random_fill_slots(call->source, &tensor, tokens * blocks_per_token * block_size);
    return REGRAFT_OK;
}

/* A block table in which no block stands twice, lengths from 1 on, and the softmax scale. */
static regraft_status bind_tables(struct layer_call *call, int64_t tokens, int64_t width) {
    struct tensor tensor;
    bool fresh;
    TRY(bind_state(call, "block_table", dtype_i32, &(struct shape){2, {tokens, blocks_per_token}}, 1, &tensor, &fresh));
    for (int64_t i = 0, count = tensor_count(&tensor); fresh && i < count; i++)
        tensor_set_integer(&tensor, i, count - 1 - i);
    TRY(bind_state(call, "seq_lens", dtype_i32, &(struct shape){1, {tokens}}, block_size * blocks_per_token, &tensor,
                   &fresh));
    for (int64_t i = 0; fresh && i < tokens; i++) tensor_set_integer(&tensor, i, tensor_integer(&tensor, i) + 1);
    bindings_set_scale(call->source->bindings, call->layer, 1 / sqrt((double)(width > 0 ? width : 1)));
    return REGRAFT_OK;
}

/* key [tokens, heads, width] */
static regraft_status bind_attention(struct layer_call *call) {
    enum dtype dtype;
    struct shape key, query;
    if (!shape_of(call, "key", &dtype, &key) || key.rank != 3) return REGRAFT_OK;
    int64_t tokens = key.sizes[0];
    TRY(bind_cache(call, dtype, tokens,
                   &(struct shape){5, {tokens * blocks_per_token, 2, block_size, key.sizes[1], key.sizes[2]}}));
    if (!shape_of(call, "query", &dtype, &query)) return REGRAFT_OK;
    return bind_tables(call, tokens, key.sizes[2]);
}

/* The width of the rotated part: of k_pe, or of the table of cosines and sines where k_pe is written. */
static bool rope_width(struct layer_call *call, int64_t *width) {
    enum dtype dtype;
    struct shape shape;
    bool fused = random_argument(call->source, call->node, "cos_sin_cache") != NULL;
    if (!shape_of(call, fused ? "cos_sin_cache" : "k_pe", &dtype, &shape) || shape.rank == 0) return false;
    *width = shape.sizes[shape.rank - 1];
    return true;
}

/* kv_c [tokens, rank], k_pe [tokens, (1,) rope]; for the attention also q [tokens, heads, nope + rope], its output */
static regraft_status bind_latent(struct layer_call *call) {
    enum dtype dtype, other;
    struct shape kv_c, q, output;
    struct tensor tensor;
    int64_t rope;
    bool fresh;
    bool normed = random_argument(call->source, call->node, "kv_c_normed") != NULL;
    if (!shape_of(call, normed ? "kv_c_normed" : "kv_c", &dtype, &kv_c) || kv_c.rank != 2 || !rope_width(call, &rope))
        return REGRAFT_OK;
    int64_t tokens = kv_c.sizes[0], rank = kv_c.sizes[1];
    TRY(bind_cache(call, dtype, tokens, &(struct shape){3, {tokens * blocks_per_token, block_size, rank + rope}}));
    if (!shape_of(call, "q", &other, &q) || q.rank != 3 || q.sizes[2] < rope ||
        !shape_of(call, "output", &other, &output))
        return REGRAFT_OK;
    int64_t heads = q.sizes[1], nope = q.sizes[2] - rope, elements = shape_count(&output);
    int64_t value = heads > 0 && tokens > 0 ? elements / heads / tokens : 0;
    TRY(bind_state(call, "w_uk", dtype, &(struct shape){3, {heads, nope, rank}}, 0, &tensor, &fresh));
    TRY(bind_state(call, "w_uv", dtype, &(struct shape){3, {heads, rank, value}}, 0, &tensor, &fresh));
    return bind_tables(call, tokens, q.sizes[2]);
}

/* c [..., n] = a [m, k] @ weight: the weight of a handle that is an input of the graph. */
static regraft_status bind_weight(struct layer_call *call) {
    const struct node *handle = value_as_node(random_argument(call->source, call->node, "handler_tensor"));
    enum dtype dtype;
    struct shape a, c;
    struct tensor tensor;
    bool fresh;
    if (!handle || !shape_of(call, "c", &dtype, &c) || !shape_of(call, "a", &dtype, &a) || a.rank != 2 || c.rank == 0)
        return REGRAFT_OK;
    call->layer = handle->name;
    return bind_state(call, "weight", dtype, &(struct shape){2, {a.sizes[1], c.sizes[c.rank - 1]}}, 0, &tensor, &fresh);
}

regraft_status random_layers(struct random_source *source, struct graph *graph) {
    for (struct node *node = graph->first; node; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        struct layer_call call = {source, node, TEXT("")};
        if (!operation) continue;
        if (operation->id == operation__C_onednn_mm_default) TRY(bind_weight(&call));
        const struct value *layer = random_argument(source, node, "layer_name");
        if (!layer) continue;
        if (layer->kind == value_string)
            call.layer = layer->string;
        else if (value_as_node(layer))
            call.layer = value_as_node(layer)->name;
        TRY(random_argument(source, node, "key") ? bind_attention(&call) : bind_latent(&call));
    }
    return REGRAFT_OK;
}
