/* Places: windows onto a buffer, and the three questions about two of them (docs/memory.md).
 *
 * A place is the set of addresses offset + sum of index[d] * stride[d], 0 <= index[d] < size[d], in elements. Sizes,
 * strides and offsets are symbolic; strides are not negative (PyTorch has no others). Answers hold for all values of the
 * symbols within their ranges; `unknown` says that the proof methods below do not reach, never that the answer is no. */
#ifndef REGRAFT_IR_PLACE_H
#define REGRAFT_IR_PLACE_H

#include "ir/context.h"

struct window_place {
    symint offset;
    struct layout layout; /* strides not NULL */
};

/* Do the two cover the same addresses? Have they none in common? Does `outer` have all of `inner`'s? */
enum answer places_equal(struct context *context, const struct window_place *a, const struct window_place *b);
enum answer places_disjoint(struct context *context, const struct window_place *a, const struct window_place *b);
enum answer place_contains(struct context *context, const struct window_place *outer, const struct window_place *inner);

/* Are they the same elements in the same order: equal offset, sizes and (but for sizes of 1) strides? */
enum answer places_identical(struct context *context, const struct window_place *a, const struct window_place *b);
/* Do two different indices of the place have one address (an expanded tensor)? */
enum answer place_overlaps_itself(struct context *context, const struct window_place *place);

/* How `inner` lies in `outer`, dimension by dimension. `outer` is first cut finer where strides of `inner` fall between
 * its own (a reshape: [T, 96] as [T, 4, 24]); then for each dimension of `fine` there is the index at which `inner` starts,
 * and either the dimension of `inner` that runs along it, with a step, or none. */
enum { place_selected = -1, place_most_dimensions = 64 };
struct place_relation {
    struct layout fine; /* sizes and strides of `outer`, cut finer */
    bool refined;       /* `fine` is another shape than `outer` */
    symint start[place_most_dimensions];
    int64_t step[place_most_dimensions];
    int dimension[place_most_dimensions]; /* of `inner`; place_selected: only the index `start` */
};
/* False when there is no such description, or none that can be proved. Dimensions of size 1 of `inner` run nowhere. */
bool place_relate(struct context *context, const struct window_place *outer, const struct window_place *inner,
                  struct place_relation *relation);

#endif
