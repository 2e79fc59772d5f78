/* regraft: the command-line tool. */
#include <signal.h>
#include <stdlib.h>

#include "tool/tool.h"

static const struct command commands[] = {
    {"opt", "run passes over a graph and print it", command_opt},
    {"run", "run a graph in the reference interpreter, and compare", command_run},
    {"check", "compare what two graphs compute", command_check},
    {"audit", "list the copies that Inductor made, from its output code", command_audit},
    {"explain", "list the copies that stay when a graph is placed, and why", command_explain},
    {"reduce", "make a graph smaller as long as it shows the same failure", command_reduce},
    {"plan", "lay out the buffers of a placed graph in one arena", command_plan},
    {"why", "say where each rule fired, and why not elsewhere", command_why},
    {"rules", "list the rules", command_rules},
    {"list", "list the graphs of a text or trace log", command_list},
    {"passes", "list the passes", command_passes},
    {"ops", "list the operations", command_ops},
};
enum { command_count = sizeof commands / sizeof *commands };

static void print_help(FILE *stream) {
    fputs("Usage: regraft COMMAND [ARGUMENT...]\n"
          "Reads graphs as PyTorch prints them, and makes in-place operations in place again where that is legal.\n\n"
          "Commands:\n",
          stream);
    for (size_t i = 0; i < command_count; i++) fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\nOptions:\n"
          "  --help      this list; regraft COMMAND --help tells about a command\n"
          "  --version   the version\n\n"
          "Exit codes: 0 good, 1 a comparison failed, 2 wrong usage, 3 input refused, 4 not supported,\n"
          "69 out of memory, 70 a fault of regraft itself.\n",
          stream);
}

static const char *command_name(const void *table, size_t index) {
    (void)table;
    return index < command_count ? commands[index].name : NULL;
}

static regraft_status unknown_command(const char *word) {
    const char *nearest = text_nearest(text_of(word), command_name, NULL);
    if (nearest) return tool_error(REGRAFT_USAGE, "unknown command '%s'; did you mean '%s'?", word, nearest);
    return tool_error(REGRAFT_USAGE, "unknown command '%s'; 'regraft --help' lists them", word);
}

static regraft_status run_command(const struct command *command, int argc, char **argv) {
    struct tool tool = {.arena = arena_create(&tool_allocator)};
    struct arena_guard guard;
    char name[32];
    /* Absurd sizes unwind without asking the allocator; the process ends, and its memory with it. */
    if (arena_guarded(tool.arena, &guard)) return tool_error(REGRAFT_NO_MEMORY, "out of memory");
    snprintf(name, sizeof name, "regraft %s", command->name);
    argv[0] = name; /* argp names the program after it */
    regraft_status status = command->run(&tool, argc, argv);
    arena_unguard(tool.arena, &guard);
    if (tool.context) regraft_context_destroy(tool.context);
    arena_destroy(tool.arena);
    return status;
}

static void *allocate_json(size_t size) { return tool_allocator.allocate(NULL, size); }

int main(int argc, char **argv) {
    json_set_alloc_funcs(allocate_json, free);
    argp_err_exit_status = REGRAFT_USAGE;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error like any other, and reported */
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return (int)output_write(NULL, TEXT(""));
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("regraft %s\n", regraft_version());
        return (int)output_write(NULL, TEXT(""));
    }
    if (!*word) {
        print_help(stderr);
        return REGRAFT_USAGE;
    }
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(word, commands[i].name) == 0) return (int)run_command(&commands[i], argc - 1, argv + 1);
    return (int)unknown_command(word);
}
