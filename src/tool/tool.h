/* What the commands share. A command parses its own arguments and returns the program's exit code. */
#ifndef REGRAFT_TOOL_TOOL_H
#define REGRAFT_TOOL_TOOL_H

#include <argp.h>
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "ir/graph.h"
#include "regraft/regraft.h"

/* One run of the program. */
struct tool {
    struct arena *arena;        /* for the tool's own texts and tables */
    regraft_context *context;   /* after tool_open */
    struct text standard_input; /* what was read from it; data NULL before */
};

struct command {
    const char *name, *summary;
    regraft_status (*run)(struct tool *tool, int argc, char **argv);
};

regraft_status command_opt(struct tool *tool, int argc, char **argv);
regraft_status command_run(struct tool *tool, int argc, char **argv);
regraft_status command_check(struct tool *tool, int argc, char **argv);
regraft_status command_why(struct tool *tool, int argc, char **argv);
regraft_status command_rules(struct tool *tool, int argc, char **argv);
regraft_status command_explain(struct tool *tool, int argc, char **argv);
regraft_status command_audit(struct tool *tool, int argc, char **argv);
regraft_status command_reduce(struct tool *tool, int argc, char **argv);
regraft_status command_plan(struct tool *tool, int argc, char **argv);
regraft_status command_list(struct tool *tool, int argc, char **argv);
regraft_status command_passes(struct tool *tool, int argc, char **argv);
regraft_status command_ops(struct tool *tool, int argc, char **argv);

/* ---- options ---- */

enum format { format_text, format_json };

enum { contract_limit = 64, rule_file_limit = 16 };

/* Options that several commands share. */
struct input_options {
    const char *path;                      /* what the command takes: a graph, a log */
    const char *pipeline;                  /* -p; NULL: not given */
    const char *output;                    /* -o */
    int graph;                             /* --graph; -1: not given */
    const char *stage;                     /* --stage */
    const char *operations;                /* --ops */
    const char *contracts[contract_limit]; /* --contract, in order; NULL after the last */
    const char *rules[rule_file_limit];    /* --rules, in order; NULL after the last */
    const char *rule_config;               /* --rule-config */
    enum format format;                    /* --format */
};
/* The one child of a command's argp: which graph, which operations, which format; the last two; the last. */
extern const struct argp_child graph_options[], operations_options[], format_options[];
/* What a command's parser does with a key that is not its own: hands `options` on to its child, and takes -p, -o and
 * one file, a `noun` (NULL: the command takes none). */
error_t options_parse(int key, char *argument, struct argp_state *state, struct input_options *options,
                      const char *noun);

/* A whole number of an option's argument from `least` on; ends the program with a usage error otherwise. */
long option_number(struct argp_state *state, const char *option, const char *argument, long least);
/* The number of a graph, from 0. */
int option_graph(struct argp_state *state, const char *argument);
/* Appends to a list of an option that may be given several times; NULL stands after the last. A usage error when `size`
 * leaves no room. */
void option_add(struct argp_state *state, const char **list, size_t size, const char *noun, const char *argument);

/* ---- input ---- */

/* Memory for everything in this program: when there is none left, it says so and ends with exit code 69. */
extern const regraft_allocator tool_allocator;

/* Makes the context, with the operations of --ops. */
regraft_status tool_open(struct tool *tool, const struct input_options *options);
/* The graph that the options choose. */
regraft_status tool_read_graph(struct tool *tool, const struct input_options *options, const char *path,
                               regraft_graph **graph);
/* Runs the pipeline of -p, or `otherwise` (NULL: the default one) without it; prints the graph's warnings. */
regraft_status tool_run_passes(struct tool *tool, const struct input_options *options, const char *otherwise,
                               regraft_graph *graph);
/* All at once for what looks at a placed graph: opens, reads, and without -p runs the default pipeline, place and dce. */
regraft_status tool_placed_graph(struct tool *tool, const struct input_options *options, regraft_graph **graph);
/* Prints the graph's warnings on standard error. */
void tool_warn(const regraft_graph *graph);
/* Prints the context's message; returns `status`. */
regraft_status tool_report(const struct tool *tool, regraft_status status);

/* ---- output ---- */

/* Writes a result to a file, which appears whole or not at all, or to standard output (`path` NULL or "-"). */
regraft_status output_write(const char *path, struct text contents);
/* A message on standard error: `regraft: error: ...`; returns `status`. */
regraft_status tool_error(regraft_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rows of cells, printed in columns that line up. */
struct table {
    struct arena *arena;
    size_t columns;
    VECTOR(const char *) cells;
};
void table_init(struct table *table, struct arena *arena, size_t columns);
/* As many strings as the table has columns. */
void table_row(struct table *table, ...);
void table_print(struct builder *out, const struct table *table);

/* A JSON value as text, with a line break at the end; takes the reference. */
void json_print(struct builder *out, json_t *value);
/* A string; what is no UTF-8 is replaced, so that it is never NULL. Whatever comes from a user's file goes through them. */
json_t *json_text(struct text text);
json_t *json_words(const char *words);
/* The expression as text, or null for NULL. */
json_t *json_expression(struct arena *arena, symint value);

#endif
