/* The order of terms, factors and arguments: that of sympy, so that values print as PyTorch prints them. */
#include "base/symint_internal.h"

static int order_numbers(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* The classes of expressions in sympy's order. */
enum rank { rank_number, rank_symbol, rank_product, rank_sum, rank_function, rank_lattice };

static enum rank rank_of_atom(const struct atom *atom) {
    switch (atom->kind) {
    case atom_symbol:
        return rank_symbol;
    case atom_max:
    case atom_min:
        return rank_lattice;
    case atom_floor_divide:
    case atom_modulo:
    case atom_opaque:
        return rank_function;
    }
    return rank_function;
}

int order_atoms(const struct atom *a, const struct atom *b) {
    if (a == b) return 0;
    int order = order_numbers(rank_of_atom(a), rank_of_atom(b));
    if (!order) order = text_compare(a->name, b->name);
    if (!order) order = order_numbers((int64_t)a->count, (int64_t)b->count);
    for (size_t i = 0; i < a->count && !order; i++) order = order_values(a->arguments[i], b->arguments[i]);
    return order;
}

int order_monomials(const struct monomial *a, const struct monomial *b) {
    if (a == b) return 0;
    if (!a || !b) return a ? -1 : 1;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int order = order_atoms(a->factors[i].atom, b->factors[i].atom);
        if (!order) order = order_numbers(b->factors[i].power, a->factors[i].power);
        if (order) return order;
    }
    return order_numbers((int64_t)b->count, (int64_t)a->count);
}

static enum rank rank_of_monomial(const struct monomial *monomial) {
    if (!monomial) return rank_number;
    return monomial->count > 1 ? rank_product : rank_of_atom(monomial->factors[0].atom);
}

static int order_terms(struct term a, struct term b) {
    int order = order_numbers(rank_of_monomial(a.monomial), rank_of_monomial(b.monomial));
    size_t count = a.monomial ? a.monomial->count : 0;
    if (!order && count) order = order_numbers((int64_t)count, (int64_t)b.monomial->count);
    for (size_t i = 0; i < count && !order; i++) {
        order = order_atoms(a.monomial->factors[i].atom, b.monomial->factors[i].atom);
        if (!order) order = order_numbers(a.monomial->factors[i].power, b.monomial->factors[i].power);
    }
    return order ? order : order_numbers(a.coefficient, b.coefficient);
}

/* How many terms the value has when its constant is one. */
static size_t term_count(symint a) { return a->count + (a->constant != 0 || a->count == 0); }

static struct term term_at(symint a, size_t index) {
    return index < a->count ? a->terms[index] : (struct term){a->constant, NULL};
}

static enum rank rank_of(symint a) { return term_count(a) > 1 ? rank_sum : rank_of_monomial(term_at(a, 0).monomial); }

int order_values(symint a, symint b) {
    if (a == b) return 0;
    int order = order_numbers(rank_of(a), rank_of(b));
    size_t count = term_count(a);
    if (!order) order = order_numbers((int64_t)count, (int64_t)term_count(b));
    for (size_t i = 0; i < count && !order; i++) order = order_terms(term_at(a, i), term_at(b, i));
    return order;
}
