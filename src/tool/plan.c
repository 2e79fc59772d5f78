/* regraft plan: the buffers of a placed graph, their lifetimes, and one arena for them. */
#include <errno.h>
#include <stdlib.h>

#include "plan/audit.h"
#include "plan/inductor_memory.h"
#include "plan/plan.h"
#include "tool/internals.h"

enum { size_limit = 32, alignment_limit = 1 << 30 };

struct plan_command {
    struct input_options input;
    long alignment;
    const char *sizes[size_limit]; /* NAME=VALUE; NULL after the last */
    struct plan plan;
    bool compiled; /* the log has Inductor's output code */
    struct inductor_memory inductor;
};

enum { key_size = 2000, key_align };

static const struct argp_option entries[] = {
    {"passes", 'p', "PIPELINE", 0, "Run these passes first (default: the functional pipeline, place, dce)", 0},
    {"size", key_size, "SYMBOL=VALUE", 0, "Take a symbolic size as known: s72=64", 0},
    {"align", key_align, "BYTES", 0, "Offsets are multiples of this power of two (default: 64)", 0},
    {0},
};

static void add_size(struct argp_state *state, struct plan_command *options, const char *argument) {
    const char *equals = strchr(argument, '=');
    if (!equals || equals == argument)
        argp_error(state, "--size takes SYMBOL=VALUE, as in s72=64; found '%s'", argument);
    option_number(state, "--size", equals + 1, 0);
    option_add(state, options->sizes, size_limit, "sizes", argument);
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct plan_command *options = state->input;
    switch (key) {
    case key_size:
        add_size(state, options, argument);
        return 0;
    case key_align:
        options->alignment = option_number(state, "--align", argument, 1);
        if (options->alignment > alignment_limit || (options->alignment & (options->alignment - 1)))
            argp_error(state, "--align takes a power of two up to %d, found '%s'", alignment_limit, argument);
        return 0;
    default:
        return options_parse(key, argument, state, &options->input, "GRAPH");
    }
}

static const struct argp argp = {
    .options = entries,
    .parser = parse,
    .children = graph_options,
    .args_doc = "GRAPH",
    .doc =
        "Lists the buffers of a graph after the default pipeline and the pass place: from which node to which each is "
        "needed, how large it is, and where it stands in one arena. Sizes are expressions in the graph's symbols; "
        "offsets hold for all their values. Of a trace log with Inductor's output code, what that allocates is "
        "reported beside.",
};

/* ---- the plan ---- */

static struct map *bound_sizes(struct tool *tool, const struct plan_command *options) {
    struct map *sizes = map_create(tool->arena);
    for (size_t i = 0; options->sizes[i]; i++) {
        const char *equals = strchr(options->sizes[i], '=');
        int64_t *value = arena_new(tool->arena, int64_t);
        *value = strtoll(equals + 1, NULL, 10);
        *map_slot(sizes, options->sizes[i], (size_t)(equals - options->sizes[i])) = value;
    }
    return sizes;
}

static regraft_status read_output_code(struct tool *tool, struct plan_command *options) {
    struct context *context = tool_context(tool);
    struct file *file;
    struct inductor_code code;
    size_t index = options->input.graph < 0 ? 0 : (size_t)options->input.graph;
    TRY(tool_read_container(tool, options->input.path, &file));
    const struct stage *stage = index < file->graphs.count ? audit_stage(file, index) : NULL;
    if (!stage) return REGRAFT_OK;
    inductor_read(context->arena, stage_text(context, file, stage), &code);
    options->inductor = inductor_memory_of(context, &code, bound_sizes(tool, options));
    options->compiled = true;
    return REGRAFT_OK;
}

/* A mistyped symbol would bind nothing, in silence. */
static regraft_status check_sizes(struct tool *tool, const struct plan_command *options) {
    for (size_t i = 0; options->sizes[i]; i++) {
        struct text name = {options->sizes[i], strcspn(options->sizes[i], "=")};
        if (!symbols_have(tool_context(tool)->symbols, name))
            return tool_error(REGRAFT_USAGE, "--size: no size in '%s' has the symbol '%.*s'", options->input.path,
                              TEXT_ARGS(name));
    }
    return REGRAFT_OK;
}

static regraft_status make_plan(struct tool *tool, struct plan_command *options) {
    struct plan_options plan = {options->alignment, bound_sizes(tool, options)};
    regraft_graph *graph;
    TRY(tool_placed_graph(tool, &options->input, &graph));
    TRY(check_sizes(tool, options));
    TRY(tool_report(tool, plan_create(tool_graph(graph), plan, tool->arena, &options->plan)));
    return read_output_code(tool, options);
}

/* ---- the report ---- */

/* "-" for what is not known. */
static const char *expression(struct tool *tool, symint value) {
    return value ? symint_string(tool->arena, value) : "-";
}

static size_t count_kind(const struct plan *plan, enum buffer_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < plan->buffers.count; i++) count += plan->buffers.items[i].kind == kind;
    return count;
}

static void print_buffers(struct tool *tool, struct builder *out, const struct plan *plan) {
    struct table table;
    table_init(&table, tool->arena, 6);
    table_row(&table, "offset", "bytes", "buffer", "made by", "last used by", "type");
    for (size_t i = 0; i < plan->buffers.count; i++) {
        const struct buffer *buffer = &plan->buffers.items[i];
        if (buffer->kind == buffer_input) continue;
        const char *where = buffer->kind == buffer_planned
                                ? expression(tool, buffer->offset)
                                : text_format(tool->arena, "(%s)", buffer_kind_name(buffer->kind));
        table_row(&table, where, expression(tool, buffer->bytes), text_string(tool->arena, buffer->root->name),
                  text_string(tool->arena, buffer->maker->target), text_string(tool->arena, buffer->last->name),
                  type_string(tool->arena, buffer->root->type));
    }
    table_print(out, &table);
}

static void print_text(struct tool *tool, struct builder *out, const struct plan_command *options) {
    const struct plan *plan = &options->plan;
    const struct inductor_memory *inductor = &options->inductor;
    print_buffers(tool, out, plan);
    builder_format(out, "\n%zu buffers in the arena", count_kind(plan, buffer_planned));
    for (enum buffer_kind kind = buffer_input; kind < buffer_kind_count; kind++)
        if (count_kind(plan, kind)) builder_format(out, ", %zu %s", count_kind(plan, kind), buffer_kind_name(kind));
    builder_format(out, "\nsum   %s bytes, each in memory of its own\npeak  %s bytes, the arena\n",
                   expression(tool, plan->sum), expression(tool, plan->peak));
    builder_format(out, "live  %s bytes, the most that is needed at once\n", expression(tool, plan->live));
    if (!options->compiled) return;
    builder_format(out, "Inductor: %s bytes in %zu allocations, %zu buffers reused", expression(tool, inductor->bytes),
                   inductor->allocations, inductor->reuses);
    if (inductor->unknown) builder_format(out, "; the sizes of %zu allocations are not known", inductor->unknown);
    builder_byte(out, '\n');
}

static json_t *json_buffers(struct tool *tool, const struct plan *plan) {
    json_t *list = json_array();
    for (size_t i = 0; i < plan->buffers.count; i++) {
        const struct buffer *buffer = &plan->buffers.items[i];
        bool planned = buffer->kind == buffer_planned;
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I}", "buffer", json_text(buffer->root->name), "kind",
                            buffer_kind_name(buffer->kind), "bytes", json_expression(tool->arena, buffer->bytes),
                            "offset", json_expression(tool->arena, planned ? buffer->offset : NULL), "made_by",
                            json_text(buffer->maker->name), "last_used_by", json_text(buffer->last->name), "from",
                            (json_int_t)buffer->maker->order, "until", (json_int_t)buffer->last->order));
    }
    return list;
}

static json_t *json_inductor(struct tool *tool, const struct plan_command *options) {
    if (!options->compiled) return json_null();
    const struct inductor_memory *inductor = &options->inductor;
    return json_pack("{s:I, s:I, s:I, s:o}", "allocations", (json_int_t)inductor->allocations, "unknown",
                     (json_int_t)inductor->unknown, "reuses", (json_int_t)inductor->reuses, "bytes",
                     json_expression(tool->arena, inductor->bytes));
}

static json_t *json_plan(struct tool *tool, const struct plan_command *options) {
    const struct plan *plan = &options->plan;
    json_t *counts = json_object();
    for (enum buffer_kind kind = 0; kind < buffer_kind_count; kind++)
        json_object_set_new(counts, buffer_kind_name(kind), json_integer((json_int_t)count_kind(plan, kind)));
    return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "buffers", json_buffers(tool, plan), "counts", counts,
                     "align", (json_int_t)plan->alignment, "sum", json_expression(tool->arena, plan->sum), "peak",
                     json_expression(tool->arena, plan->peak), "live", json_expression(tool->arena, plan->live),
                     "inductor", json_inductor(tool, options));
}

regraft_status command_plan(struct tool *tool, int argc, char **argv) {
    struct plan_command options = {0};
    struct builder out;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    TRY(make_plan(tool, &options));
    builder_init(&out, tool->arena);
    if (options.input.format == format_json)
        json_print(&out, json_plan(tool, &options));
    else
        print_text(tool, &out, &options);
    return output_write(NULL, builder_text(&out));
}
