/* Checking and inferring the types of calls; the functions for calls that write arguments and for views. */
#include "ir/infer.h"

#include "ir/effect.h"
#include "ir/view.h"

/* ---- what inference functions look at ---- */

const struct value *inference_value(const struct inference *inference, size_t index) {
    const struct node *node = inference->node;
    if (inference->operation == node->operation) return node_argument(node, index);
    if (index >= inference->operation->schema.argument_count) return NULL;
    return functionalized_keyword(node, inference->operation->schema.arguments[index].name);
}

const struct value *inference_named(const struct inference *inference, const char *name) {
    return inference_value(inference, schema_find_argument(&inference->operation->schema, text_of(name)));
}

static const struct type *tensor_of(const struct value *value) {
    struct node *node = value_as_node(value);
    return node && node->type->kind == type_tensor ? node->type : NULL;
}

const struct type *inference_tensor(const struct inference *inference, size_t index) {
    return tensor_of(inference_value(inference, index));
}

bool inference_integer(const struct inference *inference, const char *name, int64_t otherwise, int64_t *result) {
    const struct value *value = inference_named(inference, name);
    *result = otherwise;
    return !value || value->kind == value_none || value_as_integer(value, result);
}

bool inference_boolean(const struct inference *inference, const char *name) {
    const struct value *value = inference_named(inference, name);
    return value && value->kind == value_bool && value->boolean;
}

regraft_status inference_fail(const struct inference *inference, const char *format, ...) {
    struct context *context = inference->context;
    va_list list;
    va_start(list, format);
    const char *text = text_format_list(context->arena, format, list);
    va_end(list);
    return fail(&context->diagnostics, REGRAFT_REJECTED, inference->node->position, "%.*s: %s: %s",
                TEXT_ARGS(inference->node->name), inference->operation->target.data, text);
}

regraft_status inference_dimension(const struct inference *inference, int64_t dimension, size_t rank, size_t *result) {
    int64_t limit = rank ? (int64_t)rank : 1;
    if (dimension < -limit || dimension >= limit)
        return inference_fail(inference, "dimension %lld is out of range for %zu dimensions", (long long)dimension,
                              rank);
    *result = (size_t)(dimension < 0 ? dimension + limit : dimension);
    return REGRAFT_OK;
}

void inference_set(struct inference *inference, enum dtype dtype, size_t rank, const symint *sizes,
                   const symint *strides, struct device device) {
    inference->result =
        type_make_tensor(inference->context->arena, dtype, (struct layout){rank, sizes, strides}, device);
}

bool value_as_symint_list(struct context *context, const struct value *value, symint **items, size_t *count) {
    if (!value || (value->kind != value_list && value->kind != value_tuple)) return false;
    *count = value->list.count;
    *items = arena_array(context->arena, symint, *count);
    for (size_t i = 0; i < *count; i++)
        if (!((*items)[i] = value_as_symint(context, &value->list.items[i]))) return false;
    return true;
}

/* ---- checking a call against its schema ---- */

static regraft_status check_argument(const struct inference *inference, const struct value *value, size_t position) {
    const struct schema *schema = &inference->operation->schema;
    if (!value->keyword.length) {
        if (position < schema->argument_count && !schema->arguments[position].keyword_only) return REGRAFT_OK;
        return inference_fail(inference, "too many arguments; the schema is %.*s", TEXT_ARGS(schema->text));
    }
    if (schema_find_argument(schema, value->keyword) == SIZE_MAX)
        return inference_fail(inference, "no argument is called '%.*s'; the schema is %.*s", TEXT_ARGS(value->keyword),
                              TEXT_ARGS(schema->text));
    for (const struct value *other = inference->node->arguments; other < value; other++)
        if (text_equal(other->keyword, value->keyword))
            return inference_fail(inference, "the argument '%.*s' is given twice", TEXT_ARGS(value->keyword));
    size_t index = schema_find_argument(schema, value->keyword);
    if (index < position && !inference->node->arguments[index].keyword.length)
        return inference_fail(inference, "the argument '%.*s' is given by position and by name",
                              TEXT_ARGS(value->keyword));
    return REGRAFT_OK;
}

static regraft_status check_kind(const struct inference *inference, const struct value *value,
                                 const struct schema_argument *argument) {
    bool tensor = argument->type == schema_tensor && !argument->list;
    enum value_kind kind = value->kind;
    if (tensor && kind == value_none && argument->optional) return REGRAFT_OK;
    /* where PyTorch takes numbers for tensors (add.Tensor(x, 1)) the graph shows them as they are */
    if (tensor && kind != value_node && kind != value_integer && kind != value_float && kind != value_symint &&
        kind != value_bool && !value_is_other_number(value))
        return inference_fail(inference, "the argument '%.*s' must be a tensor", TEXT_ARGS(argument->name));
    if (argument->list && argument->type == schema_tensor && kind != value_list && kind != value_tuple &&
        kind != value_node && !(kind == value_none && argument->optional))
        return inference_fail(inference, "the argument '%.*s' must be a list of tensors", TEXT_ARGS(argument->name));
    return REGRAFT_OK;
}

static regraft_status check_call(const struct inference *inference) {
    const struct schema *schema = &inference->operation->schema;
    for (size_t i = 0; i < inference->node->argument_count; i++)
        TRY(check_argument(inference, &inference->node->arguments[i], i));
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct value *value = inference_value(inference, i);
        if (value)
            TRY(check_kind(inference, value, &schema->arguments[i]));
        else if (!schema->arguments[i].has_default && !schema->arguments[i].optional)
            return inference_fail(inference, "the argument '%.*s' is missing; the schema is %.*s",
                                  TEXT_ARGS(schema->arguments[i].name), TEXT_ARGS(schema->text));
    }
    return REGRAFT_OK;
}

/* ---- the type of a node ---- */

static regraft_status infer_getitem(struct inference *inference) {
    const struct node *node = inference->node, *source = value_as_node(&node->arguments[0]);
    const struct type *type = source ? source->type : &type_of_unknown;
    int64_t index = node->arguments[1].integer;
    if (type->kind != type_tuple) {
        if (type->kind == type_integer || type->kind == type_none)
            return fail(&inference->context->diagnostics, REGRAFT_REJECTED, node->position, "%.*s: %.*s has no items",
                        TEXT_ARGS(node->name), TEXT_ARGS(source->name));
        return REGRAFT_OK;
    }
    if (index < 0 && node_has_class(source, class_higher))
        return fail(&inference->context->diagnostics, REGRAFT_REJECTED, node->position,
                    "%.*s: item %lld of %.*s; items of a functionalised call are counted from 0", TEXT_ARGS(node->name),
                    (long long)index, TEXT_ARGS(source->name));
    if (index < 0) index += (int64_t)type->item_count;
    if (index < 0 || (size_t)index >= type->item_count)
        return fail(&inference->context->diagnostics, REGRAFT_REJECTED, node->position,
                    "%.*s: item %lld of %.*s, which has %zu", TEXT_ARGS(node->name),
                    (long long)node->arguments[1].integer, TEXT_ARGS(source->name), type->item_count);
    inference->result = type->items[index];
    return REGRAFT_OK;
}

static regraft_status infer_operator(struct inference *inference) {
    struct symbols *symbols = inference->context->symbols;
    const struct node *node = inference->node;
    if (node->argument_count != 2) return REGRAFT_OK;
    symint a = value_as_symint(inference->context, &node->arguments[0]),
           b = value_as_symint(inference->context, &node->arguments[1]);
    symint result = NULL;
    if (!a || !b) return REGRAFT_OK;
    if (text_is(node->target, "+"))
        result = symint_add(symbols, a, b);
    else if (text_is(node->target, "-"))
        result = symint_subtract(symbols, a, b);
    else if (text_is(node->target, "*"))
        result = symint_multiply(symbols, a, b);
    else if (text_is(node->target, "//"))
        result = symint_floor_divide(symbols, a, b);
    else if (text_is(node->target, "%"))
        result = symint_modulo(symbols, a, b);
    if (result) inference->result = type_make_integer(inference->context->arena, result);
    return REGRAFT_OK;
}

static regraft_status infer_result(struct inference *inference) {
    switch (inference->node->kind) {
    case node_call:
        if (!inference->operation) return REGRAFT_OK;
        if (inference->operation->class != class_higher) TRY(check_call(inference));
        return inference->operation->infer(inference);
    case node_getitem:
        return infer_getitem(inference);
    case node_operator:
        return infer_operator(inference);
    case node_rename: {
        const struct node *source = value_as_node(&inference->node->arguments[0]);
        if (source) inference->result = source->type;
        return REGRAFT_OK;
    }
    default:
        return REGRAFT_OK;
    }
}

regraft_status infer_type(struct node *node, const struct type **result) {
    struct inference inference = {node->graph->context, node, node->operation, NULL};
    TRY(infer_result(&inference));
    *result = inference.result;
    return REGRAFT_OK;
}

/* What is wrong with `written` when the operation gives `inferred`; NULL when they may agree. A compute's strides are
 * the compiler's choice; those of a view, or of an item whose type is known, are not. */
static const char *contradiction(struct context *context, const struct node *node, const struct type *written,
                                 const struct type *inferred) {
    if (written->kind == type_unknown || inferred->kind == type_unknown) return NULL;
    if (written->kind != inferred->kind) return "is of another kind";
    if (written->kind == type_integer)
        return symint_equal(context->symbols, written->integer, inferred->integer) == answer_no ? "has another value"
                                                                                                : NULL;
    if (written->kind != type_tensor) return NULL;
    if (written->dtype != inferred->dtype) return "has another element type";
    if (layout_same_sizes(context->symbols, &written->layout, &inferred->layout) == answer_no)
        return "has another shape";
    bool decided = node->kind == node_getitem || (node->operation && node->operation->class == class_view);
    bool strides = decided && written->layout.strides && inferred->layout.strides;
    bool empty = symint_is(layout_count(context->symbols, &written->layout), 0);
    if (strides && !empty && layout_same(context->symbols, &written->layout, &inferred->layout) == answer_no)
        return "has other strides";
    return NULL;
}

static regraft_status reject_annotation(const struct node *node, const struct type *inferred, const char *reason) {
    struct context *context = node->graph->context;
    const char *text = type_string(context->arena, inferred);
    return fail(&context->diagnostics, REGRAFT_REJECTED, node->position,
                "the annotation of %.*s contradicts the operation: the result %s, %s", TEXT_ARGS(node->name), reason,
                *text ? text : "not a tensor");
}

/* The annotation's type, with what it does not say taken from the inferred one. */
static const struct type *merged(struct arena *arena, const struct type *written, const struct type *inferred) {
    if (!inferred || inferred->kind == type_unknown) return written;
    if (written->kind == type_unknown) return inferred;
    if (written->kind != type_tensor || written->layout.strides || !inferred->layout.strides) return written;
    struct layout layout = {written->layout.rank, written->layout.sizes, inferred->layout.strides};
    return type_make_tensor(arena, written->dtype, layout, written->device);
}

regraft_status infer_node(struct node *node) {
    struct context *context = node->graph->context;
    const struct type *inferred;
    TRY(infer_type(node, &inferred));
    const char *reason = inferred ? contradiction(context, node, node->type, inferred) : NULL;
    if (reason) return reject_annotation(node, inferred, reason);
    const struct type *type = merged(node->graph->arena, node->type, inferred);
    for (struct value *use = type == node->type ? NULL : node->users; use; use = use->use.next)
        use->use.user->settled = false;
    node->type = type;
    node->settled = true;
    return REGRAFT_OK;
}

regraft_status infer_graph(struct graph *graph) {
    for (struct node *node = graph->first; node; node = node->next) TRY(infer_node(node));
    return REGRAFT_OK;
}

/* ---- functions of the table that any class may use ---- */

regraft_status infer_from_annotation(struct inference *inference) {
    (void)inference;
    return REGRAFT_OK;
}

regraft_status infer_nothing(struct inference *inference) {
    inference->result = &type_of_none;
    return REGRAFT_OK;
}

regraft_status infer_first_argument(struct inference *inference) {
    inference->result = inference_tensor(inference, 0);
    return REGRAFT_OK;
}

regraft_status infer_view(struct inference *inference) {
    const struct type *input = inference_tensor(inference, 0);
    struct arena *arena = inference->context->arena;
    struct window *windows;
    size_t count;
    if (!input) return REGRAFT_OK;
    inference->node->window_count = 0;
    TRY(view_windows(inference, &input->layout, &windows, &count));
    if (!count) return REGRAFT_OK;
    inference->node->windows = windows;
    inference->node->window_count = count;
    const struct type **items = arena_array(arena, const struct type *, count);
    for (size_t i = 0; i < count; i++) {
        if (windows[i].kind == window_unknown) windows[i].layout.strides = NULL;
        items[i] = type_make_tensor(arena, input->dtype, windows[i].layout, input->device);
    }
    bool several = inference->operation->schema.returns[0].list;
    inference->result = several ? type_make_tuple(arena, items, count) : items[0];
    return REGRAFT_OK;
}

/* Sizes change with the ratio of the element sizes; only equal ones are told here. */
regraft_status infer_view_dtype(struct inference *inference) {
    const struct value *dtype = inference_value(inference, 1);
    TRY(infer_view(inference));
    if (inference->result)
        inference->result = type_make_tensor(inference->context->arena, dtype->dtype, inference->result->layout,
                                             inference->result->device);
    return REGRAFT_OK;
}

/* Complex numbers as pairs of real ones, [..., 2]. In other elements, so that no window is told. */
regraft_status infer_view_as_real(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    struct symbols *symbols = inference_symbols(inference);
    symint two = symint_constant(symbols, 2);
    if (!self) return REGRAFT_OK;
    if (!dtype_is_complex(self->dtype)) return inference_fail(inference, "expected complex numbers");
    size_t rank = self->layout.rank;
    symint *sizes = arena_array(inference->context->arena, symint, rank + 1), *strides = NULL;
    if (self->layout.strides) strides = arena_array(inference->context->arena, symint, rank + 1);
    for (size_t i = 0; i < rank; i++) {
        sizes[i] = self->layout.sizes[i];
        if (strides) strides[i] = symint_multiply(symbols, self->layout.strides[i], two);
    }
    sizes[rank] = two;
    if (strides) strides[rank] = symint_constant(symbols, 1);
    inference_set(inference, dtype_part(self->dtype), rank + 1, sizes, strides, self->device);
    return REGRAFT_OK;
}

/* The other way round. */
regraft_status infer_view_as_complex(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    struct symbols *symbols = inference_symbols(inference);
    symint two = symint_constant(symbols, 2);
    if (!self) return REGRAFT_OK;
    enum dtype dtype = dtype_of_pairs(self->dtype);
    size_t rank = self->layout.rank;
    if (dtype == dtype_none || !rank || symint_equal(symbols, self->layout.sizes[rank - 1], two) == answer_no)
        return inference_fail(inference, "expected real numbers whose last dimension has size 2");
    symint *strides = self->layout.strides ? arena_array(inference->context->arena, symint, rank) : NULL;
    for (size_t i = 0; strides && i + 1 < rank; i++) {
        strides[i] = symint_divide_exact(symbols, self->layout.strides[i], two);
        if (!strides[i]) strides = NULL;
    }
    inference_set(inference, dtype, rank - 1, self->layout.sizes, strides, self->device);
    return REGRAFT_OK;
}

/* The written window and what is written there must have the same shape, or the latter broadcast to it (copy). */
regraft_status infer_update(struct inference *inference) {
    const struct type *base = inference_tensor(inference, 0), *source = inference_tensor(inference, 1);
    struct window window;
    if (!base) return REGRAFT_OK;
    TRY(update_window(inference, &base->layout, &window));
    bool exact = window.kind != window_unknown && inference->operation->id != operation_aten_copy_default;
    if (exact && source && layout_same_sizes(inference->context->symbols, &window.layout, &source->layout) == answer_no)
        return inference_fail(inference, "the shape of src is not that of the place it is written to");
    inference->result = base;
    return REGRAFT_OK;
}

/* ---- calls of functionalised operations (fx-graphs: torch/_higher_order_ops/auto_functionalize.py) ---- */

static const struct type *type_of_value(struct arena *arena, const struct value *value) {
    if (!value || value->kind == value_none) return &type_of_none;
    if (value->kind == value_node) return value->use.node->type;
    if (value->kind != value_list && value->kind != value_tuple) return &type_of_unknown;
    const struct type **items = arena_array(arena, const struct type *, value->list.count);
    for (size_t i = 0; i < value->list.count; i++) items[i] = type_of_value(arena, &value->list.items[i]);
    return type_make_tuple(arena, items, value->list.count);
}

/* The types of what the wrapped operation itself returns. */
static regraft_status returned_types(struct inference *inference, const struct operation *called,
                                     const struct type **items) {
    struct inference own = {inference->context, inference->node, called, NULL};
    size_t count = called->schema.return_count;
    items[0] = &type_of_none;
    if (count && called->infer) TRY(called->infer(&own));
    bool several = own.result && own.result->kind == type_tuple && own.result->item_count == count;
    for (size_t i = 0; i < count; i++) {
        items[i] = &type_of_unknown;
        if (several)
            items[i] = own.result->items[i];
        else if (own.result && count == 1)
            items[i] = own.result;
    }
    return REGRAFT_OK;
}

/* (returns or None, then one item for each written argument, or each base) */
static regraft_status set_call_result(struct inference *inference, size_t written) {
    struct arena *arena = inference->context->arena;
    const struct node *call = inference->node;
    size_t lead = functionalized_lead(call);
    const struct type **items = arena_array(arena, const struct type *, lead + written);
    TRY(returned_types(inference, node_called_operation(call), items));
    for (size_t i = 0; i < written; i++)
        items[lead + i] = type_of_value(arena, functionalized_item(call, (int64_t)(lead + i)));
    inference->result = type_make_tuple(arena, items, lead + written);
    return REGRAFT_OK;
}

regraft_status infer_auto_functionalized(struct inference *inference) {
    const struct operation *called = node_called_operation(inference->node);
    if (!called) return REGRAFT_OK;
    inference->operation = called;
    const struct schema *schema = &called->schema;
    size_t written = 0;
    for (size_t i = 1; i < inference->node->argument_count; i++)
        if (schema_find_argument(schema, inference->node->arguments[i].keyword) == SIZE_MAX)
            return inference_fail(inference, "no argument is called '%.*s'; the schema is %.*s",
                                  TEXT_ARGS(inference->node->arguments[i].keyword), TEXT_ARGS(schema->text));
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct schema_argument *argument = &schema->arguments[i];
        if (!inference_value(inference, i) && !argument->has_default && !argument->optional)
            return inference_fail(inference, "the argument '%.*s' is missing; the schema is %.*s",
                                  TEXT_ARGS(argument->name), TEXT_ARGS(schema->text));
        written += argument->written;
    }
    return set_call_result(inference, written);
}

regraft_status infer_auto_functionalized_v2(struct inference *inference) {
    const struct value *bases = functionalized_keyword(inference->node, TEXT("_all_bases"));
    if (!node_called_operation(inference->node) || !bases || (bases->kind != value_list && bases->kind != value_tuple))
        return REGRAFT_OK;
    return set_call_result(inference, bases->list.count);
}
