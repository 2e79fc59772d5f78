/* regraft check: do two graphs compute the same? */
#include "tool/verdict.h"

struct check_command {
    struct input_options input;
    const char *paths[2], *inputs;
    size_t path_count;
    long seed, trials; /* trials 0: not given */
    bool seeded, prove, exact;
};

enum { key_inputs = 2000, key_seed, key_trials, key_prove, key_exact };

static const struct argp_option entries[] = {
    {"inputs", key_inputs, "FILE", 0, "The tensors to run on (safetensors)", 0},
    {"seed", key_seed, "S", 0, "Where the random inputs start (default: 0)", 0},
    {"trials", key_trials, "N", 0, "Run on N sets of random inputs (default: 8, where nothing is proved)", 0},
    {"prove", key_prove, NULL, 0, "Only prove; do not run", 0},
    {"exact", key_exact, NULL, 0, "Only prove, to the bit: equal but for rounding counts as not proved", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct check_command *options = state->input;
    switch (key) {
    case key_inputs:
        options->inputs = argument;
        return 0;
    case key_seed:
        options->seed = option_number(state, "--seed", argument, 0);
        options->seeded = true;
        return 0;
    case key_trials:
        options->trials = option_number(state, "--trials", argument, 1);
        return 0;
    case key_prove:
        options->prove = true;
        return 0;
    case key_exact:
        options->prove = options->exact = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->path_count == 2) argp_error(state, "two graphs, not three: '%s'", argument);
        options->paths[options->path_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (options->path_count < 2) argp_error(state, "two graphs are needed");
        if (options->inputs && options->trials) argp_error(state, "--inputs and --trials exclude each other");
        if (options->prove && (options->inputs || options->trials || options->seeded))
            argp_error(state, "--prove and --exact run nothing, so they take no inputs, seed or trials");
        return 0;
    default:
        return options_parse(key, argument, state, &options->input, NULL);
    }
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .args_doc = "A B",
    .children = graph_options,
    .doc =
        "Do two graphs compute the same? First by provenance: every view, copy and update is followed, and where both "
        "graphs apply the same operations to the same elements they are proved equal; where one graph calls an "
        "operation "
        "that the other one spells out, equal as well, or but for the rounding of these calls. Where that does not "
        "decide, and "
        "with --inputs, --seed or --trials, both are run on the same inputs in the reference interpreter, and all that "
        "they give and change is compared. --graph and --stage hold for both. The exit code is 1 when anything "
        "differs, "
        "and with --prove when nothing is proved; with --exact also when it is proved but for rounding.",
};

static regraft_status run_file(struct tool *tool, const struct check_command *options, struct graph *const graphs[2],
                               struct verdict *verdict) {
    struct bindings bindings;
    verdict->compared = true;
    TRY(bindings_load(&bindings, tool->arena, &tool_context(tool)->diagnostics, options->inputs));
    return check_graphs(graphs[0], graphs[1], &bindings, tool->arena, &verdict->comparison);
}

static regraft_status find_out(struct tool *tool, const struct check_command *options, struct graph *const graphs[2],
                               struct verdict *verdict) {
    struct check_options random = {(uint64_t)options->seed, (size_t)options->trials};
    bool asked = options->inputs || options->trials || options->seeded;
    TRY(verdict_prove(verdict, graphs[0], graphs[1], tool->arena));
    if (options->inputs) return run_file(tool, options, graphs, verdict);
    if (!asked && (options->prove || verdict->proof.proved)) return REGRAFT_OK;
    if (!random.trials) random.trials = default_trials;
    return verdict_try(verdict, graphs[0], graphs[1], random, tool->arena);
}

static regraft_status report(struct tool *tool, const struct check_command *options, const struct verdict *verdict) {
    struct builder out;
    builder_init(&out, tool->arena);
    if (options->input.format == format_json)
        json_print(&out, verdict_json(verdict));
    else
        verdict_print(&out, verdict, options->seeded || options->inputs);
    TRY(output_write(NULL, builder_text(&out)));
    return verdict_is_equal(verdict) ? REGRAFT_OK : REGRAFT_DIFFERENT;
}

/* They could not be run: what the proof says is still of use. */
static regraft_status report_failure(struct tool *tool, const struct check_command *options,
                                     const struct verdict *verdict, regraft_status status) {
    struct builder out;
    builder_init(&out, tool->arena);
    if (verdict->compared && options->input.format == format_text) verdict_print_proof(&out, &verdict->proof);
    TRY(output_write(NULL, builder_text(&out)));
    return tool_report(tool, status);
}

regraft_status command_check(struct tool *tool, int argc, char **argv) {
    struct check_command options = {0};
    struct verdict verdict = {0};
    struct graph *graphs[2];
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    verdict.exact = options.exact;
    TRY(tool_open(tool, &options.input));
    for (size_t i = 0; i < 2; i++) {
        regraft_graph *graph;
        TRY(tool_read_graph(tool, &options.input, options.paths[i], &graph));
        graphs[i] = tool_graph(graph);
    }
    regraft_status status = find_out(tool, &options, graphs, &verdict);
    return status == REGRAFT_OK ? report(tool, &options, &verdict) : report_failure(tool, &options, &verdict, status);
}
