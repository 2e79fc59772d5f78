/* Putting a replacement in the place of a match. */
#include "ir/effect.h"
#include "pass/fuse.h"
#include "pass/window.h"
#include "rule/condition.h"
#include "rule/repetition.h"

struct replacement {
    struct replacing *replacing;
    struct graph *graph;
    struct matcher *matcher;
    struct match *match;
    struct node *before;   /* what the replacement stands in front of */
    struct node *previous; /* the node in front of all that was inserted */
    struct node **values;  /* by variable of rule->replace */
};

/* ---- values ---- */

/* A node of the graph as it was, or what took its place. */
static struct node *current(const struct replacing *replacing, struct node *node) {
    while (node && node->index < replacing->forward_limit && replacing->forward[node->index])
        node = replacing->forward[node->index];
    return node;
}

static void copy_constant(const struct replacement *replacement, struct node *user, struct value *value,
                          const struct value *from) {
    struct text keyword = value->keyword;
    value_copy(user, value, from);
    value->keyword = keyword;
    if (from->kind == value_node) value_set_node(user, value, current(replacement->replacing, from->use.node));
}

static regraft_status unbound(const struct replacement *replacement, const char *what) {
    return fail(&replacement->graph->context->diagnostics, REGRAFT_REJECTED, replacement->match->rule->position,
                "%s of the replacement is not bound by the match", what);
}

static regraft_status set_attribute(const struct replacement *replacement, struct node *user, struct value *value,
                                    size_t index) {
    const struct attribute_binding *binding = &replacement->match->attributes[index];
    const struct attribute *attribute = &replacement->match->rule->attributes.items[index];
    if (!binding->bound)
        return unbound(replacement, text_format(replacement->graph->arena, "'%.*s'", TEXT_ARGS(attribute->name)));
    switch (attribute->kind) {
    case attribute_integer:
        window_write(replacement->graph, user, value, binding->integer);
        return REGRAFT_OK;
    case attribute_dtype:
        value_set_none(user, value);
        value->kind = value_dtype;
        value->dtype = binding->dtype;
        return REGRAFT_OK;
    default:
        copy_constant(replacement, user, value, binding->value);
        return REGRAFT_OK;
    }
}

static struct node *variable_value(const struct replacement *replacement, size_t index) {
    const struct match *match = replacement->match;
    if (index < match->rule->tensor_count) return current(replacement->replacing, match->values[index]);
    return replacement->values[index];
}

static regraft_status set_pattern(struct replacement *replacement, struct node *user, struct value *value,
                                  const struct pattern *pattern) {
    symint integer;
    switch (pattern->kind) {
    case pattern_variable:
        value_set_node(user, value, variable_value(replacement, pattern->index));
        break;
    case pattern_attribute:
        return set_attribute(replacement, user, value, pattern->index);
    case pattern_integer:
        integer = bound_integer(replacement->matcher, pattern->integer);
        if (!integer) return unbound(replacement, "an integer");
        window_write(replacement->graph, user, value, integer);
        break;
    case pattern_list: {
        struct value *items = value_set_list(user, value, value_list, pattern->count);
        for (size_t i = 0; i < pattern->count; i++) TRY(set_pattern(replacement, user, &items[i], &pattern->items[i]));
        break;
    }
    case pattern_literal:
        copy_constant(replacement, user, value, pattern->literal);
        break;
    default:
        break;
    }
    return REGRAFT_OK;
}

/* ---- statements ---- */

static size_t given_arguments(const struct rule_statement *statement) {
    size_t count = 0;
    for (size_t i = 0; i < statement->argument_count; i++) count += statement->arguments[i].kind != pattern_default;
    return count;
}

/* All by position as far as none is left out, then by name; in a functionalised call all by name. */
static regraft_status set_arguments(struct replacement *replacement, const struct rule_statement *statement,
                                    struct node *call, size_t next, bool named) {
    for (size_t i = 0; i < statement->argument_count; i++) {
        const struct schema_argument *argument = &statement->operation->schema.arguments[i];
        if (statement->arguments[i].kind == pattern_default) {
            named = true;
            continue;
        }
        struct value *value = &call->arguments[next++];
        if (named || argument->keyword_only) value->keyword = argument->name;
        TRY(set_pattern(replacement, call, value, &statement->arguments[i]));
    }
    return REGRAFT_OK;
}

/* Whether a later statement or a reader of what is replaced needs the variable. */
static bool is_needed(const struct replacement *replacement, size_t variable) {
    const struct rule_graph *graph = &replacement->match->rule->replace;
    size_t other = graph->variables.items[variable].other;
    if (other != SIZE_MAX && replacement->match->values[other]) return true;
    for (size_t i = 0; i < graph->statements.count; i++)
        if (statement_uses(&graph->statements.items[i], variable)) return true;
    return false;
}

static void take_results(struct replacement *replacement, const struct rule_statement *statement, struct node *call) {
    for (size_t i = 0; i < statement->result_count; i++) {
        int64_t item = item_of_result(statement->operation, i);
        size_t variable = statement->results[i];
        if (variable == SIZE_MAX || !is_needed(replacement, variable)) continue;
        struct node *node = call;
        if (item >= 0) {
            node = graph_insert_getitem(replacement->graph, replacement->before, call, item);
            node->location = call->location;
        }
        replacement->values[variable] = node;
    }
}

static regraft_status insert_call(struct replacement *replacement, const struct rule_statement *statement) {
    struct graph *graph = replacement->graph;
    const struct operation *called = operations_available(graph->context->operations, statement->operation);
    if (!called) called = statement->operation; /* raised, for others to match */
    const struct operation *operation = called;
    bool wrapped = operation_writes(operation);
    if (wrapped) operation = operations_by_id(graph->context->operations, operation_higher_order_auto_functionalized);
    struct node *call = graph_insert_call(graph, replacement->before, operation, given_arguments(statement) + wrapped);
    call->location = replacement->match->last->location;
    if (wrapped) {
        call->arguments[0].kind = value_operator;
        call->arguments[0].operation = called;
    }
    TRY(set_arguments(replacement, statement, call, wrapped, wrapped));
    TRY(infer_node(call));
    take_results(replacement, statement, call);
    return REGRAFT_OK;
}

/* The tensor in these sizes; itself when it has them. */
static regraft_status insert_shape(struct replacement *replacement, const struct rule_statement *statement,
                                   const symint *sizes, size_t rank) {
    struct node *tensor = variable_value(replacement, statement->arguments[0].index), *result = tensor;
    struct layout wanted = {rank, sizes, NULL};
    bool same = tensor->type->kind == type_tensor &&
                layout_same_sizes(replacement->graph->context->symbols, &tensor->type->layout, &wanted) == answer_yes;
    if (!same) {
        TRY(insert_reshape(replacement->graph, replacement->before, tensor, sizes, rank, &result));
        result->location = replacement->match->last->location;
    }
    if (statement->results[0] != SIZE_MAX) replacement->values[statement->results[0]] = result;
    return REGRAFT_OK;
}

/* The sizes that aten.reshape is given, -1 worked out; false when one is not known. */
static bool reshape_sizes(struct replacement *replacement, const struct rule_statement *statement, symint *sizes) {
    struct symbols *symbols = replacement->graph->context->symbols;
    const struct pattern *list = &statement->arguments[1];
    const struct node *tensor = variable_value(replacement, statement->arguments[0].index);
    symint known = symint_constant(symbols, 1);
    size_t open = SIZE_MAX;
    for (size_t i = 0; i < list->count; i++) {
        const struct pattern *item = &list->items[i];
        if (item->kind == pattern_literal && item->literal->kind == value_integer)
            sizes[i] = symint_constant(symbols, item->literal->integer);
        else
            sizes[i] = item->kind == pattern_integer ? bound_integer(replacement->matcher, item->integer) : NULL;
        if (!sizes[i]) return false;
        if (symint_is(sizes[i], -1))
            open = i;
        else
            known = symint_multiply(symbols, known, sizes[i]);
    }
    if (open == SIZE_MAX) return true;
    if (tensor->type->kind != type_tensor) return false;
    sizes[open] = symint_divide_exact(symbols, layout_count(symbols, &tensor->type->layout), known);
    return sizes[open];
}

/* Every element of the rows that stands twice but once: what is there, else a slice. */
static regraft_status insert_once(struct replacement *replacement, const struct rule_statement *statement) {
    struct graph *graph = replacement->graph;
    struct symbols *symbols = graph->context->symbols;
    bool pairs = statement->kind == statement_pairs;
    struct node *tensor = variable_value(replacement, statement->arguments[0].index), *result;
    struct node *once = rows_once(tensor, pairs ? repetition_pairs : repetition_halves);
    const struct layout *layout = &tensor->type->layout;
    symint last = layout->sizes[layout->rank - 1],
           half = symint_floor_divide(symbols, last, symint_constant(symbols, 2));
    if (once) {
        symint *sizes = arena_copy(graph->arena, layout->sizes, layout->rank * sizeof *sizes);
        sizes[layout->rank - 1] = half;
        TRY(insert_reshape(graph, replacement->before, once, sizes, layout->rank, &result));
    } else {
        symint integers[] = {symint_constant(symbols, (int64_t)layout->rank - 1), symint_constant(symbols, 0),
                             pairs ? last : half, symint_constant(symbols, 2)};
        TRY(insert_view(graph, replacement->before, operation_aten_slice_Tensor, tensor, integers, pairs ? 4 : 3,
                        &result));
    }
    result->location = replacement->match->last->location;
    replacement->values[statement->results[0]] = result;
    return REGRAFT_OK;
}

/* 0, 1, 2, ... as positions of the rows of a tensor. */
static regraft_status insert_numbers(struct replacement *replacement, const struct rule_statement *statement) {
    static const char *const names[] = {"start", "step", "dtype", "device", "requires_grad"};
    struct graph *graph = replacement->graph;
    const struct node *tensor = variable_value(replacement, statement->arguments[0].index);
    const struct operation *iota = operations_by_id(graph->context->operations, operation_prims_iota_default);
    struct node *call = graph_insert_call(graph, replacement->before, iota, 6);
    if (tensor->type->kind == type_tensor && tensor->type->layout.rank)
        window_write(graph, call, &call->arguments[0], tensor->type->layout.sizes[0]);
    value_set_integer(call, &call->arguments[1], 0);
    value_set_integer(call, &call->arguments[2], 1);
    call->arguments[3] = (struct value){.kind = value_dtype, .dtype = dtype_i64};
    call->arguments[4] = (struct value){.kind = value_device, .device = tensor->type->device};
    value_set_boolean(call, &call->arguments[5], false);
    for (size_t i = 0; i < 5; i++) call->arguments[i + 1].keyword = text_of(names[i]);
    call->location = replacement->match->last->location;
    replacement->values[statement->results[0]] = call;
    return infer_node(call);
}

/* Whether it is a cast to the element type that its argument has. */
static bool changes_nothing(const struct replacement *replacement, const struct rule_statement *statement) {
    if (statement->operation->id != operation_prims_convert_element_type_default) return false;
    const struct node *tensor = variable_value(replacement, statement->arguments[0].index);
    const struct pattern *wanted = &statement->arguments[1];
    enum dtype dtype = wanted->kind == pattern_attribute ? replacement->match->attributes[wanted->index].dtype
                       : wanted->kind == pattern_literal ? wanted->literal->dtype
                                                         : dtype_none;
    return tensor->type->kind == type_tensor && dtype != dtype_none && tensor->type->dtype == dtype;
}

/* A tensor that only an alternative has which was not taken is none. */
static regraft_status check_bound(const struct replacement *replacement, const struct pattern *pattern) {
    const struct rule *rule = replacement->match->rule;
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        TRY(check_bound(replacement, &pattern->items[i]));
    bool matched = pattern->kind == pattern_matched;
    if (!matched && pattern->kind != pattern_variable) return REGRAFT_OK;
    const struct node *value =
        matched ? replacement->match->values[pattern->index] : variable_value(replacement, pattern->index);
    if (value) return REGRAFT_OK;
    struct text name = (matched ? &rule->match : &rule->replace)->variables.items[pattern->index].name;
    return unbound(replacement, text_format(replacement->graph->arena, "'%.*s'", TEXT_ARGS(name)));
}

static regraft_status insert_statement(struct replacement *replacement, const struct rule_statement *statement) {
    for (size_t i = 0; i < statement->argument_count; i++) TRY(check_bound(replacement, &statement->arguments[i]));
    if (statement->kind == statement_halves || statement->kind == statement_pairs)
        return insert_once(replacement, statement);
    if (statement->kind == statement_numbers) return insert_numbers(replacement, statement);
    if (statement->kind == statement_shape) {
        const struct pattern *wanted = &statement->arguments[1];
        const struct node *shaped = wanted->kind == pattern_matched ? replacement->match->values[wanted->index]
                                                                    : variable_value(replacement, wanted->index);
        const struct layout *like = &shaped->type->layout;
        return insert_shape(replacement, statement, like->sizes, like->rank);
    }
    if (statement->kind == statement_same || changes_nothing(replacement, statement)) {
        replacement->values[statement->results[0]] = variable_value(replacement, statement->arguments[0].index);
        return REGRAFT_OK;
    }
    bool reshape = statement->operation->id == operation_aten_reshape_default &&
                   statement->arguments[1].kind == pattern_list &&
                   statement->arguments[1].count <= place_most_dimensions;
    if (reshape) {
        symint sizes[place_most_dimensions];
        if (reshape_sizes(replacement, statement, sizes))
            return insert_shape(replacement, statement, sizes, statement->arguments[1].count);
    }
    return insert_call(replacement, statement);
}

/* ---- the exchange ---- */

/* *wrong is the statement that does not fit its arguments, if there is one. */
static regraft_status insert_all(struct replacement *replacement, const struct rule_statement **wrong) {
    const struct rule *rule = replacement->match->rule;
    *wrong = NULL;
    for (size_t i = 0; i < rule->replace.statements.count; i++) {
        const struct rule_statement *statement = &rule->replace.statements.items[i];
        regraft_status status = insert_statement(replacement, statement);
        if (status == REGRAFT_REJECTED) *wrong = statement;
        TRY(status);
    }
    return REGRAFT_OK;
}

/* What the variable of the replacement takes the place of; NULL: nothing. */
static const struct node *replaced_by(const struct replacement *replacement, size_t variable) {
    size_t other = replacement->match->rule->replace.variables.items[variable].other;
    return other == SIZE_MAX ? NULL : replacement->match->values[other];
}

/* The first result that cannot take the place of what it replaces; SIZE_MAX: all can. */
static size_t wrong_result(const struct replacement *replacement) {
    const struct rule *rule = replacement->match->rule;
    for (size_t i = rule->tensor_count; i < rule->replace.variables.count; i++) {
        const struct node *old = replaced_by(replacement, i);
        if (old && !fuse_may_stand_for(replacement->graph, old, replacement->values[i])) return i;
    }
    return SIZE_MAX;
}

static void remove_inserted(struct replacement *replacement) {
    struct node *first = replacement->previous ? replacement->previous->next : replacement->graph->first;
    for (struct node *node = replacement->before->previous, *previous; first != replacement->before; node = previous) {
        bool last = node == first;
        previous = node->previous;
        graph_remove(replacement->graph, node);
        if (last) return;
    }
}

static void remember(struct replacing *replacing, const struct node *old, struct node *new) {
    if (old->index >= replacing->forward_limit) {
        size_t limit = (size_t)replacing->graph->node_limit * 2;
        struct node **forward = arena_array(replacing->scratch, struct node *, limit);
        if (replacing->forward_limit) memcpy(forward, replacing->forward, replacing->forward_limit * sizeof *forward);
        replacing->forward = forward;
        replacing->forward_limit = limit;
    }
    replacing->forward[old->index] = new;
}

/* Another getitem of the same item is the same value. */
static void replace_value(struct replacement *replacement, struct node *old, struct node *new) {
    struct node *call = old->kind == node_getitem ? value_as_node(&old->arguments[0]) : NULL;
    for (struct value *use = call ? call->users : NULL; use; use = use->use.next) {
        struct node *item = use->use.user;
        if (item == old || item->kind != node_getitem || item->arguments[1].integer != old->arguments[1].integer)
            continue;
        graph_replace(item, new);
        remember(replacement->replacing, item, new);
    }
    graph_replace(old, new);
    remember(replacement->replacing, old, new);
}

/* Where the new value lies otherwise than the old one did, what is told of its views changes too. */
static regraft_status exchange_value(struct replacement *replacement, struct node *old, struct node *new) {
    struct node *given = new;
    TRY(fuse_keep_layout(replacement->graph, replacement->before, old, &given));
    replace_value(replacement, old, given);
    return fuse_retype_users(replacement->graph, given, replacement->replacing->scratch);
}

static void move_dependents(const struct replacement *replacement) {
    for (size_t i = 0; i < replacement->match->moved.count; i++)
        graph_move(replacement->graph, replacement->match->moved.items[i], replacement->before);
}

struct node_list {
    struct arena *arena;
    VECTOR(struct node *) nodes;
};

static void push_used(void *user, struct value *value) {
    struct node_list *list = user;
    vector_push(list->arena, &list->nodes, value->use.node);
}

/* The node and all that only it needs, when nobody needs it any more: else the rule would match it once again. */
static void remove_unused(struct replacement *replacement, struct node *node) {
    struct node_list work = {.arena = replacement->replacing->scratch};
    vector_push(work.arena, &work.nodes, node);
    while (work.nodes.count) {
        struct node *next = work.nodes.items[--work.nodes.count];
        if (next->users || !node_is_removable(next) || graph_find(replacement->graph, next->name) != next) continue;
        node_each_use(next, push_used, &work);
        graph_remove(replacement->graph, next);
    }
}

/* Calls whose results are all replaced, and the views that only led to them. */
static void remove_matched(struct replacement *replacement) {
    struct match *match = replacement->match;
    struct graph *graph = replacement->graph;
    for (size_t i = match->rule->match.statements.count; i-- > 0;) {
        struct node *call = match->calls[i];
        bool goes = call && call_goes(call);
        if (!goes) continue;
        while (call->users) {
            struct node *item = call->users->use.user;
            while (item->users) { /* views that nobody reads any more */
                struct node *view = item->users->use.user;
                while (view->users) view = view->users->use.user;
                graph_remove(graph, view);
            }
            graph_remove(graph, item);
        }
        graph_remove(graph, call);
    }
    for (size_t i = match->moved.count; i-- > 0;) remove_unused(replacement, match->moved.items[i]);
    for (size_t i = match->rule->match.statements.count; i-- > 0;)
        if (match->calls[i]) remove_unused(replacement, match->calls[i]);
}

static regraft_status exchange(struct replacement *replacement) {
    const struct rule *rule = replacement->match->rule;
    move_dependents(replacement);
    for (size_t i = rule->tensor_count; i < rule->replace.variables.count; i++) {
        size_t other = rule->replace.variables.items[i].other;
        struct node *old = other == SIZE_MAX ? NULL : replacement->match->values[other];
        if (old) TRY(exchange_value(replacement, old, replacement->values[i]));
    }
    remove_matched(replacement);
    return REGRAFT_OK;
}

static struct replacement begin(struct replacing *replacing, struct matcher *matcher, struct match *match) {
    matcher->match = match;
    return (struct replacement){
        .replacing = replacing,
        .graph = replacing->graph,
        .matcher = matcher,
        .match = match,
        .before = match->last->next,
        .previous = match->last,
        .values = arena_array(replacing->scratch, struct node *, match->rule->replace.variables.count),
    };
}

/* Leaves the graph as it was, with a remark; returns why. */
static const char *refuse(struct replacement *replacement, const struct rule_statement *unfit, size_t wrong) {
    const struct rule *rule = replacement->match->rule;
    size_t result = unfit && unfit->result_count ? unfit->results[0] : wrong;
    const char *what = unfit ? "does not fit its arguments"
                             : "is of another type than what it replaces, or lies otherwise where somebody can tell";
    struct text name = result == SIZE_MAX ? TEXT("call") : rule->replace.variables.items[result].name;
    const char *why = text_format(replacement->graph->arena, "the replacement's %.*s %s", TEXT_ARGS(name), what);
    graph_remark(replacement->graph, replacement->match->last, false, "%.*s: %s", TEXT_ARGS(rule->name), why);
    remove_inserted(replacement);
    return why;
}

regraft_status fuse_replace(struct replacing *replacing, struct matcher *matcher, struct match *match,
                            const char **refused) {
    const struct rule_statement *unfit;
    struct replacement replacement = begin(replacing, matcher, match);
    regraft_status status = insert_all(&replacement, &unfit);
    if (unfit)
        diagnostics_clear(&replacing->graph->context->diagnostics);
    else
        TRY(status);
    size_t wrong = unfit ? SIZE_MAX : wrong_result(&replacement);
    bool fits = !unfit && wrong == SIZE_MAX;
    *refused = fits ? NULL : refuse(&replacement, unfit, wrong);
    if (fits) TRY(exchange(&replacement));
    matcher->match = NULL;
    return REGRAFT_OK;
}

regraft_status fuse_find_mismatch(struct replacing *replacing, struct matcher *matcher, struct match *match,
                                  struct mismatch *mismatch) {
    const struct rule *rule = match->rule;
    struct replacement replacement = begin(replacing, matcher, match);
    *mismatch = (struct mismatch){0};
    TRY(insert_all(&replacement, &mismatch->statement));
    for (size_t i = rule->tensor_count; i < rule->replace.variables.count; i++) {
        const struct node *old = replaced_by(&replacement, i), *new = replacement.values[i];
        if (!old || fuse_same_type(replacing->graph, old, new)) continue;
        *mismatch = (struct mismatch){&rule->replace.variables.items[i], old->type, new->type, NULL};
        break;
    }
    remove_inserted(&replacement);
    matcher->match = NULL;
    return REGRAFT_OK;
}
