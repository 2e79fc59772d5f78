#include "plan/planned_run.h"

#include "interp/run.h"

struct slot {
    const struct buffer *buffer;
    struct storage *storage; /* NULL until it is made, or when there is none */
    unsigned char *bytes;    /* in the arena; NULL when it is not planned */
    size_t size;
};

typedef VECTOR(struct slot *) slot_list;

struct planned_run {
    const struct plan *plan;
    enum run_memory memory;
    struct arena *arena;
    struct map *owners; /* storage -> whose it is */
    unsigned char *block;
    size_t size;
    slot_list *made, *last; /* by the order of nodes */
};

static regraft_status wrong(const struct planned_run *planned, const struct slot *slot, const char *what) {
    const struct node *root = slot->buffer->root;
    return fail(&planned->plan->graph->context->diagnostics, REGRAFT_INTERNAL, root->position,
                "the plan is wrong about '%.*s': %s", TEXT_ARGS(root->name), what);
}

static bool evaluate(const struct run *run, symint expression, size_t *value) {
    int64_t number;
    if (!run_evaluate(run, expression, &number) || number < 0) return false;
    *value = (size_t)number;
    return true;
}

static void poison(const struct slot *slot, unsigned char *bytes, size_t size) {
    enum dtype dtype = slot->buffer->root->type->dtype;
    element_poison(dtype, bytes, size / dtype_size(dtype));
}

/* ---- before the first node ---- */

static void own(struct planned_run *planned, struct storage *storage, const void *owner) {
    *map_slot(planned->owners, &storage, sizeof storage) = (void *)owner;
}

static regraft_status make_block(struct planned_run *planned, struct run *run) {
    if (!evaluate(run, planned->plan->peak, &planned->size))
        return fail(run->diagnostics, REGRAFT_UNSUPPORTED, (struct position){0},
                    "the size of the arena depends on sizes that no input gives");
    TRY(run_reserve(run, run->graph->last, dtype_u8, (int64_t)planned->size));
    planned->block = arena_allocate(planned->arena, planned->size ? planned->size : 1);
    element_poison(dtype_f32, planned->block, planned->size / dtype_size(dtype_f32));
    return REGRAFT_OK;
}

static regraft_status find_place(struct planned_run *planned, struct run *run, struct slot *slot) {
    const struct buffer *buffer = slot->buffer;
    size_t offset;
    if (!evaluate(run, buffer->offset, &offset) || !evaluate(run, buffer->room, &slot->size))
        return wrong(planned, slot, "its offset cannot be computed");
    if (offset > planned->size || slot->size > planned->size - offset)
        return wrong(planned, slot, "it lies outside of the arena");
    slot->bytes = planned->block + offset;
    return REGRAFT_OK;
}

static regraft_status start(void *user, struct run *run) {
    struct planned_run *planned = user;
    if (planned->memory == run_in_arena) TRY(make_block(planned, run));
    for (size_t i = 0; i < planned->plan->buffers.count; i++) {
        struct slot *slot = arena_new(planned->arena, struct slot);
        slot->buffer = &planned->plan->buffers.items[i];
        if (slot->buffer->kind == buffer_planned && planned->memory == run_in_arena)
            TRY(find_place(planned, run, slot));
        vector_push(planned->arena, &planned->made[slot->buffer->maker->order], slot);
        vector_push(planned->arena, &planned->last[slot->buffer->last->order], slot);
    }
    for (const struct node *node = run->graph->first; node && node->kind == node_placeholder; node = node->next) {
        const struct argument *input = &run->results[node->index];
        if (input->kind == argument_tensor) own(planned, input->tensor->storage, node);
    }
    return REGRAFT_OK;
}

/* ---- around each node ---- */

/* What the call is about to make was dead until now. That it is written before the arguments are read is the worst case. */
static regraft_status before(void *user, struct run *run, struct node *node) {
    struct planned_run *planned = user;
    const slot_list *made = &planned->made[node->order];
    (void)run;
    for (size_t i = 0; i < made->count; i++)
        if (made->items[i]->bytes) poison(made->items[i], made->items[i]->bytes, made->items[i]->size);
    return REGRAFT_OK;
}

static struct storage *storage_of(const struct run *run, const struct buffer *buffer) {
    const struct argument *result = &run->results[buffer->maker->index];
    if (buffer->maker != buffer->root) {
        int64_t item;
        if (!value_as_integer(&buffer->root->arguments[1], &item) || result->kind != argument_list) return NULL;
        if (item < 0) item += (int64_t)result->list.count;
        if (item < 0 || (size_t)item >= result->list.count) return NULL;
        result = &result->list.items[item];
    }
    return result->kind == argument_tensor ? result->tensor->storage : NULL;
}

static regraft_status take_storage(struct planned_run *planned, struct run *run, struct slot *slot) {
    struct storage *storage = storage_of(run, slot->buffer);
    if (!storage || slot->buffer->kind == buffer_operation) return REGRAFT_OK;
    if (map_get(planned->owners, &storage, sizeof storage))
        return slot->buffer->may_be_alias ? REGRAFT_OK : wrong(planned, slot, "it shares memory with another value");
    own(planned, storage, slot);
    slot->storage = storage;
    if (!slot->bytes) return REGRAFT_OK;
    if (storage->size > slot->size) return wrong(planned, slot, "it needs more room than it has");
    if (storage->size) memcpy(slot->bytes, storage->bytes, storage->size);
    storage->bytes = slot->bytes;
    return REGRAFT_OK;
}

static bool dies(const struct buffer *buffer) {
    return buffer->kind == buffer_planned || buffer->kind == buffer_unsized;
}

static regraft_status after(void *user, struct run *run, struct node *node) {
    struct planned_run *planned = user;
    const slot_list *made = &planned->made[node->order], *last = &planned->last[node->order];
    for (size_t i = 0; i < made->count; i++) TRY(take_storage(planned, run, made->items[i]));
    for (size_t i = 0; i < last->count; i++) {
        const struct slot *slot = last->items[i];
        if (!dies(slot->buffer)) continue;
        if (slot->bytes)
            poison(slot, slot->bytes, slot->size);
        else if (slot->storage)
            poison(slot, slot->storage->bytes, slot->storage->size);
    }
    return REGRAFT_OK;
}

regraft_status planned_run(const struct plan *plan, enum run_memory memory, const struct bindings *bindings,
                           struct arena *arena, struct outcome *outcome) {
    struct planned_run planned = {.plan = plan, .memory = memory, .arena = arena, .owners = map_create(arena)};
    struct run_watch watch = {start, before, after, &planned};
    planned.made = arena_array(arena, slot_list, plan->graph->node_count);
    planned.last = arena_array(arena, slot_list, plan->graph->node_count);
    return interpret_watched(plan->graph, bindings, arena, &watch, outcome);
}
