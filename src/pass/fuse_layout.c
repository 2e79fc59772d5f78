/* Replacements that lie in memory otherwise than what they replace: a rotation in place gives a window of the projection
 * where one that was spelled out gave fresh memory. */
#include "ir/effect.h"
#include "ir/infer.h"
#include "pass/fuse.h"

/* Whether strides of the node's argument decide what it computes, or who gets it could ask for them. */
static bool asks_for_strides(const struct node *node) {
    if (node->kind == node_output || node->kind == node_method || node->kind == node_operator) return true;
    if (node->kind != node_call) return false;
    const struct operation *operation = node_called_operation(node);
    if (!operation || operation->class == class_opaque) return true;
    return operation->id == operation_aten_as_strided_default ||
           operation->id == operation_aten_as_strided_scatter_default ||
           operation->id == operation_aten_sym_stride_int || operation->id == operation_aten_view_dtype;
}

static bool layout_matters(const struct node *value) {
    for (const struct value *use = value->users; use; use = use->use.next) {
        const struct node *user = use->use.user;
        if (asks_for_strides(user)) return true;
        if ((node_has_class(user, class_view) || user->kind == node_getitem || user->kind == node_rename) &&
            layout_matters(user))
            return true;
    }
    return false;
}

static bool is_contiguous(const struct graph *graph, const struct node *node) {
    return layout_contiguous(graph->context->symbols, &node->type->layout) == answer_yes;
}

static bool same_layout(const struct graph *graph, const struct node *a, const struct node *b) {
    return layout_same(graph->context->symbols, &a->type->layout, &b->type->layout) == answer_yes;
}

bool fuse_same_type(const struct graph *graph, const struct node *old, const struct node *new) {
    if (old->type->kind != type_tensor || new->type->kind != type_tensor) return old->type->kind == new->type->kind;
    if (old->type->dtype != new->type->dtype || !device_equal(old->type->device, new->type->device)) return false;
    return layout_same_sizes(graph->context->symbols, &old->type->layout, &new->type->layout) == answer_yes;
}

bool fuse_may_stand_for(struct graph *graph, const struct node *old, const struct node *new) {
    if (!fuse_same_type(graph, old, new)) return false;
    return old->type->kind != type_tensor || same_layout(graph, old, new) || !layout_matters(old) ||
           is_contiguous(graph, old);
}

regraft_status fuse_keep_layout(struct graph *graph, struct node *before, const struct node *old, struct node **new) {
    struct node *copy;
    if (old->type->kind != type_tensor || same_layout(graph, old, *new) || !layout_matters(old)) return REGRAFT_OK;
    copy =
        graph_insert_call(graph, before, operations_by_id(graph->context->operations, operation_aten_clone_default), 2);
    value_set_node(copy, &copy->arguments[0], *new);
    copy->arguments[1] = (struct value){
        .kind = value_name, .keyword = TEXT("memory_format"), .written = TEXT("torch.contiguous_format")};
    copy->location = (*new)->location;
    *new = copy;
    return infer_node(copy);
}

/* ---- types ---- */

/* A view that has to copy now is a reshape. */
static void allow_copy(struct graph *graph, struct node *node) {
    if (!node_is(node, operation_aten_view_default)) return;
    node->operation = operations_by_id(graph->context->operations, operation_aten_reshape_default);
    node->target = node->operation->target;
}

/* Whether the node's type follows from where its arguments lie. What computes chooses its strides itself. */
static bool follows_layout(const struct node *node) {
    return node_has_class(node, class_view) || node->kind == node_getitem || node->kind == node_rename ||
           node_is_functionalized_call(node) || node_has_class(node, class_update);
}

regraft_status fuse_retype_users(struct graph *graph, struct node *node, struct arena *scratch) {
    VECTOR(struct node *) list = {0};
    vector_push(scratch, &list, node);
    while (list.count) {
        const struct node *changed = list.items[--list.count];
        for (struct value *use = changed->users; use; use = use->use.next) {
            struct node *user = use->use.user;
            const struct type *type;
            if (!follows_layout(user)) continue;
            allow_copy(graph, user);
            user->settled = false;
            TRY(infer_type(user, &type));
            bool same = !type || type == user->type ||
                        (type->kind == type_tensor && user->type->kind == type_tensor &&
                         layout_same(graph->context->symbols, &type->layout, &user->type->layout) == answer_yes);
            if (same) continue;
            user->type = type;
            user->annotation = TEXT("");
            user->position.source = NULL; /* so that its new type is printed */
            vector_push(scratch, &list, user);
        }
    }
    return REGRAFT_OK;
}
