/* The copies that Inductor made: kernels that only move data, launch by launch. */
#include "plan/audit.h"

#include <stdint.h>

#include "fx/cursor.h"
#include "plan/audit_decide.h"
#include "plan/audit_match.h"

/* ---- bytes ---- */

struct extent {
    struct audit *audit;
    const struct inductor_kernel *kernel;
    const struct inductor_step *step;
    size_t at; /* the step's index: sizes are defined before it */
};

/* What a name in the calling function was last set to. "" for what is no expression: an argument of the function. */
static struct text defined_as(const struct extent *extent, struct text name) {
    for (size_t i = extent->at; i-- > 0;) {
        const struct inductor_step *step = &extent->audit->code.steps.items[i];
        if (step->kind == step_define && text_equal(step->result, name)) return step->target;
        if (step->kind == step_alias && text_equal(step->result, name)) return step->arguments.items[0];
    }
    return (struct text){0};
}

/* s72, u0: a symbol that the graphs know; ks0, which a kernel calls one of its arguments, is none. */
static bool is_symbol(struct text name) {
    if (name.length < 2 || !strchr("suz", *name.data)) return false;
    for (size_t i = 1; i < name.length; i++)
        if (!byte_is_digit(name.data[i])) return false;
    return true;
}

static bool write_extent(const struct extent *extent, struct builder *out, struct text text, bool in_kernel,
                         unsigned depth);

/* A name of the kernel is an argument of the launch; one of the calling function, what it was set to. */
static bool write_name(const struct extent *extent, struct builder *out, struct text name, bool in_kernel,
                       unsigned depth) {
    struct text value = {0};
    for (size_t i = 0; in_kernel && i < extent->kernel->parameters.count && i < extent->step->arguments.count; i++)
        if (text_equal(extent->kernel->parameters.items[i].name, name)) value = extent->step->arguments.items[i];
    if (!value.length && !in_kernel) {
        value = defined_as(extent, name);
        bool another = scan_name(value).length == value.length && !is_symbol(value); /* s72 = arg0_1 */
        if (is_symbol(name) && (another || text_equal(value, name))) value = (struct text){0};
    }
    if (!value.length) {
        builder_add(out, name);
        return is_symbol(name);
    }
    builder_byte(out, '(');
    bool written = write_extent(extent, out, value, false, depth + 1);
    builder_byte(out, ')');
    return written;
}

/* Writes an expression of the kernel as one of symbols: without casts and suffixes, its names replaced. */
static bool write_extent(const struct extent *extent, struct builder *out, struct text text, bool in_kernel,
                         unsigned depth) {
    enum { most_replacements = 8 };
    static const char cast[] = "static_cast<int64_t>", divide[] = "c10::div_floor_integer";
    if (depth > most_replacements) return false;
    while (text.length) {
        size_t length = 1;
        if (text_starts_with(text, cast)) {
            text = text_skip(text, strlen(cast));
            continue;
        }
        if (text_starts_with(text, divide)) {
            builder_string(out, "FloorDiv");
            text = text_skip(text, strlen(divide));
            continue;
        }
        if (byte_starts_name(*text.data)) {
            struct text name = scan_name(text);
            length = name.length;
            bool function = length < text.length && text.data[length] == '('; /* Max, FloorDiv */
            if (function)
                builder_add(out, name);
            else if (!write_name(extent, out, name, in_kernel, depth))
                return false;
        } else if (byte_is_digit(*text.data)) {
            while (length < text.length && byte_is_digit(text.data[length])) length++;
            builder_add(out, text_between(text, 0, length));
            while (length < text.length && (text.data[length] == 'L' || text.data[length] == 'U')) length++;
        } else {
            builder_byte(out, *text.data);
        }
        text = text_skip(text, length);
    }
    return true;
}

/* NULL when it is not understood. */
static symint read_extent(const struct extent *extent, struct text text) {
    struct context *context = extent->audit->context;
    struct builder out;
    symint result;
    builder_init(&out, context->arena);
    if (!write_extent(extent, &out, text, true, 0)) return NULL;
    struct source source = {"output code", builder_text(&out)};
    if (symint_parse(context->symbols, &context->diagnostics, &source, source.contents, &result) == REGRAFT_OK)
        return result;
    diagnostics_clear(&context->diagnostics);
    return NULL;
}

/* The bytes that a store writes. */
static symint stored_bytes(const struct extent *extent, const struct kernel_store *store) {
    struct symbols *symbols = extent->audit->context->symbols;
    enum dtype dtype = extent->kernel->parameters.items[store->parameter].dtype;
    if (dtype == dtype_none) return NULL;
    symint bytes = symint_constant(symbols, (int64_t)dtype_size(dtype));
    for (size_t i = 0; i < store->extents.count; i++) {
        symint length = read_extent(extent, store->extents.items[i]);
        if (!length) return NULL;
        bytes = symint_multiply(symbols, bytes, length);
    }
    return bytes;
}

static symint add_known(struct symbols *symbols, symint a, symint b) {
    return a && b ? symint_add(symbols, a, b) : NULL;
}

static void count_bytes(struct audit *audit, size_t launch, struct audit_copy *copy) {
    struct symbols *symbols = audit->context->symbols;
    struct extent extent = {audit, copy->kernel, &audit->code.steps.items[launch], launch};
    copy->read = copy->written = symint_constant(symbols, 0);
    for (size_t i = 0; i < copy->kernel->stores.count; i++) {
        const struct kernel_store *store = &copy->kernel->stores.items[i];
        symint bytes = stored_bytes(&extent, store);
        copy->written = add_known(symbols, copy->written, bytes);
        if (store->kind == kernel_moves && !store->repeats) copy->read = add_known(symbols, copy->read, bytes);
    }
}

/* ---- the whole ---- */

const struct stage *audit_stage(const struct file *file, size_t index) {
    for (size_t i = 0; i < file->graphs.items[index].stages.count; i++) {
        const struct stage *stage = &file->graphs.items[index].stages.items[i];
        if (text_is(stage->name, "inductor_output_code")) return stage;
    }
    return NULL;
}

/* A stage that cannot be read leaves questions open; it is no error here. */
static struct graph *read_stage(struct context *context, struct file *file, size_t index, const char *stage) {
    struct graph *graph = NULL;
    if (file_graph(context, file, (int)index, stage, &graph) == REGRAFT_OK) return graph;
    diagnostics_clear(&context->diagnostics);
    return NULL;
}

static void count_launch(struct audit *audit, const struct inductor_kernel *kernel) {
    audit->launches[kernel ? kernel->kind : kernel_unknown]++;
    for (size_t i = 0; kernel && i < kernel->stores.count; i++)
        audit->stores[kernel->stores.items[i].kind] += !kernel->stores.items[i].repeats;
}

static void count_steps(struct audit *audit) {
    for (size_t i = 0; i < audit->code.kernels.count; i++) audit->kernels[audit->code.kernels.items[i]->kind]++;
    for (size_t i = 0; i < audit->code.steps.count; i++) {
        const struct inductor_step *step = &audit->code.steps.items[i];
        audit->calls += step->kind == step_call;
        audit->allocations += step->kind == step_allocate;
        audit->reuses += step->kind == step_reuse;
        if (step->kind == step_launch) count_launch(audit, step->kernel);
    }
}

regraft_status audit_run(struct context *context, struct file *file, size_t index, struct audit *audit) {
    const struct stage *stage = audit_stage(file, index);
    if (!stage)
        return fail(&context->diagnostics, REGRAFT_REJECTED, (struct position){0},
                    "graph %zu of '%s' has no output code; expected a trace log (TORCH_TRACE) of a compilation by "
                    "Inductor, with "
                    "the stage inductor_output_code",
                    index, file->source.name);
    *audit = (struct audit){.context = context, .bytes = symint_constant(context->symbols, 0)};
    inductor_read(context->arena, stage_text(context, file, stage), &audit->code);
    audit->functional = read_stage(context, file, index, NULL);
    audit->placing = audit_place(context, read_stage(context, file, index, NULL));
    audit->lowered = read_stage(context, file, index, "inductor_post_grad_graph");
    audit->dynamo = read_stage(context, file, index, "dynamo_output_graph");
    count_steps(audit);
    for (size_t i = 0, launch = 0; i < audit->code.steps.count; i++) {
        const struct inductor_step *step = &audit->code.steps.items[i];
        if (step->kind != step_launch) continue;
        struct audit_copy copy = {.kernel = step->kernel, .launch = launch++, .why = "", .remedy = ""};
        if (!step->kernel || step->kernel->kind != kernel_moves) continue;
        count_bytes(audit, i, &copy);
        audit_match(audit, i, &copy);
        TRY(audit_decide(audit, i, &copy));
        audit->bytes = add_known(context->symbols, audit->bytes, add_known(context->symbols, copy.read, copy.written));
        vector_push(context->arena, &audit->copies, copy);
    }
    return REGRAFT_OK;
}
