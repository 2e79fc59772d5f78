/* Types of pointwise operations, reductions, scans and sorts.
 * Strides: ATen/TensorIterator.cpp (reorder_dimensions, should_swap); element types: c10::promoteTypes with PyTorch's
 * categories (tensors with dimensions, tensors without, Python numbers). */
#include "ir/infer.h"

/* ---- strides of fresh results ---- */

enum { most_operands = 16, most_dimensions = 64 };

/* The stride that TensorIterator sees: 0 where the operand is broadcast. */
static symint operand_stride(struct context *context, const struct layout *operand, const symint *sizes, size_t rank,
                             size_t dimension) {
    symint zero = symint_constant(context->symbols, 0);
    size_t lead = rank - operand->rank;
    if (dimension < lead) return zero;
    bool widened = symint_is(operand->sizes[dimension - lead], 1) && !symint_is(sizes[dimension], 1);
    return widened ? zero : operand->strides[dimension - lead];
}

/* Whether dimension b must run faster than a: 1 yes, -1 no, 0 ambiguous, 2 cannot be decided. */
static int should_swap(struct context *context, const symint *sizes, size_t rank, const struct layout *const *operands,
                       size_t count, size_t a, size_t b) {
    for (size_t i = 0; i < count; i++) {
        symint stride_a = operand_stride(context, operands[i], sizes, rank, a),
               stride_b = operand_stride(context, operands[i], sizes, rank, b);
        if (symint_is(stride_a, 0) || symint_is(stride_b, 0)) continue;
        if (symint_less(context->symbols, stride_a, stride_b) == answer_yes) return -1;
        if (symint_less(context->symbols, stride_b, stride_a) == answer_yes) return 1;
        if (symint_equal(context->symbols, stride_a, stride_b) != answer_yes) return 2;
        enum answer larger = symint_less(context->symbols, sizes[b], sizes[a]);
        if (larger == answer_unknown) return 2;
        if (larger == answer_yes) return 1;
    }
    return 0;
}

/* Insertion sort of the dimensions, fastest first; false when a comparison cannot be decided. */
static bool sort_dimensions(struct context *context, const symint *sizes, size_t rank,
                            const struct layout *const *operands, size_t count, size_t *order) {
    for (size_t i = 0; i < rank; i++) order[i] = rank - 1 - i;
    for (size_t i = 1; i < rank; i++) {
        size_t place = i;
        for (size_t j = i; j-- > 0;) {
            int swap = should_swap(context, sizes, rank, operands, count, order[j], order[place]);
            if (swap == 2) return false;
            if (swap < 0) break;
            if (swap == 0) continue;
            size_t moved = order[j];
            order[j] = order[place];
            order[place] = moved;
            place = j;
        }
    }
    return true;
}

const symint *dense_strides(struct context *context, const symint *sizes, size_t rank,
                            const struct layout *const *operands, size_t count) {
    size_t order[most_dimensions];
    bool contiguous = true;
    if (rank > most_dimensions) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!operands[i]->strides) return NULL;
        struct layout shape = {rank, sizes, operands[i]->strides};
        contiguous = contiguous && layout_same_sizes(context->symbols, operands[i], &shape) == answer_yes &&
                     layout_contiguous(context->symbols, operands[i]) == answer_yes;
    }
    if (contiguous) return layout_contiguous_strides(context->arena, context->symbols, sizes, rank);
    if (!sort_dimensions(context, sizes, rank, operands, count, order)) return NULL;
    symint *strides = arena_array(context->arena, symint, rank), stride = symint_constant(context->symbols, 1);
    for (size_t i = 0; i < rank; i++) {
        strides[order[i]] = stride;
        if (i + 1 < rank && !symint_is(sizes[order[i]], 0))
            stride = symint_multiply(context->symbols, stride, sizes[order[i]]);
    }
    return strides;
}

/* ---- element types ---- */

/* PyTorch's three categories of operands, strongest first. */
struct promotion {
    enum dtype dimensioned, scalar_tensor, number;
};

static int category(enum dtype dtype) {
    if (dtype == dtype_none) return -1;
    if (dtype_is_complex(dtype)) return 3;
    if (dtype_is_floating(dtype)) return 2;
    return dtype_is_integral(dtype);
}

static void promote(struct promotion *promotion, const struct value *value) {
    struct node *node = value_as_node(value);
    if (node && node->type->kind == type_tensor) {
        enum dtype *slot = node->type->layout.rank ? &promotion->dimensioned : &promotion->scalar_tensor;
        *slot = dtype_promote(*slot, node->type->dtype);
        return;
    }
    enum dtype number = dtype_none;
    if (value->kind == value_integer || value->kind == value_symint || value->kind == value_node)
        number = dtype_i64;
    else if (value->kind == value_float)
        number = dtype_f32;
    else if (value->kind == value_bool)
        number = dtype_b8;
    else if (value_is_other_number(value))
        number = value_is_complex(value) ? dtype_c64 : dtype_i64;
    promotion->number = dtype_promote(promotion->number, number);
}

static enum dtype stronger(enum dtype strong, enum dtype weak) {
    if (category(weak) > category(strong)) return strong == dtype_none ? weak : dtype_promote(strong, weak);
    return strong;
}

static enum dtype promoted(const struct promotion *promotion) {
    enum dtype dtype = promotion->dimensioned;
    if (category(promotion->scalar_tensor) > category(dtype))
        dtype = dtype == dtype_none ? promotion->scalar_tensor : stronger(dtype, promotion->scalar_tensor);
    return stronger(dtype, promotion->number);
}

/* ---- pointwise ---- */

struct operands {
    const struct type *types[most_operands];
    const struct layout *layouts[most_operands];
    size_t count;
    struct promotion promotion;
};

static bool add_operand(struct operands *operands, const struct value *value, bool promotes) {
    struct node *node = value_as_node(value);
    if (promotes) promote(&operands->promotion, value);
    if (!node || node->type->kind == type_integer) return true;
    if (node->type->kind != type_tensor || operands->count == most_operands) return false;
    operands->types[operands->count] = node->type;
    operands->layouts[operands->count++] = &node->type->layout;
    return true;
}

/* All arguments that take part: tensors and numbers, but not alpha and the like, which follow the tensors' type. */
static bool gather_operands(struct inference *inference, struct operands *operands) {
    const struct schema *schema = &inference->operation->schema;
    *operands = (struct operands){.promotion = {dtype_none, dtype_none, dtype_none}};
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct value *value = inference_value(inference, i);
        bool takes_part = schema->arguments[i].type == schema_tensor ||
                          (schema->arguments[i].type == schema_scalar && !text_is(schema->arguments[i].name, "alpha"));
        if (!takes_part || !value || value->kind == value_none) continue;
        if (!add_operand(operands, value, true)) return false;
    }
    return operands->count > 0;
}

static regraft_status broadcast_sizes(struct inference *inference, const struct operands *operands, symint **result,
                                      size_t *result_rank) {
    size_t rank = 0;
    for (size_t i = 0; i < operands->count; i++)
        if (operands->layouts[i]->rank > rank) rank = operands->layouts[i]->rank;
    symint *sizes = arena_array(inference->context->arena, symint, rank),
           one = symint_constant(inference_symbols(inference), 1);
    for (size_t d = 0; d < rank; d++) {
        sizes[d] = one;
        for (size_t i = 0; i < operands->count; i++) {
            size_t lead = rank - operands->layouts[i]->rank;
            if (d < lead || symint_is(operands->layouts[i]->sizes[d - lead], 1)) continue;
            symint size = operands->layouts[i]->sizes[d - lead];
            bool clash = symint_equal(inference_symbols(inference), sizes[d], size) == answer_no &&
                         symint_equal(inference_symbols(inference), size, one) == answer_no;
            if (clash && !symint_is(sizes[d], 1))
                return inference_fail(inference, "the shapes do not broadcast in dimension %zu", d);
            if (symint_is(sizes[d], 1)) sizes[d] = size;
        }
    }
    *result = sizes;
    *result_rank = rank;
    return REGRAFT_OK;
}

static struct device device_of(const struct operands *operands) {
    for (size_t i = 0; i < operands->count; i++)
        if (operands->types[i]->layout.rank) return operands->types[i]->device;
    return operands->types[0]->device;
}

static regraft_status set_pointwise(struct inference *inference, const struct operands *operands, enum dtype dtype) {
    symint *sizes = NULL;
    size_t rank = 0;
    TRY(broadcast_sizes(inference, operands, &sizes, &rank));
    inference_set(inference, dtype, rank, sizes,
                  dense_strides(inference->context, sizes, rank, operands->layouts, operands->count),
                  device_of(operands));
    return REGRAFT_OK;
}

regraft_status infer_pointwise(struct inference *inference) {
    struct operands operands;
    if (!gather_operands(inference, &operands)) return REGRAFT_OK;
    return set_pointwise(inference, &operands, promoted(&operands.promotion));
}

static enum dtype as_float(enum dtype dtype) { return category(dtype) < 2 ? dtype_f32 : dtype; }

regraft_status infer_pointwise_float(struct inference *inference) {
    struct operands operands;
    if (!gather_operands(inference, &operands)) return REGRAFT_OK;
    return set_pointwise(inference, &operands, as_float(promoted(&operands.promotion)));
}

/* div with a rounding mode keeps integers; without one it is a plain division. */
regraft_status infer_pointwise_rounded(struct inference *inference) {
    const struct value *mode = inference_named(inference, "rounding_mode");
    return !mode || mode->kind == value_none ? infer_pointwise_float(inference) : infer_pointwise(inference);
}

regraft_status infer_pointwise_bool(struct inference *inference) {
    struct operands operands;
    if (!gather_operands(inference, &operands)) return REGRAFT_OK;
    return set_pointwise(inference, &operands, dtype_b8);
}

regraft_status infer_where(struct inference *inference) {
    struct operands operands = {.promotion = {dtype_none, dtype_none, dtype_none}};
    for (size_t i = 0; i < 3; i++) {
        const struct value *value = inference_value(inference, i);
        if (!value || !add_operand(&operands, value, i > 0)) return REGRAFT_OK;
    }
    return operands.count ? set_pointwise(inference, &operands, promoted(&operands.promotion)) : REGRAFT_OK;
}

regraft_status infer_masked_fill(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    struct operands operands = {.promotion = {dtype_none, dtype_none, dtype_none}};
    if (!self || !inference_tensor(inference, 1)) return REGRAFT_OK;
    add_operand(&operands, inference_value(inference, 0), false);
    add_operand(&operands, inference_value(inference, 1), false);
    TRY(set_pointwise(inference, &operands, self->dtype));
    const struct layout *layout = &inference->result->layout; /* a clone of self, filled: strides as of clone */
    inference_set(inference, self->dtype, layout->rank, layout->sizes, NULL, self->device);
    return REGRAFT_OK;
}

/* ---- reductions ---- */

/* Which dimensions `dim` names: a number, a list, or nothing (all). false when it is not known. */
static regraft_status marked_dimensions(struct inference *inference, size_t rank, bool *marked, bool *known) {
    const struct value *value = inference_named(inference, "dim");
    symint single = value_as_symint(inference->context, value), *items = &single;
    size_t count = 1, dimension;
    int64_t number;
    *known = true;
    memset(marked, false, most_dimensions);
    if (!single && !value_as_symint_list(inference->context, value, &items, &count)) count = 0;
    if (value && value->kind != value_none && !single && value->kind != value_list && value->kind != value_tuple)
        *known = false;
    if (!count) memset(marked, true, rank);
    for (size_t i = 0; i < count; i++) {
        if (!symint_is_constant(items[i], &number)) {
            *known = false;
            return REGRAFT_OK;
        }
        TRY(inference_dimension(inference, number, rank, &dimension));
        if (rank) marked[dimension] = true;
    }
    return REGRAFT_OK;
}

static regraft_status set_reduced(struct inference *inference, enum dtype dtype) {
    const struct type *self = inference_tensor(inference, 0);
    bool marked[most_dimensions], known, keep = inference_boolean(inference, "keepdim");
    size_t rank = 0;
    if (!self || self->layout.rank > most_dimensions) return REGRAFT_OK;
    TRY(marked_dimensions(inference, self->layout.rank, marked, &known));
    if (!known) return REGRAFT_OK;
    symint *sizes = arena_array(inference->context->arena, symint, self->layout.rank);
    for (size_t i = 0; i < self->layout.rank; i++) {
        if (!marked[i])
            sizes[rank++] = self->layout.sizes[i];
        else if (keep)
            sizes[rank++] = symint_constant(inference_symbols(inference), 1);
    }
    inference_set(inference, dtype, rank, sizes,
                  layout_contiguous_strides(inference->context->arena, inference_symbols(inference), sizes, rank),
                  self->device);
    return REGRAFT_OK;
}

static enum dtype dtype_argument(const struct inference *inference, enum dtype otherwise) {
    const struct value *value = inference_named(inference, "dtype");
    return value && value->kind == value_dtype ? value->dtype : otherwise;
}

static enum dtype self_dtype(const struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    return self ? self->dtype : dtype_none;
}

regraft_status infer_reduce(struct inference *inference) {
    return set_reduced(inference, dtype_argument(inference, self_dtype(inference)));
}

regraft_status infer_reduce_sum(struct inference *inference) {
    enum dtype dtype = self_dtype(inference);
    return set_reduced(inference, dtype_argument(inference, category(dtype) < 2 ? dtype_i64 : dtype));
}

regraft_status infer_reduce_bool(struct inference *inference) { return set_reduced(inference, dtype_b8); }
regraft_status infer_reduce_index(struct inference *inference) { return set_reduced(inference, dtype_i64); }

static regraft_status set_pair(struct inference *inference, const struct type *first, const struct type *second) {
    const struct type *items[] = {first, second};
    inference->result = first && second ? type_make_tuple(inference->context->arena, items, 2) : NULL;
    return REGRAFT_OK;
}

regraft_status infer_reduce_pair(struct inference *inference) {
    TRY(set_reduced(inference, self_dtype(inference)));
    const struct type *values = inference->result;
    TRY(set_reduced(inference, dtype_i64));
    return set_pair(inference, values, inference->result);
}

regraft_status infer_var_mean(struct inference *inference) {
    TRY(set_reduced(inference, self_dtype(inference)));
    return set_pair(inference, inference->result, inference->result);
}

/* ---- scans and sorts ---- */

static void set_like_self(struct inference *inference, enum dtype dtype, const symint *sizes, bool strides) {
    const struct type *self = inference_tensor(inference, 0);
    const symint *row_major = strides
                                  ? layout_contiguous_strides(inference->context->arena, inference_symbols(inference),
                                                              sizes, self->layout.rank)
                                  : NULL;
    inference_set(inference, dtype, self->layout.rank, sizes, row_major, self->device);
}

regraft_status infer_cumsum(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (!self) return REGRAFT_OK;
    enum dtype otherwise = category(self->dtype) < 2 ? dtype_i64 : self->dtype;
    bool contiguous = layout_contiguous(inference_symbols(inference), &self->layout) == answer_yes;
    set_like_self(inference, dtype_argument(inference, otherwise), self->layout.sizes, contiguous);
    return REGRAFT_OK;
}

static symint size_along(const struct inference *inference, const struct value *value, size_t dimension) {
    struct node *node = value_as_node(value);
    bool known = node && node->type->kind == type_tensor && dimension < node->type->layout.rank;
    return known ? node->type->layout.sizes[dimension] : symint_constant(inference_symbols(inference), 0);
}

regraft_status infer_diff(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    int64_t number, times;
    size_t dimension;
    if (!self || !inference_integer(inference, "dim", -1, &number) || !inference_integer(inference, "n", 1, &times))
        return REGRAFT_OK;
    TRY(inference_dimension(inference, number, self->layout.rank, &dimension));
    if (!self->layout.rank) return REGRAFT_OK;
    symint *sizes = arena_copy(inference->context->arena, self->layout.sizes, self->layout.rank * sizeof *sizes);
    const struct value *around[] = {inference_named(inference, "prepend"), inference_named(inference, "append")};
    for (size_t i = 0; i < 2; i++)
        sizes[dimension] =
            symint_add(inference_symbols(inference), sizes[dimension], size_along(inference, around[i], dimension));
    sizes[dimension] = symint_subtract(inference_symbols(inference), sizes[dimension],
                                       symint_constant(inference_symbols(inference), times));
    set_like_self(inference, self->dtype, sizes, false);
    return REGRAFT_OK;
}

static regraft_status set_sorted(struct inference *inference, const symint *sizes, bool strides) {
    set_like_self(inference, self_dtype(inference), sizes, strides);
    const struct type *values = inference->result;
    set_like_self(inference, dtype_i64, sizes, strides);
    return set_pair(inference, values, inference->result);
}

regraft_status infer_topk(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    symint k = value_as_symint(inference->context, inference_named(inference, "k"));
    int64_t number;
    size_t dimension;
    if (!self || !k || !self->layout.rank || !inference_integer(inference, "dim", -1, &number)) return REGRAFT_OK;
    TRY(inference_dimension(inference, number, self->layout.rank, &dimension));
    symint *sizes = arena_copy(inference->context->arena, self->layout.sizes, self->layout.rank * sizeof *sizes);
    sizes[dimension] = k;
    return set_sorted(inference, sizes, true);
}

regraft_status infer_sort(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (!self) return REGRAFT_OK;
    return set_sorted(inference, self->layout.sizes,
                      layout_contiguous(inference_symbols(inference), &self->layout) == answer_yes);
}

regraft_status infer_argsort(struct inference *inference) {
    if (inference_tensor(inference, 0))
        set_like_self(inference, dtype_i64, inference_tensor(inference, 0)->layout.sizes, false);
    return REGRAFT_OK;
}

regraft_status infer_histc(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    int64_t bins;
    if (!self || !inference_integer(inference, "bins", 100, &bins)) return REGRAFT_OK;
    symint *sizes = arena_array(inference->context->arena, symint, 1);
    sizes[0] = symint_constant(inference_symbols(inference), bins);
    inference_set(inference, self->dtype, 1, sizes,
                  layout_contiguous_strides(inference->context->arena, inference_symbols(inference), sizes, 1),
                  self->device);
    return REGRAFT_OK;
}

regraft_status infer_softmax(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (!self) return REGRAFT_OK;
    enum dtype dtype = inference_boolean(inference, "half_to_float") ? dtype_f32 : self->dtype;
    set_like_self(inference, dtype, self->layout.sizes,
                  layout_contiguous(inference_symbols(inference), &self->layout) == answer_yes);
    return REGRAFT_OK;
}

/* (maximum, sum of exponentials) along a dimension, which stays with size 1: torch/_inductor/inductor_prims.py */
regraft_status infer_prepare_softmax_online(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    int64_t number;
    size_t dimension;
    if (!self || !self->layout.rank || !inference_integer(inference, "dim", -1, &number)) return REGRAFT_OK;
    TRY(inference_dimension(inference, number, self->layout.rank, &dimension));
    symint *sizes = arena_copy(inference->context->arena, self->layout.sizes, self->layout.rank * sizeof *sizes);
    sizes[dimension] = symint_constant(inference_symbols(inference), 1);
    set_like_self(inference, self->dtype, sizes, true);
    return set_pair(inference, inference->result, inference->result);
}
