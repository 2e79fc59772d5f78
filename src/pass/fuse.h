/* What the parts of the pass `fuse` share. */
#ifndef REGRAFT_PASS_FUSE_H
#define REGRAFT_PASS_FUSE_H

#include "pass/pass.h"
#include "rule/match.h"

/* Puts the rule's replacement in the place of a match. `forward`, by node index, is what took the place of nodes that are
 * gone. *done is false, and the graph is as it was, when the replacement would be of another type: then a remark says so. */
struct replacing {
    struct graph *graph;
    struct arena *scratch;
    struct node **forward;
    size_t forward_limit;
};
regraft_status fuse_replace(struct replacing *replacing, struct matcher *matcher, struct match *match, bool *done);

#endif
