/* scatter-split-replace: forwarding on the memory model (docs/memory.md, "Forwarding").
 *
 * Functionalization turns an in-place update of a window W into U = update(B, W, s): a new value that is B but for W. A
 * read R of U is a view of it; with exact places
 *
 *     R is W           ->  s
 *     R inside W       ->  the same window of s
 *     R apart from W   ->  the same read of B
 *     otherwise            it stays: it needs both
 *
 * Updates themselves: update(B, W, update(read(B, W), V, t)) writes t into V of B; an update below whose place is wholly
 * overwritten is skipped; writing back what was read is no update; a copy() around what is written is looked through.
 *
 * A value that is read instead of U must still hold what U held: no raw in-place call may write its buffer between U and
 * the last reader. And no result of the graph may come to share memory with an input or with another result. */
#include "pass/pass.h"
#include "pass/window.h"

struct forwarding {
    struct graph *graph;
    struct context *context;
    struct memory *memory;
    struct arena *scratch;
    struct map *copies;              /* (view node, new root) -> the view on the new root */
    struct map *facts;               /* update -> struct update_facts */
    VECTOR(struct value *) results;  /* the nodes that are returned, also inside of lists */
    struct node *const *first_roots; /* of each, before the pass */
};

/* ---- what may be read instead ---- */

/* Whether returning memory of `other` where `node` is returned makes results share memory that did not before. */
static bool makes_alias(struct forwarding *forwarding, const struct node *node, const struct node *other) {
    const struct node *old_root = memory_root(forwarding->memory, node),
                      *new_root = memory_root(forwarding->memory, other);
    for (size_t i = 0; i < forwarding->results.count; i++) {
        const struct node *result = forwarding->results.items[i]->use.node;
        if (!memory_may_share(forwarding->memory, memory_root(forwarding->memory, result), new_root)) continue;
        for (size_t k = 0; k < forwarding->results.count; k++) {
            bool moved = memory_root(forwarding->memory, forwarding->results.items[k]->use.node) == old_root;
            if (moved && forwarding->first_roots[k] != forwarding->first_roots[i]) return true;
        }
    }
    for (const struct node *input = forwarding->graph->first; input && input->kind == node_placeholder;
         input = input->next)
        if (input->type->kind == type_tensor && memory_may_share(forwarding->memory, input, new_root)) return true;
    return false;
}

/* NULL when the readers of `node` (a view of `update`) may read `other` instead, else why not. */
static const char *obstacle(struct forwarding *forwarding, const struct node *node, const struct node *update,
                            const struct node *other) {
    uint32_t last = memory_last_read(forwarding->memory, node);
    if (memory_written_between(forwarding->memory, memory_root(forwarding->memory, update), update->order, last))
        return "it is written in place before its last reader";
    if (memory_written_between(forwarding->memory, memory_root(forwarding->memory, other), update->order, last))
        return "what it would read instead is written in place before its last reader";
    if (memory_escapes(forwarding->memory, node) && makes_alias(forwarding, node, other))
        return "it is returned, and would then share memory with an input or another result";
    return NULL;
}

static bool same_layout(struct forwarding *forwarding, const struct type *a, const struct type *b) {
    return a->kind == type_tensor && b->kind == type_tensor && a->dtype == b->dtype &&
           device_equal(a->device, b->device) &&
           layout_same(forwarding->context->symbols, &a->layout, &b->layout) == answer_yes;
}

/* ---- the same view of another value ---- */

static bool is_view(const struct node *node) {
    if (node->kind == node_getitem) {
        const struct node *call = value_as_node(&node->arguments[0]);
        return call && node_has_class(call, class_view);
    }
    return node_has_class(node, class_view) && !node->operation->schema.returns[0].list;
}

/* What a view, or the call whose item it is, is a view of. */
static struct node *viewed(const struct node *node) { return value_as_node(&node->arguments[0]); }

/* A view call of `root` (or a view of a view of it), once more on `other`. Copies are made once and shared. */
static regraft_status copy_on(struct forwarding *forwarding, struct node *view, const struct node *root,
                              struct node *other, struct node *before, struct node **result) {
    struct node *path[chain_most_nodes];
    size_t count = 0;
    for (struct node *node = view; node != root; node = viewed(node)) {
        if (count == chain_most_nodes)
            return fail(&forwarding->context->diagnostics, REGRAFT_UNSUPPORTED, view->position,
                        "a chain of more than %d views", chain_most_nodes);
        path[count++] = node;
    }
    *result = other;
    while (count-- > 0) {
        uint32_t key[2] = {path[count]->index, other->index};
        void **slot = map_slot(forwarding->copies, key, sizeof key);
        if (!*slot) {
            struct node *copy = graph_duplicate(forwarding->graph, before, path[count]);
            value_set_node(copy, &copy->arguments[0], *result);
            copy->location = before->location;
            memory_stand_in(forwarding->memory, copy, before);
            TRY(memory_refresh(forwarding->memory, copy));
            *slot = copy;
        }
        *result = *slot;
    }
    return REGRAFT_OK;
}

/* Whether the views between a node and the update below it can be made on another value. */
static bool reaches(const struct node *node, const struct node *root) {
    size_t steps = 0;
    while (node && node != root && steps++ < chain_most_nodes) {
        bool call = node_has_class(node, class_view);
        if (!call && node->kind != node_getitem) return false;
        if (node->argument_count == 0 || node->arguments[0].kind != value_node) return false;
        node = viewed(node);
    }
    return node == root;
}

/* Lets a view of `root` be the same view of `other`. */
static regraft_status rebase(struct forwarding *forwarding, struct node *node, size_t argument, const struct node *root,
                             struct node *other) {
    struct node *below;
    TRY(copy_on(forwarding, value_as_node(&node->arguments[argument]), root, other, node, &below));
    value_set_node(node, &node->arguments[argument], below);
    return memory_refresh(forwarding->memory, node);
}

/* ---- reads ---- */

enum step { step_stays, step_rebased, step_replaced };

/* What is looked at again and again of an update. */
struct update_facts {
    struct update_place written;
    bool known;        /* all of it is, and no two indices of the update's value share an address */
    bool written_once; /* no two indices of the written place do */
};

/* One step down: what is read of `update` may be read of `base`. */
struct descent {
    struct node *update, *base;
};

/* A view on its way down; `place` is where it lies in the root that it has come to. */
struct reading {
    struct node *node;
    VECTOR(struct descent) steps;
    struct place place;
    struct node *update; /* the root of the place */
    const struct update_facts *facts;
};

enum { most_step_remarks = 16 };

static regraft_status replace_read(struct forwarding *forwarding, struct reading *reading, struct node *other,
                                   const char *fact, enum step *step) {
    const char *reason = obstacle(forwarding, reading->node, reading->update, other);
    bool cast = reading->facts->written.source->type->dtype != reading->update->type->dtype;
    if (cast || !same_layout(forwarding, reading->node->type, other->type))
        reason = "the value written there has another element type or other strides";
    if (reason) {
        graph_remark(forwarding->graph, reading->node, false, "still reads %.*s: %s", TEXT_ARGS(reading->update->name),
                     reason);
        return REGRAFT_OK;
    }
    graph_remark(forwarding->graph, reading->node, true, "reads %.*s instead of %.*s: %s", TEXT_ARGS(other->name),
                 TEXT_ARGS(reading->update->name), fact);
    *step = step_replaced;
    return memory_replace(forwarding->memory, reading->node, other);
}

/* R inside W: the same window of what was written. */
static regraft_status read_part(struct forwarding *forwarding, struct reading *reading, enum step *step) {
    struct node *source = reading->facts->written.source, *node = reading->node;
    struct view_chain *chain = arena_new(forwarding->scratch, struct view_chain);
    bool found = false;
    struct layout *layout =
        &(struct layout){source->type->layout.rank, source->type->layout.sizes, source->type->layout.strides};
    if (layout_same(forwarding->context->symbols, layout, &reading->facts->written.window.layout) != answer_yes ||
        obstacle(forwarding, node, reading->update, source))
        return REGRAFT_OK;
    TRY(window_take(forwarding->graph, node, source, &reading->facts->written.window, &reading->place.window, chain,
                    &found));
    for (size_t i = 1; i < chain->count; i++) {
        memory_stand_in(forwarding->memory, chain->nodes[i], node);
        TRY(memory_refresh(forwarding->memory, chain->nodes[i]));
    }
    if (!found) return REGRAFT_OK;
    return replace_read(forwarding, reading, chain_result(chain), "its place lies inside the place that was written",
                        step);
}

static bool same_offset(struct forwarding *forwarding, const struct node *a, const struct node *b) {
    const struct place *x = memory_place(forwarding->memory, a), *y = memory_place(forwarding->memory, b);
    return x->exact && y->exact &&
           symint_equal(forwarding->context->symbols, x->window.offset, y->window.offset) == answer_yes;
}

/* R apart from W: the same read of the base. Only the last base is read in the end. */
static regraft_status read_base(struct forwarding *forwarding, struct reading *reading, enum step *step) {
    struct symbols *symbols = forwarding->context->symbols;
    struct node *base = reading->facts->written.base, *node = reading->node;
    const char *reason = obstacle(forwarding, node, reading->update, base);
    if (!same_layout(forwarding, reading->update->type, base->type)) reason = "its base has other strides";
    if (reading->place.by_numbers && !same_offset(forwarding, reading->update, base))
        reason = "as_strided counts from the start of the storage, which may be another one";
    const struct node *above = reading->steps.count ? reading->steps.items[reading->steps.count - 1].base : node;
    if (!reaches(above, reading->update)) return REGRAFT_OK;
    if (reason) {
        graph_remark(forwarding->graph, node, false, "still reads %.*s: %s", TEXT_ARGS(reading->update->name), reason);
        return REGRAFT_OK;
    }
    if (reading->steps.count < most_step_remarks)
        graph_remark(forwarding->graph, node, true,
                     "reads %.*s instead of %.*s: its place is apart from the place that was written",
                     TEXT_ARGS(base->name), TEXT_ARGS(reading->update->name));
    const struct place *from = memory_place(forwarding->memory, reading->update),
                       *to = memory_place(forwarding->memory, base);
    symint behind = symint_subtract(symbols, reading->place.window.offset, from->window.offset);
    vector_push(forwarding->scratch, &reading->steps, (struct descent){reading->update, base});
    reading->place.root = to->root;
    reading->place.exact = to->exact;
    reading->place.by_numbers = reading->place.by_numbers || to->by_numbers;
    if (to->exact) reading->place.window.offset = symint_add(symbols, to->window.offset, behind);
    *step = step_rebased;
    return REGRAFT_OK;
}

static regraft_status facts_of(struct forwarding *forwarding, struct node *update, const struct update_facts **result) {
    struct context *context = forwarding->context;
    void **slot = map_slot(forwarding->facts, &update->index, sizeof update->index);
    if (!*slot) {
        struct update_facts *facts = arena_new(forwarding->scratch, struct update_facts);
        const struct place *whole = memory_place(forwarding->memory, update);
        TRY(memory_update(forwarding->memory, update, &facts->written));
        facts->known = facts->written.exact && facts->written.base && facts->written.source &&
                       place_overlaps_itself(context, &whole->window) == answer_no;
        facts->written_once = facts->known && place_overlaps_itself(context, &facts->written.window) == answer_no;
        *slot = facts;
    }
    *result = *slot;
    return REGRAFT_OK;
}

/* One step down; the place tells which. */
static regraft_status forward_once(struct forwarding *forwarding, struct reading *reading, enum step *step) {
    struct context *context = forwarding->context;
    const struct place *place = &reading->place;
    struct node *update = reading->update = place->root;
    *step = step_stays;
    if (!place->exact || !update || update == reading->node || !update->operation ||
        update->operation->class != class_update)
        return REGRAFT_OK;
    TRY(facts_of(forwarding, update, &reading->facts));
    const struct window_place *written = &reading->facts->written.window;
    if (!reading->facts->known) return REGRAFT_OK;
    if (place->by_numbers &&
        place_contains(context, &memory_place(forwarding->memory, update)->window, &place->window) != answer_yes)
        return REGRAFT_OK;
    if (places_disjoint(context, &place->window, written) == answer_yes) return read_base(forwarding, reading, step);
    if (!reading->facts->written_once) return REGRAFT_OK;
    if (places_identical(context, &place->window, written) == answer_yes)
        return replace_read(forwarding, reading, reading->facts->written.source,
                            "its place is the place that was written", step);
    if (place_contains(context, written, &place->window) == answer_yes) return read_part(forwarding, reading, step);
    return REGRAFT_OK;
}

/* The node reads the last base; where a base was a view of the next update, that view is made on what is read instead. */
static regraft_status settle_on_base(struct forwarding *forwarding, struct reading *reading) {
    struct node *value = reading->steps.items[reading->steps.count - 1].base;
    for (size_t i = reading->steps.count - 1; i-- > 0;)
        TRY(copy_on(forwarding, reading->steps.items[i].base, reading->steps.items[i + 1].update, value, reading->node,
                    &value));
    return rebase(forwarding, reading->node, 0, reading->steps.items[0].update, value);
}

static regraft_status forward_read(struct forwarding *forwarding, struct node *node) {
    struct reading reading = {.node = node, .place = *memory_place(forwarding->memory, node)};
    enum step step = step_rebased;
    while (step == step_rebased) TRY(forward_once(forwarding, &reading, &step));
    if (step == step_replaced)
        graph_remove(forwarding->graph, node);
    else if (reading.steps.count)
        TRY(settle_on_base(forwarding, &reading));
    return REGRAFT_OK;
}

/* ---- updates ---- */

/* An update and its place, also as a window onto the buffer of its base. */
struct updating {
    struct node *node;
    struct update_place place;
    const struct place *base;    /* the base's own place */
    struct window_place in_base; /* where it writes, on the base's root */
};

static bool look_at(struct forwarding *forwarding, struct node *node, struct updating *updating) {
    struct symbols *symbols = forwarding->context->symbols;
    const struct place *own = memory_place(forwarding->memory, node);
    *updating = (struct updating){.node = node};
    if (memory_update(forwarding->memory, node, &updating->place) != REGRAFT_OK) return false;
    if (!updating->place.exact || !updating->place.base || !updating->place.source) return false;
    updating->base = memory_place(forwarding->memory, updating->place.base);
    if (!updating->base->exact || !same_layout(forwarding, node->type, updating->place.base->type)) return false;
    symint behind = symint_subtract(symbols, updating->place.window.offset, own->window.offset);
    updating->in_base = (struct window_place){symint_add(symbols, updating->base->window.offset, behind),
                                              updating->place.window.layout};
    return true;
}

/* Whether the update may write one address more than once: then strides of what it writes may decide what stays there. */
static bool may_write_twice(struct forwarding *forwarding, struct node *update) {
    struct update_place place;
    if (memory_update(forwarding->memory, update, &place) != REGRAFT_OK || !place.exact)
        return node_is(update, operation_aten_as_strided_scatter_default);
    return place_overlaps_itself(forwarding->context, &place.window) != answer_no;
}

/* copy(x, y) written into a window: y itself, when it has the window's shape and type; its strides do not matter there. */
static void look_through_copy(struct forwarding *forwarding, struct node *node) {
    struct node *copy = value_as_node(node_argument(node, 1)), *source;
    if (!copy || !node_is(copy, operation_aten_copy_default) || may_write_twice(forwarding, node)) return;
    source = value_as_node(node_argument(copy, 1));
    bool same =
        source && source->type->kind == type_tensor && copy->type->kind == type_tensor &&
        source->type->dtype == copy->type->dtype && device_equal(source->type->device, copy->type->device) &&
        layout_same_sizes(forwarding->context->symbols, &source->type->layout, &copy->type->layout) == answer_yes;
    if (!same ||
        memory_written_between(forwarding->memory, memory_root(forwarding->memory, source), copy->order, node->order))
        return;
    if (memory_written_between(forwarding->memory, memory_root(forwarding->memory, copy), copy->order, node->order))
        return;
    for (size_t i = 0; i < node->argument_count; i++)
        if (value_as_node(&node->arguments[i]) == copy && &node->arguments[i] == node_argument(node, 1))
            value_set_node(node, &node->arguments[i], source);
    graph_remark(forwarding->graph, node, true, "writes %.*s itself: %.*s only copies it", TEXT_ARGS(source->name),
                 TEXT_ARGS(copy->name));
}

/* The update below (its base's root) writes a place that this one overwrites: build on what lies below that. */
static regraft_status skip_overwritten(struct forwarding *forwarding, struct node *node, bool *again) {
    struct updating updating;
    struct update_place below;
    struct node *update;
    *again = false;
    if (!look_at(forwarding, node, &updating)) return REGRAFT_OK;
    update = updating.base->root;
    if (!update->operation || update->operation->class != class_update || updating.base->by_numbers) return REGRAFT_OK;
    TRY(memory_update(forwarding->memory, update, &below));
    if (!below.exact || !below.base || !same_layout(forwarding, update->type, below.base->type) ||
        !reaches(updating.place.base, update))
        return REGRAFT_OK;
    if (place_contains(forwarding->context, &updating.in_base, &below.window) != answer_yes) return REGRAFT_OK;
    if (memory_written_between(forwarding->memory, memory_root(forwarding->memory, below.base), update->order,
                               node->order) ||
        memory_written_between(forwarding->memory, update, update->order, node->order))
        return REGRAFT_OK;
    graph_remark(forwarding->graph, node, true, "updates %.*s instead of %.*s: it overwrites all that the latter wrote",
                 TEXT_ARGS(below.base->name), TEXT_ARGS(update->name));
    *again = true;
    return rebase(forwarding, node, (size_t)(node_argument(node, 0) - node->arguments), update, below.base);
}

/* How many updates it takes to put something in the place of the chain's last node: the views that leave elements out. */
static size_t count_scatters(const struct view_chain *chain) {
    size_t count = 0;
    for (size_t i = 1; i < chain->count; i++)
        count += node_is(chain->nodes[i], operation_aten_slice_Tensor) ||
                 node_is(chain->nodes[i], operation_aten_select_int);
    return count;
}

static void drop_chain(struct forwarding *forwarding, const struct view_chain *chain) {
    for (size_t i = chain->count; i-- > 1;) graph_remove(forwarding->graph, chain->nodes[i]);
}

/* update(B, W, update(read(B, W), V, t)): the inner one only carries t; it is written into V of B at once, where one
 * operation can say so. */
static regraft_status flatten(struct forwarding *forwarding, struct node **node, bool *again) {
    struct graph *graph = forwarding->graph;
    struct updating outer, inner;
    struct view_chain *chain;
    bool found;
    *again = false;
    if (!look_at(forwarding, *node, &outer)) return REGRAFT_OK;
    struct node *carrier = outer.place.source, *source;
    if (!carrier->operation || carrier->operation->class != class_update || !look_at(forwarding, carrier, &inner))
        return REGRAFT_OK;
    bool reads_it = inner.base->root == outer.base->root &&
                    places_identical(forwarding->context, &inner.base->window, &outer.in_base) == answer_yes;
    source = inner.place.source;
    bool fits =
        source->type->kind == type_tensor && source->type->dtype == (*node)->type->dtype &&
        carrier->type->dtype == (*node)->type->dtype && device_equal(source->type->device, (*node)->type->device) &&
        layout_same_sizes(forwarding->context->symbols, &source->type->layout, &inner.in_base.layout) == answer_yes;
    if (!fits || !reads_it || outer.base->by_numbers || inner.base->by_numbers ||
        place_overlaps_itself(forwarding->context, &outer.base->window) != answer_no)
        return REGRAFT_OK;
    if (memory_written_between(forwarding->memory, outer.base->root, carrier->order, (*node)->order) ||
        memory_written_between(forwarding->memory, memory_root(forwarding->memory, source), carrier->order,
                               (*node)->order) ||
        memory_written_between(forwarding->memory, carrier, carrier->order, (*node)->order))
        return REGRAFT_OK;
    chain = arena_new(forwarding->scratch, struct view_chain);
    struct node *previous = (*node)->previous, *flat;
    TRY(window_take(graph, *node, outer.place.base, &outer.base->window, &inner.in_base, chain, &found));
    if (!found) return REGRAFT_OK;
    if (count_scatters(chain) != 1) {
        drop_chain(forwarding, chain);
        return REGRAFT_OK;
    }
    TRY(window_put(graph, *node, chain, source, &flat));
    for (struct node *made = previous ? previous->next : graph->first; made != *node; made = made->next) {
        memory_stand_in(forwarding->memory, made, *node);
        TRY(memory_refresh(forwarding->memory, made));
    }
    if (!same_layout(forwarding, flat->type, (*node)->type)) return REGRAFT_OK;
    graph_remark(graph, *node, true,
                 "writes %.*s into its place at once: %.*s was only read from there and written back",
                 TEXT_ARGS(source->name), TEXT_ARGS(carrier->name));
    memory_take_over(forwarding->memory, memory_root(forwarding->memory, flat), *node);
    TRY(memory_replace(forwarding->memory, *node, flat));
    graph_remove(graph, *node);
    *node = flat;
    *again = flat->operation->class == class_update;
    return REGRAFT_OK;
}

/* update(B, W, read(B, W)) is B. */
static regraft_status drop_write_back(struct forwarding *forwarding, struct node *node, bool *gone) {
    struct updating updating;
    *gone = false;
    if (!look_at(forwarding, node, &updating) || !same_layout(forwarding, node->type, updating.place.base->type))
        return REGRAFT_OK;
    const struct place *source = memory_place(forwarding->memory, updating.place.source);
    bool same = source->exact && source->root == updating.base->root &&
                updating.place.source->type->dtype == node->type->dtype &&
                places_identical(forwarding->context, &source->window, &updating.in_base) == answer_yes;
    if (!same || obstacle(forwarding, node, node, updating.place.base)) return REGRAFT_OK;
    graph_remark(forwarding->graph, node, true, "replaced by %.*s: it writes back what was read from the same place",
                 TEXT_ARGS(updating.place.base->name));
    TRY(memory_replace(forwarding->memory, node, updating.place.base));
    graph_remove(forwarding->graph, node);
    *gone = true;
    return REGRAFT_OK;
}

static regraft_status simplify_update(struct forwarding *forwarding, struct node *node) {
    bool again, gone;
    look_through_copy(forwarding, node);
    do TRY(flatten(forwarding, &node, &again));
    while (again);
    if (!node->operation || node->operation->class != class_update) return REGRAFT_OK;
    TRY(drop_write_back(forwarding, node, &gone));
    if (gone) return REGRAFT_OK;
    do TRY(skip_overwritten(forwarding, node, &again));
    while (again);
    return REGRAFT_OK;
}

/* ---- the pass ---- */

static void add_result(void *user, struct value *value) {
    struct forwarding *forwarding = user;
    vector_push(forwarding->scratch, &forwarding->results, value);
}

static void remember_results(struct forwarding *forwarding) {
    node_each_use(forwarding->graph->last, add_result, forwarding);
    struct node **roots = arena_array(forwarding->scratch, struct node *, forwarding->results.count);
    for (size_t i = 0; i < forwarding->results.count; i++)
        roots[i] = memory_place(forwarding->memory, forwarding->results.items[i]->use.node)->root;
    forwarding->first_roots = roots;
}

/* A reader of the node that is needed itself; NULL when dce will remove the node. */
static const struct node *live_reader(const struct node *node, const bool *dead) {
    for (const struct value *use = node->users; use; use = use->use.next)
        if (!dead[use->use.user->index]) return use->use.user;
    return NULL;
}

/* Says why an update that is still needed stays. */
static void explain_rest(struct forwarding *forwarding) {
    bool *dead = arena_array(forwarding->scratch, bool, forwarding->graph->node_limit);
    for (struct node *node = forwarding->graph->last; node; node = node->previous) {
        const struct node *reader = live_reader(node, dead);
        dead[node->index] = !reader && node_is_removable(node);
        if (!reader || node->kind != node_call || !node->operation || node->operation->class != class_update) continue;
        graph_remark(forwarding->graph, node, false, "stays: %.*s needs the updated place and the rest together",
                     TEXT_ARGS(reader->name));
    }
}

regraft_status pass_scatter_split_replace(struct graph *graph, struct arena *scratch) {
    struct forwarding forwarding = {.graph = graph,
                                    .context = graph->context,
                                    .scratch = scratch,
                                    .copies = map_create(scratch),
                                    .facts = map_create(scratch)};
    TRY(memory_of(graph, &forwarding.memory));
    remember_results(&forwarding);
    for (struct node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (node_has_class(node, class_update))
            TRY(simplify_update(&forwarding, node));
        else if (is_view(node))
            TRY(forward_read(&forwarding, node));
    }
    explain_rest(&forwarding);
    return REGRAFT_OK;
}
