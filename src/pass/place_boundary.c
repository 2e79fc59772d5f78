/* Cuts that only whole buffers may cross (partition{boundary=owned}): what is a window onto a part is copied before the cut. */
#include "ir/piece.h"
#include "pass/placing.h"

/* The first node behind the piece. */
static struct node *first_behind(struct graph *graph, uint32_t piece) {
    struct node *node = graph->first;
    while (node->kind == node_placeholder || node->piece <= piece) node = node->next;
    return node;
}

static const struct node *read_by_numbers(struct placing *placing, const struct node *root) {
    for (const struct node *node = placing->graph->first; node; node = node->next) {
        const struct place *place = memory_place(placing->memory, node);
        if (place->root == root && place->by_numbers) return node;
    }
    return NULL;
}

/* Why those behind the cut cannot read a copy: what is written into the buffer later would not reach it, or it would not
 * reach the buffer. */
static const char *cannot_copy(struct placing *placing, const struct crossing *crossing, const struct node *behind) {
    struct arena *arena = placing->graph->arena;
    const struct node *value = crossing->value, *root = crossing->buffer;
    if (!memory_place(placing->memory, value)->exact) return "its place in memory is not known";
    if (memory_written_between(placing->memory, root, behind->order - 1, memory_last_read(placing->memory, value)))
        return text_format(arena, "%.*s is written behind the cut", TEXT_ARGS(root->name));
    if (read_by_numbers(placing, root))
        return text_format(arena, "as_strided reads %.*s by the numbers of its storage", TEXT_ARGS(root->name));
    return placing_can_copy(placing, value) ? NULL : "a copy with its strides cannot be written down";
}

static void read_copy_behind(struct node *value, struct node *copy, uint32_t piece) {
    for (struct value *use = value->users, *next; use; use = next) {
        struct node *user = use->use.user;
        next = use->use.next;
        if (user->piece > piece && user->kind != node_output) value_set_node(user, use, copy);
    }
}

static regraft_status own(struct placing *placing, const struct crossing *crossing) {
    struct graph *graph = placing->graph;
    struct node *value = crossing->value, *behind = first_behind(graph, value->piece), *before = behind->previous,
                *copy;
    const char *reason = cannot_copy(placing, crossing, behind);
    const char *what = text_format(graph->arena, "%.*s crosses the cut before piece %u and is only a part of %.*s",
                                   TEXT_ARGS(value->name), behind->piece, TEXT_ARGS(crossing->buffer->name));
    if (reason) {
        graph_remark(graph, value, false, "%s: not copied, for %s", what, reason);
        return REGRAFT_OK;
    }
    TRY(placing_copy(placing, behind, value, text_format(graph->arena, "%s; boundary=owned", what), &copy));
    graph->copies.items[graph->copies.count - 1].remedy = text_format(
        graph->arena, "boundary=alias, or a producer that gives %.*s memory of its own", TEXT_ARGS(value->name));
    for (struct node *node = before->next; node != behind; node = node->next) node->piece = value->piece;
    read_copy_behind(value, copy, value->piece);
    return memory_refresh(placing->memory, copy);
}

regraft_status place_boundaries(struct graph *graph, struct arena *scratch) {
    struct placing placing;
    crossing_list list = {0};
    if (!graph->owned_boundaries) return REGRAFT_OK;
    TRY(placing_start(&placing, graph, scratch));
    TRY(piece_crossings(graph, scratch, &list));
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].buffer && !list.items[i].whole) TRY(own(&placing, &list.items[i]));
    return REGRAFT_OK;
}
