/* Division of symbolic integers, and the functions that stay when it does not come out even. */
#include "base/symint_internal.h"

enum { maximum_steps = 1024 }; /* of one polynomial division */

/* ---- numbers ---- */

static uint64_t magnitude(int64_t a) { return a < 0 ? -(uint64_t)a : (uint64_t)a; }

int64_t greatest_common_divisor(int64_t a, int64_t b) {
    uint64_t x = magnitude(a), y = magnitude(b);
    while (y) {
        uint64_t rest = x % y;
        x = y;
        y = rest;
    }
    return x > INT64_MAX ? 0 : (int64_t)x;
}

int64_t coefficients_common(symint a, int64_t start) {
    for (size_t i = 0; i < a->count; i++) start = greatest_common_divisor(start, a->terms[i].coefficient);
    return start;
}

bool floor_divide_numbers(int64_t a, int64_t b, int64_t *quotient) {
    if (a == INT64_MIN && b == -1) return false;
    *quotient = a / b - (a % b != 0 && (a < 0) != (b < 0));
    return true;
}

int64_t modulo_numbers(int64_t a, int64_t b) {
    int64_t rest = b == -1 ? 0 : a % b; /* INT64_MIN % -1 is undefined */
    return rest && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* ---- polynomials ---- */

static struct term leading_term(symint a) { return a->count ? a->terms[0] : (struct term){a->constant, NULL}; }

/* a / b when that is a term with an integer coefficient. */
static bool divide_term(struct symbols *symbols, struct term a, struct term b, struct term *quotient) {
    if (a.coefficient == INT64_MIN && b.coefficient == -1) return false;
    if (a.coefficient % b.coefficient != 0) return false;
    quotient->coefficient = a.coefficient / b.coefficient;
    return monomial_divide(symbols, a.monomial, b.monomial, &quotient->monomial);
}

/* a = quotient * b + remainder, where no term of the remainder is a multiple of the leading term of b. b is not 0. */
static void divide_sums(struct symbols *symbols, symint a, symint b, struct sum *quotient, struct sum *remainder) {
    struct sum row, rests[2];
    struct sum *rest = &rests[0], *next = &rests[1];
    size_t from = 0, steps = 0;
    sum_copy(rest, a);
    sum_clear(quotient);
    sum_clear(remainder);
    while ((from < rest->count || rest->constant) && !rest->overflow && steps++ < maximum_steps) {
        struct term lead = from < rest->count ? rest->terms[from] : (struct term){rest->constant, NULL}, part;
        if (!divide_term(symbols, lead, leading_term(b), &part) || part.coefficient == INT64_MIN) {
            sum_push(remainder, lead.coefficient, lead.monomial);
            if (lead.monomial)
                from++;
            else
                rest->constant = 0;
            continue;
        }
        sum_push(quotient, part.coefficient, part.monomial);
        sum_scale(symbols, &row, b, (struct term){-part.coefficient, part.monomial});
        sum_add(next, rest, from, &row);
        struct sum *previous = rest;
        rest = next;
        next = previous;
        from = 0;
    }
    remainder->overflow |= from < rest->count || rest->constant || rest->overflow || quotient->overflow;
}

/* The same for values; where it is too much work the quotient is 0. */
static void divide(struct symbols *symbols, symint a, symint b, symint *quotient, symint *remainder) {
    struct sum quotients, remainders;
    divide_sums(symbols, a, b, &quotients, &remainders);
    *quotient = remainders.overflow ? symint_constant(symbols, 0) : sum_value(symbols, &quotients);
    *remainder = remainders.overflow ? a : sum_value(symbols, &remainders);
}

symint symint_divide_exact(struct symbols *symbols, symint a, symint b) {
    symint quotient, remainder;
    if (a->nothing || b->nothing || symint_is(b, 0)) return NULL;
    divide(symbols, a, b, &quotient, &remainder);
    return symint_is(remainder, 0) ? quotient : NULL;
}

/* ---- floor division ---- */

/* Whether 0 <= a < b. */
static bool within(struct symbols *symbols, symint a, symint b) {
    const struct atom *atom = value_atom(a);
    if (range_of(b).least < 0) return false;
    if (atom && atom->kind == atom_modulo && atom->arguments[1] == b) return true;
    return range_of(a).least >= 0 && range_refined(symbols, symint_subtract(symbols, b, a)).least > 0;
}

/* a = quotient * b + remainder with as much in the quotient as can be known; true when that is all, so that the
 * quotient is a // b and the remainder a % b. The leading coefficient of b is positive. */
static bool split(struct symbols *symbols, symint a, symint b, symint *quotient, symint *remainder) {
    if (range_of(a).least >= 0 && within(symbols, a, b)) { /* before a division that could only make it longer */
        *quotient = symint_constant(symbols, 0);
        *remainder = a;
        return true;
    }
    divide(symbols, a, b, quotient, remainder);
    if (symint_is(*remainder, 0) || within(symbols, *remainder, b)) return true;
    struct range range = range_floor_divide(range_of(*remainder), range_of(b));
    if (range.least != range.most) return false;
    symint more = symint_constant(symbols, range.least);
    *quotient = symint_add(symbols, *quotient, more);
    *remainder = symint_subtract(symbols, *remainder, symint_multiply(symbols, more, b));
    return true;
}

/* The greatest term that divides all terms of the value and `common`. */
static struct term common_term(struct symbols *symbols, symint value, struct term common) {
    for (size_t i = 0; i < value->count; i++) {
        common.coefficient = greatest_common_divisor(common.coefficient, value->terms[i].coefficient);
        common.monomial = monomial_common(symbols, common.monomial, value->terms[i].monomial);
    }
    if (value->constant) {
        common.coefficient = greatest_common_divisor(common.coefficient, value->constant);
        common.monomial = NULL;
    }
    return common;
}

/* a // b that does not come out even, b's leading coefficient is positive. */
static symint floor_divide_rest(struct symbols *symbols, symint a, symint b) {
    struct atom *atom = value_atom(a);
    if (atom && atom->kind == atom_floor_divide && range_of(b).least >= 0) /* (x // y) // b = x // (y*b) where b > 0 */
        return symint_floor_divide(symbols, atom->arguments[0], symint_multiply(symbols, atom->arguments[1], b));
    struct term common = common_term(symbols, a, common_term(symbols, b, leading_term(b)));
    if (common.coefficient > 1 || common.monomial) {
        symint divisor = make_term(symbols, common);
        symint reduced_a = symint_divide_exact(symbols, a, divisor);
        symint reduced_b = symint_divide_exact(symbols, b, divisor);
        if (reduced_a && reduced_b) return symint_floor_divide(symbols, reduced_a, reduced_b);
    }
    return make_function(symbols, atom_floor_divide, TEXT("FloorDiv"), (symint[]){a, b}, 2);
}

symint symint_floor_divide(struct symbols *symbols, symint a, symint b) {
    int64_t number;
    symint quotient, remainder;
    if (a->nothing || b->nothing || symint_is(b, 0)) return make_nothing(symbols);
    if ((a->count | b->count) == 0)
        return floor_divide_numbers(a->constant, b->constant, &number) ? symint_constant(symbols, number)
                                                                       : make_nothing(symbols);
    if (leading_term(b).coefficient < 0) {
        a = symint_negate(symbols, a);
        b = symint_negate(symbols, b);
        if (a->nothing || b->nothing) return make_nothing(symbols);
    }
    if (split(symbols, a, b, &quotient, &remainder)) return quotient;
    return symint_add(symbols, quotient, floor_divide_rest(symbols, remainder, b));
}

symint symint_modulo(struct symbols *symbols, symint a, symint b) {
    symint quotient, remainder;
    if (a->nothing || b->nothing || symint_is(b, 0)) return make_nothing(symbols);
    if ((a->count | b->count) == 0) return symint_constant(symbols, modulo_numbers(a->constant, b->constant));
    if (leading_term(b).coefficient < 0) {
        a = symint_negate(symbols, a);
        b = symint_negate(symbols, b);
        return symint_negate(symbols, symint_modulo(symbols, a, b));
    }
    if (split(symbols, a, b, &quotient, &remainder)) return remainder;
    return make_function(symbols, atom_modulo, TEXT("Mod"), (symint[]){remainder, b}, 2);
}

/* ---- Max and Min ---- */

struct extremum {
    enum atom_kind kind; /* atom_max or atom_min */
    size_t count;
    symint values[maximum_arguments + 1]; /* sorted; none is known to be beyond another */
};

/* Whether `a` makes `b` superfluous. */
static bool beyond(struct symbols *symbols, enum atom_kind kind, symint a, symint b) {
    return symint_less_equal(symbols, kind == atom_max ? b : a, kind == atom_max ? a : b) == answer_yes;
}

static void extremum_add(struct symbols *symbols, struct extremum *extremum, symint value) {
    const struct atom *atom = value_atom(value);
    if (atom && atom->kind == extremum->kind) {
        for (size_t i = 0; i < atom->count; i++) extremum_add(symbols, extremum, atom->arguments[i]);
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < extremum->count; i++)
        if (beyond(symbols, extremum->kind, extremum->values[i], value)) return;
    for (size_t i = 0; i < extremum->count; i++) {
        symint other = extremum->values[i];
        if (!beyond(symbols, extremum->kind, value, other)) extremum->values[kept++] = other;
    }
    extremum->count = kept;
    if (kept > maximum_arguments) return; /* make_function refuses it */
    size_t place = kept;
    for (; place > 0 && order_values(value, extremum->values[place - 1]) < 0; place--)
        extremum->values[place] = extremum->values[place - 1];
    extremum->values[place] = value;
    extremum->count = kept + 1;
}

static symint make_extremum(struct symbols *symbols, enum atom_kind kind, struct text name, symint a, symint b) {
    struct extremum extremum = {.kind = kind};
    if (a->nothing || b->nothing) return make_nothing(symbols);
    extremum_add(symbols, &extremum, a);
    extremum_add(symbols, &extremum, b);
    if (extremum.count == 1) return extremum.values[0];
    return make_function(symbols, kind, name, extremum.values, extremum.count);
}

symint symint_max(struct symbols *symbols, symint a, symint b) {
    return make_extremum(symbols, atom_max, TEXT("Max"), a, b);
}

symint symint_min(struct symbols *symbols, symint a, symint b) {
    return make_extremum(symbols, atom_min, TEXT("Min"), a, b);
}

symint symint_apply(struct symbols *symbols, char sign, symint a, symint b) {
    switch (sign) {
    case '+':
        return symint_add(symbols, a, b);
    case '-':
        return symint_subtract(symbols, a, b);
    case '*':
        return symint_multiply(symbols, a, b);
    case '/':
        return symint_floor_divide(symbols, a, b);
    default:
        return symint_modulo(symbols, a, b);
    }
}
