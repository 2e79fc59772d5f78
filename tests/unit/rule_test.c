/* The proof of rules: every rule, those that will be added too, on instances that are made up at random (rule/instance.h).
 *
 * Where the rule fires, the graph is run in the interpreter before and after: equal, to the rounding that its stage allows; and
 * proved (pass/prove.h): to the bit only where the interpreter gives the same bits. Where it does not fire, `why` names a condition or what differs; and each condition of each rule is broken in some instance by itself,
 * which then does not match. */
#include <stdio.h>

#include "fx/fx.h"
#include "interp/check.h"
#include "ir/contract.h"
#include "ir/infer.h"
#include "pass/fuse.h"
#include "pass/prove.h"
#include "rule/instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { most_instances = 1500, enough_fired = 6 };

/* What one rule did on its instances. */
struct tally {
    size_t instances, fired, compared, exact;
    bool broken[rule_most_conditions]; /* each condition, and `why` named it */
};

static void initialise(const regraft_allocator *allocator, regraft_context **context) {
    assert_int_equal(regraft_context_create(allocator, context), REGRAFT_OK);
}

static struct graph *read_graph(struct context *context, const char *text) {
    struct file *file = NULL;
    struct graph *graph = NULL;
    if (file_read_memory(context, "instance.txt", text_of(text), &file) ||
        file_graph(context, file, -1, NULL, &graph) || infer_graph(graph))
        return NULL;
    return graph;
}

/* Two copies of an instance; NULL: chance made one that is no graph (a width of an operation that does not fit). */
static struct graph *make(struct context *context, const struct rule *rule, uint64_t seed, struct graph **copy) {
    struct graph *graph;
    struct builder text;
    if (rule_instance(context, rule, seed, &graph)) return NULL;
    builder_init(&text, context->arena);
    graph_print(graph, &text);
    *copy = read_graph(context, text.data);
    return *copy ? read_graph(context, text.data) : NULL;
}

/* What raises may sum in another order, or round once more or less, but not where every bit is to stay. */
static bool keeps_bits(const struct rule *rule, uint64_t seed) { return rule->stage != stage_raise || seed % 3 == 0; }

static void show_and_fail(struct context *context, const struct rule *rule, struct graph *before, struct graph *after,
                          uint64_t seed, const char *why) {
    struct builder text;
    builder_init(&text, context->arena);
    graph_print(before, &text);
    builder_string(&text, "\nbecomes\n");
    graph_print(after, &text);
    fprintf(stderr, "%s\n", text.data);
    fail_msg("%.*s, seed %llu: %s", TEXT_ARGS(rule->name), (unsigned long long)seed, why);
}

/* What is proved to the bit is so, and what may not round otherwise is proved to the bit. */
static void prove_instance(struct context *context, const struct rule *rule, struct graph *before, struct graph *after,
                           uint64_t seed, double norm, struct tally *tally) {
    struct proof proof;
    if (prove_with_meanings(before, after, context->arena, &proof)) fail_msg("%s", context->diagnostics.message);
    bool exact = proof.proved && !proof.rounded_count;
    if (exact && norm != 0)
        show_and_fail(context, rule, before, after, seed, "proved to the bit, but the two sides differ");
    if (keeps_bits(rule, seed) ? !exact : !proof.proved)
        show_and_fail(context, rule, before, after, seed,
                      text_format(context->arena, "not proved: %s", proof.provenance));
    tally->exact += exact;
}

static void compare(struct context *context, const struct rule *rule, struct graph *before, struct graph *after,
                    uint64_t seed, struct tally *tally) {
    struct comparison comparison = {0};
    size_t trial;
    struct check_options options = {seed, 1};
    diagnostics_clear(&context->diagnostics);
    if (check_random(before, after, options, context->arena, &comparison, &trial)) return; /* no inputs fit */
    tally->compared++;
    prove_instance(context, rule, before, after, seed, comparison.norm, tally);
    if (comparison.norm > (keeps_bits(rule, seed) ? 0 : 2e-2))
        show_and_fail(context, rule, before, after, seed,
                      text_format(context->arena, "the two sides differ by %g", comparison.norm));
}

static void note_outcome(const struct rule *rule, const struct graph *graph, struct tally *tally) {
    const struct fusion *failure = NULL;
    for (size_t i = 0; i < graph->fusions.count; i++) {
        if (graph->fusions.items[i].outcome == fusion_fired) {
            tally->fired++;
            return;
        }
        failure = &graph->fusions.items[i];
    }
    if (!failure || !*failure->text) { /* the anchor is there, and something has to be said about it */
        struct builder text;
        builder_init(&text, graph->arena);
        graph_print((struct graph *)graph, &text);
        fail_msg("%.*s: nothing is said about %s\n%s", TEXT_ARGS(rule->name), failure ? "it" : "its anchor", text.data);
    }
    if (!*failure->remedy)
        fail_msg("%.*s: nothing is said of what would help where %s", TEXT_ARGS(rule->name), failure->text);
    for (size_t i = 0; i < rule->conditions.count; i++)
        if (text_equal(rule->conditions.items[i].text, failure->condition)) tally->broken[i] = true;
}

/* One instance, with a context of its own. */
static void try_instance(size_t index, uint64_t seed, struct tally *tally) {
    regraft_context *public;
    struct rules *rules;
    struct graph *before, *after;
    initialise(NULL, &public);
    struct context *context = (struct context *)public;
    struct source contract = {"contract", TEXT("aten::mul.Tensor.self=contiguous")};
    assert_int_equal(rules_of(context, &rules), REGRAFT_OK);
    const struct rule *rule = rules->items.items[index];
    if (seed & 1) assert_int_equal(contract_add(context, &contract), REGRAFT_OK);
    after = make(context, rule, seed, &before);
    if (after) {
        const char *pipeline = text_format(context->arena, "fuse{rules=%.*s platform=cpu rounding=%s},dce",
                                           TEXT_ARGS(rule->name), keeps_bits(rule, seed) ? "exact" : "any");
        size_t fired = tally->fired;
        after->explain_fusions = true;
        if (pipeline_run(after, pipeline, NULL)) fail_msg("%s", context->diagnostics.message);
        tally->instances++;
        note_outcome(rule, after, tally);
        if (tally->fired > fired && tally->compared < enough_fired) compare(context, rule, before, after, seed, tally);
    }
    regraft_context_destroy(public);
}

static bool all_broken(const struct rule *rule, const struct tally *tally) {
    for (size_t i = 0; i < rule->conditions.count; i++)
        if (!tally->broken[i]) return false;
    return true;
}

static void prove(const struct rules *rules, size_t index) {
    const struct rule *rule = rules->items.items[index];
    struct tally tally = {0};
    for (uint64_t seed = 1; seed <= most_instances; seed++) {
        if (tally.compared >= enough_fired && all_broken(rule, &tally)) break;
        try_instance(index, seed, &tally);
    }
    printf("%-40.*s %5zu instances, fired in %zu, compared and proved %zu, %zu to the bit\n", TEXT_ARGS(rule->name),
           tally.instances, tally.fired, tally.compared, tally.exact);
    if (tally.compared < enough_fired) fail_msg("%.*s fired too seldom", TEXT_ARGS(rule->name));
    for (size_t i = 0; i < rule->conditions.count; i++)
        if (!tally.broken[i])
            fail_msg("%.*s: no instance breaks `%.*s`", TEXT_ARGS(rule->name),
                     TEXT_ARGS(rule->conditions.items[i].text));
}

static void every_rule_is_proved(void **state) {
    regraft_context *public;
    struct rules *rules;
    (void)state;
    initialise(NULL, &public);
    assert_int_equal(rules_of((struct context *)public, &rules), REGRAFT_OK);
    assert_true(rules->items.count > 10);
    for (size_t i = 0; i < rules->items.count; i++) prove(rules, i);
    regraft_context_destroy(public);
}

/* The library's rules pass what those of users have to pass when they are read. */
static void every_rule_keeps_types(void **state) {
    regraft_context *public;
    struct rules *rules;
    (void)state;
    initialise(NULL, &public);
    struct context *context = (struct context *)public;
    assert_int_equal(rules_of(context, &rules), REGRAFT_OK);
    for (size_t i = 0; i < rules->items.count; i++)
        if (fuse_check_rule(context, rules->items.items[i])) fail_msg("%s", context->diagnostics.message);
    regraft_context_destroy(public);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_rule_keeps_types),
                                       cmocka_unit_test(every_rule_is_proved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
