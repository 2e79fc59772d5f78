/* Puts its definition in the place of each fused operation, so that what knows the parts (the prover, an engine
 * without the fused kernel) knows the whole. Needs inferred types; keeps what the graph computes, to the bit.
 *
 *     call = auto_functionalized(f, x = a)   becomes the definition's nodes on a; getitem i of it is result i of them
 *     call = f(a)                            the same, and copy_(a, new a) for each argument that f writes */
#include "ir/effect.h"
#include "ir/infer.h"
#include "rule/definition.h"

struct expansion {
    struct graph *graph;
    struct node *call;
    const struct operation *operation;
    const struct graph *definition;
    struct node **nodes; /* by the index of the definition's node: ours */
};

static const struct value *argument_of(const struct expansion *expansion, struct text name) {
    return node_called_argument(expansion->call, schema_find_argument(&expansion->operation->schema, name));
}

/* A parameter's argument, an integer's value, or the node that stands for the definition's. */
static void put(void *state, struct node *user, struct value *value, struct node *from) {
    const struct expansion *expansion = state;
    struct node *ours = expansion->nodes[from->index];
    if (from->kind == node_placeholder) {
        const struct value *argument = argument_of(expansion, from->name);
        if (argument) value_copy(user, value, argument);
    } else if (ours->type->kind == type_integer) {
        value_set_symint(user, value, ours->type->integer);
    } else {
        value_set_node(user, value, ours);
    }
}

static regraft_status insert_node(struct expansion *expansion, const struct node *from) {
    struct node *node = graph_insert(expansion->graph, expansion->call, from->kind, from->name, from->argument_count);
    node->target = from->target;
    node->in_torch_ops = from->in_torch_ops;
    node->operation = from->operation;
    node->location = expansion->call->location;
    for (size_t i = 0; i < from->argument_count; i++)
        value_copy_with(node, &node->arguments[i], &from->arguments[i], put, expansion);
    expansion->nodes[from->index] = node;
    return infer_node(node);
}

static void remove_integers(struct expansion *expansion) {
    for (const struct node *from = expansion->definition->last; from; from = from->previous) {
        struct node *node = expansion->nodes[from->index];
        if (node && node->type->kind == type_integer && !node->users) graph_remove(expansion->graph, node);
    }
}

/* ---- results ---- */

/* The argument that result `index` of the definition is the new value of; NULL when it is something that is returned. */
static struct node *written_argument(const struct expansion *expansion, size_t index) {
    const struct schema *schema = &expansion->operation->schema;
    size_t left = index - schema->return_count;
    if (index < schema->return_count) return NULL;
    for (size_t i = 0; i < schema->argument_count; i++)
        if (schema->arguments[i].written && left-- == 0)
            return value_as_node(argument_of(expansion, schema->arguments[i].name));
    return NULL;
}

/* `result` in the sizes of the argument whose new value it is. */
static regraft_status reshape_like(struct expansion *expansion, const struct node *argument, struct node **result) {
    struct context *context = expansion->graph->context;
    const struct layout *wanted = &argument->type->layout;
    if (argument->type->kind != type_tensor || (*result)->type->kind != type_tensor ||
        layout_same_sizes(context->symbols, wanted, &(*result)->type->layout) == answer_yes)
        return REGRAFT_OK;
    const struct operation *reshape = operations_by_id(context->operations, operation_aten_reshape_default);
    struct node *node = graph_insert_call(expansion->graph, expansion->call, reshape, 2);
    value_set_node(node, &node->arguments[0], *result);
    struct value *sizes = value_set_list(node, &node->arguments[1], value_list, wanted->rank);
    for (size_t i = 0; i < wanted->rank; i++) value_set_symint(node, &sizes[i], wanted->sizes[i]);
    node->location = expansion->call->location;
    *result = node;
    return infer_node(node);
}

static regraft_status write_back(struct expansion *expansion, struct node *argument, struct node *result) {
    const struct operations *operations = expansion->graph->context->operations;
    struct node *node = graph_insert_call(expansion->graph, expansion->call,
                                          operations_by_id(operations, operation_aten_copy__default), 2);
    value_set_node(node, &node->arguments[0], argument);
    value_set_node(node, &node->arguments[1], result);
    node->location = expansion->call->location;
    return infer_node(node);
}

/* Lets the users of item `index` of the call, or of the call itself when it returns but one thing, use `result`. */
static void forward(struct expansion *expansion, size_t index, struct node *result) {
    struct node *call = expansion->call;
    bool raw = !node_is_functionalized_call(call), whole = raw && expansion->operation->schema.return_count == 1;
    if (whole && index == 0) graph_replace(call, result);
    size_t item = raw || expansion->operation->schema.return_count ? index : index + 1; /* item 0 is None */
    for (struct value *use = call->users, *next; use && !whole; use = next) {
        struct node *getitem = use->use.user;
        next = use->use.next;
        if (getitem->arguments[1].integer != (int64_t)item) continue;
        graph_replace(getitem, result);
        graph_remove(expansion->graph, getitem);
    }
}

static regraft_status put_result(struct expansion *expansion, size_t index, const struct value *from) {
    struct node *result = expansion->nodes[from->use.node->index], *argument = written_argument(expansion, index);
    if (argument) TRY(reshape_like(expansion, argument, &result));
    if (argument && !node_is_functionalized_call(expansion->call)) return write_back(expansion, argument, result);
    forward(expansion, index, result);
    return REGRAFT_OK;
}

/* ---- calls ---- */

/* Whether each use takes one item: getitem with a literal, or the only thing that a raw call returns. */
static bool used_by_items(const struct node *call, const struct operation *operation) {
    return (!node_is_functionalized_call(call) && operation->schema.return_count == 1) || node_is_used_by_items(call);
}

static regraft_status expand_call(struct expansion *expansion, struct arena *scratch) {
    const struct value *results = &expansion->definition->last->arguments[0];
    expansion->nodes = arena_array(scratch, struct node *, expansion->definition->node_limit);
    for (const struct node *from = expansion->definition->first; from; from = from->next)
        if (from->kind != node_placeholder && from->kind != node_output) TRY(insert_node(expansion, from));
    for (size_t i = 0; i < results->list.count; i++) TRY(put_result(expansion, i, &results->list.items[i]));
    remove_integers(expansion);
    graph_remark(expansion->graph, expansion->call, true, "%s is put down as what it is made of",
                 expansion->operation->target.data);
    for (struct value *use = expansion->call->users; use; use = expansion->call->users)
        graph_remove(expansion->graph, use->use.user); /* items that nobody uses */
    graph_remove(expansion->graph, expansion->call);
    return REGRAFT_OK;
}

static regraft_status find_definition(struct definitions *definitions, const struct node *node,
                                      struct graph **definition) {
    const struct operation *operation = node_called_operation(node);
    *definition = NULL;
    if (!operation || operation->id == operation_unknown || !used_by_items(node, operation) ||
        node_is(node, operation_higher_order_auto_functionalized_v2))
        return REGRAFT_OK;
    return definitions_find(definitions, operation, definition);
}

regraft_status definitions_expand(struct graph *graph, size_t *count) {
    struct arena *scratch = arena_child(graph->arena);
    struct definitions *definitions;
    regraft_status status = definitions_open(graph->context, &definitions);
    *count = 0;
    for (struct node *node = graph->first, *next; node && status == REGRAFT_OK; node = next) {
        struct expansion expansion = {.graph = graph, .call = node, .operation = node_called_operation(node)};
        struct graph *definition;
        next = node->next;
        status = find_definition(definitions, node, &definition);
        if (status != REGRAFT_OK || !definition) continue;
        while (next && next->kind == node_getitem && value_as_node(&next->arguments[0]) == node) next = next->next;
        expansion.definition = definition;
        status = expand_call(&expansion, scratch);
        ++*count;
    }
    arena_destroy(scratch);
    return status;
}
