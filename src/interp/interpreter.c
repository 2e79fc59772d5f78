#include "interp/interpreter.h"

#include "interp/functionalized.h"
#include "interp/placeholders.h"

static const struct argument none = {.kind = argument_none};

/* ---- nodes ---- */

static regraft_status run_call(struct run *run, struct node *node, struct argument *result) {
    struct call call;
    if (!node->operation)
        return fail(run->diagnostics, REGRAFT_UNSUPPORTED, node->position,
                    "'%.*s': the interpreter does not know the operation '%.*s'", TEXT_ARGS(node->name),
                    TEXT_ARGS(node->target));
    if (node->operation->class == class_higher) return functionalized_run(run, node, result);
    call_init(&call, run, node, node->operation);
    for (size_t i = 0; i < node->operation->schema.argument_count; i++)
        TRY(call_set_value(&call, i, node_argument(node, i)));
    TRY(call_execute(&call));
    *result = call.result;
    return REGRAFT_OK;
}

static regraft_status run_getitem(struct run *run, struct node *node, struct argument *result) {
    struct argument list, index;
    if (node->argument_count < 2)
        return fail(run->diagnostics, REGRAFT_REJECTED, node->position, "'%.*s' lacks an index", TEXT_ARGS(node->name));
    TRY(run_value(run, node, &node->arguments[0], &list));
    TRY(run_value(run, node, &node->arguments[1], &index));
    if (list.kind != argument_list || index.kind != argument_integer)
        return fail(run->diagnostics, REGRAFT_UNSUPPORTED, node->position,
                    "'%.*s': the interpreter takes items of lists only", TEXT_ARGS(node->name));
    int64_t count = (int64_t)list.list.count, at = index.integer < 0 ? index.integer + count : index.integer;
    if (at < 0 || at >= count)
        return fail(run->diagnostics, REGRAFT_REJECTED, node->position, "'%.*s': there is no item %lld among %lld",
                    TEXT_ARGS(node->name), (long long)index.integer, (long long)count);
    *result = list.list.items[at];
    return REGRAFT_OK;
}

static bool divide_floor(int64_t a, int64_t b, int64_t *quotient) {
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *quotient = a / b - (a % b != 0 && (a < 0) != (b < 0));
    return true;
}

/* Python's operators on integers; false when there is no such operator or the result does not fit. */
static bool compute_integer(struct text operator, int64_t a, int64_t b, size_t operands, int64_t *result) {
    int64_t quotient;
    if (operands == 1)
        return (text_is(operator, "neg") || text_is(operator, "-")) && !__builtin_sub_overflow(0, a, result);
    if (text_is(operator, "+") || text_is(operator, "+=")) return !__builtin_add_overflow(a, b, result);
    if (text_is(operator, "-") || text_is(operator, "-=")) return !__builtin_sub_overflow(a, b, result);
    if (text_is(operator, "*") || text_is(operator, "*=")) return !__builtin_mul_overflow(a, b, result);
    if (text_is(operator, "//") || text_is(operator, "//=")) return divide_floor(a, b, result);
    if (text_is(operator, "%") || text_is(operator, "%=")) {
        if (!divide_floor(a, b, &quotient)) return false;
        *result = a - quotient * b;
        return true;
    }
    return false;
}

static regraft_status run_operator(struct run *run, struct node *node, struct argument *result) {
    struct argument operands[2] = {none, none};
    int64_t value;
    for (size_t i = 0; i < node->argument_count && i < 2; i++)
        TRY(run_value(run, node, &node->arguments[i], &operands[i]));
    bool integers = node->argument_count >= 1 && operands[0].kind == argument_integer &&
                    (node->argument_count == 1 || operands[1].kind == argument_integer);
    if (!integers || !compute_integer(node->target, operands[0].integer,
                                      node->argument_count > 1 ? operands[1].integer : 0, node->argument_count, &value))
        return fail(run->diagnostics, REGRAFT_UNSUPPORTED, node->position,
                    "'%.*s': the interpreter cannot apply '%.*s' to these operands", TEXT_ARGS(node->name),
                    TEXT_ARGS(node->target));
    *result = argument_of_integer(value);
    return REGRAFT_OK;
}

/* self.NAME: a tensor of the inputs under that name, else only a name. */
static regraft_status run_attribute(struct run *run, struct node *node, struct argument *result) {
    const struct tensor *given = tensor_set_find(&run->bindings->tensors, node->target);
    if (!given) given = tensor_set_find(&run->bindings->tensors, node->name);
    *result = (struct argument){.kind = argument_text, .text = node->target};
    if (!given) return REGRAFT_OK;
    struct tensor copy = tensor_convert(run->arena, given, given->dtype);
    *result = argument_of_tensor(run->arena, &copy);
    return REGRAFT_OK;
}

static regraft_status run_node(struct run *run, struct node *node, struct argument *result) {
    switch (node->kind) {
    case node_call:
        return run_call(run, node, result);
    case node_getitem:
        return run_getitem(run, node, result);
    case node_operator:
        return run_operator(run, node, result);
    case node_attribute:
        return run_attribute(run, node, result);
    case node_rename:
        return run_value(run, node, &node->arguments[0], result);
    case node_method:
        return fail(run->diagnostics, REGRAFT_UNSUPPORTED, node->position,
                    "'%.*s': the interpreter does not know the method '%.*s'", TEXT_ARGS(node->name),
                    TEXT_ARGS(node->target));
    default:
        return REGRAFT_OK;
    }
}

/* ---- annotations ---- */

/* Strides matter where there are at least two elements along a dimension of a tensor that is not empty. */
static bool strides_agree(const struct tensor *tensor, const int64_t *strides) {
    if (tensor_count(tensor) == 0) return true;
    for (size_t i = 0; i < tensor->shape.rank; i++)
        if (tensor->shape.sizes[i] > 1 && tensor->strides[i] != strides[i]) return false;
    return true;
}

static regraft_status check_tensor(struct run *run, const struct node *node, const struct tensor *tensor) {
    const struct layout *layout = &node->type->layout;
    struct shape shape;
    int64_t strides[rank_limit];
    bool agrees = tensor->dtype == node->type->dtype && tensor->shape.rank == layout->rank;
    for (size_t i = 0; agrees && i < layout->rank; i++)
        agrees = run_bind_symbol(run, layout->sizes[i], tensor->shape.sizes[i]);
    if (agrees && (!layout->strides || !run_layout(run, layout, &shape, strides) || strides_agree(tensor, strides)))
        return REGRAFT_OK;
    return fail(run->diagnostics, REGRAFT_REJECTED, node->position,
                "'%.*s': the annotation says %s, the operation gives %s%s%s", TEXT_ARGS(node->name),
                type_string(run->arena, node->type), dtype_abbreviation(tensor->dtype),
                shape_print(run->arena, &tensor->shape),
                integers_print(run->arena, tensor->strides, tensor->shape.rank));
}

static regraft_status check_annotation(struct run *run, const struct node *node, const struct argument *result) {
    int64_t expected;
    if (node->type->kind == type_tensor && result->kind == argument_tensor)
        return check_tensor(run, node, result->tensor);
    if (node->type->kind == type_tensor && node->kind != node_attribute)
        return fail(run->diagnostics, REGRAFT_REJECTED, node->position,
                    "'%.*s': the annotation says a tensor, the operation gives %s", TEXT_ARGS(node->name),
                    argument_kind_name(result->kind));
    if (node->type->kind != type_integer || result->kind != argument_integer) return REGRAFT_OK;
    if (run_bind_symbol(run, node->type->integer, result->integer)) return REGRAFT_OK;
    run_evaluate(run, node->type->integer, &expected);
    return fail(run->diagnostics, REGRAFT_REJECTED, node->position,
                "'%.*s': the annotation says %lld, the operation gives %lld", TEXT_ARGS(node->name),
                (long long)expected, (long long)result->integer);
}

/* ---- outcome ---- */

/* A row-major copy, so that later changes and the layout do not matter. */
static void put_copy(struct tensor_set *set, const char *name, const struct tensor *tensor) {
    struct tensor copy = tensor_convert(set->arena, tensor, tensor->dtype);
    tensor_set_put(set, text_of(name), &copy);
}

static void put_results(struct run *run, const struct argument *result, size_t *index, struct tensor_set *set) {
    if (result->kind == argument_list) {
        for (size_t i = 0; i < result->list.count; i++) put_results(run, &result->list.items[i], index, set);
        return;
    }
    if (result->kind == argument_tensor) put_copy(set, text_format(run->arena, "out%zu", *index), result->tensor);
    if (result->kind == argument_integer) {
        struct tensor integer = tensor_scalar_integer(set->arena, dtype_i64, result->integer);
        tensor_set_put(set, text_of(text_format(run->arena, "out%zu", *index)), &integer);
    }
    ++*index;
}

/* The final value of an input or a piece of state: among the results when it differs from what was given. */
static void put_final(struct outcome *outcome, const char *name, const struct tensor *final,
                      const struct tensor *given) {
    if (given && tensor_identical(final, given))
        tensor_set_put(&outcome->unchanged, text_of(name), given);
    else
        put_copy(&outcome->results, name, final);
}

static void put_inputs(struct run *run, struct outcome *outcome) {
    for (struct node *node = run->graph->first; node; node = node->next) {
        const struct argument *input = &run->results[node->index];
        if (node->kind != node_placeholder || input->kind != argument_tensor) continue;
        put_final(outcome, text_format(run->arena, "mutated/%.*s", TEXT_ARGS(node->name)), input->tensor,
                  tensor_set_find(&run->bindings->tensors, node->name));
    }
}

static bool names_state(struct text name) {
    for (size_t i = 0; i < name.length; i++)
        if (name.data[i] == '/') return true;
    return false;
}

static void put_state(struct run *run, struct outcome *outcome) {
    const struct tensor_set *given = &run->bindings->tensors;
    for (size_t i = 0; i < given->items.count; i++) {
        const struct named_tensor *item = given->items.items[i];
        const struct tensor *final = tensor_set_find(&run->state, item->name);
        if (names_state(item->name))
            put_final(outcome, text_string(run->arena, item->name), final ? final : &item->tensor, &item->tensor);
    }
}

static regraft_status look_on(void *user, struct run *run) {
    (void)user;
    (void)run;
    return REGRAFT_OK;
}

static regraft_status look_at(void *user, struct run *run, struct node *node) {
    (void)node;
    return look_on(user, run);
}

regraft_status interpret(struct graph *graph, const struct bindings *bindings, struct arena *arena,
                         struct outcome *outcome) {
    static const struct run_watch nobody = {look_on, look_at, look_at, NULL};
    return interpret_watched(graph, bindings, arena, &nobody, outcome);
}

regraft_status interpret_watched(struct graph *graph, const struct bindings *bindings, struct arena *arena,
                                 const struct run_watch *watch, struct outcome *outcome) {
    struct run run = {
        .graph = graph, .arena = arena, .diagnostics = &graph->context->diagnostics, .bindings = bindings};
    size_t index = 0;
    run.results = arena_array(arena, struct argument, graph->node_limit);
    run.symbols = map_create(arena);
    tensor_set_init(&run.state, arena);
    tensor_set_init(&outcome->results, arena);
    tensor_set_init(&outcome->unchanged, arena);
    TRY(placeholders_bind(&run));
    TRY(watch->start(watch->user, &run));
    for (struct node *node = graph->first; node; node = node->next) {
        struct argument *result = &run.results[node->index];
        if (node->kind == node_placeholder) continue;
        if (node->kind == node_output) {
            struct argument returned = none;
            if (node->argument_count) TRY(run_value(&run, node, &node->arguments[0], &returned));
            put_results(&run, &returned, &index, &outcome->results);
            continue;
        }
        TRY(watch->before(watch->user, &run, node));
        TRY(run_node(&run, node, result));
        TRY(check_annotation(&run, node, result));
        TRY(watch->after(watch->user, &run, node));
    }
    put_inputs(&run, outcome);
    put_state(&run, outcome);
    return REGRAFT_OK;
}
