/* From a step of the output code to the nodes of the graphs that it came from. */
#ifndef REGRAFT_PLAN_AUDIT_MATCH_H
#define REGRAFT_PLAN_AUDIT_MATCH_H

#include "plan/audit.h"

/* Fills in the readers, nodes and sources of a copy that step `launch` makes. */
void audit_match(struct audit *audit, size_t launch, struct audit_copy *copy);

/* The argument of a call that a reader reads; the base of a written one of auto_functionalized_v2. NULL: not known. */
struct value *audit_argument(struct node *call, const struct audit_reader *reader);
/* The node of `graph` that is the same call as `node` of another graph: of its name, or as the how manieth call of its
 * operation. NULL: not known. */
struct node *audit_same_call(const struct graph *graph, const struct node *node);
/* Whether the node puts what it is given together to a new tensor: cat, padding. */
bool audit_builds(const struct node *node);

#endif
