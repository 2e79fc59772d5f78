/* vLLM's norms and gated activation: f32 inside, rounded where the kernels round. */
#include <math.h>

#include "interp/kernels.h"
#include "interp/norm.h"
#include "interp/rows.h"

struct norm {
    const struct tensor *weight; /* [width], or NULL */
    double epsilon;
    int64_t variance_size; /* how many elements of a row the variance is taken over */
    enum dtype scaled;     /* the normed value is rounded to this type before it meets the weight */
};

/* row * rsqrt(mean(row^2) + epsilon) * weight, into `out` */
static void norm_row(const struct norm *norm, const double *row, const struct tensor *out, int64_t to) {
    int64_t width = row_length(out);
    double sum = 0;
    for (int64_t i = 0; i < norm->variance_size; i++) sum += row[i] * row[i];
    double factor = 1 / sqrt(sum / (double)norm->variance_size + norm->epsilon);
    for (int64_t i = 0; i < width; i++) {
        double value = round_to(norm->scaled, row[i] * factor);
        if (norm->weight) value *= tensor_real(norm->weight, norm->weight->offset + i * row_stride(norm->weight));
        tensor_set_real(out, to + i * row_stride(out), value);
    }
}

static regraft_status check_norm(struct call *call, const struct tensor *input, const struct tensor *weight) {
    bool fits =
        input->shape.rank >= 1 && (!weight || (weight->shape.rank == 1 && weight->shape.sizes[0] == row_length(input)));
    if (fits) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "a weight of sizes %s does not fit rows of %s",
                     weight ? shape_print(call->arena, &weight->shape) : "None",
                     shape_print(call->arena, &input->shape));
}

static regraft_status check_same(struct call *call, const struct tensor *a, const struct tensor *b) {
    if (shape_equal(&a->shape, &b->shape)) return REGRAFT_OK;
    return call_fail(call, REGRAFT_REJECTED, "sizes %s and %s should be equal", shape_print(call->arena, &a->shape),
                     shape_print(call->arena, &b->shape));
}

/* Norms every row of `input` (plus `residual`, when given) into `out`; `sum` (or NULL) gets what was normed. */
static void norm_rows(struct call *call, const struct norm *norm, const struct tensor *input,
                      const struct tensor *residual, const struct tensor *sum, const struct tensor *out,
                      bool round_sum) {
    struct tensor none = *input;
    if (!residual) residual = &none;
    if (!sum) sum = &none;
    struct tensor starts[] = {row_starts(input), row_starts(residual), row_starts(sum), row_starts(out)};
    int64_t width = row_length(input);
    double *row = arena_array(call->scratch, double, (size_t)width);
    const struct tensor *tensors[] = {&starts[0], &starts[1], &starts[2], &starts[3]};
    for (struct walk walk = walk_start(4, tensors); walk.left; walk_next(&walk)) {
        for (int64_t i = 0; i < width; i++) {
            row[i] = tensor_real(input, walk.position[0] + i * row_stride(input));
            if (residual != &none) row[i] += tensor_real(residual, walk.position[1] + i * row_stride(residual));
            if (round_sum) row[i] = round_to(residual->dtype, row[i]);
            if (sum != &none) tensor_set_real(sum, walk.position[2] + i * row_stride(sum), row[i]);
        }
        norm_row(norm, row, out, walk.position[3]);
    }
}

regraft_status rms_norm(struct call *call, const struct tensor *input, const struct tensor *weight, double epsilon,
                        const struct tensor *result) {
    struct norm norm = {weight, epsilon, 0, input->dtype};
    TRY(check_norm(call, input, weight));
    TRY(check_same(call, input, result));
    norm.variance_size = row_length(input);
    norm_rows(call, &norm, input, NULL, NULL, result, false);
    return REGRAFT_OK;
}

regraft_status kernel_rms_norm(struct call *call) {
    return rms_norm(call, call_tensor(call, "input"), call_tensor(call, "weight"), call_real(call, "epsilon", 0),
                    call_tensor(call, "result"));
}

/* residual += input; input = norm(residual) */
regraft_status kernel_fused_add_rms_norm(struct call *call) {
    const struct tensor *input = call_tensor(call, "input"), *residual = call_tensor(call, "residual");
    struct norm norm = {call_tensor(call, "weight"), call_real(call, "epsilon", 0), 0, input->dtype};
    TRY(check_norm(call, input, norm.weight));
    TRY(check_same(call, input, residual));
    norm.variance_size = row_length(input);
    norm_rows(call, &norm, input, residual, residual, input, true);
    return REGRAFT_OK;
}

static regraft_status plan_ir_norm(struct call *call, struct norm *norm) {
    const struct tensor *x = call_tensor(call, "x"), *weight = call_tensor(call, "weight");
    TRY(check_norm(call, x, weight));
    *norm = (struct norm){weight, call_real(call, "epsilon", 0), call_integer(call, "variance_size", row_length(x)),
                          weight ? weight->dtype : x->dtype};
    if (norm->variance_size >= 1 && norm->variance_size <= row_length(x)) return REGRAFT_OK;
    return row_length(x) == 0 ? REGRAFT_OK : call_fail(call, REGRAFT_REJECTED, "'variance_size' must lie in a row");
}

regraft_status kernel_vllm_ir_rms_norm(struct call *call) {
    const struct tensor *x = call_tensor(call, "x");
    struct norm norm;
    struct tensor out;
    TRY(plan_ir_norm(call, &norm));
    TRY(call_create_result(call, x->dtype, &x->shape, &out));
    norm_rows(call, &norm, x, NULL, NULL, &out, false);
    return REGRAFT_OK;
}

/* (norm(x + residual), x + residual); the sum is rounded on its way out only */
regraft_status kernel_vllm_ir_fused_add_rms_norm(struct call *call) {
    const struct tensor *x = call_tensor(call, "x"), *residual = call_tensor(call, "x_residual");
    struct norm norm;
    struct tensor out, sum;
    TRY(plan_ir_norm(call, &norm));
    TRY(check_same(call, x, residual));
    TRY(call_create(call, 0, x->dtype, &x->shape, &out));
    TRY(call_create(call, 1, x->dtype, &x->shape, &sum));
    norm_rows(call, &norm, x, residual, &sum, &out, false);
    TRY(call_return_item(call, 0, 2, &out));
    return call_return_item(call, 1, 2, &sum);
}

/* result = silu(input[..., :d]) * input[..., d:] */
regraft_status kernel_silu_and_mul(struct call *call) {
    const struct tensor *input = call_tensor(call, "input"), *result = call_tensor(call, "result");
    struct shape expected = input->shape;
    if (expected.rank) expected.sizes[expected.rank - 1] /= 2;
    if (expected.rank == 0 || row_length(input) % 2 || !shape_equal(&expected, &result->shape))
        return call_fail(call, REGRAFT_REJECTED, "a result of sizes %s does not fit an input of sizes %s",
                         shape_print(call->arena, &result->shape), shape_print(call->arena, &input->shape));
    struct tensor starts[] = {row_starts(input), row_starts(result)};
    for (struct walk walk = walk_start(2, (const struct tensor *[]){&starts[0], &starts[1]}); walk.left;
         walk_next(&walk))
        for (int64_t i = 0, width = row_length(result); i < width; i++) {
            double gate = tensor_real(input, walk.position[0] + i * row_stride(input));
            double up = tensor_real(input, walk.position[0] + (i + width) * row_stride(input));
            tensor_set_real(result, walk.position[1] + i * row_stride(result),
                            round_to(input->dtype, gate / (1 + exp(-gate))) * up);
        }
    return REGRAFT_OK;
}
