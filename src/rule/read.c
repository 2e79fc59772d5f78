/* Rule files: `rule NAME`, then sections. One line is one declaration, statement or condition. */
#include "rule/builtin.h"
#include "rule/reading.h"

/* ---- words of the header ---- */

static const struct {
    const char *name;
    unsigned platforms;
} platform_names[] = {{"cpu", platform_cpu},
                      {"cuda", platform_cuda},
                      {"rocm", platform_rocm},
                      {"cuda-alike", platform_cuda | platform_rocm}};

unsigned platform_parse(struct text name) {
    for (size_t i = 0; i < sizeof platform_names / sizeof *platform_names; i++)
        if (text_is(name, platform_names[i].name)) return platform_names[i].platforms;
    return 0;
}

const char *platforms_text(struct arena *arena, unsigned platforms) {
    struct builder out;
    builder_init(&out, arena);
    bool both = (platforms & (platform_cuda | platform_rocm)) == (platform_cuda | platform_rocm);
    for (size_t i = 0; i < sizeof platform_names / sizeof *platform_names; i++) {
        unsigned named = platform_names[i].platforms;
        bool alike = named == (platform_cuda | platform_rocm);
        if ((platforms & named) != named || (both && !alike && named != platform_cpu)) continue;
        if (out.length) builder_string(&out, ", ");
        builder_string(&out, platform_names[i].name);
    }
    return out.length ? out.data : "none";
}

static size_t read_digits(struct text text, int64_t *number) {
    size_t at = 0;
    *number = 0;
    while (at < text.length && text.data[at] >= '0' && text.data[at] <= '9') {
        if (__builtin_mul_overflow(*number, 10, number) || __builtin_add_overflow(*number, text.data[at] - '0', number))
            return 0;
        at++;
    }
    return at;
}

bool token_range_parse(struct text text, struct token_range *range) {
    size_t digits = read_digits(text, &range->least);
    if (!digits || range->least < 1) return false;
    text = text_skip(text, digits);
    range->most = range->least;
    if (!text.length) return true;
    if (text.data[0] != '-') return false;
    text = text_skip(text, 1);
    range->most = INT64_MAX;
    if (!text.length) return true;
    digits = read_digits(text, &range->most);
    return digits == text.length && range->most >= range->least;
}

const char *token_range_text(struct arena *arena, struct token_range range) {
    if (range.most == INT64_MAX) return text_format(arena, "%lld-", (long long)range.least);
    if (range.most == range.least) return text_format(arena, "%lld", (long long)range.least);
    return text_format(arena, "%lld-%lld", (long long)range.least, (long long)range.most);
}

/* ---- header lines ---- */

/* What is left of the line but for a comment, without space around it. */
static struct text rest_of_line(struct cursor *cursor) {
    cursor_skip_space(cursor);
    struct text line = cursor_line(cursor);
    const char *comment = line.length ? memchr(line.data, '#', line.length) : NULL;
    if (comment) line.length = (size_t)(comment - line.data);
    while (line.length && strchr(" \t\r", line.data[line.length - 1])) line.length--;
    return line;
}

static struct text next_item(struct text *rest) {
    const char *comma = memchr(rest->data, ',', rest->length);
    struct text item = {rest->data, comma ? (size_t)(comma - rest->data) : rest->length};
    *rest = text_skip(*rest, item.length + 1);
    while (item.length && byte_is_space(*item.data)) item = text_skip(item, 1);
    while (item.length && byte_is_space(item.data[item.length - 1])) item.length--;
    return item;
}

static regraft_status read_summary(struct rule_reader *reader) {
    reader->rule->summary = rest_of_line(rule_cursor(reader));
    return REGRAFT_OK;
}

static regraft_status read_platforms(struct rule_reader *reader) {
    struct text rest = rest_of_line(rule_cursor(reader));
    reader->rule->platforms = 0;
    if (!rest.length) return cursor_expected(rule_cursor(reader), "platforms: cpu, cuda, rocm, cuda-alike");
    while (rest.length) {
        struct text item = next_item(&rest);
        unsigned platforms = platform_parse(item);
        if (!platforms)
            return cursor_fail(rule_cursor(reader), item,
                               "'%.*s' is no platform; there are cpu, cuda, rocm, and cuda-alike for the last two",
                               TEXT_ARGS(item));
        reader->rule->platforms |= platforms;
    }
    return REGRAFT_OK;
}

static regraft_status read_stage(struct rule_reader *reader) {
    struct text rest = rest_of_line(rule_cursor(reader));
    reader->rule->stage = text_is(rest, "raise") ? stage_raise : stage_fuse;
    if (text_is(rest, "raise") || text_is(rest, "fuse")) return REGRAFT_OK;
    return cursor_fail(rule_cursor(reader), rest, "expected raise or fuse");
}

static regraft_status read_tokens(struct rule_reader *reader) {
    struct text rest = rest_of_line(rule_cursor(reader));
    if (token_range_parse(rest, &reader->rule->tokens)) return REGRAFT_OK;
    return cursor_fail(rule_cursor(reader), rest, "expected a range of tokens such as 1-256, 64 or 1-");
}

/* `saves: 1 launch, 2*tokens*rope*bytes(T) bytes` */
static regraft_status read_saves(struct rule_reader *reader) {
    struct cursor *cursor = rule_cursor(reader);
    struct expression *expression = arena_new(reader->fx.context->arena, struct expression);
    TRY(read_integer_expression(reader, expression));
    cursor_skip_space(cursor);
    if (cursor_accept_word(cursor, "launch") || cursor_accept_word(cursor, "launches")) {
        if (expression->kind != expression_integer || !symint_is_constant(expression->integer, &reader->rule->launches))
            return cursor_fail(cursor, expression->text, "expected a number of launches");
        if (!cursor_accept(cursor, ',')) return REGRAFT_OK;
        expression = arena_new(reader->fx.context->arena, struct expression);
        TRY(read_integer_expression(reader, expression));
        cursor_skip_space(cursor);
    }
    if (!cursor_accept_word(cursor, "bytes"))
        return cursor_expected(cursor, "'launches' or 'bytes' behind what the rule saves");
    reader->rule->bytes = expression;
    return REGRAFT_OK;
}

/* ---- blocks ---- */

enum block { block_none, block_values, block_match, block_where, block_rounding, block_kernel, block_replace };

static regraft_status begin_values(struct rule_reader *reader) {
    (void)reader;
    return REGRAFT_OK;
}

static regraft_status begin_match(struct rule_reader *reader) { return start_graph(reader, &reader->rule->match); }
static regraft_status begin_replace(struct rule_reader *reader) { return start_graph(reader, &reader->rule->replace); }

/* In the order in which they must stand; a bit in `sections` each. */
static const struct section {
    const char *name;
    regraft_status (*begin)(struct rule_reader *reader);
    enum block block; /* none: all on one line */
    bool optional;
} sections[] = {
    {"summary", read_summary, block_none, false},     {"stage", read_stage, block_none, true},
    {"platforms", read_platforms, block_none, true},  {"tokens", read_tokens, block_none, true},
    {"values", begin_values, block_values, false},    {"saves", read_saves, block_none, true},
    {"match", begin_match, block_match, false},       {"where", begin_values, block_where, true},
    {"rounding", begin_values, block_rounding, true}, {"kernel", begin_values, block_kernel, true},
    {"replace", begin_replace, block_replace, false},
};
enum { section_count = sizeof sections / sizeof *sections };

static regraft_status read_block_line(struct rule_reader *reader, enum block block) {
    switch (block) {
    case block_values:
        return read_value_line(reader);
    case block_match:
        return read_statement_line(reader, &reader->rule->match);
    case block_replace:
        return read_statement_line(reader, &reader->rule->replace);
    case block_where:
    case block_kernel:
        return read_condition_line(reader, block == block_kernel);
    case block_rounding:
        TRY(read_condition_line(reader, false));
        reader->rule->conditions.items[reader->rule->conditions.count - 1].rounding = true;
        return REGRAFT_OK;
    default:
        return cursor_expected(rule_cursor(reader),
                               "a section: summary, stage, platforms, tokens, values, saves, match, where, "
                               "rounding, kernel or replace, with a colon");
    }
}

/* The section whose heading is next, behind its colon; section_count: none is. */
static size_t accept_heading(struct cursor *cursor) {
    for (size_t i = 0; i < section_count; i++) {
        struct cursor probe = *cursor;
        if (cursor_accept_word(&probe, sections[i].name) && cursor_accept(&probe, ':')) {
            cursor->at = probe.at;
            return i;
        }
    }
    return section_count;
}

/* Sections stand in the order of the table, each at most once, none missing in front of it. */
static regraft_status check_order(struct rule_reader *reader, size_t section, struct text where) {
    if (reader->sections >> section & 1)
        return cursor_fail(rule_cursor(reader), where, "the rule has two sections '%s'", sections[section].name);
    for (size_t i = section; i < section_count; i++)
        if (reader->sections >> i & 1)
            return cursor_fail(rule_cursor(reader), where, "'%s' must stand before '%s'", sections[section].name,
                               sections[i].name);
    for (size_t i = 0; i < section; i++)
        if (!sections[i].optional && !(reader->sections >> i & 1))
            return cursor_fail(rule_cursor(reader), where, "the rule has no section '%s'; it must stand before '%s'",
                               sections[i].name, sections[section].name);
    reader->sections |= 1U << section;
    return REGRAFT_OK;
}

/* Blank lines and comments; the cursor then stands at the first word of a line, or at the end. */
static void skip_lines(struct cursor *cursor) {
    while (cursor->at < cursor->end) {
        while (byte_is_space(cursor_peek(cursor)) || cursor_peek(cursor) == '\r') cursor->at++;
        if (cursor_peek(cursor) == '#') cursor_line(cursor);
        if (cursor_peek(cursor) != '\n') return;
        cursor->at++;
    }
}

static regraft_status end_line(struct rule_reader *reader) {
    struct cursor *cursor = rule_cursor(reader);
    struct text rest;
    while (cursor_peek(cursor) == '\r') cursor->at++;
    return reader_line_end(&reader->fx, &rest);
}

static bool at_rule(const struct cursor *cursor) {
    struct cursor probe = *cursor;
    return cursor_accept_word(&probe, "rule") && byte_is_space(cursor_peek(&probe));
}

static regraft_status read_body(struct rule_reader *reader) {
    struct cursor *cursor = rule_cursor(reader);
    enum block block = block_none;
    for (;;) {
        skip_lines(cursor);
        if (cursor->at >= cursor->end || at_rule(cursor)) return REGRAFT_OK;
        const char *start = cursor->at;
        size_t section = accept_heading(cursor);
        if (section == section_count) {
            TRY(read_block_line(reader, block));
        } else {
            TRY(check_order(reader, section, cursor_since(cursor, start)));
            TRY(sections[section].begin(reader));
            block = sections[section].block;
        }
        TRY(end_line(reader));
    }
}

/* ---- rules ---- */

const struct rule *rules_find(const struct rules *rules, struct text name) {
    for (size_t i = 0; i < rules->items.count; i++)
        if (text_equal(rules->items.items[i]->name, name)) return rules->items.items[i];
    return NULL;
}

/* Letters, digits, `_` and `-`. */
static struct text rule_name(struct cursor *cursor) {
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    while (byte_continues_name(cursor_peek(cursor)) || (cursor->at > start && cursor_peek(cursor) == '-')) cursor->at++;
    return cursor_since(cursor, start);
}

static regraft_status read_rule(struct rule_reader *reader, const struct rules *rules) {
    struct cursor *cursor = rule_cursor(reader);
    if (!at_rule(cursor)) return cursor_expected(cursor, "'rule NAME'");
    cursor_accept_word(cursor, "rule");
    struct text name = rule_name(cursor);
    if (!name.length) return cursor_expected(cursor, "the name of a rule");
    reader->rule->name = name;
    reader->rule->position = cursor_position(cursor, name);
    const struct rule *first = rules_find(rules, name);
    if (first) {
        cursor_fail(cursor, name, "there is a rule '%.*s' already; give this one another name", TEXT_ARGS(name));
        fail_note(&reader->fx.context->diagnostics, first->position, "the first one");
        return REGRAFT_REJECTED;
    }
    TRY(end_line(reader));
    TRY(read_body(reader));
    for (size_t i = 0; i < section_count; i++)
        if (!sections[i].optional && !(reader->sections >> i & 1))
            return cursor_fail(cursor, name, "the rule has no section '%s'", sections[i].name);
    return finish_graphs(reader);
}

static struct rule *new_rule(struct arena *arena) {
    struct rule *rule = arena_new(arena, struct rule);
    rule->platforms = platform_cpu | platform_cuda | platform_rocm;
    rule->stage = stage_fuse;
    rule->tokens = (struct token_range){1, INT64_MAX};
    return rule;
}

regraft_status rules_read(struct context *context, const struct source *source, struct rules *rules) {
    struct arena *arena = context->arena;
    source = arena_copy(arena, source, sizeof *source);
    struct cursor cursor = {
        arena, &context->diagnostics, source, source->contents.data, source->contents.data + source->contents.length,
        0};
    skip_lines(&cursor);
    if (cursor.at >= cursor.end) return cursor_expected(&cursor, "'rule NAME'");
    while (cursor.at < cursor.end) {
        struct rule_reader reader = {.rule = new_rule(arena),
                                     .attributes = map_create(arena),
                                     .integers = map_create(arena),
                                     .constants = map_create(arena)};
        reader.fx = (struct reader){.cursor = cursor,
                                    .context = context,
                                    .types = map_create(arena),
                                    .integers = reader.integers,
                                    .constants = reader.constants};
        TRY(read_rule(&reader, rules));
        vector_push(arena, &rules->items, reader.rule);
        cursor.at = reader.fx.cursor.at;
    }
    return REGRAFT_OK;
}

regraft_status rules_of(struct context *context, struct rules **rules) {
    *rules = context->rules;
    if (*rules) return REGRAFT_OK;
    *rules = arena_new(context->arena, struct rules);
    for (const struct builtin_rule_file *file = builtin_rule_files; file->name; file++) {
        struct source source = {file->name, {(const char *)file->bytes, file->length}};
        TRY(rules_read(context, &source, *rules));
    }
    context->rules = *rules;
    return REGRAFT_OK;
}
