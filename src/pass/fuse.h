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

/* ---- fuse_layout.c ---- */

/* Whether `new` is of the type of `old`; it may lie otherwise, when nobody can tell or a copy can lay it out the same. */
bool fuse_may_stand_for(struct graph *graph, const struct node *old, const struct node *new);
/* *new becomes a copy of it, before `before`, laid out like `old`, when somebody can tell the difference. */
regraft_status fuse_keep_layout(struct graph *graph, struct node *before, const struct node *old, struct node **new);
/* Infers the types of views of `node` anew, and of what is made of those. */
regraft_status fuse_retype_users(struct graph *graph, struct node *node, struct arena *scratch);

#endif
