/* Reading and printing symbolic integers as PyTorch prints them. */
#include "base/symint_internal.h"

#include <inttypes.h>

enum { deepest_nesting = 200 };

/* ---- functions ---- */

static symint apply_floor_divide(struct symbols *symbols, const symint *arguments, size_t count) {
    (void)count;
    return symint_floor_divide(symbols, arguments[0], arguments[1]);
}

/* For a positive divisor as PyTorch rewrites it, so that the same is printed. */
static symint apply_ceil_divide(struct symbols *symbols, const symint *arguments, size_t count) {
    symint a = arguments[0], b = arguments[1], one = symint_constant(symbols, 1);
    (void)count;
    if (symint_less(symbols, symint_constant(symbols, 0), b) == answer_yes)
        return symint_floor_divide(symbols, symint_add(symbols, a, symint_subtract(symbols, b, one)), b);
    return symint_negate(symbols, symint_floor_divide(symbols, symint_negate(symbols, a), b));
}

static symint apply_modulo(struct symbols *symbols, const symint *arguments, size_t count) {
    (void)count;
    return symint_modulo(symbols, arguments[0], arguments[1]);
}

static symint apply_modular_indexing(struct symbols *symbols, const symint *arguments, size_t count) {
    (void)count;
    return symint_modulo(symbols, symint_floor_divide(symbols, arguments[0], arguments[1]), arguments[2]);
}

static symint apply_power(struct symbols *symbols, const symint *arguments, size_t count) {
    int64_t exponent;
    if (symint_is_constant(arguments[1], &exponent)) return symint_power(symbols, arguments[0], exponent);
    return make_function(symbols, atom_opaque, TEXT("PowByNatural"), arguments, count);
}

static symint apply_max(struct symbols *symbols, const symint *arguments, size_t count) {
    symint result = arguments[0];
    for (size_t i = 1; i < count; i++) result = symint_max(symbols, result, arguments[i]);
    return result;
}

static symint apply_min(struct symbols *symbols, const symint *arguments, size_t count) {
    symint result = arguments[0];
    for (size_t i = 1; i < count; i++) result = symint_min(symbols, result, arguments[i]);
    return result;
}

static const struct known_function {
    const char *name;
    size_t least, most; /* arguments */
    symint (*apply)(struct symbols *symbols, const symint *arguments, size_t count);
} known_functions[] = {
    {"FloorDiv", 2, 2, apply_floor_divide},   {"CleanDiv", 2, 2, apply_floor_divide},
    {"CeilDiv", 2, 2, apply_ceil_divide},     {"Mod", 2, 2, apply_modulo},
    {"PythonMod", 2, 2, apply_modulo},        {"ModularIndexing", 3, 3, apply_modular_indexing},
    {"PowByNatural", 2, 2, apply_power},      {"Max", 1, maximum_arguments, apply_max},
    {"Min", 1, maximum_arguments, apply_min},
};

static const struct known_function *find_function(struct text name) {
    for (size_t i = 0; i < sizeof known_functions / sizeof known_functions[0]; i++)
        if (text_is(name, known_functions[i].name)) return &known_functions[i];
    return NULL;
}

/* ---- the parser ----
 *
 *     sum      product { ('+' | '-') product }
 *     product  signed { ('*' | '//' | '%') signed }
 *     signed   { '+' | '-' } primary [ '**' signed ]
 *     primary  number | name [ '(' [ sum { ',' sum } ] ')' ] | '(' sum ')'
 */

enum token_kind { token_end, token_number, token_name, token_sign };

struct token {
    enum token_kind kind;
    struct text text;
};

struct parser {
    struct symbols *symbols;
    struct diagnostics *diagnostics;
    const struct source *source;
    struct text rest; /* behind `token` */
    struct token token;
    int depth;
};

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

static bool is_letter(char byte) { return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_'; }

static struct text skip_blanks(struct text text) {
    while (text.length && (text.data[0] == ' ' || text.data[0] == '\t')) text = text_skip(text, 1);
    return text;
}

static void advance(struct parser *parser) {
    size_t length = 0;
    struct text text = parser->rest;
    enum token_kind kind = token_end;
    if (text.length) {
        kind = is_digit(text.data[0]) ? token_number : is_letter(text.data[0]) ? token_name : token_sign;
        if (kind == token_sign)
            length = text_starts_with(text, "**") || text_starts_with(text, "//") ? 2 : 1;
        else
            while (length < text.length && (is_digit(text.data[length]) || is_letter(text.data[length]))) length++;
    }
    parser->token = (struct token){kind, {text.data, length}};
    parser->rest = skip_blanks(text_skip(text, length));
}

static bool at(const struct parser *parser, const char *sign) {
    return parser->token.kind == token_sign && text_is(parser->token.text, sign);
}

static bool accept(struct parser *parser, const char *sign) {
    bool found = at(parser, sign);
    if (found) advance(parser);
    return found;
}

static struct position position_of(const struct parser *parser, struct text text) {
    if (!parser->source) return (struct position){0};
    return (struct position){parser->source, (size_t)(text.data - parser->source->contents.data), text.length};
}

#define reject(parser, text, ...)                                                                                      \
    fail((parser)->diagnostics, REGRAFT_REJECTED, position_of((parser), (text)), __VA_ARGS__)

static regraft_status reject_token(struct parser *parser, const char *expected) {
    struct text text = parser->token.text;
    if (parser->token.kind == token_end)
        return reject(parser, text, "expected %s, found the end of the expression", expected);
    return reject(parser, text, "expected %s, found '%.*s'", expected, TEXT_ARGS(text));
}

static regraft_status parse_sum(struct parser *parser, symint *result);
static regraft_status parse_signed(struct parser *parser, symint *result);

static regraft_status parse_number(struct parser *parser, bool negative, symint *result) {
    struct text digits = parser->token.text;
    int64_t value = 0;
    bool overflow = false;
    for (size_t i = 0; i < digits.length; i++) {
        if (!is_digit(digits.data[i])) return reject_token(parser, "a number or a name");
        int digit = digits.data[i] - '0';
        overflow |= __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, negative ? -digit : digit, &value);
    }
    advance(parser);
    *result = overflow ? make_nothing(parser->symbols) : symint_constant(parser->symbols, value);
    return REGRAFT_OK;
}

static regraft_status parse_arguments(struct parser *parser, symint *arguments, size_t *count) {
    *count = 0;
    if (accept(parser, ")")) return REGRAFT_OK;
    do {
        if (*count == maximum_arguments)
            return reject(parser, parser->token.text, "expected at most %d arguments", (int)maximum_arguments);
        TRY(parse_sum(parser, &arguments[(*count)++]));
    } while (accept(parser, ","));
    return accept(parser, ")") ? REGRAFT_OK : reject_token(parser, "an operator, ',' or ')'");
}

static regraft_status parse_name(struct parser *parser, symint *result) {
    struct text name = parser->token.text;
    symint arguments[maximum_arguments];
    size_t count;
    advance(parser);
    if (!accept(parser, "(")) {
        *result = text_is(name, "nan") ? make_nothing(parser->symbols) : symint_symbol(parser->symbols, name);
        return REGRAFT_OK;
    }
    TRY(parse_arguments(parser, arguments, &count));
    const struct known_function *function = find_function(name);
    if (function && (count < function->least || count > function->most))
        return reject(parser, name, "expected %zu%s arguments of %s, found %zu", function->least,
                      function->least < function->most ? " or more" : "", function->name, count);
    *result = function ? function->apply(parser->symbols, arguments, count)
                       : make_function(parser->symbols, atom_opaque, name, arguments, count);
    return REGRAFT_OK;
}

static regraft_status parse_primary(struct parser *parser, symint *result) {
    if (parser->token.kind == token_number) return parse_number(parser, false, result);
    if (parser->token.kind == token_name) return parse_name(parser, result);
    if (!accept(parser, "(")) return reject_token(parser, "a number, a name or '('");
    TRY(parse_sum(parser, result));
    return accept(parser, ")") ? REGRAFT_OK : reject_token(parser, "an operator or ')'");
}

static regraft_status parse_factor(struct parser *parser, symint *result) {
    bool negative = false;
    for (; at(parser, "-") || at(parser, "+"); advance(parser)) negative ^= at(parser, "-");
    /* The number that is least has no positive counterpart. */
    if (negative && parser->token.kind == token_number && !text_starts_with(parser->rest, "**"))
        return parse_number(parser, true, result);
    TRY(parse_primary(parser, result));
    if (accept(parser, "**")) {
        symint arguments[2] = {*result};
        TRY(parse_signed(parser, &arguments[1]));
        *result = apply_power(parser->symbols, arguments, 2);
    }
    if (negative) *result = symint_negate(parser->symbols, *result);
    return REGRAFT_OK;
}

/* All recursion comes through here. */
static regraft_status parse_signed(struct parser *parser, symint *result) {
    if (parser->depth == deepest_nesting)
        return reject(parser, parser->token.text, "expected an expression that is nested at most %d deep",
                      (int)deepest_nesting);
    parser->depth++;
    TRY(parse_factor(parser, result));
    parser->depth--;
    return REGRAFT_OK;
}

static regraft_status parse_product(struct parser *parser, symint *result) {
    static const struct {
        const char *sign;
        symint (*apply)(struct symbols *symbols, symint a, symint b);
    } operators[] = {{"*", symint_multiply}, {"//", symint_floor_divide}, {"%", symint_modulo}};
    const size_t count = sizeof operators / sizeof operators[0];
    TRY(parse_signed(parser, result));
    for (;;) {
        size_t which = 0;
        while (which < count && !at(parser, operators[which].sign)) which++;
        if (which == count) return at(parser, "/") ? reject_token(parser, "'//' (these are integers)") : REGRAFT_OK;
        symint operand;
        advance(parser);
        TRY(parse_signed(parser, &operand));
        *result = operators[which].apply(parser->symbols, *result, operand);
    }
}

static regraft_status parse_sum(struct parser *parser, symint *result) {
    TRY(parse_product(parser, result));
    while (at(parser, "+") || at(parser, "-")) {
        bool negative = at(parser, "-");
        symint operand;
        advance(parser);
        TRY(parse_product(parser, &operand));
        *result = (negative ? symint_subtract : symint_add)(parser->symbols, *result, operand);
    }
    return REGRAFT_OK;
}

regraft_status symint_parse(struct symbols *symbols, struct diagnostics *diagnostics, const struct source *source,
                            struct text text, symint *result) {
    struct parser parser = {
        .symbols = symbols, .diagnostics = diagnostics, .source = source, .rest = skip_blanks(text)};
    advance(&parser);
    TRY(parse_sum(&parser, result));
    if (parser.token.kind == token_end) return REGRAFT_OK;
    return reject_token(&parser, "an operator or the end of the expression");
}

/* ---- the printer ---- */

/* An operand of //: only symbols, numbers, Max and Min go without parentheses. */
static void print_operand(struct builder *out, symint a) {
    const struct atom *atom = value_atom(a);
    bool bare = atom ? atom->kind == atom_symbol || atom->kind == atom_max || atom->kind == atom_min
                     : a->count == 0 && a->constant >= 0;
    if (!bare) builder_byte(out, '(');
    symint_print(out, a);
    if (!bare) builder_byte(out, ')');
}

static void print_atom(struct builder *out, const struct atom *atom) {
    if (atom->kind == atom_floor_divide) {
        builder_byte(out, '(');
        print_operand(out, atom->arguments[0]);
        builder_string(out, "//");
        print_operand(out, atom->arguments[1]);
        builder_byte(out, ')');
        return;
    }
    builder_add(out, atom->name);
    if (atom->kind == atom_symbol) return;
    for (size_t i = 0; i < atom->count; i++) {
        builder_string(out, i ? ", " : "(");
        symint_print(out, atom->arguments[i]);
    }
    builder_string(out, atom->count ? ")" : "()");
}

/* PyTorch gives FloorDiv and Mod a precedence below that of a sum, hence `2*((s0//4)) + 1`. */
static void print_factor(struct builder *out, struct factor factor) {
    bool bare = factor.atom->kind != atom_floor_divide && factor.atom->kind != atom_modulo;
    if (!bare) builder_byte(out, '(');
    print_atom(out, factor.atom);
    if (!bare) builder_byte(out, ')');
    if (factor.power != 1) builder_format(out, "**%" PRId64, factor.power);
}

/* The term without its sign. */
static void print_term(struct builder *out, struct term term) {
    uint64_t size = term.coefficient < 0 ? -(uint64_t)term.coefficient : (uint64_t)term.coefficient;
    if (size != 1 || !term.monomial) builder_format(out, "%" PRIu64, size);
    for (size_t i = 0; term.monomial && i < term.monomial->count; i++) {
        if (i || size != 1) builder_byte(out, '*');
        print_factor(out, term.monomial->factors[i]);
    }
}

static void print_next_term(struct builder *out, bool first, struct term term) {
    if (first)
        builder_string(out, term.coefficient < 0 ? "-" : "");
    else
        builder_string(out, term.coefficient < 0 ? " - " : " + ");
    print_term(out, term);
}

/* sympy starts with the constant in this one case: 8 - 2*s0. */
static bool constant_first(symint a) {
    return a->count == 1 && a->constant > 0 && a->terms[0].coefficient < 0 && a->terms[0].monomial->count == 1;
}

void symint_print(struct builder *out, symint a) {
    const struct atom *atom = value_atom(a);
    struct term constant = {a->constant, NULL};
    if (a->nothing) {
        builder_string(out, "nan"); /* sympy's number that equals nothing */
    } else if (atom) {
        print_atom(out, atom);
    } else {
        bool early = constant_first(a);
        if (early) print_next_term(out, true, constant);
        for (size_t i = 0; i < a->count; i++) print_next_term(out, i == 0 && !early, a->terms[i]);
        if (!early && (a->constant || a->count == 0)) print_next_term(out, a->count == 0, constant);
    }
}

const char *symint_string(struct arena *arena, symint a) {
    struct builder out;
    builder_init(&out, arena);
    symint_print(&out, a);
    return out.data;
}
