#include "rule/condition.h"

#include "ir/contract.h"
#include "ir/effect.h"
#include "rule/matching.h"
#include "rule/repetition.h"

/* ---- functions ---- */

static const struct type *tensor_type(const struct node *tensor) {
    return tensor && tensor->type->kind == type_tensor ? tensor->type : NULL;
}

static symint constant(struct matcher *matcher, int64_t value) {
    return symint_constant(matcher->context->symbols, value);
}

static symint size_of(struct matcher *matcher, const struct node *tensor, enum dtype dtype, int64_t dimension) {
    const struct type *type = tensor_type(tensor);
    (void)matcher;
    (void)dtype;
    if (!type) return NULL;
    if (dimension < 0) dimension += (int64_t)type->layout.rank;
    return dimension >= 0 && (size_t)dimension < type->layout.rank ? type->layout.sizes[dimension] : NULL;
}

static symint stride_of(struct matcher *matcher, const struct node *tensor, enum dtype dtype, int64_t dimension) {
    const struct type *type = tensor_type(tensor);
    (void)dtype;
    if (!type || !type->layout.strides) return NULL;
    if (dimension < 0) dimension += (int64_t)type->layout.rank;
    if (dimension < 0 || (size_t)dimension >= type->layout.rank) return NULL;
    if (symint_is(type->layout.sizes[dimension], 1) && (size_t)dimension + 1 == type->layout.rank)
        return constant(matcher, 1); /* one element lies without a gap, whatever its stride */
    return type->layout.strides[dimension];
}

static symint rank_of(struct matcher *matcher, const struct node *tensor, enum dtype dtype, int64_t dimension) {
    (void)dtype;
    (void)dimension;
    return tensor_type(tensor) ? constant(matcher, (int64_t)tensor->type->layout.rank) : NULL;
}

static symint elements_of(struct matcher *matcher, const struct node *tensor, enum dtype dtype, int64_t dimension) {
    (void)dtype;
    (void)dimension;
    return tensor_type(tensor) ? layout_count(matcher->context->symbols, &tensor->type->layout) : NULL;
}

static symint bytes_of(struct matcher *matcher, const struct node *tensor, enum dtype dtype, int64_t dimension) {
    (void)tensor;
    (void)dimension;
    return dtype == dtype_none ? NULL : constant(matcher, (int64_t)dtype_size(dtype));
}

static enum answer is_contiguous(struct matcher *matcher, size_t variable, const char **why) {
    const struct type *type = tensor_type(matcher->match->values[variable]);
    if (!type || !type->layout.strides) return answer_unknown;
    struct builder out;
    builder_init(&out, matcher->arena);
    if (why) type_print(&out, type), *why = out.data;
    return layout_contiguous(matcher->context->symbols, &type->layout);
}

/* ---- who reads a value ---- */

/* A reader of the value, or of the same elements in another shape, that is not matched itself; a call that reads a
 * window onto it counts. NULL: there is none. `argument` is what it reads. */
static const struct value *outside_reader(const struct match *match, const struct node *value,
                                          bool (*wanted)(const struct matcher *, const struct value *),
                                          const struct matcher *matcher) {
    for (const struct value *use = value->users; use; use = use->use.next) {
        const struct node *user = use->use.user;
        bool view = node_has_class(user, class_view);
        if (view || user->kind == node_getitem || user->kind == node_rename) {
            const struct value *behind = outside_reader(match, user, wanted, matcher);
            if (behind) return behind;
        } else if (!match_has_call(match, user) && (!wanted || wanted(matcher, use))) {
            return use;
        }
    }
    return NULL;
}

/* Who only checks the type of a value does not need it. */
static bool needs_value(const struct matcher *matcher, const struct value *use) {
    const struct node *user = use->use.user;
    (void)matcher;
    return user->kind != node_call || !user->operation || user->operation->class != class_assert;
}

static enum answer is_used(struct matcher *matcher, size_t variable, const char **why) {
    const struct node *value = matcher->match->values[variable];
    const struct value *use = value ? outside_reader(matcher->match, value, needs_value, matcher) : NULL;
    if (why && use)
        *why = text_format(matcher->arena, "%.*s reads %.*s", TEXT_ARGS(use->use.user->name), TEXT_ARGS(value->name));
    if (why && !use) *why = "nobody else reads it";
    return answer_of(use);
}

/* Whether a contract says that the argument of a call must be contiguous: at all, or because it was traced so. */
static bool owes_contiguous(const struct matcher *matcher, const struct value *use) {
    const struct operation *operation = node_called_operation(use->use.user);
    const struct type *type = tensor_type(use->use.node);
    for (size_t i = 0; operation && type && i < operation->schema.argument_count; i++) {
        const struct contract *contract = contract_of(use->use.user, i);
        if (contract->kind == contract_any || node_called_argument(use->use.user, i) != use) continue;
        if (contract->kind == contract_contiguous) return true;
        struct layout traced = {type->layout.rank, type->layout.sizes, contract->traced};
        if (contract->traced && contract->traced_rank == traced.rank &&
            layout_contiguous(matcher->context->symbols, &traced) == answer_yes)
            return true;
    }
    return false;
}

static enum answer is_owed_contiguous(struct matcher *matcher, size_t variable, const char **why) {
    const struct node *value = matcher->match->values[variable];
    const struct value *use = value ? outside_reader(matcher->match, value, owes_contiguous, matcher) : NULL;
    if (why && use) *why = text_format(matcher->arena, "%.*s is owed a contiguous one", TEXT_ARGS(use->use.user->name));
    if (why && !use) *why = "no reader is owed a contiguous one";
    return answer_of(use);
}

/* Whether a call reads it as its key, through views or not. */
static bool takes_as_key(const struct matcher *matcher, const struct value *use) {
    static const char *const names[] = {"key", "k_pe"};
    const struct operation *operation = node_called_operation(use->use.user);
    (void)matcher;
    for (size_t i = 0; operation && i < sizeof names / sizeof *names; i++) {
        size_t index = schema_find_argument(&operation->schema, text_of(names[i]));
        if (index != SIZE_MAX && node_called_argument(use->use.user, index) == use) return true;
    }
    return false;
}

/* The call that takes the value as its key: itself, a view of it, or a copy of that. */
static const struct value *key_reader(const struct matcher *matcher, const struct node *value) {
    for (const struct value *use = value->users; use; use = use->use.next) {
        const struct node *user = use->use.user;
        bool same = same_elements_source(user) == value || view_source(user) == value || user->kind == node_getitem;
        if (!same && takes_as_key(matcher, use)) return use;
        const struct value *behind = same ? key_reader(matcher, user) : NULL;
        if (behind) return behind;
    }
    return NULL;
}

static enum answer is_read_as_key(struct matcher *matcher, size_t variable, const char **why) {
    const struct node *value = matcher->match->values[variable];
    const struct value *use = value ? key_reader(matcher, value) : NULL;
    if (why && use) *why = text_format(matcher->arena, "%.*s takes it as its key", TEXT_ARGS(use->use.user->name));
    return answer_of(use);
}

static enum answer repeats(struct matcher *matcher, size_t variable, enum repetition repetition, const char **why) {
    const struct node *value = matcher->match->values[variable];
    bool holds = value && rows_repeat(value, repetition);
    if (why && !holds)
        *why = "it does not show in what this is made of: cat, repeat or expand of one part, arithmetic on such";
    return answer_of(holds);
}

static enum answer repeats_halves(struct matcher *matcher, size_t variable, const char **why) {
    return repeats(matcher, variable, repetition_halves, why);
}

static enum answer repeats_pairs(struct matcher *matcher, size_t variable, const char **why) {
    return repeats(matcher, variable, repetition_pairs, why);
}

/* The value of the argument `layer_name` of a call, or NULL. */
static const struct value *layer_of(const struct node *call) {
    const struct operation *operation = node_called_operation(call);
    size_t index = operation ? schema_find_argument(&operation->schema, TEXT("layer_name")) : SIZE_MAX;
    return index == SIZE_MAX ? NULL : node_called_argument(call, index);
}

/* Whether the calls that are ordered behind a cache write by its result are of the layer that it writes. */
static enum answer is_of_same_layer(struct matcher *matcher, size_t variable, const char **why) {
    const struct node *value = matcher->match->values[variable];
    const struct value *layer = value ? layer_of(value) : NULL;
    if (why) *why = "";
    for (const struct value *use = layer ? value->users : NULL; use; use = use->use.next) {
        const struct value *other = layer_of(use->use.user);
        if (!other || same_constant(layer, other)) continue;
        if (why)
            *why = text_format(matcher->arena, "%.*s, which is ordered behind %.*s, is of another layer",
                               TEXT_ARGS(use->use.user->name), TEXT_ARGS(value->name));
        return answer_no;
    }
    return answer_yes;
}

static const struct rule_function functions[] = {
    {"size", false, true, true, false, size_of, NULL},
    {"stride", false, true, true, false, stride_of, NULL},
    {"rank", false, false, true, false, rank_of, NULL},
    {"elements", false, false, true, false, elements_of, NULL},
    {"bytes", true, false, true, false, bytes_of, NULL},
    {"dtype", false, false, false, false, NULL, NULL},
    {"contiguous", false, false, false, true, NULL, is_contiguous},
    {"used", false, false, false, true, NULL, is_used},
    {"same_layer", false, false, false, true, NULL, is_of_same_layer},
    {"owed_contiguous", false, false, false, true, NULL, is_owed_contiguous},
    {"read_as_key", false, false, false, true, NULL, is_read_as_key},
    {"repeats_halves", false, false, false, true, NULL, repeats_halves},
    {"repeats_pairs", false, false, false, true, NULL, repeats_pairs},
};

const struct rule_function *rule_function_at(size_t index) {
    return index < sizeof functions / sizeof *functions ? &functions[index] : NULL;
}

/* ---- integers ---- */

struct lookup {
    const struct matcher *matcher;
    bool missing;
};

static symint look_up(void *user, struct text symbol) {
    struct lookup *lookup = user;
    const struct rule *rule = lookup->matcher->match->rule;
    for (size_t i = 0; i < rule->attributes.count; i++) {
        if (rule->attributes.items[i].kind != attribute_integer || !text_equal(rule->attributes.items[i].name, symbol))
            continue;
        const struct attribute_binding *binding = &lookup->matcher->match->attributes[i];
        lookup->missing = lookup->missing || !binding->bound;
        return binding->bound ? binding->integer : NULL;
    }
    lookup->missing = true;
    return NULL;
}

symint bound_integer(struct matcher *matcher, symint integer) {
    int64_t number;
    struct lookup lookup = {matcher, false};
    if (symint_is_constant(integer, &number)) return integer;
    symint result = symint_replace_symbols(matcher->context->symbols, integer, look_up, &lookup);
    return lookup.missing ? NULL : result;
}

static symint function_integer(struct matcher *matcher, const struct expression *expression) {
    const struct match *match = matcher->match;
    int64_t argument = 0;
    if (expression->right) {
        symint value = expression_integer_of(matcher, expression->right);
        if (!value || !symint_is_constant(value, &argument)) return NULL;
    }
    if (!expression->function->of_dtype)
        return expression->function->value(matcher, match->values[expression->variable], dtype_none, argument);
    const struct attribute_binding *binding = &match->attributes[expression->attribute];
    return expression->function->value(matcher, NULL, binding->bound ? binding->dtype : dtype_none, argument);
}

symint expression_integer_of(struct matcher *matcher, const struct expression *expression) {
    if (expression->kind == expression_integer) return bound_integer(matcher, expression->integer);
    if (expression->kind == expression_function) return function_integer(matcher, expression);
    if (expression->kind != expression_operator) return NULL;
    symint a = expression_integer_of(matcher, expression->left), b = expression_integer_of(matcher, expression->right);
    return a && b ? symint_apply(matcher->context->symbols, expression->operator, a, b) : NULL;
}

/* ---- constants ---- */

/* What an expression that is no integer is, as a constant; false when it is not bound or no constant. */
static bool constant_of(const struct match *match, const struct expression *expression, struct value *value) {
    *value = (struct value){0};
    if (expression->kind == expression_literal) {
        *value = *expression->literal;
        return true;
    }
    if (expression->kind == expression_function && !expression->function->holds) {
        const struct type *type = tensor_type(match->values[expression->variable]);
        *value = (struct value){.kind = value_dtype, .dtype = type ? type->dtype : dtype_none};
        return type;
    }
    if (expression->kind != expression_attribute || !match->attributes[expression->attribute].bound) return false;
    const struct attribute_binding *binding = &match->attributes[expression->attribute];
    if (match->rule->attributes.items[expression->attribute].kind == attribute_dtype)
        *value = (struct value){.kind = value_dtype, .dtype = binding->dtype};
    else
        *value = *binding->value;
    return true;
}

static bool number_of(const struct value *value, double *number) {
    if (value->kind == value_integer) *number = (double)value->integer;
    if (value->kind == value_float) *number = value->real;
    return value->kind == value_integer || value->kind == value_float;
}

static enum answer constants_equal(const struct value *a, const struct value *b) {
    double x, y;
    if (number_of(a, &x) && number_of(b, &y)) return answer_of(x <= y && x >= y);
    if (a->kind == value_node || b->kind == value_node || a->kind != b->kind) return answer_unknown;
    if (a->kind == value_bool) return answer_of(a->boolean == b->boolean);
    if (a->kind == value_string) return answer_of(text_equal(a->string, b->string));
    if (a->kind == value_dtype) return answer_of(a->dtype == b->dtype);
    return answer_unknown;
}

static enum answer compare_constants(const struct match *match, enum comparison_kind comparison,
                                     const struct expression *left, const struct expression *right) {
    struct value a, b;
    double x, y;
    if (!constant_of(match, left, &a) || !constant_of(match, right, &b)) return answer_unknown;
    if (comparison == compare_equal) return constants_equal(&a, &b);
    if (comparison == compare_not_equal) return answer_not(constants_equal(&a, &b));
    if (!number_of(&a, &x) || !number_of(&b, &y)) return answer_unknown;
    return answer_of(comparison == compare_less ? x < y : x <= y);
}

/* ---- comparisons ---- */

static enum answer compare(struct matcher *matcher, enum comparison_kind comparison, const struct expression *left,
                           const struct expression *right) {
    struct symbols *symbols = matcher->context->symbols;
    if (!expression_is_integer(left) || !expression_is_integer(right))
        return compare_constants(matcher->match, comparison, left, right);
    symint a = expression_integer_of(matcher, left), b = expression_integer_of(matcher, right);
    if (!a || !b) return answer_unknown;
    switch (comparison) {
    case compare_equal:
        return symint_equal(symbols, a, b);
    case compare_not_equal:
        return answer_not(symint_equal(symbols, a, b));
    case compare_less:
        return symint_less(symbols, a, b);
    default:
        return symint_less_equal(symbols, a, b);
    }
}

/* ---- what was found, for messages ---- */

void constant_print(struct builder *out, const struct value *value) {
    if (value->kind == value_dtype) builder_string(out, dtype_abbreviation(value->dtype));
    if (value->kind == value_string) builder_format(out, "'%.*s'", TEXT_ARGS(value->string));
    if (value->kind == value_bool) builder_string(out, value->boolean ? "True" : "False");
    if (value->kind == value_integer) builder_format(out, "%lld", (long long)value->integer);
    if (value->kind == value_float) builder_format(out, "%g", value->real);
    if (value->kind == value_node) builder_format(out, "computed (%.*s)", TEXT_ARGS(value->use.node->name));
    if (value->kind == value_none) builder_string(out, "None");
    if (value->kind == value_symint) symint_print(out, value->expression);
    if (value->kind == value_name) builder_format(out, "%.*s", TEXT_ARGS(value->written));
    bool list = value->kind == value_list || value->kind == value_tuple;
    if (list) builder_byte(out, '[');
    for (size_t i = 0; list && i < value->list.count; i++) {
        if (i) builder_string(out, ", ");
        constant_print(out, &value->list.items[i]);
    }
    if (list) builder_byte(out, ']');
}

void expression_print(struct builder *out, struct matcher *matcher, const struct expression *expression) {
    struct value value;
    if (expression_is_integer(expression)) {
        symint integer = expression_integer_of(matcher, expression);
        if (integer)
            symint_print(out, integer);
        else
            builder_string(out, "not known");
        return;
    }
    if (!constant_of(matcher->match, expression, &value)) {
        builder_string(out, "not known");
        return;
    }
    constant_print(out, &value);
}

/* `rope is 64, head_size is 128` */
static const char *values_text(struct matcher *matcher, const struct condition *condition) {
    struct builder out;
    builder_init(&out, matcher->arena);
    for (size_t i = 0; i <= condition->right_count; i++) {
        const struct expression *expression = i ? &condition->right[i - 1] : &condition->left;
        int64_t number;
        bool plain = expression->kind == expression_literal ||
                     (expression->kind == expression_integer && symint_is_constant(expression->integer, &number));
        if (plain) continue;
        builder_format(&out, "%s%.*s is ", out.length ? ", " : "", TEXT_ARGS(expression->text));
        expression_print(&out, matcher, expression);
    }
    return out.data ? out.data : "";
}

enum answer condition_holds(struct matcher *matcher, const struct condition *condition, const char **why) {
    enum answer answer = answer_no;
    if (condition->comparison == compare_holds) {
        answer = condition->left.function->property(matcher, condition->left.variable, why);
        return condition->negated ? answer_not(answer) : answer;
    }
    if (condition->comparison == compare_in)
        for (size_t i = 0; i < condition->right_count && answer != answer_yes; i++)
            answer = answer_or(answer, compare(matcher, compare_equal, &condition->left, &condition->right[i]));
    else
        answer = compare(matcher, condition->comparison, &condition->left, condition->right);
    if (why) *why = values_text(matcher, condition);
    return answer;
}
