/* Any bytes as FX text, plain or gzip: an error or a graph, and a graph that prints a text which reads back as the same. */
#include "fx/fx.h"

static void check(struct context *context, const struct graph *graph, struct text printed) {
    struct source source = {"printed", printed};
    struct graph *again;
    struct builder out;
    builder_init(&out, context->arena);
    if (fx_parse(context, &source, printed, &again) != REGRAFT_OK || again->node_count != graph->node_count)
        __builtin_trap();
    graph_print(again, &out);
    if (!text_equal(builder_text(&out), printed)) __builtin_trap();
}

static void read(struct context *context, struct text bytes) {
    struct file *file;
    if (file_read_memory(context, "fuzz", bytes, &file) != REGRAFT_OK) return;
    for (size_t i = 0; i < file->graphs.count && i < 4; i++) {
        struct graph *graph;
        struct builder out;
        if (file_graph(context, file, (int)i, NULL, &graph) != REGRAFT_OK) continue;
        builder_init(&out, context->arena);
        graph_print(graph, &out);
        check(context, graph, builder_text(&out));
        graph->changed = true;
        out.length = 0;
        graph_print(graph, &out);
    }
}

/* The table is the same for all inputs and by far the dearest part of a context: it is made once, and only read. */
static struct operations *shared_operations(void) {
    static struct context keeper;
    struct arena_guard guard;
    if (keeper.operations) return keeper.operations;
    keeper.arena = arena_create(NULL);
    if (!keeper.arena || arena_guarded(keeper.arena, &guard)) __builtin_trap();
    diagnostics_init(&keeper.diagnostics, keeper.arena);
    if (operations_create(keeper.arena, &keeper.diagnostics, &keeper.operations) != REGRAFT_OK) __builtin_trap();
    arena_unguard(keeper.arena, &guard);
    return keeper.operations;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct context context = {.arena = arena_create(NULL), .operations = shared_operations()};
    struct arena_guard guard;
    if (!context.arena) return 0;
    if (!arena_guarded(context.arena, &guard)) {
        diagnostics_init(&context.diagnostics, context.arena);
        context.symbols = symbols_create(context.arena);
        read(&context, (struct text){(const char *)data, size});
        arena_unguard(context.arena, &guard);
    }
    arena_destroy(context.arena);
    return 0;
}
