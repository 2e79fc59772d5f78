/* The row functions in AVX-512 with AVX512_BF16; cmake/kernels.cmake has the flags. */
#include "cpu/form.h"

#if REGRAFT_X86
#define FORM form_avx512_bf16
#include "cpu/vector_avx512.h"
#include "cpu/rows_body.h"
#endif
