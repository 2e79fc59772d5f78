/* Whether the calls of a match can become one, which then stands where the last of them does.
 *
 * What depends on a result of an earlier call and stands before the last has to move behind it. It can when the last call
 * does not need it, when it has no effect, and when nobody writes in between, in place, what it or an earlier call reads. */
#include "ir/effect.h"
#include "rule/matching.h"

struct schedule {
    struct matcher *matcher;
    struct match *match;
    struct map *seen;   /* node -> itself: what is replaced, and what depends on it */
    struct map *queued; /* node -> itself */
    VECTOR(struct node *) queue;
};

/* Whether the node was in the set; now it is. */
static bool add(struct map *set, struct node *node) {
    void **slot = map_slot(set, &node, sizeof node);
    bool before = *slot;
    *slot = node;
    return before;
}

/* ---- the calls ---- */

static bool two_effects(struct matcher *matcher, const struct node *first, const struct node *second) {
    match_fails(matcher, second, NULL, "both %.*s and %.*s have effects, and the order of the two would be lost",
                TEXT_ARGS(first->name), TEXT_ARGS(second->name));
    return match_remedy(matcher, "a rule with one call that has an effect");
}

static bool find_last(struct matcher *matcher, struct match *match) {
    const struct node *effect = NULL;
    match->last = NULL;
    for (size_t i = 0; i < match->rule->match.statements.count; i++) {
        struct node *call = match->calls[i];
        if (!call) continue;
        if (!match->last || call->order > match->last->order) match->last = call;
        if (!node_has_effect(call)) continue;
        if (effect && effect != call) return two_effects(matcher, effect, call);
        effect = call;
    }
    if (!effect || effect == match->last) return true;
    match_fails(matcher, match->last, NULL, "%.*s has an effect and stands before %.*s", TEXT_ARGS(effect->name),
                TEXT_ARGS(match->last->name));
    return match_remedy(matcher, "%.*s behind %.*s", TEXT_ARGS(effect->name), TEXT_ARGS(match->last->name));
}

/* ---- values that the replacement does not give ---- */

/* A reader of the result outside of the match, views looked through; NULL: none. */
static const struct node *other_reader(const struct match *match, const struct node *value) {
    for (const struct value *use = value->users; use; use = use->use.next) {
        const struct node *user = use->use.user;
        bool view = node_has_class(user, class_view) || user->kind == node_rename;
        const struct node *reader = match_has_call(match, user) ? NULL : view ? other_reader(match, user) : user;
        if (reader) return reader;
    }
    return NULL;
}

/* Calls that go away must not have results that somebody needs and the replacement does not give. */
static bool check_results(struct matcher *matcher, const struct match *match) {
    const struct rule_graph *graph = &match->rule->match;
    for (size_t i = 0; i < graph->statements.count; i++) {
        const struct rule_statement *statement = &graph->statements.items[i];
        struct node *call = match->calls[i];
        bool goes = call && call_goes(call);
        for (size_t k = 0; goes && k < statement->result_count; k++) {
            size_t variable = statement->results[k];
            struct node *result = call_result(call, statement->operation, k);
            const struct node *reader = result ? other_reader(match, result) : NULL;
            if (!reader || (variable != SIZE_MAX && graph->variables.items[variable].other != SIZE_MAX)) continue;
            struct text name = variable == SIZE_MAX ? result->name : graph->variables.items[variable].name;
            match_fails(matcher, reader, NULL, "%.*s also reads %.*s (%.*s), which the replacement does not give",
                        TEXT_ARGS(reader->name), TEXT_ARGS(result->name), TEXT_ARGS(name));
            return match_remedy(matcher, "nobody but the rule who reads %.*s", TEXT_ARGS(result->name));
        }
    }
    return true;
}

/* ---- what moves ---- */

static bool reads_what_is_written(struct schedule *schedule, struct node *node, uint32_t until) {
    struct memory *memory = schedule->matcher->memory;
    for (size_t i = 0; i < node->argument_count; i++) {
        const struct node *argument = value_as_node(&node->arguments[i]);
        const struct node *root = argument ? memory_place(memory, argument)->root : NULL;
        if (root && memory_written_between(memory, root, node->order, until)) return true;
    }
    return false;
}

static bool has_side_effect(struct node *node) {
    return node_has_effect(node) || (!node_is_removable(node) && !node_is_functionalized_call(node));
}

static bool check_moved(struct schedule *schedule, struct node *node, const struct node *on) {
    struct matcher *matcher = schedule->matcher;
    const struct node *last = schedule->match->last;
    if (has_side_effect(node)) {
        match_fails(matcher, node, NULL,
                    "%.*s stands between the two, needs %.*s and has an effect: it cannot move behind %.*s",
                    TEXT_ARGS(node->name), TEXT_ARGS(on->name), TEXT_ARGS(last->name));
        return match_remedy(matcher, "%.*s before %.*s", TEXT_ARGS(last->name), TEXT_ARGS(node->name));
    }
    if (!reads_what_is_written(schedule, node, last->order)) return true;
    match_fails(matcher, node, NULL,
                "%.*s would have to move behind %.*s, and what it reads is written in place in between",
                TEXT_ARGS(node->name), TEXT_ARGS(last->name));
    return match_remedy(matcher, "that write behind %.*s, or %.*s on a copy", TEXT_ARGS(last->name),
                        TEXT_ARGS(node->name));
}

/* The users of a value that stand before the last call. */
static bool follow(struct schedule *schedule, struct node *value) {
    struct match *match = schedule->match;
    for (struct value *use = value->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        /* a matched call that stays as long as somebody uses it moves as others do, even the last one */
        bool goes = match_has_call(match, user) && call_goes(user);
        if (user->order > match->last->order || goes || add(schedule->queued, user)) continue;
        add(schedule->seen, user);
        if (!check_moved(schedule, user, value)) return false;
        vector_push(schedule->matcher->arena, &schedule->queue, user);
    }
    return true;
}

/* The replacement stands behind all that it reads, so nothing of that may be computed from what it gives. */
static bool check_inputs(struct schedule *schedule) {
    const struct match *match = schedule->match;
    for (size_t i = 0; i < match->rule->tensor_count; i++) {
        struct node *input = match->values[i];
        if (!input || !map_get(schedule->seen, &input, sizeof input)) continue;
        match_fails(schedule->matcher, input, NULL,
                    "%.*s, which %.*s needs, is computed from what the rule would only give with it",
                    TEXT_ARGS(input->name), TEXT_ARGS(match->last->name));
        return match_remedy(schedule->matcher, "%.*s computed from something else", TEXT_ARGS(input->name));
    }
    return true;
}

static bool find_dependents(struct schedule *schedule) {
    struct match *match = schedule->match;
    const struct rule *rule = match->rule;
    for (size_t i = 0; i < rule->match.statements.count; i++)
        if (match->calls[i] && reads_what_is_written(schedule, match->calls[i], match->last->order)) {
            match_fails(schedule->matcher, match->calls[i], NULL, "what %.*s reads is written in place before %.*s",
                        TEXT_ARGS(match->calls[i]->name), TEXT_ARGS(match->last->name));
            return match_remedy(schedule->matcher, "that write behind %.*s", TEXT_ARGS(match->last->name));
        }
    for (size_t i = rule->tensor_count; i < rule->match.variables.count; i++) {
        struct node *value = match->values[i];
        if (!value || rule->match.variables.items[i].other == SIZE_MAX) continue;
        add(schedule->seen, value);
        if (!follow(schedule, value)) return false;
    }
    for (size_t i = 0; i < schedule->queue.count; i++)
        if (!follow(schedule, schedule->queue.items[i])) return false;
    return check_inputs(schedule);
}

static void sort_by_order(struct match *match) {
    for (size_t i = 1; i < match->moved.count; i++) {
        struct node *node = match->moved.items[i];
        size_t k = i;
        for (; k > 0 && match->moved.items[k - 1]->order > node->order; k--)
            match->moved.items[k] = match->moved.items[k - 1];
        match->moved.items[k] = node;
    }
}

bool match_schedule(struct matcher *matcher, struct match *match) {
    struct schedule schedule = {
        .matcher = matcher, .match = match, .seen = map_create(matcher->arena), .queued = map_create(matcher->arena)};
    if (!find_last(matcher, match) || !check_results(matcher, match) || !find_dependents(&schedule)) return false;
    match->moved.count = 0;
    for (size_t i = 0; i < schedule.queue.count; i++)
        vector_push(matcher->arena, &match->moved, schedule.queue.items[i]);
    sort_by_order(match);
    return true;
}
