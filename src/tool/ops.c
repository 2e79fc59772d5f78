/* regraft ops: the table of operations. */
#include "tool/tool.h"

static error_t parse(int key, char *argument, struct argp_state *state) {
    (void)argument;
    if (key == ARGP_KEY_INIT) options_init(state, operations_options, state->input);
    return key == ARGP_KEY_ARG ? ARGP_ERR_UNKNOWN : 0;
}

static const struct argp argp = {
    .parser = parse,
    .children = operations_options,
    .doc = "Lists the operations that regraft knows: what a call does to memory, and PyTorch's schema.",
};

static void print_text(struct tool *tool, struct builder *out) {
    struct table table;
    table_init(&table, tool->arena, 2);
    for (size_t i = 0; regraft_operation_schema(tool->context, i); i++)
        table_row(&table, regraft_operation_class(tool->context, i), regraft_operation_schema(tool->context, i));
    table_print(out, &table);
}

static void print_json(struct tool *tool, struct builder *out) {
    json_t *operations = json_array();
    for (size_t i = 0; regraft_operation_schema(tool->context, i); i++)
        json_array_append_new(operations, json_pack("{s:s, s:s}", "class", regraft_operation_class(tool->context, i),
                                                    "schema", regraft_operation_schema(tool->context, i)));
    json_print(out, json_pack("{s:o}", "operations", operations));
}

regraft_status command_ops(struct tool *tool, int argc, char **argv) {
    struct input_options options = {0};
    struct builder out;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options));
    builder_init(&out, tool->arena);
    if (options.format == format_json)
        print_json(tool, &out);
    else
        print_text(tool, &out);
    return output_write(NULL, builder_text(&out));
}
