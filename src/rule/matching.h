/* What the parts of the matcher share: the search (match.c), values (match_value.c), views (match_view.c), what may move
 * (schedule.c). */
#ifndef REGRAFT_RULE_MATCHING_H
#define REGRAFT_RULE_MATCHING_H

#include "rule/match.h"

enum goal_kind {
    goal_variable, /* the variable is this node */
    goal_view,     /* the node is the result of a view statement whose argument is bound by now */
    goal_climb     /* find the variable among the users of what is bound */
};

struct goal {
    enum goal_kind kind;
    size_t index;  /* of the variable; of the statement */
    size_t result; /* of the statement */
    struct node *node;
    const struct goal *next;
};

enum trail_kind { trail_variable, trail_attribute, trail_call };
struct trail {
    enum trail_kind kind;
    size_t index;
};

/* What can only be compared once more is bound: an integer, or a view whose integers are not known yet. */
struct deferred {
    symint pattern, actual; /* pattern NULL: a view */
    const struct node *node;
    size_t statement, result;
};

enum { matcher_most_goals = 2048, matcher_most_trail = 4096, matcher_most_deferred = 512, matcher_most_steps = 20000 };

/* Notes why the rule does not match, when it came further than any try before; always false. */
bool match_fails(struct matcher *matcher, const struct node *node, const struct condition *condition,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* What would help against the failure that was just noted; always false. */
bool match_remedy(struct matcher *matcher, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Remembers a binding, which is taken back with the others; false when there are too many. */
bool match_note(struct matcher *matcher, enum trail_kind kind, size_t index);
bool match_defer(struct matcher *matcher, struct deferred deferred);
/* A goal in front of others; NULL when there are too many. */
const struct goal *match_push(struct matcher *matcher, struct goal goal, const struct goal *next);

/* ---- match_value.c ---- */

bool same_constant(const struct value *a, const struct value *b);
/* Whether the default of the schema's argument is this value. */
bool is_default(const struct schema_argument *argument, const struct value *value);
/* All of these bind what is not bound yet. */
bool match_type(struct matcher *matcher, const struct variable *variable, const struct node *node);
/* Argument `index` of the statement with argument `from` of the call; pushes goals for tensors. */
bool match_argument(struct matcher *matcher, const struct rule_statement *statement, struct node *call, size_t index,
                    size_t from, const struct goal **goals);
bool match_deferred_integer(struct matcher *matcher, const struct deferred *deferred);

/* ---- match_view.c ---- */

/* Whether `node` is result number `result` of the view statement, applied to what its argument is bound to; unknown when
 * integers of the statement are not bound yet, or places are not known. */
enum answer match_view(struct matcher *matcher, size_t index, size_t result, struct node *node);
/* All tensors that are windows onto what `base` is a window onto, in order of the program. */
typedef VECTOR(struct node *) node_list;
void windows_beside(struct matcher *matcher, struct node *base, node_list *list);

/* ---- spelling.c ---- */

/* One operation for all that compute the same: aten.mul.Scalar is aten.mul.Tensor. */
enum operation_id operation_form(const struct operation *operation);
/* Whether a call of `called` is one of `operation`, in another spelling or in the same. */
bool is_spelling(const struct operation *operation, const struct operation *called);
/* The other spellings of a form; NULL after the last. */
const struct operation *spelling_at(const struct operations *operations, const struct operation *operation,
                                    size_t index);
/* What the call, in whatever spelling, has as argument `index` of `operation`; NULL when it was left out. */
const struct value *spelled_argument(const struct node *call, const struct operation *operation, size_t index);
/* An argument of the call that `operation` has not, and that says more than its default; NULL: none. */
const struct schema_argument *unspelled_argument(const struct node *call, const struct operation *operation);

/* ---- calls.c ---- */

/* Whether the two are one value: the same node, or the same item of one call. */
bool same_value(const struct node *a, const struct node *b);
/* The call whose result number `result` the node is, of a statement's operation; NULL: it is none. */
struct node *call_of_result(const struct rule_statement *statement, size_t result, struct node *node);
/* What a node is, for messages. */
const char *what_is(struct arena *arena, const struct node *node);
/* What a view is a window onto; NULL: the node is no view. */
struct node *view_source(const struct node *node);

#endif
