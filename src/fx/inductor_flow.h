/* How values flow through a kernel's body; for the files inductor_*.c.
 *
 * One evaluator serves both languages: it follows only where a value came from, not what it is. So operators need no
 * precedence, and a call is looked up by its last name. */
#ifndef REGRAFT_FX_INDUCTOR_FLOW_H
#define REGRAFT_FX_INDUCTOR_FLOW_H

#include "fx/inductor_code.h"

enum flow_kind {
    flow_constant, /* a number */
    flow_index,    /* found from the place in the iteration alone */
    flow_data,     /* loaded, and not changed since */
    flow_pointer,  /* an address in a parameter's buffer */
    flow_computed,
    flow_unknown
};

struct flow {
    enum flow_kind kind;
    bool converted;      /* data that may have lost bits, or comes from two element types */
    bool array;          /* a local array of such values: an index added to it is an address in it */
    enum dtype dtype;    /* of data: as it was loaded */
    size_t parameter;    /* of a pointer */
    uint32_t dimensions; /* on which it depends, a bit each (Triton) */
    size_t part;         /* of a variable: where it was assigned */
};

struct judge {
    struct arena *arena;
    struct inductor_kernel *kernel;
    struct map *names;   /* -> struct flow: parameters and variables */
    struct flow control; /* the conditions around the statement at hand */
    size_t part;
    unsigned depth; /* of nesting, which is bounded */
    /* The value of the lambda whose body this is: what its return statements give. C++ only. */
    struct flow (*lambda)(struct judge *judge, struct text body);
    VECTOR(struct text) loops; /* the extents of the loops around the statement at hand. C++ only. */
};

enum { judge_most_nesting = 200 };

/* A judge that knows the kernel's parameters. */
void judge_init(struct judge *judge, struct arena *arena, struct inductor_kernel *kernel);
struct flow judge_expression(struct judge *judge, struct text text);
/* A new variable. */
void judge_declare(struct judge *judge, struct text name, struct flow flow);
/* An assignment: a second one to a name of the same part may leave either value in it. */
void judge_assign(struct judge *judge, struct text name, struct flow flow);
/* One of both, as `condition` says. */
struct flow flow_select(struct flow condition, struct flow a, struct flow b);
/* A function of both. */
struct flow flow_combine(struct flow a, struct flow b);
/* Records a store of `value` at `address`. */
void judge_store(struct judge *judge, struct flow address, struct flow value, struct text written,
                 struct text_list extents);
/* A statement that is not understood: what it may write is unknown. */
void judge_not_understood(struct judge *judge, struct text statement);

enum dtype dtype_from_code(struct text name);

void judge_triton(struct arena *arena, struct inductor_kernel *kernel);
void judge_cpp(struct arena *arena, struct inductor_kernel *kernel);

#endif
