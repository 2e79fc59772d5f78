/* Any bytes as a trace log: an error or graphs, each of whose stages is an error or a graph that can be printed. */
#include "fx/fx.h"

static void read_stages(struct context *context, struct file *file, int index) {
    const struct file_graph *owner = &file->graphs.items[index];
    struct graph *graph;
    for (size_t i = 0; i < owner->stages.count && i < 8; i++) {
        const char *stage = text_string(context->arena, owner->stages.items[i].name);
        if (file_graph(context, file, index, stage, &graph) != REGRAFT_OK) continue;
        struct builder out;
        builder_init(&out, context->arena);
        graph_print(graph, &out);
    }
    file_graph(context, file, index, NULL, &graph);
}

static void read(struct context *context, struct text bytes) {
    struct file *file;
    if (file_read_memory(context, "fuzz", bytes, &file) != REGRAFT_OK) return;
    for (size_t i = 0; i < file->graphs.count && i < 4; i++) read_stages(context, file, (int)i);
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
    static const char record[] = "V1122 03:04:42.538000 403 torch/x.py:1] {\"";
    struct context context = {.arena = arena_create(NULL), .operations = shared_operations()};
    struct arena_guard guard;
    if (!context.arena) return 0;
    if (!arena_guarded(context.arena, &guard)) {
        struct builder text;
        diagnostics_init(&context.diagnostics, context.arena);
        context.symbols = symbols_create(context.arena);
        builder_init(&text, context.arena);
        builder_string(&text, record); /* so that it is taken for a log */
        builder_add(&text, (struct text){(const char *)data, size});
        read(&context, builder_text(&text));
        arena_unguard(context.arena, &guard);
    }
    arena_destroy(context.arena);
    return 0;
}
