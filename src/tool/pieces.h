/* What `explain` tells of a graph that is cut into pieces. */
#ifndef REGRAFT_TOOL_PIECES_H
#define REGRAFT_TOOL_PIECES_H

#include "ir/piece.h"
#include "tool/internals.h"

struct pieces {
    struct tool *tool;
    struct graph *graph;
    crossing_list crossings;
};

regraft_status pieces_find(struct tool *tool, regraft_graph *graph, struct pieces *pieces);
/* Nothing, and an empty list, for a graph that is not cut. */
void pieces_print(const struct pieces *pieces, struct builder *out);
json_t *pieces_json(const struct pieces *pieces);

#endif
