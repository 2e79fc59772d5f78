/* Fresh tensors put together from the elements of others: concatenation, padding, repetition, triangles. */
#include "interp/kernels.h"
#include "interp/promote.h"

/* The tensors of a list, and their common element type. */
static regraft_status list_tensors(struct call *call, const struct tensor ***tensors, size_t *count,
                                   enum dtype *dtype) {
    const struct argument *list = call_argument(call, "tensors");
    *count = list->list.count;
    if (*count == 0) return call_fail(call, REGRAFT_REJECTED, "expected at least one tensor");
    *tensors = arena_array(call->arena, const struct tensor *, *count);
    for (size_t i = 0; i < *count; i++) (*tensors)[i] = list->list.items[i].tensor;
    *dtype = promote_operands(*tensors, *count);
    return REGRAFT_OK;
}

/* cat skips tensors of sizes [0], whatever the others look like. */
static bool is_skipped(const struct tensor *tensor) { return tensor->shape.rank == 1 && tensor->shape.sizes[0] == 0; }

regraft_status kernel_cat(struct call *call) {
    const struct tensor **tensors;
    struct shape shape = {1, {0}};
    struct tensor out;
    enum dtype dtype;
    size_t count, dim;
    int64_t length = 0, start = 0;
    TRY(list_tensors(call, &tensors, &count, &dtype));
    for (size_t i = count; i-- > 0;)
        if (!is_skipped(tensors[i])) shape = tensors[i]->shape;
    TRY(call_named_dim(call, "dim", shape.rank, &dim));
    if (shape.rank == 0) return call_fail(call, REGRAFT_REJECTED, "tensors of no dimensions cannot be concatenated");
    for (size_t i = 0; i < count; i++) {
        struct shape other = tensors[i]->shape;
        if (is_skipped(tensors[i])) continue;
        if (other.rank == shape.rank) other.sizes[dim] = shape.sizes[dim];
        if (!shape_equal(&other, &shape))
            return call_fail(call, REGRAFT_REJECTED, "sizes %s and %s differ in more than dimension %zu",
                             shape_print(call->arena, &tensors[i]->shape), shape_print(call->arena, &shape), dim);
        length += tensors[i]->shape.sizes[dim];
    }
    shape.sizes[dim] = length;
    TRY(call_create_result(call, dtype, &shape, &out));
    for (size_t i = 0; i < count; i++) {
        if (is_skipped(tensors[i])) continue;
        struct tensor part = tensor_window(&out, dim, start, tensors[i]->shape.sizes[dim]);
        tensor_copy(call->scratch, &part, tensors[i]);
        start += tensors[i]->shape.sizes[dim];
    }
    return REGRAFT_OK;
}

regraft_status kernel_stack(struct call *call) {
    const struct tensor **tensors;
    struct shape shape = {0};
    struct tensor out;
    enum dtype dtype;
    size_t count, dim;
    TRY(list_tensors(call, &tensors, &count, &dtype));
    const struct shape *item = &tensors[0]->shape;
    TRY(call_named_dim(call, "dim", item->rank + 1, &dim));
    if (item->rank == rank_limit) return call_fail(call, REGRAFT_UNSUPPORTED, "more than %d dimensions", rank_limit);
    for (size_t i = 0; i <= item->rank; i++)
        shape.sizes[shape.rank++] = i == dim ? (int64_t)count : item->sizes[i < dim ? i : i - 1];
    TRY(call_create_result(call, dtype, &shape, &out));
    for (size_t i = 0; i < count; i++) {
        struct tensor part = tensor_window(&out, dim, (int64_t)i, 1), lifted = *tensors[i];
        if (!shape_equal(&lifted.shape, item))
            return call_fail(call, REGRAFT_REJECTED, "sizes %s and %s differ", shape_print(call->arena, &lifted.shape),
                             shape_print(call->arena, item));
        for (size_t k = item->rank; k > dim; k--) lifted.strides[k] = lifted.strides[k - 1];
        lifted.shape = part.shape;
        lifted.strides[dim] = 0;
        tensor_copy(call->scratch, &part, &lifted);
    }
    return REGRAFT_OK;
}

regraft_status kernel_constant_pad_nd(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    const struct tensor *value = call_operand(call, "value");
    const struct argument *pad = call_argument(call, "pad");
    struct tensor out, from = *self, to;
    struct shape shape = self->shape;
    if (pad->list.count % 2 || pad->list.count / 2 > shape.rank)
        return call_fail(call, REGRAFT_REJECTED, "%zu paddings for %zu dimensions", pad->list.count, shape.rank);
    for (size_t i = 0; i < pad->list.count / 2; i++)
        if (__builtin_add_overflow(shape.sizes[shape.rank - 1 - i], pad->list.items[2 * i].integer,
                                   &shape.sizes[shape.rank - 1 - i]) ||
            __builtin_add_overflow(shape.sizes[shape.rank - 1 - i], pad->list.items[2 * i + 1].integer,
                                   &shape.sizes[shape.rank - 1 - i]))
            return call_fail(call, REGRAFT_REJECTED, "a padding is far too large");
    TRY(call_create_result(call, self->dtype, &shape, &out));
    tensor_copy(call->scratch, &out, value);
    to = out;
    for (size_t i = 0; i < pad->list.count / 2; i++) { /* negative paddings cut */
        size_t dim = shape.rank - 1 - i;
        int64_t before = pad->list.items[2 * i].integer, after = pad->list.items[2 * i + 1].integer;
        int64_t skip = before < 0 ? -before : 0, cut = after < 0 ? -after : 0;
        int64_t length = self->shape.sizes[dim] - skip - cut;
        if (length < 0) length = 0;
        from = tensor_window(&from, dim, skip, length);
        to = tensor_window(&to, dim, before > 0 ? before : 0, length);
    }
    tensor_copy(call->scratch, &to, &from);
    return REGRAFT_OK;
}

regraft_status kernel_repeat(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct shape repeats, shape = {0};
    struct tensor out;
    TRY(call_shape(call, "repeats", &repeats));
    if (repeats.rank < self->shape.rank)
        return call_fail(call, REGRAFT_REJECTED, "%zu repetitions for %zu dimensions", repeats.rank, self->shape.rank);
    size_t added = repeats.rank - self->shape.rank;
    shape.rank = repeats.rank;
    for (size_t i = 0; i < shape.rank; i++)
        if (__builtin_mul_overflow(repeats.sizes[i], i < added ? 1 : self->shape.sizes[i - added], &shape.sizes[i]))
            return call_fail(call, REGRAFT_REJECTED, "a repetition is far too large");
    TRY(call_create_result(call, self->dtype, &shape, &out));
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&out}); walk.left; walk_next(&walk)) {
        int64_t index[rank_limit] = {0};
        for (size_t i = added; i < shape.rank; i++) index[i - added] = walk.index[i] % self->shape.sizes[i - added];
        memcpy(tensor_at(&out, walk.position[0]), tensor_at(self, tensor_position(self, index)),
               dtype_size(self->dtype));
    }
    return REGRAFT_OK;
}

static regraft_status flip(struct call *call, const struct tensor *self) {
    bool flipped[rank_limit] = {false};
    struct shape dims;
    struct tensor out;
    size_t dim;
    TRY(call_shape(call, "dims", &dims));
    for (size_t i = 0; i < dims.rank; i++) {
        TRY(call_dim(call, dims.sizes[i], self->shape.rank, &dim));
        flipped[dim] = true;
    }
    TRY(call_create_result(call, self->dtype, &self->shape, &out));
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&out}); walk.left; walk_next(&walk)) {
        int64_t index[rank_limit];
        for (size_t i = 0; i < self->shape.rank; i++)
            index[i] = flipped[i] ? self->shape.sizes[i] - 1 - walk.index[i] : walk.index[i];
        memcpy(tensor_at(&out, walk.position[0]), tensor_at(self, tensor_position(self, index)),
               dtype_size(self->dtype));
    }
    return REGRAFT_OK;
}

regraft_status kernel_flip(struct call *call) { return flip(call, call_tensor(call, "self")); }
regraft_status kernel_rev(struct call *call) { return flip(call, call_tensor(call, "a")); }

/* Keeps the elements on and below (or above) a diagonal of the last two dimensions. */
static regraft_status triangle(struct call *call, bool lower) {
    const struct tensor *self = call_tensor(call, "self");
    int64_t diagonal = call_integer(call, "diagonal", 0);
    struct tensor out, zero = tensor_scalar_integer(call->arena, dtype_i64, 0);
    size_t rank = self->shape.rank;
    if (rank < 2) return call_fail(call, REGRAFT_REJECTED, "a triangle needs two dimensions");
    TRY(call_create_result(call, self->dtype, &self->shape, &out));
    tensor_copy(call->scratch, &out, self);
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&out}); walk.left; walk_next(&walk)) {
        int64_t above = walk.index[rank - 1] - walk.index[rank - 2];
        if (lower ? above > diagonal : above < diagonal)
            element_convert(out.dtype, tensor_at(&out, walk.position[0]), zero.dtype, zero.storage->bytes);
    }
    return REGRAFT_OK;
}

regraft_status kernel_tril(struct call *call) { return triangle(call, true); }
regraft_status kernel_triu(struct call *call) { return triangle(call, false); }
