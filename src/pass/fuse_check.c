/* A rule whose replacement is of another type than what it replaces is refused when it is read: on instances of its match
 * (rule/instance.h), which its own conditions allow. */
#include "ir/effect.h"
#include "pass/fuse.h"
#include "rule/condition.h"
#include "rule/instance.h"

enum { most_instances = 24, enough_matches = 8 };

/* `tokens = 3, width = 8, T = bf16`: the instance, as far as a type depends on it. */
static const char *instance_text(struct arena *arena, const struct match *match) {
    struct builder out;
    builder_init(&out, arena);
    for (size_t i = 0; i < match->rule->attributes.count; i++) {
        const struct attribute *attribute = &match->rule->attributes.items[i];
        const struct attribute_binding *binding = &match->attributes[i];
        bool integer = attribute->kind == attribute_integer;
        if (!binding->bound || (!integer && attribute->kind != attribute_dtype)) continue;
        builder_format(&out, "%s%.*s = ", out.length ? ", " : "", TEXT_ARGS(attribute->name));
        if (integer)
            symint_print(&out, binding->integer);
        else
            builder_string(&out, dtype_abbreviation(binding->dtype));
    }
    return out.length ? out.data : "every size";
}

/* The sentence of a message, without what stands in front of it and below it. */
static struct text sentence_of(const char *message) {
    const char *error = strstr(message, "error: ");
    struct text text = text_of(error ? error + 7 : message);
    const char *end = memchr(text.data, '\n', text.length);
    return end ? (struct text){text.data, (size_t)(end - text.data)} : text;
}

/* `bf16[3, 8]`: a rule says nothing of devices, and strides may differ. */
static const char *plain_type(struct arena *arena, const struct type *type) {
    struct type plain = *type;
    plain.device = (struct device){0};
    plain.layout.strides = NULL;
    return type_string(arena, &plain);
}

static regraft_status refuse_type(struct context *context, const struct match *match, const struct mismatch *mismatch) {
    struct diagnostics *diagnostics = &context->diagnostics;
    const struct variable *variable = mismatch->variable;
    const struct variable *replaced = &match->rule->match.variables.items[variable->other];
    fail(diagnostics, REGRAFT_REJECTED, variable->position,
         "the replacement's '%.*s' is of another type than what it replaces: %s, expected %s (with %s)",
         TEXT_ARGS(variable->name), plain_type(context->arena, mismatch->found),
         plain_type(context->arena, mismatch->expected), instance_text(context->arena, match));
    fail_note(diagnostics, replaced->position,
              "what it replaces; give both one type, or say in a condition under 'where' when they have one");
    return REGRAFT_REJECTED;
}

static regraft_status refuse_statement(struct context *context, const struct match *match,
                                       const struct mismatch *mismatch, const char *message) {
    return fail(&context->diagnostics, REGRAFT_REJECTED, mismatch->statement->position,
                "the replacement is no graph with %s: %.*s; expected a call that fits whatever the conditions allow",
                instance_text(context->arena, match), TEXT_ARGS(sentence_of(message)));
}

/* One match of an instance, whose texts go with `scratch`. */
static regraft_status check_match(struct context *context, struct matcher *matcher, struct match *match) {
    struct mismatch mismatch;
    struct replacing replacing = {.graph = matcher->graph, .scratch = matcher->arena};
    regraft_status status = fuse_find_mismatch(&replacing, matcher, match, &mismatch);
    if (mismatch.variable) return refuse_type(context, match, &mismatch);
    if (mismatch.statement) return refuse_statement(context, match, &mismatch, matcher->context->diagnostics.message);
    return status;
}

/* *matched counts the instances in which the rule matches. Chance may make one that is no graph: that says nothing. */
static regraft_status check_instance(struct context *context, struct context *scratch, const struct rule *rule,
                                     uint64_t seed, size_t *matched) {
    const struct operation *anchor = rule->match.statements.items[rule->anchor].operation;
    struct graph *graph;
    struct memory *memory;
    struct matcher matcher;
    diagnostics_clear(&scratch->diagnostics);
    if (rule_instance(scratch, rule, seed, &graph) != REGRAFT_OK || memory_of(graph, &memory) != REGRAFT_OK)
        return REGRAFT_OK;
    matcher_init(&matcher, graph, memory, scratch->arena);
    for (struct node *node = graph->first; node; node = node->next) {
        struct match *match = node_called_operation(node) == anchor ? matcher_try(&matcher, rule, node) : NULL;
        if (!match) continue;
        ++*matched;
        return check_match(context, &matcher, match);
    }
    return REGRAFT_OK;
}

/* A comparison that fails whatever the names stand for. */
static bool never_fires(struct context *context, const struct rule *rule) {
    struct match match = {.rule = rule,
                          .values = arena_array(context->arena, struct node *, rule->match.variables.count),
                          .attributes = arena_array(context->arena, struct attribute_binding, rule->attributes.count)};
    struct matcher matcher = {.context = context, .arena = context->arena, .match = &match};
    for (size_t i = 0; i < rule->conditions.count; i++) {
        const struct condition *condition = &rule->conditions.items[i];
        if (condition->comparison != compare_holds && !condition->rounding &&
            condition_holds(&matcher, condition, NULL) == answer_no)
            return true;
    }
    return false;
}

regraft_status fuse_check_rule(struct context *context, const struct rule *rule) {
    size_t matched = 0;
    regraft_status status = REGRAFT_OK;
    if (never_fires(context, rule)) return REGRAFT_OK;
    for (uint64_t seed = 1; seed <= most_instances && matched < enough_matches && status == REGRAFT_OK; seed++) {
        struct context scratch = *context;
        scratch.arena = arena_child(context->arena);
        diagnostics_init(&scratch.diagnostics, scratch.arena);
        status = check_instance(context, &scratch, rule, seed, &matched);
        arena_destroy(scratch.arena);
    }
    return status;
}
