/* What would make a condition hold, where the rule itself does not say. */
#include "rule/condition.h"

static bool asks_tensor(const struct expression *expression) {
    return expression->kind == expression_function && !expression->function->of_dtype;
}

/* The first function of a tensor in the expression; NULL: there is none. */
static const struct expression *find_function(const struct expression *expression) {
    if (!expression) return NULL;
    if (asks_tensor(expression)) return expression;
    if (expression->kind != expression_operator) return NULL;
    const struct expression *left = find_function(expression->left);
    return left ? left : find_function(expression->right);
}

static const struct expression *first_function(const struct condition *condition) {
    const struct expression *function = find_function(&condition->left);
    for (size_t i = 0; i < condition->right_count && !function; i++) function = find_function(&condition->right[i]);
    return function;
}

const struct node *condition_node(const struct matcher *matcher, const struct condition *condition) {
    const struct expression *function = first_function(condition);
    return function ? matcher->match->values[function->variable] : NULL;
}

/* What to do, around the name of the node: where the property is wanted, and where its absence is. */
struct advice {
    const char *function, *before, *behind, *not_before, *not_behind;
};

static const struct advice advice[] = {
    {"contiguous", "a contiguous ", ": from an operation that writes it so, or aten.contiguous behind it", "",
     " with gaps between its elements"},
    {"used", "a reader of ", " that is no part of the rule", "nobody else who reads ", ""},
    {"same_layer", "the calls that are ordered behind ", " of the layer that it writes",
     "a call of another layer ordered behind ", ""},
    {"owed_contiguous", "a reader of ", " that a contract owes a contiguous one (--contract)",
     "no contract that owes a reader of ", " a contiguous one (--contract)"},
    {"read_as_key", "a reader that takes ", " as its key", "nobody who takes ", " as key"},
    {"repeats_halves", "", " made in the graph: by cat or repeat of one half, or arithmetic on such", "",
     " not made of one half twice"},
    {"repeats_pairs", "", " made in the graph: by repeat_interleave, or stack and flatten, of one row", "",
     " not made of elements twice"},
};

static const char *advice_for(struct matcher *matcher, const struct condition *condition) {
    const struct node *node = condition_node(matcher, condition);
    for (size_t i = 0; node && i < sizeof advice / sizeof *advice; i++) {
        const struct advice *row = &advice[i];
        if (strcmp(condition->left.function->name, row->function) != 0) continue;
        return text_format(matcher->arena, "%s%.*s%s", condition->negated ? row->not_before : row->before,
                           TEXT_ARGS(node->name), condition->negated ? row->not_behind : row->behind);
    }
    return text_format(matcher->arena, "%.*s", TEXT_ARGS(condition->text));
}

static bool is_number(const struct expression *expression) {
    int64_t number;
    return expression->kind == expression_literal ||
           (expression->kind == expression_integer && symint_is_constant(expression->integer, &number));
}

/* `rope equal to width, 64` */
static void print_wanted(struct builder *out, struct matcher *matcher, const struct expression *expression) {
    builder_format(out, "%.*s", TEXT_ARGS(expression->text));
    if (is_number(expression)) return;
    builder_string(out, ", ");
    expression_print(out, matcher, expression);
}

const char *condition_remedy(struct matcher *matcher, const struct condition *condition) {
    static const char *const words[] = {[compare_equal] = "equal to",
                                        [compare_not_equal] = "other than",
                                        [compare_less] = "less than",
                                        [compare_less_equal] = "at most",
                                        [compare_in] = "one of"};
    struct builder out;
    if (condition->remedy.length) return text_format(matcher->arena, "%.*s", TEXT_ARGS(condition->remedy));
    if (condition->comparison == compare_holds) return advice_for(matcher, condition);
    builder_init(&out, matcher->arena);
    builder_format(&out, "%.*s %s ", TEXT_ARGS(condition->left.text), words[condition->comparison]);
    for (size_t i = 0; i < condition->right_count; i++) {
        builder_string(&out, i == 0 ? "" : i + 1 == condition->right_count ? " or " : ", ");
        print_wanted(&out, matcher, &condition->right[i]);
    }
    const struct expression *function = first_function(condition);
    const struct node *node = condition_node(matcher, condition);
    const struct variable *variables = matcher->match->rule->match.variables.items;
    if (node && !text_equal(variables[function->variable].name, node->name))
        builder_format(&out, "; %.*s is %.*s here", TEXT_ARGS(variables[function->variable].name),
                       TEXT_ARGS(node->name));
    return out.data;
}
