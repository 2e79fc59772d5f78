/* Conditions: comparisons of integers, element types and constants, and properties of tensors. One line is one condition. */
#include "rule/condition.h"
#include "rule/reading.h"

static const char *function_name(const void *table, size_t index) {
    (void)table;
    return rule_function_at(index) ? rule_function_at(index)->name : NULL;
}

static const struct rule_function *find_function(struct text name) {
    for (size_t i = 0; rule_function_at(i); i++)
        if (text_is(name, rule_function_at(i)->name)) return rule_function_at(i);
    return NULL;
}

static size_t find_variable(const struct rule *rule, struct text name) {
    for (size_t i = 0; i < rule->match.variables.count; i++)
        if (text_equal(rule->match.variables.items[i].name, name)) return i;
    return SIZE_MAX;
}

static regraft_status read_sum(struct rule_reader *reader, struct expression *expression, int depth);

/* ---- operands ---- */

static regraft_status read_tensor(struct rule_reader *reader, const struct rule_function *function, size_t *variable) {
    struct cursor *cursor = rule_cursor(reader);
    cursor_skip_space(cursor);
    struct text name = cursor_name(cursor);
    if (!name.length) return cursor_expected(cursor, "the name of a tensor");
    *variable = find_variable(reader->rule, name);
    if (*variable != SIZE_MAX) return REGRAFT_OK;
    return cursor_fail(cursor, name, "'%.*s' is no tensor of this rule; %s takes one that is declared or matched above",
                       TEXT_ARGS(name), function->name);
}

static regraft_status read_function(struct rule_reader *reader, struct text name, struct expression *expression,
                                    int depth) {
    struct cursor *cursor = rule_cursor(reader);
    const struct rule_function *function = find_function(name);
    if (!function) {
        regraft_status status = cursor_fail(cursor, name, "there is no function '%.*s'", TEXT_ARGS(name));
        const char *nearest = text_nearest(name, function_name, NULL);
        if (nearest)
            fail_note(&reader->fx.context->diagnostics, cursor_position(cursor, name), "did you mean '%s'?", nearest);
        return status;
    }
    expression->kind = expression_function;
    expression->function = function;
    if (!cursor_accept(cursor, '(')) return cursor_expected(cursor, "'(' behind the name of a function");
    if (function->of_dtype) {
        struct text dtype = (cursor_skip_space(cursor), cursor_name(cursor));
        expression->attribute = find_attribute(reader, dtype);
        if (expression->attribute == SIZE_MAX ||
            reader->rule->attributes.items[expression->attribute].kind != attribute_dtype)
            return cursor_fail(cursor, dtype, "expected the name of an element type, such as T");
    } else {
        TRY(read_tensor(reader, function, &expression->variable));
    }
    if (function->integer_argument) {
        if (!cursor_accept(cursor, ',')) return cursor_expected(cursor, "',' and a dimension");
        expression->right = arena_new(reader->fx.context->arena, struct expression);
        TRY(read_sum(reader, expression->right, depth + 1));
    }
    if (!cursor_accept(cursor, ')')) return cursor_expected(cursor, "')'");
    return REGRAFT_OK;
}

static regraft_status literal(struct rule_reader *reader, struct expression *expression, struct value value) {
    expression->kind = expression_literal;
    expression->literal = arena_copy(reader->fx.context->arena, &value, sizeof value);
    return REGRAFT_OK;
}

static regraft_status read_named(struct rule_reader *reader, struct expression *expression, int depth) {
    struct cursor *cursor = rule_cursor(reader);
    struct text name = cursor_name(cursor);
    size_t attribute = find_attribute(reader, name);
    if (cursor_peek(cursor) == '(') return read_function(reader, name, expression, depth);
    if (attribute != SIZE_MAX && reader->rule->attributes.items[attribute].kind == attribute_integer) {
        expression->kind = expression_integer;
        expression->integer = reader->rule->attributes.items[attribute].symbol;
        return REGRAFT_OK;
    }
    if (attribute != SIZE_MAX) {
        expression->kind = expression_attribute;
        expression->attribute = attribute;
        return REGRAFT_OK;
    }
    if (dtype_from_abbreviation(name) != dtype_none)
        return literal(reader, expression, (struct value){.kind = value_dtype, .dtype = dtype_from_abbreviation(name)});
    if (text_is(name, "True") || text_is(name, "False"))
        return literal(reader, expression, (struct value){.kind = value_bool, .boolean = text_is(name, "True")});
    return cursor_fail(cursor, name,
                       "'%.*s' is not declared; expected an integer, constant or element type of this rule, "
                       "or a function of a tensor, such as stride(q, -1)",
                       TEXT_ARGS(name));
}

static regraft_status read_operand(struct rule_reader *reader, struct expression *expression, int depth) {
    struct cursor *cursor = rule_cursor(reader);
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    if (depth > deepest_nesting)
        return cursor_fail(cursor, (struct text){start, 1}, "brackets are nested more than %d deep", deepest_nesting);
    if (byte_starts_name(cursor_peek(cursor))) {
        TRY(read_named(reader, expression, depth));
    } else if (cursor_accept(cursor, '(')) {
        TRY(read_sum(reader, expression, depth + 1));
        if (!cursor_accept(cursor, ')')) return cursor_expected(cursor, "')'");
    } else {
        struct value value = {0};
        bool string = cursor_peek(cursor) == '\'' || cursor_peek(cursor) == '"';
        if (!string && !byte_is_digit(cursor_peek(cursor)) && cursor_peek(cursor) != '-')
            return cursor_expected(cursor, "a number, a string, a name or a function");
        TRY(string ? reader_string(&reader->fx, &value) : reader_number(&reader->fx, &value));
        expression->kind = value.kind == value_integer ? expression_integer : expression_literal;
        if (value.kind == value_integer)
            expression->integer = symint_constant(reader->fx.context->symbols, value.integer);
        else
            TRY(literal(reader, expression, value));
    }
    expression->text = cursor_since(cursor, start);
    return REGRAFT_OK;
}

/* ---- arithmetic ---- */

bool expression_is_integer(const struct expression *expression) {
    return expression->kind == expression_integer || expression->kind == expression_operator ||
           (expression->kind == expression_function && expression->function->integer);
}

/* `+` and `-`, or `*`, `/` for `//`, and `%`; 0 when none is next. */
static char accept_operator(struct cursor *cursor, bool product) {
    cursor_skip_space(cursor);
    struct text rest = cursor_rest(cursor);
    if (!rest.length) return 0;
    bool division = text_starts_with(rest, "//");
    if (product ? !division && *rest.data != '*' && *rest.data != '%' : *rest.data != '+' && *rest.data != '-')
        return 0;
    cursor->at += 1 + division;
    return *rest.data;
}

static regraft_status read_chain(struct rule_reader *reader, struct expression *expression, int depth, bool product) {
    struct cursor *cursor = rule_cursor(reader);
    struct arena *arena = reader->fx.context->arena;
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    TRY(product ? read_operand(reader, expression, depth) : read_chain(reader, expression, depth, true));
    for (char operator; (operator= accept_operator(cursor, product));) {
        struct expression *left = arena_copy(arena, expression, sizeof *expression);
        struct expression *right = arena_new(arena, struct expression);
        TRY(product ? read_operand(reader, right, depth) : read_chain(reader, right, depth, true));
        const struct expression *wrong = !expression_is_integer(left)    ? left
                                         : !expression_is_integer(right) ? right
                                                                         : NULL;
        if (wrong) return cursor_fail(cursor, wrong->text, "expected an integer");
        *expression =
            (struct expression){.kind = expression_operator, .operator= operator, .left = left, .right = right};
        expression->text = cursor_since(cursor, start);
    }
    return REGRAFT_OK;
}

static regraft_status read_sum(struct rule_reader *reader, struct expression *expression, int depth) {
    return read_chain(reader, expression, depth, false);
}

regraft_status read_integer_expression(struct rule_reader *reader, struct expression *expression) {
    TRY(read_sum(reader, expression, 0));
    if (expression_is_integer(expression)) return REGRAFT_OK;
    return cursor_fail(rule_cursor(reader), expression->text, "expected an integer");
}

/* ---- conditions ---- */

/* `(a, b)` or `a, b` behind `in`. */
static regraft_status read_choices(struct rule_reader *reader, struct condition *condition) {
    struct cursor *cursor = rule_cursor(reader);
    VECTOR(struct expression) choices = {0};
    bool brackets = cursor_accept(cursor, '(');
    do {
        struct expression choice = {0};
        TRY(read_operand(reader, &choice, 0));
        vector_push(reader->fx.context->arena, &choices, choice);
    } while (cursor_accept(cursor, ','));
    if (brackets && !cursor_accept(cursor, ')')) return cursor_expected(cursor, "',' or ')'");
    condition->right = choices.items;
    condition->right_count = choices.count;
    return REGRAFT_OK;
}

static const struct {
    const char *text;
    enum comparison_kind comparison;
    bool swapped; /* a > b is b < a */
} comparisons[] = {
    {"==", compare_equal, false},     {"!=", compare_not_equal, false}, {"<=", compare_less_equal, false},
    {">=", compare_less_equal, true}, {"<", compare_less, false},       {">", compare_less, true},
};

static regraft_status read_comparison(struct rule_reader *reader, struct condition *condition) {
    struct cursor *cursor = rule_cursor(reader);
    cursor_skip_space(cursor);
    struct text rest = cursor_rest(cursor);
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++) {
        if (!text_starts_with(rest, comparisons[i].text)) continue;
        cursor->at += strlen(comparisons[i].text);
        condition->comparison = comparisons[i].comparison;
        condition->right = arena_new(reader->fx.context->arena, struct expression);
        condition->right_count = 1;
        TRY(read_sum(reader, condition->right, 0));
        const struct expression *wrong =
            expression_is_integer(&condition->left) == expression_is_integer(condition->right) ? NULL
                                                                                               : condition->right;
        if (wrong) return cursor_fail(cursor, wrong->text, "both sides of a comparison must be integers, or neither");
        if (!comparisons[i].swapped) return REGRAFT_OK;
        struct expression left = condition->left;
        condition->left = *condition->right;
        *condition->right = left;
        return REGRAFT_OK;
    }
    return cursor_expected(cursor, "==, !=, <, <=, >, >= or in");
}

regraft_status read_remedy(struct rule_reader *reader, struct text *remedy) {
    struct cursor *cursor = rule_cursor(reader);
    struct value value = {0};
    cursor_skip_space(cursor);
    if (!cursor_accept_word(cursor, "else")) return REGRAFT_OK;
    cursor_skip_space(cursor);
    if (cursor_peek(cursor) != '"' && cursor_peek(cursor) != '\'')
        return cursor_expected(cursor, "what to do, in quotes, behind 'else'");
    TRY(reader_string(&reader->fx, &value));
    *remedy = value.string;
    return REGRAFT_OK;
}

regraft_status read_condition_line(struct rule_reader *reader, bool kernel) {
    struct cursor *cursor = rule_cursor(reader), probe = *cursor;
    struct condition condition = {.kernel = kernel};
    const char *start = cursor->at;
    if (reader->rule->conditions.count == rule_most_conditions)
        return cursor_fail(cursor, (struct text){start, 1}, "a rule has at most %d conditions", rule_most_conditions);
    condition.negated = cursor_accept_word(&probe, "not") && byte_is_space(cursor_peek(&probe));
    if (condition.negated) cursor->at = probe.at;
    TRY(read_sum(reader, &condition.left, 0));
    cursor_skip_space(cursor);
    bool holds = condition.left.kind == expression_function && condition.left.function->holds;
    if (cursor_accept_word(cursor, "in")) {
        condition.comparison = compare_in;
        TRY(read_choices(reader, &condition));
    } else if (!holds) {
        TRY(read_comparison(reader, &condition));
    }
    if (condition.negated && !holds)
        return cursor_fail(cursor, condition.left.text, "'not' stands before a property, such as `not used(x)`");
    condition.text = cursor_since(cursor, start);
    while (condition.text.length && byte_is_space(condition.text.data[condition.text.length - 1]))
        condition.text.length--;
    TRY(read_remedy(reader, &condition.remedy));
    condition.position = cursor_position(cursor, condition.text);
    vector_push(reader->fx.context->arena, &reader->rule->conditions, condition);
    return REGRAFT_OK;
}
