/* What belongs to `regraft reduce`: the failure that has to stay, and the ways to make a graph smaller. */
#ifndef REGRAFT_TOOL_REDUCE_H
#define REGRAFT_TOOL_REDUCE_H

#include "tool/internals.h"

struct reduce_options {
    struct input_options input;
    const char *against; /* the pipeline whose result is compared with; NULL: the graph as it is */
    const char *test;    /* a command instead of the pipelines */
    bool unproved;       /* what cannot be proved is a failure too */
};

/* ---- the failure: reduce_failure.c ---- */

enum failure_kind {
    failure_none,
    failure_pass,      /* a pass or the verifier behind it failed */
    failure_run,       /* the graph runs, the result does not */
    failure_different, /* they do not compute the same */
    failure_unproved,
    failure_command /* the command of --test ended with 0 */
};

struct failure {
    enum failure_kind kind;
    regraft_status status; /* of a failed pass */
};

/* What a text shows. `report` (may be NULL) gets what there is to say about it, in lines. */
struct failure reduce_observe(const struct reduce_options *options, struct text text, struct builder *report);

/* ---- smaller graphs: reduce_steps.c ---- */

struct reduce_step {
    /* How many things of the graph the step could change. */
    size_t (*count)(struct graph *graph);
    /* Changes `count` of them from `first` on, those that it can. */
    void (*apply)(struct graph *graph, size_t first, size_t count);
    bool single; /* never several at a time */
};
/* `apply` NULL ends the list. */
extern const struct reduce_step reduce_steps[];

/* Leaves out what no graph needs: comments, the module around it, the names that end. */
void reduce_strip(struct graph *graph);
/* Types anew, after a change; false when the graph makes no sense any more. */
bool reduce_retype(struct graph *graph);

/* What is smaller: first the statements, then inputs and results, then sizes, then the text. */
struct graph_size {
    uint64_t measures[4];
};
struct graph_size reduce_size(struct graph *graph, struct text text);
bool reduce_is_smaller(struct graph_size a, struct graph_size b);

#endif
