/* Proofs that know what fused operations mean. */
#ifndef REGRAFT_PASS_PROVE_H
#define REGRAFT_PASS_PROVE_H

#include "proof/proof.h"

/* prove_equal, of the graphs as they are or else of their normal forms (rule/definition.h): fused operations may stand in one
 * of them and their parts in the other. */
regraft_status prove_with_definitions(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof);
/* The same, and where that does not decide prove_by_elements: what rules raise to may stand in one of them and its spelling
 * in the other (rule/meaning.h). proof->rounded says where that holds but for rounding. */
regraft_status prove_with_meanings(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof);

#endif
