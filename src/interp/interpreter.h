/* The reference interpreter: runs a graph node by node, in program order, over strided storages with real aliasing.
 *
 * Views share storage, calls write through their arguments, auto_functionalized calls work on clones, and every
 * result is compared with its annotation. Fresh memory is poisoned, so a value that nobody wrote is visible in the
 * results. */
#ifndef REGRAFT_INTERP_INTERPRETER_H
#define REGRAFT_INTERP_INTERPRETER_H

#include "interp/bindings.h"
#include "ir/graph.h"

/* What a run did: `results` has out0, out1, ..., mutated/PLACEHOLDER for each input whose bytes changed, and the
 * state (LAYER/kv_cache) that was written; `unchanged` has the other inputs and state under the names they would have
 * there. */
struct outcome {
    struct tensor_set results, unchanged;
};

/* The outcome lives in `arena`, and so does all memory of the run. Errors go to the graph's context. */
regraft_status interpret(struct graph *graph, const struct bindings *bindings, struct arena *arena,
                         struct outcome *outcome);

/* Who looks on: after the inputs are bound, and around each node that is run. May move storages. */
struct run;
struct run_watch {
    regraft_status (*start)(void *user, struct run *run);
    regraft_status (*before)(void *user, struct run *run, struct node *node);
    regraft_status (*after)(void *user, struct run *run, struct node *node);
    void *user;
};
regraft_status interpret_watched(struct graph *graph, const struct bindings *bindings, struct arena *arena,
                                 const struct run_watch *watch, struct outcome *outcome);

#endif
