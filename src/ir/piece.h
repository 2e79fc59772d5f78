/* Pieces: a graph cut where its engine cuts it (docs/plan.md). Each node knows its piece; in program order the numbers never
 * fall. In text a comment above the first statement of each piece tells its number:
 *
 *     # piece 0, boundary=owned
 *     # piece 1: vllm.unified_attention_with_output.default */
#ifndef REGRAFT_IR_PIECE_H
#define REGRAFT_IR_PIECE_H

#include "ir/memory.h"

struct piece_marker {
    uint32_t number;
    bool owned;             /* nothing but whole buffers may cross a cut */
    struct text operations; /* split operations, separated by ", "; "" for a piece between them */
};
/* Whether a comment, from its `#` on, is such a line. */
bool piece_read_marker(struct text line, struct piece_marker *marker);

/* A value that is made in one piece and read in a later one. Inputs of the graph do not count: each piece gets them from the
 * caller, nor does what is returned. */
struct crossing {
    struct node *value;
    uint32_t first, last; /* the pieces that read it: the first and the last of them */
    struct node *buffer;  /* the root of its memory; NULL for an integer */
    bool whole;           /* it is all of its buffer, not a window onto a part */
    symint bytes;         /* of its elements; NULL: not known */
};
typedef VECTOR(struct crossing) crossing_list;

regraft_status piece_crossings(struct graph *graph, struct arena *arena, crossing_list *list);

#endif
