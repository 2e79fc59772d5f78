/* Kernels against values that follow from PyTorch's documentation. */
#include "interp_support.h"

static void promotion(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "x", dtype_i32, SHAPE(3), -7, 2, 9);
    BIND(inputs, "y", dtype_bf16, SHAPE(2, 1), 0.5, 3);
    assert_expression(context, inputs, "add.Tensor(x, 1)", "i32[3] -6 3 10");
    assert_expression(context, inputs, "add.Tensor(x, 0.5)",
                      "f32[3] -6.5 2.5 9.5"); /* a Python float: the default type */
    assert_expression(context, inputs, "add.Tensor(x, y)", "bf16[2, 3] -6.5 2.5 9.5 -4 5 12");
    assert_expression(context, inputs, "mul.Tensor(y, 2)", "bf16[2, 1] 1 6");
    assert_expression(context, inputs, "add.Tensor(x, x, alpha = 3)", "i32[3] -28 8 36");
    assert_expression(context, inputs, "div.Tensor(x, 2)", "f32[3] -3.5 1 4.5");
    assert_expression(context, inputs, "div.Tensor_mode(x, 2, rounding_mode = 'floor')", "i32[3] -4 1 4");
    assert_expression(context, inputs, "div.Tensor_mode(x, 2, rounding_mode = 'trunc')", "i32[3] -3 1 4");
    assert_expression(context, inputs, "floor_divide.default(x, 2)", "i32[3] -4 1 4");
    assert_expression(context, inputs, "remainder.Scalar(x, 4)", "i32[3] 1 2 1");
    assert_expression(context, inputs, "fmod.Scalar(x, 4)", "i32[3] -3 2 1");
    assert_expression(context, inputs, "gt.Scalar(x, 1.5)", "b8[3] 0 1 1");
    assert_expression(context, inputs, "exp.default(x)", "f32[3] 0.000911882 7.38906 8103.08");
    assert_expression(context, inputs, "rsub.Scalar(x, 1)", "i32[3] 8 -1 -8");
    BIND(inputs, "y", dtype_f64, SCALAR, 0.1); /* without dimensions: does not promote floats, but integers */
    assert_expression(context, inputs, "add.Tensor(x, y)", "f64[3] -6.9 2.1 9.1");
    BIND(inputs, "x", dtype_f16, SHAPE(1), 1);
    assert_expression(context, inputs, "add.Tensor(x, y)", "f16[1] 1.09961");
}

static void pointwise(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "x", dtype_f32, SHAPE(4), -2.5, -0.5, 0.5, 1.5);
    assert_expression(context, inputs, "round.default(x)", "f32[4] -2 -0 0 2");
    assert_expression(context, inputs, "clamp.default(x, -1, 1)", "f32[4] -1 -0.5 0.5 1");
    assert_expression(context, inputs, "clamp.default(x, None, 0.0)", "f32[4] -2.5 -0.5 0 0");
    assert_expression(context, inputs, "clamp_min.default(x, 0)", "f32[4] 0 0 0.5 1.5");
    assert_expression(context, inputs, "relu.default(x)", "f32[4] 0 0 0.5 1.5");
    assert_expression(context, inputs, "silu.default(x)", "f32[4] -0.189645 -0.18877 0.31123 1.22636");
    assert_expression(context, inputs, "gelu.default(x)", "f32[4] -0.0155242 -0.154269 0.345731 1.39979");
    assert_expression(context, inputs, "gelu.default(x, approximate = 'tanh')",
                      "f32[4] -0.0150843 -0.154286 0.345714 1.39957");
    assert_expression(context, inputs, "softplus.default(x)", "f32[4] 0.0788897 0.474077 0.974077 1.70141");
    assert_expression(context, inputs, "sigmoid.default(x)", "f32[4] 0.0758582 0.377541 0.622459 0.817575");
    assert_expression(context, inputs, "rsqrt.default(x)", "f32[4] nan nan 1.41421 0.816497");
    assert_expression(context, inputs, "pow.Tensor_Scalar(x, 2)", "f32[4] 6.25 0.25 0.25 2.25");
    assert_expression(context, inputs, "pow.Scalar(2, x)", "f32[4] 0.176777 0.707107 1.41421 2.82843");
    assert_expression(context, inputs, "isnan.default(x)", "b8[4] 0 0 0 0");
    BIND(inputs, "y", dtype_b8, SHAPE(4), 1, 0, 1, 0);
    assert_expression(context, inputs, "where.self(y, x, 7)", "f32[4] -2.5 7 0.5 7");
    assert_expression(context, inputs, "masked_fill.Scalar(x, y, -inf)", "f32[4] -inf -0.5 -inf 1.5");
    assert_expression(context, inputs, "bitwise_not.default(y)", "b8[4] 0 1 0 1");
    assert_expression(context, inputs, "logical_and.default(x, y)", "b8[4] 1 0 1 0");
    BIND(inputs, "x", dtype_i64, SHAPE(4), 6, -1, 0, 5);
    assert_expression(context, inputs, "bitwise_and.Tensor(x, 3)", "i64[4] 2 3 0 1");
    assert_expression(context, inputs, "bitwise_not.default(x)", "i64[4] -7 0 -1 -6");
    assert_expression(context, inputs, "bitwise_xor.Tensor(x, y)", "i64[4] 7 -1 1 5");
}

static void reductions(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "x", dtype_f32, SHAPE(2, 3), 1, 5, 3, 4, 4, 0);
    assert_expression(context, inputs, "sum.default(x)", "f32[] 17");
    assert_expression(context, inputs, "sum.dim_IntList(x, [0], True)", "f32[1, 3] 5 9 3");
    assert_expression(context, inputs, "sum.dim_IntList(x, [-1])", "f32[2] 9 8");
    assert_expression(context, inputs, "mean.dim(x, [0, 1])", "f32[] 2.83333");
    assert_expression(context, inputs, "amax.default(x, [1], True)", "f32[2, 1] 5 4");
    assert_expression(context, inputs, "amin.default(x)", "f32[] 0");
    assert_expression(context, inputs, "argmax.default(x)", "i64[] 1");
    assert_expression(context, inputs, "argmax.default(x, 1)", "i64[2] 1 0");
    assert_expression(context, inputs, "any.dim(x, 0)", "b8[3] 1 1 1");
    assert_expression(context, inputs, "all.default(x)", "b8[] 0");
    assert_expression(context, inputs, "cumsum.default(x, 1)", "f32[2, 3] 1 6 9 4 8 8");
    assert_expression(context, inputs, "_softmax.default(x, 0, False)",
                      "f32[2, 3] 0.0474259 0.731059 0.952574 0.952574 0.268941 0.0474259");
    assert_expression(context, inputs, "argsort.default(x, -1, True)", "i64[2, 3] 1 2 0 0 1 2");
    assert_expression(context, inputs, "diff.default(x)", "f32[2, 2] 4 -2 0 -4");
    assert_expression(context, inputs, "diff.default(x, 1, 0)", "f32[1, 3] 3 -1 -3");
    assert_expression(context, inputs, "histc.default(x, 5, 0, 5)", "f32[5] 1 1 0 1 3");
    BIND(inputs, "x", dtype_b8, SHAPE(3), 1, 0, 1);
    assert_expression(context, inputs, "sum.default(x)", "i64[] 2");
    assert_expression(context, inputs, "cumsum.default(x, 0)", "i64[3] 1 1 2");
}

static void several_results(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "x", dtype_f32, SHAPE(2, 3), 1, 5, 3, 4, (double)NAN, 0);
    static const struct {
        const char *call, *results[2];
    } cases[] = {
        {"aten.topk.default(x, 2)", {"f32[2, 2] 5 3 nan 4", "i64[2, 2] 1 2 1 0"}},
        {"aten.topk.default(x, 1, -1, False)", {"f32[2, 1] 1 0", "i64[2, 1] 0 2"}},
        {"aten.sort.default(x)", {"f32[2, 3] 1 3 5 0 4 nan", "i64[2, 3] 0 2 1 2 0 1"}},
        {"aten.max.dim(x, 1)", {"f32[2] 5 nan", "i64[2] 1 1"}},
        {"aten.min.dim(x, 0, True)", {"f32[1, 3] 1 nan 0", "i64[1, 3] 0 1 1"}},
        {"aten.var_mean.correction(x, [1], correction = 0)", {"f32[2] 2.66667 nan", "f32[2] 3 nan"}},
        {"aten.var_mean.correction(x, [1], keepdim = True)", {"f32[2, 1] 4 nan", "f32[2, 1] 3 nan"}},
        {"prims.prepare_softmax_online.default(x, 1)", {"f32[2, 1] 5 nan", "f32[2, 1] 1.15365 nan"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body = text_format(
            context->arena, "        s = torch.ops.%s\n        a = s[0]\n        b = s[1]\n        return (a, b)\n",
            cases[i].call);
        struct outcome outcome = run_body(context, inputs, ", x", body);
        assert_result(&outcome, "out0", cases[i].results[0]);
        assert_result(&outcome, "out1", cases[i].results[1]);
    }
}

static void arranging(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_i64, SHAPE(2, 2), 1);
    bind_range(inputs, "y", dtype_i64, SHAPE(2, 1), 8);
    assert_expression(context, inputs, "cat.default([x, y], 1)", "i64[2, 3] 1 2 8 3 4 9");
    assert_expression(context, inputs, "stack.default([x, x], -1)", "i64[2, 2, 2] 1 1 2 2 3 3 4 4");
    assert_expression(context, inputs, "constant_pad_nd.default(x, [1, 0, 0, 1], 7)", "i64[3, 3] 7 1 2 7 3 4 7 7 7");
    assert_expression(context, inputs, "constant_pad_nd.default(x, [-1, 1])", "i64[2, 2] 2 0 4 0");
    assert_expression(context, inputs, "repeat.default(x, [2, 1, 2])", "i64[2, 2, 4] 1 2 1 2 3 4 3 4 1 2 1 2 3 4 3 4");
    assert_expression(context, inputs, "flip.default(x, [1])", "i64[2, 2] 2 1 4 3");
    assert_expression(context, inputs, "tril.default(x)", "i64[2, 2] 1 0 3 4");
    assert_expression(context, inputs, "triu.default(x, 1)", "i64[2, 2] 0 2 0 0");
    assert_expression(context, inputs, "full_like.default(x, 3, dtype = torch.float32)", "f32[2, 2] 3 3 3 3");
    assert_expression(context, inputs, "new_ones.default(x, [2])", "i64[2] 1 1");
    assert_expression(context, inputs, "arange.start_step(1, 8, 3)", "i64[3] 1 4 7");
    assert_expression(context, inputs, "arange.start(0.5, 2)", "f32[2] 0.5 1.5");
    assert_expression(context, inputs, "scalar_tensor.default(2, dtype = torch.bfloat16)", "bf16[] 2");
    assert_expression(context, inputs, "empty_like.default(x, dtype = torch.float16)", "f16[2, 2] nan nan nan nan");
}

static void indexing(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(3, 2), 0);
    BIND(inputs, "y", dtype_i64, SHAPE(2), 2, 0);
    assert_expression(context, inputs, "embedding.default(x, y)", "f32[2, 2] 4 5 0 1");
    assert_expression(context, inputs, "index.Tensor(x, [y])", "f32[2, 2] 4 5 0 1");
    assert_expression(context, inputs, "index_select.default(x, 0, y)", "f32[2, 2] 4 5 0 1");
}

static void advanced_indexing(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_i64, SHAPE(2, 3, 2), 0);
    BIND(inputs, "y", dtype_i64, SHAPE(2), 1, -1);
    assert_expression(context, inputs, "index.Tensor(x, [None, y])", "i64[2, 2, 2] 2 3 4 5 8 9 10 11");
    assert_expression(context, inputs, "index.Tensor(x, [None, None, y])", "i64[2, 3, 2] 1 1 3 3 5 5 7 7 9 9 11 11");
    assert_expression(context, inputs, "index.Tensor(x, [y, y])", "i64[2, 2] 8 9 10 11");
    assert_expression(context, inputs, "index.Tensor(x, [y, None, y])",
                      "i64[2, 3] 7 9 11 7 9 11"); /* apart: they come first */
    assert_expression(context, inputs, "index_put.default(x, [y, y], y)", "i64[2, 3, 2] 0 1 2 3 4 5 6 7 1 -1 1 -1");
    assert_expression(context, inputs, "index_put.default(x, [None, None, y], y, True)",
                      "i64[2, 3, 2] 0 1 2 3 4 5 6 7 8 9 10 11");
    BIND(inputs, "y", dtype_b8, SHAPE(2, 3), 0, 1, 0, 0, 0, 1);
    assert_expression(context, inputs, "index.Tensor(x, [y])", "i64[2, 2] 2 3 10 11"); /* a mask */
    BIND(inputs, "y", dtype_i64, SHAPE(1), 3);
    assert_refused(context, inputs, ", x, y",
                   "        r = torch.ops.aten.index.Tensor(x, [None, y])\n        return (r,)\n", REGRAFT_REJECTED,
                   "index 3 is out of range for size 3");
    BIND(inputs, "x", dtype_f32, SHAPE(2, 2), 1, 2, 3, 4);
    BIND(inputs, "y", dtype_i64, SHAPE(2, 1), 1, 0);
    assert_expression(context, inputs, "gather.default(x, 1, y)", "f32[2, 1] 2 3");
    assert_expression(context, inputs, "scatter.value(x, 1, y, 9)", "f32[2, 2] 1 9 9 4");
    assert_expression(context, inputs, "scatter.src(x, 1, y, x)", "f32[2, 2] 1 1 3 4");
    assert_expression(context, inputs, "scatter_add.default(x, 1, y, x)", "f32[2, 2] 1 3 6 4");
}

static void updates(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(3, 3), 0);
    BIND(inputs, "y", dtype_f32, SHAPE(3), -1, -2, -3);
    assert_expression(context, inputs, "select_scatter.default(x, y, 1, 1)", "f32[3, 3] 0 -1 2 3 -2 5 6 -3 8");
    assert_expression(context, inputs, "diagonal_scatter.default(x, y)", "f32[3, 3] -1 1 2 3 -2 5 6 7 -3");
    assert_expression(context, inputs, "slice_scatter.default(x, y, 0, 1, 2)", "f32[3, 3] 0 1 2 -1 -2 -3 6 7 8");
    assert_expression(context, inputs, "slice_scatter.default(x, y, 0, 0, 3, 2)", "f32[3, 3] -1 -2 -3 3 4 5 -1 -2 -3");
    assert_expression(context, inputs, "as_strided_scatter.default(x, y, [3], [2], 2)",
                      "f32[3, 3] 0 1 -1 3 -2 5 -3 7 8");
    assert_expression(context, inputs, "copy.default(x, y)", "f32[3, 3] -1 -2 -3 -1 -2 -3 -1 -2 -3");
}

static void products(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 3), 0);
    bind_range(inputs, "y", dtype_f32, SHAPE(3, 2), 1);
    assert_expression(context, inputs, "mm.default(x, y)", "f32[2, 2] 13 16 40 52");
    assert_expression(context, inputs, "matmul.default(x, y)", "f32[2, 2] 13 16 40 52");
    assert_expression(context, inputs, "linear.default(x, x)", "f32[2, 2] 5 14 14 50");
    bind_range(inputs, "y", dtype_f32, SHAPE(3), 1);
    assert_expression(context, inputs, "matmul.default(x, y)", "f32[2] 8 26");
    assert_expression(context, inputs, "linear.default(y, x, None)", "f32[2] 8 26");
    bind_range(inputs, "y", dtype_f32, SHAPE(2, 1, 3, 1), 0);
    assert_expression(context, inputs, "matmul.default(x, y)", "f32[2, 1, 2, 1] 5 14 14 50");
    struct outcome outcome = run_body(context, inputs, ", x",
                                      "        t = torch.ops.aten.transpose.int(x, 0, 1)\n"
                                      "        m = torch.ops.aten.full.default([2], 100)\n"
                                      "        n = torch.ops.prims.convert_element_type.default(m, torch.float32)\n"
                                      "        a = torch.ops.aten.addmm.default(n, x, t, beta = 2, alpha = 3)\n"
                                      "        b = torch.ops.aten.unsqueeze.default(x, 0)\n"
                                      "        c = torch.ops.aten.unsqueeze.default(t, 0)\n"
                                      "        d = torch.ops.aten.bmm.default(b, c)\n        return (a, d)\n");
    assert_result(&outcome, "out0", "f32[2, 2] 215 242 242 350");
    assert_result(&outcome, "out1", "f32[1, 2, 2] 5 14 14 50");
}

/* Rows [0, 1) with the first matrix, rows [1, 3) with the second. */
static void grouped_product(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "a", dtype_f32, SHAPE(4, 2), 1);
    bind_range(inputs, "b", dtype_f32, SHAPE(2, 2, 1), 1);
    BIND(inputs, "o", dtype_i32, SHAPE(2), 1, 3);
    struct outcome outcome = run_body(context, inputs, ", a, b, o",
                                      "        r = torch.ops.aten._grouped_mm.default(a, b, o)\n        return (r,)\n");
    assert_result(&outcome, "out0", "f32[4, 1] 5 25 39 nan");
}

static void attention(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "q", dtype_f32, SHAPE(1, 2, 2, 1), 0, 1, 2, 0);
    BIND(inputs, "k", dtype_f32, SHAPE(1, 1, 2, 1), 0, 1);
    BIND(inputs, "v", dtype_f32, SHAPE(1, 1, 2, 1), 10, 20);
    BIND(inputs, "m", dtype_b8, SHAPE(2, 2), 1, 0, 0, 0);
    struct outcome outcome = run_body(
        context, inputs, ", q, k, v, m",
        "        a = torch.ops.aten.scaled_dot_product_attention.default(q, k, v)\n"
        "        b = torch.ops.aten.scaled_dot_product_attention.default(q, k, v, None, 0.0, True)\n"
        "        c = torch.ops.aten.scaled_dot_product_attention.default(q, k, v, m)\n"
        "        s = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default(q, k, v)\n        d = s[1]\n"
        "        return (a, b, c, d)\n");
    assert_result(&outcome, "out0", "f32[1, 2, 2, 1] 15 17.3106 18.808 15");
    assert_result(&outcome, "out1", "f32[1, 2, 2, 1] 10 17.3106 10 15");
    assert_result(&outcome, "out2", "f32[1, 2, 2, 1] 10 0 10 0");
    assert_result(&outcome, "out3", "f32[1, 2, 2] 0.693147 1.31326 2.12693 0.693147");
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(promotion),         FX_TEST(pointwise), FX_TEST(reductions),
                                       FX_TEST(several_results),   FX_TEST(arranging), FX_TEST(indexing),
                                       FX_TEST(advanced_indexing), FX_TEST(updates),   FX_TEST(products),
                                       FX_TEST(grouped_product),   FX_TEST(attention)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
