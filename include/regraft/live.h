/* Graphs that are not text: a compiler's own graph goes in node by node, and the changes come back node by node.
 *
 * Texts, symbolic expressions, types and operations are handed over once; each gets a number, and nodes and arguments are
 * made of these numbers. Nodes, values and edits are made of int64_t alone, so that a binding can fill arrays of them from
 * any language without a compiler.
 *
 *     regraft_live *live;
 *     int64_t first, type;
 *     regraft_live_create(context, &live);
 *     regraft_live_strings(live, "x\0placeholder", 14, &first);
 *     regraft_live_tensor(live, "bfloat16", "cpu", 2, sizes, strides, &type);
 *     ...
 *     regraft_live_graph(live, nodes, node_count, values, value_count, &before);
 *     regraft_live_graph(live, nodes, node_count, values, value_count, &after);
 *     regraft_graph_run(after, "noop-elim,cse,...,place,dce", NULL);
 *     regraft_live_prove(before, after, &proof);
 *     if (proof.proved) regraft_live_edits(live, after, &edits);
 *
 * A regraft_live and all its numbers belong to its context and die with it. All functions that return a regraft_status leave
 * a message with regraft_message(context) when that is not REGRAFT_OK. */
#ifndef REGRAFT_LIVE_H
#define REGRAFT_LIVE_H

#include "regraft/regraft.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when something in this header changes its meaning or its layout. */
#define REGRAFT_LIVE_INTERFACE 1
REGRAFT_API int regraft_live_interface(void);

typedef struct regraft_live regraft_live;
REGRAFT_API regraft_status regraft_live_create(regraft_context *context, regraft_live **live);

/* ---- texts, expressions, types ---- */

/* Adds texts, each ends in a zero byte; the first gets the number *first, the others those behind it. Numbers start at 0
 * and have no gaps, so a binding can number its texts itself and hand them over at once. The bytes are copied. */
REGRAFT_API regraft_status regraft_live_strings(regraft_live *live, const char *bytes, size_t length, int64_t *first);
/* How many there are, and the text of one; ends in a zero byte. NULL when there is no such number. */
REGRAFT_API size_t regraft_live_string_count(const regraft_live *live);
REGRAFT_API const char *regraft_live_string_text(const regraft_live *live, int64_t number);

/* A symbolic integer as sympy prints it: "4*s72 + 1", "((s3 + 8)//9)". Equal expressions have equal numbers. */
REGRAFT_API regraft_status regraft_live_expression(regraft_live *live, const char *bytes, size_t length,
                                                   int64_t *number);
/* The same the other way; NULL when there is no such number. */
REGRAFT_API const char *regraft_live_expression_text(regraft_live *live, int64_t number);
/* What is known about the symbol `name` ("u0"): it lies in [least, most]; INT64_MIN, INT64_MAX: open. Symbols that start
 * with s are at least 0 without that. */
REGRAFT_API regraft_status regraft_live_range(regraft_live *live, const char *name, int64_t least, int64_t most);

/* A size, stride or offset, in elements: a number from 0 on, or an expression, written ~NUMBER (which is negative). */
typedef int64_t regraft_dimension;

enum { /* the types without parts */
       REGRAFT_TYPE_UNKNOWN = 0,
       REGRAFT_TYPE_NONE = 1,   /* Python's None */
       REGRAFT_TYPE_OBJECT = 2, /* anything that is no tensor, number or list of these */
       REGRAFT_TYPE_FIRST = 3
};
/* `dtype` is a name of PyTorch's, "bfloat16"; one that regraft does not know gives REGRAFT_TYPE_UNKNOWN. `device` is
 * "cuda:0". `strides` may be NULL: not known. */
REGRAFT_API regraft_status regraft_live_tensor(regraft_live *live, const char *dtype, const char *device, size_t rank,
                                               const regraft_dimension *sizes, const regraft_dimension *strides,
                                               int64_t *type);
/* A symbolic integer, `Sym(s72)`. */
REGRAFT_API regraft_status regraft_live_integer(regraft_live *live, regraft_dimension value, int64_t *type);
/* The result of a call with several results, or a list of tensors. */
REGRAFT_API regraft_status regraft_live_tuple(regraft_live *live, size_t count, const int64_t *items, int64_t *type);
/* 1: two types are the same for all values of the symbols; 0: they are not, or it cannot be told. */
REGRAFT_API int regraft_live_same_type(regraft_live *live, int64_t a, int64_t b);

/* ---- operations ---- */

/* Makes an operation of torch.ops known by its live schema. Where the built-in table has it with the same schema, but for
 * further arguments with defaults at the end, what the table knows of it holds; otherwise only the schema does. `stateless`:
 * its results depend on its arguments alone, as those of ATen's operations that draw no random numbers do; without it a
 * call of an operation that the table does not know stays where it is and is made once. */
REGRAFT_API regraft_status regraft_live_operation(regraft_live *live, const char *schema, size_t length, int stateless);

/* Functionalised calls of an operation, "_C.rotary_embedding.default", keep writing to copies, with the strides that they were
 * given: its kernel is known to touch more than its schema says. `why` is the reason that the report gives for the copies. */
REGRAFT_API regraft_status regraft_live_keep_copies(regraft_live *live, const char *operation, const char *why);

/* No rule (docs/rules.md) puts a call of the operation into a graph: it is not registered here, or its kernel is not made for
 * what is there. Where there is one of the same name and schema in the namespace regraft that may be called, that takes its
 * place; else the rule does not fire, and `why` is the reason that the report gives. regraft_rule_operation lists those that
 * rules call. Before regraft_graph_run. */
REGRAFT_API regraft_status regraft_live_unavailable(regraft_live *live, const char *operation, const char *why);

/* ---- graphs ---- */

enum regraft_value_kind {
    REGRAFT_VALUE_NONE,
    REGRAFT_VALUE_BOOL,       /* content: 0 or 1 */
    REGRAFT_VALUE_INTEGER,    /* the number */
    REGRAFT_VALUE_FLOAT,      /* the bits of the double */
    REGRAFT_VALUE_STRING,     /* a text */
    REGRAFT_VALUE_NODE,       /* the place of another node among the nodes, from 0 */
    REGRAFT_VALUE_EXPRESSION, /* a symbolic integer that is no node: an expression */
    REGRAFT_VALUE_DTYPE,      /* a text: "bfloat16" */
    REGRAFT_VALUE_DEVICE,     /* a text: "cuda:0" */
    REGRAFT_VALUE_LIST,       /* how many items; they follow, each with its own items behind it */
    REGRAFT_VALUE_TUPLE,
    REGRAFT_VALUE_DICTIONARY, /* the items have their keys as keywords, as Python prints them: 'x' with its quotes */
    REGRAFT_VALUE_SLICE,      /* three items: start, stop, step */
    REGRAFT_VALUE_OPERATOR,   /* an operation as an argument, a text: "_C.rotary_embedding.default" */
    REGRAFT_VALUE_NAME        /* anything else, a text that no other thing has: "torch.strided", "object 3" */
};
typedef struct regraft_value {
    int64_t kind;
    int64_t keyword; /* a text; -1 for an argument by position or an item of a list */
    int64_t content;
} regraft_value;

enum regraft_node_kind {
    REGRAFT_NODE_PLACEHOLDER,
    REGRAFT_NODE_CALL, /* torch.ops.TARGET(...), target "aten.slice.Tensor", "higher_order.auto_functionalized_v2" */
    REGRAFT_NODE_FUNCTION,  /* any other function, target as it is printed: "torch.sym_max" */
    REGRAFT_NODE_GETITEM,   /* x[i], values x and a plain i */
    REGRAFT_NODE_OPERATOR,  /* Python's, target "+", "//", "neg", "getitem" for an index that is no plain number, ... */
    REGRAFT_NODE_METHOD,    /* x.TARGET(...), x is the first value */
    REGRAFT_NODE_ATTRIBUTE, /* self.TARGET */
    REGRAFT_NODE_OUTPUT     /* the last one, with one value */
};
typedef struct regraft_live_node {
    int64_t kind;
    int64_t name;    /* a text; it need not be free */
    int64_t target;  /* a text */
    int64_t type;    /* of its value */
    int64_t source;  /* a text as torch.fx prints it, "models/defs.py:219 in forward, code: ..."; -1: not known */
    int64_t storage; /* of an input: equal numbers share their memory; -1: not known. Otherwise -1 */
    regraft_dimension offset; /* of an input into its storage */
    int64_t first_value, value_count,
        argument_count; /* where its values begin, how many, how many of them are arguments */
} regraft_live_node;

/* Makes a graph of nodes in program order; values name only nodes before their own. The arrays are not kept. May be called
 * more than once: regraft_live_prove needs the graph as it was and as it is. */
REGRAFT_API regraft_status regraft_live_graph(regraft_live *live, const regraft_live_node *nodes, size_t node_count,
                                              const regraft_value *values, size_t value_count, regraft_graph **graph);

/* A node of the changed graph. */
enum { REGRAFT_EDIT_KEPT, REGRAFT_EDIT_ARGUMENTS, REGRAFT_EDIT_NEW };
typedef struct regraft_edit {
    int64_t edit; /* as it was; with other arguments; not there before */
    int64_t
        handle;   /* its place among the nodes that regraft_live_graph got; of a new one the next number behind those */
    int64_t kind; /* the rest is filled in for all but kept nodes; source is that of the node it stands for */
    int64_t name, target, type, source;
    int64_t first_value, value_count, argument_count; /* in regraft_edits.values; REGRAFT_VALUE_NODE gives handles */
} regraft_edit;
typedef struct regraft_edits {
    const regraft_edit *nodes; /* all nodes in their new order; what is missing is gone */
    size_t node_count;
    const regraft_value *values;
    size_t value_count;
} regraft_edits;
/* What became of a graph that regraft_live_graph made. Lives as long as the context. */
REGRAFT_API regraft_status regraft_live_edits(regraft_live *live, regraft_graph *graph, regraft_edits *edits);

/* ---- proof ---- */

typedef struct regraft_proof {
    int proved;
    const char *result;         /* the first result that could not be proved: "out0", "input kv_cache"; "" for all */
    const char *reason;         /* why; "" when proved */
    const char *first, *second; /* the names of the nodes where the graphs begin to differ; "" when there are none */
} regraft_proof;
/* Whether two graphs of one context compute the same for all inputs, by provenance (docs/memory.md), with no operation taken for
 * how another graph spells it: what regraft_graph_prove may prove beyond that, and but for rounding, is no reason to change a
 * live graph. */
REGRAFT_API regraft_status regraft_live_prove(regraft_graph *before, regraft_graph *after, regraft_proof *proof);

#ifdef __cplusplus
}
#endif
#endif
