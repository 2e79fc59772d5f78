/* The parts of the FX text parser: the whole and the signature (parser.c), statements
 * (statement.c), values (value.c, literal.c), annotations (annotation.c). */
#ifndef REGRAFT_FX_READER_H
#define REGRAFT_FX_READER_H

#include "fx/cursor.h"
#include "ir/graph.h"

enum { deepest_nesting = 200, largest_rank = 64, most_keywords = 4096 };

struct reader {
    struct cursor cursor;
    struct context *context;
    struct graph *graph;
    VECTOR(struct value) stack; /* arguments that are complete, of calls and lists that are not */
    bool ends_with_comma;       /* the brackets closed last had a comma before the closing one */
    struct map *types;          /* annotation -> struct type: most occur many times */
    const struct location *location;
    uint32_t piece; /* the one that the last marker names (ir/piece.h) */
    /* In the graphs of rules (src/rule), the names of what stands for an integer and for any other constant; else NULL. */
    const struct map *integers, *constants;
};

/* A value as it stands among arguments. One that names a node is of kind value_node but not yet among the node's users:
 * reader_link_uses does that once the value has its place. */
regraft_status reader_value(struct reader *reader, struct value *value);
/* The same where operators may follow: an operand of `x + 2`. */
regraft_status reader_operand(struct reader *reader, struct value *value);
regraft_status reader_number(struct reader *reader, struct value *value);
/* At a parenthesis: reads `(1+2j)`, as Python writes a complex number; false, and nothing is read, where something else stands. */
bool reader_complex(struct reader *reader, struct value *value);
regraft_status reader_string(struct reader *reader, struct value *value);
/* Values up to the closing bracket, pushed on the stack; `keywords`: `name = value` may stand among them. */
regraft_status reader_items(struct reader *reader, char close, bool keywords, size_t *count);
/* Takes the topmost `count` values off the stack. */
const struct value *reader_pop(struct reader *reader, size_t count);
void reader_link_uses(struct node *user, struct value *value);
/* The node of that name, or an error that says what was meant. */
regraft_status reader_node(struct reader *reader, struct text name, struct node **node);

/* `: "bf16[s72, 64][64, 1]cuda:0"` after a name, if there is one: as written, and the type that it stands for. `stop`
 * lists the bytes that end one without quotes. */
regraft_status reader_annotation(struct reader *reader, const char *stop, struct text *annotation,
                                 const struct type **type);

/* A statement whose node is not there yet: its arguments are on the reader's stack. */
struct statement {
    struct text name, target, annotation;
    enum node_kind kind;
    bool in_torch_ops;
    const struct type *type;
};
/* What stands to the right of `=`; pushes the arguments. */
regraft_status reader_right_side(struct reader *reader, struct statement *statement);
/* One line: a node, the names that it frees, a comment. */
regraft_status reader_statement(struct reader *reader);
void reader_push(struct reader *reader, struct value value);
/* The node of a statement, its arguments the topmost `count` of the stack. */
regraft_status reader_add_node(struct reader *reader, const struct statement *statement, size_t count,
                               struct node **result);
/* Spaces and a comment, which are kept, and the line break. */
regraft_status reader_line_end(struct reader *reader, struct text *trailing);

#endif
