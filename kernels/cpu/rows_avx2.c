/* The row functions in AVX2 and F16C; cmake/kernels.cmake has the flags. */
#include "cpu/form.h"

#if REGRAFT_X86
#define FORM form_avx2
#include "cpu/vector_avx2.h"
#include "cpu/rows_body.h"
#endif
