/* The graph: torch.fx's, node for node, so that a text or a live graph and ours differ in nothing but speed.
 *
 * Nodes stand in program order in a doubly linked list. An argument that names a node is also a link in that node's list
 * of users, so users are always known. A call with several results is one node; each result is a `getitem` node. */
#ifndef REGRAFT_IR_GRAPH_H
#define REGRAFT_IR_GRAPH_H

#include "ir/context.h"

struct node;
struct graph;
struct window;
struct memory;
struct parameters;

enum value_kind {
    value_none,
    value_bool,
    value_integer, /* a plain number */
    value_float,   /* also inf, -inf, nan */
    value_string,
    value_node,   /* another node's result */
    value_symint, /* a bare expression such as s72*128 */
    value_dtype,
    value_device,
    value_list,
    value_tuple,
    value_dictionary, /* items with keywords */
    value_slice,      /* slice(start, stop, step): three items */
    value_operator,   /* an operation as an argument: torch.ops._C.rotary_embedding.default */
    value_name        /* anything else, as written: torch.strided, torch.contiguous_format, Ellipsis, ... */
};

struct value {
    enum value_kind kind;
    struct text keyword; /* "" for a positional argument or an item of a list */
    struct text written; /* as it was spelled, for kinds where the spelling is not decided by the value; may be "" */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct text string; /* without quotes, escapes undone */
        symint expression;
        enum dtype dtype;
        struct device device;
        const struct operation *operation; /* NULL when in no table; `written` has the name */
        struct {
            struct value *items;
            size_t count;
        } list; /* list, tuple, dictionary, slice */
        struct {
            struct node *node;          /* what is used */
            struct node *user;          /* by whom */
            struct value *next, **link; /* among the users of `node` */
        } use;
    };
};

enum node_kind {
    node_placeholder,
    node_call,      /* target(arguments): an operation, known or not */
    node_getitem,   /* x[i] with a literal i: arguments are x and the index */
    node_method,    /* x.target(arguments): the first argument is x */
    node_operator,  /* Python's operators: target is "+", "-", "neg", "+=", "[]=" ...; arguments are the operands */
    node_attribute, /* self.target, getattr(self, "target") */
    node_rename,    /* x = y */
    node_output     /* return arguments[0] */
};

/* Where a statement came from: the comment above it, word for word, with the line breaks around it. */
struct location {
    struct text text;
    struct text file; /* "models/defs.py:219", "" when the comment names none */
};

struct node {
    struct graph *graph;
    enum node_kind kind;
    uint32_t index; /* never reused within a graph; below graph->node_limit: for arrays beside the graph */
    uint32_t order; /* position in the program; valid after graph_number */
    uint32_t piece; /* of a graph that is cut (ir/piece.h); 0 otherwise */
    struct text name;
    struct text target;                /* "aten.slice.Tensor" for torch.ops.aten.slice.Tensor; else as written */
    bool in_torch_ops;                 /* the target was written with torch.ops. in front */
    const struct operation *operation; /* NULL when the target is in no table */
    struct value *arguments;
    size_t argument_count;
    const struct type *type;         /* never NULL */
    struct text annotation;          /* as written, with its quotes; "" when there was none */
    struct text frees;               /* as written: "a = b = None"; "" when there were none */
    struct text trailing;            /* anything else on the line, as written (a comment), with what precedes it */
    const struct location *location; /* shared by the statements under one comment; NULL before the first */
    struct position position;        /* of the name; source NULL for nodes that passes made */
    struct contract *contracts;      /* of this call, by argument of the called operation; NULL: the operation's */
    bool settled;                    /* its type was checked since its arguments were last set */
    struct window *windows;          /* of a settled view call: its results' windows (ir/view.h) */
    size_t window_count;
    struct value *users; /* the first of them */
    struct node *previous, *next;
};

/* A part of a graph that is cut: what stands between two cuts. */
struct graph_piece {
    bool split;         /* holds the operations that the graph is cut at; else what stands between them */
    struct text marker; /* the comment line above its first statement */
};

struct remark {
    const char *pass;
    struct text node;
    struct text source;
    const char *text;
    bool applied;
};

/* A copy that a placed graph contains, and why. */
struct copy {
    const struct node *node; /* the call that copies */
    symint bytes;            /* that it writes; NULL: not known */
    struct text place;       /* what is copied: `mm[:, 16:24]`-like words, with sizes and strides */
    struct text source;      /* "FILE:LINE" of the model, or "" */
    const char *why;         /* the later reader, the contract, the caller's tensor */
    const char *remedy;      /* what would make it unnecessary */
    bool own;                /* the model itself asks for it: a change of layout */
};

/* What became of a rule at one place (pass `fuse`). */
enum fusion_outcome { fusion_fired, fusion_beaten, fusion_failed, fusion_off };
const char *fusion_outcome_name(enum fusion_outcome outcome); /* "fired", "beaten", "missed", "off" */
struct fusion {
    struct text rule;
    enum fusion_outcome outcome;
    struct text anchor;    /* the call where the rule was tried */
    struct text node;      /* that the reason is about */
    struct text source;    /* "FILE:LINE" of the model, or "" */
    struct text condition; /* of the rule that failed, as written; "" when the graph itself differs */
    const char *text;      /* what was put there; which rule was better; what failed, with the values */
    const char *remedy;    /* what would make it fire, or "" */
    bool near;             /* what happened there is worth a look: most of the rule was found */
    bool elsewhere;        /* of a failure: another rule fired on this call, at the same stage */
};

/* What a trace log tells beyond the text about a placeholder (ir may use it, text graphs have none). */
struct input_memory {
    int64_t storage; /* equal numbers: the same storage; -1: not known */
    symint offset;   /* in elements from the start of the storage; NULL: not known */
};

struct graph {
    struct context *context;
    struct arena *arena;
    struct source *source;     /* the text it came from, or NULL */
    struct node *first, *last; /* in program order; the output is the last once it is there */
    size_t node_count;
    struct map *names;     /* text -> struct node */
    struct map *counters;  /* base name -> next suffix, for new names */
    uint64_t revision;     /* counts all changes: what was found out about a revision holds as long as it is the same */
    struct memory *memory; /* memory_of's, of revision `memory_revision` and in `memory_arena` */
    uint64_t memory_revision;
    struct arena *memory_arena;
    struct text leading;   /* everything before the signature, as written */
    struct text signature; /* `class ...` to the end of `def forward(...):`, as written; "" for a graph made by calls */
    struct text trailing;  /* everything after the return statement, as written */
    struct text indent;    /* of the statements */
    struct text output_written;        /* the return statement as written; used while its arguments are unchanged */
    struct input_memory *input_memory; /* one for each placeholder in order, or NULL */
    VECTOR(struct remark) remarks;
    VECTOR(struct copy) copies; /* of a placed graph */
    VECTOR(struct fusion) fusions;
    VECTOR(const char *) warnings;       /* that a user should see: `the rule x was asked for and fired nowhere: ...` */
    const char *pass;                    /* the pass that runs, for remarks */
    const struct parameters *parameters; /* that the pipeline gives it (pass/parameter.h) */
    VECTOR(struct graph_piece) pieces;   /* empty: the graph is not cut */
    uint32_t node_limit;
    bool changed;         /* since it was read: then liveness is printed anew */
    bool prints_frees;    /* the text frees names (`x = None`), as FX does */
    bool explain_fusions; /* `fuse` records failures too, not only what fired */
    bool
        order_stays; /* of a live graph: place does not move readers of old contents; Inductor may compute them late (docs/pytorch.md) */
    bool placed;           /* every write names its buffer: the stage after `place` */
    bool traced;           /* contracts_note_traced was here */
    bool owned_boundaries; /* only whole buffers may cross a cut */
};

struct graph *graph_create(struct context *context);
/* The same nodes under the same names in a graph of their own, in the same context; no remarks, copies or windows. */
struct graph *graph_copy(const struct graph *graph);

/* ---- nodes ---- */

/* A new node before `before` (NULL: at the end). `name` is taken as it is when it is free, else a number is added.
 * Its arguments are `argument_count` None values; set them with value_set_* before anything else looks at them. */
struct node *graph_insert(struct graph *graph, struct node *before, enum node_kind kind, struct text name,
                          size_t argument_count);
/* A call of a table row, named after it; type unknown until infer_node. */
struct node *graph_insert_call(struct graph *graph, struct node *before, const struct operation *operation,
                               size_t argument_count);
/* result = source[index] */
struct node *graph_insert_getitem(struct graph *graph, struct node *before, struct node *source, int64_t index);
/* Removes a node that nobody uses. */
void graph_remove(struct graph *graph, struct node *node);
/* Lets all users of `node` use `other` instead. */
void graph_replace(struct node *node, struct node *other);
/* Moves a node before another. */
void graph_move(struct graph *graph, struct node *node, struct node *before);
struct node *graph_find(const struct graph *graph, struct text name);
/* Forgets the copies whose call has gone: a later pass found it of no use. */
void graph_forget_copies(struct graph *graph);
/* Sets node->order to 0, 1, 2, ... */
void graph_number(struct graph *graph);
/* Records what a pass did or refused, at a node, with its facts. */
void graph_remark(struct graph *graph, const struct node *node, bool applied, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- values ---- */

/* All set an argument (or an item of a list argument) of the call `user`, clear what was there before and keep its keyword. */
void value_set_none(struct node *user, struct value *value);
void value_set_integer(struct node *user, struct value *value, int64_t integer);
void value_set_boolean(struct node *user, struct value *value, bool boolean);
void value_set_node(struct node *user, struct value *value, struct node *node);
void value_set_symint(struct node *user, struct value *value, symint expression); /* a constant becomes an integer */
/* A list (or tuple ...) of `count` None items. */
struct value *value_set_list(struct node *user, struct value *value, enum value_kind kind, size_t count);
/* A deep copy into an empty value of `user`. */
void value_copy(struct node *user, struct value *value, const struct value *from);
/* The same, but for each node in it `put` sets the value that is to stand there. */
typedef void value_put(void *state, struct node *user, struct value *value, struct node *from);
void value_copy_with(struct node *user, struct value *value, const struct value *from, value_put *put, void *state);
/* A copy of a call, getitem, ... with the same arguments, before `before`, named after it. */
struct node *graph_duplicate(struct graph *graph, struct node *before, const struct node *node);

/* A number that is kept as written: a complex one, or an integer of more than 64 bits in a live graph. */
bool value_is_other_number(const struct value *value);
bool value_is_complex(const struct value *value);
static inline struct node *value_as_node(const struct value *value) {
    return value && value->kind == value_node ? value->use.node : NULL;
}
/* An integer that is known in full: a literal, a constant expression or a node of constant type. */
bool value_as_integer(const struct value *value, int64_t *integer);
/* The symbolic value of an integer argument: a literal, an expression, or a node of type Sym(...). NULL otherwise. */
symint value_as_symint(struct context *context, const struct value *value);

/* Whether every use takes an item of the value. */
bool node_is_used_by_items(const struct node *node);
/* The first placeholder from the node on, itself included; NULL when there is none. */
struct node *node_placeholder_from(const struct node *node);
static inline size_t node_user_count(const struct node *node) {
    size_t count = 0;
    for (const struct value *use = node->users; use; use = use->use.next) count++;
    return count;
}

/* Calls `visit` for each value that names a node among the arguments, also inside lists, in order of writing. */
void node_each_use(struct node *node, void (*visit)(void *user, struct value *value), void *user);

/* ---- arguments by schema ---- */

/* The value of a schema argument of a call: positional or by keyword; NULL when it was left out. For
 * auto_functionalized calls use call_argument. */
const struct value *node_argument(const struct node *node, size_t schema_index);
const struct value *node_argument_named(const struct node *node, const char *name);

static inline bool node_is(const struct node *node, enum operation_id id) {
    return node->operation && node->operation->id == id;
}

/* Whether the node is a call of an operation of the class. */
static inline bool node_has_class(const struct node *node, enum operation_class class) {
    return node->kind == node_call && node->operation && node->operation->class == class;
}

#endif
