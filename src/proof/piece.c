#include "proof/piece.h"

static bool multiple_of(const struct prover *prover, symint a, symint b) {
    return a != b && !symint_is(b, 0) && symint_divide_exact(prover->symbols, a, b);
}

/* Whether a step of `a` is the larger one. A multiple counts as larger: where it is not, its factor is 0 or 1, and what
 * depends on the order (that indices do not run over) is proved each time. */
static bool larger(const struct prover *prover, symint a, symint b) {
    return surely_less(prover, b, a) || multiple_of(prover, a, b);
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
        for (size_t j = i; j > 0 && larger(prover, extents[j].from, extents[j - 1].from); j--) {
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
    *to = piece->to;
    for (size_t i = 0; i < piece->rank; i++) {
        const struct extent *extent = &piece->extents[i];
        if (symint_is(extent->from, 0)) return false;
        last[i] = symint_floor_divide(prover->symbols, distance, extent->from);
        distance = symint_modulo(prover->symbols, distance, extent->from);
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

/* ---- two pieces in one frame ---- */

static void refine_at(struct prover *prover, struct piece *piece, symint step) {
    for (size_t i = 0; i < piece->rank && piece->rank < piece_most_extents; i++) {
        struct extent extent = piece->extents[i];
        if (!multiple_of(prover, step, extent.from)) continue;
        symint inner = symint_divide_exact(prover->symbols, step, extent.from);
        if (!multiple_of(prover, extent.size, inner)) continue;
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

/* Steps, the largest first; every address has at most one index along each below its limit. */
struct frame {
    size_t rank;
    symint steps[piece_most_extents], limits[piece_most_extents]; /* limits[0] is NULL: none */
};

static bool frame_add(struct prover *prover, struct frame *frame, symint step) {
    size_t at = frame->rank;
    for (size_t i = 0; i < frame->rank; i++)
        if (frame->steps[i] == step) return true;
    if (frame->rank == piece_most_extents || symint_is(step, 0)) return false;
    for (; at > 0 && larger(prover, step, frame->steps[at - 1]); at--) frame->steps[at] = frame->steps[at - 1];
    if (at > 0 && !larger(prover, frame->steps[at - 1], step)) return false;
    frame->steps[at] = step;
    frame->rank++;
    return true;
}

static bool frame_limit(struct prover *prover, struct frame *frame) {
    int64_t a, b;
    for (size_t i = 1; i < frame->rank; i++) {
        frame->limits[i] = symint_divide_exact(prover->symbols, frame->steps[i - 1], frame->steps[i]);
        if (frame->limits[i]) continue;
        if (!symint_is_constant(frame->steps[i - 1], &a) || !symint_is_constant(frame->steps[i], &b)) return false;
        frame->limits[i] = number(prover, a / b);
    }
    return true;
}

/* A piece in a frame: indices start[i] up to end[i] along step i. */
struct box {
    symint start[piece_most_extents], end[piece_most_extents], to[piece_most_extents];
};

static bool lay(struct prover *prover, const struct frame *frame, const struct piece *piece, struct box *box) {
    symint left = piece->from, zero = number(prover, 0), one = number(prover, 1);
    size_t laid = 0;
    for (size_t i = 0; i < frame->rank; i++) {
        symint size = one;
        size_t found = 0;
        box->to[i] = zero;
        box->start[i] = symint_floor_divide(prover->symbols, left, frame->steps[i]);
        left = symint_modulo(prover->symbols, left, frame->steps[i]);
        for (size_t d = 0; d < piece->rank; d++) {
            if (piece->extents[d].from != frame->steps[i]) continue;
            size = piece->extents[d].size;
            box->to[i] = piece->extents[d].to;
            found++;
        }
        box->end[i] = plus(prover, box->start[i], size);
        if (!surely_at_most(prover, zero, box->start[i])) return false;
        if (i && !surely_at_most(prover, box->end[i], frame->limits[i])) return false;
        if (found > 1) return false;
        laid += found;
    }
    return symint_is(left, 0) && laid == piece->rank;
}

static bool both_in_frame(struct prover *prover, const struct piece *a, const struct piece *b, struct frame *frame,
                          struct box *box_a, struct box *box_b) {
    struct piece fine_a = *a, fine_b = *b;
    *frame = (struct frame){0};
    piece_refine(prover, &fine_a, b);
    piece_refine(prover, &fine_b, &fine_a);
    if (!frame_add(prover, frame, number(prover, 1))) return false;
    for (size_t i = 0; i < fine_a.rank; i++)
        if (!frame_add(prover, frame, fine_a.extents[i].from)) return false;
    for (size_t i = 0; i < fine_b.rank; i++)
        if (!frame_add(prover, frame, fine_b.extents[i].from)) return false;
    return frame_limit(prover, frame) && lay(prover, frame, &fine_a, box_a) && lay(prover, frame, &fine_b, box_b);
}

/* The part of a piece, laid out as `whole`, from start to end. */
static struct piece box_piece(struct prover *prover, const struct frame *frame, const struct piece *piece,
                              const struct box *whole, const struct box *part) {
    struct piece result = {.term = piece->term, .from = number(prover, 0), .to = piece->to, .rank = frame->rank};
    for (size_t i = 0; i < frame->rank; i++) {
        symint skipped = minus(prover, part->start[i], whole->start[i]);
        result.from = plus(prover, result.from, times(prover, part->start[i], frame->steps[i]));
        result.to = plus(prover, result.to, times(prover, skipped, whole->to[i]));
        result.extents[i] = (struct extent){minus(prover, part->end[i], part->start[i]), frame->steps[i], whole->to[i]};
    }
    piece_normalise(prover, &result);
    return result;
}

/* The larger (or the smaller) one, when that can be told. */
static symint choose(struct prover *prover, symint a, symint b, bool greater) {
    if (surely_at_most(prover, a, b)) return greater ? b : a;
    if (surely_at_most(prover, b, a)) return greater ? a : b;
    return NULL;
}

static bool common_box(struct prover *prover, const struct frame *frame, const struct box *a, const struct box *b,
                       struct box *common) {
    for (size_t i = 0; i < frame->rank; i++) {
        common->start[i] = choose(prover, a->start[i], b->start[i], true);
        common->end[i] = choose(prover, a->end[i], b->end[i], false);
        if (!common->start[i] || !common->end[i]) return false;
    }
    return true;
}

/* Slabs below and above the common box along each step, within it along the steps before. */
static void add_rest(struct prover *prover, const struct frame *frame, const struct piece *piece,
                     const struct box *whole, const struct box *common, struct pieces *rest) {
    struct box slab = *whole;
    for (size_t i = 0; i < frame->rank; i++) {
        slab.end[i] = common->start[i];
        if (!surely_equal(prover, slab.start[i], slab.end[i]))
            vector_push(prover->arena, rest, box_piece(prover, frame, piece, whole, &slab));
        slab.start[i] = common->end[i];
        slab.end[i] = whole->end[i];
        if (!surely_equal(prover, slab.start[i], slab.end[i]))
            vector_push(prover->arena, rest, box_piece(prover, frame, piece, whole, &slab));
        slab.start[i] = common->start[i];
        slab.end[i] = common->end[i];
    }
}

enum meeting piece_meet(struct prover *prover, const struct piece *piece, const struct piece *other, struct piece *part,
                        struct pieces *rest) {
    struct frame frame;
    struct box a, b, common;
    if (!both_in_frame(prover, piece, other, &frame, &a, &b)) return meeting_unknown;
    for (size_t i = 0; i < frame.rank; i++)
        if (surely_at_most(prover, a.end[i], b.start[i]) || surely_at_most(prover, b.end[i], a.start[i]))
            return meeting_none;
    if (!common_box(prover, &frame, &a, &b, &common)) return meeting_unknown;
    if (part) *part = box_piece(prover, &frame, piece, &a, &common);
    if (rest) add_rest(prover, &frame, piece, &a, &common, rest);
    return meeting_part;
}

/* ---- lists of pieces ---- */

static bool same_steps(const struct piece *a, const struct piece *b, size_t *different) {
    *different = SIZE_MAX;
    for (size_t i = 0; i < a->rank; i++) {
        if (a->extents[i].from != b->extents[i].from || a->extents[i].to != b->extents[i].to) return false;
        if (a->extents[i].size == b->extents[i].size) continue;
        if (*different != SIZE_MAX) return false;
        *different = i;
    }
    return true;
}

/* Whether `b` goes on along extent i where `a` ends. */
static bool follows(struct prover *prover, const struct piece *a, const struct piece *b, size_t i) {
    const struct extent *extent = &a->extents[i];
    return plus(prover, a->from, times(prover, extent->size, extent->from)) == b->from &&
           plus(prover, a->to, times(prover, extent->size, extent->to)) == b->to;
}

static bool join_along(struct prover *prover, struct piece *a, const struct piece *b) {
    size_t different;
    if (!same_steps(a, b, &different)) return false;
    for (size_t i = 0; i < a->rank; i++) {
        bool forward = follows(prover, a, b, i);
        if (different != SIZE_MAX && different != i) continue;
        if (!forward && !follows(prover, b, a, i)) continue;
        if (!forward) a->from = b->from, a->to = b->to;
        a->extents[i].size = plus(prover, a->extents[i].size, b->extents[i].size);
        return true;
    }
    return false;
}

/* A piece one element thick, seen as having the extent `like`. */
static struct piece thickened(struct prover *prover, const struct piece *thin, const struct piece *like, size_t i) {
    struct piece thick = *thin;
    for (size_t j = thick.rank++; j > i; j--) thick.extents[j] = thick.extents[j - 1];
    thick.extents[i] = (struct extent){number(prover, 1), like->extents[i].from, like->extents[i].to};
    return thick;
}

static bool join(struct prover *prover, struct piece *a, const struct piece *b) {
    if (a->term != b->term) return false;
    if (a->rank == b->rank) return join_along(prover, a, b);
    const struct piece *thin = a->rank < b->rank ? a : b, *like = thin == a ? b : a;
    if (thin->rank + 1 != like->rank) return false;
    for (size_t i = 0; i < like->rank; i++) {
        struct piece thick = thickened(prover, thin, like, i), joined = *like;
        if (!join_along(prover, &joined, &thick)) continue;
        *a = joined;
        return true;
    }
    return false;
}

static const char *printed(struct prover *prover, symint integer) {
    struct builder text;
    builder_init(&text, prover->arena);
    symint_print(&text, integer);
    return text.data;
}

static bool goes_before(struct prover *prover, const struct piece *a, const struct piece *b, bool by_text) {
    if (!by_text) return surely_less(prover, a->from, b->from);
    return strcmp(printed(prover, a->from), printed(prover, b->from)) < 0;
}

static void sort_pieces(struct prover *prover, struct pieces *pieces) {
    bool by_text = false;
    for (size_t i = 0; i < pieces->count; i++)
        for (size_t j = 0; j < i; j++)
            by_text |= symint_less(prover->symbols, pieces->items[i].from, pieces->items[j].from) == answer_unknown;
    for (size_t i = 1; i < pieces->count; i++)
        for (size_t j = i; j > 0 && goes_before(prover, &pieces->items[j], &pieces->items[j - 1], by_text); j--) {
            struct piece swapped = pieces->items[j];
            pieces->items[j] = pieces->items[j - 1];
            pieces->items[j - 1] = swapped;
        }
}

static void drop_piece(struct pieces *pieces, size_t index) {
    pieces->count--;
    for (size_t i = index; i < pieces->count; i++) pieces->items[i] = pieces->items[i + 1];
}

enum { most_joined = 64 }; /* more pieces than that are compared as they are */

void pieces_normalise(struct prover *prover, struct pieces *pieces) {
    if (pieces->count > most_joined) return;
    sort_pieces(prover, pieces);
    for (size_t i = 0; i < pieces->count; i++)
        for (size_t j = i + 1; j < pieces->count; j++) {
            if (!join(prover, &pieces->items[i], &pieces->items[j])) continue;
            piece_normalise(prover, &pieces->items[i]);
            drop_piece(pieces, j);
            i = 0;
            j = 0;
        }
}
