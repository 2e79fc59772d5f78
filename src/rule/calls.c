/* Calls as statements see them: returns first, then written arguments, plain or functionalised. */
#include "ir/effect.h"
#include "rule/matching.h"

int64_t item_of_result(const struct operation *operation, size_t result) {
    size_t returns = operation->schema.return_count;
    if (operation_writes(operation)) return (int64_t)result + (returns ? 0 : 1);
    return returns == 1 ? -1 : (int64_t)result;
}

struct node *call_result(const struct node *call, const struct operation *operation, size_t result) {
    int64_t item = item_of_result(operation, result);
    if (item < 0) return (struct node *)call;
    for (const struct value *use = call->users; use; use = use->use.next)
        if (use->use.user->kind == node_getitem && use->use.user->arguments[1].integer == item) return use->use.user;
    return NULL;
}

struct node *call_of_result(const struct rule_statement *statement, size_t result, struct node *node) {
    int64_t item = item_of_result(statement->operation, result);
    struct node *call = item < 0 ? node : node->kind == node_getitem ? value_as_node(&node->arguments[0]) : NULL;
    if (!call || call->kind != node_call || (item >= 0 && node->arguments[1].integer != item)) return NULL;
    if (!operation_writes(statement->operation))
        return is_spelling(statement->operation, call->operation) ? call : NULL;
    bool functionalized = node_is(call, operation_higher_order_auto_functionalized);
    return functionalized && node_called_operation(call) == statement->operation ? call : NULL;
}

bool call_goes(const struct node *call) { return node_is_functionalized_call(call) || node_has_effect(call); }

bool same_value(const struct node *a, const struct node *b) {
    if (a == b) return true;
    return a->kind == node_getitem && b->kind == node_getitem && value_as_node(&a->arguments[0]) &&
           value_as_node(&a->arguments[0]) == value_as_node(&b->arguments[0]) &&
           a->arguments[1].integer == b->arguments[1].integer;
}

const char *what_is(struct arena *arena, const struct node *node) {
    const struct node *source = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : node;
    if (!source) return "something else";
    if (source->kind == node_placeholder) return "an input of the graph, which was cut there";
    const struct operation *called = node_called_operation(source);
    struct text target = called ? called->target : source->target;
    bool raw = called && operation_writes(called) && !node_is_functionalized_call(source);
    return text_format(arena, "%s%.*s", raw ? "an in-place call of " : "", TEXT_ARGS(target));
}

struct node *view_source(const struct node *node) {
    const struct node *call = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : node;
    if (node->kind == node_rename) return value_as_node(&node->arguments[0]);
    if (!call || call->kind != node_call || !call->operation || call->operation->class != class_view) return NULL;
    return value_as_node(node_argument(call, 0));
}

struct node *same_elements_source(const struct node *node) {
    if (node->kind == node_rename) return value_as_node(&node->arguments[0]);
    if (node->kind != node_call || !node->operation) return NULL;
    switch (node->operation->id) {
    case operation_aten_reshape_default:
    case operation_aten_view_default:
    case operation_aten__unsafe_view_default:
    case operation_aten_flatten_using_ints:
    case operation_aten_unflatten_int:
    case operation_aten_squeeze_default:
    case operation_aten_squeeze_dim:
    case operation_aten_squeeze_dims:
    case operation_aten_unsqueeze_default:
    case operation_aten_alias_default:
    case operation_aten_detach_default:
    case operation_aten_contiguous_default:
    case operation_aten_clone_default:
        return value_as_node(node_argument(node, 0));
    default:
        return NULL;
    }
}
