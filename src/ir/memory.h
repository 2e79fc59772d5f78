/* The memory model of a graph: which buffer each value lives in, which window it is, and what is written when.
 *
 * Text knows only values. Here every value gets a place: the node that made its buffer (the root) and the window onto it.
 * A view has the root of its argument; an update (slice_scatter, ...) makes a new version of its base and is a root of
 * its own, with the base's layout. Raw in-place calls write buffers; program order is their meaning. */
#ifndef REGRAFT_IR_MEMORY_H
#define REGRAFT_IR_MEMORY_H

#include "ir/effect.h"
#include "ir/place.h"

struct place {
    struct node *root; /* NULL for values that are not tensors */
    bool exact;        /* the window is known; else the value lies somewhere in the root's buffer, or may be fresh */
    bool by_numbers;   /* as_strided on the way: the window may reach beyond the elements of the root's value */
    struct window_place window; /* offsets count from the start of the root's storage */
};

/* Where an update writes: a window onto the update's own value (a root). */
struct update_place {
    struct node *base, *source;
    bool exact;
    struct window_place window;
};

struct memory;
/* Numbers the nodes and looks at the whole graph once; linear. */
regraft_status memory_create(struct graph *graph, struct arena *arena, struct memory **result);
/* The same, kept by the graph and made anew only after a change. A pass may go on with it while it changes the graph, by
 * the functions below; the next call makes a new one. */
regraft_status memory_of(struct graph *graph, struct memory **result);
const struct place *memory_place(struct memory *memory, const struct node *node);
/* The root of its place; the node itself where that is not known. */
const struct node *memory_root(struct memory *memory, const struct node *node);
/* Looks anew at a node that was inserted or whose arguments have changed, and at all views of it. */
regraft_status memory_refresh(struct memory *memory, struct node *node);
/* graph_replace, and memory_refresh of what then reads `other`. */
regraft_status memory_replace(struct memory *memory, struct node *node, struct node *other);
/* For a root `old` that is replaced: raw writes to it count as writes to `root`, and when it is returned, `root` is. */
void memory_take_over(struct memory *memory, const struct node *root, const struct node *old);
/* Lets an inserted node count as standing and being read where `node` does. */
void memory_stand_in(struct memory *memory, struct node *inserted, const struct node *node);
/* For a node of class update with known window; `exact` false otherwise. */
regraft_status memory_update(struct memory *memory, struct node *update, struct update_place *result);

/* Whether a raw write may touch the buffer of `root` after the node with order `after` and not later than `until`. */
bool memory_written_between(struct memory *memory, const struct node *root, uint32_t after, uint32_t until);
/* Whether the two roots may share storage: an unknown operation may return what it was given. */
bool memory_may_share(struct memory *memory, const struct node *a, const struct node *b);
/* Whether the root may share storage with any other: inputs of one storage, results of unknown operations. */
bool memory_is_shared(struct memory *memory, const struct node *root);
/* The order of the last node that reads the value, through views too; the value's own order when nobody does. */
uint32_t memory_last_read(struct memory *memory, const struct node *node);
/* Whether the value, or a view of it, is returned by the graph. */
bool memory_escapes(struct memory *memory, const struct node *node);

#endif
