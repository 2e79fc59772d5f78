/* Contexts and graphs. Standard input is read once and kept, for commands that look at it more than once. */
#include <errno.h>
#include <stdlib.h>

#include "tool/internals.h"

static void *allocate_or_exit(void *user, size_t size) {
    void *memory = malloc(size);
    (void)user;
    if (!memory) exit((int)tool_error(REGRAFT_NO_MEMORY, "out of memory"));
    return memory;
}

static void release(void *user, void *memory, size_t size) {
    (void)user;
    (void)size;
    free(memory);
}

const regraft_allocator tool_allocator = {allocate_or_exit, release, NULL};

static bool read_stream(struct builder *out, FILE *stream) {
    char chunk[16 * 1024];
    size_t count;
    while ((count = fread(chunk, 1, sizeof chunk, stream)) > 0) builder_add(out, (struct text){chunk, count});
    return !ferror(stream);
}

static regraft_status read_file(struct tool *tool, const char *path, struct text *contents) {
    struct builder out;
    FILE *stream = fopen(path, "rbe");
    if (!stream) return tool_error(REGRAFT_REJECTED, "cannot read '%s': %s", path, strerror(errno));
    builder_init(&out, tool->arena);
    bool read = read_stream(&out, stream);
    int cause = errno;
    fclose(stream);
    if (!read) return tool_error(REGRAFT_REJECTED, "cannot read '%s': %s", path, strerror(cause));
    *contents = builder_text(&out);
    return REGRAFT_OK;
}

static bool is_standard_input(const char *path) { return strcmp(path, "-") == 0; }

static regraft_status read_standard_input(struct tool *tool) {
    struct builder out;
    if (tool->standard_input.data) return REGRAFT_OK;
    builder_init(&out, tool->arena);
    if (!read_stream(&out, stdin))
        return tool_error(REGRAFT_REJECTED, "cannot read standard input: %s", strerror(errno));
    tool->standard_input = builder_text(&out);
    return REGRAFT_OK;
}

regraft_status tool_report(const struct tool *tool, regraft_status status) {
    if (status != REGRAFT_OK) fputs(regraft_message(tool->context), stderr);
    return status;
}

static regraft_status add_operations(struct tool *tool, const char *path) {
    struct text schemas = {0};
    TRY(read_file(tool, path, &schemas));
    return tool_report(tool, regraft_operations_add(tool->context, path, schemas.data, schemas.length));
}

static regraft_status add_rules(struct tool *tool, const char *path) {
    struct text rules = {0};
    TRY(read_file(tool, path, &rules));
    return tool_report(tool, regraft_rules_add(tool->context, path, rules.data ? rules.data : "", rules.length));
}

static regraft_status configure_rules(struct tool *tool, const char *path) {
    struct text lines = {0};
    TRY(read_file(tool, path, &lines));
    return tool_report(tool, regraft_rules_configure(tool->context, path, lines.data ? lines.data : "", lines.length));
}

void tool_warn(const regraft_graph *graph) {
    for (size_t i = 0; i < regraft_graph_warning_count(graph); i++)
        fprintf(stderr, "regraft: warning: %s\n", regraft_graph_warning(graph, i));
}

regraft_status tool_open(struct tool *tool, const struct input_options *options) {
    TRY(regraft_context_create(&tool_allocator, &tool->context));
    if (options->operations) TRY(add_operations(tool, options->operations));
    for (size_t i = 0; options->contracts[i]; i++)
        TRY(tool_report(tool, regraft_contract_add(tool->context, options->contracts[i])));
    for (size_t i = 0; options->rules[i]; i++) TRY(add_rules(tool, options->rules[i]));
    if (options->rule_config) TRY(configure_rules(tool, options->rule_config));
    return REGRAFT_OK;
}

regraft_status tool_read_graph(struct tool *tool, const struct input_options *options, const char *path,
                               regraft_graph **graph) {
    regraft_read_options read = REGRAFT_READ_OPTIONS_INIT;
    read.graph = options->graph;
    read.stage = options->stage;
    if (!is_standard_input(path)) return tool_report(tool, regraft_graph_read(tool->context, path, &read, graph));
    TRY(read_standard_input(tool));
    return tool_report(tool, regraft_graph_read_memory(tool->context, "<stdin>", tool->standard_input.data,
                                                       tool->standard_input.length, &read, graph));
}

regraft_status tool_run_passes(struct tool *tool, const struct input_options *options, const char *otherwise,
                               regraft_graph *graph) {
    const char *pipeline = options->pipeline ? options->pipeline : otherwise;
    TRY(tool_report(tool, regraft_graph_run(graph, pipeline, NULL)));
    tool_warn(graph);
    return REGRAFT_OK;
}

regraft_status tool_placed_graph(struct tool *tool, const struct input_options *options, regraft_graph **graph) {
    TRY(tool_open(tool, options));
    TRY(tool_read_graph(tool, options, options->path, graph));
    return tool_run_passes(tool, options, "default,place,dce", *graph);
}

regraft_status tool_read_container(struct tool *tool, const char *path, struct file **file) {
    struct context *context = tool_context(tool);
    if (!is_standard_input(path)) return tool_report(tool, file_read(context, path, file));
    TRY(read_standard_input(tool));
    return tool_report(tool, file_read_memory(context, "<stdin>", tool->standard_input, file));
}

/* The public types are the internal ones under other names. */
struct context *tool_context(const struct tool *tool) {
    return (struct context *)tool->context;
}

struct graph *tool_graph(regraft_graph *graph) {
    return (struct graph *)graph;
}
