#include "interp/promote.h"

enum dtype promote_to_float(enum dtype dtype) {
    return dtype_is_floating(dtype) || dtype_is_complex(dtype) ? dtype : dtype_f32;
}

/* A type of higher priority gives way only to one of a higher category: at::native::combine_categories. */
static enum dtype combine(enum dtype high, enum dtype low) {
    if (high == dtype_none) return low;
    if (low == dtype_none || dtype_is_complex(high)) return high;
    if (dtype_is_floating(high)) return dtype_is_complex(low) ? dtype_promote(high, low) : high;
    bool low_is_real = dtype_is_floating(low) || dtype_is_complex(low);
    return high == dtype_b8 || low_is_real ? dtype_promote(high, low) : high;
}

enum dtype promote_operands(const struct tensor *const *operands, size_t count) {
    enum dtype tensors = dtype_none, scalars = dtype_none, numbers = dtype_none;
    for (size_t i = 0; i < count; i++) {
        if (!operands[i]) continue;
        enum dtype dtype = operands[i]->dtype;
        if (operands[i]->wrapped)
            numbers = dtype_promote(numbers, dtype == dtype_f64 ? dtype_f32 : dtype);
        else if (operands[i]->shape.rank == 0)
            scalars = dtype_promote(scalars, dtype);
        else
            tensors = dtype_promote(tensors, dtype);
    }
    return combine(combine(tensors, scalars), numbers);
}
