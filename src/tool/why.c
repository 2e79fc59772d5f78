/* regraft why: where each rule fired, and for each near miss the first condition that failed. */
#include "tool/internals.h"

#include "rule/rule.h"

struct why_options {
    struct input_options input;
    const char *rule, *node, *platform, *tokens;
};

enum { key_rule = 2000, key_node, key_platform, key_tokens };

static const struct argp_option entries[] = {
    {"rule", key_rule, "NAME", 0, "Only this rule, with every place where it was tried", 0},
    {"node", key_node, "NAME", 0, "Only what concerns this node", 0},
    {"platform", key_platform, "NAME", 0, "cpu, cuda or rocm (default: as the graph's devices)", 0},
    {"tokens", key_tokens, "RANGE", 0, "The numbers of tokens that the graph is for, such as 1-256", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct why_options *options = state->input;
    switch (key) {
    case key_rule:
        options->rule = argument;
        return 0;
    case key_node:
        options->node = argument;
        return 0;
    case key_platform:
        options->platform = argument;
        return 0;
    case key_tokens:
        options->tokens = argument;
        return 0;
    default:
        return options_parse(key, argument, state, &options->input, "GRAPH");
    }
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .children = graph_options,
    .args_doc = "GRAPH",
    .doc =
        "Runs the default pipeline and the pass fuse, and tells for each rule where it fired and, for each near miss, "
        "the first condition that failed, the node, the values, and what would make it fire.",
};

/* ---- what is shown ---- */

/* What was asked for by name is shown in full; else a miss must be near: more than the first call was found, and more than
 * half of those that the rule always has; and nothing else was raised there. */
static bool concerns(const struct why_options *options, const struct rule *rule, const struct fusion *fusion) {
    if (!text_equal(fusion->rule, rule->name)) return false;
    if (options->node) return text_is(fusion->anchor, options->node) || text_is(fusion->node, options->node);
    return options->rule || fusion->outcome == fusion_off || (fusion->near && !fusion->elsewhere);
}

/* Whether both missed, and for one cause: what is said of one layer need not be said of sixty. */
static bool same_cause(const struct fusion *a, const struct fusion *b) {
    return text_equal(a->rule, b->rule) && a->outcome == fusion_failed && b->outcome == fusion_failed &&
           a->condition.length && text_equal(a->condition, b->condition) && strcmp(a->remedy, b->remedy) == 0;
}

/* How many of the fusions from `first` on are shown and have the cause of `first`; 0 when an earlier one had it. */
static size_t count_alike(const struct why_options *options, const struct graph *graph, const struct rule *rule,
                          size_t first) {
    const struct fusion *fusions = graph->fusions.items;
    size_t count = 1;
    if (options->rule || options->node) return count;
    for (size_t i = 0; i < graph->fusions.count; i++) {
        if (i == first || !same_cause(&fusions[first], &fusions[i]) || !concerns(options, rule, &fusions[i])) continue;
        if (i < first) return 0;
        count++;
    }
    return count;
}

static void print_fusion(struct builder *out, const struct fusion *fusion, size_t alike) {
    if (fusion->outcome == fusion_off) {
        builder_format(out, "  off     %s\n", fusion->text);
        if (*fusion->remedy) builder_format(out, "    remedy  %s\n", fusion->remedy);
        return;
    }
    builder_format(out, "  %s at %.*s", fusion_outcome_name(fusion->outcome), TEXT_ARGS(fusion->anchor));
    if (fusion->source.length) builder_format(out, " (%.*s)", TEXT_ARGS(fusion->source));
    if (alike > 1) builder_format(out, ", and at %zu more for the same cause", alike - 1);
    builder_byte(out, '\n');
    if (fusion->outcome == fusion_fired) return;
    builder_format(out, "    why     %s\n", fusion->text);
    if (!text_equal(fusion->node, fusion->anchor)) builder_format(out, "    node    %.*s\n", TEXT_ARGS(fusion->node));
    if (*fusion->remedy) builder_format(out, "    remedy  %s\n", fusion->remedy);
}

/* Nothing of a rule that came nowhere near, unless it was asked for by name. */
static void print_rule(struct builder *out, const struct why_options *options, const struct graph *graph,
                       const struct rule *rule) {
    size_t fired = 0, missed = 0;
    bool off = false;
    for (size_t i = 0; i < graph->fusions.count; i++) {
        const struct fusion *fusion = &graph->fusions.items[i];
        if (!concerns(options, rule, fusion)) continue;
        fired += fusion->outcome == fusion_fired;
        missed += fusion->outcome == fusion_failed || fusion->outcome == fusion_beaten;
        off = off || fusion->outcome == fusion_off;
    }
    if (!options->rule && !fired && !missed && !off) return;
    builder_format(out, "%.*s: fired %zu time%s, missed %zu\n", TEXT_ARGS(rule->name), fired, fired == 1 ? "" : "s",
                   missed);
    for (size_t i = 0; i < graph->fusions.count; i++) {
        const struct fusion *fusion = &graph->fusions.items[i];
        if (!concerns(options, rule, fusion)) continue;
        size_t alike = count_alike(options, graph, rule, i);
        if (alike) print_fusion(out, fusion, alike);
    }
}

static json_t *json_fusions(const struct why_options *options, const struct graph *graph, const struct rule *rule) {
    json_t *list = json_array();
    for (size_t i = 0; i < graph->fusions.count; i++) {
        const struct fusion *fusion = &graph->fusions.items[i];
        if (!concerns(options, rule, fusion)) continue;
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "outcome",
                                              fusion_outcome_name(fusion->outcome), "anchor", json_text(fusion->anchor),
                                              "node", json_text(fusion->node), "source", json_text(fusion->source),
                                              "condition", json_text(fusion->condition), "why",
                                              json_words(fusion->text), "remedy", json_words(fusion->remedy)));
    }
    return list;
}

/* ---- the command ---- */

static const char *node_name(const void *graph, size_t index) {
    const struct node *node = ((const struct graph *)graph)->first;
    while (node && index--) node = node->next;
    return node ? text_string(node->graph->arena, node->name) : NULL;
}

/* The node of --node as the graph was given: passes rename nothing, and what goes was there. */
static regraft_status check_node(const struct why_options *options, const regraft_graph *graph) {
    const struct graph *nodes = tool_graph((regraft_graph *)graph);
    if (!options->node || graph_find(nodes, text_of(options->node))) return REGRAFT_OK;
    const char *nearest = text_nearest(text_of(options->node), node_name, nodes);
    return tool_error(REGRAFT_USAGE, "there is no node '%s' in '%s'%s%s%s", options->node, options->input.path,
                      nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static regraft_status run(struct tool *tool, const struct why_options *options, regraft_graph *graph) {
    struct builder pipeline;
    builder_init(&pipeline, tool->arena);
    builder_string(&pipeline, "default,fuse{");
    if (options->platform) builder_format(&pipeline, "platform=%s ", options->platform);
    if (options->tokens) builder_format(&pipeline, "tokens=%s ", options->tokens);
    builder_byte(&pipeline, '}');
    tool_graph(graph)->explain_fusions = true;
    return tool_report(tool, regraft_graph_run(graph, pipeline.data, NULL));
}

regraft_status command_why(struct tool *tool, int argc, char **argv) {
    struct why_options options = {0};
    struct builder out;
    regraft_graph *graph;
    struct rules *rules;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(tool_open(tool, &options.input));
    TRY(tool_read_graph(tool, &options.input, options.input.path, &graph));
    TRY(check_node(&options, graph));
    TRY(tool_report(tool, rules_of(tool_context(tool), &rules)));
    if (options.rule) /* all rules run: what one needs, others raise */
        TRY(tool_report(tool,
                        rules_check_name(tool_context(tool), rules, text_of(options.rule), (struct position){0})));
    TRY(run(tool, &options, graph));
    builder_init(&out, tool->arena);
    json_t *list = json_array();
    for (size_t i = 0; i < rules->items.count; i++) {
        const struct rule *rule = rules->items.items[i];
        if (options.rule && !text_is(rule->name, options.rule)) continue;
        if (options.input.format == format_json)
            json_array_append_new(list, json_pack("{s:o, s:o}", "rule", json_text(rule->name), "places",
                                                  json_fusions(&options, tool_graph(graph), rule)));
        else
            print_rule(&out, &options, tool_graph(graph), rule);
    }
    if (options.input.format == format_json)
        json_print(&out, json_pack("{s:o}", "rules", list));
    else
        json_decref(list);
    if (options.input.format == format_text && !out.length)
        builder_string(&out, "no rule came near; --rule NAME shows every place where one was tried\n");
    return output_write(NULL, builder_text(&out));
}
