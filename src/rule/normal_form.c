/* One form for one meaning. The calls stay in their places; only the shapes change in which they get tensors and give
 * results, by reshapes before and behind them that move nothing. */
#include "ir/effect.h"
#include "ir/infer.h"
#include "rule/definition.h"

/* Arguments that an operation takes in several shapes with one meaning. */
struct shaped {
    const char *operation, *argument;
    bool
        heads; /* [tokens, heads * head_size] as [tokens, heads, head_size]; else [tokens, 1, width] as [tokens, width] */
};

static const struct shaped shaped[] = {
    {"_C::rotary_embedding", "query", true},
    {"_C::rotary_embedding", "key", true},
    {"_C_cache_ops::concat_and_cache_mla", "k_pe", false},
    {"vllm::unified_mla_kv_cache_update", "k_pe", false},
};

static struct value *argument_of(struct node *call, const struct operation *operation, const char *name) {
    return node_called_argument(call, schema_find_argument(&operation->schema, text_of(name)));
}

/* The sizes in the one form; false: it has it, or they are not known. */
static bool wanted_sizes(struct node *call, const struct operation *operation, const struct shaped *row, symint *sizes,
                         size_t *rank) {
    struct symbols *symbols = call->graph->context->symbols;
    const struct value *value = argument_of(call, operation, row->argument);
    const struct node *tensor = value_as_node(value);
    if (!tensor || tensor->type->kind != type_tensor) return false;
    const struct layout *layout = &tensor->type->layout;
    for (size_t i = 0; i < layout->rank && i < 4; i++) sizes[i] = layout->sizes[i];
    if (!row->heads) {
        if (layout->rank != 3 || !symint_is(sizes[1], 1)) return false;
        sizes[1] = sizes[2];
        *rank = 2;
        return true;
    }
    const struct node *positions = value_as_node(argument_of(call, operation, "positions"));
    symint width = value_as_symint(call->graph->context, argument_of(call, operation, "head_size"));
    if (!positions || positions->type->kind != type_tensor || !width || layout->rank > 3 ||
        layout->rank != positions->type->layout.rank + 1)
        return false;
    symint heads = symint_divide_exact(symbols, sizes[layout->rank - 1], width);
    if (!heads) return false;
    sizes[layout->rank - 1] = heads;
    sizes[layout->rank] = width;
    *rank = layout->rank + 1;
    return true;
}

static regraft_status insert_reshape(struct node *before, struct node *tensor, const symint *sizes, size_t rank,
                                     struct node **result) {
    struct graph *graph = before->graph;
    *result = graph_insert_call(graph, before,
                                operations_by_id(graph->context->operations, operation_aten_reshape_default), 2);
    value_set_node(*result, &(*result)->arguments[0], tensor);
    struct value *items = value_set_list(*result, &(*result)->arguments[1], value_list, rank);
    for (size_t i = 0; i < rank; i++) value_set_symint(*result, &items[i], sizes[i]);
    (*result)->location = before->location;
    return infer_node(*result);
}

/* The item of a functionalised call that is the new value of this argument; -1 when it writes none. */
static int64_t item_of(const struct node *call, const struct operation *operation, const char *argument) {
    int64_t item = (int64_t)functionalized_lead(call);
    if (!node_is_functionalized_call(call)) return -1;
    for (size_t i = 0; i < operation->schema.argument_count; i++) {
        if (!operation->schema.arguments[i].written) continue;
        if (text_is(operation->schema.arguments[i].name, argument)) return item;
        item++;
    }
    return -1;
}

/* The users of the item go on with it in the sizes that it had. */
static regraft_status restore_item(struct node *call, int64_t item, const struct layout *old) {
    for (struct value *use = call->users; use; use = use->use.next) {
        struct node *getitem = use->use.user, *restored;
        if (getitem->kind != node_getitem || getitem->arguments[1].integer != item) continue;
        getitem->type = &type_of_unknown;
        getitem->annotation = TEXT("");
        TRY(infer_node(getitem));
        struct value *uses = getitem->users;
        if (!uses || !getitem->next) continue;
        TRY(insert_reshape(getitem->next, getitem, old->sizes, old->rank, &restored));
        for (struct value *next; uses; uses = next) {
            next = uses->use.next;
            if (uses->use.user != restored) value_set_node(uses->use.user, uses, restored);
        }
    }
    return REGRAFT_OK;
}

static regraft_status reshape_argument(struct node *call, const struct operation *operation, const struct shaped *row) {
    symint sizes[4];
    size_t rank;
    if (!wanted_sizes(call, operation, row, sizes, &rank)) return REGRAFT_OK;
    struct value *value = argument_of(call, operation, row->argument);
    struct node *tensor = value_as_node(value), *reshaped;
    const struct layout *old = &tensor->type->layout;
    TRY(insert_reshape(call, tensor, sizes, rank, &reshaped));
    value_set_node(call, value, reshaped);
    call->type = &type_of_unknown;
    call->annotation = TEXT("");
    TRY(infer_node(call));
    int64_t item = item_of(call, operation, row->argument);
    return item < 0 ? REGRAFT_OK : restore_item(call, item, old);
}

static regraft_status reshape_arguments(struct graph *graph) {
    for (struct node *node = graph->first; node; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        bool functionalized = node_is_functionalized_call(node);
        if (!operation || node_is(node, operation_higher_order_auto_functionalized_v2) ||
            (functionalized && !node_is_used_by_items(node)))
            continue;
        for (size_t i = 0; i < sizeof shaped / sizeof *shaped; i++)
            if (text_is(operation->schema.name, shaped[i].operation))
                TRY(reshape_argument(node, operation, &shaped[i]));
    }
    return REGRAFT_OK;
}

static bool is_shaped(const struct operation *operation) {
    for (size_t i = 0; i < sizeof shaped / sizeof *shaped; i++)
        if (text_is(operation->schema.name, shaped[i].operation)) return true;
    return false;
}

regraft_status graph_normal_form(struct graph *graph, struct graph **result) {
    struct definitions *definitions;
    bool needed = false;
    size_t count;
    *result = graph;
    TRY(definitions_open(graph->context, &definitions));
    for (const struct node *node = graph->first; node && !needed; node = node->next) {
        const struct operation *operation = node_called_operation(node);
        struct graph *definition = NULL;
        if (operation) TRY(definitions_find(definitions, operation, &definition));
        needed = definition || (operation && is_shaped(operation));
    }
    if (!needed) return REGRAFT_OK;
    *result = graph_copy(graph);
    TRY(infer_graph(*result));
    TRY(definitions_expand(*result, &count));
    return reshape_arguments(*result);
}
