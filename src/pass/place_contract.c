/* Contracts: what calls are owed, and the copies that give it to them. */
#include "ir/contract.h"
#include "pass/placing.h"

/* The strides in which the operation has to be given the value. */
static const symint *owed_strides(struct placing *placing, const struct contract *contract,
                                  const struct layout *layout) {
    struct graph *graph = placing->graph;
    if (contract->kind == contract_as_traced) return contract->traced;
    return layout_contiguous_strides(graph->arena, graph->context->symbols, layout->sizes, layout->rank);
}

static bool is_met_by(struct placing *placing, const struct node *call, size_t index, const struct node *value) {
    return value->type->kind != type_tensor ||
           contract_is_met(placing->graph->context->symbols, contract_of(call, index), &value->type->layout);
}

/* as_strided(value, sizes, strides): the same elements; only strides that address nothing differ. */
static regraft_status insert_view_as(struct placing *placing, struct node *before, struct node *value,
                                     const struct layout *layout, struct node **result) {
    TRY(insert_as_strided(placing->graph, before, value, layout, NULL, result));
    return placing_settle(placing, *result, before);
}

static regraft_status insert_contiguous(struct placing *placing, struct node *before, struct node *value,
                                        struct node **result) {
    struct graph *graph = placing->graph;
    struct node *copy =
        graph_insert_call(graph, before, operations_by_id(graph->context->operations, operation_aten_clone_default), 2);
    value_set_node(copy, &copy->arguments[0], value);
    copy->arguments[1] = (struct value){
        .kind = value_name, .keyword = TEXT("memory_format"), .written = TEXT("torch.contiguous_format")};
    *result = copy;
    TRY(placing_settle(placing, copy, before));
    placing_note_write(placing, copy);
    return REGRAFT_OK;
}

static void record(struct placing *placing, struct node *copy, struct node *value, const struct node *call,
                   size_t index, const char *why) {
    const struct operation *operation = node_called_operation(call);
    const char *remedy = contract_remedy(placing->graph->arena, operation, index, contract_of(call, index));
    placing_record(placing, copy, value, why, remedy, false);
}

/* What the call is owed instead of `value`, its argument `index`: a copy, made by the call *copy, or a view before it; NULL
 * when there is no way. */
static regraft_status provide(struct placing *placing, struct node *call, size_t index, struct node *value,
                              struct node **result, struct node **copy) {
    const struct operation *operation = node_called_operation(call);
    const struct contract *contract = contract_of(call, index);
    struct symbols *symbols = placing->graph->context->symbols;
    const struct layout *layout = &value->type->layout;
    *result = *copy = NULL;
    const char *why = contract_describe(placing->graph->arena, operation, index, contract);
    struct layout wanted = {layout->rank, layout->sizes, owed_strides(placing, contract, layout)};
    bool traced = contract->kind == contract_as_traced, known = !traced || contract->traced_rank == layout->rank;
    bool contiguous = !traced || (known && layout_contiguous(symbols, &wanted) == answer_yes);
    if (!known || (!contiguous && !placing_can_allocate(placing, &wanted))) {
        graph_remark(placing->graph, call, false, "%s; %s", why,
                     !contract->traced ? "but nothing tells these"
                     : !known          ? "but it has another number of dimensions"
                                       : "but memory of these strides cannot be written down");
        return REGRAFT_OK;
    }
    if (traced && layout->strides && layout_same(symbols, layout, &wanted) == answer_yes)
        return insert_view_as(placing, call, value, &wanted, result);
    if (!contiguous) return placing_copy_as(placing, call, value, &wanted, result, copy);
    TRY(insert_contiguous(placing, call, value, copy));
    *result = *copy;
    return REGRAFT_OK;
}

/* Gives the call what was made for it, unless its result would then have other strides: its readers do not expect these. */
static bool hand_over(struct placing *placing, struct node *call, struct value *value, struct node *given,
                      struct node *copy) {
    struct diagnostics *diagnostics = &placing->graph->context->diagnostics;
    struct node *old = value_as_node(value);
    value_set_node(call, value, given);
    if (infer_node(call) == REGRAFT_OK) return true;
    diagnostics_clear(diagnostics);
    value_set_node(call, value, old);
    if (copy && copy != given) graph_remove(placing->graph, copy);
    graph_remove(placing->graph, given);
    graph_remark(placing->graph, call, false,
                 "not given the %.*s that it is owed: the strides of its result follow from it", TEXT_ARGS(old->name));
    return false;
}

/* ---- raw calls ---- */

struct meeting {
    struct placing *placing;
    const struct value *argument;
    bool meets;
};

static void visit_argument(void *user, struct value *value) {
    struct meeting *meeting = user;
    if (value != meeting->argument && value->use.node->type->kind == type_tensor)
        meeting->meets |= placing_overlap(meeting->placing, meeting->argument->use.node, value->use.node);
}

/* Whether a raw call may write to a copy of the argument instead: no other argument shows what it writes, nor does a result. */
static bool can_write_copy(struct placing *placing, struct node *call, const struct value *argument) {
    struct meeting meeting = {placing, argument, call->users != NULL};
    node_each_use(call, visit_argument, &meeting);
    if (meeting.meets)
        graph_remark(placing->graph, call, false,
                     "not given the %.*s that it is owed: its arguments overlap, or it returns one",
                     TEXT_ARGS(argument->use.node->name));
    return !meeting.meets;
}

/* What a raw call wrote to a copy, back to where it belongs. */
static regraft_status copy_back(struct placing *placing, struct node *call, size_t index, struct node *value,
                                struct node *from) {
    struct node *copy;
    if (memory_place(placing->memory, from)->root == memory_place(placing->memory, value)->root) return REGRAFT_OK;
    TRY(placing_copy_into(placing, call->next, value, from, &copy));
    record(placing, copy, value, call, index,
           text_format(placing->graph->arena,
                       "%s wrote to a copy of its argument %.*s, for the strides that it is owed",
                       node_called_operation(call)->target.data,
                       TEXT_ARGS(node_called_operation(call)->schema.arguments[index].name)));
    return REGRAFT_OK;
}

regraft_status place_contracts(struct placing *placing, struct node *call, bool written) {
    const struct operation *operation = node_called_operation(call);
    for (size_t i = 0; operation && i < operation->schema.argument_count; i++) {
        if (operation->schema.arguments[i].written != written || contract_of(call, i)->kind == contract_any) continue;
        struct value *value = node_called_argument(call, i);
        struct node *old = value_as_node(value), *given, *copy;
        if (!old || is_met_by(placing, call, i, old) || (written && !can_write_copy(placing, call, value))) continue;
        TRY(provide(placing, call, i, old, &given, &copy));
        if (!given || !hand_over(placing, call, value, given, copy)) continue;
        if (copy)
            record(placing, copy, old, call, i,
                   contract_describe(placing->graph->arena, operation, i, contract_of(call, i)));
        TRY(memory_refresh(placing->memory, call));
        if (written) TRY(copy_back(placing, call, i, old, given));
    }
    return REGRAFT_OK;
}
