/* Fresh tensors: uninitialised ones (poisoned), constants, ranges. */
#include "interp/kernels.h"

#include <math.h>

/* Element type of the number that a factory is given: torch.full infers it. */
static enum dtype dtype_of_number(const struct argument *number) {
    if (number && number->kind == argument_boolean) return dtype_b8;
    return number && number->kind == argument_integer ? dtype_i64 : dtype_f32;
}

static void fill(const struct tensor *tensor, const struct argument *value) {
    for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk)) {
        switch (value->kind) {
        case argument_integer:
            tensor_set_integer(tensor, walk.position[0], value->integer);
            break;
        case argument_boolean:
            tensor_set_integer(tensor, walk.position[0], value->boolean);
            break;
        default:
            tensor_set_real(tensor, walk.position[0], value->real);
            break;
        }
    }
}

/* A tensor of the given sizes (default: those of `self`) and type, filled unless `value` is NULL. */
static regraft_status make(struct call *call, enum dtype fallback, const struct argument *value) {
    const struct tensor *self = call_tensor(call, "self");
    struct shape shape;
    struct tensor tensor;
    if (call_has(call, "size"))
        TRY(call_shape(call, "size", &shape));
    else
        shape = self ? self->shape : (struct shape){0};
    TRY(call_create_result(call, call_dtype(call, "dtype", self ? self->dtype : fallback), &shape, &tensor));
    if (value) fill(&tensor, value);
    return REGRAFT_OK;
}

static const struct argument zero = {.kind = argument_integer, .integer = 0},
                             one = {.kind = argument_integer, .integer = 1};

regraft_status kernel_empty(struct call *call) { return make(call, dtype_f32, NULL); }
regraft_status kernel_empty_like(struct call *call) { return make(call, dtype_f32, NULL); }
regraft_status kernel_new_empty(struct call *call) { return make(call, dtype_f32, NULL); }
regraft_status kernel_zeros(struct call *call) { return make(call, dtype_f32, &zero); }
regraft_status kernel_zeros_like(struct call *call) { return make(call, dtype_f32, &zero); }
regraft_status kernel_new_zeros(struct call *call) { return make(call, dtype_f32, &zero); }
regraft_status kernel_ones(struct call *call) { return make(call, dtype_f32, &one); }
regraft_status kernel_ones_like(struct call *call) { return make(call, dtype_f32, &one); }
regraft_status kernel_new_ones(struct call *call) { return make(call, dtype_f32, &one); }

regraft_status kernel_full(struct call *call) {
    const struct argument *value = call_argument(call, "fill_value");
    return make(call, dtype_of_number(value), value);
}

regraft_status kernel_full_like(struct call *call) { return kernel_full(call); }

regraft_status kernel_scalar_tensor(struct call *call) { return make(call, dtype_f32, call_argument(call, "s")); }

regraft_status kernel_empty_strided(struct call *call) {
    struct shape strides;
    const struct tensor *self = call_tensor(call, "self"); /* of new_empty_strided */
    struct tensor plan = {.dtype = call_dtype(call, "dtype", self ? self->dtype : dtype_f32)};
    TRY(call_shape(call, "size", &plan.shape));
    TRY(call_shape(call, "stride", &strides));
    memcpy(plan.strides, strides.sizes, sizeof plan.strides);
    if (strides.rank != plan.shape.rank || tensor_extent(&plan) < 0)
        return call_fail(call, REGRAFT_REJECTED, "sizes %s and strides %s do not describe a tensor",
                         shape_print(call->arena, &plan.shape), shape_print(call->arena, &strides));
    TRY(run_reserve(call->run, call->node, plan.dtype, tensor_extent(&plan)));
    plan = tensor_create(call->arena, plan.dtype, &plan.shape, plan.strides);
    return call_return(call, &plan);
}

/* ---- ranges ---- */

static regraft_status integer_range(struct call *call, enum dtype dtype, int64_t start, int64_t step, int64_t count) {
    struct tensor range;
    TRY(call_create_result(call, dtype, &(struct shape){1, {count}}, &range));
    for (int64_t i = 0; i < count; i++)
        tensor_set_integer(&range, i * range.strides[0], (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)step));
    return REGRAFT_OK;
}

static regraft_status real_range(struct call *call, enum dtype dtype, double start, double step, int64_t count) {
    struct tensor range;
    TRY(call_create_result(call, dtype, &(struct shape){1, {count}}, &range));
    for (int64_t i = 0; i < count; i++) tensor_set_real(&range, i * range.strides[0], start + (double)i * step);
    return REGRAFT_OK;
}

static bool is_integral(const struct call *call, const char *name) {
    const struct argument *argument = call_argument(call, name);
    return !argument || argument->kind == argument_integer || argument->kind == argument_boolean;
}

regraft_status kernel_arange(struct call *call) {
    bool integral = is_integral(call, "start") && is_integral(call, "end") && is_integral(call, "step");
    enum dtype dtype = call_dtype(call, "dtype", integral ? dtype_i64 : dtype_f32);
    double start = call_real(call, "start", 0), end = call_real(call, "end", 0), step = call_real(call, "step", 1);
    double count = ceil((end - start) / step);
    if (step == 0 || !(count >= 0 && count < 9e15))
        return call_fail(call, REGRAFT_REJECTED, "no range leads from %g to %g in steps of %g", start, end, step);
    if (integral)
        return integer_range(call, dtype, call_integer(call, "start", 0), call_integer(call, "step", 1),
                             (int64_t)count);
    return real_range(call, dtype, start, step, (int64_t)count);
}

regraft_status kernel_iota(struct call *call) {
    return integer_range(call, call_dtype(call, "dtype", dtype_i64), call_integer(call, "start", 0),
                         call_integer(call, "step", 1), call_integer(call, "length", 0));
}

/* ---- symbolic integers ---- */

static regraft_status layout_integer(struct call *call, const int64_t *items) {
    size_t dim;
    const struct tensor *self = call_tensor(call, "self");
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    if (self->shape.rank == 0)
        return call_fail(call, REGRAFT_REJECTED, "a tensor of no dimensions has no dimension %zu", dim);
    call->result = argument_of_integer(items[dim]);
    return REGRAFT_OK;
}

regraft_status kernel_sym_size(struct call *call) {
    return layout_integer(call, call_tensor(call, "self")->shape.sizes);
}
regraft_status kernel_sym_stride(struct call *call) { return layout_integer(call, call_tensor(call, "self")->strides); }

regraft_status kernel_sym_numel(struct call *call) {
    call->result = argument_of_integer(tensor_count(call_tensor(call, "self")));
    return REGRAFT_OK;
}

regraft_status kernel_sym_storage_offset(struct call *call) {
    call->result = argument_of_integer(call_tensor(call, "self")->offset);
    return REGRAFT_OK;
}
