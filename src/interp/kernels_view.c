/* Views: another window onto the same storage. Sizes, strides and offsets are computed on plain integers, written apart
 * from the symbolic rules in ir/: this is what those are tested against. */
#include "interp/kernels.h"

regraft_status kernel_alias(struct call *call) { return call_return(call, call_tensor(call, "self")); }

/* Python's rule: negative counts from the end, then everything is clamped into [0, size]. */
static int64_t clamp_index(int64_t index, int64_t size) {
    if (index < 0) index += size;
    return index < 0 ? 0 : index > size ? size : index;
}

regraft_status kernel_slice(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    int64_t step = call_integer(call, "step", 1);
    size_t dim;
    TRY(call_named_dim(call, "dim", view.shape.rank, &dim));
    if (view.shape.rank == 0) return call_fail(call, REGRAFT_REJECTED, "a tensor of no dimensions cannot be sliced");
    if (step < 1) return call_fail(call, REGRAFT_REJECTED, "the step must be at least 1, found %lld", (long long)step);
    int64_t size = view.shape.sizes[dim];
    int64_t start = clamp_index(call_integer(call, "start", 0), size),
            end = clamp_index(call_integer(call, "end", INT64_MAX), size);
    if (end < start) end = start;
    view.offset += start * view.strides[dim];
    view.shape.sizes[dim] = (end - start) / step + ((end - start) % step != 0);
    if (__builtin_mul_overflow(view.strides[dim], step, &view.strides[dim]))
        view.strides[dim] = INT64_MAX; /* size 0 or 1 */
    return call_return(call, &view);
}

regraft_status kernel_narrow(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    size_t dim;
    TRY(call_named_dim(call, "dim", view.shape.rank, &dim));
    int64_t size = view.shape.rank ? view.shape.sizes[dim] : 0;
    int64_t start = call_integer(call, "start", 0), length = call_integer(call, "length", 0);
    if (start < 0) start += size;
    if (start < 0 || length < 0 || start > size || length > size - start)
        return call_fail(call, REGRAFT_REJECTED, "start %lld and length %lld leave a dimension of size %lld",
                         (long long)start, (long long)length, (long long)size);
    view.offset += start * view.strides[dim];
    view.shape.sizes[dim] = length;
    return call_return(call, &view);
}

static void remove_dim(struct tensor *view, size_t dim) {
    for (size_t i = dim; i + 1 < view->shape.rank; i++) {
        view->shape.sizes[i] = view->shape.sizes[i + 1];
        view->strides[i] = view->strides[i + 1];
    }
    view->shape.rank--;
}

static struct tensor item_of(const struct tensor *tensor, size_t dim, int64_t index) {
    struct tensor view = *tensor;
    view.offset += index * view.strides[dim];
    remove_dim(&view, dim);
    return view;
}

regraft_status kernel_select(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    int64_t size = self->shape.rank ? self->shape.sizes[dim] : 0, index = call_integer(call, "index", 0);
    if (index < -size || index >= size)
        return call_fail(call, REGRAFT_REJECTED, "index %lld is out of range for size %lld", (long long)index,
                         (long long)size);
    struct tensor view = item_of(self, dim, index < 0 ? index + size : index);
    return call_return(call, &view);
}

regraft_status kernel_unbind(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    if (self->shape.rank == 0) return call_fail(call, REGRAFT_REJECTED, "a tensor of no dimensions cannot be unbound");
    size_t count = (size_t)self->shape.sizes[dim];
    call->result = argument_of_list(call->arena, count);
    for (size_t i = 0; i < count; i++) {
        struct tensor view = item_of(self, dim, (int64_t)i);
        TRY(call_return_item(call, i, count, &view));
    }
    return REGRAFT_OK;
}

/* ---- split ---- */

static regraft_status return_piece(struct call *call, size_t dim, int64_t start, int64_t length, size_t index,
                                   size_t count) {
    struct tensor view = *call_tensor(call, "self");
    view.offset += start * view.strides[dim];
    view.shape.sizes[dim] = length;
    return call_return_item(call, index, count, &view);
}

regraft_status kernel_split_with_sizes(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    const struct argument *sizes = call_argument(call, call_has(call, "split_sizes") ? "split_sizes" : "split_size");
    int64_t start = 0;
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    call->result = argument_of_list(call->arena, sizes->list.count);
    for (size_t i = 0; i < sizes->list.count; i++) {
        int64_t length = sizes->list.items[i].integer;
        if (self->shape.rank == 0 || length < 0 || length > self->shape.sizes[dim] - start)
            return call_fail(call, REGRAFT_REJECTED, "the sizes do not fit a dimension of size %lld",
                             (long long)(self->shape.rank ? self->shape.sizes[dim] : 0));
        TRY(return_piece(call, dim, start, length, i, sizes->list.count));
        start += length;
    }
    if (self->shape.rank && start == self->shape.sizes[dim]) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "the sizes add up to %lld, but the dimension has size %lld",
                     (long long)start, (long long)(self->shape.rank ? self->shape.sizes[dim] : 0));
}

/* Pieces of `length`, the last one maybe shorter; one empty piece of an empty dimension. */
static regraft_status split_evenly(struct call *call, size_t dim, int64_t length) {
    const struct tensor *self = call_tensor(call, "self");
    int64_t size = self->shape.rank ? self->shape.sizes[dim] : 0;
    if (self->shape.rank == 0 || length < 0 || (length == 0 && size != 0))
        return call_fail(call, REGRAFT_REJECTED, "a dimension of size %lld cannot be split into pieces of %lld",
                         (long long)size, (long long)length);
    int64_t count = size == 0 ? 1 : (size - 1) / length + 1;
    call->result = argument_of_list(call->arena, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        TRY(return_piece(call, dim, i * length, i + 1 < count ? length : size - i * length, (size_t)i, (size_t)count));
    return REGRAFT_OK;
}

regraft_status kernel_split(struct call *call) {
    size_t dim;
    TRY(call_named_dim(call, "dim", call_tensor(call, "self")->shape.rank, &dim));
    return split_evenly(call, dim, call_integer(call, "split_size", 0));
}

regraft_status kernel_chunk(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    int64_t chunks = call_integer(call, "chunks", 1);
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    if (chunks < 1) return call_fail(call, REGRAFT_REJECTED, "the number of chunks must be at least 1");
    int64_t size = self->shape.rank ? self->shape.sizes[dim] : 0;
    if (size > 0) return split_evenly(call, dim, (size - 1) / chunks + 1);
    for (int64_t i = 0; i < chunks; i++) TRY(return_piece(call, dim, 0, 0, (size_t)i, (size_t)chunks));
    return REGRAFT_OK;
}

/* ---- order of dimensions ---- */

static regraft_status permute(struct call *call, const size_t *order) {
    const struct tensor *self = call_tensor(call, "self");
    struct tensor view = *self;
    for (size_t i = 0; i < self->shape.rank; i++) {
        view.shape.sizes[i] = self->shape.sizes[order[i]];
        view.strides[i] = self->strides[order[i]];
    }
    return call_return(call, &view);
}

regraft_status kernel_permute(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct shape dims;
    size_t order[rank_limit];
    bool seen[rank_limit] = {false};
    TRY(call_shape(call, "dims", &dims));
    for (size_t i = 0; i < dims.rank; i++) {
        TRY(call_dim(call, dims.sizes[i], self->shape.rank, &order[i]));
        if (seen[order[i]]) return call_fail(call, REGRAFT_REJECTED, "dimension %zu is named twice", order[i]);
        seen[order[i]] = true;
    }
    if (dims.rank != self->shape.rank)
        return call_fail(call, REGRAFT_REJECTED, "%zu dimensions are named, the tensor has %zu", dims.rank,
                         self->shape.rank);
    return permute(call, order);
}

static regraft_status swap(struct call *call, int64_t a, int64_t b) {
    size_t rank = call_tensor(call, "self")->shape.rank, order[rank_limit], first, second;
    TRY(call_dim(call, a, rank, &first));
    TRY(call_dim(call, b, rank, &second));
    for (size_t i = 0; i < rank; i++) order[i] = i == first ? second : i == second ? first : i;
    return permute(call, order);
}

regraft_status kernel_transpose(struct call *call) {
    return swap(call, call_integer(call, "dim0", 0), call_integer(call, "dim1", 0));
}

regraft_status kernel_t(struct call *call) {
    size_t rank = call_tensor(call, "self")->shape.rank;
    if (rank > 2) return call_fail(call, REGRAFT_REJECTED, "expected at most 2 dimensions, found %zu", rank);
    return rank == 2 ? swap(call, 0, 1) : kernel_alias(call);
}

/* ---- dimensions of size 1 ---- */

static regraft_status squeeze(struct call *call, const bool *chosen) {
    struct tensor view = *call_tensor(call, "self");
    for (size_t i = view.shape.rank; i-- > 0;)
        if (chosen[i] && view.shape.sizes[i] == 1) remove_dim(&view, i);
    return call_return(call, &view);
}

regraft_status kernel_squeeze(struct call *call) {
    bool chosen[rank_limit];
    for (size_t i = 0; i < rank_limit; i++) chosen[i] = true;
    return squeeze(call, chosen);
}

regraft_status kernel_squeeze_dim(struct call *call) {
    const struct argument *dims = call_argument(call, "dim");
    bool chosen[rank_limit] = {false};
    size_t dim, count = dims->kind == argument_list ? dims->list.count : 1;
    for (size_t i = 0; i < count; i++) {
        const struct argument *item = dims->kind == argument_list ? &dims->list.items[i] : dims;
        TRY(call_dim(call, item->integer, call_tensor(call, "self")->shape.rank, &dim));
        chosen[dim] = true;
    }
    return squeeze(call, chosen);
}

regraft_status kernel_unsqueeze(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    size_t dim, rank = view.shape.rank;
    TRY(call_named_dim(call, "dim", rank + 1, &dim));
    if (rank == rank_limit) return call_fail(call, REGRAFT_UNSUPPORTED, "more than %d dimensions", rank_limit);
    int64_t stride = dim < rank ? view.shape.sizes[dim] * view.strides[dim] : 1;
    for (size_t i = rank; i > dim; i--) {
        view.shape.sizes[i] = view.shape.sizes[i - 1];
        view.strides[i] = view.strides[i - 1];
    }
    view.shape.sizes[dim] = 1;
    view.strides[dim] = stride;
    view.shape.rank++;
    return call_return(call, &view);
}

regraft_status kernel_expand(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct tensor view;
    struct shape wanted;
    TRY(call_shape(call, "size", &wanted));
    for (size_t i = 0; i < wanted.rank; i++) { /* -1 keeps the size */
        size_t added = wanted.rank >= self->shape.rank ? wanted.rank - self->shape.rank : 0;
        if (wanted.sizes[i] == -1 && i >= added) wanted.sizes[i] = self->shape.sizes[i - added];
    }
    if (shape_count(&wanted) < 0 || !tensor_broadcast(self, &wanted, &view))
        return call_fail(call, REGRAFT_REJECTED, "sizes %s cannot be expanded to %s",
                         shape_print(call->arena, &self->shape), shape_print(call->arena, &wanted));
    return call_return(call, &view);
}

/* ---- other sizes ---- */

/* at::detail::computeStride: walks both shapes from the last dimension; a run of dimensions of `tensor` that lie in
 * memory like one dimension can be cut in any way. */
static bool view_strides(const struct tensor *tensor, const struct shape *shape, int64_t *strides) {
    size_t rank = tensor->shape.rank, view = shape->rank;
    int64_t elements = 1, covered = 1;
    if (tensor_count(tensor) == 0) { /* the sizes are equal, or any strides do */
        if (shape_equal(&tensor->shape, shape))
            memcpy(strides, tensor->strides, rank * sizeof *strides);
        else
            shape_contiguous_strides(shape, strides);
        return true;
    }
    if (rank == 0) {
        for (size_t i = 0; i < view; i++) strides[i] = 1;
        return true;
    }
    int64_t base = tensor->strides[rank - 1];
    for (size_t dim = rank; dim-- > 0;) {
        elements *= tensor->shape.sizes[dim];
        bool ends = dim == 0 || (tensor->shape.sizes[dim - 1] != 1 && tensor->strides[dim - 1] != elements * base);
        if (!ends) continue;
        while (view > 0 && (covered < elements || shape->sizes[view - 1] == 1)) {
            strides[--view] = covered * base;
            covered *= shape->sizes[view];
        }
        if (covered != elements) return false;
        if (dim > 0) {
            base = tensor->strides[dim - 1];
            elements = covered = 1;
        }
    }
    return view == 0;
}

/* Finds the size that is written as -1; false when the sizes do not fit. */
static bool settle_sizes(int64_t count, struct shape *shape) {
    size_t open = SIZE_MAX;
    struct shape known = *shape;
    for (size_t i = 0; i < shape->rank; i++) {
        if (shape->sizes[i] != -1) continue;
        if (open != SIZE_MAX) return false;
        open = i;
        known.sizes[i] = 1;
    }
    int64_t rest = shape_count(&known);
    if (open != SIZE_MAX && rest > 0 && count % rest == 0) shape->sizes[open] = count / rest;
    return shape_count(shape) == count;
}

/* A view where the strides allow it, else a fresh row-major copy: what torch.reshape does. */
static regraft_status reshape(struct call *call, struct shape shape) {
    const struct tensor *self = call_tensor(call, "self");
    struct tensor view = *self, copy;
    if (!settle_sizes(tensor_count(self), &shape))
        return call_fail(call, REGRAFT_REJECTED, "%s cannot be given the sizes %s",
                         shape_print(call->arena, &self->shape), shape_print(call->arena, &shape));
    view.shape = shape;
    if (view_strides(self, &shape, view.strides)) return call_return(call, &view);
    TRY(run_reserve(call->run, call->node, self->dtype, tensor_count(self)));
    copy = tensor_convert(call->arena, self, self->dtype);
    copy.shape = shape;
    shape_contiguous_strides(&shape, copy.strides);
    return call_return(call, &copy);
}

regraft_status kernel_reshape(struct call *call) {
    struct shape shape;
    TRY(call_shape(call, call_has(call, "size") ? "size" : "shape", &shape));
    return reshape(call, shape);
}

regraft_status kernel_flatten(struct call *call) {
    const struct shape *sizes = &call_tensor(call, "self")->shape;
    struct shape shape = {0};
    size_t first, last;
    TRY(call_named_dim(call, "start_dim", sizes->rank, &first));
    TRY(call_named_dim(call, "end_dim", sizes->rank, &last));
    if (first > last) return call_fail(call, REGRAFT_REJECTED, "the first dimension to flatten lies after the last");
    if (sizes->rank == 0) return reshape(call, (struct shape){1, {1}});
    for (size_t i = 0; i < sizes->rank; i++) {
        bool merged = i > first && i <= last;
        if (!merged)
            shape.sizes[shape.rank++] = sizes->sizes[i];
        else if (__builtin_mul_overflow(shape.sizes[shape.rank - 1], sizes->sizes[i], &shape.sizes[shape.rank - 1]))
            return call_fail(call, REGRAFT_REJECTED, "the flattened dimension does not fit");
    }
    return reshape(call, shape);
}

regraft_status kernel_unflatten(struct call *call) {
    const struct shape *sizes = &call_tensor(call, "self")->shape;
    struct shape inner, shape = {0};
    size_t dim;
    TRY(call_named_dim(call, "dim", sizes->rank, &dim));
    TRY(call_shape(call, "sizes", &inner));
    if (sizes->rank == 0 || sizes->rank - 1 + inner.rank > rank_limit || !settle_sizes(sizes->sizes[dim], &inner))
        return call_fail(call, REGRAFT_REJECTED, "dimension %zu of %s cannot be unflattened to %s", dim,
                         shape_print(call->arena, sizes), shape_print(call->arena, &inner));
    for (size_t i = 0; i < sizes->rank; i++) {
        if (i != dim) shape.sizes[shape.rank++] = sizes->sizes[i];
        for (size_t k = 0; i == dim && k < inner.rank; k++) shape.sizes[shape.rank++] = inner.sizes[k];
    }
    return reshape(call, shape);
}

regraft_status kernel_as_strided(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    struct shape strides;
    TRY(call_shape(call, "size", &view.shape));
    TRY(call_shape(call, "stride", &strides));
    if (strides.rank != view.shape.rank)
        return call_fail(call, REGRAFT_REJECTED, "%zu sizes, but %zu strides", view.shape.rank, strides.rank);
    memcpy(view.strides, strides.sizes, sizeof view.strides);
    view.offset = call_integer(call, "storage_offset", view.offset);
    return call_return(call, &view);
}

regraft_status kernel_diagonal(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    int64_t offset = call_integer(call, "offset", 0), length;
    size_t rows, columns;
    TRY(call_named_dim(call, "dim1", view.shape.rank, &rows));
    TRY(call_named_dim(call, "dim2", view.shape.rank, &columns));
    if (rows == columns || view.shape.rank < 2)
        return call_fail(call, REGRAFT_REJECTED, "a diagonal needs two different dimensions");
    int64_t height = view.shape.sizes[rows], width = view.shape.sizes[columns],
            stride = view.strides[rows] + view.strides[columns];
    if (offset >= 0)
        length = offset > width ? 0 : height < width - offset ? height : width - offset;
    else
        length = -offset > height ? 0 : width < height + offset ? width : height + offset;
    if (length > 0) view.offset += offset >= 0 ? offset * view.strides[columns] : -offset * view.strides[rows];
    remove_dim(&view, rows > columns ? rows : columns);
    remove_dim(&view, rows > columns ? columns : rows);
    view.shape.sizes[view.shape.rank] = length;
    view.strides[view.shape.rank++] = stride;
    return call_return(call, &view);
}

regraft_status kernel_unfold(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    size_t dim, rank = view.shape.rank;
    int64_t size = call_integer(call, "size", 0), step = call_integer(call, "step", 1);
    TRY(call_named_dim(call, "dimension", rank ? rank : 1, &dim));
    int64_t length = rank ? view.shape.sizes[dim] : 1, stride = rank ? view.strides[dim] : 1;
    if (size < 0 || size > length || step <= 0 || rank == rank_limit)
        return call_fail(call, REGRAFT_REJECTED, "windows of %lld elements, %lld apart, of a dimension of size %lld",
                         (long long)size, (long long)step, (long long)length);
    if (rank) {
        view.shape.sizes[dim] = (length - size) / step + 1;
        view.strides[dim] = stride * step;
    }
    view.shape.sizes[rank] = size;
    view.strides[rank] = stride;
    view.shape.rank++;
    return call_return(call, &view);
}

/* Other element type over the same bytes; the last dimension grows or shrinks with the size of an element. */
static bool reinterpret(struct tensor *view, enum dtype dtype) {
    int64_t from = (int64_t)dtype_size(view->dtype), to = (int64_t)dtype_size(dtype);
    size_t rank = view->shape.rank;
    view->dtype = dtype;
    if (from == to) return true;
    if (rank == 0 || (view->strides[rank - 1] != 1 && view->shape.sizes[rank - 1] > 1)) return false;
    if (from > to) {
        for (size_t i = 0; i + 1 < rank; i++) view->strides[i] *= from / to;
        view->shape.sizes[rank - 1] *= from / to;
        view->offset *= from / to;
    } else {
        int64_t ratio = to / from;
        if (view->shape.sizes[rank - 1] % ratio || view->offset % ratio) return false;
        for (size_t i = 0; i + 1 < rank; i++) {
            if (view->strides[i] % ratio) return false;
            view->strides[i] /= ratio;
        }
        view->shape.sizes[rank - 1] /= ratio;
        view->offset /= ratio;
    }
    view->strides[rank - 1] = 1;
    return true;
}

regraft_status kernel_view_dtype(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    enum dtype dtype = call_dtype(call, "dtype", view.dtype);
    if (!reinterpret(&view, dtype))
        return call_fail(call, REGRAFT_REJECTED, "the layout does not allow a view with elements of type %s",
                         dtype_torch_name(dtype));
    return call_return(call, &view);
}

/* Pairs of real numbers, the last dimension, as complex ones and back. */
regraft_status kernel_view_as_real(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    enum dtype dtype = dtype_part(view.dtype);
    size_t rank = view.shape.rank;
    if (dtype == dtype_none || rank == rank_limit)
        return call_fail(call, REGRAFT_REJECTED, "%s are no complex numbers", dtype_torch_name(view.dtype));
    for (size_t i = 0; i < rank; i++) view.strides[i] *= 2;
    view.shape.sizes[rank] = 2;
    view.strides[rank] = 1;
    view.shape.rank++;
    view.offset *= 2;
    view.dtype = dtype;
    return call_return(call, &view);
}

regraft_status kernel_view_as_complex(struct call *call) {
    struct tensor view = *call_tensor(call, "self");
    enum dtype dtype = dtype_of_pairs(view.dtype);
    size_t last = view.shape.rank - 1;
    bool pairs = dtype != dtype_none && view.shape.rank && view.shape.sizes[last] == 2 && view.strides[last] == 1 &&
                 view.offset % 2 == 0;
    for (size_t i = 0; pairs && i < last; i++) {
        pairs = view.strides[i] % 2 == 0;
        view.strides[i] /= 2;
    }
    if (!pairs) return call_fail(call, REGRAFT_REJECTED, "the layout does not allow a view as complex numbers");
    view.shape.rank--;
    view.offset /= 2;
    view.dtype = dtype;
    return call_return(call, &view);
}
