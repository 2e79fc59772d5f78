/* Updates (the first argument with one place replaced), in-place forms, and what both are made of. */
#include "interp/kernels.h"

/* A fresh tensor with the values of `source`, laid out as annotated: the result of the call. */
static regraft_status create_copy(struct call *call, const struct tensor *source, struct tensor *copy) {
    TRY(call_create_result(call, source->dtype, &source->shape, copy));
    tensor_copy(call->scratch, copy, source);
    return REGRAFT_OK;
}

/* Writes `src` into the place of the result that the view kernel `place` picks: x_scatter(self, src, ...) is
 * clone(self), x(clone, ...).copy_(src). The view's arguments have the same names in both schemas. */
static regraft_status scatter_into(struct call *call, kernel *place, const struct tensor *clone) {
    const struct tensor *source = call_tensor(call, "src");
    struct call window = *call;
    struct tensor same;
    window.arguments =
        arena_copy(call->arena, call->arguments, call->operation->schema.argument_count * sizeof *call->arguments);
    window.arguments[0] = argument_of_tensor(call->arena, clone);
    TRY(place(&window));
    if (!tensor_broadcast(source, &window.result.tensor->shape, &same))
        return call_fail(call, REGRAFT_REJECTED, "sizes %s do not fit the place of sizes %s",
                         shape_print(call->arena, &source->shape),
                         shape_print(call->arena, &window.result.tensor->shape));
    tensor_copy(call->scratch, window.result.tensor, source);
    return call_return(call, clone);
}

static regraft_status scatter(struct call *call, kernel *place) {
    struct tensor clone;
    TRY(create_copy(call, call_tensor(call, "self"), &clone));
    return scatter_into(call, place, &clone);
}

regraft_status kernel_slice_scatter(struct call *call) { return scatter(call, kernel_slice); }
regraft_status kernel_select_scatter(struct call *call) { return scatter(call, kernel_select); }
regraft_status kernel_diagonal_scatter(struct call *call) { return scatter(call, kernel_diagonal); }
regraft_status kernel_copy(struct call *call) { return scatter(call, kernel_alias); }

/* Offsets count from the start of the storage, so the clone keeps the whole storage. */
regraft_status kernel_as_strided_scatter(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct storage *storage = arena_new(call->arena, struct storage);
    struct tensor clone = *self;
    *storage =
        (struct storage){arena_copy(call->arena, self->storage->bytes, self->storage->size), self->storage->size};
    clone.storage = storage;
    return scatter_into(call, kernel_as_strided, &clone);
}

regraft_status kernel_clone(struct call *call) {
    struct tensor copy;
    return create_copy(call, call_tensor(call, "self"), &copy);
}

regraft_status kernel_contiguous(struct call *call) {
    return tensor_is_contiguous(call_tensor(call, "self")) ? kernel_alias(call) : kernel_clone(call);
}

/* Tensor.to and its kin: those that are views give the argument itself back when there is nothing to convert. */
regraft_status kernel_cast(struct call *call) {
    const struct tensor *self = call_has(call, "self") ? call_tensor(call, "self") : call_tensor(call, "a");
    enum dtype dtype = call_dtype(call, "dtype", self->dtype);
    struct tensor copy;
    bool may_alias = call->operation->class == class_view && !call_boolean(call, "copy");
    if (may_alias && dtype == self->dtype) return call_return(call, self);
    TRY(call_create_result(call, dtype, &self->shape, &copy));
    tensor_copy(call->scratch, &copy, self);
    return REGRAFT_OK;
}

/* ---- in place ---- */

static regraft_status write_self(struct call *call, const struct tensor *source) {
    const struct tensor *self = call_tensor(call, "self");
    struct tensor same;
    if (!tensor_broadcast(source, &self->shape, &same))
        return call_fail(call, REGRAFT_REJECTED, "sizes %s cannot be written to a tensor of sizes %s",
                         shape_print(call->arena, &source->shape), shape_print(call->arena, &self->shape));
    tensor_copy(call->scratch, self, source);
    return call_return(call, self);
}

/* x.f_(...) is x.copy_(f(x, ...)). */
static regraft_status in_place(struct call *call, kernel *functional) {
    TRY(functional(call));
    return write_self(call, call->result.tensor);
}

regraft_status kernel_copy_inplace(struct call *call) { return write_self(call, call_tensor(call, "src")); }
regraft_status kernel_add_inplace(struct call *call) { return in_place(call, kernel_add); }
regraft_status kernel_sub_inplace(struct call *call) { return in_place(call, kernel_sub); }
regraft_status kernel_mul_inplace(struct call *call) { return in_place(call, kernel_mul); }
regraft_status kernel_div_inplace(struct call *call) { return in_place(call, kernel_div); }
regraft_status kernel_index_put_inplace(struct call *call) { return in_place(call, kernel_index_put); }
regraft_status kernel_index_copy_inplace(struct call *call) { return in_place(call, kernel_index_copy); }

regraft_status kernel_zero_inplace(struct call *call) {
    struct tensor zero = tensor_scalar_integer(call->arena, dtype_i64, 0);
    return write_self(call, &zero);
}

regraft_status kernel_fill_inplace(struct call *call) {
    const struct argument *value = call_argument(call, "value");
    struct tensor number = value->kind == argument_integer
                               ? tensor_scalar_integer(call->arena, dtype_i64, value->integer)
                               : tensor_scalar_real(call->arena, dtype_f64, call_real(call, "value", 0));
    return write_self(call, &number);
}
