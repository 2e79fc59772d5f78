/* Lists of pieces in one form. */
#include "proof/piece.h"

/* ---- two pieces as one ---- */

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

/* Moves the first piece and all others of its term to `same`. */
static void take_same_term(struct prover *prover, struct pieces *pieces, struct pieces *same) {
    const struct term *term = pieces->items[0].term;
    size_t kept = 0;
    for (size_t i = 0; i < pieces->count; i++)
        if (pieces->items[i].term == term)
            vector_push(prover->arena, same, pieces->items[i]);
        else
            pieces->items[kept++] = pieces->items[i];
    pieces->count = kept;
}

struct pieces pieces_in_one_form(struct prover *prover, const struct pieces *pieces) {
    struct pieces left = {0}, result = {0};
    for (size_t i = 0; i < pieces->count; i++) vector_push(prover->arena, &left, pieces->items[i]);
    while (left.count) {
        struct pieces same = {0}, cut = {0};
        take_same_term(prover, &left, &same);
        const struct pieces *chosen = same.count > 1 && pieces_cut_again(prover, &same, &cut) ? &cut : &same;
        for (size_t i = 0; i < chosen->count; i++) vector_push(prover->arena, &result, chosen->items[i]);
    }
    sort_pieces(prover, &result);
    return result;
}
