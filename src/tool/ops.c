/* regraft ops: the table of operations. */
#include "ir/contract.h"
#include "tool/internals.h"

static error_t parse(int key, char *argument, struct argp_state *state) {
    return options_parse(key, argument, state, state->input, NULL);
}

static const struct argp argp = {
    .parser = parse,
    .children = operations_options,
    .doc = "Lists the operations that regraft knows: what a call does to memory, PyTorch's schema, and what it is "
           "owed for its arguments.",
};

/* What it is owed: "contiguous", "last-dim-dense, elsewhere"; "" for nothing. */
static const char *describe(struct tool *tool, const struct contract *contract) {
    const char *layout = contract->kind == contract_any ? "" : contract_kind_name(contract->kind);
    const char *elsewhere = contract->elsewhere ? "elsewhere" : "";
    return text_format(tool->arena, "%s%s%s", layout, *layout && *elsewhere ? ", " : "", elsewhere);
}

static void add_contracts(struct tool *tool, struct table *table, const struct schema *schema) {
    for (size_t i = 0; i < schema->argument_count; i++) {
        const char *owed = describe(tool, &schema->arguments[i].contract);
        struct text name = schema->arguments[i].name;
        if (*owed) table_row(table, "", text_format(tool->arena, "    %.*s: %s", TEXT_ARGS(name), owed));
    }
}

static void print_text(struct tool *tool, struct builder *out) {
    const struct operations *operations = tool_context(tool)->operations;
    struct table table;
    table_init(&table, tool->arena, 2);
    for (size_t i = 0; operations_row(operations, i); i++) {
        table_row(&table, regraft_operation_class(tool->context, i), regraft_operation_schema(tool->context, i));
        add_contracts(tool, &table, &operations_row(operations, i)->schema);
    }
    table_print(out, &table);
}

static json_t *json_contracts(struct tool *tool, const struct schema *schema) {
    json_t *object = json_object();
    for (size_t i = 0; i < schema->argument_count; i++) {
        const char *owed = describe(tool, &schema->arguments[i].contract);
        if (*owed) json_object_set_new(object, text_string(tool->arena, schema->arguments[i].name), json_string(owed));
    }
    return object;
}

static void print_json(struct tool *tool, struct builder *out) {
    const struct operations *rows = tool_context(tool)->operations;
    json_t *operations = json_array();
    for (size_t i = 0; operations_row(rows, i); i++)
        json_array_append_new(operations,
                              json_pack("{s:s, s:o, s:o}", "class", regraft_operation_class(tool->context, i), "schema",
                                        json_words(regraft_operation_schema(tool->context, i)), "contracts",
                                        json_contracts(tool, &operations_row(rows, i)->schema)));
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
