/* regraft check: do two graphs compute the same? */
#include "interp/random_inputs.h"
#include "proof/proof.h"
#include "tool/outcome.h"

struct check_options {
    struct input_options input;
    const char *paths[2], *inputs;
    size_t path_count;
    long seed, trials; /* trials 0: not given */
    bool seeded, prove;
};

enum { key_inputs = 2000, key_seed, key_trials, key_prove, default_trials = 8 };

/* What is found out about two graphs. */
struct answer_of_check {
    struct proof proof;
    struct comparison comparison;
    bool compared; /* they were run */
    long trial;    /* the last one, from 1 */
};

static const struct argp_option entries[] = {
    {"inputs", key_inputs, "FILE", 0, "The tensors to run on (safetensors)", 0},
    {"seed", key_seed, "S", 0, "Where the random inputs start (default: 0)", 0},
    {"trials", key_trials, "N", 0, "Run on N sets of random inputs (default: 8, where nothing is proved)", 0},
    {"prove", key_prove, NULL, 0, "Only prove; do not run", 0},
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
        options->seeded = true;
        return 0;
    case key_trials:
        options->trials = option_number(state, "--trials", argument, 1);
        return 0;
    case key_prove:
        options->prove = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->path_count == 2) argp_error(state, "two graphs, not three: '%s'", argument);
        options->paths[options->path_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (options->path_count < 2) argp_error(state, "two graphs are needed");
        if (options->inputs && options->trials) argp_error(state, "--inputs and --trials exclude each other");
        if (options->prove && (options->inputs || options->trials || options->seeded))
            argp_error(state, "--prove runs nothing, so it takes no inputs, seed or trials");
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
        "Do two graphs compute the same? First by provenance: every view, copy and update is followed, and where both "
        "graphs apply the same operations to the same elements they are proved equal. Where that does not decide, and "
        "with --inputs, --seed or --trials, both are run on the same inputs in the reference interpreter, and all that "
        "they give and change is compared. --graph and --stage hold for both. The exit code is 1 when anything "
        "differs, "
        "and with --prove when nothing is proved.",
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

/* Stops at the first trial that shows a difference. */
static regraft_status run_trials(struct tool *tool, const struct check_options *options, regraft_graph *const graphs[2],
                                 struct answer_of_check *answer) {
    struct tool inner = *tool;
    for (answer->trial = 1;; answer->trial++) {
        uint64_t seed = (uint64_t)options->seed + (uint64_t)answer->trial - 1;
        inner.arena = arena_child(tool->arena);
        TRY(run_trial(&inner, graphs, seed, &answer->comparison));
        if (!answer->comparison.equal || answer->trial == options->trials) return REGRAFT_OK;
        arena_destroy(inner.arena);
    }
}

static regraft_status run_file(struct tool *tool, const struct check_options *options, regraft_graph *const graphs[2],
                               struct answer_of_check *answer) {
    struct bindings bindings;
    TRY(bindings_load(&bindings, tool->arena, &tool_context(tool)->diagnostics, options->inputs));
    return run_both(tool, graphs, &bindings, &answer->comparison);
}

static bool must_run(const struct check_options *options, const struct proof *proof) {
    if (options->inputs || options->trials || options->seeded) return true;
    return !options->prove && !proof->proved;
}

static regraft_status find_out(struct tool *tool, struct check_options *options, regraft_graph *const graphs[2],
                               struct answer_of_check *answer) {
    TRY(prove_equal(tool_graph(graphs[0]), tool_graph(graphs[1]), tool->arena, &answer->proof));
    answer->compared = must_run(options, &answer->proof);
    if (!answer->compared) return REGRAFT_OK;
    if (options->inputs) return run_file(tool, options, graphs, answer);
    if (!options->trials) options->trials = default_trials;
    return run_trials(tool, options, graphs, answer);
}

/* ---- the report ---- */

static void print_node(struct builder *out, const char *which, const struct node *node) {
    if (!node) return;
    builder_format(out, "  in the %s graph: %.*s", which, TEXT_ARGS(node->name));
    if (node->location && node->location->file.length) builder_format(out, " (%.*s)", TEXT_ARGS(node->location->file));
    builder_byte(out, '\n');
}

/* Where two values part: the operations and the elements of theirs. */
static void print_provenance(struct builder *out, const struct proof *proof) {
    if (proof->provenance[0]) builder_format(out, "  %s: %s\n", proof->result, proof->provenance);
    print_node(out, "first", proof->first);
    print_node(out, "second", proof->second);
}

static void print_proof(struct builder *out, const struct proof *proof) {
    if (proof->proved)
        builder_string(out, "proved equal\n");
    else
        builder_format(out, "not proved: %s: %s\n", proof->result, proof->reason);
    if (!proof->proved) print_provenance(out, proof);
}

static void print_trials(struct builder *out, const struct check_options *options,
                         const struct answer_of_check *answer) {
    const struct proof *proof = &answer->proof;
    bool asked = options->seeded || options->inputs, equal = answer->comparison.equal;
    if (equal && !asked && !proof->proved) {
        builder_format(out, "equal on %ld trials, not proved: %s: %s\n", answer->trial, proof->result, proof->reason);
        print_provenance(out, proof);
        return;
    }
    builder_string(out, equal ? "equal" : "different");
    if (options->trials && equal) builder_format(out, " in %ld trials", answer->trial);
    if (options->trials && !equal)
        builder_format(out, " in trial %ld: --seed %ld --trials 1", answer->trial, options->seed + answer->trial - 1);
    builder_byte(out, '\n');
    print_proof(out, proof);
}

static json_t *node_json(const struct node *node) {
    return node ? json_stringn(node->name.data, node->name.length) : json_null();
}

static json_t *proof_json(const struct proof *proof) {
    json_t *answer = json_object();
    json_object_set_new(answer, "proved", json_boolean(proof->proved));
    if (proof->proved) return answer;
    json_object_set_new(answer, "result", json_string(proof->result));
    json_object_set_new(answer, "reason", json_string(proof->reason));
    json_object_set_new(answer, "first", node_json(proof->first));
    json_object_set_new(answer, "second", node_json(proof->second));
    json_object_set_new(answer, "provenance", json_string(proof->provenance));
    return answer;
}

static json_t *answer_json(const struct check_options *options, const struct answer_of_check *answer) {
    json_t *json = answer->compared ? comparison_json(&answer->comparison) : json_object();
    if (!answer->compared && answer->proof.proved) json_object_set_new(json, "equal", json_true());
    if (answer->compared && options->trials) json_object_set_new(json, "trials", json_integer(answer->trial));
    json_object_set_new(json, "proof", proof_json(&answer->proof));
    return json;
}

static regraft_status report(struct tool *tool, const struct check_options *options,
                             const struct answer_of_check *answer) {
    struct builder out;
    builder_init(&out, tool->arena);
    if (options->input.format == format_json) {
        json_print(&out, answer_json(options, answer));
    } else if (answer->compared) {
        comparison_print(&out, &answer->comparison);
        print_trials(&out, options, answer);
    } else {
        print_proof(&out, &answer->proof);
    }
    TRY(output_write(NULL, builder_text(&out)));
    bool equal = answer->compared ? answer->comparison.equal : answer->proof.proved;
    return equal ? REGRAFT_OK : REGRAFT_DIFFERENT;
}

/* They could not be run: what the proof says is still of use. */
static regraft_status report_failure(struct tool *tool, const struct check_options *options,
                                     const struct answer_of_check *answer, regraft_status status) {
    struct builder out;
    builder_init(&out, tool->arena);
    if (answer->compared && options->input.format == format_text) print_proof(&out, &answer->proof);
    TRY(output_write(NULL, builder_text(&out)));
    return tool_report(tool, status);
}

regraft_status command_check(struct tool *tool, int argc, char **argv) {
    struct check_options options = {0};
    struct answer_of_check answer = {0};
    regraft_graph *graphs[2];
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options.input));
    for (size_t i = 0; i < 2; i++) TRY(tool_read_graph(tool, &options.input, options.paths[i], &graphs[i]));
    regraft_status status = find_out(tool, &options, graphs, &answer);
    return status == REGRAFT_OK ? report(tool, &options, &answer) : report_failure(tool, &options, &answer, status);
}
