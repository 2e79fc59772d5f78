/* Symbolic integers: sizes, strides and offsets such as `4*s72 + 512`.
 *
 * Every value is held in a canonical form (a polynomial with integer coefficients over symbols and over functions that
 * do not simplify, such as FloorDiv(s0, 9)), made once per context. So two spellings of one polynomial are the same
 * pointer, and equality mostly is pointer equality. Values live as long as the table that made them.
 *
 * Arithmetic never wraps: where a coefficient would leave the range of int64_t the result is a fresh value that equals
 * nothing, not even itself, and every question about it is answered with unknown. */
#ifndef REGRAFT_BASE_SYMINT_H
#define REGRAFT_BASE_SYMINT_H

#include <stdint.h>

#include "base/answer.h"
#include "base/diagnostics.h"

struct symint;
typedef const struct symint *symint;
struct symbols;

struct symbols *symbols_create(struct arena *arena);

symint symint_constant(struct symbols *symbols, int64_t value);
/* A symbol such as s72 or u0. Sizes are never negative: backed symbols (s...) start with the range [0, inf], all others
 * with [-inf, inf]. */
symint symint_symbol(struct symbols *symbols, struct text name);
/* Whether anything has asked for the symbol. */
bool symbols_have(const struct symbols *symbols, struct text name);
/* Narrows the range of a symbol to [least, most], both included (INT64_MIN, INT64_MAX: open), as a log's
 * symbol ranges say. */
void symbols_narrow(struct symbols *symbols, symint symbol, int64_t least, int64_t most);

symint symint_add(struct symbols *symbols, symint a, symint b);
symint symint_subtract(struct symbols *symbols, symint a, symint b);
symint symint_multiply(struct symbols *symbols, symint a, symint b);
/* Python's // and %: towards minus infinity. Division by zero gives the value that equals nothing. */
symint symint_floor_divide(struct symbols *symbols, symint a, symint b);
symint symint_modulo(struct symbols *symbols, symint a, symint b);
/* One of the four above or symint_add, by its sign: + - * / %. */
symint symint_apply(struct symbols *symbols, char sign, symint a, symint b);
symint symint_max(struct symbols *symbols, symint a, symint b);
symint symint_min(struct symbols *symbols, symint a, symint b);

/* Whether the value is a plain number; stores it. */
bool symint_is_constant(symint a, int64_t *value);
static inline bool symint_is(symint a, int64_t expected) {
    int64_t value;
    return symint_is_constant(a, &value) && value == expected;
}

/* Three-valued comparison, for all values of the symbols within their ranges: yes, no, or unknown. Values of the
 * symbols that make a divisor 0 do not count: nothing can be computed there. Opaque functions count as integers. */
enum answer symint_equal(struct symbols *symbols, symint a, symint b);
enum answer symint_less(struct symbols *symbols, symint a, symint b);
enum answer symint_less_equal(struct symbols *symbols, symint a, symint b);

/* The quotient when b divides a for all values of the symbols, else NULL. 0 divides nothing. */
symint symint_divide_exact(struct symbols *symbols, symint a, symint b);

/* The value under an assignment of the symbols; false when a symbol has none, or on overflow or division by zero. */
bool symint_evaluate(symint a, bool (*lookup)(void *user, struct text symbol, int64_t *value), void *user,
                     int64_t *value);

/* A lookup for it in a map from names to int64_t. */
bool symint_lookup_in_map(void *map, struct text symbol, int64_t *value);

/* The value with every symbol, also inside functions, replaced by what `lookup` gives; where that is NULL it stays. */
symint symint_replace_symbols(struct symbols *symbols, symint value, symint (*lookup)(void *user, struct text symbol),
                              void *user);

/* Reads an expression as PyTorch prints it: integers, names, + - * // ** %, parentheses, FloorDiv, CleanDiv, CeilDiv,
 * ModularIndexing, Mod, Max, Min, PythonMod; other functions stay opaque. The whole text must be one expression. */
regraft_status symint_parse(struct symbols *symbols, struct diagnostics *diagnostics, const struct source *source,
                            struct text text, symint *result);
/* Not negative; 0 where the true one is 2**63. */
int64_t greatest_common_divisor(int64_t a, int64_t b);

/* As sympy's str() prints it, which is what annotations have: `4*s30`, `s72 + 1`, `((s3 + 8)//9)`. */
void symint_print(struct builder *out, symint a);
const char *symint_string(struct arena *arena, symint a);

#endif
