/* Any bytes as a rule file: an error with a message, or rules that can be listed, decided on, and run over a graph. */
#include "fuzz_support.h"
#include "ir/infer.h"
#include "pass/fuse.h"
#include "pass/pipeline.h"
#include "rule/instance.h"

/* The rule on an instance of its own, with the verifier behind it. */
static void run(struct context *context, const struct rule *rule) {
    struct graph *graph;
    if (rule_instance(context, rule, 1, &graph) != REGRAFT_OK) return;
    diagnostics_clear(&context->diagnostics);
    graph->explain_fusions = true;
    const char *pipeline = text_format(context->arena, "fuse{rules=%.*s platform=cpu}", TEXT_ARGS(rule->name));
    if (pipeline_run(graph, pipeline, NULL) == REGRAFT_INTERNAL) __builtin_trap();
}

static void read(struct context *context, struct text bytes) {
    struct rules rules = {0};
    struct source source = {"fuzz.rule", bytes};
    context->rules = &rules; /* the library's are not read for every input */
    regraft_status status = rules_read(context, &source, &rules);
    if (status != REGRAFT_OK && !strstr(context->diagnostics.message, "fuzz.rule:")) __builtin_trap();
    for (size_t i = 0; i < rules.items.count && i < 2 && status == REGRAFT_OK; i++) {
        const struct rule *rule = rules.items.items[i];
        rule_decide(context->arena, &rules, rule, platform_cpu, (struct token_range){1, 64});
        if (fuse_check_rule(context, rule) == REGRAFT_OK) run(context, rule);
        diagnostics_clear(&context->diagnostics);
    }
}
