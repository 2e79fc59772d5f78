/* Any bytes as FX text, plain or gzip: an error or a graph, and a graph that prints a text which reads back as the same. */
#include "fuzz_support.h"

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
