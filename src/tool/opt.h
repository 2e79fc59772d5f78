/* What belongs to `regraft opt`: the options, the record of a run, its reports and the reproducer. */
#ifndef REGRAFT_TOOL_OPT_H
#define REGRAFT_TOOL_OPT_H

#include "tool/tool.h"

struct opt_options {
    struct input_options input;
    const char *path, *pipeline, *output, *print_before, *print_after, *reproducer;
    long bisect_limit; /* -1: none */
    bool timing, remarks, no_verify;
};

struct pass_record {
    const char *pass;
    double seconds;
    size_t nodes_before, nodes_after;
};

/* What happened to one graph. */
struct opt_record {
    struct tool *tool;
    const struct opt_options *options;
    regraft_graph *graph;
    size_t nodes_before;
    VECTOR(struct pass_record) passes; /* those that were started */
};

/* Where graph `index` comes from: the options with --graph set to it. */
regraft_status opt_read(struct tool *tool, const struct opt_options *options, int index, regraft_graph **graph);

void opt_print_remarks(const struct opt_record *record);
void opt_print_timing(const struct opt_record *record);
json_t *opt_json(const struct opt_record *record);

/* Writes the graph as it stood before the last pass of the record, with what to do to see the failure again. */
void opt_write_reproducer(const struct opt_record *record, int index, const char *message);

#endif
