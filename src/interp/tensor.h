/* Concrete tensors: windows onto byte storages, as PyTorch has them. Views share the storage. */
#ifndef REGRAFT_INTERP_TENSOR_H
#define REGRAFT_INTERP_TENSOR_H

#include "interp/element.h"

enum { rank_limit = 16 };

struct storage {
    unsigned char *bytes; /* not aligned: it may lie inside a file */
    size_t size;
};

struct shape {
    size_t rank;
    int64_t sizes[rank_limit];
};

struct tensor {
    enum dtype dtype;
    bool wrapped; /* a Python number that stands for a tensor of no dimensions: it promotes less */
    struct shape shape;
    int64_t strides[rank_limit]; /* in elements, never negative */
    int64_t offset;              /* in elements, from the start of the storage */
    struct storage *storage;
};

/* The number of elements; -1 when it does not fit. */
int64_t shape_count(const struct shape *shape);
bool shape_equal(const struct shape *a, const struct shape *b);
/* Row-major strides as PyTorch sets them: a dimension of size 0 counts as 1. */
void shape_contiguous_strides(const struct shape *shape, int64_t *strides);
/* `[2, 3]` */
const char *shape_print(struct arena *arena, const struct shape *shape);
const char *integers_print(struct arena *arena, const int64_t *items, size_t count);

static inline int64_t tensor_count(const struct tensor *tensor) { return shape_count(&tensor->shape); }
/* The number of elements from the start of the storage that the tensor needs; -1 when it does not fit. */
int64_t tensor_extent(const struct tensor *tensor);
/* Whether all elements lie inside of the storage and no size, stride or offset is negative. */
bool tensor_fits(const struct tensor *tensor);
bool tensor_is_contiguous(const struct tensor *tensor);

/* A tensor over a fresh, poisoned storage. `strides` NULL: row-major. The extent must be known to fit. */
struct tensor tensor_create(struct arena *arena, enum dtype dtype, const struct shape *shape, const int64_t *strides);
struct tensor tensor_scalar_real(struct arena *arena, enum dtype dtype, double value);
struct tensor tensor_scalar_integer(struct arena *arena, enum dtype dtype, int64_t value);
/* The same window onto a copy of the storage's start: torch._prims_common.clone_preserve_strides. */
struct tensor tensor_clone_storage(struct arena *arena, const struct tensor *tensor);
/* A row-major copy, converted to `dtype`. */
struct tensor tensor_convert(struct arena *arena, const struct tensor *tensor, enum dtype dtype);
/* Writes `source` (broadcast to the sizes of `target`) into `target`, converting; as if it were read in full first. */
void tensor_copy(struct arena *arena, const struct tensor *target, const struct tensor *source);
/* Bit for bit, element by element; sizes and types too. */
bool tensor_identical(const struct tensor *a, const struct tensor *b);

/* The part [start, start + length) of a dimension; it must lie inside. */
static inline struct tensor tensor_window(const struct tensor *tensor, size_t dim, int64_t start, int64_t length) {
    struct tensor view = *tensor;
    view.offset += start * view.strides[dim];
    view.shape.sizes[dim] = length;
    return view;
}
/* The tensor with sizes `shape`, repeated along dimensions of size 1 and missing leading ones; false: impossible. */
bool tensor_broadcast(const struct tensor *tensor, const struct shape *shape, struct tensor *result);
/* The common shape of two shapes; false when there is none. */
bool shape_broadcast(struct shape *into, const struct shape *other);

/* `position` counts elements of the storage. */
static inline unsigned char *tensor_at(const struct tensor *tensor, int64_t position) {
    return tensor->storage->bytes + (size_t)position * dtype_size(tensor->dtype);
}
static inline double tensor_real(const struct tensor *tensor, int64_t position) {
    return element_load_real(tensor->dtype, tensor_at(tensor, position));
}
static inline int64_t tensor_integer(const struct tensor *tensor, int64_t position) {
    return element_load_integer(tensor->dtype, tensor_at(tensor, position));
}
static inline void tensor_set_real(const struct tensor *tensor, int64_t position, double value) {
    element_store_real(tensor->dtype, tensor_at(tensor, position), value);
}
static inline void tensor_set_integer(const struct tensor *tensor, int64_t position, int64_t value) {
    element_store_integer(tensor->dtype, tensor_at(tensor, position), value);
}
/* The position of one element by its indices. */
int64_t tensor_position(const struct tensor *tensor, const int64_t *index);
/* All elements in row-major order, as doubles. */
double *tensor_reals(struct arena *arena, const struct tensor *tensor);

/* Visits the elements of up to four tensors of one shape together, row-major:
 *
 *     for (struct walk walk = walk_start(2, (const struct tensor *[]){out, in}); walk.left; walk_next(&walk))
 *         ... walk.position[0], walk.position[1], walk.index
 */
enum { walk_limit = 4 };
struct walk {
    size_t count;
    int64_t left;
    struct shape shape;
    int64_t index[rank_limit];
    int64_t strides[walk_limit][rank_limit];
    int64_t position[walk_limit];
};
struct walk walk_start(size_t count, const struct tensor *const *tensors);
void walk_next(struct walk *walk);

#endif
