/* fuse: puts the replacements of rules in the place of what they match (docs/rules.md).
 *
 * Needs the canonical form that the default pipeline gives: v1 calls of functionalised operations, reads that were
 * forwarded. All matches are found first, on the graph as it is; where two overlap, the one that saves more is taken. What
 * new matches that makes possible is found in the next round. */
#include "pass/fuse.h"

#include "ir/effect.h"
#include "pass/parameter.h"
#include "rule/condition.h"
#include "rule/matching.h"

typedef VECTOR(struct match *) match_list;

enum {
    most_rounds = 16,
    most_reasons = 4,
    most_rivals = 16,
    all_found = 1 << 20 /* as the progress of a failure: the whole match */
};

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
    struct text raised = parameter_text(graph, "raised", "all");
    fusing->raised = text_is(raised, "none") ? raises_none : text_is(raised, "used") ? raises_used : raises_all;
    fusing->platform = platform.length ? platform_parse(platform) : platform_of(graph);
    fusing->tokens = (struct token_range){1, INT64_MAX};
    if (!tokens.length || token_range_parse(tokens, &fusing->tokens)) return REGRAFT_OK;
    return fail(&graph->context->diagnostics, REGRAFT_USAGE, parameter_find(graph, "tokens")->values.items[0].position,
                "expected a range of tokens such as 1-256, 64 or 1-");
}

/* One operation for all spellings. */
static const struct operation *form_of(const struct fusing *fusing, const struct operation *operation) {
    enum operation_id form = operation_form(operation);
    return form == operation->id ? operation : operations_by_id(fusing->graph->context->operations, form);
}

static void add_rule(struct fusing *fusing, const struct rule *rule) {
    const struct operation *operation = form_of(fusing, rule->match.statements.items[rule->anchor].operation);
    void **slot = map_slot(fusing->by_operation[rule->stage], &operation, sizeof operation);
    if (!*slot) *slot = arena_new(fusing->scratch, rule_list);
    vector_push(fusing->scratch, (rule_list *)*slot, rule);
    vector_push(fusing->scratch, &fusing->rules[rule->stage], rule);
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

static const struct operation *anchor_of(const struct rule *rule) {
    return rule->match.statements.items[rule->anchor].operation;
}

/* More than the first call was found; or it is the write of a cache, which a user looks for. */
static bool is_near(const struct rule *rule, const struct failure *failure) {
    return (failure->progress > 1 && failure->progress * 2 > rule->calls) ||
           anchor_of(rule)->effect == effect_writes_state;
}

/* Where only that is raised which gets fused, a miss of what raises is one of the fusion. */
static bool explains(const struct fusing *fusing, enum rule_stage stage) {
    return fusing->explain && (stage == stage_fuse || fusing->raised == raises_all);
}

static void record_failure(struct fusing *fusing, const struct rule *rule, const struct node *anchor,
                           const struct failure *failure) {
    if (!explains(fusing, rule->stage)) return;
    const struct node *node = failure->node ? failure->node : anchor;
    record(fusing->graph, (struct fusion){.rule = rule->name,
                                          .outcome = fusion_failed,
                                          .anchor = anchor->name,
                                          .node = node->name,
                                          .source = source_of(node),
                                          .condition = failure->condition ? failure->condition->text : TEXT(""),
                                          .text = failure->text ? failure->text : "",
                                          .remedy = failure->remedy ? failure->remedy : "",
                                          .near = is_near(rule, failure)});
}

/* "vllm.fused_rope_and_unified_kv_cache_update.default": what the rule calls, of that which nothing else stands for. */
static const char *called_text(struct graph *graph, const struct rule *rule) {
    struct builder out;
    builder_init(&out, graph->arena);
    for (size_t i = 0; i < rule->replace.statements.count; i++) {
        const struct operation *operation = rule->replace.statements.items[i].operation;
        if (!operation || operation->class == class_view) continue;
        const struct operation *available = operations_available(graph->context->operations, operation);
        if (available) operation = available;
        builder_format(&out, "%s%.*s", out.length ? ", " : "", TEXT_ARGS(operation->target));
    }
    return out.data;
}

/* `also`: another match, with which `better` saves more than this one; or NULL. */
static void record_match(struct fusing *fusing, const struct match *match, const struct match *better,
                         const struct match *also) {
    const struct node *anchor = match->calls[match->rule->anchor];
    for (size_t i = 0; !better && i < match->rule->match.statements.count; i++)
        if (match->calls[i]) *map_slot_text(fusing->taken, match->calls[i]->name) = fusing;
    if (better && !fusing->explain) return;
    const char *text =
        !better ? called_text(fusing->graph, match->rule)
        : also ? text_format(fusing->graph->arena, "the rules %.*s and %.*s, which also match here, save more together",
                             TEXT_ARGS(better->rule->name), TEXT_ARGS(also->rule->name))
               : text_format(fusing->graph->arena, "the rule %.*s, which also matches here, saves more",
                             TEXT_ARGS(better->rule->name));
    const char *remedy = better ? text_format(fusing->graph->arena, "fuse{off=%.*s}, if this one is wanted",
                                              TEXT_ARGS(better->rule->name))
                                : "";
    record(fusing->graph, (struct fusion){.rule = match->rule->name,
                                          .outcome = better ? fusion_beaten : fusion_fired,
                                          .near = true,
                                          .anchor = anchor->name,
                                          .node = anchor->name,
                                          .source = source_of(anchor),
                                          .text = text,
                                          .remedy = remedy});
}

/* ---- which rules ---- */

/* `on=NAME,...` and `off=NAME,...` of the pipeline go before what a configuration says. */
static regraft_status read_states(struct fusing *fusing, struct rules *rules, const char *name, enum rule_state state) {
    struct context *context = fusing->graph->context;
    const struct parameter *parameter = parameter_find(fusing->graph, name);
    for (size_t i = 0; parameter && i < parameter->values.count; i++) {
        const struct parameter_value *value = &parameter->values.items[i];
        TRY(rules_check_name(context, rules, value->text, value->position));
        vector_push(context->arena, &rules->settings, rule_setting_for(value->text, state, value->position));
    }
    return REGRAFT_OK;
}

/* The first operation that the rule calls and that is not available; NULL: all are. What is raised may be missing: it is
 * only there for others to match. */
static const struct operation *find_unavailable(const struct fusing *fusing, const struct rule *rule) {
    for (size_t i = 0; rule->stage == stage_fuse && i < rule->replace.statements.count; i++) {
        const struct operation *operation = rule->replace.statements.items[i].operation;
        if (operation && !operations_available(fusing->graph->context->operations, operation)) return operation;
    }
    return NULL;
}

static bool is_named(const struct parameter *parameter, struct text name) {
    for (size_t i = 0; parameter && i < parameter->values.count; i++)
        if (text_equal(parameter->values.items[i].text, name)) return true;
    return false;
}

/* Rules that do not run are recorded with the reason. */
static void choose_rule(struct fusing *fusing, const struct rules *rules, const struct rule *rule,
                        const struct parameter *named) {
    struct graph *graph = fusing->graph;
    struct rule_decision decision = rule_decide(graph->arena, rules, rule, fusing->platform, fusing->tokens);
    bool asked = is_named(named, rule->name) || decision.asked;
    if ((named && !is_named(named, rule->name)) || (rule->stage == stage_raise && fusing->raised == raises_none))
        return;
    if (asked) vector_push(fusing->scratch, &fusing->asked, rule);
    if (decision.runs && find_unavailable(fusing, rule))
        vector_push(fusing->scratch, &fusing->unavailable, rule);
    else if (decision.runs)
        add_rule(fusing, rule);
    else if (graph->explain_fusions || asked)
        record(graph, (struct fusion){
                          .rule = rule->name, .outcome = fusion_off, .text = decision.why, .remedy = decision.remedy});
}

static regraft_status choose_rules(struct fusing *fusing) {
    const struct parameter *named = parameter_find(fusing->graph, "rules");
    struct rules *rules;
    TRY(rules_of(fusing->graph->context, &rules));
    size_t settings = rules->settings.count;
    for (size_t i = 0; named && i < named->values.count; i++)
        TRY(rules_check_name(fusing->graph->context, rules, named->values.items[i].text,
                             named->values.items[i].position));
    TRY(read_states(fusing, rules, "on", rule_on));
    TRY(read_states(fusing, rules, "off", rule_off));
    for (size_t i = 0; i < rules->items.count; i++) choose_rule(fusing, rules, rules->items.items[i], named);
    rules->settings.count = settings; /* those of the pipeline are for this run */
    return REGRAFT_OK;
}

/* A rule that was asked for by name and fires nowhere is a warning, with its reasons. */
static void warn(struct fusing *fusing, const struct rule *rule) {
    struct graph *graph = fusing->graph;
    struct builder out;
    size_t reasons = 0;
    builder_init(&out, graph->arena);
    builder_format(&out, "the rule %.*s was asked for and fired nowhere", TEXT_ARGS(rule->name));
    for (size_t i = 0; i < graph->fusions.count; i++) {
        const struct fusion *fusion = &graph->fusions.items[i];
        if (!text_equal(fusion->rule, rule->name)) continue;
        if (fusion->outcome == fusion_fired) return;
        if (reasons++ == most_reasons) break;
        builder_string(&out, reasons == 1 ? ": " : "; ");
        if (fusion->anchor.length) builder_format(&out, "at %.*s: ", TEXT_ARGS(fusion->anchor));
        builder_string(&out, fusion->text);
    }
    if (!reasons)
        builder_format(&out, ": the graph has no call of %.*s",
                       TEXT_ARGS(rule->match.statements.items[rule->anchor].operation->target));
    vector_push(graph->arena, &graph->warnings, out.data);
}

static bool has_operation(const struct graph *graph, const struct operation *operation) {
    for (const struct node *node = graph->first; node; node = node->next)
        if (node_called_operation(node) == operation) return true;
    return false;
}

/* What the rule looks for that cannot be spelled otherwise and that the graph does not call; NULL: nothing. */
static const struct operation *find_lacking(const struct graph *graph, const struct rule *rule) {
    for (size_t i = 0; i < rule->match.statements.count; i++) {
        const struct operation *operation = rule->match.statements.items[i].operation;
        if (operation && operation_writes(operation) && !has_operation(graph, operation)) return operation;
    }
    return NULL;
}

/* Why neither the operation nor what would stand in for it may be called. */
static const char *unavailable_text(const struct fusing *fusing, const struct operation *operation) {
    const struct operation *other = operations_stand_in(fusing->graph->context->operations, operation);
    if (!other) return operation->unavailable;
    return text_format(fusing->graph->arena, "%s; %s", operation->unavailable, other->unavailable);
}

static void explain_unavailable_at(struct fusing *fusing, const struct rule *rule, const struct node *anchor,
                                   const struct operation *lacking) {
    const char *text = unavailable_text(fusing, find_unavailable(fusing, rule));
    if (lacking)
        text = text_format(fusing->graph->arena, "the graph has no call of %s; and %s", lacking->target.data, text);
    const struct failure failure = {.text = text,
                                    .remedy = "an operation that is registered, with a kernel for what is there",
                                    .progress = all_found};
    record_failure(fusing, rule, anchor, &failure);
}

static bool begins_at(const struct rule *rule, const struct node *node) {
    const struct operation *called = node_called_operation(node);
    return called && is_spelling(anchor_of(rule), called);
}

static bool is_explained(const struct graph *graph, const struct node *anchor) {
    for (size_t i = 0; i < graph->fusions.count; i++)
        if (text_equal(graph->fusions.items[i].anchor, anchor->name)) return true;
    return false;
}

/* The write of a cache that no other rule says anything about: the simplest rule that would begin there. */
static void explain_lacking(struct fusing *fusing, const struct node *node) {
    const struct rule *simplest = NULL;
    for (size_t i = 0; i < fusing->unavailable.count; i++) {
        const struct rule *rule = fusing->unavailable.items[i];
        if (anchor_of(rule)->effect == effect_writes_state && begins_at(rule, node) &&
            (!simplest || rule->calls < simplest->calls))
            simplest = rule;
    }
    if (simplest && !is_explained(fusing->graph, node))
        explain_unavailable_at(fusing, simplest, node, find_lacking(fusing->graph, simplest));
}

/* Every place where the search for such a rule would begin is a miss. */
static void explain_unavailable(struct fusing *fusing) {
    for (size_t i = 0; i < fusing->unavailable.count; i++) {
        const struct rule *rule = fusing->unavailable.items[i];
        bool all = !find_lacking(fusing->graph, rule);
        for (struct node *node = fusing->graph->first; node && all; node = node->next)
            if (begins_at(rule, node)) explain_unavailable_at(fusing, rule, node, NULL);
    }
    for (struct node *node = fusing->graph->first; fusing->unavailable.count && node; node = node->next)
        if (node_called_operation(node)) explain_lacking(fusing, node);
}

/* ---- finding ---- */

/* A call whose kernel is known to break its contract stays as it is: what it gives is what the program is used to. */
static bool is_kept(struct matcher *matcher, const struct match *match) {
    for (size_t i = 0; i < match->rule->match.statements.count; i++) {
        const struct node *call = match->calls[i];
        const struct operation *operation = call ? node_called_operation(call) : NULL;
        if (!operation || !operation->copied) continue;
        matcher->failure = (struct failure){.node = call,
                                            .text = operation->copied,
                                            .remedy = "a kernel that keeps to its schema",
                                            .progress = all_found};
        return true;
    }
    return false;
}

static regraft_status find_matches(struct fusing *fusing, enum rule_stage stage, struct matcher *matcher,
                                   match_list *matches) {
    for (struct node *node = fusing->graph->first; node; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        if (operation) operation = form_of(fusing, operation);
        const rule_list *rules = operation ? map_get(fusing->by_operation[stage], &operation, sizeof operation) : NULL;
        for (size_t i = 0; rules && i < rules->count; i++) {
            if (stage == stage_raise && fuse_is_useless(fusing, rules->items[i], node->name)) continue;
            struct match *match = matcher_try(matcher, rules->items[i], node);
            if (match && !is_kept(matcher, match))
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
static void sort_matches(struct fusing *fusing, struct matcher *matcher, struct match **matches, size_t count) {
    size_t half = count / 2, left = 0, right = half;
    if (count < 2) return;
    sort_matches(fusing, matcher, matches, half);
    sort_matches(fusing, matcher, matches + half, count - half);
    struct match **sorted = arena_array(fusing->scratch, struct match *, count);
    for (size_t i = 0; i < count; i++) {
        bool take_right = left == half || (right < count && better(matcher, matches[right], matches[left]));
        sorted[i] = matches[take_right ? right++ : left++];
    }
    memcpy(matches, sorted, count * sizeof *matches);
}

/* ---- two that save more than one ---- */

/* Which matches have a call, by the node's index, in the order of the sorted matches. */
struct rivals {
    match_list *by_node;
};

static struct rivals list_rivals(const struct fusing *fusing, const match_list *matches) {
    struct rivals rivals = {arena_array(fusing->scratch, match_list, fusing->graph->node_limit)};
    for (size_t i = 0; i < matches->count; i++)
        for (size_t k = 0; k < matches->items[i]->rule->match.statements.count; k++) {
            const struct node *call = matches->items[i]->calls[k];
            if (call) vector_push(fusing->scratch, &rivals.by_node[call->index], matches->items[i]);
        }
    return rivals;
}

/* Whether only one of the two can be done. */
static bool exclude_each_other(const struct match *a, const struct match *b) {
    for (size_t i = 0; i < a->rule->match.statements.count; i++) {
        const struct node *call = a->calls[i];
        if (call && match_has_call(b, call) && (call_goes(call) || replaces(a, call) || replaces(b, call))) return true;
    }
    for (size_t i = 0; i < a->moved.count; i++)
        if (match_has_call(b, a->moved.items[i])) return true;
    for (size_t i = 0; i < b->moved.count; i++)
        if (match_has_call(a, b->moved.items[i])) return true;
    return false;
}

struct pair {
    const struct match *first, *second; /* NULL: there are none */
};

/* Two smaller matches that are both in the way of this one, not of each other, and save more together: a rotation and the
 * norm behind it, against the norm with the rotation's last addition as its residual. */
static struct pair find_pair(const struct rivals *rivals, const struct claims *claims, const struct match *match) {
    const struct match *found[most_rivals];
    size_t count = 0;
    for (size_t i = 0; i < match->rule->match.statements.count; i++) {
        const struct node *call = match->calls[i];
        const match_list *others = call ? &rivals->by_node[call->index] : NULL;
        for (size_t k = 0; others && k < others->count; k++) {
            const struct match *other = others->items[k];
            bool known = other == match || other->rule->launches >= match->rule->launches || count == most_rivals;
            for (size_t f = 0; f < count; f++) known = known || found[f] == other;
            if (!known && exclude_each_other(match, other) && !find_owner(claims, other)) found[count++] = other;
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (found[i]->rule->launches + found[k]->rule->launches > match->rule->launches &&
                !exclude_each_other(found[i], found[k]))
                return (struct pair){found[i], found[k]};
    return (struct pair){NULL, NULL};
}

static regraft_status apply(struct fusing *fusing, struct matcher *matcher, match_list *matches, bool *any) {
    struct replacing replacing = {.graph = fusing->graph, .scratch = fusing->scratch};
    struct claims claims = {arena_array(fusing->scratch, const struct match *, fusing->graph->node_limit),
                            arena_array(fusing->scratch, const struct match *, fusing->graph->node_limit)};
    *any = false;
    sort_matches(fusing, matcher, matches->items, matches->count);
    struct rivals rivals = list_rivals(fusing, matches);
    for (size_t i = 0; i < matches->count; i++) {
        struct match *match = matches->items[i];
        const char *refused;
        const struct match *owner = find_owner(&claims, match);
        if (owner) {
            record_match(fusing, match, owner, NULL);
            continue;
        }
        struct pair pair = find_pair(&rivals, &claims, match);
        if (pair.second) {
            record_match(fusing, match, pair.first, pair.second);
            continue;
        }
        claim(&claims, match);
        const struct node last = *match->last; /* for the remark: the node may be gone then */
        struct raise raise = {match->rule, match->calls[match->rule->anchor]->name, fusing->graph->node_limit, 0};
        TRY(fuse_replace(&replacing, matcher, match, &refused));
        if (refused) {
            const struct failure failure = {
                .node = match->last,
                .text = refused,
                .remedy = "what is replaced contiguous and of the replacement's type, or nobody who gets its strides "
                          "(the caller, as_strided, an unknown operation)",
                .progress = all_found};
            record_failure(fusing, match->rule, match->calls[match->rule->anchor], &failure);
            continue;
        }
        *any = true;
        raise.limit = fusing->graph->node_limit;
        if (match->rule->stage == stage_raise) vector_push(fusing->scratch, &fusing->raises, raise);
        record_match(fusing, match, NULL, NULL);
        graph_remark(fusing->graph, &last, true, "fused by the rule %.*s", TEXT_ARGS(match->rule->name));
    }
    return REGRAFT_OK;
}

/* ---- graphs that were cut ---- */

/* Whether the value, or a view of it, is returned by the graph. */
static bool is_returned(const struct node *value) {
    for (const struct value *use = value->users; use; use = use->use.next) {
        const struct node *user = use->use.user;
        bool view = node_has_class(user, class_view);
        if (user->kind == node_output) return true;
        if ((view || user->kind == node_getitem || user->kind == node_rename) && is_returned(user)) return true;
    }
    return false;
}

/* The rule needs an operation that the graph has nowhere, and here is another of its operations, whose result is returned:
 * the one that is missing stands in another piece. */
static void explain_cut(struct fusing *fusing, const struct rule *rule, const struct operation *missing) {
    for (struct node *node = fusing->graph->first; node; node = node->next) {
        const struct operation *called = node_called_operation(node);
        bool found = false;
        for (size_t i = 0; called && i < rule->match.statements.count; i++)
            found = found || rule->match.statements.items[i].operation == called;
        if (!found || !operation_writes(called) || !is_returned(node)) continue;
        record(fusing->graph,
               (struct fusion){
                   .rule = rule->name,
                   .outcome = fusion_failed,
                   .anchor = node->name,
                   .node = node->name,
                   .source = source_of(node),
                   .text = text_format(fusing->graph->arena,
                                       "the graph was cut there: it returns what %.*s gives, and %.*s is not in it",
                                       TEXT_ARGS(node->name), TEXT_ARGS(missing->target)),
                   .remedy = "both in one graph: vLLM's use_inductor_graph_partition, or splitting_ops without "
                             "the cache write",
                   .near = true});
    }
}

static void explain_cuts(struct fusing *fusing) {
    for (size_t stage = 0; stage < stage_count; stage++)
        for (size_t i = 0; i < fusing->rules[stage].count; i++) {
            const struct rule *rule = fusing->rules[stage].items[i];
            const struct operation *missing = rule->match.statements.items[rule->anchor].operation;
            if (missing->effect == effect_writes_state && !has_operation(fusing->graph, missing))
                explain_cut(fusing, rule, missing);
        }
}

/* Failures of rules that would have raised what another rule has raised. */
static void mark_elsewhere(const struct fusing *fusing) {
    for (size_t i = 0; i < fusing->graph->fusions.count; i++) {
        struct fusion *fusion = &fusing->graph->fusions.items[i];
        bool failed = fusion->outcome == fusion_failed || fusion->outcome == fusion_beaten;
        fusion->elsewhere = failed && map_get_text(fusing->taken, fusion->anchor);
    }
}

/* All that one stage finds, and what that brings about. */
static regraft_status run_stage(struct fusing *fusing, enum rule_stage stage) {
    struct graph *graph = fusing->graph;
    bool any = fusing->rules[stage].count > 0;
    uint32_t old = graph->node_limit;
    for (size_t round = 0; any && round < most_rounds; round++) {
        struct memory *memory;
        struct matcher matcher;
        match_list matches = {0};
        TRY(memory_of(graph, &memory));
        matcher_init(&matcher, graph, memory, fusing->explain ? graph->arena : fusing->scratch);
        matcher.explain = explains(fusing, stage);
        matcher.exact = text_is(parameter_text(graph, "rounding", "any"), "exact");
        TRY(find_matches(fusing, stage, &matcher, &matches));
        TRY(apply(fusing, &matcher, &matches, &any));
        if (any && stage == stage_raise) TRY(merge_equal(graph, fusing->scratch, old)); /* cosines of q and of k */
    }
    return REGRAFT_OK;
}

regraft_status fuse_run_stages(struct fusing *fusing) {
    TRY(run_stage(fusing, stage_raise));
    mark_elsewhere(fusing);
    return run_stage(fusing, stage_fuse);
}

regraft_status pass_fuse(struct graph *graph, struct arena *scratch) {
    struct fusing fusing = {
        .graph = graph, .scratch = scratch, .taken = map_create(scratch), .useless = map_create(scratch)};
    for (size_t i = 0; i < stage_count; i++) fusing.by_operation[i] = map_create(scratch);
    TRY(read_parameters(&fusing));
    TRY(choose_rules(&fusing));
    fusing.explain = graph->explain_fusions || fusing.asked.count;
    if (fusing.raised == raises_used) TRY(fuse_find_useless_raises(&fusing));
    TRY(fuse_run_stages(&fusing));
    if (fusing.explain) explain_cuts(&fusing);
    if (fusing.explain) explain_unavailable(&fusing);
    for (size_t i = 0; i < fusing.asked.count; i++) warn(&fusing, fusing.asked.items[i]);
    return REGRAFT_OK;
}
