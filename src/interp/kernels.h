/* The reference kernels, one for each name in the last column of ir/operations.def. */
#ifndef REGRAFT_INTERP_KERNELS_H
#define REGRAFT_INTERP_KERNELS_H

#include "interp/call.h"

#define OPERATION(id, schema, class, effect, infer, kernel) regraft_status kernel_##kernel(struct call *call);
#include "ir/operations.def"
#undef OPERATION

#endif
