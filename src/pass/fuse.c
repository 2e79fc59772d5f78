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

struct fusing {
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

static regraft_status read_parameters(struct fusing *fusing) {
    struct graph *graph = fusing->graph;
    struct text platform = parameter_text(graph, "platform", ""), tokens = parameter_text(graph, "tokens", "");
    fusing->platform = platform.length ? platform_parse(platform) : platform_of(graph);
    fusing->tokens = (struct token_range){1, INT64_MAX};
    if (!tokens.length || token_range_parse(tokens, &fusing->tokens)) return REGRAFT_OK;
    return fail(&graph->context->diagnostics, REGRAFT_USAGE, parameter_find(graph, "tokens")->values.items[0].position,
                "expected a range of tokens such as 1-256, 64 or 1-");
}

static bool applies(const struct fusing *fusing, const struct rule *rule) {
    return (rule->platforms & fusing->platform) && rule->tokens.least <= fusing->tokens.least &&
           rule->tokens.most >= fusing->tokens.most;
}

static void add_rule(struct fusing *fusing, const struct rule *rule) {
    const struct operation *operation = rule->match.statements.items[rule->anchor].operation;
    void **slot = map_slot(fusing->by_operation, &operation, sizeof operation);
    if (!*slot) *slot = arena_new(fusing->scratch, rule_list);
    vector_push(fusing->scratch, (rule_list *)*slot, rule);
    vector_push(fusing->scratch, &fusing->rules, rule);
}

static regraft_status choose_rules(struct fusing *fusing) {
    struct context *context = fusing->graph->context;
    const struct parameter *named = parameter_find(fusing->graph, "rules");
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
        if (wanted && applies(fusing, rule)) add_rule(fusing, rule);
    }
    return REGRAFT_OK;
}

/* ---- what is recorded ---- */

static struct text source_of(const struct node *node) { return node->location ? node->location->file : TEXT(""); }

static void record(struct graph *graph, struct fusion fusion) {
    for (size_t i = 0; graph->explain_fusions && i < graph->fusions.count;
         i++) { /* what it was in an earlier round does not count any more */
        struct fusion *other = &graph->fusions.items[i];
        if (!text_equal(other->rule, fusion.rule) || !text_equal(other->anchor, fusion.anchor)) continue;
        if (other->outcome != fusion_fired) *other = fusion;
        return;
    }
    vector_push(graph->arena, &graph->fusions, fusion);
}

static void record_failure(struct fusing *fusing, const struct rule *rule, const struct node *anchor,
                           const struct failure *failure) {
    if (!fusing->graph->explain_fusions) return;
    const struct node *node = failure->node ? failure->node : anchor;
    record(fusing->graph, (struct fusion){.rule = rule->name,
                                          .outcome = fusion_failed,
                                          .anchor = anchor->name,
                                          .node = node->name,
                                          .source = source_of(node),
                                          .condition = failure->condition ? failure->condition->text : TEXT(""),
                                          .text = failure->text ? failure->text : "",
                                          .remedy = failure->remedy ? failure->remedy : "",
                                          .progress = failure->progress});
}

static void record_match(struct fusing *fusing, const struct match *match, const struct match *better) {
    const struct node *anchor = match->calls[match->rule->anchor];
    if (better && !fusing->graph->explain_fusions) return;
    const char *text = better ? text_format(fusing->graph->arena, "the rule %.*s, which also matches here, saves more",
                                            TEXT_ARGS(better->rule->name))
                              : "";
    record(fusing->graph, (struct fusion){.rule = match->rule->name,
                                          .outcome = better ? fusion_beaten : fusion_fired,
                                          .anchor = anchor->name,
                                          .node = anchor->name,
                                          .source = source_of(anchor),
                                          .text = text,
                                          .remedy = ""});
}

/* ---- finding ---- */

static regraft_status find_matches(struct fusing *fusing, struct matcher *matcher, match_list *matches) {
    for (struct node *node = fusing->graph->first; node; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        const rule_list *rules = operation ? map_get(fusing->by_operation, &operation, sizeof operation) : NULL;
        for (size_t i = 0; rules && i < rules->count; i++) {
            struct match *match = matcher_try(matcher, rules->items[i], node);
            if (match)
                vector_push(fusing->scratch, matches, match);
            else
                record_failure(fusing, rules->items[i], node, &matcher->failure);
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
    const struct match **owners;  /* whose match takes, moves or replaces the node */
    const struct match **readers; /* an accepted match that rests on the call, which stays */
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

/* A call that stays may be part of several matches, as long as none of them replaces its result. */
static const struct match *owner_of_call(const struct claims *claims, const struct match *match,
                                         const struct node *call) {
    bool exclusive = call_goes(call) || replaces(match, call);
    if (exclusive && claims->readers[call->index]) return claims->readers[call->index];
    return claims->owners[call->index];
}

/* The accepted match that is in the way of this one; NULL: none. */
static const struct match *find_owner(const struct claims *claims, const struct match *match) {
    for (size_t i = 0; i < match->rule->match.statements.count; i++) {
        const struct match *owner = match->calls[i] ? owner_of_call(claims, match, match->calls[i]) : NULL;
        if (owner) return owner;
    }
    for (size_t i = 0; i < match->moved.count; i++)
        if (claims->owners[match->moved.items[i]->index]) return claims->owners[match->moved.items[i]->index];
    return NULL;
}

static void claim(struct claims *claims, const struct match *match) {
    for (size_t i = 0; i < match->rule->match.statements.count; i++) {
        const struct node *call = match->calls[i];
        if (call) (call_goes(call) || replaces(match, call) ? claims->owners : claims->readers)[call->index] = match;
    }
    for (size_t i = 0; i < match->moved.count; i++) claims->owners[match->moved.items[i]->index] = match;
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

static regraft_status apply(struct fusing *fusing, struct matcher *matcher, match_list *matches, bool *any) {
    struct replacing replacing = {.graph = fusing->graph, .scratch = fusing->scratch};
    struct claims claims = {arena_array(fusing->scratch, const struct match *, fusing->graph->node_limit),
                            arena_array(fusing->scratch, const struct match *, fusing->graph->node_limit)};
    *any = false;
    sort_matches(matcher, matches);
    for (size_t i = 0; i < matches->count; i++) {
        struct match *match = matches->items[i];
        bool done;
        const struct match *owner = find_owner(&claims, match);
        if (owner) {
            record_match(fusing, match, owner);
            continue;
        }
        claim(&claims, match);
        const struct node last = *match->last; /* for the remark: the node may be gone then */
        TRY(fuse_replace(&replacing, matcher, match, &done));
        if (!done) continue;
        *any = true;
        record_match(fusing, match, NULL);
        graph_remark(fusing->graph, &last, true, "fused by the rule %.*s", TEXT_ARGS(match->rule->name));
    }
    return REGRAFT_OK;
}

regraft_status pass_fuse(struct graph *graph, struct arena *scratch) {
    struct fusing fusing = {.graph = graph, .scratch = scratch, .by_operation = map_create(scratch)};
    TRY(read_parameters(&fusing));
    TRY(choose_rules(&fusing));
    bool any = true;
    for (size_t round = 0; any && round < most_rounds; round++) {
        struct memory *memory;
        struct matcher matcher;
        match_list matches = {0};
        TRY(memory_of(graph, &memory));
        matcher_init(&matcher, graph, memory, graph->explain_fusions ? graph->arena : scratch);
        matcher.explain = graph->explain_fusions;
        matcher.exact = text_is(parameter_text(graph, "rounding", "any"), "exact");
        TRY(find_matches(&fusing, &matcher, &matches));
        TRY(apply(&fusing, &matcher, &matches, &any));
    }
    return REGRAFT_OK;
}
