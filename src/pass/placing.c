/* Readers of old contents, and copies with their reasons. */
#include "pass/placing.h"

/* ---- who reads a buffer ---- */

/* Views are no readers: their own readers are. Neither are questions about sizes, nor a write-back into its input. */
static bool reads_memory(const struct placing *placing, const struct node *user, const struct value *use) {
    if (user->kind == node_getitem || user->kind == node_rename) return false;
    if (user->kind != node_call) return true;
    if (node_is(user, operation_aten_sym_size_int) || node_is(user, operation_aten_sym_stride_int) ||
        node_is(user, operation_aten_sym_numel_default))
        return false;
    if (node_is(user, operation_aten_copy__default) && use == &user->arguments[0]) {
        const struct node *input = use->use.node;
        return !(input->kind == node_placeholder && placing->write_back[input->index] == user);
    }
    return !(user->operation && user->operation->class == class_view &&
             memory_place(placing->memory, user)->root != user);
}

static void reserve(struct placing *placing, size_t limit) {
    if (limit <= placing->limit) return;
    size_t wanted = limit * 2 + 64;
    uint32_t *last_reader = arena_array(placing->scratch, uint32_t, wanted);
    bool *written = arena_array(placing->scratch, bool, wanted);
    struct node **write_back = arena_array(placing->scratch, struct node *, wanted);
    if (placing->limit) {
        memcpy(last_reader, placing->last_reader, placing->limit * sizeof *last_reader);
        memcpy(written, placing->written, placing->limit * sizeof *written);
        memcpy(write_back, placing->write_back, placing->limit * sizeof *write_back);
    }
    placing->last_reader = last_reader;
    placing->written = written;
    placing->write_back = write_back;
    placing->limit = wanted;
}

struct reading {
    struct placing *placing;
    struct node *reader;
};

static void note_reader(void *user, struct value *value) {
    struct reading *reading = user;
    if (!reads_memory(reading->placing, reading->reader, value)) return;
    uint32_t *last = &reading->placing->last_reader[memory_root(reading->placing->memory, value->use.node)->index];
    if (*last < reading->reader->order) *last = reading->reader->order;
}

/* The last copy_ into an input, when nothing reads the input behind it. */
static void find_write_backs(struct placing *placing) {
    for (struct node *node = placing->graph->last; node; node = node->previous) {
        if (!node_is(node, operation_aten_copy__default) || node->users) continue;
        struct node *input = value_as_node(&node->arguments[0]);
        if (!input || input->kind != node_placeholder || placing->write_back[input->index] ||
            memory_is_shared(placing->memory, input))
            continue;
        placing->write_back[input->index] = node;
    }
}

regraft_status placing_start(struct placing *placing, struct graph *graph, struct arena *scratch) {
    *placing = (struct placing){
        .graph = graph, .scratch = scratch, .destinations = map_create(scratch), .kept_behind = map_create(scratch)};
    TRY(memory_of(graph, &placing->memory));
    reserve(placing, graph->node_limit);
    find_write_backs(placing);
    for (struct node *node = graph->first; node; node = node->next) {
        struct reading reading = {placing, node};
        node_each_use(node, note_reader, &reading);
    }
    return REGRAFT_OK;
}

/* ---- may a place be written? ---- */

bool placing_overlap(struct placing *placing, const struct node *a, const struct node *b) {
    const struct place *x = memory_place(placing->memory, a), *y = memory_place(placing->memory, b);
    if (!x->root || !y->root || !memory_may_share(placing->memory, x->root, y->root)) return false;
    if (x->root != y->root || !x->exact || !y->exact) return true;
    return places_disjoint(placing->graph->context, &x->window, &y->window) != answer_yes;
}

static struct node *find_reader(struct placing *placing, struct node *value, const struct place *place,
                                const struct node *writer);

/* An update reads its base except where it writes; and the rest only for those who read that of its own value. */
static struct node *find_reader_of_update(struct placing *placing, struct node *update, const struct place *place,
                                          const struct node *writer) {
    struct update_place written;
    struct context *context = placing->graph->context;
    if (memory_update(placing->memory, update, &written) != REGRAFT_OK || !written.exact) return update;
    const struct place *base = memory_place(placing->memory, written.base),
                       *own = memory_place(placing->memory, update);
    if (!base->exact || base->root != place->root ||
        layout_same(context->symbols, &update->type->layout, &written.base->type->layout) != answer_yes)
        return update;
    /* the place in the update's own value, which lies as the base does */
    symint shift = symint_subtract(context->symbols, own->window.offset, base->window.offset);
    struct place moved = {.root = update,
                          .exact = true,
                          .window = {symint_add(context->symbols, place->window.offset, shift), place->window.layout}};
    if (place_contains(context, &written.window, &moved.window) == answer_yes) return NULL;
    return find_reader(placing, update, &moved, writer);
}

/* A node behind `writer` that reads part of `place` of the root through the value or a view of it; NULL: none. */
static struct node *find_reader(struct placing *placing, struct node *value, const struct place *place,
                                const struct node *writer) {
    const struct place *own = memory_place(placing->memory, value);
    bool apart = own->exact && place->exact && own->root == place->root &&
                 places_disjoint(placing->graph->context, &own->window, &place->window) == answer_yes;
    for (struct value *use = apart ? NULL : value->users; use; use = use->use.next) {
        struct node *user = use->use.user, *found = NULL;
        bool call = user->kind == node_call && user->operation;
        if (reads_memory(placing, user, use)) {
            bool base = call && user->operation->class == class_update && use == node_argument(user, 0);
            if (user->order > writer->order) found = base ? find_reader_of_update(placing, user, place, writer) : user;
        }
        /* a view, or a call that returns what it writes */
        bool views = user->kind != node_call || (call && user->operation->class == class_view);
        if (!found && (views || memory_place(placing->memory, user)->root == place->root))
            found = find_reader(placing, user, place, writer);
        if (found) return found;
    }
    return NULL;
}

static const char *reader_reason(struct placing *placing, const struct node *reader) {
    struct arena *arena = placing->graph->arena;
    if (reader->kind == node_output) return "the old contents are returned";
    const char *what = reader->operation ? reader->operation->target.data : "an operation";
    const char *why = map_get(placing->kept_behind, &reader->index, sizeof reader->index);
    if (!why && placing->graph->order_stays) why = "readers keep their order in a live graph";
    return text_format(arena, "%.*s (%s) reads the old contents later%s%s", TEXT_ARGS(reader->name), what,
                       why ? ", and cannot before: " : "", why ? why : "");
}

const char *placing_raw_write(struct placing *placing, const struct node *value, const struct node *writer) {
    const struct node *root = memory_root(placing->memory, value);
    const struct node *write_back = root->kind == node_placeholder ? placing->write_back[root->index] : NULL;
    uint32_t end = placing->graph->last->order, before = write_back ? write_back->order - 1 : end;
    bool written = memory_written_between(placing->memory, root, writer->order, before) ||
                   (write_back && memory_written_between(placing->memory, root, write_back->order, end));
    return written ? text_format(placing->graph->arena, "%.*s is also written in place by the graph itself",
                                 TEXT_ARGS(root->name))
                   : NULL;
}

const char *placing_memory_obstacle(struct placing *placing, const struct place *place, const struct node *writer) {
    struct arena *arena = placing->graph->arena;
    struct node *root = place->root;
    if (!root || !place->exact) return "its place in memory is not known";
    if (place_overlaps_itself(placing->graph->context, &place->window) != answer_no)
        return "its place may overlap itself, as expanded tensors do";
    if (memory_is_shared(placing->memory, root))
        return text_format(arena, "%.*s may share memory with other values", TEXT_ARGS(root->name));
    bool caller = root->kind == node_placeholder &&
                  (!placing->write_back[root->index] || placing->write_back[root->index]->order < writer->order);
    if (caller) return text_format(arena, "%.*s is the caller's tensor and must not change", TEXT_ARGS(root->name));
    if (root->kind != node_placeholder && root->kind != node_call && root->kind != node_getitem)
        return "its memory is not the graph's own";
    return placing_raw_write(placing, root, writer);
}

struct node *placing_reader(struct placing *placing, const struct place *place, const struct node *writer) {
    if (placing->last_reader[place->root->index] <= writer->order) return NULL;
    return find_reader(placing, place->root, place, writer);
}

const char *placing_obstacle(struct placing *placing, const struct node *value, const struct node *writer) {
    const struct place *place = memory_place(placing->memory, value);
    const char *reason = placing_memory_obstacle(placing, place, writer);
    if (reason) return reason;
    struct node *reader = placing_reader(placing, place, writer);
    return reader ? reader_reason(placing, reader) : NULL;
}

const char *placing_new_alias(struct placing *placing, const struct node *result, const struct node *value) {
    const struct node *root = memory_root(placing->memory, value);
    const char *raw = placing_raw_write(placing, result, result);
    if (raw) return raw;
    const struct node *write_back = root->kind == node_placeholder ? placing->write_back[root->index] : NULL;
    if (write_back && placing->last_reader[memory_root(placing->memory, result)->index] > write_back->order)
        return text_format(placing->graph->arena, "%.*s overwrites %.*s before the result is read last",
                           TEXT_ARGS(write_back->name), TEXT_ARGS(root->name));
    if (!memory_escapes(placing->memory, result)) return NULL;
    if (root->kind == node_placeholder)
        return text_format(placing->graph->arena, "the result is returned and must not share memory with %.*s",
                           TEXT_ARGS(root->name));
    return memory_escapes(placing->memory, root)
               ? "the result is returned beside another that it must not share memory with"
               : NULL;
}

/* ---- copies ---- */

bool placing_is_unwritten(struct placing *placing, const struct node *value) {
    bool allocation = node_has_class(value, class_allocate);
    return allocation && value->index < placing->limit && !placing->written[value->index];
}

void placing_note_write(struct placing *placing, struct node *value) {
    const struct node *root = memory_root(placing->memory, value);
    reserve(placing, (size_t)root->index + 1);
    placing->written[root->index] = true;
}

regraft_status placing_settle(struct placing *placing, struct node *node, const struct node *before) {
    node->location = before->location;
    memory_stand_in(placing->memory, node, before);
    reserve(placing, placing->graph->node_limit);
    TRY(infer_node(node));
    return memory_refresh(placing->memory, node);
}

regraft_status placing_allocate_again(struct placing *placing, struct node *before, struct node *value,
                                      struct node **result) {
    *result = graph_duplicate(placing->graph, before, value);
    return placing_settle(placing, *result, before);
}

static struct text describe_place(struct placing *placing, const struct node *value) {
    const struct place *place = memory_place(placing->memory, value);
    struct builder out;
    builder_init(&out, placing->graph->arena);
    builder_add(&out, value->name);
    builder_string(&out, ": ");
    type_print(&out, value->type);
    if (place->root && place->root != value) builder_format(&out, " of %.*s", TEXT_ARGS(place->root->name));
    return builder_text(&out);
}

void placing_record(struct placing *placing, struct node *node, const struct node *value, const char *why,
                    const char *remedy, bool own) {
    struct symbols *symbols = placing->graph->context->symbols;
    symint bytes = NULL;
    if (value->type->kind == type_tensor)
        bytes = symint_multiply(symbols, layout_count(symbols, &value->type->layout),
                                symint_constant(symbols, (int64_t)dtype_size(value->type->dtype)));
    struct text source = node->location ? node->location->file : TEXT("");
    struct copy copy = {node, bytes, describe_place(placing, value), source, why, remedy, own};
    vector_push(placing->graph->arena, &placing->graph->copies, copy);
    graph_remark(placing->graph, node, false, "%s: %s", own ? "copies, as the model asks" : "copies", why);
}

/* Whether aten.clone gives the strides of the value again: not when it is a window with gaps. */
static bool clone_keeps_strides(struct placing *placing, const struct node *value) {
    const struct layout *layout = &value->type->layout;
    const symint *strides = dense_strides(placing->graph->context, layout->sizes, layout->rank, &layout, 1);
    struct layout dense = {layout->rank, layout->sizes, strides};
    return strides && layout_same(placing->graph->context->symbols, &dense, layout) == answer_yes;
}

bool placing_can_copy(struct placing *placing, const struct node *value) {
    if (value->type->kind != type_tensor || !value->type->layout.strides) return false;
    return clone_keeps_strides(placing, value) || placing_can_allocate(placing, &value->type->layout);
}

bool placing_can_allocate(struct placing *placing, const struct layout *layout) {
    for (size_t i = 0; i < layout->rank; i++)
        if (!window_can_write(placing->graph, layout->sizes[i]) ||
            !window_can_write(placing->graph, layout->strides[i]))
            return false;
    struct window_place place = {symint_constant(placing->graph->context->symbols, 0), *layout};
    return place_overlaps_itself(placing->graph->context, &place) == answer_no;
}

regraft_status placing_allocate(struct placing *placing, struct node *before, const struct node *value,
                                const struct layout *layout, struct node **result) {
    struct graph *graph = placing->graph;
    struct node *node = graph_insert_call(
        graph, before, operations_by_id(graph->context->operations, operation_aten_empty_strided_default), 4);
    const symint *const lists[] = {layout->sizes, layout->strides};
    for (size_t i = 0; i < 2; i++) {
        struct value *items = value_set_list(node, &node->arguments[i], value_list, layout->rank);
        for (size_t d = 0; d < layout->rank; d++) window_write(graph, node, &items[d], lists[i][d]);
    }
    node->arguments[2] = (struct value){.kind = value_dtype, .keyword = TEXT("dtype"), .dtype = value->type->dtype};
    node->arguments[3] = (struct value){.kind = value_device, .keyword = TEXT("device"), .device = value->type->device};
    if (!value->type->device.type.length) node->argument_count = 3;
    *result = node;
    return placing_settle(placing, node, before);
}

static regraft_status insert_copy_call(struct placing *placing, struct node *before, enum operation_id id,
                                       struct node *first, struct node *second, struct node **result) {
    struct graph *graph = placing->graph;
    *result =
        graph_insert_call(graph, before, operations_by_id(graph->context->operations, id), second != NULL ? 2 : 1);
    value_set_node(*result, &(*result)->arguments[0], first);
    if (second) value_set_node(*result, &(*result)->arguments[1], second);
    return placing_settle(placing, *result, before);
}

regraft_status placing_copy_into(struct placing *placing, struct node *before, struct node *target, struct node *source,
                                 struct node **copy) {
    placing_note_write(placing, target);
    return insert_copy_call(placing, before, operation_aten_copy__default, target, source, copy);
}

/* A copy of these strides; *copy is the call that copies. */
regraft_status placing_copy_as(struct placing *placing, struct node *before, struct node *value,
                               const struct layout *layout, struct node **result, struct node **copy) {
    TRY(placing_allocate(placing, before, value, layout, result));
    return placing_copy_into(placing, before, *result, value, copy);
}

regraft_status placing_copy(struct placing *placing, struct node *before, struct node *value, const char *why,
                            struct node **result) {
    struct node *copy;
    if (clone_keeps_strides(placing, value)) {
        TRY(insert_copy_call(placing, before, operation_aten_clone_default, value, NULL, result));
        copy = *result;
        placing_note_write(placing, copy);
    } else { /* of the value's own strides, as clone_preserve_strides of auto_functionalized makes it: what follows was
                decided for these strides */
        TRY(placing_copy_as(placing, before, value, &value->type->layout, result, &copy));
    }
    const struct node *root = memory_root(placing->memory, value);
    bool caller = root->kind == node_placeholder && !placing->write_back[root->index];
    placing_record(placing, copy, value, why,
                   caller
                       ? "an operation that can write elsewhere than it reads, or a caller that gives the tensor away"
                       : "the later reader standing before the write",
                   false);
    return REGRAFT_OK;
}

/* ---- values that take over ---- */

static void take_over_readers(struct placing *placing, const struct node *root, const struct node *old) {
    reserve(placing, placing->graph->node_limit);
    uint32_t *last = &placing->last_reader[root->index];
    if (*last < placing->last_reader[old->index]) *last = placing->last_reader[old->index];
}

regraft_status placing_replace(struct placing *placing, struct node *node, struct node *value) {
    const struct node *old_root = memory_root(placing->memory, node);
    struct node *new_root = memory_place(placing->memory, value)->root;
    if (new_root) take_over_readers(placing, new_root, old_root);
    if (new_root) memory_take_over(placing->memory, new_root, old_root);
    TRY(memory_replace(placing->memory, node, value));
    graph_remove(placing->graph, node);
    return REGRAFT_OK;
}

/* ---- building where the result is needed ---- */

struct node *placing_putting_update(const struct node *item) {
    for (const struct value *use = item->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        bool update = node_has_class(user, class_update);
        if (update && use == node_argument(user, 1) && user->users) return user;
    }
    return NULL;
}

/* From an update down to what is no update: the base that will be copied. Each update on the way must leave `place` alone,
 * and nobody may read that place of it: it will hold the call's result before its time. */
static struct node *copied_base(struct placing *placing, const struct node *call, struct node *update,
                                const struct place *place, struct node **lowest) {
    struct context *context = placing->graph->context;
    struct node *base = value_as_node(node_argument(update, 0));
    *lowest = update;
    while (base && node_has_class(base, class_update)) {
        struct update_place written;
        const struct place *own = memory_place(placing->memory, base);
        if (memory_update(placing->memory, base, &written) != REGRAFT_OK || !written.exact || !own->exact) return NULL;
        symint behind = symint_subtract(context->symbols, written.window.offset, own->window.offset);
        symint start = memory_place(placing->memory, place->root)->window.offset;
        struct window_place moved = {symint_add(context->symbols, start, behind), written.window.layout};
        if (places_disjoint(context, &moved, &place->window) != answer_yes) return NULL;
        symint shift = symint_subtract(context->symbols, own->window.offset, start);
        struct place inside = {.root = base, .exact = true, .window = place->window};
        inside.window.offset = symint_add(context->symbols, place->window.offset, shift);
        if (base->order < call->order || find_reader(placing, base, &inside, call)) return NULL;
        *lowest = base;
        base = written.base;
    }
    return base;
}

regraft_status placing_destination(struct placing *placing, struct node *call, struct node *item, struct node *value,
                                   const char *why, struct node **result) {
    struct context *context = placing->graph->context;
    const struct place *place = memory_place(placing->memory, value);
    struct node *update = placing_putting_update(item), *lowest, *base;
    struct update_place written;
    *result = NULL;
    if (!update || !place->exact || value == place->root) return REGRAFT_OK;
    base = copied_base(placing, call, update, place, &lowest);
    if (!base || base->type->dtype != value->type->dtype ||
        memory_update(placing->memory, update, &written) != REGRAFT_OK || !written.exact)
        return REGRAFT_OK;
    uint32_t key[2] = {call->index, place->root->index};
    void **slot = map_slot(placing->destinations, key, sizeof key);
    bool fresh = !*slot;
    if (fresh ? base != place->root : base != *slot) return REGRAFT_OK;
    /* the place that is written into the new version must be the one that the call writes in the old one */
    symint behind =
        symint_subtract(context->symbols, written.window.offset, memory_place(placing->memory, update)->window.offset);
    struct window_place in_root = {
        symint_add(context->symbols, memory_place(placing->memory, place->root)->window.offset, behind),
        written.window.layout};
    if (places_identical(context, &in_root, &place->window) != answer_yes) return REGRAFT_OK;
    if (fresh) {
        if (!placing_can_copy(placing, base) || !placing_obstacle(placing, base, lowest))
            return REGRAFT_OK; /* or it needs no copy */
        struct node *copy;
        TRY(placing_copy(placing, call, base,
                         text_format(placing->graph->arena, "%s, and %.*s needs the rest of it with the new part", why,
                                     TEXT_ARGS(update->name)),
                         &copy));
        *slot = copy;
        value_set_node(lowest, &lowest->arguments[node_argument(lowest, 0) - lowest->arguments], copy);
        TRY(memory_refresh(placing->memory, lowest));
        placing->last_reader[copy->index] = lowest->order;
    }
    struct node *copy = *slot;
    struct view_chain *chain = arena_new(placing->scratch, struct view_chain);
    const struct place *whole = memory_place(placing->memory, copy);
    struct window_place window = {symint_add(context->symbols, whole->window.offset, behind), place->window.layout};
    bool found;
    TRY(window_take(placing->graph, call, copy, &whole->window, &window, chain, &found));
    for (size_t i = 1; i < chain->count; i++) {
        memory_stand_in(placing->memory, chain->nodes[i], call);
        TRY(memory_refresh(placing->memory, chain->nodes[i]));
    }
    if (found) *result = chain_result(chain);
    return REGRAFT_OK;
}

/* ---- the model's own copies ---- */

static bool is_layout_copy(const struct node *node) {
    if (node_is(node, operation_aten_clone_default)) return true;
    bool view = node_has_class(node, class_view);
    return view && node->window_count == 1 && node->settled && node->type->kind == type_tensor;
}

void placing_note_own_copy(struct placing *placing, struct node *node) {
    if (!is_layout_copy(node) || !node->users) return;
    struct node *value = value_as_node(&node->arguments[0]);
    const struct place *place = memory_place(placing->memory, node);
    if (!value || place->root != node) return; /* a view that needed no copy */
    placing_record(placing, node, value, "the model asks for another layout", "", true);
}
