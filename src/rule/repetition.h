/* Rows that hold the same twice: cosines and sines as a rotation spelled in ATen operations takes them, one for each element of
 * a pair. */
#ifndef REGRAFT_RULE_REPETITION_H
#define REGRAFT_RULE_REPETITION_H

#include "ir/graph.h"

enum repetition {
    repetition_halves, /* a b c a b c: element i of a row of 2 * n is element i + n */
    repetition_pairs   /* a a b b c c: element 2 * i is element 2 * i + 1 */
};

/* Whether the rows of the last dimension do, by what the tensor is made of: joined from equal parts, repeated, expanded, and
 * computed element by element from such. False when that does not show. */
bool rows_repeat(const struct node *tensor, enum repetition repetition);
/* A tensor with the elements of `tensor`, in the same order, each that stands twice but once; NULL when there is none in the
 * graph, only a slice would have them. Its sizes may be split or joined otherwise. */
struct node *rows_once(const struct node *tensor, enum repetition repetition);

#endif
