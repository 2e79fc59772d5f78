/* Binding of inputs, annotations, comparison of outcomes, random inputs. */
#include "interp/check.h"
#include "interp/random_inputs.h"
#include "interp_support.h"

static void symbols_come_from_inputs(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    const char *parameters = ", n: \"Sym(s1)\", x: \"f32[s1, s2][s2, 1]cpu\", y: \"f32[2*s2][1]cpu\"";
    const char *body = "        m: \"Sym(s1 + 1)\" = n + 1\n        f = torch.ops.aten.full.default([m, s2], 1)\n      "
                       "  return (f,)\n";
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 3), 0);
    bind_range(inputs, "y", dtype_f32, SHAPE(6), 0);
    struct outcome outcome = run_body(context, inputs, parameters, body); /* s1 from x, though n is not given */
    assert_result(&outcome, "out0", "i64[3, 3] 1 1 1 1 1 1 1 1 1");
    bindings_set_symint(inputs, TEXT("n"), 4);
    assert_refused(context, inputs, parameters, body, REGRAFT_REJECTED,
                   "input 'x': expected f32[s1, s2][s2, 1]cpu, found f32[2, 3]: dimension 0 should be s1 = 4");
    bindings_set_symint(inputs, TEXT("n"), 2);
    bind_range(inputs, "y", dtype_f32, SHAPE(5), 0);
    assert_refused(context, inputs, parameters, body, REGRAFT_REJECTED, "dimension 0 should be 2*s2 = 6");
    bind_range(inputs, "y", dtype_f16, SHAPE(6), 0);
    assert_refused(context, inputs, parameters, body, REGRAFT_REJECTED,
                   "input 'y': expected f32[2*s2][1]cpu, found f16[6]");
    assert_refused(context, new_bindings(context), parameters, body, REGRAFT_REJECTED,
                   "input 'x': expected f32[s1, s2][s2, 1]cpu, found no tensor");
    assert_refused(context, inputs, ", n: \"Sym(s9)\", k: \"Sym(s8)\"", body, REGRAFT_REJECTED,
                   "input 'k': expected Sym(s8), found no value");
}

/* Inputs are stored row-major and laid out as annotated: the view shows where the elements went. */
static void inputs_are_laid_out(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 2), 1);
    struct outcome outcome =
        run_body(context, inputs, ", x: \"f32[2, 2][1, 3]cpu\"",
                 "        v = torch.ops.aten.as_strided.default(x, [5], [1], 0)\n        return (v, x)\n");
    assert_result(&outcome, "out0", "f32[5] 1 3 nan 2 4");
    assert_result(&outcome, "out1", "f32[2, 2] 1 2 3 4");
}

static void annotations_are_checked(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(2, 2), 0);
    static const struct {
        const char *statement, *message;
    } cases[] = {
        {"r: \"f32[2, 3]\" = torch.ops.aten.alias.default(x)",
         "'r': the annotation says f32[2, 3], the operation gives f32[2, 2][2, 1]"},
        {"r: \"f16[2, 2]\" = torch.ops.aten.neg.default(x)", "says f16[2, 2], the operation gives f32[2, 2]"},
        {"r: \"f32[2, 2][2, 1]cpu\" = torch.ops.aten.transpose.int(x, 0, 1)", "the operation gives f32[2, 2][1, 2]"},
        {"r: \"Sym(3)\" = torch.ops.aten.sym_size.int(x, 0)", "says 3, the operation gives 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(context, inputs, ", x",
                       text_format(context->arena, "        %s\n        return (r,)\n", cases[i].statement),
                       REGRAFT_REJECTED, cases[i].message);
    struct outcome outcome =
        run_body(context, inputs, ", x", /* what is computed takes the annotated layout */
                 "        r: \"f32[2, 2][1, 2]cpu\" = torch.ops.aten.neg.default(x)\n"
                 "        v = torch.ops.aten.as_strided.default(r, [4], [1], 0)\n        return (v,)\n");
    assert_result(&outcome, "out0", "f32[4] -0 -2 -1 -3");
}

static struct comparison compare_texts(struct context *context, const struct bindings *inputs, const char *first,
                                       const char *second) {
    struct comparison comparison;
    struct graph *a = read_body(context, ", x", first), *b = read_body(context, ", x", second);
    if (check_graphs(a, b, inputs, context->arena, &comparison) != REGRAFT_OK)
        fail_msg("%s", context->diagnostics.message);
    return comparison;
}

static void outcomes_are_compared(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    struct builder out;
    BIND(inputs, "x", dtype_f32, SHAPE(2, 2), 1, (double)NAN, 3, 4);
    const char *copy = "        r = torch.ops.aten.alias.default(x)\n        return (r,)\n";
    const char *near = "        r = torch.ops.aten.mul.Tensor(x, 1.000001)\n        return (r,)\n";
    const char *far = "        r = torch.ops.aten.add.Tensor(x, 0.5)\n        return (r,)\n";
    const char *writes = "        w = torch.ops.aten.mul_.Tensor(x, 2)\n        r = torch.ops.aten.mul.Tensor(w, "
                         "0.5)\n        return (r,)\n";
    const char *more = "        return (x, x)\n";
    struct comparison comparison = compare_texts(context, inputs, copy, copy);
    assert_true(comparison.equal && comparison.norm == 0); /* NaN equals NaN */
    comparison = compare_texts(context, inputs, copy, near);
    assert_true(comparison.equal && comparison.norm > 0);
    comparison = compare_texts(context, inputs, copy, far);
    assert_false(comparison.equal);
    comparison = compare_texts(context, inputs, copy, writes);
    assert_false(comparison.equal);
    assert_true(comparison.rows.items[0].equal);
    builder_init(&out, context->arena);
    comparison_print(&out, &comparison);
    assert_string_equal(
        out.data, "equal     out0: identical\nDIFFERENT mutated/x: relative L2 norm 1, at most 1e-05; farthest off at "
                  "[1, 1]: 8 instead of 4\n");
    comparison = compare_texts(context, inputs, copy, more);
    assert_false(comparison.equal);
    assert_string_equal(comparison.rows.items[1].note, "not expected");
    comparison = compare_texts(context, inputs, more, copy);
    assert_string_equal(comparison.rows.items[1].note, "missing");
}

/* An expected file may hold inputs and state that the run did not change. */
static void unchanged_inputs_may_be_expected(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context), *expected = new_bindings(context);
    struct comparison comparison;
    BIND(inputs, "x", dtype_i32, SHAPE(1), 1);
    BIND(inputs, "layer/kv_cache", dtype_i32, SHAPE(1), 2);
    BIND(expected, "mutated/x", dtype_i32, SHAPE(1), 1);
    BIND(expected, "layer/kv_cache", dtype_i32, SHAPE(1), 2);
    struct outcome outcome = run_body(context, inputs, ", x", "        return (3,)\n");
    outcome.results = new_bindings(context)->tensors;
    compare_with_set(context->arena, &outcome, &expected->tensors, &comparison);
    assert_true(comparison.equal);
    BIND(expected, "layer/kv_cache", dtype_i32, SHAPE(1), 3);
    compare_with_set(context->arena, &outcome, &expected->tensors, &comparison);
    assert_false(comparison.equal);
}

/* ---- random inputs ---- */

static const char attention_parameters[] =
    ", n: \"Sym(s1)\", q: \"bf16[s1, 4, 8][32, 8, 1]cpu\", k: \"bf16[s1, 2, 8][16, 8, 1]cpu\", p: \"i64[s2][1]cpu\", "
    "c: \"bf16[16, 8][8, 1]cpu\", t: \"bf16[20, 5][5, 1]cpu\", i: \"i32[3][1]cpu\"";
static const char attention_body[] =
    "        r = torch.ops._C.rotary_embedding.default(p, q, k, 8, c, True);  r = None\n"
    "        d: \"bf16[0]\" = torch.ops.vllm.unified_kv_cache_update.default(k, k, 'layer')\n"
    "        o: \"bf16[s1, 4, 8]\" = torch.ops.aten.empty_like.default(q)\n"
    "        a = torch.ops.vllm.unified_attention_with_output.default(q, k, k, o, 'layer');  a = None\n"
    "        j: \"i64[3]\" = torch.ops.prims.convert_element_type.default(i, torch.int64)\n"
    "        e: \"bf16[3, 5]\" = torch.ops.aten.embedding.default(t, j)\n        return (o, e)\n";

static void random_inputs_are_legal(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = read_body(context, attention_parameters, attention_body);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bindings bindings;
        struct outcome outcome = {0};
        assert_int_equal(random_bindings(graph, (struct random_options){seed, true}, context->arena, &bindings),
                         REGRAFT_OK);
        if (interpret(graph, &bindings, context->arena, &outcome) != REGRAFT_OK)
            fail_msg("%s", context->diagnostics.message);
        const struct tensor *out = tensor_set_find(&outcome.results, TEXT("out0"));
        for (int64_t i = 0; i < tensor_count(out); i++) assert_int_equal(isnan(tensor_real(out, i)) != 0, 0);
        const struct tensor *slots = tensor_set_find(&bindings.tensors, TEXT("layer/slot_mapping"));
        for (int64_t i = 0; i < tensor_count(slots); i++)
            for (int64_t k = 0; k < i; k++) assert_true(tensor_integer(slots, i) != tensor_integer(slots, k));
    }
}

static void random_inputs_repeat(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = read_body(context, attention_parameters, attention_body);
    struct bindings first, second, other;
    assert_int_equal(random_bindings(graph, (struct random_options){1, true}, context->arena, &first), REGRAFT_OK);
    assert_int_equal(random_bindings(graph, (struct random_options){1, true}, context->arena, &second), REGRAFT_OK);
    assert_int_equal(random_bindings(graph, (struct random_options){2, false}, context->arena, &other), REGRAFT_OK);
    assert_int_equal(first.tensors.items.count, second.tensors.items.count);
    bool differs = false;
    for (size_t i = 0; i < first.tensors.items.count; i++) {
        const struct named_tensor *item = first.tensors.items.items[i];
        assert_true(tensor_identical(&item->tensor, tensor_set_find(&second.tensors, item->name)));
        const struct tensor *unlike = tensor_set_find(&other.tensors, item->name);
        if (!unlike || !tensor_identical(&item->tensor, unlike)) differs = true;
    }
    assert_true(differs);
}

/* s1 and s2 must be equal here, which only the run tells: trials with different ones fall back to equal ones. */
static void random_check(void **state) {
    struct context *context = context_of(state);
    struct comparison comparison;
    size_t trial;
    struct graph *a = read_body(context, attention_parameters, attention_body);
    assert_int_equal(check_random(a, a, (struct check_options){5, 6}, context->arena, &comparison, &trial), REGRAFT_OK);
    assert_true(comparison.equal && comparison.norm == 0 && trial == 6);
    assert_string_equal(context->diagnostics.message, "");
    struct graph *b = read_body(context, attention_parameters, strstr(attention_body, "        d: ")); /* not rotated */
    assert_int_equal(check_random(a, b, (struct check_options){5, 6}, context->arena, &comparison, &trial), REGRAFT_OK);
    assert_true(!comparison.equal && trial == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(symbols_come_from_inputs),
                                       FX_TEST(inputs_are_laid_out),
                                       FX_TEST(annotations_are_checked),
                                       FX_TEST(outcomes_are_compared),
                                       FX_TEST(unchanged_inputs_may_be_expected),
                                       FX_TEST(random_inputs_are_legal),
                                       FX_TEST(random_inputs_repeat),
                                       FX_TEST(random_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
