/* Random bindings that are legal for a graph: sizes that agree with each other, indices within what they index,
 * caches with tables that fit. The same seed gives the same bindings. */
#ifndef REGRAFT_INTERP_RANDOM_INPUTS_H
#define REGRAFT_INTERP_RANDOM_INPUTS_H

#include "interp/bindings.h"
#include "ir/graph.h"

struct random_options {
    uint64_t seed;
    bool equal_symbols; /* one value for all symbols (where their ranges allow it), else one for each */
};

regraft_status random_bindings(struct graph *graph, struct random_options options, struct arena *arena,
                               struct bindings *bindings);

#endif
