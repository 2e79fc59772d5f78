/* The forms of the CPU kernels: one table of row functions each, from one source compiled with different flags. */
#ifndef REGRAFT_KERNELS_CPU_FORM_H
#define REGRAFT_KERNELS_CPU_FORM_H

#include "regraft/kernels.h"

/* Whether the compiler could make it; 0 on other machines than x86-64. */
#if defined(__x86_64__)
#define REGRAFT_X86 1
#else
#define REGRAFT_X86 0
#endif

#endif
