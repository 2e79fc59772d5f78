/* Functionalised calls in both encodings, raw mutable calls, vLLM's operations and their state. */
#include "interp_support.h"

#define V1             "torch.ops.higher_order.auto_functionalized(torch.ops."
#define V2             "torch.ops.higher_order.auto_functionalized_v2(torch.ops."
#define SILU(encoding) "        s = " encoding "_C.silu_and_mul.default, "

static struct bindings *silu_inputs(struct context *context) {
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "base", dtype_f32, SHAPE(2, 3), 0);
    BIND(inputs, "gate", dtype_f32, SHAPE(2, 2), INFINITY, 1, INFINITY, 2);
    return inputs;
}

/* The written argument is a clone: the input stays, item 1 has the new values (inf * 1, inf * 2). */
static void first_encoding(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = silu_inputs(context);
    struct outcome outcome =
        run_body(context, inputs, ", base: \"f32[2, 3][3, 1]cpu\", gate",
                 "        v: \"f32[2, 1][3, 1]cpu\" = torch.ops.aten.slice.Tensor(base, 1, 1, 2)\n" SILU(
                     V1) "result = v, input = gate)\n        n = s[0]\n"
                         "        r: \"f32[2, 1][3, 1]cpu\" = s[1]\n        return (r, v, n)\n");
    assert_result(&outcome, "out0", "f32[2, 1] inf inf");
    assert_result(&outcome, "out1", "f32[2, 1] 1 4");
    assert_null(tensor_set_find(&outcome.results, TEXT("out2"))); /* None */
    assert_null(tensor_set_find(&outcome.results, TEXT("mutated/base")));
}

/* The new base comes back, written through the view that the keys describe. */
static void second_encoding(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = silu_inputs(context);
    static const struct {
        const char *keys, *expected;
    } views[] = {
        {"_result_base_index = 0, _result_slice_dim = 1, _result_slice_start = 2, _result_slice_end = 3",
         "f32[2, 3] 0 1 inf 3 4 inf"},
        {"_result_base_index = 0, _result_slice_dim = -1, _result_slice_start = 2, _result_slice_end = "
         "9223372036854775807",
         "f32[2, 3] 0 1 inf 3 4 inf"},
        {"_result_base_index = 0, _result_size = (2, 1), _result_stride = [2, 1], _result_storage_offset = 2",
         "f32[2, 3] 0 1 inf 3 inf 5"},
    };
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        const char *body = text_format(
            context->arena, SILU(V2) "input = gate, %s, _all_bases = [base])\n        r = s[1]\n        return (r,)\n",
            views[i].keys);
        struct outcome outcome = run_body(context, inputs, ", base, gate", body);
        assert_result(&outcome, "out0", views[i].expected);
        assert_null(tensor_set_find(&outcome.results, TEXT("mutated/base")));
    }
    bind_range(inputs, "base", dtype_f32, SHAPE(2, 1), 0);
    struct outcome outcome =
        run_body(context, inputs, ", base, gate",
                 SILU(V2) "input = gate, _result_base_index = 0, _result_alias = True, _all_bases = [base])\n"
                          "        r = s[1]\n        return (r,)\n");
    assert_result(&outcome, "out0", "f32[2, 1] inf inf");
}

/* Two views of one base, one argument None. */
static void shared_base(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(1, 4), 1);
    BIND(inputs, "p", dtype_i64, SHAPE(1), 1);
    BIND(inputs, "c", dtype_f32, SHAPE(2, 2), 1, 0, 0, 1); /* position 1: (a, b) -> (-b, a) */
    struct outcome outcome =
        run_body(context, inputs, ", x, p, c",
                 "        s = " V2
                 "_C.rotary_embedding.default, positions = p, head_size = 2, cos_sin_cache = c, is_neox = True, "
                 "_query_base_index = 0, _query_slice_dim = 1, _query_slice_start = 0, _query_slice_end = 2, "
                 "_key_base_index = 0, "
                 "_key_slice_dim = 1, _key_slice_start = 2, _key_slice_end = 4, _all_bases = [x])\n        r = s[1]\n"
                 "        t = " V1 "_C.rotary_embedding.default, positions = p, query = r, key = None, head_size = 2, "
                 "cos_sin_cache = c, is_neox = True)\n        q = t[1]\n        k = t[2]\n        return (r, q, k)\n");
    assert_result(&outcome, "out0", "f32[1, 4] -2 1 -4 3");
    assert_result(&outcome, "out1", "f32[1, 4] -1 -2 -3 -4"); /* both heads */
    assert_null(tensor_set_find(&outcome.results, TEXT("out2")));
}

/* Interleaved pairs, part of a head, an offset, the inverse. */
static void rotations(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_f32, SHAPE(1, 1, 6), 1);
    BIND(inputs, "p", dtype_i64, SHAPE(1), 0);
    BIND(inputs, "c", dtype_f32, SHAPE(1, 4), 0, 0, 1, 1);
    static const struct {
        const char *arguments, *expected;
    } cases[] = {{"True", "f32[1, 1, 6] -3 -4 1 2 5 6"},
                 {"False", "f32[1, 1, 6] -2 1 -4 3 5 6"},
                 {"False, 2", "f32[1, 1, 6] 1 2 -4 3 -6 5"},
                 {"False, 0, True", "f32[1, 1, 6] 2 -1 4 -3 5 6"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body =
            text_format(context->arena,
                        "        r = torch.ops._C.rotary_embedding.default(p, x, None, 6, c, %s);  r = None\n"
                        "        return (p,)\n",
                        cases[i].arguments);
        struct outcome outcome = run_body(context, inputs, ", x, p, c", body);
        assert_result(&outcome, "mutated/x", cases[i].expected);
    }
}

static void bad_calls(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = silu_inputs(context);
    static const struct {
        const char *keys, *message;
    } cases[] = {
        {"_result_base_index = 1", "does not name one of the 1 bases"},
        {"_result_base_index = 0, _result_slice_dim = 1, _result_slice_start = 2", "must be given as integers"},
        {"_result_base_index = 0, _result_size = (2, 2), _result_stride = (3, 1), _result_storage_offset = 2",
         "does not lie in its base"},
        {"_result_base_index = 0", "does not fit an input"},
        {"_result_base_index = None", "'result' must be a tensor, but it is None"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body = text_format(
            context->arena, SILU(V2) "input = gate, %s, _all_bases = [base])\n        return (gate,)\n", cases[i].keys);
        assert_refused(context, inputs, ", base, gate", body, REGRAFT_REJECTED, cases[i].message);
    }
    assert_refused(context, inputs, ", base, gate", "        s = " V1 "my.op.default, x = base)\n        return (s,)\n",
                   REGRAFT_UNSUPPORTED, "my.op.default");
    assert_refused(context, inputs, ", base, gate", "        s = torch.ops.my.op.default(base)\n        return (s,)\n",
                   REGRAFT_UNSUPPORTED, "my.op.default");
    assert_refused(context, inputs, ", base, gate",
                   "        s = torch.ops.aten.mm.default(base)\n        return (s,)\n", REGRAFT_REJECTED,
                   "argument 'mat2' is missing");
}

static void raw_calls_write_inputs(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "x", dtype_bf16, SHAPE(2, 2), 0);
    BIND(inputs, "y", dtype_f32, SHAPE(2), 10, 20);
    struct outcome outcome = run_body(context, inputs, ", x, y",
                                      "        a = torch.ops.aten.select.int(x, 1, 0)\n"
                                      "        b = torch.ops.aten.copy_.default(a, y);  b = None\n"
                                      "        c = torch.ops.aten.add_.Tensor(x, 1)\n"
                                      "        d = torch.ops.aten.fill_.Scalar(y, 3)\n        return (c,)\n");
    assert_result(&outcome, "out0", "bf16[2, 2] 11 2 21 4");
    assert_result(&outcome, "mutated/x", "bf16[2, 2] 11 2 21 4");
    assert_result(&outcome, "mutated/y", "f32[2] 3 3");
}

static void norms(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "x", dtype_f32, SHAPE(1, 4), 1, -1, 1, -1);
    BIND(inputs, "y", dtype_f32, SHAPE(1, 4), 2, 2, 2, 2);
    BIND(inputs, "w", dtype_f32, SHAPE(4), 1, 2, 3, 4);
    struct outcome outcome = run_body(context, inputs, ", x, y, w",
                                      "        a = torch.ops.vllm_ir.rms_norm.default(x, w, 0.0)\n"
                                      "        s = torch.ops.vllm_ir.fused_add_rms_norm.default(x, y, None, 0.0)\n"
                                      "        b = s[0]\n        c = s[1]\n"
                                      "        d = torch.ops._C.fused_add_rms_norm.default(x, y, w, 0.0);  d = None\n"
                                      "        return (a, b, c)\n");
    assert_result(&outcome, "out0", "f32[1, 4] 1 -2 3 -4");
    assert_result(&outcome, "out1", "f32[1, 4] 1.34164 0.447214 1.34164 0.447214");
    assert_result(&outcome, "out2", "f32[1, 4] 3 1 3 1");
    assert_result(&outcome, "mutated/x", "f32[1, 4] 1.34164 0.894427 4.02492 1.78885");
    assert_result(&outcome, "mutated/y", "f32[1, 4] 3 1 3 1");
}

/* Slot -1 writes nothing, slot 3 is entry 1 of block 1; fp8 divides by the scale. */
static void cache_writes(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    bind_range(inputs, "k", dtype_f32, SHAPE(2, 1, 1), 5);
    bind_range(inputs, "v", dtype_f32, SHAPE(2, 1, 1), 7);
    BIND(inputs, "kc", dtype_f32, SHAPE(2, 2, 1, 1), 0, 0, 0, 0);
    BIND(inputs, "vc", dtype_f32, SHAPE(2, 2, 1, 1), 0, 0, 0, 0);
    BIND(inputs, "slots", dtype_i64, SHAPE(2), 3, -1);
    BIND(inputs, "s", dtype_f32, SHAPE(1), 2);
    const char *call =
        "        r = torch.ops._C_cache_ops.reshape_and_cache_flash.default(k, v, kc, vc, slots, '%s', s, s)\n"
        "        return (k,)\n";
    struct outcome outcome =
        run_body(context, inputs, ", k, v, kc, vc, slots, s", text_format(context->arena, call, "auto"));
    assert_result(&outcome, "mutated/kc", "f32[2, 2, 1, 1] 0 0 0 5");
    assert_result(&outcome, "mutated/vc", "f32[2, 2, 1, 1] 0 0 0 7");
    BIND(inputs, "kc", dtype_f8e4m3fn, SHAPE(2, 2, 1, 1), 0, 0, 0, 0);
    BIND(inputs, "vc", dtype_u8, SHAPE(2, 2, 1, 1), 0, 0, 0, 0);
    outcome = run_body(context, inputs, ", k, v, kc, vc, slots, s", text_format(context->arena, call, "fp8_e4m3"));
    assert_result(&outcome, "mutated/kc", "f8e4m3fn[2, 2, 1, 1] 0 0 0 2.5");
    assert_result(&outcome, "mutated/vc", "u8[2, 2, 1, 1] 0 0 0 70"); /* the bits of 3.5 */
    assert_refused(context, inputs, ", k, v, kc, vc, slots, s", text_format(context->arena, call, "fp8_ds_mla"),
                   REGRAFT_UNSUPPORTED, "fp8_ds_mla");
    BIND(inputs, "slots", dtype_i64, SHAPE(2), 4, -1);
    assert_refused(context, inputs, ", k, v, kc, vc, slots, s", text_format(context->arena, call, "auto"),
                   REGRAFT_REJECTED, "slot 4 lies outside");
}

/* A layer known by a string or by a placeholder: its cache is written, then read by the attention. */
static void layers(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    const char *body =
        "        d = torch.ops.vllm.unified_kv_cache_update.default(k, v, %s)\n"
        "        o = torch.ops.aten.empty_like.default(q)\n"
        "        a = torch.ops.vllm.unified_attention_with_output.default(q, k, v, o, %s, kv_cache_dummy_dep = d)\n"
        "        return (o, d)\n";
    static const char *const names[] = {"'layer.0'", "layer"}, *const states[] = {"layer.0", "layer"};
    bind_range(inputs, "q", dtype_f32, SHAPE(1, 1, 1), 0);
    bind_range(inputs, "k", dtype_f32, SHAPE(1, 1, 1), 2);
    bind_range(inputs, "v", dtype_f32, SHAPE(1, 1, 1), 8);
    for (size_t i = 0; i < 2; i++) {
        BIND(inputs, text_format(context->arena, "%s/kv_cache", states[i]), dtype_f32, SHAPE(1, 2, 2, 1, 1), 1, 0, 4,
             0);
        BIND(inputs, text_format(context->arena, "%s/slot_mapping", states[i]), dtype_i64, SHAPE(1), 1);
        BIND(inputs, text_format(context->arena, "%s/block_table", states[i]), dtype_i32, SHAPE(1, 1), 0);
        BIND(inputs, text_format(context->arena, "%s/seq_lens", states[i]), dtype_i32, SHAPE(1), 2);
        const char *text = text_format(context->arena, body, names[i], names[i]);
        if (i == 0)
            assert_refused(context, inputs, ", q, k, v, layer", text, REGRAFT_REJECTED,
                           "no softmax scale for layer 'layer.0'");
        bindings_set_scale(inputs, text_of(states[i]), 1);
        struct outcome outcome = run_body(context, inputs, ", q, k, v, layer", text);
        assert_result(&outcome, "out0", "f32[1, 1, 1] 6"); /* q is 0: the mean of 4 and 8 */
        assert_result(&outcome, "out1", "f32[0]");
        assert_result(&outcome, text_format(context->arena, "%s/kv_cache", states[i]), "f32[1, 2, 2, 1, 1] 1 2 4 8");
    }
    assert_refused(context, inputs, ", q, k, v", text_format(context->arena, body, "'other'", "'other'"),
                   REGRAFT_REJECTED, "expected a tensor 'other/kv_cache'");
}

static void handles(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    const char *body =
        "        s = " V1 "_C.onednn_mm.default, c = c, a = a, bias = b, handler_tensor = h)\n        r = s[1]\n"
        "        return (r,)\n";
    bind_range(inputs, "a", dtype_f32, SHAPE(2, 2), 0);
    BIND(inputs, "b", dtype_f32, SHAPE(1), 100);
    BIND(inputs, "c", dtype_f32, SHAPE(2, 1), 0, 0);
    BIND(inputs, "h", dtype_i64, SCALAR, 0);
    assert_refused(context, inputs, ", a, b, c, h", body, REGRAFT_UNSUPPORTED, "'h/weight' [k, n]");
    bind_range(inputs, "h/weight", dtype_f32, SHAPE(2, 1), 1);
    struct outcome outcome = run_body(context, inputs, ", a, b, c, h", body);
    assert_result(&outcome, "out0", "f32[2, 1] 102 108");
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(first_encoding), FX_TEST(second_encoding),
                                       FX_TEST(shared_base),    FX_TEST(rotations),
                                       FX_TEST(bad_calls),      FX_TEST(raw_calls_write_inputs),
                                       FX_TEST(norms),          FX_TEST(cache_writes),
                                       FX_TEST(layers),         FX_TEST(handles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
