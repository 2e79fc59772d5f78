/* Arguments that an operation takes in several shapes with one meaning are read in one of them. */
#include "proof/machine.h"

static const struct shaped {
    const char *operation, *argument;
    bool
        heads; /* [tokens, heads * head_size] as [tokens, heads, head_size]; else [tokens, 1, width] as [tokens, width] */
} shaped[] = {
    {"_C::rotary_embedding", "query", true},
    {"_C::rotary_embedding", "key", true},
    {"regraft::rotary_embedding", "query", true},
    {"regraft::rotary_embedding", "key", true},
    {"regraft::rotary_embedding_out", "query", true},
    {"regraft::rotary_embedding_out", "key", true},
    {"regraft::rotary_embedding_out", "query_out", true},
    {"regraft::rotary_embedding_out", "key_out", true},
    {"_C_cache_ops::concat_and_cache_mla", "k_pe", false},
    {"vllm::unified_mla_kv_cache_update", "k_pe", false},
};

static const struct item *argument_of(const struct bound_call *call, const char *name) {
    size_t index = schema_find_argument(&call->operation->schema, text_of(name));
    return index == SIZE_MAX ? NULL : &call->arguments[index];
}

/* The last dimension as heads of `head_size`; false: it is that already, or nobody can tell. */
static bool split_heads(struct prover *prover, const struct bound_call *call, struct layout *layout) {
    const struct item *positions = argument_of(call, "positions"), *width = argument_of(call, "head_size");
    const struct tensor_value *tensor = positions ? item_tensor_of(positions) : NULL;
    size_t rank = layout->rank;
    if (!tensor || !width || width->kind != item_integer || rank != tensor->place.layout.rank + 1) return false;
    symint heads = symint_divide_exact(prover->symbols, layout->sizes[rank - 1], width->integer);
    if (!heads || !surely_less(prover, number(prover, 0), width->integer)) return false;
    symint *sizes = arena_array(prover->arena, symint, rank + 1),
           *strides = arena_array(prover->arena, symint, rank + 1);
    memcpy(sizes, layout->sizes, rank * sizeof *sizes);
    memcpy(strides, layout->strides, rank * sizeof *strides);
    sizes[rank - 1] = heads;
    sizes[rank] = width->integer;
    strides[rank - 1] = times(prover, layout->strides[rank - 1], width->integer);
    strides[rank] = layout->strides[rank - 1];
    *layout = (struct layout){rank + 1, sizes, strides};
    return true;
}

static bool drop_one(struct prover *prover, struct layout *layout) {
    if (layout->rank != 3 || !symint_is(layout->sizes[1], 1)) return false;
    symint sizes[] = {layout->sizes[0], layout->sizes[2]}, strides[] = {layout->strides[0], layout->strides[2]};
    *layout = (struct layout){2, arena_copy(prover->arena, sizes, sizeof sizes),
                              arena_copy(prover->arena, strides, sizeof strides)};
    return true;
}

/* The tensor in the same memory, in other dimensions. */
static struct item with_place(struct machine *machine, const struct tensor_value *tensor, const struct layout *layout) {
    struct window_place place = {tensor->place.offset, *layout};
    struct tensor_value *same = tensor_make(machine, tensor->buffer, &place, tensor->dtype);
    same->by_numbers = tensor->by_numbers;
    return item_of_tensor(same);
}

static struct item in_one_shape(struct machine *machine, const struct bound_call *call, const struct shaped *row,
                                struct item item) {
    const struct tensor_value *tensor = item_tensor_of(&item);
    if (!tensor) return item;
    struct layout layout = tensor->place.layout;
    bool other = row->heads ? split_heads(machine->prover, call, &layout) : drop_one(machine->prover, &layout);
    return other ? with_place(machine, tensor, &layout) : item;
}

/* ---- rows ---- */

/* [tokens, heads, width] as [tokens * heads, width]; false: the rows do not lie evenly. */
static bool flatten_rows(struct prover *prover, struct layout *layout) {
    size_t rank = layout->rank;
    if (rank < 3) return false;
    symint count = number(prover, 1), stride = layout->strides[rank - 1];
    for (size_t i = rank - 1; i-- > 0;) {
        if (symint_is(layout->sizes[i], 1)) continue;
        bool first = symint_is(count, 1);
        if (!first && !surely_equal(prover, layout->strides[i], times(prover, count, stride))) return false;
        if (first) stride = layout->strides[i];
        count = times(prover, count, layout->sizes[i]);
    }
    symint sizes[] = {count, layout->sizes[rank - 1]}, strides[] = {stride, layout->strides[rank - 1]};
    *layout = (struct layout){2, arena_copy(prover->arena, sizes, sizeof sizes),
                              arena_copy(prover->arena, strides, sizeof strides)};
    return true;
}

/* A copy without gaps: what is only read may lie anywhere. */
static struct tensor_value *packed(struct machine *machine, struct tensor_value *tensor) {
    struct layout layout = {tensor->place.layout.rank, tensor->place.layout.sizes, NULL};
    struct tensor_value *copy = tensor_fresh(machine, &layout, tensor->dtype);
    tensor_write(machine, copy, tensor_read(machine, tensor));
    return copy;
}

/* The norm of rows, however many dimensions they are counted in: `result` and `input` of _C::rms_norm, both or none. */
static void norm_in_rows(struct machine *machine, struct item *result, struct item *input) {
    struct tensor_value *out = item_tensor_of(result), *in = item_tensor_of(input);
    if (!out || !in || out->place.layout.rank != in->place.layout.rank || out->buffer == in->buffer ||
        (out->buffer->sharing && out->buffer->sharing == in->buffer->sharing))
        return;
    struct layout to = out->place.layout, from = in->place.layout;
    if (!flatten_rows(machine->prover, &to)) return;
    if (!flatten_rows(machine->prover, &from)) {
        in = packed(machine, in);
        from = in->place.layout;
        if (!flatten_rows(machine->prover, &from)) return;
    }
    *result = with_place(machine, out, &to);
    *input = with_place(machine, in, &from);
}

/* ---- calls ---- */

struct bound_call bound_in_one_shape(struct machine *machine, const struct bound_call *call) {
    const struct schema *schema = &call->operation->schema;
    struct bound_call result = *call;
    for (size_t i = 0; i < sizeof shaped / sizeof *shaped; i++) {
        size_t index = schema_find_argument(schema, text_of(shaped[i].argument));
        if (!text_is(schema->name, shaped[i].operation) || index == SIZE_MAX) continue;
        if (result.arguments == call->arguments)
            result.arguments =
                arena_copy(machine->prover->arena, call->arguments, schema->argument_count * sizeof *call->arguments);
        result.arguments[index] = in_one_shape(machine, call, &shaped[i], call->arguments[index]);
    }
    if (text_is(schema->name, "_C::rms_norm")) {
        result.arguments =
            arena_copy(machine->prover->arena, call->arguments, schema->argument_count * sizeof *call->arguments);
        norm_in_rows(machine, &result.arguments[0], &result.arguments[1]);
    }
    return result;
}
