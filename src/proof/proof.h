/* Do two graphs compute the same, whatever the inputs? By provenance: views, copies and updates are followed element by
 * element, down to the operations that compute; where both graphs apply the same operations to the same elements, and
 * leave the same in their inputs and in the state outside, they are equal.
 *
 * Equal means: for all inputs that both graphs accept. This part shares nothing with the passes but the graph and the
 * geometry of places. What it does not understand is not proved. Taken as given: inputs that a trace does not show to
 * share storage do not; the storage of an input whose offset is not shown starts at the input; nobody relies on memory
 * that was never written. The second graph may let fewer results share memory than the first, but not more. */
#ifndef REGRAFT_PROOF_PROOF_H
#define REGRAFT_PROOF_PROOF_H

#include "ir/graph.h"

struct proof {
    bool proved;
    const char
        *result; /* the first that could not be proved: "out0", "input kv_cache", "state of layers.0"; "" for all */
    const char *reason;                /* why; "" when proved */
    const struct node *first, *second; /* where the graphs begin to differ; NULL when there is no such place */
    const char *provenance;            /* what each computes there, a line; "" when not known */
};

/* Whether the graphs are the same, node for node, but for the names of nodes that are no inputs. Such graphs are equal also
 * where prove_equal does not understand what is in them. */
bool graphs_identical(struct graph *a, struct graph *b);

/* The graphs belong to one context. All memory of the proof lives in `arena`. */
regraft_status prove_equal(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof);

#endif
