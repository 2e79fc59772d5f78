#include "interp/functionalized.h"

#include "interp/kernels.h"

static const struct value *keyword(const struct node *node, const char *name) {
    for (size_t i = 0; i < node->argument_count; i++)
        if (text_is(node->arguments[i].keyword, name)) return &node->arguments[i];
    return NULL;
}

static struct argument clone(struct arena *arena, const struct argument *argument) {
    struct tensor copy;
    if (argument->kind != argument_tensor) return *argument;
    copy = tensor_clone_storage(arena, argument->tensor);
    return argument_of_tensor(arena, &copy);
}

/* v1: the written arguments themselves are cloned; a list of tensors one by one. */
static struct argument clone_all(struct arena *arena, const struct argument *argument) {
    if (argument->kind != argument_list) return clone(arena, argument);
    struct argument list = argument_of_list(arena, argument->list.count);
    for (size_t i = 0; i < list.list.count; i++) list.list.items[i] = clone(arena, &argument->list.items[i]);
    return list;
}

/* The result's list, with what the operation returned in front: one None when it returns nothing. */
static struct argument start_result(const struct call *call, size_t mutated, size_t *next) {
    size_t returns = call->operation->schema.return_count;
    size_t front = returns ? returns : 1;
    struct argument list = argument_of_list(call->arena, front + mutated);
    for (size_t i = 0; i < returns; i++)
        list.list.items[i] =
            returns == 1 || call->result.kind != argument_list ? call->result : call->result.list.items[i];
    *next = front;
    return list;
}

static regraft_status run_v1(struct call *call, struct argument *result) {
    const struct schema *schema = &call->operation->schema;
    size_t mutated = 0, next;
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct text name = schema->arguments[i].name;
        TRY(call_set_value(call, i, keyword(call->node, text_string(call->arena, name))));
        if (!schema->arguments[i].written) continue;
        call->arguments[i] = clone_all(call->arena, &call->arguments[i]);
        mutated++;
    }
    TRY(call_execute(call));
    *result = start_result(call, mutated, &next);
    for (size_t i = 0; i < schema->argument_count; i++)
        if (schema->arguments[i].written) result->list.items[next++] = call->arguments[i];
    return REGRAFT_OK;
}

/* ---- v2: written arguments are views of bases ---- */

/* The value of `_NAME_SUFFIX`, or NULL. */
static const struct value *view_key(const struct call *call, struct text name, const char *suffix) {
    return keyword(call->node, text_format(call->arena, "_%.*s_%s", TEXT_ARGS(name), suffix));
}

static regraft_status view_integers(struct call *call, struct text name, const char *suffix, struct shape *integers) {
    const struct value *value = view_key(call, name, suffix);
    struct argument list = {.kind = argument_none};
    if (value) TRY(run_value(call->run, call->node, value, &list));
    if (list.kind == argument_integer) {
        *integers = (struct shape){1, {list.integer}};
        return REGRAFT_OK;
    }
    if (list.kind != argument_list || list.list.count > rank_limit)
        return call_fail(call, REGRAFT_REJECTED,
                         "the view of '%.*s' is not complete: '_%.*s_%s' must be given as integers", TEXT_ARGS(name),
                         TEXT_ARGS(name), suffix);
    integers->rank = list.list.count;
    for (size_t i = 0; i < integers->rank; i++) {
        if (list.list.items[i].kind != argument_integer)
            return call_fail(call, REGRAFT_REJECTED, "'_%.*s_%s' must hold integers", TEXT_ARGS(name), suffix);
        integers->sizes[i] = list.list.items[i].integer;
    }
    return REGRAFT_OK;
}

/* aten.slice(base, dim, start, end): the end may be "to the end". */
static regraft_status slice_view(struct call *call, struct text name, struct tensor *view) {
    struct shape dim, start, end;
    size_t at;
    TRY(view_integers(call, name, "slice_dim", &dim));
    TRY(view_integers(call, name, "slice_start", &start));
    TRY(view_integers(call, name, "slice_end", &end));
    TRY(call_dim(call, dim.sizes[0], view->shape.rank, &at));
    int64_t size = view->shape.sizes[at], from = start.sizes[0], to = end.sizes[0];
    if (from < 0) from += size;
    if (to < 0) to += size;
    if (to > size) to = size;
    if (from < 0 || from > to)
        return call_fail(call, REGRAFT_REJECTED, "the slice [%lld, %lld) of '%.*s' does not lie in its base",
                         (long long)from, (long long)to, TEXT_ARGS(name));
    view->shape.sizes[at] = to - from;
    view->offset += from * view->strides[at];
    return REGRAFT_OK;
}

/* aten.as_strided(base, size, stride, storage_offset): the offset counts from the start of the storage. */
static regraft_status strided_view(struct call *call, struct text name, struct tensor *view) {
    struct shape sizes, strides, offset;
    TRY(view_integers(call, name, "size", &sizes));
    TRY(view_integers(call, name, "stride", &strides));
    TRY(view_integers(call, name, "storage_offset", &offset));
    view->shape = sizes;
    memcpy(view->strides, strides.sizes, sizeof strides.sizes);
    view->offset = offset.sizes[0];
    if (strides.rank == sizes.rank && tensor_fits(view)) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "the view of '%.*s' does not lie in its base", TEXT_ARGS(name));
}

/* The argument (or item of a list) `name` from its base; the order of the tests is PyTorch's. */
static regraft_status regenerate(struct call *call, struct text name, const struct argument *bases,
                                 struct argument *argument) {
    const struct value *index = view_key(call, name, "base_index");
    struct argument number = {.kind = argument_none};
    if (index) TRY(run_value(call->run, call->node, index, &number));
    *argument = (struct argument){.kind = argument_none};
    if (number.kind == argument_none) return REGRAFT_OK;
    if (number.kind != argument_integer || number.integer < 0 || (uint64_t)number.integer >= bases->list.count ||
        bases->list.items[number.integer].kind != argument_tensor)
        return call_fail(call, REGRAFT_REJECTED, "'_%.*s_base_index' does not name one of the %zu bases",
                         TEXT_ARGS(name), bases->list.count);
    struct tensor view = *bases->list.items[number.integer].tensor;
    bool whole = view_key(call, name, "alias") != NULL;
    if (!whole && view_key(call, name, "storage_offset"))
        TRY(strided_view(call, name, &view));
    else if (!whole && view_key(call, name, "slice_dim"))
        TRY(slice_view(call, name, &view));
    *argument = argument_of_tensor(call->arena, &view);
    return REGRAFT_OK;
}

static regraft_status regenerate_list(struct call *call, struct text name, const struct value *length,
                                      const struct argument *bases, struct argument *argument) {
    *argument = (struct argument){.kind = argument_none};
    if (length->kind == value_none) return REGRAFT_OK;
    if (length->kind != value_integer || length->integer < 0 || length->integer > INT32_MAX)
        return call_fail(call, REGRAFT_REJECTED, "'_%.*s_length' must be a number from 0 on", TEXT_ARGS(name));
    *argument = argument_of_list(call->arena, (size_t)length->integer);
    for (size_t i = 0; i < argument->list.count; i++)
        TRY(regenerate(call, text_of(text_format(call->arena, "%.*s_%zu", TEXT_ARGS(name), i)), bases,
                       &argument->list.items[i]));
    return REGRAFT_OK;
}

static regraft_status clone_bases(struct call *call, struct argument *bases) {
    const struct value *value = keyword(call->node, "_all_bases");
    *bases = argument_of_list(call->arena, 0);
    if (value) TRY(run_value(call->run, call->node, value, bases));
    if (bases->kind != argument_list)
        return call_fail(call, REGRAFT_REJECTED, "'_all_bases' must be a list of tensors");
    *bases = clone_all(call->arena, bases);
    return REGRAFT_OK;
}

static regraft_status run_v2(struct call *call, struct argument *result) {
    const struct schema *schema = &call->operation->schema;
    struct argument bases, argument;
    size_t next;
    TRY(clone_bases(call, &bases));
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct text name = schema->arguments[i].name;
        const struct value *length = schema->arguments[i].list ? view_key(call, name, "length") : NULL;
        if (!schema->arguments[i].written) {
            TRY(call_set_value(call, i, keyword(call->node, text_string(call->arena, name))));
            continue;
        }
        if (length)
            TRY(regenerate_list(call, name, length, &bases, &argument));
        else
            TRY(regenerate(call, name, &bases, &argument));
        TRY(call_set_argument(call, i, argument));
    }
    TRY(call_execute(call));
    *result = start_result(call, bases.list.count, &next);
    for (size_t i = 0; i < bases.list.count; i++) result->list.items[next + i] = bases.list.items[i];
    return REGRAFT_OK;
}

regraft_status functionalized_run(struct run *run, struct node *node, struct argument *result) {
    const struct value *target = node->argument_count ? &node->arguments[0] : NULL;
    struct call call;
    if (!target || target->kind != value_operator)
        return fail(run->diagnostics, REGRAFT_REJECTED, node->position,
                    "'%.*s': the first argument must be the wrapped operation", TEXT_ARGS(node->name));
    if (!target->operation)
        return fail(run->diagnostics, REGRAFT_UNSUPPORTED, node->position,
                    "'%.*s': the interpreter does not know the operation '%.*s'", TEXT_ARGS(node->name),
                    TEXT_ARGS(target->written));
    call_init(&call, run, node, target->operation);
    return node_is(node, operation_higher_order_auto_functionalized_v2) ? run_v2(&call, result) : run_v1(&call, result);
}

regraft_status kernel_auto_functionalized(struct call *call) {
    return functionalized_run(call->run, call->node, &call->result);
}

regraft_status kernel_auto_functionalized_v2(struct call *call) {
    return functionalized_run(call->run, call->node, &call->result);
}
