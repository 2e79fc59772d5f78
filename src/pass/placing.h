/* What the parts of `place` share: where values live while the graph is being placed, who still reads them, and copies. */
#ifndef REGRAFT_PASS_PLACING_H
#define REGRAFT_PASS_PLACING_H

#include "pass/pass.h"
#include "pass/window.h"

struct placing {
    struct graph *graph;
    struct memory *memory;
    struct arena *scratch;
    size_t limit; /* of the arrays by node index */
    uint32_t *
        last_reader; /* by the index of a root: the order of the last node that reads its memory, write-backs not counted */
    bool *written;            /* by the index of a root: a call has written to it in place */
    struct node **write_back; /* by the index of an input: the copy_ that overwrites it at the end, or NULL */
    struct map *kept_behind;  /* the index of a reader -> why it could not be moved before the write (const char *) */
    struct map *destinations; /* (call, base) -> the copy of the base that the call writes into */
};

regraft_status placing_start(struct placing *placing, struct graph *graph, struct arena *scratch);

/* Whether the places of two values may overlap. */
bool placing_overlap(struct placing *placing, const struct node *a, const struct node *b);
/* Why the place of `value` must keep its contents behind `writer`, which wants to write it; NULL when it need not. */
const char *placing_obstacle(struct placing *placing, const struct node *value, const struct node *writer);
/* The first half of that: why the place cannot be written whoever reads it. */
const char *placing_memory_obstacle(struct placing *placing, const struct place *place, const struct node *writer);
/* The second half: a node behind `writer` that reads old contents of the place, or NULL. */
struct node *placing_reader(struct placing *placing, const struct place *place, const struct node *writer);
/* Why a new version cannot live where the value is: an in-place call of the graph as it was read writes there later. */
const char *placing_raw_write(struct placing *placing, const struct node *value, const struct node *writer);
/* Why `result` cannot live in the memory of `value`: the graph itself writes it in place later, or a result of the graph
 * would come to share memory. */
const char *placing_new_alias(struct placing *placing, const struct node *result, const struct node *value);

/* An allocation whose contents nobody has written: instead of a copy it is made a second time. */
bool placing_is_unwritten(struct placing *placing, const struct node *value);
regraft_status placing_allocate_again(struct placing *placing, struct node *before, struct node *value,
                                      struct node **result);
/* Whether a copy of the value with its own strides can be written down. */
bool placing_can_copy(struct placing *placing, const struct node *value);
/* Whether memory of these strides can be written down. */
bool placing_can_allocate(struct placing *placing, const struct layout *layout);
/* Fresh memory for the value, laid out so. */
regraft_status placing_allocate(struct placing *placing, struct node *before, const struct node *value,
                                const struct layout *layout, struct node **result);
/* A copy of the value, laid out so, without a record of it; *copy is the call that copies. */
regraft_status placing_copy_as(struct placing *placing, struct node *before, struct node *value,
                               const struct layout *layout, struct node **result, struct node **copy);
/* copy_ before `before`, without a record of it. */
regraft_status placing_copy_into(struct placing *placing, struct node *before, struct node *target, struct node *source,
                                 struct node **copy);
/* Types and places of a node that was inserted at the time of `before`. */
regraft_status placing_settle(struct placing *placing, struct node *node, const struct node *before);
/* A copy of the value with its own strides before `before`, with its reason. */
regraft_status placing_copy(struct placing *placing, struct node *before, struct node *value, const char *why,
                            struct node **result);
/* When `item`, the new version of `value`, is put into an update of the same base that needs a copy of the base anyway: the
 * window onto that copy, made before the call. NULL when there is no such update. */
regraft_status placing_destination(struct placing *placing, struct node *call, struct node *item, struct node *value,
                                   const char *why, struct node **result);

/* The update that puts `item` into its base and is read itself, or NULL. */
struct node *placing_putting_update(const struct node *item);

/* Lets all readers of `node` read `value`, whose memory now holds it. */
regraft_status placing_replace(struct placing *placing, struct node *node, struct node *value);
void placing_note_write(struct placing *placing, struct node *value);
/* Records a call that copies. */
void placing_record(struct placing *placing, struct node *node, const struct node *value, const char *why,
                    const char *remedy, bool own);

void placing_note_own_copy(struct placing *placing, struct node *node);

/* ---- place_readers.c ---- */

/* Of a graph that is about to be placed: moves readers of old contents before what would overwrite these. `kept_behind`: those that
 * stay, as in struct placing. */
regraft_status place_readers(struct graph *graph, struct arena *scratch, struct map **kept_behind);

/* ---- place_result.c ---- */

/* Where the call can write its new version `item` of `value`, an argument that it only writes and nobody has written before,
 * so that the update that puts it into its base has nothing left to do. NULL: nowhere. */
regraft_status place_result(struct placing *placing, struct node *call, size_t argument, struct node *item,
                            const struct node *value, struct node **result);

/* ---- place_contract.c ---- */

/* Gives the call what it is owed for the arguments that it reads: copies before it; or for those that it writes (not of a
 * functionalised call): copies before it, and back behind it. */
regraft_status place_contracts(struct placing *placing, struct node *call, bool written);

/* ---- place_boundary.c ---- */

/* Of a placed graph that is cut: copies what must not cross a cut as a window onto a part of a buffer. */
regraft_status place_boundaries(struct graph *graph, struct arena *scratch);

/* ---- place_update.c ---- */

regraft_status place_update(struct placing *placing, struct node *update);
bool placing_is_write_back(struct placing *placing, const struct node *node);
regraft_status place_write_back(struct placing *placing, struct node *copy);

#endif
