/* Splitting work over threads. */
#ifndef REGRAFT_KERNELS_CPU_PARALLEL_H
#define REGRAFT_KERNELS_CPU_PARALLEL_H

#include "common/check.h"
#include "cpu/rows.h"

/* The struct to use, a message buffer for the checks, and the form; `fallback` serves when there is no `cpu`. */
struct setup {
    struct check check;
    const struct form *form;
    int threads; /* as asked for: 0 is automatic */
    int streaming;
};
regraft_status setup_start(struct setup *setup, regraft_cpu *cpu);

/* Calls `work` with ranges of [0, count) on one thread or more; `bytes` is what all of it reads and writes. */
void parallel_run(int threads, int64_t count, int64_t bytes,
                  void (*work)(const void *user, int64_t first, int64_t last), const void *user);

#endif
