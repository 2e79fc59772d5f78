/* Contracts: what an operation, or one call of it, is owed for an argument.
 *
 * Written `OPERATION.ARGUMENT=KIND`; `*` stands for all tensors that the operation is given. Kinds:
 *
 *     any, flexible_layout   takes any strides; takes back what was said before, also by the table
 *     last-dim-dense         the elements of the last dimension lie one behind the other
 *     contiguous             row-major, without gaps
 *     as-traced              the strides that the argument has in the graph as it was read
 *     as-traced[8, 8, 1]     these strides
 *     elsewhere, in-place    whether what the operation writes to the argument may go to other memory; beside the others
 */
#ifndef REGRAFT_IR_CONTRACT_H
#define REGRAFT_IR_CONTRACT_H

#include "ir/graph.h"

/* For all calls of an operation. A later contract for the same argument takes the place of an earlier one. */
regraft_status contract_add(struct context *context, const struct source *source);
/* For one call: `ARGUMENT=KIND`. */
regraft_status contract_add_to_call(struct node *call, const struct source *source);
/* Notes the strides of what calls are given that are owed these; once a graph, before anything is rewritten. */
void contracts_note_traced(struct graph *graph);
/* The same for one call, where nothing is noted yet: a call that takes the place of another. */
void contracts_note_call(struct node *call);

/* What the called operation of `call` is owed for argument `index` of its schema. */
const struct contract *contract_of(const struct node *call, size_t index);
/* "contiguous", ... */
const char *contract_kind_name(enum contract_kind kind);

/* Whether a tensor that lies so is what is owed. */
bool contract_is_met(struct symbols *symbols, const struct contract *contract, const struct layout *layout);
/* "OP is owed a contiguous x". */
const char *contract_describe(struct arena *arena, const struct operation *operation, size_t index,
                              const struct contract *contract);
/* What makes a copy for the contract unnecessary. */
const char *contract_remedy(struct arena *arena, const struct operation *operation, size_t index,
                            const struct contract *contract);

#endif
