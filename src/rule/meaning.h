/* What raised operations mean, for the prover: the graphs of rules/meanings.txt, equal to the bit, then those of
 * rules/roundings.txt. */
#ifndef REGRAFT_RULE_MEANING_H
#define REGRAFT_RULE_MEANING_H

#include "proof/proof.h"

/* Reads the texts; what is made of them lives in the context's arena. */
regraft_status meanings_open(struct context *context, struct meanings *meanings);

#endif
