/* Views: a statement `y = torch.ops.aten.slice.Tensor(x, -1, 0, width)` is matched by every value that is this window onto x,
 * whether it is spelled as slice, split, chunk, narrow or in several steps. */
#include "ir/view.h"
#include "rule/condition.h"
#include "rule/matching.h"

enum { most_arguments = 8, most_items = 64 };

/* The statement as a call of the graph, outside of it: what the formulas of views look at. */
struct pretended {
    struct node node;
    struct value arguments[most_arguments];
    struct value items[most_items];
};

static bool set_integer(struct matcher *matcher, struct value *value, symint pattern) {
    symint integer = bound_integer(matcher, pattern);
    int64_t number;
    if (!integer) return false;
    if (symint_is_constant(integer, &number)) {
        value->kind = value_integer;
        value->integer = number;
    } else {
        value->kind = value_symint;
        value->expression = integer;
    }
    return true;
}

static bool set_list(struct matcher *matcher, struct pretended *call, struct value *value,
                     const struct pattern *pattern) {
    if (pattern->count > most_items) return false;
    value->kind = value_list;
    value->list.items = call->items;
    value->list.count = pattern->count;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct pattern *item = &pattern->items[i];
        if (item->kind == pattern_literal)
            call->items[i] = *item->literal;
        else if (item->kind != pattern_integer || !set_integer(matcher, &call->items[i], item->integer))
            return false;
    }
    return true;
}

/* False when an integer is not bound yet. */
static bool pretend(struct matcher *matcher, const struct rule_statement *statement, struct node *base,
                    struct pretended *call) {
    *call = (struct pretended){0};
    if (statement->argument_count > most_arguments) return false;
    call->node.graph = matcher->graph;
    call->node.kind = node_call;
    call->node.name = statement->operation->target;
    call->node.operation = statement->operation;
    call->node.type = &type_of_unknown;
    call->node.arguments = call->arguments;
    for (size_t i = 0; i < statement->argument_count; i++) {
        const struct pattern *pattern = &statement->arguments[i];
        struct value *value = &call->arguments[call->node.argument_count];
        if (pattern->kind == pattern_default) continue;
        value->keyword = i == call->node.argument_count ? TEXT("") : statement->operation->schema.arguments[i].name;
        call->node.argument_count++;
        if (i == 0) {
            value->kind = value_node;
            value->use.node = base;
        } else if (pattern->kind == pattern_list) {
            if (!set_list(matcher, call, value, pattern)) return false;
        } else if (pattern->kind == pattern_integer) {
            if (!set_integer(matcher, value, pattern->integer)) return false;
        } else if (pattern->kind == pattern_literal) {
            struct text keyword = value->keyword;
            *value = *pattern->literal;
            value->keyword = keyword;
        } else {
            return false;
        }
    }
    return true;
}

/* Where the result lies in the buffer of `base`. */
static bool window_of(struct matcher *matcher, const struct pretended *call, const struct node *base, size_t result,
                      struct window_place *place, enum window_kind *kind) {
    struct inference inference = {matcher->context, (struct node *)&call->node, call->node.operation, NULL};
    const struct place *own = memory_place(matcher->memory, base);
    struct diagnostics before = matcher->context->diagnostics;
    struct window *windows;
    size_t count;
    regraft_status status = view_windows(&inference, &base->type->layout, &windows, &count);
    matcher->context->diagnostics = before; /* a view that does not fit this base is no error, only no match */
    if (status != REGRAFT_OK || result >= count) return false;
    const struct window *window = &windows[result];
    *kind = window->kind;
    place->layout = window->layout;
    place->offset = window->offset;
    if (window->kind != window_view || !own->exact) return true;
    if (!window->absolute) place->offset = symint_add(matcher->context->symbols, own->window.offset, window->offset);
    return true;
}

static enum answer same_sizes(struct matcher *matcher, const struct window_place *place, const struct node *node) {
    if (node->type->kind != type_tensor) return answer_unknown;
    return layout_same_sizes(matcher->context->symbols, &place->layout, &node->type->layout);
}

/* A reshape that copies has no place of its own: it is told by its elements. */
static enum answer is_copied_view(struct matcher *matcher, const struct window_place *place, const struct node *base,
                                  const struct node *node) {
    for (const struct node *source = node; source; source = same_elements_source(source))
        if (same_value(source, base)) return same_sizes(matcher, place, node);
    return answer_no;
}

enum answer match_view(struct matcher *matcher, size_t index, size_t result, struct node *node) {
    const struct rule_statement *statement = &matcher->match->rule->match.statements.items[index];
    const struct node *base = matcher->match->values[statement->arguments[0].index];
    const struct place *own = memory_place(matcher->memory, node), *whole = memory_place(matcher->memory, base);
    struct pretended call;
    struct window_place place;
    enum window_kind kind;
    if (base->type->kind != type_tensor || node->type->kind != type_tensor) return answer_no;
    if (!base->type->layout.strides) return answer_unknown; /* as it is written, then */
    if (!pretend(matcher, statement, (struct node *)base, &call)) return answer_unknown;
    if (!window_of(matcher, &call, base, result, &place, &kind)) return answer_no;
    if (kind != window_view) return is_copied_view(matcher, &place, base, node);
    if (own->root != whole->root || !own->exact || !whole->exact) return answer_no;
    return answer_of(places_identical(matcher->context, &place, &own->window) == answer_yes);
}

static void add_views(struct matcher *matcher, struct node *node, node_list *list) {
    for (struct value *use = node->users; use; use = use->use.next) {
        struct node *user = use->use.user;
        bool view = node_has_class(user, class_view) || (user->kind == node_getitem && view_source(user)) ||
                    user->kind == node_rename;
        if (!view || (user->kind == node_call && use != &user->arguments[0])) continue;
        if (user->type->kind == type_tensor) vector_push(matcher->arena, list, user);
        add_views(matcher, user, list);
    }
}

void windows_beside(struct matcher *matcher, struct node *base, node_list *list) {
    struct node *root = memory_place(matcher->memory, base)->root;
    add_views(matcher, root ? root : base, list);
}
