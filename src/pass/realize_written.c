/* realize-written: what a raw call writes through a view is computed into memory before the call.
 *
 * Inductor's lowering only notes what is computed element by element; it gets memory when somebody needs that. An operation
 * that it does not generate code for, given a view of something noted (a reshape of a norm), gets the view's elements in
 * memory of their own, and behind the call they are copied back: a kernel that only moves data, which no graph shows.
 * as_strided is lowered to a window onto the memory of its argument, which is computed there first. It stands right behind
 * what is computed, so that this reads nothing that is overwritten later.
 *
 * For graphs that are placed. What the view shows does not change: as_strided names its window by numbers. It stays a view
 * where these have no spelling, or are not known. Products of matrices and attention are not noted: kernels of their own
 * compute them into memory. */
#include "ir/effect.h"
#include "pass/pass.h"
#include "pass/window.h"

static bool has_kernel_of_its_own(enum operation_id id) {
    switch (id) {
    case operation_aten_mm_default:
    case operation_aten_addmm_default:
    case operation_aten_bmm_default:
    case operation_aten_baddbmm_default:
    case operation_aten_matmul_default:
    case operation_aten_linear_default:
    case operation_aten__grouped_mm_default:
    case operation_aten_scaled_dot_product_attention_default:
    case operation_aten__scaled_dot_product_cudnn_attention_default:
    case operation_aten__scaled_dot_product_efficient_attention_default:
    case operation_aten__scaled_dot_product_flash_attention_default:
    case operation_aten__scaled_dot_product_flash_attention_for_cpu_default:
        return true;
    default:
        return false;
    }
}

static bool is_noted(const struct node *node) {
    return node_has_class(node, class_compute) && node->type->kind == type_tensor &&
           !has_kernel_of_its_own(node->operation->id);
}

/* What the value is a view of, by its spelling; NULL when it is none. */
static const struct node *viewed(const struct node *node) {
    if (node->kind == node_getitem) node = value_as_node(&node->arguments[0]);
    bool view = node && node_has_class(node, class_view) && !node_is(node, operation_aten_as_strided_default);
    return view ? value_as_node(node_argument(node, 0)) : NULL;
}

/* Cheap, so that the memory of a graph without such views need not be looked at. */
static bool views_what_is_noted(const struct node *node) {
    const struct node *base = viewed(node);
    for (const struct node *next; base && (next = viewed(base)); base = next) continue;
    return base && is_noted(base);
}

static bool can_write_all(const struct graph *graph, const struct window_place *window) {
    bool can = window_can_write(graph, window->offset);
    for (size_t i = 0; can && i < window->layout.rank; i++)
        can = window_can_write(graph, window->layout.sizes[i]) && window_can_write(graph, window->layout.strides[i]);
    return can;
}

/* Whether the window of the value is known by numbers that count from the start of the memory of `root`. */
static bool is_known(struct memory *memory, const struct node *value, const struct place *place) {
    const struct place *whole = place->root ? memory_place(memory, place->root) : NULL;
    return whole && place->exact && !place->by_numbers && place->root != value && is_noted(place->root) &&
           place->window.layout.strides && whole->exact && symint_is(whole->window.offset, 0) &&
           value->type->kind == type_tensor && value->type->dtype == place->root->type->dtype &&
           can_write_all(value->graph, &place->window);
}

static regraft_status realize(struct memory *memory, struct node *call, const struct schema_argument *argument,
                              struct value *value) {
    struct graph *graph = call->graph;
    struct node *view = value_as_node(value), *made;
    const struct place *place = memory_place(memory, view);
    if (!is_known(memory, view, place)) return REGRAFT_OK;
    symint offset = symint_is(place->window.offset, 0) ? NULL : place->window.offset;
    TRY(insert_as_strided(graph, place->root->next, place->root, &place->window.layout, offset, &made));
    made->location = call->location;
    memory_stand_in(memory, made, place->root);
    TRY(memory_refresh(memory, made));
    value_set_node(call, value, made);
    graph_remark(graph, call, true, "writes %.*s through as_strided of %.*s, which Inductor computes there first",
                 TEXT_ARGS(argument->name), TEXT_ARGS(memory_root(memory, made)->name));
    return REGRAFT_OK;
}

static bool is_of_pytorch(const struct operation *operation) {
    return text_starts_with(operation->target, "aten.") || text_starts_with(operation->target, "prims.");
}

regraft_status pass_realize_written(struct graph *graph, struct arena *scratch) {
    struct memory *memory = NULL;
    (void)scratch;
    for (struct node *call = graph->first; call; call = call->next) {
        const struct operation *operation = node_called_operation(call);
        if (!operation || node_is_functionalized_call(call) || is_of_pytorch(operation)) continue;
        for (size_t i = 0; i < operation->schema.argument_count; i++) {
            if (!operation->schema.arguments[i].written) continue;
            struct value *value = node_called_argument(call, i);
            const struct node *view = value_as_node(value);
            if (!view || !views_what_is_noted(view)) continue;
            if (!memory) TRY(memory_of(graph, &memory));
            TRY(realize(memory, call, &operation->schema.arguments[i], value));
        }
    }
    return REGRAFT_OK;
}
