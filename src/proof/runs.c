/* One way to cut pieces: the same elements of a term become the same pieces, however they were cut before.
 *
 * Pieces of known sizes are taken apart into runs of neighbouring addresses. Runs that go on into each other are joined;
 * then equal ones at equal distances become one with another extent, as long as there are any. */
#include "proof/piece.h"

#include <stdlib.h>

enum { most_runs = 1024 }; /* pieces with more stay as they were cut */

struct step {
    int64_t size, from, to;
};
struct run {
    int64_t from, to;
    size_t rank;
    struct step steps[piece_most_extents]; /* the innermost first */
};
struct runs {
    struct run *items;
    size_t count, capacity;
};

static bool known_piece(const struct piece *piece, struct run *known) {
    known->rank = piece->rank;
    if (!symint_is_constant(piece->from, &known->from) || !symint_is_constant(piece->to, &known->to)) return false;
    for (size_t i = 0; i < piece->rank; i++) {
        const struct extent *extent = &piece->extents[piece->rank - 1 - i];
        struct step *step = &known->steps[i];
        if (!symint_is_constant(extent->size, &step->size) || !symint_is_constant(extent->from, &step->from) ||
            !symint_is_constant(extent->to, &step->to))
            return false;
    }
    return true;
}

static size_t inner_steps(const struct run *piece) { return piece->rank && piece->steps[0].from == 1 ? 1 : 0; }

/* How many runs the piece has; most_runs + 1 stands for all larger numbers. */
static int64_t count_runs(const struct run *piece) {
    int64_t count = 1;
    for (size_t i = inner_steps(piece); i < piece->rank; i++)
        count = piece->steps[i].size > most_runs / count ? most_runs + 1 : count * piece->steps[i].size;
    return count;
}

/* Adds the runs along the first step, when that goes to the next address, else the single elements. */
static void add_runs(struct prover *prover, const struct run *piece, struct runs *runs) {
    size_t inner = inner_steps(piece), first = runs->count;
    struct run start = {piece->from, piece->to, inner, {piece->steps[0]}};
    vector_push(prover->arena, runs, start);
    for (size_t i = inner; i < piece->rank; i++) {
        struct step step = piece->steps[i];
        size_t count = runs->count - first;
        for (int64_t index = 1; index < step.size; index++)
            for (size_t j = 0; j < count; j++) {
                struct run run = runs->items[first + j];
                run.from += index * step.from;
                run.to += index * step.to;
                vector_push(prover->arena, runs, run);
            }
    }
}

static int compare_runs(const void *a, const void *b) {
    int64_t x = ((const struct run *)a)->from, y = ((const struct run *)b)->from;
    return x < y ? -1 : x > y;
}

/* Gives the run `a` what it can have of `b`, which begins at the address behind it: all, the first element or nothing. False
 * when something is left of `b`. The runs become those that single elements would make. */
static bool goes_on(struct run *a, struct run *b) {
    int64_t size = a->rank ? a->steps[0].size : 1, more = b->rank ? b->steps[0].size : 1, apart = b->to - a->to;
    int64_t to = a->rank ? a->steps[0].to : apart;
    if (a->from + size != b->from || apart != size * to) return false;
    bool all = more == 1 || b->steps[0].to == to;
    a->rank = 1;
    a->steps[0] = (struct step){size + (all ? more : 1), 1, to};
    if (all) return true;
    b->from++;
    b->to += b->steps[0].to;
    b->rank = --b->steps[0].size > 1;
    return false;
}

static void join_neighbours(struct runs *runs) {
    size_t kept = 0;
    for (size_t i = 0; i < runs->count; i++)
        if (!kept || !goes_on(&runs->items[kept - 1], &runs->items[i])) runs->items[kept++] = runs->items[i];
    runs->count = kept;
}

static bool same_shape(const struct run *a, const struct run *b) {
    if (a->rank != b->rank) return false;
    for (size_t i = 0; i < a->rank; i++)
        if (a->steps[i].size != b->steps[i].size || a->steps[i].from != b->steps[i].from ||
            a->steps[i].to != b->steps[i].to)
            return false;
    return true;
}

/* Gives the run at `first` the equal ones behind it at equal distances, beginning with the nearest. */
static bool join_equal(struct runs *runs, size_t first, bool *taken) {
    struct run *items = runs->items, *start = &items[first];
    struct step step = {1, 0, 0};
    if (start->rank == piece_most_extents) return false;
    for (size_t i = first + 1; i < runs->count; i++) {
        struct step next = {0, items[i].from - start->from, items[i].to - start->to};
        if (taken[i] || !same_shape(start, &items[i])) continue;
        if (step.size == 1)
            step = (struct step){1, next.from, next.to};
        else if (next.from != step.size * step.from || next.to != step.size * step.to)
            continue;
        step.size++;
        taken[i] = true;
    }
    if (step.size == 1) return false;
    start->steps[start->rank++] = step;
    return true;
}

static bool join_equal_runs(struct prover *prover, struct runs *runs) {
    bool *taken = arena_array(prover->arena, bool, runs->count), joined = false;
    size_t kept = 0;
    for (size_t i = 0; i < runs->count; i++)
        if (!taken[i]) joined |= join_equal(runs, i, taken);
    for (size_t i = 0; i < runs->count; i++)
        if (!taken[i]) runs->items[kept++] = runs->items[i];
    runs->count = kept;
    return joined;
}

static struct piece piece_of_run(struct prover *prover, const struct run *run, const struct term *term) {
    struct piece piece = {
        .term = term, .from = number(prover, run->from), .to = number(prover, run->to), .rank = run->rank};
    for (size_t i = 0; i < run->rank; i++) {
        const struct step *step = &run->steps[i];
        piece.extents[i] =
            (struct extent){number(prover, step->size), number(prover, step->from), number(prover, step->to)};
    }
    piece_normalise(prover, &piece);
    return piece;
}

static void join_runs(struct prover *prover, struct runs *runs, const struct term *term, struct pieces *result) {
    qsort(runs->items, runs->count, sizeof *runs->items, compare_runs);
    join_neighbours(runs);
    while (join_equal_runs(prover, runs)) continue;
    for (size_t i = 0; i < runs->count; i++) {
        struct piece piece = piece_of_run(prover, &runs->items[i], term);
        vector_push(prover->arena, result, piece);
    }
}

static bool few_runs(const struct piece *pieces, size_t count) {
    int64_t runs = 0;
    for (size_t i = 0; i < count && runs <= most_runs; i++) {
        struct run known = {0};
        if (!known_piece(&pieces[i], &known)) return false;
        runs += count_runs(&known);
    }
    return runs <= most_runs;
}

/* Whether each step is a multiple of the next smaller one: then there is one way to say the piece. */
static bool is_nested(const struct piece *piece) {
    struct run known = {0};
    if (!known_piece(piece, &known)) return true;
    for (size_t i = 1; i < known.rank; i++)
        if (known.steps[i - 1].from <= 0 || known.steps[i].from % known.steps[i - 1].from) return false;
    return true;
}

bool pieces_cut_again(struct prover *prover, const struct piece *pieces, size_t count, struct pieces *result) {
    struct runs runs = {0};
    if ((count == 1 && is_nested(&pieces[0])) || !few_runs(pieces, count)) return false;
    for (size_t i = 0; i < count; i++) {
        struct run known = {0};
        known_piece(&pieces[i], &known);
        add_runs(prover, &known, &runs);
    }
    join_runs(prover, &runs, pieces[0].term, result);
    return true;
}

/* ---- single elements ---- */

bool piece_elements(struct prover *prover, const struct piece *piece, size_t most, struct elements *elements) {
    struct run known = {0};
    size_t first = elements->count;
    if (!known_piece(piece, &known)) return false;
    for (size_t i = 0; i < known.rank; i++)
        if (known.steps[i].size <= 0) return known.steps[i].size == 0;
    vector_push(prover->arena, elements, (struct element){known.from, known.to, piece->term});
    for (size_t i = 0; i < known.rank; i++) {
        const struct step *step = &known.steps[i];
        size_t count = elements->count - first;
        if (step->size > (int64_t)(most / count)) return false;
        for (int64_t index = 1; index < step->size; index++)
            for (size_t j = 0; j < count; j++) {
                struct element element = elements->items[first + j];
                element.from += index * step->from;
                element.to += index * step->to;
                vector_push(prover->arena, elements, element);
            }
    }
    return true;
}

static int compare_elements(const void *a, const void *b) {
    const struct element *x = a, *y = b;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x->to > y->to) - (x->to < y->to);
}

bool elements_sort(struct elements *elements) {
    size_t kept = 0;
    if (!elements->count) return true;
    qsort(elements->items, elements->count, sizeof *elements->items, compare_elements);
    for (size_t i = 1; i < elements->count; i++) {
        const struct element *last = &elements->items[kept], *next = &elements->items[i];
        bool same = last->from == next->from;
        if (same && (last->to != next->to || last->term != next->term)) return false;
        if (!same) elements->items[++kept] = *next;
    }
    elements->count = kept + 1;
    return true;
}

static int compare_origins(const void *a, const void *b) {
    const struct element *x = a, *y = b;
    if (x->term != y->term) return x->term->serial < y->term->serial ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

void pieces_of_elements(struct prover *prover, struct elements *elements, struct pieces *result) {
    if (elements->count) qsort(elements->items, elements->count, sizeof *elements->items, compare_origins);
    for (size_t i = 0, end; i < elements->count; i = end) {
        struct runs runs = {0};
        for (end = i; end < elements->count && elements->items[end].term == elements->items[i].term; end++)
            vector_push(prover->arena, &runs,
                        (struct run){.from = elements->items[end].from, .to = elements->items[end].to});
        join_runs(prover, &runs, elements->items[i].term, result);
    }
}
