/* Reading and writing elements by index tensors. Every index is checked. */
#include "interp/kernels.h"

static regraft_status check_index(struct call *call, int64_t *index, int64_t size) {
    if (*index < -size || *index >= size)
        return call_fail(call, REGRAFT_REJECTED, "index %lld is out of range for size %lld", (long long)*index,
                         (long long)size);
    if (*index < 0) *index += size;
    return REGRAFT_OK;
}

/* ---- advanced indexing: self[index, :, index] with None for ':' ---- */

struct indexing {
    struct tensor indices[rank_limit]; /* one for each dimension of self that is indexed, broadcast to `common` */
    bool indexed[rank_limit];
    struct shape common;
    size_t first; /* where the common dimensions stand in the result */
    struct shape result;
};

/* The indices of the true elements, one tensor for each of the mask's dimensions: a mask stands for those. */
static void expand_mask(struct call *call, const struct tensor *mask, struct tensor *out) {
    int64_t count = 0, row = 0;
    for (struct walk walk = walk_start(1, &mask); walk.left; walk_next(&walk))
        count += tensor_integer(mask, walk.position[0]) != 0;
    for (size_t i = 0; i < mask->shape.rank; i++)
        out[i] = tensor_create(call->arena, dtype_i64, &(struct shape){1, {count}}, NULL);
    for (struct walk walk = walk_start(1, &mask); walk.left; walk_next(&walk)) {
        if (!tensor_integer(mask, walk.position[0])) continue;
        for (size_t i = 0; i < mask->shape.rank; i++) tensor_set_integer(&out[i], row, walk.index[i]);
        row++;
    }
}

static regraft_status collect_indices(struct call *call, const struct tensor *self, struct indexing *indexing) {
    const struct argument *list = call_argument(call, "indices");
    size_t dim = 0;
    for (size_t i = 0; i < list->list.count; i++) {
        const struct tensor *index = list->list.items[i].kind == argument_tensor ? list->list.items[i].tensor : NULL;
        bool mask = index && (index->dtype == dtype_b8 || index->dtype == dtype_u8);
        size_t covered = mask ? index->shape.rank : 1;
        if (covered == 0 || covered > self->shape.rank - dim)
            return call_fail(call, REGRAFT_REJECTED, "there are more indices than the %zu dimensions",
                             self->shape.rank);
        for (size_t k = 0; mask && k < covered; k++)
            if (index->shape.sizes[k] != self->shape.sizes[dim + k])
                return call_fail(call, REGRAFT_REJECTED, "a mask of sizes %s does not fit",
                                 shape_print(call->arena, &index->shape));
        if (mask)
            expand_mask(call, index, &indexing->indices[dim]);
        else if (index)
            indexing->indices[dim] = *index;
        for (size_t k = 0; k < covered; k++) indexing->indexed[dim++] = index != NULL;
    }
    return REGRAFT_OK;
}

static regraft_status plan_indexing(struct call *call, const struct tensor *self, struct indexing *indexing) {
    size_t first = SIZE_MAX, last = 0, count = 0;
    *indexing = (struct indexing){0};
    TRY(collect_indices(call, self, indexing));
    for (size_t i = 0; i < self->shape.rank; i++) {
        if (!indexing->indexed[i]) continue;
        if (!shape_broadcast(&indexing->common, &indexing->indices[i].shape))
            return call_fail(call, REGRAFT_REJECTED, "the index tensors do not broadcast");
        if (first == SIZE_MAX) first = i;
        last = i;
        count++;
    }
    if (count == 0) return call_fail(call, REGRAFT_REJECTED, "expected at least one index tensor");
    indexing->first = last - first + 1 == count ? first : 0; /* not side by side: the common dimensions come first */
    if (self->shape.rank - count + indexing->common.rank > rank_limit)
        return call_fail(call, REGRAFT_UNSUPPORTED, "more than %d dimensions", rank_limit);
    for (size_t i = 0, plain = 0; i <= self->shape.rank; i++) {
        for (size_t k = 0; plain == indexing->first && k < indexing->common.rank; k++)
            indexing->result.sizes[indexing->result.rank++] = indexing->common.sizes[k];
        while (i < self->shape.rank && indexing->indexed[i]) i++;
        if (i < self->shape.rank) indexing->result.sizes[indexing->result.rank++] = self->shape.sizes[i];
        plain++;
    }
    for (size_t i = 0; i < self->shape.rank; i++)
        if (indexing->indexed[i]) tensor_broadcast(&indexing->indices[i], &indexing->common, &indexing->indices[i]);
    return REGRAFT_OK;
}

/* The position in `self` of one element of the result. */
static regraft_status locate(struct call *call, const struct tensor *self, const struct indexing *indexing,
                             const int64_t *result_index, int64_t *position) {
    int64_t index[rank_limit];
    size_t plain = 0;
    for (size_t i = 0; i < self->shape.rank; i++) {
        const struct tensor *indices = &indexing->indices[i];
        if (indexing->indexed[i]) {
            index[i] = tensor_integer(indices, tensor_position(indices, result_index + indexing->first));
            TRY(check_index(call, &index[i], self->shape.sizes[i]));
        } else {
            index[i] = result_index[plain < indexing->first ? plain : plain + indexing->common.rank];
            plain++;
        }
    }
    *position = tensor_position(self, index);
    return REGRAFT_OK;
}

regraft_status kernel_index(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    struct indexing indexing;
    struct tensor out;
    int64_t position;
    TRY(plan_indexing(call, self, &indexing));
    TRY(call_create_result(call, self->dtype, &indexing.result, &out));
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&out}); walk.left; walk_next(&walk)) {
        TRY(locate(call, self, &indexing, walk.index, &position));
        memcpy(tensor_at(&out, walk.position[0]), tensor_at(self, position), dtype_size(self->dtype));
    }
    return REGRAFT_OK;
}

/* target[...] = value, or += value, for one element. */
static void put(const struct tensor *target, int64_t position, const struct tensor *source, int64_t from,
                bool accumulate) {
    if (!accumulate)
        element_convert(target->dtype, tensor_at(target, position), source->dtype, tensor_at(source, from));
    else if (dtype_is_floating(target->dtype))
        tensor_set_real(target, position, tensor_real(target, position) + tensor_real(source, from));
    else
        tensor_set_integer(
            target, position,
            (int64_t)((uint64_t)tensor_integer(target, position) + (uint64_t)tensor_integer(source, from)));
}

static regraft_status copy_self(struct call *call, struct tensor *out) {
    const struct tensor *self = call_tensor(call, "self");
    TRY(call_create_result(call, self->dtype, &self->shape, out));
    tensor_copy(call->scratch, out, self);
    return REGRAFT_OK;
}

regraft_status kernel_index_put(struct call *call) {
    const struct tensor *values = call_tensor(call, "values");
    struct indexing indexing;
    struct tensor out, same;
    int64_t position;
    TRY(copy_self(call, &out));
    TRY(plan_indexing(call, &out, &indexing));
    if (!tensor_broadcast(values, &indexing.result, &same))
        return call_fail(call, REGRAFT_REJECTED, "values of sizes %s do not fit %s",
                         shape_print(call->arena, &values->shape), shape_print(call->arena, &indexing.result));
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&same}); walk.left; walk_next(&walk)) {
        TRY(locate(call, &out, &indexing, walk.index, &position));
        put(&out, position, &same, walk.position[0], call_boolean(call, "accumulate"));
    }
    return REGRAFT_OK;
}

/* ---- along one dimension ---- */

regraft_status kernel_embedding(struct call *call) {
    const struct tensor *weight = call_tensor(call, "weight"), *indices = call_tensor(call, "indices");
    struct shape shape = indices->shape;
    struct tensor out;
    if (weight->shape.rank != 2 || shape.rank == rank_limit)
        return call_fail(call, REGRAFT_REJECTED, "the table must have 2 dimensions, found %zu", weight->shape.rank);
    shape.sizes[shape.rank++] = weight->shape.sizes[1];
    TRY(call_create_result(call, weight->dtype, &shape, &out));
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&out}); walk.left; walk_next(&walk)) {
        int64_t row = tensor_integer(indices, tensor_position(indices, walk.index));
        if (row < 0) row = weight->shape.sizes[0]; /* counting from the end is not meant here */
        TRY(check_index(call, &row, weight->shape.sizes[0]));
        int64_t from = weight->offset + row * weight->strides[0] + walk.index[shape.rank - 1] * weight->strides[1];
        memcpy(tensor_at(&out, walk.position[0]), tensor_at(weight, from), dtype_size(out.dtype));
    }
    return REGRAFT_OK;
}

/* A one-dimensional index of the rows along `dim`. */
static regraft_status row_index(struct call *call, const struct tensor *self, size_t *dim) {
    const struct tensor *index = call_tensor(call, "index");
    TRY(call_named_dim(call, "dim", self->shape.rank, dim));
    if (self->shape.rank > 0 && index->shape.rank <= 1) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "expected a tensor with dimensions and an index of one dimension");
}

static int64_t row_at(const struct tensor *index, int64_t at) {
    return tensor_integer(index, index->offset + (index->shape.rank ? at * index->strides[0] : 0));
}

regraft_status kernel_index_select(struct call *call) {
    const struct tensor *self = call_tensor(call, "self"), *index = call_tensor(call, "index");
    struct shape shape = self->shape;
    struct tensor out;
    size_t dim;
    TRY(row_index(call, self, &dim));
    shape.sizes[dim] = tensor_count(index);
    TRY(call_create_result(call, self->dtype, &shape, &out));
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&out}); walk.left; walk_next(&walk)) {
        int64_t from[rank_limit];
        memcpy(from, walk.index, sizeof from);
        from[dim] = row_at(index, walk.index[dim]);
        TRY(check_index(call, &from[dim], self->shape.sizes[dim]));
        memcpy(tensor_at(&out, walk.position[0]), tensor_at(self, tensor_position(self, from)), dtype_size(out.dtype));
    }
    return REGRAFT_OK;
}

regraft_status kernel_index_copy(struct call *call) {
    const struct tensor *index = call_tensor(call, "index"), *source = call_tensor(call, "source");
    struct shape expected;
    struct tensor out;
    size_t dim;
    TRY(copy_self(call, &out));
    TRY(row_index(call, &out, &dim));
    expected = out.shape;
    expected.sizes[dim] = tensor_count(index);
    if (!shape_equal(&expected, &source->shape) || source->dtype != out.dtype)
        return call_fail(call, REGRAFT_REJECTED, "a source of sizes %s does not fit %s",
                         shape_print(call->arena, &source->shape), shape_print(call->arena, &expected));
    for (struct walk walk = walk_start(1, &source); walk.left; walk_next(&walk)) {
        int64_t to[rank_limit];
        memcpy(to, walk.index, sizeof to);
        to[dim] = row_at(index, walk.index[dim]);
        TRY(check_index(call, &to[dim], out.shape.sizes[dim]));
        put(&out, tensor_position(&out, to), source, walk.position[0], false);
    }
    return REGRAFT_OK;
}

/* Whether `index` has no more elements than `other` in any dimension (but `dim`, unless `all`). */
static regraft_status check_cover(struct call *call, const struct tensor *index, const struct tensor *other, size_t dim,
                                  bool all) {
    bool fits = index->shape.rank == other->shape.rank;
    for (size_t i = 0; fits && i < index->shape.rank; i++)
        fits = (i == dim && !all) || index->shape.sizes[i] <= other->shape.sizes[i];
    if (fits) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "an index of sizes %s does not fit %s",
                     shape_print(call->arena, &index->shape), shape_print(call->arena, &other->shape));
}

regraft_status kernel_gather(struct call *call) {
    const struct tensor *self = call_tensor(call, "self"), *index = call_tensor(call, "index");
    struct tensor out;
    size_t dim;
    TRY(call_named_dim(call, "dim", self->shape.rank, &dim));
    TRY(check_cover(call, index, self, dim, false));
    TRY(call_create_result(call, self->dtype, &index->shape, &out));
    for (struct walk walk = walk_start(2, (const struct tensor *[]){&out, index}); walk.left; walk_next(&walk)) {
        int64_t from[rank_limit];
        memcpy(from, walk.index, sizeof from);
        from[dim] = tensor_integer(index, walk.position[1]);
        TRY(check_index(call, &from[dim], self->shape.rank ? self->shape.sizes[dim] : 1));
        memcpy(tensor_at(&out, walk.position[0]), tensor_at(self, tensor_position(self, from)), dtype_size(out.dtype));
    }
    return REGRAFT_OK;
}

static regraft_status scatter(struct call *call, bool accumulate) {
    const struct tensor *index = call_tensor(call, "index"), *source = call_tensor(call, "src");
    const struct tensor *value = call_operand(call, "value");
    struct tensor out, repeated;
    size_t dim;
    TRY(copy_self(call, &out));
    TRY(call_named_dim(call, "dim", out.shape.rank, &dim));
    TRY(check_cover(call, index, &out, dim, false));
    if (source)
        TRY(check_cover(call, index, source, dim, true));
    else if (tensor_broadcast(value, &index->shape, &repeated))
        source = &repeated;
    for (struct walk walk = walk_start(1, &index); walk.left; walk_next(&walk)) {
        int64_t to[rank_limit];
        memcpy(to, walk.index, sizeof to);
        to[dim] = tensor_integer(index, walk.position[0]);
        TRY(check_index(call, &to[dim], out.shape.rank ? out.shape.sizes[dim] : 1));
        put(&out, tensor_position(&out, to), source, tensor_position(source, walk.index), accumulate);
    }
    return REGRAFT_OK;
}

regraft_status kernel_scatter(struct call *call) { return scatter(call, false); }
regraft_status kernel_scatter_add(struct call *call) { return scatter(call, true); }
