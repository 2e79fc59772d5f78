/* Options that the commands share, and what they stand for. */
#include <errno.h>
#include <stdlib.h>

#include "tool/tool.h"

enum { key_graph = 1000, key_stage, key_operations, key_contract, key_rules, key_rule_config, key_format };

static const struct argp_option graph_entries[] = {
    {"graph", key_graph, "N", 0, "Take graph N of the file, counted from 0 ('regraft list' shows them)", 0},
    {"stage", key_stage, "NAME", 0, "Take this stage of a trace log (default: the last that is still functional)", 0},
    {0},
};
static const struct argp_option operations_entries[] = {
    {"ops", key_operations, "FILE", 0, "Add operations: a PyTorch schema a line", 0},
    {"contract", key_contract, "OP.ARG=KIND", 0,
     "What an operation is owed for an argument (`*': for all): any, flexible_layout, last-dim-dense, contiguous, "
     "as-traced, as-traced[STRIDES]; elsewhere, in-place",
     0},
    {"rule-config", key_rule_config, "FILE", 0, "Which rules are on, off or automatic: RULE on|off|auto a line", 0},
    {"rules", key_rules, "FILE", 0, "Add the rules of FILE to those that are built in", 0},
    {0},
};
static const struct argp_option format_entries[] = {
    {"format", key_format, "FORMAT", 0, "text (default) or json", 0},
    {0},
};

long option_number(struct argp_state *state, const char *option, const char *argument, long least) {
    char *end;
    errno = 0;
    long number = strtol(argument, &end, 10);
    if (errno || end == argument || *end || number < least)
        argp_error(state, "%s takes a whole number from %ld on, found '%s'", option, least, argument);
    return number;
}

int option_graph(struct argp_state *state, const char *argument) {
    long graph = option_number(state, "--graph", argument, 0);
    if (graph > INT32_MAX) argp_error(state, "--graph is too large: %s", argument);
    return (int)graph;
}

void option_add(struct argp_state *state, const char **list, size_t size, const char *noun, const char *argument) {
    size_t count = 0;
    while (list[count]) count++;
    if (count + 1 == size) argp_error(state, "at most %zu %s", count, noun);
    list[count] = argument;
}

static error_t parse_format(int key, char *argument, struct argp_state *state) {
    struct input_options *options = state->input;
    if (key != key_format) return ARGP_ERR_UNKNOWN;
    if (strcmp(argument, "text") != 0 && strcmp(argument, "json") != 0)
        argp_error(state, "--format takes text or json, found '%s'", argument);
    options->format = strcmp(argument, "json") == 0 ? format_json : format_text;
    return 0;
}

static error_t parse_operations(int key, char *argument, struct argp_state *state) {
    struct input_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options;
        return 0;
    case key_operations:
        options->operations = argument;
        return 0;
    case key_contract:
        option_add(state, options->contracts, contract_limit, "contracts", argument);
        return 0;
    case key_rule_config:
        options->rule_config = argument;
        return 0;
    case key_rules:
        option_add(state, options->rules, rule_file_limit, "files of rules", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_graph(int key, char *argument, struct argp_state *state) {
    struct input_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options;
        return 0;
    case key_graph:
        options->graph = option_graph(state, argument);
        return 0;
    case key_stage:
        options->stage = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp format_argp = {.options = format_entries, .parser = parse_format};
const struct argp_child format_options[] = {{&format_argp, 0, NULL, 0}, {0}};
static const struct argp operations_argp = {
    .options = operations_entries, .parser = parse_operations, .children = format_options};
const struct argp_child operations_options[] = {{&operations_argp, 0, NULL, 0}, {0}};
static const struct argp graph_argp = {.options = graph_entries, .parser = parse_graph, .children = operations_options};
const struct argp_child graph_options[] = {{&graph_argp, 0, NULL, 0}, {0}};

error_t options_parse(int key, char *argument, struct argp_state *state, struct input_options *options,
                      const char *noun) {
    switch (key) {
    case ARGP_KEY_INIT:
        options->graph = -1;
        state->child_inputs[0] = options;
        return 0;
    case 'p':
        options->pipeline = argument;
        return 0;
    case 'o':
        options->output = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (!noun) argp_error(state, "no argument is taken, found '%s'", argument);
        if (options->path) argp_error(state, "one %s, not two: '%s'", noun, argument);
        options->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (noun && !options->path) argp_error(state, "no %s given", noun);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}
