/* Comparing what two runs gave, tensor by tensor. */
#ifndef REGRAFT_INTERP_COMPARE_H
#define REGRAFT_INTERP_COMPARE_H

#include "interp/interpreter.h"

/* One tensor: how far apart the two sides are. */
struct comparison_row {
    struct text name;
    bool equal;
    double norm;          /* relative L2 norm of the difference */
    double tolerance;     /* for the element type; 0: exact */
    const char *note;     /* what differs beyond the values (missing, other sizes, ...); "" when nothing does */
    const int64_t *worst; /* the index of the element that is farthest off, NULL when all are equal */
    size_t rank;
    double found, expected; /* that element */
};

struct comparison {
    bool equal;  /* all rows are */
    double norm; /* the largest of all rows */
    VECTOR(struct comparison_row) rows;
};

/* A tensor that one side does not have is compared with that side's unchanged inputs; if it is not there either, that
 * is a difference. */
void compare_outcomes(struct arena *arena, const struct outcome *found, const struct outcome *expected,
                      struct comparison *comparison);
/* The same with the tensors of a file, which holds no unchanged inputs of its own. */
void compare_with_set(struct arena *arena, const struct outcome *found, const struct tensor_set *expected,
                      struct comparison *comparison);
/* A copy of a comparison in another arena. */
void compare_keep(struct arena *arena, const struct comparison *comparison, struct comparison *copy);
/* One line a tensor. */
void comparison_print(struct builder *out, const struct comparison *comparison);

#endif
