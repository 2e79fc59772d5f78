/* The declared values of a rule: tensors with their types, and attributes. */
#include "rule/reading.h"

static const struct {
    const char *name;
    enum attribute_kind kind;
} attribute_kinds[] = {
    {"int", attribute_integer}, {"float", attribute_float}, {"bool", attribute_boolean}, {"string", attribute_string},
    {"dtype", attribute_dtype}, {"layer", attribute_layer}, {"any", attribute_any},
};

const char *attribute_kind_name(enum attribute_kind kind) {
    for (size_t i = 0; i < sizeof attribute_kinds / sizeof *attribute_kinds; i++)
        if (attribute_kinds[i].kind == kind) return attribute_kinds[i].name;
    return "constant";
}

size_t find_attribute(const struct rule_reader *reader, struct text name) {
    return (size_t)(uintptr_t)map_get_text(reader->attributes, name) - 1;
}

static struct variable *find_tensor(struct rule *rule, struct text name) {
    for (size_t i = 0; i < rule->match.variables.count; i++)
        if (text_equal(rule->match.variables.items[i].name, name)) return &rule->match.variables.items[i];
    return NULL;
}

static regraft_status check_count(struct rule_reader *reader, struct text name) {
    if (reader->rule->attributes.count + reader->rule->match.variables.count < rule_most_names) return REGRAFT_OK;
    return cursor_fail(rule_cursor(reader), name, "a rule has at most %d names", rule_most_names);
}

static regraft_status add_attribute(struct rule_reader *reader, struct text name, enum attribute_kind kind,
                                    size_t *index) {
    struct rule *rule = reader->rule;
    TRY(check_count(reader, name));
    if (find_tensor(rule, name))
        return cursor_fail(rule_cursor(reader), name, "'%.*s' is a tensor here; expected another name",
                           TEXT_ARGS(name));
    *index = find_attribute(reader, name);
    if (*index != SIZE_MAX && rule->attributes.items[*index].kind == kind) return REGRAFT_OK;
    if (*index != SIZE_MAX)
        return cursor_fail(rule_cursor(reader), name, "'%.*s' is declared as something else already", TEXT_ARGS(name));
    struct attribute attribute = {name, kind, NULL, cursor_position(rule_cursor(reader), name)};
    if (kind == attribute_integer) attribute.symbol = symint_symbol(reader->fx.context->symbols, name);
    *index = rule->attributes.count;
    vector_push(reader->fx.context->arena, &rule->attributes, attribute);
    *map_slot_text(reader->attributes, name) = (void *)(uintptr_t)(*index + 1);
    *map_slot_text(kind == attribute_integer ? reader->integers : reader->constants, name) = reader;
    return REGRAFT_OK;
}

struct pattern pattern_of_integer(const struct rule_reader *reader, symint integer) {
    struct pattern pattern = {.kind = pattern_integer, .integer = integer, .index = SIZE_MAX};
    for (size_t i = 0; i < reader->rule->attributes.count; i++)
        if (reader->rule->attributes.items[i].symbol == integer) pattern.index = i;
    return pattern;
}

regraft_status read_integer_text(struct rule_reader *reader, struct text text, symint *result) {
    struct cursor probe = *rule_cursor(reader);
    probe.end = text.data + text.length;
    for (probe.at = text.data; probe.at < probe.end;) {
        struct text name = cursor_name(&probe);
        if (!name.length) {
            probe.at++;
            continue;
        }
        size_t index = find_attribute(reader, name);
        if (cursor_peek(&probe) == '(') continue;
        if (index == SIZE_MAX || reader->rule->attributes.items[index].kind != attribute_integer)
            return cursor_fail(&probe, name, "'%.*s' is no integer of this rule", TEXT_ARGS(name));
    }
    return symint_parse(reader->fx.context->symbols, &reader->fx.context->diagnostics, probe.source, text, result);
}

/* ---- types of tensors ---- */

/* Up to the comma or bracket that ends a dimension. */
static struct text dimension_text(struct cursor *cursor) {
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    size_t depth = 0;
    for (; cursor->at < cursor->end && *cursor->at != '\n'; cursor->at++) {
        if (!depth && (*cursor->at == ',' || *cursor->at == ']')) break;
        if (*cursor->at == '(') depth++;
        if (*cursor->at == ')' && depth) depth--;
    }
    struct text text = cursor_since(cursor, start);
    while (text.length && byte_is_space(text.data[text.length - 1])) text.length--;
    return text;
}

/* The names in a size are integers of the rule, declared by standing there. */
static regraft_status declare_names(struct rule_reader *reader, struct text text) {
    struct cursor probe = *rule_cursor(reader);
    size_t index;
    probe.end = text.data + text.length;
    for (probe.at = text.data; probe.at < probe.end;) {
        struct text name = cursor_name(&probe);
        if (!name.length)
            probe.at++;
        else if (cursor_peek(&probe) != '(')
            TRY(add_attribute(reader, name, attribute_integer, &index));
    }
    return REGRAFT_OK;
}

static regraft_status read_dimension(struct rule_reader *reader, struct text text, struct pattern *pattern) {
    symint integer;
    if (!text.length) return cursor_expected(rule_cursor(reader), "a size: a name, a number, an expression, or _");
    *pattern = (struct pattern){.kind = pattern_default};
    if (text_is(text, "_")) return REGRAFT_OK;
    TRY(declare_names(reader, text));
    TRY(read_integer_text(reader, text, &integer));
    *pattern = pattern_of_integer(reader, integer);
    return REGRAFT_OK;
}

/* `..., tokens, heads]`, behind the opening bracket. */
static regraft_status read_dimensions(struct rule_reader *reader, bool *open, struct pattern **patterns,
                                      size_t *count) {
    struct cursor *cursor = rule_cursor(reader);
    struct pattern found[largest_rank];
    bool opened = false;
    *count = 0;
    while (!cursor_accept(cursor, ']')) {
        if ((*count || opened) && !cursor_accept(cursor, ',')) return cursor_expected(cursor, "',' or ']' in a type");
        struct text text = dimension_text(cursor);
        if (text_is(text, "...") && !*count && !opened && open) {
            opened = *open = true;
            continue;
        }
        if (*count == largest_rank)
            return cursor_fail(cursor, text, "a tensor has more than %d dimensions", largest_rank);
        TRY(read_dimension(reader, text, &found[*count]));
        ++*count;
    }
    *patterns = arena_copy(reader->fx.context->arena, found, *count * sizeof *found);
    return REGRAFT_OK;
}

/* `bf16`, a name of its own such as T, or `_` for any. */
static regraft_status set_dtype(struct rule_reader *reader, struct text name, struct tensor_pattern *type) {
    type->dtype_attribute = SIZE_MAX;
    type->dtype = dtype_from_abbreviation(name);
    type->any_dtype = text_is(name, "_");
    if (type->any_dtype || type->dtype != dtype_none) return REGRAFT_OK;
    if (*name.data < 'A' || *name.data > 'Z')
        return cursor_fail(
            rule_cursor(reader), name,
            "'%.*s' is no type; expected an element type such as bf16 or, in capitals, a name for one, with "
            "sizes: T[tokens, width]; or int, float, bool, string, dtype, layer, any, tensor",
            TEXT_ARGS(name));
    return add_attribute(reader, name, attribute_dtype, &type->dtype_attribute);
}

static regraft_status read_one_type(struct rule_reader *reader, struct text word, struct tensor_pattern *type) {
    struct cursor *cursor = rule_cursor(reader);
    size_t strides;
    type->any_dtype = type->any_shape = text_is(word, "tensor");
    type->dtype_attribute = SIZE_MAX;
    if (type->any_shape) return REGRAFT_OK;
    TRY(set_dtype(reader, word, type));
    if (!cursor_accept(cursor, '[')) return cursor_expected(cursor, "'[' and sizes behind an element type");
    TRY(read_dimensions(reader, &type->open, &type->sizes, &type->rank));
    if (!cursor_accept(cursor, '[')) return REGRAFT_OK;
    const char *start = cursor->at;
    TRY(read_dimensions(reader, NULL, &type->strides, &strides));
    if (strides == type->rank) return REGRAFT_OK;
    return cursor_fail(cursor, cursor_since(cursor, start), "expected as many strides as sizes, %zu, found %zu",
                       type->rank, strides);
}

/* `T[tokens, width] or T[tokens, heads, head]`, behind the first word. */
static regraft_status read_type_behind(struct rule_reader *reader, struct text word,
                                       const struct tensor_pattern **result) {
    struct cursor *cursor = rule_cursor(reader);
    struct tensor_pattern *type = arena_new(reader->fx.context->arena, struct tensor_pattern);
    *result = type;
    TRY(read_one_type(reader, word, type));
    for (;;) {
        cursor_skip_space(cursor);
        if (!cursor_accept_word(cursor, "or")) return REGRAFT_OK;
        cursor_skip_space(cursor);
        word = cursor_name(cursor);
        if (!word.length) return cursor_expected(cursor, "another type such as T[tokens, width] behind 'or'");
        struct tensor_pattern *otherwise = arena_new(reader->fx.context->arena, struct tensor_pattern);
        TRY(read_one_type(reader, word, otherwise));
        type->otherwise = otherwise;
        type = otherwise;
    }
}

regraft_status read_tensor_type(struct rule_reader *reader, const struct tensor_pattern **result) {
    struct cursor *cursor = rule_cursor(reader);
    cursor_skip_space(cursor);
    struct text word = cursor_name(cursor);
    if (!word.length) return cursor_expected(cursor, "a type such as T[tokens, width]");
    return read_type_behind(reader, word, result);
}

/* ---- lines ---- */

static regraft_status add_tensor(struct rule_reader *reader, struct text name, const struct tensor_pattern *type) {
    TRY(check_count(reader, name));
    if (find_tensor(reader->rule, name) || find_attribute(reader, name) != SIZE_MAX)
        return cursor_fail(rule_cursor(reader), name, "'%.*s' is declared twice", TEXT_ARGS(name));
    struct variable variable = {
        .name = name, .position = cursor_position(rule_cursor(reader), name), .type = type, .other = SIZE_MAX};
    vector_push(reader->fx.context->arena, &reader->rule->match.variables, variable);
    reader->rule->tensor_count++;
    return REGRAFT_OK;
}

static regraft_status declare(struct rule_reader *reader, const struct text *names, size_t count) {
    struct cursor *cursor = rule_cursor(reader);
    cursor_skip_space(cursor);
    struct text word = cursor_name(cursor);
    if (!word.length) return cursor_expected(cursor, "a type such as T[tokens, width], int or bool");
    for (size_t i = 0; i < sizeof attribute_kinds / sizeof *attribute_kinds; i++) {
        size_t index;
        if (!text_is(word, attribute_kinds[i].name)) continue;
        for (size_t k = 0; k < count; k++) TRY(add_attribute(reader, names[k], attribute_kinds[i].kind, &index));
        return REGRAFT_OK;
    }
    const struct tensor_pattern *type;
    TRY(read_type_behind(reader, word, &type));
    for (size_t k = 0; k < count; k++) TRY(add_tensor(reader, names[k], type));
    return REGRAFT_OK;
}

regraft_status read_value_line(struct rule_reader *reader) {
    struct cursor *cursor = rule_cursor(reader);
    struct text names[rule_most_names];
    size_t count = 0;
    do {
        cursor_skip_space(cursor);
        struct text name = cursor_name(cursor);
        if (!name.length || text_is(name, "_")) return cursor_expected(cursor, "a name");
        if (count == rule_most_names) return cursor_fail(cursor, name, "a rule has at most %d names", rule_most_names);
        names[count++] = name;
    } while (cursor_accept(cursor, ','));
    if (!cursor_accept(cursor, ':')) return cursor_expected(cursor, "':' and a type behind a name");
    return declare(reader, names, count);
}
