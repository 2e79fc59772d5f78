/* Any bytes as Inductor's output code, as it is and as the body of a kernel of either language: kernels and steps,
 * never a crash; each kernel has a kind, and each store a parameter that it writes. */
#include "fx/inductor_code.h"

static const char head[] =
    "def call(args):\n    buf0 = empty_strided_cpu((s0, ), (1, ), torch.float32)\n    k.run(arg0_1, buf0, s0)\n\n";

static const char *const frames[][2] = {
    {"", ""},
    {"k = async_compile.triton('k', '''\n    triton_meta={'signature': {'in_ptr0': '*bf16', 'out_ptr0': '*bf16', "
     "'xnumel': 'i32'}}\n"
     "@triton.jit\ndef k(in_ptr0, out_ptr0, xnumel):\n",
     "\n''', device_str='cuda')\n"},
    {"k = async_compile.cpp_pybinding([], r'''\nextern \"C\" void kernel(const float* in_ptr0, float* out_ptr0, const "
     "int64_t ks0)\n{\n",
     "\n}\n''')\n"},
};

static void read(struct arena *arena, const char *const frame[2], struct text bytes) {
    struct inductor_code code;
    struct builder text;
    builder_init(&text, arena);
    builder_string(&text, frame[0]);
    builder_add(&text, bytes);
    builder_string(&text, frame[1]);
    if (*frame[0]) builder_string(&text, head);
    inductor_read(arena, builder_text(&text), &code);
    for (size_t i = 0; i < code.kernels.count; i++) {
        const struct inductor_kernel *kernel = code.kernels.items[i];
        if (kernel->kind >= kernel_kind_count || (!kernel->stores.count && kernel->kind != kernel_unknown))
            __builtin_trap();
        for (size_t k = 0; k < kernel->stores.count; k++)
            if (kernel->stores.items[k].parameter >= kernel->parameters.count ||
                kernel->stores.items[k].kind > kernel->kind)
                __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct arena *arena = arena_create(NULL);
        struct arena_guard guard;
        if (!arena) return 0;
        if (!arena_guarded(arena, &guard)) {
            read(arena, frames[i], (struct text){(const char *)data, size});
            arena_unguard(arena, &guard);
        }
        arena_destroy(arena);
    }
    return 0;
}
