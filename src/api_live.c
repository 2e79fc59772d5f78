/* The public interface to graphs that go in and out node by node. */
#include "live/live.h"
#include "pass/prove.h"

static struct live *internal(regraft_live *live) { return (struct live *)live; }
static const struct live *const_live(const regraft_live *live) { return (const struct live *)live; }

static regraft_status out_of_memory(struct context *context) {
    context->diagnostics.message = "regraft: error: out of memory\n";
    return REGRAFT_NO_MEMORY;
}

/* Every entry point that can allocate returns REGRAFT_NO_MEMORY from here when that fails. */
#define ENTER(context_)                                                                                                \
    struct context *context = (context_);                                                                              \
    struct arena_guard guard;                                                                                          \
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);                                          \
    diagnostics_clear(&context->diagnostics)
#define LEAVE(status_)                                                                                                 \
    regraft_status status = (status_);                                                                                 \
    arena_unguard(context->arena, &guard);                                                                             \
    return status

int regraft_live_interface(void) { return REGRAFT_LIVE_INTERFACE; }

regraft_status regraft_live_create(regraft_context *public, regraft_live **live) {
    *live = NULL;
    ENTER((struct context *)public);
    *live = (regraft_live *)live_create(context);
    LEAVE(REGRAFT_OK);
}

/* ---- texts, expressions, types ---- */

regraft_status regraft_live_strings(regraft_live *live, const char *bytes, size_t length, int64_t *first) {
    ENTER(internal(live)->context);
    LEAVE(live_add_strings(internal(live), (struct text){bytes, length}, first));
}

size_t regraft_live_string_count(const regraft_live *live) { return const_live(live)->strings.count; }

const char *regraft_live_string_text(const regraft_live *live, int64_t number) {
    bool there = number >= 0 && (uint64_t)number < const_live(live)->strings.count;
    return there ? const_live(live)->strings.items[number].data : NULL;
}

static regraft_status add_expression(struct live *live, struct text text, int64_t *number) {
    symint expression;
    TRY(live_expression(live, text, &expression));
    *number = live_expression_number(live, expression);
    return REGRAFT_OK;
}

regraft_status regraft_live_expression(regraft_live *live, const char *bytes, size_t length, int64_t *number) {
    ENTER(internal(live)->context);
    LEAVE(add_expression(internal(live), (struct text){bytes, length}, number));
}

const char *regraft_live_expression_text(regraft_live *live, int64_t number) {
    struct context *context = internal(live)->context;
    struct arena_guard guard;
    if (number < 0 || (uint64_t)number >= internal(live)->expressions.count) return NULL;
    if (arena_guarded(context->arena, &guard)) {
        out_of_memory(context);
        return NULL;
    }
    const char *text = symint_string(context->arena, internal(live)->expressions.items[number]);
    arena_unguard(context->arena, &guard);
    return text;
}

regraft_status regraft_live_range(regraft_live *live, const char *name, int64_t least, int64_t most) {
    ENTER(internal(live)->context);
    struct text copied = text_copy(context->arena, text_of(name));
    symbols_narrow(context->symbols, symint_symbol(context->symbols, copied), least, most);
    LEAVE(REGRAFT_OK);
}

static regraft_status dimensions(struct live *live, size_t rank, const regraft_dimension *from, const symint **to) {
    symint *items = arena_array(live->context->arena, symint, rank);
    for (size_t i = 0; i < rank; i++) TRY(live_dimension(live, from[i], &items[i]));
    *to = items;
    return REGRAFT_OK;
}

static regraft_status add_tensor(struct live *live, const char *dtype, const char *device, size_t rank,
                                 const regraft_dimension *sizes, const regraft_dimension *strides, int64_t *type) {
    struct layout layout = {.rank = rank};
    TRY(dimensions(live, rank, sizes, &layout.sizes));
    if (strides) TRY(dimensions(live, rank, strides, &layout.strides));
    return live_tensor(live, text_of(dtype), text_of(device), layout, type);
}

regraft_status regraft_live_tensor(regraft_live *live, const char *dtype, const char *device, size_t rank,
                                   const regraft_dimension *sizes, const regraft_dimension *strides, int64_t *type) {
    ENTER(internal(live)->context);
    LEAVE(add_tensor(internal(live), dtype, device, rank, sizes, strides, type));
}

static regraft_status add_integer(struct live *live, regraft_dimension value, int64_t *type) {
    symint integer;
    TRY(live_dimension(live, value, &integer));
    *type = live_add_type(live, type_make_integer(live->context->arena, integer));
    return REGRAFT_OK;
}

regraft_status regraft_live_integer(regraft_live *live, regraft_dimension value, int64_t *type) {
    ENTER(internal(live)->context);
    LEAVE(add_integer(internal(live), value, type));
}

static regraft_status add_tuple(struct live *live, size_t count, const int64_t *items, int64_t *type) {
    struct arena *arena = live->context->arena;
    const struct type **types = arena_array(arena, const struct type *, count);
    for (size_t i = 0; i < count; i++) TRY(live_type(live, items[i], &types[i]));
    *type = live_add_type(live, type_make_tuple(arena, types, count));
    return REGRAFT_OK;
}

regraft_status regraft_live_tuple(regraft_live *live, size_t count, const int64_t *items, int64_t *type) {
    ENTER(internal(live)->context);
    LEAVE(add_tuple(internal(live), count, items, type));
}

static bool same_type(struct symbols *symbols, const struct type *a, const struct type *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == type_integer) return symint_equal(symbols, a->integer, b->integer) == answer_yes;
    if (a->kind == type_tuple) {
        bool same = a->item_count == b->item_count;
        for (size_t i = 0; same && i < a->item_count; i++) same = same_type(symbols, a->items[i], b->items[i]);
        return same;
    }
    if (a->kind != type_tensor) return true;
    return a->dtype == b->dtype && device_equal(a->device, b->device) &&
           layout_same(symbols, &a->layout, &b->layout) == answer_yes;
}

int regraft_live_same_type(regraft_live *live, int64_t a, int64_t b) {
    struct context *context = internal(live)->context;
    const struct type *x, *y;
    struct arena_guard guard;
    if (arena_guarded(context->arena, &guard)) return 0;
    bool there = live_type(internal(live), a, &x) == REGRAFT_OK && live_type(internal(live), b, &y) == REGRAFT_OK;
    bool same = there && same_type(context->symbols, x, y);
    arena_unguard(context->arena, &guard);
    return same;
}

/* ---- operations ---- */

regraft_status regraft_live_operation(regraft_live *live, const char *schema, size_t length, int stateless) {
    ENTER(internal(live)->context);
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"<torch.ops>", text_copy(context->arena, (struct text){schema, length})};
    LEAVE(operations_declare(context->operations, &context->diagnostics, source, stateless != 0));
}

/* Notes why something holds of an operation; `set` is false when there is none of that name. */
static regraft_status note_why(struct live *live, bool (*set)(struct operations *, struct text, const char *),
                               const char *operation, const char *why) {
    struct context *context = live->context;
    const char *reason = text_string(context->arena, text_of(why));
    return set(context->operations, text_of(operation), reason)
               ? REGRAFT_OK
               : live_fail(live, "there is no operation '%s'", operation);
}

regraft_status regraft_live_keep_copies(regraft_live *live, const char *operation, const char *why) {
    ENTER(internal(live)->context);
    LEAVE(note_why(internal(live), operations_keep_copies, operation, why));
}

regraft_status regraft_live_unavailable(regraft_live *live, const char *operation, const char *why) {
    ENTER(internal(live)->context);
    LEAVE(note_why(internal(live), operations_set_unavailable, operation, why));
}

/* ---- graphs ---- */

regraft_status regraft_live_graph(regraft_live *live, const regraft_live_node *nodes, size_t node_count,
                                  const regraft_value *values, size_t value_count, regraft_graph **graph) {
    *graph = NULL;
    ENTER(internal(live)->context);
    LEAVE(live_build(internal(live), nodes, node_count, values, value_count, (struct graph **)graph));
}

regraft_status regraft_live_edits(regraft_live *live, regraft_graph *graph, regraft_edits *edits) {
    *edits = (regraft_edits){0};
    ENTER(internal(live)->context);
    LEAVE(live_edits(internal(live), (struct graph *)graph, edits));
}

/* ---- proof ---- */

static const char *name_of(struct arena *arena, const struct node *node) {
    return node ? text_string(arena, node->name) : "";
}

static regraft_status prove(struct graph *before, struct graph *after, regraft_proof *result) {
    struct arena *arena = before->arena;
    struct proof proof = {.proved = graphs_identical(before, after), .result = "", .reason = ""};
    if (!proof.proved) TRY(prove_with_definitions(before, after, arena, &proof));
    *result = (regraft_proof){proof.proved, proof.result, proof.reason, name_of(arena, proof.first),
                              name_of(arena, proof.second)};
    return REGRAFT_OK;
}

regraft_status regraft_live_prove(regraft_graph *before, regraft_graph *after, regraft_proof *proof) {
    *proof = (regraft_proof){0, "", "", "", ""};
    ENTER(((struct graph *)before)->context);
    LEAVE(prove((struct graph *)before, (struct graph *)after, proof));
}
