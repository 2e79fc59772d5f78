/* One call of a kernel: its arguments in the order of the schema, checked against it, and its results.
 *
 * The binder has seen to it that every argument has the type that the schema gives it and that defaults are filled
 * in. So the accessors below cannot fail: they take the argument's name as in the schema. An optional argument that
 * is None, or one that this overload of the operation does not have, gives the fallback. */
#ifndef REGRAFT_INTERP_CALL_H
#define REGRAFT_INTERP_CALL_H

#include "interp/argument.h"
#include "interp/run.h"

struct call {
    struct run *run;
    struct arena *arena;   /* of the run: for results */
    struct arena *scratch; /* gone after the kernel: for all that is large and only an aid */
    struct node *node;     /* for messages and for the annotated layout of results */
    const struct operation *operation;
    struct argument *arguments; /* one for each of the schema's */
    struct argument result;     /* None at first; a list for several results */
};

typedef regraft_status kernel(struct call *call);

/* A call without arguments yet. */
void call_init(struct call *call, struct run *run, struct node *node, const struct operation *operation);
/* Sets an argument from the graph (NULL: it was left out, its default counts), or to a runtime value. */
regraft_status call_set_value(struct call *call, size_t index, const struct value *value);
regraft_status call_set_argument(struct call *call, size_t index, struct argument argument);
/* The operation's kernel. */
regraft_status call_execute(struct call *call);
/* Fails at the call, naming the node and its operation. */
regraft_status call_fail(const struct call *call, regraft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- arguments ---- */

/* NULL when the schema has no such argument. */
struct argument *call_argument(const struct call *call, const char *name);
const struct tensor *call_tensor(const struct call *call, const char *name); /* NULL for None */
/* A tensor, or a number as a tensor without dimensions that promotes as a number does; NULL for None. */
const struct tensor *call_operand(const struct call *call, const char *name);
int64_t call_integer(const struct call *call, const char *name, int64_t fallback);
double call_real(const struct call *call, const char *name, double fallback);
bool call_boolean(const struct call *call, const char *name);
struct text call_text(const struct call *call, const char *name);
enum dtype call_dtype(const struct call *call, const char *name, enum dtype fallback);
bool call_has(const struct call *call, const char *name); /* there and not None */
/* A list of integers as sizes, at most rank_limit of them. */
regraft_status call_shape(const struct call *call, const char *name, struct shape *shape);
/* A dimension in [0, rank), counted from the end when negative; a scalar has one dimension for this purpose. */
regraft_status call_dim(const struct call *call, int64_t dim, size_t rank, size_t *result);
regraft_status call_named_dim(const struct call *call, const char *name, size_t rank, size_t *result);

/* ---- results ---- */

/* A fresh tensor for result number `index`, with the annotated strides where there are any (row-major else). */
regraft_status call_create(struct call *call, size_t index, enum dtype dtype, const struct shape *shape,
                           struct tensor *tensor);
/* Makes a tensor the result (number `index` of several). A window must lie inside of its storage. */
regraft_status call_return(struct call *call, const struct tensor *tensor);
regraft_status call_return_item(struct call *call, size_t index, size_t count, const struct tensor *tensor);
/* Both at once, for the first result. */
regraft_status call_create_result(struct call *call, enum dtype dtype, const struct shape *shape,
                                  struct tensor *tensor);

#endif
