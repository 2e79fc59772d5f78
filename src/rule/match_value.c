/* Attributes, types and arguments: what is compared at once, without a search. */
#include "rule/matching.h"

#include <stdio.h>
#include <stdlib.h>

#include "ir/effect.h"
#include "rule/condition.h"

/* ---- constants ---- */

bool same_constant(const struct value *a, const struct value *b) {
    if (a->kind == value_node && b->kind == value_node) return a->use.node == b->use.node;
    if (a->kind == value_float && b->kind == value_integer)
        return a->real >= (double)b->integer && a->real <= (double)b->integer;
    if (a->kind == value_integer && b->kind == value_float) return same_constant(b, a);
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case value_none:
        return true;
    case value_bool:
        return a->boolean == b->boolean;
    case value_integer:
        return a->integer == b->integer;
    case value_float:
        return a->real == b->real;
    case value_string:
        return text_equal(a->string, b->string);
    case value_dtype:
        return a->dtype == b->dtype;
    case value_device:
        return device_equal(a->device, b->device);
    case value_symint:
        return a->expression == b->expression;
    case value_name:
    case value_operator:
        return text_equal(a->written, b->written);
    case value_list:
    case value_tuple:
        if (a->list.count != b->list.count) return false;
        for (size_t i = 0; i < a->list.count; i++)
            if (!same_constant(&a->list.items[i], &b->list.items[i])) return false;
        return true;
    default:
        return false;
    }
}

static bool fits_kind(enum attribute_kind kind, const struct value *value) {
    switch (kind) {
    case attribute_float:
        return value->kind == value_float || value->kind == value_integer;
    case attribute_boolean:
        return value->kind == value_bool;
    case attribute_string:
        return value->kind == value_string;
    case attribute_dtype:
        return value->kind == value_dtype;
    case attribute_layer:
        return value->kind == value_string || value->kind == value_node;
    default:
        return true;
    }
}

static bool bind_integer(struct matcher *matcher, size_t attribute, symint actual, const struct node *node) {
    struct attribute_binding *binding = &matcher->match->attributes[attribute];
    struct text name = matcher->match->rule->attributes.items[attribute].name;
    if (!binding->bound) {
        if (!match_note(matcher, trail_attribute, attribute)) return false;
        *binding = (struct attribute_binding){.bound = true, .integer = actual};
        return true;
    }
    if (symint_equal(matcher->context->symbols, binding->integer, actual) == answer_yes) return true;
    if (!matcher->explain) return match_fails(matcher, node, NULL, "%s", "");
    struct builder out;
    builder_init(&out, matcher->arena);
    builder_format(&out, "%.*s is ", TEXT_ARGS(name));
    symint_print(&out, binding->integer);
    builder_format(&out, " elsewhere, and here ");
    symint_print(&out, actual);
    match_fails(matcher, node, NULL, "%s", out.data);
    return match_remedy(matcher, "one %.*s in both; here it is from %.*s", TEXT_ARGS(name), TEXT_ARGS(node->name));
}

/* ---- integers ---- */

/* An expression is `rest + slope * unknown` in the one attribute that is not bound yet. */
struct unknowns {
    const struct matcher *matcher;
    size_t attribute; /* the first that is not bound; SIZE_MAX: none */
    bool several;
    symint stand_in; /* for that one */
};

static symint look_up(void *user, struct text symbol) {
    struct unknowns *unknowns = user;
    const struct match *match = unknowns->matcher->match;
    for (size_t i = 0; i < match->rule->attributes.count; i++) {
        if (match->rule->attributes.items[i].kind != attribute_integer ||
            !text_equal(match->rule->attributes.items[i].name, symbol))
            continue;
        if (match->attributes[i].bound) return match->attributes[i].integer;
        unknowns->several = unknowns->several || (unknowns->attribute != SIZE_MAX && unknowns->attribute != i);
        unknowns->attribute = i;
        return unknowns->stand_in;
    }
    return NULL;
}

static symint with_unknown(struct unknowns *unknowns, symint integer, int64_t value) {
    struct symbols *symbols = unknowns->matcher->context->symbols;
    unknowns->stand_in = symint_constant(symbols, value);
    return symint_replace_symbols(symbols, integer, look_up, unknowns);
}

enum answer match_expression(struct matcher *matcher, symint pattern, symint actual, const struct node *node) {
    struct symbols *symbols = matcher->context->symbols;
    struct unknowns unknowns = {.matcher = matcher, .attribute = SIZE_MAX};
    symint rest = with_unknown(&unknowns, pattern, 0);
    if (unknowns.several) return answer_unknown;
    if (unknowns.attribute == SIZE_MAX) return answer_of(symint_equal(symbols, rest, actual) == answer_yes);
    symint slope = symint_subtract(symbols, with_unknown(&unknowns, pattern, 1), rest);
    symint twice = symint_subtract(symbols, with_unknown(&unknowns, pattern, 2), rest);
    if (symint_equal(symbols, twice, symint_add(symbols, slope, slope)) != answer_yes) return answer_unknown;
    symint value = symint_divide_exact(symbols, symint_subtract(symbols, actual, rest), slope);
    return answer_of(value && bind_integer(matcher, unknowns.attribute, value, node));
}

static bool integers_differ(struct matcher *matcher, symint pattern, symint actual, const struct node *node) {
    if (!matcher->explain) return match_fails(matcher, node, NULL, "%s", "");
    struct builder out;
    builder_init(&out, matcher->arena);
    builder_string(&out, "expected ");
    symint_print(&out, pattern);
    symint bound = bound_integer(matcher, pattern);
    int64_t number;
    if (bound && !symint_is_constant(pattern, &number)) {
        builder_string(&out, ", which is ");
        symint_print(&out, bound);
    }
    builder_string(&out, ", found ");
    symint_print(&out, actual);
    match_fails(matcher, node, NULL, "%s", out.data);
    return match_remedy(matcher, "%.*s with the one that is expected", TEXT_ARGS(node->name));
}

bool match_integer(struct matcher *matcher, const struct pattern *pattern, symint actual, const struct node *node) {
    if (!actual) {
        match_fails(matcher, node, NULL, "an integer of %.*s is not known", TEXT_ARGS(node->name));
        return match_remedy(matcher, "%.*s printed with its sizes", TEXT_ARGS(node->name));
    }
    if (pattern->index != SIZE_MAX) return bind_integer(matcher, pattern->index, actual, node);
    enum answer answer = match_expression(matcher, pattern->integer, actual, node);
    if (answer == answer_unknown)
        return match_defer(matcher, (struct deferred){.pattern = pattern->integer, .actual = actual, .node = node});
    return answer == answer_yes || integers_differ(matcher, pattern->integer, actual, node);
}

bool match_deferred_integer(struct matcher *matcher, const struct deferred *deferred) {
    enum answer answer = match_expression(matcher, deferred->pattern, deferred->actual, deferred->node);
    return answer == answer_yes || integers_differ(matcher, deferred->pattern, deferred->actual, deferred->node);
}

/* ---- attributes ---- */

static bool bind_dtype(struct matcher *matcher, size_t attribute, enum dtype dtype, const struct node *node) {
    struct attribute_binding *binding = &matcher->match->attributes[attribute];
    if (!binding->bound) {
        if (!match_note(matcher, trail_attribute, attribute)) return false;
        *binding = (struct attribute_binding){.bound = true, .dtype = dtype};
        return true;
    }
    if (binding->dtype == dtype) return true;
    struct text name = matcher->match->rule->attributes.items[attribute].name;
    match_fails(matcher, node, NULL, "%.*s is %s elsewhere, and %.*s, %s, is %s", TEXT_ARGS(name),
                dtype_abbreviation(binding->dtype), TEXT_ARGS(node->name), what_is(matcher->arena, node),
                dtype_abbreviation(dtype));
    return match_remedy(matcher, "%.*s in %s, without a cast", TEXT_ARGS(node->name),
                        dtype_abbreviation(binding->dtype));
}

static bool match_attribute(struct matcher *matcher, size_t attribute, const struct value *value,
                            const struct node *node) {
    struct attribute_binding *binding = &matcher->match->attributes[attribute];
    const struct attribute *declared = &matcher->match->rule->attributes.items[attribute];
    if (declared->kind == attribute_integer)
        return bind_integer(matcher, attribute, value_as_symint(matcher->context, value), node);
    if (!fits_kind(declared->kind, value)) {
        match_fails(matcher, node, NULL, "'%.*s' is no constant of the kind that the rule takes",
                    TEXT_ARGS(declared->name));
        return match_remedy(matcher, "%.*s with a constant as '%.*s', of the kind %s", TEXT_ARGS(node->name),
                            TEXT_ARGS(declared->name), attribute_kind_name(declared->kind));
    }
    if (declared->kind == attribute_dtype) return bind_dtype(matcher, attribute, value->dtype, node);
    if (binding->bound && !same_constant(binding->value, value)) {
        match_fails(matcher, node, NULL, "'%.*s' is not the same as elsewhere", TEXT_ARGS(declared->name));
        return match_remedy(matcher, "one '%.*s' in all calls of the rule; %.*s has another", TEXT_ARGS(declared->name),
                            TEXT_ARGS(node->name));
    }
    if (binding->bound) return true;
    if (!match_note(matcher, trail_attribute, attribute)) return false;
    *binding = (struct attribute_binding){.bound = true, .value = value};
    return true;
}

/* ---- types of declared tensors ---- */

static bool match_sizes(struct matcher *matcher, const struct pattern *patterns, const symint *actual, size_t count,
                        const struct node *node) {
    for (size_t i = 0; i < count; i++)
        if (patterns[i].kind != pattern_default && !match_integer(matcher, &patterns[i], actual[i], node)) return false;
    return true;
}

/* Of alternatives the one with as many dimensions; else the last. */
static const struct tensor_pattern *fitting_type(const struct tensor_pattern *pattern, const struct node *node) {
    while (pattern->otherwise && node->type->kind == type_tensor && !pattern->any_shape &&
           (pattern->open ? node->type->layout.rank < pattern->rank : node->type->layout.rank != pattern->rank))
        pattern = pattern->otherwise;
    return pattern;
}

bool match_type(struct matcher *matcher, const struct variable *variable, const struct node *node) {
    const struct tensor_pattern *pattern = fitting_type(variable->type, node);
    const struct type *type = node->type;
    struct text name = variable->name;
    if (type->kind != type_tensor) {
        match_fails(matcher, node, NULL, "%.*s: the type of %.*s is not known", TEXT_ARGS(name), TEXT_ARGS(node->name));
        return match_remedy(matcher, "%.*s printed with its type, or the operation in --ops", TEXT_ARGS(node->name));
    }
    if (pattern->any_shape) return true;
    if (!pattern->any_dtype && pattern->dtype_attribute != SIZE_MAX) {
        if (!bind_dtype(matcher, pattern->dtype_attribute, type->dtype, node)) return false;
    } else if (!pattern->any_dtype && pattern->dtype != type->dtype) {
        match_fails(matcher, node, NULL, "%.*s must be %s, and %.*s is %s", TEXT_ARGS(name),
                    dtype_abbreviation(pattern->dtype), TEXT_ARGS(node->name), dtype_abbreviation(type->dtype));
        return match_remedy(matcher, "%.*s in %s", TEXT_ARGS(node->name), dtype_abbreviation(pattern->dtype));
    }
    if (pattern->open ? type->layout.rank < pattern->rank : type->layout.rank != pattern->rank) {
        match_fails(matcher, node, NULL, "%.*s must have %zu dimensions%s, and %.*s has %zu", TEXT_ARGS(name),
                    pattern->rank, pattern->open ? " or more" : "", TEXT_ARGS(node->name), type->layout.rank);
        return match_remedy(matcher, "%.*s in %zu dimensions%s", TEXT_ARGS(node->name), pattern->rank,
                            pattern->open ? " or more" : "");
    }
    size_t skip = type->layout.rank - pattern->rank;
    if (!match_sizes(matcher, pattern->sizes, type->layout.sizes + skip, pattern->rank, node)) return false;
    if (!pattern->strides) return true;
    if (!type->layout.strides) {
        match_fails(matcher, node, NULL, "the strides of %.*s are not known", TEXT_ARGS(node->name));
        return match_remedy(matcher, "%.*s printed with its strides", TEXT_ARGS(node->name));
    }
    return match_sizes(matcher, pattern->strides, type->layout.strides + skip, pattern->rank, node);
}

/* ---- arguments ---- */

static bool match_value(struct matcher *matcher, const struct pattern *pattern, const struct value *value,
                        struct node *call, const struct goal **goals);

bool is_default(const struct schema_argument *argument, const struct value *value) {
    struct text text = argument->default_text;
    char number[64], *end;
    double real;
    switch (value->kind) {
    case value_none:
        return text_is(text, "None");
    case value_bool:
        return text_is(text, value->boolean ? "True" : "False");
    case value_integer:
    case value_float:
        if (!text.length || text.length >= sizeof number) return false;
        memcpy(number, text.data, text.length);
        number[text.length] = 0;
        real = strtod(number, &end);
        return !*end && same_constant(value, &(struct value){.kind = value_float, .real = real});
    case value_string:
        return text.length >= 2 && text_equal(value->string, (struct text){text.data + 1, text.length - 2});
    default:
        return false;
    }
}

static bool match_list(struct matcher *matcher, const struct pattern *pattern, const struct value *value,
                       struct node *call, const struct goal **goals) {
    if ((value->kind != value_list && value->kind != value_tuple) || value->list.count != pattern->count) {
        match_fails(matcher, call, NULL, "%.*s: expected a list of %zu", TEXT_ARGS(call->name), pattern->count);
        return match_remedy(matcher, "%.*s with a list of %zu", TEXT_ARGS(call->name), pattern->count);
    }
    for (size_t i = pattern->count; i-- > 0;)
        if (!match_value(matcher, &pattern->items[i], &value->list.items[i], call, goals)) return false;
    return true;
}

static bool another_constant(struct matcher *matcher, const struct value *wanted, const struct value *found,
                             const struct node *call) {
    struct builder wants, has;
    if (!matcher->explain) return match_fails(matcher, call, NULL, "%s", "");
    builder_init(&wants, matcher->arena);
    builder_init(&has, matcher->arena);
    constant_print(&wants, wanted);
    constant_print(&has, found);
    match_fails(matcher, call, NULL, "%.*s: the rule has %s where this has %s", TEXT_ARGS(call->name), wants.data,
                has.data);
    return match_remedy(matcher, "%s there", wants.data);
}

static bool match_value(struct matcher *matcher, const struct pattern *pattern, const struct value *value,
                        struct node *call, const struct goal **goals) {
    switch (pattern->kind) {
    case pattern_variable:
        if (value->kind != value_node) {
            struct text name = matcher->match->rule->match.variables.items[pattern->index].name;
            match_fails(matcher, call, NULL, "%.*s: expected a tensor as '%.*s'", TEXT_ARGS(call->name),
                        TEXT_ARGS(name));
            return match_remedy(matcher, "%.*s with a tensor, not a constant, as '%.*s'", TEXT_ARGS(call->name),
                                TEXT_ARGS(name));
        }
        *goals = match_push(matcher, (struct goal){goal_variable, pattern->index, 0, value->use.node, NULL}, *goals);
        return *goals;
    case pattern_attribute:
        return match_attribute(matcher, pattern->index, value, call);
    case pattern_integer:
        return match_integer(matcher, pattern, value_as_symint(matcher->context, value), call);
    case pattern_list:
        return match_list(matcher, pattern, value, call, goals);
    case pattern_literal:
        return same_constant(pattern->literal, value) || another_constant(matcher, pattern->literal, value, call);
    default:
        return true;
    }
}

/* A dimension that the rule counts from the end, and the graph from the front, or the other way round. */
static bool same_dimension(const struct node *call, const struct operation *operation, size_t index,
                           const struct pattern *pattern, const struct value *value) {
    struct text name = operation->schema.arguments[index].name;
    if (!text_is(name, "dim") && !text_is(name, "dims")) return false;
    const struct value *self = spelled_argument(call, operation, 0), *wanted = pattern->literal;
    if (self && (self->kind == value_list || self->kind == value_tuple))
        self = self->list.count ? &self->list.items[0] : NULL;
    const struct node *tensor = value_as_node(self);
    bool list = pattern->kind == pattern_list && pattern->count == 1 && value->list.count == 1 &&
                (value->kind == value_list || value->kind == value_tuple);
    if (list) wanted = pattern->items[0].literal, value = &value->list.items[0];
    if (!tensor || tensor->type->kind != type_tensor || !wanted || wanted->kind != value_integer ||
        value->kind != value_integer)
        return false;
    int64_t rank = (int64_t)tensor->type->layout.rank;
    return (wanted->integer - value->integer) % (rank ? rank : 1) == 0;
}

bool match_argument(struct matcher *matcher, const struct rule_statement *statement, struct node *call, size_t index,
                    size_t from, const struct goal **goals) {
    const struct pattern *pattern = &statement->arguments[index];
    const struct schema_argument *argument = &statement->operation->schema.arguments[index];
    const struct value *value = spelled_argument(call, statement->operation, from);
    if (pattern->kind == pattern_default) {
        if (!value || is_default(argument, value)) return true;
        match_fails(matcher, call, NULL, "%.*s: '%.*s' is not the default, %.*s", TEXT_ARGS(call->name),
                    TEXT_ARGS(argument->name), TEXT_ARGS(argument->default_text));
        return match_remedy(matcher, "%.*s without '%.*s'", TEXT_ARGS(call->name), TEXT_ARGS(argument->name));
    }
    if (!value) { /* the graph left it out */
        bool same = pattern->kind == pattern_literal && is_default(argument, pattern->literal);
        if (same) return true;
        match_fails(matcher, call, NULL, "%.*s: '%.*s' is left out", TEXT_ARGS(call->name), TEXT_ARGS(argument->name));
        return match_remedy(matcher, "%.*s with '%.*s'", TEXT_ARGS(call->name), TEXT_ARGS(argument->name));
    }
    if (same_dimension(call, statement->operation, index, pattern, value)) return true;
    return match_value(matcher, pattern, value, call, goals);
}
