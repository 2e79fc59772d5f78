/* What an integer input is used for: followed through the graph to where its elements select something. */
#include "interp/random_source.h"
#include "ir/memory.h"

struct search {
    struct random_source *source;
    bool *seen;    /* by node->index */
    int64_t limit; /* the least size that is indexed so far; INT64_MAX: none */
    int64_t slots; /* the least number of slots */
};

static void meet(int64_t *least, int64_t size) {
    if (size < *least) *least = size;
}

/* The size of dimension `dim` of an argument; INT64_MAX when it is not known. */
static int64_t size_of(struct search *search, const struct node *user, const char *argument, int64_t dim) {
    enum dtype dtype;
    struct shape shape;
    if (!random_shape(search->source, random_argument(search->source, user, argument), &dtype, &shape))
        return INT64_MAX;
    if (dim < 0) dim += (int64_t)shape.rank;
    return dim >= 0 && (size_t)dim < shape.rank ? shape.sizes[dim] : INT64_MAX;
}

static bool is_argument(struct search *search, const struct node *user, const char *name, const struct node *node) {
    return value_as_node(random_argument(search->source, user, name)) == node;
}

/* Arguments of one operation of which the first counts dimension 0 of the second; by name, as every operation has them. */
static const struct {
    const char *index, *indexed;
} tables[] = {{"indices", "weight"}, {"positions", "cos_sin_cache"}, {"position_ids", "cos_sin_cache"}};

/* Operations whose argument `index` counts the dimension `dim` of `self`. */
static bool indexes_dim(const struct operation *operation) {
    static const char *const names[] = {"aten::index_select", "aten::gather",  "aten::index_copy",
                                        "aten::index_copy_",  "aten::scatter", "aten::scatter_add"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_is(operation->schema.name, names[i])) return true;
    return false;
}

/* The paged cache [blocks, block_size, ...] whose slots the argument slot_mapping names; NULL when there is none. */
static const char *slotted_cache(const struct operation *operation) {
    static const char *const names[] = {"key_cache", "kv_cache"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (schema_find_argument(&operation->schema, text_of(names[i])) != SIZE_MAX) return names[i];
    return NULL;
}

static void visit_index_lists(struct search *search, const struct node *user, const struct node *node) {
    const struct value *indices = random_argument(search->source, user, "indices");
    if (!indices || (indices->kind != value_list && indices->kind != value_tuple)) return;
    for (size_t i = 0; i < indices->list.count; i++)
        if (value_as_node(&indices->list.items[i]) == node)
            meet(&search->limit, size_of(search, user, "self", (int64_t)i));
}

/* What one use of `node` says about its elements. */
static void visit_use(struct search *search, const struct node *user, const struct node *node) {
    const struct operation *operation = node_called_operation(user);
    int64_t dim;
    if (!operation) return;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (is_argument(search, user, tables[i].index, node))
            meet(&search->limit, size_of(search, user, tables[i].indexed, 0));
    if (indexes_dim(operation) && is_argument(search, user, "index", node) &&
        value_as_integer(random_argument(search->source, user, "dim"), &dim))
        meet(&search->limit, size_of(search, user, "self", dim));
    const char *cache = slotted_cache(operation);
    if (cache && is_argument(search, user, "slot_mapping", node)) {
        int64_t blocks = size_of(search, user, cache, 0), block_size = size_of(search, user, cache, 1), count;
        if (!__builtin_mul_overflow(blocks, block_size, &count)) meet(&search->slots, count);
    }
    visit_index_lists(search, user, node);
}

/* Whether the elements go on in the user's result: views, casts, integer arithmetic. */
static bool carries_on(const struct node *user) {
    bool integers = user->type->kind == type_tensor && dtype_is_integral(user->type->dtype);
    if (user->kind == node_getitem || user->kind == node_rename) return true;
    if (!user->operation || user->kind != node_call) return false;
    switch (user->operation->class) {
    case class_view:
        return true;
    case class_compute:
    case class_update:
    case class_call:
        return integers;
    default:
        return false;
    }
}

static void search_from(struct search *search, const struct node *start) {
    VECTOR(const struct node *) work = {0};
    struct arena *arena = search->source->run.arena;
    vector_push(arena, &work, start);
    while (work.count) {
        const struct node *node = work.items[--work.count];
        if (search->seen[node->index]) continue;
        search->seen[node->index] = true;
        for (const struct value *use = node->users; use; use = use->use.next) {
            visit_use(search, use->use.user, node);
            if (carries_on(use->use.user)) vector_push(arena, &work, use->use.user);
        }
    }
}

static struct search run_search(struct random_source *source, const struct node *placeholder) {
    struct search search = {source, arena_array(source->run.arena, bool, source->run.graph->node_limit), INT64_MAX,
                            INT64_MAX};
    search_from(&search, placeholder);
    return search;
}

int64_t random_index_limit(struct random_source *source, const struct node *placeholder) {
    int64_t limit = run_search(source, placeholder).limit;
    if (limit == INT64_MAX) return 4;
    return limit < 2 ? 1 : limit / 2;
}

int64_t random_slot_count(struct random_source *source, const struct node *placeholder) {
    int64_t slots = run_search(source, placeholder).slots;
    return slots == INT64_MAX ? 0 : slots;
}
