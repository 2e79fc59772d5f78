/* Symbolic integers under an assignment of their symbols: numbers, or other symbolic integers. */
#include "base/symint_internal.h"

struct assignment {
    bool (*lookup)(void *user, struct text symbol, int64_t *value);
    void *user;
};

static bool evaluate(const struct assignment *assignment, symint a, int64_t *value);

static bool evaluate_atom(const struct assignment *assignment, const struct atom *atom, int64_t *value) {
    int64_t numbers[maximum_arguments] = {0};
    if (atom->kind == atom_symbol) return assignment->lookup(assignment->user, atom->name, value);
    if (atom->kind == atom_opaque) return false;
    for (size_t i = 0; i < atom->count; i++)
        if (!evaluate(assignment, atom->arguments[i], &numbers[i])) return false;
    if (atom->kind == atom_floor_divide) return numbers[1] != 0 && floor_divide_numbers(numbers[0], numbers[1], value);
    *value = numbers[0];
    if (atom->kind == atom_modulo) {
        if (numbers[1] != 0) *value = modulo_numbers(numbers[0], numbers[1]);
        return numbers[1] != 0;
    }
    for (size_t i = 1; i < atom->count; i++)
        if ((numbers[i] > *value) == (atom->kind == atom_max)) *value = numbers[i];
    return true;
}

/* product *= base ** exponent, exponent >= 1. */
static bool multiply_power(int64_t *product, int64_t base, int64_t exponent) {
    for (;; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(*product, base, product)) return false;
        if (exponent == 1) return true;
        if (__builtin_mul_overflow(base, base, &base)) return false;
    }
}

static bool evaluate(const struct assignment *assignment, symint a, int64_t *value) {
    int64_t total = a->constant;
    if (a->nothing) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct monomial *monomial = a->terms[i].monomial;
        int64_t product = a->terms[i].coefficient, base;
        for (size_t j = 0; j < monomial->count; j++)
            if (!evaluate_atom(assignment, monomial->factors[j].atom, &base) ||
                !multiply_power(&product, base, monomial->factors[j].power))
                return false;
        if (__builtin_add_overflow(total, product, &total)) return false;
    }
    *value = total;
    return true;
}

bool symint_evaluate(symint a, bool (*lookup)(void *user, struct text symbol, int64_t *value), void *user,
                     int64_t *value) {
    return evaluate(&(struct assignment){lookup, user}, a, value);
}

/* ---- symbols for symbols ---- */

struct replacement {
    symint (*lookup)(void *user, struct text symbol);
    void *user;
};

static symint replace_in_function(struct symbols *symbols, void *user, const struct atom *atom) {
    const struct replacement *replacement = user;
    symint arguments[maximum_arguments] = {0};
    for (size_t i = 0; i < atom->count; i++)
        arguments[i] = symint_replace_symbols(symbols, atom->arguments[i], replacement->lookup, replacement->user);
    symint result = arguments[0];
    switch (atom->kind) {
    case atom_floor_divide:
        return symint_floor_divide(symbols, arguments[0], arguments[1]);
    case atom_modulo:
        return symint_modulo(symbols, arguments[0], arguments[1]);
    case atom_max:
        for (size_t i = 1; i < atom->count; i++) result = symint_max(symbols, result, arguments[i]);
        return result;
    case atom_min:
        for (size_t i = 1; i < atom->count; i++) result = symint_min(symbols, result, arguments[i]);
        return result;
    default:
        return make_function(symbols, atom->kind, atom->name, arguments, atom->count);
    }
}

static symint replace_atom(struct symbols *symbols, void *user, struct atom *atom) {
    const struct replacement *replacement = user;
    if (atom->kind == atom_symbol) return replacement->lookup(replacement->user, atom->name);
    return replace_in_function(symbols, user, atom);
}

symint symint_replace_symbols(struct symbols *symbols, symint value, symint (*lookup)(void *user, struct text symbol),
                              void *user) {
    return symint_substitute(symbols, value, replace_atom, &(struct replacement){lookup, user});
}

bool symint_lookup_in_map(void *map, struct text symbol, int64_t *value) {
    const int64_t *known = map_get_text(map, symbol);
    if (known) *value = *known;
    return known != NULL;
}
