/* Which buffers a graph has, how large they are, and from which node to which each is needed. */
#include "plan/plan.h"

#include "ir/view.h"

const char *buffer_kind_name(enum buffer_kind kind) {
    static const char *const names[] = {"arena", "input", "result", "operation", "unsized"};
    return names[kind];
}

struct lifetimes {
    struct plan *plan;
    struct memory *memory;
    struct arena *arena;
    struct node **nodes;       /* by order */
    uint32_t *last;            /* by the index of a root */
    bool *escapes;             /* by the index of a root */
    struct map *known_symbols; /* those that inputs or the options give */
    const struct map *values;
};

/* ---- sizes ---- */

static bool is_known(void *user, struct text symbol, int64_t *value) {
    const struct lifetimes *lifetimes = user;
    *value = 1;
    return map_get_text(lifetimes->known_symbols, symbol) != NULL;
}

static symint extent(struct symbols *symbols, const struct layout *layout) {
    symint one = symint_constant(symbols, 1), last = one;
    if (!layout->strides || layout_contiguous(symbols, layout) == answer_yes) return layout_count(symbols, layout);
    for (size_t i = 0; i < layout->rank; i++) {
        if (symint_is(layout->sizes[i], 0)) return symint_constant(symbols, 0);
        last =
            symint_add(symbols, last,
                       symint_multiply(symbols, symint_subtract(symbols, layout->sizes[i], one), layout->strides[i]));
    }
    return last;
}

static symint bytes_of(struct symbols *symbols, symint elements, enum dtype dtype) {
    return symint_multiply(symbols, elements, symint_constant(symbols, (int64_t)dtype_size(dtype)));
}

symint layout_bytes(struct symbols *symbols, const struct layout *layout, enum dtype dtype) {
    return bytes_of(symbols, extent(symbols, layout), dtype);
}

symint size_bind(struct symbols *symbols, symint expression, const struct map *values) {
    int64_t value;
    bool known = values && symint_evaluate(expression, symint_lookup_in_map, (void *)values, &value) && value >= 0;
    return known ? symint_constant(symbols, value) : expression;
}

/* In a functionalised call a clone keeps the storage offset of what it clones, and the memory in front of it. */
static symint skipped(const struct lifetimes *lifetimes, const struct node *root) {
    const struct node *call = root->kind == node_getitem ? value_as_node(&root->arguments[0]) : NULL;
    const struct place *place = memory_place(lifetimes->memory, root);
    bool keeps = call && node_is_functionalized_call(call) && place->exact;
    return keeps ? place->window.offset : symint_constant(lifetimes->plan->graph->context->symbols, 0);
}

/* NULL when no input tells it. Without strides there may be gaps: the new version of an argument that a functionalised call
 * writes lies as the argument did, a window of something wider. */
static symint buffer_bytes(const struct lifetimes *lifetimes, const struct node *root) {
    struct symbols *symbols = lifetimes->plan->graph->context->symbols;
    int64_t value;
    if (!root->type->layout.strides && root->type->layout.rank) return NULL;
    symint elements = symint_add(symbols, skipped(lifetimes, root), extent(symbols, &root->type->layout));
    symint bytes = bytes_of(symbols, elements, root->type->dtype);
    bytes = size_bind(symbols, bytes, lifetimes->values);
    return symint_evaluate(bytes, is_known, (void *)lifetimes, &value) ? bytes : NULL;
}

static bool note_symbol(void *user, struct text symbol, int64_t *value) {
    struct lifetimes *lifetimes = user;
    *value = 1;
    *map_slot_text(lifetimes->known_symbols, symbol) = lifetimes;
    return true;
}

static void know(struct lifetimes *lifetimes, symint expression) {
    int64_t value;
    if (expression) symint_evaluate(expression, note_symbol, lifetimes, &value);
}

/* Symbols that the sizes of the inputs, or integers among them, tell. */
static void find_known_symbols(struct lifetimes *lifetimes) {
    for (const struct node *node = lifetimes->plan->graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        if (node->type->kind == type_integer) know(lifetimes, node->type->integer);
        for (size_t i = 0; node->type->kind == type_tensor && i < node->type->layout.rank; i++)
            know(lifetimes, node->type->layout.sizes[i]);
    }
}

/* ---- what makes memory ---- */

static bool returns_its_arguments(const struct operation *operation) {
    for (size_t i = 0; i < operation->schema.return_count; i++)
        if (operation->schema.returns[i].alias && operation->class != class_view) return true;
    return false;
}

/* Whether the call, which makes a root of the memory model, gives memory that was nobody's before. */
static bool makes_fresh_memory(const struct node *maker) {
    if (maker->kind != node_call || !maker->operation) return false;
    if (node_is_functionalized_call(maker)) return node_called_operation(maker) != NULL;
    return maker->operation->class != class_opaque && maker->operation->class != class_higher &&
           !returns_its_arguments(maker->operation);
}

/* A view of which it cannot be told whether it is one: a reshape of unknown strides. */
static bool may_copy(struct node *node) {
    struct window *windows;
    size_t count;
    bool view = node_has_class(node, class_view);
    if (!view || node->type->kind != type_tensor || node_windows(node, &windows, &count) != REGRAFT_OK) return false;
    return count == 1 && windows[0].kind == window_unknown;
}

static enum buffer_kind kind_of(const struct lifetimes *lifetimes, const struct buffer *buffer) {
    const struct node *root = buffer->root;
    if (root->kind == node_placeholder || root->kind == node_attribute) return buffer_input;
    if (lifetimes->escapes[root->index]) return buffer_result;
    if (!makes_fresh_memory(buffer->maker)) return buffer_operation;
    return buffer->bytes ? buffer_planned : buffer_unsized;
}

static void add_buffer(struct lifetimes *lifetimes, struct node *root, bool may_be_alias) {
    struct node *source = root->kind == node_getitem ? value_as_node(&root->arguments[0]) : NULL;
    struct buffer buffer = {.root = root, .maker = source ? source : root, .may_be_alias = may_be_alias};
    uint32_t last = lifetimes->last[root->index];
    buffer.bytes = buffer_bytes(lifetimes, root);
    buffer.kind = kind_of(lifetimes, &buffer);
    buffer.last = last > buffer.maker->order ? lifetimes->nodes[last] : buffer.maker;
    vector_push(lifetimes->arena, &lifetimes->plan->buffers, buffer);
}

/* ---- how long ---- */

/* What an unknown operation was given lives as long as its result, which may be (part of) it: ir/memory.c counts readers of
 * the one as readers of the other. */
static void extend(struct lifetimes *lifetimes, const struct node *root, const struct node *value) {
    uint32_t last = memory_last_read(lifetimes->memory, value);
    if (last > lifetimes->last[root->index]) lifetimes->last[root->index] = last;
    lifetimes->escapes[root->index] |= memory_escapes(lifetimes->memory, value);
}

/* A list of results that is used as a whole keeps all of its items. */
static const struct node *list_used_whole(const struct node *node) {
    const struct node *call = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : NULL;
    for (const struct value *use = call ? call->users : NULL; use; use = use->use.next)
        if (use->use.user->kind != node_getitem) return call;
    return NULL;
}

static void find_ends(struct lifetimes *lifetimes) {
    struct graph *graph = lifetimes->plan->graph;
    for (struct node *node = graph->first; node; node = node->next) {
        const struct place *place = memory_place(lifetimes->memory, node);
        lifetimes->nodes[node->order] = node;
        if (!place->root) continue;
        extend(lifetimes, place->root, node);
        if (place->root != node) extend(lifetimes, node, node);
        if (list_used_whole(node)) extend(lifetimes, place->root, list_used_whole(node));
    }
}

static void add_buffers(struct lifetimes *lifetimes) {
    for (struct node *node = lifetimes->plan->graph->first; node; node = node->next) {
        if (node->type->kind != type_tensor) continue;
        bool root = memory_place(lifetimes->memory, node)->root == node;
        if (root || may_copy(node)) add_buffer(lifetimes, node, !root);
    }
}

regraft_status plan_create(struct graph *graph, struct plan_options options, struct arena *arena, struct plan *plan) {
    struct lifetimes lifetimes = {.plan = plan, .arena = arena_child(arena), .values = options.symbols};
    *plan = (struct plan){.graph = graph, .alignment = options.alignment ? options.alignment : 64};
    TRY(memory_of(graph, &lifetimes.memory));
    lifetimes.nodes = arena_array(lifetimes.arena, struct node *, graph->node_limit);
    lifetimes.last = arena_array(lifetimes.arena, uint32_t, graph->node_limit);
    lifetimes.escapes = arena_array(lifetimes.arena, bool, graph->node_limit);
    lifetimes.known_symbols = map_create(lifetimes.arena);
    find_known_symbols(&lifetimes);
    find_ends(&lifetimes);
    struct arena *scratch = lifetimes.arena;
    lifetimes.arena = arena;
    add_buffers(&lifetimes);
    plan_layout(plan, arena);
    arena_destroy(scratch);
    return plan_verify(plan);
}
