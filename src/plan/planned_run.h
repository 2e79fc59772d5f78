/* Runs a graph in the reference interpreter in the memory that a plan gives it, to see that the plan is right. */
#ifndef REGRAFT_PLAN_PLANNED_RUN_H
#define REGRAFT_PLAN_PLANNED_RUN_H

#include "interp/interpreter.h"
#include "plan/plan.h"

enum run_memory {
    run_poisoned, /* each buffer in memory of its own, poisoned when its last reader has run */
    run_in_arena /* besides: planned buffers stand in one block, at their offsets, and are poisoned before they are made too */
};

/* As `interpret` does. REGRAFT_INTERNAL when a buffer needs more room than is planned for it, or when what should be memory
 * of its own is that of another. */
regraft_status planned_run(const struct plan *plan, enum run_memory memory, const struct bindings *bindings,
                           struct arena *arena, struct outcome *outcome);

#endif
