/* Proofs of equality: what they must show, and what they must not. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>

#include "fx_support.h"
#include "graph_files.h"
#include "interp/check.h"
#include "interp/random_inputs.h"
#include "ir/infer.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "pass/prove.h"
#include "proof_mutants.h"

/* ---- pairs of small graphs ---- */

static struct proof prove_texts(struct context *context, const char *parameters, const char *first,
                                const char *second) {
    struct proof proof;
    struct graph *a = read_body(context, parameters, first), *b = read_body(context, parameters, second);
    if (infer_graph(a) != REGRAFT_OK || infer_graph(b) != REGRAFT_OK) fail_msg("%s", context->diagnostics.message);
    assert_int_equal(prove_equal(a, b, context->arena, &proof), REGRAFT_OK);
    return proof;
}

static void assert_proved(struct context *context, const char *parameters, const char *first, const char *second) {
    struct proof proof = prove_texts(context, parameters, first, second);
    if (!proof.proved)
        fail_msg("not proved: %s: %s: %s\n%s---\n%s", proof.result, proof.reason, proof.provenance, first, second);
}

static void assert_undecided(struct context *context, const char *parameters, const char *first, const char *second,
                             const char *result) {
    struct proof proof = prove_texts(context, parameters, first, second);
    if (proof.proved) fail_msg("proved, but should not be:\n%s---\n%s", first, second);
    if (strcmp(proof.result, result) != 0) fail_msg("expected %s, found %s: %s", result, proof.result, proof.reason);
    assert_true(proof.reason[0] != 0);
}

#define OP         "torch.ops.aten."
#define LINE(text) "        " text "\n"
#define X6         ", x: \"f32[s0, 6][6, 1]cpu\""
#define X6Y2       X6 ", y: \"f32[s0, 2][2, 1]cpu\", z: \"f32[s0, 2][2, 1]cpu\""

static void views_compose(void **state) {
    struct context *context = context_of(state);
    const char *slice = LINE("r = " OP "slice.Tensor(x, 1, 2, 4)") LINE("return (r,)");
    assert_proved(context, X6, slice,
                  LINE("s = " OP "split_with_sizes.default(x, [2, 2, 2], 1)") LINE("r = s[1]") LINE("return (r,)"));
    assert_proved(context, X6, slice,
                  LINE("a = " OP "slice.Tensor(x, 1, 1, 6)") LINE("r = " OP "slice.Tensor(a, 1, 1, 3)")
                      LINE("return (r,)"));
    assert_proved(context, X6, slice,
                  LINE("a = " OP "reshape.default(x, [-1, 3, 2])") LINE("r = " OP "select.int(a, 1, 1)")
                      LINE("return (r,)"));
    assert_proved(context, X6, slice,
                  LINE("a = " OP "permute.default(x, [1, 0])") LINE("b = " OP "slice.Tensor(a, 0, 2, 4)")
                      LINE("r = " OP "permute.default(b, [1, 0])") LINE("return (r,)"));
    assert_undecided(context, X6, slice, LINE("r = " OP "slice.Tensor(x, 1, 3, 5)") LINE("return (r,)"), "out0");
    assert_undecided(context, X6, slice,
                     LINE("a = " OP "slice.Tensor(x, 1, 2, 4)") LINE("r = " OP "unsqueeze.default(a, 0)")
                         LINE("return (r,)"),
                     "out0");
    assert_undecided(context, X6, slice, LINE("a = " OP "slice.Tensor(x, 1, 0, 4, 2)") LINE("return (a,)"), "out0");
}

static void copies_are_nothing(void **state) {
    struct context *context = context_of(state);
    const char *plain = LINE("r = " OP "neg.default(x)") LINE("return (r,)");
    assert_proved(context, X6, plain,
                  LINE("c = " OP "clone.default(x)") LINE("r = " OP "neg.default(c)") LINE("return (r,)"));
    assert_proved(context, X6, plain,
                  LINE("c = torch.ops.prims.convert_element_type.default(x, torch.float32)")
                      LINE("r = " OP "neg.default(c)") LINE("return (r,)"));
    assert_undecided(context, X6, plain,
                     LINE("c = torch.ops.prims.convert_element_type.default(x, torch.float16)")
                         LINE("d = torch.ops.prims.convert_element_type.default(c, torch.float32)")
                             LINE("r = " OP "neg.default(d)") LINE("return (r,)"),
                     "out0");
    const char *transposed =
        LINE("t = " OP "permute.default(x, [1, 0])") LINE("r = " OP "neg.default(t)") LINE("return (r,)");
    assert_undecided(context, ", x: \"f32[4, 4][4, 1]cpu\"", plain, transposed, "out0");
    assert_proved(context, ", x: \"f32[4, 6][6, 1]cpu\"",
                  LINE("t = " OP "permute.default(x, [1, 0])") LINE("c = " OP "clone.default(t)")
                      LINE("r = " OP "reshape.default(c, [24])") LINE("u = " OP "reshape.default(r, [6, 4])")
                          LINE("o = " OP "neg.default(u)") LINE("return (o,)"),
                  LINE("t = " OP "permute.default(x, [1, 0])") LINE("o = " OP "neg.default(t)") LINE("return (o,)"));
}

static void updates_have_one_form(void **state) {
    struct context *context = context_of(state);
    const char *first = LINE("a = " OP "slice_scatter.default(x, y, 1, 0, 2)")
        LINE("r = " OP "slice_scatter.default(a, z, 1, 2, 4)") LINE("return (r,)");
    const char *other = LINE("a = " OP "slice_scatter.default(x, z, 1, 2, 4)")
        LINE("r = " OP "slice_scatter.default(a, y, 1, 0, 2)") LINE("return (r,)");
    assert_proved(context, X6Y2, first, other);
    assert_proved(context, X6Y2, first, /* nested */
                  LINE("p = " OP "slice.Tensor(x, 1, 0, 4)") LINE("q = " OP "slice_scatter.default(p, y, 1, 0, 2)")
                      LINE("s = " OP "slice_scatter.default(q, z, 1, 2, 4)")
                          LINE("r = " OP "slice_scatter.default(x, s, 1, 0, 4)") LINE("return (r,)"));
    assert_proved(context, X6Y2, first, /* written in place into a copy */
                  LINE("r = " OP "clone.default(x)") LINE("p = " OP "slice.Tensor(r, 1, 0, 2)")
                      LINE("q = " OP "slice.Tensor(r, 1, 2, 4)") LINE("c = " OP "copy_.default(q, z)")
                          LINE("d = " OP "copy_.default(p, y)") LINE("return (r,)"));
    assert_proved(context, X6Y2, first, /* put together */
                  LINE("p = " OP "slice.Tensor(x, 1, 4, 6)") LINE("r = " OP "cat.default([y, z, p], 1)")
                      LINE("return (r,)"));
    assert_proved(context, X6Y2, first, /* a dead write under a wider one */
                  LINE("a = " OP "slice_scatter.default(x, z, 1, 1, 3)")
                      LINE("b = " OP "slice_scatter.default(a, y, 1, 0, 2)")
                          LINE("r = " OP "slice_scatter.default(b, z, 1, 2, 4)") LINE("return (r,)"));
    assert_undecided(context, X6Y2, first, /* q and k exchanged */
                     LINE("a = " OP "slice_scatter.default(x, z, 1, 0, 2)")
                         LINE("r = " OP "slice_scatter.default(a, y, 1, 2, 4)") LINE("return (r,)"),
                     "out0");
    assert_undecided(context, X6Y2, /* overlapping writes in the other order */
                     LINE("a = " OP "slice_scatter.default(x, y, 1, 0, 2)")
                         LINE("r = " OP "slice_scatter.default(a, z, 1, 1, 3)") LINE("return (r,)"),
                     LINE("a = " OP "slice_scatter.default(x, z, 1, 1, 3)")
                         LINE("r = " OP "slice_scatter.default(a, y, 1, 0, 2)") LINE("return (r,)"),
                     "out0");
    assert_proved(context, X6Y2, /* what is read back was written */
                  LINE("a = " OP "slice_scatter.default(x, y, 1, 2, 4)") LINE("r = " OP "slice.Tensor(a, 1, 2, 4)")
                      LINE("o = " OP "neg.default(r)") LINE("return (o,)"),
                  LINE("o = " OP "neg.default(y)") LINE("return (o,)"));
    assert_proved(context, X6Y2, /* across two writes */
                  LINE("a = " OP "slice_scatter.default(x, y, 1, 1, 3)") LINE("r = " OP "slice.Tensor(a, 1, 2, 5)")
                      LINE("o = " OP "neg.default(r)") LINE("return (o,)"),
                  LINE("p = " OP "slice.Tensor(y, 1, 1, 2)") LINE("q = " OP "slice.Tensor(x, 1, 3, 5)")
                      LINE("r = " OP "cat.default([p, q], 1)") LINE("o = " OP "neg.default(r)") LINE("return (o,)"));
}

#define WINDOWS ", x: \"f32[4, 12][12, 1]cpu\", y: \"f32[2, 2][2, 1]cpu\""

/* Places that overlap themselves or lie across rows: followed element by element. */
static void windows_are_taken_apart(void **state) {
    struct context *context = context_of(state);
    const char *interleaved = LINE("r = " OP "as_strided_scatter.default(x, y, [2, 2], [4, 3], 4)") LINE("return (r,)");
    assert_proved(context, WINDOWS, interleaved,
                  LINE("r = " OP "clone.default(x)") LINE("v = " OP "as_strided.default(r, [2, 2], [4, 3], 4)")
                      LINE("c = " OP "copy_.default(v, y)") LINE("return (r,)"));
    assert_undecided(context, WINDOWS, interleaved,
                     LINE("r = " OP "as_strided_scatter.default(x, y, [2, 2], [4, 3], 5)") LINE("return (r,)"), "out0");
    assert_undecided(context, WINDOWS, interleaved,
                     LINE("r = " OP "as_strided_scatter.default(x, y, [2, 2], [3, 4], 4)") LINE("return (r,)"), "out0");
    const char *read = LINE("a = " OP "slice_scatter.default(x, y, 0, 2, 4)")
        LINE("w = " OP "as_strided.default(a, [3, 2], [1, 1], 0)") LINE("o = " OP "neg.default(w)") LINE("return (o,)");
    const char *lines = ", x: \"f32[4][1]cpu\", y: \"f32[2][1]cpu\"";
    assert_proved(context, lines, read,
                  LINE("a = " OP "slice.Tensor(x, 0, 0, 2)") LINE("b = " OP "slice.Tensor(x, 0, 1, 2)")
                      LINE("p = " OP "slice.Tensor(y, 0, 0, 1)") LINE("c = " OP "cat.default([a, p])")
                          LINE("d = " OP "cat.default([b, y])") LINE("w = " OP "stack.default([c, d], 1)")
                              LINE("o = " OP "neg.default(w)") LINE("return (o,)"));
    assert_undecided(context, lines, read,
                     LINE("a = " OP "slice_scatter.default(x, y, 0, 1, 3)")
                         LINE("w = " OP "as_strided.default(a, [3, 2], [1, 1], 0)") LINE("o = " OP "neg.default(w)")
                             LINE("return (o,)"),
                     "out0");
}

#define SCALED(base)                                                                                                   \
    LINE("v = " OP "as_strided.default(" base ", [3, 2], [1, 1], 4)") LINE("m = " OP "mul_.Tensor(v, 2.0)")

/* What stays where several elements go to one address is up to what writes them, and to nothing else. */
static void overlapping_writes_are_what_they_are(void **state) {
    struct context *context = context_of(state);
    assert_proved(context, WINDOWS, /* what lies elsewhere does not matter */
                  LINE("r = " OP "as_strided_scatter.default(x, y, [2, 2], [12, 1], 10)") SCALED("r")
                      LINE("return (r,)"),
                  LINE("c = " OP "clone.default(x)") SCALED("c")
                      LINE("r = " OP "as_strided_scatter.default(c, y, [2, 2], [12, 1], 10)") LINE("return (r,)"));
    assert_undecided(context, WINDOWS, LINE("r = " OP "clone.default(x)") SCALED("r") LINE("return (r,)"),
                     LINE("r = " OP "clone.default(x)") LINE("v = " OP "as_strided.default(r, [4], [1], 4)")
                         LINE("m = " OP "mul_.Tensor(v, 2.0)") LINE("return (r,)"),
                     "out0");
    const char *scattered = LINE("r = " OP "as_strided_scatter.default(x, y, [2, 2], [1, 1], 4)") LINE("return (r,)");
    const char *written = LINE("r = " OP "clone.default(x)") LINE("v = " OP "as_strided.default(r, [2, 2], [1, 1], 4)")
        LINE("c = " OP "copy_.default(v, y)") LINE("return (r,)");
    assert_proved(context, WINDOWS, scattered, scattered);
    assert_undecided(context, WINDOWS, scattered, written, "out0");
    assert_undecided(context, WINDOWS, written, /* from memory in another order */
                     LINE("t = " OP "permute.default(y, [1, 0])")
                         LINE("d = " OP "clone.default(t, memory_format = torch.contiguous_format)")
                             LINE("z = " OP "permute.default(d, [1, 0])") LINE("r = " OP "clone.default(x)")
                                 LINE("v = " OP "as_strided.default(r, [2, 2], [1, 1], 4)")
                                     LINE("c = " OP "copy_.default(v, z)") LINE("return (r,)"),
                     "out0");
    assert_proved(context, ", x: \"f32[8][1]cpu\", y: \"f32[2][1]cpu\"", /* also where that is put together */
                  LINE("a = " OP "slice_scatter.default(x, y, 0, 2, 4)")
                      LINE("w = " OP "as_strided.default(a, [3, 2], [1, 1], 1)")
                          LINE("r = " OP "as_strided_scatter.default(a, w, [3, 2], [1, 1], 1)") LINE("return (r,)"),
                  LINE("r = " OP "slice_scatter.default(x, y, 0, 2, 4)") LINE("return (r,)"));
    assert_proved(context, WINDOWS, /* each address gets what it has: order does not matter */
                  LINE("w = " OP "as_strided.default(x, [2, 2], [1, 1], 4)")
                      LINE("r = " OP "as_strided_scatter.default(x, w, [2, 2], [1, 1], 4)") LINE("return (r,)"),
                  LINE("r = " OP "clone.default(x)") LINE("return (r,)"));
}

/* Repeated parts are the parts, again and again, not what lies behind each. */
static void repeated_parts(void **state) {
    struct context *context = context_of(state);
    const char *inputs = ", x: \"f32[2][1]cpu\", y: \"f32[2][1]cpu\"";
#define REPEATED(first, second)                                                                                        \
    LINE("c = " OP "cat.default([x, y])")                                                                              \
    LINE("u = " OP "unsqueeze.default(c, 1)")                                                                          \
    LINE("e = " OP "expand.default(u, [4, 3])")                                                                        \
    LINE("d = " OP "clone.default(e, memory_format = torch.contiguous_format)")                                        \
    LINE("s = " OP "select.int(d, 0, " first ")")                                                                      \
    LINE("t = " OP "select.int(s, 0, " second ")") LINE("r = " OP "neg.default(t)") LINE("return (r,)")
#define SELECTED(tensor, index)                                                                                        \
    LINE("t = " OP "select.int(" tensor ", 0, " index ")") LINE("r = " OP "neg.default(t)") LINE("return (r,)")
    assert_proved(context, inputs, REPEATED("0", "1"), SELECTED("x", "0"));
    assert_proved(context, inputs, REPEATED("3", "2"), SELECTED("y", "1"));
    assert_undecided(context, inputs, REPEATED("0", "1"), SELECTED("x", "1"), "out0");
    assert_undecided(context, inputs, REPEATED("1", "0"), SELECTED("y", "1"), "out0");
}

static void writes_happen_in_order(void **state) {
    struct context *context = context_of(state);
    const char *before = LINE("o = " OP "neg.default(x)") LINE("p = " OP "slice.Tensor(x, 1, 0, 2)")
        LINE("c = " OP "copy_.default(p, y)") LINE("return (o,)");
    const char *after = LINE("p = " OP "slice.Tensor(x, 1, 0, 2)") LINE("c = " OP "copy_.default(p, y)")
        LINE("o = " OP "neg.default(x)") LINE("return (o,)");
    assert_undecided(context, X6Y2, before, after, "out0");
    assert_proved(context, X6Y2, before,
                  LINE("o = " OP "neg.default(x)") LINE("u = " OP "slice_scatter.default(x, y, 1, 0, 2)")
                      LINE("c = " OP "copy_.default(x, u)") LINE("return (o,)"));
    assert_undecided(context, X6Y2, before, LINE("o = " OP "neg.default(x)") LINE("return (o,)"), "mutated input x");
    assert_proved(context, X6Y2,
                  LINE("a = " OP "add.Tensor(y, z)") LINE("c = " OP "copy_.default(y, a)") LINE("return (z,)"),
                  LINE("a = " OP "add_.Tensor(y, z)") LINE("return (z,)"));
    assert_undecided(context, X6Y2, LINE("a = " OP "add_.Tensor(y, z)") LINE("return (z,)"),
                     LINE("a = " OP "add_.Tensor(z, y)") LINE("return (z,)"), "out0");
    /* a copy between places that meet is not what it is between two tensors */
    assert_undecided(context, X6,
                     LINE("p = " OP "slice.Tensor(x, 1, 0, 5)") LINE("u = " OP "slice_scatter.default(x, p, 1, 1, 6)")
                         LINE("c = " OP "copy_.default(x, u)") LINE("return (1,)"),
                     LINE("p = " OP "slice.Tensor(x, 1, 0, 5)") LINE("q = " OP "slice.Tensor(x, 1, 1, 6)")
                         LINE("c = " OP "copy_.default(q, p)") LINE("return (1,)"),
                     "mutated input x");
    /* of unknown operations everything counts */
    const char *unknown = LINE("p = " OP "slice.Tensor(x, 1, 0, 2)") LINE("u = torch.ops.mine.op.default(p)")
        LINE("o = " OP "neg.default(x)") LINE("return (o,)");
    assert_proved(context, X6Y2, unknown, unknown);
    assert_undecided(context, X6Y2, unknown,
                     LINE("o = " OP "neg.default(x)") LINE("p = " OP "slice.Tensor(x, 1, 0, 2)")
                         LINE("u = torch.ops.mine.op.default(p)") LINE("return (o,)"),
                     "out0");
    assert_undecided(context, X6Y2, unknown, LINE("o = " OP "neg.default(x)") LINE("return (o,)"), "out0");
}

#define HOP             "torch.ops.higher_order.auto_functionalized"
#define ROPE            "torch.ops._C.rotary_embedding.default"
#define ROPE_IN         ", qkv: \"f32[s0, 192][192, 1]cpu\", cache: \"f32[64, 64][64, 1]cpu\", pos: \"i64[s0][1]cpu\""
#define SPLIT(name, of) LINE(name " = " OP "split_with_sizes.default(" of ", [64, 64, 64], 1)")
#define ROPE_V1                                                                                                        \
    SPLIT("s", "qkv")                                                                                                  \
    LINE("q = s[0]")                                                                                                   \
    LINE("k = s[1]")                                                                                                   \
    LINE("f = " HOP "(" ROPE                                                                                           \
         ", positions = pos, query = q, key = k, head_size = 64, cos_sin_cache = cache, is_neox = True)")              \
    LINE("q1 = f[1]")                                                                                                  \
    LINE("k1 = f[2]")                                                                                                  \
    LINE("a = " OP "slice_scatter.default(qkv, q1, 1, 0, 64)")                                                         \
    LINE("b = " OP "slice_scatter.default(a, k1, 1, 64, 128)")

static void calls_have_one_form(void **state) {
    struct context *context = context_of(state);
    const char *first = ROPE_V1 LINE("return (b,)");
    const char *second = LINE(
        "f = " HOP "_v2(" ROPE
        ", positions = pos, head_size = 64, cos_sin_cache = cache, is_neox = True, _query_base_index = 0, "
        "_query_slice_dim = 1, _query_slice_start = 0, _query_slice_end = 64, _key_base_index = 0, _key_slice_dim = 1, "
        "_key_slice_start = 64, _key_slice_end = 128, _all_bases = [qkv])") LINE("b = f[1]") LINE("return (b,)");
    const char *raw = LINE("b = " OP "clone.default(qkv)") SPLIT("s", "b") LINE("q = s[0]") LINE("k = s[1]")
        LINE("f = torch.ops._C.rotary_embedding.default(pos, q, k, 64, cache, True)") LINE("return (b,)");
    assert_proved(context, ROPE_IN, first, second);
    assert_proved(context, ROPE_IN, first, raw);
    assert_proved(context, ROPE_IN, second, raw);
    const char *exchanged = LINE("b = " OP "clone.default(qkv)") SPLIT("s", "b") LINE("q = s[1]") LINE("k = s[0]")
        LINE("f = torch.ops._C.rotary_embedding.default(pos, q, k, 64, cache, True)") LINE("return (b,)");
    assert_undecided(context, ROPE_IN, first, exchanged, "out0");
    const char *input = SPLIT("s", "qkv") LINE("q = s[0]") LINE("k = s[1]")
        LINE("f = torch.ops._C.rotary_embedding.default(pos, q, k, 64, cache, True)")
            LINE("b = " OP "clone.default(qkv)") LINE("return (b,)");
    assert_undecided(context, ROPE_IN, first, input, "mutated input qkv");
    const char *twice = LINE("b = " OP "clone.default(qkv)") SPLIT("s", "b") LINE("q = s[0]") LINE("k = s[1]")
        LINE("f = torch.ops._C.rotary_embedding.default(pos, q, q, 64, cache, True)") LINE("return (b,)");
    assert_undecided(context, ROPE_IN, raw, twice, "out0");
    /* overlapping arguments: separate clones are something else than one buffer */
    const char *clones = SPLIT("s", "qkv") LINE("q = s[0]")
        LINE("f = " HOP "(" ROPE
             ", positions = pos, query = q, key = q, head_size = 64, cos_sin_cache = cache, is_neox = True)")
            LINE("q1 = f[2]") LINE("b = " OP "slice_scatter.default(qkv, q1, 1, 0, 64)") LINE("return (b,)");
    assert_undecided(context, ROPE_IN, clones, twice, "out0");
    assert_undecided(context, ROPE_IN, first, ROPE_V1 LINE("return (a,)"), "out0");
}

#define STATE_IN ", a: \"f32[s0, 4][4, 1]cpu\", b: \"f32[s0, 4][4, 1]cpu\""
#define UPDATE(first, second, layer)                                                                                   \
    LINE("u" layer #first " = torch.ops.vllm.unified_kv_cache_update.default(" #first ", " #second ", 'l" layer "')")

static void effects_are_ordered(void **state) {
    struct context *context = context_of(state);
    const char *both = UPDATE(a, b, "1") UPDATE(b, a, "1") LINE("return (a,)");
    assert_proved(context, STATE_IN, both, both);
    assert_undecided(context, STATE_IN, both, UPDATE(b, a, "1") UPDATE(a, b, "1") LINE("return (a,)"), "state of l1");
    assert_undecided(context, STATE_IN, both, UPDATE(b, a, "1") LINE("return (a,)"), "state of l1");
    assert_undecided(context, STATE_IN, both, LINE("return (a,)"), "state of l1");
    assert_proved(context, STATE_IN, UPDATE(a, b, "1") UPDATE(b, a, "2") LINE("return (a,)"),
                  UPDATE(b, a, "2") UPDATE(a, b, "1") LINE("return (a,)"));
    assert_undecided(context, STATE_IN, UPDATE(a, b, "1") LINE("return (a,)"), UPDATE(a, b, "2") LINE("return (a,)"),
                     "state of l1");
}

static void uninitialised_memory_is_one(void **state) {
    struct context *context = context_of(state);
    const char *parameters = ", x: \"f32[4, 8][8, 1]cpu\", w: \"f32[8][1]cpu\"";
#define NORM(buffer)                                                                                                   \
    LINE("f = " HOP "(torch.ops._C.rms_norm.default, result = " buffer ", input = x, weight = w, epsilon = 1e-06)")    \
    LINE("r = f[1]") LINE("return (r,)")
    const char *empty = LINE("e = " OP "empty.memory_format([4, 8], dtype = torch.float32)") NORM("e");
    assert_proved(context, parameters, empty,
                  LINE("e = " OP "full.default([4, 8], 1, dtype = torch.float32)") NORM("e"));
    assert_proved(context, parameters, empty,
                  LINE("e = " OP "empty.memory_format([4, 8], dtype = torch.float32)")
                      LINE("f = torch.ops._C.rms_norm.default(e, x, w, 1e-06)") LINE("return (e,)"));
    assert_undecided(context, parameters, empty,
                     LINE("e = " OP "empty.memory_format([4, 8], dtype = torch.float32)") LINE("return (e,)"), "out0");
}

static void sharing_is_not_added(void **state) {
    struct context *context = context_of(state);
    assert_undecided(context, X6, LINE("c = " OP "clone.default(x)") LINE("return (c,)"), LINE("return (x,)"), "out0");
    assert_proved(context, X6, LINE("return (x,)"), LINE("c = " OP "clone.default(x)") LINE("return (c,)"));
    assert_undecided(context, X6,
                     LINE("a = " OP "neg.default(x)") LINE("b = " OP "neg.default(x)") LINE("return (a, b)"),
                     LINE("a = " OP "neg.default(x)") LINE("return (a, a)"), "out1");
}

static void unknown_symbols_are_not_trusted(void **state) {
    struct context *context = context_of(state);
    const char *body = LINE("a: \"f32[s3*s4][1]cpu\" = torch.ops.mine.op.default(x)") LINE("return (a,)");
    assert_undecided(context, X6, body, body, "the first graph");
    assert_undecided(context, X6, LINE("return (x,)"), LINE("return (x, x)"), "the results");
}

#define FOUND(name, from)     LINE(name ": \"f32[u0, 4][4, 1]cpu\" = torch.ops.mine.find.default(" from ", 1)")
#define FOUND_TOO(name, from) LINE(name ": \"f32[u0, 4][4, 1]cpu\" = torch.ops.mine.find.default(" from ", 2)")
#define NEGATED               LINE("y = torch.ops.aten.neg.default(x)")
#define SUM                   LINE("b: \"f32[u0, 4][4, 1]cpu\" = torch.ops.aten.add.Tensor(a, c)") LINE("return (b,)")
#define NUMBER(from)          LINE("n: \"Sym(u1)\" = torch.ops.aten._local_scalar_dense.default(" from ")")

/* A symbol that a call decides is the same in both graphs when the call is. */
static void symbols_of_calls_are_those_of_equal_calls(void **state) {
    struct context *context = context_of(state);
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"mine", TEXT("mine::find(Tensor x, int n) -> Tensor")};
    assert_int_equal(operations_declare(context->operations, &context->diagnostics, source, true), REGRAFT_OK);
    const char *both = FOUND("a", "x") FOUND_TOO("c", "x") SUM, *exchanged = FOUND_TOO("c", "x") FOUND("a", "x") SUM;
    assert_proved(context, X6, both, both);
    assert_undecided(context, X6, both, exchanged, "the second graph");
    assert_undecided(context, X6, both, NEGATED FOUND("a", "y") FOUND_TOO("c", "x") SUM, "the second graph");
    assert_undecided(context, X6, both, LINE("c = torch.ops.aten.full.default([u0, 4], 1)") FOUND("a", "x") SUM,
                     "the second graph");
}

static void numbers_of_calls_are_symbols(void **state) {
    struct context *context = context_of(state);
    const char *parameters = ", x: \"f32[6, 4][4, 1]cpu\", i: \"i64[][]cpu\", j: \"i64[][]cpu\"";
#define SLICED(FROM)                                                                                                   \
    NUMBER(FROM)                                                                                                       \
    LINE("a: \"f32[u1, 4][4, 1]cpu\" = torch.ops.aten.slice.Tensor(x, 0, 0, n)")                                       \
    LINE("b: \"f32[u1, 4][4, 1]cpu\" = torch.ops.aten.add.Tensor(a, 1)") LINE("return (b,)")
    assert_proved(context, parameters, SLICED("i"), SLICED("i"));
    assert_undecided(context, parameters, SLICED("i"), SLICED("j"), "the second graph");
}

/* ---- captured graphs ---- */

#define PLACED "unify-functionalized,noop-elim,split-coalesce,cse,scatter-split-replace,dce,split-coalesce,dce,place"

struct reading_pair {
    struct fixture *fixture;
    struct graph *original, *result;
};

/* The stages in which graphs are proved and broken. */
static const char *const pipelines[] = {NULL, "noop-elim,place", PLACED};

/* Two copies of a graph of a file, the second one after a pipeline; false when there is no such graph. */
static bool open_pair(struct reading_pair *pair, const char *path, int index, const char *pipeline) {
    void *opened;
    struct file *file;
    fixture_open(&opened);
    pair->fixture = opened;
    struct context *context = &pair->fixture->context;
    struct graph **const graphs[] = {&pair->original, &pair->result};
    for (size_t i = 0; i < 2; i++)
        if (file_read(context, path, &file) != REGRAFT_OK ||
            file_graph(context, file, index, NULL, graphs[i]) != REGRAFT_OK || infer_graph(*graphs[i]) != REGRAFT_OK)
            return false;
    if (pipeline_run(pair->result, pipeline, NULL) != REGRAFT_OK)
        fail_msg("%s: %s", path, context->diagnostics.message);
    return true;
}

static void close_pair(struct reading_pair *pair) {
    void *opened = pair->fixture;
    fixture_close(&opened);
}

struct prove_files {
    const char *pipeline;
    size_t count;
};

static void prove_file(const char *path, void *user) {
    struct prove_files *files = user;
    for (int index = 0;; index++) {
        struct reading_pair pair;
        struct proof proof;
        bool found = open_pair(&pair, path, index, files->pipeline);
        if (found && prove_equal(pair.original, pair.result, pair.fixture->context.arena, &proof) != REGRAFT_OK)
            fail_msg("%s", path);
        if (found && !proof.proved)
            fail_msg("%s, graph %d: %s: %s: %s", path, index, proof.result, proof.reason, proof.provenance);
        close_pair(&pair);
        if (!found) return;
        files->count++;
    }
}

static void pipelines_are_proved_on_captured_graphs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
        struct prove_files files = {pipelines[i], 0};
        each_graph(REGRAFT_GRAPHS, prove_file, &files);
        assert_true(files.count > 100);
    }
}

/* ---- mutants ---- */

struct tally {
    size_t mutants, different, proved, by_breaker[breaker_count];
};

/* Roundings in bf16 of a few layers, as relative L2 norm. */
static const double most_rounding = 0.1;

/* One mutant of the pipeline's result. What the proof calls equal has to be so in the interpreter. */
static void try_mutant(const char *path, const char *pipeline, const struct breaker *breaker, uint64_t seed,
                       struct tally *tally) {
    struct reading_pair pair;
    struct proof proof;
    struct comparison comparison;
    size_t trial;
    if (!open_pair(&pair, path, 0, pipeline)) fail_msg("%s", path);
    struct context *context = &pair.fixture->context;
    struct mutation mutation = {pair.result, seed};
    bool broken = mutate(&mutation, breaker);
    if (broken) retype(pair.result);
    broken = broken && graph_verify(pair.result) == REGRAFT_OK;
    diagnostics_clear(&context->diagnostics);
    if (broken) {
        if (prove_with_meanings(pair.original, pair.result, context->arena, &proof)) proof.proved = false;
        diagnostics_clear(&context->diagnostics);
        struct check_options options = {.seed = seed, .trials = 2};
        regraft_status status = check_random(pair.original, pair.result, options, context->arena, &comparison, &trial);
        bool differs = status == REGRAFT_OK && !comparison.equal;
        if (proof.proved) differs = status == REGRAFT_OK && comparison.norm > (proof.rounded_count ? most_rounding : 0);
        struct builder text;
        builder_init(&text, context->arena);
        if (proof.proved) graph_print(pair.result, &text);
        if (proof.proved && (differs || status != REGRAFT_OK))
            fail_msg("%s: %s, seed %llu: proved, %zu operations but for rounding, but %s (%g):\n%s", path,
                     breaker->name, (unsigned long long)seed, proof.rounded_count,
                     differs ? "the results differ" : context->diagnostics.message, comparison.norm, text.data);
        tally->mutants++;
        tally->proved += proof.proved;
        tally->different += differs;
        tally->by_breaker[breaker - breakers] += differs;
    }
    close_pair(&pair);
}

/* REGRAFT_PROOF_ROUNDS: how many times through all graphs and ways to break them. */
static void broken_graphs_are_never_proved(void **state) {
    static const char *const names[] = {
        "custom/qkv_rope_f32_v1",     "custom/qkv_rope_small_f32_v2",  "custom/oldread_f32_v1",
        "custom/qkv_inputmut_f32_v1", "custom/qkv_escape_f32_v2",      "custom/explicitkv_f32_v1",
        "custom/mla_decode_f32_v1",   "custom/twice_f32_v2",           "custom/slices_f32_v1",
        "custom/llama_decode_f32_v2", "custom/qknorm_f32_v1",          "custom/inplaceadd_f32",
        "custom/slices_f32_v2",       "custom/mla_decode_fused_f32_v1"};
    const char *given = getenv("REGRAFT_PROOF_ROUNDS");
    uint64_t rounds = given ? strtoull(given, NULL, 10) : 20;
    struct tally tally = {0};
    (void)state;
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            for (size_t b = 0; b < breaker_count; b++) {
                char path[4096];
                snprintf(path, sizeof path, "%s/%s/graph.txt", REGRAFT_GRAPHS, names[i]);
                try_mutant(path, pipelines[(round + i) % 3], &breakers[b], round * 1000 + i * 50 + b, &tally);
            }
    print_message("%zu mutants, %zu differ in the interpreter, %zu proved\n", tally.mutants, tally.different,
                  tally.proved);
    for (size_t b = 0; b < breaker_count; b++)
        print_message("  %5zu differ: %s\n", tally.by_breaker[b], breakers[b].name);
    for (size_t b = 0; !given && b < breaker_count; b++) assert_true(tally.by_breaker[b] > 0);
    if (!given) assert_true(tally.different >= 1000);
}

/* The same where norms, rotations and activations were raised: what is proved but for rounding is equal but for that. */
static void broken_raised_graphs_are_never_proved(void **state) {
    static const char *const names[] = {"hf/llama", "hf/olmo2", "hf/phi3", "custom/mla_native_bf16_v1",
                                        "custom/mla_native_neox_bf16_v1"};
    struct tally tally = {0};
    (void)state;
    for (uint64_t round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            for (size_t b = 0; b < breaker_count; b++) {
                char path[4096];
                snprintf(path, sizeof path, "%s/%s/graph.txt", REGRAFT_GRAPHS, names[i]);
                try_mutant(path, "default,fuse,dce", &breakers[b], round * 1000 + i * 50 + b, &tally);
            }
    print_message("%zu mutants, %zu differ in the interpreter, %zu proved\n", tally.mutants, tally.different,
                  tally.proved);
    assert_true(tally.different >= 40);
    assert_true(tally.proved >= 5); /* those that change nothing, so that something is tried */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(views_compose),
        FX_TEST(copies_are_nothing),
        FX_TEST(updates_have_one_form),
        FX_TEST(repeated_parts),
        FX_TEST(windows_are_taken_apart),
        FX_TEST(overlapping_writes_are_what_they_are),
        FX_TEST(writes_happen_in_order),
        FX_TEST(calls_have_one_form),
        FX_TEST(effects_are_ordered),
        FX_TEST(uninitialised_memory_is_one),
        FX_TEST(sharing_is_not_added),
        FX_TEST(unknown_symbols_are_not_trusted),
        FX_TEST(symbols_of_calls_are_those_of_equal_calls),
        FX_TEST(numbers_of_calls_are_symbols),
        cmocka_unit_test(pipelines_are_proved_on_captured_graphs),
        cmocka_unit_test(broken_graphs_are_never_proved),
        cmocka_unit_test(broken_raised_graphs_are_never_proved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
