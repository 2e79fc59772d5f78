/* Views and updates by construction. */
#include "pass/window.h"

static symint constant(const struct graph *graph, int64_t value) {
    return symint_constant(graph->context->symbols, value);
}

/* The input that carries a symbolic size, as PyTorch writes it; NULL when there is none. */
static struct node *find_integer(const struct graph *graph, symint integer) {
    for (struct node *node = graph->first; node && node->kind == node_placeholder; node = node->next)
        if (node->type->kind == type_integer && node->type->integer == integer) return node;
    return NULL;
}

bool window_can_write(const struct graph *graph, symint integer) {
    int64_t number;
    return symint_is_constant(integer, &number) || find_integer(graph, integer);
}

void window_write(struct graph *graph, struct node *user, struct value *value, symint integer) {
    int64_t number;
    struct node *node = symint_is_constant(integer, &number) ? NULL : find_integer(graph, integer);
    if (node)
        value_set_node(user, value, node);
    else
        value_set_symint(user, value, integer);
}

static struct node *insert_on(struct graph *graph, struct node *before, enum operation_id id, struct node *input,
                              size_t argument_count) {
    struct node *node =
        graph_insert_call(graph, before, operations_by_id(graph->context->operations, id), argument_count);
    value_set_node(node, &node->arguments[0], input);
    node->location = before ? before->location : input->location;
    return node;
}

regraft_status insert_view(struct graph *graph, struct node *before, enum operation_id id, struct node *input,
                           const symint *integers, size_t count, struct node **result) {
    *result = insert_on(graph, before, id, input, 1 + count);
    for (size_t i = 0; i < count; i++) window_write(graph, *result, &(*result)->arguments[1 + i], integers[i]);
    return infer_node(*result);
}

static regraft_status insert_list_view(struct graph *graph, struct node *before, enum operation_id id,
                                       struct node *input, const symint *items, size_t count, struct node **result) {
    *result = insert_on(graph, before, id, input, 2);
    struct value *list = value_set_list(*result, &(*result)->arguments[1], value_list, count);
    for (size_t i = 0; i < count; i++) window_write(graph, *result, &list[i], items[i]);
    return infer_node(*result);
}

regraft_status insert_as_strided(struct graph *graph, struct node *before, struct node *input,
                                 const struct layout *layout, symint offset, struct node **result) {
    const symint *const lists[] = {layout->sizes, layout->strides};
    *result = insert_on(graph, before, operation_aten_as_strided_default, input, offset ? 4 : 3);
    for (size_t i = 0; i < 2; i++) {
        struct value *items = value_set_list(*result, &(*result)->arguments[i + 1], value_list, layout->rank);
        for (size_t d = 0; d < layout->rank; d++) window_write(graph, *result, &items[d], lists[i][d]);
    }
    if (offset) window_write(graph, *result, &(*result)->arguments[3], offset);
    return infer_node(*result);
}

/* One size of a reshape may be left to PyTorch, as -1. */
static bool can_write_shape(const struct graph *graph, const symint *sizes, size_t rank) {
    size_t open = 0;
    for (size_t i = 0; i < rank; i++) open += !window_can_write(graph, sizes[i]);
    return open <= 1;
}

regraft_status insert_reshape(struct graph *graph, struct node *before, struct node *input, const symint *sizes,
                              size_t rank, struct node **result) {
    symint *shape = arena_copy(graph->arena, sizes, rank * sizeof *sizes);
    for (size_t i = 0; i < rank; i++)
        if (!window_can_write(graph, sizes[i])) shape[i] = constant(graph, -1);
    return insert_list_view(graph, before, operation_aten_reshape_default, input, shape, rank, result);
}

static void chain_add(struct view_chain *chain, struct node *node) { chain->nodes[chain->count++] = node; }

/* Whether nothing is left out along a dimension of `fine`. */
static bool is_whole(const struct graph *graph, const struct place_relation *relation, const struct layout *inner,
                     size_t i) {
    symint size = inner->sizes[relation->dimension[i]];
    return relation->step[i] == 1 && symint_equal(graph->context->symbols, size, relation->fine.sizes[i]) == answer_yes;
}

static symint slice_end(const struct graph *graph, const struct place_relation *relation, const struct layout *inner,
                        size_t i) {
    struct symbols *symbols = graph->context->symbols;
    symint last = symint_subtract(symbols, inner->sizes[relation->dimension[i]], constant(graph, 1));
    last = symint_multiply(symbols, last, constant(graph, relation->step[i]));
    return symint_add(symbols, symint_add(symbols, relation->start[i], last), constant(graph, 1));
}

static regraft_status add_slices(struct graph *graph, struct node *before, const struct place_relation *relation,
                                 const struct layout *inner, struct view_chain *chain) {
    for (size_t i = 0; i < relation->fine.rank; i++) {
        if (relation->dimension[i] == place_selected || is_whole(graph, relation, inner, i)) continue;
        symint integers[] = {constant(graph, (int64_t)i), relation->start[i], slice_end(graph, relation, inner, i),
                             constant(graph, relation->step[i])};
        struct node *node;
        TRY(insert_view(graph, before, operation_aten_slice_Tensor, chain_result(chain), integers,
                        relation->step[i] == 1 ? 3 : 4, &node));
        chain_add(chain, node);
    }
    return REGRAFT_OK;
}

/* Drops the dimensions along which nothing runs; afterwards order[i] is the dimension of `inner` that dimension i is. */
static regraft_status add_selects(struct graph *graph, struct node *before, const struct place_relation *relation,
                                  struct view_chain *chain, size_t *order, size_t *rank) {
    for (size_t i = relation->fine.rank; i-- > 0;) {
        if (relation->dimension[i] != place_selected) continue;
        symint integers[] = {constant(graph, (int64_t)i), relation->start[i]};
        struct node *node;
        TRY(insert_view(graph, before, operation_aten_select_int, chain_result(chain), integers, 2, &node));
        chain_add(chain, node);
    }
    *rank = 0;
    for (size_t i = 0; i < relation->fine.rank; i++)
        if (relation->dimension[i] != place_selected) order[(*rank)++] = (size_t)relation->dimension[i];
    return REGRAFT_OK;
}

static regraft_status add_permute(struct graph *graph, struct node *before, const size_t *order, size_t rank,
                                  struct view_chain *chain) {
    symint dimensions[place_most_dimensions];
    bool sorted = true;
    size_t count = 0;
    for (size_t i = 1; i < rank; i++) sorted = sorted && order[i - 1] < order[i];
    if (sorted) return REGRAFT_OK;
    for (size_t wanted = 0; wanted < place_most_dimensions; wanted++)
        for (size_t i = 0; i < rank; i++)
            if (order[i] == wanted) dimensions[count++] = constant(graph, (int64_t)i);
    struct node *node;
    TRY(insert_list_view(graph, before, operation_aten_permute_default, chain_result(chain), dimensions, count, &node));
    chain_add(chain, node);
    return REGRAFT_OK;
}

/* The dimensions of size 1 of `inner`, which run along nothing. */
static regraft_status add_unsqueezes(struct graph *graph, struct node *before, const struct layout *inner,
                                     const size_t *order, size_t rank, struct view_chain *chain) {
    bool there[place_most_dimensions] = {false};
    for (size_t i = 0; i < rank; i++) there[order[i]] = true;
    for (size_t d = 0; d < inner->rank; d++) {
        if (there[d]) continue;
        symint dimension = constant(graph, (int64_t)d);
        struct node *node;
        TRY(insert_view(graph, before, operation_aten_unsqueeze_default, chain_result(chain), &dimension, 1, &node));
        chain_add(chain, node);
    }
    return REGRAFT_OK;
}

/* Whether all sizes and bounds have a spelling: numbers, or symbols that are inputs. */
static bool can_write_all(const struct graph *graph, const struct place_relation *relation, const struct layout *outer,
                          const struct layout *inner) {
    bool there = can_write_shape(graph, relation->fine.sizes, relation->fine.rank),
         back = can_write_shape(graph, outer->sizes, outer->rank);
    if (relation->refined && !(there && back)) return false;
    for (size_t i = 0; i < relation->fine.rank; i++) {
        if (!window_can_write(graph, relation->start[i])) return false;
        if (relation->dimension[i] == place_selected || is_whole(graph, relation, inner, i)) continue;
        if (!window_can_write(graph, slice_end(graph, relation, inner, i))) return false;
    }
    return true;
}

regraft_status window_take(struct graph *graph, struct node *before, struct node *value,
                           const struct window_place *outer, const struct window_place *inner, struct view_chain *chain,
                           bool *found) {
    struct place_relation relation;
    size_t order[place_most_dimensions], rank;
    chain->count = 0;
    chain_add(chain, value);
    *found = places_identical(graph->context, outer, inner) == answer_yes;
    if (*found) return REGRAFT_OK;
    *found = place_relate(graph->context, outer, inner, &relation) &&
             can_write_all(graph, &relation, &outer->layout, &inner->layout);
    if (!*found) return REGRAFT_OK;
    if (relation.refined) {
        struct node *node;
        TRY(insert_reshape(graph, before, value, relation.fine.sizes, relation.fine.rank, &node));
        chain_add(chain, node);
    }
    TRY(add_slices(graph, before, &relation, &inner->layout, chain));
    TRY(add_selects(graph, before, &relation, chain, order, &rank));
    TRY(add_permute(graph, before, order, rank, chain));
    return add_unsqueezes(graph, before, &inner->layout, order, rank, chain);
}

/* ---- putting back ---- */

/* slice -> slice_scatter, select -> select_scatter, as_strided -> as_strided_scatter: the view's own arguments after `src`. */
static regraft_status put_scatter(struct graph *graph, struct node *before, enum operation_id id,
                                  const struct node *view, struct node *part, struct node **result) {
    struct node *node = insert_on(graph, before, id, value_as_node(&view->arguments[0]), view->argument_count + 1);
    value_set_node(node, &node->arguments[1], part);
    for (size_t i = 1; i < view->argument_count; i++) value_copy(node, &node->arguments[i + 1], &view->arguments[i]);
    *result = node;
    return infer_node(node);
}

static regraft_status put_permute(struct graph *graph, struct node *before, const struct node *view, struct node *part,
                                  struct node **result) {
    const struct value *list = &view->arguments[1];
    symint inverse[place_most_dimensions];
    for (size_t i = 0; i < list->list.count; i++) {
        int64_t dimension = 0;
        value_as_integer(&list->list.items[i], &dimension);
        inverse[dimension] = constant(graph, (int64_t)i);
    }
    return insert_list_view(graph, before, operation_aten_permute_default, part, inverse, list->list.count, result);
}

static regraft_status put_one(struct graph *graph, struct node *before, const struct node *view, struct node *part,
                              struct node **result) {
    const struct layout *whole = &value_as_node(&view->arguments[0])->type->layout;
    switch (view->operation->id) {
    case operation_aten_slice_Tensor:
        return put_scatter(graph, before, operation_aten_slice_scatter_default, view, part, result);
    case operation_aten_select_int:
        return put_scatter(graph, before, operation_aten_select_scatter_default, view, part, result);
    case operation_aten_as_strided_default:
        return put_scatter(graph, before, operation_aten_as_strided_scatter_default, view, part, result);
    case operation_aten_permute_default:
        return put_permute(graph, before, view, part, result);
    case operation_aten_unsqueeze_default: {
        symint dimension = value_as_symint(graph->context, &view->arguments[1]);
        return insert_view(graph, before, operation_aten_squeeze_dim, part, &dimension, 1, result);
    }
    case operation_aten_reshape_default:
        return insert_reshape(graph, before, part, whole->sizes, whole->rank, result);
    default:
        return fail(&graph->context->diagnostics, REGRAFT_INTERNAL, (struct position){0}, "no update for the view %s",
                    view->operation->target.data);
    }
}

regraft_status window_put(struct graph *graph, struct node *before, const struct view_chain *chain, struct node *part,
                          struct node **result) {
    *result = part;
    for (size_t i = chain->count; i-- > 1;) TRY(put_one(graph, before, chain->nodes[i], *result, result));
    return REGRAFT_OK;
}
