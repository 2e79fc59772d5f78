/* What a graph shows: the failure of a pass, a difference, or what a command of the user finds. */
#include "tool/reduce.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/verdict.h"

/* ---- passes ---- */

static regraft_status read_text(const struct tool *tool, struct text text, regraft_graph **graph) {
    return regraft_graph_read_memory(tool->context, "<candidate>", text.data, text.length, NULL, graph);
}

static struct failure of_kind(enum failure_kind kind) { return (struct failure){.kind = kind}; }

/* The result cannot be run: a failure when the graph itself can. */
static struct failure observe_run(const struct tool *tool, struct graph *graph, struct builder *report) {
    struct check_options once = {.trials = 1};
    struct verdict verdict = {0};
    const char *message = regraft_message(tool->context);
    if (report) builder_string(report, message);
    diagnostics_clear(&tool_context(tool)->diagnostics);
    return of_kind(verdict_try(&verdict, graph, graph, once, tool->arena) == REGRAFT_OK ? failure_run : failure_none);
}

static struct failure observe_values(const struct reduce_options *options, const struct tool *tool, struct graph *graph,
                                     struct graph *result, struct builder *report) {
    struct verdict verdict;
    if (verdict_reach(&verdict, graph, result, tool->arena) != REGRAFT_OK) return observe_run(tool, graph, report);
    if (report) verdict_print(report, &verdict, false);
    if (!verdict_is_equal(&verdict)) return of_kind(failure_different);
    return of_kind(options->unproved && !verdict.proof.proved ? failure_unproved : failure_none);
}

static struct failure observe_pipelines(const struct reduce_options *options, const struct tool *tool, struct text text,
                                        struct builder *report) {
    regraft_graph *graph, *result;
    if (read_text(tool, text, &graph) != REGRAFT_OK || read_text(tool, text, &result) != REGRAFT_OK ||
        regraft_graph_run(graph, options->against ? options->against : "", NULL) != REGRAFT_OK) {
        if (report) builder_string(report, regraft_message(tool->context));
        return of_kind(failure_none);
    }
    regraft_status status = regraft_graph_run(result, options->input.pipeline, NULL);
    if (status == REGRAFT_OK) return observe_values(options, tool, tool_graph(graph), tool_graph(result), report);
    if (report) builder_string(report, regraft_message(tool->context));
    return (struct failure){status == REGRAFT_USAGE ? failure_none : failure_pass, status};
}

/* ---- a command ---- */

/* The command with the file behind it, as the shell takes it; its output is nobody's. -1: it could not be started. */
static int run_command(const struct tool *tool, const char *command, const char *path) {
    char shell[] = "sh", option[] = "-c", *line, *file;
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1;
    line = arena_copy(tool->arena, text_format(tool->arena, "%s \"$0\"", command), strlen(command) + 6);
    file = arena_copy(tool->arena, path, strlen(path) + 1);
    char *const arguments[] = {shell, option, line, file, NULL};
    if (posix_spawn_file_actions_init(&actions) != 0) return -1;
    bool ready = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
                 posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO) == 0;
    if (ready && posix_spawnp(&child, shell, &actions, NULL, arguments, environ) == 0)
        if (waitpid(child, &status, 0) != child) status = -1;
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

static struct failure observe_command(const struct reduce_options *options, const struct tool *tool, struct text text,
                                      struct builder *report) {
    char folder[PATH_MAX];
    const char *temporary = getenv("TMPDIR");
    if (!temporary) temporary = "/tmp";
    int length = snprintf(folder, sizeof folder, "%s/regraft-reduce-XXXXXX", temporary);
    if (length < 0 || (size_t)length >= sizeof folder || !mkdtemp(folder))
        return (struct failure){failure_none,
                                tool_error(REGRAFT_REJECTED, "cannot make a folder for candidates in '%s': %s",
                                           temporary, strerror(errno))};
    const char *path = text_format(tool->arena, "%s/graph.txt", folder);
    regraft_status written = output_write(path, text);
    int status = written == REGRAFT_OK ? run_command(tool, options->test, path) : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    unlink(path);
    rmdir(folder);
    if (written != REGRAFT_OK) return (struct failure){failure_none, written};
    if (status == -1 || code == 126 || code == 127) { /* what the shell answers for a command that it cannot run */
        if (report) builder_format(report, "regraft: error: --test: cannot run '%s'\n", options->test);
        return (struct failure){failure_none, REGRAFT_USAGE};
    }
    if (report && code < 0) builder_string(report, "the command ends by a signal, not with 0\n");
    if (report && code >= 0) builder_format(report, "the command ends with %d%s\n", code, code ? ", not with 0" : "");
    return of_kind(code == 0 ? failure_command : failure_none);
}

struct failure reduce_observe(const struct reduce_options *options, struct text text, struct builder *report) {
    struct tool tool = {.arena = arena_create(&tool_allocator)};
    struct failure failure = {failure_none, REGRAFT_OK};
    if (tool_open(&tool, &options->input) == REGRAFT_OK)
        failure = options->test ? observe_command(options, &tool, text, report)
                                : observe_pipelines(options, &tool, text, report);
    if (tool.context) regraft_context_destroy(tool.context);
    arena_destroy(tool.arena);
    return failure;
}
