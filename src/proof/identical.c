/* Graphs that are the same, node for node: equal by what they are, whatever their operations mean. */
#include "ir/graph.h"
#include "proof/proof.h"

static bool same_value(struct symbols *symbols, const struct value *a, const struct value *b);

/* Bit for bit: 0.0 is not -0.0. */
static bool same_real(double a, double b) {
    int64_t first, second;
    memcpy(&first, &a, sizeof first);
    memcpy(&second, &b, sizeof second);
    return first == second;
}

static bool same_items(struct symbols *symbols, const struct value *a, const struct value *b) {
    if (a->list.count != b->list.count) return false;
    for (size_t i = 0; i < a->list.count; i++)
        if (!same_value(symbols, &a->list.items[i], &b->list.items[i])) return false;
    return true;
}

static bool same_value(struct symbols *symbols, const struct value *a, const struct value *b) {
    if (a->kind != b->kind || !text_equal(a->keyword, b->keyword)) return false;
    switch (a->kind) {
    case value_none:
        return true;
    case value_bool:
        return a->boolean == b->boolean;
    case value_integer:
        return a->integer == b->integer;
    case value_float:
        return same_real(a->real, b->real);
    case value_string:
        return text_equal(a->string, b->string);
    case value_node:
        return a->use.node->order == b->use.node->order;
    case value_symint:
        return symint_equal(symbols, a->expression, b->expression) == answer_yes;
    case value_dtype:
        return a->dtype == b->dtype;
    case value_device:
        return device_equal(a->device, b->device);
    case value_operator:
        return a->operation == b->operation && text_equal(a->written, b->written);
    case value_name:
        return text_equal(a->written, b->written);
    case value_list:
    case value_tuple:
    case value_dictionary:
    case value_slice:
        return same_items(symbols, a, b);
    }
    return false;
}

static bool same_type(struct symbols *symbols, const struct type *a, const struct type *b) {
    if (a == b) return true;
    if (a->kind != b->kind) return false;
    if (a->kind == type_integer) return symint_equal(symbols, a->integer, b->integer) == answer_yes;
    if (a->kind == type_tuple && a->item_count != b->item_count) return false;
    for (size_t i = 0; a->kind == type_tuple && i < a->item_count; i++)
        if (!same_type(symbols, a->items[i], b->items[i])) return false;
    return a->kind != type_tensor || (a->dtype == b->dtype && device_equal(a->device, b->device) &&
                                      layout_same(symbols, &a->layout, &b->layout) == answer_yes);
}

static bool same_node(struct symbols *symbols, const struct node *a, const struct node *b) {
    bool named = a->kind == node_placeholder && !text_equal(a->name, b->name);
    if (named || a->kind != b->kind || a->operation != b->operation || !text_equal(a->target, b->target) ||
        a->argument_count != b->argument_count || !same_type(symbols, a->type, b->type))
        return false;
    for (size_t i = 0; i < a->argument_count; i++)
        if (!same_value(symbols, &a->arguments[i], &b->arguments[i])) return false;
    return true;
}

bool graphs_identical(struct graph *a, struct graph *b) {
    const struct node *first = a->first, *second = b->first;
    graph_number(a);
    graph_number(b);
    for (; first && second; first = first->next, second = second->next)
        if (!same_node(a->context->symbols, first, second)) return false;
    return !first && !second;
}
