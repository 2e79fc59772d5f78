#include "ir/piece.h"

static bool take(struct text *text, const char *prefix) {
    if (!text_starts_with(*text, prefix)) return false;
    *text = text_skip(*text, strlen(prefix));
    return true;
}

static bool take_number(struct text *text, uint32_t *number) {
    enum { most = 1000000 };
    size_t digits = 0;
    for (*number = 0; digits < text->length && text->data[digits] >= '0' && text->data[digits] <= '9'; digits++)
        if ((*number = *number * 10 + (uint32_t)(text->data[digits] - '0')) > most) return false;
    *text = text_skip(*text, digits);
    return digits > 0;
}

bool piece_read_marker(struct text line, struct piece_marker *marker) {
    *marker = (struct piece_marker){0};
    if (!take(&line, "# piece ") || !take_number(&line, &marker->number)) return false;
    marker->owned = take(&line, ", boundary=owned");
    if (!line.length) return true;
    marker->operations = line;
    return take(&marker->operations, ": ") && marker->operations.length;
}

static bool is_whole(struct memory *memory, const struct node *value, const struct node *root) {
    const struct place *own = memory_place(memory, value), *all = memory_place(memory, root);
    return value == root || (own->exact && all->exact && root->kind != node_placeholder &&
                             places_equal(value->graph->context, &own->window, &all->window) == answer_yes);
}

static void add_crossing(struct memory *memory, struct arena *arena, struct node *node, crossing_list *list) {
    struct symbols *symbols = node->graph->context->symbols;
    struct crossing crossing = {.value = node, .first = UINT32_MAX};
    for (const struct value *use = node->users; use; use = use->use.next) {
        uint32_t piece = use->use.user->piece;
        if (use->use.user->kind == node_output || piece <= node->piece) continue;
        if (piece < crossing.first) crossing.first = piece;
        if (piece > crossing.last) crossing.last = piece;
    }
    if (crossing.first == UINT32_MAX) return;
    if (node->type->kind == type_tensor) {
        crossing.buffer = memory_place(memory, node)->root;
        crossing.whole = crossing.buffer && is_whole(memory, node, crossing.buffer);
        crossing.bytes = symint_multiply(symbols, layout_count(symbols, &node->type->layout),
                                         symint_constant(symbols, (int64_t)dtype_size(node->type->dtype)));
    }
    vector_push(arena, list, crossing);
}

regraft_status piece_crossings(struct graph *graph, struct arena *arena, crossing_list *list) {
    struct memory *memory;
    TRY(memory_of(graph, &memory));
    for (struct node *node = graph->first; node; node = node->next)
        if (node->kind != node_placeholder && node->kind != node_attribute && node->kind != node_rename)
            add_crossing(memory, arena, node, list);
    return REGRAFT_OK;
}
