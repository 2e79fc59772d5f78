/* What the tests of the readers share: a context, texts in memory, and messages compared word for word. */
#ifndef REGRAFT_TESTS_FX_SUPPORT_H
#define REGRAFT_TESTS_FX_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "fx/fx.h"

#include <cmocka.h> /* last: it has a macro fail() */

struct fixture {
    struct context context;
    struct arena_guard guard;
};

static inline int fixture_open(void **state) {
    static struct fixture fixture; /* one test at a time */
    struct context *context = &fixture.context;
    *context = (struct context){.arena = arena_create(NULL)};
    assert_non_null(context->arena);
    if (arena_guarded(context->arena, &fixture.guard)) fail_msg("out of memory");
    diagnostics_init(&context->diagnostics, context->arena);
    context->symbols = symbols_create(context->arena);
    assert_int_equal(operations_create(context->arena, &context->diagnostics, &context->operations), REGRAFT_OK);
    *state = &fixture;
    return 0;
}

static inline int fixture_close(void **state) {
    struct fixture *fixture = *state;
    arena_unguard(fixture->context.arena, &fixture->guard);
    arena_destroy(fixture->context.arena);
    return 0;
}

#define FX_TEST(function) cmocka_unit_test_setup_teardown(function, fixture_open, fixture_close)

static inline struct context *context_of(void **state) { return &((struct fixture *)*state)->context; }

static inline struct file *read_file(struct context *context, struct text text) {
    struct file *file = NULL;
    if (file_read_memory(context, "t.txt", text, &file) != REGRAFT_OK) fail_msg("%s", context->diagnostics.message);
    return file;
}

static inline struct graph *read_text(struct context *context, const char *text) {
    struct graph *graph = NULL;
    if (file_graph(context, read_file(context, text_of(text)), -1, NULL, &graph) != REGRAFT_OK)
        fail_msg("%s", context->diagnostics.message);
    return graph;
}

/* The graph of a function with these parameters (behind self) and this body, of whole lines. */
static inline struct graph *read_body(struct context *context, const char *parameters, const char *body) {
    const char *head = "class GraphModule(torch.nn.Module):\n    def forward(self";
    return read_text(context, text_format(context->arena, "%s%s):\n%s", head, parameters, body));
}

static inline const char *print(struct graph *graph) {
    struct builder out;
    builder_init(&out, graph->arena);
    graph_print(graph, &out);
    return out.data;
}

static inline void assert_message(struct context *context, regraft_status status, regraft_status expected,
                                  const char *message) {
    assert_string_equal(context->diagnostics.message, message);
    assert_int_equal(status, expected);
    diagnostics_clear(&context->diagnostics);
}

/* Reading the text and its first graph fails with this message. */
static inline void assert_rejected(struct context *context, const char *text, const char *message) {
    struct file *file;
    struct graph *graph;
    regraft_status status = file_read_memory(context, "t.txt", text_of(text), &file);
    if (status == REGRAFT_OK) status = file_graph(context, file, -1, NULL, &graph);
    assert_message(context, status, REGRAFT_REJECTED, message);
}

#endif
