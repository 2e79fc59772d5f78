/* regraft list: the graphs of a file, with their stages. */
#include "tool/internals.h"

static error_t parse(int key, char *argument, struct argp_state *state) {
    return options_parse(key, argument, state, state->input, "LOG");
}

static const struct argp argp = {
    .parser = parse,
    .children = operations_options,
    .args_doc = "LOG",
    .doc =
        "Lists the graphs of a trace log or text with their stages. The numbers and names are those that --graph and "
        "--stage take; stages that are no graphs stand in brackets.",
};

static size_t count_lines(struct text text) {
    size_t count = text.length && text.data[text.length - 1] != '\n';
    for (size_t i = 0; i < text.length; i++) count += text.data[i] == '\n';
    return count;
}

static void print_text(struct arena *arena, struct builder *out, const struct file *file) {
    struct table table;
    table_init(&table, arena, 4);
    table_row(&table, "graph", "name", "lines", "stage");
    for (size_t i = 0; i < file->graphs.count; i++) {
        const struct file_graph *graph = &file->graphs.items[i];
        for (size_t j = 0; j < graph->stages.count; j++) {
            const struct stage *stage = &graph->stages.items[j];
            table_row(&table, text_format(arena, "%zu", i), text_string(arena, graph->name),
                      text_format(arena, "%zu", count_lines(stage->raw)),
                      text_format(arena, stage->is_graph ? "%.*s" : "(%.*s)", TEXT_ARGS(stage->name)));
        }
    }
    table_print(out, &table);
}

static json_t *json_stages(const struct file_graph *graph) {
    json_t *stages = json_array();
    for (size_t j = 0; j < graph->stages.count; j++) {
        const struct stage *stage = &graph->stages.items[j];
        json_array_append_new(stages, json_pack("{s:o, s:I, s:b}", "name", json_text(stage->name), "lines",
                                                (json_int_t)count_lines(stage->raw), "is_graph", stage->is_graph));
    }
    return stages;
}

static void print_json(struct builder *out, const struct file *file) {
    json_t *graphs = json_array();
    for (size_t i = 0; i < file->graphs.count; i++) {
        const struct file_graph *graph = &file->graphs.items[i];
        json_array_append_new(graphs, json_pack("{s:I, s:o, s:o}", "graph", (json_int_t)i, "name",
                                                json_text(graph->name), "stages", json_stages(graph)));
    }
    json_print(out, json_pack("{s:s, s:o}", "kind", file->kind == file_log ? "log" : "text", "graphs", graphs));
}

regraft_status command_list(struct tool *tool, int argc, char **argv) {
    struct input_options options = {0};
    struct file *file;
    struct builder out;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options));
    TRY(tool_read_container(tool, options.path, &file));
    builder_init(&out, tool->arena);
    if (options.format == format_json)
        print_json(&out, file);
    else
        print_text(tool->arena, &out, file);
    return output_write(NULL, builder_text(&out));
}
