/* What `run` and `check` print of results and comparisons. */
#ifndef REGRAFT_TOOL_OUTCOME_H
#define REGRAFT_TOOL_OUTCOME_H

#include "interp/compare.h"
#include "tool/internals.h"

/* Name, element type and sizes of each tensor. */
void outcome_print(struct builder *out, const struct tensor_set *results);
json_t *outcome_json(const struct tensor_set *results);
json_t *comparison_json(const struct comparison *comparison);

/* Runs the graph on the bindings; the message has been printed when that fails. */
regraft_status tool_interpret(struct tool *tool, regraft_graph *graph, const struct bindings *bindings,
                              struct outcome *outcome);

#endif
