/* One form for one meaning: graphs without fused operations. */
#include "ir/infer.h"
#include "rule/definition.h"

regraft_status graph_normal_form(struct graph *graph, struct graph **result) {
    struct definitions *definitions;
    bool needed = false;
    size_t count;
    *result = graph;
    TRY(definitions_open(graph->context, &definitions));
    for (const struct node *node = graph->first; node && !needed; node = node->next) {
        struct graph *definition;
        TRY(definitions_of_call(definitions, node, &definition));
        needed = definition;
    }
    if (!needed) return REGRAFT_OK;
    *result = graph_copy(graph);
    TRY(infer_graph(*result));
    return definitions_expand(*result, &count);
}
