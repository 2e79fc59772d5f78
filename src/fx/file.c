/* Files: which graphs are in them, and which one is meant. */
#include "fx/fx.h"
#include "fx/frame.h"
#include "fx/load.h"
#include "fx/trace.h"

/* ---- FX text ---- */

/* `<lambda>` of `class <lambda>(torch.nn.Module):`; "forward" of a function without a class. */
static struct text module_name(const char *module, const char *end) {
    struct text rest = {module, (size_t)(end - module)};
    size_t length = 0;
    if (!text_starts_with(rest, "class ")) return TEXT("forward");
    rest = text_skip(rest, strlen("class "));
    while (length < rest.length && rest.data[length] != '(') length++;
    return (struct text){rest.data, length};
}

/* Where the module before `module` ends: behind the last line that is indented. */
static const char *previous_end(struct text text, const char *module) {
    const char *end = module;
    while (end > text.data && end[-1] != '\n') end--;
    while (end > text.data) {
        const char *line = end - 1;
        while (line > text.data && line[-1] != '\n') line--;
        const char *first = line;
        while (first < end && (*first == ' ' || *first == '\t')) first++;
        if (*first != '\n' && (first - line > 1 || *line == '\t')) break;
        end = line;
    }
    return end;
}

static regraft_status find_modules(struct context *context, struct file *file) {
    struct text text = file->source.contents;
    const char *end = text.data + text.length, *start = text.data;
    for (const char *module = fx_find_module(text, text.data), *next; module; module = next) {
        const char *line_end = memchr(module, '\n', (size_t)(end - module));
        next = line_end ? fx_find_module(text, line_end + 1) : NULL;
        const char *part_end = next ? previous_end(text, next) : end;
        struct file_graph graph = {.name = module_name(module, end)};
        struct stage stage = {TEXT("text"), {start, (size_t)(part_end - start)}, true, true};
        vector_push(context->arena, &graph.stages, stage);
        vector_push(context->arena, &file->graphs, graph);
        start = part_end;
    }
    if (file->graphs.count) return REGRAFT_OK;
    return fail(&context->diagnostics, REGRAFT_REJECTED, (struct position){&file->source, 0, 0},
                "no graph found; expected FX text ('class NAME(torch.nn.Module):' with 'def forward') or a trace log "
                "of TORCH_TRACE");
}

/* ---- reading ---- */

/* What cannot be a text is said before a parser stumbles over it. */
static regraft_status check_text(struct context *context, const struct file *file) {
    struct text text = file->source.contents;
    const char *zero = text.length ? memchr(text.data, 0, text.length) : NULL;
    struct position position = {&file->source, zero ? (size_t)(zero - text.data) : 0, 0};
    if (!text.length)
        return fail(&context->diagnostics, REGRAFT_REJECTED, position,
                    "the file is empty; expected FX text or a trace log");
    if (text_starts_with(text, "PK\x03\x04"))
        return fail(&context->diagnostics, REGRAFT_UNSUPPORTED, (struct position){0},
                    "'%s' is a zip archive; expected text: print the graph of a torch.export archive with "
                    "print_readable(include_stride=True, "
                    "include_device=True)",
                    file->source.name);
    if (zero)
        return fail(&context->diagnostics, REGRAFT_REJECTED, position,
                    "found a zero byte; expected FX text or a trace log, plain or gzip");
    return REGRAFT_OK;
}

static regraft_status read_bytes(struct context *context, const char *name, struct text bytes, struct file **result) {
    struct file *file = arena_new(context->arena, struct file);
    file->source.name = text_string(context->arena, text_of(name));
    TRY(load_inflate(context, bytes, &file->source));
    TRY(check_text(context, file));
    file->kind = trace_recognize(file->source.contents) ? file_log : file_text;
    if (file->kind == file_text) file->source.contents = load_clean(context->arena, file->source.contents);
    TRY(file->kind == file_log ? trace_read(context, file) : find_modules(context, file));
    *result = file;
    return REGRAFT_OK;
}

regraft_status file_read_memory(struct context *context, const char *name, struct text bytes, struct file **file) {
    return read_bytes(context, name, text_copy(context->arena, bytes), file);
}

regraft_status file_read(struct context *context, const char *path, struct file **file) {
    struct text bytes;
    TRY(load_file(context, path, &bytes));
    return read_bytes(context, strcmp(path, "-") == 0 ? "<stdin>" : path, bytes, file);
}

struct text stage_text(const struct context *context, const struct file *file, const struct stage *stage) {
    return file->kind == file_log ? trace_payload(context->arena, stage->raw) : stage->raw;
}

/* ---- choosing ---- */

static regraft_status parse_stage(struct context *context, struct file *file, const struct file_graph *owner,
                                  const struct stage *stage, struct graph **graph) {
    if (file->kind == file_text) return fx_parse(context, &file->source, stage->raw, graph);
    struct source source = {text_format(context->arena, "%s[graph %zu, %.*s]", file->source.name,
                                        (size_t)(owner - file->graphs.items), TEXT_ARGS(stage->name)),
                            stage_text(context, file, stage)};
    TRY(fx_parse(context, &source, source.contents, graph));
    frame_narrow_symbols(context, owner->frame);
    frame_describe_inputs(context, owner->frame, *graph);
    return REGRAFT_OK;
}

static bool writes_an_argument(const struct node *node) {
    return node->kind == node_call && node->operation && operation_writes(node->operation);
}

/* Whether no call writes its arguments, but for the copies into inputs that end a functional graph. */
static bool is_functional(const struct graph *graph) {
    bool epilogue = true;
    for (const struct node *node = graph->last; node; node = node->previous) {
        bool copy = node_is(node, operation_aten_copy__default);
        if (!copy && node->kind != node_output) epilogue = false;
        if (writes_an_argument(node) && !(copy && epilogue)) return false;
    }
    return true;
}

/* The last functional stage at ATen level; without one, the last graph. */
static regraft_status parse_default_stage(struct context *context, struct file *file, const struct file_graph *owner,
                                          struct graph **graph) {
    const struct stage *last = NULL;
    for (size_t i = owner->stages.count; i-- > 0;) {
        const struct stage *stage = &owner->stages.items[i];
        if (!stage->is_graph) continue;
        if (!last) last = stage;
        if (!stage->is_aten) continue;
        if (parse_stage(context, file, owner, stage, graph) == REGRAFT_OK && is_functional(*graph)) return REGRAFT_OK;
        diagnostics_clear(&context->diagnostics);
    }
    if (last) return parse_stage(context, file, owner, last, graph);
    return fail(&context->diagnostics, REGRAFT_REJECTED, (struct position){0},
                "graph %zu of '%s' has no stage that is a graph", (size_t)(owner - file->graphs.items),
                file->source.name);
}

static const char *stage_list(struct context *context, const struct file_graph *owner) {
    struct builder out;
    builder_init(&out, context->arena);
    for (size_t i = 0; i < owner->stages.count; i++) {
        if (!owner->stages.items[i].is_graph) continue;
        if (out.length) builder_string(&out, ", ");
        builder_add(&out, owner->stages.items[i].name);
    }
    return out.data;
}

regraft_status file_check_index(struct context *context, const struct file *file, size_t index) {
    if (index < file->graphs.count) return REGRAFT_OK;
    return fail(&context->diagnostics, REGRAFT_USAGE, (struct position){0},
                "there is no graph %zu in '%s'; it has %zu, numbered from 0", index, file->source.name,
                file->graphs.count);
}

regraft_status file_graph(struct context *context, struct file *file, int index, const char *stage,
                          struct graph **graph) {
    size_t chosen = index < 0 ? 0 : (size_t)index;
    TRY(file_check_index(context, file, chosen));
    const struct file_graph *owner = &file->graphs.items[chosen];
    if (!stage && file->kind == file_log) return parse_default_stage(context, file, owner, graph);
    for (size_t i = 0; i < owner->stages.count; i++)
        if (owner->stages.items[i].is_graph && (!stage || text_is(owner->stages.items[i].name, stage)))
            return parse_stage(context, file, owner, &owner->stages.items[i], graph);
    return fail(&context->diagnostics, REGRAFT_USAGE, (struct position){0},
                "graph %zu of '%s' has no stage '%s'; it has %s", chosen, file->source.name, stage,
                stage_list(context, owner));
}
