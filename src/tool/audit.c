/* regraft audit: the copies that Inductor made, from the output code in a trace log. */
#include "plan/audit.h"

#include "tool/internals.h"

enum { key_graph = 2000 };

static const struct argp_option entries[] = {
    {"graph", key_graph, "N", 0, "Which graph of the log, from 0 (default: all that have output code)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct input_options *options = state->input;
    switch (key) {
    case key_graph:
        options->graph = option_graph(state, argument);
        return 0;
    default:
        return options_parse(key, argument, state, options, "LOG");
    }
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .children = operations_options,
    .args_doc = "LOG",
    .doc = "Lists the kernels that only move data in what Inductor generated: how many bytes they move, for which "
           "call, from "
           "which source line, and whether the copy was needed. LOG is a trace log (TORCH_TRACE), plain or gzip.",
};

static const char *const need_names[] = {"unknown", "no", "yes"};

static const char *expression(struct arena *arena, symint value) {
    return value ? symint_string(arena, value) : "unknown";
}

static symint copy_bytes(const struct audit *audit, const struct audit_copy *copy) {
    return copy->read && copy->written ? symint_add(audit->context->symbols, copy->read, copy->written) : NULL;
}

static const char *joined(struct arena *arena, const struct text_list *names) {
    struct builder out;
    builder_init(&out, arena);
    for (size_t i = 0; i < names->count; i++) builder_format(&out, "%s%.*s", i ? ", " : "", TEXT_ARGS(names->items[i]));
    return out.data;
}

/* ---- text ---- */

static void print_copies(struct arena *arena, struct builder *out, const struct audit *audit) {
    struct table table;
    table_init(&table, arena, 6);
    table_row(&table, "kernel", "bytes", "source", "nodes", "needed", "why");
    for (size_t i = 0; i < audit->copies.count; i++) {
        const struct audit_copy *copy = &audit->copies.items[i];
        table_row(&table, text_string(arena, copy->kernel->name), expression(arena, copy_bytes(audit, copy)),
                  joined(arena, &copy->sources), joined(arena, copy->nodes.count ? &copy->nodes : &copy->lowered),
                  need_names[copy->needed],
                  *copy->remedy ? text_format(arena, "%s; remedy: %s", copy->why, copy->remedy) : copy->why);
    }
    if (audit->copies.count) table_print(out, &table);
}

/* Stores that only move data, of kernels that do something else as well. */
static size_t copies_beside(const struct audit *audit) {
    size_t count = audit->stores[kernel_moves];
    for (size_t i = 0; i < audit->copies.count; i++) {
        const struct inductor_kernel *kernel = audit->copies.items[i].kernel;
        for (size_t j = 0; j < kernel->stores.count; j++)
            count -= kernel->stores.items[j].kind == kernel_moves && !kernel->stores.items[j].repeats;
    }
    return count;
}

static void print_audit(struct arena *arena, struct builder *out, const struct audit *audit) {
    size_t launches = 0;
    for (size_t i = 0; i < kernel_kind_count; i++) launches += audit->launches[i];
    print_copies(arena, out, audit);
    builder_format(out, "%zu of %zu launches only move data", audit->launches[kernel_moves], launches);
    if (audit->launches[kernel_moves]) builder_format(out, ": %s bytes", expression(arena, audit->bytes));
    builder_format(out, "; %zu fill, %zu convert, %zu compute, %zu unknown\n", audit->launches[kernel_fills],
                   audit->launches[kernel_converts], audit->launches[kernel_computes], audit->launches[kernel_unknown]);
    if (copies_beside(audit))
        builder_format(out, "%zu more buffers are only moved, in kernels that do something else as well\n",
                       copies_beside(audit));
    builder_format(out, "%zu other calls; %zu buffers allocated, %zu reused\n", audit->calls, audit->allocations,
                   audit->reuses);
}

/* ---- JSON ---- */

static json_t *json_names(const struct text_list *names) {
    json_t *array = json_array();
    for (size_t i = 0; i < names->count; i++) json_array_append_new(array, json_text(names->items[i]));
    return array;
}

static json_t *json_readers(const struct audit_copy *copy) {
    json_t *array = json_array();
    for (size_t i = 0; i < copy->readers.count; i++) {
        const struct audit_reader *reader = &copy->readers.items[i];
        const struct node *node = reader->functional ? reader->functional : reader->lowered;
        json_array_append_new(array, json_pack("{s:o, s:o, s:o, s:b}", "call", json_text(reader->target), "node",
                                               json_text(node ? node->name : (struct text){0}), "argument",
                                               json_text(reader->argument), "writes", reader->writes));
    }
    return array;
}

static size_t launches_of(const struct audit *audit, const struct inductor_kernel *kernel) {
    size_t launches = 0;
    for (size_t i = 0; i < audit->code.steps.count; i++) {
        const struct inductor_step *step = &audit->code.steps.items[i];
        launches += step->kind == step_launch && step->kernel == kernel;
    }
    return launches;
}

static json_t *copy_json(struct arena *arena, size_t graph, const struct audit *audit, const struct audit_copy *copy) {
    json_t *object =
        json_pack("{s:I, s:o, s:I, s:I}", "graph", (json_int_t)graph, "kernel", json_text(copy->kernel->name), "launch",
                  (json_int_t)copy->launch, "launches", (json_int_t)launches_of(audit, copy->kernel));
    json_object_set_new(object, "bytes", json_expression(arena, copy_bytes(audit, copy)));
    json_object_set_new(object, "read", json_expression(arena, copy->read));
    json_object_set_new(object, "written", json_expression(arena, copy->written));
    json_object_set_new(object, "source", json_words(joined(arena, &copy->sources)));
    json_object_set_new(object, "nodes", json_names(&copy->nodes));
    json_object_set_new(object, "lowered", json_names(&copy->lowered));
    json_object_set_new(object, "readers", json_readers(copy));
    json_object_set_new(object, "needed", json_string(need_names[copy->needed]));
    json_object_set_new(object, "why", json_words(copy->why));
    json_object_set_new(object, "remedy", json_words(copy->remedy));
    return object;
}

static json_t *json_kinds(const size_t *counts) {
    json_t *object = json_object();
    for (size_t i = 0; i < kernel_kind_count; i++)
        json_object_set_new(object, kernel_kind_name((enum kernel_kind)i), json_integer((json_int_t)counts[i]));
    return object;
}

/* Of a kernel that was combined from several: what each part does. */
static json_t *json_parts(const struct inductor_kernel *kernel) {
    json_t *array = json_array();
    for (size_t part = 0; part < kernel->parts; part++) {
        enum kernel_kind kind = kernel_fills;
        bool any = false;
        for (size_t i = 0; i < kernel->stores.count; i++) {
            const struct kernel_store *store = &kernel->stores.items[i];
            if (store->part != part) continue;
            any = true;
            if (store->kind > kind) kind = store->kind;
        }
        json_array_append_new(array, json_string(kernel_kind_name(any ? kind : kernel_unknown)));
    }
    return array;
}

static json_t *json_kernels(const struct audit *audit) {
    json_t *array = json_array();
    for (size_t i = 0; i < audit->code.kernels.count; i++) {
        const struct inductor_kernel *kernel = audit->code.kernels.items[i];
        json_array_append_new(array, json_pack("{s:o, s:s, s:I, s:o}", "kernel", json_text(kernel->name), "kind",
                                               kernel_kind_name(kernel->kind), "launches",
                                               (json_int_t)launches_of(audit, kernel), "parts", json_parts(kernel)));
    }
    return array;
}

/* Adds a graph's copies and totals to the answer. */
static void add_json(struct arena *arena, json_t *answer, size_t graph, const struct audit *audit) {
    json_t *totals = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "launches", json_kinds(audit->launches),
                               "kernels", json_kinds(audit->kernels), "stores", json_kinds(audit->stores), "bytes",
                               json_expression(arena, audit->bytes), "calls", (json_int_t)audit->calls, "allocations",
                               (json_int_t)audit->allocations, "reuses", (json_int_t)audit->reuses);
    json_array_append_new(
        json_object_get(answer, "graphs"),
        json_pack("{s:I, s:o, s:o}", "graph", (json_int_t)graph, "kernels", json_kernels(audit), "totals", totals));
    for (size_t i = 0; i < audit->copies.count; i++)
        json_array_append_new(json_object_get(answer, "copies"),
                              copy_json(arena, graph, audit, &audit->copies.items[i]));
}

/* ---- the command ---- */

static regraft_status audit_graph(struct tool *tool, struct file *file, size_t index, struct builder *out,
                                  json_t *answer) {
    struct audit audit;
    TRY(tool_report(tool, audit_run(tool_context(tool), file, index, &audit)));
    if (file->graphs.count > 1) builder_format(out, "%sgraph %zu\n", out->length ? "\n" : "", index);
    print_audit(tool->arena, out, &audit);
    add_json(tool->arena, answer, index, &audit);
    return REGRAFT_OK;
}

static regraft_status audit_all(struct tool *tool, const struct input_options *options, struct builder *out,
                                json_t *answer) {
    struct file *file;
    size_t audited = 0, wanted = options->graph < 0 ? SIZE_MAX : (size_t)options->graph;
    TRY(tool_open(tool, options));
    TRY(tool_read_container(tool, options->path, &file));
    if (wanted != SIZE_MAX) TRY(tool_report(tool, file_check_index(tool_context(tool), file, wanted)));
    for (size_t i = 0; i < file->graphs.count; i++) {
        if (wanted == SIZE_MAX ? !audit_stage(file, i) : i != wanted) continue;
        TRY(audit_graph(tool, file, i, out, answer));
        audited++;
    }
    if (audited) return REGRAFT_OK;
    return tool_error(
        REGRAFT_REJECTED,
        "'%s' has no output code; expected a trace log (TORCH_TRACE) of a compilation by Inductor, with the "
        "stage inductor_output_code",
        options->path);
}

regraft_status command_audit(struct tool *tool, int argc, char **argv) {
    struct input_options options = {0};
    struct builder out;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    builder_init(&out, tool->arena);
    json_t *answer = json_pack("{s:[], s:[]}", "copies", "graphs");
    regraft_status status = audit_all(tool, &options, &out, answer);
    if (status == REGRAFT_OK && options.format == format_json) {
        builder_init(&out, tool->arena);
        json_print(&out, json_incref(answer));
    }
    json_decref(answer);
    return status == REGRAFT_OK ? output_write(NULL, builder_text(&out)) : status;
}
