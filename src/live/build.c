/* From arrays of nodes and values to a graph. */
#include <limits.h>

#include "ir/infer.h"
#include "live/live.h"

struct build {
    struct live *live;
    struct graph *graph;
    const regraft_value *values;
    size_t value_count, next; /* the value to read next, and where the node's values end */
    struct node **nodes;      /* by their place; those built so far */
    size_t built;
};

enum { deepest_value = 200 };

/* ---- values ---- */

static regraft_status set_value(struct build *build, struct node *user, struct value *value, size_t depth);

static regraft_status set_items(struct build *build, struct node *user, struct value *value, enum value_kind kind,
                                int64_t count, size_t depth) {
    if (count < 0 || (uint64_t)count > build->value_count - build->next || (kind == value_slice && count != 3))
        return live_fail(build->live, "a list of %.*s cannot have %lld items", TEXT_ARGS(user->name), (long long)count);
    struct value *items = value_set_list(user, value, kind, (size_t)count);
    for (size_t i = 0; i < (size_t)count; i++) TRY(set_value(build, user, &items[i], depth + 1));
    return REGRAFT_OK;
}

static regraft_status set_node(struct build *build, struct node *user, struct value *value, int64_t place) {
    if (place < 0 || (uint64_t)place >= build->built)
        return live_fail(build->live, "%.*s uses node %lld, which does not stand before it", TEXT_ARGS(user->name),
                         (long long)place);
    value_set_node(user, value, build->nodes[place]);
    return REGRAFT_OK;
}

static regraft_status set_expression(struct build *build, struct value *value, int64_t number) {
    symint expression;
    TRY(live_dimension(build->live, number < 0 ? number : ~number, &expression));
    value->kind = value_symint;
    value->expression = expression;
    return REGRAFT_OK;
}

static regraft_status set_operator(struct build *build, struct value *value, struct text target) {
    struct context *context = build->live->context;
    value->kind = value_operator;
    value->operation = operations_find(context->operations, target);
    value->written = text_of(text_format(context->arena, "torch.ops.%.*s", TEXT_ARGS(target)));
    return REGRAFT_OK;
}

/* Kinds whose content is a text. */
static regraft_status set_text(struct build *build, struct value *value, int64_t kind, int64_t number) {
    struct text text;
    TRY(live_string(build->live, number, "an argument", &text));
    switch (kind) {
    case REGRAFT_VALUE_STRING:
        value->kind = value_string;
        value->string = text;
        return REGRAFT_OK;
    case REGRAFT_VALUE_DEVICE:
        value->kind = value_device;
        value->device = device_of_text(text);
        return REGRAFT_OK;
    case REGRAFT_VALUE_OPERATOR:
        return set_operator(build, value, text);
    case REGRAFT_VALUE_DTYPE:
        value->dtype = dtype_from_torch_name(text);
        value->kind = value->dtype == dtype_none ? value_name : value_dtype;
        if (value->dtype == dtype_none)
            value->written = text_of(text_format(build->graph->arena, "torch.%.*s", TEXT_ARGS(text)));
        return REGRAFT_OK;
    default:
        value->kind = value_name;
        value->written = text;
        return REGRAFT_OK;
    }
}

static regraft_status set_content(struct build *build, struct node *user, struct value *value,
                                  const regraft_value *from, size_t depth) {
    int64_t content = from->content;
    switch (from->kind) {
    case REGRAFT_VALUE_NONE:
        return REGRAFT_OK;
    case REGRAFT_VALUE_BOOL:
        value_set_boolean(user, value, content != 0);
        return REGRAFT_OK;
    case REGRAFT_VALUE_INTEGER:
        value_set_integer(user, value, content);
        return REGRAFT_OK;
    case REGRAFT_VALUE_FLOAT:
        value->kind = value_float;
        memcpy(&value->real, &content, sizeof content);
        return REGRAFT_OK;
    case REGRAFT_VALUE_NODE:
        return set_node(build, user, value, content);
    case REGRAFT_VALUE_EXPRESSION:
        return set_expression(build, value, content);
    case REGRAFT_VALUE_LIST:
        return set_items(build, user, value, value_list, content, depth);
    case REGRAFT_VALUE_TUPLE:
        return set_items(build, user, value, value_tuple, content, depth);
    case REGRAFT_VALUE_DICTIONARY:
        return set_items(build, user, value, value_dictionary, content, depth);
    case REGRAFT_VALUE_SLICE:
        return set_items(build, user, value, value_slice, content, depth);
    default:
        if (from->kind < 0 || from->kind > REGRAFT_VALUE_NAME)
            return live_fail(build->live, "there is no kind of value %lld", (long long)from->kind);
        return set_text(build, value, from->kind, content);
    }
}

static regraft_status set_value(struct build *build, struct node *user, struct value *value, size_t depth) {
    if (depth > deepest_value || build->next >= build->value_count)
        return live_fail(build->live, "%.*s: %s", TEXT_ARGS(user->name),
                         depth > deepest_value ? "lists are nested too deep" : "a value is missing");
    const regraft_value *from = &build->values[build->next++];
    if (from->keyword >= 0) TRY(live_string(build->live, from->keyword, "a keyword", &value->keyword));
    return set_content(build, user, value, from, depth);
}

/* ---- nodes ---- */

static regraft_status location_of(struct build *build, int64_t number, const struct location **location) {
    struct live *live = build->live;
    struct arena *arena = live->context->arena;
    struct text text;
    *location = NULL;
    if (number < 0) return REGRAFT_OK;
    TRY(live_string(live, number, "a source", &text));
    while (live->locations.count <= (size_t)number) vector_push(arena, &live->locations, NULL);
    if (!live->locations.items[number]) {
        struct location *fresh = arena_new(arena, struct location);
        size_t end = 0;
        while (end < text.length && text.data[end] != ',' && !text_starts_with(text_skip(text, end), " in ")) end++;
        fresh->file = (struct text){text.data, end};
        fresh->text = text_of(text_format(arena, "\n        # File: %.*s\n", TEXT_ARGS(text)));
        live->locations.items[number] = fresh;
    }
    *location = live->locations.items[number];
    return REGRAFT_OK;
}

static const enum node_kind kinds[] = {
    [REGRAFT_NODE_PLACEHOLDER] = node_placeholder, [REGRAFT_NODE_CALL] = node_call,
    [REGRAFT_NODE_FUNCTION] = node_call,           [REGRAFT_NODE_GETITEM] = node_getitem,
    [REGRAFT_NODE_OPERATOR] = node_operator,       [REGRAFT_NODE_METHOD] = node_method,
    [REGRAFT_NODE_ATTRIBUTE] = node_attribute,     [REGRAFT_NODE_OUTPUT] = node_output,
};

/* What the rest of the library relies on. */
static regraft_status check_form(struct build *build, const struct node *node) {
    const struct value *values = node->arguments;
    bool good = true;
    if (node->kind == node_getitem)
        good = node->argument_count == 2 && values[0].kind == value_node && values[1].kind == value_integer;
    if (node->kind == node_method) good = node->argument_count > 0 && values[0].kind == value_node;
    if (node->kind == node_output) good = node->argument_count == 1;
    if (node->kind == node_operator) good = node->argument_count >= 1 && node->argument_count <= 3;
    if (node->kind == node_placeholder || node->kind == node_attribute) good = node->argument_count == 0;
    return good ? REGRAFT_OK
                : live_fail(build->live, "%.*s does not have the arguments of its kind", TEXT_ARGS(node->name));
}

static regraft_status add_node(struct build *build, const regraft_live_node *from) {
    struct text name, target;
    if (from->kind < 0 || from->kind > REGRAFT_NODE_OUTPUT || from->first_value < 0 || from->value_count < 0 ||
        from->argument_count < 0 || from->argument_count > from->value_count)
        return live_fail(build->live, "node %zu is malformed", build->built);
    TRY(live_string(build->live, from->name, "a name", &name));
    TRY(live_string(build->live, from->target, "a target", &target));
    struct node *node = graph_insert(build->graph, NULL, kinds[from->kind], name, (size_t)from->argument_count);
    node->target = target;
    node->in_torch_ops = from->kind == REGRAFT_NODE_CALL;
    if (node->in_torch_ops) node->operation = operations_find(build->live->context->operations, target);
    TRY(live_type(build->live, from->type, &node->type));
    TRY(location_of(build, from->source, &node->location));
    build->next = (size_t)from->first_value;
    for (size_t i = 0; i < node->argument_count; i++) TRY(set_value(build, node, &node->arguments[i], 0));
    if (build->next != (size_t)(from->first_value + from->value_count) && node->argument_count)
        return live_fail(build->live, "%.*s has other values than it says", TEXT_ARGS(name));
    TRY(check_form(build, node));
    build->nodes[build->built++] = node;
    return REGRAFT_OK;
}

/* Offsets and shared storage of the inputs, when any is known. */
static regraft_status set_memory(struct build *build, const regraft_live_node *nodes, size_t count) {
    struct input_memory *memory = arena_array(build->graph->arena, struct input_memory, count);
    size_t inputs = 0;
    bool known = false;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].kind != REGRAFT_NODE_PLACEHOLDER) continue;
        struct input_memory *input = &memory[inputs++];
        input->storage = nodes[i].storage;
        known = known || input->storage >= 0;
        if (input->storage >= 0) TRY(live_dimension(build->live, nodes[i].offset, &input->offset));
    }
    if (known) build->graph->input_memory = memory;
    return REGRAFT_OK;
}

regraft_status live_build(struct live *live, const regraft_live_node *nodes, size_t node_count,
                          const regraft_value *values, size_t value_count, struct graph **result) {
    struct arena *arena = live->context->arena;
    struct build build = {.live = live, .graph = graph_create(live->context), .value_count = value_count};
    build.graph->order_stays = true;
    build.values = arena_copy(arena, values, value_count * sizeof *values);
    build.nodes = arena_array(arena, struct node *, node_count);
    if (node_count > UINT32_MAX / 2) return live_fail(live, "a graph cannot have %zu nodes", node_count);
    for (size_t i = 0; i < node_count; i++) TRY(add_node(&build, &nodes[i]));
    TRY(set_memory(&build, nodes, node_count));
    TRY(infer_graph(build.graph));
    build.graph->changed = true; /* there is no text that it could be printed as */
    vector_push(
        arena, &live->built,
        (struct built){build.graph, arena_copy(arena, nodes, node_count * sizeof *nodes), build.values, node_count});
    *result = build.graph;
    return REGRAFT_OK;
}
