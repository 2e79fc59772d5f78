/* One place in the coordinates of another. */
#include "ir/place.h"

static symint constant(struct context *context, int64_t value) { return symint_constant(context->symbols, value); }

static bool provably_less(struct context *context, symint a, symint b) {
    return symint_less(context->symbols, a, b) == answer_yes;
}

/* The dimension of the largest stride that is not done yet, as far as that can be decided. */
static size_t largest_left(struct context *context, const struct layout *layout, const bool *done) {
    size_t largest = SIZE_MAX;
    for (size_t i = 0; i < layout->rank; i++)
        if (!done[i] && (largest == SIZE_MAX || provably_less(context, layout->strides[largest], layout->strides[i])))
            largest = i;
    return largest;
}

/* Writes the distance between the two offsets in coordinates of `fine`. */
static bool relate_offset(struct context *context, symint distance, struct place_relation *relation) {
    const struct layout *fine = &relation->fine;
    bool done[place_most_dimensions] = {false};
    for (size_t n = 0; n < fine->rank; n++) {
        size_t i = largest_left(context, fine, done);
        bool single = symint_is(fine->sizes[i], 1) || symint_is(fine->strides[i], 0);
        done[i] = true;
        relation->dimension[i] = place_selected;
        relation->step[i] = 1;
        relation->start[i] =
            single ? constant(context, 0) : symint_floor_divide(context->symbols, distance, fine->strides[i]);
        if (!single) distance = symint_modulo(context->symbols, distance, fine->strides[i]);
        if (symint_less_equal(context->symbols, constant(context, 0), relation->start[i]) != answer_yes) return false;
    }
    return symint_is(distance, 0);
}

/* Finds the dimension of `fine` along which dimension `d` of `inner` runs: its stride a multiple, its end inside. */
static bool claim(struct context *context, const struct layout *inner, size_t d, struct place_relation *relation) {
    struct symbols *symbols = context->symbols;
    for (size_t i = 0; i < relation->fine.rank; i++) {
        symint steps = symint_divide_exact(symbols, inner->strides[d], relation->fine.strides[i]);
        int64_t step;
        if (relation->dimension[i] != place_selected || !steps || !symint_is_constant(steps, &step) || step < 1)
            continue;
        symint last = symint_subtract(symbols, inner->sizes[d], constant(context, 1));
        symint end = symint_add(symbols, relation->start[i], symint_multiply(symbols, last, steps));
        if (!provably_less(context, end, relation->fine.sizes[i])) continue;
        relation->step[i] = step;
        relation->dimension[i] = (int)d;
        return true;
    }
    return false;
}

static bool relate(struct context *context, symint distance, const struct layout *inner,
                   struct place_relation *relation) {
    if (!relate_offset(context, distance, relation)) return false;
    for (size_t d = 0; d < inner->rank; d++)
        if (!symint_is(inner->sizes[d], 1) && !claim(context, inner, d, relation)) return false;
    for (size_t i = 0; i < relation->fine.rank; i++)
        if (relation->dimension[i] == place_selected &&
            !provably_less(context, relation->start[i], relation->fine.sizes[i]))
            return false;
    return true;
}

/* The largest stride of `inner`, below `limit` (in units of `unit`), that falls between two elements of a dimension. */
static int64_t next_cut(struct context *context, const struct layout *inner, symint unit, int64_t limit) {
    int64_t best = 1, ratio;
    for (size_t d = 0; d < inner->rank; d++) {
        symint quotient =
            symint_is(inner->sizes[d], 1) ? NULL : symint_divide_exact(context->symbols, inner->strides[d], unit);
        if (quotient && symint_is_constant(quotient, &ratio) && ratio > best && ratio < limit) best = ratio;
    }
    return best;
}

/* Cuts one dimension of `outer` at the strides of `inner`: size 96, stride 1 at stride 24 into (4, 24) and (24, 1). */
static bool refine_dimension(struct context *context, symint size, symint stride, const struct layout *inner,
                             symint *sizes, symint *strides, size_t *rank) {
    int64_t limit;
    if (!symint_is_constant(size, &limit)) limit = INT64_MAX;
    while (true) {
        int64_t cut = symint_is(stride, 0) ? 1 : next_cut(context, inner, stride, limit);
        symint left = cut == 1 ? size : symint_divide_exact(context->symbols, size, constant(context, cut));
        if (!left || *rank == place_most_dimensions) return false;
        sizes[*rank] = left;
        strides[(*rank)++] = symint_multiply(context->symbols, stride, constant(context, cut));
        if (cut == 1) return true;
        size = constant(context, cut);
        limit = cut;
    }
}

/* First joins the dimensions of `outer` that lie densely behind each other, then cuts them anew. */
static bool refine(struct context *context, const struct layout *outer, const struct layout *inner,
                   struct layout *fine) {
    symint *sizes = arena_array(context->arena, symint, place_most_dimensions),
           *strides = arena_array(context->arena, symint, place_most_dimensions);
    size_t rank = 0;
    for (size_t i = 0; i < outer->rank; i++) {
        symint size = outer->sizes[i], stride = outer->strides[i];
        for (; i + 1 < outer->rank; i++) {
            symint behind = symint_multiply(context->symbols, outer->sizes[i + 1], outer->strides[i + 1]);
            if (symint_equal(context->symbols, stride, behind) != answer_yes) break;
            size = symint_multiply(context->symbols, size, outer->sizes[i + 1]);
            stride = outer->strides[i + 1];
        }
        if (!refine_dimension(context, size, stride, inner, sizes, strides, &rank)) return false;
    }
    *fine = (struct layout){rank, sizes, strides};
    return true;
}

bool place_relate(struct context *context, const struct window_place *outer, const struct window_place *inner,
                  struct place_relation *relation) {
    symint distance = symint_subtract(context->symbols, inner->offset, outer->offset);
    if (outer->layout.rank > place_most_dimensions || inner->layout.rank > place_most_dimensions) return false;
    if (!outer->layout.strides || !inner->layout.strides) return false;
    relation->fine = outer->layout;
    relation->refined = false;
    if (relate(context, distance, &inner->layout, relation)) return true;
    relation->refined = refine(context, &outer->layout, &inner->layout, &relation->fine);
    return relation->refined && relate(context, distance, &inner->layout, relation);
}
