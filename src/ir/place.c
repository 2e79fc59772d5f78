/* The questions about two places, from the cheapest proof to the exact search (docs/memory.md, "Deciding"). */
#include "ir/place.h"

enum { most_dimensions = 64 };

/* A place as a set of addresses: dimensions of size 1 and of stride 0 dropped, neighbours that lie densely behind each
 * other merged, the largest stride first as far as that can be decided. */
struct address_set {
    symint offset;
    size_t rank;
    symint sizes[most_dimensions], strides[most_dimensions];
};

static symint constant(struct context *context, int64_t value) { return symint_constant(context->symbols, value); }

static bool provably_less(struct context *context, symint a, symint b) {
    return symint_less(context->symbols, a, b) == answer_yes;
}

static bool provably_equal(struct context *context, symint a, symint b) {
    return symint_equal(context->symbols, a, b) == answer_yes;
}

/* Whether the place has no element at all. */
static enum answer is_empty(struct context *context, const struct window_place *place) {
    enum answer empty = answer_no;
    for (size_t i = 0; i < place->layout.rank; i++)
        empty = answer_or(empty, symint_equal(context->symbols, place->layout.sizes[i], constant(context, 0)));
    return empty;
}

static void remove_dimension(struct address_set *set, size_t index) {
    set->rank--;
    for (size_t i = index; i < set->rank; i++) {
        set->sizes[i] = set->sizes[i + 1];
        set->strides[i] = set->strides[i + 1];
    }
}

static bool smaller_stride(struct context *context, symint a, symint b) {
    return a != b && symint_less_equal(context->symbols, a, b) == answer_yes;
}

static void sort_by_stride(struct context *context, struct address_set *set) {
    for (size_t i = 1; i < set->rank; i++)
        for (size_t j = i; j > 0 && smaller_stride(context, set->strides[j - 1], set->strides[j]); j--) {
            symint size = set->sizes[j], stride = set->strides[j];
            set->sizes[j] = set->sizes[j - 1];
            set->strides[j] = set->strides[j - 1];
            set->sizes[j - 1] = size;
            set->strides[j - 1] = stride;
        }
}

static void merge_neighbours(struct context *context, struct address_set *set) {
    for (size_t i = set->rank; i-- > 1;) {
        symint behind = symint_multiply(context->symbols, set->sizes[i], set->strides[i]);
        if (!provably_equal(context, set->strides[i - 1], behind)) continue;
        set->sizes[i - 1] = symint_multiply(context->symbols, set->sizes[i - 1], set->sizes[i]);
        set->strides[i - 1] = set->strides[i];
        remove_dimension(set, i);
    }
}

/* False when the place has too many dimensions. */
static bool to_set(struct context *context, const struct window_place *place, struct address_set *set) {
    *set = (struct address_set){.offset = place->offset};
    if (place->layout.rank > most_dimensions || !place->layout.strides) return false;
    for (size_t i = 0; i < place->layout.rank; i++) {
        if (symint_is(place->layout.sizes[i], 1) || symint_is(place->layout.strides[i], 0)) continue;
        set->sizes[set->rank] = place->layout.sizes[i];
        set->strides[set->rank++] = place->layout.strides[i];
    }
    sort_by_stride(context, set);
    merge_neighbours(context, set);
    return true;
}

/* (size - 1) * stride */
static symint dimension_extent(struct context *context, const struct address_set *set, size_t i) {
    symint last = symint_subtract(context->symbols, set->sizes[i], constant(context, 1));
    return symint_multiply(context->symbols, last, set->strides[i]);
}

/* How far the last address lies behind the first. */
static symint extent(struct context *context, const struct address_set *set) {
    symint sum = constant(context, 0);
    for (size_t i = 0; i < set->rank; i++) sum = symint_add(context->symbols, sum, dimension_extent(context, set, i));
    return sum;
}

/* ---- exact answers about plain numbers ---- */

/* A set of plain numbers, and a budget for the search over it. */
struct numbers {
    int64_t offset;
    size_t rank;
    int64_t sizes[most_dimensions], strides[most_dimensions];
};

enum { search_budget = 20000, largest_enumeration = 4096 };
static const int64_t largest_number = (int64_t)1 << 40; /* sums and products of a few stay within int64_t */

static bool to_numbers(const struct address_set *set, struct numbers *numbers) {
    int64_t total = 0;
    numbers->rank = set->rank;
    if (!symint_is_constant(set->offset, &numbers->offset) || numbers->offset < 0 || numbers->offset > largest_number)
        return false;
    for (size_t i = 0; i < set->rank; i++) {
        int64_t part;
        if (!symint_is_constant(set->sizes[i], &numbers->sizes[i]) ||
            !symint_is_constant(set->strides[i], &numbers->strides[i]))
            return false;
        if (numbers->sizes[i] < 1 || numbers->strides[i] < 1) return false;
        if (__builtin_mul_overflow(numbers->sizes[i], numbers->strides[i], &part) || part > largest_number)
            return false;
        total += part;
        if (total > largest_number) return false;
    }
    return true;
}

/* One term a * x, 0 <= x < count, of a sum; `rest_*` describe the sum of the terms behind it. */
struct term {
    int64_t factor, count, rest_least, rest_most, rest_divisor;
};

static int64_t magnitude(int64_t a) { return a < 0 ? -a : a; }

/* Orders the terms by falling factor and fills in what bounds the search. */
static void prepare_terms(struct term *terms, size_t count) {
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && magnitude(terms[j - 1].factor) < magnitude(terms[j].factor); j--) {
            struct term other = terms[j];
            terms[j] = terms[j - 1];
            terms[j - 1] = other;
        }
    int64_t least = 0, most = 0, divisor = 0;
    for (size_t i = count; i-- > 0;) {
        terms[i].rest_least = least;
        terms[i].rest_most = most;
        terms[i].rest_divisor = divisor;
        int64_t part = terms[i].factor * (terms[i].count - 1);
        *(part < 0 ? &least : &most) += part;
        divisor = greatest_common_divisor(magnitude(terms[i].factor), divisor);
    }
}

/* Is there a choice of all x with sum = target? Branches only over the x for which the rest can still reach the target. */
static enum answer reachable(const struct term *terms, size_t count, int64_t target, int *budget) {
    if (count == 0) return answer_of(target == 0);
    if (--*budget < 0) return answer_unknown;
    const struct term *term = terms;
    enum answer result = answer_no;
    for (int64_t x = 0; x < term->count; x++) {
        int64_t rest = target - term->factor * x;
        if (rest < term->rest_least || rest > term->rest_most) {
            bool leaving = term->factor > 0 ? rest < term->rest_least : rest > term->rest_most;
            if (leaving) break;
            int64_t gap = term->factor > 0 ? rest - term->rest_most : term->rest_least - rest;
            x += (gap - 1) / magnitude(term->factor); /* to the first x that comes near enough */
            continue;
        }
        if (term->rest_divisor && rest % term->rest_divisor) {
            if (--*budget < 0) return answer_unknown;
            continue;
        }
        enum answer found = reachable(terms + 1, count - 1, rest, budget);
        if (found == answer_yes) return answer_yes;
        if (found == answer_unknown) return answer_unknown;
    }
    return result;
}

static size_t add_terms(struct term *terms, size_t count, const struct numbers *set, int64_t sign) {
    for (size_t i = 0; i < set->rank; i++)
        terms[count++] = (struct term){.factor = sign * set->strides[i], .count = set->sizes[i]};
    return count;
}

static enum answer numbers_meet(const struct numbers *a, const struct numbers *b) {
    struct term terms[2 * most_dimensions];
    int budget = search_budget;
    size_t count = add_terms(terms, 0, a, 1);
    count = add_terms(terms, count, b, -1);
    prepare_terms(terms, count);
    return reachable(terms, count, b->offset - a->offset, &budget);
}

/* Every address of `inner`, one by one. */
static enum answer numbers_contain(const struct numbers *outer, const struct numbers *inner) {
    int64_t index[most_dimensions] = {0}, address = inner->offset, elements = 1;
    struct term terms[most_dimensions];
    size_t count = add_terms(terms, 0, outer, 1);
    for (size_t i = 0; i < inner->rank; i++) {
        elements *= inner->sizes[i];
        if (elements > largest_enumeration) return answer_unknown;
    }
    prepare_terms(terms, count);
    while (true) {
        int budget = search_budget;
        enum answer found = reachable(terms, count, address - outer->offset, &budget);
        if (found != answer_yes) return found;
        size_t i = inner->rank;
        while (i-- > 0) {
            address += inner->strides[i];
            if (++index[i] < inner->sizes[i]) break;
            address -= inner->strides[i] * inner->sizes[i];
            index[i] = 0;
        }
        if (i == SIZE_MAX) return answer_yes;
    }
}

/* ---- disjoint ---- */

/* Reduces the set modulo m: dimensions whose stride m divides vanish; the others must span less than m. */
static symint extent_modulo(struct context *context, const struct address_set *set, symint m) {
    symint sum = constant(context, 0);
    for (size_t i = 0; i < set->rank; i++)
        if (!symint_divide_exact(context->symbols, set->strides[i], m))
            sum = symint_add(context->symbols, sum, dimension_extent(context, set, i));
    return sum;
}

/* Counted modulo m, b begins d behind a: they cannot meet when a ends before b begins and b before a begins again. */
static bool apart_modulo(struct context *context, const struct address_set *a, const struct address_set *b, symint m) {
    if (!provably_less(context, constant(context, 0), m)) return false;
    symint distance = symint_modulo(context->symbols, symint_subtract(context->symbols, b->offset, a->offset), m);
    symint end = symint_add(context->symbols, distance, extent_modulo(context, b, m));
    return provably_less(context, extent_modulo(context, a, m), distance) && provably_less(context, end, m);
}

static bool apart_modulo_a_stride(struct context *context, const struct address_set *a, const struct address_set *b) {
    for (size_t i = 0; i < a->rank; i++)
        if (apart_modulo(context, a, b, a->strides[i])) return true;
    return false;
}

static bool ends_before(struct context *context, const struct address_set *a, const struct address_set *b) {
    return provably_less(context, symint_add(context->symbols, a->offset, extent(context, a)), b->offset);
}

static enum answer sets_disjoint(struct context *context, const struct address_set *a, const struct address_set *b) {
    struct numbers x, y;
    if (ends_before(context, a, b) || ends_before(context, b, a)) return answer_yes;
    if (apart_modulo_a_stride(context, a, b) || apart_modulo_a_stride(context, b, a)) return answer_yes;
    if (to_numbers(a, &x) && to_numbers(b, &y)) return answer_not(numbers_meet(&x, &y));
    return answer_unknown;
}

enum answer places_disjoint(struct context *context, const struct window_place *a, const struct window_place *b) {
    struct address_set x, y;
    enum answer empty = answer_or(is_empty(context, a), is_empty(context, b));
    if (empty == answer_yes) return answer_yes;
    if (!to_set(context, a, &x) || !to_set(context, b, &y)) return answer_unknown;
    enum answer disjoint = sets_disjoint(context, &x, &y);
    if (disjoint == answer_unknown && provably_equal(context, x.offset, y.offset))
        disjoint = answer_no; /* the first element */
    return disjoint == answer_no && empty == answer_unknown ? answer_unknown : disjoint;
}

/* ---- contains ---- */

/* Gives each dimension of `inner` a dimension of `outer` to run along, and checks that it stays inside. `outer` must
 * have its largest stride first. */
static bool runs_inside(struct context *context, const struct address_set *outer, const struct address_set *inner) {
    struct symbols *symbols = context->symbols;
    symint used[most_dimensions], rest = symint_subtract(symbols, inner->offset, outer->offset);
    for (size_t i = 0; i < outer->rank; i++) {
        used[i] = symint_floor_divide(symbols, rest, outer->strides[i]);
        rest = symint_modulo(symbols, rest, outer->strides[i]);
        if (symint_less_equal(symbols, constant(context, 0), used[i]) != answer_yes) return false;
    }
    if (!symint_is(rest, 0)) return false;
    for (size_t d = 0; d < inner->rank; d++) {
        bool placed = false;
        for (size_t i = 0; i < outer->rank && !placed; i++) {
            symint steps = symint_divide_exact(symbols, inner->strides[d], outer->strides[i]);
            if (!steps) continue;
            symint last = symint_subtract(symbols, inner->sizes[d], constant(context, 1));
            symint more = symint_add(symbols, used[i], symint_multiply(symbols, last, steps));
            placed = provably_less(context, more, outer->sizes[i]);
            if (placed) used[i] = more;
        }
        if (!placed) return false;
    }
    for (size_t i = 0; i < outer->rank; i++)
        if (!provably_less(context, used[i], outer->sizes[i])) return false;
    return true;
}

/* Some element of `inner` provably lies before the first or behind the last address of `outer`. */
static bool sticks_out(struct context *context, const struct address_set *outer, const struct address_set *inner) {
    symint outer_last = symint_add(context->symbols, outer->offset, extent(context, outer));
    symint inner_last = symint_add(context->symbols, inner->offset, extent(context, inner));
    return provably_less(context, inner->offset, outer->offset) || provably_less(context, outer_last, inner_last);
}

enum answer place_contains(struct context *context, const struct window_place *outer,
                           const struct window_place *inner) {
    struct address_set x, y;
    struct numbers m, n;
    enum answer inner_empty = is_empty(context, inner), outer_empty = is_empty(context, outer);
    if (inner_empty == answer_yes) return answer_yes;
    if (!to_set(context, outer, &x) || !to_set(context, inner, &y)) return answer_unknown;
    if (outer_empty == answer_yes) return inner_empty == answer_no ? answer_no : answer_unknown;
    if (runs_inside(context, &x, &y)) return answer_yes;
    if (places_identical(context, outer, inner) == answer_yes) return answer_yes;
    enum answer result = answer_unknown;
    if (sticks_out(context, &x, &y))
        result = answer_no;
    else if (to_numbers(&x, &m) && to_numbers(&y, &n))
        result = numbers_contain(&m, &n);
    return result == answer_no && inner_empty != answer_no ? answer_unknown : result;
}

/* ---- the others ---- */

enum answer places_identical(struct context *context, const struct window_place *a, const struct window_place *b) {
    return answer_and(symint_equal(context->symbols, a->offset, b->offset),
                      layout_same(context->symbols, &a->layout, &b->layout));
}

enum answer places_equal(struct context *context, const struct window_place *a, const struct window_place *b) {
    if (places_identical(context, a, b) == answer_yes) return answer_yes;
    return answer_and(place_contains(context, a, b), place_contains(context, b, a));
}

/* Two indices of one address differ by a vector, not all zero, whose sum with the strides is 0. Its first part that is
 * not zero may be taken as positive; the parts behind it run over -(size-1) .. size-1, here shifted to start at 0. */
static enum answer numbers_overlap(const struct numbers *set) {
    struct term terms[most_dimensions];
    for (size_t first = 0; first < set->rank; first++) {
        int64_t shift = set->strides[first];
        size_t count = 0;
        terms[count++] = (struct term){.factor = set->strides[first], .count = set->sizes[first] - 1};
        for (size_t i = first + 1; i < set->rank; i++) {
            shift -= (set->sizes[i] - 1) * set->strides[i];
            terms[count++] = (struct term){.factor = set->strides[i], .count = 2 * set->sizes[i] - 1};
        }
        int budget = search_budget;
        prepare_terms(terms, count);
        enum answer found = reachable(terms, count, -shift, &budget);
        if (found != answer_no) return found;
    }
    return answer_no;
}

/* Without merging: a stride must be larger than all that the smaller strides span. */
static enum answer overlaps_itself(struct context *context, const struct window_place *place) {
    struct symbols *symbols = context->symbols;
    struct address_set set = {.offset = place->offset};
    enum answer single = answer_no; /* an expanded dimension of more than one element */
    if (place->layout.rank > most_dimensions || !place->layout.strides) return answer_unknown;
    if (is_empty(context, place) == answer_yes) return answer_no;
    for (size_t i = 0; i < place->layout.rank; i++) {
        if (symint_is(place->layout.sizes[i], 1)) continue;
        if (symint_is(place->layout.strides[i], 0))
            single = answer_or(single, symint_less(symbols, constant(context, 1), place->layout.sizes[i]));
        set.sizes[set.rank] = place->layout.sizes[i];
        set.strides[set.rank++] = place->layout.strides[i];
    }
    if (single != answer_no) return is_empty(context, place) == answer_no ? single : answer_unknown;
    sort_by_stride(context, &set);
    symint span = constant(context, 0);
    enum answer nested = answer_yes;
    for (size_t i = set.rank; i-- > 0;) {
        nested = answer_and(nested, answer_of(provably_less(context, span, set.strides[i])));
        span = symint_add(symbols, span, dimension_extent(context, &set, i));
    }
    if (nested == answer_yes) return answer_no;
    struct numbers numbers;
    return to_numbers(&set, &numbers) ? numbers_overlap(&numbers) : answer_unknown;
}

/* A size that is a symbol is 0, or 1 and something: in the first case the place is empty. */
struct growth {
    struct context *context;
    const struct window_place *place;
};

static symint beyond_one(void *user, struct text symbol) {
    const struct growth *growth = user;
    struct context *context = growth->context;
    symint size = symint_symbol(context->symbols, symbol);
    const struct layout *layout = &growth->place->layout;
    bool is_size = false;
    for (size_t i = 0; i < layout->rank; i++) is_size |= layout->sizes[i] == size;
    if (!is_size || symint_less(context->symbols, constant(context, -1), size) != answer_yes) return NULL;
    struct text name = text_of(text_format(context->arena, "%.*s beyond 1", TEXT_ARGS(symbol)));
    bool known = symbols_have(context->symbols, name);
    symint rest = symint_symbol(context->symbols, name);
    if (!known) symbols_narrow(context->symbols, rest, 0, INT64_MAX);
    return symint_add(context->symbols, constant(context, 1), rest);
}

enum answer place_overlaps_itself(struct context *context, const struct window_place *place) {
    enum answer answer = overlaps_itself(context, place);
    if (answer != answer_unknown || place->layout.rank > most_dimensions || !place->layout.strides) return answer;
    struct growth growth = {context, place};
    symint sizes[most_dimensions], strides[most_dimensions];
    bool grown = false;
    for (size_t i = 0; i < place->layout.rank; i++) {
        sizes[i] = symint_replace_symbols(context->symbols, place->layout.sizes[i], beyond_one, &growth);
        strides[i] = symint_replace_symbols(context->symbols, place->layout.strides[i], beyond_one, &growth);
        grown |= sizes[i] != place->layout.sizes[i];
    }
    struct window_place larger = {place->offset, {place->layout.rank, sizes, strides}};
    return grown && overlaps_itself(context, &larger) == answer_no ? answer_no : answer_unknown;
}
