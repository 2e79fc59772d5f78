#include "pass/prove.h"

#include "ir/infer.h"
#include "pass/pass.h"
#include "rule/definition.h"

static bool has_second_encoding(const struct graph *graph) {
    for (const struct node *node = graph->first; node; node = node->next)
        if (node_is(node, operation_higher_order_auto_functionalized_v2)) return true;
    return false;
}

/* The graph with functionalised calls in the one form that normal forms are made of, when that is proved to be the same;
 * else the graph itself. */
static regraft_status unify(struct graph *graph, struct arena *arena, struct graph **result) {
    struct proof proof;
    *result = graph;
    if (!has_second_encoding(graph)) return REGRAFT_OK;
    struct graph *unified = graph_copy(graph);
    TRY(infer_graph(unified));
    unified->pass = "unify-functionalized";
    TRY(pass_unify_functionalized(unified, arena));
    TRY(prove_equal(graph, unified, arena, &proof));
    if (proof.proved) *result = unified;
    return REGRAFT_OK;
}

regraft_status prove_with_definitions(struct graph *a, struct graph *b, struct arena *arena, struct proof *proof) {
    struct graph *graphs[] = {a, b}, *forms[2];
    TRY(prove_equal(a, b, arena, proof));
    if (proof->proved) return REGRAFT_OK;
    for (size_t i = 0; i < 2; i++) {
        TRY(unify(graphs[i], arena, &forms[i]));
        TRY(graph_normal_form(forms[i], &forms[i]));
    }
    if (forms[0] == a && forms[1] == b) return REGRAFT_OK;
    return prove_equal(forms[0], forms[1], arena, proof);
}
