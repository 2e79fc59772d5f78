/* Random graphs (random_graph.h), each run in the interpreter as it is, after each pass alone, after the default pipeline,
 * and placed: not one element may differ. Then the placed graph is broken, and may not be proved unless it still computes
 * the same.
 *
 * REGRAFT_RANDOM_GRAPHS and REGRAFT_RANDOM_SEED change how many graphs there are and which. */
#include <stdio.h>
#include <stdlib.h>

#include "fx/fx.h"
#include "interp/check.h"
#include "interp/random_inputs.h"
#include "ir/contract.h"
#include "ir/infer.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "pass/prove.h"
#include "plan/planned_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proof_mutants.h"
#include "random_graph.h"

/* The whole text: too long for cmocka's messages. */
__attribute__((noreturn)) static void give_up(const struct context *context, uint64_t seed, const char *what,
                                              const char *text) {
    fprintf(stderr, "%s\n%s", context->diagnostics.message, text);
    fail_msg("seed %llu, %s", (unsigned long long)seed, what);
    abort();
}

static struct graph *read_graph(struct context *context, uint64_t seed, const char *text) {
    struct file *file = NULL;
    struct graph *graph = NULL;
    if (file_read_memory(context, "random.txt", text_of(text), &file) || file_graph(context, file, -1, NULL, &graph) ||
        infer_graph(graph))
        give_up(context, seed, "reading", text);
    return graph;
}

struct totals {
    size_t graphs, scatters_before, scatters_after, pairs, proved, mutants, mutants_proved;
};

static size_t count_updates(const struct graph *graph) {
    size_t count = 0;
    for (const struct node *node = graph->first; node; node = node->next)
        count += node->operation && node->operation->class == class_update;
    return count;
}

static void report(struct context *context, uint64_t seed, const char *what, const char *text, struct graph *after,
                   const struct comparison *comparison) {
    struct builder out;
    builder_init(&out, context->arena);
    comparison_print(&out, comparison);
    builder_format(&out, "\n%s\n", text);
    graph_print(after, &out);
    fprintf(stderr, "%s", out.data); /* too long for cmocka's messages */
    fail_msg("seed %llu, %s", (unsigned long long)seed, what);
}

/* Nearly all of what was just found equal can be proved. Results that come to share memory cannot be seen by running. */
static void prove_pipeline(struct context *context, struct graph *before, struct graph *after, uint64_t seed,
                           const char *pipeline, const char *text, struct totals *totals) {
    struct proof proof;
    assert_int_equal(prove_equal(before, after, context->arena, &proof), REGRAFT_OK);
    totals->pairs++;
    totals->proved += proof.proved;
    if (!strstr(proof.reason, "shares memory")) return;
    struct builder out;
    builder_init(&out, context->arena);
    graph_print(after, &out);
    fprintf(stderr, "%s: %s\n%s\n%s", proof.result, proof.reason, text, out.data);
    fail_msg("seed %llu, %s", (unsigned long long)seed, pipeline);
}

/* In the memory of its plan, each buffer poisoned when its last reader has run, the graph gives the same. */
static void check_planned(struct context *context, uint64_t seed, const char *pipeline, const char *text,
                          struct graph *graph, const struct bindings *bindings) {
    struct plan plan = {0};
    struct outcome expected = {0}, outcome = {0};
    if (plan_create(graph, (struct plan_options){0}, context->arena, &plan) ||
        interpret(graph, bindings, context->arena, &expected))
        give_up(context, seed, pipeline, text);
    for (enum run_memory memory = run_poisoned; memory <= run_in_arena; memory++) {
        struct comparison comparison;
        if (planned_run(&plan, memory, bindings, context->arena, &outcome)) give_up(context, seed, pipeline, text);
        compare_outcomes(context->arena, &outcome, &expected, &comparison);
        if (!comparison.equal || comparison.norm != 0) report(context, seed, pipeline, text, graph, &comparison);
    }
}

/* The graph of the text after a pipeline, compared with the one that was read; NULL when the pipeline cannot be run like this,
 * as a pass needs parameters. */
static struct graph *check_pipeline(struct context *context, uint64_t seed, const char *text, struct graph *before,
                                    const struct bindings *bindings, const char *pipeline, struct totals *totals) {
    struct graph *after = read_graph(context, seed, text);
    struct comparison comparison;
    regraft_status status = pipeline_run(after, pipeline, NULL);
    if (status == REGRAFT_USAGE) {
        diagnostics_clear(&context->diagnostics);
        return NULL;
    }
    if (status != REGRAFT_OK || check_graphs(before, after, bindings, context->arena, &comparison))
        give_up(context, seed, pipeline, text);
    if (!comparison.equal || comparison.norm != 0) report(context, seed, pipeline, text, after, &comparison);
    prove_pipeline(context, before, after, seed, pipeline, text, totals);
    if (after->placed) check_planned(context, seed, pipeline, text, after, bindings);
    return after;
}

/* What is proved of a broken graph has to be so. */
static void check_mutant(struct context *context, uint64_t seed, const char *text, struct graph *before,
                         struct graph *after, const struct bindings *bindings, struct totals *totals) {
    struct mutation mutation = {after, seed};
    const struct breaker *breaker = &breakers[seed % breaker_count];
    struct proof proof;
    struct comparison comparison;
    bool broken = mutate(&mutation, breaker);
    if (broken) retype(after);
    broken = broken && graph_verify(after) == REGRAFT_OK;
    diagnostics_clear(&context->diagnostics);
    if (!broken) return;
    assert_int_equal(prove_with_meanings(before, after, context->arena, &proof), REGRAFT_OK);
    totals->mutants++;
    totals->mutants_proved += proof.proved;
    /* what is proved holds for inputs that both graphs accept */
    if (!proof.proved || check_graphs(before, after, bindings, context->arena, &comparison)) return;
    bool equal = proof.rounded_count ? comparison.equal : comparison.norm == 0;
    if (!equal) report(context, seed, breaker->name, text, after, &comparison);
}

/* What operations are owed, for a third of the graphs. */
static void add_contracts(struct context *context, uint64_t seed) {
    static const char *const contracts[] = {
        "_C::fused_add_rms_norm.input=contiguous",
        "_C::fused_add_rms_norm.residual=contiguous",
        "_C::silu_and_mul.input=contiguous",
        "_C::rotary_embedding.query=contiguous",
        "_C::rotary_embedding.key=any",
        "vllm::unified_attention_with_output.query=contiguous",
        "vllm::fused_concat_and_cache_mla_rope.k_pe=contiguous",
        "_C_cache_ops::reshape_and_cache_flash.value_cache=contiguous",
    };
    for (size_t i = 0; seed % 3 == 0 && i < sizeof contracts / sizeof *contracts; i++) {
        if (seed >> i & 1) continue;
        struct source *source = arena_new(context->arena, struct source);
        *source = (struct source){"<contract>", text_of(contracts[i])};
        assert_int_equal(contract_add(context, source), REGRAFT_OK);
    }
}

static void check_one(struct context *context, uint64_t seed, struct totals *totals) {
    static struct writer writer;
    const char *text = write_graph(context->arena, &writer, seed);
    const char *placing = text_format(context->arena, "%s,place,realize-written,dce", default_pipeline);
    struct graph *before = read_graph(context, seed, text);
    struct bindings bindings;
    struct random_options options = {seed, false};
    add_contracts(context, seed);
    if (random_bindings(before, options, context->arena, &bindings)) give_up(context, seed, "inputs", text);
    for (size_t i = 0; pass_at(i); i++)
        check_pipeline(context, seed, text, before, &bindings, pass_at(i)->name, totals);
    struct graph *after = check_pipeline(context, seed, text, before, &bindings, default_pipeline, totals);
    check_pipeline(context, seed, text, before, &bindings, "unify-functionalized,place", totals);
    struct graph *placed = check_pipeline(context, seed, text, before, &bindings, placing, totals);
    totals->graphs++;
    totals->scatters_before += count_updates(before);
    totals->scatters_after += count_updates(after);
    check_mutant(context, seed, text, before, placed, &bindings, totals);
}

static void check_in_context(uint64_t seed, struct totals *totals) {
    struct context context = {.arena = arena_create(NULL)};
    struct arena_guard guard;
    assert_non_null(context.arena);
    if (arena_guarded(context.arena, &guard)) fail_msg("out of memory");
    diagnostics_init(&context.diagnostics, context.arena);
    context.symbols = symbols_create(context.arena);
    assert_int_equal(operations_create(context.arena, &context.diagnostics, &context.operations), REGRAFT_OK);
    check_one(&context, seed, totals);
    arena_unguard(context.arena, &guard);
    arena_destroy(context.arena);
}

static unsigned long setting(const char *name, unsigned long otherwise) {
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : otherwise;
}

static void random_graphs_keep_their_values(void **state) {
    (void)state;
    struct totals totals = {0};
    unsigned long count = setting("REGRAFT_RANDOM_GRAPHS", 1000), seed = setting("REGRAFT_RANDOM_SEED", 1);
    for (unsigned long i = 0; i < count; i++) check_in_context(seed + i, &totals);
    print_message("%zu graphs: %zu updates before, %zu after\n", totals.graphs, totals.scatters_before,
                  totals.scatters_after);
    print_message("%zu of %zu results proved\n", totals.proved, totals.pairs);
    print_message("%zu broken graphs, %zu proved\n", totals.mutants, totals.mutants_proved);
    if (count >= 100) assert_true(totals.proved * 10 > totals.pairs * 9);
    if (count >= 100) assert_true(totals.scatters_after * 2 < totals.scatters_before); /* the passes do something */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs_keep_their_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
