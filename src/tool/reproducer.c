/* The reproducer: the smallest input that shows a failed pass again.
 *
 * Nothing is kept during a good run. After a failure the graph is read again and all passes before the failed one run
 * again; they are deterministic, so the graph is what it was. */
#include "pass/pass.h"
#include "tool/opt.h"

struct text opt_pipeline(const struct opt_record *record) {
    const char *pipeline = record->options->input.pipeline;
    return text_of(pipeline_expand(record->tool->arena, pipeline ? pipeline : "default"));
}

/* Every line of the message as a comment. */
static void add_comment(struct builder *out, const char *message) {
    for (const char *line = message; *line;) {
        size_t length = strcspn(line, "\n");
        builder_format(out, "#   %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static regraft_status replay(const struct opt_record *record, int index, const char **text) {
    regraft_run_options run = REGRAFT_RUN_OPTIONS_INIT;
    struct tool tool = {.arena = record->tool->arena, .standard_input = record->tool->standard_input};
    regraft_graph *graph;
    run.bisect_limit = (long)record->passes.count - 1;
    run.verify = 0;
    regraft_status status = tool_open(&tool, &record->options->input);
    if (status == REGRAFT_OK) status = opt_read(&tool, record->options, index, &graph);
    if (status == REGRAFT_OK) status = regraft_graph_run(graph, record->options->input.pipeline, &run);
    if (status == REGRAFT_OK) *text = text_string(tool.arena, text_of(regraft_graph_print(graph)));
    if (tool.context) regraft_context_destroy(tool.context);
    return status;
}

void opt_write_reproducer(const struct opt_record *record, int index, const char *message) {
    const struct opt_options *options = record->options;
    struct text failed = pipeline_part(opt_pipeline(record), record->passes.count - 1);
    const char *text;
    struct builder out;
    if (replay(record, index, &text) != REGRAFT_OK) {
        fputs("regraft: note: no reproducer: the passes before the failed one do not run again\n", stderr);
        return;
    }
    builder_init(&out, record->tool->arena);
    builder_format(&out, "# regraft %s failed in the pass %.*s:\n", regraft_version(), TEXT_ARGS(failed));
    add_comment(&out, message);
    builder_format(&out, "# regraft opt %s -p '%.*s'%s\n%s", options->reproducer, TEXT_ARGS(failed),
                   options->check_each ? " --verify-each=check" : "", text);
    if (output_write(options->reproducer, builder_text(&out)) == REGRAFT_OK)
        fprintf(stderr, "regraft: note: reproducer written to '%s'\n", options->reproducer);
}
