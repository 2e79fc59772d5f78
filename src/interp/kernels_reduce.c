/* Reductions: many elements become one. All accumulate in double or int64_t and round once. */
#include <math.h>

#include "interp/kernels.h"
#include "interp/promote.h"

/* What one result is made from, in row-major order. Integers and bools have both forms. */
struct line {
    double *reals;
    int64_t *integers;
    size_t count;
    bool real; /* of a floating type: `integers` is not set */
};

struct reduction {
    struct tensor kept;  /* self with size 1 in the reduced dimensions: where lines start */
    struct tensor inner; /* self with size 1 in the others: the shape of a line */
    struct shape result;
};

typedef void reduce_line(const struct line *line, const struct tensor *out, int64_t position);

static regraft_status mark_dims(struct call *call, size_t rank, bool *reduced) {
    const struct argument *dims = call_argument(call, "dim");
    const struct argument *items = dims && dims->kind == argument_list ? dims->list.items : dims;
    size_t count = !dims || dims->kind == argument_none ? 0 : dims->kind == argument_list ? dims->list.count : 1, dim;
    for (size_t i = 0; i < rank; i++) reduced[i] = count == 0; /* none named: all of them */
    for (size_t i = 0; i < count; i++) {
        TRY(call_dim(call, items[i].integer, rank, &dim));
        reduced[dim] = true;
    }
    return REGRAFT_OK;
}

static regraft_status plan(struct call *call, bool keep, struct reduction *reduction) {
    const struct tensor *self = call_argument(call, "a") ? call_tensor(call, "a") : call_tensor(call, "self");
    bool reduced[rank_limit] = {false};
    *reduction = (struct reduction){*self, *self, {0}};
    TRY(mark_dims(call, self->shape.rank, reduced));
    for (size_t i = 0; i < self->shape.rank; i++) {
        (reduced[i] ? &reduction->kept : &reduction->inner)->shape.sizes[i] = 1;
        if (!reduced[i] || keep)
            reduction->result.sizes[reduction->result.rank++] = reduced[i] ? 1 : self->shape.sizes[i];
    }
    return REGRAFT_OK;
}

static struct line make_line(struct arena *arena, const struct reduction *reduction) {
    struct line line = {.count = (size_t)tensor_count(&reduction->inner),
                        .real = dtype_is_floating(reduction->inner.dtype)};
    line.reals = arena_array(arena, double, line.count);
    line.integers = arena_array(arena, int64_t, line.count);
    return line;
}

static void read_line(struct line *line, struct tensor inner, int64_t start) {
    const struct tensor *tensor = &inner;
    size_t i = 0;
    inner.offset = start;
    for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk), i++) {
        if (!line->real) line->integers[i] = tensor_integer(tensor, walk.position[0]);
        line->reals[i] = line->real ? tensor_real(tensor, walk.position[0]) : (double)line->integers[i];
    }
}

/* Runs `reduce` for every line, in the order of the results (which are laid out as `outs` say, two at most). */
static void each_line(struct call *call, const struct reduction *reduction, size_t count, const struct tensor *outs,
                      reduce_line *const *reduce) {
    struct line line = make_line(call->scratch, reduction);
    const struct tensor *kept = &reduction->kept;
    struct walk walks[2];
    for (size_t i = 0; i < count; i++) walks[i] = walk_start(1, (const struct tensor *[]){&outs[i]});
    for (struct walk walk = walk_start(1, &kept); walk.left; walk_next(&walk)) {
        read_line(&line, reduction->inner, walk.position[0]);
        for (size_t i = 0; i < count; i++) {
            reduce[i](&line, &outs[i], walks[i].position[0]);
            walk_next(&walks[i]);
        }
    }
}

static regraft_status reduce(struct call *call, enum dtype dtype, reduce_line *function) {
    struct reduction reduction;
    struct tensor out;
    TRY(plan(call, call_boolean(call, "keepdim"), &reduction));
    if (dtype_is_complex(reduction.kept.dtype))
        return call_fail(call, REGRAFT_UNSUPPORTED, "the interpreter does not compute with complex numbers");
    TRY(call_create_result(call, dtype, &reduction.result, &out));
    each_line(call, &reduction, 1, &out, &function);
    return REGRAFT_OK;
}

static regraft_status reduce_pair(struct call *call, bool keep, enum dtype first, enum dtype second, reduce_line *one,
                                  reduce_line *two) {
    struct reduction reduction;
    struct tensor outs[2];
    TRY(plan(call, keep, &reduction));
    if (dtype_is_complex(reduction.kept.dtype))
        return call_fail(call, REGRAFT_UNSUPPORTED, "the interpreter does not compute with complex numbers");
    TRY(call_create(call, 0, first, &reduction.result, &outs[0]));
    TRY(call_create(call, 1, second, &reduction.result, &outs[1]));
    each_line(call, &reduction, 2, outs, (reduce_line *const[]){one, two});
    TRY(call_return_item(call, 0, 2, &outs[0]));
    return call_return_item(call, 1, 2, &outs[1]);
}

/* ---- sums ---- */

static double total(const struct line *line) {
    double sum = 0;
    for (size_t i = 0; i < line->count; i++) sum += line->reals[i];
    return sum;
}

static void reduce_sum(const struct line *line, const struct tensor *out, int64_t position) {
    uint64_t sum = 0;
    for (size_t i = 0; !line->real && i < line->count; i++) sum += (uint64_t)line->integers[i];
    if (line->real || dtype_is_floating(out->dtype))
        tensor_set_real(out, position, total(line));
    else
        tensor_set_integer(out, position, (int64_t)sum);
}

static void reduce_mean(const struct line *line, const struct tensor *out, int64_t position) {
    tensor_set_real(out, position, total(line) / (double)line->count);
}

regraft_status kernel_sum(struct call *call) {
    enum dtype dtype = call_tensor(call, "self")->dtype;
    return reduce(call, call_dtype(call, "dtype", dtype_is_floating(dtype) ? dtype : dtype_i64), reduce_sum);
}

regraft_status kernel_mean(struct call *call) {
    return reduce(call, call_dtype(call, "dtype", call_tensor(call, "self")->dtype), reduce_mean);
}

static double variance(const struct line *line, double correction) {
    double mean = total(line) / (double)line->count, sum = 0, freedom = (double)line->count - correction;
    for (size_t i = 0; i < line->count; i++) sum += (line->reals[i] - mean) * (line->reals[i] - mean);
    return sum / (freedom > 0 ? freedom : 0);
}

static void reduce_variance(const struct line *line, const struct tensor *out, int64_t position) {
    tensor_set_real(out, position, variance(line, 0) * (double)line->count); /* the sum of squares; divided below */
}

regraft_status kernel_var_mean(struct call *call) {
    enum dtype dtype = call_tensor(call, "self")->dtype;
    double correction = call_real(call, "correction", 1), count;
    struct reduction reduction;
    TRY(reduce_pair(call, call_boolean(call, "keepdim"), dtype_f64, dtype, reduce_variance, reduce_mean));
    TRY(plan(call, false, &reduction));
    count = (double)tensor_count(&reduction.inner) - correction;
    const struct tensor squares = *call->result.list.items[0].tensor;
    struct tensor out;
    TRY(call_create(call, 0, dtype, &squares.shape, &out));
    for (struct walk walk = walk_start(2, (const struct tensor *[]){&out, &squares}); walk.left; walk_next(&walk))
        tensor_set_real(&out, walk.position[0], tensor_real(&squares, walk.position[1]) / (count > 0 ? count : 0));
    return call_return_item(call, 0, 2, &out);
}

/* ---- extremes ---- */

/* The first largest (sign 1) or smallest (sign -1) element; NaN beats everything. */
static size_t extreme(const struct line *line, int sign) {
    size_t best = 0;
    for (size_t i = 1; i < line->count && !(line->real && isnan(line->reals[best])); i++) {
        bool better =
            line->real
                ? isnan(line->reals[i]) ||
                      (sign > 0 ? line->reals[i] > line->reals[best] : line->reals[i] < line->reals[best])
                : (sign > 0 ? line->integers[i] > line->integers[best] : line->integers[i] < line->integers[best]);
        if (better) best = i;
    }
    return best;
}

static void store_item(const struct line *line, size_t index, const struct tensor *out, int64_t position) {
    if (line->count == 0) return; /* stays poison */
    if (line->real)
        tensor_set_real(out, position, line->reals[index]);
    else
        tensor_set_integer(out, position, line->integers[index]);
}

static void reduce_largest(const struct line *line, const struct tensor *out, int64_t position) {
    store_item(line, extreme(line, 1), out, position);
}

static void reduce_smallest(const struct line *line, const struct tensor *out, int64_t position) {
    store_item(line, extreme(line, -1), out, position);
}

static void reduce_largest_index(const struct line *line, const struct tensor *out, int64_t position) {
    tensor_set_integer(out, position, (int64_t)extreme(line, 1));
}

static void reduce_smallest_index(const struct line *line, const struct tensor *out, int64_t position) {
    tensor_set_integer(out, position, (int64_t)extreme(line, -1));
}

regraft_status kernel_amax(struct call *call) { return reduce(call, call_tensor(call, "self")->dtype, reduce_largest); }
regraft_status kernel_amin(struct call *call) {
    return reduce(call, call_tensor(call, "self")->dtype, reduce_smallest);
}
regraft_status kernel_argmax(struct call *call) { return reduce(call, dtype_i64, reduce_largest_index); }

regraft_status kernel_max_dim(struct call *call) {
    return reduce_pair(call, call_boolean(call, "keepdim"), call_tensor(call, "self")->dtype, dtype_i64, reduce_largest,
                       reduce_largest_index);
}

regraft_status kernel_min_dim(struct call *call) {
    return reduce_pair(call, call_boolean(call, "keepdim"), call_tensor(call, "self")->dtype, dtype_i64,
                       reduce_smallest, reduce_smallest_index);
}

/* ---- truth ---- */

static size_t count_true(const struct line *line) {
    size_t count = 0;
    for (size_t i = 0; i < line->count; i++) count += line->reals[i] != 0;
    return count;
}

static void reduce_any(const struct line *line, const struct tensor *out, int64_t position) {
    tensor_set_integer(out, position, count_true(line) > 0);
}

static void reduce_all(const struct line *line, const struct tensor *out, int64_t position) {
    tensor_set_integer(out, position, count_true(line) == line->count);
}

static enum dtype truth_dtype(const struct call *call) {
    return call_tensor(call, "self")->dtype == dtype_u8 ? dtype_u8 : dtype_b8;
}

regraft_status kernel_any(struct call *call) { return reduce(call, truth_dtype(call), reduce_any); }
regraft_status kernel_all(struct call *call) { return reduce(call, truth_dtype(call), reduce_all); }

/* ---- the two numbers that a softmax needs: the largest element, and the sum of exp(x - largest) ---- */

static void reduce_exponentials(const struct line *line, const struct tensor *out, int64_t position) {
    double largest = line->count ? line->reals[extreme(line, 1)] : 0, sum = 0;
    for (size_t i = 0; i < line->count; i++) sum += exp(line->reals[i] - largest);
    tensor_set_real(out, position, sum);
}

regraft_status kernel_prepare_softmax_online(struct call *call) {
    enum dtype dtype = call_tensor(call, "a")->dtype;
    return reduce_pair(call, true, dtype, dtype, reduce_largest, reduce_exponentials);
}
