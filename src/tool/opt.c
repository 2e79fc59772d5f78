/* regraft opt: runs passes over the graphs of a file and prints them. */
#include "pass/pass.h"
#include "tool/internals.h"
#include "tool/opt.h"

enum {
    key_print_before = 2000,
    key_print_after,
    key_bisect,
    key_timing,
    key_remarks,
    key_no_verify,
    key_verify_each,
    key_reproducer
};

static const struct argp_option entries[] = {
    {"passes", 'p', "PIPELINE", 0, "The passes to run, separated by commas (default: the functional pipeline)", 0},
    {"output", 'o', "FILE", 0, "Write the graph to FILE", 0},
    {"print-before", key_print_before, "PASS", 0, "Print the graph before PASS, or before each (all)", 1},
    {"print-after", key_print_after, "PASS", 0, "Print the graph after PASS, or after each (all)", 1},
    {"bisect-limit", key_bisect, "N", 0, "Run only the first N passes", 1},
    {"timing", key_timing, NULL, 0, "Print how long each pass took", 1},
    {"remarks", key_remarks, NULL, 0, "Print what the passes did or refused, and why", 1},
    {"no-verify", key_no_verify, NULL, 0, "Do not verify the graph after each pass", 1},
    {"verify-each", key_verify_each, "HOW", 0,
     "After each pass: rules, the verifier (the default); check, that and 'regraft check' with the graph before", 1},
    {"reproducer", key_reproducer, "FILE", 0, "Where a failed pass leaves its reproducer", 1},
    {0},
};

static const char *pass_name(const void *table, size_t index) {
    (void)table;
    return regraft_pass_name(index);
}

/* The name of a pass, or "all". */
static const char *checked_pass(struct argp_state *state, const char *option, const char *name) {
    if (strcmp(name, "all") == 0) return name;
    for (size_t i = 0; regraft_pass_name(i); i++)
        if (strcmp(name, regraft_pass_name(i)) == 0) return name;
    const char *nearest = text_nearest(text_of(name), pass_name, NULL);
    if (nearest) argp_error(state, "%s: unknown pass '%s'; did you mean '%s'?", option, name, nearest);
    argp_error(state, "%s: unknown pass '%s'; 'regraft passes' lists them", option, name);
    return NULL;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct opt_options *options = state->input;
    switch (key) {
    case key_print_before:
        options->print_before = checked_pass(state, "--print-before", argument);
        return 0;
    case key_print_after:
        options->print_after = checked_pass(state, "--print-after", argument);
        return 0;
    case key_bisect:
        options->bisect_limit = option_number(state, "--bisect-limit", argument, 0);
        return 0;
    case key_timing:
        options->timing = true;
        return 0;
    case key_remarks:
        options->remarks = true;
        return 0;
    case key_no_verify:
        options->no_verify = true;
        return 0;
    case key_verify_each:
        options->check_each = strcmp(argument, "check") == 0;
        if (!options->check_each && strcmp(argument, "rules") != 0)
            argp_error(state, "--verify-each takes rules or check, found '%s'", argument);
        return 0;
    case key_reproducer:
        options->reproducer = argument;
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
    .doc = "Runs passes over a graph and prints it as FX text. GRAPH is a file, or - for standard input: FX text or a "
           "trace log, plain or gzip.",
};

static bool selects(const char *option, const char *pass) {
    return option && (strcmp(option, "all") == 0 || strcmp(option, pass) == 0);
}

static void print_around(regraft_graph *graph, const char *when, const char *pass) {
    fprintf(stderr, "# ---- %s %s\n%s", when, pass, regraft_graph_print(graph));
}

static regraft_status observe(void *user, regraft_graph *graph, const char *pass, int after, double seconds) {
    struct opt_record *record = user;
    const struct opt_options *options = record->options;
    size_t nodes = regraft_graph_node_count(graph);
    if (!after) {
        vector_push(record->tool->arena, &record->passes, (struct pass_record){.pass = pass, .nodes_before = nodes});
        if (options->bisect_limit >= 0) fprintf(stderr, "BISECT: running pass (%zu) %s\n", record->passes.count, pass);
        if (selects(options->print_before, pass)) print_around(graph, "before", pass);
        return options->check_each ? opt_keep(record, tool_graph(graph)) : REGRAFT_OK;
    }
    struct pass_record *last = &record->passes.items[record->passes.count - 1];
    last->seconds = seconds;
    last->nodes_after = nodes;
    if (selects(options->print_after, pass)) print_around(graph, "after", pass);
    return options->check_each ? opt_compare(record, tool_graph(graph), pass) : REGRAFT_OK;
}

static void print_not_run(const struct opt_record *record, size_t run) {
    struct text pipeline = opt_pipeline(record), part;
    for (size_t i = run; (part = pipeline_part(pipeline, i)).length; i++)
        fprintf(stderr, "BISECT: NOT running pass (%zu) %.*s\n", i + 1, TEXT_ARGS(part));
}

regraft_status opt_read(struct tool *tool, const struct opt_options *options, int index, regraft_graph **graph) {
    struct input_options input = options->input;
    input.graph = index;
    return tool_read_graph(tool, &input, options->input.path, graph);
}

static regraft_status run_passes(struct opt_record *record, int index) {
    const struct opt_options *options = record->options;
    regraft_run_options run = REGRAFT_RUN_OPTIONS_INIT;
    run.bisect_limit = options->bisect_limit;
    run.verify = !options->no_verify;
    run.observe = observe;
    run.user = record;
    regraft_status status = regraft_graph_run(record->graph, options->input.pipeline, &run);
    tool_warn(record->graph);
    if (status == REGRAFT_OK && options->bisect_limit >= 0) print_not_run(record, record->passes.count);
    if (status == REGRAFT_OK) return status;
    tool_report(record->tool, status);
    /* Wrong usage and a graph that was malformed before the first pass are not failures of a pass. */
    if (record->passes.count && status != REGRAFT_USAGE)
        opt_write_reproducer(record, index, regraft_message(record->tool->context));
    return status;
}

/* One graph of the file: runs the passes, adds the answer to `text` or `graphs`. */
static regraft_status opt_graph(struct tool *tool, const struct opt_options *options, int index, struct builder *text,
                                json_t *graphs) {
    struct opt_record record = {.tool = tool, .options = options};
    TRY(opt_read(tool, options, index, &record.graph));
    record.nodes_before = regraft_graph_node_count(record.graph);
    TRY(run_passes(&record, index));
    if (options->remarks) opt_print_remarks(&record);
    if (options->timing) opt_print_timing(&record);
    builder_string(text, regraft_graph_print(record.graph));
    if (options->input.format == format_json) json_array_append_new(graphs, opt_json(&record, index));
    return REGRAFT_OK;
}

/* Text: the graphs, to where -o says. JSON: the answer to standard output, and the graphs to -o when that is given. */
static regraft_status write_answer(struct tool *tool, const struct opt_options *options, const struct builder *text,
                                   json_t *graphs) {
    struct builder answer;
    if (options->input.format == format_text) return output_write(options->input.output, builder_text(text));
    if (options->input.output) TRY(output_write(options->input.output, builder_text(text)));
    builder_init(&answer, tool->arena);
    json_print(&answer, json_pack("{s:O}", "graphs", graphs));
    return output_write(NULL, builder_text(&answer));
}

/* Without --graph: all modules of a text; of a log, whose graphs are other compilations, the first. */
static regraft_status all_graphs(struct tool *tool, const char *path, int *first, int *last) {
    struct file *file;
    TRY(tool_read_container(tool, path, &file));
    *first = 0;
    *last = file->kind == file_text ? (int)file->graphs.count - 1 : 0;
    return REGRAFT_OK;
}

static regraft_status opt_all(struct tool *tool, struct opt_options *options, json_t *graphs) {
    struct builder text;
    int first = options->input.graph, last = first;
    builder_init(&text, tool->arena);
    TRY(tool_open(tool, &options->input));
    if (first < 0) TRY(all_graphs(tool, options->input.path, &first, &last));
    for (int index = first; index <= last; index++) TRY(opt_graph(tool, options, index, &text, graphs));
    return write_answer(tool, options, &text, graphs);
}

regraft_status command_opt(struct tool *tool, int argc, char **argv) {
    struct opt_options options = {.bisect_limit = -1, .reproducer = "regraft-reproducer.txt"};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    json_t *graphs = json_array();
    regraft_status status = opt_all(tool, &options, graphs);
    json_decref(graphs);
    return status;
}
