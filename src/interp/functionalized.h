/* Calls of auto_functionalized and auto_functionalized_v2: torch/_higher_order_ops/auto_functionalize.py. */
#ifndef REGRAFT_INTERP_FUNCTIONALIZED_H
#define REGRAFT_INTERP_FUNCTIONALIZED_H

#include "interp/call.h"

/* Runs the wrapped operation on clones of what it writes. The result is the list (returns or None, then the clones). */
regraft_status functionalized_run(struct run *run, struct node *node, struct argument *result);

#endif
