/* Views against PyTorch's rules, each as the elements that it shows. */
#include "interp_support.h"

static void slicing(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(3, 4), 0);
    assert_expression(context, inputs, "slice.Tensor(x, 1, 1, 3)", "f32[3, 2] 1 2 5 6 9 10");
    assert_expression(context, inputs, "slice.Tensor(x, 0, -2, 9223372036854775807)", "f32[2, 4] 4 5 6 7 8 9 10 11");
    assert_expression(context, inputs, "slice.Tensor(x, 1, 0, 100, 3)", "f32[3, 2] 0 3 4 7 8 11");
    assert_expression(context, inputs, "slice.Tensor(x, -1, 3, 1)", "f32[3, 0]");
    assert_expression(context, inputs, "slice.Tensor(x, 0, -100, -2)", "f32[1, 4] 0 1 2 3");
    assert_expression(context, inputs, "narrow.default(x, 1, -2, 2)", "f32[3, 2] 2 3 6 7 10 11");
    assert_expression(context, inputs, "select.int(x, -1, -1)", "f32[3] 3 7 11");
    assert_expression(context, inputs, "diagonal.default(x, 1)", "f32[3] 1 6 11");
    assert_expression(context, inputs, "diagonal.default(x, -1)", "f32[2] 4 9");
    assert_expression(context, inputs, "unfold.default(x, 0, 2, 1)", "f32[2, 4, 2] 0 4 1 5 2 6 3 7 4 8 5 9 6 10 7 11");
    assert_expression(context, inputs, "unfold.default(x, 1, 1, 3)", "f32[3, 2, 1] 0 3 4 7 8 11");
    assert_expression(context, inputs, "unfold.default(x, 1, 0, 4)", "f32[3, 2, 0]");
}

static void order_and_ones(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_i64, SHAPE(1, 2, 3), 0);
    assert_expression(context, inputs, "permute.default(x, [2, 0, -2])", "i64[3, 1, 2] 0 3 1 4 2 5");
    assert_expression(context, inputs, "transpose.int(x, 1, 2)", "i64[1, 3, 2] 0 3 1 4 2 5");
    assert_expression(context, inputs, "squeeze.default(x)", "i64[2, 3] 0 1 2 3 4 5");
    assert_expression(context, inputs, "squeeze.dim(x, 1)", "i64[1, 2, 3] 0 1 2 3 4 5");
    assert_expression(context, inputs, "squeeze.dims(x, [0, 1])", "i64[2, 3] 0 1 2 3 4 5");
    assert_expression(context, inputs, "unsqueeze.default(x, -1)", "i64[1, 2, 3, 1] 0 1 2 3 4 5");
    assert_expression(context, inputs, "expand.default(x, [2, -1, 3])", "i64[2, 2, 3] 0 1 2 3 4 5 0 1 2 3 4 5");
    assert_expression(context, inputs, "expand.default(x, [2, 1, 2, 3])", "i64[2, 1, 2, 3] 0 1 2 3 4 5 0 1 2 3 4 5");
}

static void other_sizes(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_i32, SHAPE(2, 6), 0);
    assert_expression(context, inputs, "reshape.default(x, [3, -1])", "i32[3, 4] 0 1 2 3 4 5 6 7 8 9 10 11");
    assert_expression(context, inputs, "view.default(x, [2, 1, 2, 3])", "i32[2, 1, 2, 3] 0 1 2 3 4 5 6 7 8 9 10 11");
    assert_expression(context, inputs, "flatten.using_ints(x)", "i32[12] 0 1 2 3 4 5 6 7 8 9 10 11");
    assert_expression(context, inputs, "unflatten.int(x, 1, [-1, 2])", "i32[2, 3, 2] 0 1 2 3 4 5 6 7 8 9 10 11");
    assert_expression(context, inputs, "as_strided.default(x, [2, 2], [3, 2], 4)", "i32[2, 2] 4 6 7 9");
    assert_expression(context, inputs, "view.dtype(x, torch.int64)",
                      "i64[2, 3] 4294967296 12884901890 21474836484 30064771078 "
                      "38654705672 47244640266");
    assert_refused(context, inputs, ", x",
                   "        r = torch.ops.aten.reshape.default(x, [5, -1])\n        return (r,)\n", REGRAFT_REJECTED,
                   "cannot be given the sizes");
    assert_refused(context, inputs, ", x",
                   "        r = torch.ops.aten.as_strided.default(x, [12], [1], 1)\n        return (r,)\n",
                   REGRAFT_REJECTED, "beyond the 48 bytes");
}

static void pieces(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f16, SHAPE(5), 0);
    static const struct {
        const char *call, *results[3];
    } cases[] = {{"split.Tensor(x, 2)", {"f16[2] 0 1", "f16[2] 2 3", "f16[1] 4"}},
                 {"split_with_sizes.default(x, [1, 0, 4])", {"f16[1] 0", "f16[0]", "f16[4] 1 2 3 4"}},
                 {"chunk.default(x, 3)", {"f16[2] 0 1", "f16[2] 2 3", "f16[1] 4"}},
                 {"unbind.int(x)", {"f16[] 0", "f16[] 1", "f16[] 2"}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body =
            text_format(context->arena,
                        "        s = torch.ops.aten.%s\n        a = s[0]\n        b = s[1]\n        c = s[2]\n"
                        "        return (a, b, c)\n",
                        cases[i].call);
        struct outcome outcome = run_body(context, inputs, ", x", body);
        for (size_t k = 0; k < 3; k++)
            assert_result(&outcome, text_format(context->arena, "out%zu", k), cases[i].results[k]);
    }
    assert_refused(context, inputs, ", x",
                   "        s = torch.ops.aten.split_with_sizes.default(x, [1, 2])\n        return (x,)\n",
                   REGRAFT_REJECTED, "add up to 3");
}

/* A write through one view is seen by all others of the storage, and by no copy. */
static void views_share(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 4), 0);
    struct outcome outcome = run_body(context, inputs, ", x",
                                      "        c = torch.ops.aten.clone.default(x)\n"
                                      "        t = torch.ops.aten.transpose.int(c, 0, 1)\n"
                                      "        v = torch.ops.aten.reshape.default(c, [8])\n" /* shares */
                                      "        w = torch.ops.aten.reshape.default(t, [8])\n" /* copies */
                                      "        p = torch.ops.aten.slice.Tensor(t, 0, 1, 2)\n"
                                      "        z = torch.ops.aten.zero_.default(p)\n"
                                      "        return (c, v, w)\n");
    assert_result(&outcome, "out0", "f32[2, 4] 0 0 2 3 4 0 6 7");
    assert_result(&outcome, "out1", "f32[8] 0 0 2 3 4 0 6 7");
    assert_result(&outcome, "out2", "f32[8] 0 4 1 5 2 6 3 7");
    assert_null(tensor_set_find(&outcome.results, TEXT("mutated/x")));
    assert_non_null(tensor_set_find(&outcome.unchanged, TEXT("mutated/x")));
}

/* What a reshape shares is what the strides allow, not only what is contiguous. */
static void reshape_of_strided(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 2, 4), 0);
    struct outcome outcome = run_body(context, inputs, ", x: \"f32[2, 2, 4][8, 4, 1]cpu\"",
                                      "        s = torch.ops.aten.slice.Tensor(x, 2, 0, 2)\n"
                                      "        v: \"f32[4, 2][4, 1]cpu\" = torch.ops.aten.reshape.default(s, [4, 2])\n"
                                      "        n = torch.ops.aten.mul_.Tensor(v, 10)\n"
                                      "        return (x,)\n");
    assert_result(&outcome, "mutated/x", "f32[2, 2, 4] 0 10 2 3 40 50 6 7 80 90 10 11 120 130 14 15");
}

/* Complex numbers share memory with their parts; windows with what they are cut from. */
static void other_elements(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 2, 2), 0);
    struct outcome outcome = run_body(context, inputs, ", x: \"f32[2, 2, 2][4, 2, 1]cpu\"",
                                      "        c: \"c64[2, 2][2, 1]cpu\" = torch.ops.aten.view_as_complex.default(x)\n"
                                      "        s: \"c64[2][2]cpu\" = torch.ops.aten.select.int(c, 1, 1)\n"
                                      "        r: \"f32[2, 2][4, 1]cpu\" = torch.ops.aten.view_as_real.default(s)\n"
                                      "        o: \"Sym(2)\" = torch.ops.aten.sym_storage_offset.default(r)\n"
                                      "        n = torch.ops.aten.mul_.Tensor(r, 10)\n"
                                      "        return (x,)\n");
    assert_result(&outcome, "mutated/x", "f32[2, 2, 2] 0 1 20 30 4 5 60 70");
    outcome = run_body(context, inputs, ", x: \"f32[2, 2, 2][4, 2, 1]cpu\"",
                       "        w = torch.ops.aten.unfold.default(x, 0, 2, 1)\n"
                       "        n = torch.ops.aten.mul_.Tensor(w, 10)\n"
                       "        e = torch.ops.aten.new_empty_strided.default(x, [2, 2], [1, 2])\n"
                       "        t = torch.ops.aten.select.int(x, 0, 1)\n"
                       "        r = torch.ops.prims.rev.default(t, [0])\n"
                       "        c = torch.ops.aten.copy_.default(e, r)\n"
                       "        return (e,)\n");
    assert_result(&outcome, "mutated/x", "f32[2, 2, 2] 0 10 20 30 40 50 60 70");
    assert_result(&outcome, "out0", "f32[2, 2] 60 70 40 50");
    assert_refused(context, inputs, ", x",
                   "        r = torch.ops.aten.unfold.default(x, 0, 3, 1)\n        return (r,)\n", REGRAFT_REJECTED,
                   "windows of 3 elements, 1 apart, of a dimension of size 2");
    assert_refused(context, inputs, ", x", "        r = torch.ops.aten.view_as_real.default(x)\n        return (r,)\n",
                   REGRAFT_REJECTED, "are no complex numbers");
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(other_elements),    FX_TEST(slicing), FX_TEST(order_and_ones),
                                       FX_TEST(other_sizes),       FX_TEST(pieces),  FX_TEST(views_share),
                                       FX_TEST(reshape_of_strided)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
