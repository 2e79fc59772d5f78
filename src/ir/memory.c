/* Places of all values, sharing of buffers, writes and reads in program order. */
#include "ir/memory.h"

#include "ir/view.h"

typedef VECTOR(uint32_t) order_list;

struct memory {
    struct graph *graph;
    struct arena *arena;
    size_t limit;         /* nodes with an index below have entries */
    struct place *places; /* by node index */
    uint32_t *sharing;    /* union-find over node indices: roots that may share storage */
    bool *shared;         /* by the representative: there are others in its set */
    order_list *writes;   /* by the representative of a sharing set: orders of raw writes */
    uint32_t *last_read;  /* by node index; of the graph as it was */
    bool *escapes;
    struct map *results;   /* (call, item) -> the first getitem node of that item */
    symint *input_offsets; /* by the index of placeholders, as a log tells them; or NULL */
};

/* ---- sharing ---- */

static uint32_t representative(const struct memory *memory, uint32_t index) {
    while (memory->sharing[index] != index) {
        memory->sharing[index] = memory->sharing[memory->sharing[index]];
        index = memory->sharing[index];
    }
    return index;
}

static void share(struct memory *memory, const struct node *a, const struct node *b) {
    uint32_t x = representative(memory, a->index), y = representative(memory, b->index);
    memory->sharing[x < y ? y : x] = x < y ? x : y;
    if (x != y) memory->shared[x < y ? x : y] = true;
}

bool memory_is_shared(struct memory *memory, const struct node *root) {
    return memory->shared[representative(memory, root->index)];
}

bool memory_may_share(struct memory *memory, const struct node *a, const struct node *b) {
    return representative(memory, a->index) == representative(memory, b->index);
}

/* ---- places ---- */

/* Arrays grow when passes insert nodes. */
static void reserve(struct memory *memory, size_t limit) {
    if (limit <= memory->limit) return;
    size_t old = memory->limit, wanted = limit * 2 + 64;
    struct place *places = arena_array(memory->arena, struct place, wanted);
    uint32_t *sharing = arena_array(memory->arena, uint32_t, wanted),
             *last_read = arena_array(memory->arena, uint32_t, wanted);
    order_list *writes = arena_allocate(memory->arena, wanted * sizeof *writes);
    bool *escapes = arena_array(memory->arena, bool, wanted), *shared = arena_array(memory->arena, bool, wanted);
    memset(writes, 0, wanted * sizeof *writes);
    for (size_t i = old; i < wanted; i++) sharing[i] = (uint32_t)i;
    if (old) {
        memcpy(places, memory->places, old * sizeof *places);
        memcpy(sharing, memory->sharing, old * sizeof *sharing);
        memcpy(writes, memory->writes, old * sizeof *writes);
        memcpy(last_read, memory->last_read, old * sizeof *last_read);
        memcpy(escapes, memory->escapes, old * sizeof *escapes);
        memcpy(shared, memory->shared, old * sizeof *shared);
    }
    memory->places = places;
    memory->sharing = sharing;
    memory->writes = writes;
    memory->last_read = last_read;
    memory->escapes = escapes;
    memory->shared = shared;
    memory->limit = wanted;
}

const struct place *memory_place(struct memory *memory, const struct node *node) {
    static const struct place nowhere = {0};
    return node->index < memory->limit ? &memory->places[node->index] : &nowhere;
}

const struct node *memory_root(struct memory *memory, const struct node *node) {
    const struct node *root = memory_place(memory, node)->root;
    return root ? root : node;
}

/* Whether an auto_functionalized_v2 call writes a view of the value that has the absolute offset 0. Functionalization takes
 * such views from their base by view operations, which only narrow, so then the base starts its storage. */
static bool shows_offset_zero(const struct node *user, const struct node *root) {
    static const char suffix[] = "_storage_offset";
    int64_t offset, base;
    if (!node_is(user, operation_higher_order_auto_functionalized_v2)) return false;
    for (size_t i = 1; i < user->argument_count; i++) { /* _x_storage_offset = 0 and _x_base_index = the root's */
        struct text keyword = user->arguments[i].keyword;
        size_t length = keyword.length - (sizeof suffix - 1);
        if (keyword.length < sizeof suffix || !text_is(text_skip(keyword, length), suffix)) continue;
        char name[128];
        if (length + sizeof "_base_index" > sizeof name || !value_as_integer(&user->arguments[i], &offset) ||
            offset != 0)
            continue;
        memcpy(name, keyword.data, length);
        memcpy(name + length, "_base_index", sizeof "_base_index");
        if (!value_as_integer(functionalized_keyword(user, text_of(name)), &base)) continue;
        if (value_as_node(functionalized_item(user, base + (int64_t)functionalized_lead(user))) == root) return true;
    }
    return false;
}

/* The value whose storage offset the root's storage has again: auto_functionalized clones with clone_preserve_strides,
 * which keeps the offset; of an update (slice_scatter, ...) only the offset 0 is certain to stay. */
static struct node *offset_source(const struct node *root) {
    if (root->kind == node_getitem) {
        const struct node *call = value_as_node(&root->arguments[0]);
        bool functionalized = call && node_is_functionalized_call(call);
        return functionalized ? value_as_node(functionalized_item(call, root->arguments[1].integer)) : NULL;
    }
    bool update = node_has_class(root, class_update);
    return update ? value_as_node(node_argument(root, 0)) : NULL;
}

/* Where the storage of a root begins to be used: 0 for what the graph allocates; for an input as a log, or its own views,
 * tell it; else a symbol of its own. */
static symint storage_offset(struct memory *memory, const struct node *root) {
    struct context *context = memory->graph->context;
    symint zero = symint_constant(context->symbols, 0);
    if (root->kind == node_call && root->operation &&
        (root->operation->class == class_compute || root->operation->class == class_allocate))
        return zero;
    if (root->kind == node_placeholder && memory->input_offsets && memory->input_offsets[root->index])
        return memory->input_offsets[root->index];
    for (const struct value *use = root->users; use; use = use->use.next)
        if (shows_offset_zero(use->use.user, root)) return zero;
    const struct node *source = offset_source(root);
    const struct place *place = source ? memory_place(memory, source) : NULL;
    if (place && place->exact && (root->kind == node_getitem || symint_is(place->window.offset, 0)))
        return place->window.offset;
    struct builder name;
    builder_init(&name, context->arena);
    builder_string(&name, "storage_offset_");
    builder_add(&name, root->name);
    return symint_symbol(context->symbols, builder_text(&name));
}

static struct place root_place(struct memory *memory, struct node *node) {
    struct place place = {.root = node};
    if (node->type->kind != type_tensor) return place;
    place.exact = node->type->layout.strides != NULL;
    place.window = (struct window_place){storage_offset(memory, node), node->type->layout};
    return place;
}

static struct place somewhere(const struct place *argument) {
    struct place place = *argument;
    place.exact = false;
    return place;
}

static struct place window_onto(struct memory *memory, struct node *node, const struct place *argument,
                                const struct window *window) {
    struct symbols *symbols = memory->graph->context->symbols;
    if (!argument->root) return root_place(memory, node);
    if (window->kind == window_copy) return root_place(memory, node);
    if (window->kind == window_unknown || !argument->exact) return somewhere(argument);
    struct place place = *argument;
    place.by_numbers = argument->by_numbers || window->absolute || node_is(node, operation_aten_as_strided_default);
    place.window.layout = window->layout;
    place.window.offset =
        window->absolute ? window->offset : symint_add(symbols, argument->window.offset, window->offset);
    return place;
}

/* Of a view call, and of a getitem of one (`item`). */
static regraft_status view_place(struct memory *memory, struct node *node, struct node *call, int64_t item,
                                 struct place *result) {
    struct node *argument = value_as_node(node_argument(call, 0));
    struct window *windows;
    size_t count;
    *result = argument ? somewhere(memory_place(memory, argument)) : root_place(memory, node);
    if (!argument) return REGRAFT_OK;
    TRY(node_windows(call, &windows, &count));
    if (item < 0) item += (int64_t)count;
    if (item < 0 || (size_t)item >= count) return REGRAFT_OK;
    *result = window_onto(memory, node, memory_place(memory, argument), &windows[item]);
    return REGRAFT_OK;
}

/* The same item of the same call is the same tensor, however often it is taken out. */
static struct place item_place(struct memory *memory, struct node *node, struct node *call) {
    int64_t key[2] = {call->index, node->arguments[1].integer};
    void **first = map_slot(memory->results, key, sizeof key);
    if (!*first) *first = node;
    if (*first != node) return *memory_place(memory, *first);
    return root_place(memory, node);
}

struct sharing_state {
    struct memory *memory;
    struct node *node;
};

static void share_with(void *user, struct value *value) {
    struct sharing_state *state = user;
    const struct place *place = memory_place(state->memory, value->use.node);
    if (place->root) share(state->memory, state->node, place->root);
}

/* The argument that an in-place call returns (`Tensor(a!) -> Tensor(a!)`), or NULL. */
static struct node *returned_argument(const struct node *node) {
    const struct schema *schema = &node->operation->schema;
    if (schema->return_count != 1 || !schema->returns[0].alias) return NULL;
    for (size_t i = 0; i < schema->argument_count; i++)
        if (schema->arguments[i].alias == schema->returns[0].alias) return value_as_node(node_argument(node, i));
    return NULL;
}

/* Whether some result of the call is an argument, or a window onto one, in a way that returned_argument does not tell. */
static bool returns_arguments(const struct node *call) {
    const struct operation *operation = call->kind == node_call ? call->operation : NULL;
    if (!operation || operation->class == class_view || node_is_functionalized_call(call)) return false;
    for (size_t i = 0; i < operation->schema.return_count; i++)
        if (operation->schema.returns[i].alias) return true;
    return false;
}

static regraft_status call_place(struct memory *memory, struct node *node, struct place *result) {
    *result = root_place(memory, node);
    if (!node->operation || node->operation->class == class_opaque) {
        struct sharing_state state = {memory, node};
        node_each_use(node, share_with, &state);
    } else if (node->operation->class == class_view) {
        TRY(view_place(memory, node, node, 0, result));
        if (node->operation->schema.returns[0].list) result->exact = false; /* only its items have places */
    } else if (node->operation->class == class_call && returned_argument(node)) {
        *result = *memory_place(memory, returned_argument(node));
    } else if (returns_arguments(node)) {
        struct sharing_state state = {memory, node};
        node_each_use(node, share_with, &state);
    }
    return REGRAFT_OK;
}

static regraft_status getitem_place(struct memory *memory, struct node *node, struct place *result) {
    struct node *source = value_as_node(&node->arguments[0]);
    if (!source) return REGRAFT_OK;
    if (node_has_class(source, class_view)) return view_place(memory, node, source, node->arguments[1].integer, result);
    *result = item_place(memory, node, source);
    bool unknown = source->kind == node_method || returns_arguments(source) ||
                   (source->kind == node_call && node_has_effect(source) && !node_is_functionalized_call(source));
    if (unknown || source->kind == node_placeholder || source->kind == node_getitem) share(memory, node, source);
    return REGRAFT_OK;
}

static regraft_status find_place(struct memory *memory, struct node *node) {
    struct place place = {0};
    reserve(memory, (size_t)node->index + 1);
    switch (node->kind) {
    case node_call:
        TRY(call_place(memory, node, &place));
        break;
    case node_getitem:
        TRY(getitem_place(memory, node, &place));
        break;
    case node_rename:
        if (value_as_node(&node->arguments[0])) place = *memory_place(memory, value_as_node(&node->arguments[0]));
        break;
    case node_method:
    case node_operator: {
        struct sharing_state state = {memory, node};
        node_each_use(node, share_with, &state);
        place = root_place(memory, node);
        break;
    }
    default:
        place = root_place(memory, node);
    }
    memory->places[node->index] = place;
    return REGRAFT_OK;
}

regraft_status memory_update(struct memory *memory, struct node *update, struct update_place *result) {
    struct inference inference = {memory->graph->context, update, update->operation, NULL};
    struct window window;
    *result = (struct update_place){
        value_as_node(node_argument(update, 0)), value_as_node(node_argument(update, 1)), false, {0}};
    const struct type *base = inference_tensor(&inference, 0);
    const struct place *own = memory_place(memory, update);
    if (!base || !own->exact) return REGRAFT_OK;
    /* the window in the update's own value: the base's value may have other strides */
    TRY(update_window(&inference, &update->type->layout, &window));
    if (window.kind != window_view || window.absolute || !window.layout.strides) return REGRAFT_OK;
    symint offset = symint_add(memory->graph->context->symbols, own->window.offset, window.offset);
    result->window = (struct window_place){offset, window.layout};
    result->exact = true;
    return REGRAFT_OK;
}

/* ---- order ---- */

struct write_state {
    struct memory *memory;
    const struct node *writer;
};

static void note_write(void *user, struct node *written) {
    struct write_state *state = user;
    const struct place *place = memory_place(state->memory, written);
    const struct node *root = place->root ? place->root : written;
    vector_push(state->memory->arena, &state->memory->writes[representative(state->memory, root->index)],
                state->writer->order);
}

bool memory_written_between(struct memory *memory, const struct node *root, uint32_t after, uint32_t until) {
    const order_list *writes = &memory->writes[representative(memory, root->index)];
    for (size_t i = 0; i < writes->count; i++)
        if (writes->items[i] > after && writes->items[i] <= until) return true;
    return false;
}

/* Whether the result of `user` may be (part of) the memory of the value that it uses: then its readers read that too. */
static bool passes_memory_on(const struct node *user) {
    if (user->kind == node_getitem || user->kind == node_rename || user->kind == node_method ||
        user->kind == node_operator)
        return true;
    if (user->kind != node_call) return false;
    if (!user->operation || user->operation->class == class_opaque || user->operation->class == class_view) return true;
    return returns_arguments(user);
}

typedef VECTOR(struct node *) node_list;

static void push_views(struct memory *memory, const struct node *node, node_list *list) {
    for (struct value *use = node->users; use; use = use->use.next)
        if (passes_memory_on(use->use.user)) vector_push(memory->arena, list, use->use.user);
}

static bool same_place(const struct place *a, const struct place *b) {
    return a->root == b->root && a->exact == b->exact && a->window.offset == b->window.offset &&
           a->by_numbers == b->by_numbers;
}

static regraft_status refresh_all(struct memory *memory, node_list *list) {
    while (list->count) {
        struct node *node = list->items[--list->count];
        struct place before = *memory_place(memory, node);
        TRY(find_place(memory, node));
        if (!same_place(&before, memory_place(memory, node))) push_views(memory, node, list);
    }
    return REGRAFT_OK;
}

regraft_status memory_refresh(struct memory *memory, struct node *node) {
    node_list list = {0};
    vector_push(memory->arena, &list, node);
    return refresh_all(memory, &list);
}

regraft_status memory_replace(struct memory *memory, struct node *node, struct node *other) {
    node_list list = {0};
    push_views(memory, node, &list);
    graph_replace(node, other);
    return refresh_all(memory, &list);
}

void memory_take_over(struct memory *memory, const struct node *root, const struct node *old) {
    order_list *to = &memory->writes[representative(memory, root->index)];
    const order_list *from = &memory->writes[representative(memory, old->index)];
    for (size_t i = 0; to != from && i < from->count; i++) vector_push(memory->arena, to, from->items[i]);
    memory->escapes[root->index] |= memory->escapes[old->index];
}

void memory_stand_in(struct memory *memory, struct node *inserted, const struct node *node) {
    reserve(memory, (size_t)inserted->index + 1);
    inserted->order = node->order;
    memory->last_read[inserted->index] = memory->last_read[node->index];
    memory->escapes[inserted->index] = memory->escapes[node->index];
}

static void note_reads(struct memory *memory, struct node *node) {
    uint32_t last = node->order;
    bool escapes = false;
    for (struct value *use = node->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        uint32_t read = passes_memory_on(user) ? memory->last_read[user->index] : user->order;
        if (read > last) last = read;
        escapes = escapes || user->kind == node_output || (passes_memory_on(user) && memory->escapes[user->index]);
    }
    memory->last_read[node->index] = last;
    memory->escapes[node->index] = escapes;
}

uint32_t memory_last_read(struct memory *memory, const struct node *node) {
    return node->index < memory->limit ? memory->last_read[node->index] : node->order;
}

bool memory_escapes(struct memory *memory, const struct node *node) {
    return node->index < memory->limit && memory->escapes[node->index];
}

/* What a log tells of the inputs: their offsets, and which of them share storage. */
static void read_input_memory(struct memory *memory) {
    struct graph *graph = memory->graph;
    size_t index = 0;
    if (!graph->input_memory) return;
    struct map *first = map_create(memory->arena);
    memory->input_offsets = arena_array(memory->arena, symint, graph->node_limit);
    for (struct node *node = graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        memory->input_offsets[node->index] = graph->input_memory[index].offset;
        int64_t storage = graph->input_memory[index++].storage;
        void **slot = storage < 0 ? NULL : map_slot(first, &storage, sizeof storage);
        if (slot && *slot)
            share(memory, node, *slot);
        else if (slot)
            *slot = node;
    }
}

regraft_status memory_create(struct graph *graph, struct arena *arena, struct memory **result) {
    struct memory *memory = arena_new(arena, struct memory);
    memory->graph = graph;
    memory->arena = arena;
    memory->results = map_create(arena);
    reserve(memory, graph->node_limit);
    graph_number(graph);
    read_input_memory(memory);
    for (struct node *node = graph->first; node; node = node->next) TRY(find_place(memory, node));
    for (struct node *node = graph->first; node; node = node->next) {
        struct write_state state = {memory, node};
        node_each_write(node, note_write, &state);
    }
    for (struct node *node = graph->last; node; node = node->previous) note_reads(memory, node);
    *result = memory;
    return REGRAFT_OK;
}

regraft_status memory_of(struct graph *graph, struct memory **result) {
    if (!graph->memory || graph->memory_revision != graph->revision) {
        arena_destroy(graph->memory_arena);
        graph->memory = NULL;
        graph->memory_arena = NULL;
        graph->memory_arena = arena_child(graph->arena);
        TRY(memory_create(graph, graph->memory_arena, &graph->memory));
        graph->memory_revision = graph->revision;
    }
    *result = graph->memory;
    return REGRAFT_OK;
}
