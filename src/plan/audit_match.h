/* From a step of the output code to the nodes of the graphs that it came from. */
#ifndef REGRAFT_PLAN_AUDIT_MATCH_H
#define REGRAFT_PLAN_AUDIT_MATCH_H

#include "plan/audit.h"

/* Fills in the readers, nodes and sources of a copy that step `launch` makes. */
void audit_match(struct audit *audit, size_t launch, struct audit_copy *copy);

#endif
