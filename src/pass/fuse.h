/* What the parts of the pass `fuse` share. */
#ifndef REGRAFT_PASS_FUSE_H
#define REGRAFT_PASS_FUSE_H

#include "pass/pass.h"
#include "rule/match.h"

/* Puts the rule's replacement in the place of a match. `forward`, by node index, is what took the place of nodes that are
 * gone. *refused is why not, and the graph as it was, when the replacement would be of another type or no graph at all: a
 * remark says so too. Else it is NULL. */
struct replacing {
    struct graph *graph;
    struct arena *scratch;
    struct node **forward;
    size_t forward_limit;
};
regraft_status fuse_replace(struct replacing *replacing, struct matcher *matcher, struct match *match,
                            const char **refused);

/* What is wrong with a replacement. */
struct mismatch {
    const struct variable *variable;        /* of rule->replace; NULL: all are of the type of what they replace */
    const struct type *expected, *found;    /* its types in match and replacement */
    const struct rule_statement *statement; /* that does not fit its arguments; NULL: all do */
};
/* Looks whether the replacement of a match is of the type of what it replaces, wherever it may lie; the graph stays as it is. */
regraft_status fuse_find_mismatch(struct replacing *replacing, struct matcher *matcher, struct match *match,
                                  struct mismatch *mismatch);

/* ---- fuse_check.c ---- */

/* Refuses a rule whose replacement is of another type than what it replaces, on an instance that the rule's conditions
 * allow. What such instances do not show (a condition that none of them meets) is left to the check when the rule fires. */
regraft_status fuse_check_rule(struct context *context, const struct rule *rule);

typedef VECTOR(const struct rule *) rule_list;

/* A rule of the stage `raise` that fired at the call `anchor`, and the nodes that it made: those of index first to limit - 1. */
struct raise {
    const struct rule *rule;
    struct text anchor;
    uint32_t first, limit;
};

/* A run of the pass. */
struct fusing {
    struct graph *graph;
    struct arena *scratch;
    unsigned platform;
    struct token_range tokens;
    struct map *by_operation[stage_count]; /* of the anchor -> rule_list */
    rule_list rules[stage_count];          /* that may fire here */
    rule_list unavailable;                 /* that would, but for an operation that may not be called */
    rule_list asked;                       /* for by name */
    VECTOR(struct raise) raises;           /* in order */
    struct map *useless;                   /* "RULE ANCHOR", "RULE " for everywhere: what is not raised */
    struct map *taken;                     /* the names of calls that rules fired on */
    bool explain;                          /* record failures too */
    enum { raises_all, raises_used, raises_none } raised; /* of what rules raise: only what gets fused; nothing */
};

/* All that the stages find, one after the other, and what that brings about. */
regraft_status fuse_run_stages(struct fusing *fusing);

/* ---- fuse_raise.c ---- */

/* Finds what need not be raised, as no fusion would come of it: raises on a copy of the graph, fuses, and looks what is left. */
regraft_status fuse_find_useless_raises(struct fusing *fusing);
/* Whether the rule is not to fire at the call. */
bool fuse_is_useless(const struct fusing *fusing, const struct rule *rule, struct text anchor);

/* ---- fuse_layout.c ---- */

/* Whether `new` has the element type, device and sizes of `old`. */
bool fuse_same_type(const struct graph *graph, const struct node *old, const struct node *new);
/* Whether `new` is of the type of `old`; it may lie otherwise, when nobody can tell or a copy can lay it out the same. */
bool fuse_may_stand_for(struct graph *graph, const struct node *old, const struct node *new);
/* *new becomes a copy of it, before `before`, laid out like `old`, when somebody can tell the difference. */
regraft_status fuse_keep_layout(struct graph *graph, struct node *before, const struct node *old, struct node **new);
/* Infers the types of views of `node` anew, and of what is made of those. */
regraft_status fuse_retype_users(struct graph *graph, struct node *node, struct arena *scratch);

#endif
