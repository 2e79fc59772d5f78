/* Operations that only move data: views, copies, updates of a place. */
#include "proof/machine.h"

static struct tensor_value *argument_tensor(struct machine *machine, const struct node *node, size_t index) {
    const struct value *value = node_argument(node, index);
    struct item item = {.kind = item_none};
    if (value) item = item_of_value(machine, value);
    return item_tensor_of(&item);
}

/* A fresh tensor with the elements of a reading of equal sizes. */
static struct tensor_value *fresh_copy(struct machine *machine, const struct layout *layout,
                                       const struct reading *reading) {
    struct tensor_value *tensor = tensor_fresh(machine, layout, reading->term->dtype);
    tensor_write(machine, tensor, reading);
    return tensor;
}

static struct layout result_layout(const struct node *node, const struct layout *otherwise) {
    if (node->type->kind == type_tensor && node->type->layout.rank == otherwise->rank) return node->type->layout;
    return (struct layout){otherwise->rank, otherwise->sizes, NULL};
}

/* ---- views ---- */

static bool may_copy(enum operation_id id) {
    return id == operation_aten_reshape_default || id == operation_aten__unsafe_view_default ||
           id == operation_aten_flatten_using_ints;
}

/* Whether the annotation's layout is the one that was followed up to here: then its windows hold. */
static bool is_as_typed(const struct type *type, const struct tensor_value *source) {
    struct window_place typed = {source->place.offset, type->layout};
    return type->layout.strides && places_same(&typed, &source->place);
}

static bool get_windows(struct machine *machine, const struct node *node, const struct tensor_value *source,
                        struct window **windows, size_t *count) {
    struct diagnostics *diagnostics = &machine->prover->context->diagnostics;
    const char *message = diagnostics->message;
    struct inference inference = {machine->prover->context, (struct node *)node, node->operation, NULL};
    const struct type *type = inference_tensor(&inference, 0);
    regraft_status status = type && is_as_typed(type, source)
                                ? node_windows(node, windows, count)
                                : view_windows(&inference, &source->place.layout, windows, count);
    diagnostics->message = message;
    return status == REGRAFT_OK;
}

/* The elements of the source row-major in another shape, in memory that may be the source's own. */
static struct tensor_value *reshaped(struct machine *machine, struct tensor_value *source,
                                     const struct window *window) {
    struct prover *prover = machine->prover;
    struct window_place dense = dense_place(prover, window->layout.sizes, window->layout.rank);
    struct layout layout = window->layout;
    if (window->kind != window_copy) layout.strides = NULL;
    struct tensor_value *tensor =
        fresh_copy(machine, &layout, reading_at(prover, tensor_read(machine, source), &dense));
    if (window->kind != window_copy) buffers_may_share(machine, tensor->buffer, source->buffer);
    return tensor;
}

static struct tensor_value *view_of(struct machine *machine, const struct node *node, struct tensor_value *source,
                                    struct window window) {
    struct prover *prover = machine->prover;
    enum operation_id id = node->operation->id;
    bool by_numbers = id == operation_aten_as_strided_default;
    if (window.kind == window_view && !source->buffer->strides_known && may_copy(id)) window.kind = window_unknown;
    if (window.kind == window_view && !window.layout.strides) window.kind = window_unknown;
    if (by_numbers && (!source->buffer->strides_known || window.kind != window_view)) {
        prover_give_up(prover, "as_strided of a tensor whose strides are not known");
        return source;
    }
    if (window.kind != window_view) return reshaped(machine, source, &window);
    symint offset = window.absolute ? window.offset : plus(prover, source->place.offset, window.offset);
    struct window_place place = {offset, window.layout};
    struct tensor_value *view = tensor_make(machine, source->buffer, &place, source->dtype);
    view->by_numbers = source->by_numbers || by_numbers;
    return view;
}

/* A view operation of which nothing is known but its value. */
static void run_obscure_view(struct machine *machine, struct node *node, struct tensor_value *source,
                             struct item *result) {
    run_call(machine, node, result);
    struct tensor_value *tensor = item_tensor_of(result);
    if (tensor)
        buffers_may_share(machine, tensor->buffer, source->buffer);
    else
        prover_give_up(machine->prover, "what this view gives cannot be told");
}

/* The parts of a split are all of its argument; else the program cannot run. */
static void check_parts(struct prover *prover, const struct tensor_value *source, const struct window *windows,
                        size_t count) {
    symint sum = number(prover, 0);
    for (size_t i = 0; i < count; i++) sum = plus(prover, sum, layout_count(prover->symbols, &windows[i].layout));
    if (!surely_equal(prover, sum, layout_count(prover->symbols, &source->place.layout)))
        prover_give_up(prover, "the sizes of a split do not add up");
}

static void run_windows(struct machine *machine, struct node *node, struct tensor_value *source, struct item *result) {
    struct window *windows;
    size_t count;
    if (!get_windows(machine, node, source, &windows, &count) || !count) {
        run_obscure_view(machine, node, source, result);
        return;
    }
    if (!node->operation->schema.returns[0].list) {
        *result = item_of_tensor(view_of(machine, node, source, windows[0]));
        return;
    }
    check_parts(machine->prover, source, windows, count);
    *result =
        (struct item){.kind = item_tuple, .tuple = {arena_array(machine->prover->arena, struct item, count), count}};
    for (size_t i = 0; i < count; i++)
        result->tuple.items[i] = item_of_tensor(view_of(machine, node, source, windows[i]));
}

static struct item copy_of(struct machine *machine, const struct node *node, struct tensor_value *source,
                           enum dtype dtype) {
    struct layout layout = result_layout(node, &source->place.layout);
    const struct reading *reading = reading_cast(machine->prover, tensor_read(machine, source), dtype);
    return item_of_tensor(fresh_copy(machine, &layout, reading));
}

static bool is_given(const struct node *node, const char *name) {
    const struct value *value = node_argument_named(node, name);
    return value && value->kind != value_none;
}

static void run_contiguous(struct machine *machine, const struct node *node, struct tensor_value *source,
                           struct item *result) {
    bool plain = !is_given(node, "memory_format") ||
                 text_is(node_argument_named(node, "memory_format")->written, "torch.contiguous_format");
    enum answer dense = answer_unknown;
    if (plain && source->buffer->strides_known)
        dense = layout_contiguous(machine->prover->symbols, &source->place.layout);
    *result = dense == answer_yes ? item_of_tensor(source) : copy_of(machine, node, source, source->dtype);
    if (dense == answer_unknown) buffers_may_share(machine, result->tensor->buffer, source->buffer);
}

/* The element type that a cast goes to; dtype_none when it does more than that. */
static enum dtype cast_type(const struct node *node, const struct tensor_value *source) {
    const struct value *dtype = node_argument_named(node, "dtype"), *device = node_argument_named(node, "device");
    const struct node *argument = value_as_node(node_argument(node, 0));
    bool moves = device && device->kind != value_none;
    if (moves && (device->kind != value_device || !argument || argument->type->kind != type_tensor ||
                  !device_equal(device->device, argument->type->device)))
        return dtype_none;
    if (!dtype || dtype->kind == value_none) return source->dtype;
    return dtype->kind == value_dtype ? dtype->dtype : dtype_none;
}

/* `to` gives its argument itself when there is nothing to do. */
static void run_to(struct machine *machine, struct node *node, struct tensor_value *source, struct item *result) {
    enum dtype dtype = cast_type(node, source);
    const struct value *copy = node_argument_named(node, "copy");
    bool copies = copy && copy->kind == value_bool && copy->boolean;
    if (dtype == dtype_none) {
        run_obscure_view(machine, node, source, result);
        return;
    }
    bool kept = dtype == source->dtype && !copies;
    if (kept && !is_given(node, "memory_format")) {
        *result = item_of_tensor(source);
        return;
    }
    *result = copy_of(machine, node, source, dtype);
    if (kept) buffers_may_share(machine, result->tensor->buffer, source->buffer);
}

static void run_view_dtype(struct machine *machine, struct node *node, struct tensor_value *source,
                           struct item *result) {
    const struct value *dtype = node_argument_named(node, "dtype");
    if (!dtype || dtype->kind != value_dtype || dtype_size(dtype->dtype) != dtype_size(source->dtype)) {
        run_obscure_view(machine, node, source, result);
        return;
    }
    struct tensor_value *view = tensor_make(machine, source->buffer, &source->place, dtype->dtype);
    view->by_numbers = source->by_numbers;
    *result = item_of_tensor(view);
}

static bool run_view(struct machine *machine, struct node *node, struct item *result) {
    struct tensor_value *source = argument_tensor(machine, node, 0);
    if (!source) {
        prover_give_up(machine->prover, "a view of something that is not known to be a tensor");
        return true;
    }
    switch (node->operation->id) {
    case operation_aten_contiguous_default:
        run_contiguous(machine, node, source, result);
        break;
    case operation_aten_to_dtype:
    case operation_aten_to_dtype_layout:
    case operation_aten_to_device:
        run_to(machine, node, source, result);
        break;
    case operation_aten_view_dtype:
        run_view_dtype(machine, node, source, result);
        break;
    default:
        run_windows(machine, node, source, result);
    }
    return true;
}

/* ---- updates ---- */

/* What a copy of `source` leaves in a place of these sizes; NULL when that cannot be told. */
static const struct reading *copied(struct machine *machine, struct tensor_value *source, const struct layout *layout,
                                    enum dtype dtype) {
    const struct reading *reading = tensor_read(machine, source);
    reading = reading_expand(machine->prover, reading, layout->sizes, layout->rank);
    return reading ? reading_cast(machine->prover, reading, dtype) : NULL;
}

/* The reading of `source` as the node leaves it in `target`. Where one address gets several elements, which of them stays is up to the
 * operation and to how its source lies. NULL when that is not known. */
static const struct reading *left_in(struct machine *machine, const struct node *node,
                                     const struct tensor_value *target, const struct tensor_value *source,
                                     const struct reading *reading) {
    struct prover *prover = machine->prover;
    struct window_place from_start = {number(prover, 0), source->place.layout};
    struct builder by;
    if (place_overlaps_itself(prover->context, &target->place) == answer_no) return reading;
    builder_init(&by, prover->arena);
    key_text(&by, node->operation->target);
    key_place(prover, &by, &from_start);
    const struct reading *left = reading_left(prover, reading, &target->place, &by);
    return left == reading || source->buffer->strides_known ? left : NULL;
}

/* What a copy between places that meet leaves depends on its order. */
static bool meets_itself(struct machine *machine, const struct tensor_value *target,
                         const struct tensor_value *source) {
    if (target->buffer == source->buffer)
        return !places_same(&target->place, &source->place) &&
               places_disjoint(machine->prover->context, &target->place, &source->place) != answer_yes;
    return target->buffer->sharing && target->buffer->sharing == source->buffer->sharing;
}

/* Data that goes to another device is followed no further: what is computed from it is computed elsewhere. */
static bool stays_on_device(const struct node *node) {
    const struct node *to = value_as_node(node_argument(node, 0)), *from = value_as_node(node_argument(node, 1));
    return to && from && device_equal(to->type->device, from->type->device);
}

static bool run_copy(struct machine *machine, const struct node *node, struct item *result) {
    struct tensor_value *target = argument_tensor(machine, node, 0), *source = argument_tensor(machine, node, 1);
    if (!target || !source || !stays_on_device(node)) return false;
    if (node_is(node, operation_aten_copy__default) && meets_itself(machine, target, source)) return false;
    const struct reading *reading = copied(machine, source, &target->place.layout, target->dtype);
    if (!reading) return false;
    if (node_is(node, operation_aten_copy__default)) {
        reading = left_in(machine, node, target, source, reading);
        if (!reading) return false;
        tensor_write(machine, target, reading);
        *result = item_of_tensor(target);
    } else {
        struct layout layout = result_layout(node, &target->place.layout);
        *result = item_of_tensor(fresh_copy(machine, &layout, reading));
    }
    return true;
}

/* as_strided_scatter counts from the start of the storage; that is understood where the base begins and is laid out so. */
static bool same_numbers(const struct node *node, const struct tensor_value *base, const struct tensor_value *fresh) {
    if (!node_is(node, operation_aten_as_strided_scatter_default)) return true;
    return base->buffer->strides_known && fresh->buffer->strides_known && places_same(&base->place, &fresh->place);
}

/* A copy of `base` in `fresh`: cell by cell where both are laid out alike, which keeps chains of updates short. */
static void copy_base(struct machine *machine, struct tensor_value *base, struct tensor_value *fresh) {
    const struct buffer *from = base->buffer;
    struct buffer *to = fresh->buffer;
    bool alike = !from->stale && !from->contents.beyond && from->contents.dtype == to->contents.dtype &&
                 places_same(&base->place, &from->whole) && places_same(&base->place, &fresh->place);
    if (!alike) {
        tensor_write(machine, fresh, tensor_read(machine, base));
        return;
    }
    contents_copy(machine->prover, &to->contents, &from->contents);
    to->contents.whole = &to->whole;
    buffer_changed(to);
}

static bool run_update(struct machine *machine, struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    struct tensor_value *base = argument_tensor(machine, node, 0), *source = argument_tensor(machine, node, 1);
    struct inference inference = {prover->context, node, node->operation, NULL};
    struct window window;
    const char *message = prover->context->diagnostics.message;
    if (node_is(node, operation_aten_copy_default)) return run_copy(machine, node, result);
    if (!base || !source || base->dtype != source->dtype) return false;
    struct layout layout = result_layout(node, &base->place.layout);
    struct tensor_value *fresh = tensor_fresh(machine, &layout, base->dtype);
    regraft_status status = update_window(&inference, &fresh->place.layout, &window);
    prover->context->diagnostics.message = message;
    if (status != REGRAFT_OK || window.kind != window_view || !window.layout.strides) return false;
    if (!same_numbers(node, base, fresh)) return false;
    if (layout_same_sizes(prover->symbols, &window.layout, &source->place.layout) != answer_yes) return false;
    copy_base(machine, base, fresh);
    struct window_place place = {plus(prover, fresh->place.offset, window.offset), window.layout};
    struct tensor_value *target = tensor_make(machine, fresh->buffer, &place, base->dtype);
    const struct reading *reading = left_in(machine, node, target, source, tensor_read(machine, source));
    if (reading) tensor_write(machine, target, reading);
    *result = item_of_tensor(fresh);
    return reading != NULL;
}

/* ---- concatenation: each part is written to its place ---- */

/* The element types are promoted to the result's. */
static bool parts_fit(const struct item *parts, size_t rank, enum dtype dtype) {
    if (parts->kind != item_tuple) return false;
    for (size_t i = 0; i < parts->tuple.count; i++) {
        const struct tensor_value *part = item_tensor_of(&parts->tuple.items[i]);
        if (!part || part->place.layout.rank != rank || dtype_promote(part->dtype, dtype) != dtype) return false;
    }
    return parts->tuple.count > 0;
}

static void write_part(struct machine *machine, const struct tensor_value *fresh, const struct window_place *place,
                       struct tensor_value *part) {
    const struct reading *reading = reading_cast(machine->prover, tensor_read(machine, part), fresh->dtype);
    tensor_write(machine, tensor_make(machine, fresh->buffer, place, fresh->dtype), reading);
}

/* Arguments (tensors, dim) of cat and stack: tensors of the result's type and of `fewer` dimensions less. False: not known. */
static bool joined_parts(struct machine *machine, const struct node *node, size_t fewer, struct item *parts,
                         size_t *axis) {
    const struct value *list = node_argument(node, 0), *dim = node_argument(node, 1);
    int64_t place = 0;
    if (!list || node->type->kind != type_tensor || (dim && !value_as_integer(dim, &place))) return false;
    *parts = item_of_value(machine, list);
    int64_t rank = (int64_t)node->type->layout.rank;
    if (place < 0) place += rank;
    if (place < 0 || place >= rank || !parts_fit(parts, (size_t)rank - fewer, node->type->dtype)) return false;
    *axis = (size_t)place;
    return true;
}

static bool run_cat(struct machine *machine, const struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    struct item parts;
    size_t axis;
    if (!joined_parts(machine, node, 0, &parts, &axis)) return false;
    struct tensor_value *fresh = tensor_fresh(machine, &node->type->layout, node->type->dtype);
    struct window_place place = fresh->place;
    for (size_t i = 0; i < parts.tuple.count; i++) {
        struct tensor_value *part = parts.tuple.items[i].tensor;
        symint step = times(prover, part->place.layout.sizes[axis], fresh->place.layout.strides[axis]);
        place.layout.sizes = part->place.layout.sizes;
        write_part(machine, fresh, &place, part);
        place.offset = plus(prover, place.offset, step);
    }
    *result = item_of_tensor(fresh);
    return true;
}

/* aten.stack(tensors, dim): each tensor is one index of a new dimension. */
static bool run_stack(struct machine *machine, const struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    struct item parts;
    size_t axis, rank = node->type->layout.rank;
    if (!joined_parts(machine, node, 1, &parts, &axis)) return false;
    struct tensor_value *fresh = tensor_fresh(machine, &node->type->layout, node->type->dtype);
    symint strides[place_most_dimensions], step = fresh->place.layout.strides[axis];
    for (size_t i = 0, next = 0; i < rank; i++)
        if (i != axis) strides[next++] = fresh->place.layout.strides[i];
    symint *kept = arena_copy(prover->arena, strides, (rank - 1) * sizeof *kept);
    for (size_t i = 0; i < parts.tuple.count; i++) {
        struct tensor_value *part = parts.tuple.items[i].tensor;
        struct window_place place = {plus(prover, fresh->place.offset, times(prover, step, number(prover, (int64_t)i))),
                                     {rank - 1, part->place.layout.sizes, kept}};
        write_part(machine, fresh, &place, part);
    }
    *result = item_of_tensor(fresh);
    return true;
}

/* ---- repetition ---- */

enum { most_tiles = 64 };

/* How often along each dimension of the result; how many tiles that are. 0: not known, or too many. */
static int64_t read_repeats(const struct node *node, size_t rank, int64_t *repeats) {
    const struct value *list = node_argument(node, 1);
    int64_t tiles = 1;
    if (!list || (list->kind != value_list && list->kind != value_tuple) || list->list.count != rank) return 0;
    for (size_t i = 0; i < rank; i++) {
        if (!value_as_integer(&list->list.items[i], &repeats[i]) || repeats[i] < 1) return 0;
        if (repeats[i] > most_tiles / tiles) return 0;
        tiles *= repeats[i];
    }
    return tiles;
}

/* aten.repeat(self, repeats): `self` is written to each tile. */
static bool run_repeat(struct machine *machine, const struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    struct tensor_value *source = argument_tensor(machine, node, 0);
    int64_t repeats[place_most_dimensions];
    if (!source || node->type->kind != type_tensor || node->type->layout.rank > place_most_dimensions) return false;
    size_t rank = node->type->layout.rank;
    int64_t tiles = read_repeats(node, rank, repeats);
    if (!tiles || source->place.layout.rank > rank || source->dtype != node->type->dtype) return false;
    size_t lead = rank - source->place.layout.rank;
    symint *sizes = arena_array(prover->arena, symint, rank);
    for (size_t i = 0; i < rank; i++) sizes[i] = i < lead ? number(prover, 1) : source->place.layout.sizes[i - lead];
    const struct reading *reading = reading_expand(prover, tensor_read(machine, source), sizes, rank);
    if (!reading) return false;
    struct tensor_value *fresh = tensor_fresh(machine, &node->type->layout, source->dtype);
    for (int64_t tile = 0; tile < tiles; tile++) {
        struct window_place place = {fresh->place.offset, {rank, sizes, fresh->place.layout.strides}};
        int64_t left = tile;
        for (size_t i = 0; i < rank; left /= repeats[i++]) {
            symint step = times(prover, sizes[i], place.layout.strides[i]);
            place.offset = plus(prover, place.offset, times(prover, step, number(prover, left % repeats[i])));
        }
        tensor_write(machine, tensor_make(machine, fresh->buffer, &place, source->dtype), reading);
    }
    *result = item_of_tensor(fresh);
    return true;
}

/* ---- all of them ---- */

static bool run_cast(struct machine *machine, const struct node *node, struct item *result) {
    struct tensor_value *source = argument_tensor(machine, node, 0);
    enum dtype dtype = source ? cast_type(node, source) : dtype_none;
    if (dtype == dtype_none) return false;
    *result = copy_of(machine, node, source, dtype);
    return true;
}

static bool run_clone(struct machine *machine, const struct node *node, struct item *result) {
    struct tensor_value *source = argument_tensor(machine, node, 0);
    if (source) *result = copy_of(machine, node, source, source->dtype);
    return source != NULL;
}

static bool run_allocation(struct machine *machine, const struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    if (node->type->kind != type_tensor) return false;
    struct tensor_value *fresh = tensor_fresh(machine, &node->type->layout, node->type->dtype);
    const struct term *term = term_uninitialised_of(prover, fresh->dtype);
    tensor_write(machine, fresh, reading_intern(prover, term, number(prover, 0), &fresh->place.layout));
    *result = item_of_tensor(fresh);
    return true;
}

bool run_movement(struct machine *machine, struct node *node, struct item *result) {
    switch (node->operation->class) {
    case class_view:
        return run_view(machine, node, result);
    case class_update:
        return run_update(machine, node, result);
    case class_allocate:
        return run_allocation(machine, node, result);
    default:
        break;
    }
    switch (node->operation->id) {
    case operation_aten_copy__default:
        return run_copy(machine, node, result);
    case operation_aten_clone_default:
    case operation_aten_lift_fresh_copy_default:
        return run_clone(machine, node, result);
    case operation_aten__to_copy_default:
    case operation_prims_convert_element_type_default:
        return run_cast(machine, node, result);
    case operation_aten_cat_default:
        return run_cat(machine, node, result);
    case operation_aten_stack_default:
        return run_stack(machine, node, result);
    case operation_aten_repeat_default:
        return run_repeat(machine, node, result);
    default:
        return false;
    }
}
