#include "plan/inductor_memory.h"

#include "plan/plan.h"

/* The integers of `(s72, 3072)`; false when one is not understood. */
static bool read_tuple(struct context *context, struct text text, symint *items, size_t most, size_t *count) {
    text = scan_trim(text);
    if (text.length < 2 || *text.data != '(') return false;
    struct text_list parts = scan_split(context->arena, text_between(text, 1, text.length - 1), ',');
    *count = parts.count;
    for (size_t i = 0; i < parts.count && i < most; i++) {
        struct source source = {"output code", parts.items[i]};
        if (symint_parse(context->symbols, &context->diagnostics, &source, source.contents, &items[i]) == REGRAFT_OK)
            continue;
        diagnostics_clear(&context->diagnostics);
        return false;
    }
    return parts.count <= most;
}

/* empty_strided_cuda((s72, 3072), (3072, 1), torch.bfloat16): the bytes, or NULL. */
static symint allocated(struct context *context, const struct inductor_step *step) {
    static const char torch[] = "torch.";
    enum { most = 16 };
    symint sizes[most], strides[most];
    size_t rank, stride_count;
    const struct text_list *arguments = &step->arguments;
    if (arguments->count < 3 || !read_tuple(context, arguments->items[0], sizes, most, &rank) ||
        !read_tuple(context, arguments->items[1], strides, most, &stride_count) || rank != stride_count)
        return NULL;
    struct text name = scan_trim(arguments->items[2]);
    enum dtype dtype =
        text_starts_with(name, torch) ? dtype_from_torch_name(text_skip(name, sizeof torch - 1)) : dtype_none;
    if (dtype == dtype_none) return NULL;
    return layout_bytes(context->symbols, &(struct layout){rank, sizes, strides}, dtype);
}

struct inductor_memory inductor_memory_of(struct context *context, const struct inductor_code *code,
                                          const struct map *sizes) {
    struct inductor_memory memory = {.bytes = symint_constant(context->symbols, 0)};
    for (size_t i = 0; i < code->steps.count; i++) {
        const struct inductor_step *step = &code->steps.items[i];
        memory.reuses += step->kind == step_reuse;
        if (step->kind != step_allocate) continue;
        symint bytes = allocated(context, step);
        memory.allocations++;
        memory.unknown += !bytes;
        if (bytes) memory.bytes = symint_add(context->symbols, memory.bytes, size_bind(context->symbols, bytes, sizes));
    }
    return memory;
}
