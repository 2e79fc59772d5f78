/* The memory plan of a graph: its buffers, how long each is needed, and one arena that holds them all (docs/plan.md).
 *
 * A buffer is a storage of the memory model (ir/memory.h). It lives from the call that makes it to the last node that
 * reads or writes it, through whatever view. In a placed graph calls write into buffers that are there, so that it has
 * few; in a functional graph every update is one of its own. */
#ifndef REGRAFT_PLAN_PLAN_H
#define REGRAFT_PLAN_PLAN_H

#include "ir/memory.h"

enum buffer_kind {
    buffer_planned,   /* has an offset in the arena */
    buffer_input,     /* the caller's */
    buffer_result,    /* returned, or a view of it is: the caller gets it */
    buffer_operation, /* an unknown operation gave it: it may be memory that it was given */
    buffer_unsized,   /* its size is not known before the graph runs */
    buffer_kind_count
};
const char *buffer_kind_name(enum buffer_kind kind);

struct buffer {
    struct node *root;  /* the value that it is named after */
    struct node *maker; /* the call that makes it: `root`, or the one that `root` is an item of */
    struct node *last;  /* the last node that reads or writes it; `maker` when nobody does */
    enum buffer_kind kind;
    bool may_be_alias; /* a view that may have needed a copy: there is no such buffer when it did not */
    symint bytes;      /* NULL: not known */
    symint room;       /* bytes, rounded up to the alignment; of planned buffers */
    symint offset;     /* in bytes from the start of the arena; of planned buffers */
};

struct plan {
    struct graph *graph;
    int64_t alignment;
    VECTOR(struct buffer) buffers; /* in the order of their makers */
    /* Of the planned buffers, with their sizes rounded up: */
    symint sum;  /* each in memory of its own */
    symint live; /* the most that is alive together: no plan can do with less */
    symint peak; /* the size of the arena */
};

struct plan_options {
    int64_t alignment;         /* in bytes, a power of two; 0: 64, as Inductor has it */
    const struct map *symbols; /* name -> int64_t: sizes that are to be taken as known; may be NULL */
};

/* From the first to the last element: more than there are where strides leave gaps. */
symint layout_bytes(struct symbols *symbols, const struct layout *layout, enum dtype dtype);

/* The expression as a number, when the symbols (name -> int64_t, or NULL) give one that is not negative; else as it is. */
symint size_bind(struct symbols *symbols, symint expression, const struct map *values);

/* Lifetimes, sizes and offsets. The graph is not changed; the plan holds as long as it is not. */
regraft_status plan_create(struct graph *graph, struct plan_options options, struct arena *arena, struct plan *plan);

/* Gives each planned buffer its offset and sets the totals. Sizes and lifetimes are taken as they stand. */
void plan_layout(struct plan *plan, struct arena *arena);
/* Whether two buffers are both needed at some node. */
bool buffers_live_together(const struct buffer *a, const struct buffer *b);
/* REGRAFT_INTERNAL, with both named, when two planned buffers that live together are not provably apart. */
regraft_status plan_verify(const struct plan *plan);

#endif
