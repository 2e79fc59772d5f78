/* expand-fused: puts its definition (rules/definitions.txt) in the place of each fused operation, so that what knows the parts
 * (the prover, an engine without the fused kernel) knows the whole. Needs inferred types; keeps what the graph computes, to the
 * bit. Calls in the form auto_functionalized_v2 stay: unify-functionalized comes before. */
#include "pass/pass.h"
#include "rule/definition.h"

regraft_status pass_expand_fused(struct graph *graph, struct arena *scratch) {
    size_t count;
    (void)scratch;
    return definitions_expand(graph, &count);
}
