/* Tensors by name, in order of insertion, with text metadata: what a safetensors file holds. */
#ifndef REGRAFT_INTERP_TENSOR_SET_H
#define REGRAFT_INTERP_TENSOR_SET_H

#include "base/map.h"
#include "base/vector.h"
#include "interp/tensor.h"

struct named_tensor {
    struct text name;
    struct tensor tensor;
};

struct named_text {
    struct text name, value;
};

struct tensor_set {
    struct arena *arena;
    struct map *index;
    VECTOR(struct named_tensor *) items;
    VECTOR(struct named_text) metadata;
};

void tensor_set_init(struct tensor_set *set, struct arena *arena);
/* Replaces one of the same name. The storage is shared, the name is copied. */
void tensor_set_put(struct tensor_set *set, struct text name, const struct tensor *tensor);
/* NULL when there is none. */
const struct tensor *tensor_set_find(const struct tensor_set *set, struct text name);
struct text tensor_set_metadata(const struct tensor_set *set, const char *name); /* "" when there is none */

#endif
