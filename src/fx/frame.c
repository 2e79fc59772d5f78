/* Symbols and inputs of a frame, from the records create_symbol, describe_tensor and describe_source. */
#include "fx/frame.h"

#include <errno.h>
#include <stdlib.h>

struct symbol_range {
    struct text symbol;
    int64_t least, most;
    int64_t hint; /* the value that it was traced with */
    bool has_hint;
};

struct described_tensor {
    int64_t describer, id, storage, offset;
    int64_t *sizes, *strides;
    size_t rank;
    struct text placeholder; /* its name in the graph that Dynamo made; "" before its source is known */
};

struct frame {
    struct arena *arena;
    VECTOR(struct symbol_range) ranges;
    VECTOR(struct described_tensor) tensors;
    struct map *placeholders; /* name -> index of a described tensor, plus one */
    struct text dynamo_graph;
};

struct frame *frame_create(struct arena *arena) {
    struct frame *frame = arena_new(arena, struct frame);
    frame->arena = arena;
    frame->placeholders = map_create(arena);
    return frame;
}

void frame_set_inputs(struct frame *frame, struct text dynamo_graph) { frame->dynamo_graph = dynamo_graph; }

/* ---- symbols ---- */

static bool parse_integer(const char *text, const char **end, int64_t *value) {
    char *stop;
    errno = 0;
    long long integer = strtoll(text, &stop, 10);
    *value = integer;
    *end = stop;
    return stop > text && errno == 0;
}

/* `2`, `int_oo`, `-int_oo` */
static bool parse_bound(const char *text, const char **end, int64_t *value) {
    bool negative = *text == '-';
    if (strncmp(text + negative, "int_oo", 6) != 0) return parse_integer(text, end, value);
    *value = negative ? INT64_MIN : INT64_MAX;
    *end = text + negative + 6;
    return true;
}

void frame_add_symbol(struct frame *frame, const json_t *record) {
    const char *symbol = json_string_value(json_object_get(record, "symbol"));
    const char *range = json_string_value(json_object_get(record, "vr"));
    const char *hint = json_string_value(json_object_get(record, "val")), *end;
    struct symbol_range found = {.least = INT64_MIN, .most = INT64_MAX};
    if (!symbol || !range || *range != '[') return;
    if (!parse_bound(range + 1, &end, &found.least) || strncmp(end, ", ", 2) != 0 ||
        !parse_bound(end + 2, &end, &found.most))
        return;
    if (*end != ']' || found.least > found.most) return;
    found.has_hint = hint && parse_integer(hint, &end, &found.hint) && !*end;
    found.symbol = text_copy(frame->arena, text_of(symbol));
    vector_push(frame->arena, &frame->ranges, found);
}

void frame_narrow_symbols(struct context *context, const struct frame *frame) {
    for (size_t i = 0; i < frame->ranges.count; i++) {
        const struct symbol_range *range = &frame->ranges.items[i];
        symbols_narrow(context->symbols, symint_symbol(context->symbols, range->symbol), range->least, range->most);
    }
}

static bool hint_of(void *user, struct text symbol, int64_t *value) {
    const struct frame *frame = user;
    for (size_t i = 0; i < frame->ranges.count; i++) {
        const struct symbol_range *range = &frame->ranges.items[i];
        if (!range->has_hint || !text_equal(range->symbol, symbol)) continue;
        *value = range->hint;
        return true;
    }
    return false;
}

/* ---- inputs ---- */

static bool read_integers(struct frame *frame, const json_t *array, int64_t **integers, size_t *count) {
    *count = json_array_size(array);
    *integers = arena_array(frame->arena, int64_t, *count);
    for (size_t i = 0; i < *count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item)) return false;
        (*integers)[i] = json_integer_value(item);
    }
    return json_is_array(array);
}

void frame_add_tensor(struct frame *frame, const json_t *record) {
    struct described_tensor tensor = {
        .describer = json_integer_value(json_object_get(record, "describer_id")),
        .id = json_integer_value(json_object_get(record, "id")),
        .storage = json_integer_value(json_object_get(record, "storage")),
        .offset = json_integer_value(json_object_get(record, "storage_offset")), /* left out when it is 0 */
    };
    size_t stride_count;
    if (!json_is_integer(json_object_get(record, "storage")) || tensor.storage < 0) return;
    if (!read_integers(frame, json_object_get(record, "size"), &tensor.sizes, &tensor.rank)) return;
    if (!read_integers(frame, json_object_get(record, "stride"), &tensor.strides, &stride_count) ||
        stride_count != tensor.rank)
        return;
    vector_push(frame->arena, &frame->tensors, tensor);
}

static bool is_letter_or_digit(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

/* Dynamo names a placeholder after its source: every run of other characters becomes one underscore. */
static struct text placeholder_name(struct arena *arena, const char *source) {
    struct builder out;
    builder_init(&out, arena);
    for (; *source; source++) {
        if (is_letter_or_digit(*source))
            builder_byte(&out, *source);
        else if (!out.length || out.data[out.length - 1] != '_')
            builder_byte(&out, '_');
    }
    return builder_text(&out);
}

void frame_add_source(struct frame *frame, const json_t *record) {
    const char *source = json_string_value(json_object_get(record, "source"));
    int64_t describer = json_integer_value(json_object_get(record, "describer_id"));
    int64_t id = json_integer_value(json_object_get(record, "id"));
    for (size_t i = frame->tensors.count; source && i-- > 0;) {
        struct described_tensor *tensor = &frame->tensors.items[i];
        if (tensor->describer != describer || tensor->id != id) continue;
        *(uintptr_t *)map_slot_text(frame->placeholders, placeholder_name(frame->arena, source)) = i + 1;
        return;
    }
}

static bool sizes_agree(const struct frame *frame, const symint *annotated, const int64_t *described, size_t rank) {
    for (size_t i = 0; annotated && i < rank; i++) {
        int64_t value;
        if (!symint_evaluate(annotated[i], hint_of, (void *)(uintptr_t)frame, &value) || value != described[i])
            return false;
    }
    return true;
}

static bool agrees(const struct frame *frame, const struct type *type, const struct described_tensor *tensor) {
    return type->kind == type_tensor && type->layout.rank == tensor->rank &&
           sizes_agree(frame, type->layout.sizes, tensor->sizes, tensor->rank) &&
           sizes_agree(frame, type->layout.strides, tensor->strides, tensor->rank);
}

/* An object of Python has an annotation in one text and none in the other. */
static bool same_kind(const struct type *a, const struct type *b) {
    bool plain_a = a->kind == type_object || a->kind == type_unknown,
         plain_b = b->kind == type_object || b->kind == type_unknown;
    return plain_a ? plain_b : a->kind == b->kind;
}

/* Both lists of placeholders in step; false when they are not surely the same inputs. */
static bool match_inputs(struct context *context, const struct frame *frame, struct node *input, struct node *node,
                         struct input_memory *memory) {
    int64_t describer = -1;
    for (size_t i = 0;; i++) {
        input = node_placeholder_from(input);
        node = node_placeholder_from(node);
        if (!input || !node) return !input && !node;
        uintptr_t found = (uintptr_t)map_get_text(frame->placeholders, input->name);
        const struct described_tensor *tensor = found ? &frame->tensors.items[found - 1] : NULL;
        memory[i].storage = -1;
        if (tensor ? !agrees(frame, node->type, tensor) : !same_kind(input->type, node->type)) return false;
        if (tensor) {
            if (describer >= 0 && describer != tensor->describer) return false; /* their storages cannot be compared */
            describer = tensor->describer;
            memory[i] = (struct input_memory){tensor->storage, symint_constant(context->symbols, tensor->offset)};
        }
        input = input->next;
        node = node->next;
    }
}

void frame_describe_inputs(struct context *context, const struct frame *frame, struct graph *graph) {
    struct source source = {"dynamo_output_graph", frame->dynamo_graph};
    struct graph *dynamo;
    if (!source.contents.length) return;
    if (fx_parse_signature(context, &source, source.contents, &dynamo) != REGRAFT_OK) {
        diagnostics_clear(&context->diagnostics);
        return;
    }
    struct input_memory *memory = arena_array(context->arena, struct input_memory, graph->node_count);
    if (match_inputs(context, frame, dynamo->first, graph->first, memory)) graph->input_memory = memory;
}
