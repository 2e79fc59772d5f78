/* Reads a graph, runs the default pipeline and prints what changed and why:
 *
 *     cc what_changed.c $(pkg-config --cflags --libs regraft) && ./a.out graph.txt
 */
#include <stdio.h>
#include <string.h>

#include <regraft/regraft.h>

/* How many nodes have a target that ends so, such as "slice_scatter.default". */
static size_t count_of(const regraft_graph *graph, const char *ending) {
    size_t count = 0;
    for (const regraft_node *node = regraft_graph_first(graph); node; node = regraft_node_next(node)) {
        const char *target = regraft_node_target(node);
        size_t length = strlen(target);
        if (length >= strlen(ending) && strcmp(target + length - strlen(ending), ending) == 0) count++;
    }
    return count;
}

static void print_remarks(const regraft_graph *graph) {
    for (size_t i = 0; i < regraft_graph_remark_count(graph); i++) {
        regraft_remark remark = regraft_graph_remark(graph, i);
        printf("%s %s: %s: %s\n", remark.applied ? "+" : "-", remark.pass, remark.node, remark.text);
    }
}

static regraft_status show_changes(regraft_context *context, const char *path) {
    regraft_graph *graph;
    regraft_status status = regraft_graph_read(context, path, NULL, &graph);
    if (status != REGRAFT_OK) return status;
    size_t nodes = regraft_graph_node_count(graph), scatters = count_of(graph, "slice_scatter.default");

    status = regraft_graph_run(graph, NULL, NULL);
    if (status != REGRAFT_OK) return status;
    print_remarks(graph);
    printf("nodes: %zu -> %zu\n", nodes, regraft_graph_node_count(graph));
    printf("slice_scatter: %zu -> %zu\n", scatters, count_of(graph, "slice_scatter.default"));
    return REGRAFT_OK;
}

int main(int argc, char **argv) {
    regraft_context *context;
    if (argc != 2) {
        fprintf(stderr, "usage: %s GRAPH\n", argv[0]);
        return REGRAFT_USAGE;
    }
    regraft_status status = regraft_context_create(NULL, &context);
    if (status != REGRAFT_OK) return (int)status;
    status = show_changes(context, argv[1]);
    if (status != REGRAFT_OK) fputs(regraft_message(context), stderr);
    regraft_context_destroy(context);
    return (int)status;
}
