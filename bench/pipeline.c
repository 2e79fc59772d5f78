/* Times reading and the default pipeline on one graph, through the public interface:
 *
 *     bench_pipeline LABEL GRAPH [REPETITIONS]
 *
 * prints one row of the table on standard output and one JSON line on standard error. A process measures one graph, so
 * that the peak of memory belongs to it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <regraft/regraft.h>

#include "samples.h"

enum { warm_up = 3, most_repetitions = 1000 };

/* Milliseconds of one repetition. */
struct sample {
    double read, passes, total;
};

static regraft_status add_pass(void *user, regraft_graph *graph, const char *pass, int after, double seconds) {
    struct sample *sample = user;
    (void)graph;
    (void)pass;
    if (after) sample->passes += seconds * 1e3;
    return REGRAFT_OK;
}

static regraft_status measure(regraft_context *context, const char *path, struct sample *sample, size_t *nodes) {
    regraft_run_options options = REGRAFT_RUN_OPTIONS_INIT;
    regraft_graph *graph;
    options.observe = add_pass;
    options.user = sample;
    double start = now();
    regraft_status status = regraft_graph_read(context, path, NULL, &graph);
    if (status != REGRAFT_OK) return status;
    sample->read = (now() - start) * 1e3;
    *nodes = regraft_graph_node_count(graph);
    status = regraft_graph_run(graph, NULL, &options);
    sample->total = (now() - start) * 1e3;
    return status;
}

static void repeat(const char *path, struct sample *sample, size_t *nodes) {
    regraft_context *context;
    regraft_status status = regraft_context_create(NULL, &context);
    if (status == REGRAFT_OK) status = measure(context, path, sample, nodes);
    if (status != REGRAFT_OK) {
        fputs(status == REGRAFT_NO_MEMORY ? "out of memory\n" : regraft_message(context), stderr);
        exit((int)status);
    }
    regraft_context_destroy(context);
}

struct quantiles {
    double tenth, median, ninetieth;
};

/* Of the member at `offset` of each sample. */
static struct quantiles quantiles_of(const struct sample *samples, size_t count, size_t offset) {
    double values[most_repetitions];
    for (size_t i = 0; i < count; i++) values[i] = *(const double *)((const char *)&samples[i] + offset);
    return (struct quantiles){quantile(values, count, 0.1), quantile(values, count, 0.5), quantile(values, count, 0.9)};
}

static void print_json(const char *name, struct quantiles value, const char *end) {
    fprintf(stderr, "\"%s_ms\": [%.3f, %.3f, %.3f]%s", name, value.tenth, value.median, value.ninetieth, end);
}

int main(int argc, char **argv) {
    static struct sample samples[most_repetitions];
    struct rusage usage;
    size_t nodes = 0, count = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 40;
    if (argc < 3 || count == 0 || count > most_repetitions) {
        fprintf(stderr, "usage: %s LABEL GRAPH [REPETITIONS]\n", argv[0]);
        return REGRAFT_USAGE;
    }
    for (size_t i = 0; i < warm_up; i++) repeat(argv[2], &(struct sample){0}, &nodes);
    for (size_t i = 0; i < count; i++) repeat(argv[2], &samples[i], &nodes);
    getrusage(RUSAGE_SELF, &usage);

    struct quantiles read = quantiles_of(samples, count, offsetof(struct sample, read));
    struct quantiles passes = quantiles_of(samples, count, offsetof(struct sample, passes));
    struct quantiles total = quantiles_of(samples, count, offsetof(struct sample, total));
    printf("%-24s %7zu %9.2f %9.2f %9.2f %8.2f %8.2f %9.2f %9.1f\n", argv[1], nodes, read.median, passes.median,
           total.median, total.tenth, total.ninetieth, total.median * 1e3 / (double)nodes,
           (double)usage.ru_maxrss / 1024);
    fprintf(stderr, "{\"label\": \"%s\", \"nodes\": %zu, \"repetitions\": %zu, ", argv[1], nodes, count);
    print_json("read", read, ", ");
    print_json("passes", passes, ", ");
    print_json("total", total, ", ");
    fprintf(stderr, "\"peak_mib\": %.1f}\n", (double)usage.ru_maxrss / 1024);
    return 0;
}
