/* Elements of the kernels' types, one at a time. */
#ifndef ELEMENTS_H
#define ELEMENTS_H

#include "regraft/kernels.h"

double element_get(const void *data, regraft_type type, int64_t index);
void element_set(void *data, regraft_type type, int64_t index, float value);
size_t element_size(regraft_type type);

#endif
