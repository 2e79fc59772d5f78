/* Along one dimension: scans, softmax, sorting, differences. */
#include <math.h>
#include <stdlib.h>

#include "interp/kernels.h"

/* The elements of a tensor along one dimension; one that has no dimensions counts as having one of size 1. */
struct lines {
    struct tensor starts; /* the tensor with size 1 in that dimension */
    int64_t count, stride;
};

static struct lines lines_along(const struct tensor *tensor, size_t dim) {
    struct lines lines = {.starts = *tensor};
    if (tensor->shape.rank == 0) {
        lines.starts.shape = (struct shape){1, {1}};
        lines.starts.strides[0] = 1;
    }
    lines.count = lines.starts.shape.sizes[dim];
    lines.stride = lines.starts.strides[dim];
    lines.starts.shape.sizes[dim] = 1;
    return lines;
}

/* ---- sums and softmax ---- */

regraft_status kernel_cumsum(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    enum dtype dtype = call_dtype(call, "dtype", dtype_is_floating(self->dtype) ? self->dtype : dtype_i64);
    struct tensor out;
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    TRY(call_create_result(call, dtype, &self->shape, &out));
    struct lines in = lines_along(self, dim), to = lines_along(&out, dim);
    for (struct walk walk = walk_start(2, (const struct tensor *[]){&in.starts, &to.starts}); walk.left;
         walk_next(&walk)) {
        double real = 0;
        uint64_t integer = 0;
        for (int64_t i = 0; i < in.count; i++) {
            int64_t from = walk.position[0] + i * in.stride, target = walk.position[1] + i * to.stride;
            real += tensor_real(self, from);
            integer += (uint64_t)tensor_integer(self, from);
            if (dtype_is_floating(dtype))
                tensor_set_real(&out, target, real);
            else
                tensor_set_integer(&out, target, (int64_t)integer);
        }
    }
    return REGRAFT_OK;
}

/* exp(x - largest) / sum; a line of nothing but -inf gives NaN, as PyTorch does. */
static void softmax_line(const struct tensor *in, int64_t from, int64_t step, const struct tensor *out, int64_t to,
                         int64_t out_step, int64_t count) {
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = tensor_real(in, from + i * step);
        if (value > largest || isnan(value)) largest = value;
    }
    for (int64_t i = 0; i < count; i++) sum += exp(tensor_real(in, from + i * step) - largest);
    for (int64_t i = 0; i < count; i++)
        tensor_set_real(out, to + i * out_step, exp(tensor_real(in, from + i * step) - largest) / sum);
}

regraft_status kernel_softmax(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct tensor out;
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    TRY(call_create_result(call, call_boolean(call, "half_to_float") ? dtype_f32 : self->dtype, &self->shape, &out));
    struct lines in = lines_along(self, dim), to = lines_along(&out, dim);
    for (struct walk walk = walk_start(2, (const struct tensor *[]){&in.starts, &to.starts}); walk.left;
         walk_next(&walk))
        softmax_line(self, walk.position[0], in.stride, &out, walk.position[1], to.stride, in.count);
    return REGRAFT_OK;
}

/* ---- sorting ---- */

struct item {
    double real;     /* 0 for integers */
    int64_t integer; /* 0 for floats */
    int64_t index;
};

/* NaN is larger than everything. */
static int compare_values(const struct item *a, const struct item *b) {
    if (a->integer != b->integer) return a->integer < b->integer ? -1 : 1;
    if (isnan(a->real) || isnan(b->real)) return isnan(a->real) - isnan(b->real);
    return (a->real > b->real) - (a->real < b->real);
}

static int compare_index(const struct item *a, const struct item *b) {
    return a->index < b->index ? -1 : a->index > b->index;
}

static int ascending(const void *a, const void *b) {
    int order = compare_values(a, b);
    return order ? order : compare_index(a, b);
}

static int descending(const void *a, const void *b) {
    int order = compare_values(b, a);
    return order ? order : compare_index(a, b);
}

/* Sorts every line and keeps the first `keep` items; `values` or `indices` may be NULL. */
static void sort_lines(struct call *call, size_t dim, bool down, int64_t keep, const struct tensor *values,
                       const struct tensor *indices) {
    const struct tensor *self = call_tensor(call, "self");
    struct lines in = lines_along(self, dim), value_lines, index_lines = lines_along(indices, dim);
    bool real = dtype_is_floating(self->dtype);
    value_lines = values ? lines_along(values, dim) : index_lines;
    struct item *items = arena_array(call->scratch, struct item, (size_t)in.count);
    const struct tensor *starts[] = {&in.starts, &index_lines.starts, &value_lines.starts};
    for (struct walk walk = walk_start(3, starts); walk.left; walk_next(&walk)) {
        for (int64_t i = 0; i < in.count; i++) {
            int64_t position = walk.position[0] + i * in.stride;
            items[i] =
                (struct item){real ? tensor_real(self, position) : 0, real ? 0 : tensor_integer(self, position), i};
        }
        qsort(items, (size_t)in.count, sizeof *items, down ? descending : ascending);
        for (int64_t i = 0; i < keep; i++) {
            tensor_set_integer(indices, walk.position[1] + i * index_lines.stride, items[i].index);
            if (!values) continue;
            element_convert(values->dtype, tensor_at(values, walk.position[2] + i * value_lines.stride), self->dtype,
                            tensor_at(self, walk.position[0] + items[i].index * in.stride));
        }
    }
}

static regraft_status sorted_pair(struct call *call, size_t dim, bool down, int64_t keep) {
    const struct tensor *self = call_tensor(call, "self");
    struct shape shape = self->shape;
    struct tensor values, indices;
    if (shape.rank) shape.sizes[dim] = keep;
    TRY(call_create(call, 0, self->dtype, &shape, &values));
    TRY(call_create(call, 1, dtype_i64, &shape, &indices));
    sort_lines(call, dim, down, keep, &values, &indices);
    TRY(call_return_item(call, 0, 2, &values));
    return call_return_item(call, 1, 2, &indices);
}

static int64_t line_length(const struct tensor *tensor, size_t dim) {
    return tensor->shape.rank ? tensor->shape.sizes[dim] : 1;
}

regraft_status kernel_sort(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    return sorted_pair(call, dim, call_boolean(call, "descending"), line_length(self, dim));
}

regraft_status kernel_topk(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    int64_t k = call_integer(call, "k", 0);
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    if (k < 0 || k > line_length(self, dim))
        return call_fail(call, REGRAFT_REJECTED, "k is %lld, but the dimension has size %lld", (long long)k,
                         (long long)line_length(self, dim));
    return sorted_pair(call, dim, call_boolean(call, "largest"), k);
}

regraft_status kernel_argsort(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct tensor indices;
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    TRY(call_create_result(call, dtype_i64, &self->shape, &indices));
    sort_lines(call, dim, call_boolean(call, "descending"), line_length(self, dim), NULL, &indices);
    return REGRAFT_OK;
}

/* ---- counting and differences ---- */

regraft_status kernel_histc(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    int64_t bins = call_integer(call, "bins", 100), count = tensor_count(self);
    double *values = tensor_reals(call->scratch, self), low = call_real(call, "min", 0),
           high = call_real(call, "max", 0);
    struct tensor out;
    if (bins < 1) return call_fail(call, REGRAFT_REJECTED, "the number of bins must be at least 1");
    if (low == high && count) {
        low = high = values[0];
        for (int64_t i = 1; i < count; i++) {
            if (values[i] < low) low = values[i];
            if (values[i] > high) high = values[i];
        }
    }
    if (low == high) {
        low--;
        high++;
    }
    TRY(call_create_result(call, self->dtype, &(struct shape){1, {bins}}, &out));
    double *counts = arena_array(call->scratch, double, (size_t)bins);
    for (int64_t i = 0; i < count; i++) {
        if (!(values[i] >= low && values[i] <= high)) continue;
        int64_t bin = (int64_t)((values[i] - low) / (high - low) * (double)bins);
        counts[bin < bins ? bin : bins - 1]++;
    }
    for (int64_t i = 0; i < bins; i++) tensor_set_real(&out, i * out.strides[0], counts[i]);
    return REGRAFT_OK;
}

/* `prepend`, the tensor itself and `append` one after the other. */
static regraft_status join(struct call *call, size_t dim, struct tensor *whole) {
    const struct tensor *self = call_tensor(call, "self");
    const struct tensor *parts[] = {call_tensor(call, "prepend"), self, call_tensor(call, "append")};
    struct shape shape = self->shape;
    int64_t start = 0;
    shape.sizes[dim] = 0;
    for (size_t i = 0; i < 3; i++) {
        struct shape other = parts[i] ? parts[i]->shape : self->shape;
        if (other.rank == shape.rank) other.sizes[dim] = self->shape.sizes[dim];
        if (!shape_equal(&other, &self->shape) || (parts[i] && parts[i]->dtype != self->dtype))
            return call_fail(call, REGRAFT_REJECTED, "what is put on must match the tensor but for the dimension");
        if (parts[i]) shape.sizes[dim] += parts[i]->shape.sizes[dim];
    }
    *whole = tensor_create(call->scratch, self->dtype, &shape, NULL);
    for (size_t i = 0; i < 3; i++) {
        if (!parts[i]) continue;
        struct tensor place = tensor_window(whole, dim, start, parts[i]->shape.sizes[dim]);
        tensor_copy(call->scratch, &place, parts[i]);
        start += parts[i]->shape.sizes[dim];
    }
    return REGRAFT_OK;
}

/* x[1:] - x[:-1] along one dimension */
static struct tensor differences(struct arena *arena, const struct tensor *x, size_t dim) {
    int64_t length = x->shape.sizes[dim] > 0 ? x->shape.sizes[dim] - 1 : 0;
    struct tensor low = tensor_window(x, dim, 0, length), high = tensor_window(x, dim, length > 0, length);
    struct tensor out = tensor_create(arena, x->dtype, &low.shape, NULL);
    const struct tensor *tensors[] = {&out, &high, &low};
    for (struct walk walk = walk_start(3, tensors); walk.left; walk_next(&walk)) {
        uint64_t a = (uint64_t)tensor_integer(x, walk.position[1]), b = (uint64_t)tensor_integer(x, walk.position[2]);
        double difference = tensor_real(x, walk.position[1]) - tensor_real(x, walk.position[2]);
        if (dtype_is_floating(x->dtype))
            tensor_set_real(&out, walk.position[0], difference);
        else
            tensor_set_integer(&out, walk.position[0], (int64_t)(a - b));
    }
    return out;
}

/* The differences of the differences ..., `n` times. */
regraft_status kernel_diff(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    int64_t n = call_integer(call, "n", 1);
    struct tensor rest, out;
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    if (self->shape.rank == 0 || n < 0)
        return call_fail(call, REGRAFT_REJECTED, "differences need a dimension and n from 0 on");
    TRY(join(call, dim, &rest));
    for (int64_t i = 0; i < n && rest.shape.sizes[dim] > 0; i++) rest = differences(call->scratch, &rest, dim);
    TRY(call_create_result(call, self->dtype, &rest.shape, &out));
    tensor_copy(call->scratch, &out, &rest);
    return REGRAFT_OK;
}
