/* What the tests of the interpreter share: graphs from a few lines, inputs from literals, results as text. */
#ifndef REGRAFT_TESTS_INTERP_SUPPORT_H
#define REGRAFT_TESTS_INTERP_SUPPORT_H

#include <math.h>

#include "fx_support.h"
#include "interp/interpreter.h"

static inline struct bindings *new_bindings(struct context *context) {
    struct bindings *bindings = arena_new(context->arena, struct bindings);
    bindings_init(bindings, context->arena);
    return bindings;
}

#define SHAPE(...)                                                                                                     \
    (struct shape) {                                                                                                   \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), { __VA_ARGS__ }                                            \
    }
#define SCALAR                                                                                                         \
    (struct shape) { 0 }

static inline void bind_values(struct bindings *bindings, const char *name, enum dtype dtype, struct shape shape,
                               const double *values) {
    struct tensor tensor = tensor_create(bindings->tensors.arena, dtype, &shape, NULL);
    for (int64_t i = 0; i < tensor_count(&tensor); i++) tensor_set_real(&tensor, i, values[i]);
    tensor_set_put(&bindings->tensors, text_of(name), &tensor);
}

#define BIND(bindings, name, dtype, shape, ...)                                                                        \
    bind_values((bindings), (name), (dtype), (shape), (const double[]){__VA_ARGS__})

/* start, start + 1, ... */
static inline void bind_range(struct bindings *bindings, const char *name, enum dtype dtype, struct shape shape,
                              double start) {
    struct tensor tensor = tensor_create(bindings->tensors.arena, dtype, &shape, NULL);
    for (int64_t i = 0; i < tensor_count(&tensor); i++) tensor_set_real(&tensor, i, start + (double)i);
    tensor_set_put(&bindings->tensors, text_of(name), &tensor);
}

/* "f32[2, 2] 1 2 3 4" */
static inline const char *describe(struct arena *arena, const struct tensor *tensor) {
    struct builder out;
    builder_init(&out, arena);
    if (!tensor) return "nothing";
    builder_format(&out, "%s%s", dtype_abbreviation(tensor->dtype), shape_print(arena, &tensor->shape));
    for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk)) {
        if (dtype_is_floating(tensor->dtype)) {
            double value = tensor_real(tensor, walk.position[0]);
            builder_format(&out, isnan(value) ? " nan" : " %.6g", value);
        } else {
            builder_format(&out, " %lld", (long long)tensor_integer(tensor, walk.position[0]));
        }
    }
    return out.data;
}

static inline struct outcome run_graph(struct graph *graph, const struct bindings *bindings) {
    struct outcome outcome;
    if (interpret(graph, bindings, graph->arena, &outcome) != REGRAFT_OK)
        fail_msg("%s", graph->context->diagnostics.message);
    return outcome;
}

static inline struct outcome run_body(struct context *context, const struct bindings *bindings, const char *parameters,
                                      const char *body) {
    return run_graph(read_body(context, parameters, body), bindings);
}

static inline void assert_result(const struct outcome *outcome, const char *name, const char *expected) {
    assert_string_equal(describe(outcome->results.arena, tensor_set_find(&outcome->results, text_of(name))), expected);
}

/* `expression` of x (and y) gives `expected`. */
static inline void assert_expression(struct context *context, const struct bindings *bindings, const char *expression,
                                     const char *expected) {
    const char *parameters = tensor_set_find(&bindings->tensors, TEXT("y")) ? ", x, y" : ", x";
    const char *body = text_format(context->arena, "        r = torch.ops.aten.%s\n        return (r,)\n", expression);
    struct outcome outcome = run_body(context, bindings, parameters, body);
    const char *found = describe(context->arena, tensor_set_find(&outcome.results, TEXT("out0")));
    if (strcmp(found, expected) != 0) fail_msg("%s\n  expected %s\n  found    %s", expression, expected, found);
}

/* The run is refused with this status, and the message contains `part`. */
static inline void assert_refused(struct context *context, const struct bindings *bindings, const char *parameters,
                                  const char *body, regraft_status status, const char *part) {
    struct outcome outcome;
    diagnostics_clear(&context->diagnostics);
    assert_int_equal(interpret(read_body(context, parameters, body), bindings, context->arena, &outcome), status);
    if (!strstr(context->diagnostics.message, part))
        fail_msg("expected \"%s\" in: %s", part, context->diagnostics.message);
    diagnostics_clear(&context->diagnostics);
}

#endif
