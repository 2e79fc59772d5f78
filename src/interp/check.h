/* Do two graphs compute the same? Both are run on the same inputs. */
#ifndef REGRAFT_INTERP_CHECK_H
#define REGRAFT_INTERP_CHECK_H

#include "interp/compare.h"

/* Runs both on copies of the bindings and compares the outcomes; `comparison->norm` 0 says that they are identical. The
 * status tells whether both could be run. */
regraft_status check_graphs(struct graph *a, struct graph *b, const struct bindings *bindings, struct arena *arena,
                            struct comparison *comparison);

/* The same on random inputs, `trials` times or until a difference is found: `comparison` is that of the last trial,
 * with the largest norm of all of them; `trial` says which it was, from 0; trial i has the seed `seed` + i. Sizes that the
 * graphs do not accept when they differ are made equal. */
struct check_options {
    uint64_t seed;
    size_t trials;
};
regraft_status check_random(struct graph *a, struct graph *b, struct check_options options, struct arena *arena,
                            struct comparison *comparison, size_t *trial);

#endif
