/* What the parts of the reader of rule files share: sections (read.c), types (read_values.c), graphs (read_graph.c),
 * conditions (read_condition.c). */
#ifndef REGRAFT_RULE_READING_H
#define REGRAFT_RULE_READING_H

#include "fx/reader.h"
#include "rule/rule.h"

struct rule_reader {
    struct reader fx; /* its graph holds the names of the graph that is being read, for `fx` to look up */
    struct rule *rule;
    struct map *attributes;           /* name -> index + 1 */
    struct map *integers, *constants; /* the names of attributes, for `fx` */
    struct map *variables;            /* name -> index + 1, of the graph that is being read */
    VECTOR(size_t) node_variables;    /* by the index of a node of fx.graph: its variable; SIZE_MAX: none */
    unsigned sections;                /* that were read, a bit each */
};

static inline struct cursor *rule_cursor(struct rule_reader *reader) { return &reader->fx.cursor; }

/* ---- read_values.c ---- */

/* `q, k: T[tokens, heads, width][_, _, 1]` or `is_neox: bool`, one line. */
regraft_status read_value_line(struct rule_reader *reader);
/* `T[tokens, heads]`, or several, joined by `or`. */
regraft_status read_tensor_type(struct rule_reader *reader, const struct tensor_pattern **result);
/* The index of an attribute, or SIZE_MAX. */
size_t find_attribute(const struct rule_reader *reader, struct text name);
/* `2*tokens*width` up to the end of `text`, of declared integers only. */
regraft_status read_integer_text(struct rule_reader *reader, struct text text, symint *result);
/* An integer pattern, with its attribute when it is one alone. */
struct pattern pattern_of_integer(const struct rule_reader *reader, symint integer);

/* ---- read_graph.c ---- */

/* Begins a graph: declares the tensors of the rule in it. */
regraft_status start_graph(struct rule_reader *reader, struct rule_graph *graph);
/* One line: `[or] a, b = torch.ops.x.y.z(...)`. */
regraft_status read_statement_line(struct rule_reader *reader, struct rule_graph *graph);
/* Joins the names that both graphs have, finds the anchor and the way from it to the rest. */
regraft_status finish_graphs(struct rule_reader *reader);

/* ---- read_condition.c ---- */

regraft_status read_condition_line(struct rule_reader *reader, bool kernel);
/* `else "what would help"`, when it is there. */
regraft_status read_remedy(struct rule_reader *reader, struct text *remedy);
/* An expression that has an integer as its value. */
regraft_status read_integer_expression(struct rule_reader *reader, struct expression *expression);

#endif
