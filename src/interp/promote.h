/* Element types of results: c10's rules for tensors, tensors without dimensions, and Python numbers. */
#ifndef REGRAFT_INTERP_PROMOTE_H
#define REGRAFT_INTERP_PROMOTE_H

#include "interp/tensor.h"

/* torch.result_type of the operands; NULL operands do not count. */
enum dtype promote_operands(const struct tensor *const *operands, size_t count);
/* The same for operations that compute in floats: integers and bools become f32. */
enum dtype promote_to_float(enum dtype dtype);

#endif
