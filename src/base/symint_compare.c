/* Three-valued comparison of symbolic integers: what can be known about the sign of their difference. */
#include "base/symint_internal.h"

/* Each refinement rewrites the difference once and asks again; more than this does not pay. */
enum { refinements = 6 };

/* The narrowest range that is found with some effort. */
static struct range sharp_range(struct symbols *symbols, symint value, int effort);

/* ---- taking an atom out of a value ---- */

struct replacement {
    const struct atom *atom;
    symint value;
};

static symint replace_one(struct symbols *symbols, void *user, struct atom *atom) {
    const struct replacement *replacement = user;
    (void)symbols;
    return atom == replacement->atom ? replacement->value : NULL;
}

/* value = slope * atom + rest; false when it has higher powers of the atom. */
static bool take_out(struct symbols *symbols, symint value, const struct atom *atom, symint *slope, symint *rest) {
    for (size_t i = 0; i < value->count; i++)
        for (size_t j = 0; j < value->terms[i].monomial->count; j++) {
            struct factor factor = value->terms[i].monomial->factors[j];
            if (factor.atom == atom && factor.power != 1) return false;
        }
    struct replacement zero = {atom, symint_constant(symbols, 0)}, one = {atom, symint_constant(symbols, 1)};
    *rest = symint_substitute(symbols, value, replace_one, &zero);
    *slope = symint_subtract(symbols, symint_substitute(symbols, value, replace_one, &one), *rest);
    return !(*rest)->nothing && !(*slope)->nothing;
}

/* ---- remainders in a canonical form ---- */

static int64_t positive_remainder(int64_t a, int64_t b) {
    int64_t rest = a % b;
    return rest < 0 ? rest + b : rest;
}

/* The value with each coefficient and the constant replaced by its remainder. */
static symint reduce(struct symbols *symbols, symint value, int64_t divisor) {
    struct sum sum;
    sum_clear(&sum);
    for (size_t i = 0; i < value->count; i++)
        sum_push(&sum, positive_remainder(value->terms[i].coefficient, divisor), value->terms[i].monomial);
    sum_push(&sum, positive_remainder(value->constant, divisor), NULL);
    return sum_value(symbols, &sum);
}

/* value % divisor, the same for all values that differ by multiples of the divisor, and for many mirrored ones.
 * symint_modulo keeps what was written instead, because that is printed. divisor > 0. */
static symint canonical_modulo(struct symbols *symbols, symint value, int64_t divisor) {
    symint reduced = reduce(symbols, value, divisor);
    int64_t common = coefficients_common(reduced, divisor), constant = reduced->constant;
    if (common > 1) { /* (c*x + k) % (c*d) = c*((x + k//c) % d) + k % c */
        symint part = symint_subtract(symbols, reduced, symint_constant(symbols, constant % common));
        part = symint_divide_exact(symbols, part, symint_constant(symbols, common));
        symint rest = canonical_modulo(symbols, part, divisor / common);
        return symint_add(symbols, symint_scale(symbols, rest, common), symint_constant(symbols, constant % common));
    }
    symint modulus = symint_constant(symbols, divisor);
    if (reduced->count == 0 || reduced->terms[0].coefficient <= divisor / 2)
        return symint_modulo(symbols, reduced, modulus);
    /* x % d = d-1 - (-x-1) % d */
    symint mirrored = symint_subtract(symbols, symint_constant(symbols, -1), reduced);
    mirrored = symint_modulo(symbols, reduce(symbols, mirrored, divisor), modulus);
    return symint_subtract(symbols, symint_constant(symbols, divisor - 1), mirrored);
}

/* The remainder as above for a constant divisor, or as symint_modulo has it. */
static symint any_modulo(struct symbols *symbols, symint a, symint b) {
    int64_t divisor;
    bool constant = symint_is_constant(b, &divisor) && divisor > 0 && !a->nothing;
    return constant ? canonical_modulo(symbols, a, divisor) : symint_modulo(symbols, a, b);
}

static symint replace_modulo(struct symbols *symbols, void *user, struct atom *atom) {
    (void)user;
    return atom->kind == atom_modulo ? any_modulo(symbols, atom->arguments[0], atom->arguments[1]) : NULL;
}

/* a % b = a - b * (a // b): where the whole remainder is compared with its parts. */
static symint expand_modulo(struct symbols *symbols, void *user, struct atom *atom) {
    (void)user;
    if (atom->kind != atom_modulo) return NULL;
    symint quotient = symint_floor_divide(symbols, atom->arguments[0], atom->arguments[1]);
    return symint_subtract(symbols, atom->arguments[0], symint_multiply(symbols, atom->arguments[1], quotient));
}

/* ---- refinements ---- */

/* x // b = (x - x % b) / b, so b times the value has no such division any more. b > 0. */
static struct range without_division(struct symbols *symbols, symint value, const struct atom *atom, int effort) {
    struct range range = {INT64_MIN, INT64_MAX};
    symint a = atom->arguments[0], b = atom->arguments[1], slope, rest;
    if (range_of(b).least < 0 || !take_out(symbols, value, atom, &slope, &rest)) return range;
    symint even = symint_subtract(symbols, a, any_modulo(symbols, a, b));
    symint scaled = symint_add(symbols, symint_multiply(symbols, rest, b), symint_multiply(symbols, slope, even));
    range = sharp_range(symbols, scaled, effort);
    struct range below = range_floor_divide(range, range_of(b));
    struct range above = range_negate(range_floor_divide(range_negate(range), range_of(b)));
    return (struct range){above.least, below.most};
}

/* slope * Max(a, b, ...) + rest is the largest of slope * a + rest, ... when the constant slope is positive, else the
 * smallest; Min the other way round. */
static struct range without_extremum(struct symbols *symbols, symint value, const struct atom *atom, int effort) {
    struct range range = {INT64_MIN, INT64_MAX};
    symint slope, rest;
    int64_t factor;
    if (!take_out(symbols, value, atom, &slope, &rest) || !symint_is_constant(slope, &factor)) return range;
    bool largest = (factor > 0) == (atom->kind == atom_max);
    for (size_t i = 0; i < atom->count; i++) {
        symint part = symint_add(symbols, rest, symint_multiply(symbols, slope, atom->arguments[i]));
        struct range one = sharp_range(symbols, part, effort);
        if (i == 0) range = one;
        if ((one.least > range.least) == largest) range.least = one.least;
        if ((one.most > range.most) == largest) range.most = one.most;
    }
    return range;
}

/* The same for a % b, which lies between 0 and b - 1 where b > 0. */
static struct range without_modulo(struct symbols *symbols, symint value, const struct atom *atom, int effort) {
    struct range range = {INT64_MIN, INT64_MAX};
    symint slope, rest, b = atom->arguments[1];
    int64_t factor;
    if (b->count == 0 || range_of(b).least < 0) return range; /* a constant b: nothing that range_of does not know */
    if (!take_out(symbols, value, atom, &slope, &rest) || !symint_is_constant(slope, &factor)) return range;
    symint last = symint_scale(symbols, symint_subtract(symbols, b, symint_constant(symbols, 1)), factor);
    struct range at_first = sharp_range(symbols, rest, effort);
    struct range at_last = sharp_range(symbols, symint_add(symbols, rest, last), effort);
    return (struct range){(factor > 0 ? at_first : at_last).least, (factor > 0 ? at_last : at_first).most};
}

/* The first atom of one of two kinds in the value, or NULL. */
static const struct atom *find_atom(symint value, enum atom_kind kind, enum atom_kind other) {
    for (size_t i = 0; i < value->count; i++)
        for (size_t j = 0; j < value->terms[i].monomial->count; j++) {
            const struct atom *atom = value->terms[i].monomial->factors[j].atom;
            if (atom->kind == kind || atom->kind == other) return atom;
        }
    return NULL;
}

static bool settled(struct range range) { return range.least > 0 || range.most < 0 || range.least >= range.most; }

static struct range sharp_range(struct symbols *symbols, symint value, int effort) {
    struct range range = range_refined(symbols, value);
    if (value->nothing || effort == 0 || settled(range)) return range;
    const struct atom *atom = find_atom(value, atom_max, atom_min);
    if (atom) range = range_intersect(range, without_extremum(symbols, value, atom, effort / 2));
    if (settled(range)) return range;
    atom = find_atom(value, atom_floor_divide, atom_floor_divide);
    if (atom) return range_intersect(range, without_division(symbols, value, atom, effort - 1));
    atom = find_atom(value, atom_modulo, atom_modulo);
    if (!atom) return range;
    symint reduced = symint_substitute(symbols, value, replace_modulo, NULL);
    if (reduced != value) return range_intersect(range, sharp_range(symbols, reduced, effort - 1));
    range = range_intersect(range, range_refined(symbols, symint_substitute(symbols, value, expand_modulo, NULL)));
    return settled(range) ? range : range_intersect(range, without_modulo(symbols, value, atom, effort - 1));
}

/* ---- the questions ---- */

static enum answer is_positive(struct range range) {
    return range.least > 0 ? answer_yes : range.most <= 0 ? answer_no : answer_unknown;
}

static enum answer is_not_negative(struct range range) {
    return range.least >= 0 ? answer_yes : range.most < 0 ? answer_no : answer_unknown;
}

static enum answer is_zero(struct range range) {
    if (range.least > 0 || range.most < 0) return answer_no;
    return range.least == 0 && range.most == 0 ? answer_yes : answer_unknown;
}

/* The sharp range, which the value remembers until a symbol is narrowed. */
static struct range known_range(struct symbols *symbols, symint value) {
    struct symint *memory = (struct symint *)(uintptr_t)value;
    if (memory->known_at != symbols->narrowed) memory->known = sharp_range(symbols, value, refinements);
    memory->known_at = symbols->narrowed;
    return memory->known;
}

static enum answer ask(struct symbols *symbols, symint difference, enum answer (*question)(struct range range)) {
    if (difference->nothing) return answer_unknown;
    enum answer answer = question(range_of(difference));
    if (answer != answer_unknown || difference->count == 0) return answer;
    return question(known_range(symbols, difference));
}

static bool are_numbers(symint a, symint b) { return (a->count | b->count) == 0 && !a->nothing && !b->nothing; }

enum answer symint_equal(struct symbols *symbols, symint a, symint b) {
    if (a == b) return a->nothing ? answer_unknown : answer_yes;
    if (are_numbers(a, b)) return answer_no;
    symint difference = symint_subtract(symbols, b, a);
    int64_t common = coefficients_common(difference, 0);
    if (!difference->nothing && common > 1 && difference->constant % common != 0) return answer_no;
    return ask(symbols, difference, is_zero);
}

enum answer symint_less(struct symbols *symbols, symint a, symint b) {
    if (are_numbers(a, b)) return answer_of(a->constant < b->constant);
    return ask(symbols, symint_subtract(symbols, b, a), is_positive);
}

enum answer symint_less_equal(struct symbols *symbols, symint a, symint b) {
    if (are_numbers(a, b)) return answer_of(a->constant <= b->constant);
    return ask(symbols, symint_subtract(symbols, b, a), is_not_negative);
}
