/* Parameters of a pass, as a pipeline gives them: `partition{split-ops=a,b boundary=owned}`. */
#ifndef REGRAFT_PASS_PARAMETER_H
#define REGRAFT_PASS_PARAMETER_H

#include "ir/graph.h"

struct parameter_value {
    struct text text;
    struct position position; /* in the pipeline, for messages */
};

struct parameter {
    struct text name;
    VECTOR(struct parameter_value) values; /* at least one */
};

typedef VECTOR(struct parameter) parameter_list;

/* The parameters of the pass that runs. The parser has seen to it that each is one of the pass's, given once, and that
 * the form of its values is right (pass/passes.def). */
struct parameters {
    parameter_list list;
    struct position position; /* of the pass's name in the pipeline */
};

/* NULL when it was not given. */
const struct parameter *parameter_find(const struct graph *graph, const char *name);
/* The only value of a parameter; `fallback` when it was not given. */
struct text parameter_text(const struct graph *graph, const char *name, const char *fallback);
/* Where the pass is named: for what is wrong with its parameters as a whole. */
struct position parameter_position(const struct graph *graph);

#endif
