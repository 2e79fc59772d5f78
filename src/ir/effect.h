/* What calls do to memory and state, from the table and the schemas alone. */
#ifndef REGRAFT_IR_EFFECT_H
#define REGRAFT_IR_EFFECT_H

#include "ir/graph.h"

/* The operation that a call runs: its own, or the one that auto_functionalized wraps; NULL when it is in no table. */
const struct operation *node_called_operation(const struct node *node);
bool node_is_functionalized_call(const struct node *node);
/* The value of argument `index` of the called operation's schema, also of a functionalised call; NULL: left out. */
struct value *node_called_argument(const struct node *call, size_t index);
/* Of a functionalised call: the keyword argument of that name, or NULL. */
const struct value *functionalized_keyword(const struct node *call, struct text keyword);
/* Of a functionalised call: how many results come before those for written arguments (v1) or bases (v2). */
size_t functionalized_lead(const struct node *call);
/* The argument or base whose new value is the item `index` of its result; NULL when it is not one of those. */
const struct value *functionalized_item(const struct node *call, int64_t index);
/* The tensors that the node writes in place, in this form of the graph: a raw call's written arguments; all arguments of
 * an unknown operation. A functionalised call writes nothing. */
void node_each_write(struct node *node, void (*visit)(void *user, struct node *written), void *user);
/* May the node go when nobody uses its result? */
bool node_is_removable(const struct node *node);
/* Do two nodes with the same target and arguments have the same value (as long as nothing is written in between)? */
bool node_is_pure(const struct node *node);
/* Whether the call draws random numbers: attention with dropout. Each call then gives something else. */
bool node_is_random(const struct node *node);
/* Does the node change or depend on anything but its arguments (state, unknown operations)? */
bool node_has_effect(const struct node *node);
/* Does it compute each element from the elements at the same place of its arguments? */
bool node_is_pointwise(const struct node *node);
/* Whether a compiler that generates code computes the call in code of its own, together with its neighbours: any operation of ATen but
 * matrix products and attention. Others run a kernel of their own, and what they read is in memory before. */
bool node_is_generated(const struct node *node);
/* Whether the call copies a value that is computed element by element for it alone: a compiler that generates code computes
 * it where it is put. Views may stand between. */
bool node_copies_inline(const struct node *copy);

#endif
