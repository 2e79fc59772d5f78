/* What belongs to `regraft opt`: the options, the record of a run, its reports and the reproducer. */
#ifndef REGRAFT_TOOL_OPT_H
#define REGRAFT_TOOL_OPT_H

#include "tool/internals.h"

struct opt_options {
    struct input_options input;
    const char *print_before, *print_after, *reproducer;
    long bisect_limit; /* -1: none */
    bool timing, remarks, no_verify;
    bool check_each; /* --verify-each=check */
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
    struct graph *before;              /* with --verify-each=check: the graph as it was before the last of them */
};

/* Where graph `index` comes from: the options with --graph set to it. */
regraft_status opt_read(struct tool *tool, const struct opt_options *options, int index, regraft_graph **graph);

void opt_print_remarks(const struct opt_record *record);
void opt_print_timing(const struct opt_record *record);
json_t *opt_json(const struct opt_record *record, int index);

/* --verify-each=check: keeps the graph as it is before a pass, and after it compares. REGRAFT_INTERNAL, with the message in
 * the context, when the pass changed what the graph computes; a note on standard error where that could not be decided. */
regraft_status opt_keep(struct opt_record *record, struct graph *graph);
regraft_status opt_compare(struct opt_record *record, struct graph *graph, const char *pass);

/* What was to run, `default` written out. */
struct text opt_pipeline(const struct opt_record *record);
/* Writes the graph as it stood before the last pass of the record, with what to do to see the failure again. */
void opt_write_reproducer(const struct opt_record *record, int index, const char *message);

#endif
