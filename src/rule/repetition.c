#include "rule/repetition.h"

#include "ir/effect.h"

enum { deepest = 64 }; /* operations that are looked through */

static const struct layout *layout_of(const struct node *node) {
    return node && node->type->kind == type_tensor ? &node->type->layout : NULL;
}

static struct node *argument_node(const struct node *node, size_t index) {
    return node->operation ? value_as_node(node_argument(node, index)) : NULL;
}

/* A dimension argument, counted from the front; -1 when it is not known. */
static int64_t dimension_of(const struct node *node, size_t index, size_t rank) {
    const struct value *value = node_argument(node, index);
    int64_t dimension = 0;
    if (value && !value_as_integer(value, &dimension)) return -1;
    return dimension < 0 ? dimension + (int64_t)rank : dimension;
}

static bool same_size(const struct node *node, symint a, symint b) {
    return symint_equal(node->graph->context->symbols, a, b) == answer_yes;
}

/* Copies and casts: element by element, in the same sizes. */
static bool keeps_elements(const struct node *node) {
    return node_is(node, operation_aten_clone_default) || node_is(node, operation_aten__to_copy_default) ||
           node_is(node, operation_prims_convert_element_type_default) || node_is(node, operation_aten_alias_default) ||
           node_is(node, operation_aten_contiguous_default) || node_is(node, operation_aten_to_dtype);
}

/* The value that cat or stack joins, along `dimension`, when it joins one value `count` times. */
static struct node *joined(const struct node *node, int64_t dimension, size_t count) {
    const struct layout *layout = layout_of(node);
    bool cat = node_is(node, operation_aten_cat_default), stack = node_is(node, operation_aten_stack_default);
    if (!layout || (!cat && !stack) || dimension_of(node, 1, layout->rank) != dimension) return NULL;
    const struct value *list = node_argument(node, 0);
    if ((list->kind != value_list && list->kind != value_tuple) || list->list.count != count) return NULL;
    for (size_t i = 0; i < count; i++)
        if (!value_as_node(&list->list.items[i]) || value_as_node(&list->list.items[i]) != list->list.items[0].use.node)
            return NULL;
    return list->list.items[0].use.node;
}

/* ---- the same along a whole dimension ---- */

static bool constant_along(const struct node *node, size_t dimension, int depth);

struct question {
    size_t from_end; /* the dimension, counted from the last one, 0 */
    int depth;
    bool holds;
    bool (*ask)(const struct node *node, size_t dimension, int depth);
};

static void ask_operand(void *user, struct value *value) {
    struct question *question = user;
    const struct node *operand = value->use.node;
    const struct layout *layout = layout_of(operand);
    if (operand->type->kind == type_integer || !question->holds) return;
    if (!layout || question->from_end >= layout->rank) { /* broadcast: a number, or a missing dimension */
        question->holds = layout != NULL;
        return;
    }
    size_t dimension = layout->rank - 1 - question->from_end;
    if (symint_is(layout->sizes[dimension], 1)) return;
    question->holds = question->ask(operand, dimension, question->depth);
}

static bool all_operands(const struct node *node, size_t dimension, int depth,
                         bool (*ask)(const struct node *node, size_t dimension, int depth)) {
    struct question question = {layout_of(node)->rank - 1 - dimension, depth, true, ask};
    node_each_use((struct node *)node, ask_operand, &question);
    return question.holds;
}

/* Where the dimension of a view of one dimension more or less, or of another order, is in its argument; -1: it has none. */
static int64_t dimension_before(const struct node *node, size_t dimension) {
    const struct layout *layout = layout_of(node), *source = layout_of(argument_node(node, 0));
    if (!source) return -1;
    if (node_is(node, operation_aten_unsqueeze_default)) {
        int64_t added = dimension_of(node, 1, layout->rank);
        if (added < 0 || added == (int64_t)dimension) return -1;
        return (int64_t)dimension - (added < (int64_t)dimension);
    }
    if (node_is(node, operation_aten_permute_default)) {
        const struct value *order = node_argument(node, 1);
        int64_t before;
        if (!order || order->kind != value_list || dimension >= order->list.count ||
            !value_as_integer(&order->list.items[dimension], &before))
            return -1;
        return before < 0 ? before + (int64_t)source->rank : before;
    }
    if (node_is(node, operation_aten_expand_default))
        return (int64_t)(dimension + source->rank) - (int64_t)layout->rank;
    return -1;
}

static bool constant_along(const struct node *node, size_t dimension, int depth) {
    const struct layout *layout = layout_of(node);
    if (!layout || dimension >= layout->rank || depth == deepest) return false;
    if (symint_is(layout->sizes[dimension], 1)) return true;
    if (node_is(node, operation_aten_full_default)) return true;
    if (node_is_pointwise(node)) return all_operands(node, dimension, depth + 1, constant_along);
    if (keeps_elements(node)) return constant_along(argument_node(node, 0), dimension, depth + 1);
    struct node *part = joined(node, (int64_t)dimension, 2);
    if (part) return node_is(node, operation_aten_stack_default) || symint_is(layout_of(part)->sizes[dimension], 1);
    int64_t before = dimension_before(node, dimension);
    if (node_is(node, operation_aten_expand_default)) {
        const struct layout *source = layout_of(argument_node(node, 0));
        if (before < 0 || symint_is(source->sizes[before], 1)) return true;
    }
    return before >= 0 && constant_along(argument_node(node, 0), (size_t)before, depth + 1);
}

/* ---- rows ---- */

/* For a reshape of [..., 2, n] (halves) or [..., n, 2] (pairs) to [..., 2 * n]: the dimension of the 2; else -1. */
static int64_t doubled_dimension(const struct node *node, enum repetition repetition) {
    const struct layout *layout = layout_of(node), *source = layout_of(argument_node(node, 0));
    if (!source || source->rank < 2 || !layout->rank) return -1;
    symint last = layout->sizes[layout->rank - 1], inner = source->sizes[source->rank - 1],
           outer = source->sizes[source->rank - 2];
    symint two = repetition == repetition_halves ? outer : inner;
    struct symbols *symbols = node->graph->context->symbols;
    if (!symint_is(two, 2) || !same_size(node, symint_multiply(symbols, inner, outer), last)) return -1;
    return (int64_t)source->rank - (repetition == repetition_halves ? 2 : 1);
}

static bool is_reshape(const struct node *node) {
    return node_is(node, operation_aten_reshape_default) || node_is(node, operation_aten_view_default) ||
           node_is(node, operation_aten__unsafe_view_default) || node_is(node, operation_aten_flatten_using_ints);
}

/* Whether a view has the rows of its argument, each perhaps several times. */
static bool has_rows_of_argument(const struct node *node) {
    const struct layout *layout = layout_of(node), *source = layout_of(argument_node(node, 0));
    if (!source || !source->rank || !layout->rank ||
        !same_size(node, layout->sizes[layout->rank - 1], source->sizes[source->rank - 1]))
        return false;
    if (node_is(node, operation_aten_permute_default) || node_is(node, operation_aten_expand_default) ||
        node_is(node, operation_aten_unsqueeze_default))
        return dimension_before(node, layout->rank - 1) == (int64_t)source->rank - 1;
    if (node_is(node, operation_aten_slice_Tensor) || node_is(node, operation_aten_select_int))
        return dimension_of(node, 1, source->rank) != (int64_t)source->rank - 1;
    return is_reshape(node) || node_is(node, operation_aten_squeeze_default) ||
           node_is(node, operation_aten_squeeze_dim) || node_is(node, operation_aten_squeeze_dims);
}

/* repeat(x, [1, ..., 2]), x a row as long as half of the result's */
static bool repeats_last_twice(const struct node *node) {
    int64_t count;
    if (!node_is(node, operation_aten_repeat_default)) return false;
    const struct value *counts = node_argument(node, 1);
    if (!counts || counts->kind != value_list) return false;
    for (size_t i = 0; i < counts->list.count; i++)
        if (!value_as_integer(&counts->list.items[i], &count) || count != (i + 1 == counts->list.count ? 2 : 1))
            return false;
    return layout_of(argument_node(node, 0)) && layout_of(argument_node(node, 0))->rank == counts->list.count;
}

static bool rows_halve(const struct node *node, size_t dimension, int depth);
static bool rows_pair(const struct node *node, size_t dimension, int depth);

static bool rows_do(const struct node *node, enum repetition repetition, int depth) {
    const struct layout *layout = layout_of(node);
    if (!layout || !layout->rank || depth == deepest) return false;
    size_t last = layout->rank - 1;
    if (node_is_pointwise(node))
        return all_operands(node, last, depth + 1, repetition == repetition_halves ? rows_halve : rows_pair);
    if (keeps_elements(node)) return rows_do(argument_node(node, 0), repetition, depth + 1);
    if (repetition == repetition_halves && (joined(node, (int64_t)last, 2) || repeats_last_twice(node))) return true;
    int64_t doubled = is_reshape(node) ? doubled_dimension(node, repetition) : -1;
    if (doubled >= 0 && constant_along(argument_node(node, 0), (size_t)doubled, depth + 1)) return true;
    return node_has_class(node, class_view) && has_rows_of_argument(node) &&
           rows_do(argument_node(node, 0), repetition, depth + 1);
}

static bool rows_halve(const struct node *node, size_t dimension, int depth) {
    (void)dimension;
    return rows_do(node, repetition_halves, depth);
}

static bool rows_pair(const struct node *node, size_t dimension, int depth) {
    (void)dimension;
    return rows_do(node, repetition_pairs, depth);
}

bool rows_repeat(const struct node *tensor, enum repetition repetition) { return rows_do(tensor, repetition, 0); }

/* ---- each but once ---- */

/* A tensor with the elements of `node` but for the dimension, along which it has only the first. */
static struct node *without(const struct node *node, size_t dimension) {
    for (int depth = 0; depth < deepest && layout_of(node); depth++) {
        struct node *part = joined(node, (int64_t)dimension, 2), *source = argument_node(node, 0);
        if (part) return part;
        const struct layout *before = layout_of(source);
        bool expand = node_is(node, operation_aten_expand_default) && before && before->rank == layout_of(node)->rank &&
                      symint_is(before->sizes[dimension], 1) && !symint_is(layout_of(node)->sizes[dimension], 1);
        for (size_t i = 0; expand && i < before->rank; i++)
            expand = i == dimension || same_size(node, before->sizes[i], layout_of(node)->sizes[i]);
        if (expand) return source;
        if (!node_is(node, operation_aten_clone_default) && !node_is(node, operation_aten_contiguous_default))
            return NULL;
        node = source;
    }
    return NULL;
}

struct node *rows_once(const struct node *tensor, enum repetition repetition) {
    const struct node *node = tensor;
    for (int depth = 0; depth < deepest && node && layout_of(node) && layout_of(node)->rank; depth++) {
        size_t last = layout_of(node)->rank - 1;
        if (repetition == repetition_halves && joined(node, (int64_t)last, 2)) return joined(node, (int64_t)last, 2);
        if (repetition == repetition_halves && repeats_last_twice(node)) return argument_node(node, 0);
        int64_t doubled = is_reshape(node) ? doubled_dimension(node, repetition) : -1;
        if (doubled >= 0) return without(argument_node(node, 0), (size_t)doubled);
        bool same = node_is(node, operation_aten_unsqueeze_default) || node_is(node, operation_aten_clone_default) ||
                    node_is(node, operation_aten_contiguous_default) || node_is(node, operation_aten_squeeze_dim) ||
                    node_is(node, operation_aten_squeeze_dims) || is_reshape(node);
        if (!same || (!node_is(node, operation_aten_clone_default) && !has_rows_of_argument(node) &&
                      !node_is(node, operation_aten_contiguous_default)))
            return NULL;
        node = argument_node(node, 0);
    }
    return NULL;
}
