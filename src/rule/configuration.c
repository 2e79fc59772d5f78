/* Which rules are on, off or automatic, for which platforms and numbers of tokens. A line of a configuration is
 *
 *     RULE on|off|auto [platform=cpu|cuda|rocm|cuda-alike] [tokens=RANGE]
 *
 * `*` is every rule. Of several lines that fit, the last counts. */
#include "fx/cursor.h"
#include "rule/rule.h"

static const char *const state_names[] = {"auto", "on", "off"};

const char *rule_state_name(enum rule_state state) { return state_names[state]; }

static const char *candidate(const void *table, size_t index) {
    const struct rules *rules = table;
    return index < rules->items.count ? rules->names.items[index] : NULL;
}

regraft_status rules_check_name(struct context *context, struct rules *rules, struct text name,
                                struct position position) {
    if (rules_find(rules, name)) return REGRAFT_OK;
    regraft_status status = fail(&context->diagnostics, REGRAFT_USAGE, position,
                                 "there is no rule '%.*s'; `regraft rules` lists them", TEXT_ARGS(name));
    while (rules->names.count < rules->items.count) {
        const char *next = text_string(context->arena, rules->items.items[rules->names.count]->name);
        vector_push(context->arena, &rules->names, next);
    }
    const char *nearest = text_nearest(name, candidate, rules);
    if (nearest) fail_note(&context->diagnostics, position, "did you mean '%s'?", nearest);
    return status;
}

static void add_called(struct context *context, struct rules *rules, const struct operation *operation) {
    if (!operation) return;
    for (size_t i = 0; i < rules->called.count; i++)
        if (rules->called.items[i] == operation) return;
    vector_push(context->arena, &rules->called, operation);
}

const struct operation *rules_called(struct context *context, struct rules *rules, size_t index) {
    for (; rules->looked_through < rules->items.count; rules->looked_through++) {
        const struct rule *rule = rules->items.items[rules->looked_through];
        for (size_t k = 0; rule->stage == stage_fuse && k < rule->replace.statements.count; k++) {
            const struct operation *called = rule->replace.statements.items[k].operation;
            add_called(context, rules, called);
            if (called) add_called(context, rules, operations_stand_in(context->operations, called));
        }
    }
    return index < rules->called.count ? rules->called.items[index] : NULL;
}

/* ---- lines ---- */

/* Up to the next space, comment or end of the line; "" when there is none. */
static struct text next_word(struct cursor *cursor) {
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    while (cursor->at < cursor->end && !strchr(" \t\r\n#", *cursor->at)) cursor->at++;
    return cursor_since(cursor, start);
}

static regraft_status read_filter(struct cursor *cursor, struct text word, struct rule_setting *setting) {
    if (text_starts_with(word, "platform=")) {
        setting->platforms = platform_parse(text_skip(word, strlen("platform=")));
        if (setting->platforms) return REGRAFT_OK;
        return cursor_fail(cursor, word, "expected platform=cpu, cuda, rocm or cuda-alike");
    }
    if (text_starts_with(word, "tokens=") && token_range_parse(text_skip(word, strlen("tokens=")), &setting->tokens))
        return REGRAFT_OK;
    return cursor_fail(cursor, word, "expected platform=NAME or tokens=RANGE, such as tokens=1-256, found '%.*s'",
                       TEXT_ARGS(word));
}

static regraft_status read_setting(struct context *context, struct cursor *cursor, struct rules *rules,
                                   struct text name) {
    struct rule_setting setting = rule_setting_for(name, rule_auto, cursor_position(cursor, name));
    if (!text_is(name, "*")) TRY(rules_check_name(context, rules, name, setting.position));
    struct text state = next_word(cursor), word;
    size_t found = 0;
    while (found < 3 && !text_is(state, state_names[found])) found++;
    if (found == 3) return cursor_fail(cursor, state, "expected on, off or auto behind the name of a rule");
    setting.state = (enum rule_state)found;
    while ((word = next_word(cursor)).length) TRY(read_filter(cursor, word, &setting));
    vector_push(context->arena, &rules->settings, setting);
    return REGRAFT_OK;
}

regraft_status rules_configure(struct context *context, const struct source *source, struct rules *rules) {
    source = arena_copy(context->arena, source, sizeof *source);
    struct cursor cursor = {context->arena,
                            &context->diagnostics,
                            source,
                            source->contents.data,
                            source->contents.data + source->contents.length,
                            0};
    while (cursor.at < cursor.end) {
        struct text name = next_word(&cursor);
        if (name.length) TRY(read_setting(context, &cursor, rules, name));
        cursor_line(&cursor);
        if (cursor.at < cursor.end) cursor.at++;
    }
    return REGRAFT_OK;
}

/* ---- decisions ---- */

struct rule_setting rule_setting_for(struct text name, enum rule_state state, struct position position) {
    return (struct rule_setting){.rule = name,
                                 .state = state,
                                 .platforms = platform_cpu | platform_cuda | platform_rocm,
                                 .tokens = {1, INT64_MAX},
                                 .position = position};
}

static bool covers(struct token_range outer, struct token_range inner) {
    return outer.least <= inner.least && inner.most <= outer.most;
}

static const struct rule_setting *find_setting(const struct rules *rules, const struct rule *rule, unsigned platform,
                                               struct token_range tokens) {
    for (size_t i = rules->settings.count; i-- > 0;) {
        const struct rule_setting *setting = &rules->settings.items[i];
        bool named = text_equal(setting->rule, rule->name) || text_is(setting->rule, "*");
        if (named && (setting->platforms & platform) && covers(setting->tokens, tokens)) return setting;
    }
    return NULL;
}

static const char *setting_text(struct arena *arena, const struct rule_setting *setting) {
    size_t line, column;
    source_locate(setting->position.source, setting->position.offset, &line, &column);
    return text_format(arena, "%s by %s:%zu", rule_state_name(setting->state), setting->position.source->name, line);
}

struct rule_decision rule_decide(struct arena *arena, const struct rules *rules, const struct rule *rule,
                                 unsigned platform, struct token_range tokens) {
    const struct rule_setting *setting = find_setting(rules, rule, platform, tokens);
    enum rule_state state = setting ? setting->state : rule_auto;
    struct rule_decision decision = {.asked = state == rule_on && !text_is(setting->rule, "*"), .remedy = ""};
    const char *said = setting ? setting_text(arena, setting) : "auto";
    if (state == rule_off) {
        decision.why = said;
        decision.remedy = text_format(arena, "fuse{on=%.*s}", TEXT_ARGS(rule->name));
    } else if (!(rule->platforms & platform)) {
        decision.why = text_format(arena, "%s; the kernel is for %s, and this is %s", said,
                                   platforms_text(arena, rule->platforms), platforms_text(arena, platform));
        decision.remedy =
            text_format(arena, "a graph for %s; platform= says for what it is", platforms_text(arena, rule->platforms));
    } else if (state == rule_auto && !covers(rule->tokens, tokens)) {
        decision.why = text_format(arena, "%s; it pays for %s tokens, and the graph is for %s", said,
                                   token_range_text(arena, rule->tokens), token_range_text(arena, tokens));
        decision.remedy = text_format(arena, "tokens=%s, or fuse{on=%.*s} for any number",
                                      token_range_text(arena, rule->tokens), TEXT_ARGS(rule->name));
    } else {
        decision.runs = true;
        decision.why = said;
    }
    return decision;
}
