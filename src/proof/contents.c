#include "proof/contents.h"

struct window_place dense_place(struct prover *prover, const symint *sizes, size_t rank) {
    symint *strides = arena_array(prover->arena, symint, rank), stride = number(prover, 1);
    for (size_t i = rank; i-- > 0;) {
        strides[i] = stride;
        stride = times(prover, stride, sizes[i]);
    }
    return (struct window_place){number(prover, 0), {rank, sizes, strides}};
}

bool places_same(const struct window_place *a, const struct window_place *b) {
    if (a->offset != b->offset || a->layout.rank != b->layout.rank) return false;
    for (size_t i = 0; i < a->layout.rank; i++) {
        if (a->layout.sizes[i] != b->layout.sizes[i]) return false;
        if (a->layout.strides[i] != b->layout.strides[i] && !symint_is(a->layout.sizes[i], 1)) return false;
    }
    return true;
}

void contents_copy(struct prover *prover, struct contents *copy, const struct contents *contents) {
    *copy = *contents;
    copy->cells.items =
        arena_copy(prover->arena, contents->cells.items, contents->cells.count * sizeof *contents->cells.items);
    copy->cells.capacity = contents->cells.count;
}

const struct piece *cell_piece(struct prover *prover, struct cell *cell) {
    if (cell->piece) return cell->piece;
    struct piece *piece = arena_new(prover->arena, struct piece);
    const struct reading *reading = cell->reading;
    if (!piece_of_place(prover, &cell->place, reading->term, reading->offset, reading->layout.strides, piece))
        return NULL;
    return cell->piece = piece;
}

/* ---- terms for contents ---- */

static void key_pieces(struct prover *prover, struct builder *key, const struct pieces *pieces) {
    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->items[i];
        key_pointer(key, piece->term);
        key_symint(prover, key, piece->from);
        key_symint(prover, key, piece->to);
        key_number(key, (int64_t)piece->rank);
        for (size_t d = 0; d < piece->rank; d++) {
            key_symint(prover, key, piece->extents[d].size);
            key_symint(prover, key, piece->extents[d].from);
            key_symint(prover, key, piece->extents[d].to);
        }
    }
}

static const struct term *pieces_term(struct prover *prover, enum dtype dtype, const struct term *beyond,
                                      const struct pieces *pieces) {
    struct builder key;
    key_start(prover, &key, term_pieces, dtype);
    key_pointer(&key, beyond);
    struct pieces compared = pieces_in_one_form(prover, pieces);
    key_pieces(prover, &key, &compared);
    struct term *term = key_term(prover, &key);
    if (term->contents) return term;
    struct contents *contents = arena_new(prover->arena, struct contents);
    *contents = (struct contents){.dtype = dtype, .beyond = beyond};
    const struct piece *kept = arena_copy(prover->arena, pieces->items, pieces->count * sizeof *pieces->items);
    for (size_t i = 0; i < pieces->count; i++)
        vector_push(prover->arena, &contents->cells, (struct cell){.piece = &kept[i]});
    term->contents = contents;
    return term;
}

const struct term *contents_term(struct prover *prover, const struct contents *contents) {
    struct pieces pieces = {0};
    if (!contents->cells.count && contents->beyond) return contents->beyond;
    for (size_t i = 0; i < contents->cells.count; i++) {
        const struct piece *piece = cell_piece(prover, &contents->cells.items[i]);
        if (piece)
            vector_push(prover->arena, &pieces, *piece);
        else
            prover_give_up(prover, "a tensor has more than %d dimensions", piece_most_extents);
    }
    pieces_normalise(prover, &pieces);
    return pieces_term(prover, contents->dtype, contents->beyond, &pieces);
}

/* ---- reading ---- */

static const struct reading *read_opaque(struct prover *prover, const struct contents *contents,
                                         const struct window_place *place) {
    struct builder key;
    const struct term *whole = contents_term(prover, contents);
    key_start(prover, &key, term_read, contents->dtype);
    key_pointer(&key, whole);
    key_place(prover, &key, place);
    struct window_place dense = dense_place(prover, place->layout.sizes, place->layout.rank);
    return reading_intern(prover, key_term(prover, &key), dense.offset, &dense.layout);
}

/* Terms made of pieces are looked through, so that a reading of one always has all of it. */
const struct reading *reading_window(struct prover *prover, const struct term *term, const struct window_place *place) {
    if (term->kind == term_pieces) return contents_read(prover, term->contents, place, true);
    return reading_intern(prover, term, place->offset, &place->layout);
}

/* The reading when one piece has all of the place. */
static const struct reading *read_one(struct prover *prover, const struct piece *piece,
                                      const struct window_place *place) {
    struct extent inner[place_most_dimensions];
    symint to, strides[place_most_dimensions];
    size_t rank = place->layout.rank;
    for (size_t i = 0; i < rank; i++)
        inner[i] = (struct extent){place->layout.sizes[i], place->layout.strides[i], NULL};
    if (!piece_relate(prover, piece, place->offset, inner, rank, &to, strides)) return NULL;
    struct window_place window = {to, {rank, place->layout.sizes, strides}};
    return reading_window(prover, piece->term, &window);
}

const struct reading *reading_of_pieces(struct prover *prover, enum dtype dtype, struct pieces *parts,
                                        const struct layout *layout) {
    const struct reading *reading;
    struct window_place dense = dense_place(prover, layout->sizes, layout->rank);
    pieces_normalise(prover, parts);
    struct pieces one = pieces_in_one_form(prover, parts);
    if (parts->count == 1 && (reading = read_one(prover, &parts->items[0], &dense))) return reading;
    if (one.count == 1 && (reading = read_one(prover, &one.items[0], &dense))) return reading;
    const struct term *term = pieces_term(prover, dtype, NULL, parts);
    return reading_intern(prover, term, dense.offset, &dense.layout);
}

/* A part of a cell inside of a place, now from the row-major numbers of the place. */
static bool renumber(struct prover *prover, const struct piece *frame, struct piece *part) {
    symint from, steps[piece_most_extents];
    piece_refine(prover, part, frame);
    if (!piece_relate(prover, frame, part->from, part->extents, part->rank, &from, steps)) return false;
    part->from = from;
    for (size_t i = 0; i < part->rank; i++) part->extents[i].from = steps[i];
    piece_normalise(prover, part);
    return true;
}

static symint piece_count(struct prover *prover, const struct piece *piece) {
    symint count = number(prover, 1);
    for (size_t i = 0; i < piece->rank; i++) count = times(prover, count, piece->extents[i].size);
    return count;
}

static bool surely_apart(struct prover *prover, const struct cell *cell, const struct window_place *place) {
    return cell->reading && places_disjoint(prover->context, &cell->place, place) == answer_yes;
}

/* As piece_meet; NULL meets in ways that are not known. */
static enum meeting meet_cell(struct prover *prover, struct cell *cell, const struct piece *other, struct pieces *met,
                              struct pieces *rest) {
    const struct piece *piece = cell->overlaps ? NULL : cell_piece(prover, cell);
    return piece && other ? piece_meet(prover, piece, other, met, rest) : meeting_unknown;
}

/* The parts of all cells are disjoint, so they are all of the place when there are as many elements. */
bool contents_parts(struct prover *prover, const struct contents *contents, const struct window_place *place,
                    const symint *numbers, struct pieces *parts) {
    struct piece frame, sought;
    symint count = number(prover, 0);
    if (place_overlaps_itself(prover->context, place) != answer_no) return false;
    if (!piece_of_place(prover, place, NULL, number(prover, 0), numbers, &frame)) return false;
    sought = frame;
    for (size_t i = 0; i < contents->cells.count; i++) {
        struct cell *cell = &contents->cells.items[i];
        struct pieces met = {0}, rest = {0};
        enum meeting meeting = meet_cell(prover, cell, &sought, &met, &rest);
        if (meeting == meeting_unknown && surely_apart(prover, cell, place)) continue;
        if (meeting == meeting_unknown) return false;
        if (meeting == meeting_none) continue;
        for (size_t j = 0; j < met.count; j++) {
            if (!renumber(prover, &frame, &met.items[j])) return false;
            count = plus(prover, count, piece_count(prover, &met.items[j]));
            vector_push(prover->arena, parts, met.items[j]);
        }
    }
    return surely_equal(prover, count, layout_count(prover->symbols, &place->layout));
}

/* Of a place none of whose dimensions is expanded. */
static const struct reading *read_parts(struct prover *prover, const struct contents *contents,
                                        const struct window_place *place) {
    struct pieces parts = {0};
    if (!contents_parts(prover, contents, place, NULL, &parts)) {
        parts.count = 0;
        if (!known_parts(prover, contents, place, &parts)) return read_opaque(prover, contents, place);
    }
    return reading_of_pieces(prover, contents->dtype, &parts, &place->layout);
}

static bool is_expanded(const struct layout *layout, size_t i) {
    return symint_is(layout->strides[i], 0) && !symint_is(layout->sizes[i], 1);
}

/* Reads one element along each expanded dimension, and repeats it. */
static const struct reading *read_expanded(struct prover *prover, const struct contents *contents,
                                           const struct window_place *place) {
    size_t rank = place->layout.rank;
    symint *sizes = arena_copy(prover->arena, place->layout.sizes, rank * sizeof *sizes);
    struct window_place single = {place->offset, {rank, sizes, place->layout.strides}};
    bool any = false;
    for (size_t i = 0; i < rank; i++) {
        if (!is_expanded(&place->layout, i)) continue;
        sizes[i] = number(prover, 1);
        any = true;
    }
    if (!any) return read_parts(prover, contents, place);
    const struct reading *reading = contents_read(prover, contents, &single, false);
    struct layout layout = {rank, place->layout.sizes, reading->layout.strides};
    return reading_intern(prover, reading->term, reading->offset, &layout);
}

/* All cells are elsewhere, so what is beyond them is seen. */
static bool is_beyond(struct prover *prover, const struct contents *contents, const struct window_place *place) {
    struct piece sought;
    if (!contents->beyond || !piece_of_place(prover, place, NULL, number(prover, 0), NULL, &sought)) return false;
    for (size_t i = 0; i < contents->cells.count; i++) {
        struct pieces met = {0}, rest = {0};
        if (surely_apart(prover, &contents->cells.items[i], place)) continue;
        if (meet_cell(prover, &contents->cells.items[i], &sought, &met, &rest) != meeting_none) return false;
    }
    return true;
}

static bool is_identity(const struct cell *cell) {
    const struct reading *reading = cell->reading;
    if (!reading || reading->term->kind == term_pieces || reading->offset != cell->place.offset) return false;
    for (size_t i = 0; i < reading->layout.rank; i++)
        if (reading->layout.strides[i] != cell->place.layout.strides[i] && !symint_is(reading->layout.sizes[i], 1))
            return false;
    return true;
}

const struct reading *contents_read(struct prover *prover, const struct contents *contents,
                                    const struct window_place *place, bool inside) {
    struct cell *cells = contents->cells.items;
    size_t count = contents->cells.count;
    for (size_t i = 0; i < count; i++)
        if (cells[i].reading && places_same(&cells[i].place, place)) return cells[i].reading;
    if (inside && count == 1 && is_identity(&cells[0]))
        return reading_intern(prover, cells[0].reading->term, place->offset, &place->layout);
    for (size_t i = 0; i < count; i++) {
        const struct piece *piece = cell_piece(prover, &cells[i]);
        const struct reading *reading = piece ? read_one(prover, piece, place) : NULL;
        if (reading) return reading;
    }
    if (is_beyond(prover, contents, place))
        return reading_intern(prover, contents->beyond, place->offset, &place->layout);
    return read_expanded(prover, contents, place);
}

const struct reading *reading_at(struct prover *prover, const struct reading *reading,
                                 const struct window_place *place) {
    struct contents contents = {.dtype = reading->term->dtype};
    struct window_place whole = dense_place(prover, reading->layout.sizes, reading->layout.rank);
    if (places_same(&whole, place)) return reading;
    vector_push(prover->arena, &contents.cells, (struct cell){.place = whole, .reading = reading});
    return contents_read(prover, &contents, place, true);
}

/* ---- writing ---- */

/* Contents that can be compared only as a whole: the old ones after this write. */
static void write_opaque(struct prover *prover, struct contents *contents, const struct window_place *place,
                         const struct reading *reading, bool inside) {
    struct builder key;
    const struct term *before = contents_term(prover, contents);
    key_start(prover, &key, term_written, contents->dtype);
    key_pointer(&key, before);
    key_place(prover, &key, place);
    key_pointer(&key, reading);
    const struct term *after = key_term(prover, &key);
    contents->cells.count = 0;
    if (inside && contents->whole) { /* what lies beyond the tensor is as it was */
        const struct reading *all = reading_intern(prover, after, contents->whole->offset, &contents->whole->layout);
        vector_push(prover->arena, &contents->cells, (struct cell){.place = *contents->whole, .reading = all});
    } else {
        contents->beyond = after;
    }
}

/* What is left of the cells outside of the place. */
static bool cut_cells(struct prover *prover, const struct contents *contents, const struct window_place *place,
                      struct contents *left) {
    struct piece written;
    bool framed = piece_of_place(prover, place, NULL, number(prover, 0), NULL, &written);
    for (size_t i = 0; i < contents->cells.count; i++) {
        struct cell *cell = &contents->cells.items[i];
        struct pieces met = {0}, rest = {0};
        if (cell->reading && places_same(&cell->place, place)) continue;
        enum meeting meeting = meet_cell(prover, cell, framed ? &written : NULL, &met, &rest);
        if (meeting == meeting_none || (meeting == meeting_unknown && surely_apart(prover, cell, place))) {
            vector_push(prover->arena, &left->cells, *cell);
            continue;
        }
        if (meeting == meeting_unknown && cell->reading &&
            place_contains(prover->context, place, &cell->place) == answer_yes)
            continue;
        if (meeting == meeting_unknown) {
            if (!known_cut(prover, cell, place, left)) return false;
            continue;
        }
        struct piece *kept = arena_copy(prover->arena, rest.items, rest.count * sizeof *rest.items);
        for (size_t j = 0; j < rest.count; j++)
            vector_push(prover->arena, &left->cells, (struct cell){.piece = &kept[j]});
    }
    return true;
}

/* Whether the reading has all of its term, row-major, but for dimensions along which it repeats: those are left out of `single`. */
static bool reads_all(struct prover *prover, const struct reading *reading, struct window_place *single) {
    size_t rank = reading->layout.rank;
    symint *sizes = arena_copy(prover->arena, reading->layout.sizes, rank * sizeof *sizes);
    for (size_t i = 0; i < rank; i++)
        if (is_expanded(&reading->layout, i)) sizes[i] = number(prover, 1);
    *single = dense_place(prover, sizes, rank);
    return places_same(single, &(struct window_place){reading->offset, {rank, sizes, reading->layout.strides}});
}

/* The part once for each index along the dimensions that the reading repeats. */
static bool repeat(struct prover *prover, const struct window_place *place, const struct reading *reading,
                   struct piece *part) {
    for (size_t i = 0; i < place->layout.rank; i++) {
        if (!is_expanded(&reading->layout, i)) continue;
        if (part->rank == piece_most_extents) return false;
        part->extents[part->rank++] =
            (struct extent){place->layout.sizes[i], place->layout.strides[i], number(prover, 0)};
    }
    piece_normalise(prover, part);
    return true;
}

/* Adds what is written, piece by piece where it is made of pieces; false when those do not fit the place. */
static bool add_pieces(struct prover *prover, struct contents *contents, const struct window_place *place,
                       const struct reading *reading) {
    const struct contents *source = reading->term->contents;
    struct window_place single;
    struct piece frame;
    size_t before = contents->cells.count;
    if (!reads_all(prover, reading, &single)) return false;
    if (!piece_of_place(prover, &single, NULL, place->offset, place->layout.strides, &frame)) return false;
    for (size_t i = 0; i < source->cells.count; i++) {
        struct piece *part = arena_copy(prover->arena, source->cells.items[i].piece, sizeof *part);
        if (!renumber(prover, &frame, part) || !repeat(prover, place, reading, part)) {
            contents->cells.count = before;
            return false;
        }
        vector_push(prover->arena, &contents->cells, (struct cell){.piece = part});
    }
    return true;
}

/* Adds what is written, where nothing is left. */
static bool add_written(struct prover *prover, struct contents *contents, const struct window_place *place,
                        const struct reading *reading) {
    bool pieces = reading->term->kind == term_pieces && !reading->term->contents->beyond;
    if (place_overlaps_itself(prover->context, place) != answer_no)
        return known_write(prover, contents, place, reading);
    if (pieces && (add_pieces(prover, contents, place, reading) || known_write(prover, contents, place, reading)))
        return true;
    vector_push(prover->arena, &contents->cells, (struct cell){.place = *place, .reading = reading});
    return true;
}

void contents_write(struct prover *prover, struct contents *contents, const struct window_place *place,
                    const struct reading *reading, bool inside) {
    struct contents left = {.dtype = contents->dtype, .whole = contents->whole, .beyond = contents->beyond};
    bool whole = contents->cells.count == 0 && !contents->beyond;
    if ((whole || cut_cells(prover, contents, place, &left)) && add_written(prover, &left, place, reading))
        *contents = left;
    else
        write_opaque(prover, contents, place, reading, inside);
}

/* Whether the reading numbers its elements as they lie in the place, so that each address gets one. */
static bool lies_alike(const struct reading *reading, const struct window_place *place) {
    for (size_t i = 0; i < place->layout.rank; i++)
        if (reading->layout.strides[i] != place->layout.strides[i] && !symint_is(place->layout.sizes[i], 1))
            return false;
    return true;
}

const struct reading *reading_left(struct prover *prover, const struct reading *reading,
                                   const struct window_place *place, const struct builder *by) {
    struct builder key;
    struct window_place from_start = {number(prover, 0), place->layout};
    if (place_overlaps_itself(prover->context, place) == answer_no || lies_alike(reading, place) ||
        known_once(prover, place, reading))
        return reading;
    key_start(prover, &key, term_written, reading->term->dtype);
    key_pointer(&key, NULL);
    key_place(prover, &key, &from_start);
    key_pointer(&key, reading);
    if (by) builder_add(&key, (struct text){by->data, by->length});
    return reading_intern(prover, key_term(prover, &key), from_start.offset, &place->layout);
}
