/* regraft rules: the rules that there are, or one of them in full. */
#include "tool/internals.h"

#include "rule/rule.h"

struct rules_options {
    struct input_options input;
    const char *name;
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct rules_options *options = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (options->name) argp_error(state, "one rule, not two: '%s'", argument);
        options->name = argument;
        return 0;
    default:
        return options_parse(key, argument, state, &options->input, NULL);
    }
}

static const struct argp argp = {
    .parser = parse,
    .children = operations_options,
    .args_doc = "[NAME]",
    .doc =
        "Lists the rules with the platforms and numbers of tokens that they are for; of one rule also its conditions.",
};

static void print_list(struct tool *tool, struct builder *out, const struct rules *rules) {
    struct table table;
    table_init(&table, tool->arena, 4);
    for (size_t i = 0; i < rules->items.count; i++) {
        const struct rule *rule = rules->items.items[i];
        table_row(&table, text_string(tool->arena, rule->name), platforms_text(tool->arena, rule->platforms),
                  token_range_text(tool->arena, rule->tokens), text_string(tool->arena, rule->summary));
    }
    table_print(out, &table);
}

/* What a configuration says of the rule, the strongest last. */
static void print_states(struct tool *tool, struct builder *out, const struct rules *rules, const struct rule *rule) {
    builder_format(out, "  state      auto: on for %s, %s tokens\n", platforms_text(tool->arena, rule->platforms),
                   token_range_text(tool->arena, rule->tokens));
    for (size_t i = 0; i < rules->settings.count; i++) {
        const struct rule_setting *setting = &rules->settings.items[i];
        size_t line, column;
        if (!text_equal(setting->rule, rule->name) && !text_is(setting->rule, "*")) continue;
        source_locate(setting->position.source, setting->position.offset, &line, &column);
        builder_format(out, "             %s for %s, %s tokens (%s:%zu)\n", rule_state_name(setting->state),
                       platforms_text(tool->arena, setting->platforms), token_range_text(tool->arena, setting->tokens),
                       setting->position.source->name, line);
    }
}

static void print_rule(struct tool *tool, struct builder *out, const struct rules *rules, const struct rule *rule) {
    builder_format(out, "%.*s: %.*s\n", TEXT_ARGS(rule->name), TEXT_ARGS(rule->summary));
    builder_format(out, "  file       %s\n", rule->position.source->name);
    print_states(tool, out, rules, rule);
    for (size_t i = 0; i < rule->conditions.count; i++) {
        const struct condition *condition = &rule->conditions.items[i];
        builder_format(out, "  %s  %.*s\n", condition->kernel ? "kernel   " : "where    ", TEXT_ARGS(condition->text));
    }
}

static json_t *json_rule(struct tool *tool, const struct rule *rule) {
    json_t *conditions = json_array();
    for (size_t i = 0; i < rule->conditions.count; i++) {
        const struct condition *condition = &rule->conditions.items[i];
        json_array_append_new(conditions,
                              json_pack("{s:o, s:b}", "text", json_text(condition->text), "kernel", condition->kernel));
    }
    return json_pack("{s:o, s:o, s:o, s:s, s:s, s:o}", "name", json_text(rule->name), "summary",
                     json_text(rule->summary), "file", json_words(rule->position.source->name), "platforms",
                     platforms_text(tool->arena, rule->platforms), "tokens",
                     token_range_text(tool->arena, rule->tokens), "conditions", conditions);
}

static json_t *json_rules(struct tool *tool, const struct rules *rules) {
    json_t *list = json_array();
    for (size_t i = 0; i < rules->items.count; i++) json_array_append_new(list, json_rule(tool, rules->items.items[i]));
    return json_pack("{s:o}", "rules", list);
}

regraft_status command_rules(struct tool *tool, int argc, char **argv) {
    struct rules_options options = {0};
    struct builder out;
    struct rules *rules;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options.input));
    TRY(tool_report(tool, rules_of(tool_context(tool), &rules)));
    const struct rule *rule = options.name ? rules_find(rules, text_of(options.name)) : NULL;
    if (options.name && !rule)
        return tool_report(tool,
                           rules_check_name(tool_context(tool), rules, text_of(options.name), (struct position){0}));
    builder_init(&out, tool->arena);
    bool json = options.input.format == format_json;
    if (json)
        json_print(&out, rule ? json_rule(tool, rule) : json_rules(tool, rules));
    else if (rule)
        print_rule(tool, &out, rules, rule);
    else
        print_list(tool, &out, rules);
    return output_write(NULL, builder_text(&out));
}
