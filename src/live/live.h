/* Graphs that come in and go out node by node (regraft/live.h): the tables of numbers, building, and reading back. */
#ifndef REGRAFT_LIVE_LIVE_H
#define REGRAFT_LIVE_LIVE_H

#include "ir/graph.h"
#include "regraft/live.h"

/* A graph that was built, and what it was built of, to tell what has changed. */
struct built {
    struct graph *graph;
    const regraft_live_node *nodes;
    const regraft_value *values;
    size_t node_count;
};

struct live {
    struct context *context;
    VECTOR(struct text) strings;
    struct map *string_numbers; /* text -> number + 1 */
    VECTOR(symint) expressions;
    struct map *expression_numbers; /* symint -> number + 1 */
    VECTOR(const struct type *) types;
    VECTOR(const struct location *) locations; /* by the number of the text; NULL where it has none yet */
    VECTOR(struct built) built;
};

struct live *live_create(struct context *context);

/* ---- tables.c ---- */

/* The number of a text or an expression, given now when it has none. */
int64_t live_string_number(struct live *live, struct text text);
int64_t live_expression_number(struct live *live, symint expression);
/* Texts that each end in a zero byte get the numbers from *first on. */
regraft_status live_add_strings(struct live *live, struct text bytes, int64_t *first);
regraft_status live_expression(struct live *live, struct text text, symint *result);
/* The other way: REGRAFT_USAGE when there is no such number. `what` is for the message. */
regraft_status live_string(struct live *live, int64_t number, const char *what, struct text *text);
regraft_status live_dimension(struct live *live, regraft_dimension dimension, symint *result);
regraft_status live_type(struct live *live, int64_t number, const struct type **type);
int64_t live_add_type(struct live *live, const struct type *type);
regraft_status live_tensor(struct live *live, struct text dtype, struct text device, struct layout layout,
                           int64_t *number);
/* `cuda:0` */
struct device device_of_text(struct text text);
regraft_status live_fail(struct live *live, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- build.c and edits.c ---- */

regraft_status live_build(struct live *live, const regraft_live_node *nodes, size_t node_count,
                          const regraft_value *values, size_t value_count, struct graph **result);
regraft_status live_edits(struct live *live, struct graph *graph, regraft_edits *result);

#endif
