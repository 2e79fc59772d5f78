/* Inductor's output code: what kernels do, how often they run, what the copies among them stand for. */
#include "fx_support.h"
#include "ir/contract.h"
#include "plan/audit_match.h"

/* ---- single kernels ---- */

static struct inductor_code read_code(struct context *context, const char *text) {
    struct inductor_code code;
    inductor_read(context->arena, text_of(text), &code);
    return code;
}

static struct inductor_kernel *only_kernel(struct context *context, const char *text) {
    struct inductor_code code = read_code(context, text);
    assert_int_equal(code.kernels.count, 1);
    return code.kernels.items[0];
}

static enum kernel_kind triton_kind(struct context *context, const char *body) {
    static const char frame[] =
        "k = async_compile.triton('k', '''\n    triton_meta={'signature': {'in_ptr0': '*bf16', 'in_ptr1': '*bf16', "
        "'in_ptr2': '*fp32', 'in_ptr3': '*i64', 'out_ptr0': '*bf16', 'out_ptr1': '*fp32', 'xnumel': "
        "'i32'}}\n@triton.jit\n"
        "def k(in_ptr0, in_ptr1, in_ptr2, in_ptr3, out_ptr0, out_ptr1, xnumel, XBLOCK : tl.constexpr):\n"
        "    xoffset = tl.program_id(0) * XBLOCK\n    xindex = xoffset + tl.arange(0, XBLOCK)[:]\n"
        "    xmask = xindex < xnumel\n    x0 = (xindex %% 24)\n%s''', device_str='cuda')\n";
    return only_kernel(context, text_format(context->arena, frame, body))->kind;
}

static enum kernel_kind cpp_kind(struct context *context, const char *body) {
    static const char frame[] =
        "k = async_compile.cpp_pybinding([], r'''\n#include <torch/csrc/inductor/cpp_prefix.h>\nextern \"C\"  void  "
        "kernel(const at::BFloat16* in_ptr0,\n  const float* in_ptr1,\n  at::BFloat16* out_ptr0, float* out_ptr1,\n"
        "  const int64_t ks0)\n{\n    for(int64_t x0=static_cast<int64_t>(0L); x0<static_cast<int64_t>(64L*ks0); "
        "x0+=static_cast<int64_t>(16L))\n    {\n%s    }\n}\n''')\n";
    return only_kernel(context, text_format(context->arena, frame, body))->kind;
}

struct body {
    enum kernel_kind kind;
    const char *text;
};

static const struct body triton_bodies[] = {
    /* bf16 stands in registers as f32: that is a copy */
    {kernel_moves,
     "    tmp0 = tl.load(in_ptr0 + (x0), xmask).to(tl.float32)\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"},
    {kernel_moves,
     "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tmp1 = tl.load(in_ptr1 + (x0), xmask)\n    tmp2 = x0\n"
     "    tmp3 = tl.full([1], 16, tl.int64)\n    tmp4 = tmp2 >= tmp3\n    tmp5 = tl.where(tmp4, tmp0, tmp1)\n"
     "    tl.store(out_ptr0 + (x0), tmp5, xmask)\n"},
    /* a gather and a scatter: indices from data move data */
    {kernel_moves,
     "    tmp0 = tl.load(in_ptr3 + (x0), xmask)\n    tmp1 = tmp0 + 24\n    tmp2 = tl.load(in_ptr0 + (24*tmp1), "
     "xmask)\n    tl.store(out_ptr0 + (x0 + 24*tmp0), tmp2, xmask)\n"},
    {kernel_moves, "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tmp1 = tl.where(x0 < 8, tmp0, float(\"nan\"))\n"
                   "    tl.store(out_ptr0 + (x0), tmp1, xmask)\n"},
    {kernel_fills, "    tmp0 = tl.full([1], 0.0, tl.float32)\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"},
    {kernel_moves, "    tmp0 = tl.full([1], 0.0, tl.float32)\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"
                   "    tmp1 = tl.load(in_ptr2 + (x0), xmask)\n    tl.store(out_ptr1 + (x0), tmp1, xmask)\n"},
    {kernel_converts,
     "    tmp0 = tl.load(in_ptr0 + (x0), xmask).to(tl.float32)\n    tl.store(out_ptr1 + (x0), tmp0, xmask)\n"},
    {kernel_converts,
     "    tmp0 = tl.load(in_ptr2 + (x0), xmask)\n    tmp1 = tmp0.to(tl.bfloat16)\n    tmp2 = tmp1.to(tl.float32)\n"
     "    tl.store(out_ptr1 + (x0), tmp2, xmask)\n"},
    {kernel_computes, "    tmp0 = tl.load(in_ptr0 + (x0), xmask).to(tl.float32)\n    tmp1 = -tmp0\n"
                      "    tl.store(out_ptr0 + (x0), tmp1, xmask)\n"},
    {kernel_computes, "    tmp0 = tl.load(in_ptr0 + (x0), xmask).to(tl.float32)\n    tmp1 = tmp0 + 1.0\n"
                      "    tl.store(out_ptr0 + (x0), tmp1, xmask)\n"},
    {kernel_computes, "    tmp0 = tl.load(in_ptr0 + (x0), xmask).to(tl.float32)\n    tmp0 += 1.0\n"
                      "    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"},
    {kernel_computes, "    tmp0 = tl.load(in_ptr2 + (x0), xmask)\n    tmp1 = libdevice.exp(tmp0)\n"
                      "    tl.store(out_ptr1 + (x0), tmp1, xmask)\n"},
    /* a choice that depends on data: also through a mask */
    {kernel_computes, "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tmp1 = tl.load(in_ptr3 + (x0), xmask)\n"
                      "    tmp2 = tl.where(tmp1 < 3, tmp0, 0.0)\n    tl.store(out_ptr0 + (x0), tmp2, xmask)\n"},
    {kernel_computes,
     "    tmp1 = tl.load(in_ptr3 + (x0), xmask)\n    tmp2 = tmp1 < 3\n    tmp0 = tl.load(in_ptr0 + (x0), tmp2 & "
     "xmask, other=0.0)\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"},
    {kernel_computes,
     "    tmp1 = tl.load(in_ptr3 + (x0), xmask)\n    tmp2 = tmp1 < 3\n    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n"
     "    tl.store(out_ptr0 + (x0), tmp0, tmp2 & xmask)\n"},
    {kernel_computes, "    tl.store(out_ptr1 + (x0), x0, xmask)\n"},
    /* one store of two computes */
    {kernel_computes, "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"
                      "    tmp1 = tl.sum(tmp0, 1)[:, None]\n    tl.store(out_ptr1 + (0), tmp1, None)\n"},
    {kernel_unknown, "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tmp1 = tl.mystery(tmp0)\n"
                     "    tl.store(out_ptr0 + (x0), tmp1, xmask)\n"},
    {kernel_unknown, "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n"
                     "    tl.atomic_add(out_ptr0 + (x0), tmp0, xmask)\n"},
    /* kernels that were combined may use the same names */
    {kernel_moves,
     "    pid = tl.program_id(0)\n    if pid < 3:\n        tmp0 = x0\n        tmp1 = tl.load(in_ptr0 + (tmp0), "
     "xmask)\n        tl.store(out_ptr0 + "
     "(x0), tmp1, xmask)\n    elif pid < 4:\n        tmp0 = tl.load(in_ptr2 + (x0), xmask)\n        tl.store(out_ptr1 "
     "+ (x0), tmp0, xmask)\n"},
    {kernel_unknown, "    tmp0 = tl.load(in_ptr0 + (x0), xmask)\n    tl.store(out_ptr0 + (x0), tmp0.imag, xmask)\n"},
    {kernel_unknown, "    tmp0 = tl.load(in_ptr0 + (x0\n"},
    {kernel_unknown, ""},
};

static const struct body cpp_bodies[] = {
    {kernel_moves, "auto tmp0 = in_ptr0[static_cast<int64_t>(x0)];\nout_ptr0[static_cast<int64_t>(x0)] = tmp0;\n"},
    {kernel_moves, "auto tmp0 = at::vec::Vectorized<at::BFloat16>::loadu(in_ptr0 + static_cast<int64_t>(x0), "
                   "static_cast<int64_t>(16));\nauto tmp1 = at::vec::convert<float>(tmp0);\n"
                   "auto tmp2 = at::vec::convert<at::BFloat16>(tmp1);\n"
                   "tmp2.store(out_ptr0 + static_cast<int64_t>(x0), static_cast<int64_t>(16));\n"},
    {kernel_moves,
     "auto tmp0 = in_ptr1[x0];\nauto tmp1 = x0 < 8 ? tmp0 : static_cast<float>(0.0);\nout_ptr1[x0] = tmp1;\n"},
    {kernel_moves, "auto tmp0 = [&] { auto tmp1 = in_ptr1[x0]; return tmp1; };\nauto tmp2 = x0 >= 3;\n"
                   "auto tmp3 = [&] { if (tmp2) { return tmp0(); } else { return 0.0; } } ();\nout_ptr1[x0] = tmp3;\n"},
    {kernel_moves,
     "__at_align__ std::array<float, 16> tmpbuf;\nfor (long x0_inner = 0; x0_inner < 16; x0_inner++) { "
     "tmpbuf[x0_inner] = in_ptr1[x0 + x0_inner]; }\nauto tmp0 = at::vec::Vectorized<float>::loadu(tmpbuf.data(), 16);\n"
     "tmp0.store(out_ptr1 + x0);\n"},
    {kernel_moves,
     "alignas(16) float tmp0[16*16];\nat::vec::transpose_mxn<float,16,16>(in_ptr1 + x0, static_cast<int64_t>(64L), "
     "tmp0, static_cast<int64_t>(16));\nfor (long x0_inner = 0; x0_inner < 16; x0_inner++) { auto tmp1 = "
     "at::vec::Vectorized<float>::loadu(tmp0 + static_cast<int64_t>(16L*x0_inner), 16); tmp1.store(out_ptr1 + x0); "
     "}\n"},
    /* names start anew in each loop */
    {kernel_moves,
     "{ auto tmp0 = x0; auto tmp1 = in_ptr1[x0]; out_ptr1[x0 + tmp0] = tmp1; }\n{ auto tmp0 = in_ptr0[x0]; "
     "out_ptr0[x0] = tmp0; }\n"},
    {kernel_fills, "auto tmp0 = static_cast<float>(0.0);\nout_ptr1[x0] = tmp0;\n"},
    {kernel_converts, "auto tmp0 = in_ptr0[x0];\nauto tmp1 = c10::convert<float>(tmp0);\nout_ptr1[x0] = tmp1;\n"},
    {kernel_converts,
     "auto tmp0 = in_ptr1[x0];\nauto tmp1 = c10::convert<at::BFloat16>(tmp0);\nauto tmp2 = c10::convert<float>(tmp1);\n"
     "out_ptr1[x0] = tmp2;\n"},
    {kernel_computes, "auto tmp0 = in_ptr1[x0];\nauto tmp1 = tmp0 * tmp0;\nout_ptr1[x0] = tmp1;\n"},
    {kernel_computes, "auto tmp0 = in_ptr1[x0];\nout_ptr1[x0] += tmp0;\n"},
    {kernel_computes, "auto tmp0 = in_ptr1[x0];\nauto tmp1 = tmp0 > 0 ? tmp0 : 0.0;\nout_ptr1[x0] = tmp1;\n"},
    {kernel_computes, "auto tmp0 = in_ptr1[x0];\nif (tmp0 > 0) { out_ptr1[x0] = tmp0; }\n"},
    {kernel_computes, "auto tmp0 = in_ptr1[x0];\nif (tmp0 > 0) { } else { out_ptr1[x0] = tmp0; }\n"},
    {kernel_unknown, "auto tmp0 = in_ptr1[x0];\nauto tmp1 = mystery(tmp0);\nout_ptr1[x0] = tmp1;\n"},
    {kernel_unknown, "auto tmp0 = in_ptr1[x0];\nout_ptr1[x0] = tmp0;\natomic_add(out_ptr0 + x0, tmp0);\n"},
    {kernel_unknown, ""},
};

static void kernels_are_judged(void **state) {
    struct context *context = context_of(state);
    for (size_t i = 0; i < sizeof triton_bodies / sizeof *triton_bodies; i++) {
        enum kernel_kind kind = triton_kind(context, triton_bodies[i].text);
        if (kind != triton_bodies[i].kind) fail_msg("found %s: %s", kernel_kind_name(kind), triton_bodies[i].text);
    }
    for (size_t i = 0; i < sizeof cpp_bodies / sizeof *cpp_bodies; i++) {
        enum kernel_kind kind = cpp_kind(context, cpp_bodies[i].text);
        if (kind != cpp_bodies[i].kind) fail_msg("found %s: %s", kernel_kind_name(kind), cpp_bodies[i].text);
    }
}

static void nesting_is_bounded(void **state) {
    struct context *context = context_of(state);
    struct builder body;
    builder_init(&body, context->arena);
    builder_string(&body, "    tmp0 = ");
    for (size_t i = 0; i < 5000; i++) builder_byte(&body, '(');
    builder_string(&body, "tl.load(in_ptr0 + x0)");
    for (size_t i = 0; i < 5000; i++) builder_byte(&body, ')');
    builder_string(&body, "\n    tl.store(out_ptr0 + (x0), tmp0, xmask)\n");
    assert_int_equal(triton_kind(context, body.data), kernel_unknown);
    builder_init(&body, context->arena);
    for (size_t i = 0; i < 5000; i++) builder_byte(&body, '{');
    builder_string(&body, "out_ptr1[x0] = in_ptr1[x0];");
    for (size_t i = 0; i < 5000; i++) builder_byte(&body, '}');
    assert_int_equal(cpp_kind(context, body.data), kernel_unknown);
}

/* ---- the function that runs them ---- */

static const char program[] =
    "r\"\"\"\nk = async_compile.triton('k', '''\n''')\ndef call(args):\n    k.run(arg0_1)\n\"\"\"\n"
    "# Topologically Sorted Source Nodes: [a, b], Original ATen: [aten.clone]\n"
    "#   %clone : Tensor \"f32[s0]\" [num_users=1] = call_function[target=torch.ops.aten.clone.default](args = (%x,), "
    "kwargs = {})\n"
    "k = async_compile.triton('k', '''\n    triton_meta={'signature': {'in_ptr0': '*fp32', 'out_ptr0': '*fp32', "
    "'xnumel': 'i32'}}\n"
    "@triton.jit\ndef k(in_ptr0, out_ptr0, xnumel, XBLOCK : tl.constexpr):\n    xindex = tl.arange(0, XBLOCK)[:]\n"
    "    xmask = xindex < xnumel\n    tmp0 = tl.load(in_ptr0 + (xindex), xmask)\n    tl.store(out_ptr0 + (xindex), "
    "tmp0, xmask)\n\n"
    "def call(args):\n    k.run(*args)\n''', device_str='cuda')\n\n"
    "def partition_0(args):\n    arg0_1, s0 = args\n    s0 = s0\n"
    "    buf0 = empty_strided_cuda((s0, 8), (8, 1), torch.float32)\n"
    "    # Topologically Sorted Source Nodes: [a, b], Original ATen: [aten.clone]\n    k_xnumel = (-8) + 8*s0\n"
    "    stream0 = get_raw_stream(0)\n    k.run(arg0_1, buf0, k_xnumel, stream=stream0)\n    return (buf0, )\n\n"
    "class Runner:\n    def __init__(self, partitions):\n        self.partitions = partitions\n\n"
    "    def call(self, args):\n        arg0_1, arg1_1 = args\n        s0 = arg1_1\n"
    "        (buf0,) = self.partitions[0](partition0_args)\n        (buf0,) = self.partitions[0](partition0_args)\n"
    "        buf1 = buf0; del buf0  # reuse\n        buf2 = reinterpret_tensor(buf1, (8, ), (1, ), 8)  # alias\n"
    "        # Topologically Sorted Source Nodes: [c], Original ATen: [aten.mm]\n"
    "        extern_kernels.mm(buf1, reinterpret_tensor(arg0_1, (s0, 8), (8, 1), 0), out=buf2)\n        "
    "absent.run(buf1, buf2)\n"
    "        return (buf2, )\n\n"
    "runner = Runner(partitions=[partition_0])\ncall = runner.call\n\ndef get_args():\n    k.run(arg0_1)\n";

static void programs_are_read(void **state) {
    struct context *context = context_of(state);
    struct inductor_code code = read_code(context, program);
    static const enum step_kind kinds[] = {step_alias, step_alias,    step_allocate, step_define, step_launch,
                                           step_alias, step_allocate, step_define,   step_launch, step_reuse,
                                           step_alias, step_call,     step_launch};
    assert_int_equal(code.kernels.count, 1);
    assert_int_equal(code.kernels.items[0]->kind, kernel_moves);
    assert_int_equal(code.kernels.items[0]->fragment.count, 1);
    assert_int_equal(code.steps.count, sizeof kinds / sizeof *kinds);
    for (size_t i = 0; i < code.steps.count; i++) assert_int_equal(code.steps.items[i].kind, kinds[i]);
    assert_true(text_is(code.steps.items[4].sources, "a, b"));
    assert_ptr_equal(code.steps.items[4].kernel, code.kernels.items[0]);
    assert_true(text_is(code.steps.items[11].sources, "c"));
    assert_int_equal(code.steps.items[11].arguments.count, 3);
    assert_null(code.steps.items[12].kernel);
}

/* Every beginning of a program is read without a fault; what is cut off is unknown, not taken for computing. */
static void truncated_programs_are_read(void **state) {
    struct context *context = context_of(state);
    for (size_t length = 0; length < sizeof program; length++) {
        struct inductor_code code;
        const char *copy = arena_copy(context->arena, program, length + 1);
        inductor_read(context->arena, (struct text){copy, length}, &code);
        for (size_t i = 0; i < code.kernels.count; i++)
            assert_true(code.kernels.items[i]->kind == kernel_moves || code.kernels.items[i]->kind == kernel_unknown);
    }
}

/* ---- captured compilations ---- */

/* Checked by hand against the output code of each log: launches of generated kernels that only move data, those of all
 * generated kernels, and those that change nothing but the element type; then all bytes that the first graph's copies
 * read and write. Of the kernels that move data, those that our placing needs: it copies there, or the model asks for it. */
static const struct {
    const char *path;
    size_t moves, launches, converts;
    const char *bytes;
    size_t needed;
} logs[] = {
    {"boundary/flex", 0, 0, 0, "0", 0},
    {"boundary/kpeout", 0, 0, 0, "0", 0},
    {"boundary/untagged", 2, 2, 0, "64*s77", 2},
    {"custom/llama_decode_bf16_v1", 8, 8, 0, NULL, 0},
    {"custom/mla_decode_bf16_v1", 8, 8, 0, "2352*s77", 0},
    {"custom/mla_decode_bf16_v2", 0, 0, 0, "0", 0},
    {"custom/mla_decode_fused_bf16_v1", 8, 8, 0, "2112*s77", 0},
    {"custom/mla_decode_fused_flex_bf16_v1", 8, 8, 0, "2560*s77", 0},
    {"custom/mla_native_bf16_v1", 0, 4, 0, "0", 0},
    {"custom/mla_native_neox_bf16_v1", 0, 4, 0, "0", 0},
    {"custom/qkv_escape_bf16_v1", 2, 6, 0, "5120*s30 - 768", 1},
    {"custom/qkv_rope_bf16_v1", 2, 5, 0, "5120*s30 - 768", 2},
    {"hf/deepseek_v3", 6, 27, 1, "54272", 6},
    {"hf/llama", 6, 23, 1, "66048", 6},
    {"vllm/cpu_dsv2", 4, 13, 0, "16896*s72", 0},
    {"vllm/cpu_dsv3", 6, 15, 0, "25600*s72", 0},
    {"vllm/cpu_llama", 4, 11, 0, "12288*s72 - 3072", 0},
    {"vllm/cpu_llama_tp2", 4, 13, 0, "6144*s72 - 1536", 0},
    {"vllm/cpu_mixtral", 4, 11, 0, "12288*s72 - 3072", 0},
    {"vllm/cpu_neox", 2, 9, 0, "2048*s27", 2},
    {"vllm/cpu_qwen3", 1, 10, 0, "1536*s72", 0},
    {"vllm/h200_dsv3", 8, 41, 0, "165888*s72", 0},
    {"vllm/h200_llama_pieces", 0, 17, 0, "0", 0},
};

static struct audit audit_of(struct context *context, struct file *file, size_t index) {
    struct audit audit;
    if (audit_run(context, file, index, &audit) != REGRAFT_OK) fail_msg("%s", context->diagnostics.message);
    return audit;
}

static struct file *read_log(struct context *context, const char *path) {
    struct file *file;
    if (file_read(context, text_format(context->arena, "%s/%s/trace.log.gz", REGRAFT_GRAPHS, path), &file) !=
        REGRAFT_OK)
        fail_msg("%s", context->diagnostics.message);
    return file;
}

/* The comment above a kernel names the nodes of its first launch: what we found through its reader is among them. */
static void assert_in_fragment(const struct audit *audit) {
    for (size_t i = 0; i < audit->copies.count; i++) {
        const struct audit_copy *copy = &audit->copies.items[i];
        bool first = true;
        for (size_t k = 0; k < i; k++) first &= audit->copies.items[k].kernel != copy->kernel;
        if (!first || !copy->kernel->fragment.count) continue;
        for (size_t k = 0; k < copy->lowered.count; k++) {
            bool found = false;
            for (size_t n = 0; n < copy->kernel->fragment.count; n++)
                found |= text_equal(copy->kernel->fragment.items[n], copy->lowered.items[k]);
            if (!found)
                fail_msg("%.*s is not in the fragment of %.*s", TEXT_ARGS(copy->lowered.items[k]),
                         TEXT_ARGS(copy->kernel->name));
        }
    }
}

static void captured_copies_are_counted(void **state) {
    struct context *context = context_of(state);
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        struct file *file = read_log(context, logs[i].path);
        size_t moves = 0, launches = 0, converts = 0, needed = 0;
        for (size_t graph = 0; graph < file->graphs.count; graph++) {
            if (!audit_stage(file, graph)) continue;
            struct audit audit = audit_of(context, file, graph);
            moves += audit.launches[kernel_moves];
            converts += audit.launches[kernel_converts];
            for (size_t k = 0; k < kernel_kind_count; k++) launches += audit.launches[k];
            assert_int_equal(audit.copies.count, audit.launches[kernel_moves]);
            assert_int_equal(audit.launches[kernel_unknown], 0);
            assert_int_equal(audit.kernels[kernel_unknown], 0);
            assert_in_fragment(&audit);
            for (size_t k = 0; k < audit.copies.count; k++) {
                if (audit.copies.items[k].needed == audit_unknown || !*audit.copies.items[k].why)
                    fail_msg("%s: copy %zu: %s", logs[i].path, k, audit.copies.items[k].why);
                needed += audit.copies.items[k].needed == audit_needed;
            }
            if (graph || !logs[i].bytes) continue;
            struct builder out;
            builder_init(&out, context->arena);
            assert_non_null(audit.bytes);
            symint_print(&out, audit.bytes);
            if (strcmp(out.data, logs[i].bytes) != 0) fail_msg("%s: %s bytes", logs[i].path, out.data);
        }
        if (moves != logs[i].moves || launches != logs[i].launches || converts != logs[i].converts)
            fail_msg("%s: %zu of %zu launches only move data, %zu convert", logs[i].path, moves, launches, converts);
        if (needed != logs[i].needed) fail_msg("%s: %zu are needed", logs[i].path, needed);
    }
}

static const struct audit_copy *copy_at(const struct audit *audit, size_t index) {
    assert_true(index < audit->copies.count);
    return &audit->copies.items[index];
}

static void copies_are_explained(void **state) {
    struct context *context = context_of(state);
    struct audit audit = audit_of(context, read_log(context, "custom/mla_decode_fused_bf16_v1"), 0);
    /* What the call writes is cloned; nothing in the functional graph says so but the call. */
    const struct audit_copy *copy = copy_at(&audit, 4);
    assert_int_equal(copy->readers.count, 1);
    assert_true(text_is(copy->readers.items[0].argument, "k_pe") && copy->readers.items[0].writes);
    assert_true(copy->nodes.count == 1 && text_is(copy->nodes.items[0], "auto_functionalized_10") && !copy->updates);
    assert_true(copy->sources.count == 1 && text_is(copy->sources.items[0], "models/defs.py:321"));
    assert_int_equal(copy->needed, audit_not_needed);
    assert_string_equal(copy->why,
                        "place: vllm.fused_concat_and_cache_mla_rope.default writes its argument k_pe where it lies, "
                        "in the memory of mm_5: nobody reads what was there");
    /* The rest of the buffer is merged with what was written: the pipeline reads that where it is. */
    copy = copy_at(&audit, 6);
    assert_true(copy->nodes.count == 2 && copy->updates && copy->lowered.count == 2);
    assert_int_equal(copy->needed, audit_not_needed);
    assert_non_null(strstr(copy->why, "scatter-split-replace"));
    /* All of it is needed, and stands there already. */
    copy = copy_at(&audit, 7);
    assert_int_equal(copy->needed, audit_not_needed);
    assert_string_equal(copy->why, "place: slice_scatter_3 is view_5: the new value stands in its place already");
    /* One copy of the whole where Inductor made two. */
    audit = audit_of(context, read_log(context, "custom/qkv_escape_bf16_v1"), 0);
    assert_int_equal(copy_at(&audit, 0)->needed, audit_needed);
    assert_non_null(strstr(copy_at(&audit, 0)->why,
                           "arg1_1 is the caller's tensor and must not change, and slice_scatter needs "
                           "the rest of it with the new part; place writes 1280*s30 bytes: arg1_1"));
    assert_non_null(strstr(copy_at(&audit, 0)->remedy, "write elsewhere than it reads"));
    assert_int_equal(copy_at(&audit, 1)->needed, audit_not_needed);
    assert_non_null(strstr(copy_at(&audit, 1)->why, "serves here"));
    /* A cache that is an input. */
    audit = audit_of(context, read_log(context, "hf/llama"), 0);
    assert_string_equal(copy_at(&audit, 0)->why, "the model writes its input arg9_1: index_put__1");
    assert_non_null(strstr(copy_at(&audit, 1)->why, "the model asks for another layout"));
}

/* What Inductor gives an untagged operation is the strides of its trace, unless something else is said. */
static void layouts_are_explained(void **state) {
    static const char remedies[] =
        "vllm.unified_mla_attention_with_output.default tagged flexible_layout, or a producer "
        "that returns a fresh contiguous k_pe";
    static const struct {
        const char *contract;
        enum audit_need needed;
        const char *why, *remedy;
    } cases[] = {
        {"any", audit_not_needed, "takes its argument k_pe with the strides that it has", ""},
        {"last-dim-dense", audit_not_needed, "takes its argument k_pe with the strides that it has", ""},
        {"contiguous", audit_needed, "is owed a contiguous k_pe", remedies},
        {"as-traced", audit_needed, "is owed k_pe with the strides that it was traced with: [8, 8, 1]", remedies},
        {NULL, audit_needed, "is owed k_pe with the strides that it was traced with: [8, 8, 1]", remedies}};
    for (size_t i = sizeof cases / sizeof *cases; i-- > 0;) {
        struct context *context = context_of(state);
        struct source contract = {"<contract>", {0}};
        if (cases[i].contract) {
            contract.contents = text_of(
                text_format(context->arena, "vllm::unified_mla_attention_with_output.k_pe=%s", cases[i].contract));
            assert_int_equal(contract_add(context, &contract), REGRAFT_OK);
        }
        struct audit audit = audit_of(context, read_log(context, "boundary/untagged"), 0);
        for (size_t k = 0; k < 2; k++) {
            const struct audit_copy *copy = copy_at(&audit, k);
            assert_true(
                text_is(copy->readers.items[0].target, "torch.ops.vllm.unified_mla_attention_with_output.default"));
            assert_true(text_is(copy->readers.items[0].argument, "k_pe") && !copy->readers.items[0].writes);
            assert_int_equal(copy->needed, cases[i].needed);
            assert_string_equal(copy->why, text_format(context->arena, "%s %s",
                                                       "vllm.unified_mla_attention_with_output.default", cases[i].why));
            assert_string_equal(copy->remedy, cases[i].remedy);
        }
    }
}

/* A rotary embedding that may write elsewhere needs none of the two. */
static void what_writes_elsewhere_needs_no_copy(void **state) {
    struct context *context = context_of(state);
    struct source contract = {"<contract>", TEXT("_C::rotary_embedding.*=elsewhere")};
    assert_int_equal(contract_add(context, &contract), REGRAFT_OK);
    struct audit audit = audit_of(context, read_log(context, "custom/qkv_rope_bf16_v1"), 0);
    assert_int_equal(audit.copies.count, 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(copy_at(&audit, i)->needed, audit_not_needed);
    assert_string_equal(copy_at(&audit, 0)->why,
                        "place: rotary_embedding_out reads getitem and writes to fresh memory");
    assert_string_equal(copy_at(&audit, 1)->why,
                        "place: rotary_embedding_out reads getitem_1 and writes to fresh memory");
}

/* A written argument of auto_functionalized_v2 is a view of a base. */
static void arguments_are_found_in_both_encodings(void **state) {
    struct context *context = context_of(state);
    static const char text[] =
        "class G(torch.nn.Module):\n"
        "    def forward(self, x: \"f32[4, 16][16, 1]cpu\", o: \"f32[4, 8][8, 1]cpu\", r: \"f32[4, 8][8, 1]cpu\"):\n"
        "        a = torch.ops.higher_order.auto_functionalized_v2(torch.ops._C.silu_and_mul.default, input = x, "
        "_result_base_index = 1, _result_alias = True, _all_bases = [r, o])\n"
        "        b: \"f32[4, 8][8, 1]cpu\" = a[2]\n"
        "        c = torch.ops.higher_order.auto_functionalized(torch.ops._C.silu_and_mul.default, result = b, input = "
        "x)\n"
        "        d = torch.ops._C.silu_and_mul.default(r, x)\n"
        "        return (c,)\n";
    static const struct {
        const char *call, *argument, *expected;
    } cases[] = {{"a", "result", "o"}, {"a", "input", "x"}, {"a", "other", NULL}, {"c", "result", "b"},
                 {"d", "result", "r"}, {"d", "input", "x"}, {"b", "input", NULL}};
    struct graph *graph;
    assert_int_equal(file_graph(context, read_file(context, text_of(text)), 0, NULL, &graph), REGRAFT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit_reader reader = {.argument = text_of(cases[i].argument)};
        const struct node *found = value_as_node(audit_argument(graph_find(graph, text_of(cases[i].call)), &reader));
        assert_ptr_equal(found, cases[i].expected ? graph_find(graph, text_of(cases[i].expected)) : NULL);
    }
}

static void a_log_without_code_is_refused(void **state) {
    struct context *context = context_of(state);
    struct file *file = read_file(
        context, TEXT("class g(torch.nn.Module):\n    def forward(self, x: \"f32[2]\"):\n        return (x,)\n"));
    struct audit audit;
    assert_message(
        context, audit_run(context, file, 0, &audit), REGRAFT_REJECTED,
        "regraft: error: graph 0 of 't.txt' has no output code; expected a trace log (TORCH_TRACE) of a compilation by "
        "Inductor, with the stage inductor_output_code\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(kernels_are_judged),
                                       FX_TEST(nesting_is_bounded),
                                       FX_TEST(programs_are_read),
                                       FX_TEST(truncated_programs_are_read),
                                       FX_TEST(captured_copies_are_counted),
                                       FX_TEST(copies_are_explained),
                                       FX_TEST(layouts_are_explained),
                                       FX_TEST(what_writes_elsewhere_needs_no_copy),
                                       FX_TEST(arguments_are_found_in_both_encodings),
                                       FX_TEST(a_log_without_code_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
