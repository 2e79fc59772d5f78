/* Offsets in one arena: greedy by size, each buffer at the lowest offset that is free as long as it lives.
 *
 * The algorithm is "Greedy by Size for Offset Calculation" of Y. Pisarchyk and J. Lee, Efficient Memory Management for
 * Deep Neural Net Inference (arXiv:2001.03288, section 5), with the lowest gap instead of the tightest one, as the
 * planner of TensorFlow Lite Micro takes it.
 *
 * Sizes may be symbolic. What is free is proved, for all values of the symbols: an offset counts only if the buffer
 * provably ends before each buffer that lives with it, or begins behind it. Which buffer goes first, and which of the
 * free offsets is the lowest, is only a matter of taste, and decided with every symbol set to `hint`. */
#include <stdlib.h>

#include "plan/plan.h"

static const int64_t hint = 64;

struct item {
    struct buffer *buffer;
    size_t index;
    int64_t size, offset; /* with every symbol set to the hint */
};

struct layout_work {
    struct plan *plan;
    struct symbols *symbols;
    struct arena *arena;
    struct item *items; /* those before `count` have their offsets */
    size_t count;
    VECTOR(struct item *) together; /* placed ones that live together with the next one */
};

static bool set_to_hint(void *user, struct text symbol, int64_t *value) {
    (void)user;
    (void)symbol;
    *value = hint;
    return true;
}

static int64_t guess(symint expression) {
    int64_t value;
    return symint_evaluate(expression, set_to_hint, NULL, &value) ? value : INT64_MAX;
}

bool buffers_live_together(const struct buffer *a, const struct buffer *b) {
    return a->maker->order <= b->last->order && b->maker->order <= a->last->order;
}

static symint end_of(struct symbols *symbols, const struct buffer *buffer) {
    return symint_add(symbols, buffer->offset, buffer->room);
}

/* Whether room for `buffer` at `offset` provably has nothing in common with the room of a placed one. */
static bool is_apart(struct symbols *symbols, symint offset, symint room, const struct buffer *placed) {
    return symint_less_equal(symbols, end_of(symbols, placed), offset) == answer_yes ||
           symint_less_equal(symbols, symint_add(symbols, offset, room), placed->offset) == answer_yes;
}

/* ---- one buffer ---- */

static symint larger(struct symbols *symbols, symint a, symint b) {
    if (symint_less_equal(symbols, a, b) == answer_yes) return b;
    return symint_less_equal(symbols, b, a) == answer_yes ? a : symint_max(symbols, a, b);
}

static bool guess_is_free(const struct layout_work *work, const struct item *item, int64_t offset) {
    for (size_t i = 0; i < work->together.count; i++) {
        const struct item *other = work->together.items[i];
        if (offset < other->offset + other->size && other->offset < offset + item->size) return false;
    }
    return true;
}

static bool is_free(const struct layout_work *work, const struct item *item, symint offset) {
    for (size_t i = 0; i < work->together.count; i++)
        if (!is_apart(work->symbols, offset, item->buffer->room, work->together.items[i]->buffer)) return false;
    return true;
}

static void try_offset(const struct layout_work *work, struct item *item, symint offset, int64_t guessed) {
    bool better = !item->buffer->offset || guessed < item->offset;
    if (!better || !guess_is_free(work, item, guessed) || !is_free(work, item, offset)) return;
    item->buffer->offset = offset;
    item->offset = guessed;
}

/* The start of the arena, and the end of each buffer that lives at the same time: one of these is the lowest. Where sizes
 * cannot be compared, behind the larger of all these is free; behind all that was placed is so always. */
static void place_item(struct layout_work *work, struct item *item, symint behind_all) {
    work->together.count = 0;
    for (size_t i = 0; i < work->count; i++)
        if (buffers_live_together(work->items[i].buffer, item->buffer))
            vector_push(work->arena, &work->together, &work->items[i]);
    try_offset(work, item, symint_constant(work->symbols, 0), 0);
    for (size_t i = 0; i < work->together.count; i++) {
        const struct item *other = work->together.items[i];
        try_offset(work, item, end_of(work->symbols, other->buffer), other->offset + other->size);
    }
    symint top = symint_constant(work->symbols, 0);
    for (size_t i = 0; i < work->together.count && !item->buffer->offset; i++)
        top = larger(work->symbols, top, end_of(work->symbols, work->together.items[i]->buffer));
    if (!item->buffer->offset) try_offset(work, item, top, guess(top));
    if (!item->buffer->offset) try_offset(work, item, behind_all, guess(behind_all));
}

/* ---- all of them ---- */

/* The larger first; of equal ones the earlier. */
static int compare_items(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Rounded up. Where strides leave gaps, the last row may end early: for no rows at all that would be less than nothing. */
static symint room_of(struct symbols *symbols, const struct buffer *buffer, int64_t alignment) {
    symint unit = symint_constant(symbols, alignment), bytes = buffer->bytes;
    const struct type *type = buffer->root->type;
    bool open = symint_less_equal(symbols, symint_constant(symbols, 0), bytes) != answer_yes;
    for (size_t i = 0; open && type->layout.strides && i < type->layout.rank; i++)
        bytes = symint_add(symbols, bytes,
                           symint_multiply(symbols, type->layout.strides[i],
                                           symint_constant(symbols, (int64_t)dtype_size(type->dtype))));
    if (symint_is(bytes, 0) || symint_divide_exact(symbols, bytes, unit)) return bytes;
    symint more = symint_add(symbols, bytes, symint_constant(symbols, alignment - 1));
    return symint_multiply(symbols, unit, symint_floor_divide(symbols, more, unit));
}

static symint living_at(const struct plan *plan, struct symbols *symbols, const struct node *node) {
    symint sum = symint_constant(symbols, 0);
    for (size_t i = 0; i < plan->buffers.count; i++) {
        const struct buffer *buffer = &plan->buffers.items[i];
        if (buffer->kind == buffer_planned && buffer->maker->order <= node->order && node->order <= buffer->last->order)
            sum = symint_add(symbols, sum, buffer->room);
    }
    return sum;
}

static void add_up(struct plan *plan, struct symbols *symbols) {
    const struct node *counted = NULL;
    plan->sum = plan->live = plan->peak = symint_constant(symbols, 0);
    for (size_t i = 0; i < plan->buffers.count; i++) {
        const struct buffer *buffer = &plan->buffers.items[i];
        if (buffer->kind != buffer_planned) continue;
        plan->sum = symint_add(symbols, plan->sum, buffer->room);
        plan->peak = larger(symbols, plan->peak, end_of(symbols, buffer));
        /* the most is alive where one is made */
        if (buffer->maker != counted) plan->live = larger(symbols, plan->live, living_at(plan, symbols, buffer->maker));
        counted = buffer->maker;
    }
}

static void place_all(struct layout_work *work, size_t count) {
    symint behind_all = symint_constant(work->symbols, 0);
    qsort(work->items, count, sizeof *work->items, compare_items);
    for (size_t i = 0; i < count; i++) {
        struct item *item = &work->items[work->count];
        *item = work->items[i];
        place_item(work, item, behind_all);
        if (!item->buffer->offset) item->buffer->kind = buffer_unsized; /* sizes that nothing can be proved of */
        if (!item->buffer->offset) continue;
        behind_all = symint_add(work->symbols, behind_all, item->buffer->room);
        work->count++;
    }
}

void plan_layout(struct plan *plan, struct arena *arena) {
    struct layout_work work = {.plan = plan, .symbols = plan->graph->context->symbols, .arena = arena_child(arena)};
    size_t count = 0;
    work.items = arena_array(work.arena, struct item, plan->buffers.count);
    for (size_t i = 0; i < plan->buffers.count; i++) {
        struct buffer *buffer = &plan->buffers.items[i];
        buffer->offset = NULL;
        if (buffer->kind != buffer_planned) continue;
        buffer->room = room_of(work.symbols, buffer, plan->alignment);
        work.items[count++] = (struct item){.buffer = buffer, .index = i, .size = guess(buffer->room)};
    }
    if (count) place_all(&work, count);
    arena_destroy(work.arena);
    add_up(plan, work.symbols);
}

/* ---- proof ---- */

regraft_status plan_verify(const struct plan *plan) {
    struct symbols *symbols = plan->graph->context->symbols;
    for (size_t i = 0; i < plan->buffers.count; i++) {
        const struct buffer *a = &plan->buffers.items[i];
        for (size_t j = a->kind == buffer_planned ? 0 : i; j < i; j++) {
            const struct buffer *b = &plan->buffers.items[j];
            if (b->kind != buffer_planned || !buffers_live_together(a, b) || is_apart(symbols, a->offset, a->room, b))
                continue;
            return fail(&plan->graph->context->diagnostics, REGRAFT_INTERNAL, a->root->position,
                        "the plan puts %.*s and %.*s in the same memory, and both are needed at %.*s",
                        TEXT_ARGS(a->root->name), TEXT_ARGS(b->root->name), TEXT_ARGS(a->maker->name));
        }
    }
    return REGRAFT_OK;
}
