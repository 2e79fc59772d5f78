/* The verifier. */
#ifndef REGRAFT_IR_VERIFY_H
#define REGRAFT_IR_VERIFY_H

#include "ir/graph.h"

/* Rules that every graph keeps (docs/memory.md): definitions before uses, one output at the end, names that are unique,
 * calls that fit their schemas and types. REGRAFT_REJECTED at the node that breaks one. Calls that have not changed since
 * they were last found good are not looked at again. */
regraft_status graph_verify(struct graph *graph);

#endif
