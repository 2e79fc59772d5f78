/* Storages, windows onto them, and walks over their elements. */
#include "interp/tensor.h"

int64_t shape_count(const struct shape *shape) {
    int64_t count = 1;
    bool empty = false;
    for (size_t i = 0; i < shape->rank; i++) {
        if (shape->sizes[i] < 0) return -1;
        if (shape->sizes[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(count, shape->sizes[i], &count))
            count = -1;
        if (count < 0) return -1;
    }
    return empty ? 0 : count;
}

bool shape_equal(const struct shape *a, const struct shape *b) {
    return a->rank == b->rank && (a->rank == 0 || memcmp(a->sizes, b->sizes, a->rank * sizeof *a->sizes) == 0);
}

void shape_contiguous_strides(const struct shape *shape, int64_t *strides) {
    int64_t stride = 1;
    for (size_t i = shape->rank; i-- > 0;) {
        strides[i] = stride;
        if (shape->sizes[i] > 1 && __builtin_mul_overflow(stride, shape->sizes[i], &stride)) stride = INT64_MAX;
    }
}

const char *integers_print(struct arena *arena, const int64_t *items, size_t count) {
    struct builder out;
    builder_init(&out, arena);
    builder_byte(&out, '[');
    for (size_t i = 0; i < count; i++) builder_format(&out, i ? ", %lld" : "%lld", (long long)items[i]);
    builder_byte(&out, ']');
    return out.data;
}

const char *shape_print(struct arena *arena, const struct shape *shape) {
    return integers_print(arena, shape->sizes, shape->rank);
}

int64_t tensor_extent(const struct tensor *tensor) {
    int64_t last = tensor->offset;
    if (tensor_count(tensor) <= 0 || last < 0) return tensor_count(tensor) == 0 && last >= 0 ? 0 : -1;
    for (size_t i = 0; i < tensor->shape.rank; i++) {
        int64_t step;
        if (tensor->strides[i] < 0) return -1;
        if (__builtin_mul_overflow(tensor->shape.sizes[i] - 1, tensor->strides[i], &step)) return -1;
        if (__builtin_add_overflow(last, step, &last)) return -1;
    }
    return last == INT64_MAX ? -1 : last + 1;
}

bool tensor_fits(const struct tensor *tensor) {
    int64_t extent = tensor_extent(tensor);
    return extent >= 0 && (uint64_t)extent <= tensor->storage->size / dtype_size(tensor->dtype);
}

bool tensor_is_contiguous(const struct tensor *tensor) {
    int64_t strides[rank_limit];
    if (tensor_count(tensor) == 0) return true;
    shape_contiguous_strides(&tensor->shape, strides);
    for (size_t i = 0; i < tensor->shape.rank; i++)
        if (tensor->shape.sizes[i] != 1 && tensor->strides[i] != strides[i]) return false;
    return true;
}

struct tensor tensor_create(struct arena *arena, enum dtype dtype, const struct shape *shape, const int64_t *strides) {
    struct tensor tensor = {.dtype = dtype, .shape = *shape};
    if (strides)
        memcpy(tensor.strides, strides, shape->rank * sizeof *strides);
    else
        shape_contiguous_strides(shape, tensor.strides);
    int64_t extent = tensor_extent(&tensor);
    if (extent < 0 || (uint64_t)extent > SIZE_MAX / 16) arena_exhausted(arena);
    tensor.storage = arena_new(arena, struct storage);
    tensor.storage->size = (size_t)extent * dtype_size(dtype);
    tensor.storage->bytes = arena_allocate(arena, tensor.storage->size);
    element_poison(dtype, tensor.storage->bytes, (size_t)extent);
    return tensor;
}

struct tensor tensor_scalar_real(struct arena *arena, enum dtype dtype, double value) {
    struct tensor tensor = tensor_create(arena, dtype, &(struct shape){0}, NULL);
    tensor_set_real(&tensor, 0, value);
    return tensor;
}

struct tensor tensor_scalar_integer(struct arena *arena, enum dtype dtype, int64_t value) {
    struct tensor tensor = tensor_create(arena, dtype, &(struct shape){0}, NULL);
    tensor_set_integer(&tensor, 0, value);
    return tensor;
}

struct tensor tensor_clone_storage(struct arena *arena, const struct tensor *tensor) {
    struct tensor clone = *tensor;
    clone.storage = arena_new(arena, struct storage);
    clone.storage->size = (size_t)tensor_extent(tensor) * dtype_size(tensor->dtype);
    clone.storage->bytes = arena_copy(arena, tensor->storage->bytes, clone.storage->size);
    return clone;
}

static size_t tensor_bytes(const struct tensor *tensor) {
    return (size_t)tensor_count(tensor) * dtype_size(tensor->dtype);
}

/* The storages are different ones. */
static void copy_elements(const struct tensor *target, const struct tensor *source) {
    if (tensor_count(target) == 0) return;
    if (target->dtype == source->dtype && tensor_is_contiguous(target) && tensor_is_contiguous(source)) {
        memcpy(tensor_at(target, target->offset), tensor_at(source, source->offset), tensor_bytes(source));
        return;
    }
    for (struct walk walk = walk_start(2, (const struct tensor *[]){target, source}); walk.left; walk_next(&walk))
        element_convert(target->dtype, tensor_at(target, walk.position[0]), source->dtype,
                        tensor_at(source, walk.position[1]));
}

struct tensor tensor_convert(struct arena *arena, const struct tensor *tensor, enum dtype dtype) {
    struct tensor copy = tensor_create(arena, dtype, &tensor->shape, NULL);
    copy_elements(&copy, tensor);
    return copy;
}

void tensor_copy(struct arena *arena, const struct tensor *target, const struct tensor *source) {
    struct tensor same;
    if (!tensor_broadcast(source, &target->shape, &same)) return;
    if (same.storage == target->storage) same = tensor_convert(arena, &same, same.dtype);
    copy_elements(target, &same);
}

bool tensor_identical(const struct tensor *a, const struct tensor *b) {
    size_t size = dtype_size(a->dtype);
    if (a->dtype != b->dtype || !shape_equal(&a->shape, &b->shape)) return false;
    if (tensor_is_contiguous(a) && tensor_is_contiguous(b))
        return tensor_count(a) == 0 || memcmp(tensor_at(a, a->offset), tensor_at(b, b->offset), tensor_bytes(a)) == 0;
    for (struct walk walk = walk_start(2, (const struct tensor *[]){a, b}); walk.left; walk_next(&walk))
        if (memcmp(tensor_at(a, walk.position[0]), tensor_at(b, walk.position[1]), size) != 0) return false;
    return true;
}

bool tensor_broadcast(const struct tensor *tensor, const struct shape *shape, struct tensor *result) {
    struct tensor wide = *tensor;
    if (shape->rank < tensor->shape.rank) return false;
    size_t added = shape->rank - tensor->shape.rank;
    wide.shape = *shape;
    for (size_t i = 0; i < shape->rank; i++) {
        int64_t size = i < added ? 1 : tensor->shape.sizes[i - added];
        if (size != 1 && size != shape->sizes[i]) return false;
        wide.strides[i] = i < added || size != shape->sizes[i] ? 0 : tensor->strides[i - added];
    }
    *result = wide;
    return true;
}

bool shape_broadcast(struct shape *into, const struct shape *other) {
    struct shape common = into->rank >= other->rank ? *into : *other;
    for (size_t i = 1; i <= into->rank && i <= other->rank; i++) {
        int64_t a = into->sizes[into->rank - i], b = other->sizes[other->rank - i];
        if (a != b && a != 1 && b != 1) return false;
        common.sizes[common.rank - i] = a == 1 ? b : a;
    }
    *into = common;
    return true;
}

int64_t tensor_position(const struct tensor *tensor, const int64_t *index) {
    int64_t position = tensor->offset;
    for (size_t i = 0; i < tensor->shape.rank; i++) position += index[i] * tensor->strides[i];
    return position;
}

double *tensor_reals(struct arena *arena, const struct tensor *tensor) {
    size_t count = (size_t)tensor_count(tensor);
    double *reals = arena_array(arena, double, count), *next = reals;
    if (tensor_is_contiguous(tensor)) {
        for (size_t i = 0; i < count; i++) reals[i] = tensor_real(tensor, tensor->offset + (int64_t)i);
        return reals;
    }
    for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk))
        *next++ = tensor_real(tensor, walk.position[0]);
    return reals;
}

struct walk walk_start(size_t count, const struct tensor *const *tensors) {
    struct walk walk = {.count = count, .shape = tensors[0]->shape, .left = tensor_count(tensors[0])};
    for (size_t i = 0; i < count; i++) {
        walk.position[i] = tensors[i]->offset;
        memcpy(walk.strides[i], tensors[i]->strides, sizeof walk.strides[i]);
    }
    return walk;
}

void walk_next(struct walk *walk) {
    walk->left--;
    for (size_t dim = walk->shape.rank; dim-- > 0;) {
        bool wraps = ++walk->index[dim] == walk->shape.sizes[dim];
        int64_t steps = wraps ? 1 - walk->shape.sizes[dim] : 1;
        for (size_t i = 0; i < walk->count; i++) walk->position[i] += steps * walk->strides[i][dim];
        if (!wraps) return;
        walk->index[dim] = 0;
    }
}
