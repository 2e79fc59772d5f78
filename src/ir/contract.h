/* Contracts: what strides an operation is owed for an argument. */
#ifndef REGRAFT_IR_CONTRACT_H
#define REGRAFT_IR_CONTRACT_H

#include "ir/context.h"

/* Adds one, written `NAMESPACE::OPERATION[.OVERLOAD].ARGUMENT=KIND`. Kinds: `any` (the default of a text graph, which shows
 * no contracts) and `contiguous`. A later one for the same argument takes the place of an earlier one. */
regraft_status contract_add(struct context *context, const struct source *source);

#endif
