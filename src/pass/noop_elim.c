/* noop-elim: removes what changes nothing.
 *
 *   - a view onto all of its argument, in the same order with the same strides;
 *   - an update of all of its base: the result is what is written, when that has the base's element type and layout;
 *   - a copy or cast to the type and layout that the argument has, when nobody can tell the copy from the original:
 *     neither is written later, and the copy is not returned;
 *   - an assertion of the element type and device of a value that is computed: its type says so. */
#include "ir/effect.h"
#include "ir/memory.h"
#include "pass/pass.h"

static bool same_type(struct context *context, const struct type *a, const struct type *b) {
    return a->kind == type_tensor && b->kind == type_tensor && a->dtype == b->dtype &&
           device_equal(a->device, b->device) && layout_same(context->symbols, &a->layout, &b->layout) == answer_yes;
}

/* Whether a fresh result may give way to the memory of `other`: it is not returned, and neither is written while read. */
static bool may_share_memory(struct memory *memory, struct node *fresh, struct node *other) {
    const struct place *place = memory_place(memory, other);
    uint32_t last = memory_last_read(memory, fresh);
    return !memory_escapes(memory, fresh) && place->root &&
           !memory_written_between(memory, fresh, fresh->order, last) &&
           !memory_written_between(memory, place->root, fresh->order, last);
}

static struct node *unchanged_view(struct memory *memory, struct node *node) {
    struct node *argument = value_as_node(node_argument(node, 0));
    if (!argument || !same_type(node->graph->context, node->type, argument->type)) return NULL;
    const struct place *own = memory_place(memory, node), *whole = memory_place(memory, argument);
    bool same = own->exact && whole->exact && own->root == whole->root &&
                places_identical(node->graph->context, &own->window, &whole->window) == answer_yes;
    return same ? argument : NULL;
}

static struct node *whole_update(struct memory *memory, struct node *node) {
    struct update_place update;
    struct context *context = node->graph->context;
    const struct place *own = memory_place(memory, node);
    if (memory_update(memory, node, &update) != REGRAFT_OK || !update.exact || !update.source) return NULL;
    bool all = own->exact && places_identical(context, &own->window, &update.window) == answer_yes;
    bool same = all && same_type(context, node->type, update.source->type);
    return same && may_share_memory(memory, node, update.source) ? update.source : NULL;
}

static bool is_copy(const struct node *node) {
    return node_is(node, operation_aten_clone_default) || node_is(node, operation_prims_convert_element_type_default) ||
           node_is(node, operation_aten__to_copy_default) || node_is(node, operation_aten_lift_fresh_copy_default);
}

static struct node *unneeded_copy(struct memory *memory, struct node *node) {
    struct node *argument = value_as_node(node_argument(node, 0));
    bool same = argument && same_type(node->graph->context, node->type, argument->type);
    return same && may_share_memory(memory, node, argument) ? argument : NULL;
}

static struct node *replacement(struct memory *memory, struct node *node, const char **reason) {
    if (node->kind != node_call || !node->operation) return NULL;
    *reason = "it is a view of all of its argument with the same strides";
    if (node->operation->class == class_view && !node->operation->schema.returns[0].list)
        return unchanged_view(memory, node);
    *reason = "it overwrites all of its base with a value of the same type and strides";
    if (node->operation->class == class_update) return whole_update(memory, node);
    *reason = "it copies to the same type and strides, and nobody writes or returns either";
    return is_copy(node) ? unneeded_copy(memory, node) : NULL;
}

/* Exported programs assert this of what a cast takes, which else would stay when the cast goes. Of an input of the graph it is a
 * check of what the caller gives, and stays. */
static bool is_known(const struct node *node) {
    const struct node *tensor =
        node_is(node, operation_aten__assert_tensor_metadata_default) ? value_as_node(node_argument(node, 0)) : NULL;
    if (!tensor || tensor->kind == node_placeholder || tensor->type->kind != type_tensor) return false;
    for (size_t i = 1; i < node->operation->schema.argument_count; i++) {
        const struct value *value = node_argument(node, i);
        struct text name = node->operation->schema.arguments[i].name;
        if (!value || value->kind == value_none || text_is(name, "layout")) continue;
        bool dtype = value->kind == value_dtype && text_is(name, "dtype") && value->dtype == tensor->type->dtype;
        bool device =
            value->kind == value_device && text_is(name, "device") && device_equal(value->device, tensor->type->device);
        if (!dtype && !device) return false;
    }
    return true;
}

regraft_status pass_noop_elim(struct graph *graph, struct arena *scratch) {
    struct memory *memory;
    (void)scratch;
    TRY(memory_of(graph, &memory));
    for (struct node *node = graph->first, *next; node; node = next) {
        const char *reason;
        next = node->next;
        if (is_known(node)) {
            graph_remark(graph, node, true, "removed: it asserts what the type of its argument says");
            graph_remove(graph, node);
            continue;
        }
        struct node *other = replacement(memory, node, &reason);
        if (!other) continue;
        graph_remark(graph, node, true, "replaced by %.*s: %s", TEXT_ARGS(other->name), reason);
        TRY(memory_replace(memory, node, other));
        graph_remove(graph, node);
    }
    return REGRAFT_OK;
}
