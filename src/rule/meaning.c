#include "rule/meaning.h"

#include "fx/fx.h"
#include "ir/infer.h"
#include "rule/builtin.h"
#include "rule/definition.h"

struct meaning_texts {
    struct context *context;
    struct file *files[2]; /* to the bit, but for rounding */
    struct map *graphs;    /* file and number -> graph, without types */
};

/* A graph that is made for the arguments of one call. */
struct making {
    const struct operation *operation;
    const struct meaning_argument *arguments;
    struct graph *graph;
    struct node **nodes;           /* by the index of the text's node: ours, */
    const struct value **literals; /* or the value of a parameter */
    bool f64;                      /* the text is of f64 */
};

/* ---- parameters ---- */

static bool literal_is(const struct value *literal, bool value) {
    return literal && literal->kind == value_bool && literal->boolean == value;
}

static bool is_none(const struct meaning_argument *argument) {
    return argument->type && argument->type->kind == type_none;
}

static const struct value *dtype_literal(struct context *context, const struct meaning_argument *argument) {
    struct value *value = arena_new(context->arena, struct value);
    if (!argument->type || argument->type->kind != type_tensor) return NULL;
    *value = (struct value){.kind = value_dtype, .dtype = argument->type->dtype};
    return value;
}

/* Behind an underscore at the end: what the argument has to be. */
static bool fits_suffix(struct making *making, struct text name, bool *used) {
    static const char *const suffixes[] = {"_None", "_True", "_False"};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(suffixes[i]);
        if (name.length <= length || !text_is(text_skip(name, name.length - length), suffixes[i])) continue;
        size_t index = schema_find_argument(&making->operation->schema, (struct text){name.data, name.length - length});
        if (index == SIZE_MAX) return false;
        used[index] = true;
        const struct meaning_argument *argument = &making->arguments[index];
        return i == 0 ? is_none(argument) : literal_is(argument->literal, i == 1);
    }
    return false;
}

/* dtype_of_x_f64 */
static bool fits_f64(struct making *making, struct text name) {
    static const char suffix[] = "_f64";
    if (name.length <= strlen(suffix) || !text_is(text_skip(name, name.length - strlen(suffix)), suffix)) return false;
    struct text argument = {name.data, name.length - strlen(suffix)};
    size_t index = schema_find_argument(&making->operation->schema, argument);
    const struct type *type = index == SIZE_MAX ? NULL : making->arguments[index].type;
    making->f64 = type && type->kind == type_tensor && type->dtype == dtype_f64;
    return making->f64;
}

/* The parameter as a placeholder, a literal or a condition. False: the text is not for these arguments. */
static bool make_parameter(struct making *making, const struct node *from, bool *used) {
    static const char dtype_of[] = "dtype_of_";
    struct context *context = making->graph->context;
    const struct schema *schema = &making->operation->schema;
    bool dtype = text_starts_with(from->name, dtype_of);
    struct text name = dtype ? text_skip(from->name, strlen(dtype_of)) : from->name;
    size_t index = schema_find_argument(schema, name);
    if (index == SIZE_MAX) return dtype ? fits_f64(making, name) : fits_suffix(making, name, used);
    const struct meaning_argument *argument = &making->arguments[index];
    used[index] |= !dtype;
    if (dtype || !argument->type) {
        making->literals[from->index] = dtype ? dtype_literal(context, argument) : argument->literal;
        return making->literals[from->index] != NULL;
    }
    if (argument->type->kind != type_tensor && argument->type->kind != type_integer) return false;
    struct node *node = graph_insert(making->graph, NULL, node_placeholder, from->name, 0);
    node->target = from->name;
    node->type = argument->type;
    making->nodes[from->index] = node;
    return true;
}

static bool make_parameters(struct making *making, const struct graph *text) {
    const struct schema *schema = &making->operation->schema;
    bool *used = arena_array(making->graph->arena, bool, schema->argument_count);
    for (const struct node *from = text->first; from; from = from->next)
        if (from->kind == node_placeholder && !make_parameter(making, from, used)) return false;
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct type *type = making->arguments[i].type;
        if (!used[i] && !making->arguments[i].is_default) return false;
        if (!making->f64 && type && type->kind == type_tensor && type->dtype == dtype_f64) return false;
    }
    return true;
}

/* ---- statements ---- */

static void put(void *state, struct node *user, struct value *value, struct node *from) {
    const struct making *making = state;
    if (making->literals[from->index])
        value_copy(user, value, making->literals[from->index]);
    else
        value_set_node(user, value, making->nodes[from->index]);
}

static regraft_status make_statements(struct making *making, const struct graph *text) {
    for (const struct node *from = text->first; from; from = from->next) {
        if (from->kind == node_placeholder) continue;
        struct node *node = graph_insert(making->graph, NULL, from->kind, from->name, from->argument_count);
        node->target = from->target;
        node->in_torch_ops = from->in_torch_ops;
        node->operation = from->operation;
        for (size_t i = 0; i < from->argument_count; i++)
            value_copy_with(node, &node->arguments[i], &from->arguments[i], put, making);
        making->nodes[from->index] = node;
        if (from->kind != node_output) TRY(infer_node(node));
    }
    return REGRAFT_OK;
}

/* NULL: the text is not for these arguments, or what it says of them is no graph. */
static struct graph *make(struct context *context, const struct operation *operation,
                          const struct meaning_argument *arguments, const struct graph *text) {
    const char *message = context->diagnostics.message;
    struct making making = {operation,
                            arguments,
                            graph_create(context),
                            arena_array(context->arena, struct node *, text->node_limit),
                            arena_array(context->arena, const struct value *, text->node_limit),
                            false};
    bool made = make_parameters(&making, text) && make_statements(&making, text) == REGRAFT_OK;
    context->diagnostics.message = message;
    return made ? making.graph : NULL;
}

/* ---- finding ---- */

static regraft_status read_text(struct meaning_texts *texts, size_t file, size_t number, struct graph **text) {
    size_t key[] = {file, number};
    struct graph **slot = (struct graph **)map_slot(texts->graphs, key, sizeof key);
    if (!*slot) TRY(file_graph(texts->context, texts->files[file], (int)number, NULL, slot));
    *text = *slot;
    return REGRAFT_OK;
}

static regraft_status find(void *user, const struct operation *operation, const struct meaning_argument *arguments,
                           size_t *next, struct graph **graph, bool *rounds) {
    struct meaning_texts *texts = user;
    size_t number = 0;
    *graph = NULL;
    for (size_t f = 0; f < 2; f++) {
        const struct file *file = texts->files[f];
        for (size_t i = 0; i < file->graphs.count; i++) {
            struct graph *text;
            if (number++ < *next || !definition_is_of(file->graphs.items[i].name, operation->target)) continue;
            *next = number;
            *rounds = f == 1;
            TRY(read_text(texts, f, i, &text));
            if ((*graph = make(texts->context, operation, arguments, text))) return REGRAFT_OK;
        }
    }
    return REGRAFT_OK;
}

regraft_status meanings_open(struct context *context, struct meanings *meanings) {
    const struct builtin_rule_file *const rows[] = {&builtin_meanings, &builtin_roundings};
    struct meaning_texts *texts = arena_new(context->arena, struct meaning_texts);
    texts->context = context;
    texts->graphs = map_create(context->arena);
    for (size_t i = 0; i < 2; i++) {
        struct text bytes = {(const char *)rows[i]->bytes, rows[i]->length};
        TRY(file_read_memory(context, rows[i]->name, bytes, &texts->files[i]));
    }
    *meanings = (struct meanings){texts, find};
    return REGRAFT_OK;
}
