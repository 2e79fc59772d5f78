/* Raising only what gets fused: an operation that was raised and not fused would be one that nobody may call, or that is slower
 * than what it stands for. Which that is shows on a copy of the graph, before the graph itself is touched. */
#include "ir/infer.h"
#include "pass/fuse.h"
#include "rule/matching.h"

enum { most_trials = 8 };

static void **slot(const struct fusing *fusing, const struct rule *rule, struct text anchor) {
    const char *key = text_format(fusing->scratch, "%.*s %.*s", TEXT_ARGS(rule->name), TEXT_ARGS(anchor));
    return map_slot_text(fusing->useless, text_of(key));
}

bool fuse_is_useless(const struct fusing *fusing, const struct rule *rule, struct text anchor) {
    return *slot(fusing, rule, TEXT("")) || *slot(fusing, rule, anchor);
}

static void drop(struct fusing *fusing, const struct rule *rule, struct text anchor) {
    *slot(fusing, rule, anchor) = fusing;
}

/* ---- by the rules alone ---- */

static bool mentions(const struct rule_graph *graph, const struct operation *operation) {
    for (size_t i = 0; i < graph->statements.count; i++)
        if (graph->statements.items[i].operation && is_spelling(graph->statements.items[i].operation, operation))
            return true;
    return false;
}

/* Whether the graph has calls of the operation, or a rule could make one. */
static bool may_be_there(const struct fusing *fusing, const struct operation *operation) {
    for (size_t i = 0; i < fusing->rules[stage_raise].count; i++)
        if (mentions(&fusing->rules[stage_raise].items[i]->replace, operation)) return true;
    for (const struct node *node = fusing->graph->first; node; node = node->next)
        if (node_called_operation(node) && is_spelling(operation, node_called_operation(node))) return true;
    return false;
}

static bool makes_part_of(const struct rule *raising, const struct rule *rule) {
    for (size_t i = 0; i < raising->replace.statements.count; i++) {
        const struct operation *operation = raising->replace.statements.items[i].operation;
        if (operation && operation->class != class_view && mentions(&rule->match, operation)) return true;
    }
    return false;
}

static bool has(const rule_list *list, const struct rule *rule) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == rule) return true;
    return false;
}

/* Rules that make no part of what a rule that may fire here looks for. How many are left. */
static size_t drop_rules(struct fusing *fusing) {
    size_t left = 0;
    rule_list useful = {0};
    const rule_list *fusions = &fusing->rules[stage_fuse], *raising = &fusing->rules[stage_raise];
    for (size_t i = 0; i < fusions->count; i++) {
        const struct rule *rule = fusions->items[i];
        if (may_be_there(fusing, rule->match.statements.items[rule->anchor].operation))
            vector_push(fusing->scratch, &useful, rule);
    }
    for (size_t i = 0; i < useful.count; i++)
        for (size_t k = 0; k < raising->count; k++)
            if (makes_part_of(raising->items[k], useful.items[i]) && !has(&useful, raising->items[k]))
                vector_push(fusing->scratch, &useful, raising->items[k]);
    for (size_t i = 0; i < raising->count; i++)
        if (has(&useful, raising->items[i]))
            left++;
        else
            drop(fusing, raising->items[i], TEXT(""));
    return left;
}

/* ---- by trying ---- */

static bool is_left(const struct graph *graph, const struct raise *raise) {
    for (const struct node *node = graph->first; node; node = node->next) {
        if (node->index < raise->first || node->index >= raise->limit) continue;
        const struct operation *operation = node_called_operation(node);
        bool made = operation && mentions(&raise->rule->replace, operation);
        if (made && !text_starts_with(operation->target, "aten.") && !text_starts_with(operation->target, "prims."))
            return true;
    }
    return false;
}

/* Raises and fuses on a copy. *count is the number of rules that fired for nothing, which are noted. */
static regraft_status try_once(struct fusing *fusing, size_t *count) {
    struct fusing trial = *fusing;
    *count = 0;
    trial.graph = graph_copy(fusing->graph);
    trial.graph->pass = fusing->graph->pass;
    trial.graph->parameters = fusing->graph->parameters;
    trial.taken = map_create(fusing->scratch);
    trial.explain = false;
    TRY(infer_graph(trial.graph));
    TRY(fuse_run_stages(&trial));
    for (size_t i = 0; i < trial.raises.count; i++) {
        const struct raise *raise = &trial.raises.items[i];
        if (!is_left(trial.graph, raise)) continue;
        drop(fusing, raise->rule, raise->anchor);
        ++*count;
    }
    return REGRAFT_OK;
}

regraft_status fuse_find_useless_raises(struct fusing *fusing) {
    size_t count = drop_rules(fusing);
    for (size_t i = 0; count && i < most_trials; i++) TRY(try_once(fusing, &count));
    for (size_t i = 0; count && i < fusing->rules[stage_raise].count; i++)
        drop(fusing, fusing->rules[stage_raise].items[i], TEXT(""));
    return REGRAFT_OK;
}
