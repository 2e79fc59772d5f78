/* Calls of a graph that work element by element, along a dimension, or look rows up. */
#include "proof/elements.h"
#include "proof/machine.h"

static const struct element_row {
    enum operation_id operation;
    enum element_kind kind;
    bool minus;
} element_rows[] = {
    {operation_aten_add_Tensor, element_add, false},
    {operation_aten_add_Scalar, element_add, false},
    {operation_aten_sub_Tensor, element_add, true},
    {operation_aten_sub_Scalar, element_add, true},
    {operation_aten_mul_Tensor, element_multiply, false},
    {operation_aten_mul_Scalar, element_multiply, false},
    {operation_aten_div_Tensor, element_divide, false},
    {operation_aten_div_Scalar, element_divide, false},
    {operation_aten_pow_Tensor_Scalar, element_power, false},
    {operation_aten_neg_default, element_negate, false},
    {operation_aten_exp_default, element_exp, false},
    {operation_aten_sqrt_default, element_sqrt, false},
    {operation_aten_rsqrt_default, element_rsqrt, false},
    {operation_aten_reciprocal_default, element_reciprocal, false},
    {operation_aten_cos_default, element_cos, false},
    {operation_aten_sin_default, element_sin, false},
    {operation_aten_sigmoid_default, element_sigmoid, false},
    {operation_aten_silu_default, element_silu, false},
};

/* ---- arguments ---- */

static struct item argument_item(struct machine *machine, const struct node *node, size_t index) {
    const struct value *value = node_argument(node, index);
    return value ? item_of_value(machine, value) : (struct item){.kind = item_none};
}

static struct item named_item(struct machine *machine, const struct node *node, const char *name) {
    return argument_item(machine, node, schema_find_argument(&node->operation->schema, text_of(name)));
}

static bool plain_number(const struct item *item, double *number) {
    int64_t integer;
    if (item->kind == item_literal && item->literal->kind == value_float) {
        *number = item->literal->real;
        return true;
    }
    if (item->kind != item_integer || !symint_is_constant(item->integer, &integer)) return false;
    *number = (double)integer;
    return integer > -(INT64_C(1) << 53) && integer < INT64_C(1) << 53;
}

static bool is_real(enum dtype dtype) {
    return dtype == dtype_f64 || dtype == dtype_f32 || dtype == dtype_f16 || dtype == dtype_bf16;
}

/* A fresh tensor with these elements. */
static bool give(struct machine *machine, const struct node *node, const struct reading *reading, struct item *result) {
    struct tensor_value *tensor = tensor_fresh(machine, &node->type->layout, node->type->dtype);
    tensor_write(machine, tensor, reading);
    *result = item_of_tensor(tensor);
    return true;
}

/* ---- element by element ---- */

/* An operand in the result's sizes, of a type whose numbers the result's type has. */
static const struct reading *operand_reading(struct machine *machine, const struct item *item,
                                             const struct type *result) {
    struct tensor_value *tensor = item_tensor_of(item);
    if (!tensor || !is_real(tensor->dtype) || dtype_promote(tensor->dtype, result->dtype) != result->dtype) return NULL;
    return reading_expand(machine->prover, tensor_read(machine, tensor), result->layout.sizes, result->layout.rank);
}

static bool has_plain_alpha(struct machine *machine, const struct node *node) {
    double alpha = 1;
    struct item item = {.kind = item_none};
    if (schema_find_argument(&node->operation->schema, TEXT("alpha")) != SIZE_MAX)
        item = named_item(machine, node, "alpha");
    return item.kind == item_none || (plain_number(&item, &alpha) && alpha == 1);
}

static bool run_row(struct machine *machine, const struct node *node, const struct element_row *row,
                    struct item *result) {
    struct element_call call = {.kind = row->kind, .dtype = node->type->dtype, .count = 1, .minus = row->minus};
    const struct reading *readings[most_operands];
    struct space space = {node->type->layout.rank, node->type->layout.sizes};
    struct item first = argument_item(machine, node, 0), second = argument_item(machine, node, 1);
    if (!is_real(call.dtype) || !has_plain_alpha(machine, node)) return false;
    if (!(readings[0] = operand_reading(machine, &first, node->type))) return false;
    if (item_tensor_of(&second))
        call.count = 2;
    else
        call.has_number = plain_number(&second, &call.number);
    if (call.count == 1 && !call.has_number && second.kind != item_none) return false;
    if (call.count == 2 && !(readings[1] = operand_reading(machine, &second, node->type))) return false;
    return give(machine, node, elements_call(machine->prover, &call, &space, readings), result);
}

/* ---- along dimensions ---- */

/* Which dimensions go, and how many; 0 when that is not known. */
static size_t reduced_dimensions(const struct item *list, size_t rank, bool *reduced) {
    int64_t dimension;
    if (list->kind != item_tuple) return 0;
    for (size_t i = 0; i < list->tuple.count; i++) {
        const struct item *item = &list->tuple.items[i];
        if (item->kind != item_integer || !symint_is_constant(item->integer, &dimension)) return 0;
        if (dimension < 0) dimension += (int64_t)rank;
        if (dimension < 0 || dimension >= (int64_t)rank || reduced[dimension]) return 0;
        reduced[dimension] = true;
    }
    return list->tuple.count;
}

/* The mean as a sum that is divided by its count, where the leading graph has it so: equal but for rounding. */
static void take_as_sum(struct machine *machine, const struct node *node, const struct builder *numbers,
                        const struct space *space, const struct operand *operand, symint elements,
                        struct operand *mean) {
    struct prover *prover = machine->prover;
    int64_t count;
    if (prover->leading || mean->term->leading || !symint_is_constant(elements, &count)) return;
    struct element_call divide = {
        .kind = element_divide, .dtype = node->type->dtype, .count = 1, .has_number = true, .number = (double)count};
    struct operand sum = elements_make(prover, element_sum, node->type->dtype, numbers, space, operand, 1);
    sum = elements_compute(prover, &divide, space, &sum);
    if (!sum.term->leading) return;
    *mean = sum;
    prover_note_rounded(prover, node->operation->target);
}

static bool run_reduction(struct machine *machine, const struct node *node, enum element_kind kind,
                          struct item *result) {
    struct prover *prover = machine->prover;
    struct item self = argument_item(machine, node, 0), list = argument_item(machine, node, 1);
    struct tensor_value *tensor = item_tensor_of(&self);
    bool reduced[place_most_dimensions] = {false};
    if (!tensor || !is_real(tensor->dtype) || tensor->dtype != node->type->dtype) return false;
    const struct reading *reading = tensor_read(machine, tensor);
    size_t rank = reading->layout.rank, kept = node->type->layout.rank, next = 0;
    size_t gone = reduced_dimensions(&list, rank, reduced);
    if (named_item(machine, node, "dtype").kind != item_none || !gone || (kept != rank && kept != rank - gone))
        return false;
    struct builder numbers;
    builder_init(&numbers, prover->arena);
    symint *strides = arena_array(prover->arena, symint, kept), count = number(prover, 1);
    for (size_t i = 0; i < rank; i++) {
        if (!reduced[i] || kept == rank) strides[next++] = reduced[i] ? number(prover, 0) : reading->layout.strides[i];
        if (!reduced[i]) continue;
        count = times(prover, count, reading->layout.sizes[i]);
        key_symint(prover, &numbers, reading->layout.sizes[i]);
        key_symint(prover, &numbers, reading->layout.strides[i]);
    }
    struct operand operand = {reading->term, reading->offset, strides};
    struct space space = {kept, node->type->layout.sizes};
    struct operand found = elements_make(prover, kind, tensor->dtype, &numbers, &space, &operand, 1);
    if (kind == element_mean) take_as_sum(machine, node, &numbers, &space, &operand, count, &found);
    struct layout layout = {kept, space.sizes, found.strides};
    return give(machine, node, reading_intern(prover, found.term, found.offset, &layout), result);
}

/* ---- numbers that count ---- */

static symint integer_argument(struct machine *machine, const struct node *node, const char *name, int64_t otherwise) {
    if (schema_find_argument(&node->operation->schema, text_of(name)) == SIZE_MAX)
        return number(machine->prover, otherwise);
    struct item item = named_item(machine, node, name);
    if (item.kind == item_none) return number(machine->prover, otherwise);
    return item.kind == item_integer ? item.integer : NULL;
}

static bool run_counter(struct machine *machine, const struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    symint start = integer_argument(machine, node, "start", 0), step = integer_argument(machine, node, "step", 1);
    if (!start || !step || node->type->dtype != dtype_i64 || node->type->layout.rank != 1) return false;
    struct builder key;
    key_start(prover, &key, term_elements, node->type->dtype);
    key_number(&key, element_counter);
    struct term *term = key_term(prover, &key);
    static const struct layout *const none[1];
    struct element_function *function = arena_new(prover->arena, struct element_function);
    *function = (struct element_function){.kind = element_counter, .axes = 1, .wholes = none};
    if (!term->function) term->function = function;
    term->name = TEXT("counter");
    struct layout layout = {1, node->type->layout.sizes, &step};
    return give(machine, node, reading_intern(prover, term, start, &layout), result);
}

static bool counts_rows(const struct prover *prover, const struct reading *rows) {
    const struct term *term = rows->term;
    if (term->kind != term_elements || term->function->kind != element_counter) return false;
    if (!surely_at_most(prover, number(prover, 0), rows->offset)) return false;
    for (size_t i = 0; i < rows->layout.rank; i++)
        if (!surely_at_most(prover, number(prover, 0), rows->layout.strides[i])) return false;
    return true;
}

/* ---- rows of a table ---- */

/* The rows of `table` [rows, ...] with the numbers `rows` [...]: the sizes of `rows`, then those of a row. */
static bool run_lookup(struct machine *machine, const struct node *node, const struct item *table_item,
                       const struct item *rows_item, struct item *result) {
    struct prover *prover = machine->prover;
    struct tensor_value *table_tensor = item_tensor_of(table_item), *rows_tensor = item_tensor_of(rows_item);
    if (!table_tensor || !rows_tensor || rows_tensor->dtype != dtype_i64) return false;
    const struct reading *table = tensor_read(machine, table_tensor), *rows = tensor_read(machine, rows_tensor);
    size_t lead = rows->layout.rank, rank = node->type->layout.rank;
    if (table->layout.rank < 1 || rank != lead + table->layout.rank - 1 || rows->term->kind == term_pieces)
        return false;
    symint *in_row = arena_array(prover->arena, symint, rank), *of_row = arena_array(prover->arena, symint, rank);
    for (size_t i = 0; i < rank; i++) {
        in_row[i] = i < lead ? number(prover, 0) : table->layout.strides[i - lead + 1];
        of_row[i] = i < lead ? rows->layout.strides[i] : number(prover, 0);
    }
    symint height = table->layout.strides[0];
    struct space space = {rank, node->type->layout.sizes};
    if (counts_rows(prover, rows)) { /* the table itself, at places that are known */
        struct window_place place = {plus(prover, table->offset, times(prover, height, rows->offset)),
                                     {rank, space.sizes, in_row}};
        for (size_t i = 0; i < lead; i++) in_row[i] = times(prover, height, of_row[i]);
        return give(machine, node, reading_window(prover, table->term, &place), result);
    }
    struct builder numbers;
    builder_init(&numbers, prover->arena);
    key_symint(prover, &numbers, height);
    struct operand operands[] = {{table->term, table->offset, in_row}, {rows->term, rows->offset, of_row}};
    struct operand found = elements_make(prover, element_lookup, table->term->dtype, &numbers, &space, operands, 2);
    struct layout layout = {rank, space.sizes, found.strides};
    return give(machine, node, reading_intern(prover, found.term, found.offset, &layout), result);
}

static bool run_index(struct machine *machine, const struct node *node, struct item *result) {
    struct item table = argument_item(machine, node, 0), list = argument_item(machine, node, 1);
    if (list.kind != item_tuple || list.tuple.count != 1) return false;
    return run_lookup(machine, node, &table, &list.tuple.items[0], result);
}

static bool run_index_select(struct machine *machine, const struct node *node, struct item *result) {
    struct item table = argument_item(machine, node, 0), dimension = argument_item(machine, node, 1),
                rows_item = argument_item(machine, node, 2);
    if (dimension.kind != item_integer || !symint_is(dimension.integer, 0)) return false;
    return run_lookup(machine, node, &table, &rows_item, result);
}

static bool run_embedding(struct machine *machine, const struct node *node, struct item *result) {
    struct item table = argument_item(machine, node, 0), rows_item = argument_item(machine, node, 1);
    return run_lookup(machine, node, &table, &rows_item, result);
}

/* ---- all of them ---- */

bool run_elements(struct machine *machine, struct node *node, struct item *result) {
    if (!machine->prover->by_elements || node->type->kind != type_tensor) return false;
    for (size_t i = 0; i < sizeof element_rows / sizeof *element_rows; i++)
        if (node_is(node, element_rows[i].operation)) return run_row(machine, node, &element_rows[i], result);
    switch (node->operation->id) {
    case operation_aten_mean_dim:
        return run_reduction(machine, node, element_mean, result);
    case operation_aten_sum_dim_IntList:
        return run_reduction(machine, node, element_sum, result);
    case operation_aten_arange_default:
    case operation_aten_arange_start:
    case operation_aten_arange_start_step:
    case operation_prims_iota_default:
        return run_counter(machine, node, result);
    case operation_aten_index_Tensor:
        return run_index(machine, node, result);
    case operation_aten_index_select_default:
        return run_index_select(machine, node, result);
    case operation_aten_embedding_default:
        return run_embedding(machine, node, result);
    default:
        return false;
    }
}
