/* The matcher: one rule at one place of a graph. It looks only; the graph never changes meanwhile. */
#ifndef REGRAFT_RULE_MATCH_H
#define REGRAFT_RULE_MATCH_H

#include "ir/memory.h"
#include "rule/rule.h"

struct attribute_binding {
    bool bound;
    symint integer;
    enum dtype dtype;
    const struct value *value;
};

/* What a rule's names stand for at one place. */
struct match {
    const struct rule *rule;
    struct node **values; /* by variable of rule->match; NULL: a result that nobody uses, or an alternative not taken */
    struct attribute_binding *attributes;
    struct node **calls;         /* by statement: the call; NULL for views, and alternatives not taken */
    struct node *last;           /* the matched call that stands last: the replacement stands there */
    VECTOR(struct node *) moved; /* what has to move behind the replacement, in order */
};

/* The first condition that failed, where most of the rule was found. */
struct failure {
    size_t progress;                   /* how many calls were found, and how many conditions held; 0: none */
    const struct condition *condition; /* or NULL: the graph itself differs */
    const struct node *node;           /* where; NULL: nothing failed yet */
    const char *text;                  /* what was expected, what was found; "" unless matcher->explain */
    const char *remedy;                /* what would make it fire; "" unless matcher->explain */
};

struct goal;
struct trail;
struct deferred;
struct matcher {
    struct graph *graph;
    struct context *context;
    struct memory *memory;
    struct arena *arena; /* of matches and texts of failures */
    bool explain;        /* build the texts of failures */
    bool exact;          /* every bit has to stay: what rules say of rounding counts */
    struct match *match; /* being tried */
    struct failure failure;
    size_t found, steps;
    bool noted; /* the failure that was told last is the one that is kept */
    size_t trail_count, goal_count, deferred_count;
    struct trail *trail;
    struct goal *goals;
    struct deferred *deferred;
};

void matcher_init(struct matcher *matcher, struct graph *graph, struct memory *memory, struct arena *arena);
/* Tries the rule with its anchor at `call`; NULL when it does not match: then matcher->failure says why. */
struct match *matcher_try(struct matcher *matcher, const struct rule *rule, struct node *call);
/* Whether the calls of the match can become one, and what has to move for it (schedule.c). */
bool match_schedule(struct matcher *matcher, struct match *match);
/* Whether the node is a call of the match. */
bool match_has_call(const struct match *match, const struct node *node);

/* ---- calls, plain or functionalised (calls.c) ---- */

/* The number that a result (returns first, then written arguments) has among the items of a call; -1: the call itself is
 * its only result. */
int64_t item_of_result(const struct operation *operation, size_t result);
/* The node that is result number `result` of a call; NULL: nobody uses it. */
struct node *call_result(const struct node *call, const struct operation *operation, size_t result);
/* What a view, copy or reshape has the elements of, in the same order; NULL: it has others. */
struct node *same_elements_source(const struct node *node);
/* Whether the call goes when its rule fires: all others stay as long as somebody uses them. */
bool call_goes(const struct node *call);

#endif
