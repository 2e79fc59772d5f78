/* The pieces of a graph, and for each what it reads of earlier ones: values, bytes, and whose memory that is. */
#include "tool/pieces.h"

regraft_status pieces_find(struct tool *tool, regraft_graph *graph, struct pieces *pieces) {
    *pieces = (struct pieces){.tool = tool, .graph = tool_graph(graph)};
    return pieces->graph->pieces.count ? piece_crossings(pieces->graph, tool->arena, &pieces->crossings) : REGRAFT_OK;
}

static size_t count_statements(const struct graph *graph, uint32_t piece) {
    size_t count = 0;
    for (const struct node *node = graph->first; node; node = node->next)
        count += node->piece == piece && node->kind != node_placeholder && node->kind != node_output;
    return count;
}

/* The operations that the marker of a split piece names. */
static struct text split_operations(const struct graph_piece *piece) {
    struct piece_marker marker;
    struct text line = piece->marker;
    while (line.length && *line.data != '#') line = text_skip(line, 1);
    const char *end = line.length ? memchr(line.data, '\n', line.length) : NULL;
    if (end) line.length = (size_t)(end - line.data);
    return piece_read_marker(line, &marker) ? marker.operations : TEXT("");
}

/* Whether the piece reads the value, which an earlier one made. */
static bool reads(const struct crossing *crossing, uint32_t piece) {
    for (const struct value *use = crossing->value->users; use; use = use->use.next)
        if (use->use.user->piece == piece && use->use.user->kind != node_output && crossing->value->piece < piece)
            return true;
    return false;
}

static void print_value(const struct pieces *pieces, struct builder *out, const struct crossing *crossing) {
    const struct node *value = crossing->value;
    builder_format(out, "    reads   %.*s: %s", TEXT_ARGS(value->name), type_string(pieces->tool->arena, value->type));
    if (crossing->bytes) builder_format(out, ", %s bytes", symint_string(pieces->tool->arena, crossing->bytes));
    builder_format(out, " from piece %u", value->piece);
    if (crossing->buffer && crossing->buffer != value)
        builder_format(out, ", %s of %.*s", crossing->whole ? "all" : "a part", TEXT_ARGS(crossing->buffer->name));
    builder_byte(out, '\n');
}

static symint bytes_read(const struct pieces *pieces, uint32_t piece) {
    struct symbols *symbols = pieces->graph->context->symbols;
    symint sum = symint_constant(symbols, 0);
    for (size_t i = 0; i < pieces->crossings.count; i++)
        if (pieces->crossings.items[i].bytes && reads(&pieces->crossings.items[i], piece))
            sum = symint_add(symbols, sum, pieces->crossings.items[i].bytes);
    return sum;
}

void pieces_print(const struct pieces *pieces, struct builder *out) {
    const struct graph *graph = pieces->graph;
    if (!graph->pieces.count) return;
    builder_format(out, "%zu pieces%s\n", graph->pieces.count,
                   graph->owned_boundaries ? "; only whole buffers may cross a cut" : "");
    for (uint32_t piece = 0; piece < graph->pieces.count; piece++) {
        struct text operations = split_operations(&graph->pieces.items[piece]);
        size_t statements = count_statements(graph, piece);
        builder_format(out, "piece %u: %zu %s%s%.*s, reads %s bytes\n", piece, statements,
                       statements == 1 ? "statement" : "statements", operations.length ? ", " : "",
                       TEXT_ARGS(operations), symint_string(pieces->tool->arena, bytes_read(pieces, piece)));
        for (size_t i = 0; i < pieces->crossings.count; i++)
            if (reads(&pieces->crossings.items[i], piece)) print_value(pieces, out, &pieces->crossings.items[i]);
    }
}

static json_t *json_reads(const struct pieces *pieces, uint32_t piece) {
    json_t *list = json_array();
    for (size_t i = 0; i < pieces->crossings.count; i++) {
        const struct crossing *crossing = &pieces->crossings.items[i];
        if (!reads(crossing, piece)) continue;
        json_array_append_new(list,
                              json_pack("{s:o, s:I, s:o, s:o, s:o, s:b}", "value", json_text(crossing->value->name),
                                        "from", (json_int_t)crossing->value->piece, "type",
                                        json_words(type_string(pieces->tool->arena, crossing->value->type)), "bytes",
                                        json_expression(pieces->tool->arena, crossing->bytes), "buffer",
                                        crossing->buffer ? json_text(crossing->buffer->name) : json_null(), "whole",
                                        crossing->whole));
    }
    return list;
}

json_t *pieces_json(const struct pieces *pieces) {
    json_t *list = json_array();
    for (uint32_t piece = 0; piece < pieces->graph->pieces.count; piece++)
        json_array_append_new(list, json_pack("{s:I, s:b, s:o, s:I, s:o, s:o}", "piece", (json_int_t)piece, "split",
                                              pieces->graph->pieces.items[piece].split, "operations",
                                              json_text(split_operations(&pieces->graph->pieces.items[piece])),
                                              "statements", (json_int_t)count_statements(pieces->graph, piece), "bytes",
                                              json_expression(pieces->tool->arena, bytes_read(pieces, piece)), "reads",
                                              json_reads(pieces, piece)));
    return list;
}
