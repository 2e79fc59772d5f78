/* Symbolic integers: the canonical form, three-valued comparison, reading and printing, and all of it at random
 * against plain integers. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/symint.h"

#include <cmocka.h> /* last: it has a macro fail() */

/* ---- the fixture ---- */

struct fixture {
    struct arena *arena;
    struct arena_guard guard;
    struct diagnostics diagnostics;
    struct symbols *symbols;
};

static void fixture_open(struct fixture *fixture) {
    fixture->arena = arena_create(NULL);
    assert_non_null(fixture->arena);
    if (arena_guarded(fixture->arena, &fixture->guard)) fail_msg("out of memory");
    diagnostics_init(&fixture->diagnostics, fixture->arena);
    fixture->symbols = symbols_create(fixture->arena);
}

static void fixture_close(struct fixture *fixture) {
    arena_unguard(fixture->arena, &fixture->guard);
    arena_destroy(fixture->arena);
}

static int set_up(void **state) {
    static struct fixture fixture; /* one test at a time */
    fixture_open(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    fixture_close(*state);
    return 0;
}

static regraft_status try_read(struct fixture *fixture, const char *string, symint *value) {
    struct source *source = arena_new(fixture->arena, struct source);
    *source = (struct source){"expression", text_of(string)};
    diagnostics_clear(&fixture->diagnostics);
    return symint_parse(fixture->symbols, &fixture->diagnostics, source, source->contents, value);
}

static symint read(struct fixture *fixture, const char *string) {
    symint value = NULL;
    if (try_read(fixture, string, &value) != REGRAFT_OK) fail_msg("%s", fixture->diagnostics.message);
    return value;
}

static const char *print(struct fixture *fixture, symint value) {
    struct builder out;
    builder_init(&out, fixture->arena);
    symint_print(&out, value);
    return out.data;
}

static void narrow(struct fixture *fixture, const char *name, int64_t least, int64_t most) {
    symbols_narrow(fixture->symbols, symint_symbol(fixture->symbols, text_of(name)), least, most);
}

/* ---- the canonical form ---- */

static void one_value_has_one_form(void **state) {
    struct fixture *fixture = *state;
    static const char *const same[][2] = {
        {"2*(s0 + 3) - s0", "6 + s0"},
        {"(s0 + s1)*(s0 - s1)", "s0**2 - s1**2"},
        {"(s0 + 1)**3", "s0*s0*s0 + 3*s0**2 + 3*s0 + 1"},
        {"s0 - s0", "0"},
        {"-1 * s0 + s1", "s1 - s0"},
        {"--s0", "+s0"},
        {"-2**2", "-4"},
        {"2**3**2", "512"},
        {"-7//2", "-4"},
        {"-7 % 3", "2"},
        {"7 % -3", "-2"},
        {"2 * 7 // 4 % 2", "1"},
        {"s0**0", "1"},
        {"-9223372036854775808", "-9223372036854775807 - 1"},
        /* functions */
        {"FloorDiv(s0 + 8, 9)", "((s0 + 8)//9)"},
        {"CeilDiv(s0, 9)", "((s0 + 8)//9)"},
        {"CeilDiv(u0, u1)", "-((-u0)//u1)"},
        {"CleanDiv(64*s0, 64)", "s0"},
        {"Mod(s0, 4)", "s0 % 4"},
        {"PythonMod(s0, 4)", "s0 % 4"},
        {"ModularIndexing(s0, 8, 4)", "(s0//8) % 4"},
        {"(8*s0 + 24)//8", "s0 + 3"},
        {"(8*s0 + s1)//8", "s0 + s1//8"},
        {"(s0*s1 + s1 + 3)//s1", "s0 + 1 + 3//s1"},
        {"(s0**2 + 3*s0 + 2)//(s0 + 1)", "s0 + 2"},
        {"(6*s0 + 4)//4", "1 + (3*s0)//2"},
        {"(s0*s1)//(s0*s2)", "s1//s2"},
        {"(-s0)//(-4)", "s0//4"},
        {"(s0//4)//3", "s0//12"},
        {"(u0//4)//3", "u0//12"},
        {"s0//1", "s0"},
        {"s0//(-1)", "-s0"},
        {"0//s0", "0"},
        {"s0//s0", "1"},
        {"(s0*8) % 8", "0"},
        {"(s0*s1 + s2) % s1", "s2 % s1"},
        {"(s0 % 4) % 4", "s0 % 4"},
        {"(s0 % 4) % 9", "s0 % 4"},
        {"(s0 % 4)//4", "0"},
        {"(s0 % s1)//s1", "0"},
        {"s0//(s0 + 1)", "0"},
        {"s0 % (s0 + 1)", "s0"},
        {"(-1 - (s0 % 4))//4", "-1"},
        {"Max(s0, 0)", "s0"},
        {"Max(s0, 1, s1)", "Max(s1, Max(1, s0))"},
        {"Max(s0, s0 + 1)", "s0 + 1"},
        {"Min(s0, s0 + 1, 3, 4)", "Min(3, s0)"},
        {"Min(0, s0)", "0"},
        {"Max(s0, s1) - Max(s1, s0)", "0"},
        {"PowByNatural(s0, 2)", "s0**2"},
        {"somebody(s0 + s0, 3)", "somebody(2*s0, 3)"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        symint a = read(fixture, same[i][0]), b = read(fixture, same[i][1]);
        if (a != b) fail_msg("%s is %s, %s is %s", same[i][0], print(fixture, a), same[i][1], print(fixture, b));
    }
}

static void order_does_not_depend_on_creation(void **state) {
    struct fixture *fixture = *state, other;
    static const char *const parts[] = {"s10*s2",      "3*s2", "s1**2", "s1//7", "s2 % 5",
                                        "Max(s1, s2)", "u0",   "u0*s1", "4"};
    const size_t count = sizeof parts / sizeof parts[0];
    fixture_open(&other);
    symint forward = symint_constant(fixture->symbols, 0), backward = symint_constant(other.symbols, 0);
    for (size_t i = 0; i < count; i++) {
        forward = symint_add(fixture->symbols, forward, read(fixture, parts[i]));
        backward = symint_add(other.symbols, backward, read(&other, parts[count - 1 - i]));
    }
    assert_string_equal(print(fixture, forward), print(&other, backward));
    fixture_close(&other);
}

/* ---- overflow and size ---- */

static void assert_equals_nothing(struct fixture *fixture, symint value) {
    int64_t number;
    symint zero = symint_constant(fixture->symbols, 0);
    assert_false(symint_is_constant(value, &number));
    assert_int_equal(symint_equal(fixture->symbols, value, value), answer_unknown);
    assert_int_equal(symint_equal(fixture->symbols, value, zero), answer_unknown);
    assert_int_equal(symint_less(fixture->symbols, value, zero), answer_unknown);
    assert_int_equal(symint_less_equal(fixture->symbols, value, value), answer_unknown);
    assert_null(symint_divide_exact(fixture->symbols, value, value));
    assert_false(symint_evaluate(value, NULL, NULL, &number));
    assert_string_equal(print(fixture, symint_add(fixture->symbols, value, zero)), "nan");
    assert_string_equal(print(fixture, symint_max(fixture->symbols, value, zero)), "nan");
    assert_string_equal(print(fixture, symint_floor_divide(fixture->symbols, zero, value)), "nan");
}

static void overflow_equals_nothing(void **state) {
    static const char *const expressions[] = {
        "9223372036854775807 + 1",
        "9223372036854775808",
        "-9223372036854775808 - 1",
        "(-9223372036854775808)//(-1)",
        "4294967296*4294967296",
        "9223372036854775807*s0 + s0",
        "4294967296*s0*4294967296",
        "-(-9223372036854775808*s0)",
        "s0//0",
        "s0 % 0",
        "1//(s0 - s0)",
        "2**64",
        "2**(-1)",
        "(s0 + s1)**100",
        "(s0 + 1)**9223372036854775807",
        "s0**9223372036854775807*s0",
        "FloorDiv(nan, 3)",
        "nan",
        "(s0 + 1)**300",
    };
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++)
        assert_equals_nothing(*state, read(*state, expressions[i]));
    assert_int_equal(symint_equal(((struct fixture *)*state)->symbols, read(*state, "nan"), read(*state, "nan")),
                     answer_unknown);
}

static void extreme_numbers_compare(void **state) {
    struct symbols *symbols = ((struct fixture *)*state)->symbols;
    symint least = symint_constant(symbols, INT64_MIN), most = symint_constant(symbols, INT64_MAX);
    assert_int_equal(symint_less(symbols, least, most), answer_yes);
    assert_int_equal(symint_less_equal(symbols, most, least), answer_no);
    assert_int_equal(symint_equal(symbols, least, most), answer_no);
    assert_true(symint_is(symint_modulo(symbols, least, symint_constant(symbols, -1)), 0));
    narrow(*state, "u0", INT64_MAX, INT64_MAX);
    narrow(*state, "u1", INT64_MIN, INT64_MIN);
    assert_int_equal(symint_less(symbols, read(*state, "u1"), read(*state, "u0")), answer_yes);
}

/* Growth of every kind ends in the value that equals nothing, in reasonable time. */
static void large_expressions_are_refused(void **state) {
    struct fixture *fixture = *state;
    struct symbols *symbols = fixture->symbols;
    symint sum = symint_constant(symbols, 0), product = symint_constant(symbols, 1), nested = read(fixture, "u0");
    symint doubled = read(fixture, "u1");
    for (int i = 0; i < 2000; i++) {
        symint symbol = symint_symbol(symbols, text_of(text_format(fixture->arena, "s%d", i)));
        sum = symint_add(symbols, sum, symbol);
        product = symint_multiply(symbols, product, symbol);
        nested = symint_floor_divide(symbols, symint_add(symbols, nested, symbol), symbol);
        doubled = symint_max(symbols, symint_floor_divide(symbols, doubled, symbol),
                             symint_multiply(symbols, doubled, symbol));
    }
    assert_equals_nothing(fixture, sum);
    assert_equals_nothing(fixture, product);
    assert_equals_nothing(fixture, nested);
    assert_equals_nothing(fixture, doubled);
}

/* ---- questions ---- */

struct question {
    const char *a, *b;
    enum answer equal, less, less_equal;
};

static void assert_answers(struct fixture *fixture, const struct question *questions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        symint a = read(fixture, questions[i].a), b = read(fixture, questions[i].b);
        enum answer equal = symint_equal(fixture->symbols, a, b), less = symint_less(fixture->symbols, a, b);
        enum answer less_equal = symint_less_equal(fixture->symbols, a, b);
        if (equal != questions[i].equal || less != questions[i].less || less_equal != questions[i].less_equal)
            fail_msg("%s, %s: equal %d, less %d, less or equal %d", questions[i].a, questions[i].b, (int)equal,
                     (int)less, (int)less_equal);
    }
}

static void comparisons_decide(void **state) {
    const enum answer no = answer_no, yes = answer_yes, unknown = answer_unknown;
    narrow(*state, "s2", 2, 4096);
    narrow(*state, "s3", 2, INT64_MAX);
    narrow(*state, "u1", 0, 7);
    narrow(*state, "u9", INT64_MIN, -1);
    const struct question questions[] = {
        {"3", "4", no, yes, yes},
        {"s0", "s0", yes, no, yes},
        {"s0", "s0 + 1", no, yes, yes},
        {"s0", "s1", unknown, unknown, unknown},
        {"0", "s0", unknown, unknown, yes},
        {"s0", "-1", no, no, no},
        {"u0", "0", unknown, unknown, unknown},
        {"64*s0", "128*s1 + 32", no, unknown, unknown},
        {"s0", "s0*s2", unknown, unknown, yes},
        {"s0 + 1", "s0*s2 + 2", no, yes, yes},
        {"s0*s1", "s0*s1*s2*s3", unknown, unknown, yes},
        {"s2*s3", "s2 + s3", unknown, no, unknown},
        {"s2**2", "4096*s2", unknown, unknown, yes},
        {"s3", "1", no, no, no},
        {"u9", "u1", no, yes, yes},
        {"u9*u9", "0", no, no, no},
        {"u9*s2", "0", no, yes, yes},
        {"s0 % 8", "8", no, yes, yes},
        {"s0 % 8", "s0", unknown, unknown, yes},
        {"8*(s0//8)", "s0", unknown, unknown, yes},
        {"8*(s0//8) + s0 % 8", "s0", yes, no, yes},
        {"9*((s0 + 8)//9)", "s0", unknown, no, unknown},
        {"9*((s0 + 8)//9)", "s0 + 9", no, yes, yes},
        {"s0//8", "s0", unknown, unknown, yes},
        {"s0//s1", "0", unknown, no, unknown},
        {"s0 % s1", "s1", no, yes, yes},
        {"(5*s0)//4", "s0 + s0//4", yes, no, yes},
        {"-((-s0)//9)", "(s0 + 8)//9", yes, no, yes},
        {"(2*s0 + 1)//4", "s0//2", yes, no, yes},
        {"u1//8", "0", yes, no, yes},
        {"Max(s0, s1)", "s0", unknown, no, unknown},
        {"Min(s0, s1)", "Max(s0, s1)", unknown, unknown, yes},
        {"Max(1, s0)", "0", no, no, no},
        {"s0 - Max(s0, s1)", "1", no, yes, yes},
        {"somebody(s0)", "somebody(s0)", yes, no, yes},
        {"somebody(s0)", "0", unknown, unknown, unknown},
    };
    assert_answers(*state, questions, sizeof questions / sizeof questions[0]);
}

static void exact_division(void **state) {
    struct fixture *fixture = *state;
    static const char *const divisions[][3] = {
        {"64*s0*s1 + 128*s0", "64*s0", "s1 + 2"},
        {"640", "64", "10"},
        {"0", "7", "0"},
        {"640", "0", NULL},
        {"641", "64", NULL},
        {"64*s0 + 1", "64", NULL},
        {"s0**2 - s1**2", "s0 + s1", "s0 - s1"},
        {"s0", "s1", NULL},
        {"-6*s0", "-3", "2*s0"},
        {"s0*(s1//4)", "s1//4", "s0"},
        {"3*s0", "2*s0", NULL},
        {"s0 + 1", "s0", NULL},
    };
    for (size_t i = 0; i < sizeof divisions / sizeof divisions[0]; i++) {
        symint quotient =
            symint_divide_exact(fixture->symbols, read(fixture, divisions[i][0]), read(fixture, divisions[i][1]));
        assert_ptr_equal(quotient, divisions[i][2] ? read(fixture, divisions[i][2]) : NULL);
    }
}

/* ---- reading and printing ---- */

static void prints_as_sympy(void **state) {
    static const char *const expressions[][2] = {
        {"30", "30"},
        {"-1 * s0", "-s0"},
        {"s30*4", "4*s30"},
        {"1 + s72", "s72 + 1"},
        {"s30 + -1", "s30 - 1"},
        {"FloorDiv(s3 + 8, 9)", "((s3 + 8)//9)"},
        {"FloorDiv(s3, 9)", "(s3//9)"},
        {"2*(s3//9) + 1", "2*((s3//9)) + 1"},
        {"(s3//9)**2", "((s3//9))**2"},
        {"1 + s3//9", "((s3//9)) + 1"},
        {"Mod(s3, 9) * s1", "s1*(Mod(s3, 9))"},
        {"FloorDiv(3, s1)", "(3//s1)"},
        {"FloorDiv(s0 % 4, s1)", "((Mod(s0, 4))//s1)"},
        {"Max(s0, 1)//s1", "(Max(1, s0)//s1)"},
        {"foo(s0)//s1", "((foo(s0))//s1)"},
        {"Max(s1*s0, s1, s0, s1 + 3)", "Max(s0, s0*s1, s1 + 3)"},
        {"Max(u1*u0, u1, u0, u0 + u1, u0//2)", "Max(u0, u1, u0*u1, u0 + u1, (u0//2))"},
        {"s2*s10 + s1**2 + s10 + 1", "s1**2 + s10*s2 + s10 + 1"},
        {"8 - 2*s0", "8 - 2*s0"},
        {"8 - 2*s0*s1", "-2*s0*s1 + 8"},
        {"-8 - 2*s0", "-2*s0 - 8"},
        {"1 - s0 + s1", "-s0 + s1 + 1"},
        {"u0**2*u1*3", "3*u0**2*u1"},
        {"foo()", "foo()"},
        {"2**s0", "PowByNatural(2, s0)"},
        {"9223372036854775808*1", "nan"},
    };
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++)
        assert_string_equal(print(*state, read(*state, expressions[i][0])), expressions[i][1]);
}

static void errors_name_the_place(void **state) {
    static const struct {
        const char *expression, *column, *message;
    } errors[] = {
        {"", ":1:1: ", "found the end of the expression"},
        {"s0 +", ":1:5: ", "found the end of the expression"},
        {"s0 + )", ":1:6: ", "expected a number, a name or '(', found ')'"},
        {"(s0", ":1:4: ", "expected an operator or ')'"},
        {"s0 s1", ":1:4: ", "found 's1'"},
        {"s0/2", ":1:3: ", "expected '//' (these are integers), found '/'"},
        {"3s0", ":1:1: ", "found '3s0'"},
        {"1.5", ":1:2: ", "found '.'"},
        {"Mod(s0)", ":1:1: ", "expected 2 arguments of Mod, found 1"},
        {"Max()", ":1:1: ", "expected 1 or more arguments of Max, found 0"},
        {"foo(s0", ":1:7: ", "expected an operator, ',' or ')'"},
        {"foo(s0,)", ":1:8: ", "found ')'"},
        {"foo(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17)", ":1:44: ", "at most 16 arguments"},
        {"s0 $ 3", ":1:4: ", "found '$'"},
    };
    struct fixture *fixture = *state;
    symint value;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_int_equal(try_read(fixture, errors[i].expression, &value), REGRAFT_REJECTED);
        const char *message = fixture->diagnostics.message;
        if (!strstr(message, errors[i].column) || !strstr(message, errors[i].message))
            fail_msg("%s: %s", errors[i].expression, message);
    }
}

static void nesting_is_limited(void **state) {
    static const char *const openings[] = {"(", "foo(", "-(", "2**"};
    struct fixture *fixture = *state;
    symint value;
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct builder text;
        builder_init(&text, fixture->arena);
        for (int depth = 0; depth < 100000; depth++) builder_string(&text, openings[i]);
        assert_int_equal(try_read(fixture, text.data, &value), REGRAFT_REJECTED);
        assert_non_null(strstr(fixture->diagnostics.message, "nested at most 200 deep"));
    }
    struct builder text;
    builder_init(&text, fixture->arena);
    for (int i = 0; i < 100000; i++) builder_byte(&text, '-');
    builder_string(&text, "s0");
    assert_ptr_equal(read(fixture, text.data), read(fixture, "s0"));
}

static bool no_number(void *user, struct text symbol, int64_t *value) {
    (void)user;
    (void)symbol;
    *value = 0;
    return false;
}

static void evaluation_needs_all_symbols(void **state) {
    int64_t value = 0;
    assert_true(symint_evaluate(read(*state, "640"), no_number, NULL, &value));
    assert_int_equal(value, 640);
    assert_false(symint_evaluate(read(*state, "s0"), no_number, NULL, &value));
    assert_false(symint_evaluate(read(*state, "foo(3)"), no_number, NULL, &value));
}

/* ---- at random, against plain integers ---- */

enum { symbol_count = 6, points = 24, pool_size = 40, rounds = 30 };

static const struct {
    const char *name;
    int64_t least, most;
} variables[symbol_count] = {{"s0", 0, INT64_MAX},         {"s1", 2, 12}, {"s2", 1, INT64_MAX},
                             {"u0", INT64_MIN, INT64_MAX}, {"u1", -5, 5}, {"u2", INT64_MIN, -1}};

/* A fixed generator (xorshift64*), so that every run is the same. */
static uint64_t random_bits(uint64_t *seed) {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717) >> 16;
}

static int64_t random_between(uint64_t *seed, int64_t least, int64_t most) {
    return least + (int64_t)(random_bits(seed) % (uint64_t)(most - least + 1));
}

/* An expression, and what plain arithmetic says of it at each point. */
struct sample {
    symint value;
    bool defined[points];
    int64_t numbers[points];
};

struct experiment {
    struct fixture fixture;
    uint64_t seed;
    int64_t assignments[points][symbol_count];
    struct sample pool[pool_size];
};

static bool plain_floor_divide(int64_t a, int64_t b, int64_t *result) {
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *result = a / b;
    if (*result * b != a && (a < 0) != (b < 0)) --*result;
    return true;
}

static bool plain_apply(char operation, int64_t a, int64_t b, int64_t *result) {
    int64_t product, quotient;
    switch (operation) {
    case '+':
        return !__builtin_add_overflow(a, b, result);
    case '-':
        return !__builtin_sub_overflow(a, b, result);
    case '*':
        return !__builtin_mul_overflow(a, b, result);
    case '/':
        return plain_floor_divide(a, b, result);
    case '%':
        return plain_floor_divide(a, b, &quotient) && !__builtin_mul_overflow(quotient, b, &product) &&
               !__builtin_sub_overflow(a, product, result);
    case 'M':
        *result = a > b ? a : b;
        return true;
    default:
        *result = a < b ? a : b;
        return true;
    }
}

static symint symbolic_apply(struct symbols *symbols, char operation, symint a, symint b) {
    if (operation == 'M') return symint_max(symbols, a, b);
    if (operation == 'm') return symint_min(symbols, a, b);
    return symint_apply(symbols, operation, a, b);
}

static void sample_combine(struct experiment *experiment, char operation, const struct sample *a,
                           const struct sample *b, struct sample *result) {
    result->value = symbolic_apply(experiment->fixture.symbols, operation, a->value, b->value);
    for (size_t i = 0; i < points; i++)
        result->defined[i] =
            a->defined[i] && b->defined[i] && plain_apply(operation, a->numbers[i], b->numbers[i], &result->numbers[i]);
}

static void sample_leaf(struct experiment *experiment, struct sample *result) {
    struct symbols *symbols = experiment->fixture.symbols;
    size_t which = (size_t)random_between(&experiment->seed, 0, 2 * symbol_count - 1);
    int64_t number = random_between(&experiment->seed, -4, 16);
    result->value = which < symbol_count ? symint_symbol(symbols, text_of(variables[which].name))
                                         : symint_constant(symbols, number);
    for (size_t i = 0; i < points; i++) {
        result->defined[i] = true;
        result->numbers[i] = which < symbol_count ? experiment->assignments[i][which] : number;
    }
}

static void sample_random(struct experiment *experiment, size_t depth, struct sample *result) {
    static const char operations[] = "++--***//%%Mm";
    struct sample left, right;
    if (depth == 0 || random_between(&experiment->seed, 0, 5) == 0) {
        sample_leaf(experiment, result);
        return;
    }
    char operation = operations[random_between(&experiment->seed, 0, sizeof operations - 2)];
    sample_random(experiment, depth - 1, &left);
    sample_random(experiment, depth - 1, &right);
    sample_combine(experiment, operation, &left, &right, result);
}

/* Small numbers and the ends of the range mostly, as that is where things change. */
static int64_t random_number(uint64_t *seed, int64_t least, int64_t most) {
    int64_t width = random_between(seed, 0, 3) ? 9 : 1000;
    if (most != INT64_MAX && (least == INT64_MIN || random_between(seed, 0, 1)))
        return random_between(seed, least > most - width ? least : most - width, most);
    if (least == INT64_MIN) return random_between(seed, -width, width);
    return random_between(seed, least, most < least + width ? most : least + width);
}

static void experiment_fill(struct experiment *experiment) {
    struct fixture *fixture = &experiment->fixture;
    for (size_t i = 0; i < symbol_count; i++) {
        narrow(fixture, variables[i].name, variables[i].least, variables[i].most);
        for (size_t j = 0; j < points; j++)
            experiment->assignments[j][i] = random_number(&experiment->seed, variables[i].least, variables[i].most);
    }
    for (size_t i = 0; i < pool_size; i++) {
        sample_random(experiment, i % 4 + 1, &experiment->pool[i]);
        if (i % 3 == 2) { /* one that is related to an earlier one */
            struct sample *earlier = &experiment->pool[random_between(&experiment->seed, 0, (int64_t)i - 1)];
            struct sample made = experiment->pool[i];
            sample_combine(experiment, "+-*/%Mm"[i % 7], earlier, &made, &experiment -> pool[i]);
        }
    }
}

static bool point_lookup(void *user, struct text symbol, int64_t *value) {
    const int64_t *assignment = user;
    for (size_t i = 0; i < symbol_count; i++)
        if (text_is(symbol, variables[i].name)) {
            *value = assignment[i];
            return true;
        }
    return false;
}

static size_t check_evaluation(struct experiment *experiment, const struct sample *sample) {
    size_t checked = 0;
    for (size_t i = 0; i < points; i++) {
        int64_t number, *assignment = experiment->assignments[i];
        if (!sample->defined[i] || !symint_evaluate(sample->value, point_lookup, assignment, &number)) continue;
        if (number != sample->numbers[i])
            fail_msg("%s is %" PRId64 ", expected %" PRId64, print(&experiment->fixture, sample->value), number,
                     sample->numbers[i]);
        checked++;
    }
    return checked;
}

static void check_round_trip(struct experiment *experiment, const struct sample *sample) {
    const char *text = print(&experiment->fixture, sample->value);
    symint again = read(&experiment->fixture, text);
    if (strcmp(text, "nan") != 0 && again != sample->value)
        fail_msg("%s is printed again as %s", text, print(&experiment->fixture, again));
}

static void check_answer(struct experiment *experiment, const char *name, enum answer answer, bool truth,
                         const struct sample *a, const struct sample *b) {
    if (answer != answer_unknown && answer != answer_of(truth))
        fail_msg("%s: wrong answer %d: %s, %s", name, (int)answer, print(&experiment->fixture, a->value),
                 print(&experiment->fixture, b->value));
}

/* Asks about two samples and holds every answer against all points. Returns how many answers were not unknown. */
static size_t check_pair(struct experiment *experiment, const struct sample *a, const struct sample *b) {
    struct symbols *symbols = experiment->fixture.symbols;
    enum answer equal = symint_equal(symbols, a->value, b->value), less = symint_less(symbols, a->value, b->value);
    enum answer less_equal = symint_less_equal(symbols, a->value, b->value);
    symint quotient = symint_divide_exact(symbols, a->value, b->value);
    for (size_t i = 0; i < points; i++) {
        int64_t x = a->numbers[i], y = b->numbers[i], number, product;
        if (!a->defined[i] || !b->defined[i]) continue;
        check_answer(experiment, "equal", equal, x == y, a, b);
        check_answer(experiment, "less", less, x < y, a, b);
        check_answer(experiment, "less or equal", less_equal, x <= y, a, b);
        if (quotient && symint_evaluate(quotient, point_lookup, experiment->assignments[i], &number) &&
            !__builtin_mul_overflow(number, y, &product))
            check_answer(experiment, "divides", answer_yes, product == x, a, b);
    }
    return (size_t)(equal != answer_unknown) + (less != answer_unknown) + (less_equal != answer_unknown);
}

static void no_answer_is_contradicted(void **state) {
    static struct experiment experiment;
    size_t decided = 0, evaluated = 0;
    (void)state;
    experiment.seed = 20240229;
    for (int round = 0; round < rounds; round++) {
        fixture_open(&experiment.fixture);
        experiment_fill(&experiment);
        for (size_t i = 0; i < pool_size; i++) {
            evaluated += check_evaluation(&experiment, &experiment.pool[i]);
            check_round_trip(&experiment, &experiment.pool[i]);
            for (size_t j = 0; j < pool_size; j++)
                decided += check_pair(&experiment, &experiment.pool[i], &experiment.pool[j]);
        }
        fixture_close(&experiment.fixture);
    }
    /* 4 * 48,000 questions; the test means something only when many of them are decided. */
    print_message("decided %zu of %d, evaluated %zu\n", decided, 3 * rounds * pool_size * pool_size, evaluated);
    assert_true(decided > (size_t)(rounds * pool_size * pool_size) / 2);
    assert_true(evaluated > (size_t)(rounds * pool_size * points) / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_value_has_one_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(order_does_not_depend_on_creation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overflow_equals_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extreme_numbers_compare, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_expressions_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(comparisons_decide, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exact_division, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prints_as_sympy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nesting_is_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(evaluation_needs_all_symbols, set_up, tear_down),
        cmocka_unit_test(no_answer_is_contradicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
