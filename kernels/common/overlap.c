/* Whether strided tensors share memory. */
#include "common/check.h"

int box_extent(const struct box *box, int64_t *extent) {
    int64_t sum = box->piece;
    *extent = 0;
    for (int i = 0; i < box_dims; i++) {
        int64_t reach;
        if (box->sizes[i] == 0) return 1;
        if (__builtin_mul_overflow(box->sizes[i] - 1, box->strides[i], &reach) ||
            __builtin_add_overflow(sum, reach, &sum))
            return 0;
    }
    *extent = sum;
    return sum <= INT64_MAX / 4; /* differences of sums stay in range */
}

/* The dimensions that have more than one index, largest stride first. */
struct steps {
    int count;
    int64_t piece, sizes[box_dims], strides[box_dims];
};

static struct steps steps_of(const struct box *box) {
    struct steps steps = {.piece = box->piece};
    for (int i = 0; i < box_dims; i++) {
        if (box->sizes[i] == 1) continue;
        int at = steps.count++;
        for (; at > 0 && steps.strides[at - 1] < box->strides[i]; at--) {
            steps.sizes[at] = steps.sizes[at - 1];
            steps.strides[at] = steps.strides[at - 1];
        }
        steps.sizes[at] = box->sizes[i];
        steps.strides[at] = box->strides[i];
    }
    return steps;
}

/* From the first byte to behind the last, of the dimensions from `from` on. */
static int64_t reach(const struct steps *steps, int from) {
    int64_t sum = steps->piece;
    for (int i = from; i < steps->count; i++) sum += (steps->sizes[i] - 1) * steps->strides[i];
    return sum;
}

int box_overlaps_itself(const struct box *box) {
    struct steps steps = steps_of(box);
    for (int i = 0; i < steps.count; i++)
        if (steps.strides[i] < reach(&steps, i + 1)) return 1;
    return 0;
}

/* Whether two tensors are apart when the second starts `distance` bytes behind the first. The dimension with the largest
 * stride is taken off; for each difference of indices that brings the rests near each other, these are looked at. */
static int apart(const struct steps *a, int a_from, const struct steps *b, int b_from, int64_t distance) {
    int64_t a_reach = reach(a, a_from), b_reach = reach(b, b_from);
    if (distance >= a_reach || distance <= -b_reach) return 1;
    int64_t a_stride = a_from < a->count ? a->strides[a_from] : 0,
            b_stride = b_from < b->count ? b->strides[b_from] : 0;
    int64_t stride = a_stride > b_stride ? a_stride : b_stride;
    if (stride == 0) return 0;
    int64_t a_size = 1, b_size = 1;
    if (a_stride == stride) a_size = a->sizes[a_from++];
    if (b_stride == stride) b_size = b->sizes[b_from++];
    a_reach = reach(a, a_from);
    b_reach = reach(b, b_from);
    if (a_reach > stride || b_reach > stride) return 0;
    int64_t rest = distance % stride, whole = distance / stride;
    for (int64_t extra = -1; extra <= 1; extra++) {
        /* index of b less index of a, so that what is left is rest + extra * stride */
        int64_t index = extra - whole;
        if (index > b_size - 1 || index < -(a_size - 1)) continue;
        if (!apart(a, a_from, b, b_from, rest + extra * stride)) return 0;
    }
    return 1;
}

static int is_empty(const struct box *box) {
    for (int i = 0; i < box_dims; i++)
        if (box->sizes[i] == 0) return 1;
    return box->piece == 0;
}

int boxes_apart(const struct box *a, const struct box *b) {
    if (is_empty(a) || is_empty(b)) return 1;
    struct steps a_steps = steps_of(a), b_steps = steps_of(b);
    uintptr_t a_reach = (uintptr_t)reach(&a_steps, 0), b_reach = (uintptr_t)reach(&b_steps, 0);
    if (a->start + a_reach <= b->start || b->start + b_reach <= a->start) return 1;
    int64_t distance = b->start >= a->start ? (int64_t)(b->start - a->start) : -(int64_t)(a->start - b->start);
    return apart(&a_steps, 0, &b_steps, 0, distance);
}

int boxes_equal(const struct box *a, const struct box *b) {
    int equal = a->start == b->start && a->piece == b->piece;
    for (int i = 0; i < box_dims; i++)
        equal = equal && a->sizes[i] == b->sizes[i] && (a->sizes[i] <= 1 || a->strides[i] == b->strides[i]);
    return equal;
}
