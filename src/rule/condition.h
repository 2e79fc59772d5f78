/* Conditions of rules: what can be asked, and the answers for one match. */
#ifndef REGRAFT_RULE_CONDITION_H
#define REGRAFT_RULE_CONDITION_H

#include "rule/match.h"

struct rule_function {
    const char *name;
    bool of_dtype;         /* of an element type, not of a tensor */
    bool integer_argument; /* has an integer as its second argument */
    bool integer;          /* its value is an integer */
    bool holds;            /* it holds or not; neither an integer nor that: the element type of a tensor */
    /* The integer, or NULL when it is not known. */
    symint (*value)(struct matcher *matcher, const struct node *tensor, enum dtype dtype, int64_t argument);
    enum answer (*property)(struct matcher *matcher, size_t variable, const char **why);
};
/* NULL after the last one. */
const struct rule_function *rule_function_at(size_t index);

/* Whether the condition holds for what is bound. `why` (may be NULL) is set to the values that it was decided on. */
enum answer condition_holds(struct matcher *matcher, const struct condition *condition, const char **why);
/* What would make it hold: what the rule says, else what the condition itself does. */
const char *condition_remedy(struct matcher *matcher, const struct condition *condition);
/* The node that the condition is about: the first tensor that it asks something of; NULL: it asks none. */
const struct node *condition_node(const struct matcher *matcher, const struct condition *condition);
/* A constant argument, for messages. */
void constant_print(struct builder *out, const struct value *value);
/* The value of an expression, for messages. */
void expression_print(struct builder *out, struct matcher *matcher, const struct expression *expression);
/* The integer that an expression is for what is bound; NULL when it is not known. */
symint expression_integer_of(struct matcher *matcher, const struct expression *expression);
/* An integer expression with the attributes that are bound put in; NULL when one is not bound. */
symint bound_integer(struct matcher *matcher, symint integer);

#endif
