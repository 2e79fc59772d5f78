/* The verifier: rules that hold before the first pass and after each one. */
#include "ir/verify.h"

#include "ir/infer.h"

static regraft_status broken(const struct node *node, const char *what, const char *expected) {
    return fail(&node->graph->context->diagnostics, REGRAFT_REJECTED, node->position, "%.*s %s; %s",
                TEXT_ARGS(node->name), what, expected);
}

struct check {
    struct node *node;
    regraft_status status;
};

static void check_use(void *user, struct value *value) {
    struct check *check = user;
    struct node *used = value->use.node;
    if (check->status != REGRAFT_OK) return;
    if (value->use.user != check->node || *value->use.link != value)
        check->status =
            broken(check->node, "has an argument outside of the lists of users", "passes must use value_set_node");
    else if (used->order >= check->node->order || (used->next ? used->next->previous : used->graph->last) != used)
        check->status = broken(check->node,
                               text_format(used->graph->arena, "uses %.*s before it is defined", TEXT_ARGS(used->name)),
                               "definitions stand before uses");
}

static regraft_status check_shape(const struct node *node) {
    if (!node->settled && graph_find(node->graph, node->name) != node)
        return broken(node, "has a name that another statement has", "names are unique");
    if (node->previous && node->piece < node->previous->piece)
        return broken(node, "belongs to a piece before that of the statement above it", "pieces do not interleave");
    if (node->kind == node_placeholder && node->previous && node->previous->kind != node_placeholder)
        return broken(node, "is an input behind other statements", "inputs stand first");
    if ((node->kind == node_output) != (node->next == NULL))
        return broken(node, "is the last statement", "a graph ends with one return");
    if (node->kind == node_output && node->users) return broken(node, "is used", "nothing uses the output");
    return REGRAFT_OK;
}

regraft_status graph_verify(struct graph *graph) {
    struct position nowhere = {graph->source, 0, 0};
    if (!graph->last || graph->last->kind != node_output)
        return fail(&graph->context->diagnostics, REGRAFT_REJECTED, nowhere,
                    "the graph has no return statement at its end");
    graph_number(graph);
    for (struct node *node = graph->first; node; node = node->next) {
        struct check check = {node, REGRAFT_OK};
        node_each_use(node, check_use, &check);
        TRY(check.status);
        TRY(check_shape(node));
        if (!node->settled) TRY(infer_node(node));
    }
    return REGRAFT_OK;
}
