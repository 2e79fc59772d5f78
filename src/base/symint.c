/* The canonical form of symbolic integers, and its arithmetic. */
#include "base/symint_internal.h"

#include <stddef.h>

struct symbols *symbols_create(struct arena *arena) {
    struct symbols *symbols = arena_new(arena, struct symbols);
    symbols->arena = arena;
    symbols->narrowed = 1;
    symbols->constants = map_create(arena);
    symbols->values = map_create(arena);
    symbols->monomials = map_create(arena);
    symbols->atoms = map_create(arena);
    symbols->symbols = map_create(arena);
    symbols->names = map_create(arena);
    return symbols;
}

/* ---- values ---- */

static symint new_constant(struct symbols *symbols, int64_t value) {
    struct symint *made = arena_new(symbols->arena, struct symint);
    made->constant = value;
    return made;
}

symint make_nothing(struct symbols *symbols) {
    struct symint *made = arena_new(symbols->arena, struct symint);
    made->nothing = true;
    return made;
}

symint symint_constant(struct symbols *symbols, int64_t value) {
    symint *recent = &symbols->recent[((uint64_t)value * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - recent_bits)];
    if (*recent && (*recent)->constant == value) return *recent;
    void **slot = map_slot(symbols->constants, &value, sizeof value);
    if (!*slot) *slot = (void *)(uintptr_t)new_constant(symbols, value);
    return *recent = *slot;
}

bool symint_is_constant(symint a, int64_t *value) {
    *value = a->constant;
    return a->count == 0 && !a->nothing;
}

symint sum_value(struct symbols *symbols, const struct sum *sum) {
    if (sum->overflow) return make_nothing(symbols);
    if (sum->count == 0) return symint_constant(symbols, sum->constant);
    size_t terms = sum->count * sizeof sum->terms[0];
    const char *key = (const char *)sum + offsetof(struct sum, constant);
    void **slot = map_slot(symbols->values, key, sizeof sum->constant + terms);
    struct symint *made = *slot;
    if (made) return made;
    made = arena_allocate(symbols->arena, sizeof *made + terms);
    *made = (struct symint){.constant = sum->constant, .count = sum->count};
    memcpy(made->terms, sum->terms, terms);
    for (size_t i = 0; i < sum->count; i++) {
        const struct monomial *monomial = sum->terms[i].monomial;
        made->weight += monomial->weight;
        if (made->depth < monomial->depth) made->depth = monomial->depth;
    }
    if (made->weight > maximum_weight) return make_nothing(symbols);
    *slot = made;
    return made;
}

symint make_term(struct symbols *symbols, struct term term) {
    struct sum sum;
    sum_clear(&sum);
    sum_push(&sum, term.coefficient, term.monomial);
    return sum_value(symbols, &sum);
}

struct atom *value_atom(symint value) {
    if (value->count != 1 || value->constant || value->terms[0].coefficient != 1) return NULL;
    const struct monomial *monomial = value->terms[0].monomial;
    return monomial->count == 1 && monomial->factors[0].power == 1 ? monomial->factors[0].atom : NULL;
}

/* ---- monomials and atoms ---- */

/* NULL for no factors. */
static const struct monomial *make_monomial(struct symbols *symbols, const struct factor *factors, size_t count) {
    if (count == 0) return NULL;
    size_t size = count * sizeof *factors;
    void **slot = map_slot(symbols->monomials, factors, size);
    struct monomial *made = *slot;
    if (made) return made;
    made = arena_allocate(symbols->arena, sizeof *made + size);
    *made = (struct monomial){.count = count};
    memcpy(made->factors, factors, size);
    for (size_t i = 0; i < count; i++) {
        made->weight += factors[i].atom->weight;
        if (made->depth < factors[i].atom->depth) made->depth = factors[i].atom->depth;
    }
    *slot = made;
    return made;
}

/* The product; false when it is too large. */
static bool monomial_multiply(struct symbols *symbols, const struct monomial *a, const struct monomial *b,
                              const struct monomial **product) {
    *product = a ? a : b;
    if (!a || !b) return true;
    struct factor factors[maximum_factors];
    size_t count = 0;
    for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
        int order = j == b->count ? -1 : i == a->count ? 1 : order_atoms(a->factors[i].atom, b->factors[j].atom);
        if (count == maximum_factors) return false;
        struct factor *factor = &factors[count++];
        *factor = order <= 0 ? a->factors[i++] : b->factors[j++];
        if (order == 0 && __builtin_add_overflow(factor->power, b->factors[j++].power, &factor->power)) return false;
    }
    *product = make_monomial(symbols, factors, count);
    return true;
}

bool monomial_divide(struct symbols *symbols, const struct monomial *a, const struct monomial *b,
                     const struct monomial **quotient) {
    struct factor factors[maximum_factors];
    size_t count = 0, j = 0;
    *quotient = a;
    if (!b) return true;
    if (!a) return false;
    for (size_t i = 0; i < a->count; i++) {
        struct factor factor = a->factors[i];
        if (j < b->count && b->factors[j].atom == factor.atom) factor.power -= b->factors[j++].power;
        if (factor.power < 0) return false;
        if (factor.power > 0) factors[count++] = factor;
    }
    if (j < b->count) return false;
    *quotient = make_monomial(symbols, factors, count);
    return true;
}

const struct monomial *monomial_common(struct symbols *symbols, const struct monomial *a, const struct monomial *b) {
    struct factor factors[maximum_factors];
    size_t count = 0;
    if (!a || !b) return NULL;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (a->factors[i].atom == b->factors[j].atom)
                factors[count++] = a->factors[i].power < b->factors[j].power ? a->factors[i] : b->factors[j];
    return make_monomial(symbols, factors, count);
}

/* A copy of `atom` with these arguments, as a value. */
static symint new_atom(struct symbols *symbols, const struct atom *atom, const symint *arguments) {
    struct atom *made = arena_allocate(symbols->arena, sizeof *made + atom->count * sizeof *arguments);
    *made = *atom;
    made->weight = 1;
    for (size_t i = 0; i < atom->count; i++) {
        made->arguments[i] = arguments[i];
        made->weight += arguments[i]->weight + 1;
        if (made->depth <= arguments[i]->depth) made->depth = arguments[i]->depth + 1;
    }
    if (made->weight > maximum_weight || made->depth > maximum_depth) return make_nothing(symbols);
    struct factor factor = {made, 1};
    return made->value = make_term(symbols, (struct term){1, make_monomial(symbols, &factor, 1)});
}

/* Whether the name is that of a backed size: s72. */
static bool backed(struct text name) {
    for (size_t i = 1; i < name.length; i++)
        if (name.data[i] < '0' || name.data[i] > '9') return false;
    return name.length > 1 && name.data[0] == 's';
}

symint symint_symbol(struct symbols *symbols, struct text name) {
    void **slot = map_slot_text(symbols->symbols, name);
    if (!*slot) {
        struct range range = {backed(name) ? 0 : INT64_MIN, INT64_MAX};
        struct atom atom = {.kind = atom_symbol, .name = text_copy(symbols->arena, name), .range = range};
        *slot = (void *)(uintptr_t)new_atom(symbols, &atom, &(symint){NULL});
    }
    return *slot;
}

bool symbols_have(const struct symbols *symbols, struct text name) { return map_get_text(symbols->symbols, name); }

void symbols_narrow(struct symbols *symbols, symint symbol, int64_t least, int64_t most) {
    struct atom *atom = value_atom(symbol);
    if (!atom || atom->kind != atom_symbol) return;
    atom->range = range_intersect(atom->range, (struct range){least, most});
    symbols->narrowed++;
}

symint make_function(struct symbols *symbols, enum atom_kind kind, struct text name, const symint *arguments,
                     size_t count) {
    struct {
        struct text *name;
        symint arguments[maximum_arguments];
    } key;
    if (count > maximum_arguments) return make_nothing(symbols);
    for (size_t i = 0; i < count; i++) {
        if (arguments[i]->nothing) return make_nothing(symbols);
        key.arguments[i] = arguments[i];
    }
    void **name_slot = map_slot_text(symbols->names, name);
    if (!*name_slot) {
        struct text copy = text_copy(symbols->arena, name);
        *name_slot = arena_copy(symbols->arena, &copy, sizeof copy);
    }
    key.name = *name_slot;
    void **slot = map_slot(symbols->atoms, &key, sizeof key.name + count * sizeof *arguments);
    if (!*slot) {
        struct atom atom = {.kind = kind, .name = *key.name, .count = count};
        *slot = (void *)(uintptr_t)new_atom(symbols, &atom, arguments);
    }
    symint made = *slot;
    return made->nothing ? make_nothing(symbols) : made;
}

/* ---- sums ---- */

void sum_clear(struct sum *sum) {
    sum->overflow = false;
    sum->count = 0;
    sum->constant = 0;
}

void sum_push(struct sum *sum, int64_t coefficient, const struct monomial *monomial) {
    if (!monomial) {
        sum->overflow |= __builtin_add_overflow(sum->constant, coefficient, &sum->constant);
    } else if (coefficient == 0 || sum->overflow) {
        return;
    } else if (sum->count == maximum_terms) {
        sum->overflow = true;
    } else {
        sum->terms[sum->count++] = (struct term){coefficient, monomial};
    }
}

void sum_copy(struct sum *out, symint value) {
    out->overflow = value->nothing;
    out->count = value->count;
    out->constant = value->constant;
    if (value->count) memcpy(out->terms, value->terms, value->count * sizeof *value->terms);
}

void sum_add(struct sum *out, const struct sum *a, size_t from, const struct sum *b) {
    sum_clear(out);
    out->overflow = a->overflow || b->overflow || __builtin_add_overflow(a->constant, b->constant, &out->constant);
    for (size_t i = from, j = 0; (i < a->count || j < b->count) && !out->overflow;) {
        int order = j == b->count   ? -1
                    : i == a->count ? 1
                                    : order_monomials(a->terms[i].monomial, b->terms[j].monomial);
        struct term term = order <= 0 ? a->terms[i++] : b->terms[j++];
        if (order == 0) {
            int64_t other = b->terms[j++].coefficient;
            out->overflow |= __builtin_add_overflow(term.coefficient, other, &term.coefficient);
        }
        sum_push(out, term.coefficient, term.monomial);
    }
}

void sum_scale(struct symbols *symbols, struct sum *out, symint value, struct term term) {
    sum_clear(out);
    out->overflow = value->nothing;
    for (size_t i = 0; i < value->count && !out->overflow; i++) {
        struct term product;
        out->overflow |= __builtin_mul_overflow(value->terms[i].coefficient, term.coefficient, &product.coefficient);
        out->overflow |= !monomial_multiply(symbols, value->terms[i].monomial, term.monomial, &product.monomial);
        sum_push(out, product.coefficient, product.monomial);
    }
    int64_t constant;
    out->overflow |= __builtin_mul_overflow(value->constant, term.coefficient, &constant);
    sum_push(out, constant, term.monomial);
}

/* ---- arithmetic ---- */

symint symint_add(struct symbols *symbols, symint a, symint b) {
    if ((a->count | b->count) == 0) {
        int64_t constant;
        if (a->nothing || b->nothing || __builtin_add_overflow(a->constant, b->constant, &constant))
            return make_nothing(symbols);
        return symint_constant(symbols, constant);
    }
    struct sum left, right, out;
    sum_copy(&left, a);
    sum_copy(&right, b);
    sum_add(&out, &left, 0, &right);
    return sum_value(symbols, &out);
}

symint symint_subtract(struct symbols *symbols, symint a, symint b) {
    if ((a->count | b->count) == 0) {
        int64_t constant;
        if (a->nothing || b->nothing || __builtin_sub_overflow(a->constant, b->constant, &constant))
            return make_nothing(symbols);
        return symint_constant(symbols, constant);
    }
    struct sum left, right, out;
    sum_copy(&left, a);
    sum_scale(symbols, &right, b, (struct term){-1, NULL});
    sum_add(&out, &left, 0, &right);
    return sum_value(symbols, &out);
}

symint symint_scale(struct symbols *symbols, symint a, int64_t factor) {
    struct sum out;
    sum_scale(symbols, &out, a, (struct term){factor, NULL});
    return sum_value(symbols, &out);
}

symint symint_negate(struct symbols *symbols, symint a) { return symint_scale(symbols, a, -1); }

symint symint_multiply(struct symbols *symbols, symint a, symint b) {
    if ((a->count | b->count) == 0) {
        int64_t constant;
        if (a->nothing || b->nothing || __builtin_mul_overflow(a->constant, b->constant, &constant))
            return make_nothing(symbols);
        return symint_constant(symbols, constant);
    }
    if (a->nothing || b->nothing) return make_nothing(symbols);
    if (b->count == 0) return symint_scale(symbols, a, b->constant);
    struct sum row, totals[2];
    struct sum *total = &totals[0], *next = &totals[1];
    sum_scale(symbols, total, b, (struct term){a->constant, NULL});
    for (size_t i = 0; i < a->count && !total->overflow; i++) {
        sum_scale(symbols, &row, b, a->terms[i]);
        sum_add(next, total, 0, &row);
        struct sum *previous = total;
        total = next;
        next = previous;
    }
    return sum_value(symbols, total);
}

symint symint_power(struct symbols *symbols, symint base, int64_t exponent) {
    if (exponent < 0) return make_nothing(symbols);
    symint result = symint_constant(symbols, 1);
    for (;;) {
        if (exponent & 1) result = symint_multiply(symbols, result, base);
        exponent >>= 1;
        if (exponent == 0 || result->nothing) return result;
        base = symint_multiply(symbols, base, base);
    }
}

symint symint_substitute(struct symbols *symbols, symint value,
                         symint (*replace)(struct symbols *symbols, void *user, struct atom *atom), void *user) {
    symint total = symint_constant(symbols, value->constant);
    for (size_t i = 0; i < value->count && !value->nothing; i++) {
        const struct monomial *monomial = value->terms[i].monomial;
        symint product = symint_constant(symbols, value->terms[i].coefficient);
        for (size_t j = 0; j < monomial->count; j++) {
            struct atom *atom = monomial->factors[j].atom;
            symint replacement = replace(symbols, user, atom);
            symint power = symint_power(symbols, replacement ? replacement : atom->value, monomial->factors[j].power);
            product = symint_multiply(symbols, product, power);
        }
        total = symint_add(symbols, total, product);
    }
    return value->nothing ? value : total;
}
