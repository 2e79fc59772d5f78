/* What `regraft opt` tells beside the graph. */
#include "tool/opt.h"

void opt_print_remarks(const struct opt_record *record) {
    for (size_t i = 0; i < regraft_graph_remark_count(record->graph); i++) {
        regraft_remark remark = regraft_graph_remark(record->graph, i);
        fprintf(stderr, "%s %s: %s: %s", remark.applied ? "done" : "kept", remark.pass, remark.node, remark.text);
        fprintf(stderr, *remark.source ? " (%s)\n" : "\n", remark.source);
    }
}

void opt_print_timing(const struct opt_record *record) {
    struct arena *arena = record->tool->arena;
    struct table table;
    struct builder out;
    double total = 0;
    table_init(&table, arena, 4);
    builder_init(&out, arena);
    table_row(&table, "pass", "milliseconds", "nodes before", "after");
    for (size_t i = 0; i < record->passes.count; i++) {
        const struct pass_record *pass = &record->passes.items[i];
        table_row(&table, pass->pass, text_format(arena, "%.3f", pass->seconds * 1e3),
                  text_format(arena, "%zu", pass->nodes_before), text_format(arena, "%zu", pass->nodes_after));
        total += pass->seconds;
    }
    table_row(&table, "total", text_format(arena, "%.3f", total * 1e3), text_format(arena, "%zu", record->nodes_before),
              text_format(arena, "%zu", regraft_graph_node_count(record->graph)));
    table_print(&out, &table);
    fputs(out.data, stderr);
}

static json_t *json_remarks(const regraft_graph *graph) {
    json_t *remarks = json_array();
    for (size_t i = 0; i < regraft_graph_remark_count(graph); i++) {
        regraft_remark remark = regraft_graph_remark(graph, i);
        json_array_append_new(remarks, json_pack("{s:s, s:o, s:o, s:o, s:b}", "pass", remark.pass, "node",
                                                 json_words(remark.node), "source", json_words(remark.source), "text",
                                                 json_words(remark.text), "applied", remark.applied));
    }
    return remarks;
}

static json_t *json_passes(const struct opt_record *record) {
    json_t *passes = json_array();
    for (size_t i = 0; i < record->passes.count; i++) {
        const struct pass_record *pass = &record->passes.items[i];
        json_array_append_new(passes, json_pack("{s:s, s:f, s:I, s:I}", "name", pass->pass, "seconds", pass->seconds,
                                                "nodes_before", (json_int_t)pass->nodes_before, "nodes_after",
                                                (json_int_t)pass->nodes_after));
    }
    return passes;
}

json_t *opt_json(const struct opt_record *record, int index) {
    json_t *result =
        json_pack("{s:I, s:I, s:I, s:o, s:o}", "graph", (json_int_t)index, "nodes_before",
                  (json_int_t)record->nodes_before, "nodes_after", (json_int_t)regraft_graph_node_count(record->graph),
                  "remarks", json_remarks(record->graph), "text", json_words(regraft_graph_print(record->graph)));
    /* Only when asked for: without times two runs give the same bytes. */
    if (record->options->timing) json_object_set_new(result, "passes", json_passes(record));
    return result;
}
