/* Destination passing: a call that writes a result argument writes it where the result is put anyway.
 *
 *     empty = empty(...); at = call(result = empty, ...); buffer_1 = slice_scatter(buffer, at[1], ...)
 *
 * becomes call(result = slice(buffer), ...), and the update of `buffer` has nothing left to do. */
#include "ir/contract.h"
#include "pass/placing.h"

/* Where the update puts its value in the memory of its base; false when that cannot be told, or when the base is not there
 * yet at the time of the call. */
static bool find_target(struct placing *placing, const struct node *call, struct node *update, struct place *target) {
    struct symbols *symbols = placing->graph->context->symbols;
    struct update_place written;
    if (memory_update(placing->memory, update, &written) != REGRAFT_OK || !written.exact) return false;
    const struct place *base = memory_place(placing->memory, written.base),
                       *own = memory_place(placing->memory, update);
    bool there = written.base->kind == node_placeholder || written.base->order < call->order;
    if (!there || !base->exact || !own->exact || update->type->kind != type_tensor ||
        layout_same(symbols, &update->type->layout, &written.base->type->layout) != answer_yes)
        return false;
    symint behind = symint_subtract(symbols, written.window.offset, own->window.offset);
    *target = (struct place){.root = base->root,
                             .exact = true,
                             .window = {symint_add(symbols, base->window.offset, behind), written.window.layout}};
    return base->root != NULL;
}

/* Whether the called kernel can write there as well as where it was traced: the same strides at an address as good for wide
 * accesses, or strides that it is said to take. */
static bool kernel_can_write(struct placing *placing, const struct node *call, size_t argument,
                             const struct node *value, const struct place *target) {
    enum { address_alignment = 16 }; /* bytes of the widest access */
    struct symbols *symbols = placing->graph->context->symbols;
    const struct contract *contract = contract_of(call, argument);
    if (contract->stated) return contract_is_met(symbols, contract, &target->window.layout);
    symint start = memory_place(placing->memory, target->root)->window.offset;
    symint bytes = symint_multiply(symbols, symint_subtract(symbols, target->window.offset, start),
                                   symint_constant(symbols, (int64_t)dtype_size(value->type->dtype)));
    bool aligned = symint_equal(symbols, symint_modulo(symbols, bytes, symint_constant(symbols, address_alignment)),
                                symint_constant(symbols, 0)) == answer_yes;
    return aligned && layout_same(symbols, &target->window.layout, &value->type->layout) == answer_yes;
}

/* Views of the base that lead to the target, before the call. */
static regraft_status take_target(struct placing *placing, struct node *call, struct node *base,
                                  const struct place *target, struct node **result) {
    struct view_chain *chain = arena_new(placing->scratch, struct view_chain);
    bool found;
    *result = NULL;
    TRY(window_take(placing->graph, call, base, &memory_place(placing->memory, base)->window, &target->window, chain,
                    &found));
    for (size_t i = 1; found && i < chain->count; i++) {
        memory_stand_in(placing->memory, chain->nodes[i], call);
        TRY(memory_refresh(placing->memory, chain->nodes[i]));
    }
    if (found) *result = chain_result(chain);
    return REGRAFT_OK;
}

regraft_status place_result(struct placing *placing, struct node *call, size_t argument, struct node *item,
                            const struct node *value, struct node **result) {
    const struct node *root = memory_place(placing->memory, value)->root;
    struct node *update = placing_putting_update(item), *base = update ? value_as_node(node_argument(update, 0)) : NULL;
    struct place target;
    *result = NULL;
    if (!root || !base || !node_called_operation(call)->schema.arguments[argument].overwritten ||
        !placing_is_unwritten(placing, root) || base->type->kind != type_tensor || value->type->kind != type_tensor ||
        base->type->dtype != value->type->dtype || !find_target(placing, call, update, &target) ||
        target.root == root || !kernel_can_write(placing, call, argument, value, &target) ||
        placing_memory_obstacle(placing, &target, call) || placing_reader(placing, &target, call))
        return REGRAFT_OK;
    return take_target(placing, call, base, &target, result);
}
