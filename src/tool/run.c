/* regraft run: a graph in the reference interpreter, compared with what is expected of it. */
#include "plan/planned_run.h"
#include "tool/outcome.h"

struct run_options {
    struct input_options input;
    const char *inputs, *expected;
    bool poison, in_arena;
};

enum { key_inputs = 2000, key_expect, key_poison, key_arena };

static const struct argp_option entries[] = {
    {"inputs", key_inputs, "FILE", 0, "The tensors to run on (safetensors)", 0},
    {"expect", key_expect, "FILE", 0, "Compare with the tensors of FILE (safetensors)", 0},
    {"passes", 'p', "PIPELINE", 0, "Run these passes first (default: the functional pipeline; \"\": none)", 0},
    {"output", 'o', "FILE", 0, "Write the results to FILE (safetensors)", 0},
    {"poison", key_poison, NULL, 0, "Overwrite each buffer with NaN when the plan says that nobody needs it any more",
     0},
    {"arena", key_arena, NULL, 0, "The same, with all planned buffers at their offsets in one arena", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct run_options *options = state->input;
    switch (key) {
    case key_inputs:
        options->inputs = argument;
        return 0;
    case key_expect:
        options->expected = argument;
        return 0;
    case key_poison:
        options->poison = true;
        return 0;
    case key_arena:
        options->in_arena = true;
        return 0;
    case ARGP_KEY_END:
        options_parse(key, argument, state, &options->input, "GRAPH");
        if (!options->inputs) argp_error(state, "no --inputs given");
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
    .doc = "Runs a graph in the reference interpreter. Prints each result's name, element type and sizes, and with "
           "--expect "
           "how far it is from what is expected; the exit code is 1 when anything differs.",
};

static regraft_status interpret_as_asked(struct tool *tool, const struct run_options *options, regraft_graph *graph,
                                         const struct bindings *bindings, struct outcome *outcome) {
    struct plan plan;
    if (!options->poison && !options->in_arena) return tool_interpret(tool, graph, bindings, outcome);
    TRY(tool_report(tool, plan_create(tool_graph(graph), (struct plan_options){0}, tool->arena, &plan)));
    return tool_report(
        tool, planned_run(&plan, options->in_arena ? run_in_arena : run_poisoned, bindings, tool->arena, outcome));
}

static regraft_status compute(struct tool *tool, const struct run_options *options, struct outcome *outcome) {
    struct diagnostics *diagnostics = &tool_context(tool)->diagnostics;
    struct bindings bindings;
    regraft_graph *graph;
    TRY(tool_read_graph(tool, &options->input, options->input.path, &graph));
    TRY(tool_run_passes(tool, &options->input, NULL, graph));
    TRY(tool_report(tool, bindings_load(&bindings, tool->arena, diagnostics, options->inputs)));
    return interpret_as_asked(tool, options, graph, &bindings, outcome);
}

static json_t *add_comparison(struct builder *out, const struct comparison *comparison, enum format format) {
    if (format == format_json) return comparison_json(comparison);
    comparison_print(out, comparison);
    builder_string(out, comparison->equal ? "equal\n" : "different\n");
    return NULL;
}

static regraft_status report(struct tool *tool, const struct run_options *options, const struct outcome *outcome) {
    struct diagnostics *diagnostics = &tool_context(tool)->diagnostics;
    struct comparison comparison = {.equal = true};
    struct tensor_set expected;
    struct builder out;
    json_t *answer = NULL;
    builder_init(&out, tool->arena);
    if (options->expected) {
        TRY(tool_report(tool, safetensors_load(tool->arena, diagnostics, options->expected, &expected)));
        compare_with_set(tool->arena, outcome, &expected, &comparison);
        answer = add_comparison(&out, &comparison, options->input.format);
    } else if (options->input.format == format_json) {
        answer = json_pack("{s:o}", "tensors", outcome_json(&outcome->results));
    } else {
        outcome_print(&out, &outcome->results);
    }
    if (answer) json_print(&out, answer);
    TRY(output_write(NULL, builder_text(&out)));
    return comparison.equal ? REGRAFT_OK : REGRAFT_DIFFERENT;
}

regraft_status command_run(struct tool *tool, int argc, char **argv) {
    struct run_options options = {0};
    struct outcome outcome;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options.input));
    TRY(compute(tool, &options, &outcome));
    if (options.input.output)
        TRY(tool_report(tool, safetensors_save(tool->arena, &tool_context(tool)->diagnostics, options.input.output,
                                               &outcome.results)));
    return report(tool, &options, &outcome);
}
