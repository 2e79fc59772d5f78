/* Threads: OpenMP where it was built in, and where the work pays for waking them. */
#include "cpu/parallel.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* Below, one thread is faster: docs/kernels.md has the measurement. */
static const int64_t bytes_for_threads = 256 << 10;

regraft_status setup_start(struct setup *setup, regraft_cpu *cpu) {
    *setup = (struct setup){.check = {.message = cpu ? cpu->message : NULL, .message_size = sizeof cpu->message}};
    regraft_cpu_form form = cpu ? cpu->form : REGRAFT_CPU_AUTOMATIC;
    if (form == REGRAFT_CPU_AUTOMATIC) form = regraft_cpu_best();
    if ((unsigned)form > REGRAFT_CPU_AVX512_BF16)
        return check_fail(&setup->check, REGRAFT_REJECTED, "form: %d, expected one of regraft_cpu_form", (int)form);
    if (!regraft_cpu_has(form))
        return check_fail(&setup->check, REGRAFT_UNSUPPORTED, "form: this machine or build has no %s; it has %s",
                          regraft_cpu_form_name(form), regraft_cpu_form_name(regraft_cpu_best()));
    setup->form = form_rows(form);
    setup->threads = cpu ? cpu->threads : 0;
    setup->streaming = cpu ? cpu->streaming : 0;
    if (setup->threads < 0)
        return check_fail(&setup->check, REGRAFT_REJECTED, "threads: %d, expected 0 (automatic) or more",
                          setup->threads);
    return REGRAFT_OK;
}

#ifdef _OPENMP

static int threads_for(int asked, int64_t count, int64_t bytes) {
    int threads = asked;
    if (threads == 0) threads = bytes < bytes_for_threads || omp_in_parallel() ? 1 : omp_get_max_threads();
    return threads > count ? (int)count : threads;
}

void parallel_run(int threads, int64_t count, int64_t bytes,
                  void (*work)(const void *user, int64_t first, int64_t last), const void *user) {
    threads = threads_for(threads, count, bytes);
    if (threads <= 1) {
        work(user, 0, count);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
        int64_t each = count / parts, more = count % parts;
        int64_t first = part * each + (part < more ? part : more);
        work(user, first, first + each + (part < more));
    }
}

#else

void parallel_run(int threads, int64_t count, int64_t bytes,
                  void (*work)(const void *user, int64_t first, int64_t last), const void *user) {
    (void)threads, (void)bytes, (void)bytes_for_threads;
    work(user, 0, count);
}

#endif
