/* regraft check: do two graphs compute the same? */
#include "interp/random_inputs.h"
#include "tool/outcome.h"

struct check_options {
    struct input_options input;
    const char *paths[2], *inputs;
    size_t path_count;
    long seed, trials; /* trials 0: not given */
};

enum { key_inputs = 2000, key_seed, key_trials };

static const struct argp_option entries[] = {
    {"inputs", key_inputs, "FILE", 0, "The tensors to run on (safetensors)", 0},
    {"seed", key_seed, "S", 0, "Where the random inputs start (default: 0)", 0},
    {"trials", key_trials, "N", 0, "Run on N sets of random inputs", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct check_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        options_init(state, graph_options, &options->input);
        return 0;
    case key_inputs:
        options->inputs = argument;
        return 0;
    case key_seed:
        options->seed = option_number(state, "--seed", argument, 0);
        return 0;
    case key_trials:
        options->trials = option_number(state, "--trials", argument, 1);
        return 0;
    case ARGP_KEY_ARG:
        if (options->path_count == 2) argp_error(state, "two graphs, not three: '%s'", argument);
        options->paths[options->path_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (options->path_count < 2) argp_error(state, "two graphs are needed");
        if (!options->inputs == !options->trials) argp_error(state, "either --inputs or --trials has to be given");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .args_doc = "A B",
    .children = graph_options,
    .doc =
        "Runs two graphs on the same inputs in the reference interpreter and compares all that they give and change. "
        "--graph and --stage hold for both. The exit code is 1 when anything differs.",
};

static regraft_status run_both(struct tool *tool, regraft_graph *const graphs[2], const struct bindings *bindings,
                               struct comparison *comparison) {
    struct outcome outcomes[2];
    *comparison = (struct comparison){0};
    for (size_t i = 0; i < 2; i++) TRY(interpret(tool_graph(graphs[i]), bindings, tool->arena, &outcomes[i]));
    compare_outcomes(tool->arena, &outcomes[1], &outcomes[0], comparison);
    return REGRAFT_OK;
}

static regraft_status run_random(struct tool *tool, regraft_graph *const graphs[2], struct random_options random,
                                 struct comparison *comparison) {
    struct bindings bindings;
    TRY(random_bindings(tool_graph(graphs[0]), random, tool->arena, &bindings));
    return run_both(tool, graphs, &bindings, comparison);
}

/* Every second trial gives each symbol a value of its own. Most graphs only run when some of their symbols agree (the
 * number of tokens has a name for each input), and what a graph refuses is then tried with one value for all. */
static regraft_status run_trial(struct tool *tool, regraft_graph *const graphs[2], uint64_t seed,
                                struct comparison *comparison) {
    struct random_options random = {.seed = seed, .equal_symbols = seed % 2 == 0};
    regraft_status status = run_random(tool, graphs, random, comparison);
    if (status == REGRAFT_OK || random.equal_symbols) return status;
    diagnostics_clear(&tool_context(tool)->diagnostics);
    random.equal_symbols = true;
    return run_random(tool, graphs, random, comparison);
}

/* Stops at the first trial that shows a difference. `trial` counts from 1. */
static regraft_status run_trials(struct tool *tool, const struct check_options *options, regraft_graph *const graphs[2],
                                 long *trial, struct comparison *comparison) {
    struct tool inner = *tool;
    for (*trial = 1;; ++*trial) {
        uint64_t seed = (uint64_t)options->seed + (uint64_t)*trial - 1;
        inner.arena = arena_child(tool->arena);
        TRY(tool_report(tool, run_trial(&inner, graphs, seed, comparison)));
        if (!comparison->equal || *trial == options->trials) return REGRAFT_OK;
        arena_destroy(inner.arena);
    }
}

static regraft_status run_file(struct tool *tool, const struct check_options *options, regraft_graph *const graphs[2],
                               struct comparison *comparison) {
    struct bindings bindings;
    TRY(tool_report(tool, bindings_load(&bindings, tool->arena, &tool_context(tool)->diagnostics, options->inputs)));
    return tool_report(tool, run_both(tool, graphs, &bindings, comparison));
}

static regraft_status report(struct tool *tool, const struct check_options *options, long trial,
                             const struct comparison *comparison) {
    struct builder out;
    builder_init(&out, tool->arena);
    if (options->input.format == format_json) {
        json_t *answer = comparison_json(comparison);
        if (options->trials) json_object_set_new(answer, "trials", json_integer(trial));
        json_print(&out, answer);
    } else {
        comparison_print(&out, comparison);
        builder_string(&out, comparison->equal ? "equal" : "different");
        if (options->trials && comparison->equal) builder_format(&out, " in %ld trials", trial);
        if (options->trials && !comparison->equal)
            builder_format(&out, " in trial %ld: --seed %ld --trials 1", trial, options->seed + trial - 1);
        builder_byte(&out, '\n');
    }
    TRY(output_write(NULL, builder_text(&out)));
    return comparison->equal ? REGRAFT_OK : REGRAFT_DIFFERENT;
}

regraft_status command_check(struct tool *tool, int argc, char **argv) {
    struct check_options options = {0};
    struct comparison comparison;
    regraft_graph *graphs[2];
    long trial = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options.input));
    for (size_t i = 0; i < 2; i++) TRY(tool_read_graph(tool, &options.input, options.paths[i], &graphs[i]));
    if (options.inputs)
        TRY(run_file(tool, &options, graphs, &comparison));
    else
        TRY(run_trials(tool, &options, graphs, &trial, &comparison));
    return report(tool, &options, trial, &comparison);
}
