/* place: makes functionalised calls and updates write in place again (docs/memory.md, "Placing").
 *
 * A functionalised call returns a new version of what it writes; an update does too. Each new version either shares the
 * buffer of the old one, or gets a copy. Sharing needs that
 *
 *   - the buffer may be written: the graph made it, or it is an input that a copy_ at the end overwrites;
 *   - nobody reads the old contents of the written place later, through any view;
 *   - the call reads the place through no other argument, and writes no overlapping place through another one;
 *   - the place does not overlap itself, and no result comes to share memory with an input or another result.
 *
 * A result in memory that nobody has written yet, and that is put into another buffer, is written there (place_result.c).
 * A call whose operation may write elsewhere than it reads leaves the old version alone and writes to fresh memory.
 * An update whose value already stands in its place costs nothing. Where a copy is needed it is of the place only; but when
 * the new version of the whole base is needed too, the base is copied once, before the call, which then writes into that.
 * Every copy is a node, and graph->copies says why it is there. */
#include "ir/contract.h"
#include "pass/placing.h"

/* ---- calls ---- */

enum { most_written = 32 };

struct written {
    const struct schema_argument *argument;
    size_t index;          /* of the argument */
    struct node *value;    /* the old version */
    struct node *target;   /* where the call writes */
    int64_t item;          /* of the functionalised call's result */
    const char *elsewhere; /* why the call reads the old version and writes to fresh memory; NULL when it does not */
};

struct call {
    struct placing *placing;
    struct node *node;
    const struct operation *operation;
    struct written written[most_written];
    size_t count;
};

/* The arguments that the call writes, None left out; false when there is a list among them. */
static bool gather(struct call *call) {
    const struct schema *schema = &call->operation->schema;
    int64_t item = (int64_t)functionalized_lead(call->node);
    for (size_t i = 0; i < schema->argument_count; i++) {
        if (!schema->arguments[i].written) continue;
        const struct value *value = functionalized_keyword(call->node, schema->arguments[i].name);
        int64_t index = item++;
        if (!value || value->kind == value_none) continue;
        if (!value_as_node(value) || call->count == most_written) return false;
        call->written[call->count++] =
            (struct written){&schema->arguments[i], i, value_as_node(value), value_as_node(value), index, NULL};
    }
    return true;
}

struct same_call {
    struct call *call;
    struct node *value;
    const char *reason;
};

static void check_argument(void *user, struct value *value) {
    struct same_call *check = user;
    struct node *other = value->use.node;
    for (size_t i = 0; i < check->call->count; i++)
        if (text_equal(value->keyword, check->call->written[i].argument->name)) return; /* compared below */
    if (other->type->kind != type_tensor || !placing_overlap(check->call->placing, check->value, other)) return;
    check->reason = text_format(check->call->placing->graph->arena, "%s also reads it, as %.*s",
                                check->call->operation->target.data, TEXT_ARGS(value->keyword));
}

static bool is_item(const struct value *use, const struct written *written) {
    return use->use.user->kind == node_getitem && use->use.user->arguments[1].integer == written->item;
}

static bool item_escapes(const struct call *call, const struct written *written) {
    for (const struct value *use = call->node->users; use; use = use->use.next)
        if (is_item(use, written) && memory_escapes(call->placing->memory, use->use.user)) return true;
    return false;
}

/* Whether an earlier result of this call lives in the buffer of `value`, and both are returned. */
static bool beside_result(const struct call *call, size_t index, const struct node *value) {
    struct memory *memory = call->placing->memory;
    for (size_t i = 0; i < index && item_escapes(call, &call->written[index]); i++)
        if (memory_place(memory, call->written[i].target)->root == memory_place(memory, value)->root &&
            item_escapes(call, &call->written[i]))
            return true;
    return false;
}

/* Why a result of the call would share memory with what it did not share it with before: another result of the graph, or
 * an earlier one of this call that lives in the same buffer. */
static const char *alias_of_results(const struct call *call, size_t index, const struct node *value) {
    const struct written *written = &call->written[index];
    for (const struct value *use = call->node->users; use; use = use->use.next) {
        const char *reason = is_item(use, written) ? placing_new_alias(call->placing, use->use.user, value) : NULL;
        if (reason) return reason;
    }
    return beside_result(call, index, value)
               ? "the result is returned beside another that it must not share memory with"
               : NULL;
}

/* Whether the call touches the place of `value` through another written argument. */
static bool meets(const struct call *call, const struct node *value, const struct written *other) {
    return (other->target && placing_overlap(call->placing, value, other->target)) ||
           (other->elsewhere && placing_overlap(call->placing, value, other->value));
}

/* Why the call cannot write argument `index` where `value` stands; NULL when it can, as far as the call itself goes. */
static const char *obstacle_in_call(struct call *call, size_t index, struct node *value) {
    struct same_call check = {call, value, NULL};
    node_each_use(call->node, check_argument, &check);
    for (size_t i = 0; i < call->count && !check.reason; i++)
        if (i != index && meets(call, value, &call->written[i]))
            check.reason = text_format(call->placing->graph->arena, "%s writes an overlapping place, as %.*s",
                                       call->operation->target.data, TEXT_ARGS(call->written[i].argument->name));
    return check.reason ? check.reason : alias_of_results(call, index, value);
}

/* Why the call cannot write argument `index` where its old version stands; NULL when it can. */
static const char *call_obstacle(struct call *call, size_t index) {
    struct node *value = call->written[index].value;
    const char *reason = placing_obstacle(call->placing, value, call->node);
    return reason ? reason : obstacle_in_call(call, index, value);
}

static struct node *item_of(const struct call *call, int64_t index) {
    for (const struct value *use = call->node->users; use; use = use->use.next)
        if (use->use.user->kind == node_getitem && use->use.user->arguments[1].integer == index) return use->use.user;
    return NULL;
}

/* Whether everything that has to be copied can be. */
static bool can_copy_all(struct call *call) {
    for (size_t i = 0; i < call->count; i++)
        if (!placing_can_copy(call->placing, call->written[i].value) &&
            (call->operation->copied || call_obstacle(call, i)))
            return false;
    return true;
}

/* Whether the operation may leave the old version where it is and write to fresh memory; nothing else that the call writes
 * may lie in the old version then. */
static bool may_write_elsewhere(const struct call *call, size_t index) {
    const struct written *written = &call->written[index];
    if (!call->operation->out_form || !contract_of(call->node, written->index)->elsewhere) return false;
    for (size_t i = 0; i < call->count; i++)
        if (i != index && call->written[i].target &&
            placing_overlap(call->placing, written->value, call->written[i].target))
            return false;
    return true;
}

/* The target of argument `index`, which cannot be where the old version stands. */
static regraft_status choose_other_target(struct call *call, size_t index, const char *reason) {
    struct placing *placing = call->placing;
    struct written *written = &call->written[index];
    struct node *item = call->operation->copied ? NULL : item_of(call, written->item); /* a copy of just this place */
    if (placing_is_unwritten(placing, written->value))
        return placing_allocate_again(placing, call->node, written->value, &written->target);
    written->target = NULL;
    if (item) TRY(placing_destination(placing, call->node, item, written->value, reason, &written->target));
    if (written->target && !beside_result(call, index, written->target)) return REGRAFT_OK;
    written->target = NULL;
    if (may_write_elsewhere(call, index)) written->elsewhere = reason;
    if (written->elsewhere)
        return placing_allocate(placing, call->node, written->value, &written->value->type->layout, &written->target);
    TRY(placing_copy(placing, call->node, written->value, reason, &written->target));
    struct graph *graph = placing->graph;
    if (call->operation->copied)
        graph->copies.items[graph->copies.count - 1].remedy = "a kernel that touches what its schema says and no more";
    return REGRAFT_OK;
}

/* A result that is put into another buffer anyway is written there. */
static regraft_status choose_result_place(struct call *call, size_t index) {
    struct written *written = &call->written[index];
    struct node *item = item_of(call, written->item), *target = NULL;
    if (item) TRY(place_result(call->placing, call->node, written->index, item, written->value, &target));
    if (target && !obstacle_in_call(call, index, target)) written->target = target;
    return REGRAFT_OK;
}

/* Gives each written argument its target. */
static regraft_status choose_targets(struct call *call) {
    for (size_t i = 0; i < call->count; i++) {
        if (!call->operation->copied) TRY(choose_result_place(call, i));
        if (call->written[i].target != call->written[i].value) continue;
        const char *copied = call->operation->copied, *reason = copied ? copied : call_obstacle(call, i);
        if (reason) TRY(choose_other_target(call, i, reason));
    }
    return REGRAFT_OK;
}

static const struct written *written_named(const struct call *call, struct text name) {
    for (size_t i = 0; i < call->count; i++)
        if (text_equal(call->written[i].argument->name, name)) return &call->written[i];
    return NULL;
}

/* X_out of each written X; None where X is. */
static void set_out_arguments(const struct call *call, struct node *raw, size_t next) {
    const struct schema *schema = &call->operation->schema;
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct written *written = written_named(call, schema->arguments[i].name);
        if (!schema->arguments[i].written) continue;
        struct value *value = &raw->arguments[next++];
        value->keyword = text_of(text_format(raw->graph->arena, "%.*s_out", TEXT_ARGS(schema->arguments[i].name)));
        if (written) value_set_node(raw, value, written->target);
    }
}

/* The call itself, as vLLM's passes write it: every argument that was given, by name. */
static regraft_status insert_raw_call(struct call *call, struct node **result) {
    struct graph *graph = call->placing->graph;
    const struct schema *schema = &call->operation->schema;
    size_t next = 0, count = 0;
    bool elsewhere = false;
    for (size_t i = 1; i < call->node->argument_count; i++)
        count += schema_find_argument(schema, call->node->arguments[i].keyword) != SIZE_MAX;
    for (size_t i = 0; i < call->count; i++) elsewhere |= call->written[i].elsewhere != NULL;
    for (size_t i = 0; elsewhere && i < schema->argument_count; i++) count += schema->arguments[i].written;
    struct node *raw =
        graph_insert_call(graph, call->node, elsewhere ? call->operation->out_form : call->operation, count);
    raw->location = call->node->location;
    for (size_t i = 1; i < call->node->argument_count; i++) {
        const struct value *from = &call->node->arguments[i];
        if (schema_find_argument(schema, from->keyword) == SIZE_MAX) continue;
        const struct written *written = written_named(call, from->keyword);
        struct value *to = &raw->arguments[next++];
        value_copy(raw, to, from);
        if (written) value_set_node(raw, to, written->elsewhere ? written->value : written->target);
    }
    if (elsewhere) set_out_arguments(call, raw, next);
    memory_stand_in(call->placing->memory, raw, call->node);
    *result = raw;
    TRY(infer_node(raw));
    TRY(memory_refresh(call->placing->memory, raw));
    if (!elsewhere) raw->contracts = call->node->contracts;
    if (elsewhere) TRY(place_contracts(call->placing, raw, false));
    return place_contracts(call->placing, raw, true);
}

static regraft_status replace_items(struct call *call, struct node *raw) {
    struct placing *placing = call->placing;
    while (call->node->users) {
        struct node *item = call->node->users->use.user, *value = NULL;
        int64_t index = item->arguments[1].integer;
        for (size_t i = 0; i < call->count; i++)
            if (call->written[i].item == index) value = call->written[i].target;
        if (!value && index == 0 && call->operation->schema.return_count == 1) {
            value = raw;
            if (raw->type->kind == type_unknown) raw->type = item->type; /* what it was traced with */
        }
        if (value) {
            TRY(placing_replace(placing, item, value));
        } else {
            value_set_node(item, &item->arguments[0], raw);
            TRY(memory_refresh(placing->memory, item));
        }
    }
    return REGRAFT_OK;
}

static void record_clones(struct placing *placing, struct node *call, const struct value *value, const char *why) {
    bool list = value && (value->kind == value_list || value->kind == value_tuple);
    struct node *written = value ? value_as_node(value) : NULL;
    if (written) placing_record(placing, call, written, why, "a call that can be placed", false);
    for (size_t i = 0; list && i < value->list.count; i++) record_clones(placing, call, &value->list.items[i], why);
}

/* A functionalised call that is left as it is: whoever runs it clones what it writes, or all bases of the other encoding. */
static void leave_functional(struct placing *placing, struct node *call, const char *why) {
    const struct operation *operation = node_called_operation(call);
    const char *reason = text_format(placing->graph->arena, "the call stays functional: %s", why);
    graph_remark(placing->graph, call, false, "stays functional: %s", why);
    if (node_is(call, operation_higher_order_auto_functionalized_v2))
        record_clones(placing, call, functionalized_keyword(call, TEXT("_all_bases")), reason);
    else if (!operation)
        placing_record(placing, call, call, reason, "the schema of the operation (--ops)", false);
    else
        for (size_t i = 0; i < operation->schema.argument_count; i++)
            if (operation->schema.arguments[i].written)
                record_clones(placing, call, functionalized_keyword(call, operation->schema.arguments[i].name), reason);
}

static regraft_status place_call(struct placing *placing, struct node *node) {
    struct call *call = arena_new(placing->scratch, struct call);
    struct node *raw;
    *call = (struct call){.placing = placing, .node = node, .operation = node_called_operation(node)};
    const char *obstacle = !call->operation ? "its operation is in no table (--ops adds one)"
                           : !node_is_used_by_items(node) || !gather(call)
                               ? "it writes a list, or its result is used as a whole"
                           : !can_copy_all(call) ? "the strides of what it writes are not known, or have no spelling"
                                                 : NULL;
    if (obstacle) {
        leave_functional(placing, node, obstacle);
        return REGRAFT_OK;
    }
    TRY(choose_targets(call));
    TRY(insert_raw_call(call, &raw));
    TRY(replace_items(call, raw));
    for (size_t i = 0; i < call->count; i++) placing_note_write(placing, call->written[i].target);
    for (size_t i = 0; i < call->count; i++)
        if (call->written[i].elsewhere)
            graph_remark(placing->graph, raw, true, "reads %.*s and writes to fresh memory: %s",
                         TEXT_ARGS(call->written[i].value->name), call->written[i].elsewhere);
    if (raw->operation == call->operation) graph_remark(placing->graph, raw, true, "writes in place");
    graph_remove(placing->graph, node);
    return REGRAFT_OK;
}

/* ---- the pass ---- */

regraft_status pass_place(struct graph *graph, struct arena *scratch) {
    struct placing placing;
    struct map *kept_behind;
    TRY(place_readers(graph, scratch, &kept_behind));
    TRY(placing_start(&placing, graph, scratch));
    placing.kept_behind = kept_behind;
    for (struct node *node = graph->first, *next; node; node = next) {
        next = node->next;
        TRY(place_contracts(&placing, node, false));
        if (!node_is_functionalized_call(node)) TRY(place_contracts(&placing, node, true));
        if (node_is(node, operation_higher_order_auto_functionalized))
            TRY(place_call(&placing, node));
        else if (node_is(node, operation_higher_order_auto_functionalized_v2))
            leave_functional(&placing, node, "unify-functionalized has not rewritten it");
        else if (node_has_class(node, class_update))
            TRY(place_update(&placing, node));
        else if (placing_is_write_back(&placing, node))
            TRY(place_write_back(&placing, node));
        else
            placing_note_own_copy(&placing, node);
    }
    graph->placed = true;
    return place_boundaries(graph, scratch);
}
