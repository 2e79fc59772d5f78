/* What `_C::rms_norm` computes, for the operations that contain it. */
#ifndef REGRAFT_INTERP_NORM_H
#define REGRAFT_INTERP_NORM_H

#include "interp/call.h"

/* result = round(row * rsqrt(mean(row^2) + epsilon)) * weight for every row of `input`: the normed value is rounded to the
 * input's type before it meets the weight [width], and once more when it is stored. `result` may be `input`. */
regraft_status rms_norm(struct call *call, const struct tensor *input, const struct tensor *weight, double epsilon,
                        const struct tensor *result);

#endif
