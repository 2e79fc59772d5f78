/* unify-functionalized: brings both encodings of functionalised calls to one form.
 *
 *     auto_functionalized_v2(op, ..., _x_base_index = 0, _x_slice_dim = 1, ..., _all_bases = [b])   -> (returns, new b)
 * becomes
 *     x = slice(b, 1, ...); call = auto_functionalized(op, ..., x = x)                              -> (returns, new x)
 *     new b = slice_scatter(b, call[1], 1, ...)
 *
 * Legal when the windows that one call writes in one base do not overlap, each other or themselves: v2 writes them into one
 * clone of the base, v1 into clones of their own. Otherwise the call stays as it is. The encoding: torch/_higher_order_ops/auto_functionalize.py. */
#include "ir/contract.h"
#include "pass/pass.h"
#include "pass/window.h"

enum { most_written = 32 };

/* One written argument: a window onto a base. */
struct written {
    struct text name;  /* of the schema argument */
    int64_t base;      /* index into _all_bases; -1: the argument is None */
    struct node *view; /* what is passed: the base or a view of it */
    struct view_chain chain;
    size_t result; /* index among the results of the new call */
};

struct unification {
    struct graph *graph;
    struct memory *memory;
    struct node *call;
    struct node *previous; /* of the call, before anything was inserted */
    const struct schema *schema;
    const struct value *bases; /* the list _all_bases */
    struct written written[most_written];
    size_t count;
    const char *refused; /* why the call stays */
};

/* `_query_slice_dim` of the argument query. */
static const struct value *view_key(const struct unification *unification, struct text name, const char *suffix) {
    struct arena *arena = unification->graph->arena;
    return functionalized_keyword(unification->call, text_of(text_format(arena, "_%.*s_%s", TEXT_ARGS(name), suffix)));
}

/* ---- reading the view keys ---- */

/* A view of the base with the keys as they were given: whatever carries a symbolic integer carries it still. */
static regraft_status insert_view_of(struct unification *unification, enum operation_id id, struct node *base,
                                     const struct value *const keys[3], struct node **view) {
    struct graph *graph = unification->graph;
    struct node *node =
        graph_insert_call(graph, unification->call, operations_by_id(graph->context->operations, id), 4);
    value_set_node(node, &node->arguments[0], base);
    for (size_t i = 0; i < 3; i++) {
        value_copy(node, &node->arguments[1 + i], keys[i]);
        node->arguments[1 + i].keyword = TEXT("");
    }
    node->location = unification->call->location;
    *view = node;
    return infer_node(node);
}

static regraft_status insert_slice_of(struct unification *unification, struct node *base,
                                      const struct value *const keys[3], struct node **view) {
    for (size_t i = 0; i < 3; i++) {
        if (value_as_symint(unification->graph->context, keys[i])) continue;
        unification->refused = "a slice key is not an integer";
        return REGRAFT_OK;
    }
    return insert_view_of(unification, operation_aten_slice_Tensor, base, keys, view);
}

/* as_strided with the recorded sizes: as ordinary views where the base's layout allows, else as it is. */
static regraft_status insert_strided(struct unification *unification, struct node *base, struct text name,
                                     struct written *written) {
    struct graph *graph = unification->graph;
    const struct place *place = memory_place(unification->memory, base);
    symint *sizes, *strides, offset = value_as_symint(graph->context, view_key(unification, name, "storage_offset"));
    size_t rank, count;
    bool found = false;
    if (!offset || !value_as_symint_list(graph->context, view_key(unification, name, "size"), &sizes, &rank) ||
        !value_as_symint_list(graph->context, view_key(unification, name, "stride"), &strides, &count) ||
        rank != count) {
        unification->refused = "its view keys are not lists of integers";
        return REGRAFT_OK;
    }
    struct window_place window = {offset, {rank, sizes, strides}};
    if (place->exact)
        TRY(window_take(graph, unification->call, base, &place->window, &window, &written->chain, &found));
    if (found) return REGRAFT_OK;
    const struct value *const keys[] = {view_key(unification, name, "size"), view_key(unification, name, "stride"),
                                        view_key(unification, name, "storage_offset")};
    written->chain = (struct view_chain){{base}, 2};
    return insert_view_of(unification, operation_aten_as_strided_default, base, keys, &written->chain.nodes[1]);
}

/* The order of the questions is read_view_information_from_args's. */
static regraft_status read_view(struct unification *unification, struct text name, struct node *base,
                                struct written *written) {
    const struct value *slice[3] = {view_key(unification, name, "slice_dim"),
                                    view_key(unification, name, "slice_start"),
                                    view_key(unification, name, "slice_end")};
    written->chain = (struct view_chain){{base}, 1};
    if (view_key(unification, name, "alias")) return REGRAFT_OK;
    if (view_key(unification, name, "storage_offset")) return insert_strided(unification, base, name, written);
    if (!slice[0]) return REGRAFT_OK;
    struct node *view = NULL;
    TRY(insert_slice_of(unification, base, slice, &view));
    if (view) written->chain.nodes[written->chain.count++] = view;
    return REGRAFT_OK;
}

static struct node *base_node(const struct unification *unification, int64_t index) {
    if (index < 0 || (size_t)index >= unification->bases->list.count) return NULL;
    return value_as_node(&unification->bases->list.items[index]);
}

static regraft_status read_written(struct unification *unification, const struct schema_argument *argument) {
    const struct value *index = view_key(unification, argument->name, "base_index");
    if (argument->list || !index)
        unification->refused = argument->list ? "it writes a list of tensors" : "a view key is missing";
    else if (unification->count == most_written)
        unification->refused = "it writes too many arguments";
    if (unification->refused) return REGRAFT_OK;
    struct written *written = &unification->written[unification->count++];
    *written = (struct written){.name = argument->name, .base = -1};
    if (index->kind == value_none) return REGRAFT_OK;
    struct node *base = value_as_integer(index, &written->base) ? base_node(unification, written->base) : NULL;
    if (!base || base->type->kind != type_tensor) {
        unification->refused = "a base index names no tensor";
        return REGRAFT_OK;
    }
    TRY(read_view(unification, argument->name, base, written));
    written->view = chain_result(&written->chain);
    return REGRAFT_OK;
}

/* ---- legality ---- */

/* The places of all that was inserted before the call. */
static regraft_status refresh_inserted(struct unification *unification) {
    struct node *node = unification->previous ? unification->previous->next : unification->graph->first;
    for (; node != unification->call; node = node->next) {
        memory_stand_in(unification->memory, node, unification->call);
        TRY(memory_refresh(unification->memory, node));
    }
    return REGRAFT_OK;
}

/* Clones of a place that overlaps itself cannot be put back. */
static void check_self_overlap(struct unification *unification, const struct written *written) {
    const struct place *place = written->base < 0 ? NULL : memory_place(unification->memory, written->view);
    bool strided = place && view_key(unification, written->name, "storage_offset"); /* else as the base */
    if (strided && (!place->exact || place_overlaps_itself(unification->graph->context, &place->window) != answer_no))
        unification->refused =
            text_format(unification->graph->arena, "the place of %.*s may overlap itself", TEXT_ARGS(written->name));
}

static regraft_status check_overlap(struct unification *unification) {
    TRY(refresh_inserted(unification));
    for (size_t i = 0; i < unification->count; i++) check_self_overlap(unification, &unification->written[i]);
    for (size_t i = 0; i < unification->count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct written *a = &unification->written[i], *b = &unification->written[j];
            if (a->base < 0 || a->base != b->base) continue;
            const struct place *x = memory_place(unification->memory, a->view),
                               *y = memory_place(unification->memory, b->view);
            bool apart = x->exact && y->exact &&
                         places_disjoint(unification->graph->context, &x->window, &y->window) == answer_yes;
            if (!apart)
                unification->refused =
                    text_format(unification->graph->arena, "the places of %.*s and %.*s in their base may overlap",
                                TEXT_ARGS(b->name), TEXT_ARGS(a->name));
        }
    return REGRAFT_OK;
}

/* ---- the new form ---- */

static struct written *find_written(struct unification *unification, struct text name) {
    for (size_t i = 0; i < unification->count; i++)
        if (text_equal(unification->written[i].name, name)) return &unification->written[i];
    return NULL;
}

/* auto_functionalized(op, every argument by name in the order of the schema) */
static regraft_status insert_call(struct unification *unification, struct node **result) {
    struct graph *graph = unification->graph;
    const struct schema *schema = unification->schema;
    size_t count = 1;
    for (size_t i = 0; i < schema->argument_count; i++)
        count += find_written(unification, schema->arguments[i].name) ||
                 functionalized_keyword(unification->call, schema->arguments[i].name);
    struct node *call = graph_insert_call(
        graph, unification->call,
        operations_by_id(graph->context->operations, operation_higher_order_auto_functionalized), count);
    call->location = unification->call->location;
    value_copy(call, &call->arguments[0], &unification->call->arguments[0]);
    size_t next = 1;
    for (size_t i = 0; i < schema->argument_count; i++) {
        struct text name = schema->arguments[i].name;
        struct written *written = find_written(unification, name);
        const struct value *given = functionalized_keyword(unification->call, name);
        if (!written && !given) continue;
        struct value *value = &call->arguments[next++];
        value->keyword = name;
        if (given)
            value_copy(call, value, given);
        else if (written->base >= 0)
            value_set_node(call, value, written->view);
    }
    *result = call;
    call->contracts = unification->call->contracts;
    contracts_note_call(call); /* what it writes shows its strides only now */
    return infer_node(call);
}

/* What a base is after the call: each window in turn put into the version before. */
static regraft_status insert_updates(struct unification *unification, struct node *call, int64_t base,
                                     struct node **result) {
    struct graph *graph = unification->graph;
    struct node *version = base_node(unification, base);
    for (size_t i = 0; i < unification->count; i++) {
        struct written *written = &unification->written[i];
        if (written->base != base) continue;
        struct node *part = graph_insert_getitem(graph, unification->call, call, (int64_t)written->result);
        part->location = call->location;
        /* the views onto the base again, onto its newest version */
        struct view_chain chain = written->chain;
        chain.nodes[0] = version;
        for (size_t k = 1; k + 1 < chain.count; k++) {
            if (version == written->chain.nodes[0]) continue;
            chain.nodes[k] = graph_duplicate(graph, unification->call, chain.nodes[k]);
            value_set_node(chain.nodes[k], &chain.nodes[k]->arguments[0], chain.nodes[k - 1]);
        }
        struct node *last = NULL;
        if (chain.count > 1 && version != written->chain.nodes[0]) {
            last = chain.nodes[chain.count - 1] = graph_duplicate(graph, unification->call, chain_result(&chain));
            value_set_node(last, &last->arguments[0], chain.nodes[chain.count - 2]);
        }
        TRY(window_put(graph, unification->call, &chain, part, &version));
        if (last) graph_remove(graph, last); /* only its arguments were needed */
    }
    *result = version;
    return REGRAFT_OK;
}

static regraft_status replace_items(struct unification *unification, struct node *call) {
    struct graph *graph = unification->graph;
    size_t returns = unification->schema->return_count, lead = returns ? returns : 1;
    struct node **versions = arena_array(graph->arena, struct node *, unification->bases->list.count);
    for (size_t i = 0; i < unification->bases->list.count; i++)
        TRY(insert_updates(unification, call, (int64_t)i, &versions[i]));
    TRY(refresh_inserted(unification));
    while (unification->call->users) {
        struct node *item = unification->call->users->use.user;
        int64_t index = item->arguments[1].integer;
        if (index >= (int64_t)lead) {
            TRY(memory_replace(unification->memory, item, versions[index - (int64_t)lead]));
            graph_remove(graph, item);
        } else {
            value_set_node(item, &item->arguments[0], call);
        }
    }
    return REGRAFT_OK;
}

static regraft_status unify(struct unification *unification) {
    const struct operation *called = node_called_operation(unification->call);
    const struct value *bases = functionalized_keyword(unification->call, TEXT("_all_bases"));
    if (!called || !bases || bases->kind != value_list) {
        unification->refused = called ? "_all_bases is not a list" : "its operation is in no table (--ops adds one)";
        return REGRAFT_OK;
    }
    unification->schema = &called->schema;
    unification->bases = bases;
    if (!node_is_used_by_items(unification->call)) unification->refused = "its result is used as a whole";
    size_t result = called->schema.return_count ? called->schema.return_count : 1;
    for (size_t i = 0; i < called->schema.argument_count && !unification->refused; i++) {
        if (!called->schema.arguments[i].written) continue;
        TRY(read_written(unification, &called->schema.arguments[i]));
        if (!unification->refused) unification->written[unification->count - 1].result = result++;
    }
    if (!unification->refused) TRY(check_overlap(unification));
    if (unification->refused) return REGRAFT_OK;
    struct node *call;
    TRY(insert_call(unification, &call));
    TRY(replace_items(unification, call));
    graph_remark(unification->graph, unification->call, true,
                 "rewritten as %.*s: the places that %s writes do not overlap", TEXT_ARGS(call->name),
                 called->target.data);
    graph_remove(unification->graph, unification->call);
    return REGRAFT_OK;
}

/* Takes back the views that were inserted for a call that stays. */
static void undo(struct unification *unification) {
    for (size_t i = 0; i < unification->count; i++)
        for (size_t k = unification->written[i].chain.count; k-- > 1;) {
            struct node *node = unification->written[i].chain.nodes[k];
            if (!node->users) graph_remove(unification->graph, node);
        }
}

regraft_status pass_unify_functionalized(struct graph *graph, struct arena *scratch) {
    struct memory *memory = NULL;
    for (struct node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (!node_is(node, operation_higher_order_auto_functionalized_v2)) continue;
        if (!memory) TRY(memory_of(graph, &memory));
        struct unification *unification = arena_new(scratch, struct unification);
        *unification = (struct unification){.graph = graph, .memory = memory, .call = node, .previous = node->previous};
        TRY(unify(unification));
        if (!unification->refused) continue;
        graph_remark(graph, node, false, "kept as auto_functionalized_v2: %s", unification->refused);
        undo(unification);
    }
    return REGRAFT_OK;
}
