/* Calls on elements of tensors that are put together from parts: each part is computed by itself. */
#include "proof/contents.h"
#include "proof/elements.h"

/* A reading's parts, by the row-major numbers of the space. False when it cannot be taken apart. */
static bool parts_of(struct prover *prover, const struct reading *reading, const struct window_place *whole,
                     struct pieces *parts) {
    const struct layout *layout = &reading->layout;
    if (reading->term->kind != term_pieces) {
        struct piece piece;
        if (!piece_of_place(prover, whole, reading->term, reading->offset, layout->strides, &piece)) return false;
        vector_push(prover->arena, parts, piece);
        return true;
    }
    symint *sizes = arena_copy(prover->arena, layout->sizes, layout->rank * sizeof *sizes);
    for (size_t i = 0; i < layout->rank; i++)
        if (symint_is(layout->strides[i], 0)) sizes[i] = number(prover, 1);
    struct window_place single = {reading->offset, {layout->rank, sizes, layout->strides}};
    if (!contents_parts(prover, reading->term->contents, &single, whole->layout.strides, parts)) return false;
    for (size_t i = 0; i < parts->count; i++) {
        struct piece *part = &parts->items[i];
        for (size_t d = 0; d < layout->rank; d++) {
            if (!symint_is(layout->strides[d], 0) || symint_is(layout->sizes[d], 1)) continue;
            if (part->rank == piece_most_extents) return false;
            part->extents[part->rank++] =
                (struct extent){layout->sizes[d], whole->layout.strides[d], number(prover, 0)};
        }
        piece_normalise(prover, part);
    }
    return true;
}

/* Cuts the cells so that each lies in one part. */
static bool cut(struct prover *prover, struct pieces *cells, const struct pieces *parts) {
    struct pieces result = {0};
    if (parts->count == 1) return true;
    for (size_t i = 0; i < cells->count; i++)
        for (size_t j = 0; j < parts->count; j++) {
            struct pieces rest = {0};
            if (piece_meet(prover, &cells->items[i], &parts->items[j], &result, &rest) == meeting_unknown) return false;
        }
    *cells = result;
    return true;
}

static const struct piece *part_at(struct prover *prover, const struct pieces *parts, const struct piece *cell,
                                   struct operand *operand) {
    symint *strides = arena_array(prover->arena, symint, piece_most_extents);
    for (size_t i = 0; i < parts->count; i++) {
        const struct piece *part = &parts->items[i];
        if (!piece_relate(prover, part, cell->from, cell->extents, cell->rank, &operand->offset, strides)) continue;
        operand->term = part->term;
        operand->strides = strides;
        return part;
    }
    return NULL;
}

static bool compute_cell(struct prover *prover, const struct element_call *call, struct piece *cell,
                         const struct pieces *parts) {
    struct operand operands[most_operands];
    for (size_t k = 0; k < call->count; k++)
        for (size_t i = 0; i < parts[k].count; i++) piece_refine(prover, cell, &parts[k].items[i]);
    symint *sizes = arena_array(prover->arena, symint, piece_most_extents);
    for (size_t d = 0; d < cell->rank; d++) sizes[d] = cell->extents[d].size;
    for (size_t k = 0; k < call->count; k++)
        if (!part_at(prover, &parts[k], cell, &operands[k])) return false;
    struct space space = {cell->rank, sizes};
    struct operand result = elements_compute(prover, call, &space, operands);
    cell->term = result.term;
    cell->to = result.offset;
    for (size_t d = 0; d < cell->rank; d++) cell->extents[d].to = result.strides[d];
    piece_normalise(prover, cell);
    return true;
}

static symint count_cells(struct prover *prover, const struct pieces *cells) {
    symint count = number(prover, 0);
    for (size_t i = 0; i < cells->count; i++) {
        symint elements = number(prover, 1);
        for (size_t d = 0; d < cells->items[i].rank; d++)
            elements = times(prover, elements, cells->items[i].extents[d].size);
        count = plus(prover, count, elements);
    }
    return count;
}

static const struct reading *by_parts(struct prover *prover, const struct element_call *call, const struct space *space,
                                      const struct reading *const *readings) {
    struct window_place whole = dense_place(prover, space->sizes, space->rank);
    struct pieces parts[most_operands] = {0}, cells = {0};
    struct piece all;
    if (!piece_of_place(prover, &whole, NULL, number(prover, 0), NULL, &all)) return NULL;
    vector_push(prover->arena, &cells, all);
    for (size_t k = 0; k < call->count; k++)
        if (!parts_of(prover, readings[k], &whole, &parts[k]) || !cut(prover, &cells, &parts[k])) return NULL;
    for (size_t i = 0; i < cells.count; i++)
        if (!compute_cell(prover, call, &cells.items[i], parts)) return NULL;
    if (!surely_equal(prover, count_cells(prover, &cells), layout_count(prover->symbols, &whole.layout))) return NULL;
    return reading_of_pieces(prover, call->dtype, &cells, &whole.layout);
}

const struct reading *elements_call(struct prover *prover, const struct element_call *call, const struct space *space,
                                    const struct reading *const *readings) {
    struct operand operands[most_operands];
    bool put_together = false;
    for (size_t k = 0; k < call->count; k++) {
        operands[k] = (struct operand){readings[k]->term, readings[k]->offset, readings[k]->layout.strides};
        put_together |= readings[k]->term->kind == term_pieces;
    }
    const struct reading *result = put_together ? by_parts(prover, call, space, readings) : NULL;
    if (result) return result;
    struct operand computed = elements_compute(prover, call, space, operands);
    struct layout layout = {space->rank, space->sizes, computed.strides};
    return reading_intern(prover, computed.term, computed.offset, &layout);
}
