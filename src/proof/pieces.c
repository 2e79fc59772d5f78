/* Lists of pieces in one form. */
#include "proof/piece.h"

#include <stdint.h>
#include <stdlib.h>

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

static bool goes_before(struct prover *prover, const struct piece *a, const struct piece *b, bool by_text) {
    if (!by_text) return surely_less(prover, a->from, b->from);
    return strcmp(symint_string(prover->arena, a->from), symint_string(prover->arena, b->from)) < 0;
}

static int compare_from(const void *a, const void *b) {
    int64_t x = 0, y = 0;
    symint_is_constant(((const struct piece *)a)->from, &x);
    symint_is_constant(((const struct piece *)b)->from, &y);
    return x < y ? -1 : x > y;
}

static bool known_starts(const struct pieces *pieces) {
    int64_t from;
    for (size_t i = 0; i < pieces->count; i++)
        if (!symint_is_constant(pieces->items[i].from, &from)) return false;
    return true;
}

static void sort_pieces(struct prover *prover, struct pieces *pieces) {
    bool by_text = false;
    if (pieces->count < 2) return;
    if (known_starts(pieces)) {
        qsort(pieces->items, pieces->count, sizeof *pieces->items, compare_from);
        return;
    }
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
    memmove(&pieces->items[index], &pieces->items[index + 1], (pieces->count - index) * sizeof *pieces->items);
}

enum { most_between = 64 }; /* pieces that lie further apart in their order are not joined */

/* Joins the piece with those behind it, as long as there is one that goes on. */
static bool join_behind(struct prover *prover, struct pieces *pieces, size_t first) {
    bool joined = false;
    for (size_t i = first + 1; i < pieces->count && i <= first + most_between; i++) {
        if (!join(prover, &pieces->items[first], &pieces->items[i])) continue;
        piece_normalise(prover, &pieces->items[first]);
        drop_piece(pieces, i);
        joined = true;
        i = first;
    }
    return joined;
}

void pieces_normalise(struct prover *prover, struct pieces *pieces) {
    sort_pieces(prover, pieces);
    for (bool joined = true; joined;) {
        joined = false;
        for (size_t i = 0; i < pieces->count; i++) joined |= join_behind(prover, pieces, i);
    }
}

/* Only brings equal ones together: their order is that of addresses in this run. */
static int compare_terms(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const struct piece *)a)->term, y = (uintptr_t)((const struct piece *)b)->term;
    return x < y ? -1 : x > y;
}

struct pieces pieces_in_one_form(struct prover *prover, const struct pieces *pieces) {
    struct pieces result = {0};
    struct piece *sorted = arena_copy(prover->arena, pieces->items, pieces->count * sizeof *sorted);
    bool any = false;
    if (pieces->count > 1) qsort(sorted, pieces->count, sizeof *sorted, compare_terms);
    for (size_t i = 0, end; i < pieces->count; i = end) {
        for (end = i + 1; end < pieces->count && sorted[end].term == sorted[i].term;) end++;
        bool cut = pieces_cut_again(prover, &sorted[i], end - i, &result);
        for (size_t j = i; !cut && j < end; j++) vector_push(prover->arena, &result, sorted[j]);
        any |= cut;
    }
    if (!any) return *pieces;
    sort_pieces(prover, &result);
    return result;
}
