/* Any graph through the default pipeline with the verifier after each pass: never a broken graph, and a print that reads. */
#include "fuzz_support.h"
#include "ir/infer.h"
#include "pass/pass.h"

static void check(struct context *context, struct graph *graph) {
    struct builder out;
    struct graph *again;
    if (infer_graph(graph) != REGRAFT_OK) return;
    regraft_status status = pipeline_run(graph, NULL, NULL);
    if (status == REGRAFT_INTERNAL) __builtin_trap();
    if (status != REGRAFT_OK) return;
    builder_init(&out, context->arena);
    graph_print(graph, &out);
    struct source source = {"printed", builder_text(&out)};
    if (fx_parse(context, &source, builder_text(&out), &again) != REGRAFT_OK || again->node_count != graph->node_count)
        __builtin_trap();
}

static void read(struct context *context, struct text bytes) {
    struct file *file;
    struct graph *graph;
    if (file_read_memory(context, "fuzz", bytes, &file) != REGRAFT_OK) return;
    if (file_graph(context, file, 0, NULL, &graph) == REGRAFT_OK) check(context, graph);
}
