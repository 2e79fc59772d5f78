/* fuse: puts the replacements of rules in the place of what they match (docs/rules.md).
 *
 * Needs the canonical form that the default pipeline gives: v1 calls of functionalised operations, reads that were
 * forwarded. All matches are found first, on the graph as it is; where two overlap, the one that saves more is taken. What
 * new matches that makes possible is found in the next round. */
#include "pass/fuse.h"

#include "ir/effect.h"
#include "pass/parameter.h"
#include "rule/condition.h"

typedef VECTOR(const struct rule *) rule_list;
typedef VECTOR(struct match *) match_list;

struct fusion {
    struct graph *graph;
    struct arena *scratch;
    unsigned platform;
    struct token_range tokens;
    rule_list rules;          /* that may fire here */
    struct map *by_operation; /* of the anchor -> rule_list */
};

enum { most_rounds = 16 };

/* ---- which rules ---- */

/* The devices of the graph tell cpu from cuda; PyTorch calls ROCm's devices cuda too. */
static unsigned platform_of(const struct graph *graph) {
    for (const struct node *node = graph->first; node; node = node->next)
        if (node->type->kind == type_tensor && node->type->device.type.length)
            return text_is(node->type->device.type, "cpu") ? platform_cpu : platform_cuda;
    return platform_cuda;
}

static regraft_status read_parameters(struct fusion *fusion) {
    struct graph *graph = fusion->graph;
    struct text platform = parameter_text(graph, "platform", ""), tokens = parameter_text(graph, "tokens", "");
    fusion->platform = platform.length ? platform_parse(platform) : platform_of(graph);
    fusion->tokens = (struct token_range){1, INT64_MAX};
    if (!tokens.length || token_range_parse(tokens, &fusion->tokens)) return REGRAFT_OK;
    return fail(&graph->context->diagnostics, REGRAFT_USAGE, parameter_find(graph, "tokens")->values.items[0].position,
                "expected a range of tokens such as 1-256, 64 or 1-");
}

static bool applies(const struct fusion *fusion, const struct rule *rule) {
    return (rule->platforms & fusion->platform) && rule->tokens.least <= fusion->tokens.least &&
           rule->tokens.most >= fusion->tokens.most;
}

static void add_rule(struct fusion *fusion, const struct rule *rule) {
    const struct operation *operation = rule->match.statements.items[rule->anchor].operation;
    void **slot = map_slot(fusion->by_operation, &operation, sizeof operation);
    if (!*slot) *slot = arena_new(fusion->scratch, rule_list);
    vector_push(fusion->scratch, (rule_list *)*slot, rule);
    vector_push(fusion->scratch, &fusion->rules, rule);
}

static regraft_status choose_rules(struct fusion *fusion) {
    struct context *context = fusion->graph->context;
    const struct parameter *named = parameter_find(fusion->graph, "rules");
    struct rules *rules;
    TRY(rules_of(context, &rules));
    for (size_t i = 0; named && i < named->values.count; i++)
        if (!rules_find(rules, named->values.items[i].text))
            return fail(&context->diagnostics, REGRAFT_USAGE, named->values.items[i].position,
                        "there is no rule '%.*s'; `regraft rules` lists them", TEXT_ARGS(named->values.items[i].text));
    for (size_t i = 0; i < rules->items.count; i++) {
        const struct rule *rule = rules->items.items[i];
        bool wanted = !named;
        for (size_t k = 0; named && k < named->values.count; k++)
            wanted = wanted || text_equal(named->values.items[k].text, rule->name);
        if (wanted && applies(fusion, rule)) add_rule(fusion, rule);
    }
    return REGRAFT_OK;
}

/* ---- finding ---- */

static regraft_status find_matches(struct fusion *fusion, struct matcher *matcher, match_list *matches) {
    for (struct node *node = fusion->graph->first; node; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        const rule_list *rules = operation ? map_get(fusion->by_operation, &operation, sizeof operation) : NULL;
        for (size_t i = 0; rules && i < rules->count; i++) {
            struct match *match = matcher_try(matcher, rules->items[i], node);
            if (match) vector_push(fusion->scratch, matches, match);
        }
    }
    return REGRAFT_OK;
}

/* ---- choosing ---- */

static bool sixty_four(void *user, struct text symbol, int64_t *value) {
    (void)user;
    (void)symbol;
    *value = 64;
    return true;
}

/* The bytes saved, for the comparison of two matches at one place: every symbol counts as 64. */
static int64_t saved_bytes(struct matcher *matcher, struct match *match) {
    int64_t bytes = 0;
    matcher->match = match;
    symint saved = match->rule->bytes ? expression_integer_of(matcher, match->rule->bytes) : NULL;
    matcher->match = NULL;
    return saved && symint_evaluate(saved, sixty_four, NULL, &bytes) ? bytes : 0;
}

static bool better(struct matcher *matcher, struct match *a, struct match *b) {
    if (a->rule->launches != b->rule->launches) return a->rule->launches > b->rule->launches;
    return saved_bytes(matcher, a) > saved_bytes(matcher, b);
}

/* Which matches a round has accepted, by the index of nodes. */
struct claims {
    struct match **owners; /* whose match takes, moves or replaces the node */
    bool *read;            /* an accepted match rests on the call, which stays */
};

/* Whether what the call gives is replaced. */
static bool replaces(const struct match *match, const struct node *call) {
    for (size_t i = match->rule->tensor_count; i < match->rule->match.variables.count; i++) {
        const struct node *value = match->values[i];
        if (!value || match->rule->match.variables.items[i].other == SIZE_MAX) continue;
        if (value == call || (value->kind == node_getitem && value_as_node(&value->arguments[0]) == call)) return true;
    }
    return false;
}

static bool claim_node(struct claims *claims, struct match *match, const struct node *node, bool take) {
    struct match **owner = &claims->owners[node->index];
    if (*owner && *owner != match) return false;
    if (take) *owner = match;
    return true;
}

/* A call that stays may be part of several matches, as long as none of them replaces its result. */
static bool claim(struct claims *claims, struct match *match, bool take) {
    for (size_t i = 0; i < match->rule->match.statements.count; i++) {
        const struct node *call = match->calls[i];
        if (!call) continue;
        bool goes = node_is_functionalized_call(call) || node_has_effect(call);
        bool exclusive = goes || replaces(match, call);
        if (exclusive && claims->read[call->index]) return false;
        if (exclusive ? !claim_node(claims, match, call, take) : claims->owners[call->index] != NULL) return false;
        if (take && !exclusive) claims->read[call->index] = true;
    }
    for (size_t i = 0; i < match->moved.count; i++)
        if (!claim_node(claims, match, match->moved.items[i], take)) return false;
    return true;
}

/* The better match first; of equal ones that which was found first. */
static void sort_matches(struct matcher *matcher, match_list *matches) {
    for (size_t i = 1; i < matches->count; i++) {
        struct match *match = matches->items[i];
        size_t k = i;
        for (; k > 0 && better(matcher, match, matches->items[k - 1]); k--) matches->items[k] = matches->items[k - 1];
        matches->items[k] = match;
    }
}

static regraft_status apply(struct fusion *fusion, struct matcher *matcher, match_list *matches, bool *any) {
    struct replacing replacing = {.graph = fusion->graph, .scratch = fusion->scratch};
    struct claims claims = {arena_array(fusion->scratch, struct match *, fusion->graph->node_limit),
                            arena_array(fusion->scratch, bool, fusion->graph->node_limit)};
    *any = false;
    sort_matches(matcher, matches);
    for (size_t i = 0; i < matches->count; i++) {
        struct match *match = matches->items[i];
        bool done;
        if (!claim(&claims, match, false)) continue;
        claim(&claims, match, true);
        const struct node last = *match->last; /* for the remark: the node may be gone then */
        TRY(fuse_replace(&replacing, matcher, match, &done));
        if (!done) continue;
        *any = true;
        graph_remark(fusion->graph, &last, true, "fused by the rule %.*s", TEXT_ARGS(match->rule->name));
    }
    return REGRAFT_OK;
}

regraft_status pass_fuse(struct graph *graph, struct arena *scratch) {
    struct fusion fusion = {.graph = graph, .scratch = scratch, .by_operation = map_create(scratch)};
    TRY(read_parameters(&fusion));
    TRY(choose_rules(&fusion));
    bool any = true;
    for (size_t round = 0; any && round < most_rounds; round++) {
        struct memory *memory;
        struct matcher matcher;
        match_list matches = {0};
        TRY(memory_of(graph, &memory));
        matcher_init(&matcher, graph, memory, scratch);
        TRY(find_matches(&fusion, &matcher, &matches));
        TRY(apply(&fusion, &matcher, &matches, &any));
    }
    return REGRAFT_OK;
}
