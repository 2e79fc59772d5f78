/* From the output code to the graphs. The code has no names of nodes, but for the comment above a Triton kernel, which
 * is that of its first launch. So a launch is found through the call that reads what it wrote: the comment above a call
 * has its name in Dynamo's graph, and calls of one operation stand in the same order in all graphs. */
#include "plan/audit_match.h"

#include <stdint.h>

#include "ir/effect.h"

/* ---- calls ---- */

/* `_C.rotary_embedding.default` of torch.ops._C.rotary_embedding.default; `aten.mm` of extern_kernels.mm. */
static struct text operation_name(struct arena *arena, struct text target) {
    static const struct {
        const char *prefix, *replacement;
    } rows[] = {{"torch.ops.", ""}, {"extern_kernels.", "aten."}, {"inductor_ops.", "inductor."}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!text_starts_with(target, rows[i].prefix)) continue;
        struct text rest = text_skip(target, strlen(rows[i].prefix));
        return text_of(text_format(arena, "%s%.*s", rows[i].replacement, TEXT_ARGS(rest)));
    }
    return target;
}

/* Whether one of the names is the other, which may lack its overload. */
static bool same_operation(struct text a, struct text b) {
    if (a.length > b.length) return same_operation(b, a);
    if (!a.length || memcmp(a.data, b.data, a.length) != 0) return false;
    return a.length == b.length || (b.data[a.length] == '.' && scan_find(text_skip(b, a.length + 1), '.') == SIZE_MAX);
}

/* The operation that a node runs, by name: of a functionalised call the wrapped one. */
static struct text called_name(const struct node *node) {
    struct text none = {0};
    if (node->kind != node_call) return none;
    if (!node_is_functionalized_call(node)) return node->target;
    if (!node->argument_count || node->arguments[0].kind != value_operator) return none;
    const struct value *operation = &node->arguments[0];
    if (operation->operation) return operation->operation->target;
    return text_starts_with(operation->written, "torch.ops.") ? text_skip(operation->written, strlen("torch.ops."))
                                                              : operation->written;
}

/* The calls of an operation in a graph, and which of them is the one. */
struct rank {
    size_t index, count;
};

static struct rank rank_of_node(const struct graph *graph, const struct node *wanted, struct text operation) {
    struct rank rank = {0, 0};
    for (const struct node *node = graph->first; node; node = node->next) {
        if (!same_operation(called_name(node), operation)) continue;
        if (node == wanted) rank.index = rank.count;
        rank.count++;
    }
    return rank;
}

static struct node *node_of_rank(const struct graph *graph, struct rank rank, struct text operation) {
    size_t seen = 0;
    struct node *found = NULL;
    if (!graph) return NULL;
    for (struct node *node = graph->first; node; node = node->next) {
        if (!same_operation(called_name(node), operation)) continue;
        if (seen++ == rank.index) found = node;
    }
    return seen == rank.count ? found : NULL;
}

/* By the names in the comment; false when they do not tell. */
static bool rank_by_comment(const struct audit *audit, const struct inductor_step *step, struct text operation,
                            struct rank *rank) {
    const struct node *found = NULL;
    struct text_list names = scan_split(audit->context->arena, step->sources, ',');
    if (!audit->dynamo) return false;
    for (size_t i = 0; i < names.count; i++) {
        const struct node *node = graph_find(audit->dynamo, names.items[i]);
        if (!node || !same_operation(called_name(node), operation)) continue;
        if (found) return false;
        found = node;
    }
    if (found) *rank = rank_of_node(audit->dynamo, found, operation);
    return found != NULL;
}

static struct rank rank_by_order(const struct audit *audit, size_t index, struct text operation) {
    struct rank rank = {0, 0};
    for (size_t i = 0; i < audit->code.steps.count; i++) {
        const struct inductor_step *step = &audit->code.steps.items[i];
        if (step->kind != step_call || !same_operation(operation_name(audit->context->arena, step->target), operation))
            continue;
        if (i == index) rank.index = rank.count;
        rank.count++;
    }
    return rank;
}

/* ---- readers ---- */

static struct text keyword_of(struct text argument) {
    struct text name = scan_name(argument), rest = text_skip(argument, name.length);
    return text_starts_with(rest, "=") && !text_starts_with(rest, "==") ? name : (struct text){0};
}

/* Names the argument `position` of the call. */
static void name_argument(struct audit_reader *reader, const struct inductor_step *step, size_t position) {
    reader->argument = keyword_of(step->arguments.items[position]);
    if (!reader->operation) return;
    const struct schema *schema = &reader->operation->schema;
    size_t index = reader->argument.length ? schema_find_argument(schema, reader->argument) : position;
    if (index >= schema->argument_count) return;
    reader->argument = schema->arguments[index].name;
    reader->writes = schema->arguments[index].written;
}

/* A call of an operation of PyTorch's own keeps its name when it is lowered, but others of the operation may come and go. */
static struct node *find_functional(const struct audit *audit, const struct node *lowered, struct rank rank,
                                    struct text operation) {
    bool own = text_starts_with(operation, "aten.");
    struct node *named = lowered && audit->functional ? graph_find(audit->functional, lowered->name) : NULL;
    if (named && same_operation(called_name(named), operation)) return named;
    return own && lowered ? NULL : node_of_rank(audit->functional, rank, operation);
}

static void find_nodes(const struct audit *audit, size_t index, struct audit_reader *reader) {
    const struct inductor_step *step = &audit->code.steps.items[index];
    struct text operation = operation_name(audit->context->arena, step->target);
    struct rank rank;
    reader->operation = operations_find(audit->context->operations, operation);
    if (rank_by_comment(audit, step, operation, &rank)) {
        reader->functional = node_of_rank(audit->functional, rank, operation);
        reader->lowered = node_of_rank(audit->lowered, rank, operation);
    }
    rank = rank_by_order(audit, index, operation);
    if (!reader->lowered) reader->lowered = node_of_rank(audit->lowered, rank, operation);
    if (!reader->functional) reader->functional = find_functional(audit, reader->lowered, rank, operation);
}

static bool holds(const struct text_list *names, struct text name) {
    for (size_t i = 0; i < names->count; i++)
        if (text_equal(names->items[i], name)) return true;
    return false;
}

static void add_name(struct arena *arena, struct text_list *names, struct text name) {
    if (name.length && !holds(names, name)) vector_push(arena, names, name);
}

static bool mentions_any(struct text argument, const struct text_list *names) {
    for (size_t i = 0; i < names->count; i++)
        if (text_mentions(argument, names->items[i])) return true;
    return false;
}

/* Follows the names of a buffer; false when its memory is given to another one. */
static bool follow(struct arena *arena, const struct inductor_step *step, struct text_list *names) {
    if (step->kind == step_reuse && holds(names, step->arguments.items[0])) return false;
    if (step->kind == step_alias && holds(names, step->arguments.items[0])) add_name(arena, names, step->result);
    return true;
}

static bool same_reader(const struct audit_copy *copy, const struct audit_reader *reader) {
    for (size_t i = 0; i < copy->readers.count; i++) {
        const struct audit_reader *other = &copy->readers.items[i];
        if (text_equal(other->target, reader->target) && text_equal(other->argument, reader->argument) &&
            other->functional == reader->functional && other->lowered == reader->lowered)
            return true;
    }
    return false;
}

/* The first step behind `launch` that reads the buffer. */
static void find_reader(struct audit *audit, size_t launch, struct text buffer, struct audit_copy *copy) {
    struct arena *arena = audit->context->arena;
    struct text_list names = {0};
    add_name(arena, &names, buffer);
    for (size_t i = launch; i-- > 0;) { /* what it is a part of */
        const struct inductor_step *step = &audit->code.steps.items[i];
        if (step->kind == step_alias && holds(&names, step->result)) add_name(arena, &names, step->arguments.items[0]);
    }
    for (size_t i = launch + 1; i < audit->code.steps.count; i++) {
        const struct inductor_step *step = &audit->code.steps.items[i];
        if (!follow(arena, step, &names)) return;
        if (step->kind != step_call && step->kind != step_launch) continue;
        for (size_t k = 0; k < step->arguments.count; k++) {
            if (!mentions_any(step->arguments.items[k], &names)) continue;
            struct audit_reader reader = {.target = step->target};
            if (step->kind == step_call) {
                find_nodes(audit, i, &reader);
                name_argument(&reader, step, k);
            }
            if (!same_reader(copy, &reader)) vector_push(arena, &copy->readers, reader);
            return;
        }
    }
}

/* ---- the nodes that a copy stands for ---- */

/* What stands before it was in other memory already. */
static bool makes_a_copy(const struct node *node) {
    return node_is(node, operation_aten_clone_default) || audit_builds(node);
}

bool audit_builds(const struct node *node) {
    return node_is(node, operation_aten_cat_default) || node_is(node, operation_aten_constant_pad_nd_default);
}

static bool is_copy(const struct node *node) {
    return makes_a_copy(node) || (node->operation && node->operation->class == class_update);
}

static bool moves_data(const struct node *node) {
    if (node->kind == node_getitem) {
        const struct node *source = value_as_node(&node->arguments[0]);
        return source && source->operation && source->operation->class == class_view;
    }
    return is_copy(node) || (node->operation && node->operation->class == class_view);
}

struct search {
    struct arena *arena;
    VECTOR(struct node *) found, waiting;
    struct map *seen;
    const struct node *writing; /* a write to look for */
    bool written;
};

static void visit_write(void *user, struct node *written) {
    struct search *search = user;
    if (written == search->writing) search->written = true;
}

/* Whether a call writes the node's value in place: what stands before that is another value. */
static bool is_written(struct search *search, const struct node *node) {
    search->writing = node;
    search->written = false;
    for (const struct value *use = node->users; use && !search->written; use = use->use.next)
        node_each_write(use->use.user, visit_write, search);
    return search->written;
}

static void visit_input(void *user, struct value *value) {
    struct search *search = user;
    struct node *node = value->use.node;
    void **slot = map_slot(search->seen, &node, sizeof node);
    if (*slot || !moves_data(node)) return;
    *slot = node;
    vector_push(search->arena, &search->waiting, node);
}

/* All nodes that only move data and lead to the value, from the last computation, clone or write in place on. */
static void find_sources(struct search *search, struct value *value) {
    if (value->kind == value_list || value->kind == value_tuple)
        for (size_t i = 0; i < value->list.count; i++) find_sources(search, &value->list.items[i]);
    if (value->kind != value_node) return;
    visit_input(search, value);
    while (search->waiting.count) {
        struct node *node = search->waiting.items[--search->waiting.count];
        /* The value itself may be what the reader writes. */
        if (node != value->use.node && is_written(search, node)) continue;
        vector_push(search->arena, &search->found, node);
        if (!makes_a_copy(node)) node_each_use(node, visit_input, search);
    }
}

/* `_x_base_index` of auto_functionalized_v2 says which of `_all_bases` the argument x is a view of. */
static struct value *base_of(struct node *call, struct text argument) {
    const struct value *bases = functionalized_keyword(call, TEXT("_all_bases"));
    const char *key = text_format(call->graph->arena, "_%.*s_base_index", TEXT_ARGS(argument));
    int64_t index;
    if (!bases || (bases->kind != value_list && bases->kind != value_tuple) ||
        !value_as_integer(functionalized_keyword(call, text_of(key)), &index) || index < 0 ||
        (size_t)index >= bases->list.count)
        return NULL;
    return &bases->list.items[index];
}

struct value *audit_argument(struct node *call, const struct audit_reader *reader) {
    if (!call || !reader->argument.length) return NULL;
    for (size_t i = 0; i < call->argument_count; i++)
        if (text_equal(call->arguments[i].keyword, reader->argument)) return &call->arguments[i];
    if (node_is_functionalized_call(call)) return base_of(call, reader->argument);
    return call->operation
               ? (struct value *)node_argument_named(call, text_string(call->graph->arena, reader->argument))
               : NULL;
}

struct node *audit_same_call(const struct graph *graph, const struct node *node) {
    struct text operation = called_name(node);
    struct node *named = graph_find(graph, node->name);
    if (!operation.length) return NULL;
    if (named && same_operation(called_name(named), operation)) return named;
    return node_of_rank(graph, rank_of_node(node->graph, node, operation), operation);
}

static void add_source(struct arena *arena, struct audit_copy *copy, const struct node *node) {
    if (node && node->location) add_name(arena, &copy->sources, node->location->file);
}

/* Adds the updates and clones that lead to the argument of a call to `names`. */
static void add_nodes(struct audit *audit, struct node *call, const struct audit_reader *reader,
                      struct audit_copy *copy, struct text_list *names) {
    struct arena *arena = audit->context->arena;
    struct search search = {.arena = arena, .seen = map_create(arena)};
    struct value *argument = audit_argument(call, reader);
    if (argument) find_sources(&search, argument);
    for (size_t i = search.found.count; i-- > 0;) {
        const struct node *node = search.found.items[i];
        if (!is_copy(node)) continue;
        add_name(arena, names, node->name);
        if (call == reader->functional) add_source(arena, copy, node);
    }
}

/* Whether it is the first launch of its kernel, which the comment above the kernel tells about. */
static bool is_first_launch(const struct audit *audit, size_t launch) {
    for (size_t i = 0; i < launch; i++)
        if (audit->code.steps.items[i].kernel == audit->code.steps.items[launch].kernel) return false;
    return true;
}

static void use_fragment(struct audit *audit, struct audit_copy *copy) {
    struct arena *arena = audit->context->arena;
    for (size_t i = 0; audit->lowered && i < copy->kernel->fragment.count; i++) {
        const struct node *node = graph_find(audit->lowered, copy->kernel->fragment.items[i]);
        if (!node || !moves_data(node)) continue;
        if (is_copy(node)) add_name(arena, &copy->lowered, node->name);
    }
}

/* The lines of the names in the comment above the launch. */
static void use_comment(struct audit *audit, const struct inductor_step *step, struct audit_copy *copy) {
    struct text_list names = scan_split(audit->context->arena, step->sources, ',');
    for (size_t i = 0; audit->dynamo && i < names.count; i++)
        add_source(audit->context->arena, copy, graph_find(audit->dynamo, names.items[i]));
}

void audit_match(struct audit *audit, size_t launch, struct audit_copy *copy) {
    struct arena *arena = audit->context->arena;
    const struct inductor_step *step = &audit->code.steps.items[launch];
    for (size_t i = 0; i < copy->kernel->stores.count; i++) {
        size_t parameter = copy->kernel->stores.items[i].parameter;
        if (parameter < step->arguments.count)
            find_reader(audit, launch, inductor_buffer(step->arguments.items[parameter]), copy);
    }
    for (size_t i = 0; i < copy->readers.count; i++) {
        const struct audit_reader *reader = &copy->readers.items[i];
        add_nodes(audit, reader->functional, reader, copy, &copy->nodes);
        add_nodes(audit, reader->lowered, reader, copy, &copy->lowered);
    }
    copy->updates = copy->nodes.count > 0;
    bool no_source = !copy->sources.count;
    for (size_t i = 0; i < copy->readers.count; i++) {
        const struct audit_reader *reader = &copy->readers.items[i];
        if (no_source) add_source(arena, copy, reader->functional ? reader->functional : reader->lowered);
        if (!copy->updates && reader->functional) add_name(arena, &copy->nodes, reader->functional->name);
    }
    if (!copy->lowered.count && is_first_launch(audit, launch)) use_fragment(audit, copy);
    if (!copy->sources.count) use_comment(audit, step, copy);
}
