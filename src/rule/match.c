/* The matcher: goals are solved one after the other, each in all ways that there are, until all hold at once.
 *
 * A search begins at a call of the rule's anchor operation and goes to what that is made of; then, where the rule has more,
 * from there to users. Views are compared by their places, so that their spelling does not matter. */
#include "rule/match.h"

#include <stdio.h>

#include "ir/effect.h"
#include "ir/view.h"
#include "rule/condition.h"

enum goal_kind {
    goal_variable, /* the variable is this node */
    goal_climb     /* find the climb's variable among the users of what is bound */
};

struct goal {
    enum goal_kind kind;
    size_t index; /* of the variable, or in rule->climb */
    struct node *node;
    const struct goal *next;
};

enum trail_kind { trail_variable, trail_attribute, trail_call };
struct trail {
    enum trail_kind kind;
    size_t index;
};

/* An integer that is compared once everything is bound. */
struct deferred {
    symint pattern, actual;
    const struct node *node;
};

enum { matcher_most_trail = 4096, matcher_most_deferred = 512 };

static bool solve(struct matcher *matcher, const struct goal *goal);

/* ---- failures ---- */

bool match_fails(struct matcher *matcher, const struct node *node, const struct condition *condition,
                 const char *remedy, const char *format, ...) {
    struct failure *failure = &matcher->failure;
    if (failure->node && matcher->found <= failure->progress) return false;
    *failure = (struct failure){matcher->found, condition, node, "", remedy};
    if (!matcher->explain) return false;
    va_list list;
    va_start(list, format);
    failure->text = text_format_list(matcher->arena, format, list);
    va_end(list);
    return false;
}

/* ---- bindings that can be taken back ---- */

struct mark {
    size_t trail, goals, deferred, found;
};

static struct mark mark(const struct matcher *matcher) {
    return (struct mark){matcher->trail_count, matcher->goal_count, matcher->deferred_count, matcher->found};
}

static bool take_back(struct matcher *matcher, struct mark mark) {
    struct match *match = matcher->match;
    while (matcher->trail_count > mark.trail) {
        const struct trail *trail = &matcher->trail[--matcher->trail_count];
        if (trail->kind == trail_variable) match->values[trail->index] = NULL;
        if (trail->kind == trail_attribute) match->attributes[trail->index].bound = false;
        if (trail->kind == trail_call) match->calls[trail->index] = NULL;
    }
    matcher->goal_count = mark.goals;
    matcher->deferred_count = mark.deferred;
    matcher->found = mark.found;
    return false;
}

static bool note(struct matcher *matcher, enum trail_kind kind, size_t index) {
    if (matcher->trail_count == matcher_most_trail) return false;
    matcher->trail[matcher->trail_count++] = (struct trail){kind, index};
    return true;
}

static const struct goal *push_goal(struct matcher *matcher, enum goal_kind kind, size_t index, struct node *node,
                                    const struct goal *next) {
    if (matcher->goal_count == matcher_most_goals) return NULL;
    struct goal *goal = &matcher->goals[matcher->goal_count++];
    *goal = (struct goal){kind, index, node, next};
    return goal;
}

static bool bind_variable(struct matcher *matcher, size_t variable, struct node *node) {
    if (!note(matcher, trail_variable, variable)) return false;
    matcher->match->values[variable] = node;
    return true;
}

/* ---- calls ---- */

const struct value *call_argument_value(const struct node *call, const struct operation *operation, size_t index) {
    if (call->operation == operation) return node_argument(call, index);
    return functionalized_keyword(call, operation->schema.arguments[index].name);
}

static bool writes(const struct operation *operation) {
    for (size_t i = 0; i < operation->schema.argument_count; i++)
        if (operation->schema.arguments[i].written) return true;
    return false;
}

int64_t item_of_result(const struct operation *operation, size_t result) {
    size_t returns = operation->schema.return_count;
    if (writes(operation)) return (int64_t)result + (returns ? 0 : 1);
    return returns == 1 ? -1 : (int64_t)result;
}

struct node *call_result(const struct node *call, const struct operation *operation, size_t result) {
    int64_t item = item_of_result(operation, result);
    if (item < 0) return (struct node *)call;
    for (const struct value *use = call->users; use; use = use->use.next)
        if (use->use.user->kind == node_getitem && use->use.user->arguments[1].integer == item) return use->use.user;
    return NULL;
}

/* Whether the two are one value: the same node, or the same item of one call. */
static bool same_value(const struct node *a, const struct node *b) {
    if (a == b) return true;
    return a->kind == node_getitem && b->kind == node_getitem && value_as_node(&a->arguments[0]) &&
           value_as_node(&a->arguments[0]) == value_as_node(&b->arguments[0]) &&
           a->arguments[1].integer == b->arguments[1].integer;
}

/* What a node is, for messages. */
static const char *what_is(struct matcher *matcher, const struct node *node) {
    const struct node *source = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : node;
    if (!source) return "something else";
    if (source->kind == node_placeholder) return "an input of the graph";
    const struct operation *called = node_called_operation(source);
    return text_format(matcher->arena, "%.*s", TEXT_ARGS(called ? called->target : source->target));
}

/* ---- attributes ---- */

static bool same_constant(const struct value *a, const struct value *b) {
    if (a->kind == value_node && b->kind == value_node) return a->use.node == b->use.node;
    if (a->kind == value_float && b->kind == value_integer)
        return a->real >= (double)b->integer && a->real <= (double)b->integer;
    if (a->kind == value_integer && b->kind == value_float) return same_constant(b, a);
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case value_none:
        return true;
    case value_bool:
        return a->boolean == b->boolean;
    case value_integer:
        return a->integer == b->integer;
    case value_float:
        return memcmp(&a->real, &b->real, sizeof a->real) == 0;
    case value_string:
        return text_equal(a->string, b->string);
    case value_dtype:
        return a->dtype == b->dtype;
    case value_device:
        return device_equal(a->device, b->device);
    case value_symint:
        return a->expression == b->expression;
    case value_name:
    case value_operator:
        return text_equal(a->written, b->written);
    case value_list:
    case value_tuple:
        if (a->list.count != b->list.count) return false;
        for (size_t i = 0; i < a->list.count; i++)
            if (!same_constant(&a->list.items[i], &b->list.items[i])) return false;
        return true;
    default:
        return false;
    }
}

static bool fits_kind(enum attribute_kind kind, const struct value *value) {
    switch (kind) {
    case attribute_float:
        return value->kind == value_float || value->kind == value_integer;
    case attribute_boolean:
        return value->kind == value_bool;
    case attribute_string:
        return value->kind == value_string;
    case attribute_dtype:
        return value->kind == value_dtype;
    case attribute_layer:
        return value->kind == value_string || value->kind == value_node;
    default:
        return true;
    }
}

static bool bind_integer(struct matcher *matcher, size_t attribute, symint actual, const struct node *node) {
    struct attribute_binding *binding = &matcher->match->attributes[attribute];
    struct text name = matcher->match->rule->attributes.items[attribute].name;
    if (!binding->bound) {
        if (!note(matcher, trail_attribute, attribute)) return false;
        *binding = (struct attribute_binding){.bound = true, .integer = actual};
        return true;
    }
    if (symint_equal(matcher->context->symbols, binding->integer, actual) == answer_yes) return true;
    if (!matcher->explain) return match_fails(matcher, node, NULL, NULL, "%s", "");
    struct builder out;
    builder_init(&out, matcher->arena);
    builder_format(&out, "%.*s is ", TEXT_ARGS(name));
    symint_print(&out, binding->integer);
    builder_format(&out, " elsewhere, and here ");
    symint_print(&out, actual);
    return match_fails(matcher, node, NULL, NULL, "%s", out.data);
}

static bool match_integer(struct matcher *matcher, const struct pattern *pattern, symint actual,
                          const struct node *node) {
    int64_t number;
    if (!actual)
        return match_fails(matcher, node, NULL, NULL, "an integer of %.*s is not known", TEXT_ARGS(node->name));
    if (pattern->index != SIZE_MAX) return bind_integer(matcher, pattern->index, actual, node);
    if (symint_is_constant(pattern->integer, &number)) {
        if (symint_equal(matcher->context->symbols, pattern->integer, actual) == answer_yes) return true;
        if (!matcher->explain) return match_fails(matcher, node, NULL, NULL, "%s", "");
        struct builder out;
        builder_init(&out, matcher->arena);
        symint_print(&out, actual);
        return match_fails(matcher, node, NULL, NULL, "expected %lld, found %s", (long long)number, out.data);
    }
    if (matcher->deferred_count == matcher_most_deferred) return false;
    matcher->deferred[matcher->deferred_count++] = (struct deferred){pattern->integer, actual, node};
    return true;
}

static bool bind_dtype(struct matcher *matcher, size_t attribute, enum dtype dtype, const struct node *node) {
    struct attribute_binding *binding = &matcher->match->attributes[attribute];
    if (!binding->bound) {
        if (!note(matcher, trail_attribute, attribute)) return false;
        *binding = (struct attribute_binding){.bound = true, .dtype = dtype};
        return true;
    }
    if (binding->dtype == dtype) return true;
    struct text name = matcher->match->rule->attributes.items[attribute].name;
    return match_fails(matcher, node, NULL, NULL, "%.*s is %s elsewhere, and %.*s is %s", TEXT_ARGS(name),
                       dtype_abbreviation(binding->dtype), TEXT_ARGS(node->name), dtype_abbreviation(dtype));
}

static bool match_attribute(struct matcher *matcher, size_t attribute, const struct value *value,
                            const struct node *node) {
    struct attribute_binding *binding = &matcher->match->attributes[attribute];
    const struct attribute *declared = &matcher->match->rule->attributes.items[attribute];
    if (declared->kind == attribute_integer)
        return bind_integer(matcher, attribute, value_as_symint(matcher->context, value), node);
    if (!fits_kind(declared->kind, value))
        return match_fails(matcher, node, NULL, NULL, "'%.*s' is no constant of the kind that the rule takes",
                           TEXT_ARGS(declared->name));
    if (declared->kind == attribute_dtype) return bind_dtype(matcher, attribute, value->dtype, node);
    if (binding->bound)
        return same_constant(binding->value, value) ||
               match_fails(matcher, node, NULL, NULL, "'%.*s' is not the same as elsewhere", TEXT_ARGS(declared->name));
    if (!note(matcher, trail_attribute, attribute)) return false;
    *binding = (struct attribute_binding){.bound = true, .value = value};
    return true;
}

/* ---- types of declared tensors ---- */

static bool match_sizes(struct matcher *matcher, const struct pattern *patterns, const symint *actual, size_t count,
                        const struct node *node) {
    for (size_t i = 0; i < count; i++)
        if (patterns[i].kind != pattern_default && !match_integer(matcher, &patterns[i], actual[i], node)) return false;
    return true;
}

static bool match_type(struct matcher *matcher, const struct variable *variable, const struct node *node) {
    const struct tensor_pattern *pattern = variable->type;
    const struct type *type = node->type;
    struct text name = variable->name;
    if (type->kind != type_tensor)
        return match_fails(matcher, node, NULL, NULL, "%.*s: the type of %.*s is not known", TEXT_ARGS(name),
                           TEXT_ARGS(node->name));
    if (pattern->any_shape) return true;
    if (!pattern->any_dtype && pattern->dtype_attribute != SIZE_MAX) {
        if (!bind_dtype(matcher, pattern->dtype_attribute, type->dtype, node)) return false;
    } else if (!pattern->any_dtype && pattern->dtype != type->dtype) {
        return match_fails(matcher, node, NULL, NULL, "%.*s must be %s, and %.*s is %s", TEXT_ARGS(name),
                           dtype_abbreviation(pattern->dtype), TEXT_ARGS(node->name), dtype_abbreviation(type->dtype));
    }
    if (pattern->open ? type->layout.rank < pattern->rank : type->layout.rank != pattern->rank)
        return match_fails(matcher, node, NULL, NULL, "%.*s must have %zu dimensions%s, and %.*s has %zu",
                           TEXT_ARGS(name), pattern->rank, pattern->open ? " or more" : "", TEXT_ARGS(node->name),
                           type->layout.rank);
    size_t skip = type->layout.rank - pattern->rank;
    if (!match_sizes(matcher, pattern->sizes, type->layout.sizes + skip, pattern->rank, node)) return false;
    if (!pattern->strides) return true;
    if (!type->layout.strides)
        return match_fails(matcher, node, NULL, NULL, "the strides of %.*s are not known", TEXT_ARGS(node->name));
    return match_sizes(matcher, pattern->strides, type->layout.strides + skip, pattern->rank, node);
}

/* ---- arguments ---- */

static bool match_value(struct matcher *matcher, const struct pattern *pattern, const struct value *value,
                        struct node *call, const struct goal **goals);

/* Whether the default of the schema's argument is this value. */
static bool is_default(const struct schema_argument *argument, const struct value *value) {
    struct text text = argument->default_text;
    char number[32];
    switch (value->kind) {
    case value_none:
        return text_is(text, "None");
    case value_bool:
        return text_is(text, value->boolean ? "True" : "False");
    case value_integer:
        snprintf(number, sizeof number, "%lld", (long long)value->integer);
        return text_is(text, number) ||
               (text.length > 2 && text_equal(text_of(number), (struct text){text.data, text.length - 2}) &&
                text_is(text_skip(text, text.length - 2), ".0"));
    case value_float:
        snprintf(number, sizeof number, "%g", value->real);
        return text_is(text, number) ||
               (text_starts_with(text, number) && text_is(text_skip(text, strlen(number)), ".0"));
    case value_string:
        return text.length >= 2 && text_equal(value->string, (struct text){text.data + 1, text.length - 2});
    default:
        return false;
    }
}

static bool match_list(struct matcher *matcher, const struct pattern *pattern, const struct value *value,
                       struct node *call, const struct goal **goals) {
    if ((value->kind != value_list && value->kind != value_tuple) || value->list.count != pattern->count)
        return match_fails(matcher, call, NULL, NULL, "%.*s: expected a list of %zu", TEXT_ARGS(call->name),
                           pattern->count);
    for (size_t i = pattern->count; i-- > 0;)
        if (!match_value(matcher, &pattern->items[i], &value->list.items[i], call, goals)) return false;
    return true;
}

static bool match_value(struct matcher *matcher, const struct pattern *pattern, const struct value *value,
                        struct node *call, const struct goal **goals) {
    switch (pattern->kind) {
    case pattern_variable:
        if (value->kind != value_node)
            return match_fails(matcher, call, NULL, NULL, "%.*s: expected a tensor as '%.*s'", TEXT_ARGS(call->name),
                               TEXT_ARGS(matcher->match->rule->match.variables.items[pattern->index].name));
        *goals = push_goal(matcher, goal_variable, pattern->index, value->use.node, *goals);
        return *goals;
    case pattern_attribute:
        return match_attribute(matcher, pattern->index, value, call);
    case pattern_integer:
        return match_integer(matcher, pattern, value_as_symint(matcher->context, value), call);
    case pattern_list:
        return match_list(matcher, pattern, value, call, goals);
    case pattern_literal:
        return same_constant(pattern->literal, value) ||
               match_fails(matcher, call, NULL, NULL, "%.*s: an argument is another constant than the rule has",
                           TEXT_ARGS(call->name));
    default:
        return true;
    }
}

/* A dimension that the rule counts from the end, and the graph from the front, or the other way round. */
static bool same_dimension(const struct node *call, const struct operation *operation, size_t index,
                           const struct pattern *pattern, const struct value *value) {
    struct text name = operation->schema.arguments[index].name;
    if (!text_is(name, "dim") && !text_is(name, "dims")) return false;
    const struct value *self = call_argument_value(call, operation, 0), *wanted = pattern->literal;
    if (self && (self->kind == value_list || self->kind == value_tuple))
        self = self->list.count ? &self->list.items[0] : NULL;
    const struct node *tensor = value_as_node(self);
    bool list = pattern->kind == pattern_list && pattern->count == 1 && value->list.count == 1 &&
                (value->kind == value_list || value->kind == value_tuple);
    if (list) wanted = pattern->items[0].literal, value = &value->list.items[0];
    if (!tensor || tensor->type->kind != type_tensor || !wanted || wanted->kind != value_integer ||
        value->kind != value_integer)
        return false;
    int64_t rank = (int64_t)tensor->type->layout.rank;
    return (wanted->integer - value->integer) % (rank ? rank : 1) == 0;
}

static bool match_argument(struct matcher *matcher, const struct rule_statement *statement, struct node *call,
                           size_t index, size_t from, const struct goal **goals) {
    const struct pattern *pattern = &statement->arguments[index];
    const struct schema_argument *argument = &statement->operation->schema.arguments[index];
    const struct value *value = call_argument_value(call, statement->operation, from);
    if (pattern->kind == pattern_default)
        return !value || is_default(argument, value) ||
               match_fails(matcher, call, NULL, NULL, "%.*s: '%.*s' is not the default, %.*s", TEXT_ARGS(call->name),
                           TEXT_ARGS(argument->name), TEXT_ARGS(argument->default_text));
    if (!value) { /* the graph left it out */
        bool same = pattern->kind == pattern_literal && is_default(argument, pattern->literal);
        return same || match_fails(matcher, call, NULL, NULL, "%.*s: '%.*s' is left out", TEXT_ARGS(call->name),
                                   TEXT_ARGS(argument->name));
    }
    if (same_dimension(call, statement->operation, index, pattern, value)) return true;
    return match_value(matcher, pattern, value, call, goals);
}

static bool match_arguments(struct matcher *matcher, const struct rule_statement *statement, struct node *call,
                            bool swapped, const struct goal *goals) {
    for (size_t i = statement->argument_count; i-- > 0;)
        if (!match_argument(matcher, statement, call, i, swapped && i < 2 ? 1 - i : i, &goals)) return false;
    return solve(matcher, goals);
}

/* a + b is b + a. */
static bool is_commutative(const struct rule_statement *statement) {
    enum operation_id id = statement->operation->id;
    return id == operation_aten_add_Tensor || id == operation_aten_mul_Tensor || id == operation_aten_maximum_default ||
           id == operation_aten_minimum_default || id == operation_aten_eq_Tensor || id == operation_aten_ne_Tensor;
}

/* ---- statements ---- */

/* The call is the statement's: binds it and its results, then its arguments. */
static bool match_call(struct matcher *matcher, size_t index, struct node *call, const struct goal *goals) {
    struct match *match = matcher->match;
    const struct rule_statement *statement = &match->rule->match.statements.items[index];
    if (match->calls[index])
        return match->calls[index] == call
                   ? solve(matcher, goals)
                   : match_fails(matcher, call, NULL, NULL, "%.*s is another call than %.*s, and the rule has one",
                                 TEXT_ARGS(call->name), TEXT_ARGS(match->calls[index]->name));
    if (!note(matcher, trail_call, index)) return false;
    match->calls[index] = call;
    matcher->found++;
    for (size_t i = 0; i < statement->result_count; i++) {
        size_t variable = statement->results[i];
        struct node *result = variable == SIZE_MAX ? NULL : call_result(call, statement->operation, i);
        if (!result) continue;
        if (!match->values[variable] && !bind_variable(matcher, variable, result)) return false;
        if (!same_value(match->values[variable], result))
            return match_fails(matcher, result, NULL, NULL, "%.*s is not %.*s", TEXT_ARGS(result->name),
                               TEXT_ARGS(match->values[variable]->name));
    }
    if (!is_commutative(statement)) return match_arguments(matcher, statement, call, false, goals);
    struct mark before = mark(matcher);
    if (match_arguments(matcher, statement, call, false, goals)) return true;
    take_back(matcher, before);
    return match_arguments(matcher, statement, call, true, goals);
}

/* The call whose result number `result` the node is; NULL: it is none of this operation. */
static struct node *call_of_result(const struct rule_statement *statement, size_t result, struct node *node) {
    int64_t item = item_of_result(statement->operation, result);
    struct node *call = item < 0 ? node : node->kind == node_getitem ? value_as_node(&node->arguments[0]) : NULL;
    if (!call || call->kind != node_call || (item >= 0 && node->arguments[1].integer != item)) return NULL;
    if (writes(statement->operation))
        return node_is(call, operation_higher_order_auto_functionalized) &&
                       node_called_operation(call) == statement->operation
                   ? call
                   : NULL;
    return call->operation == statement->operation ? call : NULL;
}

static bool define_by_call(struct matcher *matcher, const struct definition *definition, struct node *node,
                           const struct goal *goals) {
    const struct rule_statement *statement = &matcher->match->rule->match.statements.items[definition->statement];
    struct node *call = call_of_result(statement, definition->result, node);
    if (call) return match_call(matcher, definition->statement, call, goals);
    return match_fails(matcher, node, NULL, NULL, "expected %.*s, found %s", TEXT_ARGS(statement->operation->target),
                       what_is(matcher, node));
}

/* ---- the same elements, windows ---- */

struct node *same_elements_source(const struct node *node) {
    if (node->kind == node_rename) return value_as_node(&node->arguments[0]);
    if (node->kind != node_call || !node->operation) return NULL;
    switch (node->operation->id) {
    case operation_aten_reshape_default:
    case operation_aten_view_default:
    case operation_aten__unsafe_view_default:
    case operation_aten_flatten_using_ints:
    case operation_aten_unflatten_int:
    case operation_aten_squeeze_default:
    case operation_aten_squeeze_dim:
    case operation_aten_squeeze_dims:
    case operation_aten_unsqueeze_default:
    case operation_aten_alias_default:
    case operation_aten_detach_default:
    case operation_aten_contiguous_default:
    case operation_aten_clone_default:
        return value_as_node(node_argument(node, 0));
    default:
        return NULL;
    }
}

/* The deepest first: that is where the operation is that the rule names. */
static bool try_sources(struct matcher *matcher, size_t variable, struct node *node, const struct goal *goals) {
    struct node *source = same_elements_source(node);
    struct mark before = mark(matcher);
    if (source && try_sources(matcher, variable, source, goals)) return true;
    take_back(matcher, before);
    const struct goal *goal = push_goal(matcher, goal_variable, variable, node, goals);
    return goal && solve(matcher, goal);
}

/* The argument of a view that is not a view of anything in turn: what a node is a window onto. */
static struct node *window_source(const struct node *node) {
    const struct node *call = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : node;
    if (node->kind == node_rename) return value_as_node(&node->arguments[0]);
    if (!call || call->kind != node_call || !call->operation || call->operation->class != class_view) return NULL;
    return value_as_node(node_argument(call, 0));
}

/* ---- variables ---- */

static bool define(struct matcher *matcher, const struct definition *definition, struct node *node,
                   const struct goal *goals) {
    const struct rule_statement *statement = &matcher->match->rule->match.statements.items[definition->statement];
    const struct goal *goal;
    switch (statement->kind) {
    case statement_call:
        return define_by_call(matcher, definition, node, goals);
    case statement_elements:
        return try_sources(matcher, statement->arguments[0].index, node, goals);
    case statement_same:
        goal = push_goal(matcher, goal_variable, statement->arguments[0].index, node, goals);
        return goal && solve(matcher, goal);
    default:
        (void)window_source;
        return match_fails(matcher, node, NULL, NULL, "views are not matched yet");
    }
}

static bool match_variable(struct matcher *matcher, size_t index, struct node *node, const struct goal *goals) {
    struct match *match = matcher->match;
    const struct variable *variable = &match->rule->match.variables.items[index];
    if (match->values[index])
        return same_value(match->values[index], node)
                   ? solve(matcher, goals)
                   : match_fails(matcher, node, NULL, NULL, "'%.*s' is %.*s elsewhere, and here %.*s",
                                 TEXT_ARGS(variable->name), TEXT_ARGS(match->values[index]->name),
                                 TEXT_ARGS(node->name));
    if (variable->type)
        return match_type(matcher, variable, node) && bind_variable(matcher, index, node) && solve(matcher, goals);
    struct mark before = mark(matcher);
    for (size_t i = 0; i < variable->definitions.count; i++) {
        if (bind_variable(matcher, index, node) && define(matcher, &variable->definitions.items[i], node, goals))
            return true;
        take_back(matcher, before);
    }
    return false;
}

/* ---- users ---- */

/* Finds the variable by a user of something bound. */
static bool climb_statement(struct matcher *matcher, size_t index, struct node *from, const struct goal *goals) {
    const struct rule_statement *statement = &matcher->match->rule->match.statements.items[index];
    for (const struct value *use = from->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        struct mark before = mark(matcher);
        bool functionalized = node_is(user, operation_higher_order_auto_functionalized);
        if (user->kind != node_call || node_called_operation(user) != statement->operation ||
            functionalized != writes(statement->operation))
            continue;
        if (match_call(matcher, index, user, goals)) return true;
        take_back(matcher, before);
    }
    return match_fails(matcher, from, NULL, NULL,
                       "nobody who reads %.*s is %.*s with the other arguments that the rule has",
                       TEXT_ARGS(from->name), TEXT_ARGS(statement->operation->target));
}

/* The value itself, and all that has its elements in the same order. */
static bool climb_elements(struct matcher *matcher, size_t variable, struct node *node, const struct goal *goals) {
    struct mark before = mark(matcher);
    if (bind_variable(matcher, variable, node) && solve(matcher, goals)) return true;
    take_back(matcher, before);
    for (const struct value *use = node->users; use; use = use->use.next)
        if (same_elements_source(use->use.user) == node && climb_elements(matcher, variable, use->use.user, goals))
            return true;
    return false;
}

static bool climb_definition(struct matcher *matcher, size_t variable, const struct definition *definition,
                             const struct goal *goals) {
    const struct rule_statement *statement = &matcher->match->rule->match.statements.items[definition->statement];
    for (size_t i = 0; i < statement->argument_count; i++) {
        const struct pattern *pattern = &statement->arguments[i];
        struct node *from = pattern->kind == pattern_variable ? matcher->match->values[pattern->index] : NULL;
        if (!from) continue;
        if (statement->kind == statement_call) return climb_statement(matcher, definition->statement, from, goals);
        if (statement->kind == statement_elements) return climb_elements(matcher, variable, from, goals);
        if (statement->kind == statement_same) return bind_variable(matcher, variable, from) && solve(matcher, goals);
    }
    return false;
}

static bool climb(struct matcher *matcher, size_t index, const struct goal *goals) {
    const struct rule *rule = matcher->match->rule;
    size_t variable = rule->climb.items[index];
    const struct variable *wanted = &rule->match.variables.items[variable];
    if (matcher->match->values[variable]) return solve(matcher, goals);
    struct mark before = mark(matcher);
    for (size_t i = 0; i < wanted->definitions.count; i++) {
        if (climb_definition(matcher, variable, &wanted->definitions.items[i], goals)) return true;
        take_back(matcher, before);
    }
    return false;
}

/* ---- the end ---- */

static bool check_deferred(struct matcher *matcher) {
    for (size_t i = 0; i < matcher->deferred_count; i++) {
        const struct deferred *deferred = &matcher->deferred[i];
        symint wanted = bound_integer(matcher, deferred->pattern);
        if (wanted && symint_equal(matcher->context->symbols, wanted, deferred->actual) == answer_yes) continue;
        if (!matcher->explain) return match_fails(matcher, deferred->node, NULL, NULL, "%s", "");
        struct builder out;
        builder_init(&out, matcher->arena);
        symint_print(&out, deferred->pattern);
        builder_string(&out, " must be ");
        if (wanted) symint_print(&out, wanted);
        builder_string(&out, ", found ");
        symint_print(&out, deferred->actual);
        return match_fails(matcher, deferred->node, NULL, NULL, "%s", out.data);
    }
    return true;
}

static bool check_conditions(struct matcher *matcher) {
    const struct rule *rule = matcher->match->rule;
    const struct node *at = matcher->match->calls[rule->anchor];
    for (size_t i = 0; i < rule->conditions.count; i++) {
        const struct condition *condition = &rule->conditions.items[i];
        const char *why = "";
        enum answer answer = condition_holds(matcher, condition, matcher->explain ? &why : NULL);
        matcher->found++;
        if (answer == answer_yes) continue;
        return match_fails(matcher, at, condition, NULL, "%s: %.*s%s%s",
                           answer == answer_no ? (condition->kernel ? "the kernel needs" : "does not hold")
                                               : "cannot be decided",
                           TEXT_ARGS(condition->text), *why ? "; " : "", why);
    }
    return true;
}

/* ---- searching ---- */

static bool solve(struct matcher *matcher, const struct goal *goal) {
    if (++matcher->steps > matcher_most_steps) return false;
    if (!goal) return check_deferred(matcher) && check_conditions(matcher) && match_schedule(matcher, matcher->match);
    if (goal->kind == goal_climb) return climb(matcher, goal->index, goal->next);
    return match_variable(matcher, goal->index, goal->node, goal->next);
}

void matcher_init(struct matcher *matcher, struct graph *graph, struct memory *memory, struct arena *arena) {
    *matcher = (struct matcher){.graph = graph, .context = graph->context, .memory = memory, .arena = arena};
    matcher->trail = arena_array(arena, struct trail, matcher_most_trail);
    matcher->goals = arena_array(arena, struct goal, matcher_most_goals);
    matcher->deferred = arena_array(arena, struct deferred, matcher_most_deferred);
}

static struct match *new_match(struct arena *arena, const struct rule *rule) {
    struct match *match = arena_new(arena, struct match);
    match->rule = rule;
    match->values = arena_array(arena, struct node *, rule->match.variables.count);
    match->attributes = arena_array(arena, struct attribute_binding, rule->attributes.count);
    match->calls = arena_array(arena, struct node *, rule->match.statements.count);
    return match;
}

struct match *matcher_try(struct matcher *matcher, const struct rule *rule, struct node *call) {
    if (!matcher->match || matcher->match->rule != rule) matcher->match = new_match(matcher->arena, rule);
    matcher->failure = (struct failure){0};
    matcher->steps = matcher->found = matcher->trail_count = matcher->goal_count = matcher->deferred_count = 0;
    const struct goal *goals = NULL;
    for (size_t i = rule->climb.count; i-- > 0;) goals = push_goal(matcher, goal_climb, i, NULL, goals);
    if (match_call(matcher, rule->anchor, call, goals)) {
        struct match *match = matcher->match;
        matcher->match = NULL;
        return match;
    }
    take_back(matcher, (struct mark){0});
    return NULL;
}
