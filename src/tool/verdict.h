/* Whether two graphs compute the same: by proof, and where that does not decide, on random inputs. `check`, `--verify-each`
 * and `reduce` ask it. */
#ifndef REGRAFT_TOOL_VERDICT_H
#define REGRAFT_TOOL_VERDICT_H

#include "interp/check.h"
#include "proof/proof.h"
#include "tool/outcome.h"

enum { default_trials = 8 };

struct verdict {
    struct proof proof;
    struct comparison comparison;
    bool compared; /* they were to be run */
    bool random;   /* on random inputs */
    bool exact;    /* a proof but for rounding does not count */
    uint64_t seed; /* of the first trial */
    size_t trial;  /* the last one, from 1 */
};

/* Runs both on random inputs, until a difference is found. */
regraft_status verdict_try(struct verdict *verdict, struct graph *a, struct graph *b, struct check_options options,
                           struct arena *arena);
/* Only proves. A fused operation is what its definition says, and what rules raise to what it is spelled from. */
regraft_status verdict_prove(struct verdict *verdict, struct graph *a, struct graph *b, struct arena *arena);
/* Proves, and tries where that does not decide. The status tells whether both could be run; the proof stands in any case. */
regraft_status verdict_reach(struct verdict *verdict, struct graph *a, struct graph *b, struct arena *arena);
/* Proved as asked, or equal wherever it was tried. */
bool verdict_is_equal(const struct verdict *verdict);

/* One line a tensor, when they were run; the answer; what could not be proved. `asked`: somebody asked for these inputs,
 * and the answer on them stands first. */
void verdict_print(struct builder *out, const struct verdict *verdict, bool asked);
void verdict_print_proof(struct builder *out, const struct proof *proof);
json_t *verdict_json(const struct verdict *verdict);

#endif
