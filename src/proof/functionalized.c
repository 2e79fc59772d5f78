/* Calls of functionalised operations, in both encodings: the operation on clones of what it writes. */
#include "proof/machine.h"

static struct item clone(struct machine *machine, const struct item *item) {
    struct item result = *item;
    if (item->kind == item_tensor) return item_of_tensor(tensor_clone(machine, item->tensor));
    if (item->kind != item_tuple) return result;
    result.tuple.items = arena_array(machine->prover->arena, struct item, item->tuple.count);
    for (size_t i = 0; i < item->tuple.count; i++) result.tuple.items[i] = clone(machine, &item->tuple.items[i]);
    return result;
}

/* The result's items, those that the operation returns in front: one None when it returns nothing. */
static struct item start_result(struct machine *machine, const struct bound_call *call, size_t rest, size_t *next) {
    size_t returns = call->operation->schema.return_count;
    *next = returns ? returns : 1;
    struct item result = {.kind = item_tuple, .tuple = {NULL, *next + rest}};
    result.tuple.items = arena_array(machine->prover->arena, struct item, *next + rest);
    for (size_t i = 0; i < returns; i++) result.tuple.items[i] = bound_return(machine, call, i);
    return result;
}

static struct item run_v1(struct machine *machine, struct node *node, struct bound_call *call) {
    const struct schema *schema = &call->operation->schema;
    size_t written = 0, next;
    for (size_t i = 0; i < schema->argument_count; i++) {
        bound_set(machine, call, i, functionalized_keyword(node, schema->arguments[i].name));
        if (!schema->arguments[i].written) continue;
        call->arguments[i] = clone(machine, &call->arguments[i]);
        written++;
    }
    bound_execute(machine, call);
    struct item result = start_result(machine, call, written, &next);
    for (size_t i = 0; i < schema->argument_count; i++)
        if (schema->arguments[i].written) result.tuple.items[next++] = call->arguments[i];
    return result;
}

/* ---- v2: written arguments are views of bases ---- */

static const struct value *view_key(struct machine *machine, const struct node *node, struct text name,
                                    const char *suffix) {
    return functionalized_keyword(node,
                                  text_of(text_format(machine->prover->arena, "_%.*s_%s", TEXT_ARGS(name), suffix)));
}

/* aten.slice(base, dim, start, end) */
static bool slice_base(struct machine *machine, const struct node *node, struct text name, struct tensor_value *view) {
    struct prover *prover = machine->prover;
    struct context *context = prover->context;
    int64_t dim, rank = (int64_t)view->place.layout.rank;
    symint start = value_as_symint(context, view_key(machine, node, name, "slice_start"));
    symint end = value_as_symint(context, view_key(machine, node, name, "slice_end"));
    if (!value_as_integer(view_key(machine, node, name, "slice_dim"), &dim) || dim < -rank || dim >= rank || !start ||
        !end)
        return false;
    if (dim < 0) dim += rank;
    symint size = view->place.layout.sizes[dim],
           *sizes = arena_copy(prover->arena, view->place.layout.sizes, (size_t)rank * sizeof *sizes);
    symint *bounds[] = {&start, &end}; /* a negative one counts from the end */
    for (size_t i = 0; i < 2; i++) {
        if (surely_less(prover, *bounds[i], number(prover, 0)))
            *bounds[i] = plus(prover, *bounds[i], size);
        else if (!surely_at_most(prover, number(prover, 0), *bounds[i]))
            return false;
    }
    if (symint_is(end, INT64_MAX) || surely_at_most(prover, size, end)) end = size;
    if (!surely_at_most(prover, end, size)) end = symint_min(prover->symbols, end, size);
    if (!surely_at_most(prover, start, end)) return false;
    sizes[dim] = minus(prover, end, start);
    view->place.layout.sizes = sizes;
    view->place.offset = plus(prover, view->place.offset, times(prover, start, view->place.layout.strides[dim]));
    return true;
}

/* aten.as_strided(base, size, stride, storage_offset): the offset counts from the start of the storage. */
static bool stride_base(struct machine *machine, const struct node *node, struct text name, struct tensor_value *view) {
    struct context *context = machine->prover->context;
    symint offset = value_as_symint(context, view_key(machine, node, name, "storage_offset")), *sizes, *strides;
    size_t rank, count;
    if (!view->buffer->strides_known || !offset) return false;
    if (!value_as_symint_list(context, view_key(machine, node, name, "size"), &sizes, &rank)) return false;
    if (!value_as_symint_list(context, view_key(machine, node, name, "stride"), &strides, &count) || rank != count)
        return false;
    view->place = (struct window_place){offset, {rank, sizes, strides}};
    view->by_numbers = true;
    return true;
}

/* The argument `name` from its base; the order of the tests is PyTorch's. */
static struct item regenerate(struct machine *machine, const struct node *node, struct text name,
                              const struct item *bases) {
    const struct value *index = view_key(machine, node, name, "base_index");
    int64_t base;
    if (!index || index->kind == value_none) return (struct item){.kind = item_none};
    bool found = value_as_integer(index, &base) && base >= 0 && (size_t)base < bases->tuple.count;
    const struct tensor_value *whole = found ? item_tensor_of(&bases->tuple.items[base]) : NULL;
    if (!whole) {
        prover_give_up(machine->prover, "the base of '%.*s' cannot be told", TEXT_ARGS(name));
        return (struct item){.kind = item_none};
    }
    struct tensor_value *view = tensor_make(machine, whole->buffer, &whole->place, whole->dtype);
    view->by_numbers = whole->by_numbers;
    bool alias = view_key(machine, node, name, "alias") != NULL, understood = true;
    if (!alias && view_key(machine, node, name, "storage_offset"))
        understood = stride_base(machine, node, name, view);
    else if (!alias && view_key(machine, node, name, "slice_dim"))
        understood = slice_base(machine, node, name, view);
    if (!understood) prover_give_up(machine->prover, "the view of the base of '%.*s' cannot be told", TEXT_ARGS(name));
    return item_of_tensor(view);
}

static struct item regenerate_list(struct machine *machine, const struct node *node, struct text name,
                                   const struct value *length, const struct item *bases) {
    int64_t count;
    if (length->kind == value_none || !value_as_integer(length, &count) || count < 0 || count > INT16_MAX)
        return (struct item){.kind = item_none};
    struct item list = {.kind = item_tuple,
                        .tuple = {arena_array(machine->prover->arena, struct item, (size_t)count), (size_t)count}};
    for (int64_t i = 0; i < count; i++) {
        const char *item = text_format(machine->prover->arena, "%.*s_%lld", TEXT_ARGS(name), (long long)i);
        list.tuple.items[i] = regenerate(machine, node, text_of(item), bases);
    }
    return list;
}

static struct item run_v2(struct machine *machine, struct node *node, struct bound_call *call) {
    const struct schema *schema = &call->operation->schema;
    const struct value *list = functionalized_keyword(node, TEXT("_all_bases"));
    struct item bases = {.kind = item_tuple};
    size_t next;
    if (list) bases = item_of_value(machine, list);
    if (bases.kind != item_tuple) prover_give_up(machine->prover, "its bases cannot be told");
    if (bases.kind != item_tuple) return bases;
    bases = clone(machine, &bases);
    for (size_t i = 0; i < schema->argument_count; i++) {
        struct text name = schema->arguments[i].name;
        const struct value *length = schema->arguments[i].list ? view_key(machine, node, name, "length") : NULL;
        if (!schema->arguments[i].written)
            bound_set(machine, call, i, functionalized_keyword(node, name));
        else if (length)
            call->arguments[i] = regenerate_list(machine, node, name, length, &bases);
        else
            call->arguments[i] = regenerate(machine, node, name, &bases);
    }
    bound_execute(machine, call);
    struct item result = start_result(machine, call, bases.tuple.count, &next);
    for (size_t i = 0; i < bases.tuple.count; i++) result.tuple.items[next + i] = bases.tuple.items[i];
    return result;
}

void run_functionalized(struct machine *machine, struct node *node, struct item *result) {
    const struct operation *called = node_called_operation(node);
    struct bound_call call;
    if (called->class == class_opaque) {
        run_opaque(machine, node, result);
        return;
    }
    bound_start(machine, &call, called);
    bool second = node_is(node, operation_higher_order_auto_functionalized_v2);
    *result = second ? run_v2(machine, node, &call) : run_v1(machine, node, &call);
}
