/* Types of fresh results made from sizes, or shaped like an argument: allocation, casts, joins, indexing, products. */
#include "ir/infer.h"

static symint constant(const struct inference *inference, int64_t value) {
    return symint_constant(inference_symbols(inference), value);
}

static const symint *contiguous(const struct inference *inference, const symint *sizes, size_t rank) {
    return layout_contiguous_strides(inference->context->arena, inference_symbols(inference), sizes, rank);
}

static void set_contiguous(struct inference *inference, enum dtype dtype, size_t rank, const symint *sizes,
                           struct device device) {
    inference_set(inference, dtype, rank, sizes, contiguous(inference, sizes, rank), device);
}

static symint *copy_sizes(const struct inference *inference, const struct layout *layout, size_t room) {
    symint *sizes = arena_array(inference->context->arena, symint, room);
    for (size_t i = 0; i < layout->rank && i < room; i++) sizes[i] = layout->sizes[i];
    return sizes;
}

static enum dtype dtype_named(const struct inference *inference, const char *name, enum dtype otherwise) {
    const struct value *value = inference_named(inference, name);
    return value && value->kind == value_dtype ? value->dtype : otherwise;
}

static struct device device_named(const struct inference *inference, struct device otherwise) {
    const struct value *value = inference_named(inference, "device");
    return value && value->kind == value_device ? value->device : otherwise;
}

/* The element type that a number has by itself: torch.get_default_dtype() is f32. */
static enum dtype dtype_of_number(const struct value *value) {
    if (!value) return dtype_f32;
    switch (value->kind) {
    case value_bool:
        return dtype_b8;
    case value_integer:
    case value_symint:
    case value_node:
        return dtype_i64;
    default:
        return dtype_f32;
    }
}

/* ---- from sizes ---- */

static const struct device no_device = {{"", 0}, -1};

/* empty, full, zeros, ones: (size, ...) */
regraft_status infer_full(struct inference *inference) {
    symint *sizes;
    size_t rank;
    if (!value_as_symint_list(inference->context, inference_value(inference, 0), &sizes, &rank)) return REGRAFT_OK;
    for (size_t i = 0; i < rank; i++)
        if (symint_less(inference_symbols(inference), sizes[i], constant(inference, 0)) == answer_yes)
            return inference_fail(inference, "size %zu is negative", i);
    const struct value *fill = inference_named(inference, "fill_value");
    enum dtype otherwise = fill ? dtype_of_number(fill) : dtype_f32;
    set_contiguous(inference, dtype_named(inference, "dtype", otherwise), rank, sizes,
                   device_named(inference, no_device));
    return REGRAFT_OK;
}

static regraft_status set_strided(struct inference *inference, enum dtype dtype, struct device device) {
    symint *sizes, *strides;
    size_t rank, count;
    if (!value_as_symint_list(inference->context, inference_named(inference, "size"), &sizes, &rank)) return REGRAFT_OK;
    if (!value_as_symint_list(inference->context, inference_named(inference, "stride"), &strides, &count))
        return REGRAFT_OK;
    if (rank != count) return inference_fail(inference, "%zu sizes but %zu strides", rank, count);
    inference_set(inference, dtype_named(inference, "dtype", dtype), rank, sizes, strides,
                  device_named(inference, device));
    return REGRAFT_OK;
}

regraft_status infer_empty_strided(struct inference *inference) { return set_strided(inference, dtype_f32, no_device); }

regraft_status infer_new_empty_strided(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    return self ? set_strided(inference, self->dtype, self->device) : REGRAFT_OK;
}

regraft_status infer_new(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    symint *sizes;
    size_t rank;
    if (!self || !value_as_symint_list(inference->context, inference_value(inference, 1), &sizes, &rank))
        return REGRAFT_OK;
    set_contiguous(inference, dtype_named(inference, "dtype", self->dtype), rank, sizes,
                   device_named(inference, self->device));
    return REGRAFT_OK;
}

regraft_status infer_scalar_tensor(struct inference *inference) {
    enum dtype dtype = dtype_named(inference, "dtype", dtype_of_number(inference_value(inference, 0)));
    inference_set(inference, dtype, 0, NULL, arena_array(inference->context->arena, symint, 0),
                  device_named(inference, no_device));
    return REGRAFT_OK;
}

regraft_status infer_arange(struct inference *inference) {
    const struct value *start = inference_named(inference, "start"), *end = inference_named(inference, "end"),
                       *step = inference_named(inference, "step");
    symint first = start ? value_as_symint(inference->context, start) : constant(inference, 0);
    symint last = value_as_symint(inference->context, end),
           stride = step ? value_as_symint(inference->context, step) : constant(inference, 1);
    if (!first || !last || !stride) return REGRAFT_OK;
    symint length = symint_subtract(inference_symbols(inference), last, first);
    if (!symint_is(stride, 1)) { /* ceil(length / step) */
        symint minus = symint_multiply(inference_symbols(inference), length, constant(inference, -1));
        length =
            symint_multiply(inference_symbols(inference),
                            symint_floor_divide(inference_symbols(inference), minus, stride), constant(inference, -1));
    }
    symint *sizes = arena_array(inference->context->arena, symint, 1);
    sizes[0] = length;
    set_contiguous(inference, dtype_named(inference, "dtype", dtype_i64), 1, sizes, device_named(inference, no_device));
    return REGRAFT_OK;
}

regraft_status infer_iota(struct inference *inference) {
    symint *sizes = arena_array(inference->context->arena, symint, 1);
    sizes[0] = value_as_symint(inference->context, inference_value(inference, 0));
    if (!sizes[0]) return REGRAFT_OK;
    set_contiguous(inference, dtype_named(inference, "dtype", dtype_i64), 1, sizes, device_named(inference, no_device));
    return REGRAFT_OK;
}

/* ---- like an argument ---- */

static bool contiguous_format(const struct inference *inference) {
    const struct value *format = inference_named(inference, "memory_format");
    return format && format->kind == value_name && text_is(format->written, "torch.contiguous_format");
}

static const symint *like_strides(const struct inference *inference, const struct layout *layout) {
    const struct layout *operands[] = {layout};
    if (contiguous_format(inference)) return contiguous(inference, layout->sizes, layout->rank);
    const struct value *format = inference_named(inference, "memory_format");
    if (format && format->kind != value_none && !text_is(format->written, "torch.preserve_format")) return NULL;
    return dense_strides(inference->context, layout->sizes, layout->rank, operands, 1);
}

/* empty_like and kin, clone, casts: the strides of the argument where they are dense, else their order. */
regraft_status infer_like(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (!self) return REGRAFT_OK;
    inference_set(inference, dtype_named(inference, "dtype", self->dtype), self->layout.rank, self->layout.sizes,
                  like_strides(inference, &self->layout), device_named(inference, self->device));
    return REGRAFT_OK;
}

/* to(): the argument itself when there is nothing to change. */
regraft_status infer_to(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (!self) return REGRAFT_OK;
    TRY(infer_like(inference));
    bool same = inference->result->dtype == self->dtype && device_equal(inference->result->device, self->device);
    if (same && !inference_boolean(inference, "copy")) inference->result = self;
    return REGRAFT_OK;
}

regraft_status infer_contiguous(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (self) set_contiguous(inference, self->dtype, self->layout.rank, self->layout.sizes, self->device);
    return REGRAFT_OK;
}

/* What empty_like gives: the order of the argument's strides. */
regraft_status infer_fresh_like_first(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (self)
        inference_set(inference, self->dtype, self->layout.rank, self->layout.sizes,
                      like_strides(inference, &self->layout), self->device);
    return REGRAFT_OK;
}

regraft_status infer_fresh_pair_like_first(struct inference *inference) {
    TRY(infer_fresh_like_first(inference));
    const struct type *items[] = {inference->result, inference->result};
    if (inference->result) inference->result = type_make_tuple(inference->context->arena, items, 2);
    return REGRAFT_OK;
}

/* `empty(0)` of the first argument's type: what orders a cache write before its reader. */
regraft_status infer_empty_like_first(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    symint *sizes = arena_array(inference->context->arena, symint, 1);
    sizes[0] = constant(inference, 0);
    if (self) set_contiguous(inference, self->dtype, 1, sizes, self->device);
    return REGRAFT_OK;
}

/* ---- joins ---- */

regraft_status infer_repeat(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    symint *repeats;
    size_t rank;
    if (!self || !value_as_symint_list(inference->context, inference_value(inference, 1), &repeats, &rank))
        return REGRAFT_OK;
    if (rank < self->layout.rank) return inference_fail(inference, "repeat needs a number for each dimension");
    for (size_t i = 0; i < self->layout.rank; i++) {
        symint *size = &repeats[rank - self->layout.rank + i];
        *size = symint_multiply(inference_symbols(inference), *size, self->layout.sizes[i]);
    }
    set_contiguous(inference, self->dtype, rank, repeats, self->device);
    return REGRAFT_OK;
}

/* The types of a list of tensors; NULL when one is not known. */
static const struct type **tensor_list(struct inference *inference, size_t *count) {
    const struct value *list = inference_value(inference, 0);
    if (!list || (list->kind != value_list && list->kind != value_tuple) || !list->list.count) return NULL;
    const struct type **types = arena_array(inference->context->arena, const struct type *, list->list.count);
    *count = list->list.count;
    for (size_t i = 0; i < *count; i++) {
        struct node *node = value_as_node(&list->list.items[i]);
        if (!node || node->type->kind != type_tensor) return NULL;
        types[i] = node->type;
    }
    return types;
}

static bool legacy_empty(const struct type *type) {
    return type->layout.rank == 1 && symint_is(type->layout.sizes[0], 0);
}

regraft_status infer_cat(struct inference *inference) {
    size_t count, dimension;
    int64_t number;
    const struct type **types = tensor_list(inference, &count), *first;
    if (!types || !inference_integer(inference, "dim", 0, &number)) return REGRAFT_OK;
    first = types[0];
    for (size_t i = 0; i < count && legacy_empty(first); i++) first = types[i];
    enum dtype dtype = types[0]->dtype;
    TRY(inference_dimension(inference, number, first->layout.rank, &dimension));
    symint *sizes = copy_sizes(inference, &first->layout, first->layout.rank), total = constant(inference, 0);
    for (size_t i = 0; i < count; i++) {
        dtype = dtype_promote(dtype, types[i]->dtype);
        if (legacy_empty(types[i]) && first->layout.rank != 1) continue;
        if (types[i]->layout.rank != first->layout.rank)
            return inference_fail(inference, "tensor %zu has another number of dimensions", i);
        for (size_t d = 0; d < first->layout.rank; d++)
            if (d != dimension &&
                symint_equal(inference_symbols(inference), sizes[d], types[i]->layout.sizes[d]) == answer_no)
                return inference_fail(inference, "tensor %zu has another size in dimension %zu", i, d);
        total = symint_add(inference_symbols(inference), total, types[i]->layout.sizes[dimension]);
    }
    if (first->layout.rank) sizes[dimension] = total;
    inference_set(inference, dtype, first->layout.rank, sizes, contiguous(inference, sizes, first->layout.rank),
                  first->device);
    return REGRAFT_OK;
}

regraft_status infer_stack(struct inference *inference) {
    size_t count, dimension;
    int64_t number;
    const struct type **types = tensor_list(inference, &count);
    if (!types || !inference_integer(inference, "dim", 0, &number)) return REGRAFT_OK;
    size_t rank = types[0]->layout.rank;
    TRY(inference_dimension(inference, number, rank + 1, &dimension));
    symint *sizes = arena_array(inference->context->arena, symint, rank + 1);
    for (size_t i = 0; i <= rank; i++)
        sizes[i] = i == dimension ? constant(inference, (int64_t)count) : types[0]->layout.sizes[i - (i > dimension)];
    set_contiguous(inference, types[0]->dtype, rank + 1, sizes, types[0]->device);
    return REGRAFT_OK;
}

regraft_status infer_constant_pad_nd(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    symint *pad;
    size_t count;
    if (!self || !value_as_symint_list(inference->context, inference_value(inference, 1), &pad, &count))
        return REGRAFT_OK;
    if (count % 2 || count / 2 > self->layout.rank)
        return inference_fail(inference, "pad needs two numbers for each padded dimension");
    symint *sizes = copy_sizes(inference, &self->layout, self->layout.rank);
    for (size_t i = 0; i < count; i++) {
        symint *size = &sizes[self->layout.rank - 1 - i / 2];
        *size = symint_add(inference_symbols(inference), *size, pad[i]);
    }
    inference_set(inference, self->dtype, self->layout.rank, sizes, NULL, self->device);
    return REGRAFT_OK;
}

regraft_status infer_flip(struct inference *inference) { return infer_fresh_like_first(inference); }

/* ---- indexing ---- */

regraft_status infer_embedding(struct inference *inference) {
    const struct type *weight = inference_tensor(inference, 0), *indices = inference_tensor(inference, 1);
    if (!weight || !indices) return REGRAFT_OK;
    if (weight->layout.rank != 2)
        return inference_fail(inference, "the weight must have 2 dimensions, not %zu", weight->layout.rank);
    size_t rank = indices->layout.rank + 1;
    symint *sizes = copy_sizes(inference, &indices->layout, rank);
    sizes[rank - 1] = weight->layout.sizes[1];
    set_contiguous(inference, weight->dtype, rank, sizes, weight->device);
    return REGRAFT_OK;
}

/* Of two sizes that broadcast: the one that is not 1. */
static symint broadcast(symint a, symint b) {
    if (symint_is(a, 1)) return b;
    return a;
}

/* The shape that the indices broadcast to; false when one is not known or is a mask. */
static bool index_shape(struct inference *inference, const struct value *list, symint *sizes, size_t *rank) {
    *rank = 0;
    for (size_t i = 0; i < list->list.count; i++) {
        struct node *node = value_as_node(&list->list.items[i]);
        if (!node) continue;
        if (node->type->kind != type_tensor || !dtype_is_integral(node->type->dtype)) return false;
        if (node->type->layout.rank > *rank) *rank = node->type->layout.rank;
    }
    for (size_t i = 0; i < *rank; i++) sizes[i] = constant(inference, 1);
    for (size_t i = 0; i < list->list.count; i++) {
        struct node *node = value_as_node(&list->list.items[i]);
        if (!node) continue;
        size_t lead = *rank - node->type->layout.rank;
        for (size_t d = lead; d < *rank; d++) sizes[d] = broadcast(sizes[d], node->type->layout.sizes[d - lead]);
    }
    return true;
}

enum { most_dimensions = 128 };

/* self[indices]: the indexed dimensions give way to the broadcast shape of the indices, in their place when they stand
 * together, else in front. Only the case of leading indices into a contiguous tensor tells the strides. */
regraft_status infer_index(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    const struct value *list = inference_value(inference, 1);
    symint shape[most_dimensions];
    size_t rank, first = SIZE_MAX, last = 0, indexed = 0;
    if (!self || !list || list->kind != value_list || list->list.count > self->layout.rank ||
        self->layout.rank > most_dimensions / 2)
        return REGRAFT_OK;
    for (size_t i = 0; i < list->list.count; i++) {
        struct node *node = value_as_node(&list->list.items[i]);
        if (!node) continue;
        if (node->type->kind == type_tensor && node->type->layout.rank > most_dimensions / 2) return REGRAFT_OK;
        if (first == SIZE_MAX) first = i;
        last = i;
        indexed++;
    }
    if (!indexed || !index_shape(inference, list, shape, &rank)) return REGRAFT_OK;
    size_t place = last - first + 1 == indexed ? first : 0, total = self->layout.rank - indexed + rank, next = 0;
    symint *sizes = arena_array(inference->context->arena, symint, total);
    for (size_t d = 0; d < self->layout.rank; d++)
        if (d >= list->list.count || !value_as_node(&list->list.items[d]))
            sizes[next < place ? next : next + rank] = self->layout.sizes[d], next++;
    for (size_t d = 0; d < rank; d++) sizes[place + d] = shape[d];
    bool plain = first == 0 && last + 1 == indexed &&
                 layout_contiguous(inference_symbols(inference), &self->layout) == answer_yes;
    for (size_t i = 0; plain && i < indexed; i++) {
        struct node *node = value_as_node(&list->list.items[i]);
        plain = layout_contiguous(inference_symbols(inference), &node->type->layout) == answer_yes;
    }
    inference_set(inference, self->dtype, total, sizes, plain ? contiguous(inference, sizes, total) : NULL,
                  self->device);
    return REGRAFT_OK;
}

regraft_status infer_index_select(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0), *index = inference_tensor(inference, 2);
    int64_t number;
    size_t dimension;
    if (!self || !index || !inference_integer(inference, "dim", 0, &number)) return REGRAFT_OK;
    TRY(inference_dimension(inference, number, self->layout.rank, &dimension));
    symint *sizes = copy_sizes(inference, &self->layout, self->layout.rank);
    if (self->layout.rank) sizes[dimension] = layout_count(inference_symbols(inference), &index->layout);
    set_contiguous(inference, self->dtype, self->layout.rank, sizes, self->device);
    return REGRAFT_OK;
}

regraft_status infer_gather(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0), *index = inference_tensor(inference, 2);
    if (self && index) set_contiguous(inference, self->dtype, index->layout.rank, index->layout.sizes, self->device);
    return REGRAFT_OK;
}

/* ---- products ---- */

static regraft_status check_inner(const struct inference *inference, const struct type *a, const struct type *b) {
    symint left = a->layout.sizes[a->layout.rank - 1], right = b->layout.sizes[b->layout.rank - 2];
    if (symint_equal(inference_symbols(inference), left, right) != answer_no) return REGRAFT_OK;
    return inference_fail(inference, "%s columns of the first matrix and %s rows of the second",
                          symint_string(inference->context->arena, left),
                          symint_string(inference->context->arena, right));
}

/* mm, bmm, and addmm, baddbmm with what is added in front */
regraft_status infer_mm(struct inference *inference) {
    size_t first = schema_find_argument(&inference->operation->schema, TEXT("mat2")) == 1 ? 0 : 1;
    const struct type *a = inference_tensor(inference, first), *b = inference_tensor(inference, first + 1);
    if (!a || !b) return REGRAFT_OK;
    size_t rank = a->layout.rank;
    if (rank != b->layout.rank || rank < 2 || rank > 3)
        return inference_fail(inference, "matrices of %zu and %zu dimensions", rank, b->layout.rank);
    TRY(check_inner(inference, a, b));
    symint *sizes = copy_sizes(inference, &a->layout, rank);
    sizes[rank - 1] = b->layout.sizes[rank - 1];
    set_contiguous(inference, a->dtype, rank, sizes, a->device);
    return REGRAFT_OK;
}

regraft_status infer_matmul(struct inference *inference) {
    const struct type *a = inference_tensor(inference, 0), *b = inference_tensor(inference, 1);
    if (!a || !b || a->layout.rank < 2 || b->layout.rank < 2) return REGRAFT_OK;
    TRY(check_inner(inference, a, b));
    size_t rank = a->layout.rank > b->layout.rank ? a->layout.rank : b->layout.rank;
    symint *sizes = arena_array(inference->context->arena, symint, rank), one = constant(inference, 1);
    for (size_t i = 0; i + 2 < rank; i++) {
        size_t lead_a = rank - a->layout.rank, lead_b = rank - b->layout.rank;
        sizes[i] =
            broadcast(i < lead_a ? one : a->layout.sizes[i - lead_a], i < lead_b ? one : b->layout.sizes[i - lead_b]);
    }
    sizes[rank - 2] = a->layout.sizes[a->layout.rank - 2];
    sizes[rank - 1] = b->layout.sizes[b->layout.rank - 1];
    inference_set(inference, a->dtype, rank, sizes, NULL, a->device);
    return REGRAFT_OK;
}

regraft_status infer_linear(struct inference *inference) {
    const struct type *input = inference_tensor(inference, 0), *weight = inference_tensor(inference, 1);
    if (!input || !weight || !input->layout.rank || weight->layout.rank != 2) return REGRAFT_OK;
    size_t rank = input->layout.rank;
    if (symint_equal(inference_symbols(inference), input->layout.sizes[rank - 1], weight->layout.sizes[1]) == answer_no)
        return inference_fail(inference, "the last dimension of the input is not the second one of the weight");
    symint *sizes = copy_sizes(inference, &input->layout, rank);
    sizes[rank - 1] = weight->layout.sizes[0];
    set_contiguous(inference, input->dtype, rank, sizes, input->device);
    return REGRAFT_OK;
}

/* Rows [tokens, k] times one of the matrices [groups, k, n] each. */
regraft_status infer_grouped_mm(struct inference *inference) {
    const struct type *a = inference_tensor(inference, 0), *b = inference_tensor(inference, 1);
    if (!a || !b || a->layout.rank != 2 || b->layout.rank != 3) return REGRAFT_OK;
    TRY(check_inner(inference, a, b));
    symint *sizes = copy_sizes(inference, &a->layout, 2);
    sizes[1] = b->layout.sizes[2];
    inference_set(inference, a->dtype, 2, sizes, NULL, a->device); /* rows are padded for TMA: not always contiguous */
    return REGRAFT_OK;
}

/* [batch, heads, queries, value width] */
regraft_status infer_attention_first(struct inference *inference) {
    const struct type *query = inference_tensor(inference, 0), *value = inference_tensor(inference, 2);
    if (!query || !value || !query->layout.rank || value->layout.rank != query->layout.rank) return REGRAFT_OK;
    size_t rank = query->layout.rank;
    symint *sizes = copy_sizes(inference, &query->layout, rank);
    sizes[rank - 1] = value->layout.sizes[rank - 1];
    inference_set(inference, query->dtype, rank, sizes, NULL, query->device);
    return REGRAFT_OK;
}

/* The first of several results; the others are for the backward pass. */
regraft_status infer_attention(struct inference *inference) {
    size_t count = inference->operation->schema.return_count;
    TRY(infer_attention_first(inference));
    if (!inference->result) return REGRAFT_OK;
    const struct type **items = arena_array(inference->context->arena, const struct type *, count);
    for (size_t i = 0; i < count; i++) items[i] = i ? &type_of_unknown : inference->result;
    inference->result = type_make_tuple(inference->context->arena, items, count);
    return REGRAFT_OK;
}

/* ---- sizes as values ---- */

static regraft_status size_or_stride(struct inference *inference, bool stride) {
    const struct type *self = inference_tensor(inference, 0);
    int64_t number;
    size_t dimension;
    if (!self || !inference_integer(inference, "dim", 0, &number) || !self->layout.rank) return REGRAFT_OK;
    TRY(inference_dimension(inference, number, self->layout.rank, &dimension));
    const symint *items = stride ? self->layout.strides : self->layout.sizes;
    if (items) inference->result = type_make_integer(inference->context->arena, items[dimension]);
    return REGRAFT_OK;
}

regraft_status infer_sym_size(struct inference *inference) { return size_or_stride(inference, false); }
regraft_status infer_sym_stride(struct inference *inference) { return size_or_stride(inference, true); }

regraft_status infer_sym_numel(struct inference *inference) {
    const struct type *self = inference_tensor(inference, 0);
    if (self)
        inference->result =
            type_make_integer(inference->context->arena, layout_count(inference_symbols(inference), &self->layout));
    return REGRAFT_OK;
}

/* A type tells no offset. */
regraft_status infer_sym_storage_offset(struct inference *inference) {
    (void)inference;
    return REGRAFT_OK;
}
