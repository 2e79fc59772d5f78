/* cse: merges calls with the same operation and the same arguments.
 *
 * Legal when both compute the same (node_is_pure), no buffer that they read is written between them, and the two results
 * may become one: a fresh result must not be written in place later, nor be returned, for the caller could tell one buffer
 * from two. A view with a known place is no memory of its own: two of the same are one. Allocations stay apart: whoever
 * writes them needs his own. */
#include "ir/memory.h"
#include "pass/pass.h"

static void add_bytes(struct builder *key, const void *bytes, size_t size) {
    builder_add(key, (struct text){bytes, size});
}

/* Lengths stand before texts and lists, so no two different lists of arguments give the same key. */
static void add_text(struct builder *key, struct text text) {
    add_bytes(key, &text.length, sizeof text.length);
    builder_add(key, text);
}

static void add_value(struct builder *key, const struct value *value) {
    builder_byte(key, (char)value->kind);
    add_text(key, value->keyword);
    switch (value->kind) {
    case value_none:
        break;
    case value_bool:
        builder_byte(key, value->boolean);
        break;
    case value_integer:
        add_bytes(key, &value->integer, sizeof value->integer);
        break;
    case value_float:
        add_bytes(key, &value->real, sizeof value->real);
        break;
    case value_string:
        add_text(key, value->string);
        break;
    case value_node:
        add_bytes(key, &value->use.node->index, sizeof value->use.node->index);
        break;
    case value_symint:
        add_bytes(key, &value->expression, sizeof value->expression);
        break;
    case value_dtype:
        add_bytes(key, &value->dtype, sizeof value->dtype);
        break;
    case value_device:
        add_text(key, value->device.type);
        add_bytes(key, &value->device.index, sizeof value->device.index);
        break;
    case value_operator:
    case value_name:
        add_text(key, value->written);
        break;
    case value_list:
    case value_tuple:
    case value_dictionary:
    case value_slice:
        add_bytes(key, &value->list.count, sizeof value->list.count);
        for (size_t i = 0; i < value->list.count; i++) add_value(key, &value->list.items[i]);
        break;
    }
}

/* Equal keys: the same call of the same arguments. Pointers in it are compared, never ordered. */
static struct text key_of(struct builder *key, const struct node *node) {
    key->length = 0;
    builder_byte(key, (char)node->kind);
    if (node->operation)
        add_bytes(key, &node->operation, sizeof node->operation);
    else
        add_text(key, node->target);
    for (size_t i = 0; i < node->argument_count; i++) add_value(key, &node->arguments[i]);
    return builder_text(key);
}

/* Annotations may tell more than the arguments: then they must tell the same. */
static bool same_type(struct symbols *symbols, const struct type *a, const struct type *b) {
    if (a == b) return true;
    if (a->kind != b->kind) return false;
    if (a->kind == type_tuple || a->kind == type_none) return true; /* their items are compared as items */
    if (a->kind == type_integer) return symint_equal(symbols, a->integer, b->integer) == answer_yes;
    return a->kind == type_tensor && a->dtype == b->dtype && device_equal(a->device, b->device) &&
           layout_same(symbols, &a->layout, &b->layout) == answer_yes;
}

struct reading {
    struct memory *memory;
    uint32_t after, until;
    bool written;
};

static void check_read(void *user, struct value *value) {
    struct reading *reading = user;
    const struct place *place = memory_place(reading->memory, value->use.node);
    if (place->root && memory_written_between(reading->memory, place->root, reading->after, reading->until))
        reading->written = true;
}

/* Whether the value is a window onto memory that was there before, whatever is written when. */
static bool is_plain_view(struct memory *memory, const struct node *node) {
    const struct place *place = memory_place(memory, node);
    bool split = node->operation && node->operation->class == class_view && node->operation->schema.returns[0].list;
    return (place->exact || split) && place->root != node;
}

static bool is_written_later(struct memory *memory, const struct node *value, const struct node *call) {
    const struct node *root = memory_place(memory, value)->root;
    return memory_written_between(memory, root ? root : value, call->order, call->graph->last->order);
}

/* Whether the memory of a call's result, or of an item of it, is written in place after the call. */
static bool result_is_written(struct memory *memory, const struct node *call) {
    if (is_written_later(memory, call, call)) return true;
    for (const struct value *use = call->users; use; use = use->use.next)
        if (use->use.user->kind == node_getitem && is_written_later(memory, use->use.user, call)) return true;
    return false;
}

static bool may_merge(struct memory *memory, struct node *first, struct node *second) {
    struct reading reading = {memory, first->order, second->order, false};
    if (!same_type(first->graph->context->symbols, first->type, second->type)) return false;
    if (is_plain_view(memory, first) && is_plain_view(memory, second)) return true;
    node_each_use(second, check_read, &reading);
    if (reading.written) return false;
    if (first->type->kind == type_integer) return true;
    return !result_is_written(memory, first) && !result_is_written(memory, second) && !memory_escapes(memory, second);
}

regraft_status merge_equal(struct graph *graph, struct arena *scratch, uint32_t from) {
    struct memory *memory;
    struct map *seen = map_create(scratch);
    struct builder key;
    builder_init(&key, scratch);
    TRY(memory_of(graph, &memory));
    for (struct node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (!node_is_pure(node)) continue;
        struct text text = key_of(&key, node);
        void **slot = map_slot_text(seen, text);
        struct node *first = *slot;
        if (!first) {
            *slot = node;
        } else if (node->index >= from && may_merge(memory, first, node)) {
            graph_remark(graph, node, true, "merged with %.*s: the same operation on the same arguments",
                         TEXT_ARGS(first->name));
            graph_replace(node, first);
            graph_remove(graph, node);
        }
    }
    return REGRAFT_OK;
}

regraft_status pass_cse(struct graph *graph, struct arena *scratch) { return merge_equal(graph, scratch, 0); }
