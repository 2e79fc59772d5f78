/* Windows of view operations. Formulas: aten/src/ATen/native/TensorShape.cpp and ATen/TensorUtils.cpp (computeStride). */
#include "ir/view.h"

/* The call that is looked at, with short ways to its arguments. */
struct view {
    const struct inference *inference;
    struct context *context;
    struct symbols *symbols;
    const struct layout *input;
    VECTOR(struct window) windows;
};

static symint constant(const struct view *view, int64_t value) { return symint_constant(view->symbols, value); }

/* A window that starts as all of the input. */
static struct window whole(const struct view *view, size_t rank) {
    struct window window = {.kind = view->input->strides ? window_view : window_unknown, .offset = constant(view, 0)};
    symint *sizes = arena_array(view->context->arena, symint, rank),
           *strides = arena_array(view->context->arena, symint, rank);
    size_t common = rank < view->input->rank ? rank : view->input->rank;
    for (size_t i = 0; i < common; i++) {
        sizes[i] = view->input->sizes[i];
        if (view->input->strides) strides[i] = view->input->strides[i];
    }
    window.layout = (struct layout){rank, sizes, view->input->strides ? strides : NULL};
    return window;
}

static symint *sizes_of(struct window *window) { return (symint *)window->layout.sizes; }
static symint *strides_of(struct window *window) { return (symint *)window->layout.strides; }

static void emit(struct view *view, struct window window) { vector_push(view->context->arena, &view->windows, window); }

static regraft_status dimension_named(const struct view *view, const char *name, int64_t otherwise, size_t rank,
                                      size_t *dimension) {
    int64_t value;
    if (!inference_integer(view->inference, name, otherwise, &value))
        return inference_fail(view->inference, "the dimension must be a number");
    return inference_dimension(view->inference, value, rank, dimension);
}

/* The integer argument, or NULL when it is absent, None or not known. */
static symint integer_named(const struct view *view, const char *name) {
    return value_as_symint(view->context, inference_named(view->inference, name));
}

/* ---- slices ---- */

/* Python counts a negative index from the end. NULL when its sign depends on the symbols. */
static symint from_start(const struct view *view, symint index, symint size) {
    enum answer negative = symint_less(view->symbols, index, constant(view, 0));
    if (negative == answer_unknown) return NULL;
    return negative == answer_yes ? symint_add(view->symbols, index, size) : index;
}

/* Python's clamping of a slice bound to [least, size]; `size` itself for the bound at or beyond it. */
static symint clamp(const struct view *view, symint bound, symint least, symint size) {
    bound = from_start(view, bound, size);
    return bound ? symint_min(view->symbols, symint_max(view->symbols, bound, least), size) : NULL;
}

/* The annotated size of a dimension of the window (of an update: of what is written there), or NULL. */
static symint annotated_size(const struct view *view, size_t dimension) {
    bool update = view->inference->operation->class == class_update;
    const struct type *type = update ? inference_tensor(view->inference, 1) : view->inference->node->type;
    return type && type->kind == type_tensor && dimension < type->layout.rank ? type->layout.sizes[dimension] : NULL;
}

/* Whether symbols decide how long [first, last) is, as annotated or not. */
static bool known_length(const struct view *view, size_t dimension, symint first, symint last) {
    symint annotated = annotated_size(view, dimension);
    return annotated && last &&
           symint_equal(view->symbols, annotated, symint_subtract(view->symbols, last, first)) != answer_unknown;
}

/* Whether the annotation, which holds of each size and so is not negative, shows that no bound is clamped: it is end - start.
 * Behind the last element or before the first one, clamping would give another length, or 0. Where start and end could lie there
 * together, it must be more than 0; with a start at 0, or the dimension's own end, they cannot. */
static bool annotated_unclamped(const struct view *view, size_t dimension, symint start, symint end) {
    struct symbols *symbols = view->symbols;
    symint annotated = annotated_size(view, dimension), zero = constant(view, 0);
    if (!annotated || symint_equal(symbols, annotated, symint_subtract(symbols, end, start)) != answer_yes)
        return false;
    if (symint_is(start, 0) || symint_equal(symbols, end, view->input->sizes[dimension]) == answer_yes) return true;
    return symint_less_equal(symbols, zero, start) == answer_yes && symint_less(symbols, zero, annotated) == answer_yes;
}

static void cut(struct view *view, struct window *window, size_t dimension, symint start, symint length, int64_t step) {
    sizes_of(window)[dimension] = length;
    if (!window->layout.strides) return;
    symint stride = window->layout.strides[dimension];
    window->offset = symint_add(view->symbols, window->offset, symint_multiply(view->symbols, start, stride));
    strides_of(window)[dimension] = symint_multiply(view->symbols, stride, constant(view, step));
}

static regraft_status slice(struct view *view) {
    size_t dimension;
    int64_t step;
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    if (!inference_integer(view->inference, "step", 1, &step) || step <= 0)
        return inference_fail(view->inference, "the step of a slice must be a positive number");
    struct window window = whole(view, view->input->rank);
    symint size = view->input->sizes[dimension], start = integer_named(view, "start"), end = integer_named(view, "end");
    if (!start) start = constant(view, 0);
    if (!end || symint_is(end, INT64_MAX)) end = size; /* as torch.fx spells x[a:] */
    symint first = clamp(view, start, constant(view, 0), size), last = first ? clamp(view, end, first, size) : NULL;
    if (step == 1 && !known_length(view, dimension, first, last)) {
        symint from = from_start(view, start, size), to = from_start(view, end, size);
        start = from ? from : start;
        end = to ? to : end;
        if (annotated_unclamped(view, dimension, start, end)) first = start, last = end;
    }
    if (!last) return REGRAFT_OK;
    symint length = symint_subtract(view->symbols, last, first);
    if (step != 1) {
        length = symint_add(view->symbols, length, constant(view, step - 1));
        length = symint_floor_divide(view->symbols, length, constant(view, step));
    }
    cut(view, &window, dimension, first, length, step);
    emit(view, window);
    return REGRAFT_OK;
}

static regraft_status narrow(struct view *view) {
    size_t dimension;
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    symint start = integer_named(view, "start"), length = integer_named(view, "length");
    if (!start || !length) return REGRAFT_OK;
    struct window window = whole(view, view->input->rank);
    start = from_start(view, start, view->input->sizes[dimension]);
    if (!start) return REGRAFT_OK;
    cut(view, &window, dimension, start, length, 1);
    emit(view, window);
    return REGRAFT_OK;
}

static void drop_dimension(struct window *window, size_t dimension) {
    for (size_t i = dimension; i + 1 < window->layout.rank; i++) {
        sizes_of(window)[i] = window->layout.sizes[i + 1];
        if (window->layout.strides) strides_of(window)[i] = window->layout.strides[i + 1];
    }
    window->layout.rank--;
}

static regraft_status select_index(struct view *view) {
    size_t dimension;
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    symint index = integer_named(view, "index"), size = view->input->sizes[dimension];
    if (index) index = from_start(view, index, size);
    if (!index) return REGRAFT_OK;
    if (symint_less(view->symbols, index, size) == answer_no ||
        symint_less(view->symbols, index, constant(view, 0)) == answer_yes)
        return inference_fail(view->inference, "the index lies outside of dimension %zu", dimension);
    struct window window = whole(view, view->input->rank);
    cut(view, &window, dimension, index, constant(view, 1), 1);
    drop_dimension(&window, dimension);
    emit(view, window);
    return REGRAFT_OK;
}

/* One window for each length, one behind the other. */
static void emit_pieces(struct view *view, size_t dimension, const symint *lengths, size_t count) {
    symint start = constant(view, 0);
    for (size_t i = 0; i < count; i++) {
        struct window window = whole(view, view->input->rank);
        cut(view, &window, dimension, start, lengths[i], 1);
        emit(view, window);
        start = symint_add(view->symbols, start, lengths[i]);
    }
}

static regraft_status split_with_sizes(struct view *view) {
    size_t dimension, count;
    symint *lengths, sum = constant(view, 0);
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    if (!value_as_symint_list(view->context, inference_value(view->inference, 1), &lengths, &count)) return REGRAFT_OK;
    for (size_t i = 0; i < count; i++) sum = symint_add(view->symbols, sum, lengths[i]);
    if (symint_equal(view->symbols, sum, view->input->sizes[dimension]) == answer_no) {
        return inference_fail(view->inference, "the sizes of the split add up to %s, but the dimension has size %s",
                              symint_string(view->context->arena, sum),
                              symint_string(view->context->arena, view->input->sizes[dimension]));
    }
    emit_pieces(view, dimension, lengths, count);
    return REGRAFT_OK;
}

enum { most_pieces = 1 << 16 };

/* Equal pieces of `length`, the last one smaller. Only when the size is a number. */
static regraft_status split_equal(struct view *view, size_t dimension, int64_t length) {
    int64_t size;
    if (!symint_is_constant(view->input->sizes[dimension], &size)) return REGRAFT_OK;
    if (length <= 0)
        return inference_fail(view->inference, "expected pieces of a size of at least 1, found %lld",
                              (long long)length);
    if (size / length >= most_pieces)
        return inference_fail(view->inference, "pieces of size %lld of a dimension of size %lld are more than %d",
                              (long long)length, (long long)size, most_pieces);
    size_t count = size ? (size_t)((size + length - 1) / length) : 1;
    symint *lengths = arena_array(view->context->arena, symint, count);
    for (size_t i = 0; i < count; i++) {
        int64_t left = size - (int64_t)i * length;
        lengths[i] = constant(view, left < length ? left : length);
    }
    emit_pieces(view, dimension, lengths, count);
    return REGRAFT_OK;
}

static regraft_status split(struct view *view) {
    size_t dimension;
    int64_t length;
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    if (!inference_integer(view->inference, "split_size", 0, &length)) return REGRAFT_OK;
    return split_equal(view, dimension, length);
}

static regraft_status chunk(struct view *view) {
    size_t dimension;
    int64_t chunks, size;
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    if (!inference_integer(view->inference, "chunks", 0, &chunks) || chunks <= 0)
        return inference_fail(view->inference, "the number of chunks must be positive");
    if (!symint_is_constant(view->input->sizes[dimension], &size) || !size) return REGRAFT_OK;
    return split_equal(view, dimension, size / chunks + (size % chunks != 0));
}

static regraft_status unbind(struct view *view) {
    size_t dimension;
    int64_t size;
    TRY(dimension_named(view, "dim", 0, view->input->rank, &dimension));
    if (!symint_is_constant(view->input->sizes[dimension], &size)) return REGRAFT_OK;
    if (size > most_pieces)
        return inference_fail(view->inference, "unbinding a dimension of size %lld", (long long)size);
    for (int64_t i = 0; i < size; i++) {
        struct window window = whole(view, view->input->rank);
        cut(view, &window, dimension, constant(view, i), constant(view, 1), 1);
        drop_dimension(&window, dimension);
        emit(view, window);
    }
    return REGRAFT_OK;
}

/* ---- order and number of dimensions ---- */

static void emit_permuted(struct view *view, const size_t *order) {
    struct window window = whole(view, view->input->rank);
    for (size_t i = 0; i < view->input->rank; i++) {
        sizes_of(&window)[i] = view->input->sizes[order[i]];
        if (view->input->strides) strides_of(&window)[i] = view->input->strides[order[i]];
    }
    emit(view, window);
}

static regraft_status permute(struct view *view) {
    size_t rank = view->input->rank, count, *order = arena_array(view->context->arena, size_t, rank);
    bool *seen = arena_array(view->context->arena, bool, rank);
    symint *items;
    int64_t dimension = 0;
    if (!value_as_symint_list(view->context, inference_value(view->inference, 1), &items, &count) || count != rank)
        return inference_fail(view->inference, "permute needs one number for each of the %zu dimensions", rank);
    for (size_t i = 0; i < rank; i++) {
        if (!symint_is_constant(items[i], &dimension)) return REGRAFT_OK;
        TRY(inference_dimension(view->inference, dimension, rank, &order[i]));
        if (seen[order[i]]) return inference_fail(view->inference, "permute names dimension %zu twice", order[i]);
        seen[order[i]] = true;
    }
    emit_permuted(view, order);
    return REGRAFT_OK;
}

static regraft_status swap(struct view *view, size_t a, size_t b) {
    size_t *order = arena_array(view->context->arena, size_t, view->input->rank);
    for (size_t i = 0; i < view->input->rank; i++) order[i] = i == a ? b : i == b ? a : i;
    emit_permuted(view, order);
    return REGRAFT_OK;
}

static regraft_status transpose(struct view *view) {
    size_t a, b;
    TRY(dimension_named(view, "dim0", 0, view->input->rank, &a));
    TRY(dimension_named(view, "dim1", 0, view->input->rank, &b));
    return swap(view, a, b);
}

static regraft_status transpose_matrix(struct view *view) {
    if (view->input->rank > 2) return inference_fail(view->inference, "t() takes at most 2 dimensions");
    return swap(view, 0, view->input->rank == 2);
}

/* Drops the dimensions of size 1 among those that are marked. */
static void squeeze_marked(struct view *view, const bool *marked) {
    struct window window = whole(view, view->input->rank);
    for (size_t i = view->input->rank; i-- > 0;) {
        if (!marked[i]) continue;
        enum answer one = symint_equal(view->symbols, view->input->sizes[i], constant(view, 1));
        if (one == answer_unknown) return;
        if (one == answer_yes) drop_dimension(&window, i);
    }
    emit(view, window);
}

static regraft_status squeeze(struct view *view) {
    bool *marked = arena_array(view->context->arena, bool, view->input->rank);
    memset(marked, true, view->input->rank);
    squeeze_marked(view, marked);
    return REGRAFT_OK;
}

/* `dim` is a number or a list of numbers. */
static regraft_status squeeze_dimensions(struct view *view) {
    bool *marked = arena_array(view->context->arena, bool, view->input->rank);
    const struct value *value = inference_value(view->inference, 1);
    symint single = value_as_symint(view->context, value), *items = &single;
    size_t count = 1, dimension;
    int64_t number = 0;
    if (!single && !value_as_symint_list(view->context, value, &items, &count)) return REGRAFT_OK;
    for (size_t i = 0; i < count; i++) {
        if (!symint_is_constant(items[i], &number)) return REGRAFT_OK;
        TRY(inference_dimension(view->inference, number, view->input->rank, &dimension));
        if (view->input->rank) marked[dimension] = true;
    }
    squeeze_marked(view, marked);
    return REGRAFT_OK;
}

static regraft_status unsqueeze(struct view *view) {
    size_t rank = view->input->rank, dimension;
    TRY(dimension_named(view, "dim", 0, rank + 1, &dimension));
    struct window window = whole(view, rank + 1);
    for (size_t i = rank; i > dimension; i--) {
        sizes_of(&window)[i] = window.layout.sizes[i - 1];
        if (window.layout.strides) strides_of(&window)[i] = window.layout.strides[i - 1];
    }
    sizes_of(&window)[dimension] = constant(view, 1);
    if (window.layout.strides)
        strides_of(&window)[dimension] =
            dimension == rank
                ? constant(view, 1)
                : symint_multiply(view->symbols, view->input->sizes[dimension], view->input->strides[dimension]);
    emit(view, window);
    return REGRAFT_OK;
}

static regraft_status expand(struct view *view) {
    symint *wanted;
    size_t rank, lead;
    if (!value_as_symint_list(view->context, inference_value(view->inference, 1), &wanted, &rank)) return REGRAFT_OK;
    if (rank < view->input->rank) return inference_fail(view->inference, "expand cannot drop dimensions");
    lead = rank - view->input->rank;
    struct window window = whole(view, rank);
    for (size_t i = rank; i-- > 0;) {
        bool added = i < lead;
        symint size = added ? constant(view, 1) : view->input->sizes[i - lead];
        symint target = symint_is(wanted[i], -1) && !added ? size : wanted[i];
        enum answer kept = symint_equal(view->symbols, size, target);
        if (kept != answer_yes && symint_equal(view->symbols, size, constant(view, 1)) == answer_no &&
            kept == answer_no)
            return inference_fail(view->inference, "expand cannot change the size of dimension %zu, which is not 1", i);
        sizes_of(&window)[i] = target;
        if (!window.layout.strides) continue;
        if (kept == answer_unknown && !symint_is(size, 1))
            window.kind = window_unknown; /* 0 or kept: depends on the size */
        bool last = i + 1 == rank;
        symint stride = !added ? view->input->strides[i - lead]
                        : last
                            ? constant(view, 1)
                            : symint_multiply(view->symbols, window.layout.sizes[i + 1], window.layout.strides[i + 1]);
        strides_of(&window)[i] = kept == answer_yes ? stride : constant(view, 0);
    }
    emit(view, window);
    return REGRAFT_OK;
}

/* ---- reshapes ---- */

/* Replaces a -1 among the wanted sizes by what is left of the element count. */
static bool complete_sizes(struct view *view, symint *sizes, size_t rank) {
    symint known = constant(view, 1);
    size_t missing = SIZE_MAX;
    for (size_t i = 0; i < rank; i++) {
        if (symint_is(sizes[i], -1))
            missing = i;
        else
            known = symint_multiply(view->symbols, known, sizes[i]);
    }
    if (missing == SIZE_MAX) return true;
    symint rest = symint_divide_exact(view->symbols, layout_count(view->symbols, view->input), known);
    if (rest) sizes[missing] = rest;
    return rest != NULL;
}

/* computeStride of ATen/TensorUtils.cpp on symbolic integers: walks both shapes from the last dimension, a chunk of
 * dimensions that lie densely behind each other at a time. `no`: the elements cannot be viewed like this, a copy is needed. */
static enum answer reshape_strides(struct view *view, const symint *sizes, size_t rank, symint *strides) {
    struct symbols *symbols = view->symbols;
    const struct layout *old = view->input;
    symint one = constant(view, 1), count = one, wanted = one;
    size_t next = rank;
    if (old->rank == 0 || symint_is(layout_count(symbols, old), 0)) {
        memcpy(strides, layout_contiguous_strides(view->context->arena, symbols, sizes, rank), rank * sizeof *strides);
        return answer_yes;
    }
    symint base = old->strides[old->rank - 1];
    for (size_t i = old->rank; i-- > 0;) {
        count = symint_multiply(symbols, count, old->sizes[i]);
        if (i > 0) {
            if (symint_is(old->sizes[i - 1], 1)) continue;
            enum answer dense = symint_equal(symbols, old->strides[i - 1], symint_multiply(symbols, count, base));
            if (dense == answer_unknown) return answer_unknown;
            if (dense == answer_yes) continue;
        }
        while (next > 0 && (symint_is(sizes[next - 1], 1) || symint_equal(symbols, wanted, count) != answer_yes)) {
            symint more = symint_multiply(symbols, wanted, sizes[next - 1]);
            if (symint_less_equal(symbols, more, count) == answer_no) return answer_no;
            if (!symint_divide_exact(symbols, count, more)) {
                int64_t a, b;
                return symint_is_constant(count, &a) && symint_is_constant(more, &b) ? answer_no : answer_unknown;
            }
            next--;
            strides[next] = symint_multiply(symbols, wanted, base);
            wanted = more;
        }
        enum answer filled = symint_equal(symbols, wanted, count);
        if (filled != answer_yes) return filled;
        if (i > 0) {
            base = old->strides[i - 1];
            count = wanted = one;
        }
    }
    return next == 0 ? answer_yes : answer_unknown;
}

/* Dimensions of size 1 count for nothing in reshape_strides: where a symbol may be 1 its `no` is not certain. An annotation
 * with strides is: PyTorch guards on the decision that it shows. */
static bool may_be_one(const struct view *view, const symint *sizes, size_t rank) {
    for (size_t i = 0; i < rank; i++)
        if (symint_equal(view->symbols, sizes[i], constant(view, 1)) == answer_unknown) return true;
    return false;
}

static bool is_annotated(const struct view *view) {
    const struct node *node = view->inference->node;
    return node->annotation.length && node->type->kind == type_tensor && node->type->layout.strides;
}

static bool demands_view(const struct view *view) {
    enum operation_id id = view->inference->operation->id;
    return id == operation_aten_view_default || id == operation_aten_unflatten_int;
}

static regraft_status emit_reshaped(struct view *view, symint *sizes, size_t rank) {
    if (!complete_sizes(view, sizes, rank)) return REGRAFT_OK;
    struct layout shape = {rank, sizes, NULL};
    symint before = layout_count(view->symbols, view->input), after = layout_count(view->symbols, &shape);
    if (symint_equal(view->symbols, before, after) == answer_no) {
        return inference_fail(view->inference, "%s elements cannot take a shape of %s",
                              symint_string(view->context->arena, before), symint_string(view->context->arena, after));
    }
    struct window window = {.kind = window_unknown, .layout = shape, .offset = constant(view, 0)};
    if (!view->input->strides) {
        emit(view, window);
        return REGRAFT_OK;
    }
    symint *strides = arena_array(view->context->arena, symint, rank);
    enum answer can = layout_same_sizes(view->symbols, view->input, &shape);
    if (can == answer_yes)
        memcpy(strides, view->input->strides, rank * sizeof *strides);
    else
        can = reshape_strides(view, sizes, rank, strides);
    if (can == answer_no && !is_annotated(view) &&
        (may_be_one(view, sizes, rank) || may_be_one(view, view->input->sizes, view->input->rank)))
        can = answer_unknown;
    if (can == answer_no && demands_view(view))
        return inference_fail(view->inference,
                              "the strides of the argument do not allow this view; reshape would copy");
    window.kind = can == answer_yes ? window_view : can == answer_no ? window_copy : window_unknown;
    if (can == answer_yes) window.layout.strides = strides;
    if (can == answer_no)
        window.layout.strides = layout_contiguous_strides(view->context->arena, view->symbols, sizes, rank);
    emit(view, window);
    return REGRAFT_OK;
}

static regraft_status reshape(struct view *view) {
    symint *sizes;
    size_t rank;
    if (!value_as_symint_list(view->context, inference_value(view->inference, 1), &sizes, &rank)) return REGRAFT_OK;
    return emit_reshaped(view, sizes, rank);
}

static regraft_status flatten(struct view *view) {
    size_t first, last, rank = view->input->rank;
    TRY(dimension_named(view, "start_dim", 0, rank, &first));
    TRY(dimension_named(view, "end_dim", -1, rank, &last));
    if (last < first) return inference_fail(view->inference, "flatten from dimension %zu to %zu", first, last);
    if (!rank) {
        symint one = constant(view, 1);
        return emit_reshaped(view, &one, 1);
    }
    symint *sizes = arena_array(view->context->arena, symint, rank), product = constant(view, 1);
    for (size_t i = 0; i < rank; i++) {
        if (i >= first && i <= last)
            sizes[first] = product = symint_multiply(view->symbols, product, view->input->sizes[i]);
        else
            sizes[i < first ? i : i - (last - first)] = view->input->sizes[i];
    }
    return emit_reshaped(view, sizes, rank - (last - first));
}

static regraft_status unflatten(struct view *view) {
    size_t dimension, count, rank = view->input->rank;
    symint *parts, known = constant(view, 1);
    TRY(dimension_named(view, "dim", 0, rank, &dimension));
    if (!rank || !value_as_symint_list(view->context, inference_value(view->inference, 2), &parts, &count))
        return REGRAFT_OK;
    symint *sizes = arena_array(view->context->arena, symint, rank - 1 + count);
    for (size_t i = 0; i < count; i++)
        if (!symint_is(parts[i], -1)) known = symint_multiply(view->symbols, known, parts[i]);
    for (size_t i = 0; i < rank - 1 + count; i++) {
        if (i < dimension)
            sizes[i] = view->input->sizes[i];
        else if (i >= dimension + count)
            sizes[i] = view->input->sizes[i - count + 1];
        else if (!symint_is(parts[i - dimension], -1))
            sizes[i] = parts[i - dimension];
        else
            sizes[i] = symint_divide_exact(view->symbols, view->input->sizes[dimension], known);
        if (!sizes[i]) return REGRAFT_OK;
    }
    return emit_reshaped(view, sizes, rank - 1 + count);
}

/* ---- windows by numbers ---- */

static regraft_status as_strided(struct view *view) {
    symint *sizes, *strides, offset = integer_named(view, "storage_offset");
    size_t rank, count;
    if (!value_as_symint_list(view->context, inference_named(view->inference, "size"), &sizes, &rank))
        return REGRAFT_OK;
    if (!value_as_symint_list(view->context, inference_named(view->inference, "stride"), &strides, &count))
        return REGRAFT_OK;
    if (rank != count) return inference_fail(view->inference, "as_strided has %zu sizes but %zu strides", rank, count);
    struct window window = {window_view, {rank, sizes, strides}, offset ? offset : constant(view, 0), offset != NULL};
    emit(view, window);
    return REGRAFT_OK;
}

static regraft_status diagonal(struct view *view) {
    size_t a, b;
    int64_t offset;
    TRY(dimension_named(view, "dim1", 0, view->input->rank, &a));
    TRY(dimension_named(view, "dim2", 1, view->input->rank, &b));
    if (a == b) return inference_fail(view->inference, "diagonal needs two different dimensions");
    if (!inference_integer(view->inference, "offset", 0, &offset)) return REGRAFT_OK;
    symint zero = constant(view, 0), down = constant(view, offset < 0 ? -offset : 0),
           right = constant(view, offset > 0 ? offset : 0);
    struct window window = whole(view, view->input->rank);
    symint length = symint_min(view->symbols, symint_subtract(view->symbols, view->input->sizes[a], down),
                               symint_subtract(view->symbols, view->input->sizes[b], right));
    if (window.layout.strides) {
        cut(view, &window, a, down, window.layout.sizes[a], 1);
        cut(view, &window, b, right, window.layout.sizes[b], 1);
    }
    symint stride =
        window.layout.strides ? symint_add(view->symbols, window.layout.strides[a], window.layout.strides[b]) : NULL;
    drop_dimension(&window, a > b ? a : b);
    drop_dimension(&window, a > b ? b : a);
    size_t last = window.layout.rank++;
    sizes_of(&window)[last] = symint_max(view->symbols, length, zero);
    if (stride) strides_of(&window)[last] = stride;
    if (symint_is(window.layout.sizes[last], 0)) window.offset = zero; /* an empty diagonal lies nowhere */
    emit(view, window);
    return REGRAFT_OK;
}

/* Windows of `size` along a dimension, one every `step` elements; what lies in a window becomes the last dimension. */
static regraft_status unfold(struct view *view) {
    struct symbols *symbols = view->symbols;
    size_t dimension, rank = view->input->rank;
    int64_t size, step;
    TRY(dimension_named(view, "dimension", 0, rank, &dimension));
    if (!inference_integer(view->inference, "size", 0, &size) || !inference_integer(view->inference, "step", 1, &step))
        return REGRAFT_OK;
    symint one = constant(view, 1), width = constant(view, size);
    symint length = rank ? view->input->sizes[dimension] : one;
    if (size < 0 || step <= 0 || symint_less(symbols, length, width) == answer_yes)
        return inference_fail(view->inference, "windows of %lld elements, %lld apart, of a dimension of size %s",
                              (long long)size, (long long)step, symint_string(view->context->arena, length));
    struct window window = whole(view, rank + 1);
    symint behind = symint_floor_divide(symbols, symint_subtract(symbols, length, width), constant(view, step));
    sizes_of(&window)[rank] = width;
    if (window.layout.strides) strides_of(&window)[rank] = rank ? view->input->strides[dimension] : one;
    if (rank) cut(view, &window, dimension, constant(view, 0), symint_add(symbols, behind, one), step);
    emit(view, window);
    return REGRAFT_OK;
}

static regraft_status identity(struct view *view) {
    emit(view, whole(view, view->input->rank));
    return REGRAFT_OK;
}

/* The same elements in another type, as long as they are as large; otherwise no window is told. */
static regraft_status same_bits(struct view *view) {
    const struct type *input = inference_tensor(view->inference, 0);
    const struct value *dtype = inference_value(view->inference, 1);
    bool same = input && dtype && dtype->kind == value_dtype && dtype_size(dtype->dtype) == dtype_size(input->dtype);
    return same ? identity(view) : REGRAFT_OK;
}

/* The functions by row; an update writes the window that its view form reads. */
static regraft_status (*window_function(enum operation_id id))(struct view *view) {
    switch (id) {
    case operation_aten_alias_default:
    case operation_aten_copy_default:
    case operation_aten_detach_default:
        return identity;
    case operation_aten_view_dtype:
        return same_bits;
    case operation_aten_slice_scatter_default:
    case operation_aten_slice_Tensor:
        return slice;
    case operation_aten_narrow_default:
        return narrow;
    case operation_aten_select_scatter_default:
    case operation_aten_select_int:
        return select_index;
    case operation_aten_split_sizes:
    case operation_aten_split_with_sizes_default:
        return split_with_sizes;
    case operation_aten_split_Tensor:
        return split;
    case operation_aten_chunk_default:
        return chunk;
    case operation_aten_unbind_int:
        return unbind;
    case operation_aten_permute_default:
        return permute;
    case operation_aten_transpose_int:
        return transpose;
    case operation_aten_t_default:
        return transpose_matrix;
    case operation_aten_squeeze_default:
        return squeeze;
    case operation_aten_squeeze_dim:
    case operation_aten_squeeze_dims:
        return squeeze_dimensions;
    case operation_aten_unsqueeze_default:
        return unsqueeze;
    case operation_aten_expand_default:
        return expand;
    case operation_aten_view_default:
    case operation_aten__unsafe_view_default:
    case operation_aten_reshape_default:
        return reshape;
    case operation_aten_flatten_using_ints:
        return flatten;
    case operation_aten_unflatten_int:
        return unflatten;
    case operation_aten_as_strided_scatter_default:
    case operation_aten_as_strided_default:
        return as_strided;
    case operation_aten_diagonal_scatter_default:
    case operation_aten_diagonal_default:
        return diagonal;
    case operation_aten_unfold_default:
        return unfold;
    default:
        return NULL;
    }
}

static bool is_negative(symint value) {
    int64_t number;
    return symint_is_constant(value, &number) && number < 0;
}

/* No tensor has negative sizes, strides or offsets. */
static regraft_status check_windows(const struct view *view) {
    for (size_t i = 0; i < view->windows.count; i++) {
        const struct window *window = &view->windows.items[i];
        for (size_t d = 0; d < window->layout.rank; d++) {
            if (is_negative(window->layout.sizes[d])) return inference_fail(view->inference, "size %zu is negative", d);
            if (window->layout.strides && is_negative(window->layout.strides[d]))
                return inference_fail(view->inference, "stride %zu is negative", d);
        }
        if (window->offset && is_negative(window->offset))
            return inference_fail(view->inference, "the offset is negative");
    }
    return REGRAFT_OK;
}

regraft_status view_windows(const struct inference *inference, const struct layout *input, struct window **windows,
                            size_t *count) {
    struct view view = {
        .inference = inference, .context = inference->context, .symbols = inference->context->symbols, .input = input};
    regraft_status (*function)(struct view *) = window_function(inference->operation->id);
    if (function) TRY(function(&view));
    TRY(check_windows(&view));
    *windows = view.windows.items;
    *count = view.windows.count;
    return REGRAFT_OK;
}

regraft_status node_windows(const struct node *call, struct window **windows, size_t *count) {
    struct inference inference = {call->graph->context, (struct node *)call, call->operation, NULL};
    const struct type *input = inference_tensor(&inference, 0);
    *windows = call->windows;
    *count = call->window_count;
    if (call->settled) return REGRAFT_OK;
    *count = 0;
    return input ? view_windows(&inference, &input->layout, windows, count) : REGRAFT_OK;
}

regraft_status update_window(const struct inference *inference, const struct layout *input, struct window *window) {
    struct window *windows;
    size_t count;
    TRY(view_windows(inference, input, &windows, &count));
    *window = count == 1 ? windows[0] : (struct window){.kind = window_unknown};
    return REGRAFT_OK;
}
