/* dce: removes nodes that nobody uses. Write-backs, in-place calls, calls with state and unknown calls stay
 * (node_is_removable). Needs nothing, keeps everything; afterwards every removable node has a user. */
#include "ir/memory.h"
#include "pass/pass.h"

regraft_status pass_dce(struct graph *graph, struct arena *scratch) {
    (void)scratch;
    for (struct node *node = graph->last, *previous; node; node = previous) {
        previous = node->previous;
        if (node->users || !node_is_removable(node)) continue;
        if (node->kind == node_call && node->operation->class != class_view)
            graph_remark(graph, node, true, "removed: nobody uses the result of %s, and it has no effect",
                         node->operation->target.data);
        graph_remove(graph, node);
    }
    return REGRAFT_OK;
}
