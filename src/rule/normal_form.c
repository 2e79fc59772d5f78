/* One form for one meaning: graphs without fused operations. */
#include "ir/effect.h"
#include "ir/infer.h"
#include "rule/definition.h"

regraft_status graph_normal_form(struct graph *graph, struct graph **result) {
    struct definitions *definitions;
    bool needed = false;
    size_t count;
    *result = graph;
    TRY(definitions_open(graph->context, &definitions));
    for (const struct node *node = graph->first; node && !needed; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        struct graph *definition = NULL;
        if (operation) TRY(definitions_find(definitions, operation, &definition));
        needed = definition;
    }
    if (!needed) return REGRAFT_OK;
    *result = graph_copy(graph);
    TRY(infer_graph(*result));
    return definitions_expand(*result, &count);
}
