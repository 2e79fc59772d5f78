/* Binding of arguments to a schema, and results. */
#include "interp/call.h"

#include <stdlib.h>

#include "interp/kernels.h"

regraft_status call_fail(const struct call *call, regraft_status status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *message = text_format_list(call->arena, format, list);
    va_end(list);
    return fail(call->run->diagnostics, status, call->node->position, "'%.*s' (%.*s): %s", TEXT_ARGS(call->node->name),
                TEXT_ARGS(call->operation->target), message);
}

void call_init(struct call *call, struct run *run, struct node *node, const struct operation *operation) {
    *call = (struct call){.run = run, .arena = run->arena, .node = node, .operation = operation};
    call->arguments = arena_array(run->arena, struct argument, operation->schema.argument_count);
}

/* ---- binding ---- */

static struct argument wrapped_number(struct arena *arena, const struct argument *number) {
    struct tensor tensor =
        number->kind == argument_real
            ? tensor_scalar_real(arena, dtype_f64, number->real)
            : tensor_scalar_integer(arena, number->kind == argument_boolean ? dtype_b8 : dtype_i64,
                                    number->kind == argument_boolean ? number->boolean : number->integer);
    tensor.wrapped = true;
    return argument_of_tensor(arena, &tensor);
}

static bool is_number(const struct argument *argument) {
    return argument->kind == argument_boolean || argument->kind == argument_integer || argument->kind == argument_real;
}

/* The only element of a tensor without dimensions, as a number. */
static bool take_item(struct argument *argument) {
    if (argument->kind != argument_tensor || tensor_count(argument->tensor) != 1) return false;
    const struct tensor *tensor = argument->tensor;
    if (dtype_is_complex(tensor->dtype)) return false;
    if (dtype_is_floating(tensor->dtype))
        *argument = (struct argument){.kind = argument_real, .real = tensor_real(tensor, tensor->offset)};
    else
        *argument = argument_of_integer(tensor_integer(tensor, tensor->offset));
    return true;
}

/* Brings one item to the type of the schema; false when it is of another type. */
static bool coerce_item(struct arena *arena, enum schema_type type, struct argument *item) {
    switch (type) {
    case schema_tensor:
        if (is_number(item)) *item = wrapped_number(arena, item);
        return item->kind == argument_tensor;
    case schema_integer:
        if (item->kind == argument_boolean) *item = argument_of_integer(item->boolean);
        return item->kind == argument_integer;
    case schema_float:
        if (item->kind == argument_boolean) item->integer = item->boolean;
        if (item->kind == argument_boolean || item->kind == argument_integer)
            *item = (struct argument){.kind = argument_real, .real = (double)item->integer};
        return item->kind == argument_real || (take_item(item) && coerce_item(arena, type, item));
    case schema_scalar:
        return is_number(item) || take_item(item);
    case schema_bool:
        if (item->kind == argument_integer)
            *item = (struct argument){.kind = argument_boolean, .boolean = item->integer != 0};
        return item->kind == argument_boolean;
    case schema_string:
        return item->kind == argument_text;
    case schema_dtype:
        return item->kind == argument_dtype;
    default:
        return true;
    }
}

static bool coerce(struct arena *arena, const struct schema_argument *formal, struct argument *actual) {
    if (actual->kind == argument_none) return formal->optional || formal->type >= schema_layout;
    if (!formal->list) return coerce_item(arena, formal->type, actual);
    if (actual->kind != argument_list) { /* int[1]: one stands for a list of one */
        struct argument list = argument_of_list(arena, 1);
        list.list.items[0] = *actual;
        *actual = list;
    }
    for (size_t i = 0; i < actual->list.count; i++) {
        struct argument *item = &actual->list.items[i];
        if (item->kind == argument_none && formal->optional_item) continue;
        if (!coerce_item(arena, formal->type, item)) return false;
    }
    return true;
}

/* What a schema's default means: None, True, 0, 1e-6, 'none', [0, 1], contiguous_format. */
static struct argument parse_default(struct arena *arena, struct text text) {
    if (text_is(text, "None")) return (struct argument){.kind = argument_none};
    if (text_is(text, "True") || text_is(text, "False"))
        return (struct argument){.kind = argument_boolean, .boolean = text_is(text, "True")};
    if (text.length >= 2 && (text.data[0] == '\'' || text.data[0] == '"'))
        return (struct argument){.kind = argument_text, .text = {text.data + 1, text.length - 2}};
    const char *string = text_string(arena, text);
    char *end;
    if (text.length && text.data[0] == '[') {
        struct argument list = argument_of_list(arena, text.length);
        list.list.count = 0;
        for (string++; *string && *string != ']'; string += strspn(string, ", ")) {
            list.list.items[list.list.count++] = argument_of_integer(strtoll(string, &end, 10));
            if (end == string) break;
            string = end;
        }
        return list;
    }
    long long integer = strtoll(string, &end, 10);
    if (text.length && !*end) return argument_of_integer(integer);
    double real = strtod(string, &end);
    if (text.length && !*end) return (struct argument){.kind = argument_real, .real = real};
    return (struct argument){.kind = argument_opaque};
}

static const char *expected_name(enum schema_type type) {
    switch (type) {
    case schema_tensor:
        return "a tensor";
    case schema_integer:
        return "an integer";
    case schema_float:
    case schema_scalar:
        return "a number";
    case schema_bool:
        return "a bool";
    case schema_string:
        return "a string";
    case schema_dtype:
        return "an element type";
    default:
        return "something else";
    }
}

regraft_status call_set_argument(struct call *call, size_t index, struct argument argument) {
    const struct schema_argument *formal = &call->operation->schema.arguments[index];
    enum argument_kind found = argument.kind;
    if (!coerce(call->arena, formal, &argument))
        return call_fail(call, REGRAFT_REJECTED, "argument '%.*s' must be %s%s, but it is %s", TEXT_ARGS(formal->name),
                         formal->list ? "a list, each item " : "", expected_name(formal->type),
                         argument_kind_name(found));
    call->arguments[index] = argument;
    return REGRAFT_OK;
}

regraft_status call_set_value(struct call *call, size_t index, const struct value *value) {
    const struct schema_argument *formal = &call->operation->schema.arguments[index];
    struct argument argument = {.kind = argument_none};
    if (value)
        TRY(run_value(call->run, call->node, value, &argument));
    else if (formal->has_default)
        argument = parse_default(call->arena, formal->default_text);
    else if (!formal->optional)
        return call_fail(call, REGRAFT_REJECTED, "argument '%.*s' is missing", TEXT_ARGS(formal->name));
    return call_set_argument(call, index, argument);
}

regraft_status call_execute(struct call *call) {
    static kernel *const kernels[operation_id_count] = {
#define OPERATION(id, schema, class, effect, infer, kernel) [operation_##id] = kernel_##kernel,
#include "ir/operations.def"
#undef OPERATION
    };
    kernel *found = kernels[call->operation->id];
    call->scratch = arena_child(call->arena);
    regraft_status status = found ? found(call) : kernel_none(call);
    arena_destroy(call->scratch);
    return status;
}

regraft_status kernel_none(struct call *call) {
    return call_fail(call, REGRAFT_UNSUPPORTED,
                     "the interpreter cannot run this operation: there is no reference kernel for it");
}

regraft_status kernel_nothing(struct call *call) {
    (void)call;
    return REGRAFT_OK;
}

/* ---- arguments ---- */

struct argument *call_argument(const struct call *call, const char *name) {
    size_t index = schema_find_argument(&call->operation->schema, text_of(name));
    return index == SIZE_MAX ? NULL : &call->arguments[index];
}

bool call_has(const struct call *call, const char *name) {
    const struct argument *argument = call_argument(call, name);
    return argument && argument->kind != argument_none;
}

const struct tensor *call_tensor(const struct call *call, const char *name) {
    const struct argument *argument = call_argument(call, name);
    return argument && argument->kind == argument_tensor ? argument->tensor : NULL;
}

const struct tensor *call_operand(const struct call *call, const char *name) {
    const struct argument *argument = call_argument(call, name);
    if (!argument || !is_number(argument)) return call_tensor(call, name);
    return wrapped_number(call->arena, argument).tensor;
}

int64_t call_integer(const struct call *call, const char *name, int64_t fallback) {
    const struct argument *argument = call_argument(call, name);
    return argument && argument->kind == argument_integer ? argument->integer : fallback;
}

double call_real(const struct call *call, const char *name, double fallback) {
    const struct argument *argument = call_argument(call, name);
    if (!argument) return fallback;
    switch (argument->kind) {
    case argument_real:
        return argument->real;
    case argument_integer:
        return (double)argument->integer;
    case argument_boolean:
        return argument->boolean;
    default:
        return fallback;
    }
}

bool call_boolean(const struct call *call, const char *name) {
    const struct argument *argument = call_argument(call, name);
    return argument && argument->kind == argument_boolean && argument->boolean;
}

struct text call_text(const struct call *call, const char *name) {
    const struct argument *argument = call_argument(call, name);
    return argument && argument->kind == argument_text ? argument->text : TEXT("");
}

enum dtype call_dtype(const struct call *call, const char *name, enum dtype fallback) {
    const struct argument *argument = call_argument(call, name);
    return argument && argument->kind == argument_dtype ? argument->dtype : fallback;
}

regraft_status call_shape(const struct call *call, const char *name, struct shape *shape) {
    const struct argument *argument = call_argument(call, name);
    *shape = (struct shape){0};
    if (!argument || argument->kind != argument_list) return REGRAFT_OK;
    if (argument->list.count > rank_limit)
        return call_fail(call, REGRAFT_UNSUPPORTED, "'%s' has %zu dimensions; the interpreter takes at most %d", name,
                         argument->list.count, rank_limit);
    shape->rank = argument->list.count;
    for (size_t i = 0; i < shape->rank; i++) shape->sizes[i] = argument->list.items[i].integer;
    return REGRAFT_OK;
}

regraft_status call_dim(const struct call *call, int64_t dim, size_t rank, size_t *result) {
    int64_t limit = rank ? (int64_t)rank : 1;
    if (dim < -limit || dim >= limit)
        return call_fail(call, REGRAFT_REJECTED, "dimension %lld is out of range for a tensor of %zu dimensions",
                         (long long)dim, rank);
    *result = (size_t)(dim < 0 ? dim + limit : dim);
    return REGRAFT_OK;
}

regraft_status call_named_dim(const struct call *call, const char *name, size_t rank, size_t *result) {
    return call_dim(call, call_integer(call, name, 0), rank, result);
}

/* ---- results ---- */

/* The annotated type of result `index`: the node's own, or that of a getitem of it. */
static const struct type *annotated(const struct call *call, size_t index) {
    const struct type *type = call->node->type;
    int64_t item;
    if (type->kind == type_tensor) return index == 0 ? type : NULL;
    for (const struct value *use = call->node->users; use; use = use->use.next) {
        const struct node *user = use->use.user;
        if (user->kind == node_getitem && user->type->kind == type_tensor &&
            value_as_integer(&user->arguments[1], &item) && item == (int64_t)index)
            return user->type;
    }
    return type->kind == type_tuple && index < type->item_count && type->items[index]->kind == type_tensor
               ? type->items[index]
               : NULL;
}

regraft_status call_create(struct call *call, size_t index, enum dtype dtype, const struct shape *shape,
                           struct tensor *tensor) {
    const struct type *type = annotated(call, index);
    struct tensor plan = {.dtype = dtype, .shape = *shape};
    struct shape sizes;
    if (shape_count(shape) < 0)
        return call_fail(call, REGRAFT_REJECTED, "the result's sizes %s are negative or far too large",
                         shape_print(call->arena, shape));
    bool known = type && type->layout.strides && run_layout(call->run, &type->layout, &sizes, plan.strides);
    if (!known || !shape_equal(&sizes, shape) || tensor_extent(&plan) < 0)
        shape_contiguous_strides(shape, plan.strides);
    TRY(run_reserve(call->run, call->node, dtype, tensor_extent(&plan)));
    *tensor = tensor_create(call->arena, dtype, shape, plan.strides);
    return REGRAFT_OK;
}

regraft_status call_return(struct call *call, const struct tensor *tensor) {
    if (!tensor_fits(tensor))
        return call_fail(
            call, REGRAFT_REJECTED, "sizes %s, strides %s and offset %lld reach beyond the %zu bytes of the storage",
            shape_print(call->arena, &tensor->shape), integers_print(call->arena, tensor->strides, tensor->shape.rank),
            (long long)tensor->offset, tensor->storage->size);
    call->result = argument_of_tensor(call->arena, tensor);
    call->result.tensor->wrapped = false;
    return REGRAFT_OK;
}

regraft_status call_return_item(struct call *call, size_t index, size_t count, const struct tensor *tensor) {
    struct argument list = call->result.kind == argument_list ? call->result : argument_of_list(call->arena, count);
    TRY(call_return(call, tensor));
    list.list.items[index] = call->result;
    call->result = list;
    return REGRAFT_OK;
}

regraft_status call_create_result(struct call *call, enum dtype dtype, const struct shape *shape,
                                  struct tensor *tensor) {
    TRY(call_create(call, 0, dtype, shape, tensor));
    return call_return(call, tensor);
}
