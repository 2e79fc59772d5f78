/* Nodes, their order and their users. */
#include "ir/graph.h"

struct graph *graph_create(struct context *context) {
    struct graph *graph = arena_new(context->arena, struct graph);
    graph->context = context;
    graph->arena = context->arena;
    graph->names = map_create(graph->arena);
    graph->counters = map_create(graph->arena);
    graph->indent = TEXT("        ");
    graph->prints_frees = true;
    return graph;
}

static void touch(struct graph *graph) {
    graph->changed = true;
    graph->revision++;
}

/* ---- names ---- */

/* The name without a trailing `_12`, so that copies of slice_scatter_3 become slice_scatter_4 and not slice_scatter_3_1. */
static struct text base_name(struct text name) {
    size_t end = name.length;
    while (end && name.data[end - 1] >= '0' && name.data[end - 1] <= '9') end--;
    if (end == name.length || end < 2 || name.data[end - 1] != '_') return name;
    return (struct text){name.data, end - 1};
}

static struct text free_name(struct graph *graph, struct text wanted) {
    if (!map_get_text(graph->names, wanted)) return text_copy(graph->arena, wanted);
    struct text base = base_name(wanted);
    uintptr_t *counter = (uintptr_t *)map_slot_text(graph->counters, base);
    struct text name;
    do name = text_of(text_format(graph->arena, "%.*s_%zu", TEXT_ARGS(base), (size_t)++ * counter));
    while (map_get_text(graph->names, name));
    return name;
}

struct node *graph_find(const struct graph *graph, struct text name) {
    return map_get_text(graph->names, name);
}

/* ---- the list of nodes ---- */

static void link_before(struct graph *graph, struct node *node, struct node *before) {
    node->next = before;
    node->previous = before ? before->previous : graph->last;
    *(node->previous ? &node->previous->next : &graph->first) = node;
    *(before ? &before->previous : &graph->last) = node;
}

static void unlink_node(struct graph *graph, struct node *node) {
    *(node->previous ? &node->previous->next : &graph->first) = node->next;
    *(node->next ? &node->next->previous : &graph->last) = node->previous;
}

struct node *graph_insert(struct graph *graph, struct node *before, enum node_kind kind, struct text name,
                          size_t argument_count) {
    struct node *node = arena_new(graph->arena, struct node);
    node->graph = graph;
    node->kind = kind;
    node->index = graph->node_limit++;
    node->name = free_name(graph, name);
    node->type = &type_of_unknown;
    node->argument_count = argument_count;
    node->arguments = arena_array(graph->arena, struct value, argument_count);
    *map_slot_text(graph->names, node->name) = node;
    link_before(graph, node, before);
    node->piece = before ? before->piece : 0;
    graph->node_count++;
    touch(graph);
    return node;
}

/* torch.fx names a call after its operation: aten.slice.Tensor becomes slice_tensor; ours drop the overload. */
static struct text call_name(const struct operation *operation) {
    struct text name = operation->schema.name;
    for (size_t i = name.length; i-- > 0;)
        if (name.data[i] == ':') return text_skip(name, i + 1);
    return name;
}

struct node *graph_insert_call(struct graph *graph, struct node *before, const struct operation *operation,
                               size_t argument_count) {
    struct node *node = graph_insert(graph, before, node_call, call_name(operation), argument_count);
    node->operation = operation;
    node->target = operation->target;
    node->in_torch_ops = true;
    return node;
}

struct node *graph_insert_getitem(struct graph *graph, struct node *before, struct node *source, int64_t index) {
    struct node *node = graph_insert(graph, before, node_getitem, TEXT("getitem"), 2);
    value_set_node(node, &node->arguments[0], source);
    value_set_integer(node, &node->arguments[1], index);
    if (source->type->kind == type_tuple && index >= 0 && (size_t)index < source->type->item_count)
        node->type = source->type->items[index];
    return node;
}

void graph_remove(struct graph *graph, struct node *node) {
    for (size_t i = 0; i < node->argument_count; i++) value_set_none(node, &node->arguments[i]);
    unlink_node(graph, node);
    *map_slot_text(graph->names, node->name) = NULL;
    graph->node_count--;
    touch(graph);
}

void graph_replace(struct node *node, struct node *other) {
    while (node->users) {
        struct value *use = node->users;
        value_set_node(use->use.user, use, other);
    }
}

void graph_move(struct graph *graph, struct node *node, struct node *before) {
    unlink_node(graph, node);
    link_before(graph, node, before);
    if (before) node->piece = before->piece;
    touch(graph);
}

void graph_number(struct graph *graph) {
    uint32_t order = 0;
    for (struct node *node = graph->first; node; node = node->next) node->order = order++;
}

void graph_remark(struct graph *graph, const struct node *node, bool applied, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *text = text_format_list(graph->arena, format, list);
    va_end(list);
    struct remark remark = {graph->pass, node->name, node->location ? node->location->file : TEXT(""), text, applied};
    vector_push(graph->arena, &graph->remarks, remark);
}

/* ---- values ---- */

static void forget_use(struct value *value) {
    *value->use.link = value->use.next;
    if (value->use.next) value->use.next->use.link = value->use.link;
}

static bool has_items(const struct value *value) {
    return value->kind == value_list || value->kind == value_tuple || value->kind == value_dictionary ||
           value->kind == value_slice;
}

void value_set_none(struct node *user, struct value *value) {
    if (value->kind == value_node) forget_use(value);
    if (has_items(value))
        for (size_t i = 0; i < value->list.count; i++) value_set_none(user, &value->list.items[i]);
    *value = (struct value){.kind = value_none, .keyword = value->keyword};
    user->settled = false;
    touch(user->graph);
}

void value_set_integer(struct node *user, struct value *value, int64_t integer) {
    value_set_none(user, value);
    value->kind = value_integer;
    value->integer = integer;
}

void value_set_boolean(struct node *user, struct value *value, bool boolean) {
    value_set_none(user, value);
    value->kind = value_bool;
    value->boolean = boolean;
}

void value_set_node(struct node *user, struct value *value, struct node *node) {
    value_set_none(user, value);
    value->kind = value_node;
    value->use.node = node;
    value->use.user = user;
    value->use.next = node->users;
    value->use.link = &node->users;
    if (node->users) node->users->use.link = &value->use.next;
    node->users = value;
}

void value_set_symint(struct node *user, struct value *value, symint expression) {
    int64_t integer;
    if (symint_is_constant(expression, &integer)) {
        value_set_integer(user, value, integer);
        return;
    }
    value_set_none(user, value);
    value->kind = value_symint;
    value->expression = expression;
}

struct value *value_set_list(struct node *user, struct value *value, enum value_kind kind, size_t count) {
    value_set_none(user, value);
    value->kind = kind;
    value->list.items = arena_array(user->graph->arena, struct value, count);
    value->list.count = count;
    return value->list.items;
}

void value_copy_with(struct node *user, struct value *value, const struct value *from, value_put *put, void *state) {
    if (from->kind == value_node) {
        put(state, user, value, from->use.node);
    } else if (has_items(from)) {
        struct value *items = value_set_list(user, value, from->kind, from->list.count);
        for (size_t i = 0; i < from->list.count; i++)
            value_copy_with(user, &items[i], &from->list.items[i], put, state);
    } else {
        value_set_none(user, value);
        *value = *from;
    }
    value->keyword = from->keyword;
    value->written = from->written;
}

static void put_same(void *state, struct node *user, struct value *value, struct node *from) {
    (void)state;
    value_set_node(user, value, from);
}

void value_copy(struct node *user, struct value *value, const struct value *from) {
    value_copy_with(user, value, from, put_same, NULL);
}

bool node_is_used_by_items(const struct node *node) {
    for (const struct value *use = node->users; use; use = use->use.next)
        if (use->use.user->kind != node_getitem) return false;
    return true;
}

struct node *node_placeholder_from(const struct node *node) {
    while (node && node->kind != node_placeholder) node = node->next;
    return (struct node *)node;
}

void graph_forget_copies(struct graph *graph) {
    size_t kept = 0;
    for (size_t i = 0; i < graph->copies.count; i++) {
        const struct node *node = graph->copies.items[i].node;
        if (graph_find(graph, node->name) == node) graph->copies.items[kept++] = graph->copies.items[i];
    }
    graph->copies.count = kept;
}

struct node *graph_duplicate(struct graph *graph, struct node *before, const struct node *node) {
    struct node *copy = graph_insert(graph, before, node->kind, node->name, node->argument_count);
    copy->target = node->target;
    copy->in_torch_ops = node->in_torch_ops;
    copy->operation = node->operation;
    copy->type = node->type;
    copy->annotation = node->annotation;
    copy->location = node->location;
    copy->contracts = node->contracts;
    for (size_t i = 0; i < node->argument_count; i++) value_copy(copy, &copy->arguments[i], &node->arguments[i]);
    return copy;
}

static void put_counterpart(void *state, struct node *user, struct value *value, struct node *from) {
    struct node *const *nodes = state;
    value_set_node(user, value, nodes[from->index]);
}

const char *fusion_outcome_name(enum fusion_outcome outcome) {
    static const char *const names[] = {"fired", "beaten", "missed", "off"};
    return names[outcome];
}

struct graph *graph_copy(const struct graph *graph) {
    struct graph *copy = graph_create(graph->context);
    struct node **nodes = arena_array(graph->arena, struct node *, graph->node_limit);
    for (const struct node *node = graph->first; node; node = node->next) {
        struct node *mine = graph_insert(copy, NULL, node->kind, node->name, node->argument_count), made = *mine;
        *mine = *node;
        mine->graph = copy;
        mine->index = made.index;
        mine->arguments = made.arguments;
        mine->previous = made.previous;
        mine->next = NULL;
        mine->users = NULL;
        mine->windows = NULL;
        mine->window_count = 0;
        nodes[node->index] = mine;
        for (size_t i = 0; i < node->argument_count; i++)
            value_copy_with(mine, &mine->arguments[i], &node->arguments[i], put_counterpart, nodes);
        mine->settled = false;
    }
    copy->source = graph->source;
    copy->changed = graph->changed;
    copy->leading = graph->leading;
    copy->signature = graph->signature;
    copy->trailing = graph->trailing;
    copy->indent = graph->indent;
    copy->output_written = graph->output_written;
    copy->prints_frees = graph->prints_frees;
    copy->input_memory = graph->input_memory;
    copy->placed = graph->placed;
    return copy;
}

bool value_is_other_number(const struct value *value) {
    return value->kind == value_name && value->written.length && strchr("(-0123456789", value->written.data[0]);
}

bool value_is_complex(const struct value *value) {
    return value_is_other_number(value) && memchr(value->written.data, 'j', value->written.length);
}

bool value_as_integer(const struct value *value, int64_t *integer) {
    if (!value) return false;
    switch (value->kind) {
    case value_integer:
        *integer = value->integer;
        return true;
    case value_symint:
        return symint_is_constant(value->expression, integer);
    case value_node:
        return value->use.node->type->kind == type_integer &&
               symint_is_constant(value->use.node->type->integer, integer);
    default:
        return false;
    }
}

symint value_as_symint(struct context *context, const struct value *value) {
    if (!value) return NULL;
    switch (value->kind) {
    case value_integer:
        return symint_constant(context->symbols, value->integer);
    case value_symint:
        return value->expression;
    case value_node:
        return value->use.node->type->kind == type_integer ? value->use.node->type->integer : NULL;
    default:
        return NULL;
    }
}

static void each_use(struct value *value, void (*visit)(void *user, struct value *value), void *user) {
    if (value->kind == value_node) visit(user, value);
    if (has_items(value))
        for (size_t i = 0; i < value->list.count; i++) each_use(&value->list.items[i], visit, user);
}

void node_each_use(struct node *node, void (*visit)(void *user, struct value *value), void *user) {
    for (size_t i = 0; i < node->argument_count; i++) each_use(&node->arguments[i], visit, user);
}

/* ---- arguments by schema ---- */

const struct value *node_argument(const struct node *node, size_t schema_index) {
    const struct schema *schema = &node->operation->schema;
    if (schema_index < node->argument_count && !node->arguments[schema_index].keyword.length)
        return &node->arguments[schema_index];
    if (schema_index >= schema->argument_count) return NULL;
    for (size_t i = 0; i < node->argument_count; i++)
        if (text_equal(node->arguments[i].keyword, schema->arguments[schema_index].name)) return &node->arguments[i];
    return NULL;
}

const struct value *node_argument_named(const struct node *node, const char *name) {
    return node_argument(node, schema_find_argument(&node->operation->schema, text_of(name)));
}
