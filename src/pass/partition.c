/* partition: cuts the graph into pieces, as the engine that runs it does.
 *
 *   at=graph    as vLLM cuts the graph before it is compiled (split_graph in vllm/compilation/backends.py): a call of a split
 *               operation is a piece of its own; calls of them that follow each other directly are one piece, and items
 *               of a call belong to the piece of the call;
 *   at=codegen  as Inductor partitions what it has lowered: the same, but what makes no code there (views, items, sizes,
 *               allocations) separates nothing.
 *
 * Only says which piece each node belongs to, and moves items up to their call; no value changes. Nodes that later passes
 * insert belong to the piece that they stand in. With boundary=owned the pass `place` copies what crosses a cut and is only a
 * part of its buffer. */
#include "ir/effect.h"
#include "pass/parameter.h"
#include "pass/pass.h"

enum content { content_none, content_code, content_split };

struct cutting {
    struct graph *graph;
    const struct parameter *operations;
    bool *found; /* by the operations of the parameter */
    bool at_codegen;
    enum content content; /* of the last piece */
};

/* ---- which calls ---- */

static struct text called_target(const struct node *node) {
    static const char prefix[] = "torch.ops.";
    if (node->kind != node_call) return TEXT("");
    if (!node_is_functionalized_call(node)) return node->target;
    if (node_called_operation(node)) return node_called_operation(node)->target;
    struct text written = node->argument_count ? node->arguments[0].written : TEXT("");
    return text_starts_with(written, prefix) ? text_skip(written, sizeof prefix - 1) : written;
}

/* Whether `vllm::op` or `vllm::op.default` names what a graph calls `vllm.op` or `vllm.op.default`. */
static bool names(struct text name, struct text target) {
    size_t colons = 0;
    while (colons + 1 < name.length && !text_starts_with(text_skip(name, colons), "::")) colons++;
    if (colons + 1 >= name.length || target.length <= colons || target.data[colons] != '.') return false;
    if (!text_equal((struct text){name.data, colons}, (struct text){target.data, colons})) return false;
    struct text operation = text_skip(name, colons + 2), rest = text_skip(target, colons + 1);
    struct text shorter = operation.length < rest.length ? operation : rest,
                longer = operation.length < rest.length ? rest : operation;
    struct text overload = text_skip(longer, shorter.length);
    if (!text_equal(shorter, (struct text){longer.data, shorter.length})) return false;
    bool same = shorter.length == longer.length, left_out = shorter.data == operation.data;
    return same || (left_out ? *overload.data == '.' : text_is(overload, ".default"));
}

static bool splits(struct cutting *cutting, const struct node *node) {
    struct text target = called_target(node);
    for (size_t i = 0; target.length && i < cutting->operations->values.count; i++) {
        if (!names(cutting->operations->values.items[i].text, target)) continue;
        cutting->found[i] = true;
        return true;
    }
    return false;
}

static bool makes_no_code(const struct node *node) {
    if (node->kind == node_getitem || node->kind == node_attribute || node->type->kind == type_integer) return true;
    if (node->kind != node_call || !node->operation) return false;
    return node->operation->class == class_view || node->operation->class == class_allocate ||
           node->operation->class == class_assert;
}

/* ---- where ---- */

static void begin(struct cutting *cutting, struct node *node, enum content content) {
    struct graph *graph = cutting->graph;
    if (cutting->content != content) {
        struct graph_piece piece = {.split = content == content_split};
        vector_push(graph->arena, &graph->pieces, piece);
    }
    cutting->content = content;
    node->piece = (uint32_t)graph->pieces.count - 1;
}

/* Whether the next node that makes code is a split operation too. */
static bool split_follows(struct cutting *cutting, const struct node *node) {
    while (node && makes_no_code(node)) node = node->next;
    return node && splits(cutting, node);
}

/* Items of a call belong to its piece: a piece hands tensors on, no lists. */
static bool goes_with_its_call(struct cutting *cutting, struct node *node) {
    struct node *call = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : NULL;
    if (!call || call->kind == node_placeholder) return false;
    node->piece = call->piece;
    if (node->previous->piece > call->piece) {
        struct node *behind = call->next;
        while (behind->kind == node_getitem && value_as_node(&behind->arguments[0]) == call) behind = behind->next;
        graph_move(cutting->graph, node, behind);
        node->piece = call->piece;
    }
    return true;
}

static void assign(struct cutting *cutting, struct node *node) {
    if (node->kind == node_placeholder || goes_with_its_call(cutting, node)) return;
    bool neutral = node->kind == node_rename || node->kind == node_output;
    if (neutral) {
        if (cutting->content == content_none && node->kind == node_output) begin(cutting, node, content_code);
        node->piece = cutting->graph->pieces.count ? (uint32_t)cutting->graph->pieces.count - 1 : 0;
    } else if (splits(cutting, node) || (cutting->at_codegen && makes_no_code(node) &&
                                         cutting->content == content_split && split_follows(cutting, node))) {
        begin(cutting, node, content_split);
    } else {
        begin(cutting, node, content_code);
    }
}

/* ---- the comments ---- */

/* Whether `a, b, c` has the item. */
static bool lists(struct text list, struct text item) {
    for (size_t i = 0; i + item.length <= list.length; i++)
        if (text_equal((struct text){list.data + i, item.length}, item) && (i == 0 || list.data[i - 1] == ' ') &&
            (i + item.length == list.length || list.data[i + item.length] == ','))
            return true;
    return false;
}

static void write_markers(struct cutting *cutting) {
    struct graph *graph = cutting->graph;
    struct builder operations;
    builder_init(&operations, graph->arena);
    for (struct node *node = graph->last; node; node = node->previous) {
        struct graph_piece *piece = &graph->pieces.items[node->piece];
        if (node->kind == node_placeholder) continue;
        struct text target = called_target(node);
        if (splits(cutting, node) && !lists(builder_text(&operations), target)) {
            struct text others = text_copy(graph->arena, builder_text(&operations));
            operations.length = 0;
            builder_add(&operations, target);
            if (others.length) builder_string(&operations, ", ");
            builder_add(&operations, others);
        }
        if (node->previous && node->previous->kind != node_placeholder && node->previous->piece == node->piece)
            continue;
        piece->marker =
            text_of(text_format(graph->arena, "%.*s# piece %u%s%s%.*s\n", TEXT_ARGS(graph->indent), node->piece,
                                node->piece == 0 && graph->owned_boundaries ? ", boundary=owned" : "",
                                piece->split ? ": " : "", TEXT_ARGS(builder_text(&operations))));
        graph_remark(graph, node, true, "piece %u begins here%s%.*s", node->piece, piece->split ? ": " : "",
                     TEXT_ARGS(builder_text(&operations)));
        builder_init(&operations, graph->arena);
    }
}

/* Lists of split operations are for many models, so that one that is not there is a remark; none at all is a warning. */
static void report_missing(struct cutting *cutting) {
    struct graph *graph = cutting->graph;
    size_t count = cutting->operations->values.count, missing = 0;
    for (size_t i = 0; i < count; i++) {
        if (cutting->found[i]) continue;
        missing++;
        graph_remark(graph, graph->last, false, "the graph has no call of %.*s: nothing is cut there",
                     TEXT_ARGS(cutting->operations->values.items[i].text));
    }
    if (missing == count)
        vector_push(graph->arena, &graph->warnings,
                    text_format(graph->arena, "partition cut nothing: the graph has no call of %.*s%s",
                                TEXT_ARGS(cutting->operations->values.items[0].text),
                                count > 1 ? " or of another of the split operations" : ""));
}

regraft_status pass_partition(struct graph *graph, struct arena *scratch) {
    struct cutting cutting = {.graph = graph, .operations = parameter_find(graph, "split-ops")};
    if (!cutting.operations)
        return fail(&graph->context->diagnostics, REGRAFT_USAGE, parameter_position(graph),
                    "partition needs to know where to cut: partition{split-ops=vllm::unified_attention_with_output}");
    cutting.found = arena_array(scratch, bool, cutting.operations->values.count);
    cutting.at_codegen = text_is(parameter_text(graph, "at", "graph"), "codegen");
    graph->pieces.count = 0;
    graph->owned_boundaries = text_is(parameter_text(graph, "boundary", "alias"), "owned");
    for (struct node *node = graph->first, *next; node; node = next) {
        next = node->next;
        assign(&cutting, node);
    }
    write_markers(&cutting);
    report_missing(&cutting);
    graph->changed = true;
    return REGRAFT_OK;
}
