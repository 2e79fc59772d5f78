/* regraft: the public interface.
 *
 * A program creates a context, reads a graph (FX text or a trace log), runs a pipeline of passes over it, asks what
 * changed and why, and prints the result. Everything that is read or made lives in the context and dies with it.
 *
 *     regraft_context *context;
 *     regraft_graph *graph;
 *     regraft_context_create(NULL, &context);
 *     if (regraft_graph_read(context, "graph.txt", NULL, &graph) == REGRAFT_OK &&
 *         regraft_graph_run(graph, NULL, NULL) == REGRAFT_OK)
 *         fputs(regraft_graph_print(graph), stdout);
 *     else
 *         fputs(regraft_message(context), stderr);
 *     regraft_context_destroy(context);
 *
 * Threads: a context and all that came from it belong to one thread at a time; two contexts share nothing.
 * Strings that are returned are UTF-8, end in a zero byte and live as long as the context, unless stated otherwise.
 * The library never prints, exits or aborts.
 */
#ifndef REGRAFT_REGRAFT_H
#define REGRAFT_REGRAFT_H

#include <stddef.h>
#include <stdint.h>

#include "regraft/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REGRAFT_VERSION_MAJOR 0
#define REGRAFT_VERSION_MINOR 1
#define REGRAFT_VERSION_PATCH 0

/* Where memory comes from. `allocate` returns `size` bytes aligned for any type, or NULL; `release` gets the size back. */
typedef struct regraft_allocator {
    void *(*allocate)(void *user, size_t size);
    void (*release)(void *user, void *memory, size_t size);
    void *user;
} regraft_allocator;

typedef struct regraft_context regraft_context;
typedef struct regraft_graph regraft_graph;
typedef struct regraft_node regraft_node;

REGRAFT_API const char *regraft_version(void);

/* Makes a context. `allocator` may be NULL: malloc and free. The caller owns it: regraft_context_destroy. */
REGRAFT_API regraft_status regraft_context_create(const regraft_allocator *allocator, regraft_context **context);
REGRAFT_API void regraft_context_destroy(regraft_context *context);

/* The message of the last call that did not return REGRAFT_OK, as compilers print it: `FILE:LINE:COLUMN: error: ...`,
 * the source line, a caret, notes. "" when there was none. */
REGRAFT_API const char *regraft_message(const regraft_context *context);

/* Adds operations to the context's table, one PyTorch schema a line (docs/command-line.md, `--ops`). `name` is for messages. */
REGRAFT_API regraft_status regraft_operations_add(regraft_context *context, const char *name, const char *text,
                                                  size_t length);

/* Says what an operation is owed for an argument, `vllm::unified_mla_attention_with_output.k_pe=contiguous`, or for all
 * tensors that it is given, `vllm::op.*=as-traced`; a text graph does not show it. The pass `place` copies where a contract is
 * not met. A later contract takes the place of an earlier one, also of those of the built-in table. Kinds:
 *   any, flexible_layout  any strides (what an operation without contract takes)
 *   last-dim-dense        a last dimension of stride 1
 *   contiguous            row-major, without gaps
 *   as-traced             the strides that the argument of each call had before the first pass ran
 *   as-traced[8, 8, 1]    these strides, in elements: expressions in the symbols of the graph
 *   elsewhere, in-place   whether what the operation writes to the argument may be written to other memory instead, beside
 *                         one of the others; for operations that have such a form (docs/memory.md)
 * REGRAFT_USAGE when there is no such operation, argument, kind or form. */
REGRAFT_API regraft_status regraft_contract_add(regraft_context *context, const char *contract);

/* Adds rules (docs/rules.md) to those that are part of the library. `name` is for messages. */
REGRAFT_API regraft_status regraft_rules_add(regraft_context *context, const char *name, const char *text,
                                             size_t length);

/* Says which rules are on, off or automatic: `RULE on|off|auto [platform=NAME] [tokens=RANGE]`, a line each. */
REGRAFT_API regraft_status regraft_rules_configure(regraft_context *context, const char *name, const char *text,
                                                   size_t length);

/* ---- reading and printing ---- */

/* What to take out of a file that holds more than one graph. Fill with REGRAFT_READ_OPTIONS_INIT first. */
typedef struct regraft_read_options {
    size_t struct_size;
    int graph;         /* which graph of the file, from 0; -1: the first */
    const char *stage; /* which stage of a trace log; NULL: the last one that is still functional */
} regraft_read_options;
#define REGRAFT_READ_OPTIONS_INIT                                                                                      \
    { sizeof(regraft_read_options), -1, NULL }

/* Reads a graph from a file ("-": standard input), plain or gzip, FX text or trace log. `options` may be NULL. */
REGRAFT_API regraft_status regraft_graph_read(regraft_context *context, const char *path,
                                              const regraft_read_options *options, regraft_graph **graph);
/* The same from memory; the bytes are copied. `name` is for messages. */
REGRAFT_API regraft_status regraft_graph_read_memory(regraft_context *context, const char *name, const char *bytes,
                                                     size_t length, const regraft_read_options *options,
                                                     regraft_graph **graph);
/* The graph as FX text. An unchanged graph gives the text that was read. NULL when out of memory. */
REGRAFT_API const char *regraft_graph_print(regraft_graph *graph);

/* ---- passes ---- */

typedef struct regraft_run_options {
    size_t struct_size;
    long bisect_limit; /* run only this many passes; -1: all */
    int verify;        /* run the verifier after each pass (1, the default) or not (0) */
    /* Called before (`after` 0) and after (1) each pass, when not NULL; `seconds` is 0 before. Anything but REGRAFT_OK ends
     * the run with that status. */
    regraft_status (*observe)(void *user, regraft_graph *graph, const char *pass, int after, double seconds);
    void *user;
} regraft_run_options;
#define REGRAFT_RUN_OPTIONS_INIT                                                                                       \
    { sizeof(regraft_run_options), -1, 1, NULL, NULL }

/* Runs a pipeline ("noop-elim,cse,dce"; NULL: the default functional one; "": nothing). `options` may be NULL.
 * On failure the graph is in an undefined state and must not be used further. */
REGRAFT_API regraft_status regraft_graph_run(regraft_graph *graph, const char *pipeline,
                                             const regraft_run_options *options);
REGRAFT_API const char *regraft_default_pipeline(void);

/* Checks the rules of the graph's stage. REGRAFT_REJECTED with a message when one does not hold. */
REGRAFT_API regraft_status regraft_graph_verify(regraft_graph *graph);

/* What the passes did, in order: one line a rewrite (or a rewrite that was refused), with the facts that it rests on. */
typedef struct regraft_remark {
    const char *pass;
    const char *node;   /* the name of the node, as printed */
    const char *source; /* "FILE:LINE" of the model, or "" */
    const char *text;   /* what was done and why it is legal, or why it was not done */
    int applied;        /* 1: the graph was changed; 0: it was not */
} regraft_remark;
REGRAFT_API size_t regraft_graph_remark_count(const regraft_graph *graph);
REGRAFT_API regraft_remark regraft_graph_remark(const regraft_graph *graph, size_t index);

/* What the passes want to be seen: a rule that was asked for by name and fired nowhere, with its reasons. */
REGRAFT_API size_t regraft_graph_warning_count(const regraft_graph *graph);
REGRAFT_API const char *regraft_graph_warning(const regraft_graph *graph, size_t index);

/* What became of the rules in the pass `fuse` (docs/rules.md), in the words of `regraft why`. Fusions are always recorded; the
 * rest is when regraft_graph_explain_fusions was called before regraft_graph_run. */
typedef struct regraft_fusion {
    const char *rule;
    const char *outcome; /* "fired"; "beaten" by a rule that saves more; "missed"; "off" */
    const char *anchor;  /* the name of the call where the rule was tried; "" for a rule that is off */
    const char *node;    /* that the reason is about */
    const char *source;  /* "FILE:LINE" of the model, or "" */
    const char *text;    /* what was called; why it was missed, with the values; why the rule is off */
    const char *remedy;  /* what would make it fire, or "" */
    int near;            /* 0: little of the rule was found there, or another rule fired on the call */
} regraft_fusion;
REGRAFT_API void regraft_graph_explain_fusions(regraft_graph *graph);
REGRAFT_API size_t regraft_graph_fusion_count(const regraft_graph *graph);
REGRAFT_API regraft_fusion regraft_graph_fusion(const regraft_graph *graph, size_t index);

/* Whether two graphs of one context compute the same for all inputs (`regraft check --prove`, docs/command-line.md). */
typedef struct regraft_rounded_calls {
    const char *operation; /* "_C.rms_norm.default" */
    size_t calls;
} regraft_rounded_calls;
typedef struct regraft_verdict {
    int proved;                           /* equal: to the bit when rounded_count is 0, */
    const regraft_rounded_calls *rounded; /* else but for the rounding of these calls, which stand in one graph only */
    size_t rounded_count;
    const char *result;         /* the first result that could not be proved: "out0", "input kv_cache"; "" for all */
    const char *reason;         /* why; "" when proved */
    const char *first, *second; /* the names of the nodes where the graphs begin to differ; "" when there are none */
} regraft_verdict;
/* The texts live as long as the context. */
REGRAFT_API regraft_status regraft_graph_prove(regraft_graph *before, regraft_graph *after, regraft_verdict *verdict);

/* The copies that a placed graph contains (pass `place`), in program order. */
typedef struct regraft_copy {
    const char *node;   /* the name of the call that copies, as printed */
    const char *bytes;  /* how many it writes: a number, an expression in the graph's symbols, or "unknown" */
    const char *place;  /* what is copied: the value's name, its type, the buffer that it lies in */
    const char *source; /* "FILE:LINE" of the model, or "" */
    const char *why;    /* the later reader, the contract, the caller's tensor */
    const char *remedy; /* what would make it unnecessary */
    int own;            /* 1: the model itself asks for it, a change of layout */
    int inlined;        /* 1: computed element by element for this copy alone: Inductor computes it in its place */
} regraft_copy;
REGRAFT_API size_t regraft_graph_copy_count(const regraft_graph *graph);
REGRAFT_API regraft_copy regraft_graph_copy(const regraft_graph *graph, size_t index);

/* ---- walking ---- */

REGRAFT_API size_t regraft_graph_node_count(const regraft_graph *graph);
REGRAFT_API const regraft_node *regraft_graph_first(const regraft_graph *graph); /* in program order; NULL at the end */
REGRAFT_API const regraft_node *regraft_node_next(const regraft_node *node);
REGRAFT_API const char *regraft_node_name(const regraft_node *node);
REGRAFT_API const char *
regraft_node_target(const regraft_node *node); /* "aten.slice.Tensor", "getitem", "placeholder", "output", ... */
REGRAFT_API size_t regraft_node_user_count(const regraft_node *node);

/* What this one call is owed, whatever its operation is: `k_pe=as-traced[8*s77, 8, 1]`, kinds as for regraft_contract_add. For
 * graphs of a program that knows the tags of its operations and the strides that each call was traced with; before
 * regraft_graph_run. REGRAFT_USAGE when the node is no call of a known operation, or has no such argument. */
REGRAFT_API regraft_status regraft_graph_contract_add(regraft_graph *graph, const regraft_node *call,
                                                      const char *contract);

/* ---- tables: NULL after the last row ---- */

REGRAFT_API const char *regraft_pass_name(size_t index);
REGRAFT_API const char *regraft_pass_summary(size_t index);
/* What a pipeline can say in braces behind the pass, `NAME=FORM NAME=FORM` (docs/command-line.md); "" for nothing. */
REGRAFT_API const char *regraft_pass_parameters(size_t index);
REGRAFT_API const char *regraft_operation_schema(const regraft_context *context, size_t index);
REGRAFT_API const char *regraft_operation_class(const regraft_context *context, size_t index);
/* The operations that rules of the stage `fuse` call, "vllm.fused_rope_and_unified_kv_cache_update.default", each once, also
 * those of the namespace regraft that may stand for one; NULL as well when a rule cannot be read. Operations that are made
 * known afterwards (regraft_live_operation, regraft_operations_add) are not those that the rules of this context mean. */
REGRAFT_API const char *regraft_rule_operation(regraft_context *context, size_t index);

#ifdef __cplusplus
}
#endif
#endif
