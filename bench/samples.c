#include "samples.h"

#include <stdlib.h>
#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double now(void) { return seconds_of(CLOCK_MONOTONIC); }

double processor_time(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(double *numbers, size_t count, double share) {
    qsort(numbers, count, sizeof *numbers, ascending);
    return numbers[(size_t)(share * (double)(count - 1) + 0.5)];
}
