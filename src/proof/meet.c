/* How two pieces meet: both as boxes in one frame. */
#include "proof/piece.h"

/* Steps, the largest first; every address has at most one index along each where all are below their limits. */
struct frame {
    size_t rank;
    symint steps[piece_most_extents], limits[piece_most_extents]; /* limits[0] is NULL: none */
};

static bool frame_add(struct prover *prover, struct frame *frame, symint step) {
    size_t at = frame->rank;
    for (size_t i = 0; i < frame->rank; i++)
        if (frame->steps[i] == step) return true;
    if (frame->rank == piece_most_extents || symint_is(step, 0)) return false;
    for (; at > 0 && step_larger(prover, step, frame->steps[at - 1]); at--) frame->steps[at] = frame->steps[at - 1];
    if (at > 0 && !step_larger(prover, frame->steps[at - 1], step)) return false;
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

/* Whether no address of the box has a second index: what lies along smaller steps stays below each step. */
static bool counts_once(struct prover *prover, const struct frame *frame, const struct box *box) {
    symint below = number(prover, 0);
    for (size_t i = frame->rank; i-- > 1;) {
        symint last = minus(prover, box->end[i], number(prover, 1));
        below = plus(prover, below, times(prover, last, frame->steps[i]));
        if (!surely_less(prover, below, frame->steps[i - 1])) return false;
    }
    return true;
}

static bool lay(struct prover *prover, const struct frame *frame, const struct piece *piece, struct box *box) {
    symint left = piece->from, zero = number(prover, 0), one = number(prover, 1);
    size_t laid = 0;
    bool within = true;
    for (size_t i = 0; i < frame->rank; i++) {
        symint size = one;
        size_t found = 0;
        box->to[i] = zero;
        box->start[i] = divide_by_step(prover, left, frame->steps[i], frame->limits + 1, frame->rank - 1, &left);
        for (size_t d = 0; d < piece->rank; d++) {
            if (piece->extents[d].from != frame->steps[i]) continue;
            size = piece->extents[d].size;
            box->to[i] = piece->extents[d].to;
            found++;
        }
        box->end[i] = plus(prover, box->start[i], size);
        if (!surely_at_most(prover, zero, box->start[i])) return false;
        within &= !i || surely_at_most(prover, box->end[i], frame->limits[i]);
        if (found > 1) return false;
        laid += found;
    }
    return symint_is(left, 0) && laid == piece->rank && (within || counts_once(prover, frame, box));
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

static enum meeting boxes_meet(struct prover *prover, const struct piece *piece, const struct piece *other,
                               struct pieces *parts, struct pieces *rest) {
    struct frame frame;
    struct box a, b, common = {0};
    if (!both_in_frame(prover, piece, other, &frame, &a, &b)) return meeting_unknown;
    for (size_t i = 0; i < frame.rank; i++)
        if (surely_at_most(prover, a.end[i], b.start[i]) || surely_at_most(prover, b.end[i], a.start[i]))
            return meeting_none;
    if (!common_box(prover, &frame, &a, &b, &common)) return meeting_unknown;
    vector_push(prover->arena, parts, box_piece(prover, &frame, piece, &a, &common));
    add_rest(prover, &frame, piece, &a, &common, rest);
    return meeting_part;
}

/* ---- pieces that run over the end of a row ---- */

/* The part of a piece from index `start` up to `end` of extent i. */
static struct piece cut_extent(struct prover *prover, const struct piece *piece, size_t i, int64_t start, int64_t end) {
    struct piece part = *piece;
    struct extent *extent = &part.extents[i];
    part.from = plus(prover, part.from, times(prover, number(prover, start), extent->from));
    part.to = plus(prover, part.to, times(prover, number(prover, start), extent->to));
    extent->size = number(prover, end - start);
    piece_normalise(prover, &part);
    return part;
}

/* Where extent i of the piece, which begins within a row of `row` addresses, runs over its end: the borders of what lies
 * in the first row, of the full rows, and of what lies in the last one. False when it does not. */
static bool row_borders(const struct piece *piece, size_t i, int64_t row, int64_t borders[4]) {
    int64_t from, step, size;
    const struct extent *extent = &piece->extents[i];
    if (!symint_is_constant(piece->from, &from) || !symint_is_constant(extent->from, &step) || step <= 0 ||
        !symint_is_constant(extent->size, &size) || row <= step || row % step || from < 0)
        return false;
    int64_t length = row / step, skipped = from % row / step, head = skipped ? length - skipped : 0;
    if (skipped + size <= length) return false;
    borders[0] = 0, borders[1] = head, borders[2] = size - (size - head) % length, borders[3] = size;
    return borders[1] > 0 || borders[2] < size;
}

/* Whether the piece runs over the end of a row that `other` has: of which length, along which extent. */
static bool runs_over(const struct piece *piece, const struct piece *other, size_t *i, int64_t borders[4]) {
    int64_t row;
    for (size_t d = 0; d < other->rank; d++)
        if (symint_is_constant(other->extents[d].from, &row))
            for (*i = 0; *i < piece->rank; ++*i)
                if (row_borders(piece, *i, row, borders)) return true;
    return false;
}

/* Cuts what runs over the ends of rows, until nothing does. */
static void cut_rows(struct prover *prover, struct pieces *pieces, const struct piece *other) {
    size_t extent;
    int64_t borders[4];
    for (size_t i = 0; i < pieces->count; i++) {
        struct piece piece = pieces->items[i];
        if (!runs_over(&piece, other, &extent, borders) && !runs_over(&piece, &piece, &extent, borders)) continue;
        pieces->items[i--] = pieces->items[--pieces->count];
        for (size_t j = 0; j < 3; j++)
            if (borders[j] < borders[j + 1])
                vector_push(prover->arena, pieces, cut_extent(prover, &piece, extent, borders[j], borders[j + 1]));
    }
}

/* ---- both ---- */

/* Takes what meets `other` out of `left`. */
static enum meeting take_out(struct prover *prover, struct pieces *left, const struct piece *other,
                             struct pieces *parts) {
    struct pieces rest = {0};
    enum meeting met = meeting_none;
    for (size_t i = 0; i < left->count; i++) {
        enum meeting meeting = boxes_meet(prover, &left->items[i], other, parts, &rest);
        if (meeting == meeting_unknown) return meeting;
        if (meeting == meeting_part) met = meeting;
        if (meeting == meeting_none) vector_push(prover->arena, &rest, left->items[i]);
    }
    *left = rest;
    return met;
}

/* As piece_meet, of pieces that run over the end of a row. */
static enum meeting rows_meet(struct prover *prover, const struct piece *piece, const struct piece *other,
                              struct pieces *parts, struct pieces *rest) {
    struct pieces left = {0}, others = {0};
    enum meeting met = meeting_none;
    vector_push(prover->arena, &left, *piece);
    vector_push(prover->arena, &others, *other);
    cut_rows(prover, &left, other);
    cut_rows(prover, &others, piece);
    for (size_t i = 0; i < others.count; i++) {
        enum meeting meeting = take_out(prover, &left, &others.items[i], parts);
        if (meeting == meeting_unknown) return meeting;
        if (meeting == meeting_part) met = meeting;
    }
    *rest = left;
    return met;
}

enum meeting piece_meet(struct prover *prover, const struct piece *piece, const struct piece *other,
                        struct pieces *parts, struct pieces *rest) {
    size_t i;
    int64_t borders[4];
    bool rows = runs_over(piece, other, &i, borders) || runs_over(other, piece, &i, borders) ||
                runs_over(piece, piece, &i, borders) || runs_over(other, other, &i, borders);
    return rows ? rows_meet(prover, piece, other, parts, rest) : boxes_meet(prover, piece, other, parts, rest);
}
