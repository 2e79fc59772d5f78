#include "proof/piece.h"

bool step_multiple_of(const struct prover *prover, symint a, symint b) {
    return a != b && !symint_is(b, 0) && symint_divide_exact(prover->symbols, a, b);
}

bool step_larger(const struct prover *prover, symint a, symint b) {
    return surely_less(prover, b, a) || step_multiple_of(prover, a, b);
}

symint divide_by_step(const struct prover *prover, symint value, symint step, const symint *sizes, size_t count,
                      symint *rest) {
    int64_t number_left, least;
    symint quotient = symint_floor_divide(prover->symbols, value, step), left = step;
    *rest = symint_modulo(prover->symbols, value, step);
    if (symint_is_constant(step, &least) || !symint_is_constant(value, &number_left) || number_left < 0)
        return quotient;
    for (size_t i = 0; i < count; i++) {
        symint divided =
            symint_is_constant(sizes[i], &least) ? NULL : symint_divide_exact(prover->symbols, left, sizes[i]);
        if (divided) left = divided;
    }
    if (!symint_is_constant(left, &least) || number_left >= least) return quotient;
    *rest = value;
    return number(prover, 0);
}

bool piece_of_place(struct prover *prover, const struct window_place *place, const struct term *term, symint to,
                    const symint *to_strides, struct piece *piece) {
    const struct layout *layout = &place->layout;
    symint dense = number(prover, 1);
    if (layout->rank > piece_most_extents) return false;
    *piece = (struct piece){.term = term, .from = place->offset, .to = to, .rank = layout->rank};
    for (size_t i = layout->rank; i-- > 0;) {
        piece->extents[i] = (struct extent){layout->sizes[i], layout->strides[i], to_strides ? to_strides[i] : dense};
        dense = times(prover, dense, layout->sizes[i]);
    }
    piece_normalise(prover, piece);
    return true;
}

static void remove_extent(struct piece *piece, size_t index) {
    piece->rank--;
    for (size_t i = index; i < piece->rank; i++) piece->extents[i] = piece->extents[i + 1];
}

void piece_normalise(struct prover *prover, struct piece *piece) {
    struct extent *extents = piece->extents;
    for (size_t i = piece->rank; i-- > 0;)
        if (symint_is(extents[i].size, 1)) remove_extent(piece, i);
    for (size_t i = 1; i < piece->rank; i++)
        for (size_t j = i; j > 0 && step_larger(prover, extents[j].from, extents[j - 1].from); j--) {
            struct extent swapped = extents[j];
            extents[j] = extents[j - 1];
            extents[j - 1] = swapped;
        }
    for (size_t i = piece->rank; i-- > 1;) {
        struct extent inner = extents[i], *outer = &extents[i - 1];
        if (!surely_equal(prover, outer->from, times(prover, inner.size, inner.from))) continue;
        if (!surely_equal(prover, outer->to, times(prover, inner.size, inner.to))) continue;
        *outer = (struct extent){times(prover, outer->size, inner.size), inner.from, inner.to};
        remove_extent(piece, i);
    }
}

/* ---- one place in the coordinates of a piece ---- */

bool piece_relate(struct prover *prover, const struct piece *piece, symint offset, const struct extent *inner,
                  size_t rank, symint *to, symint *to_strides) {
    symint zero = number(prover, 0), one = number(prover, 1), distance = minus(prover, offset, piece->from);
    symint last[piece_most_extents]; /* the index of the last element along each extent */
    symint sizes[piece_most_extents];
    for (size_t i = 0; i < piece->rank; i++) sizes[i] = piece->extents[i].size;
    *to = piece->to;
    for (size_t i = 0; i < piece->rank; i++) {
        const struct extent *extent = &piece->extents[i];
        if (symint_is(extent->from, 0)) return false;
        last[i] = divide_by_step(prover, distance, extent->from, sizes, piece->rank, &distance);
        if (!surely_at_most(prover, zero, last[i])) return false;
        *to = plus(prover, *to, times(prover, last[i], extent->to));
    }
    if (!symint_is(distance, 0)) return false;
    for (size_t d = 0; d < rank; d++) {
        symint steps = NULL;
        size_t i = 0;
        to_strides[d] = zero;
        if (symint_is(inner[d].size, 1) || symint_is(inner[d].from, 0)) continue;
        while (i < piece->rank &&
               !(steps = symint_divide_exact(prover->symbols, inner[d].from, piece->extents[i].from)))
            i++;
        if (!steps) return false;
        last[i] = plus(prover, last[i], times(prover, steps, minus(prover, inner[d].size, one)));
        to_strides[d] = times(prover, steps, piece->extents[i].to);
    }
    for (size_t i = 0; i < piece->rank; i++)
        if (!surely_less(prover, last[i], piece->extents[i].size)) return false;
    return true;
}

/* ---- finer extents ---- */

static void refine_at(struct prover *prover, struct piece *piece, symint step) {
    for (size_t i = 0; i < piece->rank && piece->rank < piece_most_extents; i++) {
        struct extent extent = piece->extents[i];
        if (!step_multiple_of(prover, step, extent.from)) continue;
        symint inner = symint_divide_exact(prover->symbols, step, extent.from);
        if (!step_multiple_of(prover, extent.size, inner)) continue;
        symint outer = symint_divide_exact(prover->symbols, extent.size, inner);
        for (size_t j = piece->rank++; j > i + 1; j--) piece->extents[j] = piece->extents[j - 1];
        piece->extents[i] = (struct extent){outer, step, times(prover, extent.to, inner)};
        piece->extents[i + 1] = (struct extent){inner, extent.from, extent.to};
        i++;
    }
}

void piece_refine(struct prover *prover, struct piece *piece, const struct piece *other) {
    for (size_t i = 0; i < other->rank; i++) refine_at(prover, piece, other->extents[i].from);
}
