/* Updates and write-backs in place. */
#include "pass/placing.h"

/* The view operation that reads what an update writes: slice for slice_scatter, ...; operation_unknown for index_put. */
static enum operation_id update_view(const struct node *update) {
    switch (update->operation->id) {
    case operation_aten_slice_scatter_default:
        return operation_aten_slice_Tensor;
    case operation_aten_select_scatter_default:
        return operation_aten_select_int;
    case operation_aten_as_strided_scatter_default:
        return operation_aten_as_strided_default;
    case operation_aten_diagonal_scatter_default:
        return operation_aten_diagonal_default;
    case operation_aten_copy_default:
        return operation_aten_alias_default;
    default:
        return operation_unknown;
    }
}

/* The in-place form of an update that writes somewhere inside, or operation_unknown. */
static enum operation_id inplace_form(const struct node *update) {
    switch (update->operation->id) {
    case operation_aten_index_put_default:
    case operation_aten__unsafe_index_put_default:
        return operation_aten_index_put__default;
    case operation_aten_index_copy_default:
        return operation_aten_index_copy__default;
    default:
        return operation_unknown;
    }
}

/* The window has the sizes of what is put into it. That says more than the arguments do: rows 2 to 4 of s0 rows are two. */
static const struct type *window_type(const struct placing *placing, const struct node *update) {
    const struct node *source = value_as_node(node_argument(update, 1));
    if (!source || source->type->kind != type_tensor) return &type_of_unknown;
    struct layout sizes = {source->type->layout.rank, source->type->layout.sizes, NULL};
    return type_make_tensor(placing->graph->arena, update->type->dtype, sizes, update->type->device);
}

/* A call of `id` with the update's arguments, `first` in place of the base; the source is left out when `view`. */
static regraft_status insert_form(struct placing *placing, struct node *update, enum operation_id id,
                                  struct node *first, bool view, struct node **result) {
    struct graph *graph = placing->graph;
    const struct value *source = node_argument(update, 1);
    bool whole = id == operation_aten_alias_default;
    size_t count = whole ? 1 : update->argument_count - view, next = 0;
    struct node *node = graph_insert_call(graph, update, operations_by_id(graph->context->operations, id), count);
    if (view) node->type = window_type(placing, update);
    for (size_t i = 0; i < update->argument_count && next < count; i++) {
        const struct value *value = &update->arguments[i];
        if (view && value == source) continue;
        struct value *to = &node->arguments[next++];
        value_copy(node, to, value);
        if (value == node_argument(update, 0)) value_set_node(node, to, first);
    }
    *result = node;
    return placing_settle(placing, node, update);
}

static regraft_status insert_copy_into(struct placing *placing, struct node *update, struct node *target,
                                       struct node *source, const char *why) {
    struct node *copy;
    TRY(placing_copy_into(placing, update, target, source, &copy));
    placing_record(placing, copy, target, why, "a producer that can write into this place", false);
    return REGRAFT_OK;
}

/* The window of `base` that the update writes, as a view; the base itself for copy(). */
static regraft_status insert_target(struct placing *placing, struct node *update, struct node *base,
                                    struct node **target) {
    *target = base;
    if (update_view(update) == operation_aten_alias_default) return REGRAFT_OK;
    return insert_form(placing, update, update_view(update), base, true, target);
}

static void drop_target(struct placing *placing, struct node *target, const struct node *base) {
    if (target != base) graph_remove(placing->graph, target);
}

static bool stands_in(struct placing *placing, const struct node *value, const struct node *target) {
    const struct place *to = memory_place(placing->memory, target), *from = memory_place(placing->memory, value);
    return to->exact && from->exact && to->root == from->root && value->type->dtype == target->type->dtype &&
           places_identical(placing->graph->context, &to->window, &from->window) == answer_yes;
}

/* Writes the update into the memory of `base`, which has the old version. */
static regraft_status write_into(struct placing *placing, struct node *update, struct node *base) {
    struct node *target, *raw;
    placing_note_write(placing, base);
    if (update_view(update) == operation_unknown)
        return insert_form(placing, update, inplace_form(update), base, false, &raw);
    TRY(insert_target(placing, update, base, &target));
    return insert_copy_into(placing, update, target, value_as_node(node_argument(update, 1)),
                            "the new value was made elsewhere");
}

struct update_reading {
    struct placing *placing;
    struct node *update, *target;
    const struct node *found;
};

static void note_overlap(void *user, struct value *value) {
    struct update_reading *reading = user;
    if (value == node_argument(reading->update, 0) || value->use.node->type->kind != type_tensor) return;
    if (placing_overlap(reading->placing, value->use.node, reading->target)) reading->found = value->use.node;
}

/* In place the update would read what it is just writing: copy_ of one part of a buffer into another that overlaps it. */
static const char *reads_target(struct placing *placing, struct node *update, struct node *target) {
    struct update_reading reading = {placing, update, target, NULL};
    node_each_use(update, note_overlap, &reading);
    return reading.found
               ? text_format(placing->graph->arena, "it also reads that place, as %.*s", TEXT_ARGS(reading.found->name))
               : NULL;
}

static bool keeps_strides(struct placing *placing, const struct node *update, const struct node *base) {
    return layout_same(placing->graph->context->symbols, &update->type->layout, &base->type->layout) == answer_yes;
}

/* Whether the base can be copied to memory of the strides that the new version has; as_strided counts in those of the base. */
static bool can_copy_base(struct placing *placing, const struct node *update, const struct node *base) {
    const struct layout *layout = &update->type->layout;
    if (keeps_strides(placing, update, base)) return placing_can_copy(placing, base);
    return layout->strides && !node_is(update, operation_aten_as_strided_scatter_default) &&
           placing_can_allocate(placing, layout);
}

static regraft_status copy_base(struct placing *placing, struct node *update, struct node *base, const char *reason,
                                struct node **result) {
    struct node *copy;
    if (keeps_strides(placing, update, base)) return placing_copy(placing, update, base, reason, result);
    TRY(placing_copy_as(placing, update, base, &update->type->layout, result, &copy));
    placing_record(placing, copy, base, reason, "an update that gives the strides of its base", false);
    return REGRAFT_OK;
}

/* Whether several elements of the target may have one address: which of them stays there is up to the operation that writes. */
static bool may_overlap_itself(struct placing *placing, const struct node *target) {
    struct context *context = placing->graph->context;
    struct window_place place = {symint_constant(context->symbols, 0), target->type->layout};
    return place.layout.strides && place_overlaps_itself(context, &place) != answer_no;
}

/* Why the update cannot be written into its base; *there: it need not be, the new value stands in its place already; *stays: it
 * cannot be spelled in another way. */
static regraft_status update_obstacle(struct placing *placing, struct node *update, struct node *base,
                                      const char **reason, bool *there, bool *stays) {
    struct node *source = value_as_node(node_argument(update, 1)), *target = base;
    bool window = update_view(update) != operation_unknown;
    *there = *stays = false;
    *reason = "the new version has other strides";
    if (!keeps_strides(placing, update, base)) return REGRAFT_OK;
    if (window) TRY(insert_target(placing, update, base, &target));
    *there = window && source && stands_in(placing, source, target);
    *reason = *there ? placing_raw_write(placing, base, update) : placing_obstacle(placing, target, update);
    if (!*reason && !*there) *reason = reads_target(placing, update, target);
    if (!*reason) *reason = placing_new_alias(placing, update, base);
    if (*reason) *there = false;
    *stays = window && !*there && may_overlap_itself(placing, target);
    if (*stays) *reason = "what it writes overlaps itself: which of the values stays is up to this operation";
    drop_target(placing, target, base);
    return REGRAFT_OK;
}

/* Why the update stays what it is, a copy with the new value in it. */
static const char *cannot_place(struct placing *placing, const struct node *update, const struct node *base) {
    if (update->type->kind != type_tensor || base->type->kind != type_tensor) return "its type is not known";
    if (update_view(update) != operation_unknown || inplace_form(update) != operation_unknown) return NULL;
    return text_format(placing->graph->arena, "no form of %s that writes in place is known",
                       update->operation->target.data);
}

regraft_status place_update(struct placing *placing, struct node *update) {
    struct node *base = value_as_node(node_argument(update, 0)), *target = base;
    bool there, stays;
    if (!base || !update->users) return REGRAFT_OK;
    const char *reason = cannot_place(placing, update, base);
    if (reason) {
        placing_record(placing, update, base, reason, "an update of a window, or by index_put", false);
        return REGRAFT_OK;
    }
    TRY(update_obstacle(placing, update, base, &reason, &there, &stays));
    if (stays || (reason && !can_copy_base(placing, update, base))) { /* the update allocates by itself */
        const char *remedy = stays ? "a window without overlaps" : "the later reader standing before the write";
        placing_record(placing, update, update, reason, remedy, false);
        return REGRAFT_OK;
    }
    if (reason) TRY(copy_base(placing, update, base, reason, &target));
    if (!there) TRY(write_into(placing, update, target));
    graph_remark(placing->graph, update, true, "is %.*s: %s", TEXT_ARGS(target->name),
                 there    ? "the new value stands in its place already"
                 : reason ? reason
                          : "nobody reads what was there");
    return placing_replace(placing, update, target);
}

bool placing_is_write_back(struct placing *placing, const struct node *node) {
    const struct node *input = node_is(node, operation_aten_copy__default) ? value_as_node(&node->arguments[0]) : NULL;
    return input && input->kind == node_placeholder && placing->write_back[input->index] == node;
}

regraft_status place_write_back(struct placing *placing, struct node *copy) {
    struct node *input = value_as_node(&copy->arguments[0]), *value = value_as_node(&copy->arguments[1]);
    if (!value) return REGRAFT_OK;
    bool there = stands_in(placing, value, input);
    if (there) {
        graph_remark(placing->graph, copy, true, "removed: the new value stands in %.*s already",
                     TEXT_ARGS(input->name));
        graph_remove(placing->graph, copy);
        return REGRAFT_OK;
    }
    placing_record(
        placing, copy, input,
        text_format(placing->graph->arena, "%.*s was not made in the caller's tensor", TEXT_ARGS(value->name)),
        "a producer that can write into the caller's tensor", false);
    return REGRAFT_OK;
}
