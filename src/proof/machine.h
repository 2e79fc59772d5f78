/* One graph, run on terms instead of numbers. */
#ifndef REGRAFT_PROOF_MACHINE_H
#define REGRAFT_PROOF_MACHINE_H

#include "ir/effect.h"
#include "ir/view.h"
#include "proof/contents.h"

struct buffer;

/* Buffers of which some may be one and the same, and which cannot be told. */
struct sharing {
    VECTOR(struct buffer *) members;
};

struct buffer {
    struct contents contents;
    struct window_place whole;  /* of the tensor that it was made for */
    const struct node *input;   /* the placeholder or attribute it belongs to, or NULL */
    const struct term *initial; /* of an input: its contents at the start */
    bool strides_known;         /* else `whole` is as if it were contiguous */
    bool stale;                 /* another that may share its memory was written: nobody knows what is in there */
    uint32_t version;           /* counts writes */
    struct sharing *sharing;    /* NULL: shares with no other */
};

struct tensor_value {
    struct buffer *buffer;
    struct window_place place;
    enum dtype dtype;              /* differs from the buffer's after view.dtype */
    bool by_numbers;               /* as_strided on the way: may reach beyond the buffer's tensor */
    const struct reading *reading; /* what was read last, of buffer version `version` */
    uint32_t version;
};

enum item_kind {
    item_none,
    item_integer,
    item_tensor,
    item_tuple,
    item_literal, /* a constant of the text: a number, a string, ... */
    item_object,  /* anything else, known by its term */
    item_pending  /* a result whose type is not known yet */
};

struct item {
    enum item_kind kind;
    union {
        symint integer;
        struct tensor_value *tensor;
        struct {
            struct item *items;
            size_t count;
        } tuple;
        const struct value *literal;
        struct {
            const struct term *term; /* of a pending item: the call */
            int64_t index;           /* of a pending item */
            bool untyped;            /* of an object: may be a tensor */
        } object;
    };
};

struct state {
    struct text layer;
    const struct term *term;
};

struct machine {
    struct prover *prover;
    struct graph *graph;
    struct item *items;             /* by node->index */
    VECTOR(struct buffer *) inputs; /* placeholders and attributes that are tensors */
    struct map *attributes;         /* target -> struct item */
    struct map *states;             /* layer -> struct state */
    VECTOR(struct state *) state_list;
    const struct term *epoch;       /* the last operation that may have changed anything, or NULL */
    bool named_state, object_state; /* layers were named by strings, by objects */
    struct buffer *unknown_result;  /* of the last operation that is in no table and returned a tensor, or NULL */
    struct item output;
};

/* Runs the whole graph; stops early when the prover gives up. */
void machine_run(struct prover *prover, struct graph *graph, struct machine *machine);
/* Runs a graph whose placeholders are the items that `find` gives, within the node that is run already. */
void machine_run_within(struct prover *prover, struct graph *graph,
                        const struct item *(*find)(void *user, struct text name), void *user, struct machine *machine);

/* ---- values (machine.c) ---- */

struct item item_of_value(struct machine *machine, const struct value *value);
struct item item_of_tensor(struct tensor_value *tensor);
/* The tensor of an item, or NULL. */
struct tensor_value *item_tensor_of(const struct item *item);
/* Gives a pending item the type that is known now. */
struct item item_resolve(struct machine *machine, struct item pending, const struct type *type);

const struct reading *tensor_read(struct machine *machine, struct tensor_value *tensor);
/* The reading has the tensor's sizes and element type. */
void tensor_write(struct machine *machine, struct tensor_value *tensor, const struct reading *reading);
struct tensor_value *tensor_make(struct machine *machine, struct buffer *buffer, const struct window_place *place,
                                 enum dtype dtype);
/* A tensor in fresh memory. `strides` of the layout may be NULL. */
struct tensor_value *tensor_fresh(struct machine *machine, const struct layout *layout, enum dtype dtype);
/* A copy of the buffer as a whole, and the tensor in it. */
struct tensor_value *tensor_clone(struct machine *machine, const struct tensor_value *tensor);
/* From now on the two buffers may be one. */
void buffers_may_share(struct machine *machine, struct buffer *a, struct buffer *b);
/* Another buffer than this one was not changed by the write, as far as is known. */
void buffer_changed(struct buffer *buffer);

/* A reading broadcast to sizes; NULL when that cannot be told. */
const struct reading *reading_expand(struct prover *prover, const struct reading *reading, const symint *sizes,
                                     size_t rank);
const struct reading *reading_cast(struct prover *prover, const struct reading *reading, enum dtype dtype);

/* ---- nodes: false when the node is not of this kind after all ---- */

bool run_movement(struct machine *machine, struct node *node,
                  struct item *result); /* movement.c: views, updates, copies */
bool run_elements(struct machine *machine, struct node *node, struct item *result); /* elements_node.c */
void run_call(struct machine *machine, struct node *node, struct item *result);     /* apply.c: computing operations */
void run_functionalized(struct machine *machine, struct node *node, struct item *result); /* functionalized.c */
void run_opaque(struct machine *machine, struct node *node, struct item *result);         /* opaque.c */

/* ---- calls (apply.c) ---- */

/* An operation with its arguments in the order of the schema. */
struct bound_call {
    const struct operation *operation;
    struct item *arguments;
    const struct term *term;
};
void bound_start(struct machine *machine, struct bound_call *call, const struct operation *operation);
/* The argument `index` of the schema from a value, or its default where that is NULL. */
void bound_set(struct machine *machine, struct bound_call *call, size_t index, const struct value *value);
/* Makes the term, writes the written arguments and moves the state on. */
void bound_execute(struct machine *machine, struct bound_call *call);
/* The call with the same elements in the same memory, where its operation takes them in several shapes (shape.c). */
struct bound_call bound_in_one_shape(struct machine *machine, const struct bound_call *call);
/* Whether an argument has the schema's default. */
bool bound_is_default(struct machine *machine, const struct bound_call *call, size_t index);
/* Whether what the call writes to `out` meets nothing that it is given but `in`, and that only as a whole. */
bool bound_stands_apart(struct machine *machine, const struct bound_call *call, const struct tensor_value *in,
                        const struct tensor_value *out);
/* Takes the call for one of its meanings, if there is one that the leading graph has (meaning.c): writes what it writes. */
bool bound_takes_meaning(struct machine *machine, struct bound_call *call);
/* What the call returns. */
struct item bound_return(struct machine *machine, const struct bound_call *call, size_t index);

/* Adds an item to a key, and what its tensors read to `arguments`. */
struct encoding {
    struct builder key;
    VECTOR(const struct reading *) readings;
    VECTOR(struct tensor_value *) tensors;
    VECTOR(bool) written;
};
void encode_item(struct machine *machine, struct encoding *encoding, const struct item *item, bool written,
                 bool contents);

/* ---- state (state.c) ---- */

/* The state that a call of an operation with a state effect reads or writes. */
struct state *state_of_call(struct machine *machine, const struct bound_call *call);
const struct term *state_initial(struct prover *prover, const struct term *epoch, struct text layer);
/* All states as they are, for an operation that may reach any. */
void encode_states(struct machine *machine, struct builder *key);
void states_forget(struct machine *machine, const struct term *epoch);

#endif
