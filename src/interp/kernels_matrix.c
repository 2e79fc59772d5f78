/* Matrix products, accumulated in double and rounded once. */
#include "interp/kernels.h"

/* c[m, n] += a[m, k] b[k, n] */
static void multiply(double *c, const double *a, const double *b, int64_t m, int64_t k, int64_t n) {
    for (int64_t row = 0; row < m; row++)
        for (int64_t inner = 0; inner < k; inner++) {
            double factor = a[row * k + inner];
            for (int64_t column = 0; column < n; column++) c[row * n + column] += factor * b[inner * n + column];
        }
}

/* product[..., m, n] = a[..., m, k] b[..., k, n] for every item of the batch; all dimensions before the last two
 * agree. */
static double *batched_product(struct arena *arena, const struct tensor *a, const struct tensor *b) {
    size_t rank = a->shape.rank;
    int64_t m = a->shape.sizes[rank - 2], k = a->shape.sizes[rank - 1], n = b->shape.sizes[rank - 1], batch = 1;
    for (size_t i = 0; i + 2 < rank; i++) batch *= a->shape.sizes[i];
    const double *left = tensor_reals(arena, a), *right = tensor_reals(arena, b);
    double *product = arena_array(arena, double, (size_t)(batch * m * n));
    for (int64_t i = 0; i < batch; i++) multiply(product + i * m * n, left + i * m * k, right + i * k * n, m, k, n);
    return product;
}

/* result = alpha * product + beta * addend */
static regraft_status store_product(struct call *call, const struct tensor *out, const double *product,
                                    const struct tensor *addend) {
    double alpha = call_real(call, "alpha", 1), beta = call_real(call, "beta", 1);
    struct tensor wide;
    if (addend && !tensor_broadcast(addend, &out->shape, &wide))
        return call_fail(call, REGRAFT_REJECTED, "sizes %s cannot be added to a product of sizes %s",
                         shape_print(call->arena, &addend->shape), shape_print(call->arena, &out->shape));
    for (struct walk walk = walk_start(2, (const struct tensor *[]){out, addend ? &wide : out}); walk.left;
         walk_next(&walk)) {
        double value = alpha * *product++;
        if (addend && beta != 0) value += beta * tensor_real(&wide, walk.position[1]);
        tensor_set_real(out, walk.position[0], value);
    }
    return REGRAFT_OK;
}

static regraft_status check_product(struct call *call, const struct tensor *a, const struct tensor *b, size_t rank) {
    bool fits = a->shape.rank == rank && b->shape.rank == rank && a->shape.sizes[rank - 1] == b->shape.sizes[rank - 2];
    for (size_t i = 0; fits && i + 2 < rank; i++) fits = a->shape.sizes[i] == b->shape.sizes[i];
    if (!fits || a->dtype != b->dtype)
        return call_fail(call, REGRAFT_REJECTED, "%s%s and %s%s cannot be multiplied", dtype_abbreviation(a->dtype),
                         shape_print(call->arena, &a->shape), dtype_abbreviation(b->dtype),
                         shape_print(call->arena, &b->shape));
    if (dtype_is_complex(a->dtype))
        return call_fail(call, REGRAFT_UNSUPPORTED, "the interpreter does not compute with complex numbers");
    return REGRAFT_OK;
}

/* addend + a @ b, over matrices (rank 2) or batches of them (rank 3) */
static regraft_status product(struct call *call, const struct tensor *a, const struct tensor *b, size_t rank,
                              const struct tensor *addend) {
    struct tensor out;
    TRY(check_product(call, a, b, rank));
    struct shape shape = a->shape;
    shape.sizes[rank - 1] = b->shape.sizes[rank - 1];
    TRY(call_create_result(call, a->dtype, &shape, &out));
    return store_product(call, &out, batched_product(call->scratch, a, b), addend);
}

regraft_status kernel_mm(struct call *call) {
    return product(call, call_tensor(call, "self"), call_tensor(call, "mat2"), 2, NULL);
}

regraft_status kernel_bmm(struct call *call) {
    return product(call, call_tensor(call, "self"), call_tensor(call, "mat2"), 3, NULL);
}

regraft_status kernel_addmm(struct call *call) {
    return product(call, call_tensor(call, "mat1"), call_tensor(call, "mat2"), 2, call_tensor(call, "self"));
}

regraft_status kernel_baddbmm(struct call *call) {
    return product(call, call_tensor(call, "batch1"), call_tensor(call, "batch2"), 3, call_tensor(call, "self"));
}

/* ---- matmul: vectors and batches of any shape ---- */

/* A vector becomes a matrix with one row (or one column). */
static struct tensor as_matrix(const struct tensor *tensor, bool column) {
    struct tensor matrix = *tensor;
    if (tensor->shape.rank != 1) return matrix;
    matrix.shape =
        column ? (struct shape){2, {tensor->shape.sizes[0], 1}} : (struct shape){2, {1, tensor->shape.sizes[0]}};
    matrix.strides[0] = column ? tensor->strides[0] : 0;
    matrix.strides[1] = column ? 0 : tensor->strides[0];
    return matrix;
}

/* Both operands with the same dimensions before the last two. */
static bool align_batches(struct tensor *a, struct tensor *b) {
    struct shape batch = a->shape, other = b->shape, wide;
    batch.rank -= 2;
    other.rank -= 2;
    if (!shape_broadcast(&batch, &other)) return false;
    struct tensor *operands[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        size_t rank = operands[i]->shape.rank;
        wide = batch;
        wide.sizes[wide.rank++] = operands[i]->shape.sizes[rank - 2];
        wide.sizes[wide.rank++] = operands[i]->shape.sizes[rank - 1];
        if (!tensor_broadcast(operands[i], &wide, operands[i])) return false;
    }
    return true;
}

regraft_status kernel_matmul(struct call *call) {
    const struct tensor *self = call_tensor(call, "self"), *other = call_tensor(call, "other");
    struct tensor a = as_matrix(self, false), b = as_matrix(other, true), out;
    if (self->shape.rank == 0 || other->shape.rank == 0 || !align_batches(&a, &b))
        return call_fail(call, REGRAFT_REJECTED, "sizes %s and %s cannot be multiplied",
                         shape_print(call->arena, &self->shape), shape_print(call->arena, &other->shape));
    size_t rank = a.shape.rank;
    TRY(check_product(call, &a, &b, rank));
    struct shape shape = a.shape;
    shape.rank -= 2;
    if (self->shape.rank > 1) shape.sizes[shape.rank++] = a.shape.sizes[rank - 2];
    if (other->shape.rank > 1) shape.sizes[shape.rank++] = b.shape.sizes[rank - 1];
    TRY(call_create_result(call, a.dtype, &shape, &out));
    return store_product(call, &out, batched_product(call->scratch, &a, &b), NULL);
}

/* input[..., k] @ weight[n, k].T + bias[n] */
regraft_status kernel_linear(struct call *call) {
    const struct tensor *input = call_tensor(call, "input"), *weight = call_tensor(call, "weight");
    struct tensor out;
    struct shape shape = input->shape;
    if (weight->shape.rank != 2 || shape.rank == 0 || shape.sizes[shape.rank - 1] != weight->shape.sizes[1])
        return call_fail(call, REGRAFT_REJECTED, "an input of sizes %s does not fit a weight of sizes %s",
                         shape_print(call->arena, &input->shape), shape_print(call->arena, &weight->shape));
    int64_t k = weight->shape.sizes[1], n = weight->shape.sizes[0], rows = 1;
    for (size_t i = 0; i + 1 < shape.rank; i++) rows *= shape.sizes[i];
    struct tensor transposed = *weight;
    transposed.shape = (struct shape){2, {k, n}};
    transposed.strides[0] = weight->strides[1];
    transposed.strides[1] = weight->strides[0];
    shape.sizes[shape.rank - 1] = n;
    TRY(call_create_result(call, input->dtype, &shape, &out));
    double *result = arena_array(call->scratch, double, (size_t)(rows * n));
    multiply(result, tensor_reals(call->scratch, input), tensor_reals(call->scratch, &transposed), rows, k, n);
    return store_product(call, &out, result, call_tensor(call, "bias"));
}

/* ---- grouped products: group g has the rows (columns, inner elements) [offs[g-1], offs[g]) ---- */

static struct tensor group_slice(const struct tensor *tensor, int64_t group, size_t dim, int64_t start,
                                 int64_t length) {
    struct tensor slice = *tensor;
    if (tensor->shape.rank == 3) { /* the group's own matrix */
        slice.offset += group * slice.strides[0];
        slice.shape = (struct shape){2, {tensor->shape.sizes[1], tensor->shape.sizes[2]}};
        slice.strides[0] = tensor->strides[1];
        slice.strides[1] = tensor->strides[2];
        return slice;
    }
    slice.offset += start * slice.strides[dim];
    slice.shape.sizes[dim] = length;
    return slice;
}

/* The sizes of the result, and which dimension of it (2: none) the offsets cut. */
static regraft_status plan_groups(struct call *call, const struct tensor *a, const struct tensor *b,
                                  const struct tensor *offs, struct shape *shape) {
    size_t a_rank = a->shape.rank, b_rank = b->shape.rank;
    bool ranks = (a_rank == 2 || a_rank == 3) && (b_rank == 2 || b_rank == 3);
    bool offsets = offs && offs->shape.rank == 1;
    if (!ranks || (a_rank + b_rank < 6 && !offsets) || a->shape.sizes[a_rank - 1] != b->shape.sizes[b_rank - 2])
        return call_fail(call, REGRAFT_REJECTED, "operands of sizes %s and %s do not make grouped products",
                         shape_print(call->arena, &a->shape), shape_print(call->arena, &b->shape));
    int64_t groups = a_rank == 3 ? a->shape.sizes[0] : b_rank == 3 ? b->shape.sizes[0] : offs->shape.sizes[0];
    if ((b_rank == 3 && b->shape.sizes[0] != groups) || (offsets && offs->shape.sizes[0] != groups))
        return call_fail(call, REGRAFT_REJECTED, "the operands have different numbers of groups");
    int64_t m = a->shape.sizes[a_rank - 2], n = b->shape.sizes[b_rank - 1];
    *shape = a_rank == b_rank ? (struct shape){3, {groups, m, n}} : (struct shape){2, {m, n}};
    return REGRAFT_OK;
}

regraft_status kernel_grouped_mm(struct call *call) {
    const struct tensor *a = call_tensor(call, "self"), *b = call_tensor(call, "mat2"),
                        *offs = call_tensor(call, "offs");
    struct tensor out;
    struct shape shape;
    int64_t start = 0;
    TRY(plan_groups(call, a, b, offs, &shape));
    TRY(call_create_result(call, call_dtype(call, "out_dtype", a->dtype), &shape, &out));
    int64_t groups = a->shape.rank == 3   ? a->shape.sizes[0]
                     : b->shape.rank == 3 ? b->shape.sizes[0]
                                          : offs->shape.sizes[0];
    bool inner = a->shape.rank == 2 && b->shape.rank == 2;
    int64_t limit = inner                ? a->shape.sizes[1]
                    : a->shape.rank == 2 ? a->shape.sizes[0]
                                         : b->shape.sizes[b->shape.rank - 1];
    for (int64_t group = 0; group < groups; group++) {
        int64_t end = offs ? tensor_integer(offs, offs->offset + group * offs->strides[0]) : limit;
        if (end < start || end > limit)
            return call_fail(call, REGRAFT_REJECTED, "offset %lld does not lie in [%lld, %lld]", (long long)end,
                             (long long)start, (long long)limit);
        struct tensor left = group_slice(a, group, inner ? 1 : 0, start, end - start);
        struct tensor right = group_slice(b, group, inner ? 0 : 1, start, end - start);
        struct tensor part = group_slice(&out, group, a->shape.rank == 2 ? 0 : 1, start, end - start);
        TRY(store_product(call, &part, batched_product(call->scratch, &left, &right), call_tensor(call, "bias")));
        if (offs) start = end;
    }
    return REGRAFT_OK;
}

/* ---- c = a @ weight (+ bias), where the graph knows the weight by a handle only ---- */

/* Whose weight it is: the placeholder that the graph passes as the handle. */
static struct text handle_name(const struct call *call) {
    const struct value *handle = NULL;
    for (size_t i = 0; i < call->node->argument_count; i++)
        if (text_is(call->node->arguments[i].keyword, "handler_tensor")) handle = &call->node->arguments[i];
    if (!handle && call->node->operation->class != class_higher)
        handle = node_argument_named(call->node, "handler_tensor");
    const struct node *node = value_as_node(handle);
    return node ? node->name : TEXT("");
}

/* a [m, k], weight [k, n], c [..., n] of m rows */
regraft_status kernel_onednn_mm(struct call *call) {
    const struct tensor *a = call_tensor(call, "a"), *c = call_tensor(call, "c");
    struct text owner = handle_name(call), name = text_of(text_format(call->arena, "%.*s/weight", TEXT_ARGS(owner)));
    struct tensor weight;
    if (!tensor_set_find(&call->run->bindings->tensors, name))
        return call_fail(call, REGRAFT_UNSUPPORTED,
                         "its weight is known to a handle only; give it as '%.*s' [k, n] among the inputs",
                         TEXT_ARGS(name));
    TRY(run_state(call->run, call->node, owner, "weight", &weight));
    TRY(check_product(call, a, &weight, 2));
    int64_t m = a->shape.sizes[0], n = weight.shape.sizes[1];
    if (c->shape.rank == 0 || c->shape.sizes[c->shape.rank - 1] != n || tensor_count(c) != m * n)
        return call_fail(call, REGRAFT_REJECTED, "a product of sizes %s does not fit c of sizes %s",
                         integers_print(call->arena, (int64_t[]){m, n}, 2), shape_print(call->arena, &c->shape));
    return store_product(call, c, batched_product(call->scratch, a, &weight), call_tensor(call, "bias"));
}
