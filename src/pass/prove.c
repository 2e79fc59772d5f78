#include "pass/prove.h"

#include "ir/infer.h"
#include "pass/pass.h"
#include "rule/definition.h"
#include "rule/meaning.h"

/* prove_equal with memory of its own, which the next proof then finds warm. */
static regraft_status prove_apart(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof) {
    struct arena *scratch = arena_child(arena);
    regraft_status status = prove_equal(a, b, scratch, proof);
    const char **texts[] = {&proof->result, &proof->reason, &proof->provenance};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = text_string(arena, text_of(*texts[i]));
    arena_destroy(scratch);
    return status;
}

/* The calls of a graph that have definitions. */
struct fused {
    size_t count;
    bool second_encoding; /* of one of them */
};

static regraft_status count_fused(struct definitions *definitions, const struct graph *graph, struct fused *fused) {
    *fused = (struct fused){0};
    for (const struct node *node = graph->first; node; node = node->next) {
        struct graph *definition;
        TRY(definitions_of_call(definitions, node, &definition));
        if (!definition) continue;
        fused->count++;
        if (node_is(node, operation_higher_order_auto_functionalized_v2)) fused->second_encoding = true;
    }
    return REGRAFT_OK;
}

/* The graph with functionalised calls in the one form that normal forms are made of, when that is proved to be the same;
 * else the graph itself. */
static regraft_status unify(struct graph *graph, struct arena *arena, struct graph **result) {
    struct proof proof;
    struct graph *unified = graph_copy(graph);
    *result = graph;
    TRY(infer_graph(unified));
    unified->pass = "unify-functionalized";
    TRY(pass_unify_functionalized(unified, arena));
    TRY(prove_apart(graph, unified, arena, &proof));
    if (proof.proved) *result = unified;
    return REGRAFT_OK;
}

static regraft_status normal_forms(struct graph *const graphs[2], const struct fused fused[2], struct arena *arena,
                                   struct graph *forms[2]) {
    for (size_t i = 0; i < 2; i++) {
        forms[i] = graphs[i];
        if (fused[i].second_encoding) TRY(unify(graphs[i], arena, &forms[i]));
        if (fused[i].count) TRY(graph_normal_form(forms[i], &forms[i]));
    }
    return REGRAFT_OK;
}

static regraft_status prove_normal_forms(struct graph *const graphs[2], const struct fused fused[2],
                                         struct arena *arena, struct proof *proof) {
    struct graph *forms[2];
    TRY(normal_forms(graphs, fused, arena, forms));
    return prove_apart(forms[0], forms[1], arena, proof);
}

regraft_status prove_with_definitions(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof) {
    struct graph *graphs[] = {a, b};
    struct definitions *definitions;
    struct fused fused[2];
    struct proof direct;
    TRY(definitions_open(a->context, &definitions));
    for (size_t i = 0; i < 2; i++) TRY(count_fused(definitions, graphs[i], &fused[i]));
    if (!fused[0].count && !fused[1].count) return prove_apart(a, b, arena, proof);
    if (fused[0].count != fused[1].count) { /* hardly the same as they stand */
        TRY(prove_normal_forms(graphs, fused, arena, proof));
        if (proof->proved) return REGRAFT_OK;
    }
    TRY(prove_apart(a, b, arena, &direct));
    if (!direct.proved && fused[0].count == fused[1].count) return prove_normal_forms(graphs, fused, arena, proof);
    if (direct.proved) *proof = direct;
    return REGRAFT_OK;
}

/* prove_by_elements with memory of its own; what is left of a proof is the calls that it names. */
static regraft_status prove_meanings_apart(struct graph *const forms[2], const struct meaning_use *use,
                                           struct arena *arena, struct proof *proof) {
    struct arena *scratch = arena_child(arena);
    struct proof attempt = {0};
    regraft_status status = prove_by_elements(forms[0], forms[1], use, scratch, &attempt);
    if (attempt.proved) {
        *proof = (struct proof){.proved = true,
                                .rounded =
                                    arena_copy(arena, attempt.rounded, attempt.rounded_count * sizeof *attempt.rounded),
                                .rounded_count = attempt.rounded_count,
                                .result = "",
                                .reason = "",
                                .provenance = ""};
    }
    arena_destroy(scratch);
    return status;
}

/* Either graph may be the one whose spelling counts. What is not proved in any way is explained without meanings. */
regraft_status prove_with_meanings(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof) {
    struct graph *const graphs[] = {a, b};
    struct graph *forms[2];
    struct definitions *definitions;
    struct fused fused[2];
    struct meanings meanings;
    TRY(prove_with_definitions(a, b, arena, proof));
    if (proof->proved) return REGRAFT_OK;
    TRY(definitions_open(a->context, &definitions));
    for (size_t i = 0; i < 2; i++) TRY(count_fused(definitions, graphs[i], &fused[i]));
    TRY(normal_forms(graphs, fused, arena, forms));
    TRY(meanings_open(a->context, &meanings));
    for (int i = 0; i < 4 && !proof->proved; i++) {
        struct meaning_use use = {.meanings = &meanings, .leading = i % 2, .expands = i / 2};
        TRY(prove_meanings_apart(forms, &use, arena, proof));
    }
    return REGRAFT_OK;
}
