/* Which forms this machine has. */
#include "cpu/rows.h"

static const char *const names[] = {"automatic", "portable", "avx2", "avx512", "avx512_bf16"};

const char *regraft_cpu_form_name(regraft_cpu_form form) {
    return (unsigned)form < sizeof names / sizeof *names ? names[form] : "unknown";
}

#if REGRAFT_X86

static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

int regraft_cpu_has(regraft_cpu_form form) {
    __builtin_cpu_init();
    switch (form) {
    case REGRAFT_CPU_AVX2: /* every processor with AVX2 has F16C */
        return __builtin_cpu_supports("avx2") != 0;
    case REGRAFT_CPU_AVX512:
        return has_avx512();
    case REGRAFT_CPU_AVX512_BF16:
        return has_avx512() && __builtin_cpu_supports("avx512bf16");
    default:
        return form == REGRAFT_CPU_AUTOMATIC || form == REGRAFT_CPU_PORTABLE;
    }
}

#else

int regraft_cpu_has(regraft_cpu_form form) { return form == REGRAFT_CPU_AUTOMATIC || form == REGRAFT_CPU_PORTABLE; }

#endif

regraft_cpu_form regraft_cpu_best(void) {
    static const regraft_cpu_form best_first[] = {REGRAFT_CPU_AVX512_BF16, REGRAFT_CPU_AVX512, REGRAFT_CPU_AVX2};
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++)
        if (regraft_cpu_has(best_first[i])) return best_first[i];
    return REGRAFT_CPU_PORTABLE;
}

const struct form *form_rows(regraft_cpu_form form) {
#if REGRAFT_X86
    static const struct form *const x86[] = {[REGRAFT_CPU_AVX2] = &form_avx2,
                                             [REGRAFT_CPU_AVX512] = &form_avx512,
                                             [REGRAFT_CPU_AVX512_BF16] = &form_avx512_bf16};
    if (form >= REGRAFT_CPU_AVX2) return x86[form];
#endif
    (void)form;
    return &form_portable;
}
