/* regraft reduce: makes a graph smaller as long as it shows the same failure.
 *
 * Every candidate is a text that is read anew, so that the last one is what somebody else will read. Each step changes many
 * places at once, then half as many, down to one (delta debugging); a candidate is kept when it is smaller and still shows
 * the failure. It ends when no step finds anything. */
#include "tool/reduce.h"

enum { key_against = 2000, key_test, key_unproved };

static const struct argp_option entries[] = {
    {"passes", 'p', "PIPELINE", 0,
     "The passes that fail, or change what the graph computes (default: the functional pipeline)", 0},
    {"output", 'o', "FILE", 0, "Write the graph to FILE", 0},
    {"against", key_against, "PIPELINE", 0, "Compare with what PIPELINE gives, instead of with the graph as it is", 1},
    {"unproved", key_unproved, NULL, 0, "That nothing is proved counts as a failure, too", 1},
    {"test", key_test, "COMMAND", 0, "The failure is there when COMMAND FILE ends with 0; FILE is a candidate", 1},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct reduce_options *options = state->input;
    switch (key) {
    case key_against:
        options->against = argument;
        return 0;
    case key_unproved:
        options->unproved = true;
        return 0;
    case key_test:
        options->test = argument;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (options->test && (options->input.pipeline || options->against || options->unproved))
            argp_error(state, "--test says itself what to run: it excludes -p, --against and --unproved");
        return 0;
    default:
        return options_parse(key, argument, state, &options->input, "GRAPH");
    }
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .args_doc = "GRAPH",
    .children = graph_options,
    .doc =
        "Makes a graph smaller as long as it shows the same failure: a pass that fails, a result that 'regraft check' "
        "finds different or that does not run, or what COMMAND says. Prints the smallest graph that was found. The "
        "exit code is 1 when GRAPH shows no failure.",
};

struct reduction {
    struct tool *tool;
    const struct reduce_options *options;
    struct failure failure;
    struct text best; /* the smallest text up to now */
    struct graph_size size;
    size_t tests;
};

/* A graph of the best text in a tool of its own, for one candidate. */
static struct graph *open_candidate(const struct reduction *reduction, struct tool *tool) {
    regraft_graph *graph;
    *tool = (struct tool){.arena = arena_create(&tool_allocator)};
    if (tool_open(tool, &reduction->options->input) != REGRAFT_OK) return NULL;
    if (regraft_graph_read_memory(tool->context, "<graph>", reduction->best.data, reduction->best.length, NULL,
                                  &graph) != REGRAFT_OK)
        return NULL;
    reduce_strip(tool_graph(graph));
    return tool_graph(graph);
}

static void close_candidate(struct tool *tool) {
    if (tool->context) regraft_context_destroy(tool->context);
    arena_destroy(tool->arena);
}

/* Keeps the graph when it is smaller and shows the failure. */
static bool consider(struct reduction *reduction, struct graph *graph) {
    struct builder text;
    if (!reduce_retype(graph)) return false;
    builder_init(&text, graph->arena);
    graph_print(graph, &text);
    struct graph_size size = reduce_size(graph, builder_text(&text));
    if (!reduce_is_smaller(size, reduction->size)) return false;
    struct failure failure = reduce_observe(reduction->options, builder_text(&text), NULL);
    reduction->tests++;
    if (failure.kind != reduction->failure.kind || failure.status != reduction->failure.status) return false;
    reduction->best = text_copy(reduction->tool->arena, builder_text(&text));
    reduction->size = size;
    return true;
}

static bool try_step(struct reduction *reduction, const struct reduce_step *step, size_t first, size_t count) {
    struct tool tool;
    struct graph *graph = open_candidate(reduction, &tool);
    if (graph) step->apply(graph, first, count);
    bool kept = graph && consider(reduction, graph);
    close_candidate(&tool);
    return kept;
}

static size_t count_places(const struct reduction *reduction, const struct reduce_step *step) {
    struct tool tool;
    struct graph *graph = open_candidate(reduction, &tool);
    size_t count = graph ? step->count(graph) : 0;
    close_candidate(&tool);
    return count;
}

/* Chunks of half the size each time; what was kept moves the rest up. */
static bool run_step(struct reduction *reduction, const struct reduce_step *step) {
    size_t places = count_places(reduction, step);
    bool progress = false;
    for (size_t chunk = step->single ? 1 : places; chunk; chunk /= 2)
        for (size_t first = 0; first < places;) {
            if (!try_step(reduction, step, first, chunk)) {
                first += chunk;
                continue;
            }
            progress = true;
            places = count_places(reduction, step);
        }
    return progress;
}

static void run_steps(struct reduction *reduction) {
    for (bool progress = true; progress;) {
        progress = false;
        for (const struct reduce_step *step = reduce_steps; step->apply; step++)
            progress = run_step(reduction, step) || progress;
    }
}

/* The graph as a plain text: what all candidates are compared with. */
static void start(struct reduction *reduction, struct graph *graph) {
    struct builder text;
    reduce_strip(graph);
    builder_init(&text, reduction->tool->arena);
    graph_print(graph, &text);
    reduction->best = builder_text(&text);
    reduction->size = reduce_size(graph, reduction->best);
}

static regraft_status report(const struct reduction *reduction, struct graph_size before, const struct builder *shown) {
    const struct reduce_options *options = reduction->options;
    const uint64_t *from = before.measures, *to = reduction->size.measures;
    struct builder out;
    fprintf(stderr, "regraft: note: %zu statements became %zu, %zu inputs and results became %zu, in %zu tests\n",
            (size_t)from[0], (size_t)to[0], (size_t)from[1], (size_t)to[1], reduction->tests);
    if (options->input.format == format_text) {
        fputs(shown->data, stderr);
        return output_write(options->input.output, reduction->best);
    }
    if (options->input.output) TRY(output_write(options->input.output, reduction->best));
    builder_init(&out, reduction->tool->arena);
    json_print(&out, json_pack("{s:I, s:I, s:I, s:o, s:o}", "statements_before", (json_int_t)from[0],
                               "statements_after", (json_int_t)to[0], "tests", (json_int_t)reduction->tests, "failure",
                               json_words(shown->data), "text", json_text(reduction->best)));
    return output_write(NULL, builder_text(&out));
}

static regraft_status reduce(struct reduction *reduction, struct graph *graph) {
    struct builder shown;
    start(reduction, graph);
    struct graph_size before = reduction->size;
    builder_init(&shown, reduction->tool->arena);
    reduction->failure = reduce_observe(reduction->options, reduction->best, &shown);
    if (reduction->failure.kind == failure_none) {
        regraft_status status = reduction->failure.status;
        if (status == REGRAFT_OK)
            status = tool_error(REGRAFT_DIFFERENT, "'%s' shows no failure:", reduction->options->input.path);
        fputs(shown.data, stderr);
        return status;
    }
    run_steps(reduction);
    builder_init(&shown, reduction->tool->arena);
    reduce_observe(reduction->options, reduction->best, &shown);
    return report(reduction, before, &shown);
}

regraft_status command_reduce(struct tool *tool, int argc, char **argv) {
    struct reduce_options options = {0};
    struct reduction reduction = {.tool = tool, .options = &options};
    regraft_graph *graph;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options.input));
    TRY(tool_read_graph(tool, &options.input, options.input.path, &graph));
    /* Candidates are texts with one graph. */
    options.input.graph = -1;
    options.input.stage = NULL;
    return reduce(&reduction, tool_graph(graph));
}
