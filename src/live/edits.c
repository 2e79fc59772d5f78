/* From a changed graph back to nodes and values: what stayed, what has other arguments, what is new. */
#include "live/live.h"

struct edits {
    struct live *live;
    const struct built *built;
    VECTOR(regraft_edit) nodes;
    VECTOR(regraft_value) values;
};

/* ---- a value as numbers ---- */

static int64_t bits_of(double real) {
    int64_t bits;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static struct text device_text(struct arena *arena, struct device device) {
    return device.index < 0 ? device.type
                            : text_of(text_format(arena, "%.*s:%d", TEXT_ARGS(device.type), device.index));
}

/* The text that a value stands for. */
static struct text text_of_value(struct live *live, const struct value *value) {
    switch (value->kind) {
    case value_string:
        return value->string;
    case value_dtype:
        return text_of(dtype_torch_name(value->dtype));
    case value_device:
        return device_text(live->context->arena, value->device);
    case value_operator:
        return value->operation ? value->operation->target : text_skip(value->written, strlen("torch.ops."));
    default:
        return value->written;
    }
}

static const int64_t value_kinds[] = {
    [value_none] = REGRAFT_VALUE_NONE,         [value_bool] = REGRAFT_VALUE_BOOL,
    [value_integer] = REGRAFT_VALUE_INTEGER,   [value_float] = REGRAFT_VALUE_FLOAT,
    [value_string] = REGRAFT_VALUE_STRING,     [value_node] = REGRAFT_VALUE_NODE,
    [value_symint] = REGRAFT_VALUE_EXPRESSION, [value_dtype] = REGRAFT_VALUE_DTYPE,
    [value_device] = REGRAFT_VALUE_DEVICE,     [value_list] = REGRAFT_VALUE_LIST,
    [value_tuple] = REGRAFT_VALUE_TUPLE,       [value_dictionary] = REGRAFT_VALUE_DICTIONARY,
    [value_slice] = REGRAFT_VALUE_SLICE,       [value_operator] = REGRAFT_VALUE_OPERATOR,
    [value_name] = REGRAFT_VALUE_NAME,
};

static int64_t content_of(struct live *live, const struct value *value) {
    switch (value->kind) {
    case value_none:
        return 0;
    case value_bool:
        return value->boolean;
    case value_integer:
        return value->integer;
    case value_float:
        return bits_of(value->real);
    case value_node:
        return value->use.node->index;
    case value_symint:
        return live_expression_number(live, value->expression);
    case value_list:
    case value_tuple:
    case value_dictionary:
    case value_slice:
        return (int64_t)value->list.count;
    default:
        return live_string_number(live, text_of_value(live, value));
    }
}

static bool has_items(const struct value *value) {
    return value->kind == value_list || value->kind == value_tuple || value->kind == value_dictionary ||
           value->kind == value_slice;
}

static void add_value(struct edits *edits, const struct value *value) {
    struct live *live = edits->live;
    regraft_value out = {.kind = value_kinds[value->kind], .keyword = -1};
    if (value->keyword.length) out.keyword = live_string_number(live, value->keyword);
    out.content = content_of(live, value);
    vector_push(live->context->arena, &edits->values, out);
    if (!has_items(value)) return;
    for (size_t i = 0; i < value->list.count; i++) add_value(edits, &value->list.items[i]);
}

/* ---- is it what it was? ---- */

static bool same_text(const struct live *live, int64_t number, struct text text) {
    return text_equal(live->strings.items[number], text);
}

/* Compares with the values that the node was built of; *from moves behind them. */
static bool is_value(struct live *live, const struct value *value, const regraft_value **from) {
    const regraft_value *old = (*from)++;
    bool keyword = old->keyword >= 0 && live->strings.items[old->keyword].length;
    if (keyword != (value->keyword.length > 0) || (keyword && !same_text(live, old->keyword, value->keyword)))
        return false;
    if (old->kind == REGRAFT_VALUE_DTYPE && value->kind == value_name)
        return same_text(live, old->content, text_skip(value->written, strlen("torch.")));
    if (old->kind != value_kinds[value->kind]) return false;
    switch (old->kind) {
    case REGRAFT_VALUE_STRING:
    case REGRAFT_VALUE_DTYPE:
    case REGRAFT_VALUE_DEVICE:
    case REGRAFT_VALUE_NAME:
        return same_text(live, old->content, text_of_value(live, value));
    case REGRAFT_VALUE_OPERATOR:
        return true; /* no pass changes which operation a functionalised call calls */
    case REGRAFT_VALUE_EXPRESSION:
        return live->expressions.items[old->content < 0 ? ~old->content : old->content] == value->expression;
    case REGRAFT_VALUE_BOOL:
        return (old->content != 0) == value->boolean;
    default:
        if (old->content != content_of(live, value)) return false;
    }
    for (size_t i = 0; has_items(value) && i < value->list.count; i++)
        if (!is_value(live, &value->list.items[i], from)) return false;
    return true;
}

static bool is_as_built(struct live *live, const struct node *node, const regraft_live_node *from,
                        const regraft_value *values) {
    const regraft_value *at = values + from->first_value;
    if (node->argument_count != (size_t)from->argument_count) return false;
    for (size_t i = 0; i < node->argument_count; i++)
        if (!is_value(live, &node->arguments[i], &at)) return false;
    return true;
}

/* ---- nodes ---- */

static int64_t kind_of(const struct node *node) {
    switch (node->kind) {
    case node_placeholder:
        return REGRAFT_NODE_PLACEHOLDER;
    case node_call:
        return node->in_torch_ops ? REGRAFT_NODE_CALL : REGRAFT_NODE_FUNCTION;
    case node_getitem:
        return REGRAFT_NODE_GETITEM;
    case node_method:
        return REGRAFT_NODE_METHOD;
    case node_attribute:
        return REGRAFT_NODE_ATTRIBUTE;
    case node_output:
        return REGRAFT_NODE_OUTPUT;
    default:
        return REGRAFT_NODE_OPERATOR;
    }
}

static int64_t source_of(struct live *live, const struct location *location) {
    for (size_t i = 0; location && i < live->locations.count; i++)
        if (live->locations.items[i] == location) return (int64_t)i;
    return -1;
}

static void fill_in(struct edits *edits, const struct node *node, regraft_edit *edit) {
    struct live *live = edits->live;
    edit->kind = kind_of(node);
    edit->name = live_string_number(live, node->name);
    edit->target = live_string_number(live, node->kind == node_getitem ? TEXT("getitem") : node->target);
    edit->type = live_add_type(live, node->type);
    edit->source = source_of(live, node->location);
    edit->first_value = (int64_t)edits->values.count;
    edit->argument_count = (int64_t)node->argument_count;
    for (size_t i = 0; i < node->argument_count; i++) add_value(edits, &node->arguments[i]);
    edit->value_count = (int64_t)edits->values.count - edit->first_value;
}

static const struct built *find_built(const struct live *live, const struct graph *graph) {
    for (size_t i = 0; i < live->built.count; i++)
        if (live->built.items[i].graph == graph) return &live->built.items[i];
    return NULL;
}

regraft_status live_edits(struct live *live, struct graph *graph, regraft_edits *result) {
    struct edits edits = {.live = live, .built = find_built(live, graph)};
    if (!edits.built) return live_fail(live, "the graph was not made by regraft_live_graph of this regraft_live");
    for (const struct node *node = graph->first; node; node = node->next) {
        regraft_edit edit = {.edit = REGRAFT_EDIT_NEW, .handle = node->index, .source = -1};
        bool old = node->index < edits.built->node_count;
        if (node->kind == node_rename)
            return fail(&live->context->diagnostics, REGRAFT_INTERNAL, (struct position){0},
                        "%.*s is a second name, which a graph of nodes cannot have", TEXT_ARGS(node->name));
        if (old)
            edit.edit = is_as_built(live, node, &edits.built->nodes[node->index], edits.built->values)
                            ? REGRAFT_EDIT_KEPT
                            : REGRAFT_EDIT_ARGUMENTS;
        if (edit.edit != REGRAFT_EDIT_KEPT) fill_in(&edits, node, &edit);
        vector_push(live->context->arena, &edits.nodes, edit);
    }
    *result = (regraft_edits){edits.nodes.items, edits.nodes.count, edits.values.items, edits.values.count};
    return REGRAFT_OK;
}
