/* Operations that work element by element, followed to the elements: what is computed of a slice, a permutation or parts put
 * together is the slice, the permutation, the parts of what is computed, however a graph prints it. Spellings that are
 * equal to the bit have one form: x - y is x + (-y), a product has its sign in front, and x to the power of 2 is x * x.
 *
 * An element is numbered by the elements of other terms that it is made of: by one number for each axis, which is a way in
 * which these are run through. The number of axis 0 and the others, each times a symbol that stands for nothing else, are
 * added up. So two numbers are the same only when those of all axes are, and neither sizes nor the order of dimensions
 * are part of a term. Arguments of one shape that run alike share an axis; what lies between them is part of the term.
 */
#ifndef REGRAFT_PROOF_ELEMENTS_H
#define REGRAFT_PROOF_ELEMENTS_H

#include "proof/piece.h"

enum element_kind {
    element_cast,
    element_negate,
    element_add,
    element_multiply,
    element_divide,
    element_power,
    element_exp,
    element_sqrt,
    element_rsqrt,
    element_reciprocal,
    element_cos,
    element_sin,
    element_sigmoid,
    element_silu,
    element_mean, /* of elements at equal distances, numbered by the first */
    element_sum,  /* likewise */
    element_lookup, /* of a table, in the row whose number another element is: numbered by the element in row 0, and that */
    element_counter /* element n is the number n */
};

enum { most_operands = 2 };

/* What computes the elements of a term. */
struct element_function {
    enum element_kind kind;
    const struct term *operands[most_operands];
    size_t count, axes;
    const struct layout *const *wholes; /* by axis: of a term that is numbered along it */
};

/* Elements of a term, one for each index of a space: number offset + sum of index[d] * strides[d]. */
struct operand {
    const struct term *term;
    symint offset;
    const symint *strides;
};
struct space {
    size_t rank;
    const symint *sizes;
};

/* A call on elements, with one or two tensors; `number` is the other operand of a call with one. */
struct element_call {
    enum element_kind kind;
    enum dtype dtype; /* of the result */
    size_t count;
    bool minus; /* the second operand counts negative */
    bool has_number;
    double number;
};
struct operand elements_compute(struct prover *prover, const struct element_call *call, const struct space *space,
                                const struct operand *operands);

/* A term of this kind, with further numbers that it depends on; in `result` its elements. */
struct operand elements_make(struct prover *prover, enum element_kind kind, enum dtype dtype,
                             const struct builder *numbers, const struct space *space, const struct operand *operands,
                             size_t count);

/* The call on readings of equal sizes, those of the space (elements_split.c): part by part where they are put together. */
const struct reading *elements_call(struct prover *prover, const struct element_call *call, const struct space *space,
                                    const struct reading *const *readings);

#endif
