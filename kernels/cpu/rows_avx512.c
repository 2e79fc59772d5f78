/* The row functions in AVX-512 (F, BW, VL, DQ); cmake/kernels.cmake has the flags. */
#include "cpu/form.h"

#if REGRAFT_X86
#define FORM form_avx512
#include "cpu/vector_avx512.h"
#include "cpu/rows_body.h"
#endif
