/* Terms of elements, and the one form of spellings that are equal to the bit. */
#include "proof/elements.h"

static const char *const names[] = {
    [element_cast] = "cast",
    [element_negate] = "neg",
    [element_add] = "add",
    [element_multiply] = "mul",
    [element_divide] = "div",
    [element_power] = "pow",
    [element_exp] = "exp",
    [element_sqrt] = "sqrt",
    [element_rsqrt] = "rsqrt",
    [element_cos] = "cos",
    [element_reciprocal] = "reciprocal",
    [element_sin] = "sin",
    [element_silu] = "silu",
    [element_sigmoid] = "sigmoid",
    [element_mean] = "mean",
    [element_sum] = "sum",
    [element_lookup] = "row of a table",
    [element_counter] = "counter",
};

/* ---- axes ---- */

enum { most_axes = 16 };

/* One number of an element, along the space. */
struct axis {
    symint offset;
    const symint *strides;
    const struct layout *whole; /* of a term that is numbered along it */
};
struct axes {
    struct axis items[most_axes];
    size_t count;
};

/* The symbol of an axis: it stands for nothing else, so that numbers add up without being mixed up. */
static symint axis_symbol(struct prover *prover, size_t axis) {
    if (axis == 0) return number(prover, 1);
    if (prover->axes[axis - 1]) return prover->axes[axis - 1];
    struct text name = text_of(text_format(prover->arena, "axis %zu of elements", axis));
    symbol_bind(prover, name);
    return prover->axes[axis - 1] = symint_symbol(prover->symbols, name);
}

struct selection {
    struct prover *prover;
    symint chosen; /* the symbol of an axis, or NULL */
};

static symint select_axis(void *user, struct text symbol) {
    const struct selection *selection = user;
    struct prover *prover = selection->prover;
    symint value = symint_symbol(prover->symbols, symbol);
    for (size_t i = 0; i < most_axes - 1 && prover->axes[i]; i++)
        if (value == prover->axes[i]) return number(prover, value == selection->chosen);
    return NULL;
}

/* The part of a number along one axis. */
static symint along(struct prover *prover, symint value, size_t axis) {
    struct selection none = {prover, NULL}, one = {prover, axis ? axis_symbol(prover, axis) : NULL};
    symint first = symint_replace_symbols(prover->symbols, value, select_axis, &none);
    if (axis == 0) return first;
    return minus(prover, symint_replace_symbols(prover->symbols, value, select_axis, &one), first);
}

static size_t axis_count(const struct term *term) { return term->kind == term_elements ? term->function->axes : 1; }

static const struct layout *axis_whole(const struct term *term, size_t axis) {
    return term->kind == term_elements ? term->function->wholes[axis] : term->whole;
}

static struct axis operand_axis(struct prover *prover, const struct operand *operand, const struct space *space,
                                size_t axis) {
    const struct term *term = operand->term;
    const struct layout *whole = axis_whole(term, axis);
    if (axis_count(term) == 1) return (struct axis){operand->offset, operand->strides, whole};
    symint *strides = arena_array(prover->arena, symint, space->rank);
    for (size_t d = 0; d < space->rank; d++) strides[d] = along(prover, operand->strides[d], axis);
    return (struct axis){along(prover, operand->offset, axis), strides, whole};
}

static bool is_constant(const struct axis *axis, size_t rank) {
    for (size_t i = 0; i < rank; i++)
        if (!symint_is(axis->strides[i], 0)) return false;
    return true;
}

/* Whether two terms have one shape, but for dimensions of size 1. */
static bool same_shape(const struct layout *a, const struct layout *b) {
    size_t i = 0, j = 0;
    if (a == b || !a || !b) return a == b;
    for (;; i++, j++) {
        while (i < a->rank && symint_is(a->sizes[i], 1)) i++;
        while (j < b->rank && symint_is(b->sizes[j], 1)) j++;
        if (i == a->rank || j == b->rank) return i == a->rank && j == b->rank;
        if (a->sizes[i] != b->sizes[j]) return false;
    }
}

/* Parts of two tensors of different shapes may run alike, where wholes do not: that must not make a difference. */
static bool runs_alike(const struct axis *a, const struct axis *b, size_t rank) {
    if (!same_shape(a->whole, b->whole)) return false;
    for (size_t i = 0; i < rank; i++)
        if (a->strides[i] != b->strides[i]) return false;
    return true;
}

/* Adds the axes of an operand to those of others, and to the key how they lie to each other. */
static void join_axes(struct prover *prover, const struct operand *operand, const struct space *space,
                      struct axes *axes, struct builder *key) {
    for (size_t i = 0; i < axis_count(operand->term); i++) {
        struct axis axis = operand_axis(prover, operand, space, i);
        size_t same = 0;
        while (same < axes->count && !runs_alike(&axes->items[same], &axis, space->rank)) same++;
        bool constant = is_constant(&axis, space->rank);
        key_number(key, constant ? -1 : (int64_t)same);
        if (constant)
            key_symint(prover, key, axis.offset);
        else if (same < axes->count)
            key_symint(prover, key, minus(prover, axis.offset, axes->items[same].offset));
        else if (same < most_axes)
            axes->items[axes->count++] = axis;
        else
            prover_give_up(prover, "what an element depends on has too many dimensions");
    }
}

/* ---- terms ---- */

static void fill(struct prover *prover, struct term *term, enum element_kind kind, const struct space *space,
                 const struct operand *operands, size_t count, const struct axes *axes) {
    struct element_function *function = arena_new(prover->arena, struct element_function);
    const struct reading **arguments = arena_array(prover->arena, const struct reading *, count);
    *function = (struct element_function){.kind = kind, .count = count, .axes = axes->count ? axes->count : 1};
    const struct layout **wholes = arena_array(prover->arena, const struct layout *, function->axes);
    for (size_t i = 0; i < axes->count; i++) wholes[i] = axes->items[i].whole;
    function->wholes = wholes;
    for (size_t i = 0; i < count; i++) {
        struct layout layout = {space->rank, space->sizes, operands[i].strides};
        function->operands[i] = operands[i].term;
        if (space->rank <= place_most_dimensions)
            arguments[term->argument_count++] = reading_intern(prover, operands[i].term, operands[i].offset, &layout);
    }
    term->function = function;
    term->arguments = arguments;
    term->name = text_of(names[kind]);
}

struct operand elements_make(struct prover *prover, enum element_kind kind, enum dtype dtype,
                             const struct builder *numbers, const struct space *space, const struct operand *operands,
                             size_t count) {
    struct builder key;
    key_start(prover, &key, term_elements, dtype);
    key_number(&key, kind);
    key_number(&key, numbers ? (int64_t)numbers->length : 0);
    if (numbers) builder_add(&key, (struct text){numbers->data, numbers->length});
    struct axes axes = {.count = count == 1 ? axis_count(operands[0].term) : 0};
    for (size_t i = 0; i < axes.count; i++) axes.items[i].whole = axis_whole(operands[0].term, i);
    for (size_t i = 0; i < count; i++) {
        key_pointer(&key, operands[i].term);
        if (count > 1) join_axes(prover, &operands[i], space, &axes, &key);
    }
    struct term *term = key_term(prover, &key);
    if (!term->function) fill(prover, term, kind, space, operands, count, &axes);
    if (count == 1) return (struct operand){term, operands[0].offset, operands[0].strides};
    symint *strides = arena_array(prover->arena, symint, space->rank);
    struct operand result = {term, number(prover, 0), strides};
    for (size_t d = 0; d < space->rank; d++) strides[d] = number(prover, 0);
    for (size_t i = 0; i < axes.count; i++) {
        symint symbol = axis_symbol(prover, i);
        result.offset = plus(prover, result.offset, times(prover, symbol, axes.items[i].offset));
        for (size_t d = 0; d < space->rank; d++)
            strides[d] = plus(prover, strides[d], times(prover, symbol, axes.items[i].strides[d]));
    }
    return result;
}

/* ---- one form: casts and signs ---- */

/* The operand of a term of one operand, which numbers its elements alike; NULL when the term is of another kind. */
static const struct term *inside(const struct term *term, enum element_kind kind) {
    bool is = term->kind == term_elements && term->function->kind == kind && term->function->count == 1;
    return is ? term->function->operands[0] : NULL;
}

/* Whether every number of one type is one of the other. */
static bool holds(enum dtype wide, enum dtype narrow) {
    if (wide == narrow) return true;
    bool half = narrow == dtype_bf16 || narrow == dtype_f16;
    return (wide == dtype_f32 && half) || (wide == dtype_f64 && (half || narrow == dtype_f32));
}

static struct operand of_one(struct prover *prover, enum element_kind kind, enum dtype dtype, const struct space *space,
                             struct operand operand) {
    return elements_make(prover, kind, dtype, NULL, space, &operand, 1);
}

static struct operand negate(struct prover *prover, const struct space *space, struct operand operand) {
    const struct term *positive = inside(operand.term, element_negate);
    if (!positive) return of_one(prover, element_negate, operand.term->dtype, space, operand);
    return (struct operand){positive, operand.offset, operand.strides};
}

/* Takes the sign off; whether there was one. */
static bool take_sign(struct operand *operand) {
    const struct term *positive = inside(operand->term, element_negate);
    if (positive) operand->term = positive;
    return positive != NULL;
}

/* Types whose numbers have a sign of their own, also zero, and are rounded alike on both sides of it. */
static bool is_symmetric(enum dtype dtype) {
    return dtype == dtype_f64 || dtype == dtype_f32 || dtype == dtype_f16 || dtype == dtype_bf16;
}

static struct operand cast(struct prover *prover, const struct space *space, struct operand operand, enum dtype dtype) {
    if (operand.term->dtype == dtype) return operand;
    bool floating = is_symmetric(dtype) && is_symmetric(operand.term->dtype);
    if (floating && take_sign(&operand)) return negate(prover, space, cast(prover, space, operand, dtype));
    const struct term *source = inside(operand.term, element_cast);
    if (floating && source && holds(operand.term->dtype, source->dtype)) {
        operand.term = source;
        return cast(prover, space, operand, dtype);
    }
    return of_one(prover, element_cast, dtype, space, operand);
}

/* ---- one form: arithmetic ---- */

static int compare_numbers(struct prover *prover, symint a, symint b) {
    return strcmp(symint_string(prover->arena, a), symint_string(prover->arena, b));
}

/* One order of two operands that may be exchanged. */
static bool out_of_order(struct prover *prover, const struct space *space, const struct operand *a,
                         const struct operand *b) {
    if (a->term != b->term) return a->term->serial > b->term->serial;
    for (size_t i = 0; i < space->rank; i++)
        if (a->strides[i] != b->strides[i]) return compare_numbers(prover, a->strides[i], b->strides[i]) > 0;
    symint ahead = minus(prover, a->offset, b->offset), behind = minus(prover, b->offset, a->offset);
    return a->offset != b->offset && compare_numbers(prover, ahead, behind) > 0;
}

static struct operand with_number(struct prover *prover, const struct element_call *call, const struct space *space,
                                  struct operand operand) {
    struct builder numbers;
    double number = call->minus ? -call->number : call->number;
    bool product = call->kind == element_multiply || call->kind == element_divide;
    bool sign = product && take_sign(&operand);
    builder_init(&numbers, prover->arena);
    builder_add(&numbers, (struct text){(const char *)&number, sizeof number});
    struct operand result = elements_make(prover, call->kind, call->dtype, &numbers, space, &operand, 1);
    return sign ? negate(prover, space, result) : result;
}

static struct operand of_two(struct prover *prover, const struct element_call *call, const struct space *space,
                             struct operand a, struct operand b) {
    struct operand both[] = {a, b};
    bool product = call->kind == element_multiply || call->kind == element_divide, sign = false;
    if (call->minus) both[1] = negate(prover, space, both[1]);
    for (size_t i = 0; product && i < 2; i++) sign ^= take_sign(&both[i]);
    if (call->kind != element_divide && out_of_order(prover, space, &both[0], &both[1])) {
        struct operand first = both[0];
        both[0] = both[1];
        both[1] = first;
    }
    struct operand result = elements_make(prover, call->kind, call->dtype, NULL, space, both, 2);
    return sign ? negate(prover, space, result) : result;
}

/* A sum, product or quotient of numbers of 16 bits, rounded once, is that in f32, rounded to f32 and again: f32 has more than
 * twice the digits, and then the first rounding does not show. */
static bool computes_in_f32(const struct element_call *call) {
    bool arithmetic = call->kind == element_add || call->kind == element_multiply || call->kind == element_divide;
    return arithmetic && !call->has_number && (call->dtype == dtype_bf16 || call->dtype == dtype_f16);
}

static bool is_square(const struct element_call *call) {
    return call->kind == element_power && call->has_number && call->number == 2 && call->dtype != dtype_f64;
}

struct operand elements_compute(struct prover *prover, const struct element_call *call, const struct space *space,
                                const struct operand *operands) {
    struct element_call inner = *call;
    if (call->kind == element_cast) return cast(prover, space, operands[0], call->dtype);
    if (call->kind == element_negate) return negate(prover, space, operands[0]);
    struct operand a = cast(prover, space, operands[0], call->dtype), b = a;
    if (is_square(call)) inner = (struct element_call){.kind = element_multiply, .dtype = call->dtype, .count = 2};
    if (inner.has_number) return with_number(prover, &inner, space, a);
    if (inner.count == 1) return of_one(prover, inner.kind, inner.dtype, space, a);
    if (call->count == 2) b = cast(prover, space, operands[1], call->dtype);
    if (!computes_in_f32(&inner)) return of_two(prover, &inner, space, a, b);
    inner.dtype = dtype_f32;
    a = cast(prover, space, a, dtype_f32);
    b = cast(prover, space, b, dtype_f32);
    return cast(prover, space, of_two(prover, &inner, space, a, b), call->dtype);
}
