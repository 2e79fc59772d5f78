/* What is in a buffer at one moment of the program: disjoint cells, each with the element of a term at every address. */
#ifndef REGRAFT_PROOF_CONTENTS_H
#define REGRAFT_PROOF_CONTENTS_H

#include "proof/piece.h"

/* A cell is kept as it was written until another write cuts it; most never are. */
struct cell {
    struct window_place place;
    const struct reading *reading; /* of the sizes of `place`; NULL: only the piece */
    const struct piece *piece;     /* the same, normalised; NULL: not needed yet */
    bool overlaps;                 /* some address may be there twice, with the same element: of an input */
};

struct contents {
    enum dtype dtype;
    const struct window_place *whole; /* all of the buffer's tensor; NULL: not of a buffer */
    const struct term *beyond;        /* what lies at addresses of no cell, numbered by address; NULL: not known */
    VECTOR(struct cell) cells;
};

/* `shape` row-major: places without offset that number elements. */
struct window_place dense_place(struct prover *prover, const symint *sizes, size_t rank);
bool places_same(const struct window_place *a, const struct window_place *b);

/* A copy that later writes to the original do not change. */
void contents_copy(struct prover *prover, struct contents *copy, const struct contents *contents);
/* `inside`: the place is known to lie within what the buffer's tensor covers. */
const struct reading *contents_read(struct prover *prover, const struct contents *contents,
                                    const struct window_place *place, bool inside);
/* The reading has the sizes of the place. */
void contents_write(struct prover *prover, struct contents *contents, const struct window_place *place,
                    const struct reading *reading, bool inside);
/* All that is in there, as one term. */
const struct term *contents_term(struct prover *prover, const struct contents *contents);

/* The cell as a piece; NULL when it has too many dimensions. */
const struct piece *cell_piece(struct prover *prover, struct cell *cell);

/* What a write of the reading leaves in a place: the reading; or where one address gets several elements, a term that is numbered
 * as the place lies. Which of them stays is up to what writes them: `by` (may be NULL). */
const struct reading *reading_left(struct prover *prover, const struct reading *reading,
                                   const struct window_place *place, const struct builder *by);

/* The elements of a term at these numbers. */
const struct reading *reading_window(struct prover *prover, const struct term *term, const struct window_place *place);
/* The parts of a place, disjoint and all of it, numbered as `numbers` says (NULL: row-major). False when it cannot be taken
 * apart. */
bool contents_parts(struct prover *prover, const struct contents *contents, const struct window_place *place,
                    const symint *numbers, struct pieces *parts);
/* A tensor of the layout's sizes whose row-major elements the pieces have; they are normalised. */
const struct reading *reading_of_pieces(struct prover *prover, enum dtype dtype, struct pieces *parts,
                                        const struct layout *layout);

/* The elements of a reading at a place that counts its elements row-major: a view of it, or a reshape. */
const struct reading *reading_at(struct prover *prover, const struct reading *reading,
                                 const struct window_place *place);

/* ---- element by element (known.c); false where a number is not known, or there are too many ---- */

/* The parts of a place, by their row-major numbers. */
bool known_parts(struct prover *prover, const struct contents *contents, const struct window_place *place,
                 struct pieces *parts);
/* Adds to `left` what the cell has outside of the place. */
bool known_cut(struct prover *prover, struct cell *cell, const struct window_place *place, struct contents *left);
/* Whether each address of the place gets one element. */
bool known_once(struct prover *prover, const struct window_place *place, const struct reading *reading);
/* Adds what is written to a place that holds nothing. False, too, where one address gets different elements. */
bool known_write(struct prover *prover, struct contents *contents, const struct window_place *place,
                 const struct reading *reading);

#endif
