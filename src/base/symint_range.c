/* Interval arithmetic over symbolic integers. A bound that does not fit into int64_t is replaced by a weaker one. */
#include "base/symint_internal.h"

static const struct range everything = {INT64_MIN, INT64_MAX};

/* An open bound may only stand on its own side: as the other bound, the extreme number is made finite. */
static struct range normal(struct range range) {
    if (range.least == INT64_MAX) range.least--;
    if (range.most == INT64_MIN) range.most++;
    return range;
}

static bool infinite(int64_t a) { return a == INT64_MIN || a == INT64_MAX; }

static int64_t saturated(bool negative) { return negative ? INT64_MIN : INT64_MAX; }

static int64_t add_saturated(int64_t a, int64_t b) {
    int64_t sum;
    if (infinite(a) || infinite(b)) return infinite(a) ? a : b;
    return __builtin_add_overflow(a, b, &sum) ? saturated(a < 0) : sum;
}

static int64_t multiply_saturated(int64_t a, int64_t b) {
    int64_t product;
    if (a == 0 || b == 0) return 0;
    bool large = infinite(a) || infinite(b) || __builtin_mul_overflow(a, b, &product);
    return large ? saturated((a < 0) != (b < 0)) : product;
}

static int64_t power_saturated(int64_t base, int64_t exponent) {
    int64_t result = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1) result = multiply_saturated(result, base);
        if (exponent > 1) base = multiply_saturated(base, base);
    }
    return result;
}

/* b > 0. */
static int64_t floor_divide_saturated(int64_t a, int64_t b) {
    int64_t quotient;
    if (infinite(a)) return a;
    if (b == INT64_MAX) return a < 0 ? -1 : 0;
    floor_divide_numbers(a, b, &quotient);
    return quotient;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

struct range range_intersect(struct range a, struct range b) {
    return normal((struct range){larger(a.least, b.least), smaller(a.most, b.most)});
}

static struct range range_number(int64_t number) { return normal((struct range){number, number}); }

static struct range range_add(struct range a, struct range b) {
    return normal((struct range){add_saturated(a.least, b.least), add_saturated(a.most, b.most)});
}

static struct range range_multiply(struct range a, struct range b) {
    int64_t corners[4] = {multiply_saturated(a.least, b.least), multiply_saturated(a.least, b.most),
                          multiply_saturated(a.most, b.least), multiply_saturated(a.most, b.most)};
    return normal((struct range){smaller(smaller(corners[0], corners[1]), smaller(corners[2], corners[3])),
                                 larger(larger(corners[0], corners[1]), larger(corners[2], corners[3]))});
}

struct range range_negate(struct range a) {
    return range_multiply(a, range_number(-1));
}

static struct range range_power(struct range base, int64_t exponent) {
    if (exponent == 1) return base;
    int64_t least = power_saturated(base.least, exponent), most = power_saturated(base.most, exponent);
    if (exponent % 2 || base.least >= 0) return normal((struct range){least, most});
    if (base.most <= 0) return normal((struct range){most, least});
    return normal((struct range){0, larger(least, most)});
}

/* Where the divisor is 0 there is no value, so 0 is left out at the ends. */
struct range range_floor_divide(struct range a, struct range b) {
    if (b.most <= 0) {
        a = range_negate(a);
        b = range_negate(b);
    }
    b.least = b.least == 0 ? 1 : b.least;
    if (b.least <= 0 || b.most <= 0) return everything;
    return normal(
        (struct range){smaller(floor_divide_saturated(a.least, b.least), floor_divide_saturated(a.least, b.most)),
                       larger(floor_divide_saturated(a.most, b.least), floor_divide_saturated(a.most, b.most))});
}

static struct range range_modulo(struct range a, struct range b) {
    if (b.most <= 0) return (struct range){add_saturated(b.least, b.least == 0 ? 0 : 1), 0};
    if (b.least < 0) return everything;
    struct range range = {0, add_saturated(b.most, -1)};
    return a.least >= 0 ? range_intersect(range, (struct range){0, a.most}) : range;
}

static struct range range_of_atom(const struct atom *atom) {
    struct range range;
    switch (atom->kind) {
    case atom_symbol:
        return atom->range;
    case atom_floor_divide:
        return range_floor_divide(range_of(atom->arguments[0]), range_of(atom->arguments[1]));
    case atom_modulo:
        return range_modulo(range_of(atom->arguments[0]), range_of(atom->arguments[1]));
    case atom_opaque:
        return everything;
    case atom_max:
    case atom_min:
        break;
    }
    range = range_of(atom->arguments[0]);
    for (size_t i = 1; i < atom->count; i++) {
        struct range other = range_of(atom->arguments[i]);
        range = atom->kind == atom_max
                    ? (struct range){larger(range.least, other.least), larger(range.most, other.most)}
                    : (struct range){smaller(range.least, other.least), smaller(range.most, other.most)};
    }
    return range;
}

static struct range range_of_sum(symint value, struct range (*range_of_part)(const struct atom *atom)) {
    struct range total = range_number(value->constant);
    if (value->nothing) return everything;
    for (size_t i = 0; i < value->count; i++) {
        const struct monomial *monomial = value->terms[i].monomial;
        struct range product = range_number(value->terms[i].coefficient);
        for (size_t j = 0; j < monomial->count; j++) {
            struct range part = range_of_part(monomial->factors[j].atom);
            product = range_multiply(product, range_power(part, monomial->factors[j].power));
        }
        total = range_add(total, product);
    }
    return total;
}

struct range range_of(symint value) {
    return range_of_sum(value, range_of_atom);
}

/* ---- refinements ---- */

/* How far the atom is from its finite bound, see shift. */
static struct range distance_of_atom(const struct atom *atom) {
    struct range range = range_of_atom(atom);
    if (range.least == INT64_MIN && range.most == INT64_MAX) return range;
    if (range.least == INT64_MIN || range.most == INT64_MAX) return (struct range){0, INT64_MAX};
    return normal((struct range){0, larger(0, add_saturated(range.most, range.least == 0 ? 0 : -range.least))});
}

/* The atom now stands for its distance from its least value, or else from its greatest. */
static symint shift(struct symbols *symbols, void *user, struct atom *atom) {
    struct range range = range_of_atom(atom);
    (void)user;
    if (range.least != INT64_MIN)
        return range.least ? symint_add(symbols, atom->value, symint_constant(symbols, range.least)) : NULL;
    if (range.most != INT64_MAX) return symint_subtract(symbols, symint_constant(symbols, range.most), atom->value);
    return NULL;
}

/* As the product of the greatest monomial that divides all terms, and the rest. */
static struct range range_factored(struct symbols *symbols, symint value) {
    const struct monomial *common = value->terms[0].monomial;
    for (size_t i = 1; i < value->count; i++) common = monomial_common(symbols, common, value->terms[i].monomial);
    if (!common) return everything;
    symint factor = make_term(symbols, (struct term){1, common});
    symint rest = symint_divide_exact(symbols, value, factor);
    return rest ? range_multiply(range_of(factor), range_of(rest)) : everything;
}

/* Whether shift would change anything. */
static bool shiftable(symint value) {
    for (size_t i = 0; i < value->count; i++)
        for (size_t j = 0; j < value->terms[i].monomial->count; j++) {
            struct range range = range_of_atom(value->terms[i].monomial->factors[j].atom);
            if (range.least != 0 && (range.least != INT64_MIN || range.most != INT64_MAX)) return true;
        }
    return false;
}

struct range range_refined(struct symbols *symbols, symint value) {
    struct range range = range_of(value);
    if (value->count < 2) return range;
    if (shiftable(value)) {
        symint shifted = symint_substitute(symbols, value, shift, NULL);
        range = range_intersect(range, range_of_sum(shifted, distance_of_atom));
    }
    return value->constant ? range : range_intersect(range, range_factored(symbols, value));
}
