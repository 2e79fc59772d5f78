/* What the generators of random inputs share (random_inputs.c, random_layers.c). */
#ifndef REGRAFT_INTERP_RANDOM_SOURCE_H
#define REGRAFT_INTERP_RANDOM_SOURCE_H

#include "interp/random_inputs.h"
#include "interp/run.h"

struct random_source {
    struct run run; /* for the values of symbols only */
    struct bindings *bindings;
    uint64_t state;
};

/* In [0, limit); 0 when limit is 0. */
int64_t random_below(struct random_source *source, int64_t limit);
/* The concrete shape of a value that is a tensor; false when it is none or a size is not known. */
bool random_shape(struct random_source *source, const struct value *value, enum dtype *dtype, struct shape *shape);
/* An argument of a call by its schema name, also inside of an auto_functionalized call; a written argument of
 * auto_functionalized_v2 gives its base. NULL when there is none. */
const struct value *random_argument(const struct random_source *source, const struct node *node, const char *name);
/* Binds a new tensor filled at random; nothing happens when the name is bound already. */
regraft_status random_bind(struct random_source *source, const struct node *node, struct text name, enum dtype dtype,
                           const struct shape *shape, int64_t limit, struct tensor *tensor);

/* The caches, tables and weights that the calls of the graph reach by a name. */
regraft_status random_layers(struct random_source *source, struct graph *graph);
/* An upper bound (excluded) for the elements of an integer input: half of the least that it may index, as something
 * may be added to them. 4 when they index nothing. */
int64_t random_index_limit(struct random_source *source, const struct node *placeholder);
/* Where an input is a slot mapping: how many slots there are, else 0. */
int64_t random_slot_count(struct random_source *source, const struct node *placeholder);
/* Distinct slots below `limit`, all but the last of several, which is -1. */
void random_fill_slots(struct random_source *source, const struct tensor *tensor, int64_t limit);

#endif
