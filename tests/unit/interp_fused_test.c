/* Fused operations: values worked out by hand, and equality, bit for bit, with the chains that they stand for and with
 * their definitions. */
#include "interp_support.h"
#include "ir/infer.h"
#include "rule/definition.h"

#define VLLM "torch.ops.vllm."
#define OURS "torch.ops.regraft."

/* ---- by hand: position 1 turns (a, b) into (-b, a), position 0 keeps it ---- */

static struct bindings *latent_inputs(struct context *context) {
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "p", dtype_i64, SHAPE(3), 1, 0, 1); /* the last token is padding: there are two slots */
    BIND(inputs, "t", dtype_f32, SHAPE(2, 2), 1, 0, 0, 1);
    bind_range(inputs, "q", dtype_f32, SHAPE(3, 1, 2), 1);
    bind_range(inputs, "k", dtype_f32, SHAPE(3, 2), 11);
    bind_range(inputs, "c", dtype_f32, SHAPE(3, 1), 21);
    BIND(inputs, "s", dtype_f32, SHAPE(1), 1);
    BIND(inputs, "cache", dtype_f32, SHAPE(2, 1, 3), 0, 0, 0, 0, 0, 0);
    BIND(inputs, "slots", dtype_i64, SHAPE(2), 1, -1);
    BIND(inputs, "l/kv_cache", dtype_f32, SHAPE(2, 1, 3), 0, 0, 0, 0, 0, 0);
    BIND(inputs, "l/slot_mapping", dtype_i64, SHAPE(2), 1, -1);
    return inputs;
}

/* Where the rotated k_pe goes: nothing else differs between the forms. */
static void latent_forms(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = latent_inputs(context);
    static const struct {
        const char *body, *k_pe, *out, *dummy;
    } forms[] = {
        {"r = " VLLM "fused_rope_unified_mla_kv_cache_update.default(p, q, k, c, t, True, 'auto', s, 'l')\n"
         "        return (r,)\n",
         "f32[3, 2] -12 11 13 14 -16 15", NULL, "out0"},
        {"r = " OURS "fused_rope_unified_mla_kv_cache_update_no_write_back.default(p, q, k, c, t, True, 'auto', s, "
         "'l')\n        return (r,)\n",
         NULL, NULL, "out0"},
        {"r = " OURS "fused_rope_unified_mla_kv_cache_update_k_pe_out.default(p, q, k, c, t, True, 'auto', s, 'l')\n"
         "        o = r[0]\n        d = r[1]\n        return (o, d)\n",
         NULL, "f32[3, 1, 2] -12 11 13 14 -16 15", "out1"},
        {"r = " OURS "fused_rope_concat_and_cache_mla.default(p, q, k, c, t, True, cache, slots, 'auto', s)\n"
         "        return (p,)\n",
         "f32[3, 2] -12 11 13 14 -16 15", NULL, NULL},
        {"r = " OURS "fused_rope_concat_and_cache_mla_no_write_back.default(p, q, k, c, t, True, cache, slots, 'auto', "
         "s)\n        return (p,)\n",
         NULL, NULL, NULL},
        {"r = " OURS "fused_rope_concat_and_cache_mla_k_pe_out.default(p, q, k, c, t, True, cache, slots, 'auto', s)\n"
         "        return (r,)\n",
         NULL, "f32[3, 1, 2] -12 11 13 14 -16 15", NULL},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct outcome outcome = run_body(context, inputs, ", p, q, k, c, t, s, cache, slots",
                                          text_format(context->arena, "        %s", forms[i].body));
        assert_result(&outcome, "mutated/q", "f32[3, 1, 2] -2 1 3 4 -6 5"); /* also without a slot */
        assert_result(&outcome, "mutated/k", forms[i].k_pe ? forms[i].k_pe : "nothing");
        if (forms[i].out) assert_result(&outcome, "out0", forms[i].out);
        if (forms[i].dummy) assert_result(&outcome, forms[i].dummy, "f32[0]");
        const char *cache = strstr(forms[i].body, "'l'") ? "l/kv_cache" : "mutated/cache";
        assert_result(&outcome, cache, "f32[2, 1, 3] 0 0 0 21 -12 11");
    }
}

/* fp8: 12 / 0.5 = 24 and 22 / 0.5 = 44 are e4m3 numbers; 500 / 0.5 is cut to 448. */
static void latent_scaled(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = latent_inputs(context);
    static const char *const names[] = {"fp8", "fp8_e4m3"};
    BIND(inputs, "c", dtype_f32, SHAPE(3, 1), 500, 0, 0);
    BIND(inputs, "s", dtype_f32, SHAPE(1), 0.5);
    BIND(inputs, "k", dtype_f32, SHAPE(3, 2), 22, 12, 0, 0, 0, 0);
    BIND(inputs, "l/kv_cache", dtype_u8, SHAPE(2, 1, 3), 0, 0, 0, 0, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        const char *body = text_format(
            context->arena,
            "        r = " VLLM
            "fused_rope_unified_mla_kv_cache_update.default(p, q, k, c, t, True, '%s', s, 'l')\n        return (r,)\n",
            names[i]);
        struct outcome outcome = run_body(context, inputs, ", p, q, k, c, t, s", body);
        /* 0x7e is 448; -24 = -1.5 * 2^4: sign, exponent 11, mantissa 4; 44 = 1.375 * 2^5: exponent 12, mantissa 3 */
        assert_result(&outcome, "l/kv_cache", "u8[2, 1, 3] 0 0 0 126 220 99");
        assert_result(&outcome, "mutated/k", "f32[3, 2] -12 22 0 0 0 0"); /* as it was before the scale */
    }
}

/* A layer's cache of 8-bit floats is scaled by its k_scale and v_scale. */
static void attention_layer(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = latent_inputs(context);
    bind_range(inputs, "k", dtype_f32, SHAPE(3, 1, 2), 11);
    bind_range(inputs, "v", dtype_f32, SHAPE(3, 1, 2), 31);
    const char *body =
        "        r = " VLLM
        "fused_rope_and_unified_kv_cache_update.default(q, k, v, p, t, True, 'l')\n        return (r,)\n";
    BIND(inputs, "l/kv_cache", dtype_f32, SHAPE(1, 2, 2, 1, 2), 0, 0, 0, 0, 0, 0, 0, 0);
    struct outcome outcome = run_body(context, inputs, ", q, k, v, p, t", body);
    assert_result(&outcome, "mutated/q", "f32[3, 1, 2] -2 1 3 4 -6 5");
    assert_result(&outcome, "mutated/k", "f32[3, 1, 2] -12 11 13 14 -16 15");
    assert_result(&outcome, "l/kv_cache", "f32[1, 2, 2, 1, 2] 0 0 -12 11 0 0 31 32");
    BIND(inputs, "l/kv_cache", dtype_f8e4m3fn, SHAPE(1, 2, 2, 1, 2), 0, 0, 0, 0, 0, 0, 0, 0);
    BIND(inputs, "l/k_scale", dtype_f32, SHAPE(1), 2);
    outcome = run_body(context, inputs, ", q, k, v, p, t", body);
    assert_result(&outcome, "l/kv_cache", "f8e4m3fn[1, 2, 2, 1, 2] 0 0 -6 5.5 0 0 32 32"); /* 31 is no e4m3 number */
    BIND(inputs, "l/v_scale", dtype_f32, SHAPE(1), 4);
    outcome = run_body(context, inputs, ", q, k, v, p, t", body);
    assert_result(&outcome, "l/kv_cache", "f8e4m3fn[1, 2, 2, 1, 2] 0 0 -6 5.5 0 0 8 8");
}

/* (1 + 2^-12)^2 is rounded to 1 + 2^-11 before 1 + 2^-11 is taken from it: 0, not the 2^-24 of a fused multiply-add. */
static void rotation_rounds_each_step(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    BIND(inputs, "p", dtype_i64, SHAPE(1), 0);
    BIND(inputs, "t", dtype_f32, SHAPE(1, 2), 1 + 0x1p-12, 1);
    BIND(inputs, "q", dtype_f32, SHAPE(1, 2), 1 + 0x1p-12, 1 + 0x1p-11);
    const char *body =
        "        r = torch.ops._C.rotary_embedding.default(p, q, None, 2, t, True)\n        return (p,)\n";
    struct outcome outcome = run_body(context, inputs, ", p, q, t", body);
    const struct tensor *q = tensor_set_find(&outcome.results, TEXT("mutated/q"));
    assert_true(tensor_real(q, 0) == 0);
    assert_true(tensor_real(q, 1) == (double)((float)((1 + 0x1p-11) * (1 + 0x1p-12)) + (float)(1 + 0x1p-12)));
}

/* Rows [1 2 3 4 5 6]; two pairs, turned by (0, 1) and (1, 0), the same for each row or not. */
static void given_angles(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    static const struct {
        const char *neox, *expected;
    } cases[] = {{"True", "f32[1, 2, 6] -3 2 1 4 5 6 -9 8 7 10 11 12"},
                 {"False", "f32[1, 2, 6] -2 1 3 4 5 6 -8 7 9 10 11 12"}};
    bind_range(inputs, "x", dtype_f32, SHAPE(1, 2, 6), 1);
    BIND(inputs, "c", dtype_f32, SHAPE(1, 2), 0, 1);
    BIND(inputs, "s", dtype_bf16, SHAPE(2), 1, 0);
    for (size_t i = 0; i < 2; i++) {
        const char *body = text_format(
            context->arena, "        r = " OURS "rotary_embedding_cos_sin.default(x, c, s, %s)\n        return (r,)\n",
            cases[i].neox);
        struct outcome outcome = run_body(context, inputs, ", x, c, s", body);
        assert_result(&outcome, "out0", cases[i].expected);
        assert_result(&outcome, "mutated/x", "nothing");
    }
    bind_range(inputs, "c", dtype_f32, SHAPE(3, 2), 0);
    assert_refused(context, inputs, ", x, c, s",
                   "        r = " OURS "rotary_embedding_cos_sin.default(x, c, s, True)\n        return (r,)\n",
                   REGRAFT_REJECTED, "cos of sizes [3, 2] does not fit x of sizes [1, 2, 6]");
    bind_range(inputs, "c", dtype_f32, SHAPE(4), 0);
    assert_refused(context, inputs, ", x, c, s",
                   "        r = " OURS "rotary_embedding_cos_sin.default(x, c, s, True)\n        return (r,)\n",
                   REGRAFT_REJECTED, "cos of sizes [4] does not fit");
}

static void refused(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = latent_inputs(context);
    bind_range(inputs, "k", dtype_f32, SHAPE(3, 2, 2), 11);
    assert_refused(context, inputs, ", p, q, k, c, t, s",
                   "        r = " VLLM
                   "fused_rope_unified_mla_kv_cache_update.default(p, q, k, c, t, True, 'auto', s, 'l')\n"
                   "        return (r,)\n",
                   REGRAFT_REJECTED, "k_pe must be [tokens, width] or [tokens, 1, width]; its sizes are [3, 2, 2]");
    bind_range(inputs, "q", dtype_f32, SHAPE(3, 2), 1);
    assert_refused(
        context, inputs, ", p, q, k, c, t, s, cache, slots",
        "        r = " OURS
        "fused_rope_reshape_and_cache_flash.default(p, q, k, k, t, True, cache, cache, slots, 'auto', s, s)\n"
        "        return (p,)\n",
        REGRAFT_REJECTED, "query must be [tokens, heads, width]; its sizes are [3, 2]");
    assert_refused(context, inputs, ", p, q, k, t",
                   "        r = torch.ops._C.fused_qk_norm_rope.default(q, 1, 1, 1, 2, 0.0, k, k, t, True, p)\n"
                   "        return (p,)\n",
                   REGRAFT_REJECTED, "qkv of sizes [3, 2] does not hold 1 + 1 + 1 heads of 2");
}

/* ---- every bf16 number as fp8: against a search over the e4m3 numbers ---- */

/* The code of the e4m3fn number nearest to |x|, the even one of two; codes 0 to 0x7e rise with their values. */
static uint32_t nearest_code(double x) {
    uint32_t code = 0;
    for (uint32_t next = 1; next <= 0x7e; next++) {
        double low = ldexp(code >> 3 ? 8 + (code & 7) : code & 7, (int)(code >> 3 ? code >> 3 : 1) - 10);
        double high = ldexp(next >> 3 ? 8 + (next & 7) : next & 7, (int)(next >> 3 ? next >> 3 : 1) - 10);
        if (x < (low + high) / 2 || (x == (low + high) / 2 && code % 2 == 0)) break;
        code = next;
    }
    return code;
}

static void every_bf16_as_fp8(void **state) {
    struct context *context = context_of(state);
    struct bindings *inputs = new_bindings(context);
    struct tensor values = tensor_create(context->arena, dtype_bf16, &SHAPE(256, 255), NULL);
    struct tensor last = tensor_create(context->arena, dtype_bf16, &SHAPE(256, 1), NULL);
    struct tensor slots = tensor_create(context->arena, dtype_i64, &SHAPE(256), NULL);
    static const float scales[] = {1, 0.37F, 3, 0x1p-9F};
    for (int i = 0; i < 65536; i++) {
        const struct tensor *to = i % 256 == 255 ? &last : &values;
        uint16_t bits = (uint16_t)i;
        memcpy(tensor_at(to, i % 256 == 255 ? i / 256 : i / 256 * 255 + i % 256), &bits, 2);
    }
    for (int i = 0; i < 256; i++) tensor_set_integer(&slots, i, i);
    tensor_set_put(&inputs->tensors, TEXT("c"), &values);
    tensor_set_put(&inputs->tensors, TEXT("k"), &last);
    tensor_set_put(&inputs->tensors, TEXT("slots"), &slots);
    struct tensor cache = tensor_create(context->arena, dtype_f8e4m3fn, &SHAPE(16, 16, 256), NULL);
    memset(cache.storage->bytes, 0x55, cache.storage->size);
    tensor_set_put(&inputs->tensors, TEXT("cache"), &cache);
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        BIND(inputs, "s", dtype_f32, SHAPE(1), (double)scales[s]);
        struct outcome outcome =
            run_body(context, inputs, ", c, k, cache, slots, s",
                     "        r = torch.ops._C_cache_ops.concat_and_cache_mla.default(c, k, cache, slots, 'fp8', s)\n"
                     "        return (s,)\n");
        const struct tensor *found = tensor_set_find(&outcome.results, TEXT("mutated/cache"));
        for (uint32_t i = 0; i < 65536; i++) {
            uint32_t wide = i << 16, sign = i >> 15 << 7;
            float x;
            memcpy(&x, &wide, sizeof x);
            uint32_t expected = sign | (isnan(x) ? 0x7f : nearest_code(fabs((double)(x / scales[s]))));
            assert_int_equal(*tensor_at(found, i), expected);
        }
    }
}

/* ---- the chains ---- */

/* One random setting. Sizes: 5 tokens, of which the last has no slot of its own; 4 query heads and 2 of keys. */
struct setting {
    enum dtype dtype, table, cache;
    int64_t width, rotary, block_size;
    bool neox;
    const char *format; /* kv_cache_dtype */
};

enum { tokens = 5, slotted = 4, rank = 6 };

static uint64_t random_state;
static double random_real(void) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(int64_t)(random_state >> 20) * 0x1p-42 - 2;
}

static void bind_random(struct bindings *inputs, const char *name, enum dtype dtype, struct shape shape) {
    struct tensor tensor = tensor_create(inputs->tensors.arena, dtype, &shape, NULL);
    for (int64_t i = 0; i < tensor_count(&tensor); i++) tensor_set_real(&tensor, i, random_real());
    tensor_set_put(&inputs->tensors, text_of(name), &tensor);
}

static struct bindings *random_setting(struct context *context, const struct setting *setting) {
    struct bindings *inputs = new_bindings(context);
    enum dtype dtype = setting->dtype;
    int64_t blocks = 8 / setting->block_size + 1, width = setting->width;
    BIND(inputs, "p", dtype_i64, SHAPE(tokens), 3, 0, 6, 3, 1);
    BIND(inputs, "slots", dtype_i64, SHAPE(slotted), 7, -1, 0, 4);
    bind_random(inputs, "t", setting->table, SHAPE(7, setting->rotary));
    bind_random(inputs, "qb", dtype, SHAPE(tokens, 4, 3 + width)); /* q is a slice: heads lie apart */
    bind_random(inputs, "kb", dtype, SHAPE(tokens, 2 * (width + 5)));
    bind_random(inputs, "v", dtype, SHAPE(tokens, 2, width));
    bind_random(inputs, "ab", dtype, SHAPE(tokens, rank + width));
    bind_random(inputs, "qw", dtype, SHAPE(width));
    bind_random(inputs, "kw", dtype, SHAPE(width));
    BIND(inputs, "s", dtype_f32, SHAPE(1), 0.7);
    bind_random(inputs, "kc", setting->cache, SHAPE(blocks, setting->block_size, 2, width));
    bind_random(inputs, "vc", setting->cache, SHAPE(blocks, setting->block_size, 2, width));
    bind_random(inputs, "lc", setting->cache, SHAPE(blocks, setting->block_size, rank + width));
    bind_random(inputs, "gqa/kv_cache", setting->cache, SHAPE(blocks, 2, setting->block_size, 2, width));
    bind_random(inputs, "mla/kv_cache", setting->cache, SHAPE(blocks, setting->block_size, rank + width));
    BIND(inputs, "gqa/slot_mapping", dtype_i64, SHAPE(slotted), 7, -1, 0, 4);
    BIND(inputs, "mla/slot_mapping", dtype_i64, SHAPE(slotted), 7, -1, 0, 4);
    BIND(inputs, "gqa/k_scale", dtype_f32, SHAPE(1), 0.3);
    BIND(inputs, "gqa/v_scale", dtype_f32, SHAPE(1), 1.9);
    return inputs;
}

/* In the bodies: W is the width of a head, N is_neox, F the cache's format. q, k, k_pe and kv_c are strided slices. */
#define VIEWS                                                                                                          \
    "        q = torch.ops.aten.slice.Tensor(qb, 2, 3, 9223372036854775807)\n"                                         \
    "        ks = torch.ops.aten.view.default(kb, [5, 2, -1])\n"                                                       \
    "        k = torch.ops.aten.slice.Tensor(ks, 2, 5, 9223372036854775807)\n"                                         \
    "        c = torch.ops.aten.slice.Tensor(ab, 1, 0, 6)\n"                                                           \
    "        k_pe = torch.ops.aten.slice.Tensor(ab, 1, 6, 9223372036854775807)\n"                                      \
    "        kh = torch.ops.aten.unsqueeze.default(k_pe, 1)\n"
#define ROTATE(q, k) "        r = torch.ops._C.rotary_embedding.default(p, " q ", " k ", W, t, N)\n"
#define FLASH(k)                                                                                                       \
    "        u = torch.ops._C_cache_ops.reshape_and_cache_flash.default(" k ", v, kc, vc, slots, 'F', s, s)\n"
#define CONCAT(k) "        u = torch.ops._C_cache_ops.concat_and_cache_mla.default(c, " k ", lc, slots, 'F', s)\n"
#define GQA(k)    "        u = torch.ops.vllm.unified_kv_cache_update.default(" k ", v, 'gqa')\n"
#define MLA(k)    "        u = torch.ops.vllm.unified_mla_kv_cache_update.default(c, " k ", 'mla', 'F', s)\n"
#define FRESH     "        kf = torch.ops.aten.clone.default(kh, memory_format = torch.contiguous_format)\n"
#define NORM(to, x, w)                                                                                                 \
    "        " to " = torch.ops.aten.empty_like.default(" x ", memory_format = torch.contiguous_format)\n"             \
    "        n_" to " = torch.ops._C.rms_norm.default(" to ", " x ", " w ", 1e-05)\n"
#define NORMS        NORM("qn", "q", "qw") NORM("kn", "k", "kw") ROTATE("qn", "kn")
#define RETURN(what) "        return (" what ",)\n"
#define PAIR         "        qn = r[0]\n        kn = r[1]\n"

static const struct {
    const char *fused, *chain;
} pairs[] = {
    {"        u = " VLLM "fused_rope_and_unified_kv_cache_update.default(q, k, v, p, t, N, 'gqa')\n" RETURN("u"),
     ROTATE("q", "k") GQA("k") RETURN("u")},
    {"        u = " OURS
     "fused_rope_reshape_and_cache_flash.default(p, q, k, v, t, N, kc, vc, slots, 'F', s, s)\n" RETURN("p"),
     ROTATE("q", "k") FLASH("k") RETURN("p")},
    {"        u = " VLLM
     "fused_rope_unified_mla_kv_cache_update.default(p, q, k_pe, c, t, N, 'F', s, 'mla')\n" RETURN("u"),
     ROTATE("q", "kh") MLA("kh") RETURN("u")},
    {"        r = " OURS "fused_rope_unified_mla_kv_cache_update_k_pe_out.default(p, q, kh, c, t, N, 'F', s, 'mla')\n"
     "        kf = r[0]\n        u = r[1]\n" RETURN("kf, u"),
     FRESH ROTATE("q", "kf") MLA("kf") RETURN("kf, u")},
    {"        u = " OURS
     "fused_rope_unified_mla_kv_cache_update_no_write_back.default(p, q, k_pe, c, t, N, 'F', s, 'mla')\n" RETURN("u"),
     FRESH ROTATE("q", "kf") MLA("kf") RETURN("u")},
    {"        u = " OURS
     "fused_rope_concat_and_cache_mla.default(p, q, k_pe, c, t, N, lc, slots, 'F', s)\n" RETURN("p"),
     ROTATE("q", "kh") CONCAT("k_pe") RETURN("p")},
    {"        kf = " OURS
     "fused_rope_concat_and_cache_mla_k_pe_out.default(p, q, k_pe, c, t, N, lc, slots, 'F', s)\n" RETURN("kf"),
     FRESH ROTATE("q", "kf") CONCAT("kf") RETURN("kf")},
    {"        u = " OURS
     "fused_rope_concat_and_cache_mla_no_write_back.default(p, q, k_pe, c, t, N, lc, slots, 'F', s)\n" RETURN("p"),
     FRESH ROTATE("q", "kf") CONCAT("kf") RETURN("p")},
    {"        r = " OURS "fused_qk_norm_rope.default(q, k, qw, kw, 1e-05, p, t, N)\n" PAIR RETURN("qn, kn"),
     NORMS RETURN("qn, kn")},
    {"        r = " OURS
     "fused_qk_norm_rope_and_unified_kv_cache_update.default(q, k, v, qw, kw, 1e-05, p, t, N, 'gqa')\n" PAIR
     "        u = r[2]\n" RETURN("qn, kn, u"),
     NORMS GQA("kn") RETURN("qn, kn, u")},
    {"        r = " OURS
     "fused_qk_norm_rope_reshape_and_cache_flash.default(q, k, v, qw, kw, 1e-05, p, t, N, kc, vc, slots, "
     "'F', s, s)\n" PAIR RETURN("qn, kn"),
     NORMS FLASH("kn") RETURN("qn, kn")},
    /* packed: one head of q, one of k, the rest of the row is v; ab is wide enough only for width 6 and above */
    {"        x = torch.ops.aten.slice.Tensor(kb, 1, 0, X)\n"
     "        r = torch.ops._C.fused_qk_norm_rope.default(x, 1, 1, 0, W, 1e-05, qw, kw, t, N, p)\n" RETURN("p"),
     "        x = torch.ops.aten.slice.Tensor(kb, 1, 0, X)\n"
     "        y = torch.ops.aten.split_with_sizes.default(x, [W, W], 1)\n        y0 = y[0]\n        y1 = y[1]\n" NORM(
         "qn", "y0", "qw") NORM("kn", "y1", "kw")
         ROTATE("qn", "kn") "        w0 = torch.ops.aten.copy_.default(y0, qn)\n        w1 = "
                            "torch.ops.aten.copy_.default(y1, kn)\n" RETURN("p")},
};

static const char *fill_in(struct context *context, const char *body, const struct setting *setting) {
    struct builder out;
    builder_init(&out, context->arena);
    for (; *body; body++) {
        bool word = body[1] == ',' || body[1] == ')' || body[1] == ']' || body[1] == '\'';
        if (*body == 'W' && word)
            builder_format(&out, "%lld", (long long)setting->width);
        else if (*body == 'X' && word)
            builder_format(&out, "%lld", 2 * (long long)setting->width);
        else if (*body == 'N' && word)
            builder_format(&out, "%s", setting->neox ? "True" : "False");
        else if (*body == 'F' && word)
            builder_format(&out, "%s", setting->format);
        else
            builder_byte(&out, *body);
    }
    return out.data;
}

static void assert_same_results(const struct tensor_set *a, const struct tensor_set *b, const char *what) {
    for (size_t i = 0; i < a->items.count; i++) {
        const struct named_tensor *item = a->items.items[i];
        const struct tensor *other = tensor_set_find(b, item->name);
        if (!other || !tensor_identical(&item->tensor, other))
            fail_msg("'%.*s' differs in\n%s", TEXT_ARGS(item->name), what);
    }
}

/* `, p: "i64[5][1]cpu", ...`: what is bound, as parameters. */
static const char *annotated(struct context *context, const struct bindings *inputs) {
    static const char *const names[] = {"p", "t", "qb", "kb", "v", "ab", "qw", "kw", "s", "kc", "vc", "lc", "slots"};
    struct builder out;
    builder_init(&out, context->arena);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct tensor *tensor = tensor_set_find(&inputs->tensors, text_of(names[i]));
        builder_format(&out, ", %s: \"%s%s%scpu\"", names[i], dtype_abbreviation(tensor->dtype),
                       shape_print(context->arena, &tensor->shape),
                       integers_print(context->arena, tensor->strides, tensor->shape.rank));
    }
    return out.data;
}

static void assert_equal_outcomes(const struct outcome *a, const struct outcome *b, const char *what) {
    assert_same_results(&a->results, &b->results, what);
    assert_same_results(&b->results, &a->results, what);
}

static void assert_equal_to_chain(struct context *context, const struct setting *setting, size_t pair) {
    struct bindings *inputs = random_setting(context, setting);
    const char *parameters = annotated(context, inputs), *fused = fill_in(context, pairs[pair].fused, setting),
               *chain = fill_in(context, pairs[pair].chain, setting);
    struct graph *graph = read_body(context, parameters, text_format(context->arena, "%s%s", VIEWS, fused)),
                 *expanded = NULL;
    struct outcome outcome = run_graph(graph, inputs);
    struct outcome other = run_body(context, inputs, parameters, text_format(context->arena, "%s%s", VIEWS, chain));
    assert_equal_outcomes(&outcome, &other, fused);
    assert_true(outcome.results.items.count > 1);
    if (infer_graph(graph) != REGRAFT_OK || graph_normal_form(graph, &expanded) != REGRAFT_OK)
        fail_msg("%s", context->diagnostics.message);
    assert_ptr_not_equal(graph, expanded);
    assert_null(strstr(print(expanded), "fused"));
    other = run_graph(expanded, inputs);
    assert_equal_outcomes(&outcome, &other, print(expanded));
}

static void equal_to_chain(void **state) {
    struct context *context = context_of(state);
    static const struct setting settings[] = {
        {dtype_bf16, dtype_bf16, dtype_bf16, 8, 8, 1, true, "auto"},
        {dtype_bf16, dtype_f32, dtype_bf16, 8, 6, 4, false, "auto"},
        {dtype_f16, dtype_f16, dtype_f16, 10, 4, 3, true, "auto"},
        {dtype_f16, dtype_f32, dtype_f8e4m3fn, 6, 6, 16, false, "fp8_e4m3"},
        {dtype_bf16, dtype_bf16, dtype_f8e4m3fn, 8, 4, 2, true, "fp8"},
        {dtype_f32, dtype_f32, dtype_f32, 8, 8, 4, false, "auto"},
        {dtype_f32, dtype_f32, dtype_u8, 8, 2, 4, true, "fp8"},
    };
    random_state = 1;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (size_t pair = 0; pair < sizeof pairs / sizeof *pairs; pair++)
            assert_equal_to_chain(context, &settings[i], pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(latent_forms), FX_TEST(latent_scaled), FX_TEST(attention_layer),   FX_TEST(rotation_rounds_each_step),
        FX_TEST(given_angles), FX_TEST(refused),       FX_TEST(every_bf16_as_fp8), FX_TEST(equal_to_chain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
