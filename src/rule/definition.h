/* What fused operations mean: rules/definitions.txt has a graph of other operations for each. */
#ifndef REGRAFT_RULE_DEFINITION_H
#define REGRAFT_RULE_DEFINITION_H

#include "ir/graph.h"

/* The definitions that are part of the library, each read when it is first needed. */
struct definitions;
regraft_status definitions_open(struct context *context, struct definitions **definitions);
/* The graph that defines an operation; NULL when there is none. Not to be changed. */
regraft_status definitions_find(struct definitions *definitions, const struct operation *operation,
                                struct graph **definition);

/* `vllm.f.default` is defined by the module vllm_f_default. */
bool definition_is_of(struct text module, struct text target);
/* The definition of what a node calls, in whatever encoding; NULL when it calls nothing that has one. */
regraft_status definitions_of_call(struct definitions *definitions, const struct node *node, struct graph **definition);

/* Puts its definition in the place of every call that has one, raw or auto_functionalized; the types are inferred. Stays:
 * auto_functionalized_v2 (`unify-functionalized` removes those), and a call whose result is used other than item by
 * item. `count` is the number of calls that were replaced. */
regraft_status definitions_expand(struct graph *graph, size_t *count);

/* A copy of the graph without fused operations, for the prover, which knows the parts. The graph itself when there is nothing
 * to change. */
regraft_status graph_normal_form(struct graph *graph, struct graph **result);

#endif
