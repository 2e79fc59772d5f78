/* What all benchmarks share: time, and quantiles of what was measured. */
#ifndef REGRAFT_BENCH_SAMPLES_H
#define REGRAFT_BENCH_SAMPLES_H

#include <stddef.h>

double now(void);            /* seconds that went by */
double processor_time(void); /* seconds that this process ran: others on the machine do not count */

/* The value that `share` of the numbers lie below; sorts them. */
double quantile(double *numbers, size_t count, double share);

#endif
