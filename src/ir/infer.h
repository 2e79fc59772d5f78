/* The types of results: shape and stride inference, one function a family of operations (column `infer` of the table).
 *
 * A function leaves `result` NULL when the types of the arguments do not tell it, and strides NULL when it can tell the
 * sizes but not the strides; then the annotation stands. Where both are known they must agree (infer_node). */
#ifndef REGRAFT_IR_INFER_H
#define REGRAFT_IR_INFER_H

#include "ir/graph.h"

struct inference {
    struct context *context;
    struct node *node;
    /* The operation whose arguments are looked at: the node's, or that which an auto_functionalized call wraps. */
    const struct operation *operation;
    const struct type *result;
};

/* Checks the number and names of a call's arguments, infers its type, and compares it with the annotation: a
 * contradiction is an error at the node. Where the annotation says less (no strides) the inferred type is taken. */
regraft_status infer_node(struct node *node);
/* infer_node for all nodes in program order. */
regraft_status infer_graph(struct graph *graph);
/* Only the inferred type, the annotation not looked at; NULL when the arguments do not tell it. For tests. */
regraft_status infer_type(struct node *node, const struct type **result);

/* Row-major strides in the order in which the strides of `operands` (layouts of equal sizes, or broadcast to them) run:
 * what PyTorch's TensorIterator and empty_like give a fresh result. NULL when the order cannot be decided. */
const symint *dense_strides(struct context *context, const symint *sizes, size_t rank,
                            const struct layout *const *operands, size_t count);

#define OPERATION(id, schema, class, effect, infer, kernel) regraft_status infer_##infer(struct inference *inference);
#include "ir/operations.def"
#undef OPERATION
regraft_status infer_from_annotation(struct inference *inference);

/* ---- for the inference functions ---- */

static inline struct symbols *inference_symbols(const struct inference *inference) {
    return inference->context->symbols;
}
/* The schema argument `index` of the call, also inside auto_functionalized; NULL when it was left out. */
const struct value *inference_value(const struct inference *inference, size_t index);
const struct value *inference_named(const struct inference *inference, const char *name);
/* Its type when it is a tensor, else NULL. */
const struct type *inference_tensor(const struct inference *inference, size_t index);
bool inference_integer(const struct inference *inference, const char *name, int64_t otherwise, int64_t *result);
bool inference_boolean(const struct inference *inference, const char *name);
/* A dimension argument within [-rank, rank): made positive. REGRAFT_REJECTED outside of that range. */
regraft_status inference_dimension(const struct inference *inference, int64_t dimension, size_t rank, size_t *result);
void inference_set(struct inference *inference, enum dtype dtype, size_t rank, const symint *sizes,
                   const symint *strides, struct device device);
regraft_status inference_fail(const struct inference *inference, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Reads a list of integers; false when one is not an integer. */
bool value_as_symint_list(struct context *context, const struct value *value, symint **items, size_t *count);

#endif
