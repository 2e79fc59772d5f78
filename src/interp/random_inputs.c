#include "interp/random_inputs.h"

#include <ctype.h>

#include "interp/placeholders.h"
#include "interp/random_source.h"
#include "ir/memory.h"

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next(struct random_source *source) {
    uint64_t z = source->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t random_below(struct random_source *source, int64_t limit) {
    uint64_t bits = next(source);
    return limit > 0 ? (int64_t)(bits % (uint64_t)limit) : 0;
}

/* Floats from [-1, 1], bools, and integers from [0, limit). */
static void random_fill(struct random_source *source, const struct tensor *tensor, int64_t limit) {
    bool real = dtype_is_floating(tensor->dtype) || dtype_is_complex(tensor->dtype);
    if (tensor->dtype == dtype_b8) limit = 2;
    if (dtype_size(tensor->dtype) == 1 && limit > 127) limit = 127;
    for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk)) {
        if (real) {
            double part = (double)(next(source) >> 11) * 0x1p-52 - 1;
            double other = dtype_is_complex(tensor->dtype) ? (double)(next(source) >> 11) * 0x1p-52 - 1 : 0;
            element_store_complex(tensor->dtype, tensor_at(tensor, walk.position[0]), part, other);
        } else {
            tensor_set_integer(tensor, walk.position[0], random_below(source, limit));
        }
    }
}

void random_fill_slots(struct random_source *source, const struct tensor *tensor, int64_t limit) {
    int64_t count = tensor_count(tensor), i = 0, start = random_below(source, limit);
    int64_t step = count > 0 && limit / count > 0 ? limit / count : 1;
    for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk), i++)
        tensor_set_integer(tensor, walk.position[0],
                           i > 0 && i + 1 == count ? -1
                           : limit > 0             ? (start + i * step) % limit
                                                   : -1);
}

bool random_shape(struct random_source *source, const struct value *value, enum dtype *dtype, struct shape *shape) {
    const struct node *node = value_as_node(value);
    int64_t strides[rank_limit];
    if (!node || node->type->kind != type_tensor) return false;
    *dtype = node->type->dtype;
    return run_layout(&source->run, &node->type->layout, shape, strides);
}

const struct value *random_argument(const struct random_source *source, const struct node *node, const char *name) {
    const struct value *bases = NULL, *index = NULL;
    if (!node_is_functionalized_call(node)) return node->operation ? node_argument_named(node, name) : NULL;
    const char *base = text_format(source->run.arena, "_%s_base_index", name);
    for (size_t i = 0; i < node->argument_count; i++) {
        const struct value *value = &node->arguments[i];
        if (text_is(value->keyword, name)) return value;
        if (text_is(value->keyword, base)) index = value;
        if (text_is(value->keyword, "_all_bases")) bases = value;
    }
    bool found = bases && index && index->kind == value_integer && index->integer >= 0 &&
                 (bases->kind == value_list || bases->kind == value_tuple) &&
                 (size_t)index->integer < bases->list.count;
    return found ? &bases->list.items[index->integer] : NULL;
}

regraft_status random_bind(struct random_source *source, const struct node *node, struct text name, enum dtype dtype,
                           const struct shape *shape, int64_t limit, struct tensor *tensor) {
    const struct tensor *bound = tensor_set_find(&source->bindings->tensors, name);
    if (bound) {
        *tensor = *bound;
        return REGRAFT_OK;
    }
    TRY(run_reserve(&source->run, node, dtype, shape_count(shape)));
    *tensor = tensor_create(source->run.arena, dtype, shape, NULL);
    random_fill(source, tensor, limit);
    tensor_set_put(&source->bindings->tensors, name, tensor);
    return REGRAFT_OK;
}

/* ---- symbols ---- */

static int64_t *value_of(struct random_source *source, struct text symbol) {
    return map_get_text(source->run.symbols, symbol);
}

/* Whether the range of a symbol allows the value. */
static bool allowed(struct random_source *source, symint symbol, int64_t value) {
    struct symbols *symbols = source->run.graph->context->symbols;
    return symint_equal(symbols, symbol, symint_constant(symbols, value)) != answer_no;
}

static void choose(struct random_source *source, struct text name, int64_t preferred) {
    symint symbol = symint_symbol(source->run.graph->context->symbols, name);
    int64_t value = preferred;
    for (int64_t i = 0; i < 8 && !allowed(source, symbol, value); i++) value = 2 + (preferred - 2 + i) % 8;
    for (int64_t large = 10; !allowed(source, symbol, value) && large < INT64_C(1) << 20; large++) value = large;
    *map_slot_text(source->run.symbols, name) = arena_copy(source->run.arena, &value, sizeof value);
}

/* Gives values to the symbols in a size: the names in its text that are not functions. */
static void choose_symbols(struct random_source *source, symint size, int64_t shared) {
    int64_t known;
    if (run_evaluate(&source->run, size, &known)) return;
    for (const char *at = symint_string(source->run.arena, size); *at;) {
        const char *start = at;
        while (isalnum((unsigned char)*at) || *at == '_') at++;
        struct text name = {start, (size_t)(at - start)};
        bool is_name = name.length && !isdigit((unsigned char)*start) && *at != '(';
        if (is_name && !value_of(source, name)) choose(source, name, shared ? shared : 2 + random_below(source, 8));
        if (at == start) at++;
    }
}

static void choose_all_symbols(struct random_source *source, bool equal) {
    int64_t shared = equal ? 2 + random_below(source, 8) : 0;
    for (struct node *node = source->run.graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        if (node->type->kind == type_integer) choose_symbols(source, node->type->integer, shared);
        if (node->type->kind != type_tensor) continue;
        for (size_t i = 0; i < node->type->layout.rank; i++)
            choose_symbols(source, node->type->layout.sizes[i], shared);
    }
}

/* ---- placeholders ---- */

static regraft_status bind_placeholder(struct random_source *source, struct node *node) {
    struct shape shape;
    struct tensor tensor;
    int64_t strides[rank_limit], value;
    if (node->type->kind == type_integer && run_evaluate(&source->run, node->type->integer, &value))
        bindings_set_symint(source->bindings, node->name, value);
    if (node->type->kind != type_tensor) return REGRAFT_OK;
    if (!run_layout(&source->run, &node->type->layout, &shape, strides))
        return fail(source->run.diagnostics, REGRAFT_UNSUPPORTED, node->position,
                    "no sizes can be chosen for input '%.*s'", TEXT_ARGS(node->name));
    bool integral = dtype_is_integral(node->type->dtype);
    int64_t slots = integral ? random_slot_count(source, node) : 0;
    int64_t limit = integral ? random_index_limit(source, node) : 0;
    TRY(random_bind(source, node, node->name, node->type->dtype, &shape, limit, &tensor));
    if (slots) random_fill_slots(source, &tensor, slots);
    if (!node->type->layout.strides) return REGRAFT_OK;
    for (size_t i = 0; i < shape.rank; i++) /* one element that repeats: the same value everywhere along it */
        if (strides[i] == 0 && shape.sizes[i] > 1) {
            struct tensor first = tensor;
            first.shape.sizes[i] = 1;
            tensor_copy(source->run.arena, &tensor, &first);
        }
    return REGRAFT_OK;
}

regraft_status random_bindings(struct graph *graph, struct random_options options, struct arena *arena,
                               struct bindings *bindings) {
    struct random_source source = {.bindings = bindings, .state = options.seed};
    source.run =
        (struct run){.graph = graph, .arena = arena, .diagnostics = &graph->context->diagnostics, .bindings = bindings};
    source.run.symbols = map_create(arena);
    bindings_init(bindings, arena);
    choose_all_symbols(&source, options.equal_symbols);
    for (struct node *node = graph->first; node; node = node->next)
        if (node->kind == node_placeholder) TRY(bind_placeholder(&source, node));
    return random_layers(&source, graph);
}
