/* The ways to make a graph smaller. None of them cares what the graph computes: the failure decides. */
#include "ir/effect.h"
#include "ir/infer.h"
#include "tool/reduce.h"

/* ---- texts ---- */

void reduce_strip(struct graph *graph) {
    graph->changed = true;
    graph->prints_frees = false;
    graph->leading = graph->signature = graph->trailing = graph->output_written = TEXT("");
    graph->indent = TEXT("        ");
    for (struct node *node = graph->first; node; node = node->next) {
        node->location = NULL;
        node->frees = node->trailing = TEXT("");
    }
}

/* From here on the printer writes the type as the annotation. */
static void set_type(struct node *node, const struct type *type) {
    node->type = type;
    node->annotation = TEXT("");
    node->position.source = NULL;
    node->settled = false;
}

bool reduce_retype(struct graph *graph) {
    for (struct node *node = graph->first; node; node = node->next) {
        const struct type *type = NULL;
        if (node->kind == node_placeholder || node->kind == node_output) continue;
        if (infer_type(node, &type) != REGRAFT_OK) return false;
        if (type && type->kind != type_unknown) set_type(node, type);
    }
    return true;
}

/* ---- sizes ---- */

static uint64_t magnitude(int64_t integer) { return integer < 0 ? 0 : (uint64_t)integer & UINT32_MAX; }

static uint64_t value_size(const struct value *value) {
    uint64_t sum = value->kind == value_integer ? magnitude(value->integer) : 0;
    bool list = value->kind == value_list || value->kind == value_tuple;
    for (size_t i = 0; list && i < value->list.count; i++) sum += value_size(&value->list.items[i]);
    return sum;
}

static uint64_t type_size(const struct type *type) {
    uint64_t sum = 0;
    for (size_t i = 0; type->kind == type_tensor && i < type->layout.rank; i++) {
        int64_t size;
        if (symint_is_constant(type->layout.sizes[i], &size)) sum += magnitude(size);
    }
    return sum;
}

static struct value *results(struct graph *graph) {
    struct value *value = graph->last && graph->last->kind == node_output ? &graph->last->arguments[0] : NULL;
    return value && (value->kind == value_tuple || value->kind == value_list) ? value : NULL;
}

struct graph_size reduce_size(struct graph *graph, struct text text) {
    struct graph_size size = {{0, 0, 0, text.length}};
    if (results(graph)) size.measures[1] = results(graph)->list.count;
    for (const struct node *node = graph->first; node; node = node->next) {
        bool input = node->kind == node_placeholder;
        size.measures[input ? 1 : 0]++;
        if (input) size.measures[2] += type_size(node->type);
        for (size_t i = 0; i < node->argument_count; i++) size.measures[2] += value_size(&node->arguments[i]);
    }
    return size;
}

bool reduce_is_smaller(struct graph_size a, struct graph_size b) {
    size_t i = 0;
    while (i < 3 && a.measures[i] == b.measures[i]) i++;
    return a.measures[i] < b.measures[i];
}

/* ---- results ---- */

static size_t count_results(struct graph *graph) { return results(graph) ? results(graph)->list.count : 0; }

static void remove_results(struct graph *graph, size_t first, size_t count) {
    struct value *value = results(graph);
    struct node *output = graph->last;
    size_t kept = 0;
    for (size_t i = 0; i < value->list.count; i++) {
        if (i >= first && i - first < count) continue;
        if (kept != i) value_copy(output, &value->list.items[kept], &value->list.items[i]);
        kept++;
    }
    for (size_t i = kept; i < value->list.count; i++) value_set_none(output, &value->list.items[i]);
    value->list.count = kept;
}

/* ---- nodes, the last of the program first ---- */

static size_t count_nodes(struct graph *graph) { return graph->node_count ? graph->node_count - 1 : 0; }

/* Calls `change` for nodes first, first + 1, ... from the end, without the output. `change` may remove the node. */
static void each_node(struct graph *graph, size_t first, size_t count, void (*change)(struct node *node)) {
    struct node *node = graph->last ? graph->last->previous : NULL;
    for (size_t i = 0; node && i < first + count; i++) {
        struct node *previous = node->previous;
        if (i >= first) change(node);
        node = previous;
    }
}

static void remove_unused(struct node *node) {
    if (!node->users) graph_remove(node->graph, node);
}
static void remove_nodes(struct graph *graph, size_t first, size_t count) {
    each_node(graph, first, count, remove_unused);
}

static bool is_alike(const struct type *a, const struct type *b) {
    if (a->kind != type_tensor || b->kind != type_tensor || a->dtype != b->dtype || a->layout.rank != b->layout.rank)
        return false;
    for (size_t i = 0; i < a->layout.rank; i++)
        if (a->layout.sizes[i] != b->layout.sizes[i]) return false;
    return true;
}

struct operand {
    const struct node *node;
    struct node *found;
};
static void find_operand(void *user, struct value *value) {
    struct operand *operand = user;
    if (!operand->found && is_alike(value->use.node->type, operand->node->type)) operand->found = value->use.node;
}

/* The first operand of the same type in its stead; for an item of a functionalised call what the call was given. */
static void use_operand(struct node *node) {
    struct operand operand = {.node = node};
    struct node *call = node->kind == node_getitem ? value_as_node(&node->arguments[0]) : NULL;
    if (!node->users || node->kind == node_placeholder) return;
    if (call && node_is_functionalized_call(call) && node->arguments[1].kind == value_integer)
        operand.found = value_as_node(functionalized_item(call, node->arguments[1].integer));
    if (!operand.found) node_each_use(node, find_operand, &operand);
    if (!operand.found || !is_alike(operand.found->type, node->type)) return;
    graph_replace(node, operand.found);
    graph_remove(node->graph, node);
}
static void use_operands(struct graph *graph, size_t first, size_t count) {
    each_node(graph, first, count, use_operand);
}

/* The value becomes an input; the statement goes. */
static void make_input(struct node *node) {
    struct graph *graph = node->graph;
    struct node *before = graph->first;
    if (!node->users || node->kind == node_placeholder || node->type->kind != type_tensor) return;
    for (size_t i = 0; i < node->argument_count; i++) value_set_none(node, &node->arguments[i]);
    while (before->kind == node_placeholder) before = before->next;
    if (before != node) graph_move(graph, node, before);
    node->kind = node_placeholder;
    node->target = TEXT("");
    node->operation = NULL;
    node->argument_count = 0;
    set_type(node, node->type);
}
static void make_inputs(struct graph *graph, size_t first, size_t count) { each_node(graph, first, count, make_input); }

/* An earlier input of the same type in place of this one. */
static void merge_input(struct node *node) {
    if (node->kind != node_placeholder) return;
    for (struct node *other = node->previous; other; other = other->previous) {
        if (!is_alike(node->type, other->type)) continue;
        graph_replace(node, other);
        graph_remove(node->graph, node);
        return;
    }
}
static void merge_inputs(struct graph *graph, size_t first, size_t count) {
    each_node(graph, first, count, merge_input);
}

/* ---- numbers ---- */

/* One attempt to make the numbers of a graph smaller, sizes of inputs and arguments alike. */
struct scaling {
    int64_t divisor;  /* all its multiples are divided by it; 0: none are */
    int64_t from, to; /* this number becomes that one */
    int64_t whole;    /* and this one shrinks by as much; 0: none does */
};

static int64_t scale(const struct scaling *scaling, int64_t number) {
    if (scaling->divisor)
        return number >= scaling->divisor && number % scaling->divisor == 0 ? number / scaling->divisor : number;
    if (number == scaling->from) return scaling->to;
    return scaling->whole && number == scaling->whole ? number - (scaling->from - scaling->to) : number;
}

typedef VECTOR(int64_t) number_list;

static void add_number(struct arena *arena, number_list *list, int64_t number) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == number) return;
    if (number > 1) vector_push(arena, list, number);
}

/* The sizes of the inputs, each once, in order of their first appearance. */
static number_list input_sizes(struct graph *graph) {
    number_list list = {0};
    for (const struct node *node = graph->first; node && node->kind == node_placeholder; node = node->next)
        for (size_t i = 0; node->type->kind == type_tensor && i < node->type->layout.rank; i++) {
            int64_t size;
            if (symint_is_constant(node->type->layout.sizes[i], &size)) add_number(graph->arena, &list, size);
        }
    return list;
}

static const int64_t divisors[] = {2, 3, 5, 7};
enum { divisor_count = sizeof divisors / sizeof *divisors, ways_to_shrink = 4 };

/* Attempt `index`: each divisor; each size to 1, to 2, to its half, by one; each size with each that may contain it. */
static bool choose(const number_list *sizes, size_t index, struct scaling *scaling) {
    *scaling = (struct scaling){0};
    if (index < divisor_count) return scaling->divisor = divisors[index], true;
    index -= divisor_count;
    size_t pair = index / ways_to_shrink, way = index % ways_to_shrink;
    if (pair >= sizes->count * (sizes->count + 1)) return false;
    int64_t from = sizes->items[pair % sizes->count], to[ways_to_shrink] = {1, 2, from / 2, from - 1};
    size_t whole = pair / sizes->count;
    *scaling = (struct scaling){.from = from, .to = to[way], .whole = whole ? sizes->items[whole - 1] : 0};
    return to[way] > 0 && to[way] < from && (!whole || scaling->whole > from);
}

static size_t count_scalings(struct graph *graph) {
    number_list sizes = input_sizes(graph);
    return divisor_count + ways_to_shrink * sizes.count * (sizes.count + 1);
}

static symint scale_size(struct graph *graph, const struct scaling *scaling, symint size) {
    int64_t number;
    if (!size || !symint_is_constant(size, &number)) return size;
    return symint_constant(graph->context->symbols, scale(scaling, number));
}

static void scale_input(struct node *node, const struct scaling *scaling) {
    struct graph *graph = node->graph;
    const struct type *type = node->type;
    struct layout layout = type->layout;
    if (type->kind != type_tensor) return;
    symint *sizes = arena_array(graph->arena, symint, layout.rank),
           *strides = arena_array(graph->arena, symint, layout.rank);
    for (size_t i = 0; i < layout.rank; i++) {
        sizes[i] = scale_size(graph, scaling, layout.sizes[i]);
        if (layout.strides) strides[i] = scale_size(graph, scaling, layout.strides[i]);
    }
    bool contiguous = layout_contiguous(graph->context->symbols, &layout) == answer_yes;
    layout.sizes = sizes;
    if (contiguous)
        layout.strides = layout_contiguous_strides(graph->arena, graph->context->symbols, sizes, layout.rank);
    else if (layout.strides)
        layout.strides = strides;
    set_type(node, type_make_tensor(graph->arena, type->dtype, layout, type->device));
}

static void scale_value(struct node *node, struct value *value, const struct scaling *scaling) {
    if (value->kind == value_integer && scale(scaling, value->integer) != value->integer)
        value_set_integer(node, value, scale(scaling, value->integer));
    if (value->kind == value_list || value->kind == value_tuple)
        for (size_t i = 0; i < value->list.count; i++) scale_value(node, &value->list.items[i], scaling);
}

/* Numbers of dimensions are no sizes. */
static bool is_dimension(const struct node *node, size_t index) {
    const struct value *value = &node->arguments[index];
    struct text name = value->keyword;
    if (!name.length && node->operation && index < node->operation->schema.argument_count)
        name = node->operation->schema.arguments[index].name;
    return text_starts_with(name, "dim");
}

static void scale_numbers(struct graph *graph, size_t first, size_t count) {
    number_list sizes = input_sizes(graph);
    struct scaling scaling;
    (void)count;
    if (!choose(&sizes, first, &scaling)) return;
    for (struct node *node = graph->first; node; node = node->next) {
        if (node->kind == node_placeholder) scale_input(node, &scaling);
        for (size_t i = 0; node->kind == node_call && i < node->argument_count; i++)
            if (!is_dimension(node, i)) scale_value(node, &node->arguments[i], &scaling);
    }
}

const struct reduce_step reduce_steps[] = {
    {count_results, remove_results, false},
    {count_nodes, remove_nodes, false},
    {count_nodes, make_inputs, false},
    {count_nodes, use_operands, false},
    {count_nodes, merge_inputs, false},
    {count_scalings, scale_numbers, true},
    {NULL, NULL, false},
};
