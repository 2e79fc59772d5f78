/* Ways to break a graph. Each looks at the nodes from a random one on, and breaks the first that it can. */
#ifndef REGRAFT_TESTS_PROOF_MUTANTS_H
#define REGRAFT_TESTS_PROOF_MUTANTS_H

#include "ir/effect.h"
#include "ir/infer.h"

struct mutation {
    struct graph *graph;
    uint64_t random;
};

static inline uint64_t draw(struct mutation *mutation) { /* splitmix64 */
    uint64_t z = mutation->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline bool is_alike(const struct node *a, const struct node *b) {
    const struct type *x = a->type, *y = b->type;
    if (a == b || x->kind != type_tensor || y->kind != type_tensor || x->dtype != y->dtype ||
        x->layout.rank != y->layout.rank)
        return false;
    for (size_t i = 0; i < x->layout.rank; i++)
        if (x->layout.sizes[i] != y->layout.sizes[i]) return false;
    return true;
}

static inline bool is_called(const struct node *node, const char *part) {
    return node->kind == node_call && strstr(text_string(node->graph->arena, node->target), part);
}

/* Calls `change` for all uses of a node until it has changed one. */
struct use_change {
    struct mutation *mutation;
    bool (*change)(struct use_change *self, struct node *node, struct value *value);
    struct node *node;
    size_t skip;
    bool done;
};
static inline void change_use(void *user, struct value *value) {
    struct use_change *self = user;
    if (self->done || self->skip-- > 0) return;
    self->skip = 0;
    self->done = self->change(self, self->node, value);
}
static inline bool any_use(struct mutation *mutation, struct node *node,
                           bool (*change)(struct use_change *, struct node *, struct value *)) {
    struct use_change self = {mutation, change, node, draw(mutation) % 3, false};
    node_each_use(node, change_use, &self);
    return self.done;
}

/* Another value of the same type from before: exchanges q and k, reads an old version. */
static inline bool use_another(struct use_change *self, struct node *node, struct value *value) {
    size_t skip = draw(self->mutation) % 3;
    for (struct node *other = node->previous; other; other = other->previous)
        if (is_alike(other, value->use.node) && skip-- == 0) {
            value_set_node(node, value, other);
            return true;
        }
    return false;
}
static inline bool read_another(struct mutation *mutation, struct node *node) {
    return any_use(mutation, node, use_another);
}

/* The base of an update instead of the update. */
static inline bool drop_update(struct mutation *mutation, struct node *node) {
    (void)mutation;
    struct node *base =
        node->operation && node->operation->class == class_update ? value_as_node(node_argument(node, 0)) : NULL;
    if (!base || !node->users) return false;
    graph_replace(node, base);
    return true;
}
/* One reader of an update, or of what a call wrote, sees the value from before. */
static inline bool use_old(struct use_change *self, struct node *node, struct value *value) {
    struct node *used = value->use.node, *old = NULL;
    (void)self;
    if (used->operation && used->operation->class == class_update) old = value_as_node(node_argument(used, 0));
    struct node *call = used->kind == node_getitem ? value_as_node(&used->arguments[0]) : NULL;
    if (call && node_is_functionalized_call(call))
        old = value_as_node(functionalized_item(call, used->arguments[1].integer));
    if (!old) return false;
    value_set_node(node, value, old);
    return true;
}
static inline bool read_old(struct mutation *mutation, struct node *node) { return any_use(mutation, node, use_old); }

static inline bool shift_number(struct mutation *mutation, struct node *node, struct value *value) {
    if (value->kind == value_integer && value->integer < INT32_MAX) {
        value_set_integer(node, value, value->integer + (draw(mutation) % 2 ? 1 : -1));
        return true;
    }
    for (size_t i = 0; (value->kind == value_list || value->kind == value_tuple) && i < value->list.count; i++)
        if (shift_number(mutation, node, &value->list.items[i])) return true;
    return false;
}
/* The start of a slice, and its end with it. */
static inline bool shift_view(struct mutation *mutation, struct node *node) {
    bool moves = node->operation && (node->operation->class == class_view || node->operation->class == class_update),
         done = false;
    for (size_t i = 2; moves && i < node->argument_count; i++) {
        struct value *value = &node->arguments[i];
        if (value->kind != value_integer || value->integer >= INT32_MAX ||
            (i == 2 && node->operation->class == class_update))
            continue;
        value_set_integer(node, value, value->integer + (node->arguments[2].integer % 2 ? -1 : 1));
        done = true;
    }
    (void)mutation;
    return done;
}
static inline bool change_constant(struct mutation *mutation, struct node *node) {
    if (node->kind != node_call || (node->operation && node->operation->class == class_view)) return false;
    for (size_t i = node->argument_count; i-- > 0;) {
        struct value *value = &node->arguments[i];
        if (value->kind == value_bool) return value_set_boolean(node, value, !value->boolean), true;
        if (value->kind == value_float)
            return value->real = value->real * 2 + 1, value->written = TEXT(""), node->settled = false, true;
        if (shift_number(mutation, node, value)) return true;
    }
    return false;
}
static inline bool change_item(struct mutation *mutation, struct node *node) {
    (void)mutation;
    if (node->kind != node_getitem) return false;
    struct value *index = &node->arguments[1];
    value_set_integer(node, index, index->integer ? index->integer - 1 : 1);
    return true;
}
static inline bool change_split(struct mutation *mutation, struct node *node) {
    (void)mutation;
    if (!is_called(node, "split") || node->argument_count < 2 || node->arguments[1].kind != value_list) return false;
    struct value *sizes = &node->arguments[1];
    for (size_t i = 0; i + 1 < sizes->list.count; i++) {
        struct value *a = &sizes->list.items[i], *b = &sizes->list.items[i + 1];
        if (a->kind != value_integer || b->kind != value_integer || a->integer == b->integer) continue;
        int64_t first = a->integer;
        value_set_integer(node, a, b->integer);
        value_set_integer(node, b, first);
        return true;
    }
    return false;
}
static inline bool change_dimension(struct mutation *mutation, struct node *node) {
    (void)mutation;
    bool moves =
        is_called(node, "split") || is_called(node, "slice") || is_called(node, "select") || is_called(node, "cat");
    for (size_t i = 1; moves && i < node->argument_count; i++)
        if (node->arguments[i].kind == value_integer && node->arguments[i].integer >= -2 &&
            node->arguments[i].integer <= 2) {
            value_set_integer(node, &node->arguments[i], node->arguments[i].integer ? 0 : 1);
            return true;
        }
    return false;
}
static inline bool swap_operands(struct mutation *mutation, struct node *node) {
    (void)mutation;
    for (size_t i = 0; i + 1 < node->argument_count; i++) {
        struct node *a = value_as_node(&node->arguments[i]), *b = value_as_node(&node->arguments[i + 1]);
        if (!a || !b || a == b) continue;
        value_set_node(node, &node->arguments[i], b);
        value_set_node(node, &node->arguments[i + 1], a);
        return true;
    }
    return false;
}
/* What writes an input or state, left out; who used it sees its first argument. */
static inline bool drop_effect(struct mutation *mutation, struct node *node) {
    bool writes = is_called(node, "_.") || is_called(node, "copy_") ||
                  (node->operation && node->operation->effect == effect_writes_state);
    struct node *first = node->argument_count ? value_as_node(&node->arguments[0]) : NULL;
    if (!writes || node->kind != node_call || node_is_functionalized_call(node) || (node->users && !first))
        return false;
    if (node->users) graph_replace(node, first);
    graph_remove(mutation->graph, node);
    return true;
}
/* A call that was functionalised becomes one that nobody hears of. */
static inline bool drop_call(struct mutation *mutation, struct node *node) {
    bool changed = false;
    (void)mutation;
    if (!node_is_functionalized_call(node)) return false;
    for (struct value *use = node->users, *next; use; use = next) {
        struct node *item = use->use.user;
        next = use->use.next;
        const struct value *old =
            item->kind == node_getitem ? functionalized_item(node, item->arguments[1].integer) : NULL;
        if (!value_as_node(old) || !item->users) continue;
        graph_replace(item, value_as_node(old));
        changed = true;
    }
    return changed;
}
static inline bool depends(const struct node *node, struct node *on) {
    for (const struct value *use = on->users; use; use = use->use.next)
        if (use->use.user == node) return true;
    return false;
}
/* Two neighbours (but for views) exchanged: order of effects. */
static inline bool has_order(const struct node *node) {
    const struct operation *called = node_called_operation(node);
    return called && (called->effect != effect_none || called->class == class_call || called->class == class_opaque);
}
static inline bool swap_order(struct mutation *mutation, struct node *node) {
    if (!has_order(node)) return false;
    for (struct node *other = node->next; other && !depends(other, node); other = other->next) {
        if (other->kind == node_output) return false;
        if (!has_order(other)) continue;
        for (struct node *between = node->next; between != other; between = between->next)
            if (depends(other, between)) return false;
        graph_move(mutation->graph, other, node);
        return true;
    }
    return false;
}
static inline bool change_layer(struct mutation *mutation, struct node *node) {
    (void)mutation;
    for (size_t i = 0; node->kind == node_call && i < node->argument_count; i++)
        if (node->arguments[i].kind == value_dtype) {
            enum dtype other = node->arguments[i].dtype == dtype_f32 ? dtype_f64 : dtype_f32;
            node->arguments[i].dtype = other;
            node->arguments[i].written = TEXT("");
            node->settled = false;
            return true;
        }
    return false;
}

/* What a copy was made of, in place of the copy: of a clone, or of memory of its own strides that copy_ fills. */
static inline bool drop_copy(struct mutation *mutation, struct node *node) {
    bool clone = is_called(node, "aten.clone.default"), fill = is_called(node, "aten.copy_.default");
    struct node *copy = clone  ? node
                        : fill ? value_as_node(&node->arguments[0])
                               : NULL,
                *source = copy ? value_as_node(&node->arguments[clone ? 0 : 1]) : NULL;
    if (!source || (fill && (node->users || !is_called(copy, "aten.empty_strided.default")))) return false;
    if (fill) graph_remove(mutation->graph, node);
    graph_replace(copy, source);
    graph_remove(mutation->graph, copy);
    return true;
}
static inline bool writes_memory(const struct node *node) {
    return node->kind == node_call && node->operation &&
           (node->operation->class == class_call || node->operation->effect == effect_writes_state);
}
static inline bool stands_between(const struct node *first, const struct node *last, struct node *value, bool uses) {
    for (const struct node *node = first; node != last; node = node->next)
        if (uses ? depends(node, value) : depends(value, (struct node *)node)) return true;
    return false;
}
/* A node behind or before a write in place changes sides: it reads what was written too late, or too early. */
static inline bool move_read(struct mutation *mutation, struct node *node) {
    bool down = draw(mutation) % 2;
    if (!writes_memory(node)) return false;
    for (struct node *read = down ? node->previous : node->next; read; read = down ? read->previous : read->next) {
        bool moves = read->kind == node_call && read->operation && read->operation->class == class_compute;
        if (!moves ||
            (down ? stands_between(read->next, node->next, read, true) : stands_between(node, read, read, false)))
            continue;
        graph_move(mutation->graph, read, down ? node->next : node);
        return true;
    }
    return false;
}
/* Two updates of one buffer, or two writes in place: what they put there is exchanged. */
static inline bool swap_updates(struct mutation *mutation, struct node *node) {
    bool copies = is_called(node, "aten.copy_.default"),
         updates = node->kind == node_call && node->operation && node->operation->class == class_update;
    (void)mutation;
    for (struct node *other = copies || updates ? node->previous : NULL; other; other = other->previous) {
        struct node *a = value_as_node(&node->arguments[1]), *b;
        if (other->kind != node_call || !text_equal(other->target, node->target)) continue;
        b = value_as_node(&other->arguments[1]);
        if (!a || !b || a == b || !is_alike(a, b) || a->order > other->order) continue;
        value_set_node(node, &node->arguments[1], b);
        value_set_node(other, &other->arguments[1], a);
        return true;
    }
    return false;
}

static const struct breaker {
    const char *name;
    bool (*apply)(struct mutation *mutation, struct node *node);
} breakers[] = {
    {"read another value", read_another},
    {"drop an update", drop_update},
    {"read the old version", read_old},
    {"shift a view", shift_view},
    {"change a constant", change_constant},
    {"take another item", change_item},
    {"exchange sizes of a split", change_split},
    {"take another dimension", change_dimension},
    {"swap operands", swap_operands},
    {"drop an effect", drop_effect},
    {"drop a call", drop_call},
    {"swap the order", swap_order},
    {"change a type", change_layer},
    {"drop a copy", drop_copy},
    {"move a read", move_read},
    {"swap two updates", swap_updates},
};
enum { breaker_count = sizeof breakers / sizeof *breakers };

/* False when this way to break does not apply to the graph. */
static inline bool mutate(struct mutation *mutation, const struct breaker *breaker) {
    size_t start = draw(mutation) % mutation->graph->node_count, count = mutation->graph->node_count;
    struct node *node = mutation->graph->first;
    for (size_t i = 0; i < start; i++) node = node->next;
    for (size_t i = 0; i < count; i++, node = node->next ? node->next : mutation->graph->first)
        if (node->kind != node_placeholder && breaker->apply(mutation, node)) return true;
    return false;
}

/* After a change the annotations may be wrong: what the operations tell is taken instead. */
static inline void retype(struct graph *graph) {
    for (struct node *node = graph->first; node; node = node->next) {
        const struct type *inferred = NULL;
        if (node->kind == node_placeholder || infer_type(node, &inferred) != REGRAFT_OK || !inferred ||
            inferred->kind == type_unknown)
            continue;
        node->type = inferred;
        node->settled = false;
    }
}

#endif
