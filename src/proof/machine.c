#include "proof/machine.h"

#include "proof/elements.h"

/* ---- readings ---- */

const struct reading *reading_expand(struct prover *prover, const struct reading *reading, const symint *sizes,
                                     size_t rank) {
    const struct layout *from = &reading->layout;
    symint *strides = arena_array(prover->arena, symint, rank);
    if (from->rank > rank) return NULL;
    size_t lead = rank - from->rank;
    for (size_t i = 0; i < rank; i++) {
        symint size = i < lead ? NULL : from->sizes[i - lead];
        if (!size || symint_is(size, 1))
            strides[i] = number(prover, 0);
        else if (surely_equal(prover, size, sizes[i]))
            strides[i] = from->strides[i - lead];
        else
            return NULL;
    }
    struct layout layout = {rank, sizes, strides};
    return reading_intern(prover, reading->term, reading->offset, &layout);
}

/* All elements of a term that was made for a reading, in its shape. */
static const struct reading *reading_like(struct prover *prover, const struct term *term, const struct reading *shape) {
    struct window_place dense = dense_place(prover, shape->layout.sizes, shape->layout.rank);
    return reading_intern(prover, term, dense.offset, &dense.layout);
}

static const struct reading *convert(struct prover *prover, enum term_kind kind, const struct reading *reading,
                                     enum dtype dtype) {
    struct builder key;
    key_start(prover, &key, kind, dtype);
    key_pointer(&key, reading);
    struct term *term = key_term(prover, &key);
    if (!term->arguments) term->arguments = arena_copy(prover->arena, &reading, sizeof(const struct reading *));
    term->argument_count = 1;
    term->name = kind == term_cast ? TEXT("cast") : TEXT("view.dtype");
    return reading_like(prover, term, reading);
}

const struct reading *reading_cast(struct prover *prover, const struct reading *reading, enum dtype dtype) {
    struct element_call cast = {.kind = element_cast, .dtype = dtype, .count = 1};
    struct space space = {reading->layout.rank, reading->layout.sizes};
    if (reading->term->dtype == dtype) return reading;
    if (prover->by_elements) return elements_call(prover, &cast, &space, &reading);
    return convert(prover, term_cast, reading, dtype);
}

/* The bits of a reading as another type of the same size; back again gives what was there. */
static const struct reading *reading_bits(struct prover *prover, const struct reading *reading, enum dtype dtype) {
    const struct term *term = reading->term;
    if (term->dtype == dtype) return reading;
    if (term->kind == term_uninitialised)
        return reading_intern(prover, term_uninitialised_of(prover, dtype), reading->offset, &reading->layout);
    if (term->kind == term_bits && term->arguments[0]->term->dtype == dtype &&
        reading == reading_like(prover, term, reading) &&
        layout_same_sizes(prover->symbols, &reading->layout, &term->arguments[0]->layout) == answer_yes)
        return term->arguments[0];
    return convert(prover, term_bits, reading, dtype);
}

/* ---- buffers and tensors ---- */

static struct buffer *buffer_make(struct machine *machine, const struct layout *layout, enum dtype dtype) {
    struct prover *prover = machine->prover;
    struct buffer *buffer = arena_new(prover->arena, struct buffer);
    struct window_place dense = dense_place(prover, layout->sizes, layout->rank);
    buffer->contents.dtype = dtype;
    buffer->contents.whole = &buffer->whole;
    buffer->whole = (struct window_place){dense.offset, *layout};
    buffer->strides_known = layout->strides != NULL;
    if (!buffer->strides_known) buffer->whole = dense;
    return buffer;
}

struct tensor_value *tensor_make(struct machine *machine, struct buffer *buffer, const struct window_place *place,
                                 enum dtype dtype) {
    struct tensor_value *tensor = arena_new(machine->prover->arena, struct tensor_value);
    *tensor = (struct tensor_value){.buffer = buffer, .place = *place, .dtype = dtype};
    return tensor;
}

struct tensor_value *tensor_fresh(struct machine *machine, const struct layout *layout, enum dtype dtype) {
    struct prover *prover = machine->prover;
    struct buffer *buffer = buffer_make(machine, layout, dtype);
    struct window_place dense = dense_place(prover, layout->sizes, layout->rank);
    bool overlaps =
        !places_same(&buffer->whole, &dense) && place_overlaps_itself(prover->context, &buffer->whole) != answer_no;
    if (overlaps) { /* how the elements of a fresh result lie does not matter to its value */
        buffer->whole = dense;
        buffer->strides_known = false;
    }
    return tensor_make(machine, buffer, &buffer->whole, dtype);
}

struct tensor_value *tensor_clone(struct machine *machine, const struct tensor_value *tensor) {
    struct prover *prover = machine->prover;
    struct buffer *buffer = arena_new(prover->arena, struct buffer);
    *buffer = *tensor->buffer;
    if (buffer->stale) prover_give_up(prover, "memory is read that may have been overwritten through another tensor");
    buffer->input = NULL;
    buffer->sharing = NULL;
    contents_copy(prover, &buffer->contents, &tensor->buffer->contents);
    struct tensor_value *clone = tensor_make(machine, buffer, &tensor->place, tensor->dtype);
    clone->by_numbers = tensor->by_numbers;
    return clone;
}

/* Whether all of it is memory of the tensor that the buffer was made for. */
static bool lies_inside(struct machine *machine, const struct tensor_value *tensor) {
    return !tensor->by_numbers ||
           place_contains(machine->prover->context, &tensor->buffer->whole, &tensor->place) == answer_yes;
}

const struct reading *tensor_read(struct machine *machine, struct tensor_value *tensor) {
    struct buffer *buffer = tensor->buffer;
    struct prover *prover = machine->prover;
    if (buffer->stale) prover_give_up(prover, "memory is read that may have been overwritten through another tensor");
    if (tensor->reading && tensor->version == buffer->version) return tensor->reading;
    const struct reading *reading =
        contents_read(prover, &buffer->contents, &tensor->place, lies_inside(machine, tensor));
    tensor->reading = reading_bits(prover, reading, tensor->dtype);
    tensor->version = buffer->version;
    return tensor->reading;
}

void buffer_changed(struct buffer *buffer) {
    buffer->version++;
    for (size_t i = 0; buffer->sharing && i < buffer->sharing->members.count; i++)
        if (buffer->sharing->members.items[i] != buffer) buffer->sharing->members.items[i]->stale = true;
}

void tensor_write(struct machine *machine, struct tensor_value *tensor, const struct reading *reading) {
    struct buffer *buffer = tensor->buffer;
    reading = reading_bits(machine->prover, reading, buffer->contents.dtype);
    contents_write(machine->prover, &buffer->contents, &tensor->place, reading, lies_inside(machine, tensor));
    buffer_changed(buffer);
}

void buffers_may_share(struct machine *machine, struct buffer *a, struct buffer *b) {
    struct arena *arena = machine->prover->arena;
    struct buffer *const both[] = {a, b};
    if (a == b || (a->sharing && a->sharing == b->sharing)) return;
    struct sharing *sharing = arena_new(arena, struct sharing);
    for (size_t i = 0; i < 2; i++) {
        struct sharing *old = both[i]->sharing;
        if (!old) vector_push(arena, &sharing->members, both[i]);
        for (size_t j = 0; old && j < old->members.count; j++)
            vector_push(arena, &sharing->members, old->members.items[j]);
    }
    for (size_t i = 0; i < sharing->members.count; i++) sharing->members.items[i]->sharing = sharing;
}

/* ---- items ---- */

struct item item_of_tensor(struct tensor_value *tensor) {
    return (struct item){.kind = item_tensor, .tensor = tensor};
}

struct tensor_value *item_tensor_of(const struct item *item) {
    return item->kind == item_tensor ? item->tensor : NULL;
}

static struct item item_of_object(const struct term *term, bool untyped) {
    return (struct item){.kind = item_object, .object = {term, 0, untyped}};
}

struct item item_resolve(struct machine *machine, struct item pending, const struct type *type) {
    struct prover *prover = machine->prover;
    if (pending.kind != item_pending) return pending;
    const struct term *call = pending.object.term;
    int64_t index = pending.object.index;
    if (type->kind == type_unknown) return pending;
    if (type->kind == type_none) return (struct item){.kind = item_none};
    if (type->kind == type_tuple) {
        struct item tuple = {.kind = item_tuple,
                             .tuple = {arena_array(prover->arena, struct item, type->item_count), type->item_count}};
        const struct term *list = term_result_of(prover, call, index, dtype_none);
        for (size_t i = 0; i < type->item_count; i++) {
            struct item item = {.kind = item_pending, .object = {list, (int64_t)i, false}};
            tuple.tuple.items[i] = item_resolve(machine, item, type->items[i]);
        }
        return tuple;
    }
    if (type->kind == type_integer && symbol_define(prover, type->integer, call, index))
        return (struct item){.kind = item_integer, .integer = type->integer};
    if (type->kind != type_tensor) return item_of_object(term_result_of(prover, call, index, dtype_none), false);
    const struct term *term = term_result_of(prover, call, index, type->dtype);
    for (size_t i = 0; i < type->layout.rank; i++) symbol_define(prover, type->layout.sizes[i], term, -1 - (int64_t)i);
    struct tensor_value *tensor = tensor_fresh(machine, &type->layout, type->dtype);
    struct window_place dense = dense_place(prover, type->layout.sizes, type->layout.rank);
    const struct reading *reading = reading_intern(prover, term, dense.offset, &dense.layout);
    bool known =
        term->meaning && layout_same_sizes(prover->symbols, &term->meaning->layout, &dense.layout) == answer_yes;
    tensor_write(machine, tensor, known ? term->meaning : reading);
    return item_of_tensor(tensor);
}

struct item item_of_value(struct machine *machine, const struct value *value) {
    symint integer;
    struct item item = {.kind = item_literal, .literal = value};
    if (value->kind == value_none) return (struct item){.kind = item_none};
    if (value->kind == value_node) return machine->items[value->use.node->index];
    if (value->kind == value_list || value->kind == value_tuple) {
        item = (struct item){.kind = item_tuple, .tuple = {NULL, value->list.count}};
        item.tuple.items = arena_array(machine->prover->arena, struct item, value->list.count);
        for (size_t i = 0; i < value->list.count; i++)
            item.tuple.items[i] = item_of_value(machine, &value->list.items[i]);
        return item;
    }
    integer = value_as_symint(machine->prover->context, value);
    return integer ? (struct item){.kind = item_integer, .integer = integer} : item;
}

/* ---- inputs ---- */

static struct item make_input(struct machine *machine, const struct node *node, enum term_kind kind, struct text name,
                              int64_t position) {
    struct prover *prover = machine->prover;
    const struct type *type = node->type;
    struct builder key;
    if (type->kind == type_integer) return (struct item){.kind = item_integer, .integer = type->integer};
    key_start(prover, &key, kind, type->kind == type_tensor ? type->dtype : dtype_none);
    key_text(&key, name);
    struct term *term = key_term(prover, &key);
    term->name = name;
    if (type->kind != type_tensor) return item_of_object(term, type->kind == type_unknown);
    struct buffer *buffer = buffer_make(machine, &type->layout, type->dtype);
    const struct input_memory *memory = machine->graph->input_memory;
    if (memory && position >= 0 && memory[position].offset) buffer->whole.offset = memory[position].offset;
    const struct reading *reading = reading_intern(prover, term, buffer->whole.offset, &buffer->whole.layout);
    bool overlaps = place_overlaps_itself(prover->context, &buffer->whole) != answer_no;
    vector_push(prover->arena, &buffer->contents.cells,
                (struct cell){.place = buffer->whole, .reading = reading, .overlaps = overlaps});
    buffer->contents.beyond = term;
    buffer->input = node;
    buffer->initial = contents_term(prover, &buffer->contents);
    vector_push(prover->arena, &machine->inputs, buffer);
    return item_of_tensor(tensor_make(machine, buffer, &buffer->whole, type->dtype));
}

static void run_placeholders(struct machine *machine) {
    const struct input_memory *memory = machine->graph->input_memory;
    VECTOR(struct node *) nodes = {0};
    for (struct node *node = machine->graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        machine->prover->node = node;
        machine->items[node->index] = make_input(machine, node, term_input, node->name, (int64_t)nodes.count);
        vector_push(machine->prover->arena, &nodes, node);
    }
    for (size_t i = 0; memory && i < nodes.count; i++)
        for (size_t j = 0; j < i && memory[i].storage >= 0; j++) {
            struct tensor_value *a = item_tensor_of(&machine->items[nodes.items[i]->index]);
            struct tensor_value *b = item_tensor_of(&machine->items[nodes.items[j]->index]);
            if (a && b && memory[i].storage == memory[j].storage) buffers_may_share(machine, a->buffer, b->buffer);
        }
}

static struct item run_attribute(struct machine *machine, const struct node *node) {
    struct item **slot = (struct item **)map_slot_text(machine->attributes, node->target);
    if (!*slot) {
        *slot = arena_new(machine->prover->arena, struct item);
        **slot = make_input(machine, node, term_attribute, node->target, -1);
    }
    return **slot;
}

/* ---- nodes ---- */

static struct item run_getitem(struct machine *machine, const struct node *node) {
    struct item source = item_of_value(machine, &node->arguments[0]);
    int64_t index = node->arguments[1].integer;
    if (source.kind == item_tuple && index < 0) index += (int64_t)source.tuple.count;
    if (source.kind != item_tuple || index < 0 || (size_t)index >= source.tuple.count) {
        prover_give_up(machine->prover, "what item %lld of its argument is cannot be told", (long long)index);
        return (struct item){.kind = item_none};
    }
    struct item *item = &source.tuple.items[index];
    return *item = item_resolve(machine, *item, node->type);
}

/* Numbers: what the operator says, not the annotation. */
static bool run_integer(struct machine *machine, struct node *node, struct item *result) {
    const struct type *type = NULL;
    struct diagnostics *diagnostics = &machine->prover->context->diagnostics;
    const char *message = diagnostics->message;
    if (node->type->kind != type_integer) return false;
    regraft_status status = infer_type(node, &type);
    diagnostics->message = message;
    if (status != REGRAFT_OK || !type || type->kind != type_integer) return false;
    *result = (struct item){.kind = item_integer, .integer = type->integer};
    if (!surely_equal(machine->prover, type->integer, node->type->integer))
        prover_give_up(machine->prover, "it is annotated with another value than it has");
    return true;
}

static void run_operation(struct machine *machine, struct node *node, struct item *result) {
    const struct operation *operation = node->operation;
    if (operation && operation->class == class_assert) return;
    if (!operation || operation->class == class_opaque) {
        run_opaque(machine, node, result);
    } else if (operation->class == class_higher) {
        if (node_is_functionalized_call(node) && node_called_operation(node))
            run_functionalized(machine, node, result);
        else
            run_opaque(machine, node, result);
    } else if (!run_integer(machine, node, result) && !run_movement(machine, node, result) &&
               !run_elements(machine, node, result)) {
        run_call(machine, node, result);
    }
}

/* An annotation says what the tensor is; one that does not hold would mislead whatever is concluded from it. */
static void check_annotation(struct machine *machine, const struct node *node, const struct tensor_value *tensor) {
    const struct layout *found = &tensor->place.layout, *written = &node->type->layout;
    struct layout sizes = {written->rank, written->sizes, NULL};
    if (node->type->kind != type_tensor) return;
    bool strides = written->strides && tensor->buffer->strides_known;
    enum answer same = strides ? layout_same(machine->prover->symbols, found, written)
                               : layout_same_sizes(machine->prover->symbols, found, &sizes);
    if (node->type->dtype != tensor->dtype || same != answer_yes)
        prover_give_up(machine->prover, "its annotation is not what the operation gives");
}

static void run_node(struct machine *machine, struct node *node, struct item *result) {
    *result = (struct item){.kind = item_none};
    switch (node->kind) {
    case node_placeholder:
        break;
    case node_call:
        run_operation(machine, node, result);
        break;
    case node_getitem:
        *result = run_getitem(machine, node);
        break;
    case node_attribute:
        *result = run_attribute(machine, node);
        break;
    case node_rename:
        *result = item_of_value(machine, &node->arguments[0]);
        break;
    case node_operator:
        if (!run_integer(machine, node, result)) run_opaque(machine, node, result);
        break;
    case node_method:
        run_opaque(machine, node, result);
        break;
    case node_output:
        if (node->argument_count) machine->output = item_of_value(machine, &node->arguments[0]);
        break;
    }
}

static void start(struct prover *prover, struct graph *graph, struct machine *machine) {
    *machine = (struct machine){.prover = prover, .graph = graph};
    machine->items = arena_array(prover->arena, struct item, graph->node_limit);
    machine->attributes = map_create(prover->arena);
    machine->states = map_create(prover->arena);
}

static void run_nodes(struct machine *machine, bool within) {
    struct prover *prover = machine->prover;
    for (struct node *node = machine->graph->first; node && !prover->obstacle; node = node->next) {
        struct item result;
        if (!within) prover->node = node;
        if (node->kind == node_placeholder) continue;
        run_node(machine, node, &result);
        if (result.kind == item_tensor) check_annotation(machine, node, result.tensor);
        machine->items[node->index] = result;
    }
}

void machine_run(struct prover *prover, struct graph *graph, struct machine *machine) {
    start(prover, graph, machine);
    run_placeholders(machine);
    run_nodes(machine, false);
}

void machine_run_within(struct prover *prover, struct graph *graph,
                        const struct item *(*find)(void *user, struct text name), void *user, struct machine *machine) {
    start(prover, graph, machine);
    for (struct node *node = graph->first; node; node = node->next)
        if (node->kind == node_placeholder) machine->items[node->index] = *find(user, node->name);
    run_nodes(machine, true);
}
