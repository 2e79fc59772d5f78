/* regraft explain: the copies that are left when a graph is placed, and why. */
#include "tool/pieces.h"

static const struct argp_option entries[] = {
    {"passes", 'p', "PIPELINE", 0, "Run these passes (default: default,place,dce)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    return options_parse(key, argument, state, state->input, "GRAPH");
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .children = graph_options,
    .args_doc = "GRAPH",
    .doc =
        "Runs the default pipeline and the pass place, and lists every copy that the placed graph contains: how many "
        "bytes, of which place, why, from which line of the model, and what would make it unnecessary. Copies that the "
        "model itself asks for, changes of layout, stand apart. Of a graph that is cut into pieces, what crosses each "
        "cut.",
};

static void print_copies(struct builder *out, const regraft_graph *graph, int own) {
    for (size_t i = 0; i < regraft_graph_copy_count(graph); i++) {
        regraft_copy copy = regraft_graph_copy(graph, i);
        if (copy.own != own) continue;
        builder_format(out, "%s: %s bytes\n    of      %s\n    why     %s\n", copy.node, copy.bytes, copy.place,
                       copy.why);
        if (copy.inlined)
            builder_format(out, "    cost    none with Inductor, which computes the value in this place\n");
        if (*copy.source) builder_format(out, "    source  %s\n", copy.source);
        if (*copy.remedy) builder_format(out, "    remedy  %s\n", copy.remedy);
    }
}

static size_t count_copies(const regraft_graph *graph, int own) {
    size_t count = 0;
    for (size_t i = 0; i < regraft_graph_copy_count(graph); i++) count += regraft_graph_copy(graph, i).own == own;
    return count;
}

static void print_text(struct builder *out, const regraft_graph *graph) {
    size_t copies = count_copies(graph, 0), own = count_copies(graph, 1);
    builder_format(out, "%zu %s\n", copies, copies == 1 ? "copy" : "copies");
    print_copies(out, graph, 0);
    if (!own) return;
    builder_format(out, "%zu the model asks for\n", own);
    print_copies(out, graph, 1);
}

static json_t *json_copies(const regraft_graph *graph, int own) {
    json_t *list = json_array();
    for (size_t i = 0; i < regraft_graph_copy_count(graph); i++) {
        regraft_copy copy = regraft_graph_copy(graph, i);
        if (copy.own != own) continue;
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "node", json_words(copy.node),
                                              "bytes", json_words(copy.bytes), "place", json_words(copy.place),
                                              "source", json_words(copy.source), "why", json_words(copy.why), "remedy",
                                              json_words(copy.remedy), "inlined", copy.inlined));
    }
    return list;
}

regraft_status command_explain(struct tool *tool, int argc, char **argv) {
    struct input_options options = {0};
    struct builder out;
    struct pieces pieces;
    regraft_graph *graph;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_placed_graph(tool, &options, &graph));
    TRY(tool_report(tool, pieces_find(tool, graph, &pieces)));
    builder_init(&out, tool->arena);
    if (options.format == format_json)
        json_print(&out, json_pack("{s:o, s:o, s:o}", "copies", json_copies(graph, 0), "own", json_copies(graph, 1),
                                   "pieces", pieces_json(&pieces)));
    else
        print_text(&out, graph);
    if (options.format == format_text) pieces_print(&pieces, &out);
    return output_write(NULL, builder_text(&out));
}
