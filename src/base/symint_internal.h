/* How symbolic integers are held; for the files symint*.c only.
 *
 *     value     6*s0**2*(s1//4) + s1 - 8     a sorted sum of terms, and a constant
 *     term      6 * [s0**2 (s1//4)]          a coefficient and a monomial
 *     monomial  s0**2 (s1//4)                a sorted product of powers of atoms
 *     atom      s0, (s1//4)                  a symbol, or a function of values
 *
 * All four are made once per table, so equal ones are the same pointer. They are sorted by their structure, never by
 * their address or by when they were made. */
#ifndef REGRAFT_BASE_SYMINT_INTERNAL_H
#define REGRAFT_BASE_SYMINT_INTERNAL_H

#include "base/map.h"
#include "base/symint.h"

/* What is larger becomes the value that equals nothing, which bounds the time and the stack of every question. */
enum {
    maximum_terms = 256,
    maximum_factors = 32,
    maximum_arguments = 16,
    maximum_depth = 64,     /* of functions in functions */
    maximum_weight = 16384, /* atoms in the expression when written out as a tree */
};

/* All values from `least` to `most`; INT64_MIN as `least` and INT64_MAX as `most` mean open. */
struct range {
    int64_t least, most;
};

/* In the order in which sympy sorts them. */
enum atom_kind { atom_symbol, atom_floor_divide, atom_modulo, atom_opaque, atom_max, atom_min };

struct atom {
    enum atom_kind kind;
    uint32_t weight, depth;
    struct text name;
    struct range range; /* of a symbol */
    symint value;       /* the atom alone */
    size_t count;
    symint arguments[];
};

struct factor {
    struct atom *atom;
    int64_t power; /* at least 1 */
};

struct monomial {
    uint32_t weight, depth;
    size_t count; /* at least 1 */
    struct factor factors[];
};

/* As part of a value: never with coefficient 0 or without monomial. Elsewhere `monomial` NULL stands for 1. */
struct term {
    int64_t coefficient;
    const struct monomial *monomial;
};

struct symint {
    bool nothing; /* the value that equals nothing */
    uint32_t weight, depth;
    struct range known; /* what comparison found, when symbols->narrowed was `known_at` */
    uint64_t known_at;
    int64_t constant;
    size_t count;
    struct term terms[]; /* the largest monomial first, see order_monomials */
};

/* A value while it is made. `constant` and `terms` lie side by side: they are the key under which the value is kept. */
struct sum {
    bool overflow;
    size_t count;
    int64_t constant;
    struct term terms[maximum_terms];
};

enum { recent_bits = 12 };

struct symbols {
    struct arena *arena;
    struct map *constants, *values, *monomials, *atoms, *symbols, *names;
    uint64_t narrowed;               /* how often ranges changed, from 1 on */
    symint recent[1 << recent_bits]; /* constants that were asked for, by a hash of the number */
};

/* ---- symint.c: making values ---- */

symint make_nothing(struct symbols *symbols);
symint make_function(struct symbols *symbols, enum atom_kind kind, struct text name, const symint *arguments,
                     size_t count);
symint make_term(struct symbols *symbols, struct term term);
/* The atom when the value is one atom alone, else NULL. */
struct atom *value_atom(symint value);

void sum_clear(struct sum *sum);
/* Adds a term that is smaller than all terms of the sum. */
void sum_push(struct sum *sum, int64_t coefficient, const struct monomial *monomial);
/* a + b, where `from` terms of a are left out, into `out`. */
void sum_add(struct sum *out, const struct sum *a, size_t from, const struct sum *b);
/* value * term. */
void sum_scale(struct symbols *symbols, struct sum *out, symint value, struct term term);
void sum_copy(struct sum *out, symint value);
symint sum_value(struct symbols *symbols, const struct sum *sum);

symint symint_negate(struct symbols *symbols, symint a);
symint symint_scale(struct symbols *symbols, symint a, int64_t factor);
symint symint_power(struct symbols *symbols, symint base, int64_t exponent);
/* The value with every atom of its monomials (not those inside functions) replaced; NULL from `replace` keeps one. */
symint symint_substitute(struct symbols *symbols, symint value,
                         symint (*replace)(struct symbols *symbols, void *user, struct atom *atom), void *user);

/* a / b; false when b does not divide a. 1 is NULL. */
bool monomial_divide(struct symbols *symbols, const struct monomial *a, const struct monomial *b,
                     const struct monomial **quotient);
/* The greatest monomial that divides both. */
const struct monomial *monomial_common(struct symbols *symbols, const struct monomial *a, const struct monomial *b);

/* ---- symint_order.c ---- */

/* Lexicographic order of monomials (negative: a goes first), which products preserve. NULL goes last. */
int order_monomials(const struct monomial *a, const struct monomial *b);
int order_atoms(const struct atom *a, const struct atom *b);
/* The order in which sympy sorts the arguments of Max and Min; 0 for the same value only. */
int order_values(symint a, symint b);

/* ---- symint_divide.c ---- */

/* That of the coefficients of all terms, the constant left out, and of `start`. */
int64_t coefficients_common(symint a, int64_t start);
/* As in Python. b is not 0; false on overflow. */
bool floor_divide_numbers(int64_t a, int64_t b, int64_t *quotient);
int64_t modulo_numbers(int64_t a, int64_t b);

/* ---- symint_range.c ---- */

struct range range_intersect(struct range a, struct range b);
struct range range_of(symint value);
struct range range_negate(struct range a);
/* The range of a // b. */
struct range range_floor_divide(struct range a, struct range b);
/* Narrower than range_of: also takes out common factors, and looks at each atom as its least (or greatest) value plus
 * (or minus) something that is not negative. */
struct range range_refined(struct symbols *symbols, symint value);

#endif
