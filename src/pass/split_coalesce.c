/* split-coalesce: equal splits of one tensor become one split, and slices that are pieces of a split become its items.
 *
 * Equal means: the same tensor, the same dimension and the same piece sizes. Slices that together cover a dimension without
 * gap or overlap become a split of their own. All of these are views, timeless windows onto the same memory, so merging
 * them is legal whatever is written in between. */
#include "ir/view.h"
#include "pass/pass.h"

/* One piece of a dimension: [start, start + size). */
struct piece {
    symint start, size;
    struct node *slice; /* the slice that it is; NULL for a piece of a split */
};

typedef VECTOR(struct node *) node_list;
typedef VECTOR(struct piece) piece_list;

/* All splits and unit-step slices of one tensor along one dimension, in program order. */
struct group {
    const struct type *tensor; /* the tensor's type; the tensor itself may have become an item of another split */
    int64_t dimension;
    node_list splits; /* no two with the same sizes */
    piece_list slices;
};

struct coalescing {
    struct graph *graph;
    struct arena *scratch;
    struct map *groups; /* (tensor, dimension) */
    VECTOR(struct group *) list;
};

static bool is_split(const struct node *node) {
    return node_is(node, operation_aten_split_with_sizes_default) || node_is(node, operation_aten_split_Tensor) ||
           node_is(node, operation_aten_split_sizes) || node_is(node, operation_aten_chunk_default);
}

/* The dimension argument, made positive; -1 when it is not known. */
static int64_t dimension_of(const struct node *node, const struct node *tensor) {
    int64_t dimension = 0, rank = (int64_t)tensor->type->layout.rank;
    const struct value *value = node_argument_named(node, "dim");
    if (value && value->kind != value_none && !value_as_integer(value, &dimension)) return -1;
    if (dimension < 0) dimension += rank;
    return dimension < rank ? dimension : -1;
}

static struct group *group_of(struct coalescing *coalescing, struct node *tensor, int64_t dimension) {
    int64_t key[2] = {tensor->index, dimension};
    void **slot = map_slot(coalescing->groups, key, sizeof key);
    if (!*slot) {
        struct group *group = arena_new(coalescing->scratch, struct group);
        *group = (struct group){.tensor = tensor->type, .dimension = dimension};
        vector_push(coalescing->scratch, &coalescing->list, group);
        *slot = group;
    }
    return *slot;
}

static symint piece_size(const struct node *split, size_t index, int64_t dimension) {
    return split->type->items[index]->layout.sizes[dimension];
}

static bool same_pieces(struct symbols *symbols, const struct node *a, const struct node *b, int64_t dimension) {
    if (a->type->item_count != b->type->item_count) return false;
    for (size_t i = 0; i < a->type->item_count; i++)
        if (symint_equal(symbols, piece_size(a, i, dimension), piece_size(b, i, dimension)) != answer_yes) return false;
    return true;
}

/* The getitem node of a piece, moved up to stand before `reader` where it must; NULL when there is none. */
static struct node *existing_item(struct graph *graph, struct node *split, int64_t index, const struct node *reader) {
    for (struct value *use = split->users; use; use = use->use.next) {
        struct node *item = use->use.user;
        if (item->kind != node_getitem || item->arguments[1].integer != index) continue;
        if (item->order > reader->order) {
            graph_move(graph, item, split->next);
            item->order = split->order;
            item->location = split->location;
        }
        return item;
    }
    return NULL;
}

static void merge_split(struct coalescing *coalescing, struct node *first, struct node *second) {
    struct graph *graph = coalescing->graph;
    while (second->users) {
        struct node *item = second->users->use.user,
                    *same = existing_item(graph, first, item->arguments[1].integer, item);
        if (same) {
            graph_replace(item, same);
            graph_remove(graph, item);
        } else {
            value_set_node(item, &item->arguments[0], first);
        }
    }
    graph_remark(graph, second, true, "merged with %.*s: the same pieces of the same dimension of %.*s",
                 TEXT_ARGS(first->name), TEXT_ARGS(value_as_node(&first->arguments[0])->name));
    graph_remove(graph, second);
}

static void visit_split(struct coalescing *coalescing, struct node *node) {
    struct node *tensor = value_as_node(node_argument(node, 0));
    if (!tensor || tensor->type->kind != type_tensor || node->type->kind != type_tuple) return;
    int64_t dimension = dimension_of(node, tensor);
    if (dimension < 0) return;
    struct group *group = group_of(coalescing, tensor, dimension);
    for (size_t i = 0; i < group->splits.count; i++)
        if (same_pieces(coalescing->graph->context->symbols, group->splits.items[i], node, dimension)) {
            if (node_is_used_by_items(node)) merge_split(coalescing, group->splits.items[i], node);
            return;
        }
    vector_push(coalescing->scratch, &group->splits, node);
}

/* The start of a slice within its dimension, from its place. */
static bool slice_piece(struct graph *graph, struct node *node, struct node *tensor, int64_t dimension,
                        struct piece *piece) {
    struct inference inference = {graph->context, node, node->operation, NULL};
    const struct layout *layout = &tensor->type->layout;
    struct layout plain = *layout; /* strides 1 there and 0 elsewhere: then the offset is the start */
    int64_t step = 1;
    struct window *windows;
    size_t count;
    if (!inference_integer(&inference, "step", 1, &step) || step != 1) return false;
    symint *strides = arena_array(graph->arena, symint, layout->rank);
    for (size_t i = 0; i < layout->rank; i++)
        strides[i] = symint_constant(graph->context->symbols, (int64_t)i == dimension);
    plain.strides = strides;
    if (view_windows(&inference, &plain, &windows, &count) != REGRAFT_OK || count != 1) return false;
    *piece = (struct piece){windows[0].offset, windows[0].layout.sizes[dimension], node};
    return true;
}

static void visit_slice(struct coalescing *coalescing, struct node *node) {
    struct node *tensor = value_as_node(node_argument(node, 0));
    struct piece piece;
    if (!tensor || tensor->type->kind != type_tensor) return;
    int64_t dimension = dimension_of(node, tensor);
    if (dimension < 0 || !slice_piece(coalescing->graph, node, tensor, dimension, &piece)) return;
    vector_push(coalescing->scratch, &group_of(coalescing, tensor, dimension)->slices, piece);
}

/* ---- slices as items ---- */

static void replace_slice(struct graph *graph, struct node *slice, struct node *split, int64_t index) {
    struct node *item = existing_item(graph, split, index, slice);
    if (!item) {
        item = graph_insert_getitem(graph, slice, split, index);
        item->location = slice->location;
        item->order = slice->order;
    }
    graph_remark(graph, slice, true, "is piece %lld of %.*s", (long long)index, TEXT_ARGS(split->name));
    graph_replace(slice, item);
    graph_remove(graph, slice);
}

/* The index of the piece of a split that a slice is, or -1. */
static int64_t find_piece(struct symbols *symbols, const struct node *split, int64_t dimension,
                          const struct piece *piece) {
    symint start = symint_constant(symbols, 0);
    for (size_t i = 0; i < split->type->item_count; i++) {
        symint size = piece_size(split, i, dimension);
        if (symint_equal(symbols, start, piece->start) == answer_yes &&
            symint_equal(symbols, size, piece->size) == answer_yes)
            return (int64_t)i;
        start = symint_add(symbols, start, size);
    }
    return -1;
}

static bool is_piece_of_split(struct coalescing *coalescing, struct group *group, const struct piece *piece) {
    for (size_t i = 0; i < group->splits.count; i++) {
        struct node *split = group->splits.items[i];
        int64_t index = split->order < piece->slice->order
                            ? find_piece(coalescing->graph->context->symbols, split, group->dimension, piece)
                            : -1;
        if (index < 0) continue;
        replace_slice(coalescing->graph, piece->slice, split, index);
        return true;
    }
    return false;
}

enum { most_tiles = 64 }; /* beyond it slices are not looked at: tiling takes time in the square of their number */

/* Orders the slices so that each starts where the one before ends, from 0 to the end of the dimension; equal slices count
 * once. 0 when they do not tile the dimension. */
static size_t tile(struct symbols *symbols, const struct group *group, const piece_list *slices, symint *sizes) {
    symint start = symint_constant(symbols, 0), end = group->tensor->layout.sizes[group->dimension];
    size_t count = 0;
    for (bool found = true; found && symint_equal(symbols, start, end) != answer_yes;) {
        found = false;
        for (size_t i = 0; i < slices->count && !found; i++) {
            const struct piece *piece = &slices->items[i];
            found = symint_equal(symbols, piece->start, start) == answer_yes &&
                    symint_less(symbols, symint_constant(symbols, 0), piece->size) == answer_yes;
            if (found) sizes[count++] = piece->size;
            if (found) start = symint_add(symbols, start, piece->size);
        }
        if (count > slices->count) return 0;
    }
    if (symint_equal(symbols, start, end) != answer_yes || count < 2) return 0;
    for (size_t i = 0; i < slices->count; i++) { /* all of them must be tiles */
        symint at = symint_constant(symbols, 0);
        bool is_tile = false;
        for (size_t k = 0; k < count && !is_tile; k++) {
            is_tile = symint_equal(symbols, slices->items[i].start, at) == answer_yes &&
                      symint_equal(symbols, slices->items[i].size, sizes[k]) == answer_yes;
            at = symint_add(symbols, at, sizes[k]);
        }
        if (!is_tile) return 0;
    }
    return count;
}

static regraft_status make_split(struct coalescing *coalescing, struct group *group, const piece_list *slices) {
    struct graph *graph = coalescing->graph;
    symint *sizes = arena_array(coalescing->scratch, symint, slices->count + 1);
    size_t count = tile(graph->context->symbols, group, slices, sizes);
    int64_t number;
    if (!count) return REGRAFT_OK;
    for (size_t i = 0; i < count; i++)
        if (!symint_is_constant(sizes[i], &number)) return REGRAFT_OK; /* it would need a node for the size */
    struct node *first = slices->items[0].slice, *split;
    const struct operation *operation =
        operations_by_id(graph->context->operations, operation_aten_split_with_sizes_default);
    split = graph_insert_call(graph, first, operation, 3);
    value_set_node(split, &split->arguments[0], value_as_node(node_argument(first, 0)));
    struct value *list = value_set_list(split, &split->arguments[1], value_list, count);
    for (size_t i = 0; i < count; i++) value_set_symint(split, &list[i], sizes[i]);
    value_set_integer(split, &split->arguments[2], group->dimension);
    split->location = first->location;
    split->order = first->order;
    TRY(infer_node(split));
    for (size_t i = 0; i < slices->count; i++) {
        int64_t index = find_piece(graph->context->symbols, split, group->dimension, &slices->items[i]);
        if (index >= 0) replace_slice(graph, slices->items[i].slice, split, index);
    }
    return REGRAFT_OK;
}

static regraft_status coalesce_slices(struct coalescing *coalescing, struct group *group) {
    piece_list left = {0};
    if (group->slices.count > most_tiles) return REGRAFT_OK;
    for (size_t i = 0; i < group->slices.count; i++)
        if (!is_piece_of_split(coalescing, group, &group->slices.items[i]))
            vector_push(coalescing->scratch, &left, group->slices.items[i]);
    return left.count > 1 ? make_split(coalescing, group, &left) : REGRAFT_OK;
}

regraft_status pass_split_coalesce(struct graph *graph, struct arena *scratch) {
    struct coalescing coalescing = {.graph = graph, .scratch = scratch, .groups = map_create(scratch)};
    graph_number(graph);
    for (struct node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (is_split(node))
            visit_split(&coalescing, node);
        else if (node_is(node, operation_aten_slice_Tensor))
            visit_slice(&coalescing, node);
    }
    for (size_t i = 0; i < coalescing.list.count; i++) TRY(coalesce_slices(&coalescing, coalescing.list.items[i]));
    return REGRAFT_OK;
}
