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

/* Calls of one operation that were taken for what they are but for rounding. */
struct rounded_calls {
    struct text operation; /* "_C.rms_norm.default" */
    size_t calls;
};

struct proof {
    bool proved;
    const struct rounded_calls *rounded; /* proved, but for the rounding of these; none: equal to the bit */
    size_t rounded_count;
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

/* ---- operations that mean something ---- */

/* An argument of a call: its type (a tensor's without strides, an integer's, None's), or a literal. */
struct meaning_argument {
    const struct type *type; /* NULL: a literal */
    const struct value *literal;
    bool is_default;
};

/* Graphs that compute what a call of an operation gives: placeholders named after arguments; results are what it returns, then
 * the new values of what it writes. */
struct meanings {
    void *user;
    /* A graph for a call with these arguments, those that are equal to the bit first; NULL behind the last. `next` is 0, then
     * what the call before left there. `rounds`: equal but for rounding. */
    regraft_status (*find)(void *user, const struct operation *operation, const struct meaning_argument *arguments,
                           size_t *next, struct graph **graph, bool *rounds);
};

/* How meanings are used. */
struct meaning_use {
    const struct meanings *meanings;
    int leading;  /* the graph (0 or 1) whose spelling counts */
    bool expands; /* its calls, too, are taken for their first meaning that is equal to the bit */
};
/* The same question, element by element through operations that work so (proof/elements.h), and with meanings: each call in
 * the one graph that the leading one has not is taken for that of its meanings which the leading one has. */
regraft_status prove_by_elements(struct graph *a, struct graph *b, const struct meaning_use *use, struct arena *arena,
                                 struct proof *proof);

#endif
