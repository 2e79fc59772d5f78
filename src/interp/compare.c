#include "interp/compare.h"

#include <math.h>

/* 0 for integers and bool. */
static double compare_tolerance(enum dtype dtype) {
    switch (dtype) {
    case dtype_f64:
    case dtype_f32:
    case dtype_c64:
    case dtype_c128:
        return 1e-5;
    case dtype_f16:
    case dtype_c32:
        return 1e-3;
    case dtype_bf16:
        return 2e-2;
    default:
        return dtype_is_floating(dtype) ? 1e-1 : 0;
    }
}

/* The squares of the differences and of the expected values so far. */
struct norms {
    double difference, expected, worst;
};

/* How far one element is off; infinite when only one side is a number or they are different infinities. */
static double distance(double a, double b) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b) ? 0 : (double)INFINITY;
    if (isinf(a) || isinf(b)) return a == b ? 0 : (double)INFINITY;
    return fabs(a - b);
}

static double element_distance(const struct tensor *a, int64_t at, const struct tensor *b, int64_t bt) {
    double real = distance(tensor_real(a, at), tensor_real(b, bt));
    double imaginary = distance(element_load_imaginary(a->dtype, tensor_at(a, at)),
                                element_load_imaginary(b->dtype, tensor_at(b, bt)));
    bool exact = !dtype_is_floating(a->dtype) && !dtype_is_complex(a->dtype);
    if (exact && tensor_integer(a, at) != tensor_integer(b, bt)) return real > 0 ? real : 1; /* beyond 2^53 */
    return hypot(real, imaginary);
}

static void compare_elements(struct arena *arena, const struct tensor *found, const struct tensor *expected,
                             struct comparison_row *row) {
    struct norms norms = {0, 0, 0};
    for (struct walk walk = walk_start(2, (const struct tensor *[]){found, expected}); walk.left; walk_next(&walk)) {
        double value = tensor_real(expected, walk.position[1]);
        double off = element_distance(found, walk.position[0], expected, walk.position[1]);
        norms.difference += off * off;
        if (isfinite(value)) norms.expected += value * value;
        if (off <= norms.worst) continue;
        norms.worst = off;
        row->worst = arena_copy(arena, walk.index, found->shape.rank * sizeof *walk.index);
        row->found = tensor_real(found, walk.position[0]);
        row->expected = value;
    }
    row->rank = found->shape.rank;
    row->norm = norms.difference == 0 ? 0
                : norms.expected == 0 ? sqrt(norms.difference)
                                      : sqrt(norms.difference / norms.expected);
    row->equal = row->tolerance == 0 ? norms.difference == 0 : row->norm <= row->tolerance;
}

static void compare_tensors(struct arena *arena, struct text name, const struct tensor *found,
                            const struct tensor *expected, struct comparison *comparison) {
    struct comparison_row row = {.name = name, .note = ""};
    if (!found || !expected) {
        row.note = found ? "not expected" : "missing";
    } else if (found->dtype != expected->dtype || !shape_equal(&found->shape, &expected->shape)) {
        row.note = text_format(arena, "%s%s instead of %s%s", dtype_abbreviation(found->dtype),
                               shape_print(arena, &found->shape), dtype_abbreviation(expected->dtype),
                               shape_print(arena, &expected->shape));
    } else {
        row.tolerance = compare_tolerance(expected->dtype);
        compare_elements(arena, found, expected, &row);
    }
    if (*row.note) row.norm = (double)INFINITY;
    if (!row.equal) comparison->equal = false;
    if (row.norm > comparison->norm) comparison->norm = row.norm;
    vector_push(arena, &comparison->rows, row);
}

static const struct tensor *find(const struct tensor_set *results, const struct tensor_set *unchanged,
                                 struct text name) {
    const struct tensor *tensor = tensor_set_find(results, name);
    return tensor || !unchanged ? tensor : tensor_set_find(unchanged, name);
}

static void compare(struct arena *arena, const struct outcome *found, const struct tensor_set *expected,
                    const struct tensor_set *unchanged, struct comparison *comparison) {
    *comparison = (struct comparison){.equal = true};
    for (size_t i = 0; i < expected->items.count; i++) {
        const struct named_tensor *item = expected->items.items[i];
        compare_tensors(arena, item->name, find(&found->results, &found->unchanged, item->name), &item->tensor,
                        comparison);
    }
    for (size_t i = 0; i < found->results.items.count; i++) {
        const struct named_tensor *item = found->results.items.items[i];
        if (tensor_set_find(expected, item->name)) continue;
        compare_tensors(arena, item->name, &item->tensor, unchanged ? tensor_set_find(unchanged, item->name) : NULL,
                        comparison);
    }
}

void compare_outcomes(struct arena *arena, const struct outcome *found, const struct outcome *expected,
                      struct comparison *comparison) {
    compare(arena, found, &expected->results, &expected->unchanged, comparison);
}

void compare_with_set(struct arena *arena, const struct outcome *found, const struct tensor_set *expected,
                      struct comparison *comparison) {
    compare(arena, found, expected, NULL, comparison);
}

void compare_keep(struct arena *arena, const struct comparison *comparison, struct comparison *copy) {
    *copy = (struct comparison){.equal = comparison->equal, .norm = comparison->norm};
    for (size_t i = 0; i < comparison->rows.count; i++) {
        struct comparison_row row = comparison->rows.items[i];
        row.name = text_copy(arena, row.name);
        row.note = text_string(arena, text_of(row.note));
        if (row.worst) row.worst = arena_copy(arena, row.worst, row.rank * sizeof *row.worst);
        vector_push(arena, &copy->rows, row);
    }
}

void comparison_print(struct builder *out, const struct comparison *comparison) {
    for (size_t i = 0; i < comparison->rows.count; i++) {
        const struct comparison_row *row = &comparison->rows.items[i];
        builder_format(out, "%-9s %.*s", row->equal ? "equal" : "DIFFERENT", TEXT_ARGS(row->name));
        if (*row->note)
            builder_format(out, ": %s\n", row->note);
        else if (!row->worst)
            builder_string(out, ": identical\n");
        else
            builder_format(out, ": relative L2 norm %.3g, at most %.3g; farthest off at %s: %.9g instead of %.9g\n",
                           row->norm, row->tolerance, integers_print(out->arena, row->worst, row->rank), row->found,
                           row->expected);
    }
}
