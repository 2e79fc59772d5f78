/* Operations that compute the same and differ only in how they are printed: a cast is convert_element_type after Inductor's
 * decompositions, _to_copy before, and to.dtype in an exported program. A statement of one matches a call of any other;
 * their arguments go by name, the first one by place. */
#include "rule/matching.h"

#include "ir/effect.h"

struct spelling {
    enum operation_id operation, form;
};

static const struct spelling spellings[] = {
    {operation_aten__to_copy_default, operation_prims_convert_element_type_default},
    {operation_aten_to_dtype, operation_prims_convert_element_type_default},
    {operation_aten_to_dtype_layout, operation_prims_convert_element_type_default},
    {operation_aten_add_Scalar, operation_aten_add_Tensor},
    {operation_aten_sub_Scalar, operation_aten_sub_Tensor},
    {operation_aten_mul_Scalar, operation_aten_mul_Tensor},
    {operation_aten_div_Scalar, operation_aten_div_Tensor},
};

enum operation_id operation_form(const struct operation *operation) {
    for (size_t i = 0; operation->id && i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].operation == operation->id) return spellings[i].form;
    return operation->id;
}

bool is_spelling(const struct operation *operation, const struct operation *called) {
    if (operation == called) return true;
    return called && operation->id && operation_form(operation) == operation_form(called);
}

const struct operation *spelling_at(const struct operations *operations, const struct operation *operation,
                                    size_t index) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].form == operation->id && !index--) return operations_by_id(operations, spellings[i].operation);
    return NULL;
}

/* Where `operation` has what `called` has as its argument `index`; SIZE_MAX: nowhere. */
static size_t same_argument(const struct operation *operation, const struct operation *called, size_t index) {
    return index ? schema_find_argument(&operation->schema, called->schema.arguments[index].name) : 0;
}

const struct value *spelled_argument(const struct node *call, const struct operation *operation, size_t index) {
    const struct operation *called = node_called_operation(call);
    if (called == operation) return node_called_argument(call, index);
    size_t own = same_argument(called, operation, index);
    return own == SIZE_MAX ? NULL : node_called_argument(call, own);
}

/* Where and how the result of a cast lies: its type tells, which conditions look at. */
static bool is_told_by_type(const struct node *call, struct text argument) {
    static const char *const names[] = {"non_blocking", "copy", "memory_format", "pin_memory", "layout"};
    const struct node *source = value_as_node(node_argument(call, 0));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_is(argument, names[i])) return true;
    return text_is(argument, "device") && source && source->type->kind == type_tensor &&
           call->type->kind == type_tensor && device_equal(source->type->device, call->type->device);
}

const struct schema_argument *unspelled_argument(const struct node *call, const struct operation *operation) {
    const struct operation *called = node_called_operation(call);
    if (called == operation) return NULL;
    for (size_t i = 1; i < called->schema.argument_count; i++) {
        const struct schema_argument *argument = &called->schema.arguments[i];
        const struct value *value = node_called_argument(call, i);
        if (value && !is_default(argument, value) && !is_told_by_type(call, argument->name) &&
            same_argument(operation, called, i) == SIZE_MAX)
            return argument;
    }
    return NULL;
}
