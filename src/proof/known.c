/* Contents at known addresses, element by element: for places that overlap themselves, or lie across the rows of others, so that
 * boxes do not tell. */
#include "proof/contents.h"

#include <stdlib.h>

enum { most_of_place = 4096, most_of_contents = 4 * most_of_place };

static int compare_addresses(const void *a, const void *b) {
    int64_t x = ((const struct element *)a)->from, y = ((const struct element *)b)->from;
    return x < y ? -1 : x > y;
}

static const struct element *element_at(const struct elements *sorted, int64_t address) {
    struct element sought = {.from = address};
    if (!sorted->count) return NULL;
    return bsearch(&sought, sorted->items, sorted->count, sizeof sought, compare_addresses);
}

/* All that the cells hold, by address. */
static bool contents_elements(struct prover *prover, const struct contents *contents, struct elements *elements) {
    for (size_t i = 0; i < contents->cells.count; i++) {
        const struct piece *piece = cell_piece(prover, &contents->cells.items[i]);
        if (!piece || !piece_elements(prover, piece, most_of_contents, elements)) return false;
        if (elements->count > most_of_contents) return false;
    }
    return elements_sort(elements);
}

/* The elements of a place: their addresses and, from `first` on by `strides` (NULL: row-major), numbers. */
static bool place_elements(struct prover *prover, const struct window_place *place, symint first, const symint *strides,
                           struct elements *elements) {
    struct piece piece;
    return piece_of_place(prover, place, NULL, first, strides, &piece) &&
           piece_elements(prover, &piece, most_of_place, elements);
}

bool known_parts(struct prover *prover, const struct contents *contents, const struct window_place *place,
                 struct pieces *parts) {
    struct elements held = {0}, elements = {0};
    if (!place_elements(prover, place, number(prover, 0), NULL, &elements)) return false;
    if (!contents_elements(prover, contents, &held)) return false;
    for (size_t i = 0; i < elements.count; i++) {
        struct element *element = &elements.items[i];
        const struct element *found = element_at(&held, element->from);
        if (!found && !contents->beyond) return false;
        *element =
            (struct element){element->to, found ? found->to : element->from, found ? found->term : contents->beyond};
    }
    pieces_of_elements(prover, &elements, parts);
    return true;
}

/* What a cell has outside of the place. */
static bool cut_cell(struct prover *prover, struct cell *cell, const struct elements *taken, struct contents *left) {
    const struct piece *piece = cell_piece(prover, cell);
    struct elements elements = {0};
    struct pieces rest = {0};
    size_t kept = 0;
    if (!piece || !piece_elements(prover, piece, most_of_contents, &elements) || !elements_sort(&elements))
        return false;
    for (size_t i = 0; i < elements.count; i++)
        if (!element_at(taken, elements.items[i].from)) elements.items[kept++] = elements.items[i];
    elements.count = kept;
    pieces_of_elements(prover, &elements, &rest);
    for (size_t i = 0; i < rest.count; i++)
        vector_push(prover->arena, &left->cells, (struct cell){.piece = &rest.items[i]});
    return true;
}

bool known_cut(struct prover *prover, struct cell *cell, const struct window_place *place, struct contents *left) {
    struct elements taken = {0};
    symint zero = number(prover, 0), *alike = arena_array(prover->arena, symint, place->layout.rank);
    for (size_t i = 0; i < place->layout.rank; i++) alike[i] = zero; /* numbers do not matter here */
    return place_elements(prover, place, zero, alike, &taken) && elements_sort(&taken) &&
           cut_cell(prover, cell, &taken, left);
}

/* Looks through a term that is made of pieces. */
static bool resolve(struct prover *prover, const struct term *term, struct elements *elements) {
    struct elements held = {0};
    bool made = term->kind == term_pieces;
    if (made && !contents_elements(prover, term->contents, &held)) return false;
    for (size_t i = 0; i < elements->count; i++) {
        struct element *element = &elements->items[i];
        const struct element *found = made ? element_at(&held, element->to) : NULL;
        if (made && !found) return false;
        element->term = made ? found->term : term;
        if (made) element->to = found->to;
    }
    return true;
}

/* The elements that a write of the reading puts into the place, by address; false, too, where one address gets different ones. */
static bool written_elements(struct prover *prover, const struct window_place *place, const struct reading *reading,
                             struct elements *elements) {
    return place_elements(prover, place, reading->offset, reading->layout.strides, elements) &&
           resolve(prover, reading->term, elements) && elements_sort(elements);
}

bool known_once(struct prover *prover, const struct window_place *place, const struct reading *reading) {
    struct elements elements = {0};
    return written_elements(prover, place, reading, &elements);
}

bool known_write(struct prover *prover, struct contents *contents, const struct window_place *place,
                 const struct reading *reading) {
    struct elements elements = {0};
    struct pieces pieces = {0};
    if (!written_elements(prover, place, reading, &elements)) return false;
    pieces_of_elements(prover, &elements, &pieces);
    for (size_t i = 0; i < pieces.count; i++)
        vector_push(prover->arena, &contents->cells, (struct cell){.piece = &pieces.items[i]});
    return true;
}
