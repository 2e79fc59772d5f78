/* regraft passes: what -p can name. */
#include "tool/tool.h"

static error_t parse(int key, char *argument, struct argp_state *state) {
    return options_parse(key, argument, state, state->input, NULL);
}

static const struct argp argp = {
    .parser = parse,
    .children = format_options,
    .doc = "Lists the passes, one a line, and the default pipeline.",
};

static void print_text(struct tool *tool, struct builder *out) {
    struct table table;
    table_init(&table, tool->arena, 2);
    for (size_t i = 0; regraft_pass_name(i); i++) {
        table_row(&table, regraft_pass_name(i), regraft_pass_summary(i));
        if (*regraft_pass_parameters(i))
            table_row(&table, "", text_format(tool->arena, "{%s}", regraft_pass_parameters(i)));
    }
    table_print(out, &table);
    builder_format(out, "\ndefault: %s\n", regraft_default_pipeline());
}

static void print_json(struct tool *tool, struct builder *out) {
    json_t *passes = json_array();
    (void)tool;
    for (size_t i = 0; regraft_pass_name(i); i++)
        json_array_append_new(passes, json_pack("{s:s, s:s, s:s}", "name", regraft_pass_name(i), "parameters",
                                                regraft_pass_parameters(i), "summary", regraft_pass_summary(i)));
    json_print(out, json_pack("{s:o, s:s}", "passes", passes, "default", regraft_default_pipeline()));
}

regraft_status command_passes(struct tool *tool, int argc, char **argv) {
    struct input_options options = {0};
    struct builder out;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    builder_init(&out, tool->arena);
    if (options.format == format_json)
        print_json(tool, &out);
    else
        print_text(tool, &out);
    return output_write(NULL, builder_text(&out));
}
