#include "interp/placeholders.h"

#include <ctype.h>

static bool is_symbol(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_') return false;
    while (isalnum((unsigned char)*text) || *text == '_') text++;
    return !*text;
}

bool run_bind_symbol(struct run *run, symint expression, int64_t value) {
    int64_t known;
    if (run_evaluate(run, expression, &known)) return known == value;
    const char *text = symint_string(run->arena, expression);
    if (is_symbol(text)) *map_slot_text(run->symbols, text_of(text)) = arena_copy(run->arena, &value, sizeof value);
    return true;
}

static regraft_status reject(struct run *run, const struct node *node, const char *found) {
    return fail(run->diagnostics, REGRAFT_REJECTED, node->position, "input '%.*s': expected %s, found %s",
                TEXT_ARGS(node->name),
                node->type->kind == type_tensor || node->type->kind == type_integer
                    ? type_string(run->arena, node->type)
                    : "a tensor",
                found);
}

/* Symbols from `Sym(s72)` placeholders whose value is given. */
static regraft_status bind_integer(struct run *run, const struct node *node) {
    const int64_t *given = map_get_text(run->bindings->symints, node->name);
    if (!given || run_bind_symbol(run, node->type->integer, *given)) return REGRAFT_OK;
    return reject(run, node,
                  text_format(run->arena, "%lld, which contradicts what other inputs say", (long long)*given));
}

/* Symbols from the sizes of a tensor. */
static regraft_status bind_sizes(struct run *run, const struct node *node) {
    const struct tensor *given = tensor_set_find(&run->bindings->tensors, node->name);
    const struct layout *layout = &node->type->layout;
    if (!given) return reject(run, node, "no tensor of that name among the inputs");
    const char *shape =
        text_format(run->arena, "%s%s", dtype_abbreviation(given->dtype), shape_print(run->arena, &given->shape));
    if (given->dtype != node->type->dtype || given->shape.rank != layout->rank) return reject(run, node, shape);
    for (size_t i = 0; i < layout->rank; i++) {
        if (run_bind_symbol(run, layout->sizes[i], given->shape.sizes[i])) continue;
        int64_t expected = -1;
        run_evaluate(run, layout->sizes[i], &expected);
        return reject(run, node,
                      text_format(run->arena, "%s: dimension %zu should be %s = %lld", shape, i,
                                  symint_string(run->arena, layout->sizes[i]), (long long)expected));
    }
    return REGRAFT_OK;
}

static bool strides_overlap(const struct tensor *tensor) {
    for (size_t i = 0; i < tensor->shape.rank; i++)
        if (tensor->strides[i] == 0 && tensor->shape.sizes[i] > 1) return true;
    return false;
}

/* A copy of the given tensor, laid out as annotated. An input that repeats elements (stride 0) takes the last of
 * them. */
static regraft_status place_tensor(struct run *run, struct node *node) {
    const struct tensor *given = tensor_set_find(&run->bindings->tensors, node->name);
    struct tensor plan = *given;
    const struct layout *layout = &node->type->layout;
    if (!run_layout(run, layout, &plan.shape, plan.strides) || !shape_equal(&plan.shape, &given->shape))
        return reject(
            run, node,
            text_format(run->arena, "sizes %s that do not settle it", shape_print(run->arena, &given->shape)));
    if (!layout->strides) shape_contiguous_strides(&plan.shape, plan.strides);
    plan.offset = 0;
    if (tensor_extent(&plan) < 0) return reject(run, node, "strides that are negative or far too large");
    TRY(run_reserve(run, node, plan.dtype, tensor_extent(&plan)));
    struct tensor tensor = tensor_create(run->arena, plan.dtype, &plan.shape, plan.strides);
    tensor_copy(run->arena, &tensor, given);
    if (strides_overlap(&tensor) && !tensor_identical(&tensor, given))
        return reject(run, node, "a tensor whose elements differ along a dimension of stride 0");
    run->results[node->index] = argument_of_tensor(run->arena, &tensor);
    return REGRAFT_OK;
}

static regraft_status place_integer(struct run *run, struct node *node) {
    int64_t value;
    if (!run_evaluate(run, node->type->integer, &value))
        return reject(run, node, "no value of that name among the symints");
    run->results[node->index] = argument_of_integer(value);
    return REGRAFT_OK;
}

/* A placeholder without a type: a tensor or an integer if the inputs have one of its name, else the name of a layer. */
static void place_object(struct run *run, struct node *node) {
    const struct tensor *given = tensor_set_find(&run->bindings->tensors, node->name);
    const int64_t *integer = map_get_text(run->bindings->symints, node->name);
    struct argument *result = &run->results[node->index];
    if (given) {
        struct tensor copy = tensor_convert(run->arena, given, given->dtype);
        *result = argument_of_tensor(run->arena, &copy);
    } else if (integer) {
        *result = argument_of_integer(*integer);
    } else {
        *result = (struct argument){.kind = argument_text, .text = node->name};
    }
}

regraft_status placeholders_bind(struct run *run) {
    for (struct node *node = run->graph->first; node; node = node->next)
        if (node->kind == node_placeholder && node->type->kind == type_integer) TRY(bind_integer(run, node));
    for (struct node *node = run->graph->first; node; node = node->next)
        if (node->kind == node_placeholder && node->type->kind == type_tensor) TRY(bind_sizes(run, node));
    for (struct node *node = run->graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        switch (node->type->kind) {
        case type_tensor:
            TRY(place_tensor(run, node));
            break;
        case type_integer:
            TRY(place_integer(run, node));
            break;
        case type_none:
            break;
        default:
            place_object(run, node);
            break;
        }
    }
    return REGRAFT_OK;
}
