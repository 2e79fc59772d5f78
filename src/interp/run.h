/* The state of one run of a graph, as kernels see it. */
#ifndef REGRAFT_INTERP_RUN_H
#define REGRAFT_INTERP_RUN_H

#include "interp/argument.h"
#include "interp/bindings.h"
#include "ir/graph.h"

struct run {
    struct graph *graph;
    struct arena *arena;
    struct diagnostics *diagnostics;
    const struct bindings *bindings;
    struct argument *results; /* by node->index */
    struct map *symbols;      /* name -> int64_t */
    struct tensor_set state;  /* copies of the bound state, by its name: LAYER/kv_cache */
    uint64_t bytes;           /* of all storages so far */
};

/* The value of a symbolic integer; false when one of its symbols has none. */
bool run_evaluate(const struct run *run, symint expression, int64_t *value);
/* The concrete sizes of a layout; strides too when it has them. False: not all known, or too many dimensions. */
bool run_layout(const struct run *run, const struct layout *layout, struct shape *shape, int64_t *strides);
/* This run's copy of the tensor OWNER/FIELD of the bindings. */
regraft_status run_state(struct run *run, struct node *node, struct text owner, const char *field,
                         struct tensor *tensor);
/* The runtime value of an argument in the graph. */
regraft_status run_value(struct run *run, struct node *node, const struct value *value, struct argument *argument);
/* Refuses a tensor that would take the run beyond its limit of memory. */
regraft_status run_reserve(struct run *run, const struct node *node, enum dtype dtype, int64_t extent);

#endif
