/* The memory that Inductor allocates for a graph, from its output code. */
#ifndef REGRAFT_PLAN_INDUCTOR_MEMORY_H
#define REGRAFT_PLAN_INDUCTOR_MEMORY_H

#include "fx/inductor_code.h"
#include "ir/context.h"

struct inductor_memory {
    size_t allocations; /* empty_strided_cuda(...) and its kin */
    size_t unknown;     /* those among them whose sizes were not understood; `bytes` lacks them */
    size_t reuses;      /* `buf1 = buf0; del buf0  # reuse` */
    symint bytes;       /* of all allocations; what operations allocate by themselves is not among them */
};

/* `sizes`: symbols that are to be taken as known, as in plan_options. */
struct inductor_memory inductor_memory_of(struct context *context, const struct inductor_code *code,
                                          const struct map *sizes);

#endif
