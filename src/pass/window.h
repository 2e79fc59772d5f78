/* Taking a window out of a value, and putting one back, with ordinary view and update operations. */
#ifndef REGRAFT_PASS_WINDOW_H
#define REGRAFT_PASS_WINDOW_H

#include "ir/infer.h"
#include "ir/memory.h"

/* A value and the views that lead from it to a window: nodes[0] is the value, each other node a view of the one before. */
enum { chain_most_nodes = 2 * place_most_dimensions + 8 };
struct view_chain {
    struct node *nodes[chain_most_nodes];
    size_t count;
};

static inline struct node *chain_result(const struct view_chain *chain) { return chain->nodes[chain->count - 1]; }

/* Inserts before `before` the views that take `inner` out of `value`, whose elements lie as `outer` says. *found is false,
 * and nothing is inserted, when place_relate finds no way. */
regraft_status window_take(struct graph *graph, struct node *before, struct node *value,
                           const struct window_place *outer, const struct window_place *inner, struct view_chain *chain,
                           bool *found);

/* Inserts before `before` the updates that put `part` in the place of the chain's last node; *result is what the chain's
 * value then is. */
regraft_status window_put(struct graph *graph, struct node *before, const struct view_chain *chain, struct node *part,
                          struct node **result);

/* Whether an integer can be written as an argument: a number, or a symbol that is an input. */
bool window_can_write(const struct graph *graph, symint integer);
/* Writes it there. */
void window_write(struct graph *graph, struct node *user, struct value *value, symint integer);

/* Nodes with integer (list) arguments after the tensor; the type is inferred. */
regraft_status insert_view(struct graph *graph, struct node *before, enum operation_id id, struct node *input,
                           const symint *integers, size_t count, struct node **result);
/* aten.as_strided of these sizes and strides onto the memory of `input`, from where that begins, or (`offset` not NULL) from
 * that element of its storage. */
regraft_status insert_as_strided(struct graph *graph, struct node *before, struct node *input,
                                 const struct layout *layout, symint offset, struct node **result);
/* aten.reshape to these sizes, written as the graph writes sizes: nodes for symbols that are inputs. */
regraft_status insert_reshape(struct graph *graph, struct node *before, struct node *input, const symint *sizes,
                              size_t rank, struct node **result);

#endif
