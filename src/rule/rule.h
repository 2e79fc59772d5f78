/* Rules: fusions as data (docs/rules.md). A rule is two graphs in FX syntax, what to match and what to put there instead,
 * with conditions. It is read once (read*.c) into the form below, which the matcher works on. */
#ifndef REGRAFT_RULE_RULE_H
#define REGRAFT_RULE_RULE_H

#include "ir/graph.h"

enum {
    rule_most_names = 256,      /* declared values and results of statements, in one of a rule's graphs */
    rule_most_statements = 128, /* in one of a rule's graphs */
    rule_most_conditions = 128
};

/* ---- what an argument is ---- */

enum attribute_kind {
    attribute_integer,
    attribute_float,
    attribute_boolean,
    attribute_string,
    attribute_dtype,
    attribute_layer, /* the name of a layer: a string, or an object that the graph is given */
    attribute_any
};

/* As it is declared: "float". */
const char *attribute_kind_name(enum attribute_kind kind);

/* A name that stands for something that is no tensor. */
struct attribute {
    struct text name;
    enum attribute_kind kind;
    symint symbol; /* of an integer: what stands for it in expressions */
    struct position position;
};

enum pattern_kind {
    pattern_default,  /* left out: what the schema says */
    pattern_variable, /* a tensor */
    pattern_attribute,
    pattern_integer, /* an expression over integer attributes */
    pattern_literal,
    pattern_list,
    pattern_matched /* in a replacement: a variable of the match, for its sizes */
};

struct pattern {
    enum pattern_kind kind;
    size_t index; /* of the variable or attribute; of an integer that is one attribute alone, else SIZE_MAX */
    symint integer;
    const struct value *literal;
    struct pattern *items; /* of a list */
    size_t count;
};

/* What type a declared tensor has. */
struct tensor_pattern {
    bool any_dtype;
    size_t dtype_attribute; /* SIZE_MAX: `dtype` itself */
    enum dtype dtype;
    bool any_shape;
    bool open;               /* `...`: any dimensions in front of `sizes` */
    struct pattern *sizes;   /* pattern_integer, or pattern_default for `_` */
    struct pattern *strides; /* the same; NULL: any */
    size_t rank;
    const struct tensor_pattern *otherwise; /* another type that it may have, or NULL */
};

/* ---- graphs ---- */

struct definition {
    size_t statement, result;
};

struct variable {
    struct text name;
    struct position position;
    const struct tensor_pattern *type;     /* of a declared tensor; NULL for the result of a statement */
    VECTOR(struct definition) definitions; /* several: alternatives, joined by `or` */
    size_t
        other; /* in `match`: the variable of `replace` with the same name; in `replace` the other way round; or SIZE_MAX */
};

enum statement_kind {
    statement_call,      /* an operation */
    statement_view,      /* one of class view: the window, however it is spelled */
    statement_elements,  /* same_elements(x): the same elements in the same order, in any shape */
    statement_broadcast, /* broadcast(x): the same, and repeated along dimensions as operands of arithmetic are */
    statement_shape,     /* same_shape(x, y), of replacements: x in the sizes of y */
    statement_halves,    /* once_of_halves(x), of replacements: of rows a b a b, a b (rule/repetition.h) */
    statement_pairs,     /* once_of_pairs(x), of replacements: of rows a a b b, a b */
    statement_numbers,   /* row_numbers(x), of replacements: 0, 1, 2, ... for the rows of x */
    statement_same       /* y = x, as an alternative */
};

struct rule_statement {
    enum statement_kind kind;
    const struct operation *operation;
    struct pattern *arguments; /* by the index of the schema's arguments; of what is no operation: one or two */
    size_t argument_count;
    size_t *results; /* variables: what is returned, then the written arguments; SIZE_MAX: `_` */
    size_t result_count;
    struct position position;
    struct text text;   /* as written */
    struct text remedy; /* of a match: what would help where it is not found, as the rule says it; or "" */
};
/* Whether an argument of the statement is the variable, or a list with it. */
bool statement_uses(const struct rule_statement *statement, size_t variable);

struct rule_graph {
    VECTOR(struct variable) variables; /* the declared tensors first, in both graphs with the same indices */
    VECTOR(struct rule_statement) statements;
};

/* ---- conditions ---- */

enum expression_kind {
    expression_integer,   /* over integer attributes */
    expression_literal,   /* a number, string, truth value, element type */
    expression_attribute, /* that is no integer */
    expression_function,  /* of variables and expressions: stride(q, -1) */
    expression_operator   /* + - * // % of two integers */
};

struct expression {
    enum expression_kind kind;
    symint integer;
    const struct value *literal;
    size_t attribute;
    const struct rule_function *function;
    size_t variable;
    char operator;
    struct expression *left, *right; /* of a function: its second argument is `right` */
    struct text text;                /* as written */
};
/* Whether it is an integer, by its form. */
bool expression_is_integer(const struct expression *expression);

enum comparison_kind { compare_holds, compare_equal, compare_not_equal, compare_less, compare_less_equal, compare_in };

struct condition {
    enum comparison_kind comparison;
    bool negated;  /* `not` in front of what holds */
    bool kernel;   /* the kernel demands it, not the meaning */
    bool rounding; /* only demanded where every bit has to stay */
    struct expression left;
    struct expression *right; /* several for `in` */
    size_t right_count;
    struct position position;
    struct text text;   /* as written */
    struct text remedy; /* what would make it hold, as the rule says it behind `else`; or "" */
};

/* ---- rules ---- */

enum platform { platform_cpu = 1, platform_cuda = 2, platform_rocm = 4 };

struct token_range {
    int64_t least, most; /* INT64_MAX: no upper bound */
};

/* Rules that raise run first, until nothing more is found: they bring about what others match. */
enum rule_stage { stage_raise, stage_fuse, stage_count };

struct rule {
    struct text name, summary;
    enum rule_stage stage;
    struct position position;
    unsigned platforms; /* enum platform, or-ed */
    struct token_range tokens;
    int64_t launches;         /* that it saves */
    struct expression *bytes; /* that it saves, or NULL */
    VECTOR(struct attribute) attributes;
    size_t tensor_count; /* of the declared tensors among the variables */
    struct rule_graph match, replace;
    VECTOR(struct condition) conditions;
    size_t anchor;        /* the statement of `match` where the search begins */
    size_t calls;         /* how many of its statements are calls that are always there */
    VECTOR(size_t) climb; /* variables of `match` to reach through the users of others, in this order */
};

enum rule_state { rule_auto, rule_on, rule_off };

/* What a user wants of a rule ("*": of every one), for some platforms and numbers of tokens. */
struct rule_setting {
    struct text rule;
    enum rule_state state;
    unsigned platforms;
    struct token_range tokens;
    struct position position;
};

struct rules {
    VECTOR(struct rule *) items;
    VECTOR(struct rule_setting) settings;    /* in the order in which they were given */
    VECTOR(const char *) names;              /* of items, for "did you mean"; made when it is needed */
    VECTOR(const struct operation *) called; /* rules_called; of the first `looked_through` items */
    size_t looked_through;
};

struct rule_decision {
    bool runs;
    bool asked;         /* the rule was switched on by its name */
    const char *why;    /* "auto", "off by FILE:LINE", "auto; it pays for 1-256 tokens, and the graph is for 1-" */
    const char *remedy; /* what would make it run; "" when it does */
};

/* Reads all rules of a text. A name that is there already is an error. */
regraft_status rules_read(struct context *context, const struct source *source, struct rules *rules);
/* The rules of the context: those that are part of the library, and those that were added (rules_read). */
regraft_status rules_of(struct context *context, struct rules **rules);
/* Adds the settings of a configuration (docs/rules.md). */
regraft_status rules_configure(struct context *context, const struct source *source, struct rules *rules);
/* A setting for all platforms and numbers of tokens. */
struct rule_setting rule_setting_for(struct text name, enum rule_state state, struct position position);
/* Whether a rule runs for one platform and a range of tokens, and why. */
struct rule_decision rule_decide(struct arena *arena, const struct rules *rules, const struct rule *rule,
                                 unsigned platform, struct token_range tokens);
const char *rule_state_name(enum rule_state state);
/* REGRAFT_USAGE at the position when there is no such rule. */
regraft_status rules_check_name(struct context *context, struct rules *rules, struct text name,
                                struct position position);
/* The `index`th operation that a rule of a fusion calls, or that stands in for one of these; NULL behind the last. */
const struct operation *rules_called(struct context *context, struct rules *rules, size_t index);
const struct rule *rules_find(const struct rules *rules, struct text name);

/* "cpu", "cuda", "rocm", "cuda-alike"; 0 when there is no such platform. */
unsigned platform_parse(struct text name);
/* "cpu, cuda-alike" */
const char *platforms_text(struct arena *arena, unsigned platforms);
/* "1-256", "64", "1-"; false when it is none. */
bool token_range_parse(struct text text, struct token_range *range);
const char *token_range_text(struct arena *arena, struct token_range range);

#endif
