#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif

void *memory(size_t size, int huge) {
    enum { page = 2 << 20 };
    size = (size + page - 1) / page * page;
    char *start = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        fprintf(stderr, "bench: no %zu bytes of memory\n", size);
        exit(1);
    }
    start += (page - (uintptr_t)start % page) % page;
    madvise(start, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(start, 0, size);
    return start;
}

const char *processor_name(void) {
    static char name[128] = "unknown processor";
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(name, sizeof name, "%s", strchr(line, ':') + 2);
            name[strcspn(name, "\n")] = 0;
            break;
        }
    if (file) fclose(file);
    return name;
}

/* As far as one core can fill it: what the kernel says, not the sum over a socket that sysconf may give. */
size_t last_cache(void) {
    size_t kilobytes = 0;
    for (int index = 0; index < 5; index++) {
        char path[80];
        size_t found;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%zuK", &found) == 1 && found > kilobytes) kilobytes = found;
        if (file) fclose(file);
    }
    return kilobytes ? kilobytes << 10 : (size_t)32 << 20;
}

int threads_available(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static void copy_streaming(char *to, const char *from, size_t size) {
#ifdef __x86_64__
    for (size_t i = 0; i < size; i += 64)
        for (size_t part = 0; part < 64; part += 16)
            _mm_stream_si128((__m128i *)(void *)(to + i + part),
                             _mm_load_si128((const __m128i *)(const void *)(from + i + part)));
    _mm_sfence();
#else
    memcpy(to, from, size);
#endif
}

static void copy_plain(char *to, const char *from, size_t size) {
    for (size_t i = 0; i < size; i += 4096) memcpy(to + i, from + i, 4096); /* too short for a streaming memcpy */
}

static double time_copy(char *to, const char *from, size_t size, void (*copy)(char *, const char *, size_t)) {
    double start = now();
#ifdef _OPENMP
#pragma omp parallel
    {
        size_t part = size / (size_t)omp_get_num_threads() / 4096 * 4096, at = part * (size_t)omp_get_thread_num();
        copy(to + at, from + at, part);
    }
    size = size / (size_t)threads_available() / 4096 * 4096 * (size_t)threads_available();
#else
    copy(to, from, size);
#endif
    return 2 * (double)size / (now() - start);
}

double copy_bandwidth(void) {
    static char *from, *to;
    size_t size = 4 * last_cache();
    if (!from) from = memory(size, 1), to = memory(size, 1);
    double plain = time_copy(to, from, size, copy_plain), streaming = time_copy(to, from, size, copy_streaming);
    return plain > streaming ? plain : streaming;
}
