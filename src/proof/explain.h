/* Why two values are not the same: the first operation, going backwards, where their provenance parts. */
#ifndef REGRAFT_PROOF_EXPLAIN_H
#define REGRAFT_PROOF_EXPLAIN_H

#include "proof/proof.h"
#include "proof/term.h"

/* Fills in reason, nodes and provenance. */
void explain_readings(struct prover *prover, const struct reading *a, const struct reading *b, struct proof *proof);
void explain_terms(struct prover *prover, const struct term *a, const struct term *b, struct proof *proof);

#endif
