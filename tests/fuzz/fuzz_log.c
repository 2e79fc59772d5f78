/* Any bytes as a trace log: an error or graphs, each of whose stages is an error or a graph that can be printed. */
#include "fuzz_support.h"

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
    struct builder text;
    builder_init(&text, context->arena);
    builder_string(&text, "V1122 03:04:42.538000 403 torch/x.py:1] {\""); /* so that it is taken for a log */
    builder_add(&text, bytes);
    if (file_read_memory(context, "fuzz", builder_text(&text), &file) != REGRAFT_OK) return;
    for (size_t i = 0; i < file->graphs.count && i < 4; i++) read_stages(context, file, (int)i);
}
