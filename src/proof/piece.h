/* Pieces: boxes of addresses, and which element of a term lies at each. */
#ifndef REGRAFT_PROOF_PIECE_H
#define REGRAFT_PROOF_PIECE_H

#include "proof/term.h"

enum { piece_most_extents = 16 };

/* Address from + sum of index[i] * extents[i].from holds element to + sum of index[i] * extents[i].to of the term. */
struct extent {
    symint size, from, to;
};
struct piece {
    const struct term *term;
    symint from, to;
    size_t rank;
    struct extent extents[piece_most_extents];
};

/* A place, with `to` strides that number its elements as `to` does (NULL: row-major). False: too many dimensions. */
bool piece_of_place(struct prover *prover, const struct window_place *place, const struct term *term, symint to,
                    const symint *to_strides, struct piece *piece);
/* One form for all ways to write a piece: no extent of size 1, the largest step first, dense neighbours joined. */
void piece_normalise(struct prover *prover, struct piece *piece);

/* The elements at the addresses offset + sum of index[d] * inner[d].from, when all of them are in the (normalised) piece
 * and have numbers that are as regular: the number of the first, and a step for each d. */
bool piece_relate(struct prover *prover, const struct piece *piece, symint offset, const struct extent *inner,
                  size_t rank, symint *to, symint *to_strides);
/* Cuts extents of `piece` where the steps of `other` fall between two of theirs: 640 by 1 at 64 into 10 by 64, 64 by 1. */
void piece_refine(struct prover *prover, struct piece *piece, const struct piece *other);

/* value // step; *rest is what is left. `sizes` are of what is looked at: where one of them is 0 there is nothing to look at,
 * so a step that is a multiple of them is taken for at least what is left when they are divided out. */
symint divide_by_step(const struct prover *prover, symint value, symint step, const symint *sizes, size_t count,
                      symint *rest);

/* Whether a step of `a` is the larger one. A multiple counts as larger: where it is not, its factor is 0 or 1, and what
 * depends on the order (that indices do not run over) is proved each time. */
bool step_larger(const struct prover *prover, symint a, symint b);
bool step_multiple_of(const struct prover *prover, symint a, symint b);

struct pieces {
    struct piece *items;
    size_t count, capacity;
};
enum meeting { meeting_none, meeting_part, meeting_unknown };
/* How two pieces meet: the parts of `piece` inside of `other` are added to `parts`, and what is left of it outside is put
 * into `rest`. */
enum meeting piece_meet(struct prover *prover, const struct piece *piece, const struct piece *other,
                        struct pieces *parts, struct pieces *rest);

/* Joins what can be joined and brings the pieces into one order. */
void pieces_normalise(struct prover *prover, struct pieces *pieces);
/* Adds disjoint pieces of one term, cut in the one way, to `result`. False when their sizes are not known, or too large, or when
 * there is one that cannot be cut in two ways. */
bool pieces_cut_again(struct prover *prover, const struct piece *pieces, size_t count, struct pieces *result);
/* The same pieces, those of each term cut in the one way: what compares equal is equal. They follow no rows any more. */
struct pieces pieces_in_one_form(struct prover *prover, const struct pieces *pieces);

/* ---- single elements, where boxes do not tell ---- */

/* Address `from` holds element `to` of the term. */
struct element {
    int64_t from, to;
    const struct term *term;
};
struct elements {
    struct element *items;
    size_t count, capacity;
};
/* Adds the elements of a piece. False when a number is not known, or when there are more than `most`. */
bool piece_elements(struct prover *prover, const struct piece *piece, size_t most, struct elements *elements);
/* Sorts them by address, each once. False when an address holds two different ones. */
bool elements_sort(struct elements *elements);
/* Adds them, each at an address of its own, cut in the one way; brings them into another order. */
void pieces_of_elements(struct prover *prover, struct elements *elements, struct pieces *result);

#endif
