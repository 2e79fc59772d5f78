/* What a value is made of: terms and readings, each held once, so that equal ones are the same pointer.
 *
 * A term is an array of elements without a shape: an input, one result of a call, memory that nobody wrote, or pieces of
 * other terms. Its elements are numbered. A reading is a tensor's worth of a term: the element at index [i, j, ...] is
 * number offset + i * stride[0] + j * stride[1] + ... of the term. Both graphs of a proof share one table. */
#ifndef REGRAFT_PROOF_TERM_H
#define REGRAFT_PROOF_TERM_H

#include "ir/place.h"
#include "ir/graph.h"
#include "proof/proof.h"

enum term_kind {
    term_input,         /* a placeholder; elements are numbered as they lie in its storage */
    term_attribute,     /* self.x; likewise */
    term_uninitialised, /* memory that nobody wrote; all its elements are number 0 */
    term_call,          /* an operation with all that it reads; its results are terms of their own */
    term_result,        /* one result of a call, or what it leaves in one written argument; row-major */
    term_cast,          /* a reading in another element type; row-major */
    term_bits,          /* the bits of a reading as another element type; row-major */
    term_state,         /* state outside of the graph before its first use */
    term_pieces,        /* several pieces of terms: row-major for a reading, as in storage for a buffer */
    term_read,          /* a place of contents that could not be taken apart; row-major */
    term_written,       /* contents after a write that could not be taken apart; as in storage */
    term_elements       /* a function of elements of other terms, numbered as those: proof/elements.h */
};

struct reading;
struct contents;
struct element_function;

struct term {
    enum term_kind kind;
    enum dtype dtype;
    uint32_t serial;                        /* counts the terms of a proof */
    bool leading;                           /* made by the graph that ran first */
    const struct node *node;                /* the first that made it, for messages */
    struct text name;                       /* of a call: the operation; of an input: its name; of a state: its layer */
    const struct reading *const *arguments; /* of a call: what its tensors read, in order; of a cast: one */
    size_t argument_count;
    const struct term *call;                 /* of a result */
    const struct term *state;                /* of a call: the state it starts from, or NULL */
    const struct contents *contents;         /* of pieces */
    const struct element_function *function; /* of elements */
    const struct layout *whole;              /* of the first reading, which mostly is all of it; NULL: none yet */
    const struct reading *meaning;           /* of a result: what it is equal to (proof/meaning.c), or NULL */
};

struct reading {
    const struct term *term;
    symint offset;
    struct layout layout; /* strides of dimensions of size 1 are 0 */
};

struct rounded_list {
    struct rounded_calls *items;
    size_t count, capacity;
};

struct prover {
    struct context *context;
    struct symbols *symbols;
    struct arena *arena;
    struct map *terms, *readings;
    struct map *bound;       /* symbol -> struct definition */
    struct map *checked;     /* symbolic integers that were found to hold no other symbol */
    const struct node *node; /* that is looked at */
    const char *obstacle;    /* why nothing can be proved any more, or NULL */
    const struct node *obstacle_node;
    bool by_elements; /* operations on elements are followed element by element (proof/elements.h) */
    symint axes[16];  /* symbols of the axes of elements, from the second on */
    bool leading;     /* the graph runs that the other one is brought to the form of */
    uint32_t serials;
    bool expands;                    /* calls of the leading graph are taken for their meaning, too */
    const struct meanings *meanings; /* NULL: operations mean nothing but themselves */
    struct rounded_list *rounded;    /* calls that were taken for a meaning that rounds otherwise */
    bool rounds;                     /* such a meaning was used within the meaning that is looked at */
    size_t depth;                    /* of meanings within meanings */
};

/* Records why the graphs cannot be compared; the first reason stays. */
void prover_give_up(struct prover *prover, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A call was taken for something that it is but for rounding (meaning.c). */
void prover_note_rounded(struct prover *prover, struct text operation);

/* ---- symbols ---- */

/* What decides the value of a symbol: the inputs, or the first call of either graph that gives a number or a size which is it. */
struct definition {
    const struct term *term; /* NULL: the inputs */
    symint integer;          /* of the symbol, which the term is */
    bool leading, following; /* in which graph the call has been made already */
};

/* The inputs decide the symbol. */
void symbol_bind(struct prover *prover, struct text symbol);
/* The symbol that an integer of this value decides, as in 2*s0 or s0 + 1; an empty text when there is none. */
struct text symbol_decided_by(const struct prover *prover, symint integer);
/* A call of the graph that runs gives this integer as item `item`, or as size of dimension -1 - `item`: that decides a symbol which
 * nothing in front of it does. Whether it does. Gives up where the other graph has the symbol from somewhere else. */
bool symbol_define(struct prover *prover, symint integer, const struct term *call, int64_t item);

/* ---- keys: what makes a term the same as another ---- */

void key_start(struct prover *prover, struct builder *key, enum term_kind kind, enum dtype dtype);
void key_pointer(struct builder *key, const void *pointer);
void key_number(struct builder *key, int64_t number);
void key_text(struct builder *key, struct text text);
/* Gives up where the integer depends on a symbol that neither the inputs nor a call in front of this one decide. */
void key_symint(struct prover *prover, struct builder *key, symint integer);
void key_place(struct prover *prover, struct builder *key, const struct window_place *place);
/* The term with this key; made when there is none yet. */
struct term *key_term(struct prover *prover, const struct builder *key);

const struct reading *reading_intern(struct prover *prover, const struct term *term, symint offset,
                                     const struct layout *layout);
const struct term *term_uninitialised_of(struct prover *prover, enum dtype dtype);
const struct term *term_result_of(struct prover *prover, const struct term *call, int64_t item, enum dtype dtype);

/* ---- symbolic integers ---- */

static inline symint number(const struct prover *prover, int64_t value) {
    return symint_constant(prover->symbols, value);
}
static inline symint plus(const struct prover *prover, symint a, symint b) { return symint_add(prover->symbols, a, b); }
static inline symint minus(const struct prover *prover, symint a, symint b) {
    return symint_subtract(prover->symbols, a, b);
}
static inline symint times(const struct prover *prover, symint a, symint b) {
    return symint_multiply(prover->symbols, a, b);
}
static inline bool surely_equal(const struct prover *prover, symint a, symint b) {
    return symint_equal(prover->symbols, a, b) == answer_yes;
}
static inline bool surely_less(const struct prover *prover, symint a, symint b) {
    return symint_less(prover->symbols, a, b) == answer_yes;
}
static inline bool surely_at_most(const struct prover *prover, symint a, symint b) {
    return symint_less_equal(prover->symbols, a, b) == answer_yes;
}

#endif
