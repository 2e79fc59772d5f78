/* The matcher: goals are solved one after the other, each in all ways that there are, until all hold at once.
 *
 * A search begins at a call of the rule's anchor operation and goes to what that is made of; then, where the rule has more,
 * from there to users. Views are compared by their places, so that their spelling does not matter. */
#include "ir/effect.h"
#include "rule/condition.h"
#include "rule/matching.h"

static bool solve(struct matcher *matcher, const struct goal *goal);
static bool climb(struct matcher *matcher, size_t variable, const struct goal *goals);

/* ---- failures ---- */

bool match_fails(struct matcher *matcher, const struct node *node, const struct condition *condition,
                 const char *format, ...) {
    struct failure *failure = &matcher->failure;
    matcher->noted = !failure->node || matcher->found > failure->progress;
    if (!matcher->noted) return false;
    *failure = (struct failure){matcher->found, condition, node, "", ""};
    if (!matcher->explain) return false;
    va_list list;
    va_start(list, format);
    failure->text = text_format_list(matcher->arena, format, list);
    va_end(list);
    return false;
}

bool match_remedy(struct matcher *matcher, const char *format, ...) {
    if (!matcher->explain || !matcher->noted) return false;
    va_list list;
    va_start(list, format);
    matcher->failure.remedy = text_format_list(matcher->arena, format, list);
    va_end(list);
    return false;
}

/* What the rule says would help where the statement is not found; else what is given. */
static bool statement_remedy(struct matcher *matcher, const struct rule_statement *statement, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool statement_remedy(struct matcher *matcher, const struct rule_statement *statement, const char *format, ...) {
    if (!matcher->explain || !matcher->noted) return false;
    if (statement->remedy.length) return match_remedy(matcher, "%.*s", TEXT_ARGS(statement->remedy));
    va_list list;
    va_start(list, format);
    matcher->failure.remedy = text_format_list(matcher->arena, format, list);
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

bool match_note(struct matcher *matcher, enum trail_kind kind, size_t index) {
    if (matcher->trail_count == matcher_most_trail) return false;
    matcher->trail[matcher->trail_count++] = (struct trail){kind, index};
    return true;
}

bool match_defer(struct matcher *matcher, struct deferred deferred) {
    if (matcher->deferred_count == matcher_most_deferred) return false;
    matcher->deferred[matcher->deferred_count++] = deferred;
    return true;
}

const struct goal *match_push(struct matcher *matcher, struct goal goal, const struct goal *next) {
    if (matcher->goal_count == matcher_most_goals) return NULL;
    struct goal *pushed = &matcher->goals[matcher->goal_count++];
    goal.next = next;
    *pushed = goal;
    return pushed;
}

static bool bind_variable(struct matcher *matcher, size_t variable, struct node *node) {
    if (!match_note(matcher, trail_variable, variable)) return false;
    matcher->match->values[variable] = node;
    return true;
}

/* The variable stands for two nodes. */
static bool match_elsewhere(struct matcher *matcher, size_t variable, const struct node *node) {
    const struct node *elsewhere = matcher->match->values[variable];
    struct text name = matcher->match->rule->match.variables.items[variable].name;
    match_fails(matcher, node, NULL, "'%.*s' is %.*s elsewhere, and here %.*s", TEXT_ARGS(name),
                TEXT_ARGS(elsewhere->name), TEXT_ARGS(node->name));
    return match_remedy(matcher, "one value for both, %.*s or %.*s", TEXT_ARGS(elsewhere->name), TEXT_ARGS(node->name));
}

/* The same, when the node is of the type that the variable has. */
static bool bind_typed(struct matcher *matcher, size_t variable, struct node *node) {
    const struct variable *declared = &matcher->match->rule->match.variables.items[variable];
    return (!declared->type || match_type(matcher, declared, node)) && bind_variable(matcher, variable, node);
}

static bool solve_variable(struct matcher *matcher, size_t variable, struct node *node, const struct goal *goals) {
    const struct goal *goal = match_push(matcher, (struct goal){goal_variable, variable, 0, node, NULL}, goals);
    return goal && solve(matcher, goal);
}

static const struct rule_statement *statement_at(const struct matcher *matcher, size_t index) {
    return &matcher->match->rule->match.statements.items[index];
}

/* ---- calls ---- */

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

static bool bind_results(struct matcher *matcher, const struct rule_statement *statement, struct node *call) {
    struct node **values = matcher->match->values;
    for (size_t i = 0; i < statement->result_count; i++) {
        size_t variable = statement->results[i];
        struct node *result = variable == SIZE_MAX ? NULL : call_result(call, statement->operation, i);
        if (!result) continue;
        if (values[variable]) {
            if (same_value(values[variable], result)) continue;
            return match_elsewhere(matcher, variable, result);
        }
        const struct variable *declared = &matcher->match->rule->match.variables.items[variable];
        if (declared->type && !match_type(matcher, declared, result)) return false;
        if (!bind_variable(matcher, variable, result)) return false;
    }
    return true;
}

/* The call is the statement's: binds it and its results, then its arguments. */
static bool match_call(struct matcher *matcher, size_t index, struct node *call, const struct goal *goals) {
    struct match *match = matcher->match;
    const struct rule_statement *statement = statement_at(matcher, index);
    if (match->calls[index] == call) return solve(matcher, goals);
    if (match->calls[index]) {
        match_fails(matcher, call, NULL, "%.*s is another call than %.*s, and the rule has one", TEXT_ARGS(call->name),
                    TEXT_ARGS(match->calls[index]->name));
        return match_remedy(matcher, "one call of %.*s for both", TEXT_ARGS(statement->operation->target));
    }
    if (match_has_call(match, call)) {
        match_fails(matcher, call, NULL, "%.*s would be two calls of the rule", TEXT_ARGS(call->name));
        return match_remedy(matcher, "two calls of %.*s", TEXT_ARGS(statement->operation->target));
    }
    const struct schema_argument *more = unspelled_argument(call, statement->operation);
    if (more) {
        match_fails(matcher, call, NULL, "%.*s: '%.*s' is not the default", TEXT_ARGS(call->name),
                    TEXT_ARGS(more->name));
        return match_remedy(matcher, "%.*s without '%.*s'", TEXT_ARGS(call->name), TEXT_ARGS(more->name));
    }
    if (!match_note(matcher, trail_call, index)) return false;
    match->calls[index] = call;
    matcher->found++;
    if (!bind_results(matcher, statement, call)) return false;
    struct mark before = mark(matcher);
    if (match_arguments(matcher, statement, call, false, goals)) return true;
    take_back(matcher, before);
    return is_commutative(statement) && match_arguments(matcher, statement, call, true, goals);
}

static bool define_by_call(struct matcher *matcher, const struct definition *definition, struct node *node,
                           const struct goal *goals) {
    const struct rule_statement *statement = statement_at(matcher, definition->statement);
    struct node *call = call_of_result(statement, definition->result, node);
    if (call) return match_call(matcher, definition->statement, call, goals);
    match_fails(matcher, node, NULL, "expected %.*s, found %s", TEXT_ARGS(statement->operation->target),
                what_is(matcher->arena, node));
    return statement_remedy(matcher, statement, "%.*s as a result of %.*s", TEXT_ARGS(node->name),
                            TEXT_ARGS(statement->operation->target));
}

/* ---- the same elements ---- */

/* What the node has the elements of; with `broadcast` also what it repeats. */
static struct node *elements_source(const struct node *node, bool broadcast) {
    struct node *source = same_elements_source(node);
    if (!source && broadcast && node_is(node, operation_aten_expand_default)) source = view_source(node);
    return source;
}

/* The deepest first: that is where the operation is that the rule names. */
static bool try_sources(struct matcher *matcher, size_t variable, struct node *node, bool broadcast,
                        const struct goal *goals) {
    struct node *source = elements_source(node, broadcast);
    struct mark before = mark(matcher);
    if (source && try_sources(matcher, variable, source, broadcast, goals)) return true;
    take_back(matcher, before);
    return solve_variable(matcher, variable, node, goals);
}

/* ---- views ---- */

/* The call as it is written, where integers of the statement are not bound yet: it binds them. */
static bool match_view_as_written(struct matcher *matcher, size_t index, size_t result, struct node *node,
                                  const struct goal *goals) {
    const struct rule_statement *statement = statement_at(matcher, index);
    struct node *call = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : node;
    bool item = node->kind == node_getitem;
    if (call->operation != statement->operation || item != statement->operation->schema.returns[0].list ||
        (item && node->arguments[1].integer != (int64_t)result))
        return match_defer(matcher, (struct deferred){NULL, NULL, node, index, result}) && solve(matcher, goals);
    return match_arguments(matcher, statement, call, false, goals);
}

/* The node is a view, and another one than the statement's. */
static bool wrong_part(struct matcher *matcher, const struct node *node, size_t index) {
    const struct rule_statement *statement = statement_at(matcher, index);
    const struct node *base = matcher->match->values[statement->arguments[0].index];
    match_fails(matcher, node, NULL, "%.*s is not the part of %.*s that the rule takes", TEXT_ARGS(node->name),
                TEXT_ARGS(base->name));
    return statement_remedy(matcher, statement, "%.*s as the rule has it: %.*s", TEXT_ARGS(node->name),
                            TEXT_ARGS(statement->text));
}

static bool solve_view(struct matcher *matcher, const struct goal *goal) {
    enum answer answer = match_view(matcher, goal->index, goal->result, goal->node);
    if (answer == answer_yes) return solve(matcher, goal->next);
    if (answer == answer_unknown)
        return match_view_as_written(matcher, goal->index, goal->result, goal->node, goal->next);
    return wrong_part(matcher, goal->node, goal->index);
}

/* The argument is bound, or one of the values that the node is a window onto: the next one first. */
static bool define_by_view(struct matcher *matcher, const struct definition *definition, struct node *node,
                           const struct goal *goals) {
    size_t base = statement_at(matcher, definition->statement)->arguments[0].index;
    struct goal view = {goal_view, definition->statement, definition->result, node, NULL};
    const struct goal *goal = match_push(matcher, view, goals);
    if (!goal) return false;
    if (matcher->match->values[base]) return solve(matcher, goal);
    struct mark before = mark(matcher);
    for (struct node *source = view_source(node); source; source = view_source(source)) {
        if (source->type->kind != type_tensor) continue;
        if (solve_variable(matcher, base, source, goal)) return true;
        take_back(matcher, before);
    }
    const struct rule_statement *statement = statement_at(matcher, definition->statement);
    match_fails(matcher, node, NULL, "expected a view (%.*s), found %s", TEXT_ARGS(statement->operation->target),
                what_is(matcher->arena, node));
    return statement_remedy(matcher, statement, "%.*s as a part of a wider tensor, by %.*s or another view",
                            TEXT_ARGS(node->name), TEXT_ARGS(statement->operation->target));
}

/* ---- variables ---- */

static bool define(struct matcher *matcher, const struct definition *definition, struct node *node,
                   const struct goal *goals) {
    const struct rule_statement *statement = statement_at(matcher, definition->statement);
    switch (statement->kind) {
    case statement_call:
        return define_by_call(matcher, definition, node, goals);
    case statement_elements:
    case statement_broadcast:
        return try_sources(matcher, statement->arguments[0].index, node, statement->kind == statement_broadcast, goals);
    case statement_same:
        return solve_variable(matcher, statement->arguments[0].index, node, goals);
    case statement_view:
    case statement_shape:
    case statement_halves:
    case statement_pairs:
    case statement_numbers:
        break;
    }
    return define_by_view(matcher, definition, node, goals);
}

/* Whether the definition is by a call, and the node is no such call. */
static bool is_another_call(const struct matcher *matcher, const struct definition *definition, struct node *node) {
    const struct rule_statement *statement = statement_at(matcher, definition->statement);
    return statement->kind == statement_call && !call_of_result(statement, definition->result, node);
}

/* The node is a call of none of the operations that may define the variable. */
static bool no_alternative(struct matcher *matcher, const struct variable *variable, const struct node *node) {
    struct builder wanted;
    if (!matcher->explain) return match_fails(matcher, node, NULL, "%s", "");
    builder_init(&wanted, matcher->arena);
    for (size_t i = 0; i < variable->definitions.count; i++) {
        const char *join = i == 0 ? "" : i + 1 == variable->definitions.count ? " or " : ", ";
        const struct rule_statement *statement = statement_at(matcher, variable->definitions.items[i].statement);
        builder_format(&wanted, "%s%.*s", join, TEXT_ARGS(statement->operation->target));
    }
    match_fails(matcher, node, NULL, "expected %s, found %s", wanted.data, what_is(matcher->arena, node));
    return statement_remedy(matcher, statement_at(matcher, variable->definitions.items[0].statement),
                            "%.*s as a result of %s", TEXT_ARGS(node->name), wanted.data);
}

static bool match_variable(struct matcher *matcher, size_t index, struct node *node, const struct goal *goals) {
    struct match *match = matcher->match;
    const struct variable *variable = &match->rule->match.variables.items[index];
    if (match->values[index])
        return same_value(match->values[index], node) ? solve(matcher, goals) : match_elsewhere(matcher, index, node);
    struct mark before = mark(matcher);
    if (!bind_typed(matcher, index, node)) return take_back(matcher, before);
    if (!variable->definitions.count) return solve(matcher, goals);
    before = mark(matcher);
    bool fits = false;
    for (size_t i = 0; i < variable->definitions.count; i++) {
        const struct definition *definition = &variable->definitions.items[i];
        if (variable->definitions.count > 1 && is_another_call(matcher, definition, node)) continue;
        fits = true;
        if (define(matcher, definition, node, goals)) return true;
        take_back(matcher, before);
    }
    return !fits && no_alternative(matcher, variable, node);
}

/* ---- users ---- */

/* Finds the variable by a user of something bound. */
static bool climb_call(struct matcher *matcher, size_t index, struct node *from, const struct goal *goals) {
    const struct rule_statement *statement = statement_at(matcher, index);
    for (const struct value *use = from->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        struct mark before = mark(matcher);
        bool functionalized = node_is(user, operation_higher_order_auto_functionalized);
        if (user->kind != node_call || !is_spelling(statement->operation, node_called_operation(user)) ||
            functionalized != operation_writes(statement->operation))
            continue;
        if (match_call(matcher, index, user, goals)) return true;
        take_back(matcher, before);
    }
    match_fails(matcher, from, NULL, "nobody who reads %.*s is %.*s with the other arguments that the rule has",
                TEXT_ARGS(from->name), TEXT_ARGS(statement->operation->target));
    return match_remedy(matcher, "%.*s read by %.*s", TEXT_ARGS(from->name), TEXT_ARGS(statement->operation->target));
}

/* The value itself, and all that has its elements in the same order. */
static bool climb_elements(struct matcher *matcher, size_t variable, struct node *node, bool broadcast,
                           const struct goal *goals) {
    struct mark before = mark(matcher);
    if (bind_typed(matcher, variable, node) && solve(matcher, goals)) return true;
    take_back(matcher, before);
    for (const struct value *use = node->users; use; use = use->use.next)
        if (elements_source(use->use.user, broadcast) == node &&
            climb_elements(matcher, variable, use->use.user, broadcast, goals))
            return true;
    return false;
}

static bool climb_view(struct matcher *matcher, size_t variable, const struct definition *definition,
                       const struct goal *goals) {
    const struct rule_statement *statement = statement_at(matcher, definition->statement);
    struct node *base = matcher->match->values[statement->arguments[0].index];
    struct mark before = mark(matcher);
    node_list windows = {0};
    windows_beside(matcher, base, &windows);
    for (size_t i = 0; i < windows.count; i++) {
        if (solve_variable(matcher, variable, windows.items[i], goals)) return true;
        take_back(matcher, before);
    }
    return false;
}

/* A tensor of the pattern, or of the list that it is, that is bound; NULL: none. */
static struct node *bound_tensor(const struct matcher *matcher, const struct pattern *pattern) {
    if (pattern->kind == pattern_variable) return matcher->match->values[pattern->index];
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++) {
        struct node *bound = bound_tensor(matcher, &pattern->items[i]);
        if (bound) return bound;
    }
    return NULL;
}

/* Nothing that the statement takes is bound: first what is below one of its arguments, then the variable again. */
static bool climb_below(struct matcher *matcher, size_t variable, const struct pattern *pattern,
                        const struct goal *goals) {
    struct mark before = mark(matcher);
    for (size_t i = 0; pattern->kind == pattern_list && i < pattern->count; i++)
        if (climb_below(matcher, variable, &pattern->items[i], goals)) return true;
    if (pattern->kind != pattern_variable) return false;
    const struct goal *again = match_push(matcher, (struct goal){goal_climb, variable, 0, NULL, NULL}, goals);
    return (again && climb(matcher, pattern->index, again)) || take_back(matcher, before);
}

static bool climb_definition(struct matcher *matcher, size_t variable, const struct definition *definition,
                             const struct goal *goals) {
    const struct rule_statement *statement = statement_at(matcher, definition->statement);
    for (size_t i = 0; i < statement->argument_count; i++) {
        struct node *from = bound_tensor(matcher, &statement->arguments[i]);
        if (!from) continue;
        switch (statement->kind) {
        case statement_call:
            return climb_call(matcher, definition->statement, from, goals);
        case statement_elements:
        case statement_broadcast:
            return climb_elements(matcher, variable, from, statement->kind == statement_broadcast, goals);
        case statement_same:
            return bind_typed(matcher, variable, from) && solve(matcher, goals);
        case statement_view:
        case statement_shape:
        case statement_halves:
        case statement_pairs:
        case statement_numbers:
            return climb_view(matcher, variable, definition, goals);
        }
    }
    for (size_t i = 0; i < statement->argument_count; i++)
        if (climb_below(matcher, variable, &statement->arguments[i], goals)) return true;
    return false;
}

static bool climb(struct matcher *matcher, size_t variable, const struct goal *goals) {
    const struct variable *wanted = &matcher->match->rule->match.variables.items[variable];
    if (++matcher->steps > matcher_most_steps) return false;
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
        if (deferred->pattern) {
            if (!match_deferred_integer(matcher, deferred)) return false;
        } else if (match_view(matcher, deferred->statement, deferred->result, (struct node *)deferred->node) !=
                   answer_yes) {
            return wrong_part(matcher, deferred->node, deferred->statement);
        }
    }
    return true;
}

static bool condition_fails(struct matcher *matcher, const struct condition *condition, enum answer answer,
                            const char *why) {
    const struct node *node = condition_node(matcher, condition);
    const struct node *at = node ? node : matcher->match->calls[matcher->match->rule->anchor];
    const char *what = condition->rounding        ? "every bit has to stay (rounding=exact)"
                       : answer == answer_unknown ? "cannot be decided"
                       : condition->kernel        ? "the kernel needs"
                                                  : "the rule needs";
    if (condition->rounding && condition->remedy.length) {
        match_fails(matcher, at, condition, "%s: %.*s", what, TEXT_ARGS(condition->remedy));
        return match_remedy(matcher, "fuse{rounding=any}");
    }
    match_fails(matcher, at, condition, "%s: %.*s%s%s", what, TEXT_ARGS(condition->text), *why ? "; " : "", why);
    if (!matcher->explain) return false;
    return match_remedy(matcher, "%s", condition_remedy(matcher, condition));
}

static bool check_conditions(struct matcher *matcher) {
    const struct rule *rule = matcher->match->rule;
    matcher->found++; /* all of the graph is there: that is nearer than any try that lacked a call */
    for (size_t i = 0; i < rule->conditions.count; i++) {
        const struct condition *condition = &rule->conditions.items[i];
        const char *why = NULL;
        if (condition->rounding && !matcher->exact) continue;
        enum answer answer = condition_holds(matcher, condition, matcher->explain ? &why : NULL);
        if (answer != answer_yes) return condition_fails(matcher, condition, answer, why ? why : "");
    }
    matcher->found++;
    return true;
}

/* ---- searching ---- */

static bool solve(struct matcher *matcher, const struct goal *goal) {
    if (++matcher->steps > matcher_most_steps) return false;
    if (!goal) {
        struct mark before = mark(matcher);
        bool holds = check_deferred(matcher) && check_conditions(matcher) && match_schedule(matcher, matcher->match);
        return holds || take_back(matcher, before);
    }
    switch (goal->kind) {
    case goal_climb:
        return climb(matcher, goal->index, goal->next);
    case goal_view:
        return solve_view(matcher, goal);
    case goal_variable:
        break;
    }
    return match_variable(matcher, goal->index, goal->node, goal->next);
}

void matcher_init(struct matcher *matcher, struct graph *graph, struct memory *memory, struct arena *arena) {
    *matcher = (struct matcher){.graph = graph, .context = graph->context, .memory = memory, .arena = arena};
    matcher->trail =
        arena_allocate(arena, matcher_most_trail * sizeof *matcher->trail); /* stacks, written before read */
    matcher->goals = arena_allocate(arena, matcher_most_goals * sizeof *matcher->goals);
    matcher->deferred = arena_allocate(arena, matcher_most_deferred * sizeof *matcher->deferred);
}

bool match_has_call(const struct match *match, const struct node *node) {
    for (size_t i = 0; i < match->rule->match.statements.count; i++)
        if (match->calls[i] == node) return true;
    return false;
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
    for (size_t i = rule->climb.count; i-- > 0;)
        goals = match_push(matcher, (struct goal){goal_climb, rule->climb.items[i], 0, NULL, NULL}, goals);
    if (match_call(matcher, rule->anchor, call, goals)) {
        struct match *match = matcher->match;
        matcher->match = NULL;
        return match;
    }
    take_back(matcher, (struct mark){0});
    return NULL;
}
