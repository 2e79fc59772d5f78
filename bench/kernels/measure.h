/* What the benchmarks of the kernels share: the machine's description, memory that is really there. */
#ifndef REGRAFT_BENCH_MEASURE_H
#define REGRAFT_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../samples.h"

/* `size` bytes on pages that were touched, aligned to 2 MiB; exits when there are none. `huge`: on huge pages where the system
 * gives them. */
void *memory(size_t size, int huge);

/* The processor's name; the bytes of its last cache; the threads that OpenMP would take. */
const char *processor_name(void);
size_t last_cache(void);
int threads_available(void);

/* Bytes a second that a copy between buffers far larger than the caches moves, reads and writes counted; the best of plain and
 * streaming stores, on all threads. Each call is one measurement. */
double copy_bandwidth(void);

#endif
