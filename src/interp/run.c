/* What kernels need of a run: values of symbols and arguments, layer state, the limit of memory. */
#include "interp/run.h"

/* Of one run, all storages together. More is taken for a mistake in the sizes. */
static const uint64_t memory_limit = UINT64_C(16) << 30;

bool run_evaluate(const struct run *run, symint expression, int64_t *value) {
    return symint_evaluate(expression, symint_lookup_in_map, run->symbols, value);
}

bool run_layout(const struct run *run, const struct layout *layout, struct shape *shape, int64_t *strides) {
    if (layout->rank > rank_limit) return false;
    shape->rank = layout->rank;
    for (size_t i = 0; i < layout->rank; i++) {
        if (!run_evaluate(run, layout->sizes[i], &shape->sizes[i])) return false;
        if (layout->strides && !run_evaluate(run, layout->strides[i], &strides[i])) return false;
    }
    return true;
}

regraft_status run_reserve(struct run *run, const struct node *node, enum dtype dtype, int64_t extent) {
    uint64_t limit = memory_limit / dtype_size(dtype);
    if (extent >= 0 && (uint64_t)extent <= limit) run->bytes += (uint64_t)extent * dtype_size(dtype);
    if (extent >= 0 && (uint64_t)extent <= limit && run->bytes <= memory_limit) return REGRAFT_OK;
    return fail(run->diagnostics, REGRAFT_UNSUPPORTED, node->position,
                "'%.*s': the run would need more than %llu GiB of memory; give smaller sizes", TEXT_ARGS(node->name),
                (unsigned long long)(memory_limit >> 30));
}

regraft_status run_state(struct run *run, struct node *node, struct text owner, const char *field,
                         struct tensor *tensor) {
    struct text name = text_of(text_format(run->arena, "%.*s/%s", TEXT_ARGS(owner), field));
    const struct tensor *copy = tensor_set_find(&run->state, name);
    if (!copy) {
        const struct tensor *given = tensor_set_find(&run->bindings->tensors, name);
        if (!given)
            return fail(run->diagnostics, REGRAFT_REJECTED, node->position,
                        "'%.*s' needs the state '%s' of '%.*s': expected a tensor '%.*s' among the inputs",
                        TEXT_ARGS(node->name), field, TEXT_ARGS(owner), TEXT_ARGS(name));
        TRY(run_reserve(run, node, given->dtype, tensor_count(given)));
        struct tensor fresh = tensor_convert(run->arena, given, given->dtype);
        tensor_set_put(&run->state, name, &fresh);
        copy = tensor_set_find(&run->state, name);
    }
    *tensor = *copy;
    return REGRAFT_OK;
}

static regraft_status evaluate_argument(struct run *run, struct node *node, symint expression,
                                        struct argument *argument) {
    int64_t value;
    if (run_evaluate(run, expression, &value)) {
        *argument = argument_of_integer(value);
        return REGRAFT_OK;
    }
    return fail(run->diagnostics, REGRAFT_REJECTED, node->position,
                "'%.*s': the value of '%s' is not known: no input of the graph gives it", TEXT_ARGS(node->name),
                symint_string(run->arena, expression));
}

static regraft_status list_argument(struct run *run, struct node *node, const struct value *value,
                                    struct argument *argument) {
    *argument = argument_of_list(run->arena, value->list.count);
    for (size_t i = 0; i < value->list.count; i++)
        TRY(run_value(run, node, &value->list.items[i], &argument->list.items[i]));
    return REGRAFT_OK;
}

regraft_status run_value(struct run *run, struct node *node, const struct value *value, struct argument *argument) {
    *argument = (struct argument){.kind = argument_opaque};
    switch (value->kind) {
    case value_none:
        argument->kind = argument_none;
        break;
    case value_bool:
        *argument = (struct argument){.kind = argument_boolean, .boolean = value->boolean};
        break;
    case value_integer:
        *argument = argument_of_integer(value->integer);
        break;
    case value_float:
        *argument = (struct argument){.kind = argument_real, .real = value->real};
        break;
    case value_string:
        *argument = (struct argument){.kind = argument_text, .text = value->string};
        break;
    case value_dtype:
        *argument = (struct argument){.kind = argument_dtype, .dtype = value->dtype};
        break;
    case value_node:
        *argument = run->results[value->use.node->index];
        break;
    case value_symint:
        return evaluate_argument(run, node, value->expression, argument);
    case value_list:
    case value_tuple:
        return list_argument(run, node, value, argument);
    default:
        break;
    }
    return REGRAFT_OK;
}
