/* Times the pass `fuse` with the verifier on one graph, through the public interface:
 *
 *     bench_rules LABEL GRAPH [RULES [REPETITIONS]]
 *
 * with all rules of the library and those of the file RULES ("-": none). It prints one row of the table on standard output
 * and one JSON line on standard error. Times are those that the processor spent (one thread), so that they mean something on
 * a machine with other work too. Columns: reading the rules; the default pipeline and `fuse`, with the verifier; `fuse` and
 * the verifier; the same once more, when nothing matches; nodes of the graph by the time of the last two. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <regraft/regraft.h>

#include "samples.h"

enum { warm_up = 3, most_repetitions = 1000 };

/* Milliseconds. */
enum measure { of_rules, of_passes, of_fuse, of_nothing, measure_count };
static const char *const measure_names[] = {"read_rules", "passes", "fuse", "nothing_matches"};
static double samples[measure_count][most_repetitions];

struct counts {
    size_t nodes, fusions, left; /* in front of fuse; calls that were fused; nodes then */
};

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    char *text = malloc(16 << 20);
    *length = file && text ? fread(text, 1, 16 << 20, file) : 0;
    if (!*length) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(REGRAFT_USAGE);
    }
    fclose(file);
    return text;
}

static size_t count_fusions(const regraft_graph *graph) {
    size_t count = 0;
    for (size_t i = 0; i < regraft_graph_remark_count(graph); i++) {
        regraft_remark remark = regraft_graph_remark(graph, i);
        count += remark.applied && strcmp(remark.pass, "fuse") == 0;
    }
    return count;
}

/* Milliseconds that it took, or less than 0 when it fails. */
static double run(regraft_graph *graph, const char *pipeline) {
    double start = processor_time();
    return regraft_graph_run(graph, pipeline, NULL) == REGRAFT_OK ? (processor_time() - start) * 1e3 : -1;
}

static int measure(regraft_context *context, const char *path, const char *rules, size_t length, double *milliseconds,
                   struct counts *counts) {
    regraft_graph *graph;
    double start = processor_time();
    regraft_status status = length ? regraft_rules_add(context, "rules", rules, length)
                                   : regraft_rules_configure(context, "none", "", 0); /* reads those of the library */
    milliseconds[of_rules] = (processor_time() - start) * 1e3;
    if (status != REGRAFT_OK || regraft_graph_read(context, path, NULL, &graph) != REGRAFT_OK) return 0;
    double before = run(graph, NULL);
    counts->nodes = regraft_graph_node_count(graph);
    milliseconds[of_fuse] = run(graph, "fuse");
    milliseconds[of_passes] = before + milliseconds[of_fuse];
    counts->fusions = count_fusions(graph);
    counts->left = regraft_graph_node_count(graph);
    milliseconds[of_nothing] = run(graph, "fuse");
    if (before < 0 || milliseconds[of_fuse] < 0 || milliseconds[of_nothing] < 0) return 0;
    if (count_fusions(graph) == counts->fusions) return 1;
    fprintf(stderr, "%s: fuse found more when it ran once more\n", path);
    exit(1);
}

static void repeat(const char *path, const char *rules, size_t length, double *milliseconds, struct counts *counts) {
    regraft_context *context;
    if (regraft_context_create(NULL, &context) != REGRAFT_OK) {
        fputs("out of memory\n", stderr);
        exit(REGRAFT_NO_MEMORY);
    }
    if (!measure(context, path, rules, length, milliseconds, counts)) {
        fputs(regraft_message(context), stderr);
        exit(1);
    }
    regraft_context_destroy(context);
}

int main(int argc, char **argv) {
    size_t length = 0, count = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 40;
    double median[measure_count], milliseconds[measure_count];
    struct counts counts = {0};
    if (argc < 3 || count == 0 || count > most_repetitions) {
        fprintf(stderr, "usage: %s LABEL GRAPH [RULES [REPETITIONS]]\n", argv[0]);
        return REGRAFT_USAGE;
    }
    char *rules = argc > 3 && strcmp(argv[3], "-") != 0 ? read_file(argv[3], &length) : NULL;
    for (size_t i = 0; i < warm_up; i++) repeat(argv[2], rules, length, milliseconds, &counts);
    for (size_t i = 0; i < count; i++) {
        repeat(argv[2], rules, length, milliseconds, &counts);
        for (int m = 0; m < measure_count; m++) samples[m][i] = milliseconds[m];
    }
    free(rules);
    fprintf(stderr, "{\"label\": \"%s\", \"nodes\": %zu, \"fusions\": %zu, \"repetitions\": %zu", argv[1], counts.nodes,
            counts.fusions, count);
    for (int m = 0; m < measure_count; m++) {
        median[m] = quantile(samples[m], count, 0.5);
        fprintf(stderr, ", \"%s_ms\": [%.3f, %.3f, %.3f]", measure_names[m], quantile(samples[m], count, 0.1),
                median[m], quantile(samples[m], count, 0.9));
    }
    fputs("}\n", stderr);
    printf("%-24s %7zu %7zu %9.2f %9.2f %9.2f %9.2f %9.2f %9.2f\n", argv[1], counts.nodes, counts.fusions,
           median[of_rules], median[of_passes], median[of_fuse], median[of_nothing],
           (double)counts.nodes / median[of_fuse] * 1e-3, (double)counts.left / median[of_nothing] * 1e-3);
    return 0;
}
